//! Every operation of both caches, on every policy, against a naive model that
//! is obviously right: a `Vec` for each shard and sums taken anew each time.
//!
//! After each operation it compares what was returned, who left, in which
//! order and for which cause, `len`, `weight`, `capacity`, every statistic, how
//! often the weigher was called, and the ledger of live keys and values; every
//! few operations also all entries and `check()`. Who is evicted is exact for
//! each shard (SIEVE as in its paper, S3-FIFO with its ghosts, LFU and GDSF by
//! ages that never wrap, in shards too small for a sketch, Duel with all that its
//! history says); which
//! shard pays is followed and held against the rules, and each eviction must
//! have been needed. Weights reach from 0 to `u64::MAX`, hashes may all collide,
//! the weigher may lie, and `Hash` and `Eq` of a key may contradict themselves.
//! In this order: counted keys and values, one face for both caches, the model,
//! operations, running and shrinking, what was once found in a few lines each.
//!
//! `BRIMFUL_MODEL_OPS`: operations in all (default 1,000,000; the full run is
//! 10,000,000). `BRIMFUL_SEED`: replays a run; a failure prints the seed of its
//! case, and the operations that are left of it after shrinking.
//! Faults: the bound and its weights, drift, leaks on replace, clear and drop,
//! iteration, inconsistent keys, collisions.

use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve, Weighed};
use brimful::{BuildError, Builder, unsync};
use brimful::{Cache, Capacity, Cause, Entries, Reason, Refused, Snapshot, Updated, Weight};
use proptest::prelude::any;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Told {
    id: u32,
    value: u64,
    cause: Cause,
}

#[derive(Default)]
struct World {
    told: RefCell<VecDeque<Told>>,
    next_value: Cell<u64>,
    live_keys: Cell<i64>,
    live_values: Cell<i64>,
    weighings: Cell<u64>,
    /// What a lying weigher answers now.
    lie: Cell<Option<u64>>,
    /// While set, `Hash` and `Eq` contradict themselves.
    contrary: Cell<bool>,
    whims: Cell<u64>,
    /// Whether panics are expected here and not to be printed.
    quiet: Cell<bool>,
}

thread_local! {
    static WORLD: World = World::default();
}

fn add(cell: &Cell<i64>, n: i64) {
    cell.set(cell.get() + n);
}

fn new_world() {
    WORLD.with(|world| {
        world.told.borrow_mut().clear();
        world.next_value.set(1);
        world.live_keys.set(0);
        world.live_values.set(0);
        world.weighings.set(0);
        world.lie.set(None);
        world.contrary.set(false);
        world.whims.set(0);
    });
}

/// A number out of the blue, now and then, while keys are contrary.
fn whim() -> Option<u64> {
    WORLD.with(|world| {
        let n = world.contrary.get().then(|| mix(world.whims.get()))?;
        world.whims.set(world.whims.get().wrapping_add(1));
        (n % 4 == 0).then_some(n >> 2)
    })
}

fn next_value() -> u64 {
    WORLD.with(|world| world.next_value.replace(world.next_value.get() + 1))
}

fn listen(key: &Key, value: &Val, cause: Cause) {
    let told = Told {
        id: key.id.0,
        value: value.id,
        cause,
    };
    WORLD.with(|world| world.told.borrow_mut().push_back(told));
}

fn weigh(_: &Key, value: &Val) -> u64 {
    WORLD.with(|world| {
        world.weighings.set(world.weighings.get() + 1);
        world.lie.get().unwrap_or(value.own)
    })
}

/// What keys are looked up by.
#[derive(Debug)]
struct Id(u32);

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
struct Key {
    id: Id,
    stamp: u32,
}

impl Key {
    fn new(id: u32, stamp: u32) -> Self {
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
struct Val {
    id: u64,
    /// What an honest weigher says.
    own: u64,
}

impl Val {
    fn new(own: u64) -> Self {
        Self::with_id(next_value(), own)
    }

    fn with_id(id: u64, own: u64) -> Self {
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
enum Spread {
    Well(u64),
    OneBit,
    AllEqual,
}

struct Mixer(Spread, u64);

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

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

/// A small generator (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    fn throw(&mut self) -> [u16; 4] {
        let n = self.next();
        [
            n as u16,
            (n >> 16) as u16,
            (n >> 32) as u16,
            (n >> 48) as u16,
        ]
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// An entry as seen from outside: id, stamp of its key, value.
type Seen = (u32, u32, u64);

/// What `Refused` handed back.
#[derive(PartialEq, Eq, Debug)]
struct Back {
    key: (u32, u32),
    value: u64,
    old: Option<u64>,
    weight: u64,
    capacity: u64,
}

type Verdict = Result<Option<u64>, Back>;

fn back(refused: Refused<Key, Val>) -> Back {
    assert!(!refused.to_string().is_empty());
    let (weight, capacity) = match refused.reason {
        Reason::TooHeavy { weight, capacity } => (weight, capacity),
        other => panic!("an unknown reason: {other}"),
    };
    Back {
        key: (refused.key.id.0, refused.key.stamp),
        value: refused.value.id,
        old: id_of(refused.old),
        weight,
        capacity,
    }
}

fn id_of(value: Option<Val>) -> Option<u64> {
    value.map(|value| value.id)
}

fn seen(key: &Key, value: &Val) -> Seen {
    (key.id.0, key.stamp, value.id)
}

/// A change made to a value in place.
#[derive(Clone, Copy, Debug)]
struct Change {
    id: u64,
    own: u64,
}

impl Change {
    fn make(self, value: &mut Val) -> u64 {
        value.id = self.id;
        value.own = self.own;
        self.id
    }
}

/// The calls that insert if absent, which mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Or {
    Insert,
    InsertWith,
    Default,
}

trait Door: Sized {
    /// Whether there are guards, and refusals of what inserts if absent.
    const UNSYNC: bool;

    fn insert(&mut self, key: Key, value: Val) -> Option<u64>;
    fn try_insert(&mut self, key: Key, value: Val) -> Verdict;
    fn get(&mut self, id: &Id) -> Option<u64>;
    fn view(&mut self, id: &Id) -> Option<Seen>;
    fn peek(&self, id: &Id) -> Option<u64>;
    fn contains_key(&self, id: &Id) -> bool;
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back>;
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back>;
    fn update(&mut self, id: &Id, change: Change) -> Updated<u64>;
    fn get_mut(&mut self, id: &Id, change: Option<Change>) -> Option<u64>;
    fn remove(&mut self, id: &Id) -> Option<u64>;
    fn remove_entry(&mut self, id: &Id) -> Option<Seen>;
    fn remove_if(&mut self, id: &Id, condition: bool) -> (Option<u64>, Option<Seen>);
    fn retain(&mut self, keep: impl FnMut(&Key, &mut Val) -> bool);
    fn entries(&self) -> Vec<Seen>;
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>);
    fn drain(&mut self, take: usize) -> Vec<Seen>;
    fn clear(&mut self);
    fn extend(&mut self, entries: Vec<(Key, Val)>, by_trait: bool);
    fn set_capacity(&mut self, capacity: u64);
    fn shrink_to_fit(&mut self);
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn weight(&self) -> u64;
    fn capacity(&self) -> u64;
    fn stats(&self) -> Snapshot;
    fn check(&mut self);
    fn shard_of(&self, id: &Id) -> usize;
    fn shard_stats(&self, shard: usize) -> Snapshot;
    fn into_entries(self, take: usize) -> Vec<Seen>;
}

/// The words that both caches share letter for letter.
macro_rules! same_words {
    () => {
        fn insert(&mut self, key: Key, value: Val) -> Option<u64> {
            id_of(Self::insert(self, key, value))
        }
        fn try_insert(&mut self, key: Key, value: Val) -> Verdict {
            Self::try_insert(self, key, value).map(id_of).map_err(back)
        }
        fn view(&mut self, id: &Id) -> Option<Seen> {
            Self::view(self, id, seen)
        }
        fn contains_key(&self, id: &Id) -> bool {
            Self::contains_key(self, id)
        }
        fn update(&mut self, id: &Id, change: Change) -> Updated<u64> {
            Self::update(self, id, |value| change.make(value))
        }
        fn remove(&mut self, id: &Id) -> Option<u64> {
            id_of(Self::remove(self, id))
        }
        fn remove_entry(&mut self, id: &Id) -> Option<Seen> {
            Self::remove_entry(self, id).map(|(key, value)| seen(&key, &value))
        }
        fn remove_if(&mut self, id: &Id, condition: bool) -> (Option<u64>, Option<Seen>) {
            let mut asked = None;
            let removed = Self::remove_if(self, id, |key, value| {
                asked = Some(seen(key, value));
                condition
            });
            (id_of(removed), asked)
        }
        fn retain(&mut self, keep: impl FnMut(&Key, &mut Val) -> bool) {
            Self::retain(self, keep);
        }
        fn drain(&mut self, take: usize) -> Vec<Seen> {
            let drained = Self::drain(self).take(take);
            drained.map(|(key, value)| seen(&key, &value)).collect()
        }
        fn clear(&mut self) {
            Self::clear(self);
        }
        fn extend(&mut self, entries: Vec<(Key, Val)>, by_trait: bool) {
            if by_trait {
                Extend::extend(self, entries);
            } else {
                Self::extend(self, entries);
            }
        }
        fn set_capacity(&mut self, capacity: u64) {
            Self::set_capacity(self, capacity);
        }
        fn shrink_to_fit(&mut self) {
            Self::shrink_to_fit(self);
        }
        fn len(&self) -> usize {
            Self::len(self)
        }
        fn is_empty(&self) -> bool {
            Self::is_empty(self)
        }
        fn weight(&self) -> u64 {
            Self::weight(self)
        }
        fn capacity(&self) -> u64 {
            Self::capacity(self)
        }
        fn stats(&self) -> Snapshot {
            Self::stats(self)
        }
        fn check(&mut self) {
            Self::check(self);
        }
        fn into_entries(self, take: usize) -> Vec<Seen> {
            let entries = self.into_iter().take(take);
            entries.map(|(key, value)| seen(&key, &value)).collect()
        }
    };
}

impl<P: Policy> Door for Cache<Key, Val, P, Spread> {
    const UNSYNC: bool = false;

    same_words!();

    fn get(&mut self, id: &Id) -> Option<u64> {
        id_of(Cache::get(self, id))
    }
    fn peek(&self, id: &Id) -> Option<u64> {
        id_of(Cache::peek(self, id))
    }
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back> {
        Ok(Cache::get_or_insert_with(self, id, || value).id)
    }
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back> {
        let mut entry = Cache::entry(self, key);
        if let Some(change) = change {
            entry = entry.and_modify(|value| _ = change.make(value));
        }
        let value = match or {
            Or::Insert => entry.or_insert(value),
            Or::InsertWith => entry.or_insert_with(|| value),
            Or::Default => entry.or_default(),
        };
        Ok(value.id)
    }
    fn get_mut(&mut self, _: &Id, _: Option<Change>) -> Option<u64> {
        unreachable!("no guards here")
    }
    fn entries(&self) -> Vec<Seen> {
        self.into_iter()
            .map(|(key, value)| seen(&key, &value))
            .collect()
    }
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>) {
        (
            self.keys().map(|key| (key.id.0, key.stamp)).collect(),
            self.values().map(|value| value.id).collect(),
        )
    }
    fn shard_of(&self, id: &Id) -> usize {
        Cache::shard_of(self, id)
    }
    fn shard_stats(&self, shard: usize) -> Snapshot {
        Cache::shard_stats(self, shard).expect("a shard of that number")
    }
}

impl<P: Policy> Door for unsync::Cache<Key, Val, P, Spread> {
    const UNSYNC: bool = true;

