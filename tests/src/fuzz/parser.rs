//! Parser: any bytes give the same requests and the same error however they are cut, in bounded memory.
//!
//! Input: one byte that chooses the limits, one that chooses the cuts, and the bytes of a connection.

use kvstore_host::protocol::{Limits, Parsed, Parser, ProtocolError, Requests};

use super::memory::measure;
use super::pieces::pieces;

/// What a connection's bytes were found to be.
struct Found {
    requests: Requests,
    consumed: usize,
    error: Option<ProtocolError>,
}

fn limits(choice: u8) -> Limits {
    match choice % 4 {
        0 => Limits::default(),
        1 => Limits { inline_len_max: 8, args_max: 2, bulk_len_max: 5, request_len_max: 32 },
        2 => Limits { inline_len_max: 40, args_max: 5, bulk_len_max: 12, request_len_max: 48 },
        _ => Limits { inline_len_max: 0, args_max: 0, bulk_len_max: 0, request_len_max: 0 },
    }
}

/// Checks an input.
pub fn check(data: &[u8]) {
    let [choice, seed, bytes @ ..] = data else { return };
    let limits = limits(*choice);
    let (found, used) = measure(|| at_once(bytes, &limits));
    // The shortest request, a letter and a line end, takes two entries of two words and that letter, in lists that hold three times as much while they grow.
    let allowed = 50 * bytes.len() + 1024;
    assert!(used.peak_bytes <= allowed, "{} bytes of input cost {}", bytes.len(), used.peak_bytes);
    let ((), used) = measure(|| in_pieces(bytes, *seed, &limits, &found));
    let allowed = 100 * bytes.len() + 2048;
    assert!(used.peak_bytes <= allowed, "{} bytes in pieces cost {}", bytes.len(), used.peak_bytes);
}

/// Checks an input cut in two at each place, beside what [`check`] does.
pub fn check_each_cut(data: &[u8]) {
    check(data);
    let [choice, _, bytes @ ..] = data else { return };
    let limits = limits(*choice);
    let found = at_once(bytes, &limits);
    for (first, second) in (0..=bytes.len()).map(|place| bytes.split_at(place)) {
        let mut connection = Connection::new(bytes, &limits, &found);
        connection.feed(first);
        connection.feed(second);
        connection.end();
    }
}

fn at_once(bytes: &[u8], limits: &Limits) -> Found {
    let (mut parser, mut requests, mut consumed) = (Parser::new(), Requests::new(), 0);
    let error = loop {
        let before = requests.len();
        match parser.parse(bytes, consumed, limits, &mut requests) {
            Ok(Parsed::Request { consumed: some }) => {
                assert!(some > 0 && requests.len() == before + 1, "a request of {some} bytes");
                consumed += some;
            }
            Ok(Parsed::Empty { consumed: some }) => {
                assert!(some > 0 && requests.len() == before, "nothing, of {some} bytes");
                consumed += some;
            }
            Ok(Parsed::Incomplete { wanted }) => {
                assert!(wanted > 0 && requests.len() == before, "{wanted} bytes are wanted");
                break None;
            }
            Err(error) => {
                assert_eq!(requests.len(), before, "an error leaves the requests as they were");
                break Some(error);
            }
        }
        assert!(consumed <= bytes.len(), "more was consumed than there is");
    };
    Found { requests, consumed, error }
}

fn in_pieces(bytes: &[u8], seed: u8, limits: &Limits, found: &Found) {
    let mut connection = Connection::new(bytes, limits, found);
    for piece in pieces(bytes, seed) {
        connection.feed(piece);
    }
    connection.end();
}

/// A connection whose bytes come in pieces, compared with what was found in all of them at once.
struct Connection<'a> {
    whole: &'a [u8],
    limits: &'a Limits,
    found: &'a Found,
    parser: Parser,
    requests: Requests,
    buffer: Vec<u8>,
    seen: usize,
    consumed: usize,
    /// With fewer bytes than this the request under way is not complete, said the parser.
    needed: usize,
    error: Option<ProtocolError>,
}

impl<'a> Connection<'a> {
    fn new(whole: &'a [u8], limits: &'a Limits, found: &'a Found) -> Self {
        Self {
            whole,
            limits,
            found,
            parser: Parser::new(),
            requests: Requests::new(),
            buffer: Vec::new(),
            seen: 0,
            consumed: 0,
            needed: 0,
            error: None,
        }
    }

    /// Takes more bytes, as a connection does: finds all complete requests, and keeps what follows them.
    fn feed(&mut self, piece: &[u8]) {
        if self.error.is_some() {
            return;
        }
        self.buffer.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let unread = self.buffer.len() - start;
            let too_few = unread < self.needed;
            let parsed = self.parser.parse(&self.buffer, start, self.limits, &mut self.requests);
            match parsed {
                Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => {
                    assert!(!too_few, "complete with {unread} bytes, though {} were needed", self.needed);
                    assert!(consumed > 0 && consumed <= unread, "{consumed} bytes of {unread}");
                    start += consumed;
                    self.needed = 0;
                }
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(wanted > 0 && unread + wanted >= self.needed, "what is needed shrinks");
                    self.needed = unread + wanted;
                    break;
                }
                Err(error) => {
                    let again = self.parser.parse(&self.buffer, start, self.limits, &mut self.requests);
                    assert_eq!(again, Err(error), "another call gives the same error");
                    self.error = Some(error);
                    break;
                }
            }
        }
        self.compare();
        self.requests.clear();
        self.consumed += start;
        self.buffer.drain(..start);
        let Limits { inline_len_max, request_len_max, .. } = *self.limits;
        let held_max = request_len_max.saturating_add(inline_len_max.max(32)).saturating_add(piece.len() + 2);
        assert!(self.buffer.len() <= held_max, "{} bytes of no complete request are held", self.buffer.len());
    }

    fn compare(&mut self) {
        for request in self.requests.iter(&self.buffer) {
            let expected = self.found.requests.get(self.seen, self.whole);
            let expected = expected.expect("more requests in pieces than at once");
            assert!(request.iter().eq(expected.iter()), "{request:?} in pieces, {expected:?} at once");
            self.seen += 1;
        }
    }

    fn end(&self) {
        let Found { requests, consumed, error } = self.found;
        assert_eq!((self.seen, self.consumed, self.error), (requests.len(), *consumed, *error));
    }
}
