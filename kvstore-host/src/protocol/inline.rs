//! Inline: splits a line into arguments with Redis' quoting, for people and scripts that speak without a library.

use std::ops::Range;

/// The quotes of `line` do not match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// Splits `line` (without its line end) at blanks and appends the arguments unquoted: their bytes to `bytes`, where
/// they lie in it to `args`.
///
/// - `"a b"`: may hold blanks and `\n \r \t \b \a \xHH`; a backslash before another byte gives that byte.
/// - `'a b'`: may hold blanks; only `\'` is special.
/// - A quote may open within an argument (`a"b c"` is `ab c`), but the argument must end where it closes.
/// - A NUL is a byte like others. (Redis takes a line with a NUL as one that never ends.)
///
/// # Errors
/// [`Unbalanced`]; what was appended until then is left to the caller to remove.
pub(super) fn split(
    line: &[u8],
    bytes: &mut Vec<u8>,
    args: &mut Vec<Range<usize>>,
) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        while let [byte, tail @ ..] = rest
            && is_space(*byte)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = bytes.len();
        rest = argument(rest, bytes)?;
        args.push(start..bytes.len());
    }
}

/// Takes one argument off the front of `rest`, which starts with no blank; gives what follows it.
fn argument<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    while let [byte, tail @ ..] = rest {
        match byte {
            // Vertical tab and form feed part arguments only where one could start: so does Redis.
            b' ' | b'\n' | b'\r' | b'\t' => break,
            b'"' => return closed(double_quoted(tail, bytes)?),
            b'\'' => return closed(single_quoted(tail, bytes)?),
            byte => bytes.push(*byte),
        }
        rest = tail;
    }
    Ok(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, tail) = match rest {
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), tail)
            }
            [b'\\', b'n', tail @ ..] => (b'\n', tail),
            [b'\\', b'r', tail @ ..] => (b'\r', tail),
            [b'\\', b't', tail @ ..] => (b'\t', tail),
            [b'\\', b'b', tail @ ..] => (0x08, tail),
            [b'\\', b'a', tail @ ..] => (0x07, tail),
            [b'\\', byte, tail @ ..] | [byte, tail @ ..] => (*byte, tail),
            [] => return Err(Unbalanced),
        };
        bytes.push(byte);
        rest = tail;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, tail) = match rest {
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return Err(Unbalanced),
        };
        bytes.push(byte);
        rest = tail;
    }
}

/// What follows a closing quote must be a blank or nothing.
fn closed(rest: &[u8]) -> Result<&[u8], Unbalanced> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(Unbalanced),
        _ => Ok(rest),
    }
}

/// C's `isspace`.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The value of a digit known to be one.
const fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Unbalanced, split};

    fn args(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let (mut bytes, mut args) = (b"before".to_vec(), Vec::new());
        split(line, &mut bytes, &mut args)?;
        Ok(args.into_iter().map(|arg| bytes[arg].to_vec()).collect())
    }

    fn texts(line: &str) -> Vec<String> {
        args(line.as_bytes()).unwrap().into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect()
    }

    #[test]
    fn blanks_part_arguments() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts(" \t\x0b\x0c\r "), [""; 0]);
        assert_eq!(texts(" set\tk  v "), ["set", "k", "v"]);
        assert_eq!(texts("a\rb"), ["a", "b"]);
        assert_eq!(texts("a\x0bb \x0bc"), ["a\x0bb", "c"]);
        assert_eq!(texts("a\0b"), ["a\0b"]);
    }

    #[test]
    fn double_quotes_unescape() {
        assert_eq!(texts(r#""\x41\n\"" "" "a b""#), ["A\n\"", "", "a b"]);
        assert_eq!(texts(r#""\r\t\b\a\\\q""#), ["\r\t\x08\x07\\q"]);
        assert_eq!(texts(r#""\x4" "\xg1" "\x""#), ["x4", "xg1", "x"]);
        assert_eq!(args(br#""\xfF\x00""#).unwrap(), [[0xff, 0x00]]);
        assert_eq!(texts(r#"a"b c" "it's""#), ["ab c", "it's"]);
    }

    #[test]
    fn single_quotes_keep_all_but_the_escaped_quote() {
        assert_eq!(texts(r"'a\'b\n' '' '\\n'"), [r"a'b\n", "", r"\\n"]);
        assert_eq!(texts("a'b c'\td'\"'"), ["ab c", "d\""]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [
            r#""a"#,
            r#""a\""#,
            r#""a\"#,
            r#""a"b"#,
            r#""a""b""#,
            "'a",
            r"'a\'",
            r"'\\'",
            "'a'b",
            "a\"b\"c",
            "'a'\0",
            "\"",
        ] {
            assert_eq!(args(line.as_bytes()), Err(Unbalanced), "{line:?}");
        }
    }

    #[test]
    fn outside_of_quotes_a_backslash_is_a_byte() {
        assert_eq!(texts(r"a\nb \x41 \"), [r"a\nb", r"\x41", r"\"]);
    }

    proptest! {
        #[test]
        fn any_arguments_survive_quoting(wanted: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for arg in &wanted {
                line.push(b'"');
                for byte in arg {
                    line.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
                }
                line.extend_from_slice(b"\" ");
            }
            prop_assert_eq!(args(&line).unwrap(), wanted);
        }

        #[test]
        fn single_quoted_arguments_survive(wanted in proptest::collection::vec("[^'\\\\]*", 0..5)) {
            let line: Vec<String> = wanted.iter().map(|arg| format!("'{arg}'")).collect();
            prop_assert_eq!(texts(&line.join("\t")), wanted);
        }

        #[test]
        fn no_line_panics_and_no_argument_outgrows_it(line in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\''), Just(b'\\'), Just(b'x'), Just(b' '), any::<u8>()], 0..40)
        ) {
            if let Ok(args) = args(&line) {
                prop_assert!(args.iter().map(Vec::len).sum::<usize>() <= line.len());
            }
        }
    }
}
