//! The bound, seen from outside: at no instant more than the capacity.
//!
//! Writers on 2 to 16 threads insert, replace, change, remove and clear while
//! an observer reads `weight()`, `len()` and a ledger of live values, which
//! the values themselves keep. No read may pass the capacity; the ledger may
//! pass it by what is in the writers' hands, stated for each kind of fire.
//! Besides: capacities changed under fire, every capacity filled exactly for
//! every number of shards, room for entries of the whole capacity, and extreme
//! capacities and weights.
//!
//! - `BRIMFUL_READS`: observer's reads in all (default 100,000; the full run 10,000,000).
//! - `BRIMFUL_EXHAUSTIVE=1`: capacities 1..=4096 by 1..=64 shards, all of them, and
//!   of all policies some more.
//! - `BRIMFUL_SEED`: replays the writers' choices (not their interleaving).
//! - `BRIMFUL_PATIENCE`: seconds until a test counts as hung (default 300 and 1
//!   more for each 100,000 reads).
//!
//! Covers faults 21 to 23, 25 to 32, 37, 60 and 66 of `tests/FAULTS.md`.

use crate::world::around::{Around, Aside};
use crate::world::{
    Bounded, Ledger, Random, Threaded, ThreadedForm, Val, count, ends, env, short_name,
};
use brimful::policy::{Duel, Lru, Policy};
use brimful::{Cache, Capacity, Cause, Entries, Form, Next, Reason, Updated, Weighed, Weight};
use std::cell::Cell;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;

/// How often observers read in all.
fn reads() -> u64 {
    count("BRIMFUL_READS", 100_000)
}

/// Runs `body` for every policy, and one that lets other threads run.
macro_rules! every_order {
    ($body:ident $(, $argument:expr)*) => {{
        every_policy!($body $(, $argument)*);
        $body::<Halting>($($argument),*);
    }};
}

/// The default that lets other threads run in the middle of making room: while a
/// hand is full, while a victim is unlinked, before an entry is published.
type Halting = Around<Duel, Halts>;

struct Halts;

impl Aside for Halts {
    fn before(_: &str) {
        thread_local! {
            static CALLS: Cell<u32> = const { Cell::new(0) };
        }
        let calls = CALLS
            .get()
            .wrapping_mul(0x9E37_79B1)
            .wrapping_add(0x7F4A_7C15);
        CALLS.set(calls);
        if calls >> 29 == 0 {
            thread::yield_now();
        }
    }
}

/// A key whose comparison, under the shard's lock, sometimes lets others run.
#[derive(Clone, Copy, Debug, Eq)]
struct Key(u64);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        if self.0 % 61 == 0 {
            thread::yield_now();
        }
        self.0 == other.0
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

fn weigh(_: &Key, value: &Val) -> u64 {
    value.weight()
}

// ---- fire: writers and an observer ----------------------------------------

/// Ends the other threads when one panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

/// Lets others run until they have come far enough, or one of them failed.
fn wait_for(stop: &AtomicBool, enough: impl Fn() -> bool) {
    while !enough() && !stop.load(SeqCst) {
        thread::yield_now();
    }
}

/// What an observer may see at most.
#[derive(Clone, Copy, Debug)]
struct Limits {
    weight: u64,
    entries: u64,
    live_values: u64,
    live_weight: u64,
}

/// The most that was seen of each.
#[derive(Default, Debug)]
struct Seen {
    weight: u64,
    entries: u64,
    live_values: u64,
    live_weight: u64,
    last: (u64, u64),
}

/// One read of all figures; says whether the cache's have changed.
fn observe<P: Form>(cache: &Cache<Key, Val, P>, ledger: &Ledger, seen: &mut Seen) -> bool {
    let now = (cache.weight(), cache.len() as u64);
    seen.weight = seen.weight.max(now.0);
    seen.entries = seen.entries.max(now.1);
    seen.live_values = seen.live_values.max(ledger.live());
    seen.live_weight = seen.live_weight.max(ledger.weight());
    std::mem::replace(&mut seen.last, now) != now
}

/// What an observer did: `fresh` reads saw other figures than the read before.
#[derive(Clone, Copy, Default)]
struct Report {
    reads: u64,
    fresh: u64,
    writes: u64,
}

impl Report {
    fn plus(self, more: Self) -> Self {
        Self {
            reads: self.reads + more.reads,
            fresh: self.fresh + more.fresh,
            writes: self.writes + more.writes,
        }
    }
}

