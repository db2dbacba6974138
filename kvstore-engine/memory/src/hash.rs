//! Hash: SipHash-1-3 of keys, inlined where they are looked up: with a key drawn for each store, nobody outside can choose keys that collide.
//!
//! J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", 2012; with one round for each word and three at the end.

/// Hashes with one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher([u64; 4]);

#[inline]
fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v2 = v2.wrapping_add(*v3);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v1);
    *v0 = v0.wrapping_add(*v3);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.rotate_left(32);
}

impl Hasher {
    /// With this key.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let [k0, k1] = [0, 8].map(|at| u64::from_le_bytes(*key[at..].first_chunk().unwrap_or(&[0; 8])));
        let start = *b"somepseudorandomlygeneratedbytes";
        let mut state =
            [0, 8, 16, 24].map(|at| u64::from_be_bytes(*start[at..].first_chunk().unwrap_or(&[0; 8])));
        for (word, key) in state.iter_mut().zip([k0, k1, k0, k1]) {
            *word ^= key;
        }
        Self(state)
    }

    /// The hash of some bytes.
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = self.0;
        let mut take = |word: u64| {
            state[3] ^= word;
            round(&mut state);
            state[0] ^= word;
        };
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
        let rest = rest.iter().rev().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
        take((bytes.len() as u64) << 56 | rest);
        state[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut state));
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::Hasher;

    #[test]
    fn it_is_siphash_1_3() {
        let bytes: Vec<u8> = (0..200).map(|n: u8| n.wrapping_mul(37)).collect();
        for seed in 0..50_u8 {
            let key = std::array::from_fn(|n| seed.wrapping_mul(7).wrapping_add((n as u8).wrapping_mul(19)));
            let (hasher, known) = (Hasher::new(&key), SipHasher13::new_with_key(&key));
            for len in 0..=bytes.len() {
                assert_eq!(hasher.hash(&bytes[..len]), known.hash(&bytes[..len]), "{seed} {len}");
            }
        }
    }
}
