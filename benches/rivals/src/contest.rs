//! One cache in one workload: filled, warmed, and driven for a slice of time by
//! each of its threads.

use cpu_time::ThreadTime;
use field::rival::{Rival, Task};
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use crate::by_hand::Hand;
use crate::lane::{BLOCK, Lane};
use crate::operation::Operation;
use crate::payload::Payload;
use crate::round::Pace;
use crate::watch::{Blind, Stopwatch, Watch};

/// A cache ready to be driven, whichever it is.
pub(crate) trait Contest {
    /// Operations per nanosecond of all threads together: of processor time with
    /// one thread, of wall time with more.
    fn speed(&self, pace: Pace) -> f64;

    /// How long each operation took alone.
    fn times(&self, pace: Pace) -> Histogram<u64>;

    /// Of the second half of the warm-up, the same requests for every cache; none
    /// where nothing was looked up. What ran in a slice depends on the speed.
    fn hit_ratio(&self) -> Option<f64>;

    /// How many entries it holds at this moment.
    fn resident(&self) -> usize;
}

/// What is needed to make a [`Contest`] of a cache.
pub(crate) struct Start<'a, K, O> {
    pub fill: &'a [K],
    pub requests: Arc<[K]>,
    pub warm: usize,
    pub operation: O,
    pub threads: usize,
    /// What a map without a bound is held to.
    pub bound: u64,
}

impl<K, V, O> Task<K, V> for Start<'_, K, O>
where
    K: Clone + Send + Sync + 'static,
    V: Payload<K>,
    O: Operation<K, V>,
{
    type Outcome = Box<dyn Contest>;

    fn with(self, cache: impl Rival<K, V>) -> Box<dyn Contest> {
        let driver = |thread| {
            Mutex::new(Driver {
                lane: Lane::new(thread, self.threads, self.requests.len()),
                hand: Hand::new(self.bound / self.threads as u64),
            })
        };
        let mut contestant = Contestant {
            cache,
            drivers: (0..self.threads).map(driver).collect(),
            requests: self.requests,
            operation: self.operation,
            warmed: Tally::default(),
            value: PhantomData,
        };
        contestant.fill(self.fill);
        contestant.warmed = contestant.warm(self.warm);
        Box::new(contestant)
    }
}

struct Contestant<K, V, C, O> {
    cache: C,
    drivers: Box<[Mutex<Driver<K>>]>,
    requests: Arc<[K]>,
    operation: O,
    /// What came of the second half of the warm-up.
    warmed: Tally,
    value: PhantomData<fn() -> V>,
}

/// What one thread has for itself.
struct Driver<K> {
    lane: Lane,
    hand: Hand<K>,
}

/// How often something was looked up, and found.
#[derive(Clone, Copy, Default)]
struct Tally {
    looks: u64,
    hits: u64,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            looks: self.looks + other.looks,
            hits: self.hits + other.hits,
        }
    }
}

impl<K, V, C, O> Contestant<K, V, C, O>
where
    K: Clone + Send + Sync,
    V: Payload<K>,
    C: Rival<K, V>,
    O: Operation<K, V>,
{
    fn fill(&self, keys: &[K]) {
        for (key, driver) in keys.iter().zip(self.drivers.iter().cycle()) {
            driver.lock().expect("no panic").hand.put(&self.cache, key);
        }
        self.cache.settle();
    }

    /// The threads share so many requests; what came of the second half.
    fn warm(&self, requests: usize) -> Tally {
        let blocks = (requests / BLOCK / 2 / self.drivers.len()).max(1);
        let half = |driver: &mut Driver<K>, _| {
            let tallies = (0..blocks).map(|_| self.block(driver, &mut Blind));
            tallies.fold(Tally::default(), Tally::and)
        };
        self.on_all(half);
        let second = self.on_all(half);
        self.cache.settle();
        second.into_iter().fold(Tally::default(), Tally::and)
    }

    #[inline]
    fn block(&self, driver: &mut Driver<K>, watch: &mut impl Watch) -> Tally {
        let Driver { lane, hand } = driver;
        let (block, lap) = lane.next();
        let mut tally = Tally::default();
        for (nth, key) in self.requests[block].iter().enumerate() {
            let key = black_box(key);
            let hit = watch.time(|| self.operation.run(&self.cache, hand, key, nth + lap));
            tally.looks += u64::from(hit.is_some());
            tally.hits += u64::from(hit == Some(true));
        }
        tally
    }

    /// Runs blocks until then; says how many operations that were.
    fn drive(&self, driver: &mut Driver<K>, until: Instant, watch: &mut impl Watch) -> u64 {
        let mut blocks = 0;
        while Instant::now() < until {
            black_box(self.block(driver, watch));
            blocks += 1;
        }
        blocks * BLOCK as u64
    }

    /// One thread's part of [`speed`](Contest::speed). The same stretch of time for
    /// all: with fewer cores than threads each has only a part of it.
    fn speed_of(&self, driver: &mut Driver<K>, began: Instant, pace: Pace) -> f64 {
        let timed = began + pace.lead_in;
        self.drive(driver, timed, &mut Blind);
        let processor = ThreadTime::now();
        let operations = self.drive(driver, timed + pace.slice, &mut Blind);
        let spent = match self.drivers.len() {
            1 => processor.elapsed(),
            _ => pace.slice,
        };
        operations as f64 / spent.as_nanos() as f64
    }

    /// A thread for each driver, starting together, each told when that was; one
    /// driver needs none.
    fn on_all<R: Send>(&self, part: impl Fn(&mut Driver<K>, Instant) -> R + Sync) -> Vec<R> {
        let (barrier, began) = (Barrier::new(self.drivers.len()), OnceLock::new());
        let part = |driver: &Mutex<Driver<K>>| {
            let mut driver = driver.lock().expect("no panic");
            barrier.wait();
            part(&mut driver, *began.get_or_init(Instant::now))
        };
        if let [driver] = &self.drivers[..] {
            return vec![part(driver)];
        }
        thread::scope(|scope| {
            let part = &part;
            let drivers = self.drivers.iter();
            let threads: Vec<_> = drivers.map(|d| scope.spawn(move || part(d))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|part| part.expect("no panic")).collect()
        })
    }
}

impl<K, V, C, O> Contest for Contestant<K, V, C, O>
where
    K: Clone + Send + Sync,
    V: Payload<K>,
    C: Rival<K, V>,
    O: Operation<K, V>,
{
    fn speed(&self, pace: Pace) -> f64 {
        let speeds = self.on_all(|driver, began| self.speed_of(driver, began, pace));
        speeds.into_iter().sum()
    }

    fn times(&self, pace: Pace) -> Histogram<u64> {
        let watches = self.on_all(|driver, began| {
            let (timed, mut watch) = (began + pace.lead_in, Stopwatch::default());
            self.drive(driver, timed, &mut Blind);
            self.drive(driver, timed + pace.slice, &mut watch);
            watch
        });
        Stopwatch::merge(watches)
    }

    fn hit_ratio(&self) -> Option<f64> {
        let Tally { looks, hits } = self.warmed;
        (looks > 0).then(|| hits as f64 / looks as f64)
    }

    fn resident(&self) -> usize {
        self.cache.resident()
    }
}
