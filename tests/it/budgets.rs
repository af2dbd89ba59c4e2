//! One budget for several caches: the bound over all of them, who gives room to whom, floors,
//! reservations, and what the calls of one member do to another.
//!
//! - `BRIMFUL_READS`: observer's reads in all (default 100,000).
//! - `BRIMFUL_BUDGET_OPS`: operations against the rules (default 20,000).

use crate::world::panics::{ON_PURPOSE, REFUSAL, panic_of, quietly};
use crate::world::{Random, count, done, ends, few_threads, until};
use brimful::policy::{Fifo, Lru, Policy, Residents, Slot, Tag, Touch};
use brimful::{
    Budget, BudgetError, BuildError, Bytes, Cache, Cause, Computed, Departed, ManualClock, Next,
    Reason, Reserved, Share, Timed, Units, Updated, Weighed, Weight,
};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

/// A cache whose values are their own weights.
type Counts<P = Fifo> = Cache<u32, u64, Weighed<P>>;

fn weigh(_: &u32, value: &u64) -> u64 {
    *value
}

fn member(share: Share) -> Counts {
    with_capacity(u64::MAX, share)
}

fn with_capacity(capacity: u64, share: Share) -> Counts {
    let builder = Cache::builder(Weight(capacity, weigh)).policy::<Fifo>();
    builder.shards(1).build_in(share).expect("there is room")
}

/// A member whose departures are heard.
fn heard(share: Share, hear: impl Fn(Departed<'_, u32, u64>) + Send + Sync + 'static) -> Counts {
    let builder = Cache::builder(Weight(u64::MAX, weigh)).policy::<Fifo>();
    let built = builder.shards(1).on_departure(hear).build_in(share);
    built.expect("there is room")
}

/// Fills a member with entries of this weight, from key 0 on.
fn fill(cache: &Counts, entries: u32, weight: u64) {
    cache.extend((0..entries).map(|key| (key, weight)));
}

fn evicted_for_others(budget: &Budget) -> Vec<u64> {
    let members = budget.members().into_iter();
    members.map(|member| member.evicted_for_others).collect()
}

fn check(budget: &Budget, caches: &[&Counts]) {
    caches.iter().for_each(|cache| cache.check());
    budget.check();
    for cache in caches {
        let stats = cache.stats();
        let left: u64 = Cause::ALL
            .iter()
            .map(|&cause| stats.departures(cause))
            .sum();
        assert_eq!(stats.inserts() - left, cache.len() as u64);
    }
}

// ---- who gives ---------------------------------------------------------------

#[test]
fn caches_of_different_types_fill_one_budget_to_the_brim() {
    let budget = Budget::bytes(100_000);
    let pages: Cache<String, Vec<u8>, Weighed> = Cache::builder(Bytes(u64::MAX))
        .build_in(budget.share())
        .unwrap();
    let rows: Cache<u64, String, Weighed<Timed<Lru>>> = Cache::builder(Bytes(60_000))
        .policy::<Lru>()
        .time_to_live(Duration::from_secs(600))
        .named("rows")
        .build_in(budget.share())
        .unwrap();
    assert_eq!(
        (pages.capacity(), rows.capacity()),
        (Units(100_000), Units(60_000))
    );
    for n in 0..3_000_u64 {
        pages.insert(format!("/{n}"), vec![0; n as usize % 700]);
        assert!(budget.used() <= 100_000);
        rows.insert(n, "x".repeat(n as usize % 300));
        assert!(budget.used() <= 100_000 && rows.weight() <= 60_000);
        assert_eq!(pages.weight() + rows.weight(), budget.used());
    }
    assert!(budget.used() > 98_000);
    pages.check();
    rows.check();
    budget.check();
}

#[test]
fn a_member_may_hold_all_and_gives_what_is_beyond_its_fair_share() {
    let budget = Budget::weight(100);
    let first = member(budget.share());
    fill(&first, 200, 1);
    assert_eq!(first.weight(), 100, "nobody else needs it");
    let second = member(budget.share());
    assert_eq!(first.weight(), 100, "nobody else needs it yet");
    fill(&second, 30, 1);
    assert_eq!((first.weight(), second.weight()), (70, 30));
    assert!(
        !first.contains_key(&129) && first.contains_key(&130),
        "oldest first"
    );
    fill(&second, 500, 1);
    assert_eq!(
        (first.weight(), second.weight()),
        (50, 50),
        "then it pays itself"
    );
    fill(&first, 500, 1);
    assert_eq!((first.weight(), second.weight()), (50, 50));
    assert_eq!(evicted_for_others(&budget), [50, 0]);
    check(&budget, &[&first, &second]);
}

#[test]
fn who_is_furthest_beyond_its_fair_share_gives_first() {
    let budget = Budget::weight(120);
    let [first, second, third] = [(); 3].map(|()| member(budget.share()));
    fill(&first, 70, 1);
    fill(&second, 50, 1);
    fill(&third, 20, 1);
    assert_eq!([&first, &second, &third].map(Counts::weight), [50, 50, 20]);
    fill(&third, 40, 1);
    assert_eq!(third.weight(), 40);
    assert!(first.weight() >= 40 && second.weight() >= 40);
    check(&budget, &[&first, &second, &third]);
}

#[test]
fn a_capacity_of_its_own_bounds_a_member_and_its_share() {
    let budget = Budget::weight(100);
    let small = with_capacity(10, budget.share());
    let large = member(budget.share());
    fill(&large, 100, 1);
    fill(&small, 100, 1);
    assert_eq!((small.weight(), large.weight()), (10, 90));
    fill(&large, 300, 1);
    assert_eq!(
        (small.weight(), large.weight()),
        (10, 90),
        "what one cannot have goes to others"
    );
    let shares: Vec<u64> = budget
        .members()
        .iter()
        .map(|member| member.fair_share)
        .collect();
    assert_eq!(shares, [10, 90]);
    small.set_capacity(Units(30));
    fill(&small, 100, 1);
    assert_eq!((small.weight(), large.weight()), (30, 70));
    small.set_capacity(Units(5));
    assert_eq!((small.weight(), small.capacity()), (5, Units(5)));
    small.set_capacity(Units(1_000));
    assert_eq!(small.capacity(), Units(100));
    let refused = small.try_insert(1, 101).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::TooHeavy {
            weight: 101,
            capacity: 100
        }
    );
    check(&budget, &[&small, &large]);
}

