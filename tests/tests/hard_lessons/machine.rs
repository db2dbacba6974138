//! Machine: what others on the same machine, its browser, and its limits can do to the host.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::binaries;
use tests::engines::Engine;
use tests::host::{Host, Options};
use tests::show::{ask, expect, outcome};
use tests::wait::{wait_for, wait_until};
use tests::wire::{raw, rest};

/// A library that stands before the C library's chmod looks at the socket at that moment: others have no right on it yet, and it does
/// not listen.
#[test]
fn unix_socket_created_before_its_mode() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let watcher = dir.path().join("watcher.so");
    binaries::c_library(&binaries::root().join("tests/preload/chmod.c"), &watcher, &[]);
    let log = dir.path().join("modes");
    let (engine, socket) = (Engine::Memory.library(dir.path()), dir.path().join("host.sock"));
    let mut options = Options::args(&["--unix-mode", "666"]);
    options.env = vec![
        ("LD_PRELOAD".to_owned(), watcher.display().to_string()),
        ("WATCHED_LOG".to_owned(), log.display().to_string()),
    ];
    let host = Host::start_library(&dir, &engine, &options);
    assert_eq!(fs::read_to_string(&log).unwrap(), "600, refused, becomes 666\n");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o666);
    let mut client = host.client_over(host.unix(), kvstore_client::Protocol::Resp3);
    expect(&mut client, &[("PING", "PONG")]);
}

/// Sets how many descriptors a host may have open.
fn limit_descriptors(host: &Host, most: u64) {
    let pid = libc::pid_t::try_from(host.pid()).unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the old limit, and then a valid new one.
    unsafe {
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit), 0);
        limit.rlim_cur = most.min(limit.rlim_max);
        assert_eq!(libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()), 0);
    }
}

/// What the thread that accepts has used of the processor, in ticks of 10 ms.
fn accepting_ticks(host: &Host) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{0}/task/{0}/stat", host.pid())).unwrap();
    // Behind the name, which ends with the last parenthesis: user and system time are the 12th and 13th field.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn accept_loop() {
    let host = Host::start(Engine::Memory);
    let mut old = host.client();
    let open = || fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count() as u64;
    let most = open() + 4;
    limit_descriptors(&host, most);
    let waiting: Vec<_> = (0..20).map(|_| raw(&host)).collect();
    let told = || host.log.text().matches("cannot accept a client on ").count() as u128;
    wait_until("a client that is not accepted", || told() > 0);
    // The loop tries again, and rests in between; those that are there are served.
    let (since, told_before, ticks_before) = (Instant::now(), told(), accepting_ticks(&host));
    let tried_again = wait_for("a look at some retries", || {
        expect(&mut old, &[("PING", "PONG")]);
        let retries = told() - told_before;
        (retries > 5 && since.elapsed() > Duration::from_secs(1)).then_some(retries)
    });
    let elapsed_ms = since.elapsed().as_millis();
    // On both listeners: without a descriptor, the system does not even say whether a client waits. And once when each of them came, which may
    // be told only now.
    let most = 2 * (elapsed_ms / 100 + 2) + waiting.len() as u128;
    assert!(tried_again <= most, "{tried_again} retries in {elapsed_ms} ms");
    let ticks = u128::from(accepting_ticks(&host) - ticks_before);
    assert!(ticks * 10 < elapsed_ms / 4, "{ticks} ticks in {elapsed_ms} ms");
    // With descriptors back it accepts again.
    drop(waiting);
    let mut new = host.client();
    expect(&mut new, &[("SET k v", "OK"), ("GET k", "\"v\"")]);
    drop(new);
    wait_until("the end of the others", || host.info_number("connected_clients") == 2);
}

/// A web page that makes a browser send commands gets nothing, and its commands are not carried out.
#[test]
fn browsers_posting_to_the_port() {
    let host = Host::start(Engine::Memory);
    let command = "\r\n\r\nSET stolen yes\r\n";
    let wrong = "-ERR wrong number of arguments for 'get' command\r\n";
    for (start, answer) in [
        ("POST / HTTP/1.1\r\nHost: localhost", ""),
        ("post /x", ""),
        ("Host: localhost", ""),
        ("hOsT: localhost", ""),
        // What its first line asks for is answered, before the next one gives it away.
        ("GET / HTTP/1.1\r\nHost: localhost", wrong),
    ] {
        let from = host.log.len();
        let mut stream = raw(&host);
        // The host may close before all of it is sent.
        let _ = stream.write_all(format!("{start}{command}").as_bytes());
        assert_eq!(rest(stream), answer, "{start:?}");
        host.wait_for_log_after(from, &["WARN", " closed: ", "Possible cross protocol scripting"]);
    }
    assert_eq!(ask(&mut host.client(), "GET stolen"), "nil");
}

/// Only a library that nobody else can have written. That strangers cannot ask for one at all, is tested in the host, in
/// `command/pipeline`: `engine_commands_are_for_clients_of_this_machine`.
#[test]
fn who_may_load_a_library() {
    let host = Host::start(Engine::Memory);
    let mut client = host.client();
    let dir = host.path("engines");
    fs::create_dir(&dir).unwrap();
    let engine = binaries::c_example(&dir);
    let (safe_dir, safe_link) = (host.path("safe"), host.path("safe/engine.so"));
    fs::create_dir(&safe_dir).unwrap();
    symlink(&engine, &safe_link).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mut reload = |path: &Path| outcome(client.call(&["ENGINE", "RELOAD", path.to_str().unwrap()]));

    mode(&engine, 0o757);
    let refused = reload(&engine);
    assert!(refused.contains("everybody can write to its file (mode 0757); chmod o-w it"), "{refused}");
    mode(&engine, 0o755);
    mode(&dir, 0o777);
    for path in [&engine, &safe_link] {
        let refused = reload(path);
        assert!(refused.contains("everybody can write to its directory "), "{refused}");
    }
    // Nor is it what a host starts with.
    let started = Command::new(binaries::host())
        .args(["--listen", "127.0.0.1:0", "--engine", engine.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("others could run code in the host"), "{said}");
    assert_eq!(host.engine_info()["generation"], "1");
    // A directory like that for temporary files is safe: others cannot exchange what is not theirs.
    mode(&dir, 0o1777);
    let done = reload(&safe_link);
    assert!(!done.starts_with('!'), "{done}");
}
