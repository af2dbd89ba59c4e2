//! Loads over time, by a counting allocator and counted keys and values: what fails,
//! panics or is cancelled leaves nothing, and a hit allocates nothing.
//!
//! Panics are injected by a fuse: each call into user code (hash, eq, clone, weigher,
//! loader, listener, waker, drop) counts it down, and the one at which it ends panics.
//! After each batch every task that is left must end when it is polled, and only
//! those are polled that were woken.
//!
//! - `BRIMFUL_PANICS`: how many panics at least (default 4,000; the full run 100,000).
//! - `BRIMFUL_SEED`: replays a run.
//!
//! Covers faults 7, 43, 44, 67 and 68 of `tests/FAULTS.md`.

use crate::world::flights::{Gate, block_on};
use crate::world::panics::stop;
use crate::world::{Random, count};
use crate::{ALLOCATOR, alone, live};
use brimful::policy::Duel;
use brimful::{Aged, Cache, Cause, Entries, Form, LoadError, ManualClock, Weighed, Weight};
use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn allocations_of(run: impl FnOnce()) -> usize {
    let before = ALLOCATOR.stats().allocations;
    run();
    ALLOCATOR.stats().allocations - before
}

#[test]
fn a_hit_of_a_loading_call_allocates_nothing() {
    let _alone = alone();
    let cache = Cache::<String, u64>::new(100);
    cache.insert("key".to_owned(), 1);
    // With a thread's first read its lane is made ready.
    cache.get("key");
    let allocations = allocations_of(|| {
        for _ in 0..1_000 {
            cache.get_or_insert_with("key", || unreachable!());
            let _ = cache.try_get_or_insert_with("key", || Err::<u64, ()>(()));
            let mut future = pin!(cache.get_or_insert_async("key", async { unreachable!() }));
            let polled = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready());
        }
    });
    assert_eq!(allocations, 0);
}

/// Fault 43.
#[test]
fn loads_that_fail_or_are_dropped_leave_no_bytes() {
    let _alone = alone();
    let cache = Cache::<String, u64>::builder(Entries(100))
        .shards(1)
        .build()
        .unwrap();
    let round = |n: u64| {
        let key = format!("a key that is not short {n}");
        let key = key.as_str();
        let _ = cache.try_get_or_insert_with(key, || Err::<u64, ()>(()));
        let mut leader = Box::pin(cache.get_or_insert_async(key, std::future::pending()));
        let waiter = || Box::pin(cache.get_or_insert_async(key, std::future::pending()));
        let mut waiters: Vec<_> = (0..100).map(|_| waiter()).collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(leader.as_mut().poll(&mut context).is_pending());
        for waiter in &mut waiters {
            assert!(waiter.as_mut().poll(&mut context).is_pending());
        }
        if n % 2 == 0 {
            drop(leader);
            drop(waiters);
        } else {
            drop(waiters);
            drop(leader);
        }
    };
    round(0);
    let before = live();
    (1..200).for_each(round);
    assert_eq!(live(), before);
    assert_eq!(cache.stats().load_failures(), 400, "an offer is no load");
    cache.check();
}

/// Many flights at once: the room they took is given back.
#[test]
fn the_table_of_many_flights_is_given_back() {
    let _alone = alone();
    let cache = Cache::<u64, u64>::builder(Entries(100))
        .shards(1)
        .build()
        .unwrap();
    cache.get_or_insert_with(&0, || 0);
    cache.clear();
    let before = live();
    {
        let keys: Vec<u64> = (0..10_000).collect();
        let load = |key| Box::pin(cache.get_or_insert_async(key, std::future::pending()));
        let mut loads: Vec<_> = keys.iter().map(load).collect();
        let mut context = Context::from_waker(Waker::noop());
        for load in &mut loads {
            assert!(load.as_mut().poll(&mut context).is_pending());
        }
        assert!(live() > before + 1_000_000);
    }
    assert!(live() <= before + 1_024, "{} bytes more", live() - before);
}

// ---- injected panics ----

thread_local! {
    /// Calls into user code until one panics; 0 when none will.
    static FUSE: Cell<u32> = const { Cell::new(0) };
}

/// Every call into user code passes here. While a panic goes on none begins.
fn site() {
    if std::thread::panicking() {
        return;
    }
    let left = FUSE.get();
    FUSE.set(left.saturating_sub(1));
    if left == 1 {
        stop();
    }
}

/// Keys and values that live.
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counted(u64);

