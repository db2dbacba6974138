//! KILL: closes clients, by their address or by what all filters say.

use super::super::{Error, Session};
use super::list::ClientType;
use crate::protocol::{Request, Value, parse_i64};
use crate::server::{ClientInfo, Order, Server};

/// Which clients are meant. What is not given is any.
struct Filters<'a> {
    id: Option<u64>,
    kind: Option<ClientType>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    skip_me: bool,
}

impl<'a> Filters<'a> {
    /// `KILL address`: the old form, which does not spare who asks.
    fn by_address(addr: &'a [u8]) -> Self {
        Self { id: None, kind: None, addr: Some(addr), laddr: None, skip_me: false }
    }

    fn parse(request: Request<'a>) -> Result<Self, Error> {
        let mut filters = Self { id: None, kind: None, addr: None, laddr: None, skip_me: true };
        let mut args = request.iter();
        while let Some(option) = args.next() {
            let value = args.next().ok_or(Error::SYNTAX)?;
            match option.to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = parse_i64(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                    filters.id = Some(id.ok_or(Error::new("ERR client-id should be greater than 0"))?);
                }
                b"type" => filters.kind = Some(ClientType::parse(value)?),
                b"addr" => filters.addr = Some(value),
                b"laddr" => filters.laddr = Some(value),
                // The only user there is.
                b"user" if value == b"default" => {}
                b"user" => {
                    return Err(Error::text(format!(
                        "ERR No such user '{}'",
                        String::from_utf8_lossy(value)
                    )));
                }
                b"skipme" => {
                    filters.skip_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(Error::SYNTAX),
                    }
                }
                _ => return Err(Error::SYNTAX),
            }
        }
        Ok(filters)
    }

    fn meet(&self, client: &ClientInfo, me: u64) -> bool {
        let is =
            |wanted: Option<&[u8]>, address: &str| wanted.is_none_or(|wanted| wanted == address.as_bytes());
        self.id.is_none_or(|id| id == client.id)
            && self.kind.is_none_or(|kind| kind == ClientType::of(client))
            && is(self.addr, &client.addr)
            && is(self.laddr, &client.laddr)
            && !(self.skip_me && client.id == me)
    }
}

pub(super) fn kill(session: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    let (old_form, filters) = match request.get(2) {
        Some(address) if request.len() == 3 => (true, Filters::by_address(address)),
        _ => (false, Filters::parse(request.skip(2))?),
    };
    let mut count = 0;
    for client in server.clients.list().into_iter().filter(|client| filters.meet(client, session.id)) {
        count += 1;
        if client.id == session.id {
            // With its reply.
            session.closing = true;
        } else {
            server.clients.order(&client, Order::Kill);
        }
    }
    match (old_form, count) {
        (true, 0) => Err(Error::new("ERR No such client")),
        (true, _) => Ok(Value::Ok),
        (false, count) => Ok(Value::Integer(count)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crate::command::testing::{Rig, expect};
    use crate::server::{ClientInfo, Order, Peer};

    #[test]
    fn as_redis() {
        expect(&[
            ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command"),
            ("CLIENT KILL 1", "-ERR No such client"),
            ("CLIENT KILL a b", "-ERR syntax error"),
            ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
            ("CLIENT KILL ID 99", ":0"),
            ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT KILL USER foo", "-ERR No such user 'foo'"),
            ("CLIENT KILL USER default", ":0"),
            ("CLIENT KILL SKIPME maybe", "-ERR syntax error"),
            ("CLIENT KILL ADDR 1:1 ID", "-ERR syntax error"),
        ]);
    }

    #[derive(Default)]
    struct Worker(Mutex<Vec<(usize, u64)>>);

    impl Peer for Worker {
        fn order(&self, place: usize, client: u64, order: Order) {
            assert_eq!(order, Order::Kill);
            self.0.lock().unwrap().push((place, client));
        }

        fn look(&self) {}
    }

    #[test]
    fn all_filters_have_to_be_met() {
        let mut rig = Rig::new();
        let worker = Arc::new(Worker::default());
        rig.server.clients.add_worker(3, Arc::clone(&worker) as Arc<dyn Peer>);
        for place in 0..3 {
            let (addr, laddr) = (format!("10.0.0.1:{place}"), "127.0.0.1:8080".to_owned());
            rig.server.clients.add(ClientInfo { at: (3, place), addr, laddr, ..ClientInfo::default() });
        }
        let killed = || std::mem::take(&mut *worker.0.lock().unwrap());
        rig.expect(&[("CLIENT KILL ID 2 ADDR 10.0.0.1:1", ":0")]);
        assert_eq!(killed(), []);
        rig.expect(&[("CLIENT KILL id 2 addr 10.0.0.1:0 LADDR 127.0.0.1:8080 TYPE normal", ":1")]);
        assert_eq!(killed(), [(0, 2)]);
        rig.expect(&[("CLIENT KILL 10.0.0.1:2", "+OK")]);
        assert_eq!(killed(), [(2, 4)]);
        rig.expect(&[("CLIENT KILL TYPE pubsub", ":0"), ("CLIENT KILL TYPE normal", ":3")]);
        assert_eq!((killed().len(), rig.session.closing), (3, false));
        rig.expect(&[("CLIENT KILL TYPE normal SKIPME no", ":4")]);
        assert_eq!((killed().len(), rig.session.closing), (3, true));
    }
}
