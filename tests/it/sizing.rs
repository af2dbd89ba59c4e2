//! Sizing: what a cache says it would hit at other capacities, against caches of those capacities.

use brimful::policy::{
    Duel, Fifo, Gdsf, Lfu, Lru, Policy, Residents, S3Fifo, Sieve, Slot, Tag, Touch,
};
use brimful::{
    Cache, Entries, Form, ManualClock, Sampled, Sampling, Sizing, Units, Weighed, Weight, unsync,
};
use std::sync::Barrier;
use std::time::Duration;

/// 1 in 4 keys of a cache of so many entries is sampled.
const ENTRIES: u64 = 8_000;
const REQUESTS: u64 = 60_000;

/// Numbers from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A key below `keys`, the n-th as popular as 1 / n^exponent.
    fn zipf(&mut self, keys: f64, exponent: f64) -> u64 {
        let rest = 1.0 - exponent;
        ((self.next() * (keys.powf(rest) - 1.0) + 1.0).powf(1.0 / rest)) as u64
    }
}

/// The n-th request of a workload.
type Workload = fn(n: u64, random: &mut Random) -> u64;

const WORKLOADS: [(&str, Workload); 4] = [
    ("Zipf 0.8", |_, random| random.zipf(100_000.0, 0.8)),
    ("Zipf 0.99", |_, random| random.zipf(100_000.0, 0.99)),
    ("a loop with scans", |n, random| match n % 10 {
        0..3 => 1_000_000 + n,
        3..7 => random.zipf(20_000.0, 0.9),
        _ => 100_000 + n % 6_000,
    }),
    ("popularity that shifts", |n, random| {
        random.zipf(30_000.0, 0.9) + n / 20_000 * 5_000
    }),
];

