//! Policies written against the public trait alone.
//!
//! A right one (last in, first out, in under 60 lines) evicts exactly whom it
//! names, in caches with and without locks, weights and shards. An auditor
//! proves what the trait promises a policy: who is admitted, touched, reweighed
//! and forgotten, and with which tag and weight. Wrong ones (that name a victim
//! twice, never, too late or at random, that forget nothing or everything, or
//! always name the entry that must stay) break neither the bound nor the
//! ledgers: no value is lost or told twice, and nothing panics or hangs.
//!
//! `BRIMFUL_POLICY_OPS`: operations for each wrong policy and kind of cache
//! (default 3,000). `BRIMFUL_SEED` replays a run; the seed is printed.
//! Faults: the bound, drift, zero weight, endless loops in upkeep.

use brimful::policy::{Meta, Policy, Residents, Slot, Tag, Touch, Weighed};
use brimful::{Cache, Cause, Entries, Updated, Weight, unsync};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::marker::PhantomData;

// A policy of one's own: begin
/// Last in, first out.
#[derive(Debug)]
struct Lifo {
    stack: Vec<(Tag, u64)>,
    admitted: u64,
}

/// When an entry came in; tells entries of one tag apart.
#[derive(Debug, Default)]
struct Turn(u64);

impl Meta for Turn {}

impl Policy for Lifo {
    type Meta = Turn;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self {
            stack: Vec::new(),
            admitted: 0,
        }
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        self.admitted += 1;
        if let Some(turn) = residents.meta_mut(slot) {
            turn.0 = self.admitted;
            self.stack.push((tag, turn.0));
        }
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        if let Some(left) = residents.meta(slot) {
            self.stack.retain(|(_, turn)| *turn != left.0);
        }
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        let (tag, newest) = self.stack.pop()?;
        residents.find(tag, |turn| turn.0 == newest)
    }

    fn moved(&mut self, _: &mut impl Residents<Turn>) {}
}
// A policy of one's own: end

#[test]
fn a_policy_takes_fewer_than_60_lines() {
    let mut parts = include_str!("own_policy.rs").split("// A policy of one's own: ");
    let lines = parts.nth(1).expect("the marker").lines().count() - 1;
    assert!((20..60).contains(&lines), "{lines} lines");
}

