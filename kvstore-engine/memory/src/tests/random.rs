//! Random operations against the model.

use engine_testing::{Features, random_run};

use super::open;

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..16 {
        // Few shards: removals move entries about, and atomic batches meet in one shard.
        for shards in ["1", "4", "1024"] {
            random_run(&open(&[("shards", shards)]), Features { update: true }, seed, 400);
        }
    }
}
