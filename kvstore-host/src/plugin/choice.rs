//! Choice: a key chosen at random of those that a scan brings. For engines without `kv_random`.

use std::hash::{BuildHasher, RandomState};

use plugin_abi::calls::CallError;

/// Keys that are asked of the scan at a time.
pub(super) const STEP: u32 = 1000;
/// Keys that are looked at at most, so that the choice does not take longer and longer as a store grows. What a scan brings behind them is never chosen.
pub(super) const LOOKED_AT_MAX: u64 = 100_000;

/// Makes a step of a scan: moves the cursor, and lends the keys to the sink.
type Step<'a> = dyn FnMut(&mut Vec<u8>, &mut dyn FnMut(&[u8])) -> Result<(), CallError> + 'a;

/// Chooses a key, each of those looked at with the same likelihood: the n-th takes the place of the one before it once in n times.
pub(super) fn of_scan(step: &mut Step<'_>) -> Result<Option<Vec<u8>>, CallError> {
    let random = RandomState::new();
    let (mut chosen, mut looked_at, mut cursor) = (None, 0_u64, Vec::new());
    loop {
        step(&mut cursor, &mut |key| {
            looked_at += 1;
            if looked_at <= LOOKED_AT_MAX && random.hash_one(looked_at).is_multiple_of(looked_at) {
                chosen = Some(key.to_vec());
            }
        })?;
        if cursor.is_empty() || looked_at >= LOOKED_AT_MAX {
            return Ok(chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chooses of the numbers below `count`.
    fn choose(count: u64, steps: &mut u64) -> Option<u64> {
        let mut next = 0_u64;
        let chosen = of_scan(&mut |cursor, sink| {
            *steps += 1;
            let end = (next + u64::from(STEP)).min(count);
            (next..end).for_each(|number| sink(&number.to_be_bytes()));
            next = end;
            *cursor = if next < count { b"more".to_vec() } else { Vec::new() };
            Ok(())
        });
        chosen.unwrap().map(|key| u64::from_be_bytes(key.try_into().unwrap()))
    }

    #[test]
    fn each_is_as_likely() {
        assert_eq!(choose(0, &mut 0), None);
        assert_eq!(choose(1, &mut 0), Some(0));
        let mut chosen = [0_u32; 10];
        (0..2000).for_each(|_| chosen[choose(10, &mut 0).unwrap() as usize] += 1);
        // Two hundred of each: ninety is eight standard deviations away.
        assert!(chosen.iter().all(|times| (110..=310).contains(times)), "{chosen:?}");
    }

    #[test]
    fn only_so_many_are_looked_at() {
        let mut steps = 0;
        assert!(choose(10 * LOOKED_AT_MAX, &mut steps).unwrap() < LOOKED_AT_MAX);
        assert_eq!(steps, LOOKED_AT_MAX / u64::from(STEP));
    }

    #[test]
    fn a_scan_that_fails_is_no_empty_store() {
        let failure = CallError { status: plugin_abi::Status::UNSUPPORTED, text: "no kv_scan".to_owned() };
        let failed = of_scan(&mut |_, _| Err(failure.clone()));
        assert_eq!(failed.unwrap_err().status, plugin_abi::Status::UNSUPPORTED);
    }
}
