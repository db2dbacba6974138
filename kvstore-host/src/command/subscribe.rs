//! SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites: what a client wants to be sent. Each name is confirmed by itself.

use super::{Session, Spec};
use crate::protocol::{Reply, Request};
use crate::pubsub::{Kind, Subscriber};
use crate::server::Server;

pub(super) fn subscribe(session: &mut Session, server: &Server, request: Request<'_>, reply: &mut dyn Reply) {
    begin(Kind::Channel, b"subscribe", session, server, request, reply);
}

pub(super) fn psubscribe(
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    begin(Kind::Pattern, b"psubscribe", session, server, request, reply);
}

pub(super) fn ssubscribe(
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    begin(Kind::Shard, b"ssubscribe", session, server, request, reply);
}

pub(super) fn unsubscribe(
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    end(Kind::Channel, b"unsubscribe", session, server, request, reply);
}

pub(super) fn punsubscribe(
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    end(Kind::Pattern, b"punsubscribe", session, server, request, reply);
}

pub(super) fn sunsubscribe(
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    end(Kind::Shard, b"sunsubscribe", session, server, request, reply);
}

fn begin(
    kind: Kind,
    verb: &[u8],
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    for name in request.iter().skip(1) {
        server.pubsub.subscribe(&mut session.subscriber, kind, name);
        confirm(verb, Some(name), kind, &session.subscriber, reply);
    }
    note(session, server);
}

fn end(
    kind: Kind,
    verb: &[u8],
    session: &mut Session,
    server: &Server,
    request: Request<'_>,
    reply: &mut dyn Reply,
) {
    let all = if request.len() > 1 { Vec::new() } else { session.subscriber.names(kind) };
    for name in request.iter().skip(1).chain(all.iter().map(|name| &**name)) {
        server.pubsub.unsubscribe(&mut session.subscriber, kind, name);
        // What was published until now comes before the confirmation, and nothing after it.
        session.subscriber.deliver(usize::MAX, reply);
        confirm(verb, Some(name), kind, &session.subscriber, reply);
    }
    if request.len() == 1 && all.is_empty() {
        confirm(verb, None, kind, &session.subscriber, reply);
    }
    note(session, server);
}

/// Says what was done, and how much the client listens to after it.
fn confirm(verb: &[u8], name: Option<&[u8]>, kind: Kind, subscriber: &Subscriber, reply: &mut dyn Reply) {
    let count = match kind {
        Kind::Channel | Kind::Pattern => subscriber.len(Kind::Channel) + subscriber.len(Kind::Pattern),
        Kind::Shard => subscriber.len(Kind::Shard),
    };
    reply.push(3);
    reply.bulk(verb);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

/// Tells `CLIENT LIST`.
pub(super) fn note(session: &Session, server: &Server) {
    let subscriber = &session.subscriber;
    server.clients.update(session.id, |client| {
        client.sub = subscriber.len(Kind::Channel);
        client.psub = subscriber.len(Kind::Pattern);
        client.ssub = subscriber.len(Kind::Shard);
        client.monitor = subscriber.monitors();
    });
}

/// Whether a client that subscribed to something may send this command too: in RESP2 it could not tell a reply from a message.
pub(super) fn is_allowed_while_subscribed(spec: &Spec) -> bool {
    let subscribes = matches!(spec.handler, super::Handler::Listen(_)) && spec.flags.contains(&"pubsub");
    subscribes || matches!(spec.name, "ping" | "quit" | "exit" | "reset")
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};
    use crate::pubsub::Message;

    #[test]
    fn each_name_is_confirmed_as_redis_does() {
        expect(&[
            ("SUBSCRIBE a b a", "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2"),
            ("PING", "*2 $4 pong $0"),
            ("PING x", "*2 $4 pong $1 x"),
            ("PING x y", "-ERR wrong number of arguments for 'ping' command"),
            ("UNSUBSCRIBE b zz", "*3 $11 unsubscribe $1 b :1 *3 $11 unsubscribe $2 zz :1"),
            ("PSUBSCRIBE a* [", "*3 $10 psubscribe $2 a* :2 *3 $10 psubscribe $1 [ :3"),
            ("SSUBSCRIBE s", "*3 $10 ssubscribe $1 s :1"),
            ("UNSUBSCRIBE", "*3 $11 unsubscribe $1 a :2"),
            ("PUNSUBSCRIBE", "*3 $12 punsubscribe $1 [ :1 *3 $12 punsubscribe $2 a* :0"),
            ("PUNSUBSCRIBE", "*3 $12 punsubscribe $-1 :0"),
            ("PING", "*2 $4 pong $0"),
            ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $1 s :0"),
            ("SUNSUBSCRIBE", "*3 $12 sunsubscribe $-1 :0"),
            ("PING", "+PONG"),
            ("SUBSCRIBE", "-ERR wrong number of arguments for 'subscribe' command"),
        ]);
    }

    #[test]
    fn in_resp3_they_are_pushes_and_ping_is_as_always() {
        let mut rig = Rig::new();
        rig.run("HELLO 3");
        rig.expect(&[
            ("SUBSCRIBE a", ">3 $9 subscribe $1 a :1"),
            ("PING", "+PONG"),
            ("PUNSUBSCRIBE", ">3 $12 punsubscribe _ :1"),
        ]);
    }

    #[test]
    fn what_was_published_before_an_end_comes_before_its_confirmation() {
        let mut rig = Rig::new();
        rig.run("SUBSCRIBE a");
        rig.server.pubsub.publish(&Message::new(&[b"a"], b"x"));
        rig.expect(&[
            ("UNSUBSCRIBE", "*3 $7 message $1 a $1 x *3 $11 unsubscribe $1 a :0"),
            ("PUBLISH a y", ":0"),
        ]);
    }

    #[test]
    fn reset_ends_them_all() {
        let mut rig = Rig::new();
        rig.run("SUBSCRIBE a b");
        rig.run("PSUBSCRIBE c*");
        rig.expect(&[("RESET", "+RESET"), ("PING", "+PONG"), ("PUBLISH a x", ":0"), ("PUBSUB NUMPAT", ":0")]);
        assert!(!rig.session.subscriber.listens());
    }

    #[test]
    fn client_list_tells_of_it() {
        let mut rig = Rig::new();
        rig.run("HELLO 3");
        rig.run("SUBSCRIBE a b");
        rig.run("PSUBSCRIBE c*");
        rig.run("SSUBSCRIBE s t u");
        let line = rig.run("CLIENT INFO");
        assert!(line.contains(" flags=P db=0 sub=2 psub=1 ssub=3 "), "{line}");
        assert!(rig.run("CLIENT LIST TYPE pubsub").contains("id=1 "));
        assert!(!rig.run("CLIENT LIST TYPE normal").contains("id=1 "));
    }
}
