//! Syntax: what stands behind a command's name, read from its row in the table: `key value [NX|XX] [EX seconds]`.
//!
//! A word in capitals is itself, any other one is a placeholder. `[…]` may be missing, `a|b` is one of these, `x [x ...]` is one or
//! more. In a group of alternatives that starts with two words in capitals, the first one stands before whichever follows: `[TYPE NORMAL|PUBSUB]`.

use super::{Keys, Spec};

/// One argument, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    /// Its name; of several: theirs.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Kind,
    /// A word that stands before it.
    pub(super) token: Option<String>,
    /// It may be missing.
    pub(super) optional: bool,
    /// There may be more of it.
    pub(super) multiple: bool,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but its token.
    Token,
    /// A word of this type, as `COMMAND DOCS` calls it.
    Word(&'static str),
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

/// A row's syntax that cannot be read: what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError(pub(super) &'static str);

/// The arguments of a command, in their order. Those of a container are its subcommands', and none of its own.
///
/// # Errors
/// The row cannot be read; a test sees to it that all can.
pub(super) fn arguments(spec: &Spec) -> Result<Vec<Argument>, SyntaxError> {
    let tokens = tokens(spec.syntax);
    let mut parser = Parser { tokens: &tokens, next: 0 };
    let mut all = parser.alternatives()?;
    if parser.next < tokens.len() {
        return Err(SyntaxError("a ']' too many"));
    }
    // The first argument is the one behind the name, or behind the subcommand's.
    mark_keys(&mut all, spec.keys, &mut if spec.full_name.contains('|') { 2 } else { 1 });
    Ok(all)
}

impl Argument {
    fn word(name: &str) -> Self {
        let kind = Kind::Word(type_of(name));
        Self { name: name.to_owned(), kind, token: None, optional: false, multiple: false }
    }

    fn token(word: &str) -> Self {
        let token = Some(word.to_owned());
        Self { name: word.to_ascii_lowercase(), kind: Kind::Token, token, optional: false, multiple: false }
    }

    /// Several as one, if they are not one anyway.
    fn of(mut all: Vec<Self>, kind: fn(Vec<Self>) -> Kind) -> Option<Self> {
        match all.len() {
            0 => None,
            1 => all.pop(),
            _ => {
                let names: Vec<&str> = all.iter().map(|one| &*one.name).collect();
                let name = names.join("_");
                Some(Self { name, kind: kind(all), token: None, optional: false, multiple: false })
            }
        }
    }
}

/// The type of a placeholder, by its name.
fn type_of(name: &str) -> &'static str {
    match name {
        "pattern" => "pattern",
        _ if name.starts_with("unix-time") => "unix-time",
        "bit" | "client-id" | "count" | "cursor" | "decrement" | "destination-db" | "end" | "increment"
        | "index" | "milliseconds" | "len" | "numreplicas" | "offset" | "protover" | "seconds" | "start"
        | "timeout" => "integer",
        _ => "string",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    Or,
    Word(&'a str),
}

fn tokens(syntax: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = syntax.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, len) = match first {
            '[' => (Token::Open, 1),
            ']' => (Token::Close, 1),
            '|' => (Token::Or, 1),
            _ => {
                let len = rest.find([' ', '[', ']', '|']).unwrap_or(rest.len());
                (Token::Word(rest.get(..len).unwrap_or_default()), len)
            }
        };
        tokens.push(token);
        rest = rest.get(len..).unwrap_or_default().trim_start();
    }
    tokens
}

