//! Tests of the parser: texts of errors, limits, and that neither pieces nor garbage matter.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Limits, Parsed, Parser};
use crate::protocol::{ProtocolError, Requests};

thread_local! {
    /// Bytes looked at by the parsers of this thread.
    pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// What came out of a connection's bytes.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
    /// Bytes neither consumed nor refused.
    left: usize,
}

/// Feeds `pieces` as `net` does: what is complete is taken out, the rest kept, and moved to the front.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let (mut parser, mut requests) = (Parser::new(), Requests::new());
    let (mut buffer, mut outcome) = (Vec::new(), Outcome::default());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut start = 0;
        while outcome.error.is_none() {
            match parser.parse(&buffer, start, limits, &mut requests) {
                Ok(Parsed::Request { consumed } | Parsed::Empty { consumed }) => {
                    assert!(consumed > 0, "no progress");
                    start += consumed;
                }
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(wanted > 0);
                    break;
                }
                Err(error) => {
                    assert_eq!(
                        parser.parse(&buffer, start, limits, &mut requests),
                        Err(error),
                        "an error stays"
                    );
                    outcome.error = Some(error);
                }
            }
        }
        outcome
            .requests
            .extend(requests.iter(&buffer).map(|request| request.iter().map(<[u8]>::to_vec).collect()));
        requests.clear();
        buffer.drain(..start);
    }
    outcome.left = buffer.len();
    outcome
}

fn whole(input: &[u8], limits: &Limits) -> Outcome {
    feed([input], limits)
}

#[track_caller]
fn requests(input: impl AsRef<[u8]>) -> Vec<Vec<String>> {
    let outcome = whole(input.as_ref(), &Limits::default());
    assert_eq!((outcome.error, outcome.left), (None, 0));
    let text = |arg| String::from_utf8(arg).unwrap();
    outcome.requests.into_iter().map(|request| request.into_iter().map(text).collect()).collect()
}

#[track_caller]
fn error(input: impl AsRef<[u8]>) -> String {
    let outcome = whole(input.as_ref(), &Limits::default());
    outcome.error.expect("an error").to_string()
}

/// Asserts that `input` is the beginning of something.
#[track_caller]
fn unfinished(input: impl AsRef<[u8]>) {
    let input = input.as_ref();
    assert_eq!(whole(input, &Limits::default()), Outcome { left: input.len(), ..Outcome::default() });
}

#[test]
fn a_pipeline_of_both_kinds_is_taken_apart() {
    assert_eq!(
        requests("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n$4\r\nPING\r\nset a \"b c\"\n"),
        [vec!["GET", "k"], vec!["PING"], vec!["PING"], vec!["set", "a", "b c"]]
    );
}

#[test]
fn arguments_are_any_bytes() {
    let outcome = whole(b"*2\r\n$5\r\n\r\n$1\0\r\n$0\r\n\r\n", &Limits::default());
    assert_eq!(outcome.requests, [[b"\r\n$1\0".to_vec(), vec![]]]);
    assert_eq!(
        requests(format!("*1\r\n$12345678\r\n{}\r\n", "x".repeat(12_345_678)))[0][0].len(),
        12_345_678
    );
}

#[test]
fn empty_requests_are_skipped() {
    assert_eq!(
        requests("*0\r\n*-1\r\n*-5\r\n*-9223372036854775808\r\n\r\n\n  \r\n\r\r\nPING\r\n"),
        [["PING"]]
    );
    let parse = |input: &[u8]| Parser::new().parse(input, 0, &Limits::default(), &mut Requests::new());
    assert_eq!(parse(b"*0\r\nPING\r\n"), Ok(Parsed::Empty { consumed: 4 }));
    assert_eq!(parse(b"\r\nPING\r\n"), Ok(Parsed::Empty { consumed: 2 }));
}

#[test]
fn line_ends_are_as_lenient_as_those_of_redis() {
    assert_eq!(requests("*1\r\n$4\r\nPINGxx*1\rx$4\ryPING\r\n"), [["PING"], ["PING"]]);
    assert_eq!(requests("\rPING\r\nPING\r\r\nPING\n"), [["PING"], ["PING"], ["PING"]]);
}

