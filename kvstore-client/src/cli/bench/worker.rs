//! Worker: one thread of the benchmark; sends what is due on its connections and times the replies.

use super::Options;
use super::lane::Lane;
use super::pace::Pace;
use super::tally::Tally;
use super::workload::Workload;
use kvstore_client::Error;
use rustix::event::{PollFlags, Timespec, poll};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long nothing needs to happen before interrupts and stuck connections are looked at.
const LOOK_AROUND: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    options: Options,
    workload: Workload,
    lanes: Vec<Lane>,
    pace: Pace,
    interrupted: Arc<AtomicBool>,
    /// Requests handed to lanes so far.
    issued: u64,
    /// Where the search for a lane with room begins.
    next_lane: usize,
    tally: Tally,
}

impl Worker {
    pub(super) fn new(
        options: Options,
        workload: Workload,
        lanes: Vec<Lane>,
        pace: Pace,
        interrupted: Arc<AtomicBool>,
        tally: Tally,
    ) -> Self {
        Self { options, workload, lanes, pace, interrupted, issued: 0, next_lane: 0, tally }
    }

    pub(super) fn run(mut self) -> Tally {
        // Requests fall due to the microsecond; the 50 us by which the system may round a sleep would be taken for the host's.
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
            log::debug!("timers stay coarse: {error}");
        }
        loop {
            let now = Instant::now();
            let more = self.issue(now);
            self.each_lane(|lane, _| lane.flush());
            let waiting = more || self.lanes.iter().any(|lane| !lane.is_idle());
            if !waiting || self.lanes.is_empty() || self.interrupted.load(Ordering::Relaxed) {
                break;
            }
            if self.is_given_up(now) {
                break;
            }
            self.wait(now);
        }
        self.count_unfinished();
        self.tally
    }

    /// Hands the lanes what is due; whether there will be more.
    fn issue(&mut self, now: Instant) -> bool {
        match &self.pace {
            Pace::Closed { requests, end } => {
                let ended =
                    |issued| requests.is_some_and(|max| issued >= max) || end.is_some_and(|end| now >= end);
                for lane in self.lanes.iter_mut().filter(|lane| lane.is_idle()) {
                    while lane.has_room() && !ended(self.issued) {
                        lane.add(&mut self.workload, now, now);
                        self.issued += 1;
                    }
                }
                !ended(self.issued)
            }
            Pace::Open(schedule) => {
                while self.issued < schedule.requests && schedule.due(self.issued) <= now {
                    let count = self.lanes.len();
                    let mut places = (0..count).map(|step| (self.next_lane + step) % count);
                    let Some(at) = places.find(|at| self.lanes.get(*at).is_some_and(Lane::has_room)) else {
                        break;
                    };
                    if let Some(lane) = self.lanes.get_mut(at) {
                        lane.add(&mut self.workload, schedule.due(self.issued), now);
                    }
                    self.next_lane = at + 1;
                    self.issued += 1;
                }
                self.issued < schedule.requests
            }
        }
    }

    /// Waits until a lane can go on or the next request is due, and takes the replies that have come.
    fn wait(&mut self, now: Instant) {
        let timeout = self.time_to_next_due(now).unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        // Idle lanes are left out: with a thousand of them, looking at each would delay the few at work.
        let busy = self.lanes.iter().filter(|lane| !lane.is_idle());
        let mut fds: Vec<_> = busy.map(Lane::poll_fd).collect();
        if let Err(error) = poll(&mut fds, Some(&timeout)) {
            // An interrupt; the loop looks after it.
            log::debug!("poll: {error}");
            return;
        }
        let ready: Vec<PollFlags> = fds.iter().map(|fd| fd.revents()).collect();
        let mut ready = ready.into_iter();
        let reply_wait = self.options.wait().reply;
        self.each_lane(|lane, tally| {
            if lane.is_idle() {
                return Ok(());
            }
            let flags = ready.next().unwrap_or(PollFlags::empty());
            if flags.intersects(PollFlags::OUT) {
                lane.flush()?;
            }
            if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                lane.receive(tally)?;
            }
            match reply_wait {
                Some(after) if lane.is_stuck(reply_wait, now) => Err(Error::Timeout { after }),
                _ => Ok(()),
            }
        });
    }

    /// `None` when nothing falls due by time, or what is due waits for a lane.
    fn time_to_next_due(&self, now: Instant) -> Option<Duration> {
        let Pace::Open(schedule) = &self.pace else { return None };
        let has_room = self.lanes.iter().any(Lane::has_room);
        (self.issued < schedule.requests && has_room)
            .then(|| schedule.due(self.issued).saturating_duration_since(now))
    }

    /// Does `step` on each lane; one that fails is opened anew, or given up when that fails too.
    fn each_lane(&mut self, mut step: impl FnMut(&mut Lane, &mut Tally) -> Result<(), Error>) {
        let (options, tally) = (&self.options, &mut self.tally);
        self.lanes.retain_mut(|lane| {
            let Err(error) = step(lane, tally) else { return true };
            log::warn!("a connection of the benchmark was lost: {error}");
            let now = Instant::now();
            for (operation, due) in lane.under_way() {
                tally.lost += 1;
                // A quick loss is no quick service; but who has waited in vain has waited at least so long.
                if matches!(error, Error::Timeout { .. }) {
                    tally.time(*operation, now.saturating_duration_since(*due));
                }
            }
            match lane.reopen(options) {
                Ok(()) => tally.reconnects += 1,
                Err(error) => {
                    log::warn!("and could not be replaced: {error}");
                    return false;
                }
            }
            true
        });
    }

    /// Whether the host has fallen so far behind the schedule that waiting for the rest makes no sense.
    fn is_given_up(&self, now: Instant) -> bool {
        match (&self.pace, self.options.wait().reply) {
            (Pace::Open(schedule), Some(wait)) => now >= schedule.due(schedule.requests) + wait,
            _ => false,
        }
    }

    /// Counts what is due and not answered with the time it has waited so far: the true time is longer, and leaving it out would hide
    /// the worst. After an interrupt nothing is owed.
    fn count_unfinished(&mut self) {
        if self.interrupted.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        for (operation, due) in self.lanes.iter().flat_map(Lane::under_way) {
            self.tally.time(*operation, now.saturating_duration_since(*due));
            self.tally.unfinished += 1;
        }
        if let Pace::Open(schedule) = &self.pace {
            let mut scratch = Vec::new();
            while self.issued < schedule.requests && schedule.due(self.issued) <= now {
                scratch.clear();
                let operation = self.workload.next_request(&mut scratch);
                self.tally.time(operation, now.saturating_duration_since(schedule.due(self.issued)));
                self.tally.unfinished += 1;
                self.issued += 1;
            }
        }
    }
}
