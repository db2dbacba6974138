//! Adopt: an engine takes the state of another one over where it lies, in memory or in its files, while nobody else calls either.
//!
//! ```text
//! kv_handoff_prepare -> kv_handoff_give -> kv_open with the state -> manifest -> commit giver, commit taker
//!         |                    |                    |               |     (nothing in between, cannot fail)
//!         v                    v                    v               v
//!   works as before       close the taker if it was opened -> kv_handoff_abort: works as before
//! ```
//!
//! Memory is lent, so it can always be taken back. Files are let go of and have to be opened again: that can fail, and is asked for until it does not.
//! Where one of both refuses, the data can still be copied.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use plugin_abi::calls::{CallError, Session, State};
use plugin_abi::raw::*;
use plugin_abi::{Identity, Status};

use super::Keyspace;
use super::live::{Candidate, Live};
use super::outcome::panicked;
use super::state_dir::NextManifest;
use crate::fail_point;
use crate::server::Server;

/// Where the state lies that goes over as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handoff {
    /// In memory.
    Adopt,
    /// In files or segments, which the giver lets go of and the taker opens.
    Reopen,
}

impl Handoff {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Reopen => "reopen",
        }
    }

    fn kind(self) -> u32 {
        match self {
            Self::Adopt => KV_HANDOFF_ADOPT,
            Self::Reopen => KV_HANDOFF_REOPEN,
        }
    }

    /// Whether an engine says that it knows this way.
    fn is_known_to(self, identity: &Identity) -> bool {
        identity.has(match self {
            Self::Adopt => KV_CAP_ADOPT,
            Self::Reopen => KV_CAP_REOPEN,
        })
    }
}

/// What was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// In which way.
    pub handoff: Handoff,
    /// How many regions and file descriptors.
    pub regions: usize,
    /// Bytes of the regions.
    pub bytes: u64,
    /// Whether watched keys stay watched.
    pub versions: bool,
    /// Whether the giver had panicked, so that the taker has looked at every entry.
    pub suspect: bool,
}

/// A handoff that did not happen. The giver works as before, unless the problem says otherwise.
pub struct NotAdopted {
    /// Which step failed, and why.
    pub problem: String,
    /// The candidate, which is not open; `None`: its library is lost.
    pub candidate: Option<Candidate>,
    /// One of both engines has said that it cannot, and nothing else is wrong: the data may be copied into the candidate.
    pub refused: bool,
}

/// Why a step did not succeed.
enum Failure {
    /// An engine says that it cannot.
    Refused(String),
    /// An engine panicked, or the handoff was called off.
    Broken(String),
}

impl Failure {
    fn with(self, candidate: Option<Candidate>) -> Box<NotAdopted> {
        let (problem, refused) = match self {
            Self::Refused(problem) => (problem, candidate.is_some()),
            Self::Broken(problem) => (problem, false),
        };
        Box::new(NotAdopted { problem, candidate, refused })
    }
}

/// What a handoff comes to: that all is held back, the calls that can be called off, and the one that cannot.
const STEPS: [&str; 6] =
    ["the hold", "kv_handoff_prepare", "kv_handoff_give", "kv_open", "kv_handoff_abort", "kv_handoff_commit"];
const HOLD: usize = 0;
const PREPARE: usize = 1;
const GIVE: usize = 2;
const OPEN: usize = 3;
const ABORT: usize = 4;
const COMMIT: usize = 5;
const CALLED_OFF: usize = STEPS.len();

/// When an engine is asked again to take its files back.
const ABORT_INTERVAL: Duration = Duration::from_millis(20);

/// Which step a handoff has come to. One thread hands over, and another one may call that off until it commits.
#[derive(Debug, Default)]
pub struct Progress {
    step: AtomicUsize,
    begun: OnceLock<Instant>,
}

