//! Address: where a host listens, a TCP host and port or the path of a Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a host listens.
///
/// Parsed from `host:port`, `[ipv6]:port`, `unix:PATH`, or a path that begins with `/` or `.`; displayed the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port on a host that is given by name or by number.
    Tcp {
        /// Host name, IPv4 or IPv6 address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix stream socket.
    Unix {
        /// Path of the socket.
        path: PathBuf,
    },
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    text: String,
}

impl Address {
    /// The address of `port` on `host`.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// The address of the Unix socket at `path`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no address: expected HOST:PORT, [IPV6]:PORT or unix:PATH", self.text)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(error()) } else { Ok(Self::unix(path)) };
        }
        if text.starts_with(['/', '.']) {
            return Ok(Self::unix(text));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let bare = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner,
            // Without brackets nobody can say where an IPv6 address ends and the port begins.
            None if host.contains([':', '[', ']']) => return Err(error()),
            None => host,
        };
        let port = port.parse().map_err(|_| error())?;
        if bare.is_empty() { Err(error()) } else { Ok(Self::tcp(bare, port)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_address_are_each_others_inverse() {
        for text in ["localhost:8080", "127.0.0.1:1", "[::1]:65535", "unix:/run/kv.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("/run/kv.sock".parse::<Address>(), Ok(Address::unix("/run/kv.sock")));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for text in ["", "localhost", "localhost:", ":80", "::1:80", "a:70000", "unix:", "[::1:80"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no address")), "{error}");
        }
    }
}
