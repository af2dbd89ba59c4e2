//! Surveys, sums and differences of statistics, and what is found wrong by them.

use brimful::policy::{Lru, S3Fifo};
use brimful::{
    Cache, Cause, Entries, Finding, Growth, Kind, ManualClock, Snapshot, Weight, unsync,
};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

fn parity(key: &u32, _: &u64) -> &'static str {
    if key % 2 == 0 { "even" } else { "odd" }
}

/// A value that panics when it is cloned.
struct Unclonable;

impl Clone for Unclonable {
    fn clone(&self) -> Self {
        panic!("a survey clones nothing");
    }
}

#[test]
fn a_survey_adds_up_and_clones_and_touches_nothing() {
    let cache = Cache::weighted(10_000, |key: &u32, _: &Unclonable| u64::from(*key));
    for key in 0..100 {
        cache.insert(key, Unclonable);
    }
    cache.view(&3, |_, _| ());
    let before = cache.stats();
    let survey = cache.survey(|key, _| key % 3);
    let (zero, one) = (survey.of(&0), survey.of(&1));
    assert_eq!(
        (zero.entries, zero.weight, zero.unhit),
        (34, (0..100).step_by(3).sum::<u64>() + 1, 33)
    );
    assert_eq!((one.entries, one.unhit), (33, 33));
    assert_eq!(
        (survey.total().entries, survey.total().weight),
        (100, before.weight())
    );
    let top = survey.clone().top(1);
    assert_eq!((top.iter().count(), top.total()), (1, survey.total()));
    assert_eq!(survey.top(0).total(), top.total());
    assert!(
        (&cache.stats() - &before)
            .figures()
            .all(|(before, after)| before == after)
    );
}

#[test]
fn a_survey_leaves_out_what_has_expired_and_knows_the_oldest() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(100))
        .time_to_live(Duration::from_secs(10))
        .record_ages()
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1);
    clock.advance(Duration::from_secs(4));
    cache.insert(2, 2);
    clock.advance(Duration::from_secs(3));
    let survey = cache.survey(parity);
    assert_eq!(survey.of(&"odd").oldest, Some(Duration::from_secs(7)));
    assert_eq!(survey.of(&"even").oldest, Some(Duration::from_secs(3)));
    clock.advance(Duration::from_secs(4));
    assert_eq!((cache.len(), cache.survey(parity).total().entries), (2, 1));
}

#[test]
fn a_survey_leaves_loads_alone_and_must_not_call_the_cache() {
    let cache = Arc::new(Cache::<u32, u64>::new(100));
    let seen = cache.get_or_insert_with(&1, || cache.survey(parity).total().entries);
    assert_eq!((seen, cache.get(&1)), (0, Some(0)));
    let inside = catch_unwind(AssertUnwindSafe(|| cache.survey(|key, _| cache.get(key))));
    assert!(inside.is_err());
    assert_eq!(cache.survey(parity).total().entries, 1);
}

#[test]
fn classes_are_compared_and_dropped_outside_of_the_lock() {
    struct Calls<'a>(u32, &'a Cache<u32, u32>);
    impl PartialOrd for Calls<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Calls<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Calls<'_> {}
    impl Ord for Calls<'_> {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.1.get(&0);
            self.0.cmp(&other.0)
        }
    }
    let cache = Cache::new(100);
    cache.extend((0..50).map(|n| (n, n)));
    let survey = cache.survey(|&key, _| Calls(key % 5, &cache));
    assert_eq!(survey.iter().count(), 5);
}

#[test]
fn the_difference_of_two_surveys_prints_what_grew_most_first() {
    let clock = ManualClock::new();
    let builder = Cache::builder(Weight(100_000, |_: &u32, value: &u64| *value));
    let cache = builder.clock(clock.clone()).build().unwrap();
    cache.extend([(1, 300), (2, 40)]);
    let before = cache.survey(parity);
    cache.extend((3..100).map(|key| (key, if key % 2 == 0 { 10 } else { 20 })));
    cache.remove(&1);
    clock.advance(Duration::from_secs(10));
    let grown = &cache.survey(parity) - &before;
    assert_eq!(grown.between(), Duration::from_secs(10));
    assert_eq!(
        grown.iter().collect::<Vec<_>>(),
        [(&"odd", 48, 680), (&"even", 48, 480)]
    );
    let lines: Vec<String> = grown.to_string().lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "         weight     entries       weight/s  class, in 10.0s",
            "           +680         +48          +68.0  odd",
            "           +480         +48          +48.0  even",
            "         +1,160         +96         +116.0  in all",
        ]
    );
}

#[test]
fn an_unsync_cache_is_surveyed_too() {
    let mut cache = unsync::Cache::new(100);
    cache.extend((0..100).map(|n| (n, 1)));
    let asked = Cell::new(0);
    let survey = cache.survey(|key, value| {
        asked.set(asked.get() + 1);
        parity(key, value)
    });
    assert_eq!((asked.get(), survey.of(&"odd").entries), (100, 50));
}

#[test]
fn a_person_on_call_can_paste_it() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(2_000))
        .named("sessions")
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.extend((0..1_000).map(|n| (n, n)));
    for n in 0..1_500 {
        cache.get(&n);
    }
    let before = cache.stats();
    let printed = before.to_string();
    let headline = printed.lines().next().unwrap();
    assert_eq!(
        headline,
        "sessions: 1,000 of 2,000 entries (50.0 % full), hit ratio 66.7 %"
    );
    clock.advance(Duration::from_secs(60));
    for n in 0..100 {
        cache.get(&n);
    }
    let growth = &cache.stats() - &before;
    let printed = growth.to_string();
    let headline = printed.lines().next().unwrap();
    assert!(
        headline.ends_with("hit ratio 68.8 %; in 60.0s 100 %"),
        "{headline}"
    );
    assert!(printed.contains("(1000 -> 1100)   1.7/s"), "{printed}");
    assert_eq!((growth.hits(), growth.misses()), (100, 0));
}