impl Progress {
    /// Calls the handoff off, and answers in which call it is; `None`: it commits already, or was called off before.
    pub fn call_off(&self) -> Option<&'static str> {
        let off = |at| (at < COMMIT).then_some(CALLED_OFF);
        let before = self.step.fetch_update(Ordering::AcqRel, Ordering::Acquire, off).ok()?;
        STEPS.get(before).copied()
    }

    /// Calls it off if it has not begun, because all is not held back yet. False: it has.
    pub fn call_off_hold(&self) -> bool {
        self.step.compare_exchange(HOLD, CALLED_OFF, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether it was called off.
    pub fn is_called_off(&self) -> bool {
        self.step.load(Ordering::Acquire) == CALLED_OFF
    }

    /// When it has begun: all was held back by then.
    pub fn begun(&self) -> Option<Instant> {
        self.begun.get().copied().filter(|_| self.step.load(Ordering::Acquire) != HOLD)
    }

    /// Begins: all is held back. False: it was called off.
    pub fn begin(&self) -> bool {
        self.begun.get_or_init(Instant::now);
        self.reach(PREPARE).is_ok()
    }

    /// Goes on to a step, unless the handoff was called off.
    fn reach(&self, step: usize) -> Result<(), Failure> {
        let on = |at| (at != CALLED_OFF).then_some(step);
        let reached = self.step.fetch_update(Ordering::AcqRel, Ordering::Acquire, on);
        reached
            .map(|_| STEPS.get(step).into_iter().for_each(fail_point::reach))
            .map_err(|_| Failure::Broken("it was called off".to_owned()))
    }
}

/// What an entry of a state may have: who takes the state has to keep it.
const KEPT: [u64; 2] = [KV_CAP_EXPIRY, KV_CAP_TYPES];

/// The way in which the second engine can take the state of the first over, as they say; each with its symbols.
pub fn way(giver: (&Identity, &[&str]), taker: (&Identity, &[&str])) -> Option<Handoff> {
    let able = [giver, taker].iter().all(|(_, symbols)| symbols.contains(&"kv_handoff_prepare"));
    let (giver, taker) = (giver.0, taker.0);
    let known = |way: &Handoff| way.is_known_to(giver) && way.is_known_to(taker);
    let keeps = KEPT.iter().all(|kept| taker.has(*kept) || !giver.has(*kept));
    let fits = able && keeps && takes(taker, &giver.state_format, giver.state_version);
    [Handoff::Adopt, Handoff::Reopen].into_iter().find(known).filter(|_| fits)
}

fn takes(taker: &Identity, format: &str, version: u32) -> bool {
    let versions = taker.state_version_min..=taker.state_version;
    !format.is_empty() && version != 0 && taker.state_format == format && versions.contains(&version)
}

/// Opens a candidate as generation `generation` with the state of `giver`, and commits. Blocks as long as the engines do, and as long as files cannot be
/// taken back. The handoff [has begun](Progress::begin).
///
/// Nobody else calls the giver meanwhile, and after a commit nothing comes but its `kv_close`. The manifest changes before the commits: it may
/// fail, and they cannot.
///
/// # Errors
/// See [`NotAdopted`].
pub fn adopt(
    handoff: Handoff,
    giver: &Live,
    candidate: Candidate,
    generation: u64,
    server: &Arc<Server>,
    progress: &Progress,
    manifest: &NextManifest,
) -> Result<(Live, Adopted), Box<NotAdopted>> {
    let Some(instance) = giver.instance() else {
        return Err(Failure::Broken("the live engine is closed".to_owned()).with(Some(candidate)));
    };
    let session = instance.session();
    if let Err(error) = session.handoff_prepare(handoff.kind()) {
        return Err(failed(PREPARE, giver.identity(), &error).with(Some(candidate)));
    }
    let mut prepared = Prepared { session: Some(&session), handoff };
    take(giver, &session, &mut prepared, candidate, generation, server, progress, manifest).map_err(
        |mut not| {
            // Also where it was called off.
            let _ = progress.reach(ABORT);
            if let Err(error) = prepared.abort() {
                not.problem += &format!("; and kv_handoff_abort failed: {error}");
                not.refused = false;
            }
            not
        },
    )
}

/// From the state that a prepared engine gives to the commit. After an error the handoff is still to be aborted.
#[allow(clippy::too_many_arguments, reason = "it is the second half of `adopt`")]
fn take(
    giver: &Live,
    session: &Session<'_>,
    prepared: &mut Prepared<'_>,
    candidate: Candidate,
    generation: u64,
    server: &Arc<Server>,
    progress: &Progress,
    manifest: &NextManifest,
) -> Result<(Live, Adopted), Box<NotAdopted>> {
    let identity = candidate.file.identity().clone();
    let given = progress.reach(GIVE).and_then(|()| {
        let state = session.handoff_give().map_err(|error| failed(GIVE, giver.identity(), &error))?;
        let adopted = look_at(&state, prepared.handoff, giver.identity(), &identity);
        let adopted = adopted.map_err(Failure::Refused)?;
        progress.reach(OPEN)?;
        Ok((state, adopted))
    });
    let (state, adopted) = match given {
        Ok(given) => given,
        Err(failure) => return Err(failure.with(Some(candidate))),
    };
    let again = {
        let Candidate { file, check, options, .. } = &candidate;
        let (file, check, options) = (Arc::clone(file), check.clone(), options.clone());
        |library| Candidate { library, file, check, options }
    };
    let taker = match Live::open(candidate, generation, server, Some(&state)) {
        Ok(taker) => taker,
        Err(refused) => {
            let (error, library) = *refused;
            return Err(failed(OPEN, &identity, &error).with(Some(again(library))));
        }
    };
    let failure = match taker.instance() {
        Some(instance) => {
            let taking = instance.session();
            match progress.reach(COMMIT).and_then(|()| manifest.commit().map_err(Failure::Broken)) {
                Ok(()) => {
                    // What expires from here on is told by the taker alone.
                    taker.set_serves(true);
                    // The giver first, then the taker, and nothing in between.
                    prepared.commit();
                    taking.handoff_commit();
                    drop(taking);
                    let versions = giver.keeps_versions() && taker.keeps_versions();
                    return Ok((taker, Adopted { versions, ..adopted }));
                }
                Err(failure) => failure,
            }
        }
        None => Failure::Broken("the new engine is closed".to_owned()),
    };
    // SAFETY: opened above, and nobody else has seen it.
    let (closed, library) = unsafe { taker.retire() };
    if let Err(error) = closed {
        log::error!("kv_close of the engine that was to adopt failed: {error}");
    }
    Err(failure.with(library.map(again)))
}

/// Checks what the giver says of its state.
fn look_at(
    state: &State<'_>,
    handoff: Handoff,
    giver: &Identity,
    taker: &Identity,
) -> Result<Adopted, String> {
    let wrong = |text: String| format!("kv_handoff_give of engine '{}': {text}", giver.name);
    if state.kind() != handoff.kind() {
        return Err(wrong(format!("the state is of the kind {}, wanted {}", state.kind(), handoff.kind())));
    }
    let version = state.format_version();
    if version > giver.state_version || !takes(taker, &giver.state_format, version) {
        let (least, most) = (taker.state_version_min, taker.state_version.min(giver.state_version));
        return Err(wrong(format!("the state has the format version {version}, wanted {least} to {most}")));
    }
    let regions = state.regions().map_err(|error| wrong(error.to_string()))?;
    let bytes = regions.iter().map(|region| region.len as u64).sum();
    Ok(Adopted { handoff, regions: regions.len(), bytes, versions: false, suspect: state.is_suspect() })
}

/// What is wrong, for people.
fn failed(call: usize, engine: &Identity, error: &CallError) -> Failure {
    let call = STEPS.get(call).copied().unwrap_or_default();
    let problem = format!("{call} of engine '{} {}' failed: {error}", engine.name, engine.version);
    if error.status == Status::PANIC { Failure::Broken(problem) } else { Failure::Refused(problem) }
}

/// A giver that is prepared, until commit or abort. If neither comes, because the host panics, it is aborted.
struct Prepared<'a> {
    session: Option<&'a Session<'a>>,
    handoff: Handoff,
}

