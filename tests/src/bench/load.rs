//! Load: one thread that keeps a server busy over many connections, each with a full pipeline, at as little cost as it can.
//!
//! It has to be cheaper than any server that it measures. So requests are laid out once and only their keys are
//! written again, and of a reply only head and length are looked at, in the buffer into which all connections read.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::process::thread_cpu_ns;
use super::protocol::{KEY_LEN, Kind, Protocol, Shape, write_key};

/// A server that is silent for this long has lost a request.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const READ_LEN: usize = 256 << 10;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the server speaks.
    pub protocol: Protocol,
    /// Which operation.
    pub kind: Kind,
    /// Requests under way on each connection.
    pub pipeline: usize,
    /// Length of the values in bytes.
    pub value_len: usize,
    /// Keys are drawn from the first so many.
    pub keys: u64,
    /// Where the random numbers start.
    pub seed: u64,
}

/// When enough was sent. All that is under way then is still waited for.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// When at least so many are done.
    Done(u64),
    /// When each key was used once, in their order.
    AllKeys,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Operations that were answered.
    pub operations: u64,
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// CPU time of the load itself in nanoseconds.
    pub cpu_ns: u64,
}

/// Connections to one server.
#[derive(Debug)]
pub struct Connections {
    epoll: OwnedFd,
    sockets: Vec<OwnedFd>,
}

impl Connections {
    /// Opens so many.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn open(address: &str, count: usize) -> io::Result<Self> {
        let target = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let sockets = (0..count).map(|number| {
            let stream = TcpStream::connect(target)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let socket = OwnedFd::from(stream);
            // On edges: nothing has to be registered anew when a write did not fit.
            let edges = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&epoll, &socket, epoll::EventData::new_u64(number as u64), edges)?;
            Ok(socket)
        });
        let sockets = sockets.collect::<io::Result<_>>()?;
        Ok(Self { epoll, sockets })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Sends what is planned and takes the replies, until it is enough and nothing is under way.
    ///
    /// # Errors
    /// The server closed a connection, is silent for a minute, or answered something else.
    pub fn run(&self, plan: &Plan, until: Until) -> io::Result<Done> {
        self.run_timed(plan, until, 0).map(|(done, _)| done)
    }

    /// The same, but the first so many connections send one request at a time, whatever the plan says of pipelines; answers
    /// also how long each of these took, in nanoseconds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_timed(&self, plan: &Plan, until: Until, timed: usize) -> io::Result<(Done, Vec<u32>)> {
        let (begun, cpu_begun_ns) = (Instant::now(), thread_cpu_ns());
        let mut run = Run {
            shape: plan.protocol.shape(plan.kind, plan.value_len),
            plan: *plan,
            until,
            end: match until {
                Until::Elapsed(time) => Some(begun + time),
                _ => None,
            },
            rng: SmallRng::seed_from_u64(plan.seed),
            operations: 0,
            issued: 0,
            under_way: 0,
            buffer: vec![0; READ_LEN],
            times_ns: Vec::new(),
        };
        let lane =
            |number| Lane::new(&run.shape, if number < timed { 1 } else { plan.pipeline }, number < timed);
        let mut lanes: Vec<Lane> = (0..self.sockets.len()).map(lane).collect();
        for (lane, socket) in lanes.iter_mut().zip(&self.sockets) {
            run.refill(lane, begun);
            lane.write(socket)?;
        }
        let mut events = Vec::with_capacity(self.sockets.len().max(1));
        while run.under_way > 0 {
            let silence = Timespec::try_from(SILENCE_MAX).ok();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), silence.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if events.is_empty() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has lost a request"));
            }
            let now = Instant::now();
            if timed > 0 {
                // What is timed must not wait for what others of this very load have to do.
                events.sort_unstable_by_key(|event| event.data.u64());
            }
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                let (lane, socket) = (&mut lanes[at], &self.sockets[at]);
                if run.read(lane, socket)? {
                    run.refill(lane, now);
                }
                lane.write(socket)?;
            }
        }
        let done = Done {
            operations: run.operations,
            elapsed: begun.elapsed(),
            cpu_ns: thread_cpu_ns() - cpu_begun_ns,
        };
        Ok((done, run.times_ns))
    }
}