/// Runs `write` over and over on so many writers while reading so often.
fn open_fire<P, W>(
    name: &str,
    (cache, limits): (Cache<Key, Val, P>, Limits),
    writers: u64,
    reads: u64,
    write: &W,
) -> Report
where
    P: ThreadedForm,
    W: Fn(&Cache<Key, Val, P>, &Ledger, u64, &mut Random) + Sync,
{
    let (cache, ledger) = (&cache, &Ledger::default());
    // One fire at a time: all cores for this one.
    static FIRES: Mutex<()> = Mutex::new(());
    let _alone = FIRES.lock().unwrap_or_else(PoisonError::into_inner);
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut report = Report::default();
    thread::scope(|scope| {
        for writer in 0..writers {
            let (stop, written) = (&stop, &written);
            scope.spawn(move || {
                let _ends = Ends(stop);
                let mut random = Random::new(writer);
                while !stop.load(SeqCst) {
                    (0..16).for_each(|_| write(cache, ledger, writer, &mut random));
                    written.fetch_add(16, SeqCst);
                }
            });
        }
        let _ends = Ends(&stop);
        let mut seen = Seen::default();
        while !stop.load(SeqCst) && (report.reads < reads || report.writes < reads / 4) {
            let fresh = (0..1_024).filter(|_| observe(cache, ledger, &mut seen));
            let fresh = fresh.count() as u64;
            if fresh == 0 {
                thread::yield_now();
            }
            report.fresh += fresh;
            report.reads += 1_024;
            report.writes = written.load(SeqCst);
            judge(name, &seen, limits);
        }
        stop.store(true, SeqCst);
    });
    cache.check();
    assert_eq!(ledger.live(), cache.len() as u64, "{name}");
    report
}

fn judge(name: &str, seen: &Seen, limits: Limits) {
    let within = seen.weight <= limits.weight
        && seen.entries <= limits.entries
        && seen.live_values <= limits.live_values
        && seen.live_weight <= limits.live_weight;
    assert!(within, "{name}: {seen:?} of {limits:?}");
}

/// Opens fire with 2, 4, 8 and 16 writers on what `set_up` makes for so many, and prints
/// how much was read.
fn with_writers<P, W>(kind: &str, set_up: impl Fn(u64) -> (Cache<Key, Val, P>, Limits), write: W)
where
    P: ThreadedForm,
    W: Fn(&Cache<Key, Val, P>, &Ledger, u64, &mut Random) + Sync,
{
    /// How many fires share the reads: kinds, policies, numbers of writers.
    const FIRES: u64 = 6 * 5 * 4;
    let reads = (reads() / FIRES).max(64);
    let name = format!("{kind}, {}", short_name::<P>());
    let fire = |writers| open_fire(&name, set_up(writers), writers, reads, &write);
    let reports = [2, 4, 8, 16].map(fire);
    let Report {
        reads,
        fresh,
        writes,
    } = reports.into_iter().fold(Report::default(), Report::plus);
    println!("{name}: {reads} reads ({fresh} fresh) of {writes} writes, none above the bound");
}

/// Each writer's own keys, so that nobody replaces what another one writes.
fn own_key(writer: u64, random: &mut Random, keys: u64) -> Key {
    Key(random.below(keys) * 16 + writer)
}

/// So much room a shard keeps for its next entries: what its victims leave over is in the hand of
/// the writer that evicted them, beside the one that made room for its own.
fn kept(capacity: u64, shards: u64) -> u64 {
    capacity / shards / 64
}

/// Unit entries, each writer with keys of its own: a writer has at most one
/// value too many in hand, the one on its way in or the one on its way out, and those that it
/// evicted ahead.
fn plain_fire<P: Threaded>() {
    with_writers(
        "unit entries",
        |writers| {
            let capacity = [1, 10, 100, 1_000][writers.ilog2() as usize - 1];
            let cache = build::<_, P>(Entries(capacity as usize), 3);
            let in_hand = writers * (1 + kept(capacity, 3));
            let limits = Limits {
                weight: capacity,
                entries: capacity,
                live_values: capacity + in_hand,
                live_weight: capacity + in_hand,
            };
            (cache, limits)
        },
        |cache, ledger, writer, random| {
            let key = own_key(writer, random, cache.bound());
            match random.below(16) {
                0 => drop(cache.remove(&key)),
                1 => drop(cache.update(&key, |value| value.reweigh(1))),
                2 => drop(cache.view(&key, |_, value| value.weight())),
                3 => drop(cache.remove_if(&key, |_, value| value.weight() == 1)),
                _ => drop(cache.insert(key, ledger.heavy(0, 1))),
            }
        },
    );
}

