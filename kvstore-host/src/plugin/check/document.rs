//! Document: a report as JSON, for programs.

use plugin_abi::conformance::capabilities;
use serde_json::{Map, Value, json};

use super::report::{Layout, Report};
use super::wire::CaseResult;

/// The outcome of a check as one document: whether the engine is accepted, why not, and what was found as far as the check came.
pub(super) fn document(report: Option<&Report>, refused: Option<&str>) -> Value {
    let mut document = report.map(found).unwrap_or_default();
    document.insert("accepted".to_owned(), Value::from(refused.is_none()));
    document.insert("refused".to_owned(), Value::from(refused));
    Value::Object(document)
}

fn found(report: &Report) -> Map<String, Value> {
    let identity = &report.identity;
    let limit = |limit: u64| if limit == u64::MAX { Value::Null } else { Value::from(limit) };
    let capabilities: Map<String, Value> = capabilities(&report.symbols, identity)
        .into_iter()
        .map(|capability| (capability.name.to_owned(), Value::from(capability.present)))
        .collect();
    let (passed, failed, skipped) = report.counts();
    let failures: Vec<Value> = report
        .cases
        .iter()
        .filter_map(|case| match &case.result {
            CaseResult::Failed(text) => Some(json!({"group": case.group, "name": case.name, "text": text})),
            _ => None,
        })
        .collect();
    let state_format = Some(&identity.state_format).filter(|format| !format.is_empty());
    let members = [
        ("engine", json!(identity.name)),
        ("version", json!(identity.version)),
        ("sha256", json!(report.digest.to_string())),
        ("state_format", json!(state_format)),
        ("state_version", json!(identity.state_version)),
        ("key_len_max", limit(identity.key_len_max)),
        ("value_len_max", limit(identity.value_len_max)),
        ("batch_len_max", limit(identity.batch_len_max)),
        ("layout_compared", json!(report.layout == Layout::Same)),
        ("capabilities", Value::Object(capabilities)),
        ("tests", json!({"passed": passed, "failed": failed, "skipped": skipped, "failures": failures})),
        ("summary", json!(report.summary())),
        ("after_dlclose", json!(report.unloaded)),
        ("warnings", json!(report.warnings)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
