//! LIST and INFO: clients, a line each.

use std::fmt::Write;

use super::super::{Error, Session};
use crate::protocol::{Request, Value, parse_i64};
use crate::server::{ClientInfo, ClientMemory, Server};

pub(super) fn info(session: &mut Session, server: &Server, _: Request<'_>) -> Result<Value, Error> {
    note_own_command(session, server);
    let clients: Vec<ClientInfo> = server.clients.get(session.id).into_iter().collect();
    Ok(lines(&clients, server))
}

pub(super) fn list(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let is = |arg, name: &[u8]| request.get(arg).is_some_and(|arg| arg.eq_ignore_ascii_case(name));
    note_own_command(session, server);
    let mut clients = server.clients.list();
    if is(2, b"TYPE") && request.len() == 4 {
        let wanted = ClientType::parse(request.get(3).unwrap_or_default())?;
        clients.retain(|client| ClientType::of(client) == wanted);
    } else if is(2, b"ID") && request.len() > 3 {
        let ids: Option<Vec<i64>> = request.skip(3).iter().map(parse_i64).collect();
        let ids = ids.ok_or(Error::new("ERR Invalid client ID"))?;
        let known = |id| u64::try_from(id).ok().and_then(|id| server.clients.get(id));
        clients = ids.into_iter().filter_map(known).collect();
    } else if request.len() > 2 {
        return Err(Error::SYNTAX);
    }
    Ok(lines(&clients, server))
}

/// Of other clients it is noted when their round ends; the one that asks is in the middle of its own.
fn note_own_command(session: &Session, server: &Server) {
    server.clients.update(session.id, |client| client.cmd = session.last_command);
}

/// What a client is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Master,
    Replica,
    Pubsub,
}

impl ClientType {
    pub(super) fn parse(name: &[u8]) -> Result<Self, Error> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Self::Normal),
            b"master" => Ok(Self::Master),
            b"replica" | b"slave" => Ok(Self::Replica),
            b"pubsub" => Ok(Self::Pubsub),
            _ => Err(Error::text(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name)))),
        }
    }

    pub(super) fn of(client: &ClientInfo) -> Self {
        if subscribes(client) { Self::Pubsub } else { Self::Normal }
    }
}

fn subscribes(client: &ClientInfo) -> bool {
    client.sub + client.psub + client.ssub > 0
}

/// One letter for each that holds, as in Redis.
fn flags(client: &ClientInfo) -> String {
    let letters = [
        (client.monitor, 'O'),
        (subscribes(client), 'P'),
        (client.multi >= 0, 'x'),
        (client.unix, 'U'),
        (client.no_evict, 'e'),
    ];
    let flags: String = letters.iter().filter(|(holds, _)| *holds).map(|(_, letter)| *letter).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

/// One line for each client.
fn lines(clients: &[ClientInfo], server: &Server) -> Value {
    let now_ms = server.clock.now_ms();
    let mut text = String::new();
    for client in clients {
        let age_s = now_ms.saturating_sub(client.since_ms).max(0) / 1000;
        let idle_s = now_ms.saturating_sub(client.active_ms).max(0) / 1000;
        let flags = flags(client);
        let ClientInfo {
            id,
            addr,
            laddr,
            name,
            lib_name,
            lib_ver,
            cmd,
            resp,
            multi,
            watch,
            sub,
            psub,
            ssub,
            fd,
            memory,
            ..
        } = client;
        let ClientMemory { input, input_free, args, multi: multi_mem, output, output_memory, total } = memory;
        let events = if *output > 0 { "rw" } else { "r" };
        // Replies wait in one buffer, so there is neither a fixed one nor a list. Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age_s} idle={idle_s} flags={flags} db=0 sub={sub} \
             psub={psub} ssub={ssub} multi={multi} watch={watch} qbuf={input} qbuf-free={input_free} argv-mem={args} \
             multi-mem={multi_mem} rbs=0 rbp=0 obl={output} oll=0 omem={output_memory} tot-mem={total} events={events} \
             cmd={cmd} user=default redir=-1 resp={resp} lib-name={lib_name} lib-ver={lib_ver}"
        );
    }
    Value::Verbatim { format: "txt".into(), text: text.into_bytes() }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};
    use crate::server::{ClientInfo, ClientMemory};

    #[test]
    fn as_redis() {
        expect(&[
            ("CLIENT LIST foo", "-ERR syntax error"),
            ("CLIENT LIST TYPE", "-ERR syntax error"),
            ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'"),
            ("CLIENT LIST TYPE replica", "$0"),
            ("CLIENT LIST ID", "-ERR syntax error"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID"),
            ("CLIENT LIST ID 0 -1", "$0"),
            ("CLIENT LIST ID 9223372036854775807", "$0"),
            ("CLIENT LIST TYPE normal ID 1", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn clients_are_listed_by_line() {
        let mut rig = Rig::new();
        let other = rig.server.clients.add(ClientInfo { addr: "other".to_owned(), ..ClientInfo::default() });
        rig.run("CLIENT SETNAME me");
        rig.server.clock.shift_ms(3_500);
        let all = rig.run("CLIENT LIST");
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].contains(
                "id=1 addr=127.0.0.1:5000 laddr=127.0.0.1:8080 fd=0 name=me age=3 idle=3 flags=N db=0"
            ),
            "{all}"
        );
        assert!(lines[1].starts_with(&format!("id={other} addr=other ")), "{all}");
        assert_eq!(rig.run(&format!("CLIENT LIST ID {other} 77")).lines().count(), 1);
        assert_eq!(rig.run("CLIENT LIST TYPE normal").lines().count(), 2);
        assert_eq!(rig.run("CLIENT ID"), ":1");
        rig.run("HELLO 3");
        assert!(rig.run("CLIENT INFO").starts_with("=") && rig.run("CLIENT INFO").contains("txt:id=1 "));
        assert!(rig.run("CLIENT HELP").starts_with("*55 +CLIENT <subcommand> [<arg> [value] [opt] ...]."));
    }

    #[test]
    fn what_a_client_holds_is_told() {
        let mut rig = Rig::new();
        let memory = ClientMemory {
            input: 1,
            input_free: 2,
            args: 3,
            multi: 4,
            output: 5,
            output_memory: 6,
            total: 7,
        };
        let (fd, unix, no_evict) = (9, true, true);
        rig.server
            .clients
            .update(1, |client| *client = ClientInfo { memory, fd, unix, no_evict, ..client.clone() });
        let line = rig.run("CLIENT INFO");
        for field in [
            " fd=9 ",
            " flags=Ue ",
            " qbuf=1 qbuf-free=2 argv-mem=3 multi-mem=4 ",
            " obl=5 oll=0 omem=6 tot-mem=7 events=rw ",
        ] {
            assert!(line.contains(field), "{field} in {line}");
        }
    }
}
