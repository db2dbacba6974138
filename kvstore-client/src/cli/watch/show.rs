//! Show: a change of a key as a line, or as a document.

use super::look::Entry;
use crate::cli::color::{Paint, Style};
use crate::cli::format::{json_string, quoted, visible};
use crate::cli::output::Form;
use crate::cli::{Failure, Output, clock};
use serde_json::{Value as Json, json};

/// So many characters of a value are shown to a person.
const SHOWN_MAX: usize = 60;

pub(super) struct Change<'a> {
    pub(super) key: &'a [u8],
    pub(super) event: &'a str,
    /// Nothing at the first look.
    pub(super) before: Option<&'a Entry>,
    pub(super) after: &'a Entry,
}

impl Change<'_> {
    /// Prints it; `width` is that of the longest name.
    pub(super) fn print(&self, width: usize, output: &mut Output) -> Result<(), Failure> {
        let now_ms = clock::now_ms();
        if output.form() == Form::Json {
            return output.line(&self.document(now_ms).to_string());
        }
        let text = self.line(now_ms, width, output.paint());
        output.line(&text)
    }

    fn document(&self, now_ms: i64) -> Json {
        json!({
            "time_ms": now_ms,
            "key": json_string(self.key),
            "event": self.event,
            "before": self.before.map(document),
            "after": document(self.after),
        })
    }

    /// `12:00:05.231  colour  set  "blue" -> "red", expires in 10 s`
    fn line(&self, now_ms: i64, width: usize, paint: Paint) -> String {
        let time = paint.paint(Style::Faint, &clock::time_of_day(now_ms));
        let key = paint.paint(Style::Name, &format!("{:width$}", name(self.key)));
        let event = paint.paint(Style::Plain, &format!("{:8}", visible(self.event.as_bytes())));
        let after = value(self.after, paint);
        let what = match self.before.filter(|before| !same_value(before, self.after)) {
            Some(before) => format!("{} {} {after}", value(before, paint), paint.paint(Style::Faint, "->")),
            None => after,
        };
        let expiry = match self.after {
            Entry::Present { expires_ms: Some(at), .. } => {
                let left_ms = at.saturating_sub(now_ms).max(0);
                let text = format!(", expires in {}.{} s", left_ms / 1_000, left_ms % 1_000 / 100);
                paint.paint(Style::Faint, &text)
            }
            _ => String::new(),
        };
        format!("{time}  {key}  {event} {what}{expiry}")
    }
}

/// A key as it is shown.
pub(super) fn name(key: &[u8]) -> String {
    visible(key)
}

fn same_value(one: &Entry, other: &Entry) -> bool {
    let parts = |entry: &Entry| match entry {
        Entry::Absent => None,
        Entry::Present { kind, value, size, .. } => Some((kind.clone(), value.clone(), *size)),
    };
    parts(one) == parts(other)
}

fn value(entry: &Entry, paint: Paint) -> String {
    match entry {
        Entry::Absent => paint.paint(Style::Faint, "(absent)"),
        Entry::Present { value: Some(value), .. } => {
            // Escapes make a text longer, never shorter.
            let head = value.get(..SHOWN_MAX * 4).unwrap_or(value);
            let text = quoted(head);
            if value.len() <= head.len() && text.chars().count() <= SHOWN_MAX {
                return paint.paint(Style::Text, &text);
            }
            let cut: String = text.chars().take(SHOWN_MAX).collect();
            let len = paint.paint(Style::Faint, &format!(" ({} bytes)", value.len()));
            format!("{}{len}", paint.paint(Style::Text, &format!("{cut}…")))
        }
        Entry::Present { kind, size, .. } => {
            let size = size.map(|size| format!(" of {size}")).unwrap_or_default();
            paint.paint(Style::Number, &format!("({kind}{size})"))
        }
    }
}

fn document(entry: &Entry) -> Json {
    match entry {
        Entry::Absent => Json::Null,
        Entry::Present { kind, value, size, expires_ms } => json!({
            "type": kind,
            "value": value.as_deref().map(json_string),
            "size": size,
            "expires_ms": expires_ms,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(value: &str, expires_ms: Option<i64>) -> Entry {
        let size = i64::try_from(value.len()).ok();
        Entry::Present { kind: "string".to_owned(), value: Some(value.into()), size, expires_ms }
    }

    #[test]
    fn a_change_is_a_line_and_a_document() {
        let (before, after) = (string("blue", None), string("red", Some(61_500)));
        let change = Change { key: b"colour", event: "set", before: Some(&before), after: &after };
        let line = change.line(50_000, 8, Paint::OFF);
        assert!(line.ends_with(r#"  colour    set      "blue" -> "red", expires in 11.5 s"#), "{line}");
        let document = change.document(50_000);
        assert_eq!(document["before"]["value"], "blue");
        assert_eq!(
            (&document["after"]["expires_ms"], &document["time_ms"]),
            (&json!(61_500), &json!(50_000))
        );
        let gone = Change { key: b"colour", event: "del", before: Some(&after), after: &Entry::Absent };
        assert!(gone.line(0, 6, Paint::OFF).ends_with(r#"del      "red" -> (absent)"#));
        assert_eq!(gone.document(0)["after"], Json::Null);
    }

    #[test]
    fn a_long_value_is_cut_and_its_length_told() {
        let text = value(&string(&"x".repeat(5_000), None), Paint::OFF);
        assert_eq!(text, format!("\"{}… (5000 bytes)", "x".repeat(59)));
        let list = Entry::Present { kind: "list".to_owned(), value: None, size: Some(3), expires_ms: None };
        assert_eq!(value(&list, Paint::OFF), "(list of 3)");
    }
}
