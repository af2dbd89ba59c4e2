//! One key explained, and who leaves in which order: held against what then happens.

use crate::world::{Random, Threaded, done, ends, seed, until};
use brimful::policy::{
    Duel, Fifo, Gdsf, Lfu, Lru, Place, Policy, Residents, S3Fifo, Sieve, Slot, Tag, Touch, rehearse,
};
use brimful::{
    Aged, Cache, Entries, Fate, Form, ManualClock, RandomState, Resident, Weighed, Weight, unsync,
};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::scope;
use std::time::Duration;

/// Runs a body for each policy of the crate.
macro_rules! each_policy {
    ($body:ident) => {{
        $body::<Lru>();
        $body::<Fifo>();
        $body::<Sieve>();
        $body::<S3Fifo>();
        $body::<Duel>();
        $body::<Lfu>();
        $body::<Gdsf>();
    }};
}

fn weigh(key: &u64, (): &()) -> u64 {
    1 + key % 7
}

fn weighed<P: Policy>(capacity: u64) -> Cache<u64, (), Weighed<P>> {
    let builder = Cache::builder(Weight(capacity, weigh)).policy::<P>();
    builder.shards(1).build().unwrap()
}

fn counted<P: Policy>(capacity: u64) -> Cache<u64, (), P> {
    let builder = Cache::builder(Entries(capacity as usize)).policy::<P>();
    builder.shards(1).build().unwrap()
}

/// Uses a cache at random: skewed, with scans, removals and rebuilds of the table.
fn stir<F: Form, S: BuildHasher>(cache: &Cache<u64, (), F, S>, dice: &mut Random, steps: u64) {
    for step in 0..steps {
        let hot = dice.below(40);
        let key = match dice.below(10) {
            0..6 => hot * hot / 8,
            _ => 1_000 + step,
        };
        match dice.below(50) {
            0 => done(cache.remove(&key)),
            1 if step % 7 == 0 => cache.shrink_to_fit(),
            2 if step % 11 == 0 => done(cache.evict()),
            _ if cache.get(&key).is_none() => done(cache.insert(key, ())),
            _ => {}
        }
    }
}

fn evicted_in_order<F: Form>(cache: &Cache<u64, (), F>) -> Vec<u64> {
    std::iter::from_fn(|| Some(cache.evict()?.0)).collect()
}

fn the_order_is_that_of_evict<P: Policy>() {
    let mut dice = Random(seed());
    for round in 0..25 {
        let capacity = 1 + dice.below(300);
        let steps = dice.below(3_000);
        let (cache, loads) = (counted::<P>(capacity), weighed::<P>(capacity * 4));
        stir(&cache, &mut dice, steps);
        stir(&loads, &mut dice, steps);
        for (order, back, first, left) in [
            (
                cache.coldest(usize::MAX),
                cache.hottest(usize::MAX),
                cache.coldest(3),
                evicted_in_order(&cache),
            ),
            (
                loads.coldest(usize::MAX),
                loads.hottest(usize::MAX),
                loads.coldest(3),
                evicted_in_order(&loads),
            ),
        ] {
            assert_eq!(order, left, "round {round}");
            assert_eq!(first, left[..left.len().min(3)]);
            assert!(back.iter().rev().eq(&left), "round {round}");
        }
        cache.check();
        loads.check();
    }
}

#[test]
fn the_coldest_are_what_evict_takes_out_one_after_another_under_every_policy() {
    each_policy!(the_order_is_that_of_evict);
}

fn unsync_order_is_that_of_evict<P: Policy>() {
    let builder = Cache::builder(Entries(100)).policy::<P>();
    let mut cache: unsync::Cache<u64, (), P> = builder.build_unsync().unwrap();
    let mut dice = Random(seed());
    for step in 0..2_000 {
        let key = dice.below(30) * dice.below(30) + step % 3 * 200;
        if cache.get(&key).is_none() {
            cache.insert(key, ());
        }
    }
    let order: Vec<u64> = cache.coldest(1_000).into_iter().copied().collect();
    let last: Vec<u64> = cache.hottest(5).into_iter().copied().collect();
    assert!(cache.explain(&order[9]).is_resident());
    let left: Vec<u64> = std::iter::from_fn(|| Some(cache.evict()?.0)).collect();
    assert_eq!(order, left);
    assert!(last.iter().eq(left.iter().rev().take(5)));
    assert!(cache.coldest(9).is_empty());
}

