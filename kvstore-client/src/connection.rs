//! Connection: one socket and its decoder. Sends any bytes, receives any values, repeats nothing.

use crate::socket::{Interest, Socket};
use crate::{Address, Decoder, Error, Interrupt, Limits, Value};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

const READ_LEN: usize = 64 * 1024;
/// A write this long at a time keeps the replies flowing while a long pipeline goes out.
const WRITE_LEN: usize = 256 * 1024;
/// Messages that answer no request are kept up to this number, the newest.
const PUSHES_MAX: usize = 1_024;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// To come about, for each address of a name.
    pub connect: Duration,
    /// Longest silence while something is due; `None` waits for ever.
    pub reply: Option<Duration>,
}

impl Default for Wait {
    /// 5 s to connect, 30 s of silence.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), reply: Some(Duration::from_secs(30)) }
    }
}

/// One connection, without negotiation, repetition or interpretation: for tests, benchmarks and subscriptions.
///
/// Blocking calls are [`send`](Self::send), [`receive`](Self::receive) and [`exchange`](Self::exchange). Programs with a loop of their own
/// use [`write_some`](Self::write_some), [`read_some`](Self::read_some) and [`decoded`](Self::decoded), which never wait, and poll the
/// descriptor ([`AsFd`]). After any error but a timeout or an interrupt the connection is of no further use; after these
/// only to who knows which replies are still due.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    decoder: Decoder,
    buffer: Vec<u8>,
    reply_wait: Option<Duration>,
    interrupt: Option<Interrupt>,
    pushes: VecDeque<Value>,
}

/// How far an exchange came.
#[derive(Debug)]
pub struct Exchange {
    /// Bytes handed to the system.
    pub written_len: usize,
    /// Replies received, in the order of the requests.
    pub replies: Vec<Value>,
    /// Why it ended early, if it did.
    pub error: Option<Error>,
}

