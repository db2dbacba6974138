//! Script: makes any bytes into what a few clients send: requests that make sense, edge values, and garbage between.
//!
//! Inputs that people write are read as they are: see [`Script::new`].

use std::ops::ControlFlow;

use arbitrary::{Arbitrary, Result, Unstructured};
use kvstore_host::command::Spec;
use kvstore_host::command::table::COMMANDS;

/// Clients in a script.
pub const CLIENTS: usize = 2;
/// Steps at most, so that a run stays short.
const STEPS_MAX: u32 = 48;

/// Bytes of a burst of equal requests.
const BURST_LEN_MAX: usize = 300 << 10;

const KEYS: [&[u8]; 8] = [b"k", b"k2", b"key:3", b"n", b"", b"\0\xff\r\n", b"k*", b"channel"];
const NUMBERS: [&[u8]; 32] = [
    b"0",
    b"1",
    b"-1",
    b"2",
    b"3",
    b"10",
    b"100",
    b"1000",
    b"-100",
    b"4095",
    b"4096",
    b"4097",
    b"16383",
    b"2147483647",
    b"2147483648",
    b"4294967296",
    b"1099511627776",
    b"1700000000000",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1.5",
    b"-0.1",
    b"1e400",
    b"3.0e3",
    b"nan",
    b"inf",
    b"-inf",
    b"0x10",
    b" 1",
];
const PATTERNS: [&[u8]; 6] = [b"*", b"k*", b"[^a-", b"*?*?*\\", b"h[", b"__key*__:*"];
/// Commands that work together, so that they meet more often than by chance.
const FAVOURITES: [&str; 16] = [
    "set",
    "get",
    "del",
    "incr",
    "append",
    "setrange",
    "mget",
    "mset",
    "expire",
    "multi",
    "exec",
    "discard",
    "watch",
    "hello",
    "subscribe",
    "publish",
];

/// What clients send, in order.
#[derive(Debug)]
pub struct Script {
    /// Chooses the cuts.
    pub cuts: u8,
    /// What is sent.
    pub steps: Vec<Step>,
}

/// Bytes of one client. What was sent before has been answered when they are.
#[derive(Debug)]
pub struct Step {
    /// Which client.
    pub client: usize,
    /// What it sends: often a whole request, sometimes several, a part, or garbage.
    pub bytes: Vec<u8>,
}

/// What a written script begins with.
pub const WRITTEN: &[u8] = b"script\n";

impl Script {
    /// The script that these bytes are.
    ///
    /// After a line `script`, each line is a client's number, which may be followed by `*` and how often, a space, and an inline request,
    /// which is sent at once with those before it if they are the same client's. All else is taken for a fuzzer's choices.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let Some(lines) = bytes.strip_prefix(WRITTEN) else {
            return Self::arbitrary(&mut Unstructured::new(bytes));
        };
        let mut script = Self { cuts: 1, steps: Vec::new() };
        for line in lines.split(|byte| *byte == b'\n') {
            let head_len = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
            let (head, request) = line.split_at(head_len);
            let head = String::from_utf8_lossy(head);
            let (client, times) = head.split_once('*').unwrap_or((&head, "1"));
            let client = usize::from(client == "1");
            let request = [request.trim_ascii_start(), b"\r\n"].concat();
            let times = times.parse().unwrap_or(1).min(BURST_LEN_MAX / request.len());
            script.send(client, &request.repeat(times), true);
        }
        Ok(script)
    }

    fn send(&mut self, client: usize, bytes: &[u8], joined: bool) {
        match self.steps.last_mut() {
            // A pipeline.
            Some(last) if joined && last.client == client => last.bytes.extend_from_slice(bytes),
            _ => self.steps.push(Step { client, bytes: bytes.to_vec() }),
        }
    }
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut script = Self { cuts: input.arbitrary()?, steps: Vec::new() };
        input.arbitrary_loop(Some(1), Some(STEPS_MAX), |input| {
            if input.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            let (client, joined) = (usize::from(input.ratio(1, 4)?), input.ratio(1, 2)?);
            let bytes = some_bytes(input)?;
            script.send(client, &bytes, joined);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(script)
    }
}

fn some_bytes(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match input.int_in_range(0..=31)? {
        0 => return raw(input, 24),
        1 => return Ok(b"\r\n".to_vec()),
        2 => return Ok(b"*0\r\n*-1\r\n".to_vec()),
        _ => {}
    }
    let args = request(input)?;
    Ok(match input.int_in_range(0..=31)? {
        0..=3 => inline(&args),
        4..=7 => {
            // Not all of it; what comes next is taken for the rest.
            let mut bytes = resp(&args);
            bytes.truncate(input.int_in_range(0..=bytes.len())?);
            bytes
        }
        8..=10 => resp(&args).repeat(input.int_in_range(1..=4)?),
        11 => {
            // Beyond what a host reads, plans and holds at a time.
            let one = resp(&args);
            one.repeat(input.int_in_range(1..=1500)?.min(BURST_LEN_MAX / one.len()))
        }
        _ => resp(&args),
    })
}

fn request(input: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    let spec = if input.ratio(2, 5)? {
        let name = *input.choose(&FAVOURITES)?;
        COMMANDS.iter().find(|spec| spec.name == name)
    } else {
        Some(input.choose(COMMANDS)?)
    };
    let Some(spec) = spec else { return Ok(vec![b"ping".to_vec()]) };
    let mut args = vec![spec.name.as_bytes().to_vec()];
    let mut inner = spec;
    if !spec.subcommands.is_empty() {
        inner = input.choose(spec.subcommands)?;
        args.push(inner.name.as_bytes().to_vec());
    }
    let wanted = inner.arity.unsigned_abs() as usize;
    let count = match input.int_in_range(0..=7)? {
        0 => input.int_in_range(0..=8)?,
        1..=3 if inner.arity < 0 => wanted + input.int_in_range(0..=4)?,
        _ => wanted,
    };
    while args.len() < count {
        let may_be_key = inner.keys.0 != 0 && args.len() == inner.keys.0.unsigned_abs() as usize;
        let arg = if may_be_key { input.choose(&KEYS[..4])?.to_vec() } else { arg(input, inner)? };
        args.push(arg);
    }
    Ok(args)
}

fn arg(input: &mut Unstructured<'_>, spec: &Spec) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=15)? {
        0..=3 => input.choose(&KEYS)?.to_vec(),
        4..=7 => input.choose(&NUMBERS)?.to_vec(),
        8..=11 => {
            let is_literal = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
            let words = spec.syntax.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            let words: Vec<&str> = words.filter(is_literal).collect();
            if words.is_empty() { b"2".to_vec() } else { input.choose(&words)?.as_bytes().to_vec() }
        }
        12 => input.choose(&PATTERNS)?.to_vec(),
        13 => vec![b'x'; input.int_in_range(0..=3000)?],
        _ => raw(input, 12)?,
    })
}

fn raw(input: &mut Unstructured<'_>, len_max: usize) -> Result<Vec<u8>> {
    let len = input.int_in_range(0..=len_max)?;
    Ok(input.bytes(len.min(input.len()))?.to_vec())
}

fn resp(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    kvstore_client::encode_command(args, &mut bytes);
    bytes
}

fn inline(args: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::new();
    for arg in args {
        line.push(b'"');
        for byte in arg {
            match byte {
                b' '..=b'~' if !matches!(byte, b'"' | b'\\') => line.push(*byte),
                other => line.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
            }
        }
        line.extend_from_slice(b"\" ");
    }
    line.extend_from_slice(b"\r\n");
    line
}
