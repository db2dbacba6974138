//! Parser: finds the requests in a connection's bytes, however they were cut in pieces; copies and reserves nothing.

use std::ops::Range;

use super::error::ProtocolError;
use super::inline;
use super::number::parse_i64;
use super::requests::Requests;

/// Found arguments for which a parser keeps memory once their request is complete.
const KEPT_ARGS_MAX: usize = 64;

/// What a client may send. A declared length is only compared with these, and never reserves memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an inline request without its line end; also of a line that declares a length, but for those a limit
    /// under 32 counts as 32. An unfinished line makes the caller hold at most so much.
    pub inline_len_max: usize,
    /// Arguments of one request, the command's name included.
    pub args_max: usize,
    /// Bytes of one argument.
    pub bulk_len_max: usize,
    /// Bytes of one request in all, lines of lengths included. It is refused at the first length that leads beyond.
    pub request_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_len_max: 64 * 1024,
            args_max: 1024 * 1024,
            bulk_len_max: 512 * 1024 * 1024,
            request_len_max: 1024 * 1024 * 1024,
        }
    }
}

/// What [`Parser::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A complete request was appended to the requests.
    Request {
        /// Its bytes.
        consumed: usize,
    },
    /// Bytes that ask for nothing, to be skipped: a blank line, or a request of no arguments.
    Empty {
        /// How many.
        consumed: usize,
    },
    /// The request is not complete; to be called again with the same bytes and more behind them.
    Incomplete {
        /// At least so many more bytes are needed (1 or more). The client declared it: wait for as many, but reserve
        /// memory only for what has come.
        wanted: usize,
    },
}

/// What a connection knows of the request under way.
///
/// Each byte is looked at about once, however many calls it takes: a call resumes where the last one stopped.
#[derive(Debug, Default)]
pub struct Parser {
    progress: Progress,
    /// The arguments found so far, counted from the request's first byte, when the request was not complete at once.
    found: Vec<Range<usize>>,
}

impl Parser {
    /// A parser at the start of a connection; allocates nothing.
    pub const fn new() -> Self {
        Self { progress: Progress::NONE, found: Vec::new() }
    }

    /// Looks for one request, whose first byte is `buffer[start]`, and appends it to `requests` when it is complete.
    ///
    /// The places of its arguments count from the start of `buffer`, so those of a whole pipeline go well together.
    /// Between two calls for one request, its bytes may move (`start` differs) but must stay the same.
    ///
    /// # Errors
    /// See [`ProtocolError`]; `requests` is as before, and another call gives the same error.
    #[inline]
    pub fn parse(
        &mut self,
        buffer: &[u8],
        start: usize,
        limits: &Limits,
        requests: &mut Requests,
    ) -> Result<Parsed, ProtocolError> {
        let input = buffer.get(start..).unwrap_or_default();
        if self.progress.is_none()
            && let Some(consumed) = whole_request(input, limits, start, &mut requests.args)
        {
            requests.end_borrowed();
            return Ok(Parsed::Request { consumed });
        }
        self.parse_any(input, start, limits, requests)
    }

