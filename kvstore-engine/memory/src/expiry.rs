//! Expiry: the heap of a shard: which hashes to look at, and when.
//!
//! ```text
//! item, 64 bits: | time, in units of 4 ms: 40 | hash: 24 |
//! ```
//!
//! For each hash of which entries expire there is an item that is due no later than the unit in which the first of them expires has passed. That is
//! all: an item does not say which entry it is for, and when an expiry is put off the item stays. When an item is due, all entries of
//! its hash are looked at; those that expired are removed, and for the others there is an item again.

use plugin_abi::raw::{KV_EVENT_EVICTED, KV_EVENT_EXPIRED};
use plugin_abi::sdk::{Error, Host};

use crate::index::HASH_BITS;
use crate::pages::{Kind, PAGE, Place};
use crate::shard::Shard;

/// Milliseconds of a unit.
const UNIT_MS: i64 = 4;
/// Items of a page.
pub(crate) const PAGE_ITEMS: usize = PAGE / 8;
/// Items beyond two for each entry that expires, for which the heap is not made anew.
const STALE_KEPT: usize = 64;

/// What notes that an entry of a hash expires.
pub(crate) fn item(expiry_ms: i64, hash: u32) -> u64 {
    let unit = (expiry_ms.max(0) as u64).div_ceil(UNIT_MS as u64).min((1 << (u64::BITS - HASH_BITS)) - 1);
    unit << HASH_BITS | u64::from(hash)
}

/// The hash of an item.
pub(crate) fn hash_of(item: u64) -> u32 {
    item as u32 & ((1 << HASH_BITS) - 1)
}

fn is_due(item: u64, now_ms: i64) -> bool {
    (item >> HASH_BITS) as i64 * UNIT_MS <= now_ms
}

impl Shard {
    fn heap(&mut self) -> &mut [u64] {
        let (heap, len) = (self.state().heap, self.state().heap_pages as usize * PAGE_ITEMS);
        if len == 0 {
            return &mut [];
        }
        // SAFETY: the span of this shard's heap, which is locked; zeroed when it was made.
        unsafe { core::slice::from_raw_parts_mut(self.pages().at(heap).cast(), len) }
    }

    /// Makes room for another item.
    ///
    /// # Errors
    /// FULL.
    pub(crate) fn reserve_expiry(&mut self) -> Result<(), Error> {
        let state = self.state();
        let (pages, len) = (state.heap_pages as usize, state.heap_len as usize);
        if len < pages * PAGE_ITEMS {
            return Ok(());
        }
        if len > 2 * state.expiring as usize + STALE_KEPT {
            self.renew_heap();
        }
        let left = self.look().heap_len as usize;
        if left <= pages * PAGE_ITEMS / 4 * 3 && pages > 0 {
            return Ok(());
        }
        // Where hardly any could be dropped, too, so that the next time does not come soon.
        let grown = self.resize_heap(pages + (pages / 2).max(1));
        if left < len { Ok(()) } else { grown }
    }

