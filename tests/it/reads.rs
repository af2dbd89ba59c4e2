//! Reads without a lock, beside writers: what is read is alive and under its key, what is only
//! replaced is never absent, and every short history is one that a sequential map could have.
//!
//! Values are boxes that notice being read after their drop. Scale: `BRIMFUL_STRESS` is the
//! number of calls of each mixed run, `BRIMFUL_HISTORIES` that of histories.

use crate::world::random::Random;
use crate::world::watchdog::{ends, many_threads};
use crate::world::{count, seed};
use brimful::policy::{Duel, Lru, Policy, S3Fifo};
use brimful::{BuildError, Builder, Cache, Computed, Entries, Form, Next, Updated, Weight};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Arc, Barrier};
use std::thread::{scope, spawn, yield_now};
use std::time::Duration;

fn calls() -> u64 {
    count("BRIMFUL_STRESS", 60_000)
}

// ---- values that notice ----

const ALIVE: u64 = 0xA11E_A11E_A11E_A11E;
const DEAD: u64 = 0xDEAD_DEAD_DEAD_DEAD;

/// Something on the heap that says whether it was dropped, and what it belongs to.
struct Canary(Box<(AtomicU64, AtomicU64)>);

impl Canary {
    fn of(n: u64) -> Self {
        Self(Box::new((AtomicU64::new(ALIVE), AtomicU64::new(n))))
    }

    fn read(&self) -> u64 {
        assert_eq!(self.0.0.load(Relaxed), ALIVE, "read after its drop");
        self.0.1.load(Relaxed)
    }
}

impl Clone for Canary {
    fn clone(&self) -> Self {
        let clone = Self::of(self.read());
        // Whoever reads is often interrupted in the middle.
        if clone.read() % 61 == 0 {
            yield_now();
        }
        assert_eq!(self.read(), clone.read());
        clone
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.read();
        self.0.0.store(DEAD, Relaxed);
    }
}

impl PartialEq for Canary {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl Eq for Canary {}

impl Hash for Canary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.read().hash(state);
    }
}

/// A value of this key: the lower half is the key's.
fn value_of(key: u64, random: &mut Random) -> Canary {
    Canary::of(random.next() << 32 | key)
}

fn belongs(value: &Canary, key: u64) {
    assert_eq!(value.read() & 0xFFFF_FFFF, key, "a value of another key");
}

const KEYS: u64 = 200;

/// One call of those there are, on a key of those that are often asked for.
fn any_call<F: Form>(cache: &Cache<Canary, Canary, F>, random: &mut Random) {
    let key = random.below(KEYS).min(random.below(KEYS));
    let own = Canary::of(key);
    let found = match random.below(64) {
        0..32 => cache.get(&own),
        32..35 => cache.peek(&own),
        35..37 => {
            let seen = cache.view(&own, |found, value| {
                assert_eq!(found.read(), key);
                belongs(value, key);
                yield_now();
                belongs(value, key);
            });
            assert!(seen.is_none() || seen == Some(()));
            None
        }
        37 => {
            let _ = cache.contains_key(&own);
            None
        }
        38..40 => {
            let others = [key, (key + 1) % KEYS, 0].map(Canary::of);
            for (found, key) in cache.get_many(&others).into_iter().zip(&others) {
                found.inspect(|found| belongs(found, key.read()));
            }
            None
        }
        40..51 => cache.insert(own, value_of(key, random)),
        51..55 => Some(cache.get_or_insert_with(&own, || value_of(key, random))),
        55..58 => cache.remove(&own),
        58..60 => {
            let to = value_of(key, random);
            let updated = cache.update(&own, |value| std::mem::replace(value, to));
            match updated {
                Updated::Kept(old) | Updated::Refused(old) => Some(old),
                _ => None,
            }
        }
        60 => {
            let to = value_of(key, random);
            match cache.compute(own, |found| match found {
                Some(found) if found.read() >> 32 & 1 == 0 => Next::Remove,
                Some(found) => {
                    belongs(found, key);
                    Next::Put(to)
                }
                None => Next::Put(to),
            }) {
                Computed::Replaced(old) | Computed::Removed(old) => Some(old),
                _ => None,
            }
        }
        61 if random.chance(20) => {
            cache.retain(|key, value| {
                belongs(value, key.read());
                value.read() >> 32 & 3 != 0
            });
            None
        }
        62 if random.chance(40) => {
            match random.below(3) {
                0 => cache.clear(),
                1 => drop(cache.drain().take(20).collect::<Vec<_>>()),
                _ => cache.shrink_to_fit(),
            }
            None
        }
        63 if random.chance(20) => {
            for (key, value) in cache {
                belongs(&value, key.read());
            }
            None
        }
        _ => cache
            .entry(own)
            .and_modify(|value| belongs(value, key))
            .or_insert_with(|| value_of(key, random))
            .into(),
    };
    found.inspect(|found| belongs(found, key));
}

