//! Rest: what can still follow after some words of a command.

use super::{Argument, Kind};

/// The arguments that can follow after `words`; `None` when these do not fit.
///
/// Optional arguments can come in any order between two that are not. What has been begun comes first, as far as it is missing.
pub(crate) fn rest(arguments: &[Argument], words: &[String]) -> Option<Vec<Argument>> {
    let fit = sequence(arguments, words)?;
    (fit.len == words.len()).then_some(fit.rest)
}

/// The words of their own that can come first when `arguments` are to come.
pub(crate) fn tokens(arguments: &[Argument]) -> Vec<String> {
    let mut all = Vec::new();
    for argument in arguments {
        first_tokens(argument, &mut all);
        if !argument.optional {
            break;
        }
    }
    all
}

/// How many words an argument took, and what of it can still follow.
struct Fit {
    len: usize,
    rest: Vec<Argument>,
}

fn sequence(arguments: &[Argument], words: &[String]) -> Option<Fit> {
    let mut open: Vec<&Argument> = arguments.iter().collect();
    let mut len = 0;
    while len < words.len() {
        let left = words.get(len..).unwrap_or_default();
        let reach = open.iter().position(|argument| !argument.optional).map_or(open.len(), |at| at + 1);
        // A word that is some argument's own is not taken for a value.
        let fits = |own: bool| {
            let mut reachable = open.iter().enumerate().take(reach);
            reachable.find_map(|(at, argument)| {
                let after = open.get(at + 1..).unwrap_or_default();
                (begins_with_token(argument) == own)
                    .then(|| repeated(argument, left, after))?
                    .map(|fit| (at, fit))
            })
        };
        let Some((at, fit)) = fits(true).or_else(|| fits(false)) else { break };
        len += fit.len;
        // What stands before is passed over: for good when this one had to come, or when that one is known by its place alone.
        let required = open.get(at).is_none_or(|argument| !argument.optional);
        let mut index = 0;
        open.retain(|argument| {
            let before = index < at && (required || !begins_with_token(argument));
            index += 1;
            !before && index - 1 != at
        });
        if !fit.rest.is_empty() {
            let rest = fit.rest.into_iter().chain(open.into_iter().cloned()).collect();
            return Some(Fit { len, rest });
        }
    }
    let satisfied = open.iter().all(|argument| argument.optional);
    (len == words.len() || satisfied).then(|| Fit { len, rest: open.into_iter().cloned().collect() })
}

/// An argument, as often as it comes. `after` is what can follow it.
fn repeated(argument: &Argument, words: &[String], after: &[&Argument]) -> Option<Fit> {
    let mut fit = once(argument, words)?;
    if !argument.multiple {
        return Some(fit);
    }
    let again = Argument {
        token: argument.token.clone().filter(|_| argument.multiple_token),
        optional: false,
        multiple: false,
        ..argument.clone()
    };
    while fit.rest.is_empty() && fit.len < words.len() {
        let left = words.get(fit.len..).unwrap_or_default();
        let is_next = |word: &String| after.iter().any(|argument| is_token_of(argument, word));
        let next = left.first().filter(|word| !is_next(word)).and_then(|_| once(&again, left));
        let Some(next) = next else { break };
        fit = Fit { len: fit.len + next.len, rest: next.rest };
    }
    if fit.rest.is_empty() && fit.len == words.len() {
        let name = format!("{} ...", super::text(std::slice::from_ref(&again)));
        let token = None;
        fit.rest.push(Argument { name, token, kind: Kind::Value, optional: true, ..Argument::default() });
    }
    Some(fit)
}

fn once(argument: &Argument, words: &[String]) -> Option<Fit> {
    let mut len = 0;
    if let Some(token) = &argument.token {
        // Some tokens are two words.
        for part in token.split(' ') {
            match words.get(len) {
                Some(word) if word.eq_ignore_ascii_case(part) => len += 1,
                _ => return None,
            }
        }
    }
    let left = words.get(len..).unwrap_or_default();
    let inner = match &argument.kind {
        Kind::PureToken => Fit { len: 0, rest: Vec::new() },
        _ if left.is_empty() => {
            let missing = Argument { token: None, optional: false, multiple: false, ..argument.clone() };
            Fit { len: 0, rest: vec![missing] }
        }
        Kind::Value => Fit { len: 1, rest: Vec::new() },
        Kind::Block(inner) => {
            let mut fit = sequence(inner, left)?;
            if fit.len < left.len() {
                fit.rest.clear();
            }
            fit
        }
        Kind::OneOf(inner) => {
            let fits = |own: bool| {
                inner.iter().filter(|one| begins_with_token(one) == own).find_map(|one| once(one, left))
            };
            fits(true).or_else(|| fits(false))?
        }
    };
    let len = len + inner.len;
    (len > 0).then_some(Fit { len, rest: inner.rest })
}

fn begins_with_token(argument: &Argument) -> bool {
    let mut all = Vec::new();
    first_tokens(argument, &mut all);
    !all.is_empty()
}