    same_words!();

    fn get(&mut self, id: &Id) -> Option<u64> {
        unsync::Cache::get(self, id).map(|value| value.id)
    }
    fn peek(&self, id: &Id) -> Option<u64> {
        unsync::Cache::peek(self, id).map(|value| value.id)
    }
    fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back> {
        let found = unsync::Cache::get_or_insert_with(self, id, || value);
        found.map(|value| value.id).map_err(back)
    }
    fn entry(&mut self, key: Key, change: Option<Change>, or: Or, value: Val) -> Result<u64, Back> {
        let mut entry = unsync::Cache::entry(self, key);
        if let Some(change) = change {
            entry = entry.and_modify(|value| _ = change.make(value));
        }
        let value = match or {
            Or::Insert => entry.or_insert(value),
            Or::InsertWith => entry.or_insert_with(|| value),
            Or::Default => entry.or_default(),
        };
        value.map(|value| value.id).map_err(back)
    }
    fn get_mut(&mut self, id: &Id, change: Option<Change>) -> Option<u64> {
        let mut guard = unsync::Cache::get_mut(self, id)?;
        let before = guard.id;
        if let Some(change) = change {
            change.make(&mut guard);
        }
        Some(before)
    }
    fn entries(&self) -> Vec<Seen> {
        self.iter().map(|(key, value)| seen(key, value)).collect()
    }
    fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>) {
        (
            self.keys().map(|key| (key.id.0, key.stamp)).collect(),
            self.values().map(|value| value.id).collect(),
        )
    }
    fn shard_of(&self, _: &Id) -> usize {
        0
    }
    fn shard_stats(&self, _: usize) -> Snapshot {
        self.stats()
    }
}

/// What only caches with weights have.
struct Explicit<D> {
    insert: fn(&mut D, Key, Val, u64) -> Option<u64>,
    try_insert: fn(&mut D, Key, Val, u64) -> Verdict,
    weight_of: fn(&D, &Id) -> Option<u64>,
}

macro_rules! explicit {
    ($name:ident, $cache:ty) => {
        fn $name<P: Policy>() -> Explicit<$cache> {
            Explicit {
                insert: |cache, key, value, weight| {
                    id_of(cache.insert_weighted(key, value, weight))
                },
                try_insert: |cache, key, value, weight| {
                    let verdict = cache.try_insert_weighted(key, value, weight);
                    verdict.map(id_of).map_err(back)
                },
                weight_of: |cache, id| cache.weight_of(id),
            }
        }
    };
}

explicit!(explicit, Cache<Key, Val, Weighed<P>, Spread>);
explicit!(explicit_unsync, unsync::Cache<Key, Val, Weighed<P>, Spread>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Lru,
    Fifo,
    Sieve,
    S3Fifo,
    Lfu,
    Gdsf,
    Duel,
}

impl Order {
    /// Whether entries are given lives.
    fn is_greedy(self) -> bool {
        matches!(self, Order::Lfu | Order::Gdsf)
    }

    /// Whether keys evicted are remembered as ghosts.
    fn has_ghosts(self) -> bool {
        matches!(self, Order::S3Fifo | Order::Duel)
    }
}

#[derive(Clone, Debug)]
struct Item {
    id: u32,
    /// What ghosts and history know it by.
    mixed: u32,
    stamp: u32,
    value: u64,
    own: u64,
    weight: u64,
    /// Whether it was ever hit.
    hit: bool,
    /// SIEVE's mark.
    visited: bool,
    /// S3-FIFO's and Duel's count and queue.
    count: u8,
    main: bool,
    /// LFU's and GDSF's frequency, and the hits that do not count in it yet.
    frequency: u64,
    hits: u64,
    life: u128,
    due: u128,
}

/// Fingerprints in a set of ghosts.
const WAYS: usize = 32;

/// A fingerprint as ghosts have it: 0 is an empty place.
fn ghost(mixed: u32) -> u16 {
    (mixed as u16).max(1)
}

/// Keys lately evicted, newest first, while one set holds them.
#[derive(Default)]
struct Ghosts {
    prints: Vec<u16>,
    depth: usize,
}

impl Ghosts {
    fn fit(&mut self, tags: usize) {
        self.depth = tags;
        self.prints.truncate(tags);
    }

    fn follow(&mut self, tags: usize) {
        if tags > self.depth {
            self.fit(tags + tags / 8);
        }
    }

    fn shrink(&mut self, tags: usize) {
        if tags < self.depth {
            self.fit(tags);
        }
    }

    /// Whether this is exact: in several sets each has an order of its own.
    fn fits_a_set(&self) -> bool {
        self.depth <= WAYS
    }

    fn remember(&mut self, mixed: u32) {
        self.prints.insert(0, ghost(mixed));
        self.prints.truncate(self.depth);
    }

    fn forget(&mut self, mixed: u32) -> bool {
        let print = ghost(mixed);
        let at = self.prints.iter().position(|other| *other == print);
        at.map(|at| self.prints.remove(at)).is_some()
    }
}

/// What Duel remembers of a key.
#[derive(Clone, Copy)]
struct Record {
    /// Eleven bits of what it is known by.
    print: u32,
    count: u32,
    left: Left,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// If it is not here, small evicted it.
    Unheard,
    /// It was removed, or has gone round.
    NoGhost,
    /// Main evicted it.
    FromMain,
}

/// Records in a set of the history.
const RECORDS: usize = 16;

/// Duel's records, newest first in each set.
#[derive(Default)]
struct History(Vec<Vec<Record>>);

impl History {
    fn places(&self) -> usize {
        self.0.len() * RECORDS
    }

    /// Each of the new sets copies the old one that lies where its middle does.
    fn fit(&mut self, keys: usize) {
        let (old, new) = (self.0.len(), keys.div_ceil(RECORDS));
        let copies = (0..new).map(|n| self.0.get((2 * n + 1) * old / (2 * new)).cloned());
        self.0 = copies.map(Option::unwrap_or_default).collect();
    }

    fn shrink(&mut self, keys: usize) {
        if keys + RECORDS <= self.places() {
            self.fit(keys);
        }
    }

    /// The set of a key, its fingerprint, and where its record stands.
    fn find(&mut self, mixed: u32) -> (&mut Vec<Record>, u32, Option<usize>) {
        let at = u64::from(mixed) * self.0.len() as u64 / (1 << 32);
        let set = &mut self.0[at as usize];
        let print = (mixed % (1 << 16) / (1 << 5)).max(1);
        let found = set.iter().position(|record| record.print == print);
        (set, print, found)
    }

    fn push(set: &mut Vec<Record>, record: Record) {
        set.insert(0, record);
        while set.len() > RECORDS {
            let mut last = set.pop().expect("more than fit");
            if last.count > 1 {
                last.count -= 1;
                if last.left == Left::Unheard {
                    last.left = Left::NoGhost;
                }
                set.insert(0, last);
            }
        }
    }

    /// The record of a key that enters, as it was, and how far it had moved on.
    fn enter(&mut self, mixed: u32) -> Option<(Record, usize)> {
        let sets = self.0.len();
        let (set, print, found) = self.find(mixed);
        let before = found.map(|at| set.remove(at));
        let record = Record {
            print,
            count: before.map_or(1, |record| (record.count + 1).min(7)),
            left: Left::Unheard,
        };
        Self::push(set, record);
        Some((before?, found? * sets))
    }

    fn evicted(&mut self, mixed: u32) {
        let (set, print, found) = self.find(mixed);
        let record = Record {
            print,
            count: found.map_or(0, |at| set.remove(at).count),
            left: Left::FromMain,
        };
        Self::push(set, record);
    }

    fn removed(&mut self, mixed: u32) {
        let (set, _, found) = self.find(mixed);
        if let Some(at) = found {
            set[at].left = Left::NoGhost;
        }
    }

    /// What the count is then.
    fn raise(&mut self, mixed: u32, by: u8) -> u32 {
        let (set, print, found) = self.find(mixed);
        let Some(at) = found else {
            let (count, left) = (by.into(), Left::NoGhost);
            Self::push(set, Record { print, count, left });
            return count;
        };
        set[at].count = (set[at].count + u32::from(by)).min(7);
        set[at].count
    }

    fn count(&mut self, mixed: u32) -> u32 {
        let (set, _, found) = self.find(mixed);
        found.map_or(0, |at| set[at].count)
    }

    fn lower(&mut self, mixed: u32) {
        let (set, _, found) = self.find(mixed);
        if let Some(at) = found.filter(|&at| set[at].count > 1) {
            set[at].count -= 1;
        }
    }
}

/// Keys that Duel remembers for so many residents.
fn known(residents: usize) -> usize {
    residents * 9 / 4
}

/// Of what Duel's border and the share that main pays are parts.
const ALL: u64 = 1 << 32;

/// What the key of a newcomer is to its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    New,
    /// Not a ghost, but asked for before.
    Known,
    BackToMain,
    BackToSmall,
}

impl Comes {
    fn is_ghost(self) -> bool {
        matches!(self, Comes::BackToMain | Comes::BackToSmall)
    }
}

/// One shard: all its entries, oldest first (LFU and GDSF: as they were placed).
struct Pile {
    order: Order,
    /// Whether S3-FIFO's ghosts are exact: one set, of a lone shard that was
    /// never in doubt. Duel's are as long as the pile is sure.
    knows_ghosts: bool,
    items: Vec<Item>,
    share: u64,
    /// SIEVE's hand; `None` is the oldest.
    hand: Option<u32>,
    /// S3-FIFO's.
    ghosts: Ghosts,
    /// Duel's, what part small should hold, and what part of evictions main paid.
    history: History,
    border: u64,
    from_main: u64,
    /// Moves that Duel's eviction may yet make.
    rounds: u32,
    /// Whether Duel was asked for a victim since the last admission.
    asked: bool,
    /// All that may ever have become ghosts.
    ever: HashSet<u32>,
    /// Whether the shard has been full once.
    filled: bool,
    /// When LFU's and GDSF's last victim was due.
    age: u128,
    /// Whether a doubt outlasts the residents: in what LFU, GDSF or Duel
    /// remember of keys that left.
    lasting: bool,
    /// False where something that can't be seen from outside (the order was
    /// asked for a victim that could not go) may have changed the order.
    sure: bool,
}

impl Pile {
    fn new(order: Order, alone: bool, share: u64) -> Self {
        Self {
            order,
            knows_ghosts: alone,
            items: Vec::new(),
            share,
            hand: None,
            ghosts: Ghosts::default(),
            history: History::default(),
            border: ALL / 20,
            from_main: ALL / 2,
            rounds: 0,
            asked: false,
            ever: HashSet::new(),
            filled: false,
            age: 0,
            lasting: false,
            sure: true,
        }
    }

    fn weight(&self) -> u128 {
        self.items.iter().map(|item| u128::from(item.weight)).sum()
    }

    fn small_weight(&self) -> u128 {
        let small = self.items.iter().filter(|item| !item.main);
        small.map(|item| u128::from(item.weight)).sum()
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.items.iter().position(|item| item.id == id)
    }