#[test]
fn the_coldest_of_one_owner_are_what_evict_takes_out() {
    each_policy!(unsync_order_is_that_of_evict);
}

fn resident(fate: &Fate) -> &Resident {
    fate.resident().unwrap_or_else(|| panic!("{fate}"))
}

fn place<F: Form>(cache: &Cache<u64, (), F>, key: u64) -> Place {
    resident(&cache.explain(&key)).place.expect("it tells")
}

/// Of the entries of each queue, how many leave before which. (Under `Duel` an entry that was asked
/// for before begins with a count, though it was never hit, and may win a duel: so it may leave after
/// those behind it.)
fn ahead_is_the_rank_in_its_queue<F: Form>(cache: &Cache<u64, (), F>) {
    let order = cache.coldest(usize::MAX);
    let told = |key: &u64| {
        let fate = cache.explain(key);
        let entry = resident(&fate);
        let had_a_start = !entry.hits.ever && entry.hits.counted > 0;
        (entry.place.expect("it tells"), had_a_start)
    };
    let places: Vec<(Place, bool)> = order.iter().map(told).collect();
    for (rank, &(here, had_a_start)) in places.iter().enumerate() {
        let mates = |places: &[(Place, bool)]| {
            let mates = places.iter().filter(|(place, _)| place.queue == here.queue);
            mates.count() as u64
        };
        assert_eq!(here.of, mates(&places), "{places:?}");
        assert!(!here.spared);
        let started = places.iter().filter(|(_, started)| *started).count() as u64;
        let before = mates(&places[..rank]);
        let exact = (before..=before + started).contains(&here.ahead);
        assert!(had_a_start || exact, "{here:?} leaves after {before}");
    }
    let started = places.iter().filter(|(_, started)| *started).count();
    assert!(
        started * 20 <= places.len() + 20,
        "{started} of {}",
        places.len()
    );
}

/// Without hits nothing is spared: positions are ranks, also with holes and after rebuilds.
fn positions_are_exact_without_hits<P: Policy>() {
    let mut dice = Random(seed());
    for round in 0..40 {
        let capacity = 1 + dice.below(200);
        let (cache, loads) = (counted::<P>(capacity), weighed::<P>(capacity * 4));
        for step in 0..dice.below(1_500) {
            match dice.below(12) {
                0 => done(cache.remove(&(step.saturating_sub(dice.below(300))))),
                1 => done(loads.remove(&(step.saturating_sub(dice.below(300))))),
                2 if step % 50 == 0 => cache.shrink_to_fit(),
                _ => {
                    cache.insert(step, ());
                    loads.insert(step, ());
                }
            }
        }
        let alone = counted::<P>(capacity);
        alone.extend((0..round).map(|key| (key, ())));
        for cache in [&cache, &alone] {
            ahead_is_the_rank_in_its_queue(cache);
        }
        ahead_is_the_rank_in_its_queue(&loads);
    }
}

#[test]
fn how_many_stand_ahead_is_how_many_leave_before_where_nothing_was_hit() {
    each_policy!(positions_are_exact_without_hits);
}

#[test]
fn under_lru_positions_are_exact_with_hits_too() {
    let mut dice = Random(seed());
    for _ in 0..40 {
        let cache = counted::<Lru>(1 + dice.below(300));
        stir(&cache, &mut dice, 2_000);
        ahead_is_the_rank_in_its_queue(&cache);
    }
}

