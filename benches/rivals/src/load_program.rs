//! Loads beside those rivals that share them: moka and quick_cache.
//!
//! ```text
//! cargo run --release --manifest-path benches/rivals/Cargo.toml --bin rivals-load
//! ```
//!
//! Two things: a thousand tasks that want one slow key, and misses over many keys
//! in a full cache, as closures (moka's `sync`) and as futures (moka's `future`).
//! Tasks are polled by hand, so no executor is in a figure. In each round every cache
//! runs for its turn, in rotating order; ratios are taken within a round, and the
//! median over the rounds is told.

use cpu_time::ThreadTime;
use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const ENTRIES: u64 = 100_000;
const CROWD: usize = 1_000;
const CROWDS: u64 = 20;
const MISSES: u64 = 20_000;
const ROUNDS: usize = 31;

/// A value, some time.
type Slow<'a> = Pin<Box<dyn Future<Output = u64> + 'a>>;

/// A cache that shares loads.
trait Loads {
    fn name(&self) -> &'static str;

    /// Loads by a closure.
    fn load(&self, key: u64) -> u64;

    /// Loads by a future.
    fn load_slowly<'a>(&'a self, key: &'a u64, load: Slow<'a>) -> Slow<'a>;
}

struct Brimful(brimful::Cache<u64, u64>);

impl Loads for Brimful {
    fn name(&self) -> &'static str {
        "brimful"
    }

    fn load(&self, key: u64) -> u64 {
        self.0.get_or_insert_with(&key, || key)
    }

    fn load_slowly<'a>(&'a self, key: &'a u64, load: Slow<'a>) -> Slow<'a> {
        Box::pin(self.0.get_or_insert_async(key, load))
    }
}

struct Quick(quick_cache::sync::Cache<u64, u64, quick_cache::UnitWeighter, ahash::RandomState>);

impl Loads for Quick {
    fn name(&self) -> &'static str {
        "quick_cache"
    }

    fn load(&self, key: u64) -> u64 {
        let loaded = self.0.get_or_insert_with(&key, || Ok::<_, ()>(key));
        loaded.expect("it does not fail")
    }

    fn load_slowly<'a>(&'a self, key: &'a u64, load: Slow<'a>) -> Slow<'a> {
        Box::pin(async {
            let load = async { Ok::<_, ()>(load.await) };
            let loaded = self.0.get_or_insert_async(key, load).await;
            loaded.expect("it does not fail")
        })
    }
}

struct Moka {
    closures: moka::sync::Cache<u64, u64, ahash::RandomState>,
    futures: moka::future::Cache<u64, u64, ahash::RandomState>,
}

impl Loads for Moka {
    fn name(&self) -> &'static str {
        "moka"
    }

    fn load(&self, key: u64) -> u64 {
        self.closures.get_with(key, || key)
    }

    fn load_slowly<'a>(&'a self, key: &'a u64, load: Slow<'a>) -> Slow<'a> {
        let load = Alone(load);
        Box::pin(self.futures.get_with(*key, load.run()))
    }
}

/// moka asks nothing of a future but that it ends.
struct Alone<'a>(Slow<'a>);

impl<'a> Alone<'a> {
    async fn run(self) -> u64 {
        self.0.await
    }
}

/// All of them, empty.
fn all() -> Vec<Box<dyn Loads>> {
    let entries = ENTRIES as usize;
    let hasher = ahash::RandomState::new;
    let closures = moka::sync::Cache::builder().max_capacity(ENTRIES);
    let futures = moka::future::Cache::builder().max_capacity(ENTRIES);
    vec![
        Box::new(Brimful(brimful::Cache::new(entries))),
        Box::new(Quick(quick_cache::sync::Cache::with(
            entries,
            ENTRIES,
            quick_cache::UnitWeighter,
            hasher(),
            Default::default(),
        ))),
        Box::new(Moka {
            closures: closures.build_with_hasher(hasher()),
            futures: futures.build_with_hasher(hasher()),
        }),
    ]
}

fn fresh(next: &Cell<u64>) -> u64 {
    next.set(next.get() + 1);
    next.get().wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// One leads, all others wait, it finishes, they are served.
fn crowd(cache: &dyn Loads, next: &Cell<u64>) -> u64 {
    for _ in 0..CROWDS {
        let (key, open) = (fresh(next), Rc::new(Cell::new(false)));
        let slow = || {
            let open = open.clone();
            let load = poll_fn(move |_| match open.get() {
                true => Poll::Ready(1),
                false => Poll::Pending,
            });
            cache.load_slowly(&key, Box::pin(load))
        };
        let mut callers: Vec<_> = (0..CROWD).map(|_| slow()).collect();
        let mut context = Context::from_waker(Waker::noop());
        let mut left = |callers: &mut Vec<Slow<'_>>| {
            callers.retain_mut(|caller| caller.as_mut().poll(&mut context).is_pending());
            callers.len()
        };
        assert_eq!(left(&mut callers), CROWD);
        open.set(true);
        while left(&mut callers) > 0 {}
    }
    CROWDS * CROWD as u64
}

fn misses(cache: &dyn Loads, next: &Cell<u64>) -> u64 {
    for _ in 0..MISSES {
        black_box(cache.load(fresh(next)));
    }
    MISSES
}

fn slow_misses(cache: &dyn Loads, next: &Cell<u64>) -> u64 {
    for _ in 0..MISSES {
        let key = fresh(next);
        let load = pin!(cache.load_slowly(&key, Box::pin(async { 1 })));
        let polled = load.poll(&mut Context::from_waker(Waker::noop()));
        assert!(black_box(polled).is_ready());
    }
    MISSES
}

/// What is done, which says how often.
type Work = fn(&dyn Loads, &Cell<u64>) -> u64;

fn measure(name: &str, work: Work) {
    let (caches, next) = (all(), Cell::new(0));
    // Full, and everything replaced.
    for cache in &caches {
        let keys = 2 * ENTRIES / work(&**cache, &next);
        for _ in 0..keys.min(40) {
            work(&**cache, &next);
        }
    }
    let mut rounds = vec![Vec::new(); caches.len()];
    for round in 0..ROUNDS {
        for turn in 0..caches.len() {
            let index = (round + turn) % caches.len();
            let began = ThreadTime::now();
            let count = work(&*caches[index], &next);
            rounds[index].push(began.elapsed().as_nanos() as f64 / count as f64);
        }
    }
    println!("\n{name}");
    for (cache, times) in caches.iter().zip(&rounds) {
        let ratios = times.iter().zip(&rounds[0]).map(|(time, ours)| time / ours);
        let (time, ratio) = (median(times.iter().copied()), median(ratios));
        println!(
            "  {:<12}{time:>10.0} ns   brimful is {ratio:>5.2} times as fast",
            cache.name()
        );
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    println!("processor time of an operation, median of {ROUNDS} rounds; {ENTRIES} entries");
    measure("1,000 tasks on one slow key, for each task", crowd);
    measure("a miss, loaded by a closure", misses);
    measure("a miss, loaded by a future", slow_misses);
}
