//! Walks over all entries: what one does to the cache meanwhile, and what others' writes do to it.

use crate::world::panics::{quietly, stop};
use crate::world::{Threaded, ends, until};
use brimful::policy::Lru;
use brimful::{Cache, Entries, ManualClock, unsync};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{scope, sleep};
use std::time::Duration;

thread_local! {
    static CLONES: Cell<usize> = const { Cell::new(0) };
}

/// Counts its clones, by thread.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Costly(u64);

impl Clone for Costly {
    fn clone(&self) -> Self {
        CLONES.set(CLONES.get() + 1);
        Self(self.0)
    }
}

fn clones_of(call: impl FnOnce()) -> usize {
    CLONES.set(0);
    call();
    CLONES.get()
}

#[test]
fn fault_118_a_walk_clones_a_few_entries_at_a_time_or_none() {
    for shards in [1, 8] {
        let cache = Cache::builder(Entries(10_000)).shards(shards).build();
        let cache: Cache<Costly, Costly> = cache.unwrap();
        cache.extend((0..10_000).map(|n| (Costly(n), Costly(n))));
        assert!((2..=128).contains(&clones_of(|| drop(cache.iter().next()))));
        assert!((1..=64).contains(&clones_of(|| drop(cache.keys().next()))));
        assert!((1..=64).contains(&clones_of(|| drop(cache.values().next()))));
        assert_eq!(
            clones_of(|| assert_eq!(cache.iter().count(), 10_000)),
            20_000
        );
        let mut shown = 0;
        assert_eq!(clones_of(|| cache.for_each(|_, _| shown += 1)), 0);
        assert_eq!(shown, 10_000);
    }
}

/// A walk over one shard, of closures that take their time: a write of another thread, begun
/// during the walk, ends long before it.
fn lets_a_writer_pass(walk: impl Fn(&Cache<u32, u32>, &dyn Fn()) + Send + 'static) {
    ends(move || {
        let cache = Cache::builder(Entries(2_000)).shards(1).build().unwrap();
        cache.extend((0..1_000).map(|n| (n, n)));
        let (shown, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope(|scope| {
            scope.spawn(|| {
                until(|| shown.load(SeqCst) > 0);
                cache.insert(5_000, 0);
                written.store(shown.load(SeqCst), SeqCst);
            });
            walk(&cache, &|| {
                shown.fetch_add(1, SeqCst);
                sleep(Duration::from_millis(1));
            });
        });
        let (shown, written) = (shown.into_inner(), written.into_inner());
        assert!(shown >= 1_000, "{shown}");
        assert!(written < 700, "written after {written} of {shown}");
    });
}

#[test]
fn fault_118_a_walk_lets_a_writer_of_its_shard_pass() {
    lets_a_writer_pass(|cache, show| cache.for_each(|_, _| show()));
    lets_a_writer_pass(|cache, show| {
        cache.retain(|_, _| {
            show();
            true
        });
    });
    lets_a_writer_pass(|cache, show| cache.iter().for_each(|_| show()));
}

/// Keys below this stay, those from it on come and go.
const STAY: u64 = 2_000;

/// The keys that a walk met: those that stay once, the others once at most.
fn met_once(how: &str, keys: impl IntoIterator<Item = u64>) {
    let mut times = BTreeMap::<u64, u32>::new();
    keys.into_iter()
        .for_each(|key| *times.entry(key).or_default() += 1);
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{how}: met twice: {twice:?}");
    let left_out: Vec<_> = (0..STAY).filter(|key| !times.contains_key(key)).collect();
    assert!(left_out.is_empty(), "{how}: left out: {left_out:?}");
}

fn walks_in_every_way(cache: &Cache<u64, u64>) {
    met_once("iter", cache.iter().map(|(key, _)| key));
    met_once("keys", cache.keys());
    met_once("values", cache.values().map(|value| value % 1_000_000));
    let mut met = Vec::new();
    cache.for_each(|&key, _| met.push(key));
    met_once("for_each", met.drain(..));
    cache.retain(|&key, _| {
        met.push(key);
        true
    });
    met_once("retain", met);
}

#[test]
fn a_walk_meets_what_stays_once_beside_writers_that_rebuild_the_tables() {
    for shards in [1, 3] {
        let cache = Cache::builder(Entries(100_000)).shards(shards).build();
        let cache: Cache<u64, u64> = cache.unwrap();
        cache.extend((0..STAY).map(|n| (n, n)));
        let done = AtomicBool::new(false);
        let rounds = AtomicUsize::new(0);
        scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let round = rounds.fetch_add(1, SeqCst) as u64;
                    let passing = STAY..STAY + 1_000 * (1 + round % 8);
                    cache.extend(passing.clone().map(|n| (n, n)));
                    // The value changes, the key stays.
                    cache.extend((0..STAY).map(|n| (n, n + 1_000_000 * round)));
                    passing.for_each(|n| _ = cache.remove(&n));
                    cache.shrink_to_fit();
                }
            });
            for _ in 0..3 {
                let before = rounds.load(SeqCst);
                while rounds.load(SeqCst) < before + 3 {
                    walks_in_every_way(&cache);
                }
            }
            done.store(true, SeqCst);
        });
        cache.check();
    }
}

