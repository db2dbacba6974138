//! Copier: the threads of a reload: the one that copies, `plugin/migrate.rs`, the one that hands over, `plugin/adopt.rs`, and all others.

use super::control::{Done, MigrateError, NotAdopted};
use super::explorer::{Kind, Nexts};
use super::world::{Changes, Engine, Generation, Hold, KEYS, Keys, Live, Stage, World};

/// Where a copier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// At the top of `catch_up`, or of `copy_rest`.
    Top,
    /// In `scan`, with the next entry read.
    Scanned,
    /// At the top of `copy_changes`.
    Changes,
    /// In `copy_changes`, with keys left to read.
    Keys(Keys),
    /// In `committed`, with the manifest being put in its place.
    Puts,
    Ended,
}

/// `migrate::Migration`, and what the control thread has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Copier {
    /// Keeps the old engine equal to the new one, instead of the other way round.
    pub(super) feeds: bool,
    pub(super) at: At,
    /// The word was given; it is gone once it was taken.
    pub(super) word: bool,
    /// The other end of the word is gone.
    pub(super) dropped: bool,
    may_finish: bool,
    /// How many keys the scan has behind it.
    scanned: usize,
    /// That it has caught up.
    told: bool,
    /// The keys that were taken from the changes, and the chunk: what was read.
    taken: Keys,
    chunk: [Option<u8>; KEYS],
    /// `Progress::left`, as far as it matters: whether there is any.
    pub(super) left: bool,
}

/// `Control::record`: its thread, and which manifest it is about to commit, or commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recorder {
    pub(super) next: usize,
    pub(super) puts: bool,
}

/// `control/adopter.rs`: the thread, and which call it has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Adopter {
    call: Call,
    pub(super) word: bool,
    /// The other end of the word is gone.
    pub(super) dropped: bool,
    called_off: bool,
    /// It sleeps until it is woken.
    parked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Call {
    /// It writes the manifest.
    #[default]
    Readies,
    /// It waits for the word.
    Waits,
    /// It has begun to hold back, and wakes those that are awake.
    Wakes,
    /// It waits until all is held back.
    Holds,
    /// From `kv_handoff_prepare` to `kv_open`.
    Takes,
    /// It commits, and cannot be called off.
    Commits,
    /// It makes the candidate the live engine.
    Publishes,
    /// It lets go.
    Releases,
    Ended,
}

impl Adopter {
    /// `adopt::Progress::call_off`.
    pub(super) fn call_off(&mut self) -> bool {
        let off = !matches!(self.call, Call::Commits | Call::Publishes | Call::Releases | Call::Ended);
        let goes = off && !self.called_off;
        self.called_off |= goes;
        goes
    }

    /// `adopt::Progress::begun`.
    pub(super) fn has_begun(self) -> bool {
        !matches!(self.call, Call::Readies | Call::Waits | Call::Wakes | Call::Holds)
    }

    /// `adopt::Progress::call_off_hold`.
    pub(super) fn call_off_hold(&mut self) -> bool {
        let off = !self.has_begun() && !self.called_off;
        self.called_off |= off;
        self.parked &= !off;
        off
    }

    /// All is held back; whoever waits for another hold is not woken.
    pub(super) fn unpark(&mut self, hold: Hold) {
        self.parked &= !matches!(hold, Hold::All(_));
    }
}

impl Copier {
    /// `migrate`, or `feed`.
    pub(super) fn new(feeds: bool) -> Self {
        Self {
            feeds,
            at: At::Top,
            word: false,
            dropped: false,
            may_finish: false,
            scanned: if feeds { KEYS } else { 0 },
            told: feeds,
            taken: 0,
            chunk: [None; KEYS],
            left: false,
        }
    }

    fn from(self) -> Generation {
        if self.feeds { 2 } else { 1 }
    }

    fn to(self) -> Generation {
        3 - self.from()
    }

    /// Whether its thread is in the engine of this generation, or may be.
    pub(super) fn uses(self, generation: Generation) -> bool {
        self.at != At::Ended && (generation == self.from() || generation == self.to())
    }
}

impl World {
    fn ends(&mut self, Copier { feeds, left, .. }: Copier, done: Done) {
        self.copier = Some(Copier { at: At::Ended, left, ..Copier::new(feeds) });
        self.send(done);
    }

    fn with_copier(&self, copier: Copier) -> Self {
        Self { copier: Some(copier), ..*self }
    }

