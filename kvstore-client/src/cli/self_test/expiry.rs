//! Checks of expiry: set, shown, taken off, and come true.

use super::host::{Host, Trouble, bulk, ok, wants};
use super::{Check, check};
use kvstore_client::{TimeToLive, Value};
use std::time::{Duration, Instant};

pub(super) const CHECKS: &[Check] = &[
    check("tells -1 without expiry and -2 without key", special_times),
    check("sets an expiry with the value, by itself, and takes it off", set_and_persist),
    check("drops the expiry with SET and keeps it with KEEPTTL", overwrite),
    check("lets entries expire", comes_true),
];

/// How long to wait for an entry to be gone whose time has passed.
const PATIENCE: Duration = Duration::from_secs(10);

fn special_times(host: &mut Host) -> Result<(), Trouble> {
    let (here, absent) = (host.key("forever"), host.key("never"));
    host.expect(&[&b"SET"[..], &here, b"1"], ok())?;
    host.expect(&[&b"TTL"[..], &here], Value::Integer(-1))?;
    host.expect(&[&b"TTL"[..], &absent], Value::Integer(-2))?;
    host.expect(&[&b"EXPIRE"[..], &absent, b"10"], Value::Integer(0))
}

fn set_and_persist(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("expiring");
    host.expect(&[&b"SET"[..], &key, b"1", b"EX", b"100"], ok())?;
    lives_for(host, &key, 100)?;
    host.expect(&[&b"EXPIRE"[..], &key, b"1000"], Value::Integer(1))?;
    lives_for(host, &key, 1_000)?;
    host.expect(&[&b"PERSIST"[..], &key], Value::Integer(1))?;
    host.expect(&[&b"TTL"[..], &key], Value::Integer(-1))?;
    host.expect(&[&b"PERSIST"[..], &key], Value::Integer(0))
}

fn overwrite(host: &mut Host) -> Result<(), Trouble> {
    let key = host.key("overwritten");
    host.expect(&[&b"SET"[..], &key, b"1", b"EX", b"100"], ok())?;
    host.expect(&[&b"SET"[..], &key, b"2", b"KEEPTTL"], ok())?;
    lives_for(host, &key, 100)?;
    host.expect(&[&b"SET"[..], &key, b"3"], ok())?;
    host.expect(&[&b"TTL"[..], &key], Value::Integer(-1))
}

fn comes_true(host: &mut Host) -> Result<(), Trouble> {
    let (brief, lasting) = (host.key("brief"), host.key("lasting"));
    host.expect(&[&b"SET"[..], &lasting, b"1"], ok())?;
    host.expect(&[&b"SET"[..], &brief, b"1", b"PX", b"20"], ok())?;
    let start = Instant::now();
    while host.client().get(&brief)?.is_some() {
        wants(start.elapsed() < PATIENCE, || {
            format!("an entry with PX 20 is still there after {PATIENCE:?}")
        })?;
        std::thread::sleep(Duration::from_millis(5));
    }
    host.expect(&[&b"EXISTS"[..], &brief], Value::Integer(0))?;
    host.expect(&[&b"GET"[..], &lasting], bulk("1"))
}

/// The key lives on for at most so many seconds, and for more than half of them.
fn lives_for(host: &mut Host, key: &[u8], seconds: u64) -> Result<(), Trouble> {
    let time = host.client().time_to_live(key)?;
    let fits =
        matches!(time, TimeToLive::Left(left) if left.as_secs() <= seconds && left.as_secs() > seconds / 2);
    wants(fits, || format!("expected about {seconds} s to live, got {time:?}"))
}
