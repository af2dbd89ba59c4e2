//! Keys and values that one thread counts from birth to drop, a weigher and listeners
//! that count too, and what user code may do beside its work: panic when a fuse
//! blows, lie, or contradict itself.

use super::panics::Blown;
use super::random::mix;
use brimful::{Cause, Departed};
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::panic_any;
use std::time::Duration;

listed! {
    /// A kind of user code.
    Site {
        Hash, Eq, CloneKey, CloneValue, Weigher, Listener,
        DropKey, DropValue, Closure, Loader, Policy,
    }
}

impl Site {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a listener was told.
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
    /// For each key or value ever born, whether it lives.
    born: RefCell<Vec<bool>>,
    pub(crate) dropped_twice: Cell<u64>,
    pub(crate) weighings: Cell<u64>,
    /// How often a rule was asked for a life, and the clock for the time.
    pub(crate) rulings: Cell<u64>,
    pub(crate) clock_reads: Cell<u64>,
    /// What a lying weigher answers now.
    pub(crate) lie: Cell<Option<u64>>,
    /// While set, `Hash` and `Eq` contradict themselves.
    pub(crate) contrary: Cell<bool>,
    whims: Cell<u64>,
    /// Fuses that burn down one after the other, and kinds of code that panic always.
    fuses: RefCell<Vec<(Site, u32)>>,
    always: Cell<u16>,
    is_armed: Cell<bool>,
    blown: Cell<u32>,
}

thread_local! {
    pub(crate) static WORLD: World = World::default();
}

pub(crate) fn add(cell: &Cell<i64>, n: i64) {
    cell.set(cell.get() + n);
}

/// Begins anew, with nothing born, told or asked.
pub(crate) fn new_world() {
    WORLD.with(|world| {
        world.told.borrow_mut().clear();
        world.next_value.set(1);
        world.live_keys.set(0);
        world.live_values.set(0);
        world.born.borrow_mut().clear();
        world.dropped_twice.set(0);
        world.weighings.set(0);
        world.rulings.set(0);
        world.lie.set(None);
        world.contrary.set(false);
        world.whims.set(0);
    });
}

impl World {
    /// A number out of the blue, now and then, while keys are contrary.
    fn whim(&self) -> Option<u64> {
        let n = self.contrary.get().then(|| mix(self.whims.get()))?;
        self.whims.set(self.whims.get().wrapping_add(1));
        (n % 4 == 0).then_some(n >> 2)
    }

    fn bear(&self, live: &Cell<i64>) -> usize {
        add(live, 1);
        let mut born = self.born.borrow_mut();
        born.push(true);
        born.len() - 1
    }

    fn bury(&self, live: &Cell<i64>, serial: usize) {
        add(live, -1);
        let was_alive = std::mem::replace(&mut self.born.borrow_mut()[serial], false);
        let twice = self.dropped_twice.get() + u64::from(!was_alive);
        self.dropped_twice.set(twice);
    }

    fn burns(&self, site: Site) -> bool {
        if self.always.get() & site.bit() == 0 {
            let mut fuses = self.fuses.borrow_mut();
            match fuses.first_mut() {
                Some((at, left)) if *at == site => *left -= 1,
                _ => return false,
            }
            if fuses[0].1 > 0 {
                return false;
            }
            fuses.remove(0);
        }
        self.blown.set(self.blown.get() + 1);
        true
    }
}

// ---- fuses ----

/// Called wherever user code runs.
pub(crate) fn visit(site: Site) {
    if WORLD.with(|world| world.is_armed.get() && world.burns(site)) {
        panic_any(Blown);
    }
}

/// Lights fuses, one after the other: a site, and the visit at which it panics.
pub(crate) fn arm(fuses: &[(Site, u32)]) {
    WORLD.with(|world| {
        world.blown.set(0);
        world.is_armed.set(!fuses.is_empty());
        *world.fuses.borrow_mut() = fuses.to_vec();
    });
}

