//! Shadow: what comes of asking a second engine, which is kept equal to the live one, what clients have asked: whether it answers the same, and how fast.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use plugin_abi::raw::*;
use plugin_abi::sdk::Entry;

use super::entry::Owned;
use super::live::Live;
use super::migrate::MigrateError;
use crate::server::steps_of_twice;

/// Mismatches that are kept to be shown, and bytes that are shown of a key or a value.
const EXAMPLES_MAX: usize = 16;
const SHOWN_MAX: usize = 64;
/// Keys that are suspected at a time; others are not looked at further meanwhile.
const SUSPECTS_MAX: usize = 256;
/// How long two engines may answer differently on a key of which no change is noted: that is done when all of its batch is.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest time that a histogram tells apart from longer ones, in nanoseconds, and its significant digits.
const TIME_MAX_NS: u64 = 10_000_000_000;
const TIME_DIGITS: u8 = 2;

/// What has been compared so far.
#[derive(Debug)]
pub struct Comparison {
    /// Of a million reads of clients so many are repeated.
    share: u64,
    figures: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    reads: u64,
    mismatches: u64,
    examples: VecDeque<String>,
    /// Of the live engine, and of the shadow; in nanoseconds.
    times: Option<[Histogram<u64>; 2]>,
}

/// How long reads took, in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Half of them at most.
    pub p50_us: f64,
    /// 99 of 100 at most.
    pub p99_us: f64,
    /// 999 of 1,000 at most.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// How many took so many microseconds or fewer, in steps of twice the time.
    pub steps: Vec<(u64, u64)>,
}

/// A look at what has been compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Reads that both engines were asked for.
    pub reads: u64,
    /// Times that they answered differently, though nobody had written the key. One key may be asked for often.
    pub mismatches: u64,
    /// The newest of those, with both answers.
    pub examples: Vec<String>,
    /// How long the live engine took for them, and the shadow.
    pub times: [Times; 2],
}

impl Comparison {
    /// Of a million reads of clients so many are repeated.
    pub fn new(share: u64) -> Self {
        let histogram = || Histogram::new_with_bounds(1, TIME_MAX_NS, TIME_DIGITS).ok();
        let times = histogram().zip(histogram()).map(|(live, shadow)| [live, shadow]);
        let figures = Figures { reads: 0, mismatches: 0, examples: VecDeque::new(), times };
        Self { share, figures: Mutex::new(figures) }
    }

    pub(super) fn share(&self) -> u64 {
        self.share
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both were asked, and took so long.
    pub(super) fn note(&self, taken: [Duration; 2]) {
        let mut figures = self.lock();
        figures.reads += 1;
        for (times, taken) in figures.times.iter_mut().flatten().zip(taken) {
            times.saturating_record(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX).max(1));
        }
    }

    /// They have answered this differently.
    pub(super) fn note_mismatch(&self, key: &[u8], live: Option<&Owned>, shadow: Option<&Owned>) {
        let text = told(key, live, shadow);
        let mut figures = self.lock();
        figures.mismatches += 1;
        if figures.mismatches <= EXAMPLES_MAX as u64 {
            log::warn!("the shadow answers differently: {text}");
        }
        figures.examples.push_back(text);
        if figures.examples.len() > EXAMPLES_MAX {
            figures.examples.pop_front();
        }
    }

    /// How it looks now.
    pub fn look(&self) -> Compared {
        let figures = self.lock();
        let Figures { reads, mismatches, examples, times } = &*figures;
        let of = |times: &Histogram<u64>| {
            let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
            let steps = steps_of_twice(times);
            Times { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: at(1.0), steps }
        };
        let times = times.as_ref().map_or_else(Default::default, |[live, shadow]| [of(live), of(shadow)]);
        Compared {
            reads: *reads,
            mismatches: *mismatches,
            examples: examples.iter().cloned().collect(),
            times,
        }
    }
}

/// Keys on which both engines answer differently. A write has its effect a little before it is noted, so they may only have changed just now.
#[derive(Debug, Default)]
pub(super) struct Suspects(Vec<Suspect>);

#[derive(Debug)]
struct Suspect {
    key: Vec<u8>,
    /// A hash of both answers, which may be long.
    answers: u64,
    /// Since when they answer so, without a change of the key.
    since: Instant,
}

/// What the live engine and the shadow answer.
type Answers = (Option<Owned>, Option<Owned>);
/// The same, and how long each took.
type Asked = Result<(Answers, [Duration; 2]), MigrateError>;

