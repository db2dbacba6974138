//! Mutate: small random changes to kept inputs, for runs without a fuzzer.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// What parsers look for, and numbers at their edges.
const WORDS: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"*1\r\n",
    b"*-1\r\n",
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"$5\r\n",
    b"$?\r\n",
    b"%1\r\n",
    b">1\r\n",
    b"|1\r\n",
    b"PING\r\n",
    b"\"\\x41\" ",
    b"'a b' ",
    b"2147483648",
    b"9223372036854775807",
    b"18446744073709551616",
    b"[a-z]*",
    b"\\",
];

/// An input near one or two of `kept`.
pub fn mutated(random: &mut StdRng, kept: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = kept.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..5) {
        let place = random.random_range(0..=bytes.len());
        match random.random_range(0..6) {
            0 => bytes.insert(place, random.random()),
            1 if place < bytes.len() => bytes[place] = random.random(),
            2 if place < bytes.len() => bytes[place] ^= 1 << random.random_range(0..8),
            3 => {
                let word: &[u8] = WORDS.choose(random).copied().unwrap_or_default();
                bytes.splice(place..place, word.iter().copied());
            }
            4 => {
                let end = random.random_range(place..=bytes.len());
                bytes.drain(place..end);
            }
            _ => {
                let other = kept.choose(random).map(Vec::as_slice).unwrap_or_default();
                let from = random.random_range(0..=other.len());
                bytes.truncate(place);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    let mut noise = [0; 2];
    random.fill_bytes(&mut noise);
    if random.random_range(0..8) == 0 {
        bytes.iter_mut().zip(noise).for_each(|(byte, noise)| *byte = noise);
    }
    bytes
}
