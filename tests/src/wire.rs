//! Wire: connections without a client's knowledge of the protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper stops at the first surprise")]

use std::io::Read;
use std::net::TcpStream;

use crate::host::{Host, patient};

/// A bare connection over TCP.
///
/// # Panics
/// It cannot connect.
pub fn raw(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", host.port())).unwrap();
    stream.set_read_timeout(patient().reply).unwrap();
    stream
}

/// All that comes until the host closes the connection.
///
/// # Panics
/// It does not close it.
pub fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // The host did not read all that was sent: the system tells so by a reset.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
