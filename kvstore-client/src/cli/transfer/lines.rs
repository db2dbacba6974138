//! Lines: an input line by line, of which none takes more memory than allowed.

use std::io::{self, BufRead, BufReader, Read};

const BUFFER_LEN: usize = 256 * 1024;

/// Reads lines and counts them.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    len_max: usize,
    line: Vec<u8>,
    number: u64,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// It was longer than allowed, and is passed by.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// Lines are at most `len_max` bytes long, without their ends.
    pub(super) fn new(input: R, len_max: usize) -> Self {
        let input = BufReader::with_capacity(BUFFER_LEN, input);
        Self { input, len_max, line: Vec::new(), number: 0 }
    }

    /// The number of the line read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether the next line would have to be waited for.
    pub(super) fn is_at_end_of_buffer(&self) -> bool {
        self.input.buffer().is_empty()
    }

    /// The next line and its length with its end; `None` after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<(Line<'_>, u64)>> {
        self.line.clear();
        // Room for the line's end, so that one that is just as long as allowed is seen to be whole.
        let limit = (self.len_max as u64).saturating_add(1);
        let mut len = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)? as u64;
        if len == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > self.len_max {
            len += self.input.skip_until(b'\n')? as u64;
            return Ok(Some((Line::TooLong, len)));
        }
        Ok(Some((Line::Whole(&self.line), len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_what_is_too_long_is_passed_by() {
        let mut lines = Lines::new(&b"abc\n\nabcd\nabcde\nlong after long\nab"[..], 4);
        let mut found = Vec::new();
        while let Some((line, len)) = lines.next().unwrap() {
            found.push(match line {
                Line::Whole(text) => (String::from_utf8(text.to_vec()).unwrap(), len),
                Line::TooLong => ("TOO LONG".to_owned(), len),
            });
        }
        let found: Vec<_> = found.iter().map(|(text, len)| (text.as_str(), *len)).collect();
        assert_eq!(found, [("abc", 4), ("", 1), ("abcd", 5), ("TOO LONG", 6), ("TOO LONG", 16), ("ab", 2)]);
        assert_eq!(lines.number(), 6);
    }
}