/// Unit entries under keys that all writers share: a gatherer may find its key
/// stored meanwhile, and then has a victim and the older value in hand.
fn shared_fire<P: Threaded>() {
    with_writers(
        "shared keys",
        |writers| {
            let capacity = [2, 7, 64, 500][writers.ilog2() as usize - 1];
            let cache = build::<_, P>(Entries(capacity as usize), 8);
            let limits = Limits {
                weight: capacity,
                entries: capacity,
                live_values: capacity + 2 * writers,
                live_weight: capacity + 2 * writers,
            };
            (cache, limits)
        },
        |cache, ledger, _, random| {
            let key = Key(random.below(cache.bound() * 2));
            match random.below(8) {
                0 => drop(cache.remove(&key)),
                1 => drop(cache.remove_entry(&key)),
                _ => drop(cache.insert(key, ledger.heavy(0, 1))),
            }
        },
    );
}

/// Unit entries and walks over all: whoever clears, drains or retains has at most
/// one shard's entries in hand, and all of the capacity may lie in one shard.
fn clearing_fire<P: Threaded>() {
    with_writers(
        "clears",
        |writers| {
            let capacity = 60;
            let cache = build::<_, P>(Entries(capacity as usize), 4);
            let limits = Limits {
                weight: capacity,
                entries: capacity,
                live_values: 2 * capacity + 2 * writers,
                live_weight: 2 * capacity + 2 * writers,
            };
            (cache, limits)
        },
        |cache, ledger, writer, random| match random.below(64) {
            0 if writer == 0 => cache.clear(),
            1 if writer == 0 => drop(cache.drain()),
            2 if writer == 0 => cache.retain(|key, _| key.0 % 3 > 0),
            3 if writer == 0 => cache.shrink_to_fit(),
            _ => drop(cache.insert(Key(random.below(200)), ledger.heavy(0, 1))),
        },
    );
}

/// The most that a light entry weighs.
const LIGHT: u64 = 1_000;

/// Heavy-tailed weights up to a sixty-fourth of the capacity. In hand are at
/// most: the offered value or the older one, what the own shard gave in vain
/// (less than the offer), what was gathered (less than the offer and one), and what was evicted ahead.
fn light_fire<P: Threaded>() {
    with_writers(
        "light weights",
        |writers| {
            let capacity = 64_000;
            let cache = build::<_, P>(Weight(capacity, weigh), 8);
            let limits = Limits {
                weight: capacity,
                entries: capacity,
                live_values: u64::MAX,
                live_weight: capacity + (4 * LIGHT + kept(capacity, 8)) * writers,
            };
            (cache, limits)
        },
        |cache, ledger, writer, random| {
            weighed_step(cache, ledger, writer, random, LIGHT);
        },
    );
}

/// Weights up to the whole capacity and above: whole batches are in hand, so
/// only the cache's own figures are held to the capacity.
fn whole_fire<P: Threaded>() {
    with_writers(
        "whole capacity",
        |writers| {
            let capacity = [5, 100, 3_000, 1_000_000][writers.ilog2() as usize - 1];
            let cache = build::<_, P>(Weight(capacity, weigh), writers as usize);
            let limits = Limits {
                weight: capacity,
                entries: capacity,
                live_values: u64::MAX,
                live_weight: u64::MAX,
            };
            (cache, limits)
        },
        |cache, ledger, writer, random| {
            let capacity = cache.bound();
            weighed_step(cache, ledger, writer, random, capacity + capacity / 50);
        },
    );
}

fn weighed_step<P: Policy>(
    cache: &Cache<Key, Val, Weighed<P>>,
    ledger: &Ledger,
    writer: u64,
    random: &mut Random,
    most: u64,
) {
    let key = own_key(writer, random, 400);
    let weight = random.heavy_tailed(most);
    match random.below(16) {
        0 => drop(cache.remove(&key)),
        1 | 2 => drop(cache.update(&key, |value| value.reweigh(weight))),
        3 => drop(cache.view(&key, |_, value| value.weight())),
        4 => drop(cache.try_insert(key, ledger.heavy(0, weight))),
        5 => drop(cache.insert_weighted(key, ledger.heavy(0, weight), weight)),
        6 | 7 => drop(cache.compute(key, |found| match found {
            Some(value) if weight % 2 == 0 => {
                value.reweigh(weight);
                Next::Keep
            }
            _ => Next::Put(ledger.heavy(0, weight)),
        })),
        _ => drop(cache.insert(key, ledger.heavy(0, weight))),
    }
}