    /// All that the copier can do next.
    pub(super) fn copier_steps(&self, nexts: &mut Nexts) {
        let Some(mut copier) = self.copier else { return };
        match copier.at {
            At::Top if copier.feeds && self.has_panicked(copier.to()) => {
                // `can_be_written`
                let mut world = *self;
                world.ends(copier, Done::Migrated(Err(MigrateError::Other)));
                nexts.add(Kind::Fair, "sees that the engine before has panicked", world);
            }
            At::Top => {
                if !copier.may_finish && std::mem::take(&mut copier.word) {
                    copier.may_finish = true;
                } else if !copier.may_finish && copier.dropped {
                    let mut world = *self;
                    world.ends(copier, Done::Migrated(Err(MigrateError::Cancelled)));
                    return nexts.add(Kind::Fair, "is called off", world);
                }
                if copier.scanned < self.bounds.keys {
                    // Where that fails, it begins anew.
                    let anew = Copier { scanned: 0, ..copier };
                    self.reads(anew, copier.scanned, Copier { at: At::Scanned, ..copier }, nexts);
                } else if copier.may_finish || !copier.told || self.has_changed(copier) {
                    self.with_copier(copier).takes_changes(nexts);
                } else if copier.feeds && self.has_panicked(copier.from()) {
                    // `can_be_read`
                    let mut world = *self;
                    world.ends(copier, Done::Migrated(Err(MigrateError::Read)));
                    nexts.add(Kind::Fair, "sees that it has panicked", world);
                }
            }
            At::Scanned => {
                // An entry that is not there is not brought by a scan.
                copier.chunk = copier.chunk.map(|value| value.filter(|value| *value != 0));
                let next = Copier { at: At::Changes, scanned: copier.scanned + 1, ..copier };
                self.writes_chunk(copier, next, nexts);
            }
            At::Changes => self.takes_changes(nexts),
            At::Keys(0) => self.writes_chunk(copier, Copier { at: At::Top, taken: 0, ..copier }, nexts),
            At::Keys(keys) => {
                let next = Copier { at: At::Keys(keys & (keys - 1)), ..copier };
                self.reads(copier, keys.trailing_zeros() as usize, next, nexts);
            }
            At::Puts => {
                let next = usize::from(copier.feeds);
                self.puts(next, |world, done| world.ends(copier, done), Done::Migrated(Ok(())), nexts);
            }
            At::Ended => {}
        }
    }

    fn has_changed(&self, copier: Copier) -> bool {
        let mut world = *self;
        world.engine(copier.from()).changes.noted()
    }

    fn has_panicked(&self, generation: Generation) -> bool {
        let mut world = *self;
        world.engine(generation).panicked
    }

    /// Reads the value of a key. One that is there or not: `Migration::read`.
    fn reads(&self, copier: Copier, key: usize, mut next: Copier, nexts: &mut Nexts) {
        let mut world = *self;
        let Engine { values, panicked, .. } = *world.call(copier.from());
        if panicked {
            world.note_again(copier);
            world.ends(copier, Done::Migrated(Err(MigrateError::Read)));
            return nexts.add(Kind::Fair, "cannot read", world);
        }
        next.chunk[key] = Some(values[key]);
        world.copier = Some(next);
        nexts.add(Kind::Fair, "reads", world);
        self.fails(copier, MigrateError::Read, "fails to read", nexts);
    }

    /// `Migration::write`.
    fn writes_chunk(&self, copier: Copier, next: Copier, nexts: &mut Nexts) {
        let left = next.scanned < self.bounds.keys;
        let mut world = self.with_copier(Copier { chunk: [None; KEYS], left, ..next });
        let Engine { values, .. } = world.call(copier.to());
        for (value, copied) in values.iter_mut().zip(copier.chunk) {
            *value = copied.unwrap_or(*value);
        }
        nexts.add(Kind::Fair, "writes", world);
        self.fails(copier, MigrateError::Other, "fails to write", nexts);
    }