/// From 1 to 1,000, most of them light; half of all that is stored weighs more than 100.
fn weight(key: u64) -> u64 {
    let uniform = Random(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next();
    (1.0 / (uniform + 0.001)) as u64
}

fn get_else_insert<F: Form>(cache: &Cache<u64, u64, F>, key: u64) -> bool {
    let hit = cache.get(&key).is_some();
    if !hit {
        cache.insert(key, key);
    }
    hit
}

fn requests(workload: Workload, seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random(seed);
    (0..REQUESTS).map(move |n| workload(n, &mut random))
}

/// What a cache hits.
fn true_ratio<F: Form>(cache: &Cache<u64, u64, F>, workload: Workload) -> f64 {
    let hits = requests(workload, 1)
        .filter(|&key| get_else_insert(cache, key))
        .count();
    hits as f64 / REQUESTS as f64
}

/// Compares the four figures of a sizing with what caches of those capacities hit.
fn judge(what: &str, sizing: &Sizing, truth: [f64; 4], most: f64) {
    let told: Vec<f64> = sizing.iter().map(|(_, ratio)| ratio).collect();
    println!("{what}: {told:.3?} for {truth:.3?}, {} lost", sizing.lost());
    for (told, truth) in told.iter().zip(truth) {
        assert!((told - truth).abs() <= most, "{what}: {sizing}\n{truth:?}");
    }
    assert_eq!(told.len(), 4);
}

fn entries<P: Policy>(entries: u64) -> Cache<u64, u64, P> {
    Cache::builder(Entries(entries as usize))
        .policy::<P>()
        .build()
        .unwrap()
}

fn sampled<P: Policy>(entries: u64) -> Cache<u64, u64, Sampled<P>> {
    let builder = Cache::builder(Entries(entries as usize)).sizing();
    builder.policy::<P>().build().unwrap()
}

fn near_the_truth<P: Policy>(name: &str) {
    for (workload_name, workload) in WORKLOADS {
        let cache = sampled::<P>(ENTRIES);
        let own = true_ratio(&cache, workload);
        let [half, twice, four] = [ENTRIES / 2, 2 * ENTRIES, 4 * ENTRIES]
            .map(|capacity| true_ratio(&entries::<P>(capacity), workload));
        let sizing = cache.sizing();
        assert_eq!((sizing.one_in(), sizing.lost()), (4, 0));
        judge(
            &format!("{name}, {workload_name}"),
            &sizing,
            [half, own, twice, four],
            0.02,
        );
    }
}

#[test]
fn each_policy_tells_what_it_would_hit_within_two_points() {
    near_the_truth::<Duel>("Duel");
    near_the_truth::<Lru>("LRU");
    if cfg!(brimful_full) {
        near_the_truth::<S3Fifo>("S3-FIFO");
        near_the_truth::<Sieve>("SIEVE");
        near_the_truth::<Fifo>("FIFO");
        near_the_truth::<Lfu>("LFU");
        near_the_truth::<Gdsf>("GDSF");
    }
}

fn by_weight<P: Policy>(capacity: u64) -> Cache<u64, u64, Weighed<P>> {
    let builder = Cache::builder(Weight(capacity, |&key: &u64, _: &u64| weight(key)));
    builder.policy::<P>().build().unwrap()
}

fn near_the_truth_by_weight<P: Policy>(name: &str) {
    let capacity = 50_000;
    for (workload_name, workload) in WORKLOADS {
        let builder = Cache::builder(Weight(capacity, |&key: &u64, _: &u64| weight(key)));
        let cache = builder.policy::<P>().sizing().build().unwrap();
        let own = true_ratio(&cache, workload);
        let [half, twice, four] = [capacity / 2, 2 * capacity, 4 * capacity]
            .map(|capacity| true_ratio(&by_weight::<P>(capacity), workload));
        let name = format!("{name}, {workload_name}, by weight");
        judge(&name, &cache.sizing(), [half, own, twice, four], 0.02);
    }
}

#[test]
fn weights_count_as_in_the_cache_itself() {
    near_the_truth_by_weight::<Gdsf>("GDSF");
    if cfg!(brimful_full) {
        near_the_truth_by_weight::<Duel>("Duel");
        near_the_truth_by_weight::<Lru>("LRU");
    }
}

#[test]
fn two_threads_at_once_lose_little_and_the_figures_stay_near_the_truth() {
    // Each asks for the half of the requests that the other does not.
    fn halves(ask: impl Fn(u64) + Sync) {
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for own in 0..2 {
                let (ask, together) = (&ask, &together);
                scope.spawn(move || {
                    together.wait();
                    let all = requests(WORKLOADS[1].1, 1).enumerate();
                    all.filter(|(n, _)| n % 2 == own)
                        .for_each(|(_, key)| ask(key));
                });
            }
        });
    }
    let cache = sampled::<Lru>(ENTRIES);
    halves(|key| _ = get_else_insert(&cache, key));
    let [half, twice, four] = [ENTRIES / 2, 2 * ENTRIES, 4 * ENTRIES].map(|capacity| {
        let other = entries::<Lru>(capacity);
        halves(|key| _ = get_else_insert(&other, key));
        other.stats().hit_ratio().unwrap()
    });
    let (sizing, own) = (cache.sizing(), cache.stats().hit_ratio().unwrap());
    judge("two threads", &sizing, [half, own, twice, four], 0.02);
    assert!(sizing.lost() * 10 < sizing.sampled(), "{sizing}");
}

/// Reads alone, of all that is there and of more: what is told is what was read.
fn reads<F: Sampling>(cache: &Cache<u64, u64, F>, keys: u64) -> Sizing {
    (0..3).for_each(|_| (0..keys).for_each(|key| _ = get_else_insert(cache, key)));
    cache.sizing()
}

