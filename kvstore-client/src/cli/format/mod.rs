//! Format: a value as bytes for people, for programs that read lines, and as JSON.

mod json;
mod plain;
mod quote;
mod typed;

pub(crate) use json::{json_line, string as json_string};
pub(crate) use plain::{plain, raw};
pub(crate) use quote::{quoted, visible};
pub(crate) use typed::typed;

/// Where a reply is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Alone: the exit code tells nil from an empty string.
    Once,
    /// Among others: every reply takes a line at least, and says what it is.
    Session,
}

/// A floating-point number as Redis writes it.
fn double(number: f64) -> String {
    if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() }
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests;
