//! Status: the status codes as a Rust type, with what each says about the effect of a call.

use core::fmt;

use crate::raw::*;

/// A status code, also one that this version does not know.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Status(pub i32);

/// Whether a call that returned a status has changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It did what it was asked to.
    Done,
    /// It changed nothing.
    None,
    /// Nobody knows.
    Unknown,
}

macro_rules! statuses {
    ($($name:ident = $code:ident, $effect:ident, $text:literal;)*) => {
        impl Status {
            $(#[doc = $text] pub const $name: Self = Self($code);)*

            /// All codes of this version of the ABI.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code's name without its prefix, such as `NOT_FOUND`.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($code => Some(stringify!($name)),)* _ => None }
            }

            /// A few words for people.
            pub fn text(self) -> &'static str {
                match self.0 { $($code => $text,)* _ => "a status that this version does not know" }
            }

            /// Whether the call has changed anything. An unknown code is taken for the worst.
            pub fn effect(self) -> Effect {
                match self.0 { $($code => Effect::$effect,)* _ => Effect::Unknown }
            }
        }
    };
}

statuses! {
    OK = KV_STATUS_OK, Done, "done";
    NOT_FOUND = KV_STATUS_NOT_FOUND, Done, "no such key";
    CONFLICT = KV_STATUS_CONFLICT, None, "the version is not the expected one";
    ABORTED = KV_STATUS_ABORTED, None, "another operation of the batch failed";
    INVALID = KV_STATUS_INVALID, None, "invalid argument";
    UNSUPPORTED = KV_STATUS_UNSUPPORTED, None, "not supported by the engine";
    TOO_LARGE = KV_STATUS_TOO_LARGE, None, "too large for the engine";
    FULL = KV_STATUS_FULL, None, "no room left";
    UNAVAILABLE = KV_STATUS_UNAVAILABLE, None, "out of reach for now";
    RETRY = KV_STATUS_RETRY, None, "a passing collision";
    TIMEOUT = KV_STATUS_TIMEOUT, None, "the deadline passed first";
    CANCELLED = KV_STATUS_CANCELLED, None, "cancelled";
    UNKNOWN = KV_STATUS_UNKNOWN, Unknown, "outcome unknown";
    IO = KV_STATUS_IO, Unknown, "input or output failed, outcome unknown";
    CORRUPT = KV_STATUS_CORRUPT, None, "stored data are damaged";
    LOCKED = KV_STATUS_LOCKED, None, "held by someone else";
    READ_ONLY = KV_STATUS_READ_ONLY, None, "may only be read";
    DENIED = KV_STATUS_DENIED, None, "credentials refused";
    PANIC = KV_STATUS_PANIC, Unknown, "the engine panicked, outcome unknown";
    POISONED = KV_STATUS_POISONED, None, "the engine panicked earlier";
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.text()),
            None => write!(f, "status {} ({})", self.0, self.text()),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
