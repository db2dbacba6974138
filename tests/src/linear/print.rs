//! Print: histories and verdicts as text for people.

use super::history::{Entry, Key, Op, Outcome};
use super::verdict::{Undecided, Verdict, Violation};
use std::fmt::{self, Display, Formatter};

/// Longer keys and values are cut.
const BYTES_SHOWN_MAX: usize = 40;
/// Longer lists of states and of operations without reply are cut.
const LINES_SHOWN_MAX: usize = 16;

/// Bytes in quotes, cut when long.
struct Bytes<'a>(&'a [u8]);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.get(..BYTES_SHOWN_MAX) {
            Some(head) if self.0.len() > BYTES_SHOWN_MAX => {
                write!(f, "\"{}\"… ({} bytes)", head.escape_ascii(), self.0.len())
            }
            _ => write!(f, "\"{}\"", self.0.escape_ascii()),
        }
    }
}

/// A value or its absence.
struct Value<'a>(Option<&'a [u8]>);

impl Display for Value<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => Bytes(value).fmt(f),
            None => f.write_str("absent"),
        }
    }
}

/// Keys, one after another.
struct Keys<'a>(&'a [Key]);

impl Display for Keys<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "key" } else { "keys" })?;
        for key in self.0.iter().take(LINES_SHOWN_MAX) {
            write!(f, " {}", Bytes(key))?;
        }
        match self.0.len().checked_sub(LINES_SHOWN_MAX) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

fn operation(f: &mut Formatter<'_>, (key, op): &(Key, Op)) -> fmt::Result {
    let key = Bytes(key);
    match op {
        Op::Get => write!(f, "GET {key}"),
        Op::Set(value) => write!(f, "SET {key} {}", Bytes(value)),
        Op::SetNx(value) => write!(f, "SETNX {key} {}", Bytes(value)),
        Op::Incr(delta) => write!(f, "INCRBY {key} {delta}"),
        Op::Del => write!(f, "DEL {key}"),
        Op::GetDel => write!(f, "GETDEL {key}"),
        Op::Append(tail) => write!(f, "APPEND {key} {}", Bytes(tail)),
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Value(value) => Value(value.as_deref()).fmt(f),
            Outcome::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Outcome::Int(number) => number.fmt(f),
            Outcome::NotAnInteger => f.write_str("error: not an integer"),
            Outcome::WouldOverflow => f.write_str("error: would overflow"),
            Outcome::Multi(outcomes) => {
                f.write_str("[")?;
                for (index, outcome) in outcomes.iter().enumerate() {
                    write!(f, "{}{outcome}", if index == 0 { "" } else { "; " })?;
                }
                f.write_str("]")
            }
            Outcome::Failed => f.write_str("failed without effect"),
            Outcome::Unknown => f.write_str("unknown"),
        }
    }
}

impl Display for Entry {
    /// Client, interval in microseconds, operation, reply.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let microseconds = |ns: u64| format!("{}.{:03}", ns / 1000, ns % 1000);
        write!(f, "client {:<3} {:>14} .. ", self.client, microseconds(self.invoked_ns))?;
        match &self.reply {
            Some((completed_ns, _)) => write!(f, "{:>14} us  ", microseconds(*completed_ns))?,
            None => write!(f, "{:>14}     ", "open")?,
        }
        let parts = self.call.parts();
        if matches!(self.call, super::Call::Multi(_)) {
            f.write_str("MULTI ")?;
        }
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            operation(f, part)?;
        }
        match &self.reply {
            Some((_, outcome)) => write!(f, " -> {outcome}"),
            None => f.write_str(" -> no reply"),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Ok => f.write_str("linearizable"),
            Verdict::Violation(violation) => violation.fmt(f),
            Verdict::Undecided(undecided) => undecided.fmt(f),
        }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "not linearizable: {}", Keys(&self.keys))?;
        writeln!(f, "No order of the operations explains the reply marked with >.")?;
        writeln!(f, "The {} operations answered before it have an order.", self.answered_before)?;
        if !self.before.is_empty() {
            writeln!(f, "Before the window:")?;
            list(f, &self.before)?;
        }
        f.write_str("Possible states when the window began")?;
        f.write_str(if self.quiet {
            ":\n"
        } else {
            ", with some of its operations perhaps already done:\n"
        })?;
        for state in self.states.iter().take(LINES_SHOWN_MAX) {
            f.write_str(" ")?;
            for (key, value) in self.keys.iter().zip(state) {
                write!(f, " {} = {}", Bytes(key), Value(value.as_deref()))?;
            }
            f.write_str("\n")?;
        }
        more(f, self.states.len())?;
        writeln!(f, "The window:")?;
        for entry in &self.window {
            writeln!(f, "{} {entry}", if *entry == self.culprit { ">" } else { " " })?;
        }
        if !self.unanswered.is_empty() {
            writeln!(f, "Without reply, may take effect at any time after the invocation, or never:")?;
            let newest = self.unanswered.len().saturating_sub(LINES_SHOWN_MAX);
            list(f, &self.unanswered[newest..])?;
            more(f, self.unanswered.len())?;
        }
        Ok(())
    }
}

fn list(f: &mut Formatter<'_>, entries: &[Entry]) -> fmt::Result {
    entries.iter().try_for_each(|entry| writeln!(f, "  {entry}"))
}

fn more(f: &mut Formatter<'_>, len: usize) -> fmt::Result {
    match len.checked_sub(LINES_SHOWN_MAX) {
        Some(more @ 1..) => writeln!(f, "  … and {more} more"),
        _ => Ok(()),
    }
}

impl Display for Undecided {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "undecided: {}: {} of {} replies explained after {} configurations",
            Keys(&self.keys),
            self.explained,
            self.answered,
            self.configurations
        )
    }
}