/// Under SIEVE those between the hand and an entry that was not hit are the most that leave before
/// it, and the least that leave before one that was.
#[test]
fn under_sieve_a_position_bounds_the_rank() {
    let mut dice = Random(seed());
    for _ in 0..40 {
        let cache = counted::<Sieve>(1 + dice.below(300));
        stir(&cache, &mut dice, 2_000);
        for (rank, key) in cache.coldest(usize::MAX).into_iter().enumerate() {
            let (place, rank) = (place(&cache, key), rank as u64);
            let holds = if place.spared {
                rank >= place.ahead
            } else {
                rank <= place.ahead
            };
            assert!(holds, "{place:?} leaves after {rank}");
        }
    }
}

#[test]
fn the_inserts_that_evict_an_entry_are_counted() {
    for (capacity, entries) in [(50, 50_u64), (50, 20), (1, 1)] {
        for key in 0..entries {
            let cache = counted::<Fifo>(capacity);
            cache.extend((0..entries).map(|key| (key, ())));
            let inserts = resident(&cache.explain(&key)).inserts.unwrap();
            cache.extend((1_000..1_000 + inserts - 1).map(|key| (key, ())));
            assert!(
                cache.contains_key(&key),
                "{key} of {entries}, {inserts} inserts"
            );
            assert_eq!(resident(&cache.explain(&key)).inserts, Some(1));
            cache.insert(5_000, ());
            assert!(!cache.contains_key(&key));
        }
    }
    // By weight, in the mean; and over shards.
    let cache = Cache::builder(Weight(4_000, |_: &u64, &weight: &u64| weight)).policy::<Fifo>();
    let cache = cache.shards(4).build().unwrap();
    cache.extend((0..100).map(|key| (key, 10)));
    let inserts = |key| resident(&cache.explain(&key)).inserts.unwrap();
    assert!((304..=400).contains(&inserts(0)), "{}", inserts(0));
    assert!(inserts(0) % 4 == 0 && inserts(99) > inserts(0));
}

#[test]
fn a_merged_line_takes_from_each_shard_its_part() {
    let cache: Cache<u64, ()> = Cache::builder(Entries(4_000)).shards(8).build().unwrap();
    cache.extend((0..4_000).map(|key| (key, ())));
    let coldest = cache.coldest(400);
    assert_eq!(coldest.len(), 400);
    let mut of_shard = [0; 8];
    coldest
        .iter()
        .for_each(|key| of_shard[cache.shard_of(key)] += 1);
    let parts = (0..8).map(|shard| cache.shard_stats(shard).unwrap().len() / 10);
    for (taken, part) in of_shard.into_iter().zip(parts) {
        assert!(
            (part..=part + 2).contains(&taken),
            "{taken} of a tenth, {part}"
        );
    }
    let mut all = cache.coldest(usize::MAX);
    assert!(all.iter().eq(cache.hottest(usize::MAX).iter().rev()) || all.len() == 4_000);
    all.sort_unstable();
    assert!(all.into_iter().eq(0..4_000));
    assert!(cache.coldest(0).is_empty() && cache.hottest(0).is_empty());
}

fn figures<F: Form, S>(cache: &Cache<u64, (), F, S>) -> String {
    format!("{:?}", cache.stats())
}

/// Two caches are used alike, and one of them is asked all the time.
fn asking_changes_nothing<P: Policy>() {
    let hasher = RandomState::default();
    let clock = ManualClock::new();
    let open = || {
        let builder = Cache::builder(Weight(200, weigh)).policy::<P>().shards(1);
        let builder = builder.time_to_idle(Duration::from_secs(60));
        builder
            .clock(clock.clone())
            .hasher(hasher.clone())
            .build()
            .unwrap()
    };
    let (asked, left_alone) = (open(), open());
    let mut dice = Random(seed());
    for step in 0..3_000 {
        let roll = dice.0;
        for cache in [&asked, &left_alone] {
            dice = Random(roll);
            stir(cache, &mut dice, 1);
            let key = dice.below(60) * dice.below(60);
            if cache.get(&key).is_none() {
                cache.insert(key, ());
            }
        }
        clock.advance(Duration::from_millis(dice.below(300)));
        done((asked.explain(&dice.0), asked.explain(&(step % 100))));
        if step % 20 == 0 {
            done((asked.coldest(10), asked.hottest(10)));
            assert_eq!(figures(&asked), figures(&left_alone));
        }
    }
    for key in 0..4_000 {
        assert_eq!(asked.ttl(&key), left_alone.ttl(&key));
    }
    let both = [&asked, &left_alone].map(|cache| {
        let left: Vec<u64> = std::iter::from_fn(|| Some(cache.evict()?.0)).collect();
        left
    });
    assert!(both[0].len() > 10);
    assert_eq!(both[0], both[1]);
    assert_eq!(figures(&asked), figures(&left_alone));
    asked.check();
}

