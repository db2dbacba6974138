//! Glob: matches names against a pattern exactly as Redis 7.0 does, without recursion and in bounded work.

use std::fmt;

/// Steps that one match may take where nothing else is said: far more than patterns written by people need, and a
/// few milliseconds at most.
pub const STEPS_MAX: u64 = 1_000_000;

/// Whether `A` and `a` are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They differ.
    Sensitive,
    /// ASCII letters are alike in both cases; but one that a backslash escapes within brackets is taken as written,
    /// as in Redis.
    Insensitive,
}

/// The work that was allowed did not suffice to say whether a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsExhausted;

impl fmt::Display for StepsExhausted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the pattern takes too much work to match")
    }
}

impl std::error::Error for StepsExhausted {}

/// Whether `pattern` matches all of `text`, in at most [`STEPS_MAX`] steps; see [`matches_within`].
///
/// # Errors
/// [`StepsExhausted`]
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> Result<bool, StepsExhausted> {
    matches_within(&mut { STEPS_MAX }, pattern, text, case)
}

/// Whether `pattern` matches all of `text`. Both are bytes, not characters.
///
/// - `*`: any bytes, or none; `?`: any one byte; `\x`: the byte `x`, whatever it means else.
/// - `[abc]`, `[a-c]`, `[^abc]`: one byte of these, in that range (either end first), or none of these.
///
/// As in Redis, brackets that do not close go on to the end of the pattern, `[]` matches nothing and `[^]` any byte,
/// a backslash at the very end is itself, and an empty text is matched by the empty pattern only, not even by `*`
/// (to which KEYS and SCAN give a meaning of its own). Unlike there, where it depends on the processor, bytes from
/// 0x80 lie above the others in a range.
///
/// A step is a byte of the pattern compared with one of the text; `steps` is what may be spent, and is counted down,
/// so that one sum can be set for a whole scan. The worst pattern takes the product of both lengths.
///
/// # Errors
/// [`StepsExhausted`] when `steps` do not suffice and the answer is not known: whether that is a failure is left to
/// the caller, since taking it for a mismatch would hide entries.
pub fn matches_within(
    steps: &mut u64,
    pattern: &[u8],
    text: &[u8],
    case: Case,
) -> Result<bool, StepsExhausted> {
    if text.is_empty() {
        return Ok(pattern.is_empty());
    }
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last `*`, and the text from which it has been tried. Only the last one needs to be tried
    // again: an earlier one that took more would but leave less for this one.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let mismatch = match (pattern, text) {
            ([b'*', after @ ..], _) => {
                pattern = after;
                retry = Some((pattern, text));
                if pattern.is_empty() {
                    return Ok(true);
                }
                false
            }
            ([], []) => return Ok(true),
            ([], _) => true,
            // All of the text is used up and something is still asked for: a later start leaves even less.
            (_, []) => return Ok(false),
            (_, [byte, text_after @ ..]) => {
                let (one, after) = one_byte(pattern, *byte, case);
                *steps = steps.checked_sub((pattern.len() - after.len()) as u64).ok_or(StepsExhausted)?;
                pattern = after;
                text = text_after;
                !one
            }
        };
        if mismatch {
            let Some((after_star, [_, text_after @ ..])) = retry else {
                return Ok(false);
            };
            (pattern, text) = (after_star, text_after);
            retry = Some((pattern, text));
        }
    }
}

/// Whether the first item of `pattern`, which is not empty nor `*`, matches `byte`; and what follows that item.
fn one_byte(pattern: &[u8], byte: u8, case: Case) -> (bool, &[u8]) {
    match pattern {
        [b'?', after @ ..] => (true, after),
        [b'[', b'^', after @ ..] => {
            let (one, after) = one_of(after, byte, case);
            (!one, after)
        }
        [b'[', after @ ..] => one_of(after, byte, case),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => {
            (fold(*literal, case) == fold(byte, case), after)
        }
        [] => (false, pattern),
    }
}

/// Whether `byte` is one of those between brackets, of which `pattern` starts behind the first; and what follows them.
fn one_of(mut pattern: &[u8], byte: u8, case: Case) -> (bool, &[u8]) {
    let mut one = false;
    loop {
        let (matched, after) = match pattern {
            [] => return (one, pattern),
            [b'\\', literal, after @ ..] => (*literal == byte, after),
            [b']', after @ ..] => return (one, after),
            [start, b'-', end, after @ ..] => {
                // Put in order before the case is folded, as Redis does.
                let (start, end) = (*start.min(end), *start.max(end));
                ((fold(start, case)..=fold(end, case)).contains(&fold(byte, case)), after)
            }
            [literal, after @ ..] => (fold(*literal, case) == fold(byte, case), after),
        };
        one |= matched;
        pattern = after;
    }
}

