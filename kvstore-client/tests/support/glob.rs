//! Glob patterns with `*`, `?` and `[…]`, as far as tests need them.

pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
        ([b'[', rest @ ..], [byte, text @ ..]) => {
            let end = rest.iter().position(|byte| *byte == b']').unwrap();
            rest[..end].contains(byte) && matches(&rest[end + 1..], text)
        }
        ([expected, rest @ ..], [byte, text @ ..]) => expected == byte && matches(rest, text),
        _ => false,
    }
}