thread_local! {
    static TOLD: RefCell<Vec<(u32, u64, Cause)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Val {
    id: u64,
    weight: u64,
}

impl Clone for Val {
    fn clone(&self) -> Self {
        LIVE.set(LIVE.get() + 1);
        let Self { id, weight } = *self;
        Self { id, weight }
    }
}

impl Val {
    fn new(weight: u64) -> Self {
        LIVE.set(LIVE.get() + 1);
        NEXT.set(NEXT.get() + 1);
        Self {
            id: NEXT.get(),
            weight,
        }
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

fn listen(key: &u32, value: &Val, cause: Cause) {
    TOLD.with_borrow_mut(|told| told.push((*key, value.id, cause)));
}

fn told() -> Vec<(u32, u64, Cause)> {
    TOLD.take()
}

fn told_keys() -> Vec<u32> {
    told().iter().map(|(key, ..)| *key).collect()
}

fn weigh(_: &u32, value: &Val) -> u64 {
    value.weight
}

/// What both caches can do, as far as it is wanted here.
trait Door: Sized {
    fn insert(&mut self, key: u32, value: Val) -> Option<Val>;
    fn touch(&mut self, key: u32) -> bool;
    fn grow(&mut self, key: u32, weight: u64) -> Updated<()>;
    fn remove(&mut self, key: u32) -> Option<Val>;
    fn retain(&mut self, keep: impl FnMut(&u32, &mut Val) -> bool);
    fn empty(&mut self, drain: bool);
    fn shrink_to_fit(&mut self);
    fn set_capacity(&mut self, capacity: u64);
    fn residents(&self) -> Vec<u64>;
    fn holds(&self) -> (usize, u64, u64);
    fn counted(&self) -> (u64, u64);
    fn check(&mut self);
}

macro_rules! door {
    ($cache:ty) => {
        impl<P: Policy> Door for $cache {
            fn insert(&mut self, key: u32, value: Val) -> Option<Val> {
                Self::insert(self, key, value)
            }
            fn touch(&mut self, key: u32) -> bool {
                self.view(&key, |_, _| ()).is_some()
            }
            fn grow(&mut self, key: u32, weight: u64) -> Updated<()> {
                self.update(&key, |value| value.weight = weight)
            }
            fn remove(&mut self, key: u32) -> Option<Val> {
                Self::remove(self, &key)
            }
            fn retain(&mut self, keep: impl FnMut(&u32, &mut Val) -> bool) {
                Self::retain(self, keep);
            }
            fn empty(&mut self, by_drain: bool) {
                if by_drain {
                    drop(self.drain());
                } else {
                    self.clear();
                }
            }
            fn shrink_to_fit(&mut self) {
                Self::shrink_to_fit(self);
            }
            fn set_capacity(&mut self, capacity: u64) {
                Self::set_capacity(self, capacity);
            }
            fn residents(&self) -> Vec<u64> {
                self.values().map(|value| value.id).collect()
            }
            fn holds(&self) -> (usize, u64, u64) {
                (self.len(), self.weight(), self.capacity())
            }
            fn counted(&self) -> (u64, u64) {
                let stats = self.stats();
                let left = Cause::ALL.map(|cause| stats.departures(cause));
                (stats.inserts(), left.iter().sum())
            }
            fn check(&mut self) {
                Self::check(self);
            }
        }
    };
}

door!(Cache<u32, Val, P>);
door!(unsync::Cache<u32, Val, P>);

fn plain<P: Policy>(entries: usize, shards: usize) -> Cache<u32, Val, P> {
    let cache = Cache::builder(Entries(entries)).policy::<P>();
    let cache = cache.shards(shards).listener(listen).build();
    cache.expect("a configuration that makes sense")
}

fn plain_unsync<P: Policy>(entries: usize) -> unsync::Cache<u32, Val, P> {
    let cache = unsync::Cache::builder(Entries(entries)).policy::<P>();
    let cache = cache.listener(listen).build_unsync();
    cache.expect("a configuration that makes sense")
}

fn weighed<P: Policy>(capacity: u64, shards: usize) -> Cache<u32, Val, Weighed<P>> {
    let cache = Cache::builder(Weight(capacity, weigh)).policy::<P>();
    let cache = cache.shards(shards).listener(listen).build();
    cache.expect("a configuration that makes sense")
}

/// With a limit of entries, what weighs nothing is charged nothing.
fn limited<P: Policy>(capacity: u64, shards: usize) -> Cache<u32, Val, Weighed<P>> {
    let cache = Cache::builder(Weight(capacity, weigh)).policy::<P>();
    let cache = cache.shards(shards).entry_limit(LIMIT).listener(listen);
    cache.build().expect("a configuration that makes sense")
}

fn weighed_unsync<P: Policy>(capacity: u64) -> unsync::Cache<u32, Val, Weighed<P>> {
    let cache = unsync::Cache::builder(Weight(capacity, weigh)).policy::<P>();
    let cache = cache.listener(listen).build_unsync();
    cache.expect("a configuration that makes sense")
}

const LIMIT: usize = 7;

fn put(door: &mut impl Door, key: u32, weight: u64) -> Vec<u32> {
    door.insert(key, Val::new(weight));
    let told = told().into_iter();
    let evicted = told.filter(|(.., cause)| *cause == Cause::Evicted);
    evicted.map(|(key, ..)| key).collect()
}

fn the_newest_leaves_first(mut door: impl Door) {
    for key in 0..4 {
        assert_eq!(put(&mut door, key, 1), []);
    }
    assert_eq!(put(&mut door, 4, 1), [3]);
    assert_eq!(put(&mut door, 5, 1), [4]);
    // Neither a hit nor a new value of the same weight changes the order.
    assert!(door.touch(0));
    assert_eq!(put(&mut door, 1, 1), []);
    assert_eq!(put(&mut door, 6, 1), [5]);
    assert_eq!(door.remove(6).map(|value| value.weight), Some(1));
    assert_eq!(told_keys(), [6]);
    assert_eq!(put(&mut door, 7, 1), []);
    door.set_capacity(2);
    assert_eq!(told_keys(), [7, 2]);
    door.set_capacity(5);
    for key in 10..13 {
        assert_eq!(put(&mut door, key, 1), []);
    }
    door.retain(|key, _| *key != 12);
    assert_eq!(told_keys(), [12]);
    assert_eq!(put(&mut door, 13, 1), []);
    assert_eq!(put(&mut door, 14, 1), [13]);
    door.empty(false);
    told();
    assert_eq!(put(&mut door, 20, 1), []);
    door.set_capacity(1);
    assert_eq!(put(&mut door, 21, 1), [20]);
    door.check();
}

#[test]
fn the_newest_leaves_first_in_every_kind_of_cache_of_one_shard() {
    the_newest_leaves_first(plain::<Lifo>(4, 1));
    the_newest_leaves_first(plain_unsync::<Lifo>(4));
    the_newest_leaves_first(weighed::<Lifo>(4, 1));
    the_newest_leaves_first(weighed_unsync::<Lifo>(4));
}

fn heavy_ones_push_out_as_many_as_it_takes(mut door: impl Door) {
    for key in 0..5 {
        assert_eq!(put(&mut door, key, 2), []);
    }
    assert_eq!(put(&mut door, 5, 5), [4, 3, 2]);
    // The entry that grows is never its own victim, though it is the newest.
    assert_eq!(door.grow(5, 7), Updated::Kept(()));
    assert_eq!(told_keys().len(), 1);
    assert_eq!(put(&mut door, 5, 10).len(), 1);
    assert_eq!(door.holds(), (1, 10, 10));
    assert_eq!(door.grow(5, 11), Updated::Refused(()));
    assert_eq!(door.holds(), (0, 0, 10));
    door.check();
}

#[test]
fn heavy_ones_push_out_as_many_of_the_newest_as_it_takes() {
    heavy_ones_push_out_as_many_as_it_takes(weighed::<Lifo>(10, 1));
    heavy_ones_push_out_as_many_as_it_takes(weighed_unsync::<Lifo>(10));
}

#[test]
fn each_of_several_shards_keeps_its_own_order() {
    let mut cache = plain::<Lifo>(40, 4);
    let mut stacks = vec![Vec::new(); 4];
    for key in 0..2_000 {
        for victim in put(&mut cache, key, 1) {
            let newest = stacks[cache.shard_of(&victim)].pop();
            assert_eq!(newest, Some(victim));
        }
        stacks[cache.shard_of(&key)].push(key);
    }
    let held: usize = stacks.iter().map(Vec::len).sum();
    assert_eq!((held, cache.holds()), (40, (40, 40, 40)));
    cache.check();
}

/// Least recently admitted or touched first, and suspicious of every call.
struct Auditor<const IN_ORDER: bool> {
    /// Tag, turn and weight of all that were admitted and did not leave.
    order: Vec<(Tag, u64, u64)>,
    turns: u64,
    announced: Option<(Tag, u64)>,
    share: u64,
}

thread_local! {
    static SHARES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static TOUCHED: Cell<u64> = const { Cell::new(0) };
}

impl<const IN_ORDER: bool> Auditor<IN_ORDER> {
    fn place(&self, turn: u64) -> usize {
        let place = self.order.iter().position(|item| item.1 == turn);
        place.expect("an entry that was admitted and did not leave")
    }

    fn push(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        self.turns += 1;
        let weight = residents.weight(slot);
        residents.meta_mut(slot).expect("a resident").0 = self.turns;
        self.order.push((tag, self.turns, weight));
    }

    /// Takes out the entry in `slot`, which must be as it was admitted.
    fn pull(&mut self, slot: Slot, residents: &impl Residents<Turn>) {
        let turn = residents.meta(slot).expect("a resident").0;
        let (tag, _, weight) = self.order.remove(self.place(turn));
        assert_eq!(residents.tag(slot), Some(tag));
        assert_eq!(residents.weight(slot), weight, "weight at leaving");
    }
}

impl<const IN_ORDER: bool> Policy for Auditor<IN_ORDER> {
    type Meta = Turn;
    const TOUCH: Touch = if IN_ORDER { Touch::Order } else { Touch::Mark };

    fn new(share: u64, _seed: u64) -> Self {
        SHARES.with_borrow_mut(|shares| shares.push(share));
        Self {
            order: Vec::new(),
            turns: 0,
            announced: None,
            share,
        }
    }

    fn miss(&mut self, tag: Tag, weight: u64) {
        self.announced = Some((tag, weight));
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        assert_eq!(residents.tag(slot), Some(tag));
        let turn = residents.meta(slot).expect("a resident").0;
        assert!(
            self.order.iter().all(|item| item.1 != turn),
            "admitted twice"
        );
        if turn == 0 {
            let announced = self.announced.take();
            assert_eq!(announced, Some((tag, residents.weight(slot))), "a miss");
        }
        self.push(slot, tag, residents);
        assert_eq!(self.order.len(), residents.len());
    }

    fn mark(turn: &mut Turn) {
        assert!(!IN_ORDER && turn.0 > 0);
        TOUCHED.set(TOUCHED.get() + 1);
    }

    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        assert!(IN_ORDER);
        TOUCHED.set(TOUCHED.get() + 1);
        let tag = residents.tag(slot).expect("a resident");
        self.pull(slot, residents);
        self.push(slot, tag, residents);
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Turn>) {
        let turn = residents.meta(slot).expect("a resident").0;
        let place = self.place(turn);
        assert_eq!(self.order[place].2, before);
        assert_ne!(residents.weight(slot), before, "nothing changed");
        self.order[place].2 = residents.weight(slot);
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        self.pull(slot, residents);
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        assert_eq!(self.order.len(), residents.len());
        let &(tag, turn, _) = self.order.first()?;
        let slot = residents.find(tag, |meta| meta.0 == turn);
        self.pull(slot.expect("a resident"), residents);
        slot
    }

    fn moved(&mut self, residents: &mut impl Residents<Turn>) {
        let slots: Vec<Slot> = residents.slots().collect();
        assert_eq!(slots.len(), self.order.len());
        for slot in slots {
            let tag = residents.tag(slot).expect("a resident");
            let turn = residents.meta(slot).expect("a resident").0;
            assert!(
                self.order
                    .iter()
                    .any(|item| (item.0, item.1) == (tag, turn))
            );
        }
    }

    fn resized(&mut self, share: u64) {
        self.share = share;
        SHARES.with_borrow_mut(|shares| shares.push(share));
    }

    fn check(&self, residents: &mut impl Residents<Turn>) {
        assert_eq!(self.order.len(), residents.len());
        for &(tag, turn, weight) in &self.order {
            let slot = residents.find(tag, |meta| meta.0 == turn);
            assert_eq!(slot.map(|slot| residents.weight(slot)), Some(weight));
        }
    }
}

#[test]
fn a_policy_is_told_of_every_entry_that_comes_and_goes_with_its_tag_and_weight() {
    let seed = seed();
    torment_in_all_kinds::<Auditor<true>>(seed);
    torment_in_all_kinds::<Auditor<false>>(seed);
}

#[test]
fn a_policy_is_told_its_share_when_born_resized_and_cleared() {
    let mut cache = plain::<Auditor<true>>(100, 8);
    assert_eq!(SHARES.take(), [12; 8]);
    cache.set_capacity(1_000);
    assert_eq!(SHARES.take(), [125; 8]);
    cache.empty(false);
    assert_eq!(SHARES.take(), [125; 8]);
    let mut cache = weighed_unsync::<Auditor<true>>(u64::MAX);
    cache.set_capacity(5);
    assert_eq!(SHARES.take(), [u64::MAX, 5]);
}

fn hits_touch_and_looks_do_not<const IN_ORDER: bool>() {
    let mut cache = plain_unsync::<Auditor<IN_ORDER>>(10);
    TOUCHED.set(0);
    put(&mut cache, 1, 1);
    assert!(cache.contains_key(&1) && cache.peek(&1).is_some() && cache.get(&2).is_none());
    assert_eq!(TOUCHED.get(), 0);
    assert!(cache.get(&1).is_some() && cache.touch(1));
    assert_eq!(cache.grow(1, 1), Updated::Kept(()));
    put(&mut cache, 1, 1);
    assert_eq!(TOUCHED.get(), 4);
}

#[test]
fn hits_updates_and_new_values_touch_and_looks_do_not() {
    hits_touch_and_looks_do_not::<true>();
    hits_touch_and_looks_do_not::<false>();
}

/// A wrong way to answer, given every slot that was ever admitted.
trait Folly {
    fn answer(memory: &mut Memory, residents: &impl Residents<Turn>) -> Option<Slot>;

    /// What becomes of the memory when an entry is to be forgotten.
    fn forget(_memory: &mut Memory, _slot: Slot) {}
}

#[derive(Debug, Default)]
struct Memory {
    slots: Vec<Slot>,
    last: Option<Slot>,
    dice: Dice,
}

struct Foolish<F> {
    memory: Memory,
    folly: PhantomData<F>,
}

impl<F: Folly> Policy for Foolish<F> {
    type Meta = Turn;
    const TOUCH: Touch = Touch::Order;

    fn new(_share: u64, seed: u64) -> Self {
        Self {
            memory: Memory {
                dice: Dice(seed),
                ..Memory::default()
            },
            folly: PhantomData,
        }
    }

    fn admit(&mut self, slot: Slot, _: Tag, _: &mut impl Residents<Turn>) {
        self.memory.slots.push(slot);
    }

    fn forget(&mut self, slot: Slot, _: &mut impl Residents<Turn>) {
        F::forget(&mut self.memory, slot);
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        F::answer(&mut self.memory, residents)
    }

    fn moved(&mut self, _: &mut impl Residents<Turn>) {}
}

macro_rules! follies {
    ($($(#[$doc:meta])* $name:ident: |$memory:ident, $residents:ident| $answer:expr;)*) => {
        $(
            $(#[$doc])*
            struct $name;

            impl Folly for $name {
                fn answer($memory: &mut Memory, $residents: &impl Residents<Turn>) -> Option<Slot> {
                    $answer
                }
            }
        )*

        #[test]
        fn no_wrong_answer_breaks_the_bound_or_loses_a_value() {
            let seed = seed();
            $(torment_in_all_kinds::<Foolish<$name>>(seed);)*
        }
    };
}

follies! {
    /// Names each victim twice.
    Twice: |memory, residents| match memory.last.take() {
        Some(slot) => Some(slot),
        None => {
            memory.last = residents.nth(memory.dice.next());
            memory.last
        }
    };
    /// Has no answer.
    Never: |_memory, _residents| None;
    /// Names whoever lay where the oldest it ever heard of once lay, and never
    /// forgets.
    Stale: |memory, _residents| {
        let oldest = memory.slots.first().copied();
        let turned = memory.slots.len().min(1);
        memory.slots.rotate_left(turned);
        oldest
    };
    /// Names slots at random, of those that ever were.
    AtRandom: |memory, _residents| {
        let any = memory.dice.next() as usize % memory.slots.len().max(1);
        memory.slots.get(any).copied()
    };
    /// Always names the newest, which is the one that must stay if it grows.
    TheNewest: |memory, _residents| memory.slots.last().copied();
    /// Names one slot for ever, from the first that it heard of.
    TheFirst: |memory, _residents| memory.slots.first().copied();
}

/// Forgets all whenever one is to be forgotten.
struct Amnesia;

impl Folly for Amnesia {
    fn answer(memory: &mut Memory, _: &impl Residents<Turn>) -> Option<Slot> {
        memory.slots.pop()
    }

    fn forget(memory: &mut Memory, _: Slot) {
        memory.slots.clear();
    }
}

#[test]
fn forgetting_too_much_breaks_neither_the_bound_nor_loses_a_value() {
    torment_in_all_kinds::<Foolish<Amnesia>>(seed());
}

#[derive(Debug, Default)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

fn seed() -> u64 {
    let random = || std::hash::RandomState::new().hash_one(1_u8);
    let seed = from_environment("BRIMFUL_SEED").unwrap_or_else(random);
    println!("BRIMFUL_SEED={seed}");
    seed
}

fn torment_in_all_kinds<P: Policy>(seed: u64) {
    for shards in [1, 3, 16] {
        torment(plain::<P>(20, shards), usize::MAX, seed);
        torment(weighed::<P>(60, shards), usize::MAX, seed);
        torment(limited::<P>(60, shards), LIMIT, seed);
    }
    torment(plain_unsync::<P>(20), usize::MAX, seed);
    torment(weighed_unsync::<P>(60), usize::MAX, seed);
}

/// Random operations; after each, the bound and the ledgers.
fn torment(mut door: impl Door, limit: usize, seed: u64) {
    let ops = from_environment("BRIMFUL_POLICY_OPS").unwrap_or(3_000);
    let usual = door.holds().2;
    let mut dice = Dice(seed);
    let mut gone = HashSet::new();
    told();
    LIVE.set(0);
    for _ in 0..ops {
        operate(&mut door, &mut dice, usual);
        for (_, value, _) in told() {
            assert!(gone.insert(value), "told twice");
        }
        compare(&mut door, limit, &gone);
    }
    let rest = door.residents().len();
    drop(door);
    assert_eq!(told().len(), rest, "told when the cache was dropped");
    assert_eq!(LIVE.get(), 0, "leaked");
}

fn operate(door: &mut impl Door, dice: &mut Dice, usual: u64) {
    let key = dice.below(40) as u32;
    let weight = match dice.below(16) {
        0 => 0,
        1 => usual,
        2 => usual + 1,
        3 => usual / 2,
        _ => dice.below(8),
    };
    match dice.below(64) {
        0..32 => drop(door.insert(key, Val::new(weight))),
        32..44 => drop(door.touch(key)),
        44..54 => drop(door.grow(key, weight)),
        54..58 => drop(door.remove(key)),
        58..60 => door.set_capacity([0, 1, usual / 3, usual, 2 * usual][dice.below(5) as usize]),
        60 => door.set_capacity(usual),
        61 => {
            let odd = dice.below(2);
            door.retain(|_, value| {
                value.weight += dice.below(2);
                value.id % 4 > odd
            });
        }
        62 => door.shrink_to_fit(),
        _ => door.empty(dice.below(2) == 0),
    }
}

fn compare(door: &mut impl Door, limit: usize, gone: &HashSet<u64>) {
    let residents = door.residents();
    let (len, weight, capacity) = door.holds();
    assert!(weight <= capacity, "{weight} of {capacity}");
    assert!(len <= limit, "{len} entries of {limit}");
    assert_eq!(residents.len(), len, "len");
    assert!(
        residents.iter().all(|value| !gone.contains(value)),
        "told, but here"
    );
    let (inserted, left) = door.counted();
    assert_eq!(left, gone.len() as u64, "counted and told");
    assert_eq!(inserted - left, len as u64, "a value was lost");
    assert_eq!(LIVE.get(), len as i64, "live values");
    door.check();
}
