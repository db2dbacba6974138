//! Tally: what each worker counts of its commands, apart from the others, and the sum of all.

use std::sync::{Arc, Mutex, MutexGuard};

use hdrhistogram::Histogram;

use super::lock;

/// The longest time that a histogram tells apart from longer ones, as in Redis: a second, in nanoseconds.
const TIME_MAX_NS: u64 = 1_000_000_000;
/// Significant digits of the times in a histogram, as in Redis.
const TIME_DIGITS: u8 = 2;

/// What is known of one command.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How often it was carried out.
    pub calls: u64,
    /// How long that took in sum, in nanoseconds.
    pub time_ns: u64,
    /// How often it was refused before it was carried out.
    pub rejected: u64,
    /// How often an error answered it.
    pub failed: u64,
    /// How long its calls took, in nanoseconds; `None` where none was noted.
    pub times_ns: Option<Box<Histogram<u64>>>,
}

impl Figures {
    /// Adds calls that took this long each, in nanoseconds, to the histogram.
    fn note_times(&mut self, time_ns: u64, calls: u64) {
        let times = match &mut self.times_ns {
            Some(times) => times,
            place @ None => match Histogram::new_with_bounds(1, TIME_MAX_NS, TIME_DIGITS) {
                Ok(times) => place.insert(Box::new(times)),
                // Only bounds that make no sense are refused.
                Err(_) => return,
            },
        };
        times.saturating_record_n(time_ns.max(1), calls);
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.time_ns += other.time_ns;
        self.rejected += other.rejected;
        self.failed += other.failed;
        match (&mut self.times_ns, &other.times_ns) {
            // Both have the same bounds, so each time of one has its place in the other.
            (Some(times), Some(more)) => drop(times.add(more.as_ref())),
            (times @ None, Some(more)) => *times = Some(more.clone()),
            (_, None) => {}
        }
    }
}

/// How many of these times, in nanoseconds, were so many microseconds or fewer: in steps of twice the time, from a microsecond on, as far as there are
/// more.
pub fn steps_of_twice(times_ns: &Histogram<u64>) -> Vec<(u64, u64)> {
    let (mut steps, mut sum) = (Vec::new(), 0);
    for step in times_ns.iter_log(1024, 2.0) {
        if step.count_since_last_iteration() > 0 {
            sum += step.count_since_last_iteration();
            steps.push((times_ns.highest_equivalent(step.value_iterated_to() + 1) / 1_000, sum));
        }
    }
    steps
}

/// What has been counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Commands carried out.
    pub commands: u64,
    /// Reads that found an entry.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// By the commands' [numbers](crate::command::Spec::number).
    figures: Vec<Figures>,
}

impl Counted {
    /// What is known of the command of that number, if anything is.
    pub fn get(&self, number: usize) -> Option<&Figures> {
        self.figures.get(number)
    }

    /// The place for what is known of it.
    pub fn of(&mut self, number: usize) -> &mut Figures {
        if self.figures.len() <= number {
            self.figures.resize_with(number + 1, Figures::default);
        }
        // Just made, if it was missing.
        &mut self.figures[number]
    }

    /// Counts calls of one command that took `time_ns` together; `track`: also in its histogram, each with an equal share.
    pub fn add_calls(&mut self, number: usize, calls: u64, time_ns: u64, track: bool) {
        self.commands += calls;
        let figures = self.of(number);
        figures.calls += calls;
        figures.time_ns += time_ns;
        if track && calls > 0 {
            figures.note_times(time_ns / calls, calls);
        }
    }

    /// How long calls of all commands took, in nanoseconds; `None` where none was noted.
    pub fn times_ns(&self) -> Option<Histogram<u64>> {
        let mut all = Figures::default();
        self.figures.iter().for_each(|figures| all.add(figures));
        all.times_ns.map(|times| *times)
    }

    fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.hits += other.hits;
        self.misses += other.misses;
        for (number, figures) in other.figures.iter().enumerate() {
            self.of(number).add(figures);
        }
    }
}

/// What one worker counts. Nobody else locks it, but for a moment who asks for the sum.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

impl Tally {
    /// To be counted in. Not to be kept while anything else is done.
    pub fn open(&self) -> MutexGuard<'_, Counted> {
        lock(&self.0)
    }
}

/// The tallies of all workers.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Vec<Arc<Tally>>>);

impl Tallies {
    /// A new one.
    pub fn add(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        lock(&self.0).push(Arc::clone(&tally));
        tally
    }

    /// The sum of all.
    pub fn sum(&self) -> Counted {
        let mut sum = Counted::default();
        for tally in lock(&self.0).iter() {
            // A copy, so that its worker does not wait for the sum.
            let counted = tally.open().clone();
            sum.add(&counted);
        }
        sum
    }

    /// Commands carried out, by all workers.
    pub fn commands(&self) -> u64 {
        lock(&self.0).iter().map(|tally| tally.open().commands).sum()
    }

    /// Sets all to 0.
    pub fn reset(&self) {
        lock(&self.0).iter().for_each(|tally| *tally.open() = Counted::default());
    }
}

#[cfg(test)]
mod tests {
    use super::Tallies;

    #[test]
    fn what_workers_count_adds_up() {
        let tallies = Tallies::default();
        let (one, other) = (tallies.add(), tallies.add());
        one.open().add_calls(3, 4, 4_000, true);
        other.open().add_calls(3, 1, 9_000, true);
        other.open().add_calls(0, 2, 10, false);
        other.open().of(0).failed += 1;
        one.open().hits += 5;
        let sum = tallies.sum();
        assert_eq!((sum.commands, sum.hits, sum.misses, tallies.commands()), (7, 5, 0, 7));
        let figures = sum.get(3).unwrap();
        assert_eq!((figures.calls, figures.time_ns, figures.failed), (5, 13_000, 0));
        let times = figures.times_ns.as_ref().unwrap();
        assert_eq!((times.len(), times.count_between(900, 1_100)), (5, 4));
        assert_eq!((sum.get(0).unwrap().failed, sum.get(0).unwrap().times_ns.is_some()), (1, false));
        assert_eq!(sum.get(1).unwrap().calls, 0);
        tallies.reset();
        assert!(tallies.sum().get(3).is_none());
    }

    #[test]
    fn times_beyond_those_told_apart_are_noted_as_the_last_one() {
        let tallies = Tallies::default();
        tallies.add().open().add_calls(0, 3, u64::MAX, true);
        let sum = tallies.sum();
        assert_eq!(sum.get(0).unwrap().times_ns.as_ref().unwrap().len(), 3);
        assert!(sum.get(0).unwrap().times_ns.as_ref().unwrap().max() >= 1_000_000_000);
    }
}
