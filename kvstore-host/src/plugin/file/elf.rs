//! ELF: what the bytes of a library say of it, read without running any of it. Knows nothing of paths.

use object::LittleEndian;
use object::elf::{self, FileHeader64, Machine};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym, SymbolTable};
use plugin_abi::Identity;
use plugin_abi::raw::{OPTIONAL_SYMBOLS, REQUIRED_SYMBOLS};

use super::error::Problem;
use super::{Pins, looks};

type Header = FileHeader64<LittleEndian>;
type Segment = elf::ProgramHeader64<LittleEndian>;

const LITTLE: LittleEndian = LittleEndian;

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: Machine = elf::EM_AARCH64;
#[cfg(target_arch = "riscv64")]
const THIS_MACHINE: Machine = elf::EM_RISCV;

/// What a library's bytes say of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) identity: Identity,
    pub(super) optional: Vec<&'static str>,
    pub(super) pins: Pins,
}

/// Checks a library and reads its facts. Any bytes may be given.
pub(super) fn inspect(bytes: &[u8]) -> Result<Facts, Problem> {
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Problem::NotElf(looks::like(bytes)));
    }
    check_machine(bytes)?;
    let header = Header::parse(bytes).map_err(malformed)?;
    check_kind(header)?;
    let segments = whole_segments(header, bytes)?;
    whole_sections(header, bytes)?;
    let flags = Flags::read(segments, bytes)?;
    if flags.word_1 & elf::DF_1_PIE.0 != 0 {
        return Err(Problem::NotALibrary("a program"));
    }
    let symbols = Symbols::read(header, bytes)?;
    symbols.check_required()?;
    let identity = Identity::parse(symbols.identity_bytes(segments, bytes)?).map_err(Problem::Refused)?;
    if flags.word & elf::DF_STATIC_TLS.0 != 0 {
        return Err(Problem::StaticTls);
    }
    let pins = Pins {
        nodelete: flags.word_1 & elf::DF_1_NODELETE.0 != 0,
        unique_symbol: symbols.unique,
        thread_destructors: symbols.thread_destructors,
    };
    let optional = OPTIONAL_SYMBOLS.into_iter().filter(|name| symbols.defined.contains(name)).collect();
    Ok(Facts { identity, optional, pins })
}

fn malformed(error: object::Error) -> Problem {
    Problem::Malformed(error.to_string())
}

/// Class, byte order and machine stand at the same place in every ELF file, also in those for other machines.
fn check_machine(bytes: &[u8]) -> Result<(), Problem> {
    let Some(header) = bytes.first_chunk::<{ size_of::<Header>() }>() else {
        let (len, needed) = (bytes.len() as u64, size_of::<Header>() as u64);
        return Err(Problem::Truncated { part: "header".to_owned(), len, needed });
    };
    let (class, data, machine) = (header[4], header[5], [header[18], header[19]]);
    let big = data == elf::ELFDATA2MSB.0;
    let machine = Machine(if big { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) });
    if class == elf::ELFCLASS64.0 && data == elf::ELFDATA2LSB.0 && machine == THIS_MACHINE {
        return Ok(());
    }
    let mut found = machine_name(machine);
    if class == elf::ELFCLASS32.0 {
        found += ", 32-bit";
    }
    if big {
        found += ", big-endian";
    }
    if found == machine_name(THIS_MACHINE) {
        found += &format!(", of class {class} and byte order {data}");
    }
    Err(Problem::OtherMachine { found, accepted: machine_name(THIS_MACHINE) })
}

fn machine_name(machine: Machine) -> String {
    match machine {
        elf::EM_386 => "x86".to_owned(),
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        elf::EM_PPC => "powerpc".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        elf::EM_S390 => "s390".to_owned(),
        elf::EM_MIPS => "mips".to_owned(),
        elf::EM_SPARCV9 => "sparc64".to_owned(),
        elf::EM_LOONGARCH => "loongarch".to_owned(),
        Machine(other) => format!("machine {other}"),
    }
}

fn check_kind(header: &Header) -> Result<(), Problem> {
    Err(Problem::NotALibrary(match header.e_type(LITTLE) {
        elf::ET_DYN => return Ok(()),
        elf::ET_REL => "an object file",
        elf::ET_EXEC => "a program",
        elf::ET_CORE => "a core dump",
        _ => "an ELF file of an unknown kind",
    }))
}

/// The program headers, all of whose segments lie within the file.
fn whole_segments<'a>(header: &Header, bytes: &'a [u8]) -> Result<&'a [Segment], Problem> {
    let len = bytes.len() as u64;
    let size = u64::from(header.e_phnum(LITTLE)) * u64::from(header.e_phentsize(LITTLE));
    within(len, header.e_phoff(LITTLE), size, || "program headers".to_owned())?;
    let segments = header.program_headers(LITTLE, bytes).map_err(malformed)?;
    for segment in segments {
        let (offset, size) = segment.file_range(LITTLE);
        within(len, offset, size, || "segments".to_owned())?;
    }
    if segments.iter().any(|segment| segment.p_type(LITTLE) == elf::PT_LOAD) {
        Ok(segments)
    } else {
        Err(Problem::Malformed("it has no segment to load".to_owned()))
    }
}

