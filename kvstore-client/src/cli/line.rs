//! Line: splits a line into words, with the quoting of redis-cli.

use std::ops::Range;

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

/// Where the words of a line lie, quotes included; the last one may still be open.
pub(crate) fn ranges(line: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut begin, mut quote, mut escaped) = (None, None, false);
    for (at, char) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if char == '\\' => escaped = true,
            Some(open) => quote = Some(open).filter(|open| *open != char),
            None if char.is_ascii_whitespace() => ranges.extend(begin.take().map(|begin| begin..at)),
            None => {
                begin = begin.or(Some(at));
                quote = matches!(char, '"' | '\'').then_some(char);
            }
        }
    }
    ranges.extend(begin.map(|begin| begin..line.len()));
    ranges
}

/// The words before the one that a line ends in, and where that begins: at the end after a blank.
pub(crate) fn before_last(line: &str) -> Option<(Vec<String>, usize)> {
    let start = ranges(line)
        .pop()
        .filter(|last| last.end == line.len() && !ends_blank(line, last))
        .map(|last| last.start);
    let start = start.unwrap_or(line.len());
    let words = split(line.get(..start)?.as_bytes()).ok()?;
    Some((words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect(), start))
}

/// Whether the last word has ended: a blank follows that is not within its quotes.
fn ends_blank(line: &str, last: &Range<usize>) -> bool {
    let word = line.get(last.clone()).unwrap_or_default();
    word.ends_with(|char: char| char.is_ascii_whitespace()) && split(word.as_bytes()).is_ok()
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
    fn the_word_under_the_cursor_is_told_from_those_before() {
        for (line, words, start) in [
            ("", vec![], 0),
            ("ge", vec![], 0),
            ("get ", vec!["get"], 4),
            ("  get k", vec!["get"], 6),
            ("set 'a b' \"c d", vec!["set", "a b"], 10),
            ("set \"a \\\" b", vec!["set"], 4),
        ] {
            let words = words.into_iter().map(str::to_owned).collect();
            assert_eq!(before_last(line), Some((words, start)), "{line}");
        }
        assert_eq!(ranges("a 'b c'  d"), [0..1, 2..7, 9..10]);
    }

    #[test]
    fn open_quotes_and_what_sticks_to_a_closing_one_are_refused() {
        for line in [r#"set k "a"#, "set k 'a", r#"set "k"v"#, "'a'b", r#"""#, r#""\""#, r#"'\'"#] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line}");
        }
    }
}
