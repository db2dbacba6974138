//! COMMAND: what commands there are, as the table has it.

use super::table::{self, COMMANDS};
use super::{Error, Keys, Session, Spec, container};
use crate::glob::{Case, matches};
use crate::protocol::{Request, Value};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS =
    "count"    2 NO_KEYS [loading stale] [connection] server "2.8.13" "Get total number of Redis commands" => Session(count);
    "docs"    -2 NO_KEYS [loading stale] [connection] server "7.0.0"  "Get array of specific Redis command documentation" => Session(docs);
    "getkeys" -4 NO_KEYS [loading stale] [connection] server "2.8.13" "Extract keys given a full Redis command" => Session(getkeys);
    "info"    -2 NO_KEYS [loading stale] [connection] server "2.8.13" "Get array of specific Redis command details, or all when no argument is given." => Session(info);
    "list"    -2 NO_KEYS [loading stale] [connection] server "7.0.0"  "Get an array of Redis command names" => Session(list);
    "help"     2 NO_KEYS [loading stale] [connection] server "5.0.0"  "Show helpful text about the different subcommands" => Session(help);
}

pub(super) fn run(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    if request.len() == 1 {
        return Ok(Value::Array(COMMANDS.iter().map(|spec| details(spec, None)).collect()));
    }
    container::run("command", SUBCOMMANDS, session, server, request)
}

fn count(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(COMMANDS.len() as i64))
}

/// The command of that name, and the one it belongs to for a subcommand, whose name is behind a bar.
fn find(name: &[u8]) -> Option<(&'static Spec, Option<&'static Spec>)> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let command = table::find(parts.next()?)?;
    match parts.next() {
        None => Some((command, None)),
        Some(subcommand) => Some((command.subcommand(subcommand)?, Some(command))),
    }
}

fn full_name(spec: &Spec, container: Option<&Spec>) -> String {
    container.map_or_else(|| spec.name.to_owned(), |container| format!("{}|{}", container.name, spec.name))
}

fn statuses(names: impl IntoIterator<Item = String>) -> Value {
    Value::Set(names.into_iter().map(|name| Value::Simple(name.into())).collect())
}

/// A command in ten elements.
fn details(spec: &'static Spec, container: Option<&'static Spec>) -> Value {
    let Keys(first, last, step) = spec.keys;
    let subcommands = spec.subcommands.iter().map(|subcommand| details(subcommand, Some(spec)));
    Value::Array(vec![
        Value::text(full_name(spec, container)),
        Value::Integer(spec.arity.into()),
        statuses(spec.flags.iter().map(|&flag| flag.to_owned())),
        Value::Integer(first.into()),
        Value::Integer(last.into()),
        Value::Integer(step.into()),
        statuses(categories(spec).into_iter().map(|category| format!("@{category}"))),
        // Tips: none is given.
        Value::Array(Vec::new()),
        Value::Array(key_places(spec).into_iter().collect()),
        Value::Array(subcommands.collect()),
    ])
}

/// The categories of access rules that a command is in.
fn categories(spec: &Spec) -> Vec<&'static str> {
    let has = |flag| spec.flags.contains(&flag);
    let mut categories = spec.categories.to_vec();
    categories.extend(has("write").then_some("write"));
    categories.extend(has("readonly").then_some("read"));
    categories.push(if has("fast") { "fast" } else { "slow" });
    if has("admin") {
        categories.extend(["admin", "dangerous"]);
    }
    categories
}

/// Where the keys are, as newer clients read it.
fn key_places(spec: &Spec) -> Option<Value> {
    let Keys(first, last, step) = spec.keys;
    let number = |number: i32| Value::Integer(number.into());
    let map = |pairs: Vec<(&'static str, Value)>| {
        Value::Map(pairs.into_iter().map(|(key, value)| (Value::text(key), value)).collect())
    };
    let flags: &[&str] = if spec.writes() { &["RW", "access", "update"] } else { &["RO", "access"] };
    // Behind the first key when that is where it counts from, else from the end.
    let last = if last < 0 { last } else { last - first };
    (first != 0).then(|| {
        map(vec![
            ("flags", statuses(flags.iter().map(|&flag| flag.to_owned()))),
            (
                "begin_search",
                map(vec![("type", Value::text("index")), ("spec", map(vec![("index", number(first))]))]),
            ),
            (
                "find_keys",
                map(vec![
                    ("type", Value::text("range")),
                    (
                        "spec",
                        map(vec![("lastkey", number(last)), ("keystep", number(step)), ("limit", number(0))]),
                    ),
                ]),
            ),
        ])
    })
}

fn info(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    if request.len() == 2 {
        return Ok(Value::Array(COMMANDS.iter().map(|spec| details(spec, None)).collect()));
    }
    let one = |name| find(name).map_or(Value::NullArray, |(spec, container)| details(spec, container));
    Ok(Value::Array(request.skip(2).iter().map(one).collect()))
}

fn docs(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    if request.len() == 2 {
        return Ok(Value::Map(COMMANDS.iter().map(|spec| doc(spec, None)).collect()));
    }
    let found = request.skip(2).iter().filter_map(find);
    Ok(Value::Map(found.map(|(spec, container)| doc(spec, container)).collect()))
}

fn doc(spec: &'static Spec, container: Option<&'static Spec>) -> (Value, Value) {
    let mut fields = vec![
        (Value::text("summary"), Value::text(spec.summary)),
        (Value::text("since"), Value::text(spec.since)),
        (Value::text("group"), Value::text(spec.group)),
    ];
    if !spec.subcommands.is_empty() {
        let subcommands = spec.subcommands.iter().map(|subcommand| doc(subcommand, Some(spec)));
        fields.push((Value::text("subcommands"), Value::Map(subcommands.collect())));
    }
    (Value::text(full_name(spec, container)), Value::Map(fields))
}

fn getkeys(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let asked = request.skip(2);
    let spec = table::find(asked.name()).ok_or(Error::new("ERR Invalid command specified"))?;
    if spec.keys == Keys::NO_KEYS {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if spec.check_arity(asked).is_err() {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    Ok(Value::Array(spec.keys_of(asked).map(|key| Value::Bulk(key.to_vec())).collect()))
}

fn list(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let names =
        |specs: Vec<&Spec>| Ok(Value::Array(specs.iter().map(|spec| Value::text(spec.name)).collect()));
    if request.len() == 2 {
        return names(COMMANDS.iter().collect());
    }
    let is = |arg, name: &[u8]| request.get(arg).is_some_and(|arg| arg.eq_ignore_ascii_case(name));
    let (true, Some(filter)) = (is(2, b"FILTERBY") && request.len() == 5, request.get(4)) else {
        return Err(Error::SYNTAX);
    };
    if is(3, b"MODULE") {
        names(Vec::new())
    } else if is(3, b"ACLCAT") {
        let in_it = |spec: &&Spec| {
            categories(spec).iter().any(|category| category.as_bytes().eq_ignore_ascii_case(filter))
        };
        names(COMMANDS.iter().filter(in_it).collect())
    } else if is(3, b"PATTERN") {
        let mut found = Vec::new();
        for spec in COMMANDS {
            let matched = matches(filter, spec.name.as_bytes(), Case::Insensitive);
            if matched.map_err(|error| Error::text(format!("ERR {error}")))? {
                found.push(spec);
            }
        }
        names(found)
    } else {
        Err(Error::SYNTAX)
    }
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "command",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
        ],
    ))
}
