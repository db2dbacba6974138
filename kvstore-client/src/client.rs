//! Client: keeps one connection to a host, connects again after a loss, and repeats a request only when that cannot do harm.

use crate::pipeline::Transaction;
use crate::{Address, Backoff, Connection, Error, Interrupt, Limits, Pipeline, ReplyError, Value, Wait};
use std::time::Duration;

/// Which protocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// RESP2, without negotiation.
    Resp2,
    /// RESP3, or RESP2 when the host does not know it.
    #[default]
    Resp3,
}

/// How a client behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long to wait.
    pub wait: Wait,
    /// How often and after what pauses to try again.
    pub backoff: Backoff,
    /// Which protocol to ask for.
    pub protocol: Protocol,
    /// What a reply may have at most.
    pub limits: Limits,
    /// What can end a wait from elsewhere.
    pub interrupt: Option<Interrupt>,
}

/// A client of one host. Calls block until the reply is there or an error is certain.
///
/// After a loss of the connection the next call connects again, with pauses that grow ([`Backoff`]). What was set for the lost
/// connection by commands (`CLIENT SETNAME`, `HELLO`, `AUTH`, subscriptions) is gone then; an open transaction is never continued
/// on another connection ([`Error::TransactionLost`]).
///
/// A request is repeated by itself only when it was not sent whole, which the host cannot have carried out, or when the caller has
/// said that repeating does no harm ([`call_repeatable`](Self::call_repeatable)).
#[derive(Debug)]
pub struct Client {
    address: Address,
    options: Options,
    connection: Option<Connection>,
    opened: u64,
    protocol: Protocol,
    transaction: Transaction,
}

impl Client {
    /// A client that will connect on its first call.
    pub fn new(address: Address, options: Options) -> Self {
        let protocol = options.protocol;
        Self { address, options, connection: None, opened: 0, protocol, transaction: Transaction::default() }
    }

    /// A client that is connected; tried once.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Refused`], and the errors of reading and writing.
    pub fn connect(address: Address, options: Options) -> Result<Self, Error> {
        let mut client = Self::new(address, options);
        client.connection = Some(client.open()?);
        Ok(client)
    }

