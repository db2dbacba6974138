//! Pieces: cuts bytes at places that follow from one number, so that a fuzzer chooses them.

/// Gives `bytes` in pieces, none of them empty. 0 is byte by byte; each other number has lengths of its own.
pub(super) fn pieces(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly short ones, now and then all that is left.
        let len = match (seed, state >> 60) {
            (0, _) => 1,
            (_, 0) => rest.len(),
            (_, longest) => 1 + (state >> 33) as usize % (1 << (longest / 2)),
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