    /// The same for a request that comes in pieces, is inline, or needs a closer look for another reason.
    fn parse_any(
        &mut self,
        input: &[u8],
        start: usize,
        limits: &Limits,
        requests: &mut Requests,
    ) -> Result<Parsed, ProtocolError> {
        let mut progress = self.progress;
        if input.len() < progress.wake_len {
            return Ok(self.incomplete(progress, input));
        }
        if progress.args_missing == 0 {
            match input.first() {
                Some(b'*') => {}
                Some(_) => return self.parse_inline(input, limits, requests),
                None => return Ok(self.incomplete(progress, input)),
            }
            match progress.length_line(input, limits) {
                Line::Length(Some(length)) if length <= 0 => {
                    self.progress = Progress::NONE;
                    return Ok(Parsed::Empty { consumed: progress.position });
                }
                Line::Length(length) => match length.and_then(|length| usize::try_from(length).ok()) {
                    Some(args) if args <= limits.args_max => progress.args_missing = args,
                    _ => return Err(ProtocolError::InvalidMultibulkLength),
                },
                Line::Incomplete => return Ok(self.incomplete(progress, input)),
                Line::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
            }
        }

        // What comes in one piece is written to `requests` at once; only a request in pieces goes through `found`.
        let resumed = self.progress.args_missing > 0;
        let (args, origin) = if resumed { (&mut self.found, 0) } else { (&mut requests.args, start) };
        let args_before = args.len();
        if let Err(error) = progress.find_args(input, limits, origin, args) {
            args.truncate(args_before);
            return Err(error);
        }
        if progress.args_missing > 0 {
            if !resumed {
                let first_ones = requests.args.drain(args_before..);
                self.found.extend(first_ones.map(|arg| arg.start - start..arg.end - start));
            }
            return Ok(self.incomplete(progress, input));
        }
        if resumed {
            requests.args.extend(self.found.drain(..).map(|arg| start + arg.start..start + arg.end));
            self.found.shrink_to(KEPT_ARGS_MAX);
        }
        self.progress = Progress::NONE;
        requests.end_borrowed();
        Ok(Parsed::Request { consumed: progress.position })
    }

    fn parse_inline(
        &mut self,
        input: &[u8],
        limits: &Limits,
        requests: &mut Requests,
    ) -> Result<Parsed, ProtocolError> {
        let mut progress = self.progress;
        let end = match progress.line_end(input, b'\n', limits.inline_len_max) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(self.incomplete(progress, input)),
            Err(LineTooLong) => return Err(ProtocolError::TooBigInline),
        };
        if end >= limits.request_len_max {
            return Err(ProtocolError::TooBigRequest);
        }
        let line = input.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let before = (requests.args.len(), requests.copied.len());
        let args = split_inline(line, limits, requests).inspect_err(|_| {
            requests.args.truncate(before.0);
            requests.copied.truncate(before.1);
        })?;
        self.progress = Progress::NONE;
        let consumed = end + 1;
        if args == 0 {
            return Ok(Parsed::Empty { consumed });
        }
        requests.end_copied();
        Ok(Parsed::Request { consumed })
    }

    /// Keeps `progress` for the next call.
    fn incomplete(&mut self, progress: Progress, input: &[u8]) -> Parsed {
        self.progress = progress;
        Parsed::Incomplete { wanted: progress.wake_len.saturating_sub(input.len()).max(1) }
    }
}

/// Appends the arguments of an inline request to those of `requests`; gives how many they are.
fn split_inline(line: &[u8], limits: &Limits, requests: &mut Requests) -> Result<usize, ProtocolError> {
    let args_before = requests.args.len();
    inline::split(line, &mut requests.copied, &mut requests.args)
        .map_err(|inline::Unbalanced| ProtocolError::UnbalancedQuotes)?;
    let args = requests.args.get(args_before..).unwrap_or_default();
    let name = args.first().and_then(|name| requests.copied.get(name.start..name.end));
    // The names of an HTTP request line and header that Redis watches for; each browser sends one of them.
    if name.is_some_and(|name| name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")) {
        return Err(ProtocolError::CrossProtocol);
    }
    if args.len() > limits.args_max {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    Ok(args.len())
}

/// How far the request under way is understood. Places count from its first byte.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    /// Start of the line, or argument with its line, that is not complete.
    position: usize,
    /// Before this there is no end of that line.
    scanned: usize,
    /// With fewer bytes than this there is nothing to be done.
    wake_len: usize,
    /// Arguments still to come; 0 when the first line is not complete.
    args_missing: usize,
}

/// What a line that declares a length says.
enum Line {
    /// The number, if it is one.
    Length(Option<i64>),
    Incomplete,
    TooLong,
}

/// No line end within the limit.
struct LineTooLong;

