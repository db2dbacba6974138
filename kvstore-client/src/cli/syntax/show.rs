//! Show: arguments as people write them down: `key value [NX|XX] [EX seconds]`.

use super::{Argument, Entry, Kind};

/// The arguments, one after the other.
pub(crate) fn text(arguments: &[Argument]) -> String {
    arguments.iter().map(argument).collect::<Vec<_>>().join(" ")
}

/// The subcommands of a command, as a choice.
pub(crate) fn subcommands_text(entry: &Entry) -> String {
    entry.subcommands.keys().map(|name| name.to_uppercase()).collect::<Vec<_>>().join("|")
}

fn argument(argument: &Argument) -> String {
    let once = once(argument);
    let text = match &argument.token {
        _ if !argument.multiple => once,
        // `GET pattern [GET pattern ...]` or `OPTS option [option ...]`
        Some(_) if argument.multiple_token => format!("{once} [{once} ...]"),
        Some(_) => format!("{once} [{} ...]", bare(argument)),
        None => format!("{once} [{once} ...]"),
    };
    if argument.optional { format!("[{text}]") } else { text }
}

fn once(argument: &Argument) -> String {
    match (&argument.token, &argument.kind) {
        (Some(token), Kind::PureToken) => token.clone(),
        (Some(token), _) => format!("{token} {}", bare(argument)),
        (None, _) => bare(argument),
    }
}

fn bare(argument: &Argument) -> String {
    match &argument.kind {
        Kind::Value | Kind::PureToken => argument.name.clone(),
        Kind::Block(inner) => text(inner),
        Kind::OneOf(inner) => {
            let choice = inner.iter().map(self::argument).collect::<Vec<_>>().join("|");
            // Outside of brackets, a choice needs some of its own.
            if argument.optional && argument.token.is_none() && !argument.multiple {
                choice
            } else {
                format!("<{choice}>")
            }
        }
    }
}
