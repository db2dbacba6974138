//! Connection: one client's socket, its bytes in both directions, and where it stands.

use std::io::{self, Write};
use std::time::Instant;

use super::socket::Socket;
use crate::command::Session;
use crate::command::pipeline::{self, Pending, Pipeline};
use crate::plugin::Source;
use crate::plugin::live::JOINT_MAX;
use crate::protocol::{Encoder, Limits, Parsed, Parser, ProtocolError, Reply};
use crate::pubsub::{OutputLimits, Overdue};
use crate::server::{ClientEntry, ClientMemory, lock};

/// Replies that may wait for a client before it is served no further, in bytes.
const OUTPUT_LEN_MAX: usize = 1 << 20;
/// Bytes read from one client before the others have their turn.
const READ_LEN_MAX: usize = 256 << 10;
/// Requests that are taken from the bytes at a time.
const REQUESTS_MAX: usize = 1024;
/// Buffers up to this size are kept for the next requests.
const KEPT_LEN_MAX: usize = 256 << 10;
/// Room for input that is made when there is less than `INPUT_ROOM`, in bytes.
const INPUT_LEN: usize = 64 << 10;
/// Room for a call that reads, at least; in bytes. A smaller piece of a request is kept apart.
const INPUT_ROOM: usize = 16 << 10;

/// Memory that a worker lends to the connections that it serves: those that wait for their clients need none.
#[derive(Default)]
pub(super) struct Spare {
    input: Stack<Vec<u8>>,
    pipeline: Stack<pipeline::Spare>,
    output: Stack<Vec<u8>>,
}

/// What is lent, kept for as many connections as are served at a time; that which was used last is used next.
#[derive(Default)]
struct Stack<T>(Vec<T>);

impl<T: Default> Stack<T> {
    #[inline]
    fn take(&mut self) -> T {
        self.0.pop().unwrap_or_default()
    }

    #[inline]
    fn give_back(&mut self, thing: T) {
        if self.0.len() < JOINT_MAX {
            self.0.push(thing);
        }
    }
}

/// What a connection waits for, beside its client.
pub(super) enum Waiting {
    /// Nothing.
    No,
    /// Work under way in the engine or the pool.
    Work {
        /// How to reply; `None` for a look at the whole keyspace, which brings its reply along.
        pending: Option<Pending>,
        /// On which generation.
        generation: u64,
        /// Whether it can change an entry.
        writes: bool,
    },
    /// The control thread's answer.
    Control,
    /// The end of a hold.
    Hold,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or asked to.
    Client,
    /// It broke the protocol; it has been told.
    Protocol(ProtocolError),
    /// Another client asked for it.
    Killed,
    /// The socket failed.
    Io(io::Error),
    /// It was late with something, or took too little: what.
    Late(String),
}

/// One client.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) pipeline: Pipeline,
    pub(super) waiting: Waiting,
    /// The socket may have more bytes.
    pub(super) readable: bool,
    /// The client has said that it will send no more, so that no edge tells of what is still to be read.
    pub(super) half_closed: bool,
    /// When the client last sent something.
    pub(super) active: Instant,
    /// Since when replies wait that the client does not take.
    pub(super) stalled: Option<Instant>,
    overdue: Overdue,
    entry: ClientEntry,
    input: Vec<u8>,
    /// Is on its worker's list of those with more to do.
    pub(super) again: bool,
    /// There may be complete requests in `input`.
    unparsed: bool,
    parser: Parser,
    pub(super) output: Vec<u8>,
    written: usize,
    /// The client will send nothing more, or nothing more is wanted of it.
    ended: Option<End>,
}

// What a worker does with a connection each time is inlined where it does that, also where the two are compiled apart: 2 % of the instructions of a GET.
impl Connection {
    pub(super) fn new(socket: Socket, session: Session, entry: ClientEntry, now: Instant) -> Self {
        Self {
            socket,
            session,
            pipeline: Pipeline::default(),
            waiting: Waiting::No,
            readable: true,
            half_closed: false,
            active: now,
            stalled: None,
            overdue: Overdue::default(),
            entry,
            input: Vec::new(),
            again: false,
            unparsed: false,
            parser: Parser::new(),
            output: Vec::new(),
            written: 0,
            ended: None,
        }
    }

    /// Borrows what it needs to be served.
    #[inline]
    pub(super) fn borrow(&mut self, spare: &mut Spare) {
        if self.output.capacity() == 0 {
            self.output = spare.output.take();
        }
        if self.pipeline.is_empty() && matches!(self.waiting, Waiting::No) {
            self.pipeline.borrow(spare.pipeline.take());
        }
        // A large piece of a request stays where it is.
        if self.input.len() < INPUT_ROOM {
            let piece = std::mem::replace(&mut self.input, spare.input.take());
            self.input.extend_from_slice(&piece);
        }
    }

