//! User code may panic anywhere: hash, eq, clone, weigher, listener, loader,
//! closures, iterators, drop of keys and values, and a policy of the user's own.
//!
//! A *fuse* blows at the n-th call of one kind of user code, in every operation
//! of `Cache` (one shard and several) and `unsync::Cache`, plain and weighed.
//! After each caught panic: the panic is the fuse's own; `check()` recounts; every
//! key and value constructed is dropped once, resident or in the caller's hands;
//! every value that left was told exactly once, with its key and a cause that fits
//! the call, as often as the statistics say; and the next calls answer right.
//! Processes of their own show that two panics at once never abort.
//!
//! Scale: `BRIMFUL_PANICS` caught panics (default 5,000; the full run 100,000).
//! Replay: `BRIMFUL_SEED` (printed), and `BRIMFUL_ROUND` for one round of it.
//! Covers faults 1 to 8, 27, 44, 62 and goal G4.

use brimful::policy::{
    Duel, Fifo, Gdsf, Lfu, Lru, Meta, Policy, Residents, S3Fifo, Sieve, Slot, Tag, Touch, Weighed,
};
use brimful::{Cache, Cause, Entries, Refused, Snapshot, Weight, unsync};
use std::any::Any;
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::sync::Once;

// ---- the world: fuses and ledgers of one thread ----

/// An enum with a list of all there is.
macro_rules! listed {
    ($(#[$doc:meta])* enum $name:ident { $($one:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        enum $name { $($one),* }

        impl $name {
            const ALL: &[$name] = &[$($name::$one),*];
        }
    };
}

listed! {
    /// A kind of user code.
    enum Site {
        Hash, Eq, CloneKey, CloneValue, Weigher, Listener,
        DropKey, DropValue, Closure, Loader, Policy,
    }
}

impl Site {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a fuse panics with.
struct Blown;

struct Told {
    key: u32,
    value: usize,
    cause: Cause,
}

/// Who is born, told and dead. Ids are positions.
#[derive(Default)]
struct Ledger {
    keys: Vec<bool>,
    values: Vec<bool>,
    times_told: Vec<u32>,
    told: Vec<Told>,
    faults: Vec<String>,
    alive_keys: usize,
    alive_values: usize,
}

#[derive(Default)]
struct World {
    /// Burn down one after the other.
    fuses: RefCell<Vec<(Site, u32)>>,
    /// Kinds of code that panic at every call.
    always: Cell<u16>,
    blown: Cell<u32>,
    ledger: RefCell<Ledger>,
    /// Where we are, for messages.
    place: RefCell<String>,
}

thread_local! {
    static WORLD: World = World::default();
}

impl World {
    fn burns(&self, site: Site) -> bool {
        if self.always.get() & site.bit() != 0 {
            self.blown.set(self.blown.get() + 1);
            return true;
        }
        let mut fuses = self.fuses.borrow_mut();
        match fuses.first_mut() {
            Some((at, left)) if *at == site => *left -= 1,
            _ => return false,
        }
        if fuses[0].1 > 0 {
            return false;
        }
        fuses.remove(0);
        self.blown.set(self.blown.get() + 1);
        true
    }
}

/// Called wherever user code runs.
fn spark(site: Site) {
    if WORLD.with(|world| world.burns(site)) {
        ORDER_IS_SOUND.set(ORDER_IS_SOUND.get() && site != Site::Policy);
        panic_any(Blown);
    }
}

fn arm(fuses: &[(Site, u32)]) {
    WORLD.with(|world| {
        world.blown.set(0);
        *world.fuses.borrow_mut() = fuses.to_vec();
    });
}

fn always(sites: &[Site]) {
    let mask = sites.iter().fold(0, |mask, site| mask | site.bit());
    WORLD.with(|world| {
        world.blown.set(0);
        world.always.set(mask);
    });
}

/// Puts the fuses out; says how many blew.
fn disarm() -> u32 {
    WORLD.with(|world| {
        world.fuses.borrow_mut().clear();
        world.always.set(0);
        world.blown.replace(0)
    })
}

fn ledger<R>(read: impl FnOnce(&mut Ledger) -> R) -> R {
    WORLD.with(|world| read(&mut world.ledger.borrow_mut()))
}

fn at(place: String) {
    WORLD.with(|world| *world.place.borrow_mut() = place);
}

/// Fuses blow silently; any other panic says where, also one that aborts.
fn silence_fuses() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Blown>() {
                let place = WORLD.with(|world| world.place.borrow().clone());
                eprintln!("at {place}:");
                usual(info);
            }
        }));
    });
}

// ---- keys and values that are counted one by one ----

/// The key as it is looked up with.
#[derive(Debug)]
struct Look(u32);

#[derive(Debug)]
struct Key {
    look: Look,
    id: usize,
}

impl Key {
    fn new(n: u32) -> Self {
        let id = ledger(|ledger| {
            ledger.keys.push(true);
            ledger.alive_keys += 1;
            ledger.keys.len() - 1
        });
        let look = Look(n);
        Self { look, id }
    }

    fn n(&self) -> u32 {
        self.look.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        ledger(|ledger| {
            if !std::mem::replace(&mut ledger.keys[self.id], false) {
                ledger.faults.push(format!("key {self:?} dropped twice"));
            }
            ledger.alive_keys -= 1;
        });
        spark(Site::DropKey);
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        self.look.to_owned()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.look.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.look == other.look
    }
}

impl Eq for Key {}

impl Hash for Look {
    fn hash<H: Hasher>(&self, state: &mut H) {
        spark(Site::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        spark(Site::Eq);
        self.0 == other.0
    }
}

impl Eq for Look {}

impl Borrow<Look> for Key {
    fn borrow(&self) -> &Look {
        &self.look
    }
}

impl ToOwned for Look {
    type Owned = Key;

