//! Documents: what docs/commands.md lists is what there is, and docs/engines.md leaves nothing of the contract out.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use kvstore_host::command::table::COMMANDS;
use plugin_abi::Status;
use plugin_abi::identity::CAPABILITY_NAMES;
use plugin_abi::raw::{OPTIONAL_SYMBOLS, REQUIRED_SYMBOLS};
use tests::binaries::root;
use tests::differential::known::KNOWN;

#[test]
fn the_page_of_commands_names_each_command_and_each_known_difference() {
    let page = std::fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let (groups, _) = page.split_once("## Our own").unwrap();
    let named: Vec<String> = groups.split('`').skip(1).step_by(2).map(str::to_lowercase).collect();
    for spec in COMMANDS {
        let count = named.iter().filter(|name| *name == spec.name).count();
        assert!(count > 0, "docs/commands.md does not name `{}`", spec.name.to_uppercase());
    }
    for known in KNOWN {
        let row = format!("| {} | ", known.reason);
        assert!(page.contains(&row), "docs/commands.md has no row of the difference: {}", known.reason);
    }
    let rows = page.split_once("In its words:").unwrap().1.split_once("Beyond").unwrap().0;
    assert_eq!(rows.lines().filter(|line| line.starts_with("| ")).count(), KNOWN.len() + 1, "a row too many");
}

#[test]
fn the_page_for_authors_of_engines_names_each_capability_symbol_and_status() {
    let page = std::fs::read_to_string(root().join("docs/engines.md")).unwrap();
    let names: std::collections::BTreeSet<&str> =
        page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let capabilities = CAPABILITY_NAMES.iter().map(|(_, name)| *name);
    let statuses = Status::ALL.iter().filter_map(|status| status.name());
    let all = capabilities.chain(statuses).chain(OPTIONAL_SYMBOLS).chain(REQUIRED_SYMBOLS);
    let missing: Vec<&str> = all.filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "docs/engines.md does not name {missing:?}");
}
