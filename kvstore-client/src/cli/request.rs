//! Request: sends one request, prints its reply, and judges it.

use super::exit::is_not_found;
use super::{Exit, Failure, Options, Output, stream};
use kvstore_client::Value;

/// Runs the request made of `words`; an error reply becomes a failure.
pub(crate) fn run(options: &Options, words: Vec<Vec<u8>>) -> Result<Exit, Failure> {
    let mut client = options.connected_client()?;
    let mut output = Output::once(options);
    if stream::is_endless(&words) {
        return stream::run(&mut client, &words, &mut output);
    }
    run_on(client, words, &mut output)
}

/// The same on a client that is there already.
pub(crate) fn run_on(
    mut client: kvstore_client::Client,
    words: Vec<Vec<u8>>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let reply = client.call(&words)?;
    tell(&words, reply, output)
}

/// Prints the reply to the request made of `words`, and judges it.
pub(super) fn tell(words: &[Vec<u8>], reply: Value, output: &mut Output) -> Result<Exit, Failure> {
    let reply = as_text(words, reply);
    output.reply(&reply)?;
    output.flush()?;
    let name = words.first().map(Vec::as_slice).unwrap_or_default();
    Ok(if is_not_found(name, &reply) { Exit::NotFound } else { Exit::Done })
}

/// Marks the reply of commands that give a text for people, which RESP2 cannot tell from other bytes.
pub(crate) fn as_text(words: &[Vec<u8>], reply: Value) -> Value {
    let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let is_text = match word(0).as_slice() {
        b"INFO" | b"LOLWUT" => true,
        b"CLIENT" => matches!(word(1).as_slice(), b"LIST" | b"INFO"),
        b"ENGINE" => true,
        b"CLUSTER" => matches!(word(1).as_slice(), b"INFO" | b"NODES"),
        b"MEMORY" | b"LATENCY" => word(1) == b"DOCTOR",
        _ => false,
    };
    match reply {
        Value::Bulk(text) if is_text => Value::Verbatim { format: *b"txt", text },
        reply => reply,
    }
}
