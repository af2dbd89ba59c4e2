//! What a load asks of its caller: how often its key is cloned, how large its future is,
//! which clock is read, and that a thread which waits keeps its `unpark` token.

use crate::world::flights::{Task, block_on, go};
use crate::world::{ends, until};
use brimful::{Aged, Cache, Clock, Entries, LoadError, ManualClock, Timed, Weight};
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// A key that counts its clones.
#[derive(Debug)]
struct Key(u64, Arc<AtomicUsize>);

impl Clone for Key {
    fn clone(&self) -> Self {
        self.1.fetch_add(1, SeqCst);
        Self(self.0, self.1.clone())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

fn keys<const N: usize>() -> ([Key; N], impl Fn() -> usize) {
    let clones = Arc::new(AtomicUsize::new(0));
    let keys = std::array::from_fn(|n| Key(n as u64, clones.clone()));
    (keys, move || clones.swap(0, SeqCst))
}

#[test]
fn a_miss_that_loads_clones_its_key_once() {
    let ([sync, task, falling, failing], clones) = keys();
    let cache = Cache::new(100);
    cache.get_or_insert_with(&sync, || 1);
    assert_eq!(clones(), 1);
    block_on(cache.get_or_insert_async(&task, async { 2 }));
    assert_eq!(clones(), 1);
    let within = cache
        .load(&falling)
        .within(Duration::ZERO, || Ok::<_, ()>(3));
    assert_eq!((within, clones()), (Ok(3), 1));
    let failed = cache.load(&failing).with(|| Err(()));
    assert_eq!((failed, clones()), (Err(LoadError::Failed(())), 1));
    for key in [&sync, &task, &falling] {
        cache.get_or_insert_with(key, || unreachable!("it is there"));
    }
    assert_eq!((clones(), cache.len()), (0, 3));
    cache.check();
}

#[test]
fn of_many_keys_each_that_is_loaded_is_cloned_once() {
    let (wanted, clones) = keys::<5>();
    let cache = Cache::new(100);
    cache.get_or_insert_with(&wanted[2], || 2);
    clones();
    let own = |key: &&Key| (Key(key.0, Arc::default()), key.0);
    let found = cache.get_or_insert_many(&wanted, |missing| {
        missing.iter().map(own).collect::<Vec<_>>()
    });
    assert_eq!(found, (0..5).map(Some).collect::<Vec<_>>());
    assert_eq!(clones(), 4);
    cache.check();
}

/// The weigher, and the rule for lives, see a key before it meets the one in the flight.
#[test]
fn a_key_that_is_shown_to_a_closure_first_is_cloned_once_more() {
    let ([key], clones) = keys();
    let cache = Cache::weighted(100, |_: &Key, value: &u64| *value);
    assert_eq!(cache.get_or_insert_with(&key, || 5), 5);
    assert_eq!((clones(), cache.weight()), (2, 5));
    let timed =
        Cache::builder(Entries(100)).ttl_with(|_: &Key, _: &u64, _| Some(Duration::from_secs(9)));
    let timed = timed.build().unwrap();
    assert_eq!(timed.get_or_insert_with(&key, || 5), 5);
    assert_eq!(clones(), 2);
    cache.check();
    timed.check();
}

/// Room for it is gathered from other shards; then the key in the flight stays where it is.
#[test]
fn a_load_that_must_gather_room_is_stored_and_leads_alone() {
    let (wanted, clones) = keys::<200>();
    let cache = Cache::builder(Entries(8)).shards(8).build().unwrap();
    for (n, key) in wanted.iter().enumerate() {
        let value = cache.get_or_insert_with(key, || {
            std::thread::scope(|scope| {
                let other = || cache.load(key).within(Duration::ZERO, || Ok::<_, ()>(0));
                assert_eq!(scope.spawn(other).join().unwrap(), Err(LoadError::TimedOut));
            });
            n
        });
        assert_eq!((value, cache.peek(key)), (n, Some(n)));
        cache.check();
    }
    assert_eq!(cache.len(), 8);
    assert!(
        (400..=600).contains(&clones()),
        "a call, one beside it, and gathered"
    );
}

#[test]
fn a_call_that_waits_for_another_thread_s_load_leaves_its_thread_s_token_alone() {
    for many in [false, true] {
        ends(move || {
            let cache = Arc::new(Cache::<u32, u32>::new(100));
            let waits = |cache: &Cache<u32, u32>| cache.stats().load_waits() == 1;
            let loading = go(&cache, move |cache| {
                cache.get_or_insert_with(&1, || {
                    until(|| waits(cache));
                    7
                })
            });
            until(|| cache.stats().misses() == 1);
            std::thread::current().unpark();
            let mine = if many {
                cache.get_or_insert_many(&[1], |_| -> [(u32, u32); 0] { unreachable!() })[0]
            } else {
                let load = || unreachable!("another thread does");
                cache
                    .load(&1)
                    .within(Duration::MAX, load)
                    .map_err(|_: LoadError<Infallible>| ())
                    .ok()
            };
            assert_eq!(mine, Some(7));
            // It returns at once, or never.
            std::thread::park();
            loading.join().unwrap();
        });
    }
}

/// A loader that is large.
async fn large() -> u32 {
    let bytes = [1_u8; 16_384];
    std::future::ready(()).await;
    bytes.iter().map(|&byte| u32::from(byte)).sum()
}

async fn large_or_not() -> Result<u32, Infallible> {
    Ok(large().await)
}

/// How much larger the future of a call is than that of its load.
fn added<F, C>(load: F, call: impl FnOnce(F) -> C) -> usize {
    let size = size_of_val(&load);
    size_of_val(&call(load)) - size
}

#[test]
fn the_future_of_a_loading_call_is_its_load_and_a_little() {
    let cache = Arc::new(Cache::<u32, u32>::new(100));
    // Of many, the future is made by the call: it is there once.
    let large_pairs = |_: Vec<&u32>| async { large_or_not().await.map(|value| [(1, value)]) };
    let pairs = size_of_val(&large_pairs(vec![]));
    let many = size_of_val(&cache.load_many(&[1]).future(large_pairs));
    assert!(many <= pairs + 1_024, "{many} of {pairs}");
    let all = [
        added(large(), |load| cache.get_or_insert_async(&1, load)),
        added(large_or_not(), |load| {
            cache.try_get_or_insert_async(&1, load)
        }),
        added(large_or_not(), |load| cache.load(&1).future(load)),
        added(large_or_not(), |load| cache.load(&1).shared().future(load)),
        added(large_or_not(), |load| {
            cache.load(&1).valid_if(&|_| true).future(load)
        }),
        added(large_or_not(), |load| {
            cache.load_or_refresh(&1).future(load, drop)
        }),
    ];
    assert!(all.iter().all(|&added| added <= 600), "{all:?}");
    assert_eq!(block_on(cache.get_or_insert_async(&1, large())), 16_384);
}

#[test]
fn a_busy_executor_without_wakers_makes_progress() {
    use std::task::{Context, Poll, Waker};

    let cache = Cache::<u32, u32>::new(100);
    let gate = crate::world::flights::Gate::default();
    let mut leader = Task::new(cache.get_or_insert_async(&1, gate.pass()));
    assert!(leader.waits());
    let mut waiter = pin!(cache.get_or_insert_async(&1, async { unreachable!() }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    gate.open(5);
    assert_eq!(leader.end(), 5);
    assert_eq!(waiter.as_mut().poll(&mut context), Poll::Ready(5));
}

#[test]
fn load_times_are_read_from_the_cache_s_clock() {
    let clock = ManualClock::new();
    let second = Duration::from_secs(1);
    let cache: Cache<u32, u32, Timed> = Cache::builder(Entries(100))
        .time_to_live(10 * second)
        .clock(clock.clone())
        .build()
        .unwrap();
    let load = || {
        clock.advance(second);
        Ok::<_, Infallible>(1)
    };
    cache.load(&1).with(load).unwrap();
    block_on(cache.load(&2).future(async { load() })).unwrap();
    cache
        .load_many(&[3, 4])
        .with(|_| load().map(|one| [(3, one)]))
        .unwrap();
    cache.load_many(&[4]).with(|_| load().map(|_| [])).unwrap();
    assert_eq!(
        (cache.stats().loads(), cache.stats().load_time()),
        (4, 4 * second)
    );
    // A life begins when the load has ended.
    cache.load(&5).with(load).unwrap();
    clock.advance(10 * second - Duration::from_nanos(1));
    assert!(cache.contains_key(&5));
    // A clock that is set back is heard as if it stood still.
    let back = || {
        clock.set(Duration::ZERO);
        Ok::<_, Infallible>(1)
    };
    cache.load(&6).with(back).unwrap();
    assert_eq!(cache.stats().load_time(), 5 * second);
    cache.check();
}

#[test]
fn the_clock_of_a_cache_without_lives_times_its_loads_and_its_statistics_alone() {
    struct Asked(ManualClock, AtomicUsize);
    impl Clock for Asked {
        fn now(&self) -> Duration {
            self.1.fetch_add(1, SeqCst);
            self.0.now()
        }
    }
    let second = Duration::from_secs(1);
    let clock = Arc::new(Asked(ManualClock::new(), AtomicUsize::new(0)));
    let load = || {
        clock.0.advance(second);
        1
    };
    let asked = || clock.1.load(SeqCst);
    let built = || Cache::<u32, u32>::builder(Entries(2)).clock(clock.clone());

    let cache = built().build().unwrap();
    assert_eq!(cache.get_or_insert_with(&1, load), 1);
    assert_eq!((asked(), cache.stats().load_time()), (2, second));
    cache.extend([(2, 2), (3, 3), (4, 4)]);
    cache.get_or_insert_with(&4, || unreachable!("it is there"));
    cache.retain(|_, _| false);
    assert_eq!(asked(), 3);

    let mut cache = built().build_unsync().unwrap();
    assert_eq!(cache.get_or_insert_with(&1, load).unwrap(), &1);
    assert_eq!((asked(), cache.stats().load_time()), (5, second));
    cache.extend([(2, 2), (3, 3), (4, 4)]);
    assert_eq!((cache.get(&4), asked()), (Some(&4), 6));
}

#[test]
fn loads_of_a_cache_without_lives_take_time() {
    let cache = Cache::<u32, u32>::new(100);
    cache.get_or_insert_with(&1, || {
        std::thread::sleep(Duration::from_millis(2));
        1
    });
    assert!(cache.stats().load_time() >= Duration::from_millis(2));
    let counted: Cache<u32, u32, Aged> = Cache::builder(Entries(9))
        .refresh_after(Duration::from_secs(9))
        .build()
        .unwrap();
    assert_eq!(counted.get_or_insert_with(&1, || 1), 1);
    assert_eq!(counted.stats().loads(), 1);
}

#[test]
fn what_is_to_be_loaded_is_shown_by_the_figures_of_its_cache() {
    struct Unprintable;
    let cache = Arc::new(Cache::<u32, Unprintable>::new(7));
    let shown = format!("{:?} {:?}", cache.load(&1), cache.load_many(&[1]));
    assert!(
        shown.contains("Load {") && shown.contains("LoadMany {") && shown.contains("capacity: 7")
    );
    let cache = Arc::new(
        Cache::builder(Weight(9, |_: &u32, _: &u32| 1))
            .build()
            .unwrap(),
    );
    assert!(format!("{:?}", cache.load_or_refresh(&1)).contains("LoadOrRefresh {"));
}