#[test]
fn asking_is_no_use_and_changes_nothing() {
    each_policy!(asking_changes_nothing);
}

#[test]
fn every_field_of_a_resident_is_told() {
    let clock = ManualClock::new();
    let cache: Cache<String, u64, Weighed<brimful::Tracked<Aged>>> =
        Cache::builder(Weight(1_000, |_: &String, &weight: &u64| weight))
            .classes(["even", "odd"], |_, weight: &u64| (weight % 2) as usize)
            .record_callers()
            .time_to_live(Duration::from_secs(600))
            .refresh_after(Duration::from_secs(60))
            .clock(clock.clone())
            .build()
            .unwrap();
    cache.insert("a".into(), 7);
    let line = line!() - 1;
    clock.advance(Duration::from_secs(59));
    let fate = cache.explain("a");
    let entry = resident(&fate);
    assert_eq!(
        (entry.weight, entry.age),
        (7, Some(Duration::from_secs(59)))
    );
    assert_eq!(entry.ends, Some(Duration::from_secs(541)));
    assert_eq!(entry.class.as_deref(), Some("odd"));
    assert_eq!(entry.caller.unwrap().line(), line);
    assert!(!entry.stale && !entry.scoped && !entry.hits.ever && entry.loading.is_none());
    assert_eq!(entry.place.unwrap().of, 1);
    assert!(
        fate.to_string().contains("; of class odd; stored at "),
        "{fate}"
    );
    clock.advance(Duration::from_secs(1));
    (0..5).for_each(|_| _ = cache.get("a"));
    let scope = cache.scope();
    scope.insert("b".into(), 8);
    assert!(resident(&cache.explain("b")).scoped);
    let fate = cache.explain("a");
    let entry = resident(&fate);
    assert!(entry.stale && entry.hits.ever && entry.hits.counted == entry.hits.most);
    drop(scope);
    assert_eq!(cache.explain("b"), Fate::Unknown);
}

#[test]
fn a_key_that_is_being_loaded_is_told_with_those_who_wait() {
    ends(|| {
        let cache: Cache<u32, u32> = Cache::new(10);
        let in_load = AtomicBool::new(false);
        let waiting = |key| match cache.explain(key) {
            Fate::Loading(load) => Some(load.waiting),
            _ => None,
        };
        scope(|scope| {
            scope.spawn(|| {
                cache.get_or_insert_with(&1, || {
                    assert_eq!(waiting(&1), Some(0));
                    assert_eq!(waiting(&2), None);
                    in_load.store(true, SeqCst);
                    until(|| waiting(&1) == Some(2));
                    5
                })
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    until(|| in_load.load(SeqCst));
                    cache.get_or_insert_with(&1, || unreachable!())
                });
            }
        });
        assert!(cache.explain(&1).is_resident());
        // Detached: what it loads is not stored, so the key is not being loaded.
        cache.get_or_insert_with(&3, || {
            cache.remove(&3);
            assert_eq!(cache.explain(&3), Fate::Unknown);
            5
        });
        assert_eq!(cache.explain(&3), Fate::Unknown);
        let failed = cache.try_get_or_insert_with(&4, || Err::<u32, _>(()));
        assert!(failed.is_err() && cache.explain(&4) == Fate::Unknown);
    });
}

