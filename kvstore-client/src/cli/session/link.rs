//! Link: the session's connection, and what has to be done again on a new one after a loss.

use super::super::Options;
use super::super::data::Words;
use super::interrupts::Interrupts;
use super::is;
use super::prompt::State;
use super::subscription::Subscriptions;
use kvstore_client::{Client, Connection, Error, Pipeline, Protocol, Value, encode_command};
use std::io;
use std::time::Duration;

/// Time between two attempts to get a lost connection back.
const RETRY: Duration = Duration::from_millis(500);

pub(super) struct Link {
    pub(super) client: Client,
    pub(super) interrupts: Interrupts,
    pub(super) subscriptions: Subscriptions,
    options: kvstore_client::Options,
    /// The last AUTH, or HELLO with AUTH, that the host took.
    login: Option<Words>,
    database: u32,
    /// Messages are told from replies: RESP3, as negotiated, or as HELLO and RESET have changed it since.
    has_pushes: bool,
    /// How many connections had been opened when the last was set up.
    set_up: u64,
    /// The host is known to have hung up, or the connection was given up.
    down: bool,
}

impl Link {
    /// A connection, and Ctrl-C caught.
    ///
    /// # Errors
    /// Those of connecting; the outer ones are of this machine.
    pub(super) fn open(options: &Options) -> io::Result<Result<Self, Error>> {
        let interrupts = Interrupts::catch()?;
        let mut own = options.for_library();
        own.interrupt = Some(interrupts.interrupt()?);
        // Whoever waits can break it off.
        own.wait.reply = options.reply_timeout_ms.and(own.wait.reply);
        let mut client = Client::new(options.address(), own.clone());
        let connected = client.run(&Pipeline::new());
        let set_up = client.connections_opened();
        let has_pushes = client.protocol() == Protocol::Resp3;
        Ok(connected.map(|_| Self {
            client,
            interrupts,
            subscriptions: Subscriptions::default(),
            options: own,
            login: None,
            database: 0,
            has_pushes,
            set_up,
            down: false,
        }))
    }

    pub(super) fn state(&self) -> State {
        State {
            connected: !self.down,
            in_transaction: self.client.is_in_transaction(),
            subscribed: !self.subscriptions.is_empty(),
            database: self.database,
        }
    }

    pub(super) fn set_down(&mut self) {
        self.down = true;
    }

    /// Whether subscriptions and replies can share the connection.
    pub(super) fn has_pushes(&self) -> bool {
        self.has_pushes
    }

    /// Connects if need be, and does again on the new connection what was done on the lost one; whether there is a new one.
    pub(super) fn connect(&mut self) -> Result<bool, Error> {
        let connected = self.client.run(&Pipeline::new());
        // What was open in a transaction is gone, and the next attempt will connect.
        self.down = connected.is_err();
        connected?;
        if self.client.connections_opened() == self.set_up {
            return Ok(false);
        }
        self.down = true;
        log_in(&mut self.client, self.login.as_ref(), self.database)?;
        self.has_pushes = self.client.protocol() == Protocol::Resp3;
        if let Some(login) = self.login.clone() {
            self.keep_protocol(&login);
        }
        for words in self.subscriptions.requests() {
            self.send(&words)?;
        }
        self.set_up = self.client.connections_opened();
        self.down = false;
        Ok(true)
    }

    /// Tries until there is a connection, or Ctrl-C; whether there is one.
    pub(super) fn connect_with_patience(&mut self) -> bool {
        loop {
            if self.interrupts.wait(RETRY) {
                self.interrupts.clear();
                return false;
            }
            match self.connect() {
                Ok(_) => return true,
                Err(error) => log::debug!("{error}"),
            }
        }
    }

    /// One request and its reply. What it sets for the connection is remembered.
    pub(super) fn call(&mut self, words: &Words) -> Result<Value, Error> {
        let queued = self.client.is_in_transaction();
        let reply = self.client.call(words);
        match &reply {
            Ok(_) if !queued => self.keep(words),
            Err(Error::Reply(_)) | Ok(_) => {}
            Err(_) => self.down = true,
        }
        reply
    }

    fn keep(&mut self, words: &Words) {
        self.keep_protocol(words);
        let lower: Vec<String> =
            words.iter().map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
        match lower.first().map(String::as_str) {
            Some("auth") => self.login = Some(words.clone()),
            Some("hello") if lower.iter().any(|word| word == "auth") => self.login = Some(words.clone()),
            Some("select") => {
                self.database = lower.get(1).and_then(|number| number.parse().ok()).unwrap_or(self.database);
            }
            Some("reset") => {
                self.login = None;
                self.database = 0;
                self.subscriptions.clear();
            }
            _ => {}
        }
    }

    fn keep_protocol(&mut self, words: &Words) {
        match (words.first(), words.get(1)) {
            (Some(name), Some(version)) if is(name, "HELLO") => self.has_pushes = version == b"3",
            (Some(name), _) if is(name, "RESET") => self.has_pushes = false,
            _ => {}
        }
    }

    /// The connection that is there.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.client.connection_mut().ok_or(Error::Closed)
    }

    /// Sends a request whose replies are pushes.
    pub(super) fn send(&mut self, words: &Words) -> Result<(), Error> {
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        self.connection()?.send(&bytes)
    }

    /// The next value, however long that takes; Ctrl-C ends it.
    pub(super) fn receive(&mut self) -> Result<Value, Error> {
        self.client.set_reply_wait(None);
        let value = self.connection().and_then(Connection::receive);
        self.client.set_reply_wait(self.options.wait.reply);
        if let Ok(value) = &value {
            self.subscriptions.note(value);
        }
        self.down |= value.as_ref().is_err_and(|error| !matches!(error, Error::Interrupted));
        value
    }

    /// A connection beside this one, logged in as this one is.
    pub(super) fn beside(&self) -> Result<Connection, Error> {
        let mut client = Client::new(self.client.address().clone(), self.options.clone());
        log_in(&mut client, self.login.as_ref(), self.database)?;
        let mut connection = client.take_connection()?;
        connection.set_reply_wait(None);
        Ok(connection)
    }
}

fn log_in(client: &mut Client, login: Option<&Words>, database: u32) -> Result<(), Error> {
    if let Some(words) = login {
        client.call(words)?;
    }
    if database > 0 {
        client.call(&["SELECT", &database.to_string()])?;
    }
    Ok(())
}