#[test]
fn what_has_expired_anywhere_goes_before_what_lives() {
    let (budget, clock) = (Budget::weight(100), ManualClock::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = told.clone();
    let sessions: Cache<u32, u64, Weighed<Timed<Fifo>>> = Cache::builder(Weight(u64::MAX, weigh))
        .policy::<Fifo>()
        .shards(4)
        .time_to_live(Duration::from_secs(60))
        .clock(clock.clone())
        .on_departure(move |left: Departed<'_, u32, u64>| hear.lock().unwrap().push(left.cause))
        .build_in(budget.share().at_least(60))
        .unwrap();
    let first = member(budget.share());
    let second = member(budget.share());
    sessions.extend((0..40).map(|key| (key, 1)));
    fill(&first, 60, 1);
    clock.advance(Duration::from_secs(61));
    fill(&second, 40, 1);
    assert_eq!(
        (sessions.weight(), first.weight(), second.weight()),
        (0, 60, 40)
    );
    assert_eq!(
        *told.lock().unwrap(),
        [Cause::Expired; 40],
        "floors do not protect it"
    );
    assert_eq!(evicted_for_others(&budget), [0, 0, 0]);
    budget.check();
}

#[test]
fn an_entry_of_the_whole_budget_gets_in() {
    for shards in [1, 4] {
        for weight in [100, u64::MAX] {
            let budget = Budget::weight(weight);
            let build = || {
                let builder = Cache::builder(Weight(u64::MAX, weigh)).policy::<Fifo>();
                builder.shards(shards).build_in(budget.share()).unwrap()
            };
            let [first, second] = [build(), build()];
            fill(&first, 10, weight / 20);
            fill(&second, 10, weight / 20);
            assert_eq!(
                second
                    .try_insert(7, weight)
                    .map_err(|refused| refused.reason),
                Ok(Some(weight / 20))
            );
            assert_eq!((first.len(), second.len(), budget.used()), (0, 1, weight));
            assert!(first.try_insert(7, weight).is_ok());
            assert_eq!((first.len(), second.len(), budget.used()), (1, 0, weight));
            check(&budget, &[&first, &second]);
        }
    }
}

// ---- floors ------------------------------------------------------------------

#[test]
fn a_member_is_not_evicted_below_its_floor_for_others() {
    let budget = Budget::weight(100);
    let kept = member(budget.share().at_least(60));
    let other = member(budget.share());
    fill(&kept, 100, 1);
    other.insert(1, 5);
    assert_eq!((kept.weight(), other.weight()), (95, 5));
    let refused = other.try_insert(1, 41).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::Withheld {
            weight: 41,
            most: 40
        }
    );
    assert_eq!(
        (refused.value, refused.old),
        (41, Some(5)),
        "as in any refusal"
    );
    assert!(
        refused
            .to_string()
            .contains("finds no more than 40 in its budget")
    );
    assert_eq!(kept.weight(), 95, "nothing else left");
    assert!(other.try_insert(1, 40).is_ok());
    assert_eq!((kept.weight(), other.weight()), (60, 40));
    other.insert(2, 15);
    // It pays itself for what takes it beyond its own share, which is 20.
    assert_eq!((kept.weight(), other.weight()), (60, 15));
    check(&budget, &[&kept, &other]);
}

#[test]
fn an_entry_that_would_take_its_cache_below_the_floor_stays_whole() {
    let budget = Budget::weight(100);
    let kept = member(budget.share().at_least(50));
    let other = member(budget.share());
    kept.insert(1, 30);
    kept.insert(2, 40);
    let refused = other.try_insert(1, 40).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::Withheld {
            weight: 40,
            most: 50
        }
    );
    assert_eq!((kept.weight(), other.weight()), (70, 0));
    assert!(other.try_insert(1, 30).is_ok());
    check(&budget, &[&kept, &other]);
}

#[test]
fn a_floor_can_be_had_at_any_time_and_takes_nothing_until_then() {
    let budget = Budget::weight(100);
    let late = member(budget.share().at_least(70));
    let other = member(budget.share());
    fill(&other, 100, 1);
    assert_eq!(other.weight(), 100);
    fill(&late, 70, 1);
    assert_eq!((late.weight(), other.weight()), (70, 30));
    fill(&late, 200, 1);
    assert_eq!(
        (late.weight(), other.weight()),
        (85, 15),
        "the floor, and half of the rest"
    );
    check(&budget, &[&late, &other]);
}

