//! COMMAND: what commands there are, as the table has it.

use super::syntax::{self, Argument, Kind};
use super::table::{self, COMMANDS};
use super::{Error, Keys, Session, Spec, container};
use crate::glob::{Case, matches};
use crate::protocol::{Request, Value};
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "command" =
    "count"    2 NO_KEYS [loading stale] [connection] server "2.8.13" "Get total number of Redis commands" "" => Session(count);
    "docs"    -2 NO_KEYS [loading stale] [connection] server "7.0.0"  "Get array of specific Redis command documentation" "[command-name [command-name ...]]" => Session(docs);
    "getkeys" -4 NO_KEYS [loading stale] [connection] server "2.8.13" "Extract keys given a full Redis command" "command arg [arg ...]" => Session(getkeys);
    "getkeysandflags" -4 NO_KEYS [loading stale] [connection] server "7.0.0" "Extract keys and access flags given a full Redis command" "command arg [arg ...]" => Session(getkeysandflags);
    "info"    -2 NO_KEYS [loading stale] [connection] server "2.8.13" "Get array of specific Redis command details, or all when no argument is given." "[command-name [command-name ...]]" => Session(info);
    "list"    -2 NO_KEYS [loading stale] [connection] server "7.0.0"  "Get an array of Redis command names" "[FILTERBY MODULE module-name|ACLCAT category|PATTERN pattern]" => Session(list);
    "help"     2 NO_KEYS [loading stale] [connection] server "5.0.0"  "Show helpful text about the different subcommands" "" => Session(help);
}

/// COMMAND alone.
pub(super) fn command(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Array(COMMANDS.iter().map(details).collect()))
}

fn count(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(COMMANDS.len() as i64))
}

fn statuses(names: impl IntoIterator<Item = String>) -> Value {
    Value::Set(names.into_iter().map(|name| Value::Simple(name.into())).collect())
}

/// A command in ten elements.
fn details(spec: &'static Spec) -> Value {
    let Keys(first, last, step) = spec.keys;
    let subcommands = spec.subcommands.iter().map(details);
    Value::Array(vec![
        Value::text(spec.full_name),
        Value::Integer(spec.arity.into()),
        statuses(spec.flags.iter().map(|&flag| flag.to_owned())),
        Value::Integer(first.into()),
        Value::Integer(last.into()),
        Value::Integer(step.into()),
        statuses(categories(spec).map(|category| format!("@{category}"))),
        // Tips: none is given.
        Value::Array(Vec::new()),
        Value::Array(key_places(spec)),
        Value::Array(subcommands.collect()),
    ])
}

/// All categories of access rules that there are commands in, in Redis' order.
const CATEGORIES: [&str; 13] = [
    "keyspace",
    "read",
    "write",
    "string",
    "bitmap",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The categories of access rules that a command is in.
fn categories(spec: &Spec) -> impl Iterator<Item = &'static str> {
    let has = |flag| spec.flags.contains(&flag);
    CATEGORIES.into_iter().filter(move |&category| match category {
        "read" => has("readonly"),
        "slow" => !has("fast"),
        "dangerous" if has("admin") => true,
        "write" | "fast" => has(category),
        "admin" if has("admin") => true,
        category => spec.categories.contains(&category),
    })
}

/// Where the keys are, as newer clients read it: one specification for all that are used in the same way.
fn key_places(spec: &Spec) -> Vec<Value> {
    let Keys(first, last, step) = spec.keys;
    // Behind the first key when that is where it counts from, else from the end.
    let behind = if last < 0 { last } else { last - first };
    match first {
        0 => Vec::new(),
        _ if spec.keys_differ() => (first..=last)
            .step_by(usize::try_from(step).unwrap_or(1).max(1))
            .enumerate()
            .map(|(index, place)| key_place(spec.access(index), place, 0, 1))
            .collect(),
        _ => vec![key_place(spec.access(0), first, behind, step)],
    }
}

