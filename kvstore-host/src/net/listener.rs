//! Listener: a bound address, TCP or Unix.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::socket::Socket;

/// A bound address.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp {
        /// The listener.
        listener: TcpListener,
        /// Where it is bound.
        address: SocketAddr,
    },
    /// A Unix socket, whose file goes with the listener.
    Unix {
        /// The listener.
        listener: UnixListener,
        /// Its path.
        path: PathBuf,
    },
}

impl Listener {
    /// Binds a TCP address.
    ///
    /// # Errors
    /// It is in use, or not one of this machine.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        set_options(&listener)?;
        // Once more: it listens already, with room for far fewer.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp { listener, address })
    }

    /// Binds a Unix socket with these permissions. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// Somebody listens on it, or there is something else at that path, or the directory cannot be written.
    pub fn unix(path: &Path, mode: u32) -> io::Result<Self> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                let text = "there is a file at this path that is no socket";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another server listens on this socket",
                ));
            }
            fs::remove_file(path)?;
        }
        let socket = bind_unix(path)?;
        // Nobody can connect before it has its mode: until it listens, all are refused.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, BACKLOG)?;
        let listener = UnixListener::from_std(socket.into());
        Ok(Self::Unix { listener, path: path.to_owned() })
    }

    /// Adds the listener to an event loop.
    ///
    /// # Errors
    /// From `epoll_ctl`.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp { listener, .. } => registry.register(listener, token, Interest::READABLE),
            Self::Unix { listener, .. } => registry.register(listener, token, Interest::READABLE),
        }
    }

    /// Accepts a client.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `EMFILE` and the like when the system has no room.
    pub fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp { listener, address } => {
                let (stream, peer) = listener.accept()?;
                // Which of this machine's addresses it was, is known unless all are listened on.
                let local = match address.ip().is_unspecified() {
                    true => stream.local_addr().unwrap_or(*address),
                    false => *address,
                };
                let local = local.to_string();
                Ok(Socket::Tcp { stream, peer, local })
            }
            Self::Unix { listener, path } => {
                let (stream, _): (UnixStream, _) = listener.accept()?;
                Ok(Socket::Unix { stream, path: path.display().to_string() })
            }
        }
    }
}

/// Clients that may wait to be accepted: as many as the system has room for (`net.core.somaxconn`). One that finds no room tries again a second later.
const BACKLOG: i32 = i32::MAX;

/// A socket bound to this path, of which others have no permission.
fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    // SAFETY: umask has no preconditions; it is per process, and set back at once, before workers start.
    let umask = unsafe { libc::umask(0o177) };
    let bound = bind(&socket, &address);
    // SAFETY: as above.
    unsafe { libc::umask(umask) };
    bound?;
    Ok(socket)
}

/// After how long without a sign of life a client is asked for one, in seconds; as Redis does.
const KEEP_ALIVE_S: u64 = 300;

/// Sets what every accepted socket inherits: replies are written whole, so waiting for more only adds delay; and clients whose
/// machine is gone are found out about.
fn set_options(listener: &TcpListener) -> io::Result<()> {
    use rustix::net::sockopt::{
        set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
    };
    set_tcp_nodelay(listener, true)?;
    set_socket_keepalive(listener, true)?;
    set_tcp_keepidle(listener, Duration::from_secs(KEEP_ALIVE_S))?;
    set_tcp_keepintvl(listener, Duration::from_secs(KEEP_ALIVE_S / 3))?;
    Ok(set_tcp_keepcnt(listener, 3)?)
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { address, .. } => write!(f, "{address}"),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix { path, .. } = self
            && let Err(error) = fs::remove_file(&*path)
        {
            log::warn!("cannot remove the socket {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    /// Else a client of a crowd waits for a second, until it tries again.
    #[test]
    fn a_crowd_has_room_before_the_first_client_is_accepted() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let Listener::Tcp { address, .. } = &listener else { panic!("it is TCP") };
        let room: usize = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
        let crowd = (0..room.min(300)).map(|_| TcpStream::connect_timeout(address, Duration::from_secs(60)));
        let crowd: Vec<TcpStream> = crowd.collect::<Result<_, _>>().unwrap();
        crowd.iter().for_each(|_| drop(listener.accept().unwrap()));
    }
}
