//! Limit: how much memory entries may take, and which of them go when it is more.
//!
//! What is counted are cells, slots and expiries; the gaps of a log come on top, at most a fifth, as the fragmentation of other stores does.
//!
//! Which entry goes is decided as in Redis: some are looked at, and the worst of them goes. Of their use an entry has 16 bits: for LRU, when it was last
//! used, in seconds; for LFU, a logarithmic counter in 8 bits, which loses one for each minute without use, and the minute.

use std::str::FromStr;
use std::sync::atomic::Ordering;

use plugin_abi::Status;
use plugin_abi::sdk::{Error, Host};

use crate::cell::Cell;
use crate::index::HASH_BITS;
use crate::shard::{Found, Shard};
use crate::sync::AtomicI64;
use crate::table::Table;

/// Entries of a shard that are looked at for one that goes.
const SAMPLES: usize = 16;
/// Entries that a write removes at most, unless they take less than it stores,
const EVICTIONS: usize = 64;
/// or entries take more than the limit by more than this share of it.
const EXCESS: i64 = 4;
/// What the counter of a new entry is, so that it is not the first to go.
const LFU_START: u16 = 5;
/// The higher, the more uses it takes to count one.
const LFU_FACTOR: u64 = 10;

/// Which entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// None: writes fail.
    NoEviction,
    /// Of all entries, or of those that expire.
    Evict { volatile: bool, worst: Worst },
}

/// Which of some entries goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worst {
    /// The one that was not used for longest.
    Lru,
    /// The one that was used least often.
    Lfu,
    /// Any.
    Random,
    /// The one that expires first.
    Ttl,
}

/// The names of the policies, those of Redis.
pub(crate) const POLICIES: &str = "noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random or volatile-ttl";

impl FromStr for Policy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let evict = |volatile, worst| Ok(Self::Evict { volatile, worst });
        match text {
            "noeviction" => Ok(Self::NoEviction),
            "allkeys-lru" => evict(false, Worst::Lru),
            "allkeys-lfu" => evict(false, Worst::Lfu),
            "allkeys-random" => evict(false, Worst::Random),
            "volatile-lru" => evict(true, Worst::Lru),
            "volatile-lfu" => evict(true, Worst::Lfu),
            "volatile-random" => evict(true, Worst::Random),
            "volatile-ttl" => evict(true, Worst::Ttl),
            _ => Err(()),
        }
    }
}

/// A number of bytes, as in a configuration of Redis: 100mb is 100 * 1024 * 1024, 100m is 100 million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.to_ascii_lowercase();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match &text[digits.len()..] {
            "" | "b" => 1,
            "k" => 1_000,
            "kb" => 1 << 10,
            "m" => 1_000_000,
            "mb" => 1 << 20,
            "g" => 1_000_000_000,
            "gb" => 1 << 30,
            _ => return Err(()),
        };
        let number: u64 = digits.parse().map_err(|_| ())?;
        number.checked_mul(unit).filter(|bytes| i64::try_from(*bytes).is_ok()).map(Self).ok_or(())
    }
}

/// Whether there is room for what a write stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    No,
}

impl Room {
    /// Refuses to store more.
    ///
    /// # Errors
    /// FULL.
    #[inline]
    pub(crate) fn check(self) -> Result<(), Error> {
        match self {
            Self::Yes => Ok(()),
            Self::No => Err(Error::new(Status::FULL, "the entries take more than maxmemory")),
        }
    }
}

/// The limit of a store.
#[derive(Debug)]
pub(crate) struct Limit {
    /// 0: there is none.
    max_bytes: u64,
    policy: Policy,
    looks_at_use: bool,
    used_bytes: AtomicI64,
}

impl Limit {
    /// At most so many bytes; 0: as many as there are.
    pub(crate) fn new(max_bytes: u64, policy: Policy) -> Self {
        let looks_at_use =
            max_bytes != 0 && matches!(policy, Policy::Evict { worst: Worst::Lru | Worst::Lfu, .. });
        Self { max_bytes, policy, looks_at_use, used_bytes: AtomicI64::new(0) }
    }