#[test]
fn what_cannot_be_kept_is_not_promised() {
    let budget = Budget::weight(100);
    let build = |share: Share| Cache::builder(Weight(80, weigh)).build_in(share).map(drop);
    let above = BuildError::FloorAboveCapacity {
        floor: 81,
        capacity: 80,
    };
    assert_eq!(build(budget.share().at_least(81)), Err(above));
    let kept = member(budget.share().at_least(50));
    let room = budget.reserve(20).unwrap();
    let exceeds = BuildError::FloorsExceedBudget {
        floor: 31,
        left: 30,
    };
    assert_eq!(build(budget.share().at_least(31)), Err(exceeds));
    let unit = BuildError::BudgetUnit { in_bytes: false };
    assert_eq!(build(Budget::bytes(100).share()), Err(unit));
    let bytes = Cache::<u32, u32>::builder(Bytes(10)).build_in(budget.share());
    assert_eq!(
        bytes.map(drop),
        Err(BuildError::BudgetUnit { in_bytes: true })
    );
    assert_eq!(budget.members().len(), 1, "nobody of these joined");
    let capacity = BudgetError::Capacity {
        asked: 69,
        least: 70,
    };
    assert_eq!(
        (budget.set_capacity(69), budget.capacity()),
        (Err(capacity), 100)
    );
    assert_eq!(budget.set_capacity(70), Ok(()));
    drop((kept, room));
    assert_eq!(budget.set_capacity(0), Ok(()));
}

// ---- reservations --------------------------------------------------------------

#[test]
fn room_is_reserved_from_the_caches_and_given_back() {
    let budget = Budget::weight(100);
    let kept = member(budget.share().at_least(20));
    let other = member(budget.share());
    fill(&kept, 30, 1);
    fill(&other, 100, 1);
    let mut room = budget.reserve(50).unwrap();
    assert_eq!(
        (room.amount(), budget.reserved(), budget.used()),
        (50, 50, 100)
    );
    assert_eq!(
        (kept.weight(), other.weight()),
        (35 - 5, 20),
        "fair shares of the rest"
    );
    let left = BudgetError::Reserve {
        asked: 31,
        left: 30,
    };
    assert_eq!(budget.reserve(31).unwrap_err(), left);
    assert_eq!(
        (kept.weight(), other.weight(), budget.used()),
        (30, 20, 100),
        "nothing left for it"
    );
    room.grow(30).unwrap();
    assert_eq!((kept.weight(), other.weight()), (20, 0));
    assert!(room.grow(1).is_err());
    assert_eq!(room.amount(), 80);
    room.shrink(70);
    assert_eq!((budget.used(), budget.reserved()), (30, 10));
    room.shrink(u64::MAX);
    assert_eq!(
        (budget.used(), budget.reserved(), room.amount()),
        (20, 0, 0)
    );
    assert_eq!(budget.reserve(0).unwrap().amount(), 0);
    assert!(budget.reserve(u64::MAX).is_err());
    room.grow(7).unwrap();
    thread::spawn(move || drop(room)).join().unwrap();
    assert_eq!(budget.reserved(), 0);
    std::mem::forget(budget.reserve(11).unwrap());
    assert_eq!(
        (budget.reserved(), budget.used()),
        (11, 31),
        "what was leaked shows"
    );
    check(&budget, &[&kept, &other]);
}

#[test]
fn what_is_reserved_counts_against_entries() {
    let budget = Budget::weight(100);
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    let room = budget.reserve(60).unwrap();
    fill(&first, 100, 1);
    fill(&second, 15, 1);
    assert_eq!((first.weight(), second.weight()), (25, 15));
    fill(&second, 100, 1);
    assert_eq!((first.weight(), second.weight()), (20, 20));
    let refused = first.try_insert(1, 41).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::Withheld {
            weight: 41,
            most: 40
        }
    );
    drop(room);
    assert!(first.try_insert(1, 41).is_ok());
    check(&budget, &[&first, &second]);
}

#[test]
fn the_largest_and_the_smallest_budgets_work() {
    let budget = Budget::weight(u64::MAX);
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    first.insert(1, u64::MAX);
    assert!(second.insert(1, 1).is_none());
    assert_eq!((first.len(), second.len()), (0, 1));
    let room = budget.reserve(u64::MAX - 1).unwrap();
    assert_eq!((budget.used(), second.len()), (u64::MAX, 1));
    assert!(budget.reserve(2).is_err());
    drop(room);
    check(&budget, &[&first, &second]);

    let budget = Budget::weight(0);
    let none = member(budget.share());
    let refused = none.try_insert(1, 1).unwrap_err();
    assert_eq!(
        refused.reason,
        Reason::TooHeavy {
            weight: 1,
            capacity: 0
        }
    );
    assert_eq!(none.get_or_insert_with(&1, || 7), 7);
    budget.set_capacity(7).unwrap();
    assert_eq!((none.insert(1, 7), none.len()), (None, 1));
    check(&budget, &[&none]);
}

#[test]
fn what_weighs_nothing_is_counted_by_its_own_cache() {
    let budget = Budget::weight(10);
    let builder = Cache::builder(Weight(10, weigh)).policy::<Fifo>().shards(2);
    let limited: Counts = builder.entry_limit(3).build_in(budget.share()).unwrap();
    let other = member(budget.share());
    fill(&other, 10, 1);
    fill(&limited, 50, 0);
    assert_eq!(
        (limited.len(), limited.weight(), other.weight()),
        (3, 0, 10)
    );
    limited.insert(99, 4);
    assert_eq!((limited.len(), limited.weight(), other.weight()), (3, 4, 6));
    check(&budget, &[&limited, &other]);
    other.insert(99, 10);
    assert_eq!((limited.weight(), other.len()), (0, 1));
    limited.insert(1, 0);
    budget.set_capacity(0).unwrap();
    assert_eq!(
        (limited.len(), other.len()),
        (0, 0),
        "nothing is kept in nothing"
    );
    check(&budget, &[&limited, &other]);
}

