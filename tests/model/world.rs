//! What the caches of a test are made of: keys and values that count themselves,
//! a listener, a weigher and hashes that may lie, and dice.

use crate::time::nanos;
use brimful::{Cause, Departed};
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) id: u32,
    pub(crate) value: u64,
    pub(crate) cause: Cause,
    /// How late it left, and how long it had lived, in nanoseconds.
    pub(crate) late: Option<u64>,
    pub(crate) lived: Option<u64>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) told: RefCell<VecDeque<Told>>,
    /// How many were told of before the last part of a call that has two.
    pub(crate) first_part: Cell<usize>,
    pub(crate) next_value: Cell<u64>,
    pub(crate) live_keys: Cell<i64>,
    pub(crate) live_values: Cell<i64>,
    pub(crate) weighings: Cell<u64>,
    /// How often a rule was asked for a life, and the clock for the time.
    pub(crate) rulings: Cell<u64>,
    pub(crate) clock_reads: Cell<u64>,
    /// What a lying weigher answers now.
    pub(crate) lie: Cell<Option<u64>>,
    /// While set, `Hash` and `Eq` contradict themselves.
    pub(crate) contrary: Cell<bool>,
    pub(crate) whims: Cell<u64>,
    /// Whether panics are expected here and not to be printed.
    pub(crate) quiet: Cell<bool>,
}

thread_local! {
    pub(crate) static WORLD: World = World::default();
}

pub(crate) fn add(cell: &Cell<i64>, n: i64) {
    cell.set(cell.get() + n);
}

pub(crate) fn new_world() {
    WORLD.with(|world| {
        world.told.borrow_mut().clear();
        world.next_value.set(1);
        world.live_keys.set(0);
        world.live_values.set(0);
        world.weighings.set(0);
        world.rulings.set(0);
        world.lie.set(None);
        world.contrary.set(false);
        world.whims.set(0);
    });
}

/// A number out of the blue, now and then, while keys are contrary.
pub(crate) fn whim() -> Option<u64> {
    WORLD.with(|world| {
        let n = world.contrary.get().then(|| mix(world.whims.get()))?;
        world.whims.set(world.whims.get().wrapping_add(1));
        (n % 4 == 0).then_some(n >> 2)
    })
}

/// The first part of a call is over, and all that it told.
pub(crate) fn part() {
    WORLD.with(|world| world.first_part.set(world.told.borrow().len()));
}

pub(crate) fn next_value() -> u64 {
    WORLD.with(|world| world.next_value.replace(world.next_value.get() + 1))
}

pub(crate) fn listen(left: Departed<'_, Key, Val>) {
    let told = Told {
        id: left.key.id.0,
        value: left.value.id,
        cause: left.cause,
        late: left.late.map(nanos),
        lived: left.lived.map(nanos),
    };
    WORLD.with(|world| world.told.borrow_mut().push_back(told));
}

pub(crate) fn weigh(_: &Key, value: &Val) -> u64 {
    WORLD.with(|world| {
        world.weighings.set(world.weighings.get() + 1);
        world.lie.get().unwrap_or(value.own)
    })
}

/// What keys are looked up by.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) u32);

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        whim().map_or(self.0 == other.0, |n| n % 2 == 0)
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(whim().map_or(self.0, |n| n as u32));
    }
}

/// Equal to every key of its id; the stamp tells them apart for the test.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Id,
    pub(crate) stamp: u32,
}

impl Key {
    pub(crate) fn new(id: u32, stamp: u32) -> Self {
        WORLD.with(|world| add(&world.live_keys, 1));
        Self { id: Id(id), stamp }
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self::new(self.id.0, self.stamp)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        WORLD.with(|world| add(&world.live_keys, -1));
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Borrow<Id> for Key {
    fn borrow(&self) -> &Id {
        &self.id
    }
}

impl ToOwned for Id {
    type Owned = Key;

    fn to_owned(&self) -> Key {
        Key::new(self.0, 0)
    }
}

#[derive(Debug)]
pub(crate) struct Val {
    pub(crate) id: u64,
    /// What an honest weigher says.
    pub(crate) own: u64,
}

impl Val {
    pub(crate) fn new(own: u64) -> Self {
        Self::with_id(next_value(), own)
    }

    pub(crate) fn with_id(id: u64, own: u64) -> Self {
        WORLD.with(|world| add(&world.live_values, 1));
        Self { id, own }
    }
}

impl Default for Val {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        Self::with_id(self.id, self.own)
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        WORLD.with(|world| add(&world.live_values, -1));
    }
}

/// How well keys are told apart by their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spread {
    Well(u64),
    OneBit,
    AllEqual,
}

pub(crate) struct Mixer(pub(crate) Spread, pub(crate) u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.1 = (self.1 << 8) ^ (self.1 >> 56) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.1 = u64::from(n);
    }

    fn finish(&self) -> u64 {
        match self.0 {
            Spread::Well(salt) => mix(self.1 ^ salt << 32),
            Spread::OneBit => self.1 & 1,
            Spread::AllEqual => 0,
        }
    }
}

impl BuildHasher for Spread {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(*self, 0)
    }
}

pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// A small generator (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub(crate) fn throw(&mut self) -> [u16; 4] {
        let n = self.next();
        [
            n as u16,
            (n >> 16) as u16,
            (n >> 32) as u16,
            (n >> 48) as u16,
        ]
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