/// The section headers stand last in a file, so a file that was cut short most often lacks them.
fn whole_sections(header: &Header, bytes: &[u8]) -> Result<(), Problem> {
    let size = u64::from(header.e_shnum(LITTLE)) * u64::from(header.e_shentsize(LITTLE));
    within(bytes.len() as u64, header.e_shoff(LITTLE), size, || "section headers".to_owned())
}

fn within(len: u64, offset: u64, size: u64, part: impl FnOnce() -> String) -> Result<(), Problem> {
    let needed = offset.saturating_add(size);
    if needed <= len { Ok(()) } else { Err(Problem::Truncated { part: part(), len, needed }) }
}

/// What the loader is told about a library as a whole.
struct Flags {
    word: u64,
    word_1: u64,
}

impl Flags {
    fn read(segments: &[Segment], bytes: &[u8]) -> Result<Self, Problem> {
        let mut flags = Self { word: 0, word_1: 0 };
        for segment in segments {
            for entry in segment.dynamic(LITTLE, bytes).map_err(malformed)?.unwrap_or_default() {
                match entry.tag(LITTLE) {
                    elf::DT_NULL => break,
                    elf::DT_FLAGS => flags.word = entry.val(LITTLE),
                    elf::DT_FLAGS_1 => flags.word_1 = entry.val(LITTLE),
                    _ => {}
                }
            }
        }
        Ok(flags)
    }
}

/// What is known of a library's dynamic symbols.
struct Symbols {
    /// The symbols of the contract that it defines.
    defined: Vec<&'static str>,
    /// Address and size of `kv_abi`.
    identity: Option<(u64, u64)>,
    unique: Option<String>,
    thread_destructors: bool,
}

impl Symbols {
    fn read(header: &Header, bytes: &[u8]) -> Result<Self, Problem> {
        let sections = header.sections(LITTLE, bytes).map_err(malformed)?;
        let table: SymbolTable<'_, Header> =
            sections.symbols(LITTLE, bytes, elf::SHT_DYNSYM).map_err(malformed)?;
        let mut symbols =
            Self { defined: Vec::new(), identity: None, unique: None, thread_destructors: false };
        for symbol in table.iter() {
            let Ok(name) = symbol.name(LITTLE, table.strings()) else { continue };
            if symbol.st_shndx(LITTLE) == elf::SHN_UNDEF {
                symbols.thread_destructors |=
                    matches!(name, b"__cxa_thread_atexit" | b"__cxa_thread_atexit_impl");
                continue;
            }
            symbols.define(symbol, name);
        }
        Ok(symbols)
    }

    fn define(&mut self, symbol: &elf::Sym64<LittleEndian>, name: &[u8]) {
        let bind = symbol.st_bind();
        if bind == elf::STB_GNU_UNIQUE && self.unique.is_none() {
            self.unique = Some(String::from_utf8_lossy(name).into_owned());
        }
        let visible = matches!(symbol.st_visibility(), elf::STV_DEFAULT | elf::STV_PROTECTED);
        if bind == elf::STB_LOCAL || !visible {
            return;
        }
        let known = REQUIRED_SYMBOLS.iter().chain(&OPTIONAL_SYMBOLS);
        if let Some(known) = known.copied().find(|known| known.as_bytes() == name) {
            self.defined.push(known);
        }
        if name == b"kv_abi" {
            self.identity = Some((symbol.st_value(LITTLE), symbol.st_size(LITTLE)));
        }
    }

    fn check_required(&self) -> Result<(), Problem> {
        let missing: Vec<_> =
            REQUIRED_SYMBOLS.into_iter().filter(|name| !self.defined.contains(name)).collect();
        if missing.len() == REQUIRED_SYMBOLS.len() {
            Err(Problem::NoEngine)
        } else if !missing.is_empty() {
            Err(Problem::MissingSymbols(missing))
        } else {
            Ok(())
        }
    }

    /// The bytes of `kv_abi` as they stand in the file; the loader changes none of them, because they hold no addresses.
    fn identity_bytes<'a>(&self, segments: &[Segment], bytes: &'a [u8]) -> Result<&'a [u8], Problem> {
        let (address, size) = self.identity.ok_or(Problem::NoIdentityBytes)?;
        let loaded = segments.iter().filter(|segment| segment.p_type(LITTLE) == elf::PT_LOAD);
        let found = loaded
            .filter_map(|segment| segment.data_range(LITTLE, bytes, address, size).ok().flatten())
            .find(|found| !found.is_empty());
        found.ok_or(Problem::NoIdentityBytes)
    }
}