// ---- a capacity that changes, members that come and go --------------------------------

#[test]
fn a_lowered_capacity_holds_when_the_call_returns() {
    let budget = Budget::weight(1_000);
    let kept = member(budget.share().at_least(100));
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    fill(&kept, 200, 1);
    fill(&first, 700, 1);
    fill(&second, 100, 1);
    budget.set_capacity(300).unwrap();
    assert_eq!(budget.used(), 300);
    assert_eq!([&kept, &first, &second].map(Counts::weight), [166, 67, 67]);
    assert_eq!(first.capacity(), Units(300));
    check(&budget, &[&kept, &first, &second]);
    budget.set_capacity(1_000).unwrap();
    fill(&second, 800, 1);
    assert_eq!(second.weight(), 1_000 - 166 - 67);
    // What would take it below its floor goes all the same, if the bound wants it.
    kept.insert(500, 600);
    assert_eq!(kept.len(), 1);
    budget.set_capacity(300).unwrap();
    assert!(budget.used() <= 300);
    assert_eq!(kept.len(), 0);
    check(&budget, &[&kept, &first, &second]);
}

#[test]
fn a_member_that_is_dropped_gives_its_room_back_and_tells() {
    let budget = Budget::weight(100);
    let told = Arc::new(AtomicU64::new(0));
    let hear = told.clone();
    let gone = heard(budget.share().at_least(90), move |left| {
        assert_eq!(left.cause, Cause::CacheDropped);
        hear.fetch_add(1, SeqCst);
    });
    let stays = member(budget.share());
    fill(&gone, 60, 1);
    fill(&stays, 30, 1);
    drop(gone);
    assert_eq!(
        (told.load(SeqCst), budget.used(), budget.members().len()),
        (60, 30, 1)
    );
    fill(&stays, 200, 1);
    assert_eq!(stays.weight(), 100);
    let newcomer = member(budget.share().at_least(100));
    fill(&newcomer, 100, 1);
    assert_eq!((newcomer.weight(), stays.weight()), (100, 0));
    let left: Vec<(u32, u64)> = newcomer.into_iter().take(3).collect();
    assert_eq!((left.len(), budget.used()), (3, 0));
    check(&budget, &[&stays]);
    drop(budget);
    fill(&stays, 300, 1);
    assert_eq!(stays.weight(), 100, "the budget lives as long as a member");
}

#[test]
fn a_table_shows_who_holds_what() {
    let budget = Budget::weight(1_000);
    let named = |name: &str, share: Share| -> Counts {
        let builder = Cache::builder(Weight(u64::MAX, weigh)).policy::<Fifo>();
        builder.shards(1).named(name).build_in(share).unwrap()
    };
    let pages = named("pages", budget.share());
    let rows = named("rows", budget.share().at_least(200));
    fill(&pages, 1_000, 1);
    fill(&rows, 150, 1);
    let room = budget.reserve(100).unwrap();
    let table = budget.to_string();
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0].join(" "), "1000 of 1000 units used, 100 reserved");
    assert_eq!(
        lines[1].join(" "),
        "member weight floor fair share evicted for others"
    );
    assert_eq!(lines[2].join(" "), "pages 750 0 350 250");
    assert_eq!(lines[3].join(" "), "rows 150 200 550 0");
    assert!(format!("{budget:?}").contains("used: 1000"));
    drop((pages, rows, room));
}

// ---- what one member's call does to another ----------------------------------------

#[test]
fn a_listener_that_runs_for_another_cache_may_call_all_of_them() {
    let _few = few_threads();
    ends(|| {
        let budget = Budget::weight(100);
        let others: Arc<OnceLock<(Weak<Counts>, Weak<Counts>)>> = Arc::default();
        let (known, own) = (others.clone(), budget.clone());
        let told = Arc::new(AtomicU64::new(0));
        let (hear, caller) = (told.clone(), thread::current().id());
        let first = Arc::new(heard(budget.share(), move |left| {
            if left.cause == Cause::CacheDropped {
                return;
            }
            assert_eq!(
                (left.cause, thread::current().id()),
                (Cause::Evicted, caller)
            );
            hear.fetch_add(1, SeqCst);
            let (first, second) = known.get().unwrap();
            let (first, second) = (first.upgrade().unwrap(), second.upgrade().unwrap());
            assert!(first.peek(left.key).is_none());
            drop(own.reserve(0).unwrap());
            assert!(own.used() <= own.capacity());
            second.remove(&2);
            second.insert(3, 1);
        }));
        let second = Arc::new(member(budget.share()));
        let links = (Arc::downgrade(&first), Arc::downgrade(&second));
        others.set(links).unwrap();
        fill(&first, 100, 1);
        second.insert(2, 2);
        // The first is told in that call; what it removed made room for what it put.
        second.insert(1, 10);
        assert!(told.load(SeqCst) >= 10);
        check(&budget, &[&first, &second]);
    });
}

