//! Interrupt: ends a wait from elsewhere, as Ctrl-C does in a program that a person uses.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A descriptor that ends waits: while it is readable, each wait for the host ends with [`Error::Interrupted`](crate::Error::Interrupted).
///
/// The read end of a pipe, say, into which a signal handler writes. Whoever made it reads it empty again.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<OwnedFd>);

impl Interrupt {
    /// Waits end while `descriptor` is readable, or broken.
    pub fn new(descriptor: impl Into<OwnedFd>) -> Self {
        Self(Arc::new(descriptor.into()))
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
