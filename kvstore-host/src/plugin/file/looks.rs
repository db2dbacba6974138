//! Looks: names what a file is that is no ELF file, so that the reader sees at once what went wrong.

/// First bytes of other kinds of files that people give by mistake.
const KINDS: [(&[u8], &str); 13] = [
    (b"#!", "a script"),
    (b"!<arch>\n", "a static library or rlib (link a cdylib)"),
    (b"MZ", "a program or DLL for Windows"),
    (b"\xcf\xfa\xed\xfe", "a library for macOS"),
    (b"\xca\xfe\xba\xbe", "a library for macOS or a Java class"),
    (b"\0asm", "a WebAssembly module"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
];

/// How many bytes are looked at.
const SAMPLE_LEN: usize = 512;

/// What bytes that are not ELF look like.
pub(super) fn like(bytes: &[u8]) -> String {
    if let Some((_, name)) = KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*name).to_owned();
    }
    let sample = &bytes[..bytes.len().min(SAMPLE_LEN)];
    if is_text(sample) {
        let line = String::from_utf8_lossy(sample.split(|b| *b == b'\n').next().unwrap_or_default());
        let start: String = line.trim().chars().take(40).collect();
        return format!("a text file (\"{}\")", start.escape_default());
    }
    let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("unknown data (first bytes {})", start.join(" "))
}

fn is_text(sample: &[u8]) -> bool {
    // The sample may end within a character.
    let whole = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    whole && sample.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn names_what_people_give_by_mistake() {
        assert_eq!(like(b"#!/bin/sh\n"), "a script");
        assert_eq!(like("hällo\nworld".as_bytes()), "a text file (\"h\\u{e4}llo\")");
        assert_eq!(like(b"!<arch>\nrest"), "a static library or rlib (link a cdylib)");
        assert_eq!(like(&[0, 1, 2, 3, 4]), "unknown data (first bytes 00 01 02 03)");
        assert_eq!(like(&[0xff]), "unknown data (first bytes ff)");
    }

    #[test]
    fn a_text_cut_within_a_character_is_a_text() {
        let text = format!("{}ä", "x".repeat(super::SAMPLE_LEN - 1));
        assert!(like(text.as_bytes()).starts_with("a text file"));
    }
}