impl Progress {
    /// Between two requests.
    const NONE: Self = Self { position: 0, scanned: 0, wake_len: 0, args_missing: 0 };

    fn is_none(&self) -> bool {
        self.wake_len == 0 && self.args_missing == 0
    }

    /// Finds arguments until there is none missing or the input ends; `origin` is added to their places.
    fn find_args(
        &mut self,
        input: &[u8],
        limits: &Limits,
        origin: usize,
        args: &mut Vec<Range<usize>>,
    ) -> Result<(), ProtocolError> {
        while self.args_missing > 0 {
            let arg = match whole_arg(input, self.position, limits) {
                Some(arg) => {
                    looked_at(arg.start - self.position);
                    arg
                }
                None => match self.any_arg(input, limits)? {
                    Some(arg) => arg,
                    None => return Ok(()),
                },
            };
            // The two bytes behind an argument are skipped unseen, as Redis does.
            self.position = arg.end + 2;
            self.args_missing -= 1;
            args.push(origin + arg.start..origin + arg.end);
        }
        Ok(())
    }

    /// The argument at `position`, or what is wrong with it; `None` when it is not complete.
    #[cold]
    fn any_arg(&mut self, input: &[u8], limits: &Limits) -> Result<Option<Range<usize>>, ProtocolError> {
        let line_start = *self;
        let length = match self.length_line(input, limits) {
            Line::Length(length) => length,
            Line::Incomplete => return Ok(None),
            Line::TooLong => return Err(ProtocolError::TooBigBulkCount),
        };
        // Judged only when the line is complete, as Redis does, so that the error does not depend on the pieces.
        if let Some(&found) = input.get(line_start.position)
            && found != b'$'
        {
            return Err(ProtocolError::ExpectedBulk { found });
        }
        let length = match length.and_then(|length| usize::try_from(length).ok()) {
            Some(length) if length <= limits.bulk_len_max => length,
            _ => return Err(ProtocolError::InvalidBulkLength),
        };
        let arg_end = self.position.saturating_add(length);
        let next = arg_end.saturating_add(2);
        if next > limits.request_len_max {
            return Err(ProtocolError::TooBigRequest);
        }
        if next > input.len() {
            // The short line of the length is read again when all of the argument is there.
            *self = Self { wake_len: next, ..line_start };
            return Ok(None);
        }
        Ok(Some(self.position..arg_end))
    }

    /// Steps over the line at `position`: one byte, which the caller judges, and a number.
    #[inline]
    fn length_line(&mut self, input: &[u8], limits: &Limits) -> Line {
        match short_length(input, self.position) {
            Some((_, length, next)) => {
                looked_at(next - self.position);
                self.position = next;
                Line::Length(Some(length as i64))
            }
            None => self.any_length_line(input, limits),
        }
    }

    /// The same for a line that is long, negative, wrong or not complete.
    #[cold]
    fn any_length_line(&mut self, input: &[u8], limits: &Limits) -> Line {
        looked_at(SHORT_LEN_MAX);
        let end = match self.line_end(input, b'\r', limits.inline_len_max.max(32)) {
            Ok(Some(end)) => end,
            Ok(None) => return Line::Incomplete,
            Err(LineTooLong) => return Line::TooLong,
        };
        if end + 1 >= input.len() {
            // The byte after the CR is skipped unseen, as Redis does, but it must be there.
            self.scanned = end;
            self.wake_len = end + 2;
            return Line::Incomplete;
        }
        let number = input.get(self.position + 1..end).unwrap_or_default();
        self.position = end + 2;
        Line::Length(parse_i64(number))
    }