    fn to_owned(&self) -> Key {
        spark(Site::CloneKey);
        Key::new(self.0)
    }
}

#[derive(Debug)]
struct Val {
    id: usize,
    /// The id of what this is a clone of.
    origin: usize,
    weight: u64,
}

impl Val {
    fn new(weight: u64) -> Self {
        let id = ledger(|ledger| {
            ledger.values.push(true);
            ledger.times_told.push(0);
            ledger.alive_values += 1;
            ledger.values.len() - 1
        });
        let origin = id;
        Self { id, origin, weight }
    }
}

impl Default for Val {
    fn default() -> Self {
        spark(Site::Loader);
        Val::new(1)
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        ledger(|ledger| {
            if !std::mem::replace(&mut ledger.values[self.id], false) {
                ledger.faults.push(format!("v{} dropped twice", self.id));
            }
            ledger.alive_values -= 1;
        });
        spark(Site::DropValue);
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        spark(Site::CloneValue);
        let mut copy = Val::new(self.weight);
        copy.origin = self.origin;
        copy
    }
}

/// Writes down before it panics.
fn listener(key: &Key, value: &Val, cause: Cause) {
    ledger(|ledger| {
        ledger.times_told[value.id] += 1;
        ledger.told.push(Told {
            key: key.n(),
            value: value.id,
            cause,
        });
    });
    spark(Site::Listener);
}

fn weigher(_: &Key, value: &Val) -> u64 {
    spark(Site::Weigher);
    value.weight
}

// ---- policies that panic ----

/// Any policy, with a fuse before and after each of its calls.
#[derive(Debug)]
struct Fused<P>(P);

thread_local! {
    /// A policy that panicked may have lost its order; its own check is off then.
    static ORDER_IS_SOUND: Cell<bool> = const { Cell::new(true) };
    /// How many fuses blew in the last call.
    static LAST_BLOWN: Cell<u32> = const { Cell::new(0) };
}

fn around<R>(call: impl FnOnce() -> R) -> R {
    spark(Site::Policy);
    let answer = call();
    spark(Site::Policy);
    answer
}

impl<P: Policy> Policy for Fused<P> {
    type Meta = P::Meta;
    const TOUCH: Touch = P::TOUCH;

    fn new(share: u64, seed: u64) -> Self {
        Self(around(|| P::new(share, seed)))
    }
    fn miss(&mut self, tag: Tag, weight: u64) {
        around(|| self.0.miss(tag, weight));
    }
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<P::Meta>) {
        around(|| self.0.admit(slot, tag, residents));
    }
    fn mark(meta: &mut P::Meta) {
        around(|| P::mark(meta));
    }
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<P::Meta>) {
        around(|| self.0.touch(slot, residents));
    }
    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<P::Meta>) {
        around(|| self.0.reweighed(slot, before, residents));
    }
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<P::Meta>) {
        around(|| self.0.forget(slot, residents));
    }
    fn victim(&mut self, residents: &mut impl Residents<P::Meta>) -> Option<Slot> {
        around(|| self.0.victim(residents))
    }
    fn moved(&mut self, residents: &mut impl Residents<P::Meta>) {
        around(|| self.0.moved(residents));
    }
    fn resized(&mut self, share: u64) {
        around(|| self.0.resized(share));
    }
    fn was_hit(meta: &P::Meta) -> Option<bool> {
        around(|| P::was_hit(meta))
    }
    fn missed_a_ghost(&self) -> bool {
        around(|| self.0.missed_a_ghost())
    }
    fn check(&self, residents: &mut impl Residents<P::Meta>) {
        if ORDER_IS_SOUND.get() {
            self.0.check(residents);
        }
    }
}

impl<P> Drop for Fused<P> {
    fn drop(&mut self) {
        spark(Site::Policy);
    }
}

/// A user's policy without any order, as in the documentation.
#[derive(Debug)]
struct AtRandom(u64);

/// What it keeps in an entry: nothing, but making it may panic.
#[derive(Debug)]
struct Fickle;

impl Default for Fickle {
    fn default() -> Self {
        spark(Site::Policy);
        Fickle
    }
}

impl Meta for Fickle {}

impl Policy for AtRandom {
    type Meta = Fickle;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(seed | 1)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<Fickle>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<Fickle>) {}
    fn victim(&mut self, residents: &mut impl Residents<Fickle>) -> Option<Slot> {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        residents.nth(self.0 >> 32)
    }
    fn moved(&mut self, _: &mut impl Residents<Fickle>) {}
}

// ---- the doors, behind one trait ----

type Seeded = BuildHasherDefault<DefaultHasher>;

/// What a round's caches are built with.
#[derive(Clone, Copy, Debug)]
struct Plan {
    capacity: u64,
    shards: usize,
    entry_limit: Option<usize>,
}

/// A policy with a capacity: plain or weighed.
trait Form {
    type P: Policy;
    const WEIGHED: bool;

    fn shared(plan: Plan) -> Cache<Key, Val, Self::P, Seeded>;
    fn alone(plan: Plan) -> unsync::Cache<Key, Val, Self::P, Seeded>;
    fn insert_weighted(cache: &Cache<Key, Val, Self::P, Seeded>, call: Call) -> Option<Val>;
    fn insert_weighted_alone(
        cache: &mut unsync::Cache<Key, Val, Self::P, Seeded>,
        call: Call,
    ) -> Option<Val>;
    fn weight_of(cache: &Cache<Key, Val, Self::P, Seeded>, key: u32) -> Option<u64>;
}

struct Plain<P>(PhantomData<P>);
struct Weighty<P>(PhantomData<P>);

impl<P: Policy> Form for Plain<P> {
    type P = P;
    const WEIGHED: bool = false;

    fn shared(plan: Plan) -> Cache<Key, Val, P, Seeded> {
        let builder = Cache::builder(Entries(plan.capacity as usize)).policy::<P>();
        let builder = builder.hasher(Seeded::default()).shards(plan.shards);
        builder.listener(listener).build().unwrap()
    }
    fn alone(plan: Plan) -> unsync::Cache<Key, Val, P, Seeded> {
        let builder = Cache::builder(Entries(plan.capacity as usize)).policy::<P>();
        let builder = builder.hasher(Seeded::default());
        builder.listener(listener).build_unsync().unwrap()
    }
    fn insert_weighted(cache: &Cache<Key, Val, P, Seeded>, call: Call) -> Option<Val> {
        cache.insert(Key::new(call.key), Val::new(call.weight))
    }
    fn insert_weighted_alone(
        cache: &mut unsync::Cache<Key, Val, P, Seeded>,
        call: Call,
    ) -> Option<Val> {
        cache.insert(Key::new(call.key), Val::new(call.weight))
    }
    fn weight_of(cache: &Cache<Key, Val, P, Seeded>, key: u32) -> Option<u64> {
        cache.contains_key(&Look(key)).then_some(1)
    }
}

