//! Random: an entry chosen at random, each about as likely as the others, at a cost that does not grow with the table.

use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_abi::sdk::{Entry, Found, Host};

use crate::cell::Cell;
use crate::index::words;
use crate::table::Table;

/// Places that are tried before all shards are counted.
const TRIES_MAX: u32 = 64;
/// Expired entries that are removed from a shard at once where the choice fell on one.
const SWEEP: usize = 256;

/// Where the next choice comes from.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    /// When all shards were last counted: at least the entries of the fullest one where none had more than a page of slots, else at least the slots of the
    /// longest index.
    bound: AtomicUsize,
}

impl Chooser {
    /// Lends one entry.
    ///
    /// A random shard and a random number below the bound name each entry of it, or each slot, with the same likelihood; where there is none it is drawn
    /// again. Entries have to be counted up to the one that is meant, which only a page of slots allows; and so small an index is mostly
    /// empty. Where most tries are in vain, and where the bound turns out to be too low, all entries are counted and one of them is drawn.
    pub(crate) fn choose(
        &self,
        table: &Table,
        now_ms: i64,
        host: &Host,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Found {
        let bound = self.bound.load(Ordering::Relaxed);
        for _ in 0..if bound == 0 { 0 } else { TRIES_MAX } {
            let place = draw(table, table.shards().saturating_mul(bound));
            let (shard, number) = (place % table.shards(), place / table.shards());
            let shard = table.lock(shard);
            let index = shard.index();
            let counts_entries = bound < words(1);
            if counts_entries && (index.len() > words(1) || shard.len() > bound)
                || index.len() > bound.max(words(1))
            {
                break;
            }
            let slot = match counts_entries {
                true if number < shard.len() => index.from(0).nth(number),
                true => None,
                false => index.get(number),
            };
            if let Some(cell) = slot.map(|slot| shard.cell(slot.place()))
                && !cell.expired(now_ms)
            {
                lend(&cell.entry());
                return Found::Yes;
            }
        }
        self.choose_of_all(table, now_ms, host, lend)
    }

    fn choose_of_all(
        &self,
        table: &Table,
        now_ms: i64,
        host: &Host,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Found {
        loop {
            let count = |number| {
                let shard = table.lock(number);
                (shard.len(), shard.index().len())
            };
            let (lens, slots): (Vec<usize>, Vec<usize>) = (0..table.shards()).map(count).unzip();
            let most = |counts: &[usize]| counts.iter().max().copied().unwrap_or(0);
            // Some more, so that a growing table is not counted again and again. A page of slots never has as many entries.
            let bound = match most(&slots) {
                slots if slots > words(1) => slots + slots / 4,
                _ => (most(&lens) * 9 / 8 + 1).min(words(1) - 1),
            };
            self.bound.store(bound, Ordering::Relaxed);
            let all = lens.iter().sum();
            if all == 0 {
                return Found::No;
            }
            let mut index = draw(table, all);
            for (number, len) in lens.into_iter().enumerate() {
                if index >= len {
                    index -= len;
                    continue;
                }
                let mut shard = table.lock(number);
                // Otherwise some were removed since they were counted: once more.
                let place = shard.index().from(0).nth(index).map(|slot| slot.place());
                if let Some(place) = place {
                    let cell = shard.cell(place);
                    if !cell.expired(now_ms) {
                        lend(&cell.entry());
                        return Found::Yes;
                    }
                    let (hash, expired) = (shard.hash(cell.key()), |it: Cell<'_>| it.expired(now_ms));
                    if let Some(found) = shard.find_in(hash, expired) {
                        shard.expire(hash, found, host);
                    }
                    // The fewer expired ones are left, the sooner the choice falls on another.
                    shard.sweep(now_ms, SWEEP, host);
                }
                break;
            }
        }
    }
}

/// A random number below `end`, which is not 0.
fn draw(table: &Table, end: usize) -> usize {
    ((u128::from(table.random()) * end as u128) >> 64) as usize
}
