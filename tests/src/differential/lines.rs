//! Lines: requests and scripts as a person types them, for redis-cli.

use std::fmt::Write;

use super::generate::{Request, Step};
use super::play::Difference;

/// A word as it stands in a line, and as redis-cli takes it: in quotes unless it is plain.
pub fn quote(word: &[u8]) -> String {
    if !word.is_empty() && word.iter().all(|&byte| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte)) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = String::from("\"");
    for &byte in word {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}

/// A request as a line for redis-cli.
pub fn line(request: &Request) -> String {
    let short = |word: &Vec<u8>| match word.len() {
        ..=500 => quote(word),
        len if word.iter().all(|byte| *byte == word[0]) => format!("{}×{len}", quote(&word[..1])),
        len => format!("{}…({len} bytes)", quote(&word[..20])),
    };
    request.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// A script and its difference, for a person.
pub fn show(script: &[Step], difference: &Difference) -> String {
    let mut text = String::new();
    for step in script {
        let _ = match step {
            Step::Clock(step_ms) => writeln!(text, "       (the clock moves on by {step_ms} ms)"),
            Step::Send { connection, request, inline, joined } => {
                let how = [(*inline, "as a line"), (*joined, "in one write with the one before")];
                let how: Vec<_> = how.into_iter().filter(|(is, _)| *is).map(|(_, how)| how).collect();
                let how = if how.is_empty() { String::new() } else { format!("   ({})", how.join(", ")) };
                writeln!(text, "    {connection}> {}{how}", line(request))
            }
        };
    }
    let Difference { asked, ours, theirs, .. } = difference;
    let _ = writeln!(text, "  {asked}\n    ours:   {ours}\n    theirs: {theirs}");
    text
}

/// The script of these lines: requests of the first connection, with quoted words as [`quote`] writes them, or `+MILLISECONDS`, which the
/// clock moves on by.
pub fn parse(lines: &[&str]) -> Vec<Step> {
    let step = |line: &&str| match line.strip_prefix('+').and_then(|number| number.parse().ok()) {
        Some(step_ms) => Step::Clock(step_ms),
        None => Step::Send { connection: 0, request: words(line), inline: false, joined: false },
    };
    lines.iter().map(step).collect()
}

/// The words of a line; `k×300` is a word of 300 times `k`.
pub fn words(line: &str) -> Request {
    let (mut words, mut bytes) = (Vec::new(), line.bytes().peekable());
    while let Some(first) = bytes.next() {
        let mut word = Vec::new();
        match first {
            b' ' => continue,
            b'"' => {
                while let Some(byte) = bytes.next().filter(|&byte| byte != b'"') {
                    let escaped = if byte == b'\\' { bytes.next() } else { None };
                    match escaped {
                        None => word.push(byte),
                        Some(b'x') => {
                            let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                            let digits = String::from_utf8_lossy(&digits).into_owned();
                            word.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
                        }
                        Some(other) => word.push(other),
                    }
                }
            }
            _ => {
                word.push(first);
                word.extend(std::iter::from_fn(|| bytes.next_if(|&byte| byte != b' ')));
                word = repeated(&word).unwrap_or(word);
            }
        }
        words.push(word);
    }
    words
}

/// What a word of the form `k×300` stands for.
fn repeated(word: &[u8]) -> Option<Vec<u8>> {
    let (one, count) = std::str::from_utf8(word).ok()?.split_once('×')?;
    Some(one.repeat(count.parse().ok()?).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{quote, words};

    #[test]
    fn words_come_back_from_their_line() {
        let all: Vec<Vec<u8>> =
            [&b"SET"[..], b"", b"a b", b"\"\\\x00\xff\r\n'", b"+1"].map(<[u8]>::to_vec).into();
        let line = all.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&line), all, "{line}");
        assert_eq!(words("GET k×3"), [b"GET", b"kkk"]);
    }
}
