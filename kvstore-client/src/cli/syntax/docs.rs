//! Docs: reads the catalogue from the reply to COMMAND DOCS, or from COMMAND where a host has no DOCS.

use super::{Argument, Catalogue, Entry, Kind};
use kvstore_client::{Client, Error, Value};

/// Arguments lie this deep in each other at most; what is deeper is nobody's syntax.
const DEPTH_MAX: usize = 16;

impl Catalogue {
    /// Asks the host. One that tells nothing is a host without help, not a failure.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn ask(client: &mut Client) -> Result<Self, Error> {
        match client.call_repeatable(&["COMMAND", "DOCS"]) {
            Ok(reply) => return Ok(Self::from_docs(reply)),
            Err(Error::Reply(_)) => {}
            Err(error) => return Err(error),
        }
        // Redis before 7 tells the names alone.
        match client.call_repeatable(&["COMMAND"]) {
            Ok(reply) => Ok(Self::from_names(reply)),
            Err(Error::Reply(_)) => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn from_docs(reply: Value) -> Self {
        let commands = pairs(reply).into_iter().map(|(name, docs)| (name.to_lowercase(), entry(docs, 0)));
        Self { commands: commands.collect() }
    }

    fn from_names(reply: Value) -> Self {
        let name = |command: Value| command.into_elements()?.into_iter().next()?.into_bytes();
        let commands = reply.into_elements().unwrap_or_default().into_iter().filter_map(name);
        let commands = commands.map(|name| (String::from_utf8_lossy(&name).to_lowercase(), Entry::default()));
        Self { commands: commands.collect() }
    }
}

/// The members of a map, or of the flat array that stands for one in RESP2.
fn pairs(value: Value) -> Vec<(String, Value)> {
    match value.without_attributes() {
        Value::Map(pairs) => pairs.into_iter().map(|(name, value)| (string(name), value)).collect(),
        Value::Array(flat) => {
            let mut values = flat.into_iter();
            let pair = || Some((string(values.next()?), values.next()?));
            std::iter::from_fn(pair).collect()
        }
        _ => Vec::new(),
    }
}

fn string(value: Value) -> String {
    String::from_utf8_lossy(&value.into_bytes().unwrap_or_default()).into_owned()
}

fn entry(docs: Value, depth: usize) -> Entry {
    let mut entry = Entry::default();
    if depth > DEPTH_MAX {
        return entry;
    }
    for (name, value) in pairs(docs) {
        match name.as_str() {
            "summary" => entry.summary = string(value),
            "since" => entry.since = string(value),
            "group" => entry.group = string(value),
            "arguments" => entry.arguments = arguments(value, depth + 1),
            "subcommands" => {
                entry.subcommands = pairs(value)
                    .into_iter()
                    .map(|(name, docs)| {
                        let own = name.rsplit('|').next().unwrap_or_default().to_lowercase();
                        (own, self::entry(docs, depth + 1))
                    })
                    .collect();
            }
            _ => {}
        }
    }
    entry
}

fn arguments(value: Value, depth: usize) -> Vec<Argument> {
    if depth > DEPTH_MAX {
        return Vec::new();
    }
    value.into_elements().unwrap_or_default().into_iter().map(|docs| argument(docs, depth)).collect()
}

fn argument(docs: Value, depth: usize) -> Argument {
    let mut argument = Argument::default();
    let (mut kind, mut inner, mut shown) = (String::new(), Vec::new(), None);
    for (name, value) in pairs(docs) {
        match name.as_str() {
            "name" => argument.name = string(value),
            "display_text" | "display" => shown = Some(string(value)),
            "token" => argument.token = Some(string(value)).filter(|token| !token.is_empty()),
            "type" => kind = string(value),
            "arguments" => inner = arguments(value, depth + 1),
            "flags" => {
                for flag in value.into_elements().unwrap_or_default().into_iter().map(string) {
                    argument.optional |= flag == "optional";
                    argument.multiple |= flag == "multiple" || flag == "multiple_token";
                    argument.multiple_token |= flag == "multiple_token";
                }
            }
            _ => {}
        }
    }
    argument.kind = match kind.as_str() {
        "pure-token" => Kind::PureToken,
        "oneof" => Kind::OneOf(inner),
        "block" => Kind::Block(inner),
        _ => Kind::Value,
    };
    argument.name = shown.filter(|shown| !shown.is_empty()).unwrap_or(argument.name);
    argument
}
