//! Reads without a lock against every interleaving: one thread reads, another writes the same
//! shard. All that the two share is the model checker's: bytes of groups, counts, labels, lanes.
//!
//! A value notices being read after its drop, and lets others run while it is cloned; the checker
//! itself panics where an entry is read while it is written, or by a thread that is not told of
//! the write.
//!
//! ```text
//! cargo test --release -p interleavings --features lanes --test lanes -- --nocapture
//! ```
//!
//! `LOOM_MAX_PREEMPTIONS` overrides every model's own bound.

use brimful::policy::{Fifo, Lru};
use brimful::{Cache, Entries, Updated};
use loom::thread::{self, yield_now};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// A value, and whether it was dropped. Clones are told apart: they may be dropped at any time.
struct Canary {
    n: u32,
    dropped: Arc<AtomicBool>,
    is_clone: bool,
}

impl Canary {
    fn of(n: u32) -> Self {
        Self {
            n,
            dropped: Arc::default(),
            is_clone: false,
        }
    }

    fn read(&self) -> u32 {
        assert!(!self.dropped.load(Relaxed), "read after its drop");
        self.n
    }
}

impl Clone for Canary {
    fn clone(&self) -> Self {
        let clone = Self {
            n: self.read(),
            dropped: Arc::default(),
            is_clone: true,
        };
        yield_now();
        assert_eq!(self.read(), clone.n);
        clone
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        if !self.is_clone && !std::thread::panicking() {
            assert!(!self.dropped.swap(true, Relaxed), "dropped twice");
        }
    }
}

/// The same in every run.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Cached = Cache<u32, Canary, Fifo, Fixed>;

/// A model that fails leaves its locks held: nothing may touch them then.
struct Model(Option<Cached>);

impl std::ops::Deref for Model {
    type Target = Cached;
    fn deref(&self) -> &Cached {
        self.0.as_ref().expect("there until dropped")
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

fn cache(capacity: usize, keys: std::ops::RangeInclusive<u32>) -> Cached {
    let builder = Cache::builder(Entries(capacity)).policy::<Fifo>();
    let cache = builder.hasher(Fixed::default()).shards(1).build().unwrap();
    keys.for_each(|key| drop(cache.insert(key, Canary::of(key))));
    // From the first read on this thread reads without a lock.
    assert!(cache.get(&0).is_none());
    cache
}

/// This thread reads while another writes, in every order; `seen` judges what the reads of key 1
/// found, in the order in which they were made.
fn explore(
    name: &str,
    make: fn() -> Cached,
    write: fn(&Cached),
    reads: usize,
    seen: fn(&[Option<u32>]) -> bool,
) {
    // The checker takes notice of only the last access to an atomic, so that one which comes first
    // may hide another's: in its first schedule either of the two goes first.
    let orders = [false, true];
    let executions = orders.map(|first| explore_from(first, make, write, reads, seen));
    println!("{name}: {executions:?} executions, by who goes first");
    assert!(executions.iter().sum::<usize>() > 2);
}

fn explore_from(
    writer_first: bool,
    make: fn() -> Cached,
    write: fn(&Cached),
    reads: usize,
    seen: fn(&[Option<u32>]) -> bool,
) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        let cache = Arc::new(Model(Some(make())));
        let writer = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || write(&cache))
        };
        if writer_first {
            yield_now();
        }
        let read = |_| cache.get(&1).map(|value| value.read());
        let found: Vec<Option<u32>> = (0..reads).map(read).collect();
        assert!(seen(&found), "{found:?}");
        writer.join().unwrap();
        cache.check();
    });
    executions.load(Relaxed)
}

/// The older value at first, none after that, if at all.
fn old_or_none(seen: &[Option<u32>]) -> bool {
    seen.iter().all(|&n| n.is_none() || n == Some(1)) && seen.is_sorted_by(|a, b| a >= b)
}

#[test]
fn a_read_and_an_insert_that_evicts() {
    let write = |cache: &Cached| drop(cache.insert(2, Canary::of(2)));
    explore("evicted", || cache(1, 1..=1), write, 2, old_or_none);
}

#[test]
fn a_read_and_an_insert_that_evicts_into_the_slot_of_the_last() {
    let write = |cache: &Cached| (2..4).for_each(|n| drop(cache.insert(n, Canary::of(n))));
    explore("reused", || cache(1, 1..=1), write, 1, old_or_none);
}

/// Two victims leave at once, and two newcomers take their slots; readers are looked for once.
#[test]
fn a_read_and_an_insert_that_evicts_ahead() {
    let write = |cache: &Cached| {
        drop(cache.insert(3, Canary::of(3)));
        assert_eq!(cache.len(), 1, "the other one's room is kept");
        drop(cache.insert(4, Canary::of(4)));
        assert_eq!(cache.len(), 2);
    };
    explore("evicted ahead", || cache(2, 1..=2), write, 1, old_or_none);
}

#[test]
fn a_read_of_what_is_being_inserted() {
    let write = |cache: &Cached| drop(cache.insert(1, Canary::of(1)));
    let seen = |seen: &[Option<u32>]| {
        seen.iter().all(|&n| n.is_none() || n == Some(1)) && seen.is_sorted()
    };
    explore("inserted", || cache(3, 4..=5), write, 2, seen);
}

#[test]
fn a_read_of_what_is_being_replaced() {
    let write = |cache: &Cached| {
        let old = cache.insert(1, Canary::of(7));
        assert_eq!(old.expect("it was there").read(), 1);
    };
    let seen = |seen: &[Option<u32>]| seen.iter().all(Option::is_some) && seen.is_sorted();
    explore("replaced", || cache(2, 1..=1), write, 2, seen);
}

