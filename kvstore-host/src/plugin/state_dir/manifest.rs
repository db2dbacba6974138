//! Manifest: what a restart serves with, as a text with its own digest in the first line.
//!
//! ```text
//! # kvstore manifest 1, SHA-256 of what follows: <64 digits>
//! generation = 3
//! engine = "memory"
//! ...
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StateProblem;
use crate::plugin::file::{Digest, EngineFile};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;
const NAME: &str = "# kvstore manifest ";
const BEFORE_DIGEST: &str = ", SHA-256 of what follows: ";

/// The options of an engine, in their order.
pub type Options = Vec<(String, String)>;

/// Which engine serves, and how it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its generation.
    pub generation: u64,
    /// What the engine calls itself.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// The file that its bytes came from; for people, and where no other is configured.
    pub source: PathBuf,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// The file in the state directory that has its bytes.
    pub library: String,
    /// What it was opened with.
    pub options: Options,
}

impl Manifest {
    /// Of an engine whose bytes are kept under this name.
    pub(super) fn of(file: &EngineFile, library: String, generation: u64, options: Options) -> Self {
        let source = std::path::absolute(file.path()).unwrap_or_else(|_| file.path().to_owned());
        Self {
            generation,
            engine: file.identity().name.clone(),
            version: file.identity().version.clone(),
            // A text has no other bytes than those of UTF-8.
            source: PathBuf::from(source.to_string_lossy().into_owned()),
            digest: file.digest().to_string(),
            library,
            options,
        }
    }

    /// Its text.
    pub(super) fn encode(&self) -> Result<String, String> {
        let body = toml::to_string(self).map_err(|error| error.to_string())?;
        let digest = Digest::of(body.as_bytes());
        Ok(format!("{NAME}{FORMAT}{BEFORE_DIGEST}{digest}\n{body}"))
    }

    /// Reads a text; whatever is not as it was written is damage.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StateProblem> {
        let damaged = |what: &str| StateProblem::Damaged(what.to_owned());
        if bytes.is_empty() {
            return Err(damaged("it is empty"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
        let (first, body) = text.split_once('\n').ok_or_else(|| damaged("it has only one line"))?;
        let head = first.strip_prefix(NAME).and_then(|rest| rest.split_once(BEFORE_DIGEST));
        let (format, digest) = head.ok_or_else(|| damaged("its first line is not that of a manifest"))?;
        if format != FORMAT.to_string() {
            return Err(StateProblem::OtherFormat { found: format.to_owned(), accepted: FORMAT });
        }
        if Digest::parse(digest) != Some(Digest::of(body.as_bytes())) {
            return Err(damaged("it was changed: its lines do not have the SHA-256 of its first line"));
        }
        let manifest: Self =
            toml::from_str(body).map_err(|error| StateProblem::Damaged(error.message().to_owned()))?;
        if manifest.library.contains('/') || manifest.library.starts_with('.') {
            return Err(damaged("the library that it names is not in its directory"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            generation: 7,
            engine: "memory".to_owned(),
            version: "1.2.3".to_owned(),
            source: PathBuf::from("/a \"quoted\" path/engine.so"),
            digest: Digest::of(b"bytes").to_string(),
            library: "7-abc.so".to_owned(),
            options: vec![("b".to_owned(), "2\n".to_owned()), ("a".to_owned(), String::new())],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = manifest();
        assert_eq!(Manifest::parse(manifest.encode().unwrap().as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn each_changed_byte_and_each_missing_end_is_found() {
        let text = manifest().encode().unwrap().into_bytes();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(Manifest::parse(&changed).is_err(), "byte {at}");
            assert!(Manifest::parse(&text[..at]).is_err(), "cut at {at}");
        }
        let longer = [&text[..], b"\n"].concat();
        assert!(matches!(Manifest::parse(&longer), Err(StateProblem::Damaged(_))));
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let text = manifest().encode().unwrap().replacen("manifest 1,", "manifest 2,", 1);
        assert!(matches!(Manifest::parse(text.as_bytes()), Err(StateProblem::OtherFormat { .. })));
    }

    #[test]
    fn a_library_is_looked_for_in_the_directory_only() {
        for library in ["../engine.so", "/engine.so", ".."] {
            let text = Manifest { library: library.to_owned(), ..manifest() }.encode().unwrap();
            assert!(matches!(Manifest::parse(text.as_bytes()), Err(StateProblem::Damaged(_))), "{library}");
        }
    }
}
