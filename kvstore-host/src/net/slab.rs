//! Slab: things with small numbers that are used again.

/// A row of places, some of them empty.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// The place that the next thing will get.
    pub(super) fn next_place(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }

    /// Puts a thing into the next place.
    pub(super) fn insert(&mut self, thing: T) {
        match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.places.get_mut(place) {
                    *slot = Some(thing);
                }
            }
            None => self.places.push(Some(thing)),
        }
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        let thing = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    /// Takes a thing out for a while; its place stays its own until it is [put back](Self::put_back) or the place is
    /// [vacated](Self::vacate).
    pub(super) fn take(&mut self, place: usize) -> Option<T> {
        self.places.get_mut(place)?.take()
    }

    pub(super) fn put_back(&mut self, place: usize, thing: T) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(thing);
        }
    }

    pub(super) fn vacate(&mut self, place: usize) {
        self.free.push(place);
    }

    /// The places that are taken.
    pub(super) fn taken(&self) -> Vec<usize> {
        self.places.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(place, _)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::new();
        for thing in ["a", "b", "c"] {
            slab.insert(thing);
        }
        assert_eq!((slab.remove(1), slab.remove(1), slab.next_place()), (Some("b"), None, 1));
        assert_eq!(slab.taken(), [0, 2]);
        slab.insert("d");
        assert_eq!((slab.get_mut(1).copied(), slab.next_place()), (Some("d"), 3));
    }
}