impl<P: Policy> Form for Weighty<P> {
    type P = Weighed<P>;
    const WEIGHED: bool = true;

    fn shared(plan: Plan) -> Cache<Key, Val, Weighed<P>, Seeded> {
        let builder = Cache::builder(Weight(plan.capacity, weigher)).policy::<P>();
        let builder = builder.hasher(Seeded::default()).shards(plan.shards);
        let builder = match plan.entry_limit {
            Some(limit) => builder.entry_limit(limit),
            None => builder,
        };
        builder.listener(listener).build().unwrap()
    }
    fn alone(plan: Plan) -> unsync::Cache<Key, Val, Weighed<P>, Seeded> {
        let builder = Cache::builder(Weight(plan.capacity, weigher)).policy::<P>();
        let builder = builder.hasher(Seeded::default());
        let builder = match plan.entry_limit {
            Some(limit) => builder.entry_limit(limit),
            None => builder,
        };
        builder.listener(listener).build_unsync().unwrap()
    }
    fn insert_weighted(cache: &Cache<Key, Val, Weighed<P>, Seeded>, call: Call) -> Option<Val> {
        cache.insert_weighted(Key::new(call.key), Val::new(call.weight), call.weight)
    }
    fn insert_weighted_alone(
        cache: &mut unsync::Cache<Key, Val, Weighed<P>, Seeded>,
        call: Call,
    ) -> Option<Val> {
        cache.insert_weighted(Key::new(call.key), Val::new(call.weight), call.weight)
    }
    fn weight_of(cache: &Cache<Key, Val, Weighed<P>, Seeded>, key: u32) -> Option<u64> {
        cache.weight_of(&Look(key))
    }
}

/// What calls hand back, kept until the fuses are out.
#[derive(Default)]
struct Hand {
    keys: Vec<Key>,
    values: Vec<Val>,
}

impl Hand {
    fn value(&mut self, value: impl IntoIterator<Item = Val>) {
        self.values.extend(value);
    }

    fn entries(&mut self, entries: impl IntoIterator<Item = (Key, Val)>) {
        for (key, value) in entries {
            self.keys.push(key);
            self.values.push(value);
        }
    }

    fn verdict(&mut self, verdict: Result<Option<Val>, Refused<Key, Val>>) {
        match verdict {
            Ok(old) => self.value(old),
            Err(refused) => {
                self.value(refused.old);
                self.entries([(refused.key, refused.value)]);
            }
        }
    }
}

listed! {
    enum Op {
        Get, View, Peek, ContainsKey, WeightOf, Iter, Keys, Values,
        Insert, TryInsert, InsertWeighted, Extend,
        GetOrInsertWith, OrInsert, OrInsertWith, OrDefault, AndModify,
        Remove, RemoveEntry, RemoveIf, Update, GetMut, Retain,
        Drain, Clear, SetCapacity, ShrinkToFit, Drop, IntoIter,
    }
}

impl Op {
    /// The causes with which values may leave in this call.
    fn causes(self) -> &'static [Cause] {
        match self {
            Op::Insert | Op::TryInsert | Op::InsertWeighted | Op::Extend => {
                &[Cause::Evicted, Cause::Replaced, Cause::Refused]
            }
            Op::GetOrInsertWith | Op::OrInsert | Op::OrInsertWith | Op::OrDefault => {
                &[Cause::Evicted, Cause::Refused]
            }
            Op::AndModify | Op::Update | Op::GetMut => &[Cause::Evicted, Cause::Refused],
            Op::Remove | Op::RemoveEntry | Op::RemoveIf | Op::Drain => &[Cause::Removed],
            Op::Retain => &[Cause::Removed, Cause::Evicted, Cause::Refused],
            Op::Clear => &[Cause::Cleared],
            Op::SetCapacity => &[Cause::Evicted],
            Op::Drop => &[Cause::CacheDropped],
            Op::IntoIter => &[Cause::Removed, Cause::CacheDropped],
            _ => &[],
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    op: Op,
    key: u32,
    weight: u64,
    n: usize,
}

trait Door {
    const ALONE: bool;

    fn open(plan: Plan) -> Self;
    fn call(&mut self, call: Call, hand: &mut Hand);
    /// How often the cache was replaced by a fresh one.
    fn lives(&self) -> u32;
    fn residents(&self) -> BTreeMap<u32, usize>;
    fn stats(&self) -> Snapshot;
    fn figures(&self) -> (u64, u64, u64);
    fn check(&mut self);
}

fn in_closure() {
    spark(Site::Closure);
}

fn load(weight: u64) -> Val {
    spark(Site::Loader);
    Val::new(weight)
}

fn change(value: &mut Val, weight: u64) {
    value.weight = weight;
    in_closure();
}

fn many(call: Call) -> impl Iterator<Item = (Key, Val)> {
    (0..call.n).map(move |i| {
        in_closure();
        (Key::new(call.key + i as u32), Val::new(call.weight))
    })
}

struct Shared<F: Form> {
    cache: Cache<Key, Val, F::P, Seeded>,
    plan: Plan,
    lives: u32,
}

impl<F: Form> Shared<F> {
    fn read(&self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&self.cache, &Look(call.key));
        match call.op {
            Op::Get => hand.value(cache.get(key)),
            Op::View => drop(cache.view(key, |_, _| in_closure())),
            Op::Peek => hand.value(cache.peek(key)),
            Op::ContainsKey => drop(cache.contains_key(key)),
            Op::WeightOf => drop(F::weight_of(cache, call.key)),
            Op::Iter => hand.entries(cache.iter().take(call.n)),
            Op::Keys => hand.keys.extend(cache.keys().take(call.n)),
            Op::Values => hand.value(cache.values().take(call.n)),
            _ => self.write(call, hand),
        }
    }