#[test]
fn a_new_capacity_begins_anew_and_its_multiples_are_told() {
    let cache = sampled::<Lru>(100);
    let sizing = reads(&cache, 150);
    assert_eq!((sizing.at(1), sizing.at(2)), (Some(0.0), Some(2.0 / 3.0)));
    cache.set_capacity(Entries(200));
    assert_eq!(
        (cache.sizing().sampled(), cache.sizing().iter().count()),
        (0, 0)
    );
    let sizing = reads(&cache, 150);
    let capacities: Vec<u64> = sizing.iter().map(|(capacity, _)| capacity).collect();
    assert_eq!(capacities, [100, 200, 400, 800]);
    // The larger miniatures have kept all keys, the smaller one finds none of a loop.
    let ratios: Vec<f64> = sizing.iter().map(|(_, ratio)| ratio).collect();
    assert_eq!(sizing.sampled(), 450);
    assert!(
        ratios[0] < 0.1 && ratios[1] > 0.8 && ratios[2] >= ratios[1],
        "{sizing}"
    );
    // So much larger that another sample is needed, and back.
    for (capacity, one_in) in [(1_000_000, 512), (100, 1)] {
        cache.set_capacity(Entries(capacity));
        reads(&cache, 20);
        assert_eq!(cache.sizing().one_in(), one_in);
        cache.check();
    }
    cache.set_capacity(Entries(0));
    assert_eq!(reads(&cache, 10).at(4), Some(0.0));
}

#[test]
fn what_was_cleared_or_removed_is_a_miss_at_any_capacity() {
    let cache = sampled::<Duel>(1_000);
    (0..500).for_each(|key| _ = cache.insert(key, key));
    cache.clear();
    (0..500).for_each(|key| _ = cache.get(&key));
    let nothing = |sizing: Sizing| sizing.iter().all(|(_, ratio)| ratio == 0.0);
    assert!(nothing(cache.sizing()) && cache.sizing().sampled() == 500);
    for key in 0..500 {
        cache.insert(key, key);
        cache.remove(&key);
        cache.get(&key);
    }
    assert!(nothing(cache.sizing()) && cache.sizing().sampled() == 1_000);
}

#[test]
fn what_has_expired_is_a_miss_at_any_capacity() {
    let clock = ManualClock::new();
    let builder = Cache::builder(Entries(100))
        .sizing()
        .time_to_live(Duration::from_secs(50));
    let cache = builder.clock(clock.clone()).build().unwrap();
    // A loop over three times the capacity, which takes longer than values live.
    for n in 0..3_000_u64 {
        get_else_insert(&cache, n % 300);
        clock.advance(Duration::from_secs(1));
    }
    let sizing = cache.sizing();
    assert_eq!(
        (sizing.at(4), sizing.sampled()),
        (Some(0.0), 3_000),
        "{sizing}"
    );
    // One that is shorter than a life, so that room is what matters.
    for n in 0..3_000_u64 {
        get_else_insert(&cache, n % 300);
        clock.advance(Duration::from_millis(100));
    }
    let sizing = cache.sizing();
    let four = sizing.at(4).unwrap();
    // A value is loaded twice in 30 s of its 50, and so read once from the cache.
    assert!(
        (0.2..0.35).contains(&four) && sizing.at(1) < Some(0.1),
        "{sizing}"
    );
}

#[test]
fn idle_lives_are_put_off_in_the_simulations_too() {
    let clock = ManualClock::new();
    let builder = Cache::builder(Entries(100))
        .time_to_idle(Duration::from_secs(50))
        .sizing();
    let cache = builder.clock(clock.clone()).build().unwrap();
    for n in 0..3_000_u64 {
        get_else_insert(&cache, n % 40);
        clock.advance(Duration::from_secs(1));
    }
    let sizing = cache.sizing();
    assert!(
        sizing.iter().skip(1).all(|(_, ratio)| ratio > 0.95),
        "{sizing}"
    );
}

#[test]
fn without_locks_the_same_is_told() {
    let mut cache = unsync::Cache::builder(Entries(ENTRIES as usize))
        .sizing()
        .build_unsync()
        .unwrap();
    let ask = |cache: &mut unsync::Cache<u64, u64, _>, key| {
        if cache.get(&key).is_none() {
            cache.insert(key, key);
        }
    };
    requests(WORKLOADS[0].1, 1).for_each(|key| ask(&mut cache, key));
    let truth = [ENTRIES / 2, ENTRIES, 2 * ENTRIES, 4 * ENTRIES]
        .map(|capacity| true_ratio(&entries::<Duel>(capacity), WORKLOADS[0].1));
    judge("unsync", &cache.sizing(), truth, 0.02);
    let before = cache.sizing().sampled();
    cache.clear();
    cache.get(&1);
    assert!(cache.sizing().sampled() >= before);
    cache.set_capacity(Entries(10));
    assert_eq!((cache.sizing().sampled(), cache.sizing().one_in()), (0, 1));
    cache.check();
}