/// One connection's pipeline.
struct Lane {
    /// Whether its turns are timed, and when the last one began.
    timed: bool,
    begun: Instant,
    requests: Vec<u8>,
    /// Of `requests`, what is to be sent in this turn, and what was.
    len: usize,
    sent: usize,
    /// Bytes of replies that are still to come.
    awaited: usize,
}

impl Lane {
    fn new(shape: &Shape, pipeline: usize, timed: bool) -> Self {
        let (requests, begun) = (shape.request.repeat(pipeline), Instant::now());
        Self { timed, begun, requests, len: 0, sent: 0, awaited: 0 }
    }

    fn write(&mut self, socket: &OwnedFd) -> io::Result<()> {
        while self.sent < self.len {
            match rustix::io::write(socket, &self.requests[self.sent..self.len]) {
                Ok(written) => self.sent += written,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

struct Run {
    plan: Plan,
    shape: Shape,
    until: Until,
    end: Option<Instant>,
    rng: SmallRng,
    operations: u64,
    issued: u64,
    under_way: usize,
    buffer: Vec<u8>,
    times_ns: Vec<u32>,
}

impl Run {
    /// Lays out the next turn of a lane, if there is one.
    fn refill(&mut self, lane: &mut Lane, now: Instant) {
        let pipeline = lane.requests.len() / self.shape.request.len();
        let count = match self.until {
            Until::Elapsed(_) if self.end.is_some_and(|end| now >= end) => 0,
            Until::Elapsed(_) => pipeline,
            Until::Done(wanted) if self.issued >= wanted => 0,
            Until::Done(_) => pipeline,
            Until::AllKeys => pipeline.min((self.plan.keys - self.issued) as usize),
        };
        (lane.sent, lane.len, lane.awaited) =
            (0, count * self.shape.request.len(), count * self.shape.reply_len);
        for request in lane.requests[..lane.len].chunks_exact_mut(self.shape.request.len()) {
            let number = match self.until {
                Until::AllKeys => self.issued,
                _ => self.rng.random_range(0..self.plan.keys),
            };
            write_key(number, &mut request[self.shape.key_at..][..KEY_LEN]);
            self.issued += 1;
        }
        self.under_way += usize::from(count > 0);
        if lane.timed {
            lane.begun = Instant::now();
        }
    }

    /// Reads what is there; whether it ends the lane's turn.
    fn read(&mut self, lane: &mut Lane, socket: &OwnedFd) -> io::Result<bool> {
        let before = lane.awaited;
        loop {
            match rustix::io::read(socket.as_fd(), &mut self.buffer[..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => {
                    self.check(lane, len)?;
                    // On edges, less than there was room for means that there is no more.
                    if len < READ_LEN {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let ended = lane.awaited == 0 && before > 0;
        if ended && lane.timed {
            self.times_ns.push(u32::try_from(lane.begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        if ended {
            self.operations += (lane.len / self.shape.request.len()) as u64;
            self.under_way -= 1;
        }
        Ok(ended)
    }

    /// Holds what was read against what has to come.
    fn check(&self, lane: &mut Lane, len: usize) -> io::Result<()> {
        let (head, reply_len) = (&self.shape.reply_head, self.shape.reply_len);
        let mut rest = &self.buffer[..len];
        while !rest.is_empty() && rest.len() <= lane.awaited {
            // How far into a reply this begins.
            let inside = (reply_len - lane.awaited % reply_len) % reply_len;
            let (reply, behind) = rest.split_at(rest.len().min(reply_len - inside));
            let wanted = head.get(inside..).unwrap_or_default();
            let same = wanted.len().min(reply.len());
            if reply[..same] != wanted[..same] {
                break;
            }
            lane.awaited -= reply.len();
            rest = behind;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let (wanted, found) = (String::from_utf8_lossy(head), String::from_utf8_lossy(rest));
        let found: String = found.chars().take(100).collect();
        Err(io::Error::other(format!("{wanted:?} is awaited, {found:?} came")))
    }
}