/// From now on these panic at every visit.
pub(crate) fn always(sites: &[Site]) {
    let mask = sites.iter().fold(0, |mask, site| mask | site.bit());
    WORLD.with(|world| {
        world.blown.set(0);
        world.is_armed.set(mask > 0);
        world.always.set(mask);
    });
}

/// Puts the fuses out; says how many blew.
pub(crate) fn disarm() -> u32 {
    let blown = WORLD.with(|world| world.blown.get());
    always(&[]);
    arm(&[]);
    blown
}

// ---- what is told and weighed ----

/// The first part of a call is over, and all that it told.
pub(crate) fn part() {
    WORLD.with(|world| world.first_part.set(world.told.borrow().len()));
}

pub(crate) fn next_value() -> u64 {
    WORLD.with(|world| world.next_value.replace(world.next_value.get() + 1))
}

/// What was told since this was last asked.
pub(crate) fn told() -> VecDeque<Told> {
    WORLD.with(|world| world.told.take())
}

/// A duration in nanoseconds, as far as they can be counted.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes down before it panics.
pub(crate) fn hear(left: Departed<'_, Key, Val>) {
    let told = Told {
        id: left.key.id.0,
        value: left.value.id,
        cause: left.cause,
        late: left.late.map(nanos),
        lived: left.age.map(nanos),
    };
    WORLD.with(|world| world.told.borrow_mut().push_back(told));
    visit(Site::Listener);
}

pub(crate) fn weigh(_: &Key, value: &Val) -> u64 {
    visit(Site::Weigher);
    WORLD.with(|world| {
        world.weighings.set(world.weighings.get() + 1);
        world.lie.get().unwrap_or(value.weight)
    })
}

// ---- keys and values ----

/// What keys are looked up by.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) u32);

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        visit(Site::Eq);
        let whim = WORLD.with(World::whim);
        whim.map_or(self.0 == other.0, |n| n % 2 == 0)
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        visit(Site::Hash);
        let whim = WORLD.with(World::whim);
        state.write_u32(whim.map_or(self.0, |n| n as u32));
    }
}

/// Equal to every key of its id; the stamp tells them apart for the test.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Id,
    pub(crate) stamp: u32,
    serial: usize,
}

impl Key {
    pub(crate) fn new(id: u32, stamp: u32) -> Self {
        Self {
            id: Id(id),
            stamp,
            serial: WORLD.with(|world| world.bear(&world.live_keys)),
        }
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        visit(Site::CloneKey);
        Self::new(self.id.0, self.stamp)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        WORLD.with(|world| world.bury(&world.live_keys, self.serial));
        visit(Site::DropKey);
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

impl brimful::ToKey<Key> for Id {
    fn to_key(&self) -> Key {
        visit(Site::CloneKey);
        Key::new(self.0, 0)
    }
}

#[derive(Debug)]
pub(crate) struct Val {
    /// Clones have the id of what they were made of.
    pub(crate) id: u64,
    /// What an honest weigher says.
    pub(crate) weight: u64,
    serial: usize,
}

impl Val {
    pub(crate) fn new(weight: u64) -> Self {
        Self::with_id(next_value(), weight)
    }

    fn with_id(id: u64, weight: u64) -> Self {
        let serial = WORLD.with(|world| world.bear(&world.live_values));
        Self { id, weight, serial }
    }

    /// What a loader returns.
    pub(crate) fn loaded(weight: u64) -> Self {
        visit(Site::Loader);
        Self::new(weight)
    }
}

impl Default for Val {
    fn default() -> Self {
        Self::loaded(1)
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        visit(Site::CloneValue);
        Self::with_id(self.id, self.weight)
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        WORLD.with(|world| world.bury(&world.live_values, self.serial));
        visit(Site::DropValue);
    }
}

/// How well keys are told apart by their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spread {
    Well(u64),
    OneBit,
    AllEqual,
}

pub(crate) struct Mixer(Spread, u64);

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