    /// Gives back what it does not need while it waits for its client.
    #[inline]
    pub(super) fn give_back(&mut self, spare: &mut Spare) {
        if self.output.is_empty() && self.output.capacity() > 0 {
            spare.output.give_back(std::mem::take(&mut self.output));
        }
        if self.pipeline.is_empty() && matches!(self.waiting, Waiting::No) {
            let mut pipeline = self.pipeline.give_back();
            let Source { buffer, requests } = &mut *pipeline.storage;
            requests.clear();
            if buffer.capacity() > 0 {
                spare.input.give_back(recycled(std::mem::take(buffer)));
            }
            spare.pipeline.give_back(pipeline);
        }
        if self.input.len() < INPUT_ROOM && self.input.capacity() >= INPUT_ROOM {
            let piece = self.input.as_slice().into();
            spare.input.give_back(recycled(std::mem::replace(&mut self.input, piece)));
        }
    }

    /// Reads what there is, within bounds. Answers how much.
    #[inline]
    pub(super) fn read(&mut self) -> usize {
        let mut total = 0;
        while self.readable && self.ended.is_none() && total < READ_LEN_MAX {
            if self.input.capacity() - self.input.len() < INPUT_ROOM {
                self.input.reserve(INPUT_LEN);
            }
            let room = self.input.capacity() - self.input.len();
            match self.socket.read(&mut self.input) {
                Ok(0) => self.ended = Some(End::Client),
                Ok(read) => {
                    total += read;
                    // A short read has emptied the socket; epoll tells of what comes after it.
                    self.readable = read == room || self.half_closed;
                    self.unparsed = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.ended = Some(End::Io(error)),
            }
        }
        total
    }

    /// Whether it can be read from: not while its replies pile up or its requests wait.
    pub(super) fn wants_input(&self) -> bool {
        self.readable
            && self.ended.is_none()
            && self.pipeline.is_empty()
            && matches!(self.waiting, Waiting::No)
            && !self.session.closing
            && self.output_len() < OUTPUT_LEN_MAX
    }

    /// Whether its requests can be carried out now.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.waiting, Waiting::No) && self.output_len() < OUTPUT_LEN_MAX && !self.broken()
    }

    /// Finds the next requests in what was read. False: there is no complete one.
    #[inline]
    pub(super) fn parse(&mut self, limits: &Limits) -> bool {
        if self.session.closing || !self.unparsed {
            return false;
        }
        let mut storage = self.pipeline.reclaim();
        let Source { buffer, requests } = &mut *storage;
        requests.clear();
        let mut start = 0;
        while requests.len() < REQUESTS_MAX && start < self.input.len() {
            match self.parser.parse(&self.input, start, limits, requests) {
                Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => start += consumed,
                Ok(Parsed::Incomplete { .. }) => break,
                Err(error) => {
                    // What came before it is answered first.
                    self.ended = Some(End::Protocol(error));
                    break;
                }
            }
        }
        let mut rest = recycled(std::mem::take(buffer));
        if start < self.input.len() && !matches!(self.ended, Some(End::Protocol(_))) {
            rest.extend_from_slice(self.input.get(start..).unwrap_or_default());
        }
        self.unparsed = requests.len() == REQUESTS_MAX && start < self.input.len();
        let found = !requests.is_empty();
        *buffer = if found || start > 0 { std::mem::replace(&mut self.input, rest) } else { rest };
        self.pipeline.give(storage);
        found
    }

    /// Bytes of a request that the client did not end.
    pub(super) fn unfinished_len(&self) -> usize {
        if self.session.closing { 0 } else { self.input.len() }
    }

    fn output_len(&self) -> usize {
        self.output.len() - self.written
    }

    /// Takes what others have for the client out of its mailbox, as far as there is room.
    pub(super) fn take_mail(&mut self) {
        if !self.session.subscriber.mailbox().is_waiting() {
            return;
        }
        let room = OUTPUT_LEN_MAX.saturating_sub(self.output_len());
        if room > 0 && !self.broken() {
            let Self { session, output, .. } = self;
            session.subscriber.deliver(room, &mut Encoder::new(output, session.protocol));
        }
    }

    /// Why the client is to be closed for what it does not take, if it is.
    pub(super) fn over_limit(&mut self, limits: &OutputLimits, now: Instant) -> Option<String> {
        let (len, subscriber) = (self.output_len(), &self.session.subscriber);
        if subscriber.listens() || subscriber.mailbox().is_waiting() {
            return subscriber.mailbox().note_unwritten(len, now);
        }
        limits.normal.exceeded(len, &mut self.overdue, || now)
    }

    /// Ends the connection when the client takes too little.
    #[inline]
    pub(super) fn limit_output(&mut self, limits: &OutputLimits, now: Instant) {
        if let Some(text) = self.over_limit(limits, now) {
            self.ended = Some(End::Late(text));
        }
    }

    /// Tells the client of a protocol error, once all before it is answered.
    #[inline]
    pub(super) fn tell_protocol_error(&mut self) {
        if let Some(End::Protocol(error)) = &self.ended
            && !self.session.closing
        {
            self.session.closing = true;
            if error.is_answered() {
                let text = format!("ERR {error}");
                Encoder::new(&mut self.output, self.session.protocol).error(&text);
            }
        }
    }