#[test]
fn a_stale_value_is_told_with_its_refresh() {
    let clock = ManualClock::new();
    let cache = Cache::builder(Entries(10)).refresh_after(Duration::from_secs(1));
    let cache: Cache<u32, u32, Aged> = cache.clock(clock.clone()).build().unwrap();
    cache.insert(1, 1);
    clock.advance(Duration::from_secs(1));
    cache.get_or_insert_with(&1, || {
        let fate = cache.explain(&1);
        let entry = resident(&fate);
        assert!(entry.stale && entry.loading.is_some_and(|load| load.waiting == 0));
        2
    });
    let fate = cache.explain(&1);
    assert!(!resident(&fate).stale && resident(&fate).loading.is_none());
}

fn what_left_is_told<P: Policy>(keeps_ghosts: bool) {
    let clock = ManualClock::new();
    let builder = Cache::builder(Entries(200)).policy::<P>().shards(1);
    let builder = builder.time_to_live(Duration::from_secs(10));
    let cache = builder.clock(clock.clone()).build().unwrap();
    assert_eq!(cache.explain(&1), Fate::Unknown);
    cache.extend((0..400).map(|key| (key, ())));
    let gone: Vec<u64> = (0..400).filter(|key| !cache.contains_key(key)).collect();
    assert_eq!(gone.len(), 200);
    let told = |key: &&u64| cache.explain(*key) == Fate::Evicted;
    let known = gone.iter().rev().take(20).filter(told).count();
    assert!(
        if keeps_ghosts { known >= 8 } else { known == 0 },
        "{known}"
    );
    let there = cache.coldest(200);
    cache.remove(&there[150]);
    assert_eq!(cache.explain(&there[150]), Fate::Unknown);
    clock.advance(Duration::from_secs(12));
    let late = Duration::from_secs(2);
    assert_eq!(
        cache.explain(&there[100]),
        Fate::Expired { late, weight: 1 }
    );
    assert!(cache.coldest(500).is_empty() && cache.hottest(500).is_empty());
    while cache.sweep(1_000).more {}
    assert_eq!(cache.explain(&there[100]), Fate::Unknown);
    cache.insert_with_ttl(7_000, (), Duration::ZERO);
    assert_eq!(cache.explain(&7_000), Fate::Unknown, "refused");
    cache.insert(7_001, ());
    cache.clear();
    assert_eq!(cache.explain(&7_001), Fate::Unknown, "cleared");
    assert!(gone.iter().all(|key| cache.explain(key) == Fate::Unknown));
}

#[test]
fn keys_that_left_are_told_as_far_as_they_are_remembered() {
    what_left_is_told::<Duel>(true);
    what_left_is_told::<S3Fifo>(true);
    what_left_is_told::<Lru>(false);
    what_left_is_told::<Fifo>(false);
    what_left_is_told::<Sieve>(false);
    what_left_is_told::<Lfu>(false);
    what_left_is_told::<Gdsf>(false);
}

fn stays_resident_beside_threads<P: Threaded>() {
    ends(|| {
        let cache = Cache::builder(Entries(2_000)).policy::<P>().shards(2);
        let cache: Cache<u64, u64, P> = cache.build().unwrap();
        cache.extend((0..50).map(|key| (key, key)));
        let rounds = AtomicUsize::new(0);
        scope(|scope| {
            scope.spawn(|| {
                for round in 0..40 {
                    // Never full, and the tables grow and shrink.
                    (100..1_000).for_each(|key| _ = cache.insert(key, round));
                    (100..1_000).for_each(|key| _ = cache.remove(&key));
                    cache.shrink_to_fit();
                    rounds.fetch_add(1, SeqCst);
                }
            });
            scope.spawn(|| {
                while rounds.load(SeqCst) < 40 {
                    (0..200).for_each(|key| _ = cache.get(&key));
                }
            });
            while rounds.load(SeqCst) < 40 {
                for key in 0..50 {
                    let fate = cache.explain(&key);
                    let place = resident(&fate).place.unwrap();
                    assert!(place.ahead < place.of, "{fate}");
                    assert!(!fate.to_string().is_empty());
                }
                done((cache.coldest(100), cache.hottest(100)));
            }
        });
        cache.check();
    });
}