    fn hit(&mut self, id: u32) {
        let at = self.index(id).expect("a resident");
        let item = &mut self.items[at];
        item.hit = true;
        item.visited = true;
        item.count = (item.count + 1).min(3);
        item.hits = (item.hits + 1).min(7);
        if self.order == Order::Lru {
            self.send_back(at);
        }
    }

    fn send_back(&mut self, at: usize) {
        let item = self.items.remove(at);
        self.items.push(item);
    }

    /// From here on nobody can say what the order has become.
    fn doubt(&mut self) {
        (self.sure, self.knows_ghosts) = (false, false);
        self.lasting |= self.order == Order::Duel;
    }

    /// Whether room may have been asked of a shard that can't give any, and
    /// that changed by it.
    fn may_have_been_asked_in_vain(&self, keep: Option<u32>) -> bool {
        let greedy = self.order.is_greedy();
        match self.items.len() {
            0 => greedy && !self.filled,
            1 => keep.is_some() && (greedy || self.order.has_ghosts()),
            _ => false,
        }
    }

    fn admit(&mut self, mut item: Item, comes: Comes) {
        if self.order == Order::Duel {
            return self.duel_admit(item, comes);
        }
        let filling = !self.filled && self.small_weight() >= u128::from(self.share / 10);
        item.main = comes == Comes::BackToMain || filling;
        self.items.push(item);
        self.place(self.items.len() - 1);
    }

    fn duel_admit(&mut self, mut item: Item, comes: Comes) {
        item.main = comes == Comes::BackToMain;
        item.count = u8::from(comes == Comes::Known && self.filled);
        let asked = std::mem::take(&mut self.asked);
        if item.count == 0 && !item.main && !asked {
            self.overflow();
        }
        self.items.push(item);
    }

    /// Room that nobody had to leave: if small holds too much, its oldest moves on.
    fn overflow(&mut self) {
        if !self.is_beyond(if self.filled { 2 } else { 1 }) {
            return;
        }
        let oldest = self.items.iter().position(|item| !item.main);
        if let Some(at) = oldest {
            let Item { mixed, count, .. } = self.items[at];
            if count > 0 {
                self.history.raise(mixed, count);
            }
            self.promote(at, u8::from(count >= 2));
        }
    }

    fn promote(&mut self, at: usize, count: u8) {
        self.items[at].main = true;
        self.items[at].count = count;
        self.send_back(at);
    }

    fn whole(&self) -> u128 {
        if self.filled {
            self.weight()
        } else {
            self.share.into()
        }
    }

    fn is_beyond(&self, times: u128) -> bool {
        let border = self.whole() * u128::from(self.border) / u128::from(ALL);
        self.small_weight() >= (border * times).clamp(1, u64::MAX.into())
    }

    /// How far the return of a ghost moves the border.
    fn step(&self, weight: u64) -> u64 {
        let part = 0.5 * weight as f64 / self.whole().max(1) as f64;
        (part.min(1.0) * ALL as f64) as u64
    }

    /// One of the evictions that `from_main` looks back upon, which leaves so many.
    fn paid(&mut self, by_main: bool, left: usize) {
        let part = |whole: u64| whole / (1 << (left / 4 + 4).ilog2());
        self.from_main -= part(self.from_main);
        self.from_main += if by_main { part(ALL) } else { 0 };
    }

    /// The history has places for the residents, one more than now.
    fn follow(&mut self) {
        let (keys, places) = (known(self.items.len() + 1), self.history.places());
        let full = (self.share as usize).saturating_mul(9) / 4;
        if self.filled && (keys > places || keys * 4 + 64 < places) {
            self.history.fit(keys + keys / 8);
        } else if keys > places {
            self.history.fit(keys.max(full.min(keys + keys / 2)));
        }
    }

    /// What a key that enters is, by its past.
    fn duel_recall(&mut self, mixed: u32, weight: u64) -> Comes {
        self.may_return(mixed);
        self.follow();
        let Some((record, moved)) = self.history.enter(mixed) else {
            return Comes::New;
        };
        let live = self.items.len() as f64;
        let small = self.items.iter().filter(|item| !item.main).count() as f64;
        let main_pays = (self.from_main as f64 / ALL as f64).clamp(0.02, 0.98);
        let admissions = moved as f64 / (1.0 + main_pays);
        if record.left == Left::Unheard && admissions <= small + 0.2 * live / (1.0 - main_pays) {
            self.border = (self.border + self.step(weight)).min(ALL);
            Comes::BackToMain
        } else if record.left == Left::FromMain && admissions <= 0.1 * live / main_pays {
            let step = self.step(weight).min(self.border);
            self.border = (self.border - step).max(ALL / 100);
            Comes::BackToSmall
        } else if record.count > 0 {
            Comes::Known
        } else {
            Comes::New
        }
    }

    fn life(&self, item: &Item) -> u128 {
        let by_weight = self.order == Order::Gdsf;
        let weight = if by_weight { item.weight.max(1) } else { 1 };
        let life = (u128::from(item.frequency) << 52) / u128::from(weight);
        1 << life.max(1 << 12).ilog2()
    }

    /// Gives an entry a new life, at the present age in parts of that life.
    fn place(&mut self, at: usize) {
        let life = self.life(&self.items[at]);
        let part = life >> 12;
        let item = &mut self.items[at];
        item.life = life;
        item.due = self.age / part * part + life;
        self.send_back(at);
    }

    fn reweighed(&mut self, id: u32) {
        let at = self.index(id).expect("a resident");
        if self.order.is_greedy() && self.life(&self.items[at]) != self.items[at].life {
            if self.items.len() == 1 {
                self.age = 0;
            }
            self.place(at);
        }
    }

    fn take(&mut self, id: u32) -> Item {
        let at = self
            .index(id)
            .unwrap_or_else(|| panic!("{id} is not resident"));
        if self.hand == Some(id) {
            self.hand = self.items.get(at + 1).map(|item| item.id);
        }
        let item = self.items.remove(at);
        if self.items.is_empty() {
            self.age = 0;
            self.sure |= self.filled && !self.lasting;
        }
        item
    }

    /// Where the victim stands. It is taken out of the order by the caller.
    fn victim(&mut self) -> usize {
        self.filled = true;
        match self.order {
            Order::Lru | Order::Fifo => 0,
            Order::Sieve => self.sieve_victim(),
            Order::S3Fifo => self.s3_victim(),
            Order::Duel => self.duel_victim(),
            Order::Lfu | Order::Gdsf => self.greedy_victim(),
        }
    }

    fn greedy_victim(&mut self) -> usize {
        if self.items.len() >= 64 {
            (self.lasting, self.sure) = (true, false);
        }
        for anew in 0.. {
            let all = self.items.iter().enumerate();
            let first = all.min_by_key(|(at, item)| (item.due, item.life, *at));
            let (at, item) = first.expect("asked an empty shard");
            let (hits, due) = (item.hits, item.due);
            let alone = self.items.len() == 1;
            if alone {
                self.age = 0;
            }
            if hits == 0 || anew == 64 {
                self.age = if alone { 0 } else { due };
                return at;
            }
            let item = &mut self.items[at];
            item.frequency = (item.frequency + hits).min(255);
            item.hits = 0;
            self.place(at);
        }
        unreachable!("one of 65 leaves")
    }

    fn sieve_victim(&mut self) -> usize {
        let mut at = self.hand.and_then(|id| self.index(id)).unwrap_or(0);
        while self.items[at].visited {
            self.items[at].visited = false;
            at = (at + 1) % self.items.len();
        }
        self.hand = self.items.get(at + 1).map(|item| item.id);
        at
    }

    fn s3_victim(&mut self) -> usize {
        loop {
            let small = self.items.iter().position(|item| !item.main);
            let main = self.items.iter().position(|item| item.main);
            let small_pays = self.small_weight() > (self.weight() / 10).max(1);
            match (small, main) {
                (Some(at), _) if small_pays || main.is_none() => {
                    if self.items[at].count < 2 {
                        return at;
                    }
                    self.items[at].count = 0;
                    self.items[at].main = true;
                    self.send_back(at);
                }
                (_, Some(at)) => {
                    if self.items[at].count == 0 {
                        return at;
                    }
                    self.items[at].count -= 1;
                    self.send_back(at);
                }
                _ => unreachable!("asked an empty shard"),
            }
        }
    }

    fn duel_victim(&mut self) -> usize {
        self.asked = true;
        self.rounds = 128;
        loop {
            let small = self.items.iter().position(|item| !item.main);
            let no_main = self.items.iter().all(|item| !item.main);
            match small.filter(|_| no_main || self.is_beyond(1)) {
                Some(at) => {
                    if let Some(victim) = self.small_pays(at) {
                        return victim;
                    }
                }
                None => {
                    let at = self.next_of_main().expect("asked an empty shard");
                    return self.main_pays(at, self.items.len() - 1);
                }
            }
        }
    }

    /// Small's oldest goes to main (`None`), or duels with main's next.
    fn small_pays(&mut self, at: usize) -> Option<usize> {
        let Item {
            id, mixed, count, ..
        } = self.items[at];
        if count > 0 {
            // Read before main's next is found, whose raises may push its record out.
            let known = self.history.raise(mixed, count);
            if count >= 2 && self.rounds > 0 {
                self.rounds -= 1;
                self.promote(at, 0);
                return None;
            }
            if let Some(next) = (known > 1).then(|| self.next_of_main()).flatten() {
                let rival = self.items[next].clone();
                if known > self.history.count(rival.mixed) + 1 {
                    self.promote(self.index(id)?, 0);
                    return Some(self.main_pays(self.index(rival.id)?, self.items.len() - 2));
                }
                self.history.lower(rival.mixed);
            }
        }
        self.paid(false, self.items.len() - 1);
        self.index(id)
    }

    fn main_pays(&mut self, at: usize, left: usize) -> usize {
        self.history.evicted(self.items[at].mixed);
        self.paid(true, left);
        at
    }

    /// Main's oldest that no hit has kept.
    fn next_of_main(&mut self) -> Option<usize> {
        loop {
            let at = self.items.iter().position(|item| item.main)?;
            let Item { mixed, count, .. } = self.items[at];
            if count == 0 || self.rounds == 0 {
                return Some(at);
            }
            self.rounds -= 1;
            self.promote(at, count / 2);
            self.history.raise(mixed, count - count / 2);
        }
    }

    /// It is not by the order's choice that a key leaves.
    fn forget(&mut self, mixed: u32) {
        if self.order == Order::Duel {
            self.history.removed(mixed);
        }
    }

    /// Who must go, if `keep` must not; `None` is anybody else: the order named
    /// `keep` twice. An entry kept against the order is admitted anew.
    fn name_victim(&mut self, keep: Option<u32>) -> Option<u32> {
        for _ in 0..2 {
            let at = self.victim();
            let Item {
                id, mixed, main, ..
            } = self.items[at];
            if self.order == Order::S3Fifo && !main {
                self.remember(mixed);
            }
            self.may_return(mixed);
            if keep != Some(id) {
                return Some(id);
            }
            self.items[at].count = 0;
            self.items[at].main = false;
            self.readmit(at);
            if self.items.len() == 1 {
                return None;
            }
        }
        None
    }