/// A limit on entries beside the weight: one in two weighs nothing at all.
fn limited_fire<P: Threaded>() {
    with_writers(
        "entry limit",
        |writers| {
            let (capacity, entries) = (10_000, 50);
            let cache = Cache::builder(Weight(capacity, weigh))
                .policy::<P>()
                .shards(4)
                .entry_limit(entries as usize)
                .build()
                .expect("a plain configuration");
            let limits = Limits {
                weight: capacity,
                entries,
                live_values: entries + 2 * writers,
                live_weight: u64::MAX,
            };
            (cache, limits)
        },
        |cache, ledger, _, random| {
            let key = Key(random.below(200));
            let weight = random.below(2) * random.below(100);
            match random.below(16) {
                0 => drop(cache.remove(&key)),
                1 => drop(cache.update(&key, |value| value.reweigh(weight))),
                _ => drop(cache.insert(key, ledger.heavy(0, weight))),
            }
        },
    );
}

fn build<C, P>(capacity: C, shards: usize) -> Cache<Key, Val, <C::Form as Form>::With<P>>
where
    C: Capacity<Key, Val>,
    P: Policy,
{
    let builder = Cache::builder(capacity).policy::<P>().shards(shards);
    builder.build().expect("a plain configuration")
}

#[test]
fn unit_entries_under_fire() {
    ends(|| every_order!(plain_fire));
}

#[test]
fn shared_keys_under_fire() {
    ends(|| every_order!(shared_fire));
}

#[test]
fn clears_under_fire() {
    ends(|| every_order!(clearing_fire));
}

#[test]
fn light_weights_under_fire() {
    ends(|| every_order!(light_fire));
}

#[test]
fn weights_of_the_whole_capacity_under_fire() {
    ends(|| every_order!(whole_fire));
}

#[test]
fn an_entry_limit_under_fire() {
    ends(|| every_order!(limited_fire));
}

// ---- what can be read at one instant ----------------------------------------

/// Keys that are inserted once and found by a walk and by the walk back were
/// all there at the turning point: so many entries at one instant.
fn found_twice<P: Policy>(cache: &Cache<Key, Val, P>, newest: u64, window: u64) -> u64 {
    let oldest = newest.saturating_sub(window);
    let there = |key: &u64| cache.contains_key(&Key(*key));
    let found: Vec<u64> = (oldest..newest + 4).filter(there).collect();
    found.iter().rev().filter(|&key| there(key)).count() as u64
}

fn read_at_one_instant<P: Threaded>(walks: u64) {
    for (capacity, shards) in [(1, 1), (1, 4), (3, 2), (8, 4)] {
        let cache = build::<_, P>(Entries(capacity), shards);
        let ledger = Ledger::default();
        let (stop, newest) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let _ends = Ends(&stop);
                    while !stop.load(SeqCst) {
                        let key = newest.fetch_add(1, SeqCst);
                        cache.insert(Key(key), ledger.heavy(0, 1));
                    }
                });
            }
            let _ends = Ends(&stop);
            for walk in 0..walks {
                wait_for(&stop, || newest.load(SeqCst) >= 4 * walk);
                let together = found_twice(&cache, newest.load(SeqCst), 4 * capacity as u64);
                assert!(
                    together <= capacity as u64,
                    "{together} of {capacity} together"
                );
            }
            stop.store(true, SeqCst);
        });
    }
}

#[test]
fn no_more_than_the_capacity_can_be_read_at_one_instant() {
    let walks = reads() / 2_000;
    ends(move || every_order!(read_at_one_instant, walks));
}

// ---- capacities changed under fire ------------------------------------------

/// What `weight()` may be at most, with an epoch by which a reader can tell
/// that it changed while he looked.
#[derive(Default)]
struct Ceiling {
    epoch: AtomicU64,
    most: AtomicU64,
}

