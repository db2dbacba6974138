//! Lane: one connection of the benchmark, with what is to be written and what is under way.

use super::Options;
use super::tally::Tally;
use super::workload::{Operation, Workload};
use kvstore_client::{Connection, Error};
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

pub(super) struct Lane {
    connection: Connection,
    unsent: Vec<u8>,
    sent_len: usize,
    /// What waits for its reply: its operation, and from when its time counts.
    under_way: VecDeque<(Operation, Instant)>,
    under_way_max: usize,
    last_progress: Instant,
}

impl Lane {
    pub(super) fn open(options: &Options, under_way_max: usize) -> Result<Self, Error> {
        Ok(Self {
            connection: options.client().take_connection()?,
            unsent: Vec::new(),
            sent_len: 0,
            under_way: VecDeque::new(),
            under_way_max,
            last_progress: Instant::now(),
        })
    }

    /// Goes on with a new connection; what was under way on the old one is forgotten.
    pub(super) fn reopen(&mut self, options: &Options) -> Result<(), Error> {
        *self = Self::open(options, self.under_way_max)?;
        Ok(())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < self.under_way_max
    }

    /// Adds the next request, whose time counts from `due`; [`flush`](Self::flush) sends it.
    pub(super) fn add(&mut self, workload: &mut Workload, due: Instant, now: Instant) {
        if self.is_idle() {
            self.last_progress = now;
        }
        let operation = workload.next_request(&mut self.unsent);
        self.under_way.push_back((operation, due));
    }

    /// Writes what fits.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        while self.sent_len < self.unsent.len() {
            let written_len =
                self.connection.write_some(self.unsent.get(self.sent_len..).unwrap_or_default())?;
            if written_len == 0 {
                return Ok(());
            }
            self.sent_len += written_len;
        }
        self.unsent.clear();
        self.sent_len = 0;
        Ok(())
    }

    /// Takes the replies that are there and gives their times to `tally`.
    pub(super) fn receive(&mut self, tally: &mut Tally) -> Result<(), Error> {
        if self.connection.read_some()? == 0 {
            return Ok(());
        }
        let now = Instant::now();
        self.last_progress = now;
        while let Some(reply) = self.connection.decoded()? {
            if reply.is_push() {
                continue;
            }
            // A reply to nothing means that the two sides have lost step.
            let (operation, due) = self.under_way.pop_front().ok_or(Error::Closed)?;
            tally.reply(operation, now.saturating_duration_since(due), &reply, now);
        }
        Ok(())
    }

    /// Whether something is under way and nothing has moved for `wait`.
    pub(super) fn is_stuck(&self, wait: Option<Duration>, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.last_progress);
        !self.is_idle() && wait.is_some_and(|wait| silence >= wait)
    }

    /// What waits for its reply.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &(Operation, Instant)> {
        self.under_way.iter()
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.sent_len < self.unsent.len());
        PollFd::from_borrowed_fd(self.connection.as_fd(), flags)
    }
}
