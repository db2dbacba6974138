//! `monitor`: every request that the host carries out, as it comes.

use super::color::Style;
use super::format::{json_string, quoted, visible};
use super::output::Form;
use super::{Exit, Failure, Options, Output, clock, line, stream};
use kvstore_client::Value;
use serde_json::json;

/// Print every request that the host carries out, as it comes, until Ctrl-C.
///
/// On a terminal with the time of day here, the client and the words; in a pipe the lines as the host sends them; with --json
/// a document for each.
#[derive(Debug, clap::Args)]
pub(crate) struct Monitor {}

/// A line of MONITOR, such as `1700000000.123456 [0 127.0.0.1:60866] "get" "k"`.
struct Seen {
    time_us: i64,
    db: String,
    client: String,
    words: Vec<Vec<u8>>,
}

impl Monitor {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut client = options.connected_client()?;
        stream::run(&mut client, &[b"MONITOR".to_vec()], &mut Output::once(options))
    }
}

/// Prints one line of MONITOR; what is none is printed as the reply that it is.
pub(crate) fn show(value: &Value, output: &mut Output) -> Result<(), Failure> {
    let seen = value.as_bytes().and_then(parse);
    match (seen, output.form()) {
        (Some(seen), Form::Typed) => {
            let paint = output.paint();
            let time = paint.paint(Style::Faint, &clock::time_of_day(seen.time_us / 1_000));
            let client = paint.paint(Style::Faint, &visible(seen.client.as_bytes()));
            let mut words = seen.words.iter();
            let name = words.next().map(|name| visible(&name.to_ascii_uppercase())).unwrap_or_default();
            let mut text = format!("{time}  {client}  {}", paint.paint(Style::Name, &name));
            words.for_each(|word| {
                text.push(' ');
                text.push_str(&paint.paint(Style::Text, &quoted(word)));
            });
            output.line(&text)
        }
        (Some(seen), Form::Json) => {
            let words: Vec<_> = seen.words.iter().map(|word| json_string(word)).collect();
            let document = json!({
                "time_us": seen.time_us, "db": seen.db, "client": seen.client, "words": words,
            });
            output.line(&document.to_string())
        }
        // That it begins is no request.
        (None, Form::Json) if !matches!(value, Value::Error(_)) => Ok(()),
        _ => output.reply(value),
    }
}

fn parse(bytes: &[u8]) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (time, rest) = text.split_once(" [")?;
    let (seconds, micros) = time.split_once('.')?;
    let time_us = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
    // The name of a Unix socket may have any characters; a quote begins the words.
    let (from, words) = rest.split_once("] \"")?;
    let (db, client) = from.split_once(' ')?;
    let words = line::split(format!("\"{words}").as_bytes()).ok()?;
    Some(Seen { time_us, db: db.to_owned(), client: client.to_owned(), words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let seen = parse(br#"1700000000.000123 [0 127.0.0.1:60866] "set" "a b" "\x00\"""#).unwrap();
        assert_eq!((seen.time_us, &*seen.db, &*seen.client), (1_700_000_000_000_123, "0", "127.0.0.1:60866"));
        assert_eq!(seen.words, [b"set".to_vec(), b"a b".to_vec(), b"\0\"".to_vec()]);
        assert!(parse(b"OK").is_none() && parse(b"1.5 [x").is_none());
    }
}