    fn readmit(&mut self, at: usize) {
        if self.order.is_greedy() {
            self.place(at);
        } else if self.order == Order::Duel {
            let item = self.items.remove(at);
            self.duel_admit(item, Comes::New);
        } else {
            self.send_back(at);
        }
    }

    /// S3-FIFO's ghosts are as many as residents of main would be.
    fn remember(&mut self, mixed: u32) {
        self.ghosts.follow(self.items.len() / 10 * 9);
        self.knows_ghosts &= self.ghosts.fits_a_set();
        self.ghosts.remember(mixed);
    }

    /// Ghosts and history take keys of one print for one another.
    fn print(&self, mixed: u32) -> u32 {
        match self.order {
            Order::Duel => (mixed % (1 << 16) / (1 << 5)).max(1),
            _ => ghost(mixed).into(),
        }
    }

    /// From here on a key with this print may be a ghost.
    fn may_return(&mut self, mixed: u32) {
        self.ever.insert(self.print(mixed));
    }

    /// Announces a key and forgets its ghost; what it is, if that is known.
    fn recall(&mut self, mixed: u32, weight: u64) -> Option<Comes> {
        match self.order {
            Order::S3Fifo if self.knows_ghosts && self.ghosts.forget(mixed) => {
                Some(Comes::BackToMain)
            }
            Order::S3Fifo if self.knows_ghosts => Some(Comes::New),
            Order::Duel => {
                let comes = self.duel_recall(mixed, weight);
                self.sure.then_some(comes)
            }
            _ => None,
        }
    }

    fn shrink_to_fit(&mut self) {
        let residents = self.items.len();
        self.ghosts.shrink(residents / 10 * 9);
        self.history.shrink(known(residents));
    }
}

/// Which shards may pay for room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payer {
    /// The entry's own first, then all.
    Any,
    /// The entry's own alone.
    Home,
    /// Those that hold more than a lowered share.
    Rich,
}

#[derive(Clone, Copy)]
struct Need {
    weight: u64,
    entries: u64,
    home: usize,
    keep: Option<u32>,
    payer: Payer,
}

/// A value offered to the cache.
#[derive(Clone, Copy)]
struct Offer {
    id: u32,
    stamp: u32,
    value: u64,
    own: u64,
    /// What it is charged.
    weight: u64,
}

struct Model {
    piles: Vec<Pile>,
    /// The shard of each id.
    homes: Vec<usize>,
    spread: Spread,
    weighed: bool,
    capacity: u64,
    limit: Option<u64>,
    lie: Option<u64>,
    /// Departures of this call that were told and not yet explained.
    told: VecDeque<Told>,
    /// Ghosts that each shard recalled in this call, not yet explained.
    recalled: Vec<u64>,
    /// Whether it can't be said which of several inserts recalled them.
    blurred: bool,
    hits: u64,
    misses: u64,
    loads: u64,
    inserts: u64,
    departures: [u64; 8],
    weight_in: u64,
    weight_out: u64,
    unhit: u64,
    ghost_hits: Vec<u64>,
    weighings: u64,
}

impl Model {
    fn new(config: &Config, homes: Vec<usize>) -> Self {
        let shards = config.shards.unwrap_or(1);
        let share = config.capacity / shards as u64;
        Self {
            piles: (0..shards)
                .map(|_| Pile::new(config.order, shards == 1, share))
                .collect(),
            homes,
            spread: config.spread,
            weighed: config.weighed,
            capacity: config.capacity,
            limit: config.limit.map(|limit| limit as u64),
            lie: None,
            told: VecDeque::new(),
            recalled: vec![0; shards],
            blurred: false,
            hits: 0,
            misses: 0,
            loads: 0,
            inserts: 0,
            departures: [0; 8],
            weight_in: 0,
            weight_out: 0,
            unhit: 0,
            ghost_hits: vec![0; shards],
            weighings: 0,
        }
    }

    fn len(&self) -> u64 {
        self.piles.iter().map(|pile| pile.items.len() as u64).sum()
    }

    fn weight(&self) -> u128 {
        self.piles.iter().map(Pile::weight).sum()
    }

    fn share(&self) -> u64 {
        self.capacity / self.piles.len() as u64
    }

    fn get(&self, id: u32) -> Option<&Item> {
        let pile = &self.piles[self.homes[id as usize]];
        pile.items.iter().find(|item| item.id == id)
    }

    fn get_mut(&mut self, id: u32) -> &mut Item {
        let pile = &mut self.piles[self.homes[id as usize]];
        let item = pile.items.iter_mut().find(|item| item.id == id);
        item.expect("a resident")
    }

    fn value(&self, id: u32) -> Option<u64> {
        self.get(id).map(|item| item.value)
    }

    fn seen(&self, id: u32) -> Option<Seen> {
        self.get(id).map(|item| (item.id, item.stamp, item.value))
    }

    fn entries(&self) -> Vec<Seen> {
        let items = self.piles.iter().flat_map(|pile| &pile.items);
        items
            .map(|item| (item.id, item.stamp, item.value))
            .collect()
    }

    /// The tag of a key, mixed: what ghosts and history know it by.
    fn mixed(&self, id: u32) -> u32 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let hash = self.spread.hash_one(Id(id)).wrapping_mul(GOLDEN);
        let tag = (hash ^ hash >> 32) as u32 | 1 << 31;
        let mixed = u64::from(tag).wrapping_mul(GOLDEN);
        (mixed ^ mixed >> 32) as u32
    }

    fn charge(&self, weight: u64) -> u64 {
        match (self.weighed, self.limit) {
            (false, _) => 1,
            (true, None) => weight.max(1),
            (true, Some(_)) => weight,
        }
    }

    /// What the weigher makes of a value; counts the call.
    fn weigh(&mut self, own: u64) -> u64 {
        self.weighings += u64::from(self.weighed);
        self.charge(self.lie.unwrap_or(own))
    }

    /// A cache of capacity 0 keeps nothing, not even what weighs nothing.
    fn refuses(&self, weight: u64) -> bool {
        weight > self.capacity || self.capacity == 0
    }

    fn lacks(&self, need: Need) -> bool {
        let entries = self.len() + need.entries;
        self.weight() + u128::from(need.weight) > u128::from(self.capacity)
            || self.limit.is_some_and(|limit| entries > limit)
            || self.capacity == 0 && entries > 0
    }

    /// A look-up that counts.
    fn look_up(&mut self, id: u32) -> bool {
        if self.get(id).is_none() {
            self.misses += 1;
            return false;
        }
        self.hits += 1;
        self.piles[self.homes[id as usize]].hit(id);
        true
    }

    /// The next departure told must be this one.
    fn expect(&mut self, id: u32, value: u64, cause: Cause) {
        let told = self.told.pop_front();
        assert_eq!(told, Some(Told { id, value, cause }), "told");
        self.departures[cause as usize] += 1;
    }

    fn unlink(&mut self, id: u32) -> Item {
        let item = self.piles[self.homes[id as usize]].take(id);
        self.weight_out = self.weight_out.wrapping_add(item.weight);
        item
    }

    /// Takes an entry out; the listener must have heard of it just now.
    fn leave(&mut self, id: u32, cause: Cause) -> Item {
        let item = self.unlink(id);
        if cause != Cause::Evicted {
            self.piles[self.homes[id as usize]].forget(item.mixed);
        }
        self.expect(id, item.value, cause);
        item
    }

    /// Follows the evictions told, each of which must be right and needed,
    /// until there is room; says whether there is.
    fn make_room(&mut self, need: Need) -> bool {
        let mut evictions = 0;
        let made = loop {
            if !self.lacks(need) {
                break true;
            }
            match self.told.front() {
                Some(told) if told.cause == Cause::Evicted => {
                    let told = *told;
                    self.evict(told.id, need);
                }
                _ => break false,
            }
            evictions += 1;
        };
        if evictions > 0 || !made {
            self.doubt(need, made);
        }
        made
    }

    fn evict(&mut self, id: u32, need: Need) {
        assert_ne!(need.keep, Some(id), "the entry of this call was evicted");
        assert!(self.get(id).is_some(), "{id} was evicted but not resident");
        let shard = self.homes[id as usize];
        self.check_payer(shard, need);
        let keep = need.keep.filter(|keep| self.homes[*keep as usize] == shard);
        // Whoever may have been named and become a ghost.
        for id in keep.into_iter().chain([id]) {
            let mixed = self.mixed(id);
            self.piles[shard].may_return(mixed);
        }
        let pile = &mut self.piles[shard];
        let named = pile.name_victim(keep);
        if pile.sure {
            assert_eq!(named.unwrap_or(id), id, "the wrong victim of shard {shard}");
        }
        if named.is_none() {
            let mixed = self.mixed(id);
            self.piles[shard].forget(mixed);
        }
        let item = self.leave(id, Cause::Evicted);
        self.unhit += u64::from(!item.hit);
    }

    fn check_payer(&self, shard: usize, need: Need) {
        let share = u128::from(self.share());
        let rich = |shard: usize| self.piles[shard].weight() > share;
        let only_keep = |shard: usize| {
            shard == need.home && need.keep.is_some() && self.piles[shard].items.len() == 1
        };
        match need.payer {
            _ if self.piles.len() == 1 => {}
            Payer::Home => assert_eq!(shard, need.home, "another shard paid"),
            Payer::Rich => assert!(rich(shard) || share == 0, "a shard within its share paid"),
            Payer::Any if shard == need.home => {}
            Payer::Any => {
                let home_pays = rich(need.home) && !only_keep(need.home);
                assert!(!home_pays, "a shard above its share let others pay");
                if !rich(shard) && share > 0 {
                    let richer = (0..self.piles.len()).find(|&n| rich(n) && !only_keep(n));
                    assert_eq!(richer, None, "shard {shard} paid, with less than its share");
                }
            }
        }
    }

    /// After room was looked for in several shards, or all of it, what S3-FIFO,
    /// LFU, GDSF and Duel were asked in vain can't be seen.
    fn doubt(&mut self, need: Need, made: bool) {
        if self.piles.len() == 1 && self.capacity > 0 {
            return;
        }
        for (shard, pile) in self.piles.iter_mut().enumerate() {
            let keep = need.keep.filter(|_| shard == need.home);
            if !pile.may_have_been_asked_in_vain(keep) {
                continue;
            }
            if pile.order == Order::Duel && need.payer == Payer::Home {
                // Nobody else was asked, and it only where the rest was not enough.
                if !made {
                    pile.name_victim(keep);
                }
            } else {
                if let Some(mixed) = pile.items.first().map(|item| item.mixed) {
                    pile.may_return(mixed);
                }
                pile.doubt();
            }
        }
    }

    /// Whether a shard's own victims pay first: then it hears of the key before.
    fn may_pay(&self, home: usize) -> bool {
        let share = self.share();
        self.piles.len() == 1
            || self.piles[home].weight() > u128::from(share - share / 4)
            || share == 0
    }

    /// What the key of an offer was to its shard, if that is known.
    fn recall(&mut self, offer: Offer, home: usize) -> Option<Comes> {
        let mixed = self.mixed(offer.id);
        let comes = self.piles[home].recall(mixed, offer.weight)?;
        if comes.is_ghost() {
            assert!(self.recalled[home] > 0, "a ghost was not recalled");
            self.recalled[home] -= 1;
        }
        Some(comes)
    }

    /// The same where the order of the ghosts is not modelled: what the cache
    /// says, if it was ever remembered.
    fn recall_as_told(&mut self, id: u32, home: usize) -> Comes {
        let mixed = self.mixed(id);
        let pile = &mut self.piles[home];
        let known = pile.order.has_ghosts() && pile.ever.contains(&pile.print(mixed));
        if known && self.blurred {
            pile.sure = false;
        }
        if self.recalled[home] == 0 || !known {
            return Comes::New;
        }
        self.recalled[home] -= 1;
        Comes::BackToMain
    }

    /// Inserts; the old value, or what was handed back.
    fn insert(&mut self, offer: Offer) -> Verdict {
        self.inserts += 1;
        let home = self.homes[offer.id as usize];
        if self.refuses(offer.weight) {
            return Err(self.refuse(offer));
        }
        let Some(before) = self.get(offer.id).map(|item| item.weight) else {
            self.add(offer, home);
            return Ok(None);
        };
        let need = Need {
            weight: offer.weight.saturating_sub(before),
            entries: 0,
            home,
            keep: Some(offer.id),
            payer: Payer::Any,
        };
        assert!(need.weight == 0 || self.make_room(need), "over the bound");
        self.weight_in = self.weight_in.wrapping_add(offer.weight);
        self.weight_out = self.weight_out.wrapping_add(before);
        let item = self.get_mut(offer.id);
        let old = std::mem::replace(&mut item.value, offer.value);
        item.own = offer.own;
        item.weight = offer.weight;
        self.piles[home].reweighed(offer.id);
        self.piles[home].hit(offer.id);
        self.expect(offer.id, old, Cause::Replaced);
        Ok(Some(old))
    }

    fn refuse(&mut self, offer: Offer) -> Back {
        let old = self.value(offer.id);
        if old.is_some() {
            self.leave(offer.id, Cause::Replaced);
        }
        self.expect(offer.id, offer.value, Cause::Refused);
        Back {
            key: (offer.id, offer.stamp),
            value: offer.value,
            old,
            weight: offer.weight,
            capacity: self.capacity,
        }
    }

    fn add(&mut self, offer: Offer, home: usize) {
        let need = Need {
            weight: offer.weight,
            entries: 1,
            home,
            keep: None,
            payer: Payer::Any,
        };
        let now = !self.lacks(need) || self.may_pay(home);
        let before = now.then(|| self.recall(offer, home));
        assert!(self.make_room(need), "over the bound");
        let comes = before.unwrap_or_else(|| self.recall(offer, home));
        let comes = comes.unwrap_or_else(|| self.recall_as_told(offer.id, home));
        self.weight_in = self.weight_in.wrapping_add(offer.weight);
        let item = Item {
            id: offer.id,
            mixed: self.mixed(offer.id),
            stamp: offer.stamp,
            value: offer.value,
            own: offer.own,
            weight: offer.weight,
            hit: false,
            visited: false,
            count: 0,
            main: false,
            frequency: 2,
            hits: 0,
            life: 0,
            due: 0,
        };
        self.piles[home].admit(item, comes);
    }

    /// A value was changed in place; says whether it stays.
    fn change(&mut self, id: u32, change: Option<Change>) -> bool {
        let item = self.get_mut(id);
        if let Some(change) = change {
            item.value = change.id;
            item.own = change.own;
        }
        let (own, before) = (item.own, item.weight);
        let after = self.weigh(own);
        if self.recharge(id, before, after) {
            return true;
        }
        self.leave(id, Cause::Refused);
        false
    }

    fn recharge(&mut self, id: u32, before: u64, after: u64) -> bool {
        let home = self.homes[id as usize];
        let need = Need {
            weight: after.saturating_sub(before),
            entries: 0,
            home,
            keep: Some(id),
            payer: Payer::Home,
        };
        if !self.weighed || before == after {
            return true;
        }
        if self.refuses(after) {
            return false;
        }
        if need.weight > 0 && !self.make_room(need) {
            let others = self.weight() - self.piles[home].weight();
            let room = u128::from(self.capacity) - others;
            assert!(
                u128::from(after) > room,
                "{room} could be made, {after} was refused"
            );
            return false;
        }
        self.get_mut(id).weight = after;
        self.piles[home].reweighed(id);
        self.weight_in = self.weight_in.wrapping_add(after);
        self.weight_out = self.weight_out.wrapping_add(before);
        true
    }

    fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        let share = self.share();
        self.piles.iter_mut().for_each(|pile| pile.share = share);
        let need = Need {
            weight: 0,
            entries: 0,
            home: 0,
            keep: None,
            payer: Payer::Rich,
        };
        assert!(self.make_room(need), "over the new bound");
        if capacity == 0 {
            self.doubt(need, true);
        }
    }

    /// Everything leaves at once, in any order, for one of these causes.
    fn leave_all(&mut self, causes: &[Cause]) {
        for _ in 0..self.len() {
            let told = *self.told.front().expect("told of every entry");
            assert!(causes.contains(&told.cause), "{told:?}");
            self.leave(told.id, told.cause);
        }
        let alone = self.piles.len() == 1;
        for pile in &mut self.piles {
            *pile = Pile::new(pile.order, alone, pile.share);
        }
    }
}