#[test]
fn a_number_of_arguments_is_strict() {
    let invalid = "Protocol error: invalid multibulk length";
    for input in
        ["*\r\n", "*-0\r\n", "*+1\r\n", "*01\r\n", "* 1\r\n", "*1 \r\n", "*x\r\n", "*1\n$1\r\n", "*1\0\r\n"]
    {
        assert_eq!(error(input), invalid, "{input:?}");
    }
    for input in ["*1048577\r\n", "*2147483648\r\n", "*99999999999999999999\r\n", "*-9223372036854775809\r\n"]
    {
        assert_eq!(error(input), invalid, "{input:?}");
    }
    unfinished("*1048576\r\n");
    for input in ["*", "*1", "*1\r", "*00", "*x", "*99999999999999999999"] {
        unfinished(input);
    }
}

#[test]
fn a_length_of_an_argument_is_strict() {
    let lengths =
        ["", "-1", "+1", "-0", "04", "3 ", "x", "536870913", "2147483648", "99999999999999999999", "1\0"];
    for length in lengths {
        assert_eq!(
            error(format!("*1\r\n${length}\r\n")),
            "Protocol error: invalid bulk length",
            "{length:?}"
        );
    }
    for input in
        ["*1\r\n$536870912\r\n", "*1\r\n$", "*1\r\n$3", "*1\r\n$3\r", "*1\r\n$3\r\nab", "*1\r\n$3\r\nabc\r"]
    {
        unfinished(input);
    }
}

#[test]
fn an_argument_must_begin_with_a_dollar() {
    assert_eq!(error("*1\r\nxyz\r\n"), "Protocol error: expected '$', got 'x'");
    assert_eq!(error("*2\r\n$1\r\na\r\n*1\r\n"), "Protocol error: expected '$', got '*'");
    assert_eq!(error("*1\r\n\r\n"), "Protocol error: expected '$', got ' '");
    assert_eq!(error("*1\r\n:4\r\nPING\r\n"), "Protocol error: expected '$', got ':'");
    unfinished("*1\r\nxyz");
}

#[test]
fn lines_are_bounded() {
    let line = |len| "1".repeat(len);
    unfinished(format!("*{}", line(65535)));
    assert_eq!(error(format!("*{}", line(65536))), "Protocol error: too big mbulk count string");
    assert_eq!(error(format!("*{}\r\n", line(65536))), "Protocol error: too big mbulk count string");
    assert_eq!(error(format!("*{}\r\n", line(65535))), "Protocol error: invalid multibulk length");
    unfinished(format!("*1\r\n${}", line(65535)));
    assert_eq!(error(format!("*1\r\n${}", line(65536))), "Protocol error: too big bulk count string");
    unfinished(line(65536));
    assert_eq!(requests(format!("{}\n", line(65536)))[0][0].len(), 65536);
    assert_eq!(error(line(65537)), "Protocol error: too big inline request");
    assert_eq!(error(format!("{}\n", line(65537))), "Protocol error: too big inline request");
}

#[test]
fn quotes_must_balance() {
    for line in ["PING \"a\r\n", "PING \"a\"b\r\n", "PING 'a\r\n"] {
        assert_eq!(error(line), "Protocol error: unbalanced quotes in request");
    }
}

#[test]
fn a_browser_is_not_listened_to() {
    let cross_protocol = Some(ProtocolError::CrossProtocol);
    for line in ["POST / HTTP/1.1\r\n", "post\n", "Host: a.example\r\n", "HOST:\r\n", " \"POST\" /\r\n"] {
        let outcome = whole(format!("PING\r\n{line}FLUSHALL\r\n").as_bytes(), &Limits::default());
        assert_eq!((outcome.requests.len(), outcome.error), (1, cross_protocol), "{line:?}");
    }
    assert_eq!(requests("POSTX\r\nGET Host:\r\n"), [vec!["POSTX"], vec!["GET", "Host:"]]);
}

#[test]
fn a_request_is_bounded_as_a_whole_before_it_has_come() {
    let limits = Limits { request_len_max: 40, ..Limits::default() };
    // 4 + 4 + 2 + 2 bytes, then 5 for the line: 21 bytes and the end of the line fill it up.
    let parse = |input: &str| whole(input.as_bytes(), &limits).error;
    assert_eq!(parse("*2\r\n$2\r\nab\r\n$21\r\n"), None);
    assert_eq!(parse("*2\r\n$2\r\nab\r\n$22\r\n"), Some(ProtocolError::TooBigRequest));
    assert_eq!(parse(&format!("{}\n", "x".repeat(39))), None);
    assert_eq!(parse(&format!("{}\n", "x".repeat(40))), Some(ProtocolError::TooBigRequest));
}

