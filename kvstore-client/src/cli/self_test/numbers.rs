//! Checks of numbers: counting up and down, and what is no number.

use super::host::{Host, Trouble, bulk, ok};
use super::{Check, check};
use kvstore_client::{Pipeline, Value};

pub(super) const CHECKS: &[Check] = &[
    check("counts up and down", count),
    check("refuses to count what is no number, and leaves it alone", no_number),
    check("refuses to count beyond 64 bits, and leaves the number alone", overflow),
    check("adds fractions (INCRBYFLOAT)", fractions),
    check("loses no count between two connections", two_connections),
];

fn count(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("count");
    host.expect(&[&b"INCR"[..], &key], Value::Integer(1))?;
    host.expect(&[&b"INCRBY"[..], &key, b"41"], Value::Integer(42))?;
    host.expect(&[&b"DECR"[..], &key], Value::Integer(41))?;
    host.expect(&[&b"INCRBY"[..], &key, b"-50"], Value::Integer(-9))?;
    host.expect(&[&b"GET"[..], &key], bulk("-9"))
}

fn no_number(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("no-number");
    host.expect(&[&b"SET"[..], &key, b"12x"], ok())?;
    host.expect_error(&[&b"INCR"[..], &key], "ERR value is not an integer or out of range")?;
    host.expect(&[&b"GET"[..], &key], bulk("12x"))
}

fn overflow(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("overflow");
    let max = i64::MAX.to_string();
    host.expect(&[&b"SET"[..], &key, max.as_bytes()], ok())?;
    host.expect_error(&[&b"INCR"[..], &key], "ERR increment or decrement would overflow")?;
    host.expect(&[&b"GET"[..], &key], bulk(&max))
}

fn fractions(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("fractions");
    host.expect(&[&b"INCRBYFLOAT"[..], &key, b"10.5"], bulk("10.5"))?;
    host.expect(&[&b"INCRBYFLOAT"[..], &key, b"-0.25"], bulk("10.25"))?;
    host.expect(&[&b"GET"[..], &key], bulk("10.25"))
}

fn two_connections(host: &mut Host) -> Result<(), Trouble> {
    const EACH: i64 = 2_000;
    let key = host.key("both");
    let mut pipeline = Pipeline::new();
    (0..EACH).for_each(|_| {
        pipeline.add(&[b"INCR", key.as_slice()]);
    });
    let mut other = host.other_client();
    let run = |client: &mut kvstore_client::Client| -> Result<(), Trouble> {
        client.run(&pipeline)?.into_iter().try_for_each(|result| Ok(result.map(|_| ())?))
    };
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| run(&mut other));
        let ours = run(host.client());
        let theirs = theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ours.and(theirs)
    })?;
    host.expect(&[&b"GET"[..], &key], bulk((2 * EACH).to_string()))
}