/// FIFO, but a shard of less than 60 entries panics when it is asked for a victim.
struct Frail {
    share: u64,
    fifo: Fifo,
}

impl Policy for Frail {
    type Meta = <Fifo as Policy>::Meta;
    const TOUCH: Touch = Touch::Mark;

    fn new(share: u64, seed: u64) -> Self {
        Self {
            share,
            fifo: Fifo::new(share, seed),
        }
    }
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Self::Meta>) {
        self.fifo.admit(slot, tag, residents);
    }
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>) {
        self.fifo.forget(slot, residents);
    }
    fn victim(&mut self, residents: &mut impl Residents<Self::Meta>) -> Option<Slot> {
        assert!(self.share >= 60, "too small");
        self.fifo.victim(residents)
    }
    fn moved(&mut self, residents: &mut impl Residents<Self::Meta>) {
        self.fifo.moved(residents);
    }
}

#[test]
fn a_policy_that_panics_in_a_simulation_stops_that_and_nothing_else() {
    let builder = Cache::builder(Entries(100))
        .policy::<Frail>()
        .sizing()
        .shards(1);
    let cache = builder.build().unwrap();
    (0..1_000_u64).for_each(|key| _ = get_else_insert(&cache, key));
    let sizing = cache.sizing();
    assert!(sizing.has_stopped() && sizing.to_string().contains("stopped"));
    (0..1_000).for_each(|key| _ = get_else_insert(&cache, key));
    cache.set_capacity(Entries(90));
    cache.clear();
    assert!(cache.sizing().has_stopped() && cache.is_empty());
    cache.check();
}

#[test]
fn reads_under_locks_count_like_all_others() {
    let cache = sampled::<Lru>(100);
    cache.insert(1, 1);
    for _ in 0..9 {
        let _ = cache.update(&1, |value| *value += 1);
        let _ = cache.update(&2, |value| *value += 1);
    }
    let sizing = cache.sizing();
    assert_eq!(
        (sizing.sampled(), sizing.at(1), sizing.at(4)),
        (18, Some(0.5), Some(0.5))
    );
}

#[test]
fn the_curve_takes_six_lines_and_is_asked_for_what_it_says() {
    let cache = sampled::<Lru>(100);
    let empty = cache.sizing();
    assert_eq!(
        (empty.to_string().lines().count(), empty.smallest_for(0.0)),
        (6, None)
    );
    let sizing = reads(&cache, 190);
    let text = sizing.to_string();
    assert_eq!(text.lines().count(), 6);
    assert!(
        text.starts_with("hit ratio by capacity, in entries\n"),
        "{text}"
    );
    assert!(
        text.contains("   twice            200  66.7 % ██████"),
        "{text}"
    );
    assert!(
        text.ends_with("from 570 look-ups of one key in 1; 0 events lost"),
        "{text}"
    );
    assert_eq!(sizing.smallest_for(1.0 / 3.0), Some(150));
    assert_eq!(sizing.smallest_for(0.7), None);
    assert_eq!(sizing.smallest_for(f64::NAN), None);
    assert_eq!(
        [sizing.at(0), sizing.at(1), sizing.at(4)],
        [None, Some(0.0), Some(2.0 / 3.0)]
    );
}

#[test]
fn an_entry_limit_is_scaled_with_the_capacity() {
    let builder = Cache::builder(Weight(1 << 20, |_: &u64, _: &u64| 1)).entry_limit(100);
    let cache = builder.policy::<Lru>().sizing().build().unwrap();
    let sizing = reads(&cache, 150);
    assert_eq!(
        (sizing.at(1), sizing.at(2)),
        (Some(0.0), Some(2.0 / 3.0)),
        "{sizing}"
    );
    cache.set_capacity(Units(1 << 10));
    assert_eq!(cache.sizing().sampled(), 0);
}