impl Connection {
    /// Connects and sends nothing.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub fn connect(address: &Address, wait: Wait, limits: Limits) -> Result<Self, Error> {
        let socket = Socket::connect(address, wait.connect)
            .map_err(|cause| Error::Connect { address: address.clone(), cause: cause.into() })?;
        Ok(Self {
            socket,
            decoder: Decoder::new(limits),
            buffer: vec![0; READ_LEN],
            reply_wait: wait.reply,
            interrupt: None,
            pushes: VecDeque::new(),
        })
    }

    /// Sets the longest silence while something is due; `None` waits for ever.
    pub fn set_reply_wait(&mut self, reply_wait: Option<Duration>) {
        self.reply_wait = reply_wait;
    }

    /// Sets what can end a wait from elsewhere.
    pub fn set_interrupt(&mut self, interrupt: Option<Interrupt>) {
        self.interrupt = interrupt;
    }

    /// Sends all of `bytes`, whatever they are. Takes in what arrives meanwhile, so that two sides that both write do not wait
    /// for each other.
    ///
    /// # Errors
    /// [`Error::Timeout`] when nothing moves, [`Error::Closed`], [`Error::Io`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut sent_len = 0;
        while sent_len < bytes.len() {
            sent_len += self.write_some(bytes.get(sent_len..).unwrap_or_default())?;
            if sent_len < bytes.len() {
                self.wait_for(Interest { read: true, write: true })?;
                self.read_some()?;
            }
        }
        Ok(())
    }

    /// The next value, be it a reply or a push.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Closed`], [`Error::Io`], [`Error::Protocol`].
    pub fn receive(&mut self) -> Result<Value, Error> {
        loop {
            if let Some(value) = self.decoded()? {
                return Ok(value);
            }
            if self.read_some()? == 0 {
                self.wait_for(Interest { read: true, write: false })?;
            }
        }
    }

    /// The next bytes as they come, past the decoder; 0 at the end. Not to be mixed with the calls that decode.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Closed`] after a reset, [`Error::Io`].
    pub fn receive_raw(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            if let Some(len) = self.socket.read_some(buffer)? {
                return Ok(len);
            }
            self.wait_for(Interest { read: true, write: false })?;
        }
    }

    /// Sends `bytes` and receives `count` replies, both at the same time. Pushes are put aside for [`take_pushes`](Self::take_pushes).
    pub fn exchange(&mut self, bytes: &[u8], count: usize) -> Exchange {
        let mut exchange = Exchange { written_len: 0, replies: Vec::new(), error: None };
        exchange.error = self.run_exchange(bytes, count, &mut exchange).err();
        exchange
    }

    fn run_exchange(&mut self, bytes: &[u8], count: usize, exchange: &mut Exchange) -> Result<(), Error> {
        loop {
            // Replies come first: when the host has answered and hung up, its answers count, not the failing write.
            while exchange.replies.len() < count {
                match self.decoded()? {
                    Some(push) if push.is_push() => self.keep_push(push),
                    Some(reply) => exchange.replies.push(reply),
                    None => break,
                }
            }
            let unsent = bytes.get(exchange.written_len..).unwrap_or_default();
            if unsent.is_empty() && exchange.replies.len() >= count {
                return Ok(());
            }
            let written = self.write_some(unsent);
            let written_len = match &written {
                Ok(len) => *len,
                Err(_) => 0,
            };
            exchange.written_len += written_len;
            let read_len = self.read_some()?;
            if read_len == 0 {
                written?;
                if written_len == 0 {
                    let write = exchange.written_len < bytes.len();
                    self.wait_for(Interest { read: true, write })?;
                }
            }
        }
    }

    /// Writes what fits without waiting; 0 when nothing fits.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if bytes.is_empty() {
            return Ok(0);
        }
        Ok(self.socket.write_some(bytes.get(..WRITE_LEN).unwrap_or(bytes))?)
    }

    /// Gives the decoder what has arrived, without waiting; its length, 0 when nothing has.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end, [`Error::Io`].
    pub fn read_some(&mut self) -> Result<usize, Error> {
        match self.socket.read_some(&mut self.buffer)? {
            None => Ok(0),
            Some(0) => Err(Error::Closed),
            Some(len) => {
                self.decoder.feed(self.buffer.get(..len).unwrap_or_default());
                Ok(len)
            }
        }
    }

    /// The next value of what the decoder has, without reading; `None` when it has no whole one.
    ///
    /// # Errors
    /// [`Error::Protocol`].
    pub fn decoded(&mut self) -> Result<Option<Value>, Error> {
        Ok(self.decoder.next_value()?)
    }

    /// Tells the host that nothing more will be sent; its replies can still be received.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub fn shutdown_write(&self) -> Result<(), Error> {
        Ok(self.socket.shutdown_write()?)
    }

    /// The pushes put aside by exchanges, oldest first; when there were more than 1,024, the newest of them.
    pub fn take_pushes(&mut self) -> Vec<Value> {
        self.pushes.drain(..).collect()
    }

    /// Whether nothing speaks against using this connection for a further request: the host has not hung up, and has
    /// said nothing that answers no request.
    pub(crate) fn is_usable(&mut self) -> bool {
        loop {
            match (self.read_some(), self.decoded()) {
                (Ok(_), Ok(Some(value))) if value.is_push() => self.keep_push(value),
                (Ok(0), Ok(None)) => return true,
                (Ok(_), Ok(None)) => {}
                _ => return false,
            }
        }
    }

    fn keep_push(&mut self, push: Value) {
        if self.pushes.len() >= PUSHES_MAX {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
    }

    fn wait_for(&self, interest: Interest) -> Result<(), Error> {
        let ready = self.socket.wait(interest, self.reply_wait, self.interrupt.as_ref())?;
        match self.reply_wait {
            Some(after) if !ready => Err(Error::Timeout { after }),
            _ => Ok(()),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
