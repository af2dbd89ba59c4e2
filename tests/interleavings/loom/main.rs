//! Every interleaving, by the model checker: the bound, the way out, the progress
//! of the room's gatherer, the ends of lives and loads, through the public API.
//!
//! Each model runs two or three threads of a few calls each through all
//! schedules (those of three threads with the stated number of preemptions)
//! and all values that relaxed loads may see, and prints how many executions
//! that were. `weight()` and `len()` are read after every call and by watching
//! threads, so a charge that comes late or a hand that is lost is seen; a
//! gatherer that spins exceeds the most branches and fails.
//!
//! The checker takes notice of only the last access to an atomic, so a read
//! that comes first may hide a write that comes later: threads that only watch
//! are spawned last, and so run last in the first schedule.
//!
//! ```text
//! cargo test --release -p interleavings --test loom -- --nocapture
//! ```
//!
//! `LOOM_MAX_PREEMPTIONS` overrides every model's own bound; `--cfg brimful_full` raises those of
//! three threads. Models of lives are in
//! `time.rs`. Covers faults 21, 23, 25, 27, 30, 38, 49, 50, 52, 66 to 71 of `tests/FAULTS.md`.

mod budgets;
mod compute;
mod explain;
mod refresh;
mod time;

use brimful::policy::{Duel, Fifo, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{
    BuildError, Cache, Capacity, Cause, Entries, Form, LoadError, Unit, Updated, Weighed, Weight,
};
use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Keys as they are: the crate mixes them, and every run is the same.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
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

type Fixed = BuildHasherDefault<Plain>;
type Counted<P = Fifo> = Watched<Cache<u32, u32, P, Fixed>>;
type Weighted<P = Fifo> = Watched<Cache<u32, u32, Weighed<P>, Fixed>>;
type Opened<P> = Arc<Watched<Cache<u32, u32, P, Fixed>>>;

/// A cache whose listener counts what it is told. Values are their own weight.
struct Watched<C> {
    cache: Option<C>,
    told: Arc<AtomicUsize>,
}

impl<C> std::ops::Deref for Watched<C> {
    type Target = C;
    fn deref(&self) -> &C {
        self.cache.as_ref().expect("there until dropped")
    }
}

impl<C> Drop for Watched<C> {
    /// A model that fails leaves its locks held: nothing may touch them then.
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.cache.take());
        }
    }
}

fn open<C, P>(capacity: C, shards: usize) -> Opened<<C::Form as Form>::With<P>>
where
    C: Capacity<u32, u32>,
    P: Policy,
{
    watched(|listener| {
        Cache::builder(capacity)
            .policy::<P>()
            .hasher(Fixed::default())
            .shards(shards)
            .listener(listener)
            .build()
    })
}

/// A cache built with a listener that counts.
fn watched<C>(
    build: impl FnOnce(Box<dyn Fn(&u32, &u32, Cause) + Send + Sync>) -> Result<C, BuildError>,
) -> Arc<Watched<C>> {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let listener = move |_: &u32, _: &u32, _: Cause| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let cache = build(Box::new(listener)).expect("a plain configuration");
    Arc::new(Watched {
        cache: Some(cache),
        told,
    })
}

fn counted<P: Policy>(entries: usize, shards: usize) -> Arc<Counted<P>> {
    open::<_, P>(Entries(entries), shards)
}

fn weighed(capacity: u64, shards: usize) -> Arc<Weighted> {
    open::<_, Fifo>(Weight(capacity, |_: &u32, v: &u32| u64::from(*v)), shards)
}

/// A capacity in weight and a limit on the number of entries.
fn limited(capacity: u64, limit: usize, shards: usize) -> Arc<Weighted> {
    let weigh = |_: &u32, v: &u32| u64::from(*v);
    watched(|listener| {
        Cache::builder(Weight(capacity, weigh))
            .entry_limit(limit)
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(shards)
            .listener(listener)
            .build()
    })
}

/// The first keys that live in `shard`.
fn keys<const N: usize, P: Form>(cache: &Cache<u32, u32, P, Fixed>, shard: usize) -> [u32; N] {
    let mut found = (0..64).filter(|key| cache.shard_of(key) == shard);
    [(); N].map(|()| found.next().expect("64 keys reach both shards"))
}

