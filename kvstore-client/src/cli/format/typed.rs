//! Typed: a value for people, with its type and coloured, laid out as redis-cli does on a terminal.

use super::{double, quote};
use crate::cli::color::{Paint, Style};
use kvstore_client::Value;

/// Appends the value with its type, and a line end.
pub(crate) fn typed(value: &Value, paint: Paint, out: &mut Vec<u8>) {
    let mut page = Page { out, paint, column: 0 };
    page.value(value);
    page.end_line();
}

/// What is written so far. What is nested begins where its parent has left off, in this column.
struct Page<'a> {
    out: &'a mut Vec<u8>,
    paint: Paint,
    column: usize,
}

impl Page<'_> {
    fn put(&mut self, style: Style, text: &str) {
        self.column += text.chars().count();
        self.out.extend_from_slice(self.paint.paint(style, text).as_bytes());
    }

    fn end_line(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
    }

    /// The value, without a line end.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Nil => self.put(Style::Faint, "(nil)"),
            Value::Error(error) => {
                let text = quote::visible(error.to_string().as_bytes());
                self.put(Style::Error, &format!("(error) {text}"));
            }
            Value::Simple(text) => self.put(Style::Plain, &quote::visible(text)),
            Value::Bulk(bytes) => self.put(Style::Text, &quote::quoted(bytes)),
            Value::Integer(number) => self.number("(integer) ", &number.to_string()),
            Value::Double(number) => self.number("(double) ", &double(*number)),
            Value::Boolean(yes) => self.put(Style::Number, if *yes { "(true)" } else { "(false)" }),
            Value::BigNumber(digits) => self.put(Style::Number, digits),
            Value::Verbatim { text, .. } => self.lines(text),
            Value::Array(values) => self.elements(values, ")", "(empty array)"),
            Value::Set(values) => self.elements(values, "~", "(empty set)"),
            Value::Push(values) => self.elements(values, ">", "(empty push)"),
            Value::Map(pairs) if pairs.is_empty() => self.put(Style::Faint, "(empty hash)"),
            Value::Map(pairs) => {
                let indent = self.column;
                for (at, (key, value)) in pairs.iter().enumerate() {
                    self.mark(at, pairs.len(), "#", indent);
                    self.value(key);
                    self.put(Style::Faint, " => ");
                    self.value(value);
                }
            }
            Value::Attribute { value, .. } => self.value(value),
        }
    }

    fn number(&mut self, kind: &str, number: &str) {
        self.put(Style::Faint, kind);
        self.put(Style::Number, number);
    }

    fn elements(&mut self, values: &[Value], mark: &str, empty: &str) {
        if values.is_empty() {
            self.put(Style::Faint, empty);
        }
        let indent = self.column;
        for (at, value) in values.iter().enumerate() {
            self.mark(at, values.len(), mark, indent);
            self.value(value);
        }
    }

    /// The number before an element; each but the first on a line of its own.
    fn mark(&mut self, at: usize, count: usize, mark: &str, indent: usize) {
        if at > 0 {
            self.end_line();
            self.put(Style::Plain, &" ".repeat(indent));
        }
        let width = count.to_string().len();
        self.put(Style::Faint, &format!("{:>width$}{mark} ", at + 1));
    }

    /// A text of several lines, such as INFO gives.
    fn lines(&mut self, text: &[u8]) {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                self.end_line();
            }
            let style = if line.starts_with(b"#") { Style::Name } else { Style::Plain };
            self.put(style, &quote::visible(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }
}