/// One operation, in raw numbers that shrink to simple ones: which key, how
/// heavy, and what else.
#[derive(Clone, Copy, Debug)]
enum Op {
    Get(u16),
    Insert(u16, u16),
    TryInsert(u16, u16),
    InsertWeighted(u16, u16, u16),
    TryInsertWeighted(u16, u16, u16),
    View(u16),
    Peek(u16),
    ContainsKey(u16),
    GetOrInsertWith(u16, u16),
    Entry(u16, u16, u16),
    Update(u16, u16),
    GetMut(u16, u16),
    Remove(u16),
    RemoveEntry(u16),
    RemoveIf(u16, u16),
    Extend(u16, u16, u16),
    SetCapacity(u16),
    Retain(u16, u16),
    Walk,
    ShrinkToFit,
    Drain(u16),
    Clear,
}

impl Op {
    fn of([kind, key, a, b]: [u16; 4]) -> Self {
        match kind % 256 {
            0..=54 => Op::Get(key),
            55..=124 => Op::Insert(key, a),
            125..=134 => Op::TryInsert(key, a),
            135..=144 => Op::InsertWeighted(key, a, b),
            145..=149 => Op::TryInsertWeighted(key, a, b),
            150..=157 => Op::View(key),
            158..=161 => Op::Peek(key),
            162..=165 => Op::ContainsKey(key),
            166..=177 => Op::GetOrInsertWith(key, a),
            178..=191 => Op::Entry(key, a, b),
            192..=205 => Op::Update(key, a),
            206..=213 => Op::GetMut(key, a),
            214..=221 => Op::Remove(key),
            222..=225 => Op::RemoveEntry(key),
            226..=231 => Op::RemoveIf(key, a),
            232..=236 => Op::Extend(key, a, b),
            237..=244 => Op::SetCapacity(a),
            245..=247 => Op::Retain(a, b),
            248 => Op::Walk,
            249..=250 => Op::ShrinkToFit,
            251..=252 if a % 4 == 0 => Op::Drain(b),
            253 if a % 4 == 0 => Op::Clear,
            _ => Op::Insert(key, b),
        }
    }
}

/// How heavy entries are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hefts {
    /// From 0 up to this, without it.
    Below(u16),
    /// 0, 1, the whole capacity, more than it, `u64::MAX` and its like.
    Wild,
}

impl Hefts {
    fn of(self, n: u16, capacity: u64) -> u64 {
        match (self, n % 16) {
            (Hefts::Below(top), _) => u64::from(n % top.max(1)),
            (_, 0) => 0,
            (_, 1) => capacity,
            (_, 2) => capacity.saturating_add(1),
            (_, 3) => capacity / 2,
            (_, 4) => capacity - capacity / 8,
            (_, 5) => u64::MAX - u64::from(n / 16 % 2),
            (_, 6) => capacity.saturating_sub(1),
            (_, 7) => capacity / 3 + 1,
            _ => u64::from(n / 16 % 12),
        }
    }
}

#[derive(Clone, Debug)]
struct Config {
    order: Order,
    /// `None` is the cache without locks.
    shards: Option<usize>,
    weighed: bool,
    capacity: u64,
    limit: Option<usize>,
    keys: u32,
    spread: Spread,
    hefts: Hefts,
    lies: bool,
    /// Whether `Hash` and `Eq` of keys lie.
    contrary: bool,
    /// All is compared after so many operations.
    every: usize,
}

impl Config {
    fn of(order: Order, throw: [u16; 4], second: [u16; 4]) -> Self {
        let [shards, capacity, keys, weighed] = throw;
        let [_, limit, lies, salt] = second;
        let shards = [None, Some(1), Some(2), Some(3), Some(7), Some(16)][shards as usize % 6];
        let entries = u64::from(capacity % 41);
        let weighed = weighed % 3 > 0;
        let hefts = [
            Hefts::Below(2),
            Hefts::Below(5),
            Hefts::Below(12),
            Hefts::Wild,
        ];
        let hefts = hefts[second[0] as usize % 4 * usize::from(weighed)];
        let capacity = match hefts {
            Hefts::Below(top) => entries * u64::from(top) / 2,
            Hefts::Wild => wild_capacity(capacity),
        };
        Self {
            order,
            shards,
            weighed,
            capacity,
            limit: (weighed && limit % 3 == 0).then_some(1 + limit as usize / 3 % 30),
            keys: 2 + u32::from(keys) % (3 * entries as u32 + 4),
            spread: Spread::Well(u64::from(salt % 4)),
            hefts,
            lies: weighed && lies % 5 == 0,
            contrary: false,
            every: 1 + second[0] as usize / 4 % 40,
        }
    }
}

fn wild_capacity(n: u16) -> u64 {
    let capacities = [10, 100, 1 << 20, 1 << 63, u64::MAX - 1, u64::MAX];
    capacities[n as usize % capacities.len()]
}

/// A cache and its model, side by side.
struct Rig<D> {
    door: D,
    explicit: Option<Explicit<D>>,
    config: Config,
    model: Model,
    stamp: u32,
}

impl<D: Door> Rig<D> {
    fn new(door: D, explicit: Option<Explicit<D>>, config: &Config) -> Self {
        let homes = (0..config.keys).map(|id| door.shard_of(&Id(id))).collect();
        Self {
            model: Model::new(config, homes),
            door,
            explicit,
            config: config.clone(),
            stamp: 0,
        }
    }

    fn id(&self, key: u16) -> u32 {
        // Half of the calls go to a fifth of the keys.
        let keys = self.config.keys;
        let hot = if key & 1 == 0 { keys / 5 + 1 } else { keys };
        u32::from(key / 2) % hot
    }

    fn heft(&self, n: u16) -> u64 {
        self.config.hefts.of(n, self.model.capacity)
    }

    fn change(&self, n: u16) -> Change {
        Change {
            id: next_value(),
            own: self.heft(n),
        }
    }

    fn key(&mut self, key: u16) -> Key {
        self.stamp += 1;
        Key::new(self.id(key), self.stamp)
    }

