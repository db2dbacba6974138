//! Keys: the process's thread-specific keys. There are 1,024 of them, an engine may keep some for good at each load, and a process in which
//! none is left aborts when the next is needed: so it is looked beforehand.

/// As many are to be free before an engine is loaded.
pub(super) const FREE_MIN: usize = 64;
/// An engine may hold as many: fewer than are free before it is loaded.
pub(super) const HELD_MAX: usize = 32;
/// There are no more in a process (glibc).
pub(super) const ALL: usize = 1024;

/// How many keys are free, as far as `most`: so many are taken and given back, and for that moment nobody else has them.
pub(super) fn count_free(most: usize) -> usize {
    let mut keys = Vec::with_capacity(most);
    while keys.len() < most {
        let mut key = 0;
        // SAFETY: a place for the key; no destructor.
        if unsafe { libc::pthread_key_create(&raw mut key, None) } != 0 {
            break;
        }
        keys.push(key);
    }
    for key in &keys {
        // SAFETY: made above, given back once, and used by nobody.
        unsafe { libc::pthread_key_delete(*key) };
    }
    keys.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_and_all_given_back() {
        for _ in 0..100 {
            assert_eq!(count_free(FREE_MIN), FREE_MIN);
        }
        // Other tests of this process take keys and give them back at the same time.
        let is_counted = || {
            let mut key = 0;
            let before = count_free(ALL);
            // SAFETY: a place for the key; no destructor.
            assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, None) }, 0);
            let after = count_free(ALL);
            // SAFETY: made above, and given back once.
            assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0);
            before == after + 1
        };
        assert!((0..1000).any(|_| is_counted()));
    }
}