#[test]
fn figures_are_complete_and_sums_add_up() {
    let (one, two) = (Cache::new(10), Cache::new(20));
    one.extend((0..15).map(|n| (n, n)));
    two.extend((0..5).map(|n| (n, n)));
    two.get(&1);
    let both = [one.stats(), two.stats()];
    let sum: Snapshot = both.iter().sum();
    for (index, figure) in sum.figures().enumerate() {
        let of = |stats: &Snapshot| stats.figures().nth(index).unwrap().value;
        assert_eq!(figure.value, of(&both[0]) + of(&both[1]), "{}", figure.name);
    }
    assert_eq!(sum.departures(Cause::Evicted), 5);
    assert_eq!(sum, both.into_iter().sum());
    let settings = sum.figures().filter(|figure| figure.kind == Kind::Setting);
    assert_eq!(
        settings.map(|figure| figure.name).collect::<Vec<_>>(),
        ["capacity"]
    );
}

/// What two snapshots of such a cache find, before and after `run`.
fn found<K, V, F: brimful::Form>(
    cache: &Cache<K, V, F>,
    run: impl FnOnce(),
) -> (Growth, Vec<Finding>) {
    let before = cache.stats();
    run();
    let growth = &cache.stats() - &before;
    let findings = growth.findings();
    assert_eq!(
        findings,
        growth.clone().findings(),
        "a function of the figures"
    );
    (growth, findings)
}

#[test]
fn each_finding_is_found_and_a_healthy_cache_has_none() {
    let healthy = Cache::new(1_000);
    let (growth, none) = found(&healthy, || {
        for round in 0..40_000_u64 {
            // Nine of ten ask for the same few, the tenth for anything.
            let key = if round % 10 == 0 { round } else { round % 700 };
            healthy.get_or_insert_with(&key, || ());
        }
    });
    assert!(
        none.is_empty() && growth.hit_ratio() > Some(0.8),
        "{none:?} {growth}"
    );

    let unique = Cache::new(100);
    let (_, findings) = found(&unique, || {
        for id in 0..5_000_u32 {
            unique.get_or_insert_with(&id, || ());
            unique.get(&id);
        }
    });
    assert!(
        matches!(
            findings[..],
            [Finding::NothingComesBack { evicted: 4_900, .. }]
        ),
        "{findings:?}"
    );

    // A policy that does not remember: what was never hit does not come back.
    let unique = Cache::builder(Entries(100))
        .policy::<Lru>()
        .build()
        .unwrap();
    let (_, findings) = found(&unique, || {
        for id in 0..5_000_u32 {
            unique.insert(id, ());
        }
    });
    assert!(
        matches!(findings[..], [Finding::NothingComesBack { .. }]),
        "{findings:?}"
    );

    let small = Cache::builder(Entries(500))
        .policy::<S3Fifo>()
        .shards(1)
        .build()
        .unwrap();
    let (_, findings) = found(&small, || {
        for round in 0..20_000_u32 {
            small.get_or_insert_with(&(round * 11 % 700), || ());
        }
    });
    assert!(
        matches!(findings[..], [Finding::TooSmall { .. }]),
        "{findings:?}"
    );

    let large = Cache::new(1_000_000);
    let (_, findings) = found(&large, || {
        (0..2_000_u32).for_each(|round| large.get_or_insert_with(&(round % 100), || ()));
    });
    assert!(
        matches!(findings[..], [Finding::TooLarge { .. }]),
        "{findings:?}"
    );

    let scopes = Cache::<u32, (), _>::builder(Entries(300))
        .tracked()
        .build()
        .unwrap();
    let (_, findings) = found(&scopes, || {
        (0..150).for_each(|_| std::mem::forget(scopes.scope()))
    });
    assert!(
        matches!(
            findings[..],
            [Finding::ScopesForgotten {
                open: 150,
                before: 0,
                ..
            }]
        ),
        "{findings:?}"
    );

    let fails = Cache::<u32, u32>::new(100);
    let (_, findings) = found(&fails, || {
        (0..20).for_each(|n| assert!(fails.try_get_or_insert_with(&n, || Err(())).is_err()));
    });
    assert!(
        matches!(findings[..], [Finding::LoadsFail { failed: 20, .. }]),
        "{findings:?}"
    );

    let stale = Cache::builder(Entries(10))
        .refresh_after(Duration::ZERO)
        .stale_if_error()
        .build()
        .unwrap();
    stale.insert(1, 1);
    let (_, findings) = found(&stale, || {
        for _ in 0..20 {
            assert_eq!(stale.try_get_or_insert_with(&1, || Err(())), Ok(1));
        }
    });
    assert!(
        findings.contains(&Finding::StaleForEver { failed: 20 }),
        "{findings:?}"
    );

    let refuses = Cache::weighted(10, |_: &u32, weight: &u64| *weight);
    let (_, findings) = found(&refuses, || {
        for n in 0..50 {
            refuses.insert(n, 11);
        }
    });
    assert!(
        matches!(findings[..], [Finding::Refuses { refused: 50, .. }]),
        "{findings:?}"
    );

    let hot = Cache::builder(Entries(10_000)).shards(8).build().unwrap();
    let (_, findings) = found(&hot, || {
        for n in 0..2_000 {
            hot.insert(7, n);
        }
    });
    assert!(
        matches!(findings[..], [Finding::OneShardHot { shards: 8, .. }]),
        "{findings:?}"
    );
    assert!(findings[0].to_string().contains("One key is written again"));
}
