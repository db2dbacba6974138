//! Encode: a command as the array of bulk strings that every server of the protocol reads.

use std::io::Write;

/// Appends the command made of `words` to `out`. Any bytes may stand in any word.
pub fn encode_command<W: AsRef<[u8]>>(words: &[W], out: &mut Vec<u8>) {
    length(b'*', words.len(), out);
    for word in words {
        let word = word.as_ref();
        length(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn length(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{length}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_bytes_are_counted_not_escaped() {
        let mut out = b"before".to_vec();
        encode_command(&[&b"SET"[..], b"k\r\n", b"", b"\0\xff"], &mut out);
        assert_eq!(out, b"before*4\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n$2\r\n\0\xff\r\n");
    }
}