#[test]
fn a_read_of_what_is_changed_in_place() {
    let write = |cache: &Cached| {
        let updated = cache.update(&1, |value| {
            yield_now();
            value.n = 7;
        });
        assert!(matches!(updated, Updated::Kept(())));
    };
    let seen = |seen: &[Option<u32>]| seen.iter().all(Option::is_some) && seen.is_sorted();
    explore("updated", || cache(2, 1..=1), write, 2, seen);
}

#[test]
fn a_read_and_a_remove() {
    let write = |cache: &Cached| assert_eq!(cache.remove(&1).map(|value| value.read()), Some(1));
    explore("removed", || cache(2, 1..=1), write, 2, old_or_none);
}

#[test]
fn a_read_and_a_clear() {
    let write = |cache: &Cached| cache.clear();
    explore("cleared", || cache(2, 1..=1), write, 2, old_or_none);
}

#[test]
fn a_read_and_a_walk_that_changes_all() {
    let write = |cache: &Cached| {
        cache.retain(|_, value| {
            value.n = 7;
            true
        });
    };
    let seen = |seen: &[Option<u32>]| seen.iter().all(Option::is_some) && seen.is_sorted();
    explore("retained", || cache(2, 1..=1), write, 2, seen);
}

#[test]
fn a_read_while_the_table_grows() {
    let write = |cache: &Cached| drop(cache.insert(9, Canary::of(9)));
    let seen = |seen: &[Option<u32>]| seen.iter().all(|&n| n == Some(1));
    explore("grown", || cache(8, 1..=3), write, 1, seen);
}

/// A thread that reads for the first time while the one that has read alone so far writes, in
/// another shard than that of the first read.
#[test]
fn a_first_read_and_a_writer_that_was_alone() {
    loom::model(|| {
        let builder = Cache::builder(Entries(8)).policy::<Fifo>();
        let cache = builder.hasher(Fixed::default()).shards(2).build().unwrap();
        let home = cache.shard_of(&1);
        let elsewhere = (2..).find(|key| cache.shard_of(key) != home).unwrap();
        cache.insert(1, Canary::of(1));
        (0..2).for_each(|_| assert!(cache.get(&1).is_some()));
        let cache = Arc::new(Model(Some(cache)));
        let reader = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                assert!(cache.peek(&elsewhere).is_none());
                cache.get(&1).map(|value| value.read())
            })
        };
        drop(cache.remove(&1));
        assert!(old_or_none(&[reader.join().unwrap()]));
        cache.check();
    });
}

/// A thread that ends gives its number, and with it its lane, to the next one.
#[test]
fn reads_of_a_thread_that_ends_and_of_the_next_one() {
    let write = |cache: &Cached| {
        assert!(cache.peek(&5).is_none());
        drop(cache.insert(2, Canary::of(2)));
    };
    explore("ended", || cache(1, 1..=1), write, 1, old_or_none);
    loom::model(|| {
        let cache = Arc::new(Model(Some(cache(1, 1..=1))));
        let read = |cache: &Arc<Model>| {
            let cache = Arc::clone(cache);
            thread::spawn(move || {
                let _ = cache.peek(&5);
                cache.get(&1).map(|value| value.read())
            })
        };
        assert_eq!(read(&cache).join().unwrap(), Some(1));
        let second = read(&cache);
        yield_now();
        drop(cache.insert(2, Canary::of(2)));
        let seen = second.join().unwrap();
        assert!(old_or_none(&[seen]));
        cache.check();
    });
}

/// The hit is noted, and told of by the writer, by the reader or by nobody in time: the order and
/// the table stay whole, and what was read was alive.
#[test]
fn a_hit_that_is_noted_and_an_insert_that_evicts() {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        let builder = Cache::builder(Entries(2)).policy::<Lru>().shards(1);
        let cache = builder.hasher(Fixed::default()).build().unwrap();
        (1..=2).for_each(|key| drop(cache.insert(key, Canary::of(key))));
        assert!(cache.get(&0).is_none());
        let cache = Arc::new(cache);
        let writer = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || drop(cache.insert(3, Canary::of(3))))
        };
        let found = cache.get(&1).map(|value| value.read());
        assert!(found.is_none_or(|n| n == 1));
        writer.join().unwrap();
        assert!(cache.contains_key(&3));
        cache.check();
    });
    println!("noted: {} executions", executions.load(Relaxed));
}

/// What a reader notes of a sampled key is told once and whole, to who counts at that moment or to
/// the next one.
#[test]
fn a_look_up_that_is_noted_and_one_who_counts() {
    // As in `explore`: in the first schedule either of the two goes first.
    let executions = [false, true].map(count_while_it_is_noted);
    println!("counted: {executions:?} executions, by who goes first");
    assert!(executions.iter().sum::<usize>() > 2);
}

fn count_while_it_is_noted(counter_first: bool) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(2);
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        let builder = Cache::builder(Entries(2)).policy::<Fifo>().shards(1);
        let cache = builder.hasher(Fixed::default()).sizing().build().unwrap();
        cache.insert(1, 1);
        assert!(cache.get(&0).is_none());
        let cache = Arc::new(cache);
        let counter = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || cache.sizing().sampled())
        };
        if counter_first {
            yield_now();
        }
        (0..2).for_each(|_| assert_eq!(cache.get(&1), Some(1)));
        let seen = counter.join().unwrap();
        assert!((1..=3).contains(&seen), "{seen}");
        let sizing = cache.sizing();
        assert_eq!((sizing.sampled(), sizing.lost()), (3, 0));
        // Each miniature has hit what the cache has.
        assert!(
            sizing.iter().all(|(_, ratio)| ratio == 2.0 / 3.0),
            "{sizing}"
        );
        cache.check();
    });
    executions.load(Relaxed)
}