#[test]
fn between_any_two_items_the_tables_may_be_rebuilt() {
    let cache: Cache<u64, u64> = Cache::new(100_000);
    cache.extend((0..STAY).map(|n| (n, n)));
    let mut grown = STAY;
    let keys = cache.iter().enumerate().map(|(met, (key, _))| {
        match met % 40 {
            0 => {
                cache.extend((grown..grown + 900).map(|n| (n, n)));
                grown += 900;
            }
            20 => {
                (STAY..grown).for_each(|n| _ = cache.remove(&n));
                cache.shrink_to_fit();
            }
            _ => {}
        }
        key
    });
    met_once("iter", keys);
}

#[test]
fn looking_leaves_a_load_alone_and_retain_does_not() {
    type Walk = fn(&Cache<u32, u32>);
    let walks: [(Walk, bool); 6] = [
        (|cache| cache.for_each(|_, _| ()), true),
        (|cache| assert_eq!(cache.iter().count(), 50), true),
        (|cache| assert_eq!(cache.keys().count(), 50), true),
        (|cache| assert_eq!(cache.values().count(), 50), true),
        (|cache| cache.retain(|_, _| true), false),
        (|cache| cache.retain(|_, _| false), false),
    ];
    for (index, (walk, is_stored)) in walks.into_iter().enumerate() {
        let cache = Cache::new(100);
        cache.extend((0..50).map(|n| (n, n)));
        let loaded = cache.get_or_insert_with(&70, || {
            walk(&cache);
            7
        });
        assert_eq!(loaded, 7);
        assert_eq!(cache.contains_key(&70), is_stored, "walk {index}");
        cache.check();
    }
}

#[test]
fn looking_leaves_a_refresh_alone() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10))
        .refresh_after(Duration::from_secs(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1);
    clock.advance(Duration::from_secs(2));
    let loaded = cache.get_or_insert_with(&1, || {
        cache.for_each(|_, value| assert_eq!(*value, 1));
        2
    });
    assert_eq!((loaded, cache.get(&1)), (2, Some(2)));
}

fn is_no_use<P: Threaded>() {
    let cache = Cache::builder(Entries(3)).policy::<P>().shards(1);
    let cache: Cache<u32, u32, P> = cache.build().unwrap();
    cache.extend([(1, 1), (2, 2), (3, 3)]);
    for _ in 0..3 {
        cache.for_each(|_, _| ());
        assert_eq!(cache.iter().count(), 3);
    }
    let stats = cache.stats();
    assert_eq!((stats.hits(), stats.misses()), (0, 0));
    cache.insert(4, 4);
    assert!(!cache.contains_key(&1), "the least recently used one left");
}

#[test]
fn a_walk_is_no_use() {
    is_no_use::<Lru>();
}