    /// `copy_changes`, up to the first key.
    fn takes_changes(mut self, nexts: &mut Nexts) {
        let Some(mut copier) = self.copier else { return };
        let Changes { keys, cleared, unknown, .. } = self.engine(copier.from()).changes.take();
        if unknown && copier.feeds {
            // `Lost`: nobody else may have what the target has.
            self.ends(copier, Done::Migrated(Err(MigrateError::Other)));
            return nexts.add(Kind::Fair, "does not know what has changed", self);
        }
        if cleared || unknown {
            self.call(copier.to()).values = [0; KEYS];
            copier.scanned = 0;
        }
        let scanned = copier.scanned >= self.bounds.keys;
        copier.left = keys != 0 || !scanned;
        copier.taken = keys;
        copier.at = if keys == 0 { At::Top } else { At::Keys(keys) };
        if copier.left {
            self.copier = Some(copier);
            return nexts.add(Kind::Fair, "takes what has changed", self);
        }
        if !copier.may_finish {
            if !std::mem::replace(&mut copier.told, true) {
                self.send(Done::CaughtUp);
            }
            self.copier = Some(copier);
            return nexts.add(Kind::Fair, "has caught up", self);
        }
        if self.has_panicked(copier.from()) {
            // `Migration::finish`, where the versions go along.
            let mut world = self;
            world.ends(copier, Done::Migrated(Err(MigrateError::Read)));
            nexts.add(Kind::Fair, "cannot ask for the last version", world);
        }
        // `committed`.
        let next = usize::from(copier.feeds);
        if self.nexts[next] == Stage::Written {
            self.nexts[next] = Stage::Committing;
            self.copier = Some(Copier { at: At::Puts, ..copier });
        } else {
            self.ends(copier, Done::Broken);
        }
        nexts.add(Kind::Fair, "has copied all", self);
    }

    /// The keys of a chunk that could not be copied are noted again.
    fn note_again(&mut self, copier: Copier) {
        let changes = &mut self.engine(copier.from()).changes;
        if changes.followed {
            changes.keys |= copier.taken;
        }
    }

    /// An engine fails to read, or to write. One that fails to read is asked again where the old engine is fed, or not.
    fn fails(&self, copier: Copier, error: MigrateError, what: &'static str, nexts: &mut Nexts) {
        if !self.may_fail() {
            return;
        }
        let mut world = *self;
        world.note_again(copier);
        let copier =
            Copier { left: copier.scanned < self.bounds.keys, taken: 0, chunk: [None; KEYS], ..copier };
        if copier.feeds && error == MigrateError::Read {
            let mut again = world;
            again.copier = Some(Copier { at: At::Top, ..copier });
            nexts.add(Kind::Failure, "fails to read, and tries again", again);
            if !copier.may_finish {
                return;
            }
        }
        world.ends(copier, Done::Migrated(Err(error)));
        nexts.add(Kind::Failure, what, world);
    }

    /// `NextManifest::commit`: it is put in its place, or not.
    fn puts(&self, next: usize, end: impl Fn(&mut Self, Done), done: Done, nexts: &mut Nexts) {
        let mut world = *self;
        (world.nexts[next], world.manifest) = (Stage::Committed, usize::from(next == 0));
        end(&mut world, done);
        nexts.add(Kind::Fair, "puts the manifest in its place", world);
        if self.may_fail() {
            let mut world = *self;
            world.nexts[next] = Stage::CalledOff;
            end(&mut world, Done::Broken);
            nexts.add(Kind::Failure, "cannot put the manifest in its place", world);
        }
    }

    /// All that the other threads can do next.
    pub(super) fn thread_steps(&self, nexts: &mut Nexts) {
        self.adopter_steps(nexts);
        for (place, recorder) in self.recorders.into_iter().enumerate() {
            let Some(recorder) = recorder else { continue };
            let mut world = *self;
            if recorder.puts {
                let end = |world: &mut Self, done| {
                    world.recorders[place] = None;
                    world.send(done);
                };
                self.puts(recorder.next, end, Done::Recorded, nexts);
                continue;
            }
            if world.nexts[recorder.next] == Stage::Written {
                world.nexts[recorder.next] = Stage::Committing;
                world.recorders[place] = Some(Recorder { puts: true, ..recorder });
            } else {
                world.recorders[place] = None;
                world.send(Done::Broken);
            }
            nexts.add(Kind::Fair, "records the engine before", world);
        }
        let mut step = |what, run: &dyn Fn(&mut Self, bool)| {
            let mut world = *self;
            run(&mut world, true);
            nexts.add(Kind::Fair, what, world);
            if self.may_fail() {
                let mut world = *self;
                run(&mut world, false);
                nexts.add(Kind::Failure, what, world);
            }
        };
        if self.checks {
            step("checks", &|world, ok| {
                world.checks = false;
                world.send(Done::Checked(ok));
            });
        }
        if self.opens {
            step("opens", &|world, ok| {
                world.opens = false;
                if ok {
                    *world.live(2) = Live::Open;
                }
                world.send(Done::Opened(ok));
            });
        }
        // Both join the copier's thread first.
        if self.retires != 0 && !self.copies() {
            let mut world = *self;
            let retired = std::mem::take(&mut world.retires);
            world.close(retired);
            world.send(Done::Retired);
            nexts.add(Kind::Fair, "closes the old engine", world);
        }
        if self.drops != 0 && !self.copies() {
            let mut world = *self;
            let dropped = std::mem::take(&mut world.drops);
            world.close(dropped);
            nexts.add(Kind::Fair, "closes a candidate", world);
        }
    }

