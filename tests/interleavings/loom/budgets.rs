//! Two caches of one budget: each gathers from the other, leaves, or has the budget changed.

use super::{Fixed, Weighted, explore, go, settled, watched};
use brimful::policy::Fifo;
use brimful::{Budget, Cache, Cause, Reason, Share, Weight};
use loom::thread;
use std::sync::Arc;

/// How many preemptions these models explore: a gatherer takes more steps here than in one cache.
const TWO: Option<usize> = Some(if cfg!(brimful_full) { 4 } else { 3 });

fn member(share: Share) -> Arc<Weighted> {
    let weigh = |_: &u32, v: &u32| u64::from(*v);
    watched(|listener| {
        Cache::builder(Weight(u64::MAX, weigh))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(1)
            .listener(listener)
            .build_in(share)
    })
}

/// A budget, and two members without floors.
fn two(capacity: u64) -> (Budget, [Arc<Weighted>; 2]) {
    let budget = Budget::weight(capacity);
    let members = [(); 2].map(|()| member(budget.share()));
    (budget, members)
}

/// What any thread may see at any moment.
fn within(budget: &Budget, capacity: u64) {
    let used = budget.used();
    assert!(used <= capacity, "{used} of {capacity}");
}

fn all_settled(budget: &Budget, members: &[Arc<Weighted>]) {
    members.iter().for_each(|cache| settled(cache));
    budget.check();
}

#[test]
fn two_whole_entries_of_two_caches() {
    let ends = explore("two caches, an entry of all each", TWO, || {
        let (budget, members) = two(2);
        let (watched, [first, second]) = (budget.clone(), members.each_ref());
        let writer = go(first, move |first| {
            assert!(first.try_insert(1, 2).is_ok());
            within(&watched, 2);
        });
        assert!(second.try_insert(2, 2).is_ok());
        within(&budget, 2);
        writer.join().unwrap();
        all_settled(&budget, &members);
        assert_eq!(budget.used(), 2, "to the brim");
        members.each_ref().map(|cache| cache.len())
    });
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [[0, 1], [1, 0]]);
}

#[test]
fn both_gather_from_each_other() {
    explore("two caches, two entries each of three", TWO, || {
        let (budget, members) = two(3);
        let (watched, [first, second]) = (budget.clone(), members.each_ref());
        first.insert(1, 2);
        second.insert(1, 1);
        let writer = go(first, move |first| {
            assert!(first.try_insert(2, 2).is_ok());
            within(&watched, 3);
        });
        assert!(second.try_insert(2, 2).is_ok());
        within(&budget, 3);
        writer.join().unwrap();
        all_settled(&budget, &members);
    });
}

#[test]
fn an_insert_and_the_drop_of_a_member() {
    let told = explore("insert here, drop there", TWO, || {
        let (budget, [first, second]) = two(2);
        first.insert(1, 1);
        first.insert(2, 1);
        let told = first.told.clone();
        let dropper = thread::spawn(move || drop(first));
        assert!(
            second.try_insert(3, 2).is_ok(),
            "its room is there, or is made"
        );
        within(&budget, 2);
        dropper.join().unwrap();
        assert_eq!(
            told.load(std::sync::atomic::Ordering::Relaxed),
            2,
            "told once"
        );
        all_settled(&budget, std::slice::from_ref(&second));
        assert_eq!((budget.used(), budget.members().len()), (2, 1));
    });
    assert_eq!(told.len(), 1);
}

#[test]
fn an_insert_and_a_lowered_capacity() {
    let ends = explore("insert, budget lowered", TWO, || {
        let (budget, members) = two(3);
        let [first, second] = members.each_ref();
        first.insert(1, 1);
        second.insert(2, 1);
        let watched = budget.clone();
        let lowers = thread::spawn(move || {
            watched.set_capacity(1).unwrap();
            within(&watched, 1);
        });
        let stored = second.try_insert(3, 1).is_ok();
        lowers.join().unwrap();
        assert!(stored, "it fits either way");
        within(&budget, 1);
        all_settled(&budget, &members);
        members.each_ref().map(|cache| cache.len())
    });
    assert!(ends.contains(&[0, 1]), "{ends:?}");
}

#[test]
fn an_insert_and_a_reservation() {
    let ends = explore("insert, reserve", TWO, || {
        let (budget, members) = two(2);
        let [first, second] = members.each_ref();
        first.insert(1, 1);
        let reserves = budget.clone();
        let reserver = thread::spawn(move || {
            let room = reserves.reserve(1).unwrap();
            within(&reserves, 2);
            room
        });
        let stored = second.try_insert(2, 2).map_err(|refused| refused.reason);
        within(&budget, 2);
        let room = reserver.join().unwrap();
        all_settled(&budget, &members);
        assert_eq!(room.amount(), 1);
        drop(room);
        assert!(second.stats().departures(Cause::CacheDropped) == 0);
        match stored {
            Ok(_) => assert_eq!(second.len(), 0, "evicted for the reservation"),
            Err(reason) => assert!(matches!(reason, Reason::Withheld { weight: 2, .. })),
        }
        (stored.is_ok(), first.len())
    });
    assert!(ends.len() > 1, "{ends:?}");
}
