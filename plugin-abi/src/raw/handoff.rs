//! What one engine hands to the next without copying entries.

use core::ffi::c_void;

use abi_stable::StableAbi;

use super::KvBytes;

/// The next engine takes the state over where it lies in memory.
pub const KV_HANDOFF_ADOPT: u32 = 1;
/// The next engine opens the same files or segment; this one lets go of them first.
pub const KV_HANDOFF_REOPEN: u32 = 2;
/// Writers outside of this host are held off while the host copies. All calls of the host go on, writes too.
pub const KV_HANDOFF_FREEZE: u32 = 3;

/// One mapping, or one file descriptor, of the state. The mapping was made with mmap and never by an allocator, so whoever
/// owns it can grow, move or unmap it; all of it has one protection, and `len` is a multiple of the page size. What lies in it holds offsets, no addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvRegion {
    /// What this region is to the state format.
    pub role: u32,
    /// A file descriptor that goes along, or -1: this very number becomes the taker's with the commit. Its position is shared, so the taker does not seek
    /// before. The lock of a directory goes along in the descriptor that holds it (flock, or F_OFD_SETLK; never F_SETLK).
    pub fd: i32,
    /// First byte, on a page; NULL where only a file descriptor goes along.
    pub base: *mut c_void,
    /// Bytes.
    pub len: usize,
}

/// The giver cannot vouch for the state: it has panicked. The taker checks every entry before kv_open says OK, and says CORRUPT in case of doubt.
pub const KV_STATE_SUSPECT: u32 = 1_u32 << 0;

/// The state of an engine between kv_handoff_give and kv_handoff_commit or kv_handoff_abort. Regions and descriptors belong to the giver until the
/// commit, and to the taker from then on. This struct, `regions` and `root` are the giver's, and lent to the taker's kv_open.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvState {
    /// Size of this struct as the host knows it, in bytes. The host sets it and clears the rest; the giver fills it in.
    pub struct_size: u32,
    /// KV_HANDOFF_ADOPT, or KV_HANDOFF_REOPEN: then there are no mappings, and `root` names the place (path, segment) that the taker has to open: exactly
    /// that, creating nothing.
    pub kind: u32,
    /// Which version of the state format the state has now; at most `state_version` of the giver's identity.
    pub format_version: u32,
    /// KV_STATE_SUSPECT.
    pub flags: u32,
    /// The regions.
    pub regions: *const KvRegion,
    /// How many there are.
    pub region_count: u32,
    /// Bytes from one region to the next.
    pub region_stride: u32,
    /// A few bytes of the state format's own, such as a header.
    pub root: KvBytes,
}