fn key_place(access: &[&'static str], first: i32, last: i32, step: i32) -> Value {
    let number = |number: i32| Value::Integer(number.into());
    let find = vec![("lastkey", number(last)), ("keystep", number(step)), ("limit", number(0))];
    map(vec![
        ("flags", statuses(access.iter().map(|&flag| flag.to_owned()))),
        (
            "begin_search",
            map(vec![("type", Value::text("index")), ("spec", map(vec![("index", number(first))]))]),
        ),
        ("find_keys", map(vec![("type", Value::text("range")), ("spec", map(find))])),
    ])
}

fn map(pairs: Vec<(&'static str, Value)>) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (Value::text(key), value)).collect())
}

fn info(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    if request.len() == 2 {
        return Ok(Value::Array(COMMANDS.iter().map(details).collect()));
    }
    let one = |name| table::find_full(name).map_or(Value::Null, details);
    Ok(Value::Array(request.skip(2).iter().map(one).collect()))
}

fn docs(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    if request.len() == 2 {
        return Ok(Value::Map(COMMANDS.iter().map(doc).collect()));
    }
    let found = request.skip(2).iter().filter_map(table::find_full);
    Ok(Value::Map(found.map(doc).collect()))
}

fn doc(spec: &'static Spec) -> (Value, Value) {
    let mut fields = vec![
        ("summary", Value::text(spec.summary)),
        ("since", Value::text(spec.since)),
        ("group", Value::text(spec.group)),
    ];
    let arguments = syntax::arguments(spec).unwrap_or_default();
    if !arguments.is_empty() {
        fields.push(("arguments", Value::Array(arguments.into_iter().map(argument).collect())));
    }
    if !spec.subcommands.is_empty() {
        fields.push(("subcommands", Value::Map(spec.subcommands.iter().map(doc).collect())));
    }
    (Value::text(spec.full_name), map(fields))
}

fn argument(argument: Argument) -> Value {
    let Argument { name, kind, token, optional, multiple } = argument;
    let (kind, inside) = match kind {
        Kind::Token => ("pure-token", Vec::new()),
        Kind::Word(kind) => (kind, Vec::new()),
        Kind::OneOf(inside) => ("oneof", inside),
        Kind::Block(inside) => ("block", inside),
    };
    let mut fields = vec![("name", Value::text(name)), ("type", Value::text(kind))];
    if kind == "key" {
        fields.push(("key_spec_index", Value::Integer(0)));
    }
    fields.extend(token.map(|token| ("token", Value::text(token))));
    let flags = [("optional", optional), ("multiple", multiple)];
    let flags: Vec<String> =
        flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).to_owned()).collect();
    if !flags.is_empty() {
        fields.push(("flags", statuses(flags)));
    }
    if !inside.is_empty() {
        fields.push(("arguments", Value::Array(inside.into_iter().map(self::argument).collect())));
    }
    map(fields)
}

