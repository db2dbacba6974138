//! Spread: the median of some rounds, and between what they lay; and how long the longest of very many operations took.

use std::fmt;

/// Median, lowest and highest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of these numbers; nothing if there is none.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

/// As `0.42 (0.40..0.45)`, with two places after the point unless told otherwise.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(2);
        write!(f, "{:.places$} ({:.places$}..{:.places$})", self.median, self.min, self.max)
    }
}

/// Times of single operations, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The longest of all.
    pub max: u32,
    /// Shorter than this are all but one in ten thousand.
    pub p99_99: u32,
    /// Shorter than this are 99 of 100.
    pub p99: u32,
    /// The middle one.
    pub median: u32,
}

impl Times {
    /// Of these.
    pub fn of(mut times: Vec<u32>) -> Self {
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        let max = times.last().copied().unwrap_or_default();
        Self { max, p99_99: at(0.9999), p99: at(0.99), median: at(0.5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied()).map(|spread| spread.to_string());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 9.0]).unwrap(), "3.00 (1.00..9.00)");
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]).unwrap(), "3.00 (1.00..9.00)");
    }

    #[test]
    fn times_are_put_in_order() {
        let times = Times::of((0..20_000).rev().collect());
        let Times { median, p99, p99_99, max } = times;
        assert_eq!([median, p99, p99_99, max], [10_000, 19_800, 19_998, 19_999]);
    }
}
