//! Server: a redis-server of the test's own on a Unix socket, and connections that keep a server's bytes as they came.

#![allow(clippy::expect_used, clippy::panic, reason = "a test's helper stops at the first surprise")]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock::Clock;
use super::generate::VALUE_LEN_MAX;
use super::lines::quote;
use super::reply::Reply;
use crate::wait::wait_for;

/// A redis-server. It is killed when this is dropped: it keeps nothing.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    /// Its socket.
    pub socket: PathBuf,
}

impl Redis {
    /// Starts one in this directory that follows this clock, and waits until it serves.
    ///
    /// # Panics
    /// It is not installed, does not start, or is none of version 7.
    pub fn start(dir: &Path, clock: &Clock) -> Self {
        let (socket, log) = (dir.join("redis.sock"), dir.join("redis.log"));
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--databases", "1"]);
        command.args(["--proto-max-bulk-len", &VALUE_LEN_MAX.to_string()]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(dir).arg("--logfile").arg(&log);
        command.envs(clock.env()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("redis-server (scripts/setup --tests installs it)");
        wait_for("redis-server", || {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(child.try_wait().ok().flatten().is_none(), "redis-server does not start: {}", log());
            UnixStream::connect(&socket).ok()
        });
        let redis = Self { child, socket };
        let info = redis.connect().ask(&[b"INFO", b"server"]);
        let info = String::from_utf8_lossy(info.text().unwrap_or_default()).into_owned();
        assert!(info.contains("redis_version:7."), "version 7 of Redis is compared with: {info}");
        redis
    }

    /// A new connection to it.
    pub fn connect(&self) -> Wire {
        Wire::connect(&self.socket)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a reply may take. A server that is slower does not answer at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub struct Wire {
    socket: UnixStream,
    unread: Vec<u8>,
    /// Whether the server has closed it.
    pub closed: bool,
}

/// For what a pipeline's sender waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So many replies, or the end of the connection.
    Replies(usize),
    /// The end of the connection.
    End,
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        socket.set_nonblocking(true).expect("a socket that does not block");
        Self { socket, unread: Vec::new(), closed: false }
    }

    /// Sends these bytes, and reads replies meanwhile, so that neither side waits for the other. Answers what came; that is less
    /// than was waited for when the server closed the connection, or gave no reply.
    ///
    /// # Panics
    /// What came is no reply.
    pub fn exchange(&mut self, mut bytes: &[u8], until: Until) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            self.take(&mut replies);
            let done = match until {
                Until::Replies(count) => bytes.is_empty() && replies.len() >= count,
                Until::End => false,
            };
            if done || self.closed {
                return replies;
            }
            let wanted = if bytes.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            let mut ready = [PollFd::new(&self.socket, wanted)];
            let patience = Timespec::try_from(PATIENCE).expect("half a minute");
            if poll(&mut ready, Some(&patience)).expect("poll") == 0 {
                return replies;
            }
            let can_write = ready[0].revents().contains(PollFlags::OUT);
            if can_write && !bytes.is_empty() {
                match self.socket.write(bytes) {
                    Ok(written) => bytes = &bytes[written..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // What it has answered before it closed the connection is still to be read.
                    Err(_) => bytes = &[],
                }
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return self.closed = true,
                Ok(len) => self.unread.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.closed = true,
            }
        }
    }

    fn take(&mut self, replies: &mut Vec<Reply>) {
        let mut at = 0;
        loop {
            match Reply::parse(&self.unread[at..]) {
                Ok(Some((reply, len))) => {
                    replies.push(reply);
                    at += len;
                }
                Ok(None) => break,
                Err(_) => panic!("this is no reply: {}", self.unread[at..].escape_ascii()),
            }
        }
        self.unread.drain(..at);
    }

    /// Sends one request, and answers its reply.
    ///
    /// # Panics
    /// There is none.
    pub fn ask(&mut self, request: &[&[u8]]) -> Reply {
        let request: Vec<Vec<u8>> = request.iter().map(|word| word.to_vec()).collect();
        let mut replies = self.exchange(&encode(&request, false), Until::Replies(1));
        assert_eq!(replies.len(), 1, "{request:?}: {replies:?}");
        replies.remove(0)
    }
}

impl Wire {
    /// Asks the same of each key, and answers the replies.
    ///
    /// # Panics
    /// One is missing.
    pub fn ask_of_each(&mut self, name: &[u8], keys: &[Vec<u8>]) -> Vec<Reply> {
        let bytes: Vec<u8> =
            keys.iter().flat_map(|key| encode(&[name.to_vec(), key.clone()], false)).collect();
        let replies = self.exchange(&bytes, Until::Replies(keys.len()));
        assert_eq!(replies.len(), keys.len(), "{}", name.escape_ascii());
        replies
    }
}

/// Lines longer than this are sent as arrays: servers limit them.
const INLINE_LEN_MAX: usize = 1_000;

/// The bytes of a request, as an array, or as a line where that is asked for and can be.
pub fn encode(request: &[Vec<u8>], inline: bool) -> Vec<u8> {
    if inline && !request.is_empty() && request.iter().map(Vec::len).sum::<usize>() < INLINE_LEN_MAX {
        let words: Vec<String> = request.iter().map(|word| quote(word)).collect();
        return format!("{}\r\n", words.join(" ")).into_bytes();
    }
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for word in request {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