    fn write(&self, call: Call, hand: &mut Hand) {
        let (cache, weight) = (&self.cache, call.weight);
        let key = || Key::new(call.key);
        match call.op {
            Op::Insert => hand.value(cache.insert(key(), Val::new(weight))),
            Op::TryInsert => hand.verdict(cache.try_insert(key(), Val::new(weight))),
            Op::InsertWeighted => hand.value(F::insert_weighted(cache, call)),
            Op::Extend => cache.extend(many(call)),
            Op::GetOrInsertWith => {
                hand.value([cache.get_or_insert_with(&Look(call.key), || load(weight))]);
            }
            Op::OrInsert => hand.value([cache.entry(key()).or_insert(Val::new(weight))]),
            Op::OrInsertWith => hand.value([cache.entry(key()).or_insert_with(|| load(weight))]),
            Op::OrDefault => hand.value([cache.entry(key()).or_default()]),
            Op::AndModify => {
                let entry = cache.entry(key()).and_modify(|value| change(value, weight));
                hand.value([entry.or_insert(Val::new(1))]);
            }
            _ => self.take(call, hand),
        }
    }

    fn take(&self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&self.cache, &Look(call.key));
        match call.op {
            Op::Remove => hand.value(cache.remove(key)),
            Op::RemoveEntry => hand.entries(cache.remove_entry(key)),
            Op::RemoveIf => hand.value(cache.remove_if(key, |_, _| {
                in_closure();
                call.n % 4 > 0
            })),
            Op::Update | Op::GetMut => {
                let _ = cache.update(key, |value| change(value, call.weight));
            }
            Op::Retain => cache.retain(|key, value| {
                change(value, call.weight);
                key.n() as usize % 16 >= call.n % 16
            }),
            Op::Drain => hand.entries(cache.drain().take(call.n)),
            Op::Clear => cache.clear(),
            Op::SetCapacity => cache.set_capacity(call.weight),
            _ => cache.shrink_to_fit(),
        }
    }

    fn replace(&mut self) -> Cache<Key, Val, F::P, Seeded> {
        let fresh = F::shared(self.plan);
        self.lives += 1;
        std::mem::replace(&mut self.cache, fresh)
    }
}

impl<F: Form> Door for Shared<F> {
    const ALONE: bool = false;

    fn open(plan: Plan) -> Self {
        Self {
            cache: F::shared(plan),
            plan,
            lives: 0,
        }
    }

    fn call(&mut self, call: Call, hand: &mut Hand) {
        match call.op {
            Op::Drop => drop(self.replace()),
            Op::IntoIter => hand.entries(self.replace().into_iter().take(call.n)),
            _ => self.read(call, hand),
        }
    }

    fn lives(&self) -> u32 {
        self.lives
    }

    fn residents(&self) -> BTreeMap<u32, usize> {
        let values: Vec<_> = self.cache.iter().collect();
        let held = values.iter().map(|(key, value)| (key.n(), value.origin));
        held.collect()
    }

    fn stats(&self) -> Snapshot {
        self.cache.stats()
    }

    fn figures(&self) -> (u64, u64, u64) {
        let cache = &self.cache;
        (cache.len() as u64, cache.weight(), cache.capacity())
    }

    fn check(&mut self) {
        self.cache.check();
    }
}

struct Alone<F: Form> {
    cache: unsync::Cache<Key, Val, F::P, Seeded>,
    plan: Plan,
    lives: u32,
}

impl<F: Form> Alone<F> {
    fn read(&mut self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&mut self.cache, &Look(call.key));
        match call.op {
            Op::Get => drop(cache.get(key)),
            Op::View => drop(cache.view(key, |_, _| in_closure())),
            Op::Peek => drop(cache.peek(key)),
            Op::ContainsKey | Op::WeightOf => drop(cache.contains_key(key)),
            Op::Iter => drop(cache.iter().take(call.n).count()),
            Op::Keys => drop(cache.keys().take(call.n).count()),
            Op::Values => drop(cache.values().take(call.n).count()),
            _ => self.write(call, hand),
        }
    }

    fn write(&mut self, call: Call, hand: &mut Hand) {
        let (cache, weight) = (&mut self.cache, call.weight);
        let key = || Key::new(call.key);
        match call.op {
            Op::Insert => hand.value(cache.insert(key(), Val::new(weight))),
            Op::TryInsert => hand.verdict(cache.try_insert(key(), Val::new(weight))),
            Op::InsertWeighted => hand.value(F::insert_weighted_alone(cache, call)),
            Op::Extend => cache.extend(many(call)),
            Op::GetOrInsertWith => {
                let verdict = cache.get_or_insert_with(&Look(call.key), || load(weight));
                hand.verdict(verdict.map(|_| None));
            }
            Op::OrInsert => {
                let verdict = cache.entry(key()).or_insert(Val::new(weight));
                hand.verdict(verdict.map(|_| None));
            }
            Op::OrInsertWith => {
                let verdict = cache.entry(key()).or_insert_with(|| load(weight));
                hand.verdict(verdict.map(|_| None));
            }
            Op::OrDefault => {
                let verdict = cache.entry(key()).or_default();
                hand.verdict(verdict.map(|mut value| {
                    change(&mut value, weight);
                    None
                }));
            }
            Op::AndModify => {
                let entry = cache.entry(key()).and_modify(|value| change(value, weight));
                hand.verdict(entry.or_insert(Val::new(1)).map(|_| None));
            }
            _ => self.take(call, hand),
        }
    }

    fn take(&mut self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&mut self.cache, &Look(call.key));
        match call.op {
            Op::Remove => hand.value(cache.remove(key)),
            Op::RemoveEntry => hand.entries(cache.remove_entry(key)),
            Op::RemoveIf => hand.value(cache.remove_if(key, |_, _| {
                in_closure();
                call.n % 4 > 0
            })),
            Op::Update => {
                let _ = cache.update(key, |value| change(value, call.weight));
            }
            Op::GetMut => {
                if let Some(mut value) = cache.get_mut(key) {
                    change(&mut value, call.weight);
                }
            }
            Op::Retain => cache.retain(|key, value| {
                change(value, call.weight);
                key.n() as usize % 16 >= call.n % 16
            }),
            Op::Drain => hand.entries(cache.drain().take(call.n)),
            Op::Clear => cache.clear(),
            Op::SetCapacity => cache.set_capacity(call.weight),
            _ => cache.shrink_to_fit(),
        }
    }

    fn replace(&mut self) -> unsync::Cache<Key, Val, F::P, Seeded> {
        let fresh = F::alone(self.plan);
        self.lives += 1;
        std::mem::replace(&mut self.cache, fresh)
    }
}