impl Suspects {
    /// These keys have changed, and were copied.
    pub(super) fn acquit(&mut self, has_changed: impl Fn(&[u8]) -> bool) {
        self.0.retain(|suspect| !has_changed(&suspect.key));
    }

    /// Repeats what clients have read on both engines, the live one first; and asks for the suspects once more. Ends early when it is told to.
    ///
    /// # Errors
    /// An engine fails to read.
    pub(super) fn compare(
        self,
        engines: (&Live, &Live),
        comparison: &Comparison,
        ends: &dyn Fn() -> bool,
    ) -> Result<Self, MigrateError> {
        let sampled = engines.0.changes().take_sampled();
        self.judge(sampled, comparison, ends, &Instant::now, &mut |key| ask_both(engines, key))
    }

    fn judge(
        self,
        sampled: Vec<Vec<u8>>,
        comparison: &Comparison,
        ends: &dyn Fn() -> bool,
        now: &dyn Fn() -> Instant,
        ask: &mut dyn FnMut(&[u8]) -> Asked,
    ) -> Result<Self, MigrateError> {
        let mut left = Self::default();
        // These first: what had changed of them was just acquitted. Of a new one nobody knows yet whether it has changed.
        for Suspect { key, answers: before, since } in self.0 {
            if ends() {
                break;
            }
            let (answers, _) = ask(&key)?;
            if answers.0 == answers.1 {
                continue;
            }
            let (hash, now) = (hash(&answers), now());
            let since = if hash == before { since } else { now };
            if now.saturating_duration_since(since) > PATIENCE {
                comparison.note_mismatch(&key, answers.0.as_ref(), answers.1.as_ref());
            } else {
                left.0.push(Suspect { key, answers: hash, since });
            }
        }
        for key in sampled {
            if ends() {
                break;
            }
            let (answers, taken) = ask(&key)?;
            comparison.note(taken);
            let is_new = left.0.len() < SUSPECTS_MAX && left.0.iter().all(|suspect| suspect.key != key);
            if answers.0 != answers.1 && is_new {
                left.0.push(Suspect { key, answers: hash(&answers), since: now() });
            }
        }
        Ok(left)
    }
}

fn hash(answers: &Answers) -> u64 {
    let mut hasher = DefaultHasher::new();
    answers.hash(&mut hasher);
    hasher.finish()
}

/// What both answer, and how long that took.
fn ask_both((live, shadow): (&Live, &Live), key: &[u8]) -> Asked {
    let ask = |engine: &Live| {
        let instance = engine.instance().ok_or(MigrateError::Closed)?;
        let (op, mut entry) = (KvOp { flags: KV_OP_NO_TOUCH, ..KvOp::new(KV_OP_GET, key) }, None);
        let began = Instant::now();
        // SAFETY: the engine lends the entry for this call.
        let take = |lent: &KvEntry| entry = Some(Owned::from(&unsafe { Entry::from_raw(lent) }));
        let asked = instance.session().get(&op, take);
        Ok((asked, entry, began.elapsed()))
    };
    let ((one, live, live_time), (other, shadow, shadow_time)) = (ask(live)?, ask(shadow)?);
    one.map_err(MigrateError::Read)?;
    other.map_err(MigrateError::Shadow)?;
    Ok(((live, shadow), [live_time, shadow_time]))
}

/// Both answers. What two values begin with alike is left out where the rest would not be seen.
fn told(key: &[u8], live: Option<&Owned>, shadow: Option<&Owned>) -> String {
    let alike = |(live, shadow): (&Owned, &Owned)| {
        let pairs = live.value.iter().zip(&shadow.value);
        let alike = pairs.take_while(|(one, other)| one == other).count();
        (live.value != shadow.value).then_some(alike)
    };
    let alike = live.zip(shadow).and_then(alike);
    let from = alike.filter(|alike| *alike >= SHOWN_MAX).unwrap_or(0);
    let differ =
        alike.map_or_else(String::new, |alike| format!("; the values differ from offset {alike} on"));
    format!("{}: live {}, shadow {}{differ}", shown(key, 0), answer(live, from), answer(shadow, from))
}

fn answer(entry: Option<&Owned>, from: usize) -> String {
    let Some(Owned { value, expiry_ms, type_, flags }) = entry else { return "nothing".to_owned() };
    let mut text = format!("{} of {} bytes", shown(value, from), value.len());
    for (name, number) in
        [("expires at", *expiry_ms), ("type", i64::from(*type_)), ("flags", i64::from(*flags))]
    {
        if number != 0 {
            text += &format!(", {name} {number}");
        }
    }
    text
}