#[test]
fn what_nobody_removes_is_resident_whatever_threads_do() {
    stays_resident_beside_threads::<Duel>();
    stays_resident_beside_threads::<Lru>();
    stays_resident_beside_threads::<Gdsf>();
}

/// All keys share a tag.
#[derive(Default)]
struct AllAlike;

impl Hasher for AllAlike {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

/// The last that came goes first; it finds entries by their tag and a number.
#[derive(Clone, Default)]
struct Lifo(Vec<(Tag, u64)>, u64);

impl Policy for Lifo {
    type Meta = u64;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<u64>) {
        self.1 += 1;
        *residents.meta_mut(slot).unwrap() = self.1;
        self.0.push((tag, self.1));
    }
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<u64>) {
        let number = residents.meta(slot).copied();
        self.0.retain(|&(_, other)| Some(other) != number);
    }
    fn victim(&mut self, residents: &mut impl Residents<u64>) -> Option<Slot> {
        let (tag, number) = self.0.pop()?;
        residents.find(tag, |&other| other == number)
    }
    fn moved(&mut self, _: &mut impl Residents<u64>) {}
    fn order(&self, residents: &impl Residents<u64>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }
}

#[test]
fn a_policy_of_ones_own_is_rehearsed_also_where_tags_do_not_tell_entries_apart() {
    let cache: Cache<u64, (), Lifo, _> = Cache::builder(Entries(50))
        .policy::<Lifo>()
        .hasher(BuildHasherDefault::<AllAlike>::default())
        .shards(1)
        .build()
        .unwrap();
    cache.extend((0..50).map(|key| (key, ())));
    assert!(cache.coldest(50).into_iter().eq((0..50).rev()));
    let fate = cache.explain(&7);
    assert_eq!(
        (resident(&fate).place, resident(&fate).inserts),
        (None, None)
    );
    assert!(fate.to_string().ends_with("its policy does not tell"));
    let left = std::iter::from_fn(|| Some(cache.evict()?.0));
    assert!(left.eq((0..50).rev()));
}

/// Evicts whomever the dice hit, and can say whom they will.
#[derive(Clone)]
struct AtRandom(u64);

impl Policy for AtRandom {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(seed | 1)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
    fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        residents.nth(self.0 >> 20)
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {}
    fn order(&self, residents: &impl Residents<()>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }
}

#[test]
fn the_dice_are_rehearsed() {
    let cache = counted::<AtRandom>(300);
    cache.extend((0..500).map(|key| (key, ())));
    let order = cache.coldest(usize::MAX);
    assert_eq!(order, evicted_in_order(&cache));
    assert_eq!(order.len(), 300);
}

/// Names entries for ever, some of which are not there.
struct Endless;

impl Policy for Endless {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
    fn victim(&mut self, _: &mut impl Residents<()>) -> Option<Slot> {
        None
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {}
    fn order(&self, residents: &impl Residents<()>) -> Option<impl Iterator<Item = Slot>> {
        let any = residents.nth(0);
        Some(std::iter::repeat_with(move || any).flatten())
    }
}

/// Does not say in which order entries leave.
struct Silent;

impl Policy for Silent {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
    fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
        residents.nth(0)
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {}
}

#[test]
fn an_order_that_is_wrong_ends_and_one_that_is_not_told_is_empty() {
    let wrong = counted::<Endless>(100);
    wrong.extend((0..100).map(|key| (key, ())));
    assert_eq!(wrong.coldest(usize::MAX).len(), 100);
    assert_eq!(wrong.coldest(7).len(), 7);
    let silent = counted::<Silent>(100);
    silent.extend((0..100).map(|key| (key, ())));
    assert!(silent.coldest(10).is_empty() && silent.hottest(10).is_empty());
    assert_eq!(resident(&silent.explain(&1)).place, None);
}
