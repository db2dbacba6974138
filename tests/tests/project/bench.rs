//! Bench: the programs that measure find their servers and fill their tables; what they find is another matter.

use std::fs;
use std::time::Duration;

use tests::bench::figures::{Effort, by_name};
use tests::bench::load::{Connections, Plan, Until};
use tests::bench::peers::{CASES, Settings, measure};
use tests::bench::reload;
use tests::bench::server::Server;
use tests::bench::{plot, report};
use tests::binaries;

/// On whichever processors there are.
const ANY: [usize; 1] = [0];

#[test]
fn a_host_is_measured_in_each_case() {
    let settings = Settings {
        keys: 2_000,
        connections: 3,
        rounds: 2,
        round_time: Duration::from_millis(10),
        attempts: 1,
        system_calls: false,
        ..Settings::default()
    };
    let host = Server::host(1, &ANY);
    let groups = measure(&settings, &[host], |_| {}).unwrap();
    assert_eq!(groups.len(), CASES.len());
    for group in &groups {
        let [row] = &group.rows[..] else { panic!("one server, not {}", group.rows.len()) };
        assert_eq!(row.rounds.len(), 2);
        assert!(row.rounds.iter().all(|round| round.per_s > 0.0 && round.cpu_us.is_some()), "{row:?}");
    }
    let table = report::markdown(&settings, &groups);
    assert_eq!(table.matches("| kvstore |").count(), CASES.len(), "{table}");
    assert!(plot::svg(&groups).ends_with("</svg>\n"));
}

/// Clients are spread evenly, also when all that leave had the same worker.
#[test]
fn small_clients_are_timed_and_workers_stay_even() {
    let settings =
        Settings { keys: 2_000, rounds: 2, round_time: Duration::from_millis(10), ..Settings::default() };
    let figures = by_name("fair", &settings, &Effort::default()).unwrap();
    let [alone, beside, redis_alone, redis_beside, even] = &figures[..] else { panic!("{figures:?}") };
    for timed in [alone, beside, redis_alone, redis_beside] {
        let least = timed.measured.split(['(', '.']).nth(1).and_then(|number| number.parse::<f64>().ok());
        assert!(least.is_some_and(|least| least > 0.0), "{timed:?}");
    }
    assert_eq!(even.measured, "[50, 50]; [50, 0]; [50, 50]");
}

/// Each case finds its engines, and what it counts; a reload that went another way would have failed.
#[test]
fn reloads_are_measured_in_each_case() {
    let settings = reload::Settings {
        reloads: 2,
        mixed_reloads: 4,
        keys: 50_000,
        few_keys: 2_000,
        connections: 2,
        rate: Some(1_000.0),
        top_time: Duration::from_millis(50),
        window: Duration::from_millis(20),
        ..reload::Settings::default()
    };
    let documented = fs::read_to_string(binaries::root().join("docs/performance.md")).unwrap();
    for name in reload::NAMES {
        let figures = reload::by_name(name, &settings).unwrap();
        let of = |what: &str| {
            figures.iter().find(|figure| figure.what.contains(what)).unwrap_or_else(|| panic!("{what}"))
        };
        let errors = &of("replies that were errors").measured;
        assert!(errors.starts_with("0 of ") && errors != "0 of 0", "{figures:?}");
        match name {
            "adopt" | "migrate" => {
                assert_eq!(of("old libraries not unmapped").measured, "0", "{figures:?}");
                assert!(
                    figures.iter().any(|figure| {
                        let judged = ["; reached", "; missed"].iter().any(|it| figure.measured.ends_with(it));
                        figure.measured.contains("; control ") && judged
                    }),
                    "{figures:?}"
                );
            }
            _ => {
                let lost = &of("writes lost").measured;
                assert!(lost.starts_with("0, 0 of ") && lost != "0, 0 of 0", "{figures:?}");
            }
        }
        let reaches: &[_] = match name {
            "adopt" => &[("p99.9 of requests due near a cutover", "within 1 ms of control")],
            "migrate" => &[
                ("p99 of requests due near a cutover", "at most twice the control's"),
                ("p99 of requests due during whole migrations", "at most twice the control's"),
                ("as a share of what was due", "1"),
                ("copied per second, nobody asks", "at least 1,000"),
            ],
            "mixed" => &[("resident memory, and mappings", "no growth")],
            _ => &[("reloads, all done by the same process", "no crash")],
        };
        for (what, reach) in reaches {
            assert_eq!(of(what).reach, *reach, "{figures:?}");
            assert!(documented.contains(&format!("| {reach} |")), "{reach}");
        }
        if name == "mixed" {
            assert_eq!(of("adopted, migrated").measured, "2, 2");
        }
    }
    assert!(reload::by_name("none", &settings).is_err());
}

#[test]
fn a_server_that_answers_something_else_is_no_measurement() {
    let host = Server::host(1, &ANY);
    // No key was set, so it answers with nulls.
    let connections = Connections::open(&host.address, 1).unwrap();
    let plan =
        Plan { protocol: host.protocol, kind: CASES[0].kind, pipeline: 1, value_len: 32, keys: 10, seed: 0 };
    let error = connections.run(&plan, Until::Done(1)).unwrap_err();
    assert!(error.to_string().contains("$-1"), "{error}");
}

#[test]
fn a_named_server_is_found_by_its_port() {
    let host = Server::host(1, &ANY);
    let named = Server::named(&format!("other={}", host.address)).unwrap();
    assert_eq!((named.name.as_str(), named.pid, named.protocol), ("other", host.pid, host.protocol));
    assert!(Server::named("127.0.0.1:1").is_err());
}
