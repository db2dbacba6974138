//! Glob: a pattern matches what its definition says, in steps bounded by the product of the lengths.
//!
//! Input: one byte, of which the last bit chooses the case and the others the pattern's length; the pattern; the text.

use kvstore_host::glob::{Case, STEPS_MAX, matches_within};

/// Checks an input.
pub fn check(data: &[u8]) {
    let [choice, rest @ ..] = data else { return };
    let (pattern, text) = rest.split_at(usize::from(choice >> 1).min(rest.len()));
    let case = if choice & 1 == 0 { Case::Sensitive } else { Case::Insensitive };
    let mut steps = STEPS_MAX;
    let found = matches_within(&mut steps, pattern, text, case);
    let taken = STEPS_MAX - steps;
    let product = (pattern.len() as u64).saturating_mul(text.len() as u64);
    assert!(taken <= product, "{taken} steps");
    match found {
        Ok(found) => {
            assert_eq!(found, expected(pattern, text, case), "{pattern:?} on {text:?}");
            // What sufficed suffices again, and one step less does not.
            assert_eq!(matches_within(&mut { taken }, pattern, text, case), Ok(found));
            let fewer = taken.checked_sub(1).map(|mut fewer| matches_within(&mut fewer, pattern, text, case));
            assert!(fewer.is_none_or(|fewer| fewer.is_err()), "fewer steps suffice");
        }
        Err(exhausted) => assert!(product > STEPS_MAX, "{exhausted}"),
    }
}

/// One place of a pattern.
enum Item {
    Any,
    /// Which bytes match.
    One(Box<[bool; 256]>),
}

/// The definition by a table: which beginnings of the text each beginning of the pattern matches.
fn expected(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    let mut rest = pattern;
    while !rest.is_empty() {
        let item;
        (item, rest) = first_item(rest, case);
        let before = ends.clone();
        for end in 0..ends.len() {
            ends[end] = match &item {
                Item::Any => before[..=end].contains(&true),
                Item::One(set) => end > 0 && before[end - 1] && set[usize::from(text[end - 1])],
            };
        }
    }
    ends[text.len()]
}

fn first_item(pattern: &[u8], case: Case) -> (Item, &[u8]) {
    let mut set = Box::new([false; 256]);
    let after = match pattern {
        [b'*', after @ ..] => return (Item::Any, after),
        [b'?', after @ ..] => {
            set.fill(true);
            after
        }
        [b'[', b'^', after @ ..] => {
            let after = brackets(after, case, &mut set);
            set.iter_mut().for_each(|one| *one = !*one);
            after
        }
        [b'[', after @ ..] => brackets(after, case, &mut set),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => {
            add(&mut set, *literal, case);
            after
        }
        [] => &[],
    };
    (Item::One(set), after)
}

/// Fills the set; gives what follows the closing bracket.
fn brackets<'a>(mut rest: &'a [u8], case: Case, set: &mut [bool; 256]) -> &'a [u8] {
    loop {
        rest = match rest {
            [] => return rest,
            [b']', after @ ..] => return after,
            [b'\\', literal, after @ ..] => {
                set[usize::from(*literal)] = true;
                after
            }
            [one, b'-', other, after @ ..] => {
                let fold =
                    |byte: u8| if case == Case::Insensitive { byte.to_ascii_lowercase() } else { byte };
                let range = fold(*one.min(other))..=fold(*one.max(other));
                (0..=255)
                    .filter(|byte| range.contains(&fold(*byte)))
                    .for_each(|byte| set[usize::from(byte)] = true);
                after
            }
            [literal, after @ ..] => {
                add(set, *literal, case);
                after
            }
        }
    }
}

fn add(set: &mut [bool; 256], byte: u8, case: Case) {
    set[usize::from(byte)] = true;
    if case == Case::Insensitive {
        set[usize::from(byte.to_ascii_lowercase())] = true;
        set[usize::from(byte.to_ascii_uppercase())] = true;
    }
}