impl Counted {
    fn new(id: u64) -> Self {
        LIVE.fetch_add(1, SeqCst);
        Self(id)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        site();
        Self::new(self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, SeqCst);
        site();
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        site();
        self.0 == other.0
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        site();
        self.0.hash(state);
    }
}

struct Loud(AtomicBool);

impl Wake for Loud {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
        site();
    }
}

type Loaded<P> = Cache<Counted, Counted, Weighed<P>>;
type Given = Gate<Result<Counted, ()>>;
type Answer = Result<Counted, LoadError<()>>;

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = Answer> + 'a>>,
    bell: Arc<Loud>,
    gate: Given,
}

/// From this age on values are stale.
const AGE: Duration = Duration::from_secs(1);

/// A refresh that was handed over, and what its loader waits for.
type Chore = (Pin<Box<dyn Future<Output = ()> + Send>>, Given);

struct Run<'a, P: Form> {
    cache: &'a Arc<Loaded<P>>,
    /// Where values grow stale with each step of it.
    clock: ManualClock,
    chores: Rc<RefCell<Vec<Chore>>>,
    keys: &'a [Counted],
    random: Random,
    tasks: Vec<Task<'a>>,
    panics: u64,
}

impl<'a, P: Form + 'static> Run<'a, P>
where
    Loaded<P>: Send + Sync,
{
    /// Runs something with a fuse that may be long or short.
    fn armed<R>(&mut self, run: impl FnOnce(&mut Self) -> R) -> Option<R> {
        let fuse = 1 + self.random.below(11) as u32;
        FUSE.set(fuse);
        let end = catch_unwind(AssertUnwindSafe(|| run(self)));
        FUSE.set(0);
        self.panics += u64::from(end.is_err());
        end.ok()
    }

    fn key(&mut self) -> &'a Counted {
        &self.keys[self.random.below(self.keys.len() as u64) as usize]
    }

    fn value(&mut self) -> Counted {
        Counted::new(1 + self.random.below(39))
    }

    fn start(&mut self) {
        let (key, gate) = (self.key(), Given::default());
        let pass = gate.pass();
        let load = async move {
            let loaded = pass.await;
            site();
            loaded
        };
        let cache = self.cache;
        let future = match self.random.below(4) {
            0 => {
                let mut load = Some(load);
                let many = cache.load_many([key]).future(move |missing| {
                    let key = missing[0].0;
                    let load = load.take();
                    async move {
                        let value = load.ok_or(())?.await?;
                        Ok(vec![(Counted::new(key), value)])
                    }
                });
                let one = async { many.await?.pop().flatten().ok_or(LoadError::TimedOut) };
                Box::pin(one) as Pin<Box<dyn Future<Output = Answer>>>
            }
            1 => {
                let (chores, gate) = (self.chores.clone(), gate.clone());
                let spawn = move |chore| {
                    site();
                    chores.borrow_mut().push((chore, gate));
                };
                Box::pin(cache.load_or_refresh(key).future(load, spawn))
            }
            _ => Box::pin(cache.try_get_or_insert_async(key, load)),
        };
        self.push(future, gate);
        self.poll(self.tasks.len() - 1);
    }

    fn push(&mut self, future: Pin<Box<dyn Future<Output = Answer> + 'a>>, gate: Given) {
        let bell = Arc::new(Loud(AtomicBool::new(true)));
        self.tasks.push(Task { future, bell, gate });
    }

    /// What was handed over is one more task.
    fn take_chores(&mut self) {
        let chores = self.chores.take();
        for (chore, gate) in chores {
            let future = async {
                chore.await;
                Err(LoadError::TimedOut)
            };
            self.push(Box::pin(future), gate);
        }
    }

    /// Polls one task; those that end, by a panic too, are gone.
    fn poll(&mut self, index: usize) {
        let mut task = self.tasks.swap_remove(index);
        task.bell.0.store(false, SeqCst);
        let waker = Waker::from(task.bell.clone());
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Pending => self.tasks.push(task),
            Poll::Ready(answer) => drop(answer),
        }
    }

    fn any(&mut self) -> Option<usize> {
        let tasks = self.tasks.len();
        (tasks > 0).then(|| self.random.below(tasks as u64) as usize)
    }

    fn give(&mut self, index: usize) {
        let given = match self.random.below(10) < 3 {
            true => Err(()),
            false => Ok(self.value()),
        };
        self.tasks[index].gate.open(given);
    }

    fn step(&mut self) {
        let what = self.random.below(17);
        match (what, self.any()) {
            (0..3, _) if self.tasks.len() < 20 => self.start(),
            (3..6, Some(index)) => self.poll(index),
            (6..8, Some(index)) => self.give(index),
            (8..10, Some(index)) => drop(self.tasks.swap_remove(index)),
            (10, _) => {
                let (key, value) = (self.key().0, self.value());
                drop(self.cache.insert(Counted::new(key), value));
            }
            (11, _) => drop(self.cache.remove(self.key())),
            (12, _) => self.cache.clear(),
            (13, _) => self.clock.advance(AGE),
            (14, _) => {
                let (key, value) = (self.key(), self.value());
                // As below; a value that is there makes nobody wait.
                if self.cache.contains_key(key) {
                    let load = || {
                        site();
                        Ok::<_, ()>(value)
                    };
                    let spawn = |job: Box<dyn FnOnce() + Send>| {
                        site();
                        job();
                    };
                    drop(self.cache.load_or_refresh(key).with(load, spawn));
                }
            }
            (15, _) => {
                let (key, value) = (self.key(), self.value());
                // A thread that waits for one of these tasks would wait for ever.
                drop(self.cache.load(key).within(Duration::ZERO, || {
                    site();
                    Ok::<_, ()>(value)
                }));
            }
            _ => drop(self.cache.get_many(self.keys)),
        }
    }

    /// Everyone ends, and only those that were woken are polled.
    fn finish(&mut self) {
        self.take_chores();
        for index in 0..self.tasks.len() {
            let value = self.value();
            self.tasks[index].gate.open(Ok(value));
        }
        while let Some(index) = self.tasks.iter().position(|task| task.bell.0.load(SeqCst)) {
            self.poll(index);
        }
        assert!(self.tasks.is_empty(), "{} sleep for ever", self.tasks.len());
    }
}

