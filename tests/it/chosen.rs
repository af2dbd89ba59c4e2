//! A policy that is chosen while the program runs does what the one of that type does.

use crate::world::{Random, done};
use brimful::policy::{Choice, Chosen, Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{Cache, Entries, Form, ManualClock, RandomState, Sampled, Weighed, Weight, unsync};

fn weigh(key: &u64, size: &u64) -> u64 {
    1 + key % 5 + size
}

/// One operation at random, the same for both caches; they must answer alike.
fn operate<F: Form, G: Form>(
    fixed: &Cache<u64, u64, F>,
    chosen: &Cache<u64, u64, G>,
    dice: &mut Random,
    step: u64,
) {
    let hot = dice.below(60);
    let key = match dice.below(10) {
        0..6 => hot * hot / 10,
        6 | 7 => 1_000 + step % 150,
        _ => 10_000 + step,
    };
    match dice.below(60) {
        0 => assert_eq!(fixed.remove(&key), chosen.remove(&key)),
        1 => assert_eq!(fixed.evict(), chosen.evict(), "at step {step}"),
        2 if step % 9 == 0 => {
            fixed.shrink_to_fit();
            chosen.shrink_to_fit();
        }
        3 if step % 97 == 0 => {
            fixed.clear();
            chosen.clear();
        }
        4 => {
            let grow = |size: &mut u64| *size = (*size + step) % 9;
            assert_eq!(fixed.update(&key, grow), chosen.update(&key, grow));
        }
        5 => assert_eq!(fixed.insert(key, step % 3), chosen.insert(key, step % 3)),
        _ => {
            let found = fixed.get(&key);
            assert_eq!(found, chosen.get(&key), "at step {step}");
            if found.is_none() {
                assert_eq!(fixed.insert(key, 0), chosen.insert(key, 0));
            }
        }
    }
}

/// Drives a cache of a fixed policy, and one in which the same is chosen.
fn agree<P: Policy>(choice: Choice) {
    let mut dice = Random::new(1);
    for (round, capacity) in [0, 1, 7, 64, 300, 1_500].into_iter().enumerate() {
        let hasher = RandomState::default();
        let builder = || {
            let builder = Cache::builder(Weight(capacity, weigh)).hasher(hasher.clone());
            builder.shards(1 + round % 3).clock(ManualClock::new())
        };
        let fixed = builder().policy::<P>().build().unwrap();
        let chosen: Cache<u64, u64, Weighed<Chosen>> = builder().choose(choice).build().unwrap();
        let before = (fixed.stats(), chosen.stats());
        for step in 0..4_000 {
            operate(&fixed, &chosen, &mut dice, step);
            if step % 500 == 0 {
                assert_eq!(fixed.coldest(usize::MAX), chosen.coldest(usize::MAX));
                assert_eq!(fixed.hottest(9), chosen.hottest(9), "{choice}");
                let places = |key: &u64| {
                    let places = (fixed.explain(key), chosen.explain(key));
                    assert_eq!(inserts(&places.0), inserts(&places.1), "{choice}");
                };
                fixed.keys().for_each(|key| places(&key));
            }
        }
        let (fixed, chosen) = (&fixed.stats() - &before.0, &chosen.stats() - &before.1);
        assert_eq!(fixed.to_string(), chosen.to_string(), "{choice}");
        let findings = fixed
            .findings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let also = chosen
            .findings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(findings, also, "{choice}");
    }
}

/// After how many inserts a key is evicted, and where it stands.
fn inserts(fate: &brimful::Fate) -> Option<(Option<u64>, Option<brimful::policy::Place>)> {
    match fate {
        brimful::Fate::Resident(resident) => Some((resident.inserts, resident.place)),
        _ => None,
    }
}

#[test]
fn a_chosen_policy_evicts_what_the_type_does() {
    agree::<Duel>(Choice::Duel);
    agree::<S3Fifo>(Choice::S3Fifo);
    agree::<Sieve>(Choice::Sieve);
    agree::<Lru>(Choice::Lru);
    agree::<Fifo>(Choice::Fifo);
    agree::<Lfu>(Choice::Lfu);
    agree::<Gdsf>(Choice::Gdsf);
}

/// The same, where one thread owns the cache.
#[test]
fn a_chosen_policy_without_locks_evicts_what_the_type_does() {
    let mut fixed = unsync::Cache::builder(Entries(5))
        .policy::<Lru>()
        .build_unsync()
        .unwrap();
    let mut chosen = unsync::Cache::builder(Entries(5))
        .choose(Choice::Lru)
        .build_unsync()
        .unwrap();
    let mut fifo = unsync::Cache::builder(Entries(5))
        .choose(Choice::Fifo)
        .build_unsync()
        .unwrap();
    let mut differs = false;
    let mut dice = Random::new(2);
    for step in 0..500 {
        let key = dice.below(8);
        let found = fixed.get(&key).copied();
        assert_eq!(chosen.get(&key).copied(), found);
        differs |= fifo.get(&key).copied() != found;
        if found.is_none() {
            done(fixed.insert(key, step));
            done(chosen.insert(key, step));
        }
        done(fifo.insert(key, step));
    }
    assert!(differs, "the choice has a say");
}

/// A choice lasts: past a clear, which makes the policy anew, and in what watches other capacities.
#[test]
fn a_choice_outlives_a_clear_and_is_that_of_the_miniatures() {
    let lru: Cache<u64, u64, Sampled<Chosen>> = Cache::builder(Entries(3))
        .choose(Choice::Lru)
        .shards(1)
        .sizing()
        .build()
        .unwrap();
    for _ in 0..2 {
        lru.clear();
        lru.extend([(1, 1), (2, 2), (3, 3)]);
        done(lru.get(&1));
        assert_eq!(lru.coldest(3), [2, 3, 1]);
    }
    // A loop over one key more than fit: LRU hits none of it, and all of it with twice the room.
    lru.clear();
    for step in 0..4_000 {
        lru.get_or_insert_with(&(step % 4), || step);
    }
    let sizing = lru.sizing();
    assert_eq!(sizing.smallest_for(0.9), Some(6));
}

#[test]
fn a_policy_type_named_later_takes_the_place_of_a_choice() {
    let builder = Cache::builder(Entries(2))
        .choose(Choice::Lru)
        .policy::<Chosen>()
        .shards(1);
    let cache: Cache<u64, u64, Chosen> = builder.build().unwrap();
    assert!(cache.stats().figures().count() > 0);
    let debug = format!("{:?}", Chosen::new(1, 1));
    assert_eq!(debug, "Chosen(duel)");
}
