//! What lives cost in memory: bounded whatever comes and goes, given back, and
//! nothing allocated once a cache is warm.

use crate::{ALLOCATOR, alone, in_full};
use brimful::policy::{Duel, Lru};
use brimful::{Aged, Cache, Entries, ManualClock, Timed};
use stats_alloc::{Region, Stats};
use std::time::Duration;

/// Bytes allocated and not freed. Reallocations are in both sums already.
fn live(change: Stats) -> f64 {
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

/// Entries, and so many shards that their tables are filled as by default, far from where
/// one doubles.
fn size() -> (u64, usize) {
    if in_full() {
        (100_000, 17)
    } else {
        (17_640, 3)
    }
}

fn entries() -> u64 {
    size().0
}

fn shards() -> usize {
    size().1
}

fn timed(clock: &ManualClock, life: Duration) -> Cache<u64, u64, Timed> {
    Cache::builder(Entries(entries() as usize))
        .shards(shards())
        .time_to_live(life)
        .clock(clock.clone())
        .build()
        .unwrap()
}

#[test]
fn faults_38_41_42_45_what_lives_cost_is_bounded_and_given_back() {
    let _alone = alone();
    a_life_costs_at_most_16_bytes();
    churn_and_changes_of_mind_have_no_slope();
    clear_and_expiry_give_memory_back();
    a_warm_cache_allocates_nothing();
}

/// Bytes an entry, of a cache without lives and of one with, filled alike.
fn a_life_costs_at_most_16_bytes() {
    let plain = Region::new(ALLOCATOR);
    let without: Cache<u64, u64> = Cache::builder(Entries(entries() as usize))
        .shards(shards())
        .build()
        .unwrap();
    without.extend((0..entries()).map(|n| (n, n)));
    let plain = live(plain.change()) / entries() as f64;
    drop(without);

    let with = Region::new(ALLOCATOR);
    let clock = ManualClock::new();
    let cache = timed(&clock, Duration::from_secs(3_600));
    for n in 0..entries() {
        cache.insert(n, n);
        clock.advance(Duration::from_micros(20));
    }
    let filled = live(with.change()) / entries() as f64 - plain;
    for n in entries()..4 * entries() {
        cache.insert(n, n);
        clock.advance(Duration::from_micros(20));
    }
    let churned = live(with.change()) / entries() as f64 - plain;
    println!("a life: {filled:.1} bytes when filled, {churned:.1} churned, of {plain:.1} without");
    assert!(filled <= 16.0, "{filled:.1} bytes for each life");
    assert!(churned <= 19.0, "{churned:.1} bytes for each life in churn");
}

/// Keys come and go, ends are put off and brought forward, and the memory stays.
fn churn_and_changes_of_mind_have_no_slope() {
    let clock = ManualClock::new();
    let cache: Cache<u64, u64, Aged<Lru>> = Cache::builder(Entries(10_000))
        .policy::<Lru>()
        .shards(4)
        .time_to_live(Duration::from_secs(600))
        .time_to_idle(Duration::from_secs(60))
        .clock(clock.clone())
        .build()
        .unwrap();
    let region = Region::new(ALLOCATOR);
    let mut most = [0.0_f64; 2];
    for n in 0..1_000_000_u64 {
        let key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 49;
        match n % 4 {
            0 => drop(cache.insert(key, n)),
            1 => drop(cache.insert_with_ttl(key, n, Duration::from_millis(n % 100_000 + 1))),
            2 => drop(cache.set_ttl(&key, Duration::from_millis(n % 7_000 + 1))),
            _ => drop(cache.get(&key)),
        }
        clock.advance(Duration::from_micros(50));
        if n > 300_000 {
            let half = usize::from(n > 650_000);
            most[half] = most[half].max(live(region.change()));
        }
    }
    cache.check();
    assert!(
        most[1] <= most[0] * 1.1,
        "grew from {} to {}",
        most[0],
        most[1]
    );
    assert!(most[1] <= 10_000.0 * 110.0, "{} bytes", most[1]);
}

fn clear_and_expiry_give_memory_back() {
    let clock = ManualClock::new();
    let cache = timed(&clock, Duration::from_secs(10));
    let region = Region::new(ALLOCATOR);
    for clears in [true, false] {
        for n in 0..entries() {
            cache.insert(n, n);
        }
        assert!(live(region.change()) > 30.0 * entries() as f64);
        if clears {
            cache.clear();
        } else {
            clock.advance(Duration::from_secs(20));
            while cache.sweep(10_000).more {}
        }
        cache.shrink_to_fit();
        let left = live(region.change());
        assert!(left < 64.0 * 1_024.0, "{left} bytes of an empty cache");
    }

    let recorded: Cache<u64, u64, Aged<Duel>> = Cache::builder(Entries(1_000_000_000))
        .record_ages()
        .build()
        .unwrap();
    let region = Region::new(ALLOCATOR);
    recorded.insert(1, 1);
    assert!(
        live(region.change()) < 4_096.0,
        "nothing is kept for lives to come"
    );
}

fn a_warm_cache_allocates_nothing() {
    let clock = ManualClock::new();
    let cache = timed(&clock, Duration::from_secs(4));
    let turn = |from: u64| {
        for n in from..from + 2 * entries() {
            cache.insert(n, n);
            cache.get(&(n - n.min(7)));
            cache.set_ttl(&n, Duration::from_secs(n % 5 + 1));
            // So slow that lives end, and so fast that entries are evicted too.
            clock.advance(Duration::from_micros(1_200_000 / entries()));
        }
    };
    for round in 0..4 {
        turn(round * 2 * entries());
    }
    let region = Region::new(ALLOCATOR);
    turn(8 * entries());
    let change = region.change();
    let calls = (change.allocations + change.reallocations) as u64;
    // Tables are rebuilt in equal size, once in a turnover or two.
    assert!(
        calls <= 16 * 8,
        "{calls} allocations in {} calls",
        6 * entries()
    );
    let stats = cache.stats();
    assert!(
        stats.departures(brimful::Cause::Expired) > entries(),
        "{stats}"
    );
    assert!(
        stats.departures(brimful::Cause::Evicted) > entries(),
        "{stats}"
    );
}
