//! Workload: which request comes next, drawn from a seed.

use super::{Bench, Distribution, Failure};
use kvstore_client::encode_command;
use rand::distr::{Alphanumeric, Distribution as _};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

const PREFIX: &[u8] = b"bench:";

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
}

pub(super) struct Workload {
    rng: SmallRng,
    chooser: Chooser,
    read_share: f64,
    key: Vec<u8>,
    value: Vec<u8>,
}

enum Chooser {
    Uniform { keys: u64 },
    Zipfian(Zipf<f64>),
}

impl Workload {
    /// The workload of thread `thread`; each thread draws its own requests from the seed.
    pub(super) fn new(bench: &Bench, seed: u64, thread: u32) -> Result<Self, Failure> {
        let key_len = bench.key_len as usize;
        let digits = (bench.keys - 1).to_string().len();
        if digits > key_len {
            let text = format!(
                "{} different keys do not fit in {key_len} bytes; --key-len {digits} is enough",
                bench.keys
            );
            return Err(Failure::Usage(text));
        }
        let mut key = vec![b'0'; key_len];
        if let (Some(head), true) = (key.get_mut(..PREFIX.len()), PREFIX.len() + digits <= key_len) {
            head.copy_from_slice(PREFIX);
        }
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(u64::from(thread)));
        let value = Alphanumeric.sample_iter(&mut rng).take(bench.value_len as usize).collect();
        let chooser = match bench.distribution {
            Distribution::Uniform => Chooser::Uniform { keys: bench.keys },
            Distribution::Zipfian => Zipf::new(bench.keys as f64, bench.zipf_exponent)
                .map(Chooser::Zipfian)
                .map_err(|error| Failure::Usage(error.to_string()))?,
        };
        Ok(Self { rng, chooser, read_share: bench.read_share, key, value })
    }

    /// Appends the next request to `out`.
    pub(super) fn next_request(&mut self, out: &mut Vec<u8>) -> Operation {
        let number = match &self.chooser {
            Chooser::Uniform { keys } => self.rng.random_range(0..*keys),
            Chooser::Zipfian(zipf) => zipf.sample(&mut self.rng) as u64 - 1,
        };
        let read = self.rng.random_bool(self.read_share);
        let key = self.key(number);
        if read {
            encode_command(&[b"GET", key], out);
            Operation::Read
        } else {
            self.write_request(number, out);
            Operation::Write
        }
    }

    /// Appends the request that sets key `number`.
    pub(super) fn write_request(&mut self, number: u64, out: &mut Vec<u8>) {
        self.key(number);
        encode_command(&[b"SET", self.key.as_slice(), &self.value], out);
    }

    fn key(&mut self, number: u64) -> &[u8] {
        let mut left = number;
        for place in self.key.iter_mut().rev() {
            if !place.is_ascii_digit() {
                break;
            }
            *place = b'0' + (left % 10) as u8;
            left /= 10;
        }
        &self.key
    }
}
