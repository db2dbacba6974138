//! Stream: requests whose replies never end, such as SUBSCRIBE and MONITOR: prints what comes until somebody ends it.

use super::{Exit, Failure, Output, monitor};
use kvstore_client::{Client, Error, Value, encode_command};

/// Whether the host goes on speaking after this request.
pub(crate) fn is_endless(words: &[Vec<u8>]) -> bool {
    let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    matches!(name.as_slice(), b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"MONITOR")
}

/// Prints all that comes; ends with an error reply or when the host hangs up.
pub(crate) fn run(client: &mut Client, words: &[Vec<u8>], output: &mut Output) -> Result<Exit, Failure> {
    let is_monitor = words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"MONITOR"));
    let mut connection = client.take_connection()?;
    let mut bytes = Vec::new();
    encode_command(words, &mut bytes);
    connection.send(&bytes)?;
    connection.set_reply_wait(None);
    loop {
        let value = connection.receive()?;
        if let Value::Error(reply) = value {
            return Err(Error::Reply(reply).into());
        }
        if is_monitor {
            monitor::show(&value, output)?
        } else {
            output.reply(&value)?
        }
        output.flush()?;
    }
}
