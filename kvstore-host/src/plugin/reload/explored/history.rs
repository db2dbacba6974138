//! History: what clients were told, and whether one order of all requests explains it.

use super::world::KEYS;

/// The values that a key may have: 0 where it has none.
const VALUES: u32 = 3;
/// Requests that have begun and were not answered: one of each worker, and one of which nobody knows whether it took effect.
pub(super) const PENDING: usize = 3;

/// What a request does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    Read,
    Write(u8),
}

/// What is pending on one key.
pub(super) type Pending = [Option<Effect>; PENDING];

/// For each key a set of what may be: its value, and which of the pending requests have taken effect, and what those that read have read. It is empty
/// once there is no order that explains all replies. A key is a register of its own, so a request on several counts once for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct History([u128; KEYS]);

/// One of what may be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct May {
    value: u8,
    /// 0: it has not taken effect. Else 1, and for one that reads 1 + what it has read.
    effects: [u8; PENDING],
}

impl May {
    fn bit(self) -> u128 {
        let [first, second, third] = self.effects.map(u32::from);
        1 << (u32::from(self.value) + VALUES * (first + 4 * (second + 4 * third)))
    }

    fn of(place: u32) -> Self {
        let (value, rest) = (place % VALUES, place / VALUES);
        Self { value: value as u8, effects: [rest % 4, rest / 4 % 4, rest / 16].map(|effect| effect as u8) }
    }

    /// All of a set.
    fn all(set: u128) -> impl Iterator<Item = Self> {
        let mut left = set;
        std::iter::from_fn(move || {
            let place = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(Self::of(place))
        })
    }
}

impl History {
    /// Nothing was asked for, and each key has this value.
    pub(super) fn of(value: u8) -> Self {
        Self([May { value, effects: [0; PENDING] }.bit(); KEYS])
    }

    /// Adds what may be when pending requests take effect, in any order.
    fn grown(set: u128, pending: &Pending) -> u128 {
        let (mut grown, mut new) = (set, set);
        while new != 0 {
            let before = grown;
            for may in May::all(new) {
                for (index, effect) in pending.iter().enumerate() {
                    let mut next = may;
                    match effect {
                        Some(Effect::Read) => next.effects[index] = 1 + may.value,
                        Some(Effect::Write(value)) => (next.value, next.effects[index]) = (*value, 1),
                        None => continue,
                    }
                    if may.effects[index] == 0 {
                        grown |= next.bit();
                    }
                }
            }
            new = grown & !before;
        }
        grown
    }

    /// A client was told this of request `index`: `None` that it has taken no effect, else what it has read. Answers whether that can be.
    pub(super) fn told(&mut self, key: usize, pending: &Pending, index: usize, effect: Option<u8>) -> bool {
        let wanted = match (effect, pending[index]) {
            (None, _) => 0,
            (Some(value), Some(Effect::Read)) => 1 + value,
            (Some(_), _) => 1,
        };
        let grown = Self::grown(self.0[key], pending);
        let fits = May::all(grown).filter(|may| may.effects[index] == wanted);
        self.0[key] = fits.fold(0, |set, mut may| {
            may.effects[index] = 0;
            set | may.bit()
        });
        self.0[key] != 0
    }

    /// A request of which nobody knows whether it took effect, and which may still do so, makes place for the next one.
    pub(super) fn lose(&mut self, key: usize, index: usize) {
        self.0[key] = May::all(self.0[key]).fold(0, |set, mut may| {
            may.effects[PENDING - 1] = may.effects[index].min(1);
            may.effects[index] = 0;
            set | may.bit()
        });
    }

    /// Whether whoever reads now may find this.
    pub(super) fn may_be(&self, key: usize, pending: &Pending, value: u8) -> bool {
        let found = |set| May::all(set).any(|may| may.value == value);
        found(self.0[key]) || found(Self::grown(self.0[key], pending))
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.0 = [0; KEYS];
    }
}