    /// Where the line at `position` ends, if it does within `len_max` bytes.
    fn line_end(
        &mut self,
        input: &[u8],
        terminator: u8,
        len_max: usize,
    ) -> Result<Option<usize>, LineTooLong> {
        let from = self.scanned.max(self.position);
        let until = input.len().min(self.position.saturating_add(len_max).saturating_add(1));
        let window = input.get(from..until).unwrap_or_default();
        let place = window.iter().position(|&byte| byte == terminator);
        looked_at(place.map_or(window.len(), |place| place + 1));
        match place {
            Some(place) => Ok(Some(from + place)),
            None if input.len().saturating_sub(self.position) > len_max => Err(LineTooLong),
            None => {
                self.scanned = input.len();
                self.wake_len = input.len() + 1;
                Ok(None)
            }
        }
    }
}

/// Arguments of a request that may go the quick way: so many are looked at twice when it is not complete.
const QUICK_ARGS_MAX: usize = 16;

/// The quick way for nearly all requests: one that is complete, and of few arguments which all go the quick way. Gives its bytes; `None` when it needs a
/// closer look. `origin` is added to the arguments' places.
#[inline]
fn whole_request(
    input: &[u8],
    limits: &Limits,
    origin: usize,
    args: &mut Vec<Range<usize>>,
) -> Option<usize> {
    let (b'*', count, mut position) = short_length(input, 0)? else { return None };
    if count == 0 || count > QUICK_ARGS_MAX.min(limits.args_max) {
        return None;
    }
    let args_before = args.len();
    let mut looked = position;
    for _ in 0..count {
        let Some(arg) = whole_arg(input, position, limits) else {
            args.truncate(args_before);
            return None;
        };
        looked += arg.start - position;
        position = arg.end + 2;
        args.push(origin + arg.start..origin + arg.end);
    }
    looked_at(looked);
    Some(position)
}

/// The quick way for nearly all arguments: one that is complete and within the limits, and whose length is written as
/// nearly all are. `None` when it needs a closer look.
#[inline]
fn whole_arg(input: &[u8], position: usize, limits: &Limits) -> Option<Range<usize>> {
    let (b'$', length, start) = short_length(input, position)? else { return None };
    let end = start + length;
    let right = length <= limits.bulk_len_max && end + 2 <= input.len().min(limits.request_len_max);
    right.then_some(start..end)
}

/// Bytes that `short_length` looks at.
const SHORT_LEN_MAX: usize = 10;

/// The quick way for nearly all lines of lengths: one byte, up to eight digits, CR, any byte. Gives that byte, the number and
/// where the next line starts; `None` when the line needs a closer look.
#[inline]
fn short_length(input: &[u8], position: usize) -> Option<(u8, usize, usize)> {
    let line = input.get(position..)?;
    // Two digits at most, as nearly always.
    if let [mark, one @ b'0'..=b'9', two, three, _, ..] = *line {
        let one = usize::from(one - b'0');
        if two == b'\r' {
            return Some((mark, one, position + 4));
        }
        let two = usize::from(two.wrapping_sub(b'0'));
        if three == b'\r' && two <= 9 && one != 0 {
            return Some((mark, one * 10 + two, position + 5));
        }
    }
    long_length(line, position)
}

/// The same for more digits, or at the end of what has come.
#[inline(never)]
fn long_length(line: &[u8], position: usize) -> Option<(u8, usize, usize)> {
    let (&[mark, first], digits) = line.split_first_chunk()?;
    let mut length = usize::from(first.wrapping_sub(b'0'));
    if length > 9 {
        return None;
    }
    for (index, &byte) in digits.iter().enumerate() {
        if byte == b'\r' {
            let line_len = index + 4;
            return (line_len <= line.len()).then_some((mark, length, position + line_len));
        }
        let digit = byte.wrapping_sub(b'0');
        // A number that begins with 0 is left to the strict reading.
        if digit > 9 || length == 0 || index + 4 > SHORT_LEN_MAX {
            return None;
        }
        length = length * 10 + usize::from(digit);
    }
    None
}

/// Counts the work, so that a test can show that it is linear; nothing outside of tests.
#[inline(always)]
fn looked_at(_bytes: usize) {
    #[cfg(test)]
    tests::STEPS.with(|steps| steps.set(steps.get() + _bytes));
}

#[cfg(test)]
mod tests;
