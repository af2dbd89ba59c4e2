//! Instructions per operation, counted by callgrind: exact where times are noise.
//!
//! ```text
//! .ci/run cost
//! ```
//!
//! runs this program under `valgrind --tool=callgrind` once with some and once
//! with many operations, for each operation and policy, and divides the
//! difference. By hand: `cargo bench --bench cost -- OPERATION POLICY COUNT [CAPACITY]`.
//! Each operation includes about 10 instructions of loop and key generator; those
//! with lives the reading of the system's clock, which `clock` counts alone.

use brimful::policy::{Chosen, Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{Aged, Budget, Cache, Cause, Entries, Form, Held, Sampled, Timed, Weight};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static CAPACITY: AtomicU64 = AtomicU64::new(100_000);

fn capacity() -> u64 {
    CAPACITY.load(Ordering::Relaxed)
}

const OPERATIONS: [&str; 21] = [
    "hit",
    "loading",
    "load",
    "miss",
    "insert",
    "sized-hit",
    "sized-insert",
    "tracked-insert",
    "classes-insert",
    "callers-insert",
    "scope",
    "held-insert",
    "listed-insert",
    "budget-insert",
    "replace",
    "weighted",
    "timed-hit",
    "idle-hit",
    "refresh-hit",
    "timed-insert",
    "clock",
];

/// A cheap walk over all of `0..2^64` (an odd step), so that neighbours in time
/// are no neighbours in the table.
struct Keys {
    last: u64,
    capacity: u64,
}

impl Keys {
    fn new() -> Self {
        Self {
            last: 1,
            capacity: capacity(),
        }
    }

    fn next(&mut self) -> u64 {
        self.last = self.last.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.last
    }

    fn resident(&mut self) -> u64 {
        ((u128::from(self.next()) * u128::from(self.capacity)) >> 64) as u64
    }
}

fn plain<P: Policy>() -> Cache<u64, u64, P> {
    Cache::builder(Entries(capacity() as usize))
        .policy::<P>()
        .build()
        .expect("a plain configuration")
}

fn hit<P: Policy>(count: u64) {
    let cache = plain::<P>();
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    let mut found = 0_u64;
    for _ in 0..count {
        found += u64::from(cache.get(&black_box(keys.resident())).is_some());
    }
    assert!(found > count / 10 * 9, "{found} hits of {count}");
}

/// A hit of a loading call.
fn loading<F: Form>(cache: &Cache<u64, u64, F>, count: u64) {
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    let mut loads = 0_u64;
    for _ in 0..count {
        let load = || {
            loads += 1;
            0
        };
        black_box(cache.get_or_insert_with(&black_box(keys.resident()), load));
    }
    assert!(loads < count / 10, "{loads} loads of {count}");
}

/// A load of a key that nobody else wants, into a full cache.
fn load<P: Policy>(count: u64) {
    let cache = plain::<P>();
    cache.extend((0..3 * capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        cache.get_or_insert_with(&black_box(keys.next() | 1 << 63), || 1);
    }
    assert_eq!(cache.len() as u64, capacity());
}

fn miss<P: Policy>(count: u64) {
    let cache = plain::<P>();
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        assert_eq!(cache.get(&black_box(keys.next() | 1 << 63)), None);
    }
}

fn insert<P: Policy>(count: u64) {
    inserts(&plain::<P>(), count);
}

/// A cache that samples one key in 64.
fn sized<P: Policy>() -> Cache<u64, u64, Sampled<P>> {
    let builder = Cache::builder(Entries(capacity() as usize)).policy::<P>();
    builder.sizing().build().expect("a plain configuration")
}

fn sized_hit<P: Policy>(count: u64) {
    let cache = sized::<P>();
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    let mut found = 0_u64;
    for _ in 0..count {
        found += u64::from(cache.get(&black_box(keys.resident())).is_some());
    }
    assert!(found > count / 10 * 9, "{found} hits of {count}");
}

fn sized_insert<P: Policy>(count: u64) {
    inserts(&sized::<P>(), count);
}

/// Inserts of new keys into a full cache.
fn inserts<F: Form>(cache: &Cache<u64, u64, F>, count: u64) {
    cache.extend((0..3 * capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        cache.insert(black_box(keys.next() | 1 << 63), 1);
    }
    assert_eq!(cache.len() as u64, capacity());
}

/// Caches that know where entries come from.
fn tracked<P: Policy>(operation: &str, count: u64) {
    let builder = Cache::builder(Entries(capacity() as usize)).policy::<P>();
    let builder = match operation {
        "classes-insert" => builder.classes(["even", "odd"], |key, _| (key & 1) as usize),
        "callers-insert" => builder.record_callers(),
        _ => builder.tracked(),
    };
    let cache = builder.build().expect("a plain configuration");
    if operation != "scope" {
        return inserts(&cache, count);
    }
    // A scope that stores one entry.
    cache.extend((0..capacity() / 2).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        let key = black_box(keys.next() | 1 << 63);
        black_box(cache.insert_scoped(key, 1).is_ok());
    }
    assert_eq!(cache.stats().departures(Cause::ScopeEnded), count);
}

/// Values on the heap, which nobody else holds; and with the list of those that are held.
fn held<P: Policy>(lists: bool, count: u64) {
    let builder = Cache::builder(Entries(capacity() as usize)).policy::<P>();
    let builder = if lists { builder.lingering() } else { builder };
    let cache = builder.build().expect("a plain configuration");
    cache.extend((0..3 * capacity()).map(|key| (key, Held::new(key))));
    let mut keys = Keys::new();
    for _ in 0..count {
        cache.insert(black_box(keys.next() | 1 << 63), Held::new(1));
    }
    assert_eq!(cache.len() as u64, capacity());
}

fn weighted<P: Policy<Meta: Send + Sync> + Send + 'static>(budget: Option<Budget>, count: u64) {
    let weigh = |_: &u64, value: &u64| value & 7 | 1;
    let builder = Cache::builder(Weight(4 * capacity(), weigh)).policy::<P>();
    let cache = match budget {
        Some(budget) => builder.build_in(budget.share()),
        None => builder.build(),
    };
    let cache = cache.expect("a plain configuration");
    cache.extend((0..3 * capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        let key = black_box(keys.next() | 1 << 63);
        cache.insert(key, key >> 8);
    }
    assert!(cache.weight() <= 4 * capacity());
}

/// Longer than any run.
const LIFE: Duration = Duration::from_secs(3_600);

fn timed<P: Policy>() -> Cache<u64, u64, Timed<P>> {
    Cache::builder(Entries(capacity() as usize))
        .policy::<P>()
        .time_to_live(LIFE)
        .build()
        .expect("a plain configuration")
}

/// Inserts keys that are there.
fn replace<P: Policy>(count: u64) {
    let cache = plain::<P>();
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    for _ in 0..count {
        cache.insert(black_box(keys.resident()), 1);
    }
    assert_eq!(cache.stats().departures(Cause::Replaced), count);
}

fn timed_hit<P: Policy>(count: u64) {
    let cache = timed::<P>();
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    let mut found = 0_u64;
    for _ in 0..count {
        found += u64::from(cache.get(&black_box(keys.resident())).is_some());
    }
    assert!(found > count / 10 * 9, "{found} hits of {count}");
}

fn idle_hit<P: Policy>(count: u64) {
    let cache: Cache<u64, u64, Aged<P>> = Cache::builder(Entries(capacity() as usize))
        .policy::<P>()
        .time_to_idle(LIFE)
        .build()
        .expect("a plain configuration");
    cache.extend((0..capacity()).map(|key| (key, key)));
    let mut keys = Keys::new();
    let mut found = 0_u64;
    for _ in 0..count {
        found += u64::from(cache.get(&black_box(keys.resident())).is_some());
    }
    assert!(found > count / 10 * 9, "{found} hits of {count}");
}

/// Values that grow stale, though not in any run.
fn refreshed<P: Policy>() -> Cache<u64, u64, Aged<P>> {
    Cache::builder(Entries(capacity() as usize))
        .policy::<P>()
        .refresh_after(LIFE)
        .build()
        .expect("a plain configuration")
}

fn timed_insert<P: Policy>(count: u64) {
    inserts(&timed::<P>(), count);
}

/// What every operation on a cache with lives has in it.
fn clock(count: u64) {
    let began = Instant::now();
    for _ in 0..count {
        black_box(began.elapsed());
    }
}

fn run<P: Policy<Meta: Send + Sync> + Send + 'static>(operation: &str, count: u64) {
    match operation {
        "hit" => hit::<P>(count),
        "loading" => loading(&plain::<P>(), count),
        "load" => load::<P>(count),
        "miss" => miss::<P>(count),
        "insert" => insert::<P>(count),
        "sized-hit" => sized_hit::<P>(count),
        "sized-insert" => sized_insert::<P>(count),
        "replace" => replace::<P>(count),
        "weighted" => weighted::<P>(None, count),
        "budget-insert" => weighted::<P>(Some(Budget::weight(4 * capacity())), count),
        "held-insert" => held::<P>(false, count),
        "listed-insert" => held::<P>(true, count),
        "tracked-insert" | "classes-insert" | "callers-insert" | "scope" => {
            tracked::<P>(operation, count);
        }
        "timed-hit" => timed_hit::<P>(count),
        "idle-hit" => idle_hit::<P>(count),
        "refresh-hit" => loading(&refreshed::<P>(), count),
        "timed-insert" => timed_insert::<P>(count),
        "clock" => clock(count),
        other => panic!("{other}: one of {}", OPERATIONS.join(", ")),
    }
}

fn main() {
    // Without arguments (`cargo bench`) each runs once, to show that it works.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let [operation, policy, count, rest @ ..] = &given[..] else {
        for operation in OPERATIONS {
            run::<Duel>(operation, 100_000);
        }
        println!("cost: counts need callgrind; see the head of benches/cost.rs");
        return;
    };
    let count = count.parse().expect("COUNT is a number");
    if let [capacity] = rest {
        let capacity = capacity.parse().expect("CAPACITY is a number");
        CAPACITY.store(capacity, Ordering::Relaxed);
    }
    match policy.as_str() {
        "duel" => run::<Duel>(operation, count),
        "lru" => run::<Lru>(operation, count),
        "fifo" => run::<Fifo>(operation, count),
        "sieve" => run::<Sieve>(operation, count),
        "s3-fifo" => run::<S3Fifo>(operation, count),
        "lfu" => run::<Lfu>(operation, count),
        "gdsf" => run::<Gdsf>(operation, count),
        // The default policy, chosen while the program runs.
        "chosen" => run::<Chosen>(operation, count),
        other => panic!("{other}: duel, lru, fifo, sieve, s3-fifo, lfu, gdsf or chosen"),
    }
}
