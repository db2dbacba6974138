//! Layout: the `abi_stable` type layouts of all types of the contract, exported by Rust engines and compared by the checker.
//!
//! The comparison runs code of the library (its layout functions), so it belongs in a process that may die of it. It says
//! of two builds that agree on the version number whether they also agree on every field.

use abi_stable::StableAbi;
use abi_stable::abi_stability::check_layout_compatibility;
use abi_stable::type_layout::TypeLayout;

use crate::raw::*;

/// Every type that crosses the boundary, so that one layout covers them all.
#[repr(C)]
#[derive(StableAbi)]
struct Contract {
    identity: KvIdentity,
    open_args: KvOpenArgs,
    option: KvOption,
    host: KvHost,
    error: KvError,
    entry: KvEntry,
    op: KvOp,
    result: KvResult,
    decision: KvDecision,
    batch: KvBatch,
    cursor: KvCursor,
    stat: KvStat,
    event: KvEvent,
    state: KvState,
    region: KvRegion,
}

/// Name of the data symbol that holds a [`LayoutItem`]. A library without it is no Rust engine, and has nothing to compare.
pub const LAYOUT_SYMBOL: &std::ffi::CStr = c"kv_rust_layout";

/// What a Rust engine exports beside its identity.
#[repr(C)]
#[derive(Debug)]
pub struct LayoutItem {
    /// Which `abi_stable` made the layout: other versions describe types differently and cannot be compared.
    abi_stable: [u8; 32],
    layout: extern "C" fn() -> &'static TypeLayout,
}

extern "C" fn contract() -> &'static TypeLayout {
    <Contract as StableAbi>::LAYOUT
}

impl LayoutItem {
    /// That of the code at hand.
    pub const THIS: Self =
        Self { abi_stable: crate::identity::identity_text("abi_stable 0.11.3"), layout: contract };

    /// Compares the layouts of another build with the ones of this build.
    ///
    /// # Errors
    /// The first difference, in one line.
    pub fn compare(&self) -> Result<(), String> {
        if self.abi_stable != Self::THIS.abi_stable {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
            let (found, accepted) = (text(&self.abi_stable), text(&Self::THIS.abi_stable));
            return Err(format!("kv_rust_layout: found a layout of {found}, accepted is {accepted}"));
        }
        let compared = check_layout_compatibility(contract(), (self.layout)());
        Result::from(compared).map_err(|errors| first_difference(&errors.to_string()))
    }
}

/// The part of `abi_stable`'s report, which shows both types whole, that says what differs.
fn first_difference(report: &str) -> String {
    let line = |label: &str| {
        let mut lines = report.lines().skip_while(|line| !line.contains(label));
        lines.next().map(|line| line.trim().to_owned())
    };
    let summary: Vec<String> =
        ["Error:", "Expected:", "Found:"].iter().filter_map(|label| line(label)).collect();
    if summary.is_empty() {
        report.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" ")
    } else {
        summary.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_agrees_with_itself() {
        LayoutItem::THIS.compare().unwrap();
    }

    #[test]
    fn another_layout_is_refused_in_one_line() {
        #[repr(C)]
        #[derive(StableAbi)]
        struct Other {
            identity: u32,
        }
        extern "C" fn other() -> &'static TypeLayout {
            <Other as StableAbi>::LAYOUT
        }
        let item = LayoutItem { layout: other, ..LayoutItem::THIS };
        let text = item.compare().unwrap_err();
        assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    }

    #[test]
    fn another_abi_stable_is_not_compared() {
        let item =
            LayoutItem { abi_stable: crate::identity::identity_text("abi_stable 0.99"), ..LayoutItem::THIS };
        assert!(item.compare().unwrap_err().contains("0.99"));
    }
}