impl Prepared<'_> {
    fn commit(&mut self) {
        if let Some(session) = self.session.take() {
            session.handoff_commit();
        }
    }

    /// Gives all back. What the giver cannot take back now, such as a file that somebody else has opened, it is asked to take back until it can.
    fn abort(&mut self) -> Result<(), CallError> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let mut asked: u32 = 0;
        loop {
            let aborted = session.handoff_abort();
            match &aborted {
                Err(error) if self.handoff == Handoff::Reopen && !panicked(error.status) => {
                    if asked.is_power_of_two() || asked == 0 {
                        log::error!("kv_handoff_abort failed: {error}; it is asked again");
                    }
                    asked = asked.saturating_add(1);
                    std::thread::sleep(ABORT_INTERVAL);
                }
                _ => return aborted,
            }
        }
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.abort() {
            log::error!("kv_handoff_abort failed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(capabilities: u64, state_format: &str, (min, version): (u32, u32)) -> Identity {
        Identity {
            name: "engine".to_owned(),
            version: "1.0.0".to_owned(),
            capabilities,
            key_len_max: 0,
            value_len_max: 0,
            batch_len_max: 0,
            state_format: state_format.to_owned(),
            state_version: version,
            state_version_min: min,
        }
    }

    #[test]
    fn a_state_is_adopted_where_format_and_version_fit() {
        let engine = |min, version| identity(KV_CAP_ADOPT, "table", (min, version));
        let handoff: &[&str] = &["kv_scan", "kv_handoff_prepare"];
        let adopts = |giver: &Identity, taker: &Identity| way((giver, handoff), (taker, handoff)).is_some();
        assert!(adopts(&engine(1, 1), &engine(1, 1)));
        assert!(adopts(&engine(1, 1), &engine(1, 2)) && adopts(&engine(2, 2), &engine(1, 3)));
        assert!(!adopts(&engine(1, 2), &engine(1, 1)), "back to an engine that knows only the older one");
        assert!(!adopts(&engine(1, 1), &engine(2, 2)), "on to one that does not know it any more");
        assert!(!adopts(&engine(1, 1), &identity(KV_CAP_ADOPT, "tree", (1, 1))));
        assert!(!adopts(&identity(KV_CAP_ADOPT, "", (1, 1)), &identity(KV_CAP_ADOPT, "", (1, 1))));
        assert!(!adopts(&engine(0, 0), &engine(0, 0)));
        let unable = identity(0, "table", (1, 1));
        assert!(!adopts(&engine(1, 1), &unable) && !adopts(&unable, &engine(1, 1)));
        let sound = engine(1, 1);
        assert_eq!(way((&sound, &[]), (&sound, handoff)), None);
        assert_eq!(way((&sound, handoff), (&sound, &[])), None);
        // What expires in one would stay for ever in the other.
        let expires = identity(KV_CAP_ADOPT | KV_CAP_EXPIRY, "table", (1, 1));
        assert!(adopts(&engine(1, 1), &expires) && !adopts(&expires, &engine(1, 1)));
        // In memory where both can, in files where that is what both can.
        let both = identity(KV_CAP_ADOPT | KV_CAP_REOPEN, "table", (1, 1));
        let files = identity(KV_CAP_REOPEN, "table", (1, 1));
        assert_eq!(way((&both, handoff), (&both, handoff)), Some(Handoff::Adopt));
        assert_eq!(way((&both, handoff), (&files, handoff)), Some(Handoff::Reopen));
        assert_eq!(way((&files, handoff), (&sound, handoff)), None);
    }

    #[test]
    fn a_handoff_commits_or_is_called_off() {
        let progress = Progress::default();
        assert!(progress.begun().is_none());
        assert!(progress.begin() && progress.begun().is_some() && progress.reach(OPEN).is_ok());
        assert!(!progress.call_off_hold(), "it has begun");
        assert_eq!(progress.call_off(), Some("kv_open"));
        assert_eq!(progress.call_off(), None);
        assert!(progress.reach(COMMIT).is_err() && progress.is_called_off());
        let progress = Progress::default();
        assert!(progress.begin() && progress.reach(COMMIT).is_ok());
        assert_eq!(progress.call_off(), None);
        let progress = Progress::default();
        assert!(progress.call_off_hold() && !progress.begin());
    }
}
