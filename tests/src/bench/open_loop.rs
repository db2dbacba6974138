//! Open loop: requests are due at times of a fixed schedule, whatever came before, and each one's time counts from when it was due.
//!
//! So a server that stands still for a moment is charged for all that should have been asked in that moment, not for the one request per
//! connection that was under way. One thread has all connections, with any number of requests under way on each.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::protocol::{KEY_LEN, Kind, Protocol, write_key};
use super::record::Record;

/// Length of the values in bytes.
pub const VALUE_LEN: usize = 32;
/// Counters of each connection, where some are asked for.
pub const COUNTERS: usize = 16;
/// The number of the first counter's key: beyond all keys that are drawn.
const COUNTERS_AT: u64 = 900_000_000_000;
/// A server that is silent for this long has lost a request.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a wait may be before a look whether to stop.
const LOOK: Duration = Duration::from_millis(20);
/// Requests that go out before replies are looked at again.
const TURN: usize = 4096;
const READ_LEN: usize = 256 << 10;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Requests per second over all connections; without it each connection sends its next request when the last is answered.
    pub rate: Option<f64>,
    /// GET and SET in turns, of keys drawn from the first so many.
    pub keys: u64,
    /// Half of the requests are INCR, each connection on counters of its own.
    pub counters: bool,
    /// Times are kept by when requests were due, not only together.
    pub by_time: bool,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Get,
    Set,
    /// Of the connection's counter of this number.
    Incr(usize),
}

/// A request under way.
struct Waiting {
    due: Instant,
    asked: Asked,
}

/// One connection.
struct Lane {
    socket: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    waiting: VecDeque<Waiting>,
    /// Of each counter: what its last reply said, and how often it was said to have grown.
    counters: [(u64, u64); COUNTERS],
}

/// Connections to one server.
pub struct OpenLoop {
    lanes: Vec<Lane>,
    /// A request of each kind, with some key in its place, and where that is.
    requests: [(Vec<u8>, usize); 3],
    rng: SmallRng,
    buffer: Vec<u8>,
}

impl OpenLoop {
    /// Opens so many.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn open(address: &str, count: usize) -> io::Result<Self> {
        let lane = |_| {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let (out, input, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
            Ok(Lane { socket, out, input, waiting, counters: [(0, 0); COUNTERS] })
        };
        let lanes = (0..count).map(lane).collect::<io::Result<_>>()?;
        let [get, set] = [Kind::Get, Kind::Set].map(|kind| Protocol::Resp.shape(kind, VALUE_LEN));
        let incr = format!("*2\r\n$4\r\nINCR\r\n${KEY_LEN}\r\n{}\r\n", "k".repeat(KEY_LEN)).into_bytes();
        let incr_at = incr.len() - KEY_LEN - 2;
        let requests = [(get.request, get.key_at), (set.request, set.key_at), (incr, incr_at)];
        Ok(Self { lanes, requests, rng: SmallRng::seed_from_u64(1), buffer: vec![0; READ_LEN] })
    }

    /// Sends what is planned until it is told to stop, and waits for all replies.
    ///
    /// # Errors
    /// The server closed a connection, or is silent for a minute.
    pub fn run(&mut self, plan: &Plan, stop: &AtomicBool) -> io::Result<Record> {
        // The system may wake this thread a bit later than asked, unless told that this matters.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let mut record = Record::begin(plan.by_time);
        let (mut sent, mut heard) = (0_u64, Instant::now());
        loop {
            let stopped = stop.load(Ordering::Relaxed);
            let next = if stopped { None } else { self.send_due(plan, &mut sent, &mut record) };
            let under_way: usize = self.lanes.iter().map(|lane| lane.waiting.len()).sum();
            if stopped && under_way == 0 {
                return Ok(record);
            }
            if under_way == 0 {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has lost a request"));
            }
            let left = next.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
            if self.wait(left)? {
                let mut answered = 0;
                for lane in &mut self.lanes {
                    answered += lane.receive(&mut self.buffer, &mut record)?;
                }
                if answered > 0 {
                    heard = Instant::now();
                }
            }
        }
    }

    /// Sends all that is due; answers when the next one is.
    fn send_due(&mut self, plan: &Plan, sent: &mut u64, record: &mut Record) -> Option<Instant> {
        let now = Instant::now();
        let Some(rate) = plan.rate else {
            for at in 0..self.lanes.len() {
                if self.lanes[at].waiting.is_empty() {
                    self.add(plan, at, *sent, now);
                    *sent += 1;
                }
            }
            return None;
        };
        let due = |number: u64| record.begun + Duration::from_secs_f64(number as f64 / rate);
        let (mut next, mut late) = (due(*sent), None);
        for _ in 0..TURN {
            if next > now {
                break;
            }
            late.get_or_insert(now - next);
            // Each connection gets requests of all kinds.
            let lanes = self.lanes.len() as u64;
            self.add(plan, (*sent % lanes) as usize, *sent / lanes + *sent % lanes, next);
            *sent += 1;
            next = due(*sent);
        }
        if let Some(late) = late {
            record.went_late(late);
        }
        Some(next)
    }