    /// What the call just made told and recalled goes to the model.
    fn hear(&mut self) -> &mut Model {
        self.model.told = WORLD.with(|world| world.told.take());
        let model = &mut self.model;
        if self.door.stats().ghost_hits() > model.ghost_hits.iter().sum() {
            for (shard, before) in model.ghost_hits.iter_mut().enumerate() {
                let now = self.door.shard_stats(shard).ghost_hits();
                model.recalled[shard] = now - *before;
                *before = now;
            }
        }
        model
    }

    fn offer(&mut self, key: &Key, value: &Val) -> Offer {
        let weight = self.model.weigh(value.own);
        self.offer_weighing(key, value, weight)
    }

    fn offer_weighing(&self, key: &Key, value: &Val, weight: u64) -> Offer {
        Offer {
            id: key.id.0,
            stamp: key.stamp,
            value: value.id,
            own: value.own,
            weight,
        }
    }

    fn step(&mut self, op: Op) {
        self.lie(op);
        self.run(op);
        self.compare();
    }

    /// A lying weigher gives every value of this call the same false weight.
    fn lie(&mut self, op: Op) {
        if let (true, Op::Insert(_, n) | Op::Update(_, n)) = (self.config.lies, op) {
            self.model.lie = Some(self.heft(n.rotate_left(5)));
            WORLD.with(|world| world.lie.set(self.model.lie));
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Get(key) => self.get(self.id(key)),
            Op::View(key) => self.view(self.id(key)),
            Op::Peek(key) => self.peek(self.id(key)),
            Op::ContainsKey(key) => self.peek(self.id(key)),
            Op::Insert(key, n) => self.insert(key, n),
            Op::TryInsert(key, n) => self.try_insert(key, n),
            Op::InsertWeighted(key, n, m) => self.insert_weighted(key, n, m),
            Op::TryInsertWeighted(key, n, m) => self.try_insert_weighted(key, n, m),
            Op::GetOrInsertWith(key, n) => self.get_or_insert_with(self.id(key), n),
            Op::Entry(key, n, m) => self.entry(key, n, m),
            Op::Update(key, n) => self.update(self.id(key), n),
            Op::GetMut(key, n) if D::UNSYNC => self.get_mut(self.id(key), n),
            Op::GetMut(key, n) => self.update(self.id(key), n),
            Op::Remove(key) => self.remove(self.id(key)),
            Op::RemoveEntry(key) => self.remove_entry(self.id(key)),
            Op::RemoveIf(key, n) => self.remove_if(self.id(key), n % 2 == 0),
            Op::Extend(key, n, m) => self.extend(key, n, m),
            Op::SetCapacity(n) => self.set_capacity(n),
            Op::Retain(n, m) => self.retain(n, m),
            Op::Walk => self.compare_all(),
            Op::ShrinkToFit => self.shrink_to_fit(),
            Op::Drain(n) => self.drain(n as usize % 50),
            Op::Clear => self.clear(),
        }
    }

    fn get(&mut self, id: u32) {
        let got = self.door.get(&Id(id));
        assert_eq!(got, self.model.value(id));
        self.hear().look_up(id);
    }

    fn view(&mut self, id: u32) {
        let got = self.door.view(&Id(id));
        assert_eq!(got, self.model.seen(id));
        self.hear().look_up(id);
    }

    fn peek(&mut self, id: u32) {
        assert_eq!(self.door.peek(&Id(id)), self.model.value(id));
        assert_eq!(
            self.door.contains_key(&Id(id)),
            self.model.get(id).is_some()
        );
    }