impl<F: Form> Door for Alone<F> {
    const ALONE: bool = true;

    fn open(plan: Plan) -> Self {
        Self {
            cache: F::alone(plan),
            plan,
            lives: 0,
        }
    }

    fn call(&mut self, call: Call, hand: &mut Hand) {
        match call.op {
            Op::Drop => drop(self.replace()),
            Op::IntoIter => hand.entries(self.replace().into_iter().take(call.n)),
            _ => self.read(call, hand),
        }
    }

    fn lives(&self) -> u32 {
        self.lives
    }

    fn residents(&self) -> BTreeMap<u32, usize> {
        let held = self.cache.iter().map(|(key, value)| (key.n(), value.id));
        held.collect()
    }

    fn stats(&self) -> Snapshot {
        self.cache.stats()
    }

    fn figures(&self) -> (u64, u64, u64) {
        let cache = &self.cache;
        (cache.len() as u64, cache.weight(), cache.capacity())
    }

    fn check(&mut self) {
        self.cache.check();
    }
}

// ---- one call, and the books after it ----

struct Before {
    residents: BTreeMap<u32, usize>,
    stats: Snapshot,
    lives: u32,
    next_value: usize,
}

impl Before {
    fn of(door: &impl Door) -> Self {
        let residents = door.residents();
        let next_value = ledger(|ledger| {
            ledger.told.clear();
            ledger.values.len()
        });
        Self {
            residents,
            stats: door.stats(),
            lives: door.lives(),
            next_value,
        }
    }
}

type Ended = Result<(), Box<dyn Any + Send>>;

/// Makes a call with fuses burning and proves the books right; says whether it panicked.
fn make(door: &mut impl Door, call: Call, fuses: &[(Site, u32)]) -> (bool, Hand) {
    let before = Before::of(door);
    let mut hand = Hand::default();
    arm(fuses);
    let ended = catch_unwind(AssertUnwindSafe(|| door.call(call, &mut hand)));
    let blown = disarm();
    LAST_BLOWN.set(blown);
    prove(door, call, &before, &hand, &ended, blown);
    (ended.is_err(), hand)
}

fn prove(
    door: &mut impl Door,
    call: Call,
    before: &Before,
    hand: &Hand,
    ended: &Ended,
    blown: u32,
) {
    match ended {
        Ok(()) => assert_eq!(blown, 0, "a panic was swallowed"),
        Err(payload) => assert!(payload.is::<Blown>(), "a panic of brimful's own"),
    }
    door.check();
    let after = door.residents();
    everything_is_somewhere(&after, hand);
    told_is_right(call, before, &after);
    departures_agree(door, before);
    if ended.is_ok() {
        offered_is_in_or_told(call, before, &after);
    }
    ledger(|ledger| assert!(ledger.faults.is_empty(), "{:?}", ledger.faults));
    let (len, _, _) = door.figures();
    assert_eq!(len, after.len() as u64);
}

/// Born = dropped + resident + in the caller's hands, one by one.
fn everything_is_somewhere(after: &BTreeMap<u32, usize>, hand: &Hand) {
    ledger(|ledger| {
        let lost = "keys lost (or dropped twice)";
        assert_eq!(ledger.alive_keys, after.len() + hand.keys.len(), "{lost}");
        let lost = "values lost (or dropped twice)";
        let held = after.len() + hand.values.len();
        assert_eq!(ledger.alive_values, held, "{lost}");
        for &id in after.values() {
            assert!(ledger.values[id], "v{id} is resident and dropped");
        }
        for value in &hand.values {
            assert!(ledger.values[value.id], "v{} was dropped", value.id);
        }
    });
}

/// Who left was told once, with the right key and a fitting cause; who stays, never.
fn told_is_right(call: Call, before: &Before, after: &BTreeMap<u32, usize>) {
    ledger(|ledger| {
        for &id in after.values() {
            assert_eq!(ledger.times_told[id], 0, "v{id} is resident and told");
        }
        for (key, &id) in &before.residents {
            if after.get(key) != Some(&id) {
                assert_eq!(ledger.times_told[id], 1, "v{id} left: times told");
            }
        }
        for told in &ledger.told {
            let id = told.value;
            assert_eq!(ledger.times_told[id], 1, "v{id}: times told");
            if id < before.next_value {
                assert_eq!(before.residents.get(&told.key), Some(&id), "told v{id}");
            }
            let fits = call.op.causes().contains(&told.cause);
            assert!(fits, "v{id} told as {}", told.cause);
        }
    });
}

/// As many were told, by cause, as the statistics say.
fn departures_agree(door: &impl Door, before: &Before) {
    let stats = door.stats();
    let fresh = door.lives() != before.lives;
    for cause in Cause::ALL {
        let told = ledger(|l| l.told.iter().filter(|told| told.cause == cause).count());
        let base = before.stats.departures(cause);
        let left = if fresh {
            assert_eq!(stats.departures(cause), 0);
            continue;
        } else {
            stats.departures(cause) - base
        };
        assert_eq!(told as u64, left, "told and counted as {cause}");
    }
    if fresh {
        let told = ledger(|ledger| ledger.told.len());
        assert_eq!(told, before.residents.len(), "told of a dropped cache");
    }
}

fn offered_is_in_or_told(call: Call, before: &Before, after: &BTreeMap<u32, usize>) {
    if matches!(call.op, Op::Insert | Op::TryInsert) {
        let id = before.next_value;
        let told = ledger(|ledger| ledger.times_told[id]);
        let stored = after.get(&call.key) == Some(&id);
        assert!(stored != (told == 1), "v{id}: stored {stored}, told {told}");
    }
}

/// After a caught panic ordinary calls must answer right.
fn next_calls_are_right(door: &mut impl Door, key: u32) {
    let held = door.residents().get(&key).copied();
    let call = |op| Call {
        op,
        key,
        weight: 1,
        n: 1,
    };
    let ids = |hand: &Hand| hand.values.first().map(|value| value.origin);

    let (_, hand) = make(door, call(Op::Insert), &[]);
    assert_eq!(ids(&hand), held, "what insert replaced");
    drop(hand);

    let (_, _, capacity) = door.figures();
    let stored = door.residents().get(&key).copied();
    assert_eq!(stored.is_some(), capacity > 0, "what was just inserted");

    let (_, hand) = make(door, call(Op::Remove), &[]);
    assert_eq!(ids(&hand), stored, "what remove returns");
    drop(hand);
    assert_eq!(door.residents().get(&key), None);
}