#[test]
fn what_is_evicted_for_others_is_given_away_by_value() {
    let budget = Budget::weight(10);
    let given = Arc::new(Mutex::new(Vec::new()));
    let take = given.clone();
    let builder = Cache::builder(Weight(10, weigh)).policy::<Fifo>().shards(1);
    let first: Counts = builder
        .on_discard(move |key, value, cause| take.lock().unwrap().push((key, value, cause)))
        .build_in(budget.share())
        .unwrap();
    let second = member(budget.share());
    fill(&first, 10, 1);
    fill(&second, 2, 1);
    let evicted = [(0, 1, Cause::Evicted), (1, 1, Cause::Evicted)];
    assert_eq!(*given.lock().unwrap(), evicted);
}

#[test]
fn a_panic_of_another_members_listener_comes_after_all_is_told() {
    let budget = Budget::weight(100);
    let told = Arc::new(AtomicU64::new(0));
    let hear = told.clone();
    let first = heard(budget.share(), move |_| {
        if hear.fetch_add(1, SeqCst) == 0 {
            panic!("{ON_PURPOSE}");
        }
    });
    let second = member(budget.share());
    fill(&first, 100, 1);
    let panic = quietly(|| second.insert(1, 10)).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some(ON_PURPOSE)
    );
    assert_eq!(
        (told.load(SeqCst), second.peek(&1)),
        (10, Some(10)),
        "it is in"
    );
    assert_eq!(first.stats().listener_panics(), 1);
    let panic = quietly(|| drop(budget.reserve(10)));
    assert!(panic.is_ok(), "only the first");
    check(&budget, &[&first, &second]);
}

/// A value whose drop panics once.
struct Falls(AtomicBool);

impl Drop for Falls {
    fn drop(&mut self) {
        if self.0.swap(false, SeqCst) {
            panic!("{ON_PURPOSE}");
        }
    }
}

#[test]
fn a_panic_of_a_drop_comes_after_all_and_no_load_is_lost() {
    let _few = few_threads();
    let budget = Budget::weight(10);
    let first: Cache<u32, Arc<Falls>, Weighed<Fifo>> =
        Cache::builder(Weight(10, |_: &u32, _: &Arc<Falls>| 1))
            .policy::<Fifo>()
            .shards(1)
            .build_in(budget.share())
            .unwrap();
    let second = member(budget.share());
    first.extend((0..10).map(|key| (key, Arc::new(Falls(AtomicBool::new(key == 1))))));
    // A load that lands needs room: it has landed for those who wait before the panic goes on.
    let loaded = quietly(|| second.get_or_insert_with(&1, || 3));
    assert!(loaded.is_err());
    assert_eq!(
        second.get_or_insert_with(&1, || unreachable!("it is there")),
        3
    );
    assert_eq!((first.len(), second.len()), (7, 1));
    first.check();
    check(&budget, &[&second]);
}

#[test]
fn a_load_that_lands_takes_room_from_others() {
    let budget = Budget::weight(10);
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    fill(&first, 10, 1);
    for key in 0..5 {
        assert_eq!(second.get_or_insert_with(&key, || 1), 1);
    }
    assert_eq!((first.len(), second.len()), (5, 5));
    let kept = budget.reserve(10).unwrap();
    assert_eq!(
        second.get_or_insert_with(&7, || 4),
        4,
        "it goes to its caller"
    );
    assert_eq!(
        (second.len(), second.stats().departures(Cause::Refused)),
        (0, 1)
    );
    drop(kept);
    assert_eq!((second.get_or_insert_with(&7, || 4), second.len()), (4, 1));
    check(&budget, &[&first, &second]);
}

/// A policy that panics when it is asked for a victim.
struct Falters(bool);