    fn resize_heap(&mut self, pages: usize) -> Result<(), Error> {
        let new = if pages == 0 { Place::NONE } else { self.pages().alloc(Kind::Data, pages, 1)? };
        let (old, old_pages) = (self.state().heap, self.state().heap_pages as usize);
        let len = self.state().heap_len as usize;
        if len > 0 {
            // SAFETY: both spans are this shard's, which is locked, and have room for so many items.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    self.pages().at(old).cast::<u64>(),
                    self.pages().at(new).cast(),
                    len,
                )
            };
        }
        let state = self.state();
        (state.heap, state.heap_pages) = (new, pages as u32);
        if old_pages > 0 {
            self.pages().free(old, old_pages);
        }
        Ok(())
    }

    /// Keeps the first item of each hash, if there is an entry of it, whether that expires or not: reads slots, and no cell.
    fn renew_heap(&mut self) {
        let (index, len) = (self.index(), self.look().heap_len as usize);
        let heap = &mut self.heap()[..len];
        // By hash, then by time.
        heap.sort_unstable_by_key(|item| item.rotate_left(u64::BITS - HASH_BITS));
        let (mut kept, mut last) = (0, None);
        for at in 0..len {
            let hash = hash_of(heap[at]);
            if last != Some(hash) && index.of(hash).next().is_some() {
                heap[kept] = heap[at];
                kept += 1;
            }
            last = Some(hash);
        }
        self.state().heap_len = 0;
        for at in 0..kept {
            let item = self.heap()[at];
            self.push_item(item);
        }
    }

    /// Notes that an entry of this hash goes from one expiry to another; 0 is never. There is room for an item.
    #[inline]
    pub(crate) fn note_expiry(&mut self, hash: u32, from_ms: i64, to_ms: i64) {
        if from_ms | to_ms == 0 {
            return;
        }
        let state = self.state();
        state.expiring = state.expiring + u32::from(to_ms != 0) - u32::from(from_ms != 0);
        // Where it expired earlier before, there is an item that is due early enough.
        if to_ms != 0 && (from_ms == 0 || to_ms < from_ms) {
            self.push_item(item(to_ms, hash));
        }
    }

    /// Notes that an entry with this expiry is there again.
    pub(crate) fn restore_expiry(&mut self, hash: u32, expiry_ms: i64) {
        if expiry_ms == 0 {
            return;
        }
        self.state().expiring += 1;
        // Its item may be gone, or due too late. Without memory for another one the entry is removed when somebody meets it.
        if self.reserve_expiry().is_ok() {
            self.push_item(item(expiry_ms, hash));
        }
    }

    fn push_item(&mut self, item: u64) {
        let mut at = self.state().heap_len as usize;
        let heap = self.heap();
        debug_assert!(at < heap.len(), "room was made");
        while at > 0 && heap[(at - 1) / 2] > item {
            heap[at] = heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        heap[at] = item;
        self.state().heap_len += 1;
    }

    fn first_item(&mut self) -> Option<u64> {
        if self.state().heap_len == 0 { None } else { self.heap().first().copied() }
    }

    fn remove_item(&mut self, mut at: usize) {
        self.state().heap_len -= 1;
        let len = self.state().heap_len as usize;
        let heap = self.heap();
        let last = heap[len];
        while at > 0 && heap[(at - 1) / 2] > last {
            heap[at] = heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        while 2 * at + 1 < len {
            let left = 2 * at + 1;
            let least = if left + 1 < len && heap[left + 1] < heap[left] { left + 1 } else { left };
            if heap[least] >= last {
                break;
            }
            heap[at] = heap[least];
            at = least;
        }
        heap[at] = last;
        let pages = self.state().heap_pages as usize;
        if len == 0 {
            _ = self.resize_heap(0);
        } else if pages > 1 && len < pages * PAGE_ITEMS / 4 {
            // Without memory for a smaller one the large one stays.
            _ = self.resize_heap(pages / 2);
        }
    }

    /// When something is to be looked at, in milliseconds since 1970 UTC.
    pub(crate) fn next_due_ms(&mut self) -> Option<i64> {
        self.first_item().map(|item| (item >> HASH_BITS) as i64 * UNIT_MS)
    }

    /// Whether [`Shard::sweep`] has something to do.
    pub(crate) fn due(&mut self, now_ms: i64) -> bool {
        self.first_item().is_some_and(|item| is_due(item, now_ms))
    }

    /// Looks at what is due, at most `count_max` hashes, and removes what has expired.
    pub(crate) fn sweep(&mut self, now_ms: i64, count_max: usize, host: &Host) {
        for _ in 0..count_max {
            let Some(item) = self.first_item().filter(|item| is_due(*item, now_ms)) else { return };
            while self.first_item() == Some(item) {
                self.remove_item(0);
            }
            let hash = hash_of(item);
            while let Some(found) = self.find_in(hash, |cell| cell.expired(now_ms)) {
                self.expire(hash, found, host);
            }
            let next_ms = self.of_hash(hash).map(|cell| cell.expiry_ms()).filter(|ms| *ms != 0).min();
            if let Some(next_ms) = next_ms {
                if self.reserve_expiry().is_err() {
                    return;
                }
                self.push_item(self::item(next_ms, hash));
            }
        }
    }

    /// The hash of an entry that expires: of the first one, but for what was put off, or of about the `random`-th. `None`: there is none, or the item
    /// was stale, and is dropped.
    pub(crate) fn expiring_at(&mut self, random: u64) -> Option<u32> {
        let len = u64::from(self.look().heap_len);
        let at = random.checked_rem(len)? as usize;
        let hash = self.heap().get(at).copied().map(hash_of)?;
        if self.of_hash(hash).any(|cell| cell.expiry_ms() != 0) {
            return Some(hash);
        }
        self.remove_item(at);
        None
    }

    /// Whether an entry may be found by [`Shard::expiring_at`].
    pub(crate) fn may_expire(&self) -> bool {
        self.look().expiring > 0 && self.look().heap_len > 0
    }

    /// Takes note of an entry that was removed because it expired, or to make room.
    pub(crate) fn tell(&mut self, kind: u32, key: &[u8], version: u64, host: &Host) {
        match kind {
            KV_EVENT_EXPIRED => self.state().expired_total += 1,
            KV_EVENT_EVICTED => self.state().evicted_total += 1,
            _ => {}
        }
        host.event(kind, 0, key, version);
    }
}
