//! Encoder: appends replies to a connection's output in the protocol that it speaks.

use super::number::{push_double, push_header, push_i64};
use super::reply::{Protocol, Reply};

/// Bytes of a header and a line end, to be reserved along with a bulk so that the output grows once for it.
const FRAME_LEN_MAX: usize = 32;

/// Writes replies to the end of a byte vector; allocates nothing but that vector's growth.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Encoder<'a> {
    /// An encoder that appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol spoken.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Speaks `protocol` from the next reply on: that of the `HELLO` that asked for it.
    pub const fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the output, those that were there before included; what limits on output are checked against.
    pub const fn output_len(&self) -> usize {
        self.out.len()
    }

    #[inline(always)]
    fn header(&mut self, prefix: u8, len: usize) {
        push_header(self.out, prefix, len as i64);
    }

    /// An aggregate's header, of another kind (and length) in each protocol.
    fn aggregate(&mut self, resp2: (u8, usize), resp3: (u8, usize)) {
        let (prefix, len) = match self.protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        };
        self.header(prefix, len);
    }

    /// Appends a line, with what would end it early replaced.
    fn line(&mut self, prefix: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(prefix);
        let text_start = self.out.len();
        self.out.extend_from_slice(text);
        for byte in self.out.iter_mut().skip(text_start) {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

impl Reply for Encoder<'_> {
    fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        push_header(self.out, b':', value);
    }

    #[inline(always)]
    fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + FRAME_LEN_MAX);
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    fn bulk_integer(&mut self, value: i64) {
        let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
        self.header(b'$', digits + usize::from(value < 0));
        push_i64(self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    fn map(&mut self, pairs: usize) {
        self.aggregate((b'*', pairs.saturating_mul(2)), (b'%', pairs));
    }

    fn set(&mut self, len: usize) {
        self.aggregate((b'*', len), (b'~', len));
    }

    fn push(&mut self, len: usize) {
        self.aggregate((b'*', len), (b'>', len));
    }

    fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Resp2 => {
                // The length is known only behind the text, so the header is written there and then turned before it.
                let start = self.out.len();
                push_double(self.out, value);
                let text_len = self.out.len() - start;
                self.header(b'$', text_len);
                self.out.get_mut(start..).unwrap_or_default().rotate_left(text_len);
            }
            Protocol::Resp3 => {
                self.out.push(b',');
                push_double(self.out, value);
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    fn verbatim(&mut self, format: &str, text: &[u8]) {
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        let mut prefix = *b"   :";
        for (place, byte) in prefix.iter_mut().take(3).zip(format.bytes()) {
            *place = byte;
        }
        self.out.reserve(prefix.len() + text.len() + FRAME_LEN_MAX);
        self.header(b'=', prefix.len() + text.len());
        self.out.extend_from_slice(&prefix);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    fn error_bytes(&mut self, text: &[u8]) {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = text.iter().position(|byte| !is_line_end(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !is_line_end(byte)).map_or(start, |last| last + 1);
        self.line(b'-', text.get(start..end).unwrap_or_default());
    }

    fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Encoder;
    use crate::protocol::testing::{as_decoded, decode, values};
    use crate::protocol::{Protocol, Reply};

    fn both(write: impl Fn(&mut dyn Reply)) -> (String, String) {
        let text = |protocol| {
            let mut out = Vec::new();
            write(&mut Encoder::new(&mut out, protocol));
            String::from_utf8(out).unwrap()
        };
        (text(Protocol::Resp2), text(Protocol::Resp3))
    }

    #[track_caller]
    fn check(write: impl Fn(&mut dyn Reply), resp2: &str, resp3: &str) {
        assert_eq!(both(write), (resp2.to_owned(), resp3.to_owned()));
    }

    #[test]
    fn each_reply_has_its_form_in_each_protocol() {
        check(|reply| reply.null(), "$-1\r\n", "_\r\n");
        check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
        check(|reply| reply.ok(), "+OK\r\n", "+OK\r\n");
        check(|reply| reply.simple("QUEUED"), "+QUEUED\r\n", "+QUEUED\r\n");
        check(|reply| reply.integer(-12), ":-12\r\n", ":-12\r\n");
        check(|reply| reply.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
        check(|reply| reply.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n");
        check(
            |reply| reply.bulk(b"0123456789\r\n"),
            "$12\r\n0123456789\r\n\r\n",
            "$12\r\n0123456789\r\n\r\n",
        );
        check(|reply| reply.bulk_integer(0), "$1\r\n0\r\n", "$1\r\n0\r\n");
        check(|reply| reply.bulk_integer(-100), "$4\r\n-100\r\n", "$4\r\n-100\r\n");
        check(|reply| reply.array(0), "*0\r\n", "*0\r\n");
        check(|reply| reply.map(7), "*14\r\n", "%7\r\n");
        check(|reply| reply.set(3), "*3\r\n", "~3\r\n");
        check(|reply| reply.push(3), "*3\r\n", ">3\r\n");
        check(|reply| reply.double(3.1), "$18\r\n3.1000000000000001\r\n", ",3.1000000000000001\r\n");
        check(|reply| reply.double(2.0), "$1\r\n2\r\n", ",2\r\n");
        check(|reply| reply.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
        check(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
        check(|reply| reply.verbatim("txt", b"a\r\n"), "$3\r\na\r\n\r\n", "=7\r\ntxt:a\r\n\r\n");
        check(|reply| reply.verbatim("md", b""), "$0\r\n\r\n", "=4\r\nmd :\r\n");
        check(|reply| reply.verbatim("long", b"x"), "$1\r\nx\r\n", "=5\r\nlon:x\r\n");
    }

    #[test]
    fn nothing_in_a_line_can_end_it() {
        check(|reply| reply.error("ERR a\r\nb\r\n"), "-ERR a  b\r\n", "-ERR a  b\r\n");
        check(|reply| reply.error("\n"), "-\r\n", "-\r\n");
        check(|reply| reply.simple("a\n+OK"), "+a +OK\r\n", "+a +OK\r\n");
        let mut out = Vec::new();
        Encoder::new(&mut out, Protocol::Resp2).error_bytes(b"ERR \xff\n\0");
        assert_eq!(out, b"-ERR \xff \0\r\n");
    }

    #[test]
    fn the_protocol_changes_between_replies_of_one_output() {
        let mut out = b":1\r\n".to_vec();
        let mut encoder = Encoder::new(&mut out, Protocol::default());
        encoder.null();
        encoder.set_protocol(Protocol::Resp3);
        assert_eq!((encoder.protocol(), encoder.output_len()), (Protocol::Resp3, 9));
        encoder.null();
        assert_eq!(out, b":1\r\n$-1\r\n_\r\n");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(values in proptest::collection::vec(values(), 1..4)) {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let mut out = Vec::new();
                let mut encoder = Encoder::new(&mut out, protocol);
                for value in &values {
                    value.write(&mut encoder);
                }
                let mut rest = out.as_slice();
                for value in &values {
                    prop_assert_eq!(decode(&mut rest), Some(as_decoded(value, protocol)));
                }
                prop_assert!(rest.is_empty());
            }
        }

        #[test]
        fn a_bulk_integer_is_a_bulk_of_its_text(value: i64) {
            let expected = both(|reply| reply.bulk(value.to_string().as_bytes()));
            prop_assert_eq!(both(|reply| reply.bulk_integer(value)), expected);
        }
    }
}
