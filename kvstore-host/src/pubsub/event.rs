//! Event: what keyspace notifications tell of a key, by class, and which classes are told.

use std::sync::atomic::{AtomicU32, Ordering};

/// Something that happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    class: u32,
    name: &'static str,
}

const BY_KEY: u32 = 1 << 0;
const BY_EVENT: u32 = 1 << 1;
const GENERIC: u32 = 1 << 2;
const STRING: u32 = 1 << 3;
const EXPIRED: u32 = 1 << 8;
const EVICTED: u32 = 1 << 9;
const KEYMISS: u32 = 1 << 11;
const NEW: u32 = 1 << 13;

/// The classes by their letters, in the order in which Redis tells them. Those without a constant of their own are of types that there are not.
const LETTERS: [(u8, u32); 14] = [
    (b'g', GENERIC),
    (b'$', STRING),
    (b'l', 1 << 4),
    (b's', 1 << 5),
    (b'h', 1 << 6),
    (b'z', 1 << 7),
    (b'x', EXPIRED),
    (b'e', EVICTED),
    (b't', 1 << 10),
    (b'd', 1 << 12),
    (b'K', BY_KEY),
    (b'E', BY_EVENT),
    (b'm', KEYMISS),
    (b'n', NEW),
];

/// How many of the letters `A` stands for: the first so many.
const IN_A: usize = 10;

impl Event {
    /// A value was set.
    pub const SET: Self = Self::string("set");
    /// A key was deleted.
    pub const DEL: Self = Self::generic("del");
    /// A key got an expiry.
    pub const EXPIRE: Self = Self::generic("expire");
    /// A key lost its expiry.
    pub const PERSIST: Self = Self::generic("persist");
    /// A key's time was over, and it was removed.
    pub const EXPIRED: Self = Self { class: EXPIRED, name: "expired" };
    /// A key was removed for memory.
    pub const EVICTED: Self = Self { class: EVICTED, name: "evicted" };
    /// A key was read that is not there.
    pub const KEYMISS: Self = Self { class: KEYMISS, name: "keymiss" };
    /// A key came to be.
    pub const NEW: Self = Self { class: NEW, name: "new" };

    /// An event of strings.
    pub const fn string(name: &'static str) -> Self {
        Self { class: STRING, name }
    }

    /// An event of keys of any type.
    pub const fn generic(name: &'static str) -> Self {
        Self { class: GENERIC, name }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// Which classes of events are told, and as which messages: `notify-keyspace-events`.
#[derive(Debug, Default)]
pub struct Classes(AtomicU32);

impl Classes {
    fn load(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether anything is told.
    pub fn any(&self) -> bool {
        self.load() & (BY_KEY | BY_EVENT) != 0
    }

    /// Whether it is told that a key came to be.
    pub fn tells_new(&self) -> bool {
        self.any() && self.load() & NEW != 0
    }

    /// Whether this event is told by key, and by event.
    pub(super) fn tells(&self, event: Event) -> (bool, bool) {
        let classes = self.load();
        let told = classes & event.class != 0;
        (told && classes & BY_KEY != 0, told && classes & BY_EVENT != 0)
    }

    /// The letters of these classes as a number, for [`set`](Self::set); `None` where there is another letter.
    pub fn parse(letters: &[u8]) -> Option<u32> {
        let all = LETTERS.iter().take(IN_A).fold(0, |all, (_, class)| all | class);
        letters.iter().try_fold(0, |classes, letter| {
            let class = LETTERS.iter().find(|(known, _)| known == letter).map(|(_, class)| *class);
            Some(classes | class.or((*letter == b'A').then_some(all))?)
        })
    }

    /// From here on these classes are told.
    pub fn set(&self, classes: u32) {
        self.0.store(classes, Ordering::Relaxed);
    }

    /// The letters, in Redis' order; `A` where it has all that it stands for.
    pub fn letters(&self) -> String {
        let classes = self.load();
        let has = |(_, class): &&(u8, u32)| classes & class != 0;
        let (in_a, others) = LETTERS.split_at(IN_A);
        let mut letters = String::new();
        if in_a.iter().all(|one| has(&one)) {
            letters.push('A');
        } else {
            letters.extend(in_a.iter().filter(has).map(|(letter, _)| char::from(*letter)));
        }
        letters.extend(others.iter().filter(has).map(|(letter, _)| char::from(*letter)));
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_as_redis() {
        for (given, told) in [
            ("", ""),
            ("KEA", "AKE"),
            ("g$lshzxetdK", "AK"),
            ("Kx", "xK"),
            ("Em$g", "g$Em"),
            ("d", "d"),
            ("KKxx", "xK"),
            ("AKEmn", "AKEmn"),
        ] {
            let classes = Classes::default();
            classes.set(Classes::parse(given.as_bytes()).unwrap());
            assert_eq!(classes.letters(), told, "{given}");
        }
        assert_eq!(Classes::parse(b"foo"), None);
    }

    #[test]
    fn an_event_is_told_when_its_class_and_a_kind_of_message_are() {
        let tells = |letters: &str, event| {
            let classes = Classes::default();
            classes.set(Classes::parse(letters.as_bytes()).unwrap());
            classes.tells(event)
        };
        assert_eq!(tells("KE$", Event::SET), (true, true));
        assert_eq!(tells("K$", Event::SET), (true, false));
        assert_eq!(tells("Eg", Event::SET), (false, false));
        assert_eq!(tells("$", Event::SET), (false, false));
        assert_eq!(tells("EA", Event::KEYMISS), (false, false), "A leaves m and n out");
        assert_eq!(tells("EA", Event::NEW), (false, false));
        assert_eq!(tells("EA", Event::EXPIRED), (false, true));
    }
}