fn is_capital(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase()) && word == word.to_ascii_uppercase()
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.next + ahead).copied()
    }

    fn capital(&self, ahead: usize) -> Option<&'a str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) if is_capital(word) => Some(word),
            _ => None,
        }
    }

    /// Up to the end of the group: sequences between `|`. As many arguments as there are, where there is only one.
    fn alternatives(&mut self) -> Result<Vec<Argument>, SyntaxError> {
        let before = match (self.capital(0), self.capital(1), self.has_or()) {
            (Some(token), Some(_), true) => {
                self.next += 1;
                Some(token.to_owned())
            }
            _ => None,
        };
        let mut all = vec![self.sequence()?];
        while self.peek(0) == Some(Token::Or) {
            self.next += 1;
            all.push(self.sequence()?);
        }
        if all.len() == 1 {
            return Ok(all.pop().unwrap_or_default());
        }
        let alternatives: Option<Vec<Argument>> =
            all.into_iter().map(|sequence| Argument::of(sequence, Kind::Block)).collect();
        let alternatives = alternatives.ok_or(SyntaxError("an alternative of nothing"))?;
        let one = Argument::of(alternatives, Kind::OneOf).ok_or(SyntaxError("no alternative"))?;
        Ok(vec![Argument { token: before, ..one }])
    }

    /// Whether there is a `|` in this group, and not only in one inside of it.
    fn has_or(&self) -> bool {
        let mut depth = 0;
        for token in self.tokens.iter().skip(self.next) {
            match token {
                Token::Open => depth += 1,
                Token::Close if depth == 0 => return false,
                Token::Close => depth -= 1,
                Token::Or if depth == 0 => return true,
                _ => {}
            }
        }
        false
    }

    fn sequence(&mut self) -> Result<Vec<Argument>, SyntaxError> {
        let mut all: Vec<Argument> = Vec::new();
        loop {
            match self.peek(0) {
                None | Some(Token::Close | Token::Or) => return Ok(all),
                Some(Token::Open) => self.group(&mut all)?,
                Some(Token::Word("...")) => return Err(SyntaxError("'...' outside of brackets")),
                Some(Token::Word(word)) => {
                    self.next += 1;
                    all.push(if is_capital(word) { self.after(word)? } else { Argument::word(word) });
                }
            }
        }
    }

    /// A word in capitals with the placeholders behind it, if there are any.
    fn after(&mut self, token: &str) -> Result<Argument, SyntaxError> {
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.peek(0) {
            if is_capital(word) || word == "..." {
                break;
            }
            self.next += 1;
            words.push(Argument::word(word));
        }
        Ok(match Argument::of(words, Kind::Block) {
            None => Argument::token(token),
            Some(argument) => Argument { token: Some(token.to_owned()), ..argument },
        })
    }

    /// `[…]`: what may be missing, or, if it ends with `...`, more of what stands before it.
    fn group(&mut self, before: &mut Vec<Argument>) -> Result<(), SyntaxError> {
        self.next += 1;
        let rest = self.tokens.get(self.next..).unwrap_or_default();
        let words = rest.iter().take_while(|token| matches!(token, Token::Word(_))).count();
        let again = words > 1 && rest.get(words - 1) == Some(&Token::Word("..."));
        if again && rest.get(words) == Some(&Token::Close) {
            self.next += words + 1;
            return repeat(before, words - 1);
        }
        let inside = Argument::of(self.alternatives()?, Kind::Block).ok_or(SyntaxError("empty brackets"))?;
        if self.peek(0) != Some(Token::Close) {
            return Err(SyntaxError("a ']' too few"));
        }
        self.next += 1;
        before.push(Argument { optional: true, ..inside });
        Ok(())
    }
}

/// There may be more of the last `words` words.
fn repeat(before: &mut Vec<Argument>, words: usize) -> Result<(), SyntaxError> {
    let error = SyntaxError("'...' repeats what does not stand before it");
    if words == 1 {
        before.last_mut().ok_or(error)?.multiple = true;
        return Ok(());
    }
    let at = before.len().checked_sub(words).ok_or(error)?;
    let block = Argument::of(before.split_off(at), Kind::Block).ok_or(error)?;
    before.push(Argument { multiple: true, ..block });
    Ok(())
}