impl Policy for Falters {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_: u64, _: u64) -> Self {
        Self(true)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
    fn victim(&mut self, _: &mut impl Residents<()>) -> Option<Slot> {
        if std::mem::take(&mut self.0) {
            panic!("{ON_PURPOSE}");
        }
        None
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {}
}

#[test]
fn a_panic_of_another_members_policy_keeps_no_room_from_anybody() {
    let budget = Budget::weight(100);
    let build = || {
        Cache::builder(Weight(100, weigh))
            .policy::<Falters>()
            .shards(1)
    };
    let [first, third] = [(); 2].map(|()| build().build_in(budget.share()).unwrap());
    let second = member(budget.share());
    first.extend((0..100).map(|key| (key, 1)));
    assert!(quietly(|| second.insert(1, 10)).is_err());
    assert_eq!((first.len(), second.peek(&1)), (90, Some(10)));
    third.insert(1, 10);
    first.remove(&50);
    assert_eq!(third.len(), 1);
    let lowered = quietly(|| budget.set_capacity(5));
    assert!(lowered.is_err(), "the panic goes on");
    assert!(budget.used() <= 5, "and the bound holds");
    first.check();
    third.check();
    check(&budget, &[&second]);
}

#[test]
fn a_value_that_grows_in_place_takes_from_its_own_cache_alone() {
    let budget = Budget::weight(100);
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    fill(&first, 60, 1);
    second.insert(1, 10);
    second.insert(2, 10);
    assert_eq!(
        second.update(&2, |value| *value = 30),
        Updated::Kept(()),
        "what is free"
    );
    assert_eq!(
        second.update(&2, |value| *value = 40),
        Updated::Kept(()),
        "and its own"
    );
    assert_eq!((second.len(), second.weight(), first.weight()), (1, 40, 60));
    assert_eq!(second.update(&2, |value| *value = 41), Updated::Refused(()));
    assert_eq!((second.len(), first.weight()), (0, 60));
    let put = |key, weight| second.compute(key, |_| Next::Put(weight));
    assert!(matches!(put(3, 40), Computed::Inserted));
    assert!(matches!(put(4, 45), Computed::Refused));
    // One unit was gathered, in vain.
    assert_eq!((second.peek(&3), first.weight()), (Some(40), 59));
    assert!(matches!(put(4, 41), Computed::Inserted));
    assert_eq!((second.len(), second.weight()), (1, 41));
    second.remove(&4);
    fill(&first, 100, 1);
    assert!(matches!(put(5, 1), Computed::Inserted), "of others");
    assert_eq!((second.len(), first.weight()), (1, 99));
    second.retain(|_, value| {
        *value = 50;
        true
    });
    assert_eq!((second.len(), first.weight()), (0, 99));
    check(&budget, &[&first, &second]);
}

#[test]
fn calls_that_gather_are_refused_under_a_lock() {
    let budget = Budget::weight(100);
    let [first, second] = [(); 2].map(|()| member(budget.share()));
    first.insert(1, 1);
    let calls: [&dyn Fn(); 4] = [
        &|| drop(budget.reserve(1)),
        &|| done(budget.set_capacity(10)),
        &|| drop(member(budget.share())),
        &|| second.set_capacity(Units(10)),
    ];
    for call in calls {
        let viewed = panic_of(|| done(first.view(&1, |_, _| call())));
        assert!(viewed.starts_with(REFUSAL), "{viewed}");
        let updated = panic_of(|| done(first.update(&1, |_| call())));
        assert!(updated.starts_with(REFUSAL), "{updated}");
    }
    assert_eq!(
        (budget.capacity(), budget.used(), budget.members().len()),
        (100, 1, 2)
    );
    // What only gives back may be dropped there.
    let mut room = Some(budget.reserve(7).unwrap());
    done(first.update(&1, |_| drop(room.take())));
    let mut guest = Some(member(budget.share()));
    guest.as_ref().unwrap().insert(1, 5);
    done(first.update(&1, |_| drop(guest.take())));
    assert_eq!((budget.used(), budget.members().len()), (1, 2));
    check(&budget, &[&first, &second]);
}

/// A value whose clone, in a read of its own cache, inserts into another.
struct Puts(Arc<OnceLock<Counts>>, u64);

impl Clone for Puts {
    fn clone(&self) -> Self {
        if let Some(other) = self.0.get() {
            let refused = other
                .try_insert(1, self.1)
                .map_err(|refused| refused.reason);
            assert_eq!(refused.err(), (self.1 > 1).then_some(Reason::NoRoom));
        }
        Self(self.0.clone(), self.1)
    }
}

#[test]
fn code_in_a_read_of_one_member_does_not_wait_for_room_of_others() {
    let _few = few_threads();
    ends(|| {
        let budget = Budget::weight(10);
        let other = Arc::new(OnceLock::new());
        let first: Cache<u32, Puts, Weighed<Fifo>> =
            Cache::builder(Weight(10, |_: &u32, _: &Puts| 1))
                .policy::<Fifo>()
                .shards(1)
                .build_in(budget.share())
                .unwrap();
        let second = member(budget.share());
        first.extend((0..9).map(|key| (key, Puts(other.clone(), 1 + u64::from(key == 3) * 4))));
        assert!(other.set(second).is_ok());
        assert!(first.get(&2).is_some(), "one unit is free");
        assert!(first.get(&3).is_some(), "five are not");
        assert_eq!((first.len(), other.get().unwrap().len()), (9, 0));
        first.check();
        budget.check();
    });
}

// ---- under fire -----------------------------------------------------------------------

/// Ends the other threads when one panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

fn fire_at(cache: &Counts, random: &mut Random, heaviest: u64) {
    let (key, weight) = (random.below(60) as u32, 1 + random.below(heaviest));
    match random.below(12) {
        0 => done(cache.remove(&key)),
        1 => done(cache.update(&key, |value| *value = weight)),
        2 => done(cache.compute(key, |_| Next::Put(weight))),
        3 => done(cache.get_or_insert_with(&key, || weight)),
        4 => done(cache.get(&key)),
        5 if key == 0 => cache.clear(),
        6 if key == 0 => cache.retain(|key, _| key % 2 == 0),
        _ => done(cache.insert(key, weight)),
    }
}

fn sharded(share: Share, shards: usize) -> Counts {
    let builder = Cache::builder(Weight(u64::MAX, weigh)).policy::<Fifo>();
    builder
        .shards(shards)
        .build_in(share)
        .expect("there is room")
}

#[test]
fn no_observer_sees_more_than_the_budget() {
    let _few = few_threads();
    ends(|| {
        let reads = count("BRIMFUL_READS", 100_000) / 20;
        for heaviest in [10, 100, 500] {
            let budget = Budget::weight(500);
            let floor = if heaviest == 500 { 0 } else { 50 };
            let shares = [0, floor, 0].map(|floor| budget.share().at_least(floor));
            let mut caches = Vec::from(shares).into_iter();
            let caches = [1, 2, 8].map(|shards| sharded(caches.next().unwrap(), shards));
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                for writer in 0..6 {
                    let (caches, stop, budget) = (&caches, &stop, &budget);
                    scope.spawn(move || {
                        let _ends = Ends(stop);
                        let mut random = Random::new(writer);
                        while !stop.load(SeqCst) {
                            fire_at(&caches[writer as usize % 3], &mut random, heaviest);
                            if random.chance(50) {
                                drop(budget.reserve(random.below(100)));
                            }
                        }
                    });
                }
                let _ends = Ends(&stop);
                let mut seen = 0;
                while seen < reads && !stop.load(SeqCst) {
                    let used = budget.used();
                    assert!(used <= 500, "{used} of 500");
                    for cache in &caches {
                        let weight = cache.weight();
                        assert!(weight <= 500, "{weight} of 500");
                    }
                    seen += 4;
                    if seen % 64 == 0 {
                        thread::yield_now();
                    }
                }
                stop.store(true, SeqCst);
            });
            check(&budget, &caches.each_ref());
        }
    });
}

