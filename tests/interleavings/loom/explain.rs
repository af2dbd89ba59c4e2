//! A key explained beside calls that load, write or take it out: what is said was so at one instant.

use super::{THREE, UNBOUNDED, counted, explore, go};
use brimful::Fate;
use brimful::policy::Fifo;
use std::collections::BTreeSet;

/// What is said, in short.
fn said(fate: &Fate) -> &'static str {
    match fate {
        Fate::Resident(entry) if entry.place.is_none_or(|place| place.of > 1) => "two of one",
        Fate::Resident(entry) if entry.loading.is_some() => "loaded beside a value that is fresh",
        Fate::Resident(_) => "resident",
        Fate::Loading(load) if load.waiting == 0 => "loading",
        Fate::Loading(load) if load.waiting == 1 => "waited for",
        Fate::Unknown => "unknown",
        _ => "something else",
    }
}

#[test]
fn a_key_that_two_threads_load_is_told_as_far_as_it_is() {
    let ends = explore("explain beside two that load", THREE, || {
        let cache = counted::<Fifo>(2, 1);
        let loads = [1, 2].map(|n| go(&cache, move |c| c.get_or_insert_with(&7, || n)));
        let told = said(&cache.explain(&7));
        let loaded = loads.map(|load| load.join().unwrap());
        assert_eq!(loaded[0], loaded[1], "one load");
        assert_eq!(said(&cache.explain(&7)), "resident");
        told
    });
    assert_eq!(
        ends,
        BTreeSet::from(["loading", "resident", "unknown", "waited for"])
    );
}

#[test]
fn a_key_that_is_replaced_is_never_told_as_absent_and_the_coldest_are_those_that_are_there() {
    explore("explain beside a write", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 1);
        cache.insert(7, 1);
        let write = go(&cache, |c| c.insert(7, 2));
        assert_eq!(said(&cache.explain(&7)), "resident");
        write.join().unwrap();
    });
    let ends = explore("the coldest beside a removal", UNBOUNDED, || {
        let cache = counted::<Fifo>(2, 2);
        cache.insert(7, 1);
        cache.insert(8, 1);
        let removal = go(&cache, |c| c.remove(&7));
        let line: BTreeSet<u32> = cache.coldest(2).into_iter().collect();
        removal.join().unwrap();
        assert!(line.contains(&8) && line.len() <= 2);
        assert_eq!(cache.coldest(2), [8]);
        line.len()
    });
    assert_eq!(ends, BTreeSet::from([1, 2]));
}
