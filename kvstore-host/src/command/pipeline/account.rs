//! Account: what a batch of requests was and how long it took, noted for INFO, SLOWLOG and LATENCY.
//!
//! The clock is read for a batch, not for each of its requests: each gets an equal share of the time, so that sums are exact.

use std::sync::atomic::Ordering;

use super::reply::{Answer, Planned, Replies};
use crate::command::monitor::{Audience, without_secrets};
use crate::command::{Error, Session, Spec};
use crate::plugin::Source;
use crate::protocol::Request;
use crate::server::{Server, SlowRequest, add};

/// Arguments of a request that the slowlog keeps, as in Redis.
const ARGS_MAX: usize = 32;
/// Bytes of an argument that the slowlog keeps, as in Redis.
const ARG_LEN_MAX: usize = 128;

/// Notes requests that were carried out together in `time_ns` and answered; `requests` are the source that they lie in, the first at place `first`.
pub(super) fn note(
    time_ns: u64,
    planned: &[Planned],
    replies: &Replies,
    (requests, first): (&Source, usize),
    session: &Session,
    server: &Server,
) {
    let track = server.settings.latency_tracking.load(Ordering::Relaxed);
    let mut runs = planned.iter().filter_map(|one| Some((one.called()?, one.count as u64))).peekable();
    let called: u64 = runs.clone().map(|(_, calls)| calls).sum();
    if let Some(share_ns) = time_ns.checked_div(called) {
        // What does not divide evenly goes to the first ones.
        let mut rest_ns = time_ns % called;
        let mut tally = session.tally.open();
        while let Some((spec, mut calls)) = runs.next() {
            while let Some((_, more)) = runs.next_if(|(next, _)| std::ptr::eq(*next, spec)) {
                calls += more;
            }
            let run_ns = share_ns * calls + std::mem::take(&mut rest_ns);
            tally.add_calls(spec.number.get(), calls, run_ns, track);
        }
        tally.hits += replies.hits;
        tally.misses += replies.misses;
    }
    if let Some(audience) = Audience::of(session, server) {
        let requests = (first..).map_while(|place| requests.requests.get(place, &requests.buffer));
        let each = planned.iter().flat_map(|one| std::iter::repeat_n(one, one.count));
        for (one, request) in each.zip(requests) {
            one.called().into_iter().for_each(|spec| audience.show(spec, request));
        }
    }
    if called > 0 && is_slow(time_ns, server) {
        let place =
            planned.iter().take_while(|one| one.called().is_none()).map(|one| one.count).sum::<usize>();
        let request = requests.requests.get(first + place, &requests.buffer);
        let fast = planned.iter().all(|one| one.spec.is_none_or(|spec| spec.flags.contains(&"fast")));
        note_slow(time_ns, request, called - 1, fast, session, server);
    }
}

/// Notes a request that ran by itself.
pub(super) fn note_alone(
    time_ns: u64,
    spec: &Spec,
    request: Option<Request<'_>>,
    session: &Session,
    server: &Server,
) {
    let track = server.settings.latency_tracking.load(Ordering::Relaxed);
    session.tally.open().add_calls(spec.number.get(), 1, time_ns, track);
    if let (Some(audience), Some(request)) = (Audience::of(session, server), request) {
        audience.show(spec, request);
    }
    if is_slow(time_ns, server) {
        // Of EXEC the requests in it are told.
        let request = request.filter(|_| !spec.flags.contains(&"skip_slowlog"));
        note_slow(time_ns, request, 0, spec.flags.contains(&"fast"), session, server);
    }
}

fn is_slow(time_ns: u64, server: &Server) -> bool {
    slowlog_takes(time_ns, server) || latency_takes(time_ns, server)
}

fn slowlog_takes(time_ns: u64, server: &Server) -> bool {
    let threshold_us = server.settings.slowlog_threshold_us.load(Ordering::Relaxed);
    u64::try_from(threshold_us).is_ok_and(|threshold_us| time_ns / 1_000 >= threshold_us)
}