    /// Where the host is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The protocol in use, or asked for when not connected yet.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether `MULTI` is open.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.open
    }

    /// Sets the longest silence of the host while a reply is due; `None` waits for ever.
    pub fn set_reply_wait(&mut self, reply_wait: Option<Duration>) {
        self.options.wait.reply = reply_wait;
        if let Some(connection) = &mut self.connection {
            connection.set_reply_wait(reply_wait);
        }
    }

    /// The messages that answered no request and arrived during calls, oldest first, 1,024 at most.
    pub fn take_pushes(&mut self) -> Vec<Value> {
        self.connection.as_mut().map(Connection::take_pushes).unwrap_or_default()
    }

    /// How many connections this client has opened so far. When it has grown, what was set on the connection before is gone.
    pub fn connections_opened(&self) -> u64 {
        self.opened
    }

    /// The connection, if there is one: to look for pushes while no call is under way. What is received here answers no call.
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Gives the connection away, for subscriptions; connects first if need be. The next call connects anew.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn take_connection(&mut self) -> Result<Connection, Error> {
        self.ensure_connected(&mut 0)?;
        self.transaction = Transaction::default();
        self.connection.take().ok_or(Error::Closed)
    }

    /// Sends one request and waits for its reply.
    ///
    /// # Errors
    /// [`Error::Reply`] when the host answers with an error; [`Error::OutcomeUnknown`] when the request was sent and the connection lost.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value, Error> {
        self.run_one(Pipeline::new().add(words))
    }

    /// Like [`call`](Self::call) for a request that may be carried out more than once without harm, by the caller's word: after a lost
    /// connection it is sent again.
    ///
    /// # Errors
    /// [`Error::Reply`], or the error of the last attempt.
    pub fn call_repeatable<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value, Error> {
        self.run_one(Pipeline::new().add(words).repeatable())
    }

    fn run_one(&mut self, pipeline: &Pipeline) -> Result<Value, Error> {
        self.run(pipeline)?.pop().unwrap_or(Err(Error::Closed))
    }

    /// Sends all requests of a pipeline, takes replies in while sending, and gives one result per request, in order.
    ///
    /// # Errors
    /// When no connection comes about; nothing has been sent then. A connection that is lost later shows in the results of the
    /// requests concerned: [`Error::OutcomeUnknown`] for those sent whole, its plain cause for those that were not.
    pub fn run(&mut self, pipeline: &Pipeline) -> Result<Vec<Result<Value, Error>>, Error> {
        let mut retry = 0;
        loop {
            self.ensure_connected(&mut retry)?;
            let Some(connection) = &mut self.connection else { return Err(Error::Closed) };
            let exchange = connection.exchange(pipeline.bytes(), pipeline.len());
            let Some(cause) = exchange.error else {
                pipeline.change(&mut self.transaction);
                return Ok(exchange.replies.into_iter().map(result).collect());
            };
            self.connection = None;
            let held = std::mem::take(&mut self.transaction).is_held();
            let sent = pipeline.ends().partition_point(|end| *end <= exchange.written_len);
            let repeatable = pipeline.is_repeatable() && !matches!(cause, Error::Protocol { .. });
            let wanted = !matches!(cause, Error::Interrupted);
            if wanted && !held && (sent == 0 || repeatable) && self.pause(&mut retry, &cause) {
                continue;
            }
            let unknown = Error::OutcomeUnknown { cause: Box::new(cause.clone()) };
            let mut results: Vec<_> = exchange.replies.into_iter().map(result).collect();
            let reported = if pipeline.is_repeatable() { &cause } else { &unknown };
            results.extend((results.len()..sent).map(|_| Err(reported.clone())));
            results.extend((results.len()..pipeline.len()).map(|_| Err(cause.clone())));
            return Ok(results);
        }
    }

    /// Whether to try again, after having paused.
    fn pause(&self, retry: &mut u32, cause: &Error) -> bool {
        if *retry >= self.options.backoff.retries {
            return false;
        }
        let pause = self.options.backoff.pause(*retry);
        log::debug!("{}: {cause}; trying again in {} ms", self.address, pause.as_millis());
        *retry += 1;
        std::thread::sleep(pause);
        true
    }

    fn ensure_connected(&mut self, retry: &mut u32) -> Result<(), Error> {
        if let Some(connection) = &mut self.connection {
            // A host that was restarted while this client was idle has hung up: found here, it costs nobody's request its outcome.
            if connection.is_usable() {
                return Ok(());
            }
            self.connection = None;
            if std::mem::take(&mut self.transaction).is_held() {
                return Err(Error::TransactionLost);
            }
        }
        loop {
            match self.open() {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if !self.pause(retry, &error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn open(&mut self) -> Result<Connection, Error> {
        let mut connection = Connection::connect(&self.address, self.options.wait, self.options.limits)?;
        connection.set_interrupt(self.options.interrupt.clone());
        self.protocol = match self.options.protocol {
            Protocol::Resp2 => Protocol::Resp2,
            Protocol::Resp3 => negotiate(&self.address, &mut connection)?,
        };
        self.opened += 1;
        Ok(connection)
    }
}

/// Asks for RESP3 and settles for RESP2 with a host that does not know it.
fn negotiate(address: &Address, connection: &mut Connection) -> Result<Protocol, Error> {
    let mut hello = Pipeline::new();
    hello.add(&["HELLO", "3"]);
    let mut exchange = connection.exchange(hello.bytes(), 1);
    match (exchange.replies.pop(), exchange.error) {
        (Some(Value::Error(reply)), _) if means_no_resp3(&reply) => Ok(Protocol::Resp2),
        (Some(Value::Error(reply)), _) => Err(Error::Refused { address: address.clone(), reply }),
        (Some(_), _) => Ok(Protocol::Resp3),
        (None, error) => Err(error.unwrap_or(Error::Closed)),
    }
}

/// `NOAUTH` is among them so that a caller can still authenticate by a command of its own.
fn means_no_resp3(reply: &ReplyError) -> bool {
    matches!(reply.code.as_str(), "NOPROTO" | "NOAUTH")
        || reply.to_string().to_ascii_lowercase().contains("unknown command")
}

fn result(value: Value) -> Result<Value, Error> {
    match value.without_attributes() {
        Value::Error(reply) => Err(Error::Reply(reply)),
        value => Ok(value),
    }
}