impl Ceiling {
    fn set(&self, most: u64) {
        self.epoch.fetch_add(1, SeqCst);
        self.most.store(most, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
    }

    /// What `read` read and the ceiling, if that did not change meanwhile.
    fn around(&self, read: impl Fn() -> u64) -> Option<(u64, u64)> {
        let before = self.epoch.load(SeqCst);
        let most = self.most.load(SeqCst);
        let figure = read();
        let steady = before == self.epoch.load(SeqCst) && before % 2 == 0;
        steady.then_some((figure, most))
    }
}

/// Lowers and raises the capacity over and over while two threads write and one
/// watches; `write` gets the largest capacity there ever is.
fn change_capacities<P, W>(name: &str, cache: &Cache<Key, Val, P>, changes: u64, write: W)
where
    P: ThreadedForm,
    W: Fn(&Cache<Key, Val, P>, &Ledger, u64, &mut Random) + Sync,
{
    let (ceiling, ledger) = (Ceiling::default(), Ledger::default());
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let largest = cache.bound();
    ceiling.set(largest);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (stop, written, ledger, write) = (&stop, &written, &ledger, &write);
            scope.spawn(move || {
                let _ends = Ends(stop);
                let mut random = Random::new(writer);
                while !stop.load(SeqCst) {
                    (0..16).for_each(|_| write(cache, ledger, writer, &mut random));
                    written.fetch_add(16, SeqCst);
                    thread::yield_now();
                }
            });
        }
        scope.spawn(|| {
            let _ends = Ends(&stop);
            while !stop.load(SeqCst) {
                for _ in 0..64 {
                    if let Some((weight, most)) = ceiling.around(|| cache.weight()) {
                        assert!(weight <= most, "{name}: weight {weight} of {most}");
                    }
                }
                thread::yield_now();
            }
        });
        let _ends = Ends(&stop);
        let mut random = Random::new(99);
        for change in 0..changes {
            change_once(name, cache, &ceiling, random.below(largest + 1));
            wait_for(&stop, || written.load(SeqCst) >= 16 * change);
        }
        stop.store(true, SeqCst);
    });
    cache.check();
}

fn change_once<P: Form>(name: &str, cache: &Cache<Key, Val, P>, ceiling: &Ceiling, to: u64) {
    let raised = to > cache.bound();
    if raised {
        ceiling.set(to);
    }
    cache.bound_to(to);
    let weight = cache.weight();
    assert!(
        weight <= to,
        "{name}: weight {weight} when set_capacity({to}) returned"
    );
    assert_eq!(cache.bound(), to);
    if !raised {
        ceiling.set(to);
        thread::yield_now();
    }
}

fn changed_plain<P: Threaded>(changes: u64) {
    for (capacity, shards) in [(3, 2), (100, 8)] {
        let cache = build::<_, P>(Entries(capacity), shards);
        change_capacities(
            "entries",
            &cache,
            changes,
            |cache, ledger, writer, random| {
                let key = own_key(writer, random, 2 * capacity as u64);
                drop(cache.insert(key, ledger.heavy(0, 1)));
            },
        );
    }
}

fn changed_weighed<P: Threaded>(changes: u64) {
    for (capacity, shards) in [(10, 1), (1_000, 6)] {
        let cache = build::<_, P>(Weight(capacity, weigh), shards);
        change_capacities(
            "weights",
            &cache,
            changes,
            |cache, ledger, writer, random| {
                weighed_step(cache, ledger, writer, random, capacity);
            },
        );
    }
}

#[test]
fn the_new_capacity_holds_when_set_capacity_returns() {
    let changes = reads() / 4_000;
    ends(move || {
        every_order!(changed_plain, changes);
        every_order!(changed_weighed, changes);
    });
}