fn latency_takes(time_ns: u64, server: &Server) -> bool {
    let threshold_ms = server.settings.latency_threshold_ms.load(Ordering::Relaxed);
    threshold_ms > 0 && time_ns / 1_000_000 >= threshold_ms
}

fn note_slow(
    time_ns: u64,
    request: Option<Request<'_>>,
    more: u64,
    fast: bool,
    session: &Session,
    server: &Server,
) {
    let at_s = server.clock.now_ms().div_euclid(1_000);
    if latency_takes(time_ns, server) {
        server.latency.note(if fast { "fast-command" } else { "command" }, at_s, time_ns / 1_000_000);
    }
    if let Some(request) = request.filter(|_| slowlog_takes(time_ns, server)) {
        let mut args = cut(request);
        if more > 0 {
            args.push(format!("... ({more} more requests of the same batch)").into_bytes());
        }
        let client = server.clients.get(session.id).unwrap_or_default();
        let (addr, name) = (client.addr, client.name);
        let slow = SlowRequest { id: 0, at_s, took_us: time_ns / 1_000, args, addr, name };
        server.slowlog.push(slow, server.settings.slowlog_len_max.load(Ordering::Relaxed));
    }
}

/// The arguments, as much of them as the slowlog keeps, and no secret.
fn cut(request: Request<'_>) -> Vec<Vec<u8>> {
    let kept = if request.len() > ARGS_MAX { ARGS_MAX - 1 } else { request.len() };
    let one = |arg: &[u8]| match arg.get(..ARG_LEN_MAX) {
        Some(start) if arg.len() > ARG_LEN_MAX => {
            let more = format!("... ({} more bytes)", arg.len() - ARG_LEN_MAX);
            [start, more.as_bytes()].concat()
        }
        _ => arg.to_vec(),
    };
    let mut args: Vec<Vec<u8>> = without_secrets(request).take(kept).map(one).collect();
    if kept < request.len() {
        args.push(format!("... ({} more arguments)", request.len() - kept).into_bytes());
    }
    args
}

/// Counts an error reply, if what was written is one, and answers whether it is.
pub(super) fn note_error(reply: &[u8], server: &Server) -> bool {
    let Some(error) = reply.strip_prefix(b"-") else { return false };
    add(&server.stats.errors, 1);
    if Error::is_fault(error) {
        add(&server.stats.engine_errors, 1);
    }
    server.error_codes.count(error);
    true
}

impl Planned {
    /// The command, if the request was one that was carried out: not refused, not queued.
    fn called(&self) -> Option<&'static Spec> {
        self.spec.filter(|_| !matches!(self.answer, Answer::Refused(_) | Answer::Queued))
    }
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::protocol::Requests;

    fn shown(args: &[&[u8]]) -> Vec<String> {
        let mut requests = Requests::new();
        requests.push(args.iter().copied());
        let cut = cut(requests.get(0, b"").unwrap());
        cut.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect()
    }

    #[test]
    fn long_arguments_and_many_are_cut_as_redis_cuts_them() {
        let long = [b'x'; 130];
        assert_eq!(shown(&[b"SET", &long[..128], b""]), ["SET", &"x".repeat(128), ""]);
        assert_eq!(shown(&[b"GET", &long]), ["GET", &format!("{}... (2 more bytes)", "x".repeat(128))]);
        let many = [&b"a"[..]; 33];
        assert_eq!(shown(&many[..32]).len(), 32);
        assert_eq!((shown(&many).len(), &*shown(&many)[31]), (32, "... (2 more arguments)"));
    }

    #[test]
    fn passwords_are_left_out() {
        assert_eq!(shown(&[b"auth", b"user", b"secret"]), ["auth", "(redacted)", "(redacted)"]);
        let hello = shown(&[b"HELLO", b"3", b"AUTH", b"user", b"secret"]);
        assert_eq!(hello, ["HELLO", "3", "AUTH", "(redacted)", "(redacted)"]);
    }
}