/// The command that stands behind COMMAND GETKEYS, which has keys.
fn asked(request: Request<'_>) -> Result<(&'static Spec, Request<'_>), Error> {
    let asked = request.skip(2);
    let spec = table::resolve(asked).map_err(|_| Error::new("ERR Invalid command specified"))?;
    if spec.keys == Keys::NO_KEYS {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if spec.check_arity(asked).is_err() {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    Ok((spec, asked))
}

fn getkeys(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let (spec, asked) = asked(request)?;
    Ok(Value::Array(spec.keys_of(asked).map(|key| Value::Bulk(key.to_vec())).collect()))
}

fn getkeysandflags(_: &mut Session, _: &Server, request: Request<'_>) -> Result<Value, Error> {
    let (spec, asked) = asked(request)?;
    let one = |(index, key): (usize, &[u8])| {
        let mut access = spec.access(index);
        // SET looks at what was there when it is asked to.
        if access.contains(&"variable_flags") {
            let is = |option: &[u8], name: &[u8]| option.eq_ignore_ascii_case(name);
            let reads = asked.skip(3).iter().any(|option| is(option, b"GET") || is(option, b"IFEQ"));
            access = if reads { &["RW", "access", "update"] } else { &["OW", "update"] };
        }
        let flags = statuses(access.iter().map(|&flag| flag.to_owned()));
        Value::Array(vec![Value::Bulk(key.to_vec()), flags])
    };
    Ok(Value::Array(spec.keys_of(asked).enumerate().map(one).collect()))
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
        let in_it =
            |spec: &&Spec| categories(spec).any(|category| category.as_bytes().eq_ignore_ascii_case(filter));
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
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::COMMANDS;
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        expect(&[
            ("COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP."),
            ("COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command"),
            ("COMMAND GETKEYS foo", "-ERR wrong number of arguments for 'command|getkeys' command"),
            ("COMMAND GETKEYS foo x", "-ERR Invalid command specified"),
            ("COMMAND GETKEYS PING a", "-ERR The command has no key arguments"),
            ("COMMAND GETKEYS CLIENT ID", "-ERR The command has no key arguments"),
            ("COMMAND GETKEYS CLIENT k5", "-ERR Invalid command specified"),
            ("COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command"),
            ("COMMAND GETKEYS GET a", "*1 $1 a"),
            ("COMMAND GETKEYS SET k v EX 1", "*1 $1 k"),
            ("COMMAND GETKEYS DEL a b c", "*3 $1 a $1 b $1 c"),
            ("COMMAND GETKEYS MSET a 1 b 2", "*2 $1 a $1 b"),
            ("COMMAND GETKEYS MSET a 1 b", "*2 $1 a $1 b"),
            ("COMMAND GETKEYSANDFLAGS GET a", "*1 *2 $1 a *2 +RO +access"),
            ("COMMAND GETKEYSANDFLAGS SET a b", "*1 *2 $1 a *2 +OW +update"),
            ("COMMAND GETKEYSANDFLAGS SET a b EX 1 get", "*1 *2 $1 a *3 +RW +access +update"),
            ("COMMAND GETKEYSANDFLAGS DEL a b", "*2 *2 $1 a *2 +RM +delete *2 $1 b *2 +RM +delete"),
            ("COMMAND GETKEYSANDFLAGS PING a", "-ERR The command has no key arguments"),
            ("COMMAND INFO nosuch", "*1 $-1"),
            (
                "COMMAND INFO get",
                "*1 *10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 $5 flags *2 +RO \
                 +access $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range \
                 $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0",
            ),
            (
                "COMMAND INFO CONFIG|GET",
                "*1 *10 $10 config|get :-3 *4 +admin +noscript +loading +stale :0 :0 :0 *3 +@admin +@slow +@dangerous \
                 *0 *0 *0",
            ),
            ("COMMAND INFO get|x", "*1 $-1"),
            ("COMMAND DOCS nosuch", "*0"),
            ("COMMAND LIST foo", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY foo x", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY MODULE foo", "*0"),
            ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0"),
            ("COMMAND LIST FILTERBY PATTERN SETE?", "*1 $5 setex"),
        ]);
    }

    #[test]
    fn the_table_is_told_in_full() {
        let mut rig = Rig::new();
        let count = COMMANDS.len();
        assert_eq!(rig.run("COMMAND COUNT"), format!(":{count}"));
        assert!(rig.run("COMMAND").starts_with(&format!("*{count} *10 $6 append :3 ")));
        assert_eq!(rig.run("COMMAND"), rig.run("COMMAND INFO"));
        assert!(rig.run("COMMAND LIST").starts_with(&format!("*{count} $6 append $4 auth ")));
        assert!(rig.run("COMMAND DOCS").starts_with(&format!("*{} $6 append *8 $7 summary ", 2 * count)));
        rig.expect(&[
            (
                "COMMAND DOCS expire",
                "*2 $6 expire *8 $7 summary $35 Set a key's time to live in seconds $5 since $5 1.0.0 $5 group $7 generic \
                 $9 arguments *3 *6 $4 name $3 key $4 type $3 key $14 key_spec_index :0 \
                 *4 $4 name $7 seconds $4 type $7 integer \
                 *8 $4 name $11 nx_xx_gt_lt $4 type $5 oneof $5 flags *1 +optional $9 arguments *4 \
                 *6 $4 name $2 nx $4 type $10 pure-token $5 token $2 NX \
                 *6 $4 name $2 xx $4 type $10 pure-token $5 token $2 XX \
                 *6 $4 name $2 gt $4 type $10 pure-token $5 token $2 GT \
                 *6 $4 name $2 lt $4 type $10 pure-token $5 token $2 LT",
            ),
            (
                "COMMAND DOCS client|id",
                "*2 $9 client|id *6 $7 summary $48 Returns the client ID for the current connection $5 since $5 5.0.0 \
                 $5 group $10 connection",
            ),
            ("COMMAND LIST FILTERBY ACLCAT transaction", "*5 $7 discard $4 exec $5 multi $7 unwatch $5 watch"),
        ]);
        assert!(rig.run("COMMAND INFO mset").contains("$7 lastkey :-1 $7 keystep :2 "));
        assert!(rig.run("COMMAND INFO client").contains(" *10 $9 client|id "));
        rig.run("HELLO 3");
        assert!(rig.run("COMMAND DOCS get").starts_with("%1 $3 get %4 $7 summary "));
        assert!(rig.run("COMMAND INFO get").starts_with("*1 *10 $3 get :2 ~2 +readonly +fast "));
    }
}
