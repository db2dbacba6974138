//! Decoder: the client takes any bytes of a server the same way however they are cut, in bounded memory.
//!
//! Input: one byte that chooses the limits, one that chooses the cuts, and the bytes of a server.

use kvstore_client::{DecodeError, Decoder, Limits, Value};

use super::memory::measure;
use super::pieces::pieces;

fn limits(choice: u8) -> Limits {
    match choice % 3 {
        0 => Limits::default(),
        1 => Limits { nesting_max: 2, bulk_len_max: 8, elements_max: 4, line_len_max: 12, reply_len_max: 40 },
        _ => Limits { nesting_max: 0, bulk_len_max: 0, elements_max: 0, line_len_max: 0, reply_len_max: 0 },
    }
}

/// Checks an input.
pub fn check(data: &[u8]) {
    let [choice, seed, bytes @ ..] = data else { return };
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| measure(|| decode(limits(*choice), pieces));
    let (at_once, used) = run(&mut [bytes].into_iter());
    // An empty array is 4 bytes, and a value of several words that a growing list holds up to three times.
    let allowed = 3 * size_of::<Value>() * bytes.len() + 4096;
    assert!(used.peak_bytes <= allowed, "{} bytes cost {}", bytes.len(), used.peak_bytes);
    let (in_pieces, used) = run(&mut pieces(bytes, *seed));
    assert!(used.peak_bytes <= allowed, "{} bytes in pieces cost {}", bytes.len(), used.peak_bytes);
    if at_once != in_pieces {
        // NaN equals nothing, but its text does.
        assert_eq!(format!("{at_once:?}"), format!("{in_pieces:?}"));
    }
}

/// The values, and what stands at the end: an error, or whether it is a place between two values.
fn decode(
    limits: Limits,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> (Vec<Value>, Result<bool, DecodeError>) {
    let (mut decoder, mut values) = (Decoder::new(limits), Vec::new());
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_value() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(format!("{:?}", decoder.next_value()), format!("{:?}", Err::<(), _>(&error)));
                    return (values, Err(error));
                }
            }
        }
    }
    (values, Ok(decoder.is_between_values()))
}