// ---- random rounds ----

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// Caught panics by call and site.
type Tally = BTreeMap<(Op, Site), u64>;

const KEYS: u64 = 24;

fn environment(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect(name))
}

fn seed() -> u64 {
    environment("BRIMFUL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16)
}

fn a_plan<F: Form>(rng: &mut Rng, shards: usize) -> Plan {
    let capacity = if F::WEIGHED { 40 } else { 12 };
    Plan {
        capacity,
        shards,
        entry_limit: (F::WEIGHED && rng.chance(3)).then_some(8),
    }
}

fn a_call<F: Form>(rng: &mut Rng) -> Call {
    // Two inserts in three, or the caches run empty.
    let op = match rng.below(3) {
        0 => rng.pick(Op::ALL),
        1 => rng.pick(&[
            Op::Insert,
            Op::TryInsert,
            Op::InsertWeighted,
            Op::Extend,
            Op::GetOrInsertWith,
            Op::OrInsertWith,
        ]),
        _ => rng.pick(&Op::ALL[..Op::ALL.len() - 6]),
    };
    Call {
        op,
        key: rng.below(KEYS) as u32,
        weight: a_weight::<F>(rng, op),
        n: rng.below(30) as usize,
    }
}

fn a_weight<F: Form>(rng: &mut Rng, op: Op) -> u64 {
    let light = if F::WEIGHED { 8 } else { 14 };
    match (op, rng.below(12)) {
        (Op::SetCapacity, _) if !F::WEIGHED => rng.below(light),
        (Op::SetCapacity, _) => rng.below(50),
        (Op::Retain | Op::Extend, _) => rng.below(5),
        (_, 0) => 41 + rng.below(20),
        (_, 1) => 10 + rng.below(31),
        _ => rng.below(light),
    }
}

fn a_fuse(rng: &mut Rng, with_policy: bool) -> (Site, u32) {
    let sites = if with_policy { 11 } else { 10 };
    let site = if with_policy && rng.chance(3) {
        Site::Policy
    } else {
        Site::ALL[rng.below(sites) as usize]
    };
    let most = if rng.chance(3) { 24 } else { 3 };
    (site, 1 + rng.below(most) as u32)
}

/// Some fifty calls on one cache, most of them with a fuse; all is gone at the end.
fn round<F: Form, D: Door>(name: &str, rng: &mut Rng, shards: usize, tally: &mut Tally) -> u64 {
    WORLD.with(|world| *world.ledger.borrow_mut() = Ledger::default());
    ORDER_IS_SOUND.set(true);
    let plan = a_plan::<F>(rng, shards);
    let with_policy = rng.chance(3);
    let mut door = D::open(plan);
    let mut caught = 0;
    for step in 0..50 {
        let call = a_call::<F>(rng);
        let fuse = a_fuse(rng, with_policy);
        at(format!("{name}, step {step}, {call:?}, {fuse:?}, {plan:?}"));
        let (panicked, hand) = make(&mut door, call, &[fuse]);
        drop(hand);
        if panicked {
            caught += 1;
            *tally.entry((call.op, fuse.0)).or_default() += 1;
            next_calls_are_right(&mut door, rng.below(KEYS) as u32);
        }
    }
    drop(door);
    ledger(|ledger| assert_eq!((ledger.alive_keys, ledger.alive_values), (0, 0)));
    caught
}

fn round_of<P: Policy>(name: &str, rng: &mut Rng, tally: &mut Tally) -> u64 {
    let several = 2 + rng.below(6) as usize;
    type Fs<P> = Fused<P>;
    match rng.below(6) {
        0 => round::<Plain<Fs<P>>, Shared<Plain<Fs<P>>>>(name, rng, 1, tally),
        1 => round::<Plain<Fs<P>>, Shared<Plain<Fs<P>>>>(name, rng, several, tally),
        2 => round::<Plain<Fs<P>>, Alone<Plain<Fs<P>>>>(name, rng, 1, tally),
        3 => round::<Weighty<Fs<P>>, Shared<Weighty<Fs<P>>>>(name, rng, 1, tally),
        4 => round::<Weighty<Fs<P>>, Shared<Weighty<Fs<P>>>>(name, rng, several, tally),
        _ => round::<Weighty<Fs<P>>, Alone<Weighty<Fs<P>>>>(name, rng, 1, tally),
    }
}

fn a_round(seed: u64, index: u64, tally: &mut Tally) -> u64 {
    let mut rng = Rng(seed ^ index.wrapping_mul(0xD134_2543_DE82_EF95));
    let rng = &mut rng;
    let name = format!("BRIMFUL_SEED={seed} BRIMFUL_ROUND={index}");
    match rng.below(6) {
        0 => round_of::<Lru>(&name, rng, tally),
        1 => round_of::<Duel>(&name, rng, tally),
        4 => round_of::<S3Fifo>(&name, rng, tally),
        2 => round_of::<Lfu>(&name, rng, tally),
        3 => round_of::<Gdsf>(&name, rng, tally),
        _ => round_of::<AtRandom>(&name, rng, tally),
    }
}

#[test]
fn whatever_panics_nothing_is_lost_and_the_next_call_is_right() {
    silence_fuses();
    let seed = seed();
    let goal = environment("BRIMFUL_PANICS").unwrap_or(5_000);
    println!("BRIMFUL_SEED={seed}");
    let mut tally = Tally::new();
    if let Some(index) = environment("BRIMFUL_ROUND") {
        a_round(seed, index, &mut tally);
        return;
    }
    let (mut caught, mut index) = (0, 0);
    while caught < goal {
        caught += a_round(seed, index, &mut tally);
        index += 1;
    }
    println!("{caught} panics caught in {index} rounds");
    print_tally(&tally);
    if goal >= 5_000 {
        every_op_and_site_was_hit(&tally, goal);
    }
}

fn print_tally(tally: &Tally) {
    for &op in Op::ALL {
        let hits = Site::ALL.iter().filter_map(|&site| {
            let caught = tally.get(&(op, site))?;
            Some(format!("{site:?} {caught}"))
        });
        println!("{op:?}: {}", hits.collect::<Vec<_>>().join(", "));
    }
}

fn every_op_and_site_was_hit(tally: &Tally, goal: u64) {
    let pairs = tally.len();
    println!("{pairs} pairs of call and site");
    let least = if goal < 100_000 { 115 } else { 145 };
    assert!(
        pairs >= least,
        "only {pairs} pairs of call and site panicked"
    );
}

// ---- a panic at every depth of the calls that let many go ----

/// Blows a fuse of `site` at the first, second, ... call until one is out of reach.
fn at_every_depth<D: Door>(plan: Plan, entries: usize, call: Call, site: Site) -> u64 {
    for depth in 1.. {
        WORLD.with(|world| *world.ledger.borrow_mut() = Ledger::default());
        ORDER_IS_SOUND.set(true);
        let mut door = D::open(plan);
        fill(&mut door, entries);
        at(format!("{call:?}, {site:?} at {depth}, {plan:?}"));
        let (panicked, hand) = make(&mut door, call, &[(site, depth)]);
        drop(hand);
        if !panicked {
            return u64::from(depth) - 1;
        }
        next_calls_are_right(&mut door, 1_000);
    }
    unreachable!("a call ends")
}

fn fill(door: &mut impl Door, entries: usize) {
    let call = Call {
        op: Op::Extend,
        key: 0,
        weight: 2,
        n: entries,
    };
    door.call(call, &mut Hand::default());
}

fn depths_of<D: Door>(plan: Plan, entries: usize) -> u64 {
    let calls = [
        (Op::Clear, 0),
        (Op::Drain, 0),
        (Op::Retain, 1),
        (Op::Retain, 5),
        (Op::SetCapacity, 3),
        (Op::SetCapacity, 0),
        (Op::Extend, 2),
        (Op::Drop, 0),
        (Op::IntoIter, 0),
    ];
    let sites = [
        Site::Listener,
        Site::DropKey,
        Site::DropValue,
        Site::Closure,
        Site::Weigher,
    ];
    let mut caught = 0;
    for (op, weight) in calls {
        let call = Call {
            op,
            key: entries as u32 / 2,
            weight,
            n: entries / 3,
        };
        for site in sites {
            caught += at_every_depth::<D>(plan, entries, call, site);
        }
    }
    caught
}

#[test]
fn a_panic_at_every_depth_of_a_mass_departure_spares_all_others() {
    silence_fuses();
    let entries = 60;
    let plan = |capacity, shards| Plan {
        capacity,
        shards,
        entry_limit: None,
    };
    let caught = depths_of::<Shared<Plain<Duel>>>(plan(60, 1), entries)
        + depths_of::<Shared<Plain<Lru>>>(plan(60, 5), entries)
        + depths_of::<Shared<Weighty<Duel>>>(plan(120, 4), entries)
        + depths_of::<Alone<Plain<Fifo>>>(plan(60, 1), entries)
        + depths_of::<Alone<Weighty<Sieve>>>(plan(120, 1), entries);
    println!("{caught} panics caught");
    assert!(caught > 5_000, "{caught}");
}

#[test]
fn a_policy_that_panics_at_any_of_its_calls_loses_no_value() {
    silence_fuses();
    let plan = Plan {
        capacity: 60,
        shards: 3,
        entry_limit: None,
    };
    let mut caught = 0;
    for &op in Op::ALL {
        for (key, weight) in [(10, 2), (10, 30), (10, 70), (500, 25), (10, 0)] {
            let n = 9;
            let call = Call { op, key, weight, n };
            let site = Site::Policy;
            type P = Fused<Duel>;
            type L = Fused<Lru>;
            caught += at_every_depth::<Shared<Plain<L>>>(plan, 80, call, site)
                + at_every_depth::<Shared<Weighty<P>>>(plan, 80, call, site)
                + at_every_depth::<Alone<Plain<P>>>(plan, 80, call, site)
                + at_every_depth::<Alone<Weighty<L>>>(plan, 80, call, site);
        }
    }
    println!("{caught} panics caught");
    assert!(caught > 500, "{caught}");
}

// ---- two panics at once, in processes of their own since they might abort ----

/// One call on a full cache in which some user code panics at every call.
#[derive(Clone, Copy, Debug)]
struct Double {
    door: usize,
    call: Call,
    always: &'static [Site],
    /// Made by a destructor while another panic unwinds.
    unwinding: bool,
}

const BOTH_DROPS: [Site; 2] = [Site::DropKey, Site::DropValue];

impl Double {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for door in 0..5 {
            for &op in Op::ALL {
                for (key, weight) in [(500, 3), (5, 9), (5, 30), (5, 0)] {
                    let n = 4;
                    let call = Call { op, key, weight, n };
                    all.extend(Self::of(door, call));
                }
            }
        }
        all.retain(|double| double.is_ours());
        all
    }

    fn of(door: usize, call: Call) -> impl Iterator<Item = Self> {
        const ALWAYS: [&[Site]; 6] = [
            &[Site::Listener],
            &[Site::DropValue],
            &[Site::DropKey],
            &[Site::Listener, Site::DropValue],
            &[Site::Listener, Site::DropKey],
            &[Site::Listener, Site::DropKey, Site::DropValue],
        ];
        let with = move |always, unwinding| Self {
            door,
            call,
            always,
            unwinding,
        };
        ALWAYS
            .into_iter()
            .flat_map(move |always| [with(always, false), with(always, true)])
    }

    fn is_ours(&self) -> bool {
        let drops = self.always.iter().any(|site| BOTH_DROPS.contains(site));
        !(drops && in_a_vec_of_std(self.call.op, self.door > 2))
    }

    fn run(&self) {
        match self.door {
            0 => self.through::<Shared<Plain<Duel>>>(10, 1),
            1 => self.through::<Shared<Weighty<Duel>>>(20, 1),
            2 => self.through::<Shared<Weighty<Lru>>>(20, 3),
            3 => self.through::<Alone<Plain<Duel>>>(10, 1),
            _ => self.through::<Alone<Weighty<Duel>>>(20, 1),
        }
    }

    fn through<D: Door>(&self, capacity: u64, shards: usize) {
        let plan = Plan {
            capacity,
            shards,
            entry_limit: None,
        };
        let undisturbed = self.answer::<D>(plan, &[]);
        let answer = self.answer::<D>(plan, self.always);
        if self.unwinding && self.always == [Site::Listener] {
            assert_eq!(answer, undisturbed, "the answer while unwinding");
        }
    }

    /// Makes the call; the values that it hands back.
    fn answer<D: Door>(&self, plan: Plan, sites: &[Site]) -> Vec<usize> {
        WORLD.with(|world| *world.ledger.borrow_mut() = Ledger::default());
        let mut door = D::open(plan);
        fill(&mut door, 10);
        let before = Before::of(&door);
        let mut hand = Hand::default();
        always(sites);
        let ended = if self.unwinding {
            self.while_unwinding(&mut door, &mut hand)
        } else {
            catch_unwind(AssertUnwindSafe(|| door.call(self.call, &mut hand)))
        };
        let blown = disarm();
        if self.unwinding {
            let ended = Ok(());
            prove(&mut door, self.call, &before, &hand, &ended, 0);
        } else {
            prove(&mut door, self.call, &before, &hand, &ended, blown);
        }
        hand.values.iter().map(|value| value.origin).collect()
    }

    fn while_unwinding(&self, door: &mut impl Door, hand: &mut Hand) -> Ended {
        struct Late<'a, D: Door>(&'a mut D, Call, &'a mut Hand);
        impl<D: Door> Drop for Late<'_, D> {
            fn drop(&mut self) {
                self.0.call(self.1, self.2);
            }
        }
        catch_unwind(AssertUnwindSafe(|| {
            let _late = Late(door, self.call, hand);
            panic_any(Blown);
        }))
    }
}

