//! What one engine hands to the next without copying entries.

use core::ffi::c_void;

use abi_stable::StableAbi;

use super::KvBytes;

/// The next engine takes the state over where it lies in memory.
pub const KV_HANDOFF_ADOPT: u32 = 1;
/// The next engine opens the same files or segment; this one lets go of them first.
pub const KV_HANDOFF_REOPEN: u32 = 2;
/// Writers outside of this host are held off while the host copies. Reads and scans go on.
pub const KV_HANDOFF_FREEZE: u32 = 3;

/// One mapping, or one file descriptor, of the state. The mapping was made with mmap and never by an allocator, so whoever
/// owns it can grow, move or unmap it. What lies in it holds offsets, no addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct KvRegion {
    /// What this region is to the state format.
    pub role: u32,
    /// A file descriptor that goes along, or -1.
    pub fd: i32,
    /// First byte, on a page; NULL where only a file descriptor goes along.
    pub base: *mut c_void,
    /// Bytes.
    pub len: usize,
}

/// The state of an engine between kv_handoff_give and kv_handoff_commit or kv_handoff_abort. It belongs to the engine
/// that gave it and stays in place until then.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct KvState {
    /// Size of this struct as the host knows it, in bytes. The host sets it; the engine fills in the rest.
    pub struct_size: u32,
    /// Which version of the state format this is: that of the giver's identity.
    pub format_version: u32,
    /// The regions.
    pub regions: *const KvRegion,
    /// How many there are.
    pub region_count: u32,
    /// 0.
    pub reserved: u32,
    /// A few bytes of the state format's own, such as a header.
    pub root: KvBytes,
}
