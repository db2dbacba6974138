//! Boundary: how often requests cross from the host into the engine, by the host's own counters.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use kvstore_client::Pipeline;
use tests::engines::Engine;
use tests::host::Host;
use tests::on_each_engine;

on_each_engine!(a_pipeline_of_64_crosses_in_one_call);

/// How often a pipeline is tried: the system may hand its bytes to the host in two parts, now and then.
const TRIES: usize = 20;

fn counters(host: &Host) -> (u64, u64) {
    let info = host.engine_info();
    (info["batches"].parse().unwrap(), info["operations"].parse().unwrap())
}

fn a_pipeline_of_64_crosses_in_one_call(engine: Engine) {
    let host = Host::start(engine);
    let mut client = host.client();
    let mut pipeline = Pipeline::new();
    for number in 0..32 {
        pipeline.add(&["SET", &format!("key:{number}"), "value"]);
    }
    for number in 0..32 {
        pipeline.add(&["GET", &format!("key:{number}")]);
    }
    let mut grown = Vec::new();
    for _ in 0..TRIES {
        let before = counters(&host);
        assert!(client.run(&pipeline).unwrap().iter().all(Result::is_ok));
        let after = counters(&host);
        assert_eq!(after.1 - before.1, 64, "each request is one operation");
        grown.push(after.0 - before.0);
    }
    // An engine without kv_submit can be handed one operation at a time only, and the counter says so.
    let expected = if engine == Engine::CExample { 64 } else { 1 };
    assert_eq!(grown.iter().min(), Some(&expected), "calls for each pipeline: {grown:?}");
    // Requests that come one at a time cross one at a time.
    let before = counters(&host);
    for number in 0..32 {
        client.get(format!("key:{number}").as_bytes()).unwrap();
    }
    assert_eq!(counters(&host).0 - before.0, 32);
    // The host says the same in INFO.
    assert_eq!(host.info_number("engine_batches"), counters(&host).0);
}