const fn fold(byte: u8, case: Case) -> u8 {
    match case {
        Case::Sensitive => byte,
        Case::Insensitive => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Case, STEPS_MAX, StepsExhausted, fold, matches, matches_within, one_byte};

    fn matches_text(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive).unwrap()
    }

    /// The definition, word for word: a star is tried on each rest of the text.
    fn naive(pattern: &[u8], text: &[u8], case: Case) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', after @ ..], _) => (0..=text.len()).any(|skipped| naive(after, &text[skipped..], case)),
            ([], _) | (_, []) => false,
            (_, [byte, rest @ ..]) => {
                let (one, after) = one_byte(pattern, *byte, case);
                one && naive(after, rest, case)
            }
        }
    }

    #[test]
    fn corners_are_as_in_redis() {
        // Each compared with the answer of redis-server 7.0.15 to KEYS with a key of that name.
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "a", true),
            ("**", "a", true),
            ("**", "", false),
            ("a**", "a", true),
            ("a*b*", "ab", true),
            ("?", "a", true),
            ("??", "a", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("[abc", "b", true),
            ("[abc", "d", false),
            ("[^abc", "d", true),
            ("[", "[", false),
            ("[", "a", false),
            ("[^", "a", true),
            ("[^", "^", true),
            ("[]", "a", false),
            ("[]", "]", false),
            ("[]a]", "]", false),
            ("[^]", "a", true),
            ("[^]a", "ba", true),
            ("[a-", "a", true),
            ("[a-", "-", true),
            ("[a-]", "a", true),
            ("[a-]", "^", true),
            ("[a-]", "-", false),
            ("[a-]", "]", true),
            ("[-a]", "-", true),
            ("[a^]", "^", true),
            ("[\\]]", "]", true),
            ("[\\", "\\", true),
            ("[\\a-z]", "b", false),
            ("[\\a-z]", "-", true),
            ("[a-\\z]", "]", true),
            ("[*]", "*", true),
            ("[?]", "a", false),
            ("\\", "\\", true),
            ("a\\", "a\\", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\\\", "\\", true),
            ("\\a", "a", true),
            ("*\\", "a\\", true),
            ("*[", "a", false),
            ("*[^", "ab", true),
            ("a*?", "a", false),
            ("*a*", "bab", true),
            ("*?*?*", "a", false),
            ("*?*?*", "ab", true),
        ] {
            assert_eq!(matches_text(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn case_is_folded_where_redis_folds_it() {
        let insensitive = |pattern: &str, text: &str| {
            matches(pattern.as_bytes(), text.as_bytes(), Case::Insensitive).unwrap()
        };
        assert!(insensitive("HeL*[a-c]\\X", "hEllOBx"));
        assert!(insensitive("[C-A]", "b") && insensitive("[XYZ]", "y"));
        assert!(insensitive("[\\X]", "X") && !insensitive("[\\X]", "x"), "an escape in brackets is literal");
        assert!(!insensitive("\u{e9}", "\u{c9}"), "only ASCII has cases");
    }

    #[test]
    fn bytes_are_matched_not_characters() {
        let any = |pattern: &[u8], text: &[u8]| matches(pattern, text, Case::Sensitive).unwrap();
        assert!(any(b"??", "\u{e9}".as_bytes()));
        assert!(any(b"[\x80-\xff]", b"\xc3") && !any(b"[\x80-\xff]", b"a"));
        assert!(any(b"[a-\xff]", b"\x80") && any(b"a\0*", b"a\0\n"));
    }

    #[test]
    fn a_hostile_pattern_ends_and_spares_the_processor() {
        let text = "a".repeat(65536);
        let classic = format!("{}b", "a*".repeat(1000));
        assert_eq!(matches(classic.as_bytes(), text.as_bytes(), Case::Sensitive), Ok(false));
        let quadratic = format!("*{}b", "a".repeat(30_000));
        assert_eq!(matches(quadratic.as_bytes(), text.as_bytes(), Case::Sensitive), Err(StepsExhausted));
        let brackets = format!("*[{}]b", "x".repeat(60_000));
        assert_eq!(matches(brackets.as_bytes(), text.as_bytes(), Case::Sensitive), Err(StepsExhausted));
    }

    #[test]
    fn steps_are_counted_down_over_many_matches() {
        let mut steps = 10;
        assert_eq!(matches_within(&mut steps, b"abc", b"abc", Case::Sensitive), Ok(true));
        assert_eq!(steps, 7);
        assert_eq!(matches_within(&mut steps, b"[xyz]*", b"z", Case::Sensitive), Ok(true));
        assert_eq!(steps, 2);
        assert_eq!(matches_within(&mut steps, b"abc", b"abc", Case::Sensitive), Err(StepsExhausted));
        assert_eq!(steps, 0);
        let mut steps = 3;
        let too_short = matches_within(&mut steps, b"*aaaa", b"aaa", Case::Sensitive);
        assert_eq!((too_short, steps), (Ok(false), 0), "a text too short is not tried again, shorter");
    }

    fn small(alphabet: &'static [u8], len_max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(proptest::sample::select(alphabet), 0..len_max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn the_same_as_the_definition(
            pattern in small(b"aabbB***?[]^-\\", 10),
            text in small(b"aaabbbAB-]\\", 9),
            insensitive: bool,
        ) {
            let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
            // An empty text is Redis' exception.
            let expected = if text.is_empty() { pattern.is_empty() } else { naive(&pattern, &text, case) };
            prop_assert_eq!(matches(&pattern, &text, case), Ok(expected));
        }

        #[test]
        fn a_text_made_after_a_pattern_of_stars_matches(
            parts in proptest::collection::vec(("[ab]{0,3}", "[abc]{0,3}"), 1..6),
        ) {
            let pattern: String = parts.iter().map(|(literal, _)| format!("{literal}*")).collect();
            let text: String = parts.iter().map(|(literal, filler)| format!("{literal}{filler}")).collect();
            prop_assert_eq!(matches_text(&pattern, &text), !text.is_empty());
        }

        #[test]
        fn any_bytes_are_survived_within_the_product_of_the_lengths(pattern: Vec<u8>, text: Vec<u8>) {
            let mut steps = STEPS_MAX;
            prop_assert!(matches_within(&mut steps, &pattern, &text, Case::Insensitive).is_ok());
            prop_assert!(STEPS_MAX - steps <= (pattern.len() * text.len()) as u64);
        }

        #[test]
        fn an_escaped_text_matches_itself(text: Vec<u8>) {
            let pattern: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert_eq!(matches(&pattern, &text, Case::Sensitive), Ok(true));
            prop_assert!(text.iter().all(|&byte| fold(byte, Case::Sensitive) == byte));
        }
    }
}