/// Lowers a full cache that nobody else writes to, step by step, and returns
/// whether its weight was seen to rise by an observer or the listener.
fn lowered_in_peace<P: Threaded>() {
    static CACHE_WEIGHT: AtomicU64 = AtomicU64::new(0);
    type Told<P> = Cache<Key, Val, Weighed<P>>;
    let own: Arc<OnceLock<Weak<Told<P>>>> = Arc::default();
    let told = own.clone();
    let listener = move |_: &Key, _: &Val, cause: Cause| {
        let cache = told.get().and_then(Weak::upgrade);
        if let (Some(cache), Cause::Evicted) = (cache, cause) {
            let now = cache.weight();
            let before = CACHE_WEIGHT.swap(now, SeqCst);
            assert!(now <= before, "the listener saw {before}, then {now}");
        }
    };
    let builder = Cache::builder(Weight(30_000, weigh))
        .policy::<P>()
        .shards(7);
    let cache = Arc::new(builder.listener(listener).build().expect("a plain one"));
    let ledger = Ledger::default();
    let mut random = Random::new(5);
    for key in 0..3_000 {
        cache.insert(Key(key), ledger.heavy(0, random.heavy_tailed(100)));
    }
    own.set(Arc::downgrade(&cache)).expect("set once");
    CACHE_WEIGHT.store(cache.weight(), SeqCst);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ends = Ends(&stop);
            let mut before = u64::MAX;
            while !stop.load(SeqCst) {
                let now = cache.weight();
                assert!(now <= before, "the observer saw {before}, then {now}");
                before = now;
            }
        });
        let _ends = Ends(&stop);
        for capacity in [29_999, 20_000, 10_000, 9_999, 500, 3, 0] {
            let before = cache.weight();
            cache.bound_to(capacity);
            assert!(cache.weight() <= capacity);
            assert!(
                capacity < 500 || cache.weight() + 100 > capacity.min(before),
                "needless evictions"
            );
        }
        stop.store(true, SeqCst);
    });
    cache.check();
    assert_eq!((cache.len(), ledger.live()), (0, 0));
}

#[test]
fn while_the_capacity_is_lowered_the_weight_never_rises() {
    ends(|| every_order!(lowered_in_peace));
}

// ---- every capacity, exactly --------------------------------------------------

/// The cheapest hasher; the crate mixes what it answers.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed here")
    }
    fn write_u32(&mut self, n: u32) {
        self.0 = u64::from(n);
    }
    fn write_usize(&mut self, n: usize) {
        self.0 = n as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

fn filled_exactly<P: Policy>(capacity: usize, shards: usize) {
    let cache = Cache::builder(Entries(capacity))
        .policy::<P>()
        .hasher(BuildHasherDefault::<Identity>::default())
        .shards(shards)
        .build()
        .expect("a plain configuration");
    let capacity = capacity as u32;
    for key in 0..capacity {
        cache.insert(key, ());
        assert_eq!(
            cache.weight(),
            u64::from(key) + 1,
            "{capacity} in {shards} shards"
        );
    }
    for key in capacity..capacity + 5 {
        cache.insert(key, ());
        assert_eq!(
            cache.len(),
            capacity as usize,
            "{capacity} in {shards} shards"
        );
        assert!(cache.contains_key(&key), "its own victim");
    }
    assert_eq!(cache.stats().departures(Cause::Evicted), 5);
}

/// Fills by weights of 1 and 2 up to the last unit.
fn weight_filled_exactly<P: Policy>(capacity: u64, shards: usize) {
    let cache: Cache<u32, u64, Weighed<P>, _> =
        Cache::builder(Weight(capacity, |_: &u32, v: &u64| *v))
            .policy::<P>()
            .hasher(BuildHasherDefault::<Identity>::default())
            .shards(shards)
            .build()
            .expect("a plain configuration");
    for key in 0.. {
        let weight = (capacity - cache.weight()).min(1 + u64::from(key % 2));
        if weight == 0 {
            break;
        }
        let before = cache.weight();
        cache.insert(key, weight);
        assert_eq!(
            cache.weight(),
            before + weight,
            "{capacity} in {shards} shards"
        );
    }
    assert_eq!(cache.stats().departures(Cause::Evicted), 0);
    cache.insert(u32::MAX, 1);
    assert!(cache.weight() <= capacity && cache.weight() + 1 >= capacity);
    assert!(cache.contains_key(&u32::MAX), "its own victim");
}

const SOME_SHARDS: [usize; 10] = [1, 2, 3, 5, 8, 13, 16, 31, 32, 64];

/// Splits capacities over two threads, heavy and light ones alike.
fn for_capacities(capacities: Vec<usize>, fill: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for half in 0..2 {
            let (capacities, fill) = (&capacities, &fill);
            scope.spawn(move || {
                capacities
                    .iter()
                    .filter(|&c| c % 2 == half)
                    .for_each(|&c| fill(c));
            });
        }
    });
}

#[test]
fn every_capacity_is_filled_exactly_and_never_passed() {
    let in_full = env("BRIMFUL_EXHAUSTIVE").is_some_and(|n| n > 0);
    if in_full {
        for_capacities((1..=4096).collect(), |capacity| {
            for shards in 1..=64 {
                filled_exactly::<Duel>(capacity, shards);
                weight_filled_exactly::<Lru>(capacity as u64, shards);
            }
        });
        println!("262,144 pairs of capacity and shards filled exactly, by count and by weight");
    }
    let (small, bits) = if in_full { (64, 7..=12) } else { (40, 7..=9) };
    let near_powers = bits.flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
    let capacities: Vec<usize> = (1..=small).chain(near_powers).collect();
    for_capacities(capacities, |capacity| {
        for shards in SOME_SHARDS {
            every_order!(filled_exactly, capacity, shards);
            every_order!(weight_filled_exactly, capacity as u64, shards);
        }
    });
}

