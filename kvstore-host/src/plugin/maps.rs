//! Maps: what lies where in the memory of this process, as `/proc/self/maps` has it (proc(5)).

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One mapping.
pub(super) struct Mapping<'a> {
    /// Its addresses.
    pub(super) range: Range<usize>,
    /// Whether what lies there can be executed.
    pub(super) is_code: bool,
    /// Of which file it is, also when its name is gone; empty where it is of none.
    pub(super) path: &'a Path,
}

/// All mappings of one moment.
pub(super) struct Maps(Vec<u8>);

impl Maps {
    /// Those of now. None where the system does not tell.
    pub(super) fn now() -> Self {
        Self(std::fs::read("/proc/self/maps").unwrap_or_default())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Mapping<'_>> {
        self.0.split(|byte| *byte == b'\n').filter_map(Mapping::parse)
    }
}

impl<'a> Mapping<'a> {
    /// `start-end perms offset device inode   path`
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (range, rest) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
        let (start, end) = str::from_utf8(range).ok()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let path = rest.iter().position(|byte| *byte == b'/').map_or(&[][..], |at| &rest[at..]);
        let path = Path::new(OsStr::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path)));
        Some(Self { range, is_code: rest.get(3) == Some(&b'x'), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_lies_in_the_code_of_this_program() {
        let (maps, program) = (Maps::now(), std::env::current_exe().unwrap());
        let address = a_function_lies_in_the_code_of_this_program as fn() as usize;
        let found: Vec<_> = maps.iter().filter(|mapping| mapping.range.contains(&address)).collect();
        assert!(found.len() == 1 && found[0].is_code && found[0].path == program);
        assert!(maps.iter().any(|mapping| !mapping.is_code && mapping.path == program));
    }
}