fn weigh(_: &Counted, value: &Counted) -> u64 {
    site();
    value.0
}

fn hear(_: &Counted, _: &Counted, _: Cause) {
    site();
}

fn inject<P>(name: &str, cache: Loaded<P>, clock: ManualClock)
where
    P: Form + 'static,
    Loaded<P>: Send + Sync,
{
    let wanted = count("BRIMFUL_PANICS", 4_000);
    let cache = Arc::new(cache);
    let keys: Vec<_> = (0..6).map(Counted::new).collect();
    let mut run = Run {
        cache: &cache,
        clock,
        chores: Rc::default(),
        keys: &keys,
        random: Random::new(0),
        tasks: Vec::new(),
        panics: 0,
    };
    let mut batches = 0_u64;
    while run.panics < wanted {
        for _ in 0..50 {
            run.armed(Run::step);
            run.take_chores();
        }
        run.finish();
        cache.check();
        batches += 1;
        assert!(batches < wanted * 100 + 100, "panics are rare");
    }
    let stats = cache.stats();
    assert!(stats.load_failures() > 0 && stats.load_waits() > 0 && stats.loads() > 0);
    println!(
        "{name}: {} panics in {batches} batches: {stats:?}",
        run.panics
    );
    cache.clear();
    assert_eq!(LIVE.load(SeqCst), keys.len() as i64, "keys and values left");
}

/// Nothing is left, of memory either, when `run` is through.
fn leaves_nothing(run: impl FnOnce()) {
    let birth = live();
    run();
    assert_eq!(LIVE.load(SeqCst), 0);
    let left = live() - birth;
    assert!(left.abs() <= 4_096, "{left} bytes were not freed");
    assert_eq!(block_on(async { FUSE.get() }), 0);
}

#[test]
fn injected_panics_and_cancels_leave_nothing() {
    let _alone = alone();
    leaves_nothing(|| {
        let cache = Cache::builder(Weight(60, weigh)).shards(2).listener(hear);
        let cache: Loaded<Duel> = cache.build().unwrap();
        inject("loads", cache, ManualClock::new());
    });
}

#[test]
fn injected_panics_and_cancels_of_refreshes_leave_nothing() {
    let _alone = alone();
    for if_error in [false, true] {
        leaves_nothing(|| {
            let clock = ManualClock::new();
            let mut builder = Cache::builder(Weight(60, weigh))
                .shards(2)
                .listener(hear)
                .refresh_after(AGE)
                .time_to_live(AGE * 4)
                .clock(clock.clone());
            if if_error {
                builder = builder.stale_if_error();
            }
            let cache: Loaded<Aged<Duel>> = builder.build().unwrap();
            inject("refreshes", cache, clock);
        });
    }
}