/// Clones that an iterator has not yielded, and what `unsync`'s `drain` has
/// not, lie in a `Vec` of std's, which aborts when two of its items panic.
fn in_a_vec_of_std(op: Op, alone: bool) -> bool {
    match op {
        Op::Iter | Op::Keys | Op::Values => true,
        Op::Drain | Op::IntoIter => alone,
        _ => false,
    }
}

const CHILD: &str = "BRIMFUL_CHILD";

/// Runs a test of this file once more, in a process of its own.
fn child(test: &str, start: &str) -> (bool, String, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, start)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(
        out.contains("running 1 test"),
        "{test} names no test: {out}"
    );
    (output.status.success(), out, errors)
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn two_panics_at_once_never_abort() {
    if let Some(start) = environment(CHILD) {
        return each_double_panic(start as usize);
    }
    let all = Double::all();
    let (mut start, mut failed) = (0, Vec::new());
    while start < all.len() {
        let (passed, out, errors) = child("two_panics_at_once_never_abort", &start.to_string());
        if passed {
            break;
        }
        let mut lines = out.lines().rev();
        let last = lines.find_map(|line| line.strip_prefix("scenario "));
        let last: usize = last.expect(&errors).parse().unwrap();
        failed.push(format!("{:?}\n{}", all[last], first_lines(&errors)));
        start = last + 1;
    }
    let (count, of) = (failed.len(), all.len());
    failed.truncate(40);
    assert!(count == 0, "{count} of {of}:\n{}", failed.join("\n"));
}

