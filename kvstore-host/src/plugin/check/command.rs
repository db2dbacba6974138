//! Command: `kvstore-host check PATH`, and the hidden sub-command behind it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::document::document;
use super::{CheckProblem, Depth, Limits, Report, THIS_PROGRAM, check, print_table};
use crate::plugin::file::{Demands, Digest, EngineFile, PrivateDir};
use crate::plugin::lifecycle::open_dirs;

/// Arguments of `kvstore-host check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Path of the engine's library.
    pub path: PathBuf,
    /// The SHA-256 that the file has to have, as 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = parse_digest)]
    pub sha256: Option<Digest>,
    /// Refuse what does not lie in this directory, as a host does that has this flag; can be repeated.
    #[arg(long, value_name = "DIR")]
    pub engine_dir: Vec<PathBuf>,
    /// Run only what a reload runs.
    #[arg(long)]
    pub short: bool,
    /// Print the report as one JSON document.
    #[arg(long)]
    pub json: bool,
    /// How long one step may take, in milliseconds.
    #[arg(long, value_name = "N")]
    pub step_timeout_ms: Option<u64>,
    /// How much memory the engine may allocate, in MiB.
    #[arg(long, value_name = "N")]
    pub memory_limit_mib: Option<u64>,
    /// Where the private copy is made; by default in the directory for temporary files.
    #[arg(long, value_name = "DIR")]
    pub copy_dir: Option<PathBuf>,
}

/// Arguments of the hidden sub-command: `check-child REQUEST`.
#[derive(Clone, Debug, clap::Args)]
pub struct ChildArgs {
    /// What is to be done, as the host wrote it.
    pub request: String,
}

/// Checks an engine in full and prints what was found to the standard output; what it is refused for goes to the standard error. 0: it can be
/// loaded; 1: it cannot, or the check could not be made.
pub fn check_command(args: &CheckArgs) -> ExitCode {
    let (found, refused) = match run(args) {
        Ok(report) => (Some(Box::new(report)), None),
        Err((report, text)) => (report, Some(text)),
    };
    let out = &mut io::stdout().lock();
    let printed = if args.json {
        writeln!(out, "{}", document(found.as_deref(), refused.as_deref()))
    } else {
        print(found.as_deref(), refused.is_none(), out)
    };
    if let Err(error) = printed {
        eprintln!("the report cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    match refused {
        None => ExitCode::SUCCESS,
        Some(text) => {
            eprintln!("refused: {text}");
            ExitCode::FAILURE
        }
    }
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| "a SHA-256 has 64 hexadecimal digits".to_owned())
}

fn print(report: Option<&Report>, accepted: bool, out: &mut impl Write) -> io::Result<()> {
    let Some(report) = report else { return Ok(()) };
    print_table(report, out)?;
    if accepted {
        writeln!(out, "\naccepted: {}", report.summary())?;
    }
    out.flush()
}

/// The report; or why the engine is refused, with the report if there is one.
fn run(args: &CheckArgs) -> Result<Report, (Option<Box<Report>>, String)> {
    let plain = |text: String| (None, text);
    let dirs = open_dirs(&args.engine_dir).map_err(plain)?;
    let demands = Demands { dirs: &dirs, digest: args.sha256 };
    let file = EngineFile::open_with(&args.path, demands).map_err(|error| plain(error.to_string()))?;
    let dir = PrivateDir::create(args.copy_dir.as_deref()).map_err(|error| plain(error.to_string()))?;
    let copy = dir.copy(&file, 0).map_err(|error| plain(error.to_string()))?;
    let (depth, mut limits) =
        if args.short { (Depth::Short, Limits::SHORT) } else { (Depth::Full, Limits::FULL) };
    if let Some(timeout_ms) = args.step_timeout_ms {
        limits.step_timeout_ms = timeout_ms;
    }
    if let Some(mib) = args.memory_limit_mib {
        limits.memory_bytes = mib.saturating_mul(1 << 20);
    }
    check(Path::new(THIS_PROGRAM), &file, &copy, depth, &limits, None).map_err(|error| {
        let text = error.to_string();
        match error.problem {
            CheckProblem::Failed(report) => (Some(report), text),
            _ => (None, text),
        }
    })
}