    fn insert(&mut self, key: u16, n: u16) {
        let (key, value) = (self.key(key), Val::new(self.heft(n)));
        let offer = self.offer(&key, &value);
        let got = self.door.insert(key, value);
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    fn try_insert(&mut self, key: u16, n: u16) {
        let (key, value) = (self.key(key), Val::new(self.heft(n)));
        let offer = self.offer(&key, &value);
        let got = self.door.try_insert(key, value);
        assert_eq!(got, self.hear().insert(offer));
    }

    fn insert_weighted(&mut self, key: u16, n: u16, m: u16) {
        let Some(Explicit { insert, .. }) = self.explicit else {
            return self.insert(key, n);
        };
        let (key, value, weight) = (self.key(key), Val::new(self.heft(n)), self.heft(m));
        let offer = self.offer_weighing(&key, &value, self.model.charge(weight));
        let got = insert(&mut self.door, key, value, weight);
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    fn try_insert_weighted(&mut self, key: u16, n: u16, m: u16) {
        let Some(Explicit { try_insert, .. }) = self.explicit else {
            return self.try_insert(key, n);
        };
        let (key, value, weight) = (self.key(key), Val::new(self.heft(n)), self.heft(m));
        let offer = self.offer_weighing(&key, &value, self.model.charge(weight));
        let got = try_insert(&mut self.door, key, value, weight);
        assert_eq!(got, self.hear().insert(offer));
    }

    /// After an insert: what it returned, and that a look finds the value.
    fn stored(&mut self, offer: Offer, got: Option<u64>, verdict: Verdict) {
        let stored = verdict.is_ok().then_some(offer.value);
        assert_eq!(self.door.peek(&Id(offer.id)), stored);
        assert_eq!(got, verdict.unwrap_or_else(|back| back.old));
    }

    fn get_or_insert_with(&mut self, id: u32, n: u16) {
        let (key, value) = (Key::new(id, 0), Val::new(self.heft(n)));
        let offer = self.offer_if_absent(&key, &value);
        let got = self.door.get_or_insert_with(&Id(id), value);
        let model = self.hear();
        let found = model.look_up(id);
        model.loads += u64::from(!found);
        let expected = model.insert_if_absent(offer);
        assert_eq!(got, handed_back::<D>(expected, offer));
    }

    fn offer_if_absent(&mut self, key: &Key, value: &Val) -> Offer {
        let weight = self.model.charge(self.model.lie.unwrap_or(value.own));
        self.offer_weighing(key, value, weight)
    }

    fn entry(&mut self, key: u16, n: u16, m: u16) {
        let key = self.key(key);
        let or = [Or::Insert, Or::InsertWith, Or::Default][m as usize % 3];
        let change = (m % 2 == 0).then(|| self.change(n));
        let spare = Val::new(self.heft(m / 6));
        let mut offer = self.offer_if_absent(&key, &spare);
        if or == Or::Default {
            offer.value = WORLD.with(|world| world.next_value.get());
            offer.own = 1;
            offer.weight = self.model.charge(self.model.lie.unwrap_or(1));
        }
        let id = key.id.0;
        let got = self.door.entry(key, change, or, spare);
        let model = self.hear();
        if change.is_some() && model.look_up(id) {
            model.change(id, change);
        }
        model.look_up(id);
        let expected = model.insert_if_absent(offer);
        assert_eq!(got, handed_back::<D>(expected, offer));
    }

    fn update(&mut self, id: u32, n: u16) {
        let change = self.change(n);
        let got = self.door.update(&Id(id), change);
        let model = self.hear();
        let expected = match model.look_up(id) {
            false => Updated::Absent,
            true if model.change(id, Some(change)) => Updated::Kept(change.id),
            true => Updated::Refused(change.id),
        };
        assert_eq!(got, expected);
    }

    fn get_mut(&mut self, id: u32, n: u16) {
        let change = (n % 4 > 0).then(|| self.change(n / 4));
        let before = self.model.value(id);
        let got = self.door.get_mut(&Id(id), change);
        assert_eq!(got, before);
        let model = self.hear();
        // A guard that nobody wrote through does not weigh the value again.
        if model.look_up(id) && change.is_some() {
            model.change(id, change);
        }
    }

    fn remove(&mut self, id: u32) {
        let got = self.door.remove(&Id(id));
        assert_eq!(got, self.hear().remove(id).map(|item| item.value));
    }

    fn remove_entry(&mut self, id: u32) {
        let got = self.door.remove_entry(&Id(id));
        let expected = self.hear().remove(id);
        assert_eq!(got, expected.map(|item| (id, item.stamp, item.value)));
    }

    fn remove_if(&mut self, id: u32, condition: bool) {
        let before = self.model.seen(id);
        let (got, asked) = self.door.remove_if(&Id(id), condition);
        assert_eq!(asked, before);
        let model = self.hear();
        let expected = if condition { model.remove(id) } else { None };
        assert_eq!(got, expected.map(|item| item.value));
    }

    fn extend(&mut self, key: u16, n: u16, m: u16) {
        let mut offers = Vec::new();
        let mut entries = Vec::new();
        for i in 0..m % 5 {
            let key = self.key(key.wrapping_add(14 * i));
            let value = Val::new(self.heft(n.rotate_left(u32::from(i))));
            offers.push(self.offer(&key, &value));
            entries.push((key, value));
        }
        self.door.extend(entries, m % 2 == 0);
        let model = self.hear();
        model.blurred = offers.len() > 1 && model.recalled.iter().any(|&ghosts| ghosts > 0);
        for offer in offers {
            let _ = model.insert(offer);
        }
    }

    fn new_capacity(&self, n: u16) -> u64 {
        let usual = self.config.capacity;
        match n % 16 {
            0 => 0,
            1 => 1,
            2 => usual / 2,
            3 => usual.saturating_mul(2),
            4 => u64::from(n / 16 % 30),
            5 => usual - usual / 8,
            6 if self.config.weighed => u64::MAX,
            _ => usual,
        }
    }

    fn set_capacity(&mut self, n: u16) {
        let capacity = self.new_capacity(n);
        self.door.set_capacity(capacity);
        self.hear().set_capacity(capacity);
    }

    fn retain(&mut self, n: u16, m: u16) {
        let (hefts, capacity) = (self.config.hefts, self.model.capacity);
        let mut visits = Vec::new();
        self.door.retain(|key, value| {
            let dice = mix(u64::from(n) << 32 | u64::from(key.id.0));
            let before = value.id;
            let keep = dice % 5 > 0 || m % 4 == 0;
            let change = (keep && dice >> 8 & 3 == 0).then(|| Change {
                id: next_value(),
                own: hefts.of((dice >> 16) as u16, capacity),
            });
            change.map(|change| change.make(value));
            visits.push((key.id.0, before, change, keep));
            keep
        });
        self.hear().retain(&visits);
    }

    fn shrink_to_fit(&mut self) {
        self.door.shrink_to_fit();
        let piles = &mut self.hear().piles;
        piles.iter_mut().for_each(Pile::shrink_to_fit);
    }

    fn drain(&mut self, take: usize) {
        let expected = self.model.entries();
        let drained = self.door.drain(take);
        assert_eq!(drained.len(), take.min(expected.len()));
        assert!(drained.iter().all(|entry| expected.contains(entry)));
        assert!(is_distinct(&drained));
        self.hear().leave_all(&[Cause::Removed]);
    }

    fn clear(&mut self) {
        self.door.clear();
        self.hear().leave_all(&[Cause::Cleared]);
    }

    /// What is cheap to compare, after each operation.
    fn compare(&mut self) {
        let model = &mut self.model;
        assert_eq!(model.told.pop_front(), None, "told, but did not leave");
        let unexplained = model.recalled.iter().sum::<u64>();
        assert_eq!(unexplained, 0, "a ghost that never was");
        model.blurred = false;
        model.lie = None;
        let (len, weight) = (model.len(), model.weight());
        assert_eq!(self.door.len() as u64, len, "len");
        assert_eq!(self.door.is_empty(), len == 0);
        assert_eq!(u128::from(self.door.weight()), weight, "weight");
        assert_eq!(self.door.capacity(), model.capacity);
        model.compare_stats(&self.door.stats());
        WORLD.with(|world| {
            world.lie.set(None);
            assert_eq!(world.told.borrow_mut().pop_front(), None, "told twice");
            assert_eq!(world.live_values.get(), len as i64, "live values");
            assert_eq!(world.live_keys.get(), len as i64, "live keys");
            assert_eq!(world.weighings.get(), model.weighings, "weighings");
        });
    }

    /// Every entry, its weight, every shard, and every invariant.
    fn compare_all(&mut self) {
        self.door.check();
        let expected = sorted(self.model.entries());
        assert_eq!(sorted(self.door.entries()), expected);
        let (keys, values) = self.door.keys_and_values();
        let key_of = |&(id, stamp, _): &Seen| (id, stamp);
        assert_eq!(
            sorted(keys),
            expected.iter().map(key_of).collect::<Vec<_>>()
        );
        let expected_values = expected.iter().map(|&(_, _, value)| value).collect();
        assert_eq!(sorted(values), sorted(expected_values));
        for &(id, ..) in &expected {
            let weight = self.model.get(id).map(|item| item.weight);
            let weight_of = self.explicit.as_ref().map(|explicit| explicit.weight_of);
            let got = weight_of.map_or(Some(1), |weight_of| weight_of(&self.door, &Id(id)));
            assert_eq!(got, weight, "weight of {id}");
        }
        for (shard, pile) in self.model.piles.iter().enumerate() {
            let stats = self.door.shard_stats(shard);
            assert_eq!(stats.len(), pile.items.len() as u64, "len of shard {shard}");
            assert_eq!(u128::from(stats.weight()), pile.weight());
        }
    }

    /// The cache goes, in one of three ways; nothing is left.
    fn finish(mut self, how: u64) {
        self.compare_all();
        let expected = self.model.entries();
        let taken = match how % 3 {
            0 => {
                self.door.set_capacity(0);
                self.hear().set_capacity(0);
                self.compare();
                drop(self.door);
                Vec::new()
            }
            1 => {
                drop(self.door);
                Vec::new()
            }
            _ => self.door.into_entries(how as usize / 3 % 20),
        };
        assert!(taken.iter().all(|entry| expected.contains(entry)));
        assert!(is_distinct(&taken));
        self.model.told = WORLD.with(|world| world.told.take());
        let causes = [Cause::CacheDropped, Cause::Removed];
        self.model
            .leave_all(&causes[..1 + usize::from(how % 3 == 2)]);
        assert_eq!(self.model.told.pop_front(), None, "told twice");
        WORLD.with(|world| {
            assert_eq!(
                (world.live_keys.get(), world.live_values.get()),
                (0, 0),
                "leaked"
            );
        });
    }
}

/// Keys whose `Hash` and `Eq` contradict themselves: what is found can't be
/// said, but the bound holds and every value is told of once.
struct Wary<D> {
    rig: Rig<D>,
    told: HashSet<u64>,
}

impl<D: Door> Wary<D> {
    fn step(&mut self, op: Op) {
        WORLD.with(|world| world.contrary.set(true));
        self.run(op);
        WORLD.with(|world| world.contrary.set(false));
        for told in WORLD.with(|world| world.told.take()) {
            assert!(self.told.insert(told.value), "told twice: {told:?}");
        }
        self.check();
    }

    fn run(&mut self, op: Op) {
        let rig = &mut self.rig;
        let (Op::Get(key) | Op::View(key) | Op::Peek(key) | Op::ContainsKey(key)) = op else {
            return self.write(op);
        };
        let id = Id(rig.id(key));
        rig.door.get(&id);
        rig.door.view(&id);
        rig.door.peek(&id);
        rig.door.contains_key(&id);
    }

    fn write(&mut self, op: Op) {
        let rig = &mut self.rig;
        let fresh = |rig: &mut Rig<D>, key, n| (rig.key(key), Val::new(rig.heft(n)));
        match op {
            Op::Insert(key, n) | Op::InsertWeighted(key, n, _) => {
                let (key, value) = fresh(rig, key, n);
                rig.door.insert(key, value);
            }
            Op::TryInsert(key, n) | Op::TryInsertWeighted(key, n, _) => {
                let (key, value) = fresh(rig, key, n);
                let _ = rig.door.try_insert(key, value);
            }
            Op::GetOrInsertWith(key, n) => {
                let (key, value) = fresh(rig, key, n);
                let _ = rig.door.get_or_insert_with(&key.id, value);
            }
            Op::Entry(key, n, m) => {
                let change = Some(rig.change(n));
                let (key, value) = fresh(rig, key, m);
                let _ = rig.door.entry(key, change, Or::Insert, value);
            }
            Op::Update(key, n) => {
                let (id, change) = (Id(rig.id(key)), rig.change(n));
                let _ = rig.door.update(&id, change);
            }
            Op::Extend(key, n, m) => {
                let entries = (0..m % 5).map(|i| fresh(rig, key.wrapping_add(i), n));
                let entries = entries.collect();
                rig.door.extend(entries, false);
            }
            op => self.sweep(op),
        }
    }

    fn sweep(&mut self, op: Op) {
        let rig = &mut self.rig;
        match op {
            Op::GetMut(key, n) if D::UNSYNC => {
                let (id, change) = (Id(rig.id(key)), rig.change(n));
                rig.door.get_mut(&id, Some(change));
            }
            Op::Remove(key) | Op::GetMut(key, _) => drop(rig.door.remove(&Id(rig.id(key)))),
            Op::RemoveEntry(key) => drop(rig.door.remove_entry(&Id(rig.id(key)))),
            Op::RemoveIf(key, n) => drop(rig.door.remove_if(&Id(rig.id(key)), n % 2 == 0)),
            Op::SetCapacity(n) => {
                rig.model.capacity = rig.new_capacity(n);
                rig.door.set_capacity(rig.model.capacity);
            }
            Op::Retain(n, _) => rig.door.retain(|_, value| {
                value.own = u64::from(n % 7);
                value.id % 3 > 0
            }),
            Op::Drain(n) => drop(rig.door.drain(n as usize % 50)),
            Op::Clear => rig.door.clear(),
            Op::ShrinkToFit => rig.door.shrink_to_fit(),
            _ => drop(rig.door.entries()),
        }
    }

    fn check(&mut self) {
        let door = &mut self.rig.door;
        let entries = door.entries();
        assert!(entries.iter().all(|entry| !self.told.contains(&entry.2)));
        assert_eq!(entries.len(), door.len());
        assert_eq!(door.capacity(), self.rig.model.capacity);
        assert!(door.weight() <= door.capacity(), "over the bound");
        let limit = self.rig.config.limit.unwrap_or(usize::MAX);
        assert!(entries.len() <= limit, "over the limit of entries");
        let stats = door.stats();
        let left = Cause::ALL.map(|cause| stats.departures(cause));
        let told = self.told.len() as u64;
        assert_eq!(left.iter().sum::<u64>(), told, "counted and told");
        assert_eq!(stats.inserts(), told + stats.len(), "a value was lost");
        WORLD.with(|world| {
            let live = (world.live_keys.get(), world.live_values.get());
            assert_eq!(live, (stats.len() as i64, stats.len() as i64), "leaked");
        });
        if stats.inserts() % 16 == 0 {
            door.check();
        }
    }
}

impl Model {
    /// What the calls that insert if absent return: the value that is there now.
    fn insert_if_absent(&mut self, offer: Offer) -> Result<u64, Back> {
        if let Some(value) = self.value(offer.id) {
            return Ok(value);
        }
        self.weighings += u64::from(self.weighed);
        self.insert(offer).map(|_| offer.value)
    }

    fn remove(&mut self, id: u32) -> Option<Item> {
        self.get(id)?;
        Some(self.leave(id, Cause::Removed))
    }

    /// Follows the closure's own account of a walk.
    fn retain(&mut self, visits: &[(u32, u64, Option<Change>, bool)]) {
        let mut left: Vec<u32> = self.entries().iter().map(|entry| entry.0).collect();
        for &(id, before, change, keep) in visits {
            assert!(
                left.contains(&id),
                "{id} was visited twice or was not there"
            );
            left.retain(|other| *other != id);
            assert_eq!(self.value(id), Some(before), "visited with another value");
            if keep {
                self.change(id, change);
            } else {
                self.leave(id, Cause::Removed);
            }
        }
        let missed = left.iter().find(|id| self.get(**id).is_some());
        assert_eq!(missed, None, "retain missed one");
    }

    fn compare_stats(&self, stats: &Snapshot) {
        assert_eq!(stats.hits(), self.hits, "hits");
        assert_eq!(stats.misses(), self.misses, "misses");
        assert_eq!(stats.loads(), self.loads, "loads");
        assert_eq!(stats.inserts(), self.inserts, "inserts");
        for cause in Cause::ALL {
            let expected = self.departures[cause as usize];
            assert_eq!(stats.departures(cause), expected, "departures: {cause}");
        }
        assert_eq!(stats.weight_in(), self.weight_in, "weight in");
        assert_eq!(stats.weight_out(), self.weight_out, "weight out");
        assert_eq!(stats.evicted_unhit(), self.unhit, "evicted unhit");
        assert_eq!(stats.listener_panics(), 0);
        assert_eq!(stats.len(), self.len());
        assert_eq!(u128::from(stats.weight()), self.weight());
        assert_eq!(stats.capacity(), self.capacity);
    }
}

/// `Cache` returns a refused value all the same; `unsync::Cache` hands it back.
fn handed_back<D: Door>(expected: Result<u64, Back>, offer: Offer) -> Result<u64, Back> {
    match expected {
        Err(_) if !D::UNSYNC => Ok(offer.value),
        expected => expected,
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list
}

fn is_distinct(entries: &[Seen]) -> bool {
    let mut ids: Vec<u32> = entries.iter().map(|entry| entry.0).collect();
    ids.sort_unstable();
    ids.windows(2).all(|pair| pair[0] != pair[1])
}

/// Runs a case to its end; the index of the operation that failed, and how.
fn run(config: &Config, ops: &[Op]) -> Result<(), (usize, String)> {
    let at = Cell::new(0);
    WORLD.with(|world| world.quiet.set(true));
    let result = catch_unwind(AssertUnwindSafe(|| run_policy(config, ops, &at)));
    WORLD.with(|world| world.quiet.set(false));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        (at.get(), text.unwrap_or_default())
    })
}

fn run_policy(config: &Config, ops: &[Op], at: &Cell<usize>) {
    new_world();
    match config.order {
        Order::Lru => run_built::<Lru>(config, ops, at),
        Order::Fifo => run_built::<Fifo>(config, ops, at),
        Order::Sieve => run_built::<Sieve>(config, ops, at),
        Order::S3Fifo => run_built::<S3Fifo>(config, ops, at),
        Order::Lfu => run_built::<Lfu>(config, ops, at),
        Order::Gdsf => run_built::<Gdsf>(config, ops, at),
        Order::Duel => run_built::<Duel>(config, ops, at),
    }
}

fn run_built<P: Policy>(config: &Config, ops: &[Op], at: &Cell<usize>) {
    let entries = Entries(config.capacity as usize);
    let weight = Weight(config.capacity, weigh);
    match (config.weighed, config.shards) {
        (false, None) => {
            let cache = with(config, Cache::builder(entries).policy::<P>());
            play(Rig::new(built(cache.build_unsync()), None, config), ops, at);
        }
        (false, Some(shards)) => {
            let cache = with(config, Cache::builder(entries).policy::<P>()).shards(shards);
            play(Rig::new(built(cache.build()), None, config), ops, at);
        }
        (true, None) => {
            let cache = with(config, Cache::builder(weight).policy::<P>()).build_unsync();
            play(
                Rig::new(built(cache), Some(explicit_unsync()), config),
                ops,
                at,
            );
        }
        (true, Some(shards)) => {
            let cache = with(config, Cache::builder(weight).policy::<P>()).shards(shards);
            play(
                Rig::new(built(cache.build()), Some(explicit()), config),
                ops,
                at,
            );
        }
    }
}

fn with<C: Capacity<Key, Val>, P, S>(
    config: &Config,
    builder: Builder<Key, Val, C, P, S>,
) -> Builder<Key, Val, C, P, Spread> {
    let builder = builder.hasher(config.spread).listener(listen);
    match config.limit {
        Some(limit) => builder.entry_limit(limit),
        None => builder,
    }
}

fn built<T>(cache: Result<T, BuildError>) -> T {
    cache.expect("a configuration that makes sense")
}

fn play<D: Door>(mut rig: Rig<D>, ops: &[Op], at: &Cell<usize>) {
    if rig.config.contrary {
        return play_warily(rig, ops, at);
    }
    for (index, op) in ops.iter().enumerate() {
        at.set(index);
        rig.step(*op);
        if (index + 1) % rig.config.every == 0 {
            rig.compare_all();
        }
    }
    at.set(ops.len());
    rig.finish(mix(ops.len() as u64));
}

fn play_warily<D: Door>(rig: Rig<D>, ops: &[Op], at: &Cell<usize>) {
    let told = HashSet::new();
    let mut wary = Wary { rig, told };
    for (index, op) in ops.iter().enumerate() {
        at.set(index);
        wary.step(*op);
    }
    wary.rig.door.check();
}

/// Leaves out all operations that a failure does not need.
fn shrunk(config: &Config, ops: &[Op], (mut at, mut text): (usize, String)) -> String {
    let mut ops = ops[..ops.len().min(at + 1)].to_vec();
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut start = 0;
        while start < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(start..fewer.len().min(start + chunk));
            match run(config, &fewer) {
                Err(failure) => {
                    (at, text) = failure;
                    fewer.truncate(at + 1);
                    ops = fewer;
                }
                Ok(()) => start += chunk,
            }
        }
        chunk /= 2;
    }
    format!("{text}\n  {config:?}\n  fails at operation {at} of {ops:#?}")
}