fn first_lines(text: &str) -> String {
    text.lines().take(4).collect::<Vec<_>>().join("\n    ")
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn a_second_panic_while_others_are_told_and_dropped_neither_aborts_nor_loses() {
    if environment(CHILD).is_some() {
        return second_fuses();
    }
    let name = "a_second_panic_while_others_are_told_and_dropped_neither_aborts_nor_loses";
    let (passed, out, errors) = child(name, "0");
    assert!(passed, "{out}\n{errors}");
}

fn second_fuses() {
    silence_fuses();
    let seed = seed();
    let goal = environment("BRIMFUL_PANICS").unwrap_or(5_000) / 5;
    println!("BRIMFUL_SEED={seed}");
    let (mut both, mut index) = (0, 0);
    while both < goal {
        let mut rng = Rng(seed ^ index);
        let name = format!("second fuses, BRIMFUL_SEED={seed}, round {index}");
        both += match index % 4 {
            0 => second_round::<Shared<Plain<Duel>>>(&name, &mut rng, 12, 1),
            1 => second_round::<Shared<Weighty<Duel>>>(&name, &mut rng, 40, 3),
            2 => second_round::<Alone<Plain<Lru>>>(&name, &mut rng, 12, 1),
            _ => second_round::<Alone<Weighty<Lru>>>(&name, &mut rng, 40, 1),
        };
        index += 1;
    }
    println!("{both} calls in which two fuses blew, in {index} rounds");
}

/// Calls in which a second panic happens on the way out; says in how many.
fn second_round<D: Door>(name: &str, rng: &mut Rng, capacity: u64, shards: usize) -> u64 {
    WORLD.with(|world| *world.ledger.borrow_mut() = Ledger::default());
    ORDER_IS_SOUND.set(true);
    let plan = Plan {
        capacity,
        shards,
        entry_limit: None,
    };
    let mut door = D::open(plan);
    let mut both = 0;
    for step in 0..50 {
        let call = a_call::<Weighty<Lru>>(rng);
        let outs = [Site::Listener, Site::DropKey, Site::DropValue];
        let mut fuse = || (rng.pick(&outs), 1 + rng.below(4) as u32);
        let fuses = [fuse(), fuse()];
        at(format!(
            "{name}, step {step}, {call:?}, {fuses:?}, {plan:?}"
        ));
        if in_a_vec_of_std(call.op, D::ALONE) {
            continue;
        }
        let (panicked, hand) = make(&mut door, call, &fuses);
        drop(hand);
        both += u64::from(panicked && LAST_BLOWN.get() == 2);
    }
    drop(door);
    ledger(|ledger| assert_eq!((ledger.alive_keys, ledger.alive_values), (0, 0)));
    both
}

fn each_double_panic(start: usize) {
    silence_fuses();
    for (index, double) in Double::all().iter().enumerate().skip(start) {
        println!("\nscenario {index}");
        at(format!("{double:?}"));
        double.run();
    }
}