/// Says of the words that are keys that they are; `place` is that of the next one in a request.
fn mark_keys(all: &mut [Argument], keys: Keys, place: &mut i32) {
    let Keys(first, last, step) = keys;
    for argument in all {
        match &mut argument.kind {
            Kind::Block(inside) => mark_keys(inside, keys, place),
            Kind::Word(kind) => {
                let in_range = *place >= first && (last < 0 || *place <= last);
                if first > 0 && in_range && (*place - first) % step.max(1) == 0 && argument.token.is_none() {
                    *kind = "key";
                }
                *place += 1;
            }
            // No key stands behind what may be several things.
            Kind::Token | Kind::OneOf(_) => *place = i32::MAX / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Argument, Kind, SyntaxError, arguments};
    use crate::command::{Handler, Spec, table};

    /// As redis-cli shows it.
    fn shown(all: &[Argument]) -> String {
        all.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn one(argument: &Argument) -> String {
        let inside = match &argument.kind {
            Kind::Token => String::new(),
            Kind::Word(kind) => format!("{}:{kind}", argument.name),
            Kind::OneOf(all) => all.iter().map(one).collect::<Vec<_>>().join("|"),
            Kind::Block(all) => shown(all),
        };
        let token = argument.token.iter().cloned();
        let mut text: String =
            token.chain([inside].into_iter().filter(|text| !text.is_empty())).collect::<Vec<_>>().join(" ");
        if argument.multiple {
            text = format!("{text} [...]");
        }
        if argument.optional { format!("[{text}]") } else { text }
    }

    fn of(name: &[u8]) -> String {
        shown(&arguments(table::find_full(name).unwrap()).unwrap())
    }

    #[test]
    fn rows_are_read_as_they_are_meant() {
        for (name, text) in [
            ("get", "key:key"),
            ("mset", "key:key value:string [...]"),
            ("del", "key:key [...]"),
            ("info", "[section:string [...]]"),
            (
                "set",
                "key:key value:string [NX|XX|IFEQ comparison-value:string] [GET] [EX seconds:integer|PX milliseconds:integer|\
                 EXAT unix-time-seconds:unix-time|PXAT unix-time-milliseconds:unix-time|KEEPTTL]",
            ),
            ("auth", "[username:string] password:string"),
            (
                "hello",
                "[protover:integer [AUTH username:string password:string] [SETNAME clientname:string]]",
            ),
            ("scan", "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [TYPE type:string]"),
            (
                "command|list",
                "[FILTERBY MODULE module-name:string|ACLCAT category:string|PATTERN pattern:pattern]",
            ),
            ("client|list", "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id:integer [...]]"),
            ("config|set", "parameter:string value:string [...]"),
            ("client|setinfo", "LIB-NAME libname:string|LIB-VER libver:string"),
            ("time", ""),
        ] {
            assert_eq!(of(name.as_bytes()), text, "{name}");
        }
    }

    #[test]
    fn names_of_several_are_theirs() {
        let all = arguments(table::find(b"expire").unwrap()).unwrap();
        assert_eq!((&*all[2].name, all[2].kind.clone().first()), ("nx_xx_gt_lt", Argument::token("NX")));
        let all = arguments(table::find(b"set").unwrap()).unwrap();
        assert_eq!(all[3], Argument { optional: true, ..Argument::token("GET") });
    }

    impl Argument {
        /// How many words it is at least, if it is not left out.
        fn words_min(&self) -> usize {
            let inside = match &self.kind {
                Kind::Token => 0,
                Kind::Word(_) => 1,
                Kind::OneOf(all) => all.iter().map(Self::words_min).min().unwrap_or(0),
                // Of parts that may all be missing, one has to be there.
                Kind::Block(all) if all.iter().all(|one| one.optional) => {
                    all.iter().map(Self::words_min).min().unwrap_or(0)
                }
                Kind::Block(all) => all.iter().filter(|one| !one.optional).map(Self::words_min).sum(),
            };
            inside + usize::from(self.token.is_some())
        }
    }

    impl Kind {
        fn first(self) -> Argument {
            match self {
                Self::OneOf(mut all) | Self::Block(mut all) => all.remove(0),
                Self::Token | Self::Word(_) => panic!("has no parts"),
            }
        }
    }

    /// The row says twice how many arguments there are.
    #[test]
    fn every_syntax_agrees_with_its_arity() {
        let open = |all: &[Argument]| all.iter().any(|one| one.optional || one.multiple);
        for spec in table::all().filter(|spec| !matches!(spec.handler, Handler::Container)) {
            let Spec { full_name, arity, .. } = spec;
            let all = arguments(spec).unwrap_or_else(|error| panic!("{full_name}: {error:?}"));
            let names = full_name.split('|').count();
            let min: usize = all.iter().filter(|one| !one.optional).map(Argument::words_min).sum();
            assert_eq!(names + min, arity.unsigned_abs() as usize, "{full_name}: {}", shown(&all));
            assert!(*arity < 0 || !open(&all), "{full_name} takes any number of arguments");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (syntax, error) in [
            ("a ]", "a ']' too many"),
            ("[a", "a ']' too few"),
            ("[]", "empty brackets"),
            ("a ...", "'...' outside of brackets"),
            ("[a ...]", "'...' repeats what does not stand before it"),
            ("A||B", "an alternative of nothing"),
        ] {
            let spec = Spec { syntax, ..copy_of(table::find(b"ping").unwrap()) };
            assert_eq!(arguments(&spec), Err(SyntaxError(error)), "{syntax}");
        }
    }

    fn copy_of(spec: &Spec) -> Spec {
        Spec { ..*spec }
    }
}
