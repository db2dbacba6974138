//! Report: what a check found out, made of what the child told and how it ended; and the table of it for people.

use std::io::{self, Write};

use plugin_abi::Identity;
use plugin_abi::conformance::{Capability, CapabilityKind, capabilities};

use super::error::CheckProblem;
use super::process::{Ended, Ran, signal_or_code, statm_data_bytes};
use super::wire::{CaseResult, Line};
use super::{Depth, Limits};
use crate::plugin::file::{Digest, EngineFile};
use crate::plugin::keys;

/// Whether the type layouts of a Rust engine were compared. A difference is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// They are the host's.
    Same,
    /// The engine carries none, as one in C.
    None,
}

/// One test of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which part of the contract it is about.
    pub group: String,
    /// The test's name.
    pub name: String,
    /// What came of it.
    pub result: CaseResult,
}

/// What a check found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the engine says it is.
    pub identity: Identity,
    /// The digest of its file.
    pub digest: Digest,
    /// The optional symbols that it has.
    pub symbols: Vec<&'static str>,
    /// Whether its type layouts were compared.
    pub layout: Layout,
    /// How much was to be run.
    pub depth: Depth,
    /// Whether instances were opened and the suite was run: the engine has SCRATCH.
    pub scratch: bool,
    /// The tests that were run.
    pub cases: Vec<Case>,
    /// How many entries of the live data were imported for trial, and of how many.
    pub sample: Option<(usize, usize)>,
    /// What is no reason to refuse it, but worth knowing.
    pub warnings: Vec<String>,
    /// What became of the library when the child closed it: `unmapped` or `pinned(reason)`; empty if it did not get there.
    pub unloaded: String,
}

impl Report {
    /// How many tests passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count =
            |pick: fn(&CaseResult) -> bool| self.cases.iter().filter(|case| pick(&case.result)).count();
        (
            count(|result| matches!(result, CaseResult::Passed)),
            count(|result| matches!(result, CaseResult::Failed(_))),
            count(|result| matches!(result, CaseResult::Skipped(_))),
        )
    }

    /// One line on how much was checked.
    pub fn summary(&self) -> String {
        if !self.scratch {
            return "identity, file and loading checked; not opened, because it has no SCRATCH".to_owned();
        }
        let (passed, failed, skipped) = self.counts();
        let extent = if self.depth == Depth::Short { " (short run)" } else { "" };
        let sample = match self.sample {
            None => String::new(),
            Some((imported, entries)) if imported == entries => format!("; {entries} live entries tried"),
            Some((imported, entries)) => {
                format!("; {imported} of {entries} live entries tried, then it was full")
            }
        };
        format!("{passed} conformance tests passed, {failed} failed, {skipped} skipped{extent}{sample}")
    }
}

/// Judges what a child told and how it ended.
pub(super) fn judge(
    file: &EngineFile,
    depth: Depth,
    limits: &Limits,
    ran: Ran,
) -> Result<Report, CheckProblem> {
    let Ran { lines, ended, last_words } = ran;
    let mut report = Report {
        identity: file.identity().clone(),
        digest: *file.digest(),
        symbols: file.optional_symbols().to_vec(),
        layout: Layout::None,
        depth,
        scratch: file.identity().has(plugin_abi::raw::KV_CAP_SCRATCH),
        cases: Vec::new(),
        sample: None,
        warnings: file.warnings(),
        unloaded: String::new(),
    };
    let mut step = "the start of the child process".to_owned();
    let (mut done, mut ended_well, mut crash_bytes) = (false, false, 0);
    let (mut sample_differs, mut refused, mut keys) = (None, None, (0, 0));
    for line in lines {
        match line {
            Line::Step(next) => step = next,
            Line::NotLoaded(text) => return Err(CheckProblem::NotLoaded(text)),
            Line::Layout { compared } => report.layout = if compared { Layout::Same } else { Layout::None },
            Line::LayoutDiffers(text) => return Err(CheckProblem::Layout(text)),
            Line::NotOpened(text) => refused = Some(CheckProblem::NotOpened(text)),
            Line::ThreadsLeft(names) => refused = Some(CheckProblem::ThreadsLeft(names)),
            Line::Case { group, name, result } => report.cases.push(Case { group, name, result }),
            Line::Sample { imported, entries } => report.sample = Some((imported, entries)),
            Line::SampleDiffers(text) => sample_differs = Some(text),
            Line::Keys { held, kept } => keys = (held, kept),
            Line::Done => done = true,
            Line::Unloaded(verdict) => report.unloaded = verdict,
            Line::End => ended_well = true,
            Line::Crash(statm) => crash_bytes = statm_data_bytes(&statm),
        }
    }
    if let Some(text) = sample_differs {
        return Err(CheckProblem::Sample(text));
    }
    let (held, kept) = keys;
    if held > keys::HELD_MAX {
        return Err(CheckProblem::Keys(held));
    }
    if kept > 0 {
        report.warnings.push(format!(
            "each time it is loaded it keeps {kept} of the {} thread-specific keys of the process for good, and when they run out no engine \
             can be loaded; does it call thread::current or thread::spawn?",
            keys::ALL
        ));
    }
    let problem = how_it_ended(ended, ended_well, step, limits, crash_bytes, last_words);
    // What a test found says more than what came of it later; but a report that makes no sense is none.
    if done && report.counts().1 > 0 && !matches!(problem, Some(CheckProblem::Unreadable(_))) {
        return Err(CheckProblem::Failed(Box::new(report)));
    }
    if let Some(problem) = refused.or(problem) {
        return Err(problem);
    }
    if report.unloaded.is_empty() {
        return Err(CheckProblem::Unreadable("it does not say what became of the library".to_owned()));
    }
    if report.unloaded.starts_with("pinned") {
        report.warnings.push(format!("once loaded it stays in memory: {}", report.unloaded));
    }
    Ok(report)
}