#[test]
fn what_has_expired_is_not_shown() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(1_000)).time_to_live(Duration::from_secs(9));
    let cache = cache.clock(clock.clone()).build().unwrap();
    cache.extend((0..500).map(|n| (n, n)));
    (500..1_000).for_each(|n| _ = cache.insert_with_ttl(n, n, Duration::from_secs(1)));
    let mut shown = Vec::new();
    cache.for_each(|&key, _| {
        shown.push(key);
        // The call knows what time it was when it began.
        clock.set(Duration::from_secs(2));
    });
    assert_eq!(shown.len(), 1_000);
    shown.clear();
    cache.for_each(|&key, _| shown.push(key));
    shown.extend(cache.keys());
    shown.sort_unstable();
    assert!(shown.into_iter().eq((0..500).flat_map(|n| [n, n])));
    // An iterator reads the clock for each step, since it may be kept for long.
    let mut keys = cache.keys();
    let first = keys.next().is_some();
    clock.set(Duration::from_secs(10));
    assert!(first && keys.count() < 64);
}

#[test]
fn a_panic_ends_the_walk_and_nothing_is_lost() {
    let value = Arc::new(());
    let cache = Cache::builder(Entries(1_000)).shards(4).build().unwrap();
    cache.extend((0..1_000).map(|n| (n, value.clone())));
    for last in [1, 100, 999] {
        let mut shown = 0;
        let ended = quietly(|| {
            cache.for_each(|_: &u32, _| {
                shown += 1;
                if shown == last {
                    stop();
                }
            });
        });
        assert!(ended.is_err());
        assert_eq!(shown, last);
        assert_eq!((cache.len(), Arc::strong_count(&value)), (1_000, 1_001));
        cache.check();
    }
    let mut shown = 0;
    cache.for_each(|_, _| shown += 1);
    assert_eq!(shown, 1_000);
}

/// What is yielded lies within every hint that was given before.
fn hints_hold<I: Iterator>(mut items: I) {
    let mut hints = vec![items.size_hint()];
    while items.next().is_some() {
        hints.push(items.size_hint());
    }
    for (left, (least, most)) in hints.into_iter().rev().enumerate() {
        assert!(least <= left, "{least} of {left}");
        assert!(most.is_none_or(|most| left <= most), "{most:?} of {left}");
    }
}

#[test]
fn fault_124_iterators_say_how_many_are_left_as_far_as_they_can_know() {
    let full = || {
        let cache = Cache::builder(Entries(1_000)).shards(3).build().unwrap();
        cache.extend((0..1_000).map(|n| (n, n)));
        cache
    };
    let cache: Cache<u32, u32> = full();
    hints_hold(cache.iter());
    hints_hold(cache.keys());
    hints_hold(cache.values());
    hints_hold(cache.drain());
    // Others may write to what was not yet met.
    let mut entries = cache.iter();
    assert_eq!((entries.size_hint(), entries.next()), ((0, None), None));
    assert_eq!(entries.size_hint(), (0, Some(0)));
    let cache = full();
    let mut entries = cache.iter();
    entries.next();
    let (cloned, most) = entries.size_hint();
    assert!((1..64).contains(&cloned) && most.is_none());
    drop(entries);
    // Nobody else has this one.
    let mut entries = cache.into_iter();
    for left in (0..1_000).rev() {
        entries.next();
        assert_eq!(entries.len(), left);
    }
    hints_hold(full().into_iter());
}

#[test]
fn fault_124_what_expires_is_not_counted_as_left() {
    let clock = ManualClock::new();
    let builder = || {
        let builder = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(9));
        builder.clock(clock.clone())
    };
    let entries = || (0..6).map(|n| (n, n));
    let (second, short) = (Duration::from_secs(1), Duration::from_millis(1));
    let mut alone: unsync::Cache<u32, u32, _> = builder().build_unsync().unwrap();
    alone.extend(entries());
    let mut items = alone.iter();
    items.by_ref().take(3).for_each(drop);
    assert_eq!(items.size_hint(), (3, Some(3)), "none has expired");
    alone.insert_with_ttl(9, 9, short);
    let shared: Cache<u32, u32, _> = builder().build().unwrap();
    shared.extend(entries());
    shared.insert_with_ttl(9, 9, short);
    // It has expired, and the beat of the wheel in which it comes up is yet to begin.
    clock.advance(short);
    assert_eq!((alone.iter().count(), alone.len()), (6, 7));
    hints_hold(alone.iter());
    clock.advance(second);
    hints_hold(alone.iter());
    hints_hold(alone.keys());
    hints_hold(alone.values());
    hints_hold(alone.drain());
    hints_hold(shared.iter());
    hints_hold(shared.into_iter());
}