#[test]
fn a_request_has_so_many_arguments_at_most() {
    let limits = Limits { args_max: 2, ..Limits::default() };
    assert_eq!(whole(b"a b\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", &limits).requests.len(), 2);
    assert_eq!(whole(b"a b c\n", &limits).error, Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(whole(b"*3\r\n", &limits).error, Some(ProtocolError::InvalidMultibulkLength));
}

#[test]
fn the_largest_limits_and_lengths_overflow_nowhere() {
    let limits = Limits {
        inline_len_max: usize::MAX,
        args_max: usize::MAX,
        bulk_len_max: usize::MAX,
        request_len_max: usize::MAX,
    };
    let input = b"*9223372036854775807\r\n$9223372036854775807\r\nabc";
    assert_eq!(whole(input, &limits), Outcome { left: input.len(), ..Outcome::default() });
    assert_eq!(whole(b"PING\r\nPI", &limits).requests.len(), 1);
}

#[test]
fn limits_of_nothing_refuse_everything_but_panic_at_none() {
    let limits = Limits { inline_len_max: 0, args_max: 0, bulk_len_max: 0, request_len_max: 0 };
    assert_eq!(whole(b"*1\r\n", &limits).error, Some(ProtocolError::InvalidMultibulkLength));
    assert_eq!(whole(b"P", &limits).error, Some(ProtocolError::TooBigInline));
    assert_eq!(whole(b"*1", &limits).error, None);
}

#[test]
fn a_declared_size_reserves_nothing() {
    let (mut parser, mut requests) = (Parser::new(), Requests::new());
    let input = b"*1048576\r\n$536870912\r\nabc";
    let parsed = parser.parse(input, 0, &Limits::default(), &mut requests);
    assert_eq!(parsed, Ok(Parsed::Incomplete { wanted: 536_870_912 + 2 - 3 }));
    assert_eq!((parser.found.capacity(), requests.memory_size_bytes()), (0, 0));
}

#[test]
fn a_huge_request_in_pieces_leaves_little_memory_held() {
    let (mut parser, mut requests) = (Parser::new(), Requests::new());
    let input = format!("*5000\r\n{}", "$1\r\na\r\n".repeat(5000));
    let limits = Limits::default();
    assert!(parser.parse(&input.as_bytes()[..input.len() - 1], 0, &limits, &mut requests).is_ok());
    assert_eq!((parser.found.len(), requests.args.len()), (4999, 0));
    assert_eq!(
        parser.parse(input.as_bytes(), 0, &limits, &mut requests),
        Ok(Parsed::Request { consumed: input.len() })
    );
    assert!(parser.found.capacity() <= super::KEPT_ARGS_MAX);
}

#[test]
fn nothing_of_a_refused_request_gets_into_the_next() {
    let limits = Limits::default();
    for input in ["*2\r\n$1\r\na\r\nx\r\n", "a b \"c\n", "POST a\n"] {
        for first_len in [0, 11] {
            let (mut parser, mut requests) = (Parser::new(), Requests::new());
            requests.push([b"before".as_slice()]);
            let first = &input.as_bytes()[..first_len.min(input.len() - 1)];
            assert!(parser.parse(first, 0, &limits, &mut requests).is_ok());
            assert!(parser.parse(input.as_bytes(), 0, &limits, &mut requests).is_err());
            assert_eq!((requests.len(), requests.args.len(), requests.copied.len()), (1, 1, 6), "{input:?}");
            assert!(parser.found.len() <= 1, "those found before the error");
            // Another connection's request, in the same round.
            let next = b"*1\r\n$4\r\nPING\r\n";
            assert!(Parser::new().parse(next, 0, &limits, &mut requests).is_ok());
            assert_eq!(requests.get(1, next).unwrap().iter().collect::<Vec<_>>(), [b"PING"]);
        }
    }
}

#[test]
fn a_start_or_buffer_out_of_bounds_is_just_incomplete() {
    let (mut parser, mut requests) = (Parser::new(), Requests::new());
    let limits = Limits::default();
    assert_eq!(parser.parse(b"PING", 9, &limits, &mut requests), Ok(Parsed::Incomplete { wanted: 1 }));
    assert_eq!(
        parser.parse(b"*1\r\n$4\r\nPI", 0, &limits, &mut requests),
        Ok(Parsed::Incomplete { wanted: 4 })
    );
    assert_eq!(parser.parse(b"*1", 0, &limits, &mut requests), Ok(Parsed::Incomplete { wanted: 12 }));
    assert_eq!(parser.parse(b"", usize::MAX, &limits, &mut requests), Ok(Parsed::Incomplete { wanted: 14 }));
}

/// Bytes looked at while `input` comes in pieces of `piece_len`.
fn steps(input: &[u8], piece_len: usize) -> usize {
    let before = STEPS.get();
    let outcome = feed(input.chunks(piece_len), &Limits::default());
    assert_eq!((outcome.error, outcome.left), (None, 0));
    STEPS.get() - before
}

#[test]
fn the_work_is_linear_however_small_the_pieces() {
    let many_args = format!("*20000\r\n{}", "$1\r\na\r\n".repeat(20_000));
    let long_arg = format!("*2\r\n$100000\r\n{0}\r\n$100000\r\n{0}\r\n", "\r".repeat(100_000));
    let long_line = format!("{}\n", "x ".repeat(30_000));
    for input in [many_args, long_arg, long_line] {
        for piece_len in [1, 2, 7, 100, 4096] {
            // In the worst pieces, the ten bytes of a short line are tried again for each byte of it that comes.
            let steps_max = input.len() * 12;
            let steps = steps(input.as_bytes(), piece_len);
            assert!(steps <= steps_max, "{steps} steps for {} bytes in pieces of {piece_len}", input.len());
        }
        assert!(steps(input.as_bytes(), usize::MAX) <= input.len() + 1, "in one piece");
    }
}

/// Scraps of both kinds of requests, right and wrong.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop_oneof![
        vec(vec(any::<u8>(), 0..12), 1..4).prop_map(|args| encode(&args)),
        proptest::sample::select(vec![
            "*1\r\n",
            "*2\r\n",
            "*0\r\n",
            "*-1\r\n",
            "$3\r\n",
            "abc\r\n",
            "$0\r\n\r\n",
            "\r\n",
            "\r",
            "\n",
            "*",
            "$",
            "-",
            "0",
            "1",
            "12",
            "PING\r\n",
            "set k 'a b'\n",
            "\"a\\x41\"\n",
            "\"",
            "'",
            "\\",
            "POST /\r\n",
            " ",
            "\0",
            "*1\r\n$4\r\nPING\r\n",
            "*00000000000000000000000000000000000000000000",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 1..4),
    ];
    vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        request.extend_from_slice(arg);
        request.extend_from_slice(b"\r\n");
    }
    request
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let small = (0..40_usize, 0..5_usize, 0..20_usize, 0..80_usize).prop_map(
        |(inline_len_max, args_max, bulk_len_max, request_len_max)| Limits {
            inline_len_max,
            args_max,
            bulk_len_max,
            request_len_max,
        },
    );
    prop_oneof![Just(Limits::default()), small]
}