#[test]
fn members_that_gather_from_each_other_at_once_all_end() {
    ends(|| {
        let rounds = count("BRIMFUL_READS", 100_000) / 100;
        for shards in [1, 4] {
            let budget = Budget::weight(1_000);
            let caches = [(); 2].map(|()| sharded(budget.share(), shards));
            thread::scope(|scope| {
                for (writer, cache) in caches.iter().enumerate().cycle().take(4) {
                    let budget = &budget;
                    scope.spawn(move || {
                        let mut random = Random::new(writer as u64);
                        for _ in 0..rounds {
                            let weight = 300 + random.below(701);
                            let key = random.below(50) as u32;
                            assert!(cache.try_insert(key, weight).is_ok());
                            assert!(budget.used() <= 1_000);
                        }
                    });
                }
            });
            check(&budget, &caches.each_ref());
        }
    });
}

#[test]
fn capacities_change_and_members_come_and_go_under_fire() {
    let _few = few_threads();
    ends(|| {
        let rounds = count("BRIMFUL_READS", 100_000) / 400;
        let budget = Budget::weight(400);
        let stays = sharded(budget.share().at_least(20), 4);
        let (told, inserted) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in 0..2 {
                let (stays, stop) = (&stays, &stop);
                scope.spawn(move || {
                    let _ends = Ends(stop);
                    let mut random = Random::new(writer);
                    while !stop.load(SeqCst) {
                        fire_at(stays, &mut random, 60);
                    }
                });
            }
            let (stop, budget, told, inserted) = (&stop, &budget, &told, &inserted);
            scope.spawn(move || {
                let _ends = Ends(stop);
                let mut random = Random::new(7);
                while !stop.load(SeqCst) {
                    let hear = told.clone();
                    let guest = heard(budget.share().at_least(10), move |_| {
                        hear.fetch_add(1, SeqCst);
                    });
                    for key in 0..random.below(200) as u32 {
                        guest.insert(key, 1 + random.below(20));
                        inserted.fetch_add(1, SeqCst);
                    }
                }
            });
            let _ends = Ends(stop);
            let mut random = Random::new(8);
            for _ in 0..rounds {
                let capacity = 100 + random.below(300);
                budget.set_capacity(capacity).unwrap();
                assert_eq!(budget.capacity(), capacity);
                let used = budget.used();
                assert!(used <= capacity, "{used} of {capacity}");
                if stop.load(SeqCst) {
                    break;
                }
            }
            stop.store(true, SeqCst);
        });
        assert_eq!(
            told.load(SeqCst),
            inserted.load(SeqCst),
            "each is told once"
        );
        check(&budget, &[&stays]);
        assert_eq!(budget.members().len(), 1);
    });
}

#[test]
fn a_member_that_is_dropped_while_another_gathers_leaves_all_its_room() {
    ends(|| {
        for round in 0..count("BRIMFUL_READS", 100_000) / 1_000 {
            let budget = Budget::weight(100);
            let stays = sharded(budget.share(), 1 + round as usize % 3);
            let gone = sharded(budget.share(), 3);
            fill(&gone, 100, 1);
            let ready = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    ready.store(true, SeqCst);
                    drop(gone);
                });
                until(|| ready.load(SeqCst));
                // There is room for it, whatever the other is about to do.
                assert!(stays.try_insert(1, 100).is_ok());
            });
            assert_eq!((stays.weight(), budget.used()), (100, 100));
            check(&budget, &[&stays]);
        }
    });
}

// ---- against the rules ------------------------------------------------------------------

type Told = Arc<Mutex<Vec<(usize, u32, Cause)>>>;

/// Members as the rules see them: what each holds, oldest first.
struct Naive {
    floors: [u64; 3],
    held: [VecDeque<(u32, u64)>; 3],
    reserved: u64,
}

impl Naive {
    fn weights(&self) -> [u64; 3] {
        let weight = |held: &VecDeque<(u32, u64)>| held.iter().map(|&(_, weight)| weight).sum();
        self.held.each_ref().map(weight)
    }

    fn floors(&self) -> u64 {
        self.floors.iter().sum()
    }

    fn remove(&mut self, index: usize, key: u32) -> Option<u64> {
        let held = &mut self.held[index];
        let at = held.iter().position(|&(other, _)| other == key)?;
        held.remove(at).map(|(_, weight)| weight)
    }

    /// An entry was evicted. Without floors the oldest leaves, but the value that is replaced, which
    /// becomes the youngest.
    fn evict(&mut self, index: usize, key: u32, replaced: Option<u32>) {
        if self.floors() == 0 {
            let held = &mut self.held[index];
            if held.front().map(|&(key, _)| key) == replaced && replaced != Some(key) {
                held.rotate_left(1);
            }
            assert_eq!(
                held.front().map(|&(key, _)| key),
                Some(key),
                "the oldest leaves"
            );
        }
        assert!(self.remove(index, key).is_some(), "it was there");
    }

