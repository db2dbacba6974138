//! Quote: bytes as text that a terminal can show, and that a session reads back as the same bytes.

use std::fmt::Write;

/// The bytes in double quotes, with everything that cannot be printed as an escape. Printable UTF-8 stays as it is.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    escape(bytes, true, &mut text);
    text.push('"');
    text
}

/// The bytes without quotes; only what could act on a terminal becomes an escape.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    escape(bytes, false, &mut text);
    text
}

fn escape(bytes: &[u8], quotes: bool, text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\\' if quotes => text.extend(['\\', char]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\x07' => text.push_str("\\a"),
                '\x08' => text.push_str("\\b"),
                char if char.is_control() => {
                    let mut utf8 = [0; 4];
                    char.encode_utf8(&mut utf8).bytes().for_each(|byte| hex(byte, text));
                }
                char => text.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| hex(*byte, text));
    }
}

fn hex(byte: u8, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}