    /// Writes what the socket takes. Answers how much.
    #[inline]
    pub(super) fn write(&mut self, now: Instant) -> usize {
        let mut total = 0;
        while self.output_len() > 0 && !self.broken() {
            match self.socket.write(self.output.get(self.written..).unwrap_or_default()) {
                Ok(written) => {
                    self.written += written;
                    total += written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.ended = Some(End::Io(error)),
            }
        }
        if self.output_len() == 0 {
            self.output = recycled(std::mem::take(&mut self.output));
            self.written = 0;
            self.stalled = None;
        } else if total > 0 || self.stalled.is_none() {
            self.stalled = Some(now);
        }
        // A client that always leaves something must not make the host hold all that it has taken. Moved at most once per byte.
        if self.written > self.output_len() {
            self.output.drain(..self.written);
            self.written = 0;
        }
        total
    }

    /// Whether it can go on without its socket: there are requests, and it was only its turn that ended.
    pub(super) fn has_more(&self) -> bool {
        let mail = self.session.subscriber.mailbox().is_waiting() && self.output_len() == 0 && !self.broken();
        mail || self.is_free() && !self.session.closing && (self.unparsed || !self.pipeline.is_empty())
    }

    /// Reads nothing more: the server stops.
    pub(super) fn end_input(&mut self) {
        self.ended.get_or_insert(End::Client);
    }

    /// Is to be closed, whatever it still has to say or to hear.
    pub(super) fn kill(&mut self) {
        self.ended = Some(End::Killed);
    }

    /// Tells what `CLIENT LIST` tells of it; `now_ms` if it has sent something.
    #[inline]
    pub(super) fn note(&self, now_ms: Option<i64>) {
        let memory = self.memory();
        let queued = self.session.transaction.as_ref().map(|transaction| transaction.queue.len());
        let mut entry = lock(&self.entry);
        entry.active_ms = now_ms.unwrap_or(entry.active_ms);
        entry.memory = memory;
        entry.multi = queued.map_or(-1, |queued| i64::try_from(queued).unwrap_or(i64::MAX));
        entry.watch = self.session.watched.len();
        entry.cmd = self.session.last_command;
    }

    fn memory(&self) -> ClientMemory {
        let transaction = self.session.transaction.as_ref();
        let multi = transaction.map_or(0, |transaction| transaction.queue.memory_size_bytes());
        let args = self.pipeline.memory_size_bytes();
        let (input, output_memory) = (self.input.len(), self.output.capacity());
        let input_free = self.input.capacity() - input;
        let total = size_of::<Self>() + input + input_free + args + multi + output_memory;
        ClientMemory { input, input_free, args, multi, output: self.output_len(), output_memory, total }
    }

    /// Neither read from nor written to any more.
    fn broken(&self) -> bool {
        matches!(self.ended, Some(End::Io(_) | End::Killed | End::Late(_)))
    }

    /// Why it is over, if it is: everything answered and written, or nothing more possible.
    pub(super) fn over(&mut self) -> Option<End> {
        let idle = matches!(self.waiting, Waiting::No);
        if matches!(self.waiting, Waiting::Work { .. }) || !(self.broken() || self.output_len() == 0) {
            return None;
        }
        let all_taken = self.pipeline.is_empty() && !self.unparsed;
        let done = idle && (self.session.closing || (self.ended.is_some() && all_taken));
        if self.broken() || done { Some(self.ended.take().unwrap_or(End::Client)) } else { None }
    }
}

/// An empty buffer, with the memory of this one unless that is a lot.
fn recycled(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > KEPT_LEN_MAX {
        return Vec::new();
    }
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::{Connection, OUTPUT_LEN_MAX, Socket};
    use crate::command::Session;

    #[test]
    fn replies_that_were_taken_are_not_held_while_others_wait() {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let socket = Socket::Unix { stream: mio::net::UnixStream::from_std(near), path: String::new() };
        let now = Instant::now();
        let mut connection = Connection::new(socket, Session::default(), Default::default(), now);
        let (mut taken, mut sent) = (vec![0; 64 << 10], Vec::new());
        for round in 0..1000_u32 {
            // More than the client takes before the next are added.
            while connection.output_len() < OUTPUT_LEN_MAX / 2 {
                let reply = [round.to_le_bytes(); 16 << 10].concat();
                connection.output.extend_from_slice(&reply);
                sent.extend_from_slice(&reply);
            }
            connection.write(now);
            let read = far.read(&mut taken).unwrap();
            assert_eq!(&taken[..read], &sent[..read]);
            sent.drain(..read);
            let held = connection.output.len();
            assert!(
                connection.output_len() > 0 && held <= 2 * OUTPUT_LEN_MAX,
                "{held} bytes in round {round}"
            );
        }
    }
}
