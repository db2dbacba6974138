//! `test`: tries what a live host should do, names each thing with its outcome, and takes its keys away again.

mod expiry;
mod host;
mod keyspace;
mod messages;
mod numbers;
mod protocol;
mod strings;
mod transactions;

use super::output::Form;
use super::{Exit, Failure, Options, Output, interrupt};
use host::{Host, Trouble};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// Try the commands of a live host, each thing with `ok` or `FAILED`.
///
/// All keys begin with `kvstore-test:` and a random number, other keys are not touched, and all are deleted in the end, also after
/// a failure or an interrupt. What the host's engine says it lacks counts as unsupported, not as failed.
#[derive(Debug, clap::Args)]
pub(crate) struct SelfTest {}

/// One thing that is tried.
struct Check {
    name: &'static str,
    run: fn(&mut Host) -> Result<(), Trouble>,
}

const fn check(name: &'static str, run: fn(&mut Host) -> Result<(), Trouble>) -> Check {
    Check { name, run }
}

#[derive(Debug, Default)]
struct Score {
    ok: usize,
    failed: usize,
    unsupported: usize,
}

impl SelfTest {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut host = Host::new(options)?;
        let mut output = Output::session(options);
        let interrupted = interrupt::flag();
        let mut score = Score::default();
        let tried = try_all(&mut host, &interrupted, &mut score, &mut output);
        // Nothing that went wrong until here keeps the keys from being taken away.
        let cleaned = host.clean_up();
        tried?;
        report(&mut output, &mut score, "cleans up", cleaned)?;
        if output.form() == Form::Json {
            let Score { ok, failed, unsupported } = score;
            output.line(&json!({"ok": ok, "failed": failed, "unsupported": unsupported}).to_string())?;
        } else {
            output.line(&format!(
                "{} ok, {} FAILED, {} unsupported",
                score.ok, score.failed, score.unsupported
            ))?;
        }
        output.flush()?;
        Ok(if score.failed == 0 { Exit::Done } else { Exit::ErrorReply })
    }
}

fn try_all(
    host: &mut Host,
    interrupted: &AtomicBool,
    score: &mut Score,
    output: &mut Output,
) -> Result<(), Failure> {
    let all = [
        protocol::CHECKS,
        strings::CHECKS,
        numbers::CHECKS,
        keyspace::CHECKS,
        expiry::CHECKS,
        transactions::CHECKS,
        messages::CHECKS,
    ];
    for check in all.into_iter().flatten() {
        if interrupted.load(Ordering::Relaxed) {
            report(output, score, "the rest", Err(Trouble::Wrong("interrupted".to_owned())))?;
            break;
        }
        let outcome = (check.run)(host);
        report(output, score, check.name, outcome)?;
        // A check that failed in the middle of something leaves nothing of it to the next.
        host.reconnect();
    }
    Ok(())
}

fn report(
    output: &mut Output,
    score: &mut Score,
    name: &str,
    outcome: Result<(), Trouble>,
) -> Result<(), Failure> {
    let (result, reason) = match outcome {
        Ok(()) => ("ok", None),
        Err(Trouble::Unsupported(reason)) => ("unsupported", Some(reason)),
        Err(trouble) => ("FAILED", Some(trouble.to_string())),
    };
    match result {
        "ok" => score.ok += 1,
        "unsupported" => score.unsupported += 1,
        _ => score.failed += 1,
    }
    if output.form() == Form::Json {
        output.line(&json!({"test": name, "result": result, "reason": reason}).to_string())?;
    } else {
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        output.line(&format!("{result:<11} {name}{reason}"))?;
    }
    output.flush()
}