/// Cuts `input` where `lens` say, over and over.
fn pieces<'a>(input: &'a [u8], lens: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (input, Vec::new());
    for len in lens.iter().cycle() {
        let (piece, tail) = rest.split_at(rest.len().min(*len));
        pieces.push(piece);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_do_not_matter(input in scraps(), limits in any_limits(), lens in vec(1..9_usize, 1..6)) {
        let expected = whole(&input, &limits);
        let outcome = feed(pieces(&input, &lens), &limits);
        prop_assert_eq!((&outcome.requests, outcome.error), (&expected.requests, expected.error));
        if expected.error.is_none() {
            prop_assert_eq!(outcome.left, expected.left);
        }
    }

    #[test]
    fn requests_arrive_as_they_were_sent(
        sent in vec(vec(vec(any::<u8>(), 0..300), 1..6), 1..6),
        lens in vec(1..200_usize, 1..6),
    ) {
        let input: Vec<u8> = sent.iter().flat_map(|args| encode(args)).collect();
        let outcome = feed(pieces(&input, &lens), &Limits::default());
        prop_assert_eq!(outcome, Outcome { requests: sent, ..Outcome::default() });
    }

    #[test]
    fn any_bytes_are_survived(input: Vec<u8>, limits in any_limits(), lens in vec(1..9_usize, 1..6)) {
        let expected = whole(&input, &limits);
        let outcome = feed(pieces(&input, &lens), &limits);
        prop_assert_eq!((outcome.requests, outcome.error), (expected.requests, expected.error));
    }

    #[test]
    fn what_is_wanted_is_not_more_than_what_is_missing(
        args in vec(vec(any::<u8>(), 0..20), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let input = encode(&args);
        let have = cut.index(input.len());
        match Parser::new().parse(&input[..have], 0, &Limits::default(), &mut Requests::new()) {
            Ok(Parsed::Incomplete { wanted }) => prop_assert!((1..=input.len() - have).contains(&wanted)),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