/// So many threads mix all calls.
fn stress<F: Form>(threads: u64, cache: Result<Cache<Canary, Canary, F>, BuildError>)
where
    Cache<Canary, Canary, F>: Sync,
{
    let cache = cache.unwrap();
    scope(|scope| {
        for thread in 0..threads {
            let cache = &cache;
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..calls() / threads {
                    any_call(cache, &mut random);
                }
            });
        }
    });
    cache.check();
    let stats = cache.stats();
    assert!(stats.hits() > 0 && stats.misses() > 0 && cache.len() <= 64);
}

fn sixty_four(shards: usize) -> Builder<Canary, Canary, Duel> {
    Cache::builder(Entries(64)).shards(shards)
}

#[test]
fn what_is_read_was_not_dropped_and_lies_under_its_key() {
    ends(|| {
        for threads in [8, 32] {
            stress(threads, sixty_four(1).build());
            stress(threads, sixty_four(4).policy::<S3Fifo>().build());
            stress(threads, sixty_four(2).policy::<Lru>().build());
        }
    });
}

#[test]
fn with_weights_and_ends_what_is_read_was_not_dropped_either() {
    ends(|| {
        let weight = |_: &Canary, value: &Canary| 1 + value.read() % 11;
        let weighed = || Cache::builder(Weight(400, weight)).entry_limit(64);
        stress(8, weighed().shards(2).build());
        let to_idle = Duration::from_micros(200);
        stress(8, weighed().shards(1).time_to_idle(to_idle).build());
        stress(
            8,
            sixty_four(2)
                .time_to_live(Duration::from_micros(300))
                .build(),
        );
    });
}

#[test]
fn a_table_that_grows_and_shrinks_is_read_all_the_while() {
    ends(|| {
        let cache: Cache<u64, Canary> = Cache::builder(Entries(5_000)).shards(1).build().unwrap();
        cache.insert(0, Canary::of(0));
        let done = AtomicBool::new(false);
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        // It is never the victim: the cache does not fill, but for 0 all leaves.
                        belongs(&cache.get(&0).expect("it stays"), 0);
                    }
                });
            }
            for round in 0..(calls() / 6_000).max(4) {
                (1..3_000).for_each(|n| drop(cache.insert(n, Canary::of(n))));
                if round % 2 == 0 {
                    cache.retain(|&n, _| n == 0);
                } else {
                    (1..3_000).for_each(|n| drop(cache.remove(&n)));
                }
                cache.shrink_to_fit();
            }
            done.store(true, Relaxed);
        });
        cache.check();
    });
}

// ---- a register ----

/// One writer, many readers: what is only replaced is never absent, and no reader sees an
/// older value after a newer one.
fn register<P: Policy + Send + 'static>(write: impl Fn(&Cache<u64, Canary, P>, u64) + Sync)
where
    P::Meta: Send,
{
    let builder = Cache::builder(Entries(100)).policy::<P>().shards(1);
    let cache: Cache<u64, Canary, P> = builder.build().unwrap();
    (0..40).for_each(|key| drop(cache.insert(key, Canary::of(0))));
    let done = AtomicBool::new(false);
    scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 0;
                while !done.load(Relaxed) {
                    let seen = cache.get(&7).expect("it is only replaced").read();
                    assert!(seen >= newest, "{seen} after {newest}");
                    newest = seen;
                    assert!(cache.contains_key(&7));
                }
            });
        }
        (1..=calls() / 20).for_each(|n| write(&cache, n));
        done.store(true, Relaxed);
    });
    assert_eq!(cache.get(&7).map(|value| value.read()), Some(calls() / 20));
}

