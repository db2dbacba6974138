//! Judge: says whether two replies may differ, and counts how often each known difference was met.

use super::compare::normal;
use super::generate::Request;
use super::known::{Conflict, KNOWN, Kind, Known, Meeting};
use super::reply::Reply;
use crate::engines::Engine;

/// Who looks a difference up in the list.
#[derive(Debug)]
pub struct Judge {
    engine: Engine,
    /// How often each difference of [`KNOWN`] was met.
    pub met: Vec<u64>,
}

/// A difference that is on the list, by its place.
pub type Place = usize;

impl Judge {
    /// For this engine, with nothing met.
    pub fn new(engine: Engine) -> Self {
        Self { engine, met: vec![0; KNOWN.len()] }
    }

    fn find(&self, is: impl Fn(&Known) -> bool) -> Option<Place> {
        KNOWN.iter().position(|known| known.engines.contains(&self.engine) && is(known))
    }

    fn count(&mut self, place: Option<Place>) -> bool {
        place.is_some_and(|place| {
            self.met[place] += 1;
            true
        })
    }

    /// Whether our host may refuse this.
    pub fn may_refuse(&self, request: &Request) -> bool {
        self.find(|known| matches!(known.kind, Kind::Refusal { applies, .. } if applies(request))).is_some()
    }

    /// Whether this is not to be sent.
    pub fn withholds(&mut self, request: &Request) -> bool {
        self.count(self.find(|known| matches!(known.kind, Kind::NotSent(applies) if applies(request))))
    }

    /// Whether our host has refused what it may.
    pub fn refused(&mut self, request: &Request, ours: &Reply) -> bool {
        let Some(text) = ours.error().map(String::from_utf8_lossy) else { return false };
        let is = |known: &Known| matches!(known.kind, Kind::Refusal { error, applies } if applies(request) && text.contains(error));
        self.count(self.find(is))
    }

    /// Whether these replies are the same, but for what Redis leaves open or what is known.
    pub fn same(&mut self, request: &Request, in_transaction: bool, ours: &Reply, theirs: &Reply) -> bool {
        if ours == theirs || normal(request, ours) == normal(request, theirs) {
            return true;
        }
        let meeting = Meeting { request, in_transaction, ours, theirs };
        self.count(self.find(|known| matches!(known.kind, Kind::Answer(is) if is(&meeting))))
    }

    /// Whether only one of both may have carried a transaction out.
    pub fn may_conflict(&mut self, conflict: Conflict) -> bool {
        self.count(self.find(|known| matches!(known.kind, Kind::Conflict(is) if is(conflict))))
    }

    /// Whether the clock has to move on from a moment at which something expires.
    pub fn moves_on(&mut self) -> bool {
        self.count(self.find(|known| matches!(known.kind, Kind::Moment)))
    }
}