/// What went wrong with a child, from the way it ended; none if it came to its end.
fn how_it_ended(
    ended: Ended,
    ended_well: bool,
    step: String,
    limits: &Limits,
    crash_bytes: u64,
    last_words: String,
) -> Option<CheckProblem> {
    // What was refused last may have been large.
    let is_full = |bytes: u64| bytes >= limits.memory_bytes / 4 * 3;
    let out_of_memory = CheckProblem::OutOfMemory { step: step.clone(), limit_bytes: limits.memory_bytes };
    let status = match ended {
        Ended::Unreadable(why) => return Some(CheckProblem::Unreadable(why)),
        Ended::Hung { data_bytes } if is_full(data_bytes) => return Some(out_of_memory),
        Ended::Hung { .. } => {
            return Some(CheckProblem::Hung { step, timeout_ms: limits.step_timeout_ms });
        }
        Ended::ByItself(status) => status,
    };
    match signal_or_code(status) {
        Ok(libc::SIGXCPU) => Some(CheckProblem::Busy { step, limit_s: limits.processor_time_s }),
        Ok(_) if is_full(crash_bytes) => Some(out_of_memory),
        Ok(signal) => Some(CheckProblem::Died { step, signal, last_words }),
        Err(0) if ended_well => None,
        Err(code) => Some(CheckProblem::Exited { step, code, last_words }),
    }
}

/// Prints a report for people: what the engine is, what it can do, which tests it passed.
///
/// # Errors
/// Those of `out`.
pub fn print_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let identity = &report.identity;
    let limit = |limit: u64| if limit == u64::MAX { "none".to_owned() } else { limit.to_string() };
    writeln!(out, "engine          {} {}", identity.name, identity.version)?;
    writeln!(out, "sha256          {}", report.digest)?;
    let state = match identity.state_format.as_str() {
        "" => "none that another engine can take over".to_owned(),
        format => format!("{format}, version {}", identity.state_version),
    };
    writeln!(out, "state format    {state}")?;
    writeln!(
        out,
        "limits          key {}, value {} (bytes), batch {} (operations)",
        limit(identity.key_len_max),
        limit(identity.value_len_max),
        limit(identity.batch_len_max)
    )?;
    let layout = match report.layout {
        Layout::Same => "the same as the host's",
        Layout::None => "none to compare (not built with the Rust SDK)",
    };
    writeln!(out, "type layout     {layout}")?;
    writeln!(out, "\ncapability            has   what for")?;
    for Capability { name, kind, present, meaning } in capabilities(&report.symbols, identity) {
        let kind = if kind == CapabilityKind::Bit { "bit" } else { "symbol" };
        writeln!(out, "{name:<20}  {:<4}  {meaning} ({kind})", if present { "yes" } else { "no" })?;
    }
    print_cases(report, out)?;
    if !report.unloaded.is_empty() {
        writeln!(out, "\nafter dlclose   {}", report.unloaded)?;
    }
    for warning in &report.warnings {
        writeln!(out, "warning         {warning}")?;
    }
    Ok(())
}

/// One line for each group of tests, and one for each test that failed.
fn print_cases(report: &Report, out: &mut impl Write) -> io::Result<()> {
    if report.cases.is_empty() {
        return writeln!(out, "\n{}", report.summary());
    }
    writeln!(out, "\ntests           passed  failed  skipped")?;
    let mut rest = report.cases.as_slice();
    while let Some(first) = rest.first() {
        let len = rest.iter().take_while(|case| case.group == first.group).count();
        let (group, others) = rest.split_at(len);
        rest = others;
        let count = |pick: fn(&CaseResult) -> bool| group.iter().filter(|case| pick(&case.result)).count();
        let passed = count(|result| matches!(result, CaseResult::Passed));
        let skipped = count(|result| matches!(result, CaseResult::Skipped(_)));
        let failed = group.len() - passed - skipped;
        writeln!(out, "{:<14}  {passed:>6}  {failed:>6}  {skipped:>7}", first.group)?;
        for case in group {
            if let CaseResult::Failed(text) = &case.result {
                writeln!(out, "  {} failed: {text}", case.name)?;
            }
        }
    }
    Ok(())
}