#[test]
fn what_is_only_replaced_is_never_absent_and_never_older() {
    ends(|| {
        register::<Duel>(|cache, n| drop(cache.insert(7, Canary::of(n))));
        register::<Lru>(|cache, n| drop(cache.insert(7, Canary::of(n))));
        register::<Duel>(|cache, n| {
            let updated = cache.update(&7, |value| *value = Canary::of(n));
            assert_eq!(updated, Updated::Kept(()));
        });
        register::<Duel>(|cache, n| {
            cache.retain(|&key, value| {
                if key == 7 {
                    *value = Canary::of(n);
                }
                true
            });
        });
        // Others come and go around it.
        register::<S3Fifo>(|cache, n| {
            cache.insert(7, Canary::of(n));
            cache.remove(&(n % 40).max(8));
            cache.insert((n * 7 % 40).max(8), Canary::of(n));
        });
    });
}

/// Readers that ask for the very keys that are being inserted see nothing or the whole entry.
#[test]
fn who_waits_for_a_key_sees_it_whole() {
    ends(|| {
        let cache: Cache<u64, Canary> = Cache::builder(Entries(64)).shards(1).build().unwrap();
        let next = AtomicU64::new(0);
        let last = calls() / 4;
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let n = next.load(Relaxed);
                        if n >= last {
                            break;
                        }
                        cache.get(&n).inspect(|value| assert_eq!(value.read(), n));
                    }
                });
            }
            for n in 0..last {
                next.store(n, Relaxed);
                cache.insert(n, Canary::of(n));
            }
            next.store(last, Relaxed);
        });
    });
}