    /// How many bytes; 0: as many as there are.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.max_bytes != 0
    }

    /// Takes note that a shard had so many bytes and has so many now.
    pub(crate) fn count(&self, before: u64, now: u64) {
        if before != now {
            self.used_bytes.fetch_add(now.wrapping_sub(before).cast_signed(), Ordering::Relaxed);
        }
    }

    /// By how many bytes entries take more, if they do.
    #[inline]
    pub(crate) fn excess(&self) -> Option<i64> {
        if !self.is_set() {
            return None;
        }
        let excess = self.used_bytes.load(Ordering::Relaxed) - self.max_bytes.cast_signed();
        (excess > 0).then_some(excess)
    }

    fn worst(&self) -> Option<Worst> {
        match self.policy {
            Policy::Evict { worst, .. } if self.is_set() => Some(worst),
            _ => None,
        }
    }

    /// Whether entries note their use.
    #[inline]
    pub(crate) fn looks_at_use(&self) -> bool {
        self.looks_at_use
    }

    /// What a new entry notes.
    #[inline]
    pub(crate) fn new_entry(&self, now_ms: i64) -> u16 {
        match self.worst() {
            _ if !self.looks_at_use => 0,
            Some(Worst::Lfu) => minute(now_ms) << 8 | LFU_START,
            _ => second(now_ms),
        }
    }

    /// What an entry notes that is used again.
    pub(crate) fn used(&self, access: u16, now_ms: i64, random: impl FnOnce() -> u64) -> u16 {
        match self.worst() {
            Some(Worst::Lru) => second(now_ms),
            Some(Worst::Lfu) => {
                let counter = decayed(access, now_ms);
                let odds = u64::from(counter.saturating_sub(LFU_START)) * LFU_FACTOR + 1;
                let counted = counter < 0xff && random().is_multiple_of(odds);
                minute(now_ms) << 8 | (counter + u16::from(counted))
            }
            _ => access,
        }
    }

    /// How bad an entry is.
    fn badness(&self, cell: Cell<'_>, now_ms: i64) -> u64 {
        match self.worst() {
            Some(Worst::Lru) => u64::from(second(now_ms).wrapping_sub(cell.access())),
            Some(Worst::Lfu) => 0xff - u64::from(decayed(cell.access(), now_ms)),
            Some(Worst::Ttl) => u64::MAX - cell.expiry_ms().cast_unsigned(),
            Some(Worst::Random) | None => 0,
        }
    }

    /// Whether entries of a shard may go.
    fn may_take(&self, shard: &Shard) -> bool {
        match self.policy {
            Policy::NoEviction => false,
            Policy::Evict { volatile, .. } => shard.len() > 0 && (!volatile || shard.may_expire()),
        }
    }

    /// The entry of a shard that goes, with its hash. `None`: those that were looked at are not of the kind that may go.
    fn choose(
        &self,
        shard: &mut Shard,
        now_ms: i64,
        mut random: impl FnMut() -> u64,
    ) -> Option<(u32, Found)> {
        let Policy::Evict { volatile, worst } = self.policy else { return None };
        let hashes: Vec<u32> = match (volatile, worst) {
            (true, Worst::Ttl) => (0..SAMPLES).find_map(|_| shard.expiring_at(0)).into_iter().collect(),
            (true, _) => (0..SAMPLES).filter_map(|_| shard.expiring_at(random())).collect(),
            (false, _) => {
                let count = if worst == Worst::Random { 1 } else { SAMPLES };
                let start = (random() >> (u64::BITS - HASH_BITS)) as u32;
                shard
                    .entries_from(start)
                    .chain(shard.entries_from(0))
                    .map(|(hash, _)| hash)
                    .take(count)
                    .collect()
            }
        };
        let mut worst: Option<(u64, u32, Found)> = None;
        for hash in hashes {
            for (position, slot) in shard.index().of(hash) {
                let found = Found { position, place: slot.place() };
                let cell = shard.cell(found.place);
                let badness = self.badness(cell, now_ms);
                if (!volatile || cell.expiry_ms() != 0) && worst.is_none_or(|(most, ..)| badness > most) {
                    worst = Some((badness, hash, found));
                }
            }
        }
        worst.map(|(_, hash, found)| (hash, found))
    }
}

/// Seconds, about: they come again after 18 hours, so what was not used for so long may seem new.
fn second(now_ms: i64) -> u16 {
    (now_ms >> 10) as u16
}

fn minute(now_ms: i64) -> u16 {
    (now_ms >> 16) as u16 & 0xff
}

/// The counter of an LFU as it is now.
fn decayed(access: u16, now_ms: i64) -> u16 {
    let minutes = minute(now_ms).wrapping_sub(access >> 8) & 0xff;
    (access & 0xff).saturating_sub(minutes)
}

impl Table {
    /// Removes entries if they take more than the limit, as far as the policy has any that may go, and for a bounded time: where much is to go, later
    /// writes go on. Called with no shard locked. `stores` says how many writes ask, and how many bytes they store; the answer holds for them,
    /// whatever others store before they do.
    #[inline]
    pub(crate) fn make_room(&self, now_ms: i64, host: &Host, stores: impl FnOnce() -> (usize, u64)) -> Room {
        match self.limit.excess() {
            None => Room::Yes,
            Some(_) => self.evict(now_ms, host, stores()),
        }
    }

    #[cold]
    fn evict(&self, now_ms: i64, host: &Host, (writes, bytes): (usize, u64)) -> Room {
        if writes == 0 {
            return Room::Yes;
        }
        let (mut turns, mut freed) = (0, 0);
        while let Some(excess) = self.limit.excess() {
            let much = excess > self.limit.max_bytes.cast_signed() / EXCESS;
            if turns >= writes * EVICTIONS && freed >= bytes && !much {
                break;
            }
            let Some(more) = self.evict_one(now_ms, host) else { return Room::No };
            (turns, freed) = (turns + 1, freed + more);
        }
        Room::Yes
    }

    /// Removes an entry, and answers its bytes; 0: of those that were looked at none could go. `None`: there is none that may go.
    fn evict_one(&self, now_ms: i64, host: &Host) -> Option<u64> {
        let first = self.random() as usize;
        (0..self.shards()).find_map(|turn| {
            let mut shard = self.lock(first.wrapping_add(turn) & (self.shards() - 1));
            if !self.limit.may_take(&shard) {
                return None;
            }
            let before = shard.used_bytes();
            if let Some((hash, found)) = self.limit.choose(&mut shard, now_ms, || self.random()) {
                shard.evict(hash, found, host);
                shard.shrink_if_sparse();
            }
            Some(before.saturating_sub(shard.used_bytes()))
        })
    }
}
