//! Capabilities: what a library can do, as a table for people.

use crate::Identity;
use crate::identity::CAPABILITY_NAMES;
use crate::raw::*;

/// How a library shows a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityKind {
    /// By a symbol.
    Symbol,
    /// By a bit of its identity.
    Bit,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The symbol's name, or the bit's without its prefix.
    pub name: &'static str,
    /// Which of the two it is.
    pub kind: CapabilityKind,
    /// Whether the library has it.
    pub present: bool,
    /// What the library can do with it, in a few words.
    pub meaning: &'static str,
}

/// All optional symbols and all capability bits, in the contract's order; `exported` are the optional symbols that the library has.
pub fn capabilities(exported: &[&str], identity: &Identity) -> Vec<Capability> {
    let symbols = OPTIONAL_SYMBOLS.into_iter().map(|name| Capability {
        name,
        kind: CapabilityKind::Symbol,
        present: exported.contains(&name),
        meaning: symbol_meaning(name),
    });
    let bits = CAPABILITY_NAMES.into_iter().map(|(bit, name)| Capability {
        name,
        kind: CapabilityKind::Bit,
        present: identity.has(bit),
        meaning: bit_meaning(bit),
    });
    symbols.chain(bits).collect()
}

fn symbol_meaning(name: &str) -> &'static str {
    match name {
        "kv_update" => "decides on an entry in place",
        "kv_submit" => "takes whole batches, and may answer later",
        "kv_cancel" => "gives up what has not begun",
        "kv_release" => "lends values beyond a completion",
        "kv_scan" => "lists its entries, so that they can move to another engine",
        "kv_random" => "gives an entry chosen at random",
        "kv_count" => "counts its entries",
        "kv_stats" => "tells figures of its own",
        "kv_clear" => "removes all entries at one moment",
        "kv_sync" => "makes durable on demand",
        "kv_sequence" => "tells and raises the sequence of versions",
        "kv_handoff_prepare" => "prepares to hand its state over",
        "kv_handoff_give" => "gives its state to another build",
        "kv_handoff_commit" => "lets go of its state",
        "kv_handoff_abort" => "takes its state back",
        _ => "",
    }
}

fn bit_meaning(bit: u64) -> &'static str {
    match bit {
        KV_CAP_THREAD_SAFE => "called from many threads at once",
        KV_CAP_BLOCKING => "single calls may wait for a disk or a machine",
        KV_CAP_EXPIRY => "entries can expire",
        KV_CAP_VERSIONS => "entries have versions",
        KV_CAP_EXTERNAL_WRITERS => "others can change the entries",
        KV_CAP_DURABLE => "what is acknowledged survives",
        KV_CAP_ATOMIC => "batches of all or nothing",
        KV_CAP_SCRATCH => "can be tried without touching its resources",
        KV_CAP_TYPES => "stores type and flags of an entry",
        KV_CAP_ADOPT => "its state can be taken over where it lies in memory",
        KV_CAP_REOPEN => "its files can be let go of and opened by another build",
        KV_CAP_FREEZE => "writers outside of this host can be held off",
        KV_CAP_EVENTS => "tells every change that the host did not ask for",
        _ => "",
    }
}
