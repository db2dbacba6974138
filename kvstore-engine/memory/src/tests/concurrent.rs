//! Several threads at once.

use std::sync::atomic::{AtomicBool, Ordering};

use engine_testing::{Change, TestOp};
use plugin_abi::Status;

use super::open;

#[test]
fn increments_from_eight_threads_add_up() {
    let store = open(&[("shards", "2")]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..500 {
                    let add = TestOp::update("counter", Change::Add(1));
                    match (thread + n) % 3 {
                        0 => assert_eq!(store.call(&add).status, Status::OK),
                        1 => assert_eq!(store.one(add).status, Status::OK),
                        _ => assert_eq!(store.atomic(vec![TestOp::get("x"), add])[1].status, Status::OK),
                    }
                }
            });
        }
    });
    assert_eq!(store.one(TestOp::get("counter")).value, b"4000");
}

#[test]
fn transfers_never_show_half_of_themselves() {
    let store = open(&[("shards", "16")]);
    let accounts: Vec<String> = (0..10).map(|n| format!("account-{n}")).collect();
    for account in &accounts {
        store.one(TestOp::set(account, "100"));
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut sums = Vec::new();
            while !done.load(Ordering::SeqCst) || sums.is_empty() {
                let replies = store.atomic(accounts.iter().map(TestOp::get).collect());
                let number = |value: &[u8]| str::from_utf8(value).unwrap().parse::<i64>().unwrap();
                sums.push(replies.iter().map(|reply| number(&reply.value)).sum::<i64>());
            }
            sums
        });
        let writers: Vec<_> = (0..4)
            .map(|thread: usize| {
                let (store, accounts) = (&store, &accounts);
                scope.spawn(move || {
                    for n in 0..400 {
                        // In both directions, so that locks taken in the order of the batch would wait for each other.
                        let (from, to) =
                            (&accounts[(n * 7 + thread) % 10], &accounts[(n * 3 + thread * 5) % 10]);
                        let add = |key, number| TestOp::update(key, Change::Add(number));
                        store.atomic(vec![add(from, -3), add(to, 3)]);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        let sums = reader.join().unwrap();
        assert!(sums.iter().all(|sum| *sum == 1000), "{sums:?}");
    });
}

#[test]
fn compare_and_set_lets_one_of_two_win() {
    let store = open(&[]);
    let mut version = store.one(TestOp::set("k", "0")).version;
    for _ in 0..300 {
        let replies: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..2).map(|_| scope.spawn(|| store.one(TestOp::set("k", "1").expecting(version)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won: Vec<_> = replies.iter().filter(|reply| reply.status == Status::OK).collect();
        let [won] = won[..] else { panic!("{replies:?}") };
        assert!(won.version > version);
        version = won.version;
    }
}