/// Panics of a case are caught, shrunk and told once, not one by one.
fn hush_expected_panics() {
    static HUSH: Once = Once::new();
    HUSH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !WORLD.try_with(|world| world.quiet.get()).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let digits = text.replace('_', "");
    Some(
        digits
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

fn seed() -> u64 {
    let random = || std::hash::RandomState::new().hash_one(1_u8);
    from_environment("BRIMFUL_SEED").unwrap_or_else(random)
}

/// Of all operations asked for, so many hundredths.
fn budget(hundredths: usize) -> usize {
    let all = from_environment("BRIMFUL_MODEL_OPS").unwrap_or(1_000_000);
    all as usize / 100 * hundredths
}

/// Random cases of random operations, each with a seed of its own.
fn drive(hundredths: usize, config: impl Fn(&mut Dice) -> Config) {
    hush_expected_panics();
    let (seed, wanted) = (seed(), budget(hundredths));
    let (mut done, mut cases) = (0, 0_u64);
    println!("BRIMFUL_SEED={seed}");
    while done < wanted.max(1) {
        let case = seed.wrapping_add(cases);
        let mut dice = Dice(mix(case));
        let config = config(&mut dice);
        let length = 1 + dice.below(3_000);
        let ops: Vec<Op> = (0..length).map(|_| Op::of(dice.throw())).collect();
        if let Err((at, text)) = run(&config, &ops) {
            let last = &ops[at.saturating_sub(5)..ops.len().min(at + 1)];
            println!("operation {at} failed: {text}\nthe last ones: {last:?}");
            let shrunk = shrunk(&config, &ops, (at, text));
            panic!("replay by BRIMFUL_SEED={case} BRIMFUL_MODEL_OPS=1\n{shrunk}");
        }
        done += ops.len();
        cases += 1;
    }
    println!("{done} operations in {cases} cases agree");
}

fn any_config(order: Order) -> impl Fn(&mut Dice) -> Config {
    move |dice| Config::of(order, dice.throw(), dice.throw())
}

#[test]
fn lru_evicts_the_least_recently_used_whatever_is_done_to_it() {
    drive(12, any_config(Order::Lru));
}

#[test]
fn fifo_evicts_the_oldest_whatever_is_done_to_it() {
    drive(12, any_config(Order::Fifo));
}

#[test]
fn sieve_evicts_whom_its_paper_says_whatever_is_done_to_it() {
    drive(12, any_config(Order::Sieve));
}

#[test]
fn s3_fifo_evicts_whom_its_queues_say_whatever_is_done_to_it() {
    drive(12, any_config(Order::S3Fifo));
}

#[test]
fn lfu_evicts_who_is_due_first_whatever_is_done_to_it() {
    drive(12, any_config(Order::Lfu));
}

#[test]
fn gdsf_evicts_who_is_due_first_whatever_is_done_to_it() {
    drive(12, any_config(Order::Gdsf));
}

/// Mostly few shards, which are seldom in doubt, and large enough for ghosts of
/// both queues.
fn duel_config(dice: &mut Dice) -> Config {
    let mut throw = dice.throw();
    if dice.below(4) > 0 {
        throw[0] %= 4;
        throw[1] = 4 + throw[1] % 37;
    }
    Config::of(Order::Duel, throw, dice.throw())
}

#[test]
fn duel_evicts_whom_its_pseudo_code_says_whatever_is_done_to_it() {
    drive(24, duel_config);
}

fn any_order(n: u64) -> Order {
    let orders = [
        Order::Lru,
        Order::Fifo,
        Order::Sieve,
        Order::S3Fifo,
        Order::Lfu,
        Order::Gdsf,
        Order::Duel,
    ];
    orders[n as usize % orders.len()]
}

#[test]
fn colliding_hashes_break_neither_the_bound_nor_the_order_nor_find_another_key() {
    drive(9, |dice| {
        let order = any_order(dice.next());
        let spread = [Spread::OneBit, Spread::AllEqual][dice.below(2) as usize];
        Config {
            spread,
            ..any_config(order)(dice)
        }
    });
}

#[test]
fn weights_up_to_the_largest_there_is_neither_wrap_nor_pass() {
    drive(9, |dice| {
        let order = any_order(dice.next());
        let capacity = u64::MAX - dice.below(2);
        Config {
            weighed: true,
            hefts: Hefts::Wild,
            capacity,
            ..any_config(order)(dice)
        }
    });
}

#[test]
fn keys_that_contradict_themselves_break_neither_the_bound_nor_the_ledger() {
    drive(9, |dice| Config {
        contrary: true,
        ..any_config(any_order(dice.next()))(dice)
    });
}

/// The same rig under proptest, which shrinks configuration and operations.
#[test]
fn short_cases_agree_in_every_step_and_shrink_when_they_do_not() {
    hush_expected_panics();
    let seed = seed();
    println!("BRIMFUL_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = (budget(10) / 100).clamp(20, 20_000) as u32;
    let settings = proptest::test_runner::Config {
        cases,
        failure_persistence: None,
        ..Default::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(settings, rng);
    let ops = proptest::collection::vec(any::<[u16; 4]>(), 1..200);
    let strategy = (0..7_u64, any::<[u16; 4]>(), any::<[u16; 4]>(), ops);
    let result = runner.run(&strategy, |(order, first, second, throws)| {
        let (config, ops) = short_case(order, first, second, &throws);
        run(&config, &ops).map_err(|(at, text)| TestCaseError::fail(format!("{at}: {text}")))
    });
    if let Err(TestError::Fail(why, (order, first, second, throws))) = result {
        let case = short_case(order, first, second, &throws);
        panic!("{why}\nreplay by BRIMFUL_SEED={seed}\n{case:#?}");
    }
    result.expect("proptest to run");
}

fn short_case(
    order: u64,
    first: [u16; 4],
    second: [u16; 4],
    throws: &[[u16; 4]],
) -> (Config, Vec<Op>) {
    let config = Config {
        every: 1,
        ..Config::of(any_order(order), first, second)
    };
    (config, throws.iter().map(|throw| Op::of(*throw)).collect())
}

#[test]
fn what_retain_lets_go_is_removed_and_costs_nobody_its_place() {
    let cache = Cache::weighted(10, |_: &u32, weight: &u64| *weight);
    cache.insert_weighted(1, 100, 1);
    cache.insert(2, 9);
    cache.retain(|key, _| *key != 1);
    assert_eq!(cache.stats().departures(Cause::Removed), 1);
    cache.insert(3, 1);
    cache.retain(|key, weight| {
        *weight = 10;
        *key == 2
    });
    assert_eq!(cache.stats().departures(Cause::Refused), 0);
    assert_eq!(cache.peek(&2), Some(10));
}

#[test]
fn a_value_that_grows_takes_room_from_its_own_shard_however_little_that_holds() {
    let cache = Cache::builder(Weight(100, |_: &u32, weight: &u64| *weight));
    let cache = cache.shards(2).build().unwrap();
    let mut of_shard = [Vec::new(), Vec::new()];
    (0..100).for_each(|key| of_shard[cache.shard_of(&key)].push(key));
    let [few, many] = of_shard;
    for key in few[..3].iter().chain(&many[..7]) {
        cache.insert(*key, 10);
    }
    assert_eq!(cache.len(), 10);
    assert_eq!(
        cache.update(&few[0], |weight| *weight = 15),
        Updated::Kept(())
    );
    assert_eq!((cache.len(), cache.weight()), (9, 95));
}

#[test]
fn a_capacity_of_0_keeps_not_even_what_weighs_nothing() {
    let cache = Cache::builder(Weight(5, |_: &u32, _: &u32| 0)).entry_limit(5);
    let cache = cache.shards(3).build().unwrap();
    cache.extend((0..5).map(|n| (n, n)));
    assert_eq!((cache.len(), cache.weight()), (5, 0));
    cache.set_capacity(0);
    assert!(cache.is_empty());
    assert!(cache.try_insert(1, 1).is_err());
    assert!(cache.is_empty());
}

#[test]
fn an_entry_that_grows_against_the_order_is_still_known_as_hit() {
    let cache = Cache::builder(Weight(10, |_: &u32, weight: &u64| *weight));
    let cache = cache.policy::<S3Fifo>().shards(1).build().unwrap();
    cache.extend((1..=11).map(|key| (key, 1)));
    // Now 1 and 11 are in the small queue, which is over its share.
    assert_eq!(cache.update(&1, |weight| *weight = 2), Updated::Kept(()));
    assert!(cache.contains_key(&1) && !cache.contains_key(&11));
    cache.set_capacity(0);
    let stats = cache.stats();
    assert_eq!(stats.departures(Cause::Evicted), 11);
    assert_eq!(stats.evicted_unhit(), 10);
}