#[test]
fn a_capacity_of_nothing_keeps_nothing() {
    for shards in SOME_SHARDS {
        let ledger = Ledger::default();
        let cache = build::<_, Duel>(Entries(0), shards);
        assert!(cache.insert(Key(1), ledger.heavy(0, 1)).is_none());
        let refused = cache.try_insert(Key(1), ledger.heavy(0, 1)).unwrap_err();
        assert!(matches!(
            refused.reason,
            Reason::TooHeavy {
                weight: 1,
                capacity: 0,
                ..
            }
        ));
        drop(refused);
        assert_eq!((cache.len(), cache.weight(), ledger.live()), (0, 0, 0));
        cache.bound_to(1);
        cache.insert(Key(1), ledger.heavy(0, 1));
        assert_eq!(cache.len(), 1);
        cache.check();
    }
}

// ---- room moves -----------------------------------------------------------------

fn fill<P: Policy>(cache: &Cache<Key, Val, Weighed<P>>, ledger: &Ledger) {
    let capacity = cache.bound();
    let weight = (capacity / 40).max(1);
    for key in 1_000..1_000 + capacity / weight {
        cache.insert(Key(key), ledger.heavy(0, weight));
    }
}

fn whole_entries_get_in<P: Policy>() {
    for (capacity, shards) in [1, 2, 3, 100, 1 << 40, u64::MAX]
        .into_iter()
        .flat_map(|capacity| SOME_SHARDS.map(|shards| (capacity, shards)))
    {
        let cache = build::<_, P>(Weight(capacity, weigh), shards);
        let ledger = Ledger::default();
        for weight in [capacity, capacity - 1].into_iter().filter(|&w| w > 0) {
            for full in [false, true] {
                cache.clear();
                if full {
                    fill(&cache, &ledger);
                }
                let stored = cache.try_insert(Key(7), ledger.heavy(0, weight));
                assert!(stored.is_ok(), "{weight} of {capacity}, {shards} shards");
                assert_eq!(cache.weight_of(&Key(7)), Some(weight));
                assert!(cache.weight() <= capacity);
                cache.check();
            }
        }
        drop(cache);
        assert_eq!(ledger.live(), 0);
    }
}

#[test]
fn an_entry_of_the_whole_capacity_gets_in_whatever_the_shards() {
    every_order!(whole_entries_get_in);
}

fn two_whole_writers<P: Threaded>(rounds: u64) {
    for shards in [1, 2, 16] {
        let cache = build::<_, P>(Weight(1_000, weigh), shards);
        let ledger = Ledger::default();
        thread::scope(|scope| {
            for writer in 0..2 {
                let (cache, ledger) = (&cache, &ledger);
                scope.spawn(move || {
                    for round in 0..rounds {
                        let key = Key(round % 50 * 2 + writer);
                        assert!(cache.try_insert(key, ledger.heavy(0, 1_000)).is_ok());
                        assert!(cache.weight() <= 1_000);
                    }
                });
            }
        });
        cache.check();
        assert_eq!((cache.len(), cache.weight()), (1, 1_000));
    }
}

#[test]
fn two_writers_of_whole_capacity_entries_both_end() {
    let rounds = reads() / 2_000;
    ends(move || every_order!(two_whole_writers, rounds));
}

/// Three writers of 30 to 90 % of the capacity and one of small entries.
fn heavy_among_small<P: Threaded>(rounds: u64) {
    let builder = Cache::builder(Weight(10_000, weigh)).policy::<P>();
    let cache = builder.shards(16).admit_heavy().build().unwrap();
    let ledger = Ledger::default();
    thread::scope(|scope| {
        for writer in 0..4 {
            let (cache, ledger) = (&cache, &ledger);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                for _ in 0..rounds {
                    let weight = match writer {
                        0 => 1 + random.below(50),
                        _ => 3_000 + random.below(6_001),
                    };
                    let key = own_key(writer, &mut random, 300);
                    assert!(cache.try_insert(key, ledger.heavy(0, weight)).is_ok());
                    assert!(cache.weight() <= 10_000);
                }
            });
        }
    });
    cache.check();
}