    /// Lays out a request of a connection.
    fn add(&mut self, plan: &Plan, lane_at: usize, number: u64, due: Instant) {
        let asked = match number % 4 {
            0 | 2 if !plan.counters => Asked::Get,
            _ if !plan.counters => Asked::Set,
            0 => Asked::Get,
            1 => Asked::Set,
            _ => Asked::Incr(self.rng.random_range(0..COUNTERS)),
        };
        let (kind, key) = match asked {
            Asked::Get => (0, self.rng.random_range(0..plan.keys)),
            Asked::Set => (1, self.rng.random_range(0..plan.keys)),
            Asked::Incr(counter) => (2, counter_key(lane_at, counter)),
        };
        let ((request, key_at), lane) = (&self.requests[kind], &mut self.lanes[lane_at]);
        let start = lane.out.len();
        lane.out.extend_from_slice(request);
        write_key(key, &mut lane.out[start + key_at..][..KEY_LEN]);
        lane.waiting.push_back(Waiting { due, asked });
    }

    /// Writes what there is to write, and waits for something to read; whether there is.
    fn wait(&mut self, left: Duration) -> io::Result<bool> {
        for lane in &mut self.lanes {
            lane.send()?;
        }
        let asked =
            |lane: &Lane| if lane.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut sockets: Vec<PollFd<'_>> =
            self.lanes.iter().map(|lane| PollFd::new(&lane.socket, asked(lane))).collect();
        match poll(&mut sockets, Timespec::try_from(left).ok().as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Of all counters: their key, and how often they were said to have grown.
    pub fn counters(&self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        self.lanes.iter().enumerate().flat_map(|(lane_at, lane)| {
            lane.counters.iter().enumerate().map(move |(counter, (_, grown))| {
                let mut key = vec![0; KEY_LEN];
                write_key(counter_key(lane_at, counter), &mut key);
                (key, *grown)
            })
        })
    }
}

fn counter_key(lane_at: usize, counter: usize) -> u64 {
    COUNTERS_AT + (lane_at * COUNTERS + counter) as u64
}

impl Lane {
    fn send(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.socket.write(&self.out[sent..]) {
                Ok(len) => sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }

    /// Reads what is there; how many replies that were.
    fn receive(&mut self, buffer: &mut [u8], record: &mut Record) -> io::Result<usize> {
        let len = match self.socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => {
                0
            }
            Err(error) => return Err(error),
        };
        self.input.extend_from_slice(&buffer[..len]);
        let (mut used, mut count, now) = (0, 0, Instant::now());
        while let Some(reply_len) = reply_len(&self.input[used..]) {
            let reply = &self.input[used..used + reply_len];
            let Some(waiting) = self.waiting.pop_front() else {
                return Err(io::Error::other("a reply came that nobody had asked for"));
            };
            record.answered(waiting.due, now);
            if !is_expected(reply, waiting.asked, &mut self.counters) {
                let found = String::from_utf8_lossy(&reply[..reply.len().min(100)]);
                record.failed(|| format!("{:?}: {}", waiting.asked, found.trim_end()));
            }
            (used, count) = (used + reply_len, count + 1);
        }
        self.input.drain(..used);
        Ok(count)
    }
}

/// Whether this is the reply; a counter that has grown is noted.
fn is_expected(reply: &[u8], asked: Asked, counters: &mut [(u64, u64); COUNTERS]) -> bool {
    match asked {
        Asked::Get => reply.starts_with(b"$32\r\n"),
        Asked::Set => reply == b"+OK\r\n",
        Asked::Incr(counter) => {
            let number = reply.strip_prefix(b":").and_then(|text| std::str::from_utf8(text).ok());
            let Some(now) = number.and_then(|text| text.trim_end().parse().ok()) else { return false };
            let (last, grown) = &mut counters[counter];
            let next = *last + 1 == now;
            (*last, *grown) = (now, *grown + 1);
            next
        }
    }
}

/// Length of the reply with which this begins; nothing as long as it is not whole. Replies are lines and texts.
fn reply_len(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let text = bytes[..line].strip_prefix(b"$").and_then(|len| std::str::from_utf8(len).ok());
    let text_len = text.and_then(|len| len.trim_end().parse::<usize>().ok());
    let whole = text_len.map_or(line, |len| line + len + 2);
    (whole <= bytes.len()).then_some(whole)
}

/// The longest time that a histogram tells from longer ones, in microseconds: an hour.
const TIME_MAX_US: u64 = 3_600_000_000;

/// A histogram of microseconds, to three digits. It has its size from the beginning: one that grows by itself does not do so for what saturates.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(TIME_MAX_US, 3).expect("three digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(reply_len(b"+OK\r\n+OK\r\n"), Some(5));
        assert_eq!(reply_len(b"$-1\r\n"), Some(5));
        assert_eq!(reply_len(b"$2\r\nab\r\n:1\r\n"), Some(8));
        assert_eq!(reply_len(b"$2\r\nab\r"), None);
        assert_eq!(reply_len(b"-ERR no"), None);
    }

    #[test]
    fn a_counter_that_jumps_is_no_expected_reply() {
        let mut counters = [(0, 0); COUNTERS];
        let mut incr = |reply: &[u8]| is_expected(reply, Asked::Incr(3), &mut counters);
        assert!(incr(b":1\r\n") && incr(b":2\r\n"));
        assert!(!incr(b":2\r\n") && !incr(b":4\r\n") && !incr(b"-ERR no\r\n"));
        assert_eq!(counters[3], (4, 4));
    }
}
