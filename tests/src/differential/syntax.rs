//! Syntax: the small language in which the grammar says what a request consists of, and random requests made from it.

#![allow(clippy::panic, reason = "a test's helper stops at the first surprise")]

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// Adds a random argument of a kind to a request.
pub type Argument<'a> = dyn FnMut(&mut StdRng, &str, &mut Vec<Vec<u8>>) + 'a;

/// What stands in one place of a request.
#[derive(Debug)]
pub enum Node {
    /// A word of the protocol, in any case.
    Word(&'static str),
    /// A random argument of this kind.
    Kind(&'static str),
    /// One after the other. Optional ones that stand together come in any order.
    All(Vec<Node>),
    /// One of these.
    One(Vec<Node>),
    /// Present or not.
    Optional(Box<Node>),
    /// Once or more.
    Repeated(Box<Node>),
}

impl Node {
    /// Reads a syntax: `WORD`, `kind`, `[optional]`, `{repeated}`, `either|or`.
    ///
    /// # Panics
    /// A bracket is missing.
    pub fn parse(text: &'static str) -> Self {
        let (node, rest) = Self::parse_either(text);
        assert!(rest.is_empty(), "{rest:?} is left of {text:?}");
        node
    }

    fn parse_either(mut text: &'static str) -> (Self, &'static str) {
        let mut either = Vec::new();
        loop {
            let (node, rest) = Self::parse_all(text);
            either.push(node);
            match rest.strip_prefix('|') {
                Some(rest) => text = rest,
                None if either.len() == 1 => return (either.remove(0), rest),
                None => return (Self::One(either), rest),
            }
        }
    }

    fn parse_all(mut text: &'static str) -> (Self, &'static str) {
        let mut all = Vec::new();
        loop {
            text = text.trim_start();
            let inside = |open: usize, close: char| {
                let (node, rest) = Self::parse_either(&text[open..]);
                let rest = rest.strip_prefix(close).unwrap_or_else(|| panic!("no {close} before {rest:?}"));
                (Box::new(node), rest)
            };
            let (node, rest) = match text.chars().next() {
                None | Some('|' | ']' | '}') => return (Self::All(all), text),
                Some('[') => {
                    let (node, rest) = inside(1, ']');
                    (Self::Optional(node), rest)
                }
                Some('{') => {
                    let (node, rest) = inside(1, '}');
                    (Self::Repeated(node), rest)
                }
                Some(_) => {
                    let end = text.find([' ', '|', ']', '}']).unwrap_or(text.len());
                    let (word, rest) = text.split_at(end);
                    let is_word = word.starts_with(|first: char| first.is_ascii_uppercase());
                    (if is_word { Self::Word(word) } else { Self::Kind(word) }, rest)
                }
            };
            all.push(node);
            text = rest;
        }
    }

    /// Adds random arguments to a request; `argument` makes one of a kind.
    pub fn generate(&self, rng: &mut StdRng, out: &mut Vec<Vec<u8>>, argument: &mut Argument<'_>) {
        match self {
            Self::Word(word) => out.push(in_any_case(rng, word)),
            Self::Kind(kind) => argument(rng, kind, out),
            Self::One(either) => {
                if let Some(one) = either.choose(rng) {
                    one.generate(rng, out, argument);
                }
            }
            Self::Optional(node) => {
                if rng.random() {
                    node.generate(rng, out, argument);
                }
            }
            Self::Repeated(node) => {
                let count = if rng.random_range(0..50) == 0 {
                    rng.random_range(1..60)
                } else {
                    rng.random_range(1..5)
                };
                for _ in 0..count {
                    node.generate(rng, out, argument);
                }
            }
            Self::All(all) => {
                let is_optional = |node: &Self| matches!(node, Self::Optional(_));
                for together in all.chunk_by(|one, next| is_optional(one) && is_optional(next)) {
                    let mut order: Vec<&Self> = together.iter().collect();
                    order.shuffle(rng);
                    order.into_iter().for_each(|node| node.generate(rng, out, argument));
                }
            }
        }
    }
}

/// The word in capitals, as it is, or in a mixture of both.
pub fn in_any_case(rng: &mut StdRng, word: &str) -> Vec<u8> {
    match rng.random_range(0..4) {
        0 => word.to_ascii_lowercase().into_bytes(),
        1 => {
            let mut any = |byte: u8| {
                if rng.random() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
            };
            word.bytes().map(&mut any).collect()
        }
        _ => word.to_ascii_uppercase().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::Node;

    #[test]
    fn all_that_a_syntax_allows_comes_and_nothing_else() {
        let node = Node::parse("key [A|B n] [C] {d}");
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = BTreeSet::new();
        for _ in 0..5_000 {
            let mut out = Vec::new();
            node.generate(&mut rng, &mut out, &mut |_, kind, out| out.push(kind.into()));
            let words: Vec<_> = out.iter().map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
            seen.insert(words.join(" ").trim_end_matches(" d").to_owned());
        }
        let options = ["", " a", " b n", " c", " a c", " c a", " b n c", " c b n"];
        let expected: BTreeSet<_> = options.iter().map(|options| format!("key{options}")).collect();
        assert_eq!(seen, expected);
    }
}