/// What any thread may see at any moment.
/// Sets the capacity, in whatever unit.
fn resize<P: Form>(cache: &Cache<u32, u32, P, Fixed>, capacity: u64) {
    cache.set_capacity(P::Unit::of(capacity));
}

fn within<P: Form>(cache: &Cache<u32, u32, P, Fixed>, capacity: u64) {
    weighs(cache, capacity);
    let len = cache.len() as u64;
    assert!(len <= capacity, "{len} entries of {capacity}");
}

/// It watches the weight alone: `len` by weight takes a lock of each shard, and with that
/// models of three threads take minutes.
fn weighs<P: Form>(cache: &Cache<u32, u32, P, Fixed>, capacity: u64) {
    let weight = cache.weight();
    assert!(weight <= capacity, "weight {weight} of {capacity}");
}

/// When all is quiet: every invariant, and each departure was told once.
fn settled<P: Form>(cache: &Watched<Cache<u32, u32, P, Fixed>>) {
    cache.check();
    let stats = cache.stats();
    let left: u64 = Cause::ALL.iter().map(|&c| stats.departures(c)).sum();
    assert_eq!(left, cache.told.load(Ordering::Relaxed) as u64, "told");
    assert_eq!(stats.inserts() - left, cache.len() as u64, "resident");
}

const UNBOUNDED: Option<usize> = None;

/// How many preemptions models of three threads explore; with `--cfg brimful_full` one more, which
/// takes five times as long.
const THREE: Option<usize> = Some(if cfg!(brimful_full) { 4 } else { 3 });

/// That of a model of half a million schedules; with `--cfg brimful_full` all of them.
const FOUR: Option<usize> = if cfg!(brimful_full) {
    UNBOUNDED
} else {
    Some(4)
};

/// Runs every schedule of `model`, prints how many that were, and returns what
/// came out of them, each outcome once.
fn explore<T>(
    name: &str,
    preemptions: Option<usize>,
    model: impl Fn() -> T + Send + Sync + 'static,
) -> BTreeSet<T>
where
    T: Ord + Send + 'static,
{
    let executions = Arc::new(AtomicUsize::new(0));
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let (count, seen) = (executions.clone(), outcomes.clone());
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    let began = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let outcome = model();
        seen.lock().unwrap().insert(outcome);
    });
    let count = executions.load(Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {count} executions in {seconds:.1} s");
    std::mem::take(&mut *outcomes.lock().unwrap())
}