/// Fault 16: what left is gone when the call that made it leave has returned, whoever reads
/// beside: nothing is kept for later.
#[test]
fn fault_16_no_value_outlives_the_call_that_made_it_leave() {
    ends(|| {
        const WRITERS: usize = 2;
        const READERS: usize = 2;
        let token = Arc::new(());
        let cache: Cache<u64, Arc<()>> = Cache::builder(Entries(64)).shards(2).build().unwrap();
        scope(|scope| {
            for n in 0..WRITERS as u64 {
                let (cache, token) = (&cache, &token);
                scope.spawn(move || {
                    for key in 0..calls() / 10 {
                        cache.insert(key * 2 + n, Arc::clone(token));
                        // Besides those that are resident each thread may hold two.
                        let alive = Arc::strong_count(token) - 1;
                        assert!(alive <= 64 + 2 * (WRITERS + READERS), "{alive}");
                    }
                });
            }
            for _ in 0..READERS {
                let cache = &cache;
                scope.spawn(move || {
                    let mut random = Random::new(16);
                    for _ in 0..calls() / 10 {
                        cache.get(&random.below(2 * calls() / 10));
                    }
                });
            }
        });
        assert_eq!(Arc::strong_count(&token) - 1, cache.len());
        drop(cache);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

// ---- threads ----

#[test]
fn threads_come_and_go_and_all_their_hits_are_counted() {
    ends(|| {
        let cache: Cache<u64, Canary> = Cache::builder(Entries(64)).shards(2).build().unwrap();
        (0..32).for_each(|n| drop(cache.insert(n, Canary::of(n))));
        let cache = Arc::new(cache);
        let threads = calls() / 100;
        for group in 0..threads / 20 {
            let started: Vec<_> = (0..20_u64)
                .map(|n| {
                    let cache = Arc::clone(&cache);
                    spawn(move || {
                        for key in 0..16 {
                            belongs(&cache.get(&key).expect("it stays"), key);
                        }
                        cache.insert(40 + (n + group) % 8, Canary::of(0));
                    })
                })
                .collect();
            started
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        }
        assert_eq!(cache.stats().hits(), threads / 20 * 20 * 16);
        cache.check();
    });
}

#[test]
fn more_threads_than_lanes_read_all_the_same() {
    ends(|| {
        const THREADS: usize = 300;
        let _many = many_threads();
        let cache: Cache<u64, Canary> = Cache::builder(Entries(64)).shards(2).build().unwrap();
        cache.insert(0, Canary::of(0));
        let barrier = Barrier::new(THREADS);
        scope(|scope| {
            for n in 1..=THREADS as u64 {
                let (cache, barrier) = (&cache, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for round in 0..20 {
                        belongs(&cache.get(&0).expect("it is asked for often"), 0);
                        if round % 5 == 0 {
                            cache.insert(n, Canary::of(n));
                        }
                    }
                    barrier.wait();
                });
            }
        });
        assert_eq!(cache.stats().hits(), 20 * THREADS as u64);
        cache.check();
    });
}

/// A cache in a thread-local reads and writes in its destructor, when the thread has no
/// number any more.
#[test]
fn a_cache_is_used_by_destructors_of_a_thread_that_ends() {
    static SHARED: std::sync::LazyLock<Cache<u64, u64>> =
        std::sync::LazyLock::new(|| Cache::new(64));
    struct Late(Cache<u64, u64>);
    impl Drop for Late {
        fn drop(&mut self) {
            for cache in [&self.0, &*SHARED] {
                cache.insert(1, 1);
                assert_eq!(cache.get(&1), Some(1));
            }
        }
    }
    std::thread_local!(static LATE: Late = Late(Cache::new(10)));
    for _ in 0..50 {
        spawn(|| LATE.with(|late| assert_eq!(late.0.get(&1), None)))
            .join()
            .unwrap();
    }
    assert!(SHARED.stats().hits() >= 50);
}

#[test]
fn who_replaces_a_value_waits_for_those_who_look_at_it() {
    ends(|| {
        let cache: Cache<u64, Canary> = Cache::builder(Entries(64)).shards(1).build().unwrap();
        // Enough that the table does not grow for one more.
        (0..10).for_each(|n| drop(cache.insert(n, Canary::of(n))));
        let (viewing, replaced) = (Barrier::new(2), AtomicUsize::new(0));
        scope(|scope| {
            scope.spawn(|| {
                viewing.wait();
                cache.insert(0, Canary::of(5 << 32));
                replaced.store(1, SeqCst);
            });
            let seen = cache.view(&0, |_, value| {
                viewing.wait();
                std::thread::sleep(Duration::from_millis(20));
                assert_eq!(replaced.load(SeqCst), 0, "the writer did not wait");
                value.read()
            });
            assert_eq!(seen, Some(0));
        });
        assert_eq!(cache.get(&0).map(|value| value.read()), Some(5 << 32));
    });
}

// ---- linearizability ----

#[derive(Clone, Copy, PartialEq, Debug)]
enum Call {
    Get(usize),
    Insert(usize, u64),
    Remove(usize),
    Update(usize, u64),
    /// What is there is put back with so much added, or that alone is put.
    Add(usize, u64),
    Clear,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    call: Call,
    answer: Option<u64>,
    began: u64,
    ended: u64,
}

const THREADS: usize = 3;
const EACH: usize = 4;
type State = [Option<u64>; 2];

fn play(cache: &Cache<u64, u64>, call: Call) -> Option<u64> {
    match call {
        Call::Get(key) => cache.get(&(key as u64)),
        Call::Insert(key, value) => cache.insert(key as u64, value),
        Call::Remove(key) => cache.remove(&(key as u64)),
        Call::Update(key, value) => {
            match cache.update(&(key as u64), |old| std::mem::replace(old, value)) {
                Updated::Kept(old) => Some(old),
                _ => None,
            }
        }
        Call::Add(key, more) => {
            let computed = cache.compute(key as u64, |found| {
                Next::Put(found.map_or(0, |found| *found) + more)
            });
            match computed {
                Computed::Replaced(old) => Some(old),
                _ => None,
            }
        }
        Call::Clear => {
            cache.clear();
            None
        }
    }
}

/// What a sequential map would answer, and its state after that.
fn step(mut state: State, call: Call) -> (Option<u64>, State) {
    let answer = match call {
        Call::Get(key) => state[key],
        Call::Insert(key, value) => state[key].replace(value),
        Call::Remove(key) => state[key].take(),
        Call::Update(key, value) => {
            let old = state[key];
            state[key] = old.and(Some(value));
            old
        }
        Call::Add(key, more) => state[key].replace(state[key].unwrap_or(0) + more),
        Call::Clear => {
            state = [None; 2];
            None
        }
    };
    (answer, state)
}

/// Whether the calls can be put into an order that a sequential map could have, in which a call
/// comes before those that began after it had ended (J. M. Wing, C. Gong, 1993).
fn is_linearizable(history: &[[Done; EACH]; THREADS]) -> bool {
    fn search(
        history: &[[Done; EACH]; THREADS],
        next: [usize; THREADS],
        state: State,
        failed: &mut HashSet<([usize; THREADS], State)>,
    ) -> bool {
        let pending = |thread: usize| history[thread].get(next[thread]);
        let first_end = (0..THREADS)
            .filter_map(pending)
            .map(|done| done.ended)
            .min();
        let Some(first_end) = first_end else {
            return true;
        };
        if failed.contains(&(next, state)) {
            return false;
        }
        for thread in 0..THREADS {
            let Some(done) = pending(thread).filter(|done| done.began <= first_end) else {
                continue;
            };
            let (answer, after) = step(state, done.call);
            let mut then = next;
            then[thread] += 1;
            if answer == done.answer && search(history, then, after, failed) {
                return true;
            }
        }
        failed.insert((next, state));
        false
    }
    search(history, [0; THREADS], [None; 2], &mut HashSet::new())
}

#[test]
fn the_checker_of_histories_knows_wrong_from_right() {
    let done = |call, answer, began, ended| Done {
        call,
        answer,
        began,
        ended,
    };
    let idle = |at: u64| [0, 1, 2, 3].map(|n| done(Call::Get(1), None, at + 2 * n, at + 2 * n + 1));
    let (insert, remove, get) = (Call::Insert(0, 1), Call::Remove(0), Call::Get(0));
    let writer = [
        done(insert, None, 100, 110),
        done(remove, Some(1), 120, 130),
        done(Call::Insert(0, 2), None, 140, 150),
        done(Call::Clear, None, 160, 170),
    ];
    let reader = |seen: [Option<u64>; 4]| {
        let at = [105, 125, 155, 175];
        std::array::from_fn(|n| done(get, seen[n], at[n], at[n] + 1))
    };
    for (seen, right) in [
        ([Some(1), Some(1), Some(2), None], true),
        ([None, None, Some(2), None], true),
        ([Some(1), None, None, None], false),
        ([Some(1), None, Some(1), None], false),
        ([Some(2), None, Some(2), None], false),
        ([Some(1), None, Some(2), Some(2)], false),
    ] {
        let history = [writer, reader(seen), idle(0)];
        assert_eq!(is_linearizable(&history), right, "{seen:?}");
    }
}

#[test]
fn every_history_is_one_that_a_sequential_map_could_have() {
    let histories = count("BRIMFUL_HISTORIES", 2_000);
    println!("BRIMFUL_SEED={}", seed());
    ends(move || {
        let cache: Cache<u64, u64> = Cache::builder(Entries(64)).shards(1).build().unwrap();
        let (clock, arrived) = (AtomicU64::new(0), AtomicU64::new(0));
        let together = |round: u64| {
            arrived.fetch_add(1, AcqRel);
            let mut spins = 0;
            while arrived.load(Acquire) < round * THREADS as u64 {
                spins += 1;
                if spins % 64 == 0 {
                    yield_now();
                }
            }
        };
        let thread = |thread: usize| {
            let mut random = Random::new(1_000 + thread as u64);
            let mut played = Vec::new();
            for round in 0..histories {
                let calls: [Call; EACH] = std::array::from_fn(|n| {
                    let (key, value) = (
                        random.below(2) as usize,
                        round << 8 | (4 * thread + n) as u64,
                    );
                    match random.below(16) {
                        0..6 => Call::Get(key),
                        6..10 => Call::Insert(key, value),
                        10..13 => Call::Remove(key),
                        13 => Call::Update(key, value),
                        14 => Call::Add(key, value),
                        _ => Call::Clear,
                    }
                });
                if thread == 0 {
                    cache.clear();
                }
                together(2 * round + 1);
                played.push(calls.map(|call| {
                    let began = clock.fetch_add(1, SeqCst);
                    let answer = play(&cache, call);
                    let ended = clock.fetch_add(1, SeqCst);
                    Done {
                        call,
                        answer,
                        began,
                        ended,
                    }
                }));
                together(2 * round + 2);
            }
            played
        };
        let threads: [Vec<_>; THREADS] = scope(|scope| {
            let threads = std::array::from_fn::<_, THREADS, _>(|n| scope.spawn(move || thread(n)));
            threads.map(|thread| thread.join().unwrap())
        });
        let mut crossed = 0;
        let [first, second, third] = threads;
        for ((one, two), three) in first.into_iter().zip(second).zip(third) {
            let history = [one, two, three];
            assert!(is_linearizable(&history), "{history:#?}");
            let ends = |thread: usize| history[thread][EACH - 1].ended;
            crossed += u64::from((1..THREADS).any(|thread| history[thread][0].began < ends(0)));
        }
        println!("{histories} histories, {crossed} of them crossed");
        assert!(crossed > 0);
    });
}