fn is_token_of(argument: &Argument, word: &str) -> bool {
    let mut all = Vec::new();
    first_tokens(argument, &mut all);
    all.iter().any(|token| token.eq_ignore_ascii_case(word))
}

fn first_tokens(argument: &Argument, all: &mut Vec<String>) {
    match (&argument.token, &argument.kind) {
        (Some(token), _) => all.extend(token.split(' ').next().map(str::to_owned)),
        (None, Kind::OneOf(inner)) => inner.iter().for_each(|one| first_tokens(one, all)),
        (None, Kind::Block(inner)) => all.extend(tokens(inner)),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    fn value(name: &str) -> Argument {
        Argument { name: name.to_owned(), ..Argument::default() }
    }

    fn token(token: &str) -> Argument {
        Argument { token: Some(token.to_owned()), kind: Kind::PureToken, ..Argument::default() }
    }

    fn after(token: &str, name: &str) -> Argument {
        Argument { token: Some(token.to_owned()), ..value(name) }
    }

    fn one_of(inner: Vec<Argument>) -> Argument {
        Argument { kind: Kind::OneOf(inner), ..Argument::default() }
    }

    fn block(inner: Vec<Argument>) -> Argument {
        Argument { kind: Kind::Block(inner), ..Argument::default() }
    }

    fn optional(argument: Argument) -> Argument {
        Argument { optional: true, ..argument }
    }

    fn multiple(argument: Argument) -> Argument {
        Argument { multiple: true, ..argument }
    }

    fn set() -> Vec<Argument> {
        let expiry = one_of(vec![after("EX", "seconds"), after("PX", "ms"), token("KEEPTTL")]);
        vec![
            value("key"),
            value("value"),
            optional(one_of(vec![token("NX"), token("XX")])),
            optional(token("GET")),
            optional(expiry),
        ]
    }

    fn check(arguments: &[Argument], cases: &[(&str, Option<&str>)]) {
        for (line, expected) in cases {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found = rest(arguments, &words).map(|rest| text(&rest));
            assert_eq!(found.as_deref(), *expected, "{line:?}");
        }
    }

    #[test]
    fn options_come_in_any_order_and_each_once() {
        let all = "key value [NX|XX] [GET] [EX seconds|PX ms|KEEPTTL]";
        check(
            &set(),
            &[
                ("", Some(all)),
                ("k", Some("value [NX|XX] [GET] [EX seconds|PX ms|KEEPTTL]")),
                ("k v", Some("[NX|XX] [GET] [EX seconds|PX ms|KEEPTTL]")),
                ("k v ex", Some("seconds [NX|XX] [GET]")),
                ("k v EX 10", Some("[NX|XX] [GET]")),
                ("k v EX 10 xx", Some("[GET]")),
                ("k v KEEPTTL get NX", Some("")),
                ("k v NX XX", None),
                ("k v nonsense", None),
            ],
        );
        assert_eq!(tokens(&set()), Vec::<String>::new());
        let options = rest(&set(), &["k".to_owned(), "v".to_owned()]).unwrap();
        assert_eq!(tokens(&options), ["NX", "XX", "GET", "EX", "PX", "KEEPTTL"]);
    }

    #[test]
    fn what_repeats_goes_on_until_something_else_begins() {
        check(&[multiple(value("key"))], &[("", Some("key [key ...]")), ("a b", Some("[key ...]"))]);
        let mset = [multiple(block(vec![value("key"), value("value")]))];
        check(
            &mset,
            &[
                ("", Some("key value [key value ...]")),
                ("a", Some("value")),
                ("a 1", Some("[key value ...]")),
                ("a 1 b", Some("value")),
            ],
        );
        let reload = [
            optional(value("path")),
            optional(multiple(after("OPTS", "key=value"))),
            optional(after("SHA256", "hex")),
        ];
        check(
            &reload,
            &[
                ("", Some("[path] [OPTS key=value [key=value ...]] [SHA256 hex]")),
                ("/x.so", Some("[OPTS key=value [key=value ...]] [SHA256 hex]")),
                ("opts", Some("key=value [SHA256 hex]")),
                ("/x.so opts a=1", Some("[key=value ...] [SHA256 hex]")),
                ("/x.so opts a=1 b=2 sha256 00", Some("")),
            ],
        );
        let get = Argument { multiple_token: true, ..multiple(after("GET", "pattern")) };
        check(
            &[value("key"), optional(get)],
            &[
                ("k", Some("[GET pattern [GET pattern ...]]")),
                ("k GET a", Some("[GET pattern ...]")),
                ("k GET a GET", Some("pattern")),
            ],
        );
    }

    #[test]
    fn an_optional_value_gives_way_to_one_that_must_come() {
        let ping = [optional(value("message"))];
        check(&ping, &[("", Some("[message]")), ("a", Some("")), ("a b", None)]);
        let restricted = [optional(token("NOT")), value("key"), value("field")];
        check(&restricted, &[("not", Some("key field")), ("k", Some("field")), ("k f g", None)]);
    }
}
