//! Requests: the arguments of a pipeline of requests, most of them as places in the read buffer, none copied twice.

use std::ops::Range;

/// Arguments and bytes up to which [`Requests::clear`] keeps memory for the next round; what a rare huge request
/// needed beyond it is given back.
const KEPT_ARGS_MAX: usize = 16 * 1024;
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// A row of complete requests.
///
/// The arguments of a RESP request are places in the buffer that was parsed. The arguments of an inline request are
/// unquoted, so they may differ from what the buffer holds; they lie in bytes of its own here, and so do those
/// of requests [pushed](Self::push) by other code. A [`Request`] hides the difference.
///
/// Meant to be filled, read and cleared once per round of an event loop: it keeps its memory, within bounds.
#[derive(Debug, Default)]
pub struct Requests {
    /// The arguments of all requests, one after the other.
    pub(super) args: Vec<Range<usize>>,
    /// What the arguments of copied requests say, end to end.
    pub(super) copied: Vec<u8>,
    ends: Vec<End>,
}

/// Where a request's arguments end in `args` (they start where the ones before end), and which bytes they refer to.
#[derive(Debug, Clone, Copy)]
struct End {
    args_end: usize,
    copied: bool,
}

impl Requests {
    /// No requests; allocates nothing.
    pub const fn new() -> Self {
        Self { args: Vec::new(), copied: Vec::new(), ends: Vec::new() }
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all requests.
    pub fn clear(&mut self) {
        self.args.clear();
        self.copied.clear();
        self.ends.clear();
        self.args.shrink_to(KEPT_ARGS_MAX);
        self.copied.shrink_to(KEPT_BYTES_MAX);
        self.ends.shrink_to(KEPT_ARGS_MAX);
    }

    /// Bytes of memory held for requests, used or kept for later; what a client may make a queue of requests hold is
    /// to be limited by it.
    pub fn memory_size_bytes(&self) -> usize {
        self.args.capacity() * size_of::<Range<usize>>()
            + self.ends.capacity() * size_of::<End>()
            + self.copied.capacity()
    }

    /// Appends a copy of `args` as a request of its own, which refers to no buffer: a queue that outlives the read
    /// buffer is made of these, and a request that did not come in this protocol.
    pub fn push<'a>(&mut self, args: impl IntoIterator<Item = &'a [u8]>) {
        for arg in args {
            let start = self.copied.len();
            self.copied.extend_from_slice(arg);
            self.args.push(start..self.copied.len());
        }
        self.end_copied();
    }

    /// Makes the arguments pushed since the last request one that refers to the read buffer.
    #[inline]
    pub(super) fn end_borrowed(&mut self) {
        self.ends.push(End { args_end: self.args.len(), copied: false });
    }

    /// Makes the arguments pushed since the last request one that refers to `copied`.
    pub(super) fn end_copied(&mut self) {
        self.ends.push(End { args_end: self.args.len(), copied: true });
    }

    /// The request at `index`. `buffer` is the one that was parsed, from its very first byte; with another one
    /// the arguments say something else, but an argument that lies outside of it is just empty.
    pub fn get<'a>(&'a self, index: usize, buffer: &'a [u8]) -> Option<Request<'a>> {
        let end = self.ends.get(index)?;
        Some(Request {
            bytes: if end.copied { &self.copied } else { buffer },
            args: self.args.get(self.args_start(index)..end.args_end)?,
        })
    }

    /// All requests in the order in which they came; `buffer` as for [`get`](Self::get).
    pub fn iter<'a>(&'a self, buffer: &'a [u8]) -> impl Iterator<Item = Request<'a>> + 'a {
        self.iter_from(0, buffer)
    }

    /// The same from the request at `index` on.
    #[inline]
    pub fn iter_from<'a>(&'a self, index: usize, buffer: &'a [u8]) -> impl Iterator<Item = Request<'a>> + 'a {
        let mut args = self.args.get(self.args_start(index)..).unwrap_or_default();
        let mut args_start = self.args_start(index);
        self.ends.get(index..).unwrap_or_default().iter().map(move |end| {
            let len = end.args_end - std::mem::replace(&mut args_start, end.args_end);
            let (own, rest) = args.split_at_checked(len).unwrap_or_default();
            args = rest;
            Request { bytes: if end.copied { &self.copied } else { buffer }, args: own }
        })
    }

    /// Where the arguments of the request at `index` start.
    fn args_start(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end.args_end)
    }
}

/// One request: a command's name and its arguments, each any bytes. Free to copy.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    args: &'a [Range<usize>],
}

impl<'a> Request<'a> {
    /// How many arguments there are; the command's name is the first.
    pub const fn len(self) -> usize {
        self.args.len()
    }

    /// Whether there is none, not even a name; the parser makes no such request.
    pub const fn is_empty(self) -> bool {
        self.args.is_empty()
    }

    /// The argument at `index`; 0 is the command's name.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.args.get(index).map(|arg| self.slice(arg))
    }

    /// The command's name as the client wrote it.
    pub fn name(self) -> &'a [u8] {
        self.get(0).unwrap_or_default()
    }

    /// All arguments; the first is the command's name.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + 'a {
        self.args.iter().map(move |arg| self.slice(arg))
    }

    /// The request without its first `count` arguments.
    #[must_use]
    pub fn skip(self, count: usize) -> Self {
        Self { bytes: self.bytes, args: self.args.get(count..).unwrap_or_default() }
    }

    fn slice(self, arg: &Range<usize>) -> &'a [u8] {
        self.bytes.get(arg.start..arg.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_ARGS_MAX, KEPT_BYTES_MAX, Requests};

    #[test]
    fn pushed_requests_stand_without_a_buffer() {
        let mut requests = Requests::new();
        requests.push([b"SET".as_slice(), b"k", b""]);
        requests.push([b"GET".as_slice()]);
        requests.push([]);
        assert_eq!(requests.len(), 3);
        let set = requests.get(0, b"").unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"k", b""]);
        assert_eq!(
            (set.len(), set.name(), set.get(2), set.get(3)),
            (3, b"SET".as_slice(), Some(b"".as_slice()), None)
        );
        assert_eq!(set.skip(1).name(), b"k");
        assert!(set.skip(3).is_empty() && set.skip(4).is_empty());
        assert_eq!(requests.iter(b"").map(|request| request.len()).collect::<Vec<_>>(), [3, 1, 0]);
        assert!(requests.get(2, b"").unwrap().is_empty());
        assert!(requests.get(3, b"").is_none());
        requests.clear();
        assert!(requests.is_empty() && requests.get(0, b"").is_none());
    }

    #[test]
    fn clearing_gives_back_what_a_huge_request_needed() {
        let mut requests = Requests::new();
        requests.push(std::iter::repeat_n(b"0123456789".as_slice(), 100_000));
        assert!(requests.memory_size_bytes() > 100_000 * 26);
        requests.clear();
        assert!(requests.memory_size_bytes() <= KEPT_ARGS_MAX * 32 + KEPT_BYTES_MAX);
    }
}