/// A thread of the model that uses the cache.
fn go<C, R>(cache: &Arc<C>, work: impl FnOnce(&C) -> R + 'static) -> JoinHandle<R>
where
    C: 'static,
    R: 'static,
{
    let cache = cache.clone();
    thread::spawn(move || work(&cache))
}

#[test]
fn two_keys_in_a_cache_of_one() {
    for shards in [1, 2] {
        let name = format!("two keys, capacity 1, {shards} shards");
        let left = explore(&name, UNBOUNDED, move || {
            let cache = counted::<Fifo>(1, shards);
            let ([a, _], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            let writer = go(&cache, move |cache| {
                cache.insert(a, 1);
                within(cache, 1);
            });
            cache.insert(b, 2);
            within(&cache, 1);
            writer.join().unwrap();
            settled(&cache);
            assert_eq!(cache.len(), 1, "filled exactly");
            cache.contains_key(&a)
        });
        assert_eq!(left.len(), 2, "either may be the last");
    }
}

#[test]
fn three_keys_in_a_cache_of_two() {
    for shards in [1, 2] {
        let name = format!("three keys, capacity 2, {shards} shards, 3 threads");
        let left = explore(&name, THREE, move || {
            let cache = counted::<Fifo>(2, shards);
            let ([a, b, _], [_, _, c]) = (keys(&cache, 0), keys(&cache, shards - 1));
            let writers = [a, b].map(|key| {
                go(&cache, move |cache| {
                    cache.insert(key, 1);
                    within(cache, 2);
                })
            });
            cache.insert(c, 2);
            within(&cache, 2);
            for writer in writers {
                writer.join().unwrap();
            }
            settled(&cache);
            assert_eq!(cache.len(), 2, "filled exactly");
            [a, b, c].map(|key| cache.contains_key(&key))
        });
        assert_eq!(left.len(), 3, "any of them may be the victim: {left:?}");
    }
}

#[test]
fn one_key_by_two_writers() {
    let olds = explore("one key, two writers", UNBOUNDED, || {
        let cache = counted::<S3Fifo>(2, 1);
        let writer = go(&cache, |cache| cache.insert(7, 1));
        let old = cache.insert(7, 2);
        let other = writer.join().unwrap();
        settled(&cache);
        assert_eq!(cache.len(), 1);
        (old, other, cache.peek(&7))
    });
    let either = [(None, Some(2), Some(1)), (Some(1), None, Some(2))];
    assert_eq!(olds, BTreeSet::from(either));
}

#[test]
fn one_key_in_a_cache_of_one_by_two_writers_and_a_gatherer() {
    explore(
        "one key and another, capacity 1, 2 shards",
        UNBOUNDED,
        || {
            let cache = counted::<Fifo>(1, 2);
            let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
            let writer = go(&cache, move |cache| {
                cache.insert(a, 1);
                within(cache, 1);
                cache.insert(b, 2);
                within(cache, 1);
            });
            cache.insert(a, 3);
            within(&cache, 1);
            writer.join().unwrap();
            settled(&cache);
            assert_eq!(cache.len(), 1);
        },
    );
}

#[test]
fn an_insert_and_a_remove() {
    let ends = explore("insert, remove", UNBOUNDED, || {
        let cache = counted::<S3Fifo>(1, 1);
        cache.insert(7, 1);
        let remover = go(&cache, |cache| {
            let removed = cache.remove(&7);
            within(cache, 1);
            removed
        });
        let old = cache.insert(7, 2);
        within(&cache, 1);
        let removed = remover.join().unwrap();
        settled(&cache);
        (old, removed, cache.peek(&7))
    });
    let either = [(Some(1), Some(2), None), (None, Some(1), Some(2))];
    assert_eq!(ends, BTreeSet::from(either));
}

#[test]
fn room_given_back_by_one_shard_is_taken_by_another() {
    explore("remove there, two inserts here", THREE, || {
        let cache = counted::<Fifo>(2, 2);
        let ([a, b], [c]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(c, 1);
        let remover = go(&cache, move |cache| {
            cache.remove(&c);
            within(cache, 2);
        });
        let writer = go(&cache, move |cache| {
            cache.insert(a, 1);
            within(cache, 2);
        });
        cache.insert(b, 1);
        within(&cache, 2);
        remover.join().unwrap();
        writer.join().unwrap();
        settled(&cache);
        assert!(cache.contains_key(&a) && cache.contains_key(&b));
        assert_eq!(cache.len(), 2);
    });
}

#[test]
fn an_insert_and_a_clear() {
    let ends = explore("insert, clear, 2 shards", UNBOUNDED, || {
        let cache = counted::<S3Fifo>(2, 2);
        let ([a], [b, c]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(a, 1);
        cache.insert(b, 1);
        let writer = go(&cache, move |cache| {
            cache.insert(c, 2);
            within(cache, 2);
        });
        cache.clear();
        within(&cache, 2);
        writer.join().unwrap();
        settled(&cache);
        assert!(
            !cache.contains_key(&a) && !cache.contains_key(&b),
            "written before"
        );
        cache.contains_key(&c)
    });
    assert_eq!(ends.len(), 2, "the newest is cleared or stays");
}

#[test]
fn a_gatherer_and_a_clear() {
    explore("whole-capacity insert, clear, 2 shards", UNBOUNDED, || {
        let cache = weighed(3, 2);
        let ([a, c], [b]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(b, 2);
        cache.insert(c, 1);
        let clearer = go(&cache, |cache| {
            cache.clear();
            within(cache, 3);
        });
        assert!(cache.try_insert(a, 3).is_ok());
        within(&cache, 3);
        clearer.join().unwrap();
        settled(&cache);
        assert!(!cache.contains_key(&b) && !cache.contains_key(&c));
    });
}

#[test]
fn a_hit_and_an_eviction() {
    fn model<P: Policy + 'static>(name: &str) {
        let ends = explore(&format!("hit, eviction, {name}"), UNBOUNDED, || {
            let cache = counted::<P>(1, 1);
            cache.insert(1, 10);
            let reader = go(&cache, |cache| cache.get(&1));
            cache.insert(2, 20);
            within(&cache, 1);
            let read = reader.join().unwrap();
            settled(&cache);
            let stats = cache.stats();
            assert_eq!(stats.hits() + stats.misses(), 1);
            assert_eq!(stats.hits(), u64::from(read.is_some()));
            assert_eq!(stats.departures(Cause::Evicted), 1);
            read
        });
        assert_eq!(ends, BTreeSet::from([None, Some(10)]));
    }
    model::<Fifo>("Fifo");
    model::<Lru>("Lru");
    model::<Sieve>("Sieve");
    model::<Duel>("Duel");
    model::<S3Fifo>("S3Fifo");
    model::<Lfu>("Lfu");
}

#[test]
fn two_hits_and_an_eviction() {
    explore("two hits, eviction", THREE, || {
        let cache = counted::<S3Fifo>(2, 1);
        cache.insert(1, 10);
        cache.insert(2, 20);
        let readers = [1, 2].map(|key| go(&cache, move |cache| cache.get(&key)));
        cache.insert(3, 30);
        within(&cache, 2);
        let read = readers.map(|reader| reader.join().unwrap());
        settled(&cache);
        let hits = read.iter().flatten().count() as u64;
        assert_eq!(
            (cache.stats().hits(), cache.stats().misses()),
            (hits, 2 - hits)
        );
        assert_eq!(cache.len(), 2);
    });
}

#[test]
fn inserts_and_a_lowered_capacity() {
    for lowered in [1, 0] {
        let name = format!("insert, set_capacity({lowered}), 2 shards");
        explore(&name, UNBOUNDED, move || {
            let cache = counted::<Fifo>(2, 2);
            let ([a], [b, c]) = (keys(&cache, 0), keys(&cache, 1));
            cache.insert(a, 1);
            cache.insert(b, 1);
            let writer = go(&cache, move |cache| {
                cache.insert(c, 1);
                within(cache, 2);
            });
            resize(&cache, lowered);
            within(&cache, lowered);
            writer.join().unwrap();
            within(&cache, lowered);
            settled(&cache);
        });
    }
}

#[test]
fn a_heavy_victim_and_a_lowered_capacity() {
    explore(
        "light for heavy, set_capacity(2), 1 shard",
        UNBOUNDED,
        || {
            let cache = weighed(4, 1);
            cache.insert(1, 4);
            let writer = go(&cache, |cache| {
                cache.insert(2, 1);
                within(cache, 4);
            });
            resize(&cache, 2);
            within(&cache, 2);
            writer.join().unwrap();
            settled(&cache);
            assert!(cache.contains_key(&2), "it fits, before and after");
        },
    );
}

#[test]
fn a_gatherer_and_a_lowered_capacity() {
    for shards in [2, 3] {
        let name = format!("gather, set_capacity(2), {shards} shards");
        explore(&name, THREE, move || {
            let cache = weighed(4, shards);
            let ([a], [b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            cache.insert(b, 4);
            let writer = go(&cache, move |cache| {
                cache.insert(a, 2);
                within(cache, 4);
            });
            resize(&cache, 2);
            within(&cache, 2);
            writer.join().unwrap();
            settled(&cache);
        });
    }
}

#[test]
fn two_gatherers_and_a_lowered_capacity() {
    explore("two gather, set_capacity(2), 3 shards", THREE, || {
        let cache = weighed(6, 3);
        let ([a], [b], [c]) = (keys(&cache, 0), keys(&cache, 1), keys(&cache, 2));
        cache.insert(c, 2);
        cache.insert(c + 1000, 2);
        cache.insert(c + 2000, 2);
        let writers = [a, b].map(|key| {
            go(&cache, move |cache| {
                cache.insert(key, 2);
                weighs(cache, 6);
            })
        });
        resize(&cache, 2);
        weighs(&cache, 2);
        for writer in writers {
            writer.join().unwrap();
        }
        settled(&cache);
    });
}

#[test]
fn a_lowered_and_a_raised_capacity() {
    let ends = explore("set_capacity(1), set_capacity(3), insert", THREE, || {
        let cache = counted::<Fifo>(2, 2);
        let ([a], [b, c]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(a, 1);
        cache.insert(b, 1);
        let raiser = go(&cache, |cache| resize(cache, 3));
        let writer = go(&cache, move |cache| {
            cache.insert(c, 1);
            within(cache, 3);
        });
        resize(&cache, 1);
        within(&cache, 3);
        raiser.join().unwrap();
        writer.join().unwrap();
        settled(&cache);
        cache.capacity().amount()
    });
    assert_eq!(ends, BTreeSet::from([1, 3]));
}

#[test]
fn two_entries_of_the_whole_capacity_both_get_in() {
    for full in [false, true] {
        let name = format!("two whole-capacity inserts, 2 shards, full: {full}");
        let last = explore(&name, UNBOUNDED, move || {
            let cache = weighed(3, 2);
            let ([a, c], [b, d]) = (keys(&cache, 0), keys(&cache, 1));
            if full {
                cache.insert(c, 2);
                cache.insert(d, 1);
            }
            let writer = go(&cache, move |cache| {
                let stored = cache.try_insert(a, 3).is_ok();
                within(cache, 3);
                stored
            });
            assert!(cache.try_insert(b, 3).is_ok());
            within(&cache, 3);
            assert!(writer.join().unwrap());
            settled(&cache);
            assert_eq!((cache.len(), cache.weight()), (1, 3));
            cache.contains_key(&a)
        });
        assert_eq!(last.len(), 2, "either may be the last");
    }
}

#[test]
fn a_whole_capacity_entry_among_small_ones() {
    explore("one whole, two small, 2 shards", THREE, || {
        let cache = weighed(3, 2);
        let ([a, c], [b, d]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(c, 1);
        cache.insert(d, 1);
        let small = go(&cache, move |cache| {
            cache.insert(b, 1);
            within(cache, 3);
            cache.insert(c, 1);
            within(cache, 3);
        });
        assert!(cache.try_insert(a, 3).is_ok());
        within(&cache, 3);
        small.join().unwrap();
        settled(&cache);
        let left = [a, b, c].map(|key| cache.contains_key(&key));
        assert!(left[0] || left[2], "the newest of either thread");
        left
    });
}

#[test]
fn a_heavy_victims_rest_and_a_gatherer() {
    explore(
        "light for heavy here, whole capacity there",
        UNBOUNDED,
        || {
            let cache = weighed(4, 2);
            let ([a, c], [b]) = (keys(&cache, 0), keys(&cache, 1));
            cache.insert(c, 4);
            let light = go(&cache, move |cache| {
                cache.insert(a, 1);
                within(cache, 4);
            });
            assert!(cache.try_insert(b, 4).is_ok());
            within(&cache, 4);
            light.join().unwrap();
            settled(&cache);
        },
    );
}

#[test]
fn a_value_that_grows_and_an_insert_elsewhere() {
    let ends = explore("update, insert, 2 shards", UNBOUNDED, || {
        let cache = weighed(4, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(a, 1);
        let grower = go(&cache, move |cache| {
            let grown = cache.update(&a, |value| *value = 3);
            within(cache, 4);
            grown
        });
        cache.insert(b, 2);
        within(&cache, 4);
        let grown = grower.join().unwrap();
        settled(&cache);
        let left = cache.peek(&a);
        match grown {
            Updated::Kept(()) => assert!(left.is_none_or(|value| value == 3)),
            _ => assert_eq!(left, None),
        }
        (format!("{grown:?}"), left, cache.contains_key(&b))
    });
    assert_eq!(ends.len(), 2, "{ends:?}");
}

#[test]
fn a_replaced_value_is_never_absent() {
    explore("replace by the whole capacity, reader", UNBOUNDED, || {
        let cache = weighed(4, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(a, 1);
        cache.insert(b, 2);
        let writer = go(&cache, move |cache| cache.insert(a, 4));
        let seen = cache.get(&a);
        assert!(seen == Some(1) || seen == Some(4), "{seen:?}");
        within(&cache, 4);
        assert_eq!(writer.join().unwrap(), Some(1));
        settled(&cache);
        assert_eq!(cache.peek(&a), Some(4));
    });
}

#[test]
fn room_freed_behind_a_gatherer_is_not_snatched() {
    explore(
        "replace by the whole capacity, remove, insert",
        FOUR,
        || {
            let cache = weighed(4, 2);
            let ([a, d], [b, c]) = (keys(&cache, 0), keys(&cache, 1));
            cache.insert(a, 1);
            cache.insert(d, 1);
            cache.insert(c, 2);
            let other = go(&cache, move |cache| {
                cache.remove(&d);
                cache.insert(b, 1);
                within(cache, 4);
            });
            assert_eq!(cache.insert(a, 4), Some(1), "spared until it is replaced");
            within(&cache, 4);
            other.join().unwrap();
            settled(&cache);
        },
    );
}

#[test]
fn a_watcher_of_two_writers() {
    for shards in [1, 2] {
        let name = format!("heavy and light writers, watcher, {shards} shards");
        explore(&name, THREE, move || {
            let cache = weighed(3, shards);
            let ([a, _], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            cache.insert(1000, 1);
            let light = go(&cache, move |cache| {
                assert!(cache.try_insert(a, 2).is_ok());
            });
            let watcher = go(&cache, |cache| {
                weighs(cache, 3);
                weighs(cache, 3);
            });
            assert!(cache.try_insert(b, 3).is_ok());
            light.join().unwrap();
            watcher.join().unwrap();
            settled(&cache);
        });
    }
}

#[test]
fn statistics_while_a_writer_writes() {
    let seen = explore("insert, get, insert, stats", UNBOUNDED, || {
        let cache = counted::<S3Fifo>(1, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        let reader = go(&cache, |cache| {
            let (first, second) = (cache.stats(), cache.stats());
            assert!(first.inserts() <= second.inserts());
            assert!(first.hits() <= second.hits());
            assert!(first.len() <= 1 && second.weight() <= 1);
            (first.inserts(), second.inserts())
        });
        cache.insert(a, 1);
        cache.get(&a);
        cache.insert(b, 1);
        let seen = reader.join().unwrap();
        settled(&cache);
        let stats = cache.stats();
        assert_eq!((stats.inserts(), stats.hits(), stats.misses()), (2, 1, 0));
        seen
    });
    assert_eq!(seen.len(), 6, "each pair in order: {seen:?}");
}

#[test]
fn one_key_loaded_by_two() {
    let ends = explore("or_insert, or_insert", UNBOUNDED, || {
        let cache = counted::<S3Fifo>(1, 1);
        let other = go(&cache, |cache| cache.entry(7).or_insert(1));
        let mine = cache.entry(7).or_insert(2);
        let theirs = other.join().unwrap();
        settled(&cache);
        assert_eq!(mine, theirs);
        assert_eq!(cache.peek(&7), Some(mine));
        mine
    });
    assert_eq!(ends, BTreeSet::from([1, 2]));
}

#[test]
fn a_drain_and_an_insert() {
    explore("drain, insert", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        cache.insert(a, 1);
        let writer = go(&cache, move |cache| {
            cache.insert(b, 2);
            within(cache, 2);
        });
        let mut drained: Vec<_> = cache.drain().collect();
        within(&cache, 2);
        writer.join().unwrap();
        drained.extend(cache.iter());
        drained.sort_by_key(|entry| entry.1);
        assert_eq!(drained, [(a, 1), (b, 2)], "each once");
        settled(&cache);
        cache.len()
    });
}

#[test]
fn entries_that_weigh_one_never_outnumber_the_capacity() {
    for shards in [1, 2] {
        let name = format!("unit weights, watcher of len, {shards} shards");
        let seen = explore(&name, UNBOUNDED, move || {
            let cache = weighed(2, shards);
            let ([a, b, _], [_, _, c]) = (keys(&cache, 0), keys(&cache, shards - 1));
            cache.insert(a, 1);
            cache.insert(b, 1);
            let watcher = go(&cache, |cache| [(); 3].map(|()| cache.len()));
            cache.insert(c, 1);
            cache.remove(&c);
            let seen = watcher.join().unwrap();
            assert!(seen.iter().all(|&len| len <= 2), "{seen:?}");
            settled(&cache);
            seen
        });
        // In one shard 2 or 1, then 1. Of two, one has let go before the other takes in,
        // and they are asked one after another: 1 or 2 at each read.
        assert_eq!(seen.len(), [4, 8][shards - 1], "{seen:?}");
    }
}

#[test]
fn an_entry_limit_beside_the_weight() {
    for shards in [1, 2] {
        let name = format!("entry limit 1, two writers, {shards} shards");
        let left = explore(&name, UNBOUNDED, move || {
            let cache = limited(9, 1, shards);
            let ([a, _], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            let writer = go(&cache, move |cache| {
                assert!(cache.try_insert_weighted(a, 0, 0).is_ok());
                assert!(cache.len() <= 1);
            });
            assert!(cache.try_insert(b, 2).is_ok());
            assert!(cache.len() <= 1);
            writer.join().unwrap();
            settled(&cache);
            assert_eq!(cache.len(), 1, "filled exactly");
            cache.contains_key(&a)
        });
        assert_eq!(left.len(), 2, "either may be the last");
    }
}

#[test]
fn while_the_capacity_is_lowered_the_weight_never_rises() {
    for lowered in [0, 2, 3] {
        let name = format!("set_capacity({lowered}), watcher, 2 shards");
        let seen = explore(&name, UNBOUNDED, move || {
            let cache = weighed(5, 2);
            let ([a, b], [c]) = (keys(&cache, 0), keys(&cache, 1));
            for (key, weight) in [(a, 1), (b, 2), (c, 2)] {
                cache.insert(key, weight);
            }
            let watcher = go(&cache, |cache| [(); 4].map(|()| cache.weight()));
            resize(&cache, lowered);
            within(&cache, lowered);
            let seen = watcher.join().unwrap();
            assert!(seen[0] <= 5, "{seen:?}");
            assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
            settled(&cache);
            seen
        });
        assert!(seen.len() > 5, "seen on its way: {seen:?}");
    }
}

#[test]
fn a_value_that_grows_and_a_lowered_capacity() {
    explore("update, set_capacity(2), watcher, 2 shards", THREE, || {
        let cache = weighed(5, 2);
        let ([a, b], [c]) = (keys(&cache, 0), keys(&cache, 1));
        for key in [a, b, c] {
            cache.insert(key, 1);
        }
        let grower = go(&cache, move |cache| {
            let _ = cache.update(&a, |value| *value = 3);
            within(cache, 5);
        });
        let watcher = go(&cache, |cache| within(cache, 5));
        resize(&cache, 2);
        within(&cache, 2);
        grower.join().unwrap();
        watcher.join().unwrap();
        settled(&cache);
    });
}

// ---- loads ----

/// A load that fails.
fn fails(cache: &Counted) -> Option<u32> {
    cache.try_get_or_insert_with(&7, || Err(())).ok()
}

/// When all is quiet no flight is left, so the next load is one's own.
fn landed(cache: &Counted) {
    settled(cache);
    cache.remove(&7);
    assert_eq!(cache.get_or_insert_with(&7, || 99), 99);
    settled(cache);
}

#[test]
fn one_load_for_three_threads() {
    let ends = explore("three load one key", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let others = [1, 2].map(|n| go(&cache, move |cache| cache.get_or_insert_with(&7, || n)));
        let mine = cache.get_or_insert_with(&7, || 3);
        let theirs = others.map(|other| other.join().unwrap());
        assert_eq!(theirs, [mine, mine]);
        assert_eq!(cache.stats().loads(), 1);
        landed(&cache);
        mine
    });
    assert_eq!(ends, BTreeSet::from([1, 2, 3]), "any may be the leader");
}

#[test]
fn two_wait_for_a_load_that_fails() {
    let ends = explore("one fails, two load", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let failing = go(&cache, fails);
        let other = go(&cache, |cache| cache.get_or_insert_with(&7, || 1));
        let mine = cache.get_or_insert_with(&7, || 2);
        let failed = failing.join().unwrap().is_none();
        assert_eq!(other.join().unwrap(), mine);
        let stats = cache.stats();
        assert_eq!((stats.loads(), stats.load_failures()), (1, failed.into()));
        landed(&cache);
        (failed, mine)
    });
    assert_eq!(ends.len(), 4, "{ends:?}");
}

#[test]
fn two_wait_for_a_load_that_is_dropped() {
    let ends = explore("one is dropped, two load", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let other = go(&cache, |cache| cache.get_or_insert_with(&7, || 1));
        let third = go(&cache, |cache| cache.get_or_insert_with(&7, || 2));
        {
            let never = pin!(cache.get_or_insert_async(&7, std::future::pending()));
            let _ = never.poll(&mut Context::from_waker(Waker::noop()));
        }
        let (one, two) = (other.join().unwrap(), third.join().unwrap());
        assert_eq!(one, two);
        landed(&cache);
        (one, cache.stats().load_failures())
    });
    assert_eq!(ends.len(), 4, "{ends:?}");
}

#[test]
fn a_waiter_that_gives_up_passes_an_offer_on() {
    let ends = explore("one fails, one gives up, one loads", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let failing = go(&cache, fails);
        let impatient = go(&cache, |cache| {
            cache.load(&7).within(Duration::ZERO, || Ok::<_, ()>(1))
        });
        let mine = cache.get_or_insert_with(&7, || 2);
        failing.join().unwrap();
        let end = impatient.join().unwrap();
        assert!(matches!(end, Ok(1 | 2) | Err(LoadError::TimedOut)));
        landed(&cache);
        (format!("{end:?}"), mine)
    });
    assert_eq!(ends.len(), 3, "{ends:?}");
}

#[test]
fn a_write_against_a_flight() {
    type Case = (&'static str, fn(&Counted), [Option<u32>; 2]);
    let cases: [Case; 3] = [
        ("insert", |cache| _ = cache.insert(7, 5), [Some(5), Some(5)]),
        ("remove", |cache| _ = cache.remove(&7), [None, Some(1)]),
        ("clear", |cache| cache.clear(), [None, Some(1)]),
    ];
    for (name, write, stored) in cases {
        let name = format!("two load, {name}");
        let ends = explore(&name, THREE, move || {
            let cache = counted::<Fifo>(2, 1);
            let other = go(&cache, |cache| cache.get_or_insert_with(&7, || 1));
            let writer = go(&cache, write);
            let mine = cache.get_or_insert_with(&7, || 1);
            let theirs = other.join().unwrap();
            writer.join().unwrap();
            assert!([1, 5].contains(&mine) && [1, 5].contains(&theirs));
            let kept = cache.peek(&7);
            assert!(stored.contains(&kept), "{kept:?}");
            landed(&cache);
            kept
        });
        assert_eq!(ends, BTreeSet::from(stored), "before and after");
    }
}

#[test]
fn one_load_for_tasks_and_a_thread() {
    let ends = explore("two tasks and a thread load one key", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let others = [1, 2].map(|n| {
            go(&cache, move |cache| {
                block_on(cache.get_or_insert_async(&7, async { n }))
            })
        });
        let mine = cache.get_or_insert_with(&7, || 3);
        let theirs = others.map(|other| other.join().unwrap());
        assert_eq!(theirs, [mine, mine]);
        landed(&cache);
        mine
    });
    assert_eq!(ends.len(), 3, "{ends:?}");
}

#[test]
fn a_task_that_fails_and_a_task_that_waits() {
    let ends = explore("one task fails, one loads", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let failing = go(&cache, |cache| {
            let load = async { Err::<u32, _>(()) };
            block_on(cache.try_get_or_insert_async(&7, load)).ok()
        });
        assert_eq!(block_on(cache.get_or_insert_async(&7, async { 2 })), 2);
        let failed = failing.join().unwrap();
        assert!(failed.is_none_or(|value| value == 2));
        landed(&cache);
        failed
    });
    assert_eq!(ends, BTreeSet::from([None, Some(2)]));
}

#[test]
fn a_waker_that_is_replaced_while_the_leader_lands() {
    explore("a waker is replaced, the leader lands", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        let leader = go(&cache, |cache| cache.get_or_insert_with(&7, || 1));
        let mut waiting = pin!(cache.get_or_insert_async(&7, async { 2 }));
        let first = waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let mine = match first {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => block_on(waiting),
        };
        assert_eq!(leader.join().unwrap(), mine);
        landed(&cache);
    });
}

#[test]
fn two_loads_that_ask_for_each_other() {
    let ends = explore("1 asks for 2, 2 asks for 1", THREE, || {
        let cache = counted::<Fifo>(4, 1);
        let ask = |cache: &Counted, own: u32, other: u32| {
            cache.try_get_or_insert_with(&own, || {
                cache.try_get_or_insert_with(&other, || Ok::<_, ()>(5))
            })
        };
        let other = go(&cache, move |cache| ask(cache, 2, 1));
        let mine = ask(&cache, 1, 2);
        let ends = [mine, other.join().unwrap()].map(|end| match end {
            Ok(5) => true,
            Err(LoadError::Failed(LoadError::Cycle)) => false,
            other => panic!("{other:?}"),
        });
        assert!(ends.contains(&true), "one at least goes on");
        settled(&cache);
        ends
    });
    assert_eq!(ends.len(), 3, "{ends:?}");
}