    /// `adopt::adopt`, on its thread.
    fn adopter_steps(&self, nexts: &mut Nexts) {
        let Some(adopter) = self.adopter.filter(|adopter| adopter.call != Call::Ended) else { return };
        let mut reach = |kind, what, call, run: &dyn Fn(&mut Self)| {
            let mut world = *self;
            world.adopter = Some(Adopter { call, ..adopter });
            run(&mut world);
            nexts.add(kind, what, world);
        };
        // The giver takes its state back.
        let back = |refused| {
            move |world: &mut Self| {
                *world.live(1) = Live::Open;
                world.send(Done::Adopted(Err(NotAdopted { refused })));
            }
        };
        let fails = self.may_fail();
        match adopter.call {
            Call::Readies => {
                reach(Kind::Fair, "is ready", Call::Waits, &|world| world.send(Done::Ready));
                if fails {
                    reach(Kind::Failure, "cannot be ready", Call::Ended, &|world| world.send(Done::Broken));
                }
            }
            // `Holding::hold_back_and_wait`.
            Call::Waits if adopter.word && adopter.called_off => {
                reach(Kind::Fair, "holds nothing back, as it was called off", Call::Ended, &|_| {});
            }
            Call::Waits if adopter.word => reach(Kind::Fair, "holds all back", Call::Wakes, &|world| {
                world.hold = Hold::All(world.last_hold);
            }),
            Call::Wakes => reach(Kind::Fair, "wakes those that are awake", Call::Holds, &|world| {
                world.wake_for(Hold::All(world.last_hold));
            }),
            Call::Holds if adopter.called_off => {
                reach(Kind::Fair, "is called off before it begins", Call::Ended, &|_| {});
            }
            Call::Holds if !adopter.parked && self.all_held(Hold::All(self.last_hold)) => {
                reach(Kind::Fair, "prepares the giver", Call::Takes, &|world| {
                    *world.live(1) = Live::HandingOver;
                });
            }
            Call::Holds if !adopter.parked => reach(Kind::Fair, "parks", Call::Holds, &|world| {
                world.adopter.iter_mut().for_each(|adopter| adopter.parked = true);
            }),
            Call::Holds => {}
            Call::Waits if adopter.dropped => {
                reach(Kind::Fair, "unloads the candidate", Call::Ended, &|_| {});
            }
            Call::Waits | Call::Ended => {}
            Call::Takes if adopter.called_off => {
                reach(Kind::Fair, "aborts, as it was called off", Call::Ended, &back(false));
            }
            Call::Takes => {
                reach(Kind::Fair, "opens the taker", Call::Commits, &|_| {});
                if fails {
                    reach(Kind::Failure, "is refused, and aborts", Call::Ended, &back(true));
                    reach(Kind::Failure, "fails, and aborts", Call::Ended, &back(false));
                }
            }
            Call::Commits => {
                reach(Kind::Fair, "commits", Call::Publishes, &|world| {
                    (world.manifest, world.engines[1].values) = (1, world.engines[0].values);
                    (*world.live(1), *world.live(2)) = (Live::HandedOver, Live::Open);
                });
                if fails {
                    reach(Kind::Failure, "cannot put the manifest, and aborts", Call::Ended, &back(false));
                }
            }
            Call::Publishes => reach(Kind::Fair, "publishes", Call::Releases, &|world| world.replace(2)),
            Call::Releases => reach(Kind::Fair, "lets go", Call::Ended, &|world| {
                world.release();
                world.send(Done::Adopted(Ok(())));
            }),
        }
    }
}
