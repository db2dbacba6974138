//! PUBSUB: which channels are listened to, and by how many.

use std::sync::Arc;

use super::{Error, Session, container};
use crate::glob::{Case, matches};
use crate::protocol::{Request, Value};
use crate::pubsub::Channels;
use crate::server::Server;

super::table::commands! { pub(super) static SUBCOMMANDS of "pubsub" =
    "channels"     -2 NO_KEYS [pubsub loading stale] [pubsub] pubsub "2.8.0" "List active channels" "[pattern]" => Session(channels);
    "numpat"        2 NO_KEYS [pubsub loading stale] [pubsub] pubsub "2.8.0" "Get the count of unique patterns pattern subscriptions" "" => Session(numpat);
    "numsub"       -2 NO_KEYS [pubsub loading stale] [pubsub] pubsub "2.8.0" "Get the count of subscribers for channels" "[channel [channel ...]]" => Session(numsub);
    "shardchannels" -2 NO_KEYS [pubsub loading stale] [pubsub] pubsub "7.0.0" "List active shard channels" "[pattern]" => Session(shardchannels);
    "shardnumsub"  -2 NO_KEYS [pubsub loading stale] [pubsub] pubsub "7.0.0" "Get the count of subscribers for shard channels" "[shardchannel [shardchannel ...]]" => Session(shardnumsub);
    "help"          2 NO_KEYS [loading stale]        []       pubsub "6.2.0" "Show helpful text about the different subcommands" "" => Session(help);
}

fn channels(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    names(&server.pubsub.channels, request)
}

fn shardchannels(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    names(&server.pubsub.shard_channels, request)
}

fn names(channels: &Channels, request: Request<'_>) -> Result<Value, Error> {
    let mut names = channels.names();
    match (request.get(2), request.len()) {
        (None, _) => {}
        (Some(pattern), 3) => {
            let mut found: Vec<Arc<[u8]>> = Vec::new();
            for name in names {
                let matched = matches(pattern, &name, Case::Sensitive);
                if matched.map_err(|error| Error::text(format!("ERR {error}")))? {
                    found.push(name);
                }
            }
            names = found;
        }
        _ => {
            let name = String::from_utf8_lossy(request.get(1).unwrap_or_default());
            return Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP."
            )));
        }
    }
    Ok(Value::Array(names.iter().map(|name| Value::Bulk(name.to_vec())).collect()))
}

fn numpat(_: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(server.pubsub.patterns_len() as i64))
}

fn numsub(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    Ok(counts(&server.pubsub.channels, request))
}

fn shardnumsub(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    Ok(counts(&server.pubsub.shard_channels, request))
}

fn counts(channels: &Channels, request: Request<'_>) -> Value {
    let count = |name: &[u8]| Value::Integer(channels.listeners_len(name) as i64);
    let pairs = request.skip(2).iter().flat_map(|name| [Value::Bulk(name.to_vec()), count(name)]);
    Value::Array(pairs.collect())
}

fn help(_: &mut Session, _: &Server, _: Request<'_>) -> Result<Value, Error> {
    Ok(container::help(
        "pubsub",
        &[
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "SHARDCHANNELS [<pattern>]",
            "    Return the currently active shard level channels matching a <pattern> (default: '*').",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Return the number of subscribers for the specified shard level channel(s)",
        ],
    ))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    #[test]
    fn as_redis() {
        let mut rig = Rig::new();
        rig.run("HELLO 3");
        rig.run("SUBSCRIBE a ab");
        rig.run("PSUBSCRIBE a* b*");
        rig.run("SSUBSCRIBE s");
        rig.expect(&[
            ("PUBSUB CHANNELS ?b", "*1 $2 ab"),
            ("PUBSUB CHANNELS z*", "*0"),
            ("PUBSUB NUMSUB", "*0"),
            ("PUBSUB NUMSUB a none a", "*6 $1 a :1 $4 none :0 $1 a :1"),
            ("PUBSUB NUMPAT", ":2"),
            ("PUBSUB SHARDCHANNELS", "*1 $1 s"),
            ("PUBSUB SHARDNUMSUB s a", "*4 $1 s :1 $1 a :0"),
        ]);
        assert!(["*2 $1 a $2 ab", "*2 $2 ab $1 a"].contains(&&*rig.run("PUBSUB CHANNELS")));
        assert!(rig.run("PUBSUB HELP").starts_with("*14 +PUBSUB <subcommand> [<arg> [value] [opt] ...]."));
    }

    #[test]
    fn errors_as_redis() {
        expect(&[
            ("PUBSUB", "-ERR wrong number of arguments for 'pubsub' command"),
            ("PUBSUB FOO", "-ERR unknown subcommand 'FOO'. Try PUBSUB HELP."),
            ("PUBSUB NUMPAT x", "-ERR wrong number of arguments for 'pubsub|numpat' command"),
            (
                "PUBSUB CHANNELS a b",
                "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
            ),
            ("PUBLISH", "-ERR wrong number of arguments for 'publish' command"),
            ("PUBLISH a b c", "-ERR wrong number of arguments for 'publish' command"),
            ("PUBLISH a x", ":0"),
            ("SPUBLISH a x", ":0"),
        ]);
    }
}
