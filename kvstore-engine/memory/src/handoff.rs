//! Handoff: the regions of the state go to another build, or come from one, where they lie.

use core::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use plugin_abi::Status;
use plugin_abi::raw::{KV_STATE_SUSPECT, KvState};
use plugin_abi::sdk::{Error, Region};

use crate::limit::Limit;
use crate::state;
use crate::table::Table;
use crate::upkeep::Upkeep;

/// What is lent until commit or abort.
#[derive(Debug)]
struct Given {
    regions: Vec<Region>,
    root: [u8; 8],
}

/// Where a handoff stands.
#[derive(Debug)]
pub(crate) struct Handoff {
    /// Null: none is prepared.
    given: AtomicPtr<Given>,
    /// The state came from another build, which has not committed yet.
    takes: AtomicBool,
}

/// The table of a state that another build gives.
///
/// # Errors
/// INVALID: another version, or another number of shards is wanted. CORRUPT.
pub(crate) fn adopt(state: &KvState, shards: Option<usize>, limit: Limit) -> Result<Table, Error> {
    let invalid = |text: String| Err(Error::new(Status::INVALID, text));
    if state.format_version != state::VERSION {
        return invalid(format!(
            "the state to adopt has the version {}, not {}",
            state.format_version,
            state::VERSION
        ));
    }
    let stride = state.region_stride as usize;
    // SAFETY: an array of so many regions at this stride, lent for the call, by the contract of kv_open.
    let region = |index: u32| unsafe { *state.regions.byte_add(index as usize * stride) };
    let regions: Vec<Region> = (0..state.region_count).map(region).collect();
    let suspect = state.flags & KV_STATE_SUSPECT != 0;
    // SAFETY: lent for the call, by the contract. The regions stay mapped, and nobody else uses them, until the commit, and are this build's from then on.
    let table = unsafe { Table::adopt(&regions, state.root.as_slice(), limit, suspect)? };
    match shards {
        Some(shards) if shards != table.shards() => {
            invalid(format!("option 'shards': the state to adopt has {}, and keeps them", table.shards()))
        }
        _ => Ok(table),
    }
}

impl Handoff {
    /// None is under way; or one, for a build that takes a state.
    pub(crate) fn new(takes: bool) -> Self {
        Self { given: AtomicPtr::new(ptr::null_mut()), takes: AtomicBool::new(takes) }
    }

    fn end(&self) -> bool {
        let given = self.given.swap(ptr::null_mut(), Ordering::AcqRel);
        if given.is_null() {
            return false;
        }
        // SAFETY: made by `prepare`, and swapped out once. What was lent of it ends with commit or abort.
        drop(unsafe { Box::from_raw(given) });
        true
    }

    /// The thread halts, and the state is described.
    pub(crate) fn prepare(&self, table: &Table, upkeep: &Upkeep) {
        upkeep.pause();
        let (regions, root) = table.regions();
        self.given.store(Box::into_raw(Box::new(Given { regions, root })), Ordering::Release);
    }

    /// The state.
    ///
    /// # Errors
    /// INVALID: nothing was prepared.
    pub(crate) fn give(&self) -> Result<(&[Region], &[u8]), Error> {
        // SAFETY: null, or made by `prepare` and freed by commit or abort, which no other call comes beside.
        let given = unsafe { self.given.load(Ordering::Acquire).as_ref() };
        let given = given.ok_or_else(|| Error::new(Status::INVALID, "no handoff is prepared"))?;
        Ok((&given.regions, &given.root))
    }

    /// The state is another build's; or this one's, if it came from another.
    pub(crate) fn commit(&self, table: &Table, upkeep: &Upkeep) {
        if self.end() {
            table.own(false);
        }
        if self.takes.swap(false, Ordering::AcqRel) {
            table.own(true);
            upkeep.resume();
        }
    }

    /// The state stays this build's.
    pub(crate) fn abort(&self, upkeep: &Upkeep) {
        if self.end() {
            upkeep.resume();
        }
    }
}

impl Drop for Handoff {
    fn drop(&mut self) {
        self.end();
    }
}
