//! Socket: a client's stream, TCP or Unix.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::buffer::spare_capacity;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// A client's stream.
#[derive(Debug)]
pub enum Socket {
    /// From a TCP listener.
    Tcp {
        /// The stream.
        stream: TcpStream,
        /// Where the client is.
        peer: SocketAddr,
        /// Where it connected to.
        local: String,
    },
    /// From a Unix listener.
    Unix {
        /// The stream.
        stream: UnixStream,
        /// Path of the listener.
        path: String,
    },
}

impl Socket {
    /// The client's address, as `CLIENT LIST` has it.
    pub fn peer(&self) -> String {
        match self {
            Self::Tcp { peer, .. } => peer.to_string(),
            Self::Unix { path, .. } => format!("{path}:0"),
        }
    }

    /// The address it connected to.
    pub fn local(&self) -> String {
        match self {
            Self::Tcp { local, .. } => local.clone(),
            Self::Unix { path, .. } => format!("{path}:0"),
        }
    }

    /// Whether the client is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { peer, .. } => peer.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }

    /// Whether it came over the Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix { .. })
    }

    /// Its descriptor.
    pub fn fd(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { stream, .. } => stream,
            Self::Unix { stream, .. } => stream,
        }
    }

    /// Reads to the end of a buffer, as much as there is room for. Answers how much; 0: the client sends no more.
    ///
    /// # Errors
    /// From `recv`.
    pub fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        // Into memory as it is: to clear it first, as the trait `Read` wants, would cost more than small requests do.
        // And by `recv`, which asks less of the system than `read`.
        Ok(recv(self, spare_capacity(buffer), RecvFlags::empty())?.1)
    }

    /// Adds the socket to an event loop.
    ///
    /// # Errors
    /// From `epoll_ctl`.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Removes the socket from an event loop.
    ///
    /// # Errors
    /// From `epoll_ctl`.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp { stream, .. } => stream.as_fd(),
            Self::Unix { stream, .. } => stream.as_fd(),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_loopback_and_unix_sockets_are_of_this_machine() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = |peer: &str| {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            Socket::Tcp { stream, peer: peer.parse().unwrap(), local: String::new() }.is_local()
        };
        assert!(
            from("127.0.0.1:1") && from("127.9.9.9:1") && from("[::1]:1") && from("[::ffff:127.0.0.1]:1")
        );
        assert!(!from("192.0.2.1:1") && !from("[2001:db8::1]:1") && !from("[::ffff:192.0.2.1]:1"));
        let (stream, _other) = UnixStream::pair().unwrap();
        assert!(Socket::Unix { stream, path: String::new() }.is_local());
    }
}