/// The bytes from an offset on, and where there are others.
fn shown(bytes: &[u8], from: usize) -> String {
    let rest = bytes.get(from..).unwrap_or_default();
    let part = rest.get(..SHOWN_MAX).unwrap_or(rest);
    let dots = |there| if there { "…" } else { "" };
    let (before, behind) = (dots(from > 0), dots(part.len() < rest.len()));
    format!("\"{before}{}{behind}\"", part.escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn mismatches_are_counted_and_the_newest_shown_with_both_answers() {
        let comparison = Comparison::new(1);
        let entry = Owned { value: vec![b'v'; 100], expiry_ms: 5, ..Owned::default() };
        for number in 0..EXAMPLES_MAX + 2 {
            comparison.note([Duration::from_micros(10), Duration::from_millis(20)]);
            comparison.note_mismatch(format!("k{number}").as_bytes(), Some(&entry), None);
        }
        let Compared { reads, mismatches, examples, times } = comparison.look();
        assert_eq!((reads, mismatches, examples.len()), (18, 18, EXAMPLES_MAX));
        let start = "v".repeat(SHOWN_MAX);
        let text = format!("\"k2\": live \"{start}…\" of 100 bytes, expires at 5, shadow nothing");
        assert_eq!(examples[0], text);
        assert!((9.0..11.0).contains(&times[0].p99_us) && times[1].max_us > 19_000.0, "{times:?}");
        assert_eq!(times.map(|times| times.steps), [vec![(16, 18)], vec![(33_816, 18)]]);
    }

    #[test]
    fn a_mismatch_shows_where_two_values_differ() {
        let told = |live: &[u8], shadow: &[u8]| {
            let [live, shadow] =
                [live, shadow].map(|value| Owned { value: value.to_vec(), ..Owned::default() });
            told(b"k", Some(&live), Some(&shadow))
        };
        let alike = [b'v'; 300];
        let value = |end: &[u8]| [&alike, end].concat();
        assert_eq!(
            told(&value(b"\x01 and on"), &value(b"2 and on")),
            "\"k\": live \"…\\x01 and on\" of 308 bytes, shadow \"…2 and on\" of 308 bytes; the values differ from offset 300 on"
        );
        let long = told(&alike, &value(&[b'w'; 100]));
        let end = format!("\"…\" of 300 bytes, shadow \"…{}…\" of 400 bytes", "w".repeat(SHOWN_MAX));
        assert!(long.contains(&end), "{long}");
        // What differs early is shown from the beginning.
        let early = told(b"one and the other", b"one or the other");
        assert!(
            early.contains("live \"one and the other\" of 17 bytes, shadow \"one or the other\""),
            "{early}"
        );
        assert!(early.ends_with("; the values differ from offset 4 on"), "{early}");
        // Values that are alike differ in something else.
        let [live, shadow] = [5, 6].map(|expiry_ms| Owned { expiry_ms, ..Owned::default() });
        let expiry = super::told(b"k", Some(&live), Some(&shadow));
        assert!(
            expiry.ends_with("of 0 bytes, expires at 5, shadow \"\" of 0 bytes, expires at 6"),
            "{expiry}"
        );
    }

    #[test]
    fn a_key_is_acquitted_before_it_is_judged_however_long_the_engines_take() {
        let (comparison, began, asked) = (Comparison::new(0), Instant::now(), Cell::new(0_u32));
        let keys =
            |count: usize| (0..count).map(|number| number.to_string().into_bytes()).collect::<Vec<_>>();
        let mut ask = |_: &[u8]| {
            asked.set(asked.get() + 1);
            Ok(((Some(Owned::default()), None), [Duration::ZERO; 2]))
        };
        // Each answer takes longer than two engines may differ.
        let now = || began + PATIENCE * 2 * asked.get();
        let mut judge = |suspects: Suspects, count| {
            suspects.judge(keys(count), &comparison, &|| false, &now, &mut ask).unwrap()
        };
        let mut suspects = judge(Suspects::default(), 3);
        assert_eq!((suspects.0.len(), comparison.look().mismatches), (3, 0));
        suspects.acquit(|key| key == b"1");
        let suspects = judge(suspects, 0);
        assert_eq!((suspects.0.len(), comparison.look().mismatches), (0, 2));
        assert_eq!(judge(suspects, SUSPECTS_MAX + 1).0.len(), SUSPECTS_MAX);
    }
}