    /// The most that a member may come to hold.
    fn most(&self, index: usize) -> u64 {
        let weights = self.weights();
        let others = (0..3).filter(|&other| other != index);
        let kept: u64 = others
            .map(|other| weights[other].min(self.floors[other]))
            .sum();
        100 - self.reserved - kept
    }

    /// What a member is to have, but for what is lost in dividing.
    fn fair(&self, index: usize) -> u64 {
        self.floors[index] + (100 - self.reserved - self.floors()) / 3
    }

    fn free(&self) -> u64 {
        100 - self.reserved - self.weights().iter().sum::<u64>()
    }
}

#[test]
fn whoever_inserts_the_rules_are_kept() {
    for floors in [[0, 0, 0], [30, 0, 0], [20, 40, 10]] {
        against_the_rules(floors);
    }
}

fn against_the_rules(floors: [u64; 3]) {
    let (budget, told) = (Budget::weight(100), Told::default());
    let caches = [0, 1, 2].map(|index| {
        let told = told.clone();
        heard(budget.share().at_least(floors[index]), move |left| {
            told.lock().unwrap().push((index, *left.key, left.cause));
        })
    });
    let (held, reserved) = (Default::default(), 0);
    let mut naive = Naive {
        floors,
        held,
        reserved,
    };
    let (mut random, mut rooms) = (Random::new(floors[0]), Vec::new());
    for _ in 0..count("BRIMFUL_BUDGET_OPS", 20_000) / 3 {
        let (index, key) = (random.below(3) as usize, random.below(40) as u32);
        let weight = random.heavy_tailed(110);
        match random.below(10) {
            0 => assert_eq!(caches[index].remove(&key), naive.remove(index, key)),
            1 => rooms.extend(reserve(&budget, &mut naive, weight, &told)),
            2 | 3 if !rooms.is_empty() => {
                let room = rooms.swap_remove(random.below(rooms.len() as u64) as usize);
                naive.reserved -= room.amount();
            }
            _ => insert(&caches[index], &mut naive, (index, key, weight), &told),
        }
        told.lock().unwrap().clear();
        assert_eq!(caches.each_ref().map(Counts::weight), naive.weights());
        for (cache, held) in caches.iter().zip(&naive.held) {
            let found: HashMap<u32, u64> = cache.iter().collect();
            assert_eq!(found, held.iter().copied().collect());
        }
        assert_eq!(budget.reserved(), naive.reserved);
        check(&budget, &caches.each_ref());
    }
    let evicted = evicted_for_others(&budget);
    assert!(evicted.iter().all(|&entries| entries > 10), "{evicted:?}");
}

fn reserve(budget: &Budget, naive: &mut Naive, asked: u64, told: &Told) -> Option<Reserved> {
    let left = 100 - naive.reserved - naive.floors();
    let (free, before) = (naive.free(), naive.weights());
    let reserved = budget.reserve(asked);
    for (of, key, cause) in told.lock().unwrap().drain(..) {
        assert_eq!(cause, Cause::Evicted);
        assert!(asked > free, "there was no need");
        naive.evict(of, key, None);
    }
    let after = naive.weights();
    assert!(
        (0..3).all(|of| after[of] >= before[of].min(naive.floors[of])),
        "floors"
    );
    match reserved {
        Ok(room) => {
            assert!(asked <= left);
            naive.reserved += asked;
            return Some(room);
        }
        Err(BudgetError::Reserve { left: told, .. }) if asked > left => assert_eq!(told, left),
        Err(error) => assert!(naive.floors() > 0, "{error}: entries stay whole"),
    }
    None
}

fn insert(cache: &Counts, naive: &mut Naive, (index, key, weight): (usize, u32, u64), told: &Told) {
    let (free, most, before) = (naive.free(), naive.most(index), naive.weights());
    let old = naive.held[index]
        .iter()
        .find(|&&(other, _)| other == key)
        .copied();
    let old = old.map(|(_, weight)| weight);
    let stored = cache.try_insert(key, weight);
    for (of, gone, cause) in told.lock().unwrap().drain(..) {
        if cause == Cause::Evicted {
            assert!(weight > free, "there was no need");
            let replaced = (of == index && old.is_some()).then_some(key);
            naive.evict(of, gone, replaced);
        }
    }
    let after = naive.weights();
    for of in (0..3).filter(|&of| of != index && after[of] < before[of]) {
        assert!(after[of] >= naive.floors[of], "a floor");
        // Only what does not fit into its own share takes from what is fair to others.
        let is_modest = before[index] + weight <= naive.fair(index);
        // Unless entries that would take another below its floor stay whole.
        let exact = naive.floors() == 0;
        let was_fair = before[of] <= naive.fair(of);
        assert!(!exact || !is_modest || !was_fair, "it had what is fair");
    }
    let spared = naive.held[index]
        .iter_mut()
        .find(|(other, _)| *other == key);
    match stored {
        Ok(replaced) => {
            assert!(weight <= most);
            assert_eq!(replaced, spared.as_ref().map(|spared| spared.1));
            match spared {
                Some(spared) => spared.1 = weight,
                None => naive.held[index].push_back((key, weight)),
            }
        }
        Err(refused) => {
            assert_eq!(refused.old, spared.map(|spared| spared.1));
            naive.remove(index, key);
            match refused.reason {
                Reason::TooHeavy { .. } => assert!(weight > 100),
                Reason::Withheld { most: told, .. } if weight > most => assert_eq!(told, most),
                reason => assert!(naive.floors() > 0, "{reason}: entries stay whole"),
            }
        }
    }
}