#[test]
fn heavy_and_small_writers_all_end() {
    let rounds = reads() / 1_000;
    ends(move || every_order!(heavy_among_small, rounds));
}

/// While `hammer` is odd, the key was stored and no other one is written.
fn replaced_in_sight<P: Threaded>(rounds: u64) {
    let capacity = 1_000;
    for shards in [1, 2, 16] {
        let cache = build::<_, P>(Weight(capacity, weigh), shards);
        let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
        let (hammer, reads) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ends = Ends(&stop);
                while !stop.load(SeqCst) {
                    for _ in 0..64 {
                        let before = hammer.load(SeqCst);
                        let found = cache.view(&Key(7), |_, value| value.weight()).is_some();
                        let steady = before % 2 == 1 && hammer.load(SeqCst) == before;
                        assert!(found || !steady, "absent while replaced, {shards} shards");
                        reads.fetch_add(u64::from(steady), SeqCst);
                    }
                    thread::yield_now();
                }
            });
            let _ends = Ends(&stop);
            let mut random = Random::new(8);
            for round in 0..rounds {
                fill(&cache, &ledger);
                cache.insert(Key(7), ledger.heavy(0, 1));
                hammer.fetch_add(1, SeqCst);
                for weight in [1 + random.below(500), 3, 900, 20, capacity] {
                    assert!(cache.insert(Key(7), ledger.heavy(0, weight)).is_some());
                    wait_for(&stop, || reads.load(SeqCst) >= 8 * round);
                }
                hammer.fetch_add(1, SeqCst);
            }
            stop.store(true, SeqCst);
        });
    }
}

#[test]
fn a_replaced_key_is_never_absent() {
    let rounds = reads() / 10_000;
    ends(move || every_order!(replaced_in_sight, rounds));
}

#[test]
fn weights_of_nothing_do_not_lift_the_bound() {
    for shards in SOME_SHARDS {
        let cache = build::<_, Duel>(Weight(10, weigh), shards);
        let ledger = Ledger::default();
        for key in 0..1_000 {
            cache.insert(Key(key), ledger.heavy(0, 0));
            assert!(cache.len() <= 10 && cache.weight() <= 10);
        }
        assert_eq!((cache.len(), ledger.live()), (10, 10));
        cache.check();
    }
}

// ---- extremes ---------------------------------------------------------------------

#[test]
fn weights_near_the_largest_number_neither_wrap_nor_pass() {
    for shards in [1, 3, 64] {
        let cache = build::<_, Lru>(Weight(u64::MAX, weigh), shards);
        let ledger = Ledger::default();
        for weight in [
            u64::MAX,
            u64::MAX - 1,
            1,
            u64::MAX / 2,
            u64::MAX / 2,
            u64::MAX / 2 + 2,
        ] {
            let key = Key(weight % 1_000 + ledger.live());
            assert!(cache.try_insert(key, ledger.heavy(0, weight)).is_ok());
            assert!(cache.weight() >= weight, "{weight} is in");
            cache.check();
        }
        cache.clear();
        for key in 0..4 {
            cache.insert_weighted(Key(key), ledger.heavy(0, 0), 1 << 62);
        }
        assert_eq!(cache.len(), 3);
        let grown = cache.update(&Key(3), |value| value.reweigh(u64::MAX));
        assert!(matches!(grown, Updated::Kept(()) | Updated::Refused(())));
        cache.check();
    }
}

#[test]
fn the_largest_capacities_build_and_hold() {
    let counted: Cache<u64, u64> = Cache::new(usize::MAX);
    let weighed = Cache::weighted(u64::MAX, |_: &u64, v: &u64| *v);
    let bytes = Cache::bytes(u64::MAX);
    for key in 0..10_000_u64 {
        counted.insert(key, key);
        weighed.insert(key, key);
        bytes.insert(key, key);
    }
    assert_eq!(
        (counted.len(), weighed.len(), bytes.len()),
        (10_000, 10_000, 10_000)
    );
    assert_eq!(weighed.weight(), 1 + (0..10_000).sum::<u64>());
    for cache in [&weighed, &bytes] {
        cache.check();
        cache.bound_to(0);
        assert_eq!((cache.len(), cache.weight()), (0, 0));
    }
    counted.check();
    fn is_debug(_: impl Debug) {}
    is_debug(&counted);
}
