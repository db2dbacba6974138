//! Line: splits a line into words, with the quoting of redis-cli.

/// A quote was not closed, or something follows a closing quote directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// The words of a line. Within double quotes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` stand for bytes, and a backslash takes the meaning
/// off any other byte; within single quotes only `\'` means something.
pub(crate) fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

fn word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Unbalanced> {
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        rest = match rest {
            [b'"', inner @ ..] => return double_quoted(inner, &mut word).map(|rest| (word, rest)),
            [b'\'', inner @ ..] => return single_quoted(inner, &mut word).map(|rest| (word, rest)),
            [byte, after @ ..] if !byte.is_ascii_whitespace() => {
                word.push(*byte);
                after
            }
            _ => return Ok((word, rest)),
        }
    }
}

/// Reads up to the closing quote; gives what follows it.
fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return closed(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescaped(*escaped), after),
            [byte, after @ ..] => (*byte, after),
            [] => return Err(Unbalanced),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, after) = match rest {
            [b'\'', after @ ..] => return closed(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
            [] => return Err(Unbalanced),
        };
        word.push(byte);
        rest = after;
    }
}

fn closed(after: &[u8]) -> Result<&[u8], Unbalanced> {
    match after {
        [byte, ..] if !byte.is_ascii_whitespace() => Err(Unbalanced),
        _ => Ok(after),
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        other => other - b'0',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_unquoted() {
        for (line, words) in [
            ("", vec![]),
            ("  \t ", vec![]),
            (" set  k\tv \r", vec!["set", "k", "v"]),
            (r#"set k "a b""#, vec!["set", "k", "a b"]),
            (r#"set k "a\x00b\n\"\\\q""#, vec!["set", "k", "a\0b\n\"\\q"]),
            (r#"set k 'a\n\'b'"#, vec!["set", "k", "a\\n'b"]),
            (r#"set k "" ''"#, vec!["set", "k", "", ""]),
            (r#"k"a b""#, vec!["ka b"]),
            (r#"a\x41"#, vec!["a\\x41"]),
            (r#""\x4""#, vec!["x4"]),
        ] {
            let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(split(line.as_bytes()), Ok(words), "{line}");
        }
        assert_eq!(split(br#""\xfF""#), Ok(vec![vec![0xff]]));
    }

    #[test]
    fn open_quotes_and_what_sticks_to_a_closing_one_are_refused() {
        for line in [r#"set k "a"#, "set k 'a", r#"set "k"v"#, "'a'b", r#"""#, r#""\""#, r#"'\'"#] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line}");
        }
    }
}
