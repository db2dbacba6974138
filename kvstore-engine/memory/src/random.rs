//! Random: an entry chosen at random, each about as likely as the others, at a cost that does not grow with the table.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use plugin_abi::sdk::{Entry, Found, Host};

use crate::table::Table;

/// Places that are tried before all shards are counted.
const TRIES_MAX: u32 = 64;
/// Expired entries that are removed from a shard at once where the choice fell on one.
const SWEEP: usize = 256;

/// Where the next choice comes from.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    drawn: AtomicU64,
    /// At least the length of the longest shard when all were last counted.
    bound: AtomicUsize,
}

impl Chooser {
    /// Lends one entry.
    ///
    /// A random shard and a random index below the length of the longest shard name each entry with the same likelihood; where the index names none it is drawn
    /// again. That seldom happens: hashes spread the keys evenly. Where most shards are empty, and where the bound turns out to be too low, the shards are
    /// counted and one of all entries is drawn.
    pub(crate) fn choose(
        &self,
        table: &Table,
        now_ms: i64,
        host: &Host,
        lend: &mut dyn FnMut(&Entry<'_>),
    ) -> Found {
        let bound = self.bound.load(Ordering::Relaxed);
        for _ in 0..if bound == 0 { 0 } else { TRIES_MAX } {
            let place = self.draw(table, table.shards().saturating_mul(bound));
            let (shard, index) = (place % table.shards(), place / table.shards());
            let shard = table.read(shard);
            if shard.len() > bound {
                break;
            }
            if index < shard.len() && !shard.expired(index, now_ms) {
                lend(&shard.entry(index));
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
            let lens: Vec<usize> = (0..table.shards()).map(|shard| table.read(shard).len()).collect();
            let longest = lens.iter().max().copied().unwrap_or(0);
            // Some more, so that a growing table is not counted again and again.
            self.bound.store(longest + longest / 8 + 1, Ordering::Relaxed);
            let all = lens.iter().sum();
            if all == 0 {
                return Found::No;
            }
            let mut index = self.draw(table, all);
            for (number, len) in lens.into_iter().enumerate() {
                if index >= len {
                    index -= len;
                    continue;
                }
                let shard = table.read(number);
                // Otherwise some were removed since they were counted: once more.
                if index < shard.len() {
                    if !shard.expired(index, now_ms) {
                        lend(&shard.entry(index));
                        return Found::Yes;
                    }
                    drop(shard);
                    // The fewer expired ones are left, the sooner the choice falls on another.
                    table.write(number).sweep(now_ms, SWEEP, host);
                }
                break;
            }
        }
    }

    /// A random number below `end`, which is not 0.
    fn draw(&self, table: &Table, end: usize) -> usize {
        let random = table.scramble(self.drawn.fetch_add(1, Ordering::Relaxed));
        ((u128::from(random) * end as u128) >> 64) as usize
    }
}
