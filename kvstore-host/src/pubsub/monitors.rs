//! Monitors: the clients that are shown every command, and how a command is shown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Delivery, Mailbox, Subscriber};
use crate::server::lock;

/// The clients that are shown every command.
#[derive(Debug, Default)]
pub struct Monitors {
    all: Mutex<BTreeMap<u64, Arc<Mailbox>>>,
    len: AtomicUsize,
}

impl Monitors {
    /// Whether there is any: all that it costs when there is none.
    pub fn any(&self) -> bool {
        self.len.load(Ordering::Acquire) != 0
    }

    /// Shows a client all commands from here on.
    pub fn add(&self, subscriber: &mut Subscriber) {
        let mut all = lock(&self.all);
        all.insert(subscriber.mailbox().client(), Arc::clone(subscriber.mailbox()));
        self.len.store(all.len(), Ordering::Release);
        subscriber.monitors = true;
    }

    /// Shows it no more.
    pub(super) fn remove(&self, subscriber: &mut Subscriber) {
        if std::mem::take(&mut subscriber.monitors) {
            let mut all = lock(&self.all);
            all.remove(&subscriber.mailbox().client());
            self.len.store(all.len(), Ordering::Release);
        }
    }

    /// Shows all of them a command.
    pub fn show(&self, command: &Arc<str>) {
        for mailbox in lock(&self.all).values() {
            mailbox.put(Delivery::Command(Arc::clone(command)));
        }
    }

    /// How a command is shown: when (in microseconds since 1970 UTC), who sent it, and its arguments quoted.
    pub fn line<'a>(now_us: i64, from: &str, args: impl Iterator<Item = &'a [u8]>) -> Arc<str> {
        let (seconds, microseconds) = (now_us.div_euclid(1_000_000), now_us.rem_euclid(1_000_000));
        let mut line = format!("{seconds}.{microseconds:06} [0 {from}]");
        for arg in args {
            line.push_str(" \"");
            quote(&mut line, arg);
            line.push('"');
        }
        line.into()
    }
}

/// Appends bytes as Redis shows them between quotes.
fn quote(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b'"' => line.push_str("\\\""),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(line, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_redis_does() {
        let args: [&[u8]; 3] = [b"SET", b"k", b"a\0\xff\n\"b\\\r\t\x07\x08 ~\x7f"];
        let line = Monitors::line(1_339_518_083_107_412, "127.0.0.1:60866", args.into_iter());
        let quoted = r#""SET" "k" "a\x00\xff\n\"b\\\r\t\a\b ~\x7f""#;
        assert_eq!(&*line, format!("1339518083.107412 [0 127.0.0.1:60866] {quoted}"));
        assert_eq!(&*Monitors::line(7_000_001, "x", std::iter::empty()), "7.000001 [0 x]");
    }
}
