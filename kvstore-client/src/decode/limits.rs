//! Limits: what a reply may have at most, so that no server can exhaust the client.

/// What a reply may have at most. A declared size reserves no memory, so these bound what is really received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Aggregates within aggregates.
    pub nesting_max: usize,
    /// Bytes of one bulk string, or of a simple one.
    pub bulk_len_max: u64,
    /// Values of one reply, at all depths.
    pub elements_max: usize,
    /// Bytes of any other line, without its end; simple strings may have as many if this is more.
    pub line_len_max: usize,
    /// Bytes of one reply.
    pub reply_len_max: u64,
}

impl Default for Limits {
    /// Depth 64, bulks of 512 MiB, 64 Mi values, lines of 64 KiB, replies of 4 GiB.
    fn default() -> Self {
        Self {
            nesting_max: 64,
            bulk_len_max: 512 * 1024 * 1024,
            elements_max: 64 * 1024 * 1024,
            line_len_max: 64 * 1024,
            reply_len_max: 4 * 1024 * 1024 * 1024,
        }
    }
}
