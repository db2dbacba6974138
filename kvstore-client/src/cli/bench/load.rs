//! Load: sets every key once before the measurement.

use super::{Bench, Failure, Options, Workload};
use kvstore_client::Error;

const PORTION: u64 = 1_000;

pub(super) fn load(bench: &Bench, options: &Options) -> Result<(), Failure> {
    let mut workload = Workload::new(bench, bench.seed.unwrap_or_default(), 0)?;
    let mut connection = options.client().take_connection()?;
    let mut bytes = Vec::new();
    let mut first = 0;
    while first < bench.keys {
        let end = bench.keys.min(first + PORTION);
        bytes.clear();
        (first..end).for_each(|number| workload.write_request(number, &mut bytes));
        let exchange = connection.exchange(&bytes, usize::try_from(end - first).unwrap_or(usize::MAX));
        if let Some(error) = exchange.error {
            return Err(error.into());
        }
        for reply in exchange.replies {
            if let kvstore_client::Value::Error(reply) = reply {
                return Err(Error::Reply(reply).into());
            }
        }
        first = end;
    }
    Ok(())
}
