//! Lives: an entry that ends while other threads read it, write over it, take it
//! out or sweep.
//!
//! One thread moves a hand-driven clock. In every schedule each value that left was
//! told once, with one cause, the one that the statistics count; it was handed to one caller at most, and to
//! none once a call of that shard had heard of its end. Values are never used twice,
//! so that what is told says which.

use super::{Fixed, THREE, UNBOUNDED, explore, go, keys, within};
use brimful::policy::Fifo;
use brimful::{
    Aged, Cache, Cause, Clock, Departed, Entries, Expiring, ManualClock, Timed, Updated,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const LIFE: Duration = Duration::from_millis(40);

/// After this a life is past, and the wheel's bucket due.
pub(super) const PAST: Duration = Duration::from_millis(42);

const LONG: Duration = Duration::from_secs(3_600);

pub(super) type Lived<P> = Cache<u32, u32, P, Fixed>;

pub(super) type Told = Arc<Mutex<Vec<(u32, Cause)>>>;

/// A cache with lives, its clock, and what its listener was told.
pub(super) struct Living<P: Expiring> {
    cache: Option<Lived<P>>,
    pub(super) clock: ManualClock,
    told: Told,
}

impl<P: Expiring> std::ops::Deref for Living<P> {
    type Target = Lived<P>;
    fn deref(&self) -> &Lived<P> {
        self.cache.as_ref().expect("there until dropped")
    }
}

impl<P: Expiring> Drop for Living<P> {
    /// A model that fails leaves its locks held: nothing may touch them then.
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.cache.take());
        }
    }
}

impl<P: Expiring> Living<P> {
    pub(super) fn new(open: impl FnOnce(ManualClock, Told) -> Lived<P>) -> Arc<Self> {
        let (clock, told) = (ManualClock::new(), Told::default());
        Arc::new(Self {
            cache: Some(open(clock.clone(), told.clone())),
            clock,
            told,
        })
    }

    /// With what cause a value was told to have left.
    fn cause_of(&self, value: u32) -> Option<Cause> {
        let told = self.told.lock().unwrap();
        let mut causes = told.iter().filter(|told| told.0 == value);
        let cause = causes.next().map(|told| told.1);
        assert_eq!(causes.next(), None, "told twice: {told:?}");
        cause
    }

    /// When all is quiet: every invariant, each departure told once with the cause
    /// that it is counted under, each value told or resident.
    pub(super) fn settled(&self) {
        self.check();
        let stats = self.stats();
        for cause in Cause::ALL {
            let told = self.told.lock().unwrap();
            let of_cause = told.iter().filter(|told| told.1 == cause).count() as u64;
            assert_eq!(of_cause, stats.departures(cause), "{cause}: {told:?}");
        }
        let told = self.told.lock().unwrap().len() as u64;
        assert_eq!(stats.inserts() - told, self.len() as u64, "resident");
        let values: BTreeSet<u32> = self.values().collect();
        for (value, cause) in self.told.lock().unwrap().iter() {
            assert!(!values.contains(value), "{value} left as {cause}");
        }
        for value in values {
            assert_eq!(self.cause_of(value), None);
        }
    }

    /// All that has an end within the hour leaves, told once.
    fn ends(&self) {
        self.clock.advance(LONG * 2);
        self.sweep(usize::MAX);
        assert_eq!(self.len_live(), self.len(), "nothing stays past its end");
        self.settled();
    }
}

pub(super) fn hear<K: Copy, V: Copy>(
    told: Arc<Mutex<Vec<(V, Cause)>>>,
) -> impl Fn(Departed<'_, K, V>) {
    move |left| told.lock().unwrap().push((*left.value, left.cause))
}

/// Entries that live for `LIFE`.
fn timed(entries: usize, shards: usize) -> Arc<Living<Timed<Fifo>>> {
    Living::new(|clock, told| {
        Cache::builder(Entries(entries))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(shards)
            .time_to_live(LIFE)
            .clock(clock)
            .on_departure(hear(told))
            .build()
            .expect("a plain configuration")
    })
}

/// Entries that end when they are not used for `LIFE`.
fn idle(entries: usize) -> Arc<Living<Aged<Fifo>>> {
    Living::new(|clock, told| {
        Cache::builder(Entries(entries))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(1)
            .time_to_idle(LIFE)
            .clock(clock)
            .on_departure(hear(told))
            .build()
            .expect("a plain configuration")
    })
}

/// Entries that end with the first read.
fn read_once() -> Arc<Living<Timed<Fifo>>> {
    Living::new(|clock, told| {
        Cache::builder(Entries(2))
            .policy::<Fifo>()
            .hasher(Fixed::default())
            .shards(1)
            .ttl_on_read(|_, _| Some(Duration::ZERO))
            .clock(clock)
            .on_departure(hear(told))
            .build()
            .expect("a plain configuration")
    })
}

#[test]
fn a_hit_and_an_end() {
    let ends = explore("get, get; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let reader = go(&cache, |cache| [(); 2].map(|()| cache.get(&7)));
        cache.clock.advance(PAST);
        assert_eq!(cache.get(&7), None, "past its end");
        let swept = cache.sweep(usize::MAX);
        assert_eq!((swept.expired, swept.more), (1, false));
        let read = reader.join().unwrap();
        assert!(read[0].is_some() || read[1].is_none(), "{read:?} came back");
        assert_eq!(cache.cause_of(1), Some(Cause::Expired));
        cache.settled();
        read
    });
    let any = [[Some(1); 2], [Some(1), None], [None; 2]];
    assert_eq!(ends, BTreeSet::from(any));
}

#[test]
fn an_insert_over_what_ends() {
    let ends = explore("insert over; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let writer = go(&cache, |cache| {
            let old = cache.insert(7, 2);
            within(cache, 2);
            old
        });
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        within(&cache, 2);
        let old = writer.join().unwrap();
        let left = cache.cause_of(1);
        match old {
            Some(old) => assert_eq!((old, left), (1, Some(Cause::Replaced))),
            None => assert_eq!(left, Some(Cause::Expired)),
        }
        cache.settled();
        let new = (cache.peek(&7), cache.cause_of(2));
        cache.ends();
        (old, new)
    });
    let stays = (Some(2), None);
    let ended = (None, Some(Cause::Expired));
    let any = [(Some(1), ended), (Some(1), stays), (None, stays)];
    assert!(ends.is_subset(&BTreeSet::from(any)), "{ends:?}");
    assert!(ends.len() >= 2, "{ends:?}");
}

#[test]
fn a_remove_of_what_ends() {
    let ends = explore("remove; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let remover = go(&cache, |cache| cache.remove(&7));
        cache.clock.advance(PAST);
        let swept = cache.sweep(usize::MAX);
        let removed = remover.join().unwrap();
        // The remover may itself find it past its end.
        assert!(swept.expired == 0 || removed.is_none());
        cache.settled();
        (removed, cache.cause_of(1))
    });
    let either = [
        (Some(1), Some(Cause::Removed)),
        (None, Some(Cause::Expired)),
    ];
    assert_eq!(ends, BTreeSet::from(either));
}

#[test]
fn two_removes_of_what_ends() {
    let ends = explore("remove, remove; advance, sweep", THREE, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let removers = [(); 2].map(|()| go(&cache, |cache| cache.remove(&7)));
        cache.clock.advance(PAST);
        cache.sweep(1);
        let removed = removers.map(|remover| remover.join().unwrap());
        let handed = removed.iter().flatten().count();
        let expected = if handed == 0 {
            Cause::Expired
        } else {
            Cause::Removed
        };
        assert!(handed <= 1, "{removed:?}");
        assert_eq!(cache.cause_of(1), Some(expected));
        cache.settled();
        handed
    });
    assert_eq!(ends, BTreeSet::from([0, 1]));
}

#[test]
fn a_reader_a_writer_and_a_sweep() {
    let ends = explore("get; insert over; advance, sweep", THREE, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let reader = go(&cache, |cache| cache.get(&7));
        let writer = go(&cache, |cache| cache.insert(7, 2));
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        let (read, old) = (reader.join().unwrap(), writer.join().unwrap());
        let expected = match old {
            Some(_) => Cause::Replaced,
            None => Cause::Expired,
        };
        assert_eq!(cache.cause_of(1), Some(expected));
        cache.settled();
        cache.ends();
        read
    });
    assert_eq!(ends, BTreeSet::from([None, Some(1), Some(2)]));
}

#[test]
fn a_key_that_comes_again_where_its_old_item_lies() {
    let ends = explore(
        "remove, insert anew; advance, sweep, sweep",
        UNBOUNDED,
        || {
            let cache = timed(2, 1);
            cache.insert(7, 1);
            let writer = go(&cache, |cache| {
                let removed = cache.remove(&7);
                (removed, cache.insert(7, 2))
            });
            cache.clock.advance(PAST);
            cache.sweep(1);
            cache.sweep(usize::MAX);
            let (removed, old) = writer.join().unwrap();
            assert_eq!(old, None, "it was removed, or had ended");
            let expected = match removed {
                Some(_) => Cause::Removed,
                None => Cause::Expired,
            };
            assert_eq!(cache.cause_of(1), Some(expected));
            cache.settled();
            let seen = (removed, cache.get(&7));
            cache.ends();
            assert_eq!(cache.cause_of(2), Some(Cause::Expired));
            seen
        },
    );
    let any = [(Some(1), None), (Some(1), Some(2)), (None, Some(2))];
    assert_eq!(ends, BTreeSet::from(any));
}

#[test]
fn a_reader_a_remover_and_a_sweep() {
    let ends = explore("get; remove; advance, sweep", THREE, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let reader = go(&cache, |cache| [(); 2].map(|()| cache.get(&7)));
        let remover = go(&cache, |cache| cache.remove(&7));
        cache.clock.advance(PAST);
        assert_eq!(cache.peek(&7), None, "past its end, or gone");
        cache.sweep(usize::MAX);
        let (read, removed) = (reader.join().unwrap(), remover.join().unwrap());
        assert!(read[0].is_some() || read[1].is_none(), "{read:?} came back");
        let expected = match removed {
            Some(_) => Cause::Removed,
            None => Cause::Expired,
        };
        assert_eq!(cache.cause_of(1), Some(expected));
        cache.settled();
        (read, removed)
    });
    assert_eq!(
        ends.len(),
        6,
        "each way of reading with each way out: {ends:?}"
    );
}

#[test]
fn two_sweeps() {
    for shards in [1, 2] {
        let name = format!("sweep, sweep, {shards} shards");
        let found = explore(&name, UNBOUNDED, move || {
            let cache = timed(2, shards);
            let ([a, _], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            cache.insert(a, 1);
            cache.insert(b, 2);
            cache.clock.advance(PAST);
            let other = go(&cache, |cache| cache.sweep(usize::MAX).expired);
            let mine = cache.sweep(usize::MAX).expired;
            let theirs = other.join().unwrap();
            assert_eq!(mine + theirs, 2, "each found by one of them");
            assert!(cache.is_empty());
            cache.settled();
            mine
        });
        assert!(found.contains(&0) && found.contains(&2), "{found:?}");
    }
}

#[test]
fn two_sweeps_by_one_unit() {
    let found = explore("sweep(1), sweep(1), 2 shards", UNBOUNDED, || {
        let cache = timed(2, 2);
        let ([a], [b]) = (keys(&cache, 0), keys(&cache, 1));
        // The wheel's bottom level: nothing is to be lowered first.
        cache.insert_with_ttl(a, 1, Duration::from_millis(2));
        cache.insert_with_ttl(b, 2, Duration::from_millis(2));
        cache.clock.advance(PAST);
        let other = go(&cache, |cache| cache.sweep(1));
        let mine = cache.sweep(1);
        let theirs = other.join().unwrap();
        assert_eq!(mine.expired + theirs.expired, 2);
        cache.settled();
        (mine.more, theirs.more)
    });
    assert!(found.len() > 1, "{found:?}");
}

#[test]
fn a_hit_puts_off_an_end() {
    let ends = explore("idle: get; advance, sweep", UNBOUNDED, || {
        let cache = idle(2);
        cache.insert(7, 1);
        cache.clock.advance(LIFE / 2);
        let reader = go(&cache, |cache| cache.get(&7));
        cache.clock.advance(PAST - LIFE / 2);
        let swept = cache.sweep(usize::MAX);
        let read = reader.join().unwrap();
        let left = cache.cause_of(1);
        // A reader that comes last finds it gone.
        assert_eq!(swept.expired == 1, left.is_some());
        assert_eq!(cache.get(&7), read, "put off if and only if it was read");
        cache.settled();
        cache.ends();
        assert_eq!(cache.cause_of(1), Some(Cause::Expired));
        (read, left)
    });
    let either = [(Some(1), None), (None, Some(Cause::Expired))];
    assert_eq!(ends, BTreeSet::from(either));
}

#[test]
fn two_hits_put_off_an_end_and_a_sweep_looks() {
    let ends = explore("idle: get; get; advance, sweep", THREE, || {
        let cache = idle(2);
        cache.insert(7, 1);
        cache.clock.advance(LIFE / 2);
        let readers = [(); 2].map(|()| go(&cache, |cache| cache.get(&7)));
        cache.clock.advance(PAST - LIFE / 2);
        cache.sweep(1);
        cache.sweep(usize::MAX);
        let read = readers.map(|reader| reader.join().unwrap());
        let stays = read.iter().any(Option::is_some);
        assert_eq!(cache.get(&7).is_some(), stays);
        assert_eq!(cache.cause_of(1).is_none(), stays);
        cache.settled();
        cache.ends();
        assert_eq!(cache.cause_of(1), Some(Cause::Expired));
        read
    });
    // A first hit puts the end off for the second too.
    assert_eq!(ends, BTreeSet::from([[None; 2], [Some(1); 2]]));
}

#[test]
fn a_new_life_and_an_end() {
    let ends = explore("set_ttl; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let giver = go(&cache, |cache| cache.set_ttl(&7, LONG));
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        let given = giver.join().unwrap();
        let read = cache.get(&7);
        assert_eq!(given, read.is_some(), "given a life that then counts");
        cache.settled();
        cache.ends();
        (given, read)
    });
    let either = [(true, Some(1)), (false, None)];
    assert_eq!(ends, BTreeSet::from(either));
}

#[test]
fn a_shorter_life_and_an_end() {
    explore("set_ttl(0); advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let ender = go(&cache, |cache| cache.set_ttl(&7, Duration::ZERO));
        cache.clock.advance(PAST);
        let swept = cache.sweep(usize::MAX);
        let ended = ender.join().unwrap();
        assert!(!ended || swept.expired == 0);
        assert_eq!(cache.cause_of(1), Some(Cause::Expired));
        cache.settled();
    });
}

#[test]
fn a_change_and_an_end() {
    let ends = explore("update; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let changer = go(&cache, |cache| cache.update(&7, |value| *value = 2));
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        let changed = changer.join().unwrap();
        let (one, two) = (cache.cause_of(1), cache.cause_of(2));
        match changed {
            Updated::Kept(()) => assert_eq!(one, None),
            _ => assert_eq!((one, two), (Some(Cause::Expired), None)),
        }
        cache.settled();
        cache.ends();
        (one, two)
    });
    assert!(ends.len() >= 2, "{ends:?}");
}

#[test]
fn two_inserts_and_a_sweep() {
    for shards in [1, 2] {
        let name = format!("insert; insert; advance, sweep, {shards} shards");
        explore(&name, THREE, move || {
            let cache = timed(2, shards);
            let ([a, _], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            let writers = [(a, 1), (b, 2)].map(|(key, value)| {
                go(&cache, move |cache| {
                    assert_eq!(cache.insert_with_ttl(key, value, LIFE), None);
                    within(cache, 2);
                })
            });
            cache.clock.advance(PAST);
            cache.sweep(usize::MAX);
            for writer in writers {
                writer.join().unwrap();
            }
            cache.settled();
            cache.ends();
            let causes = [1, 2].map(|value| cache.cause_of(value));
            assert_eq!(causes, [Some(Cause::Expired); 2]);
        });
    }
}

#[test]
fn room_is_made_by_what_has_ended() {
    for shards in [1, 2] {
        let name = format!("insert into a full cache; sweep, {shards} shards");
        explore(&name, UNBOUNDED, move || {
            let cache = timed(2, shards);
            let ([a, c], [_, b]) = (keys(&cache, 0), keys(&cache, shards - 1));
            cache.insert_with_ttl(a, 1, LONG);
            cache.insert(b, 2);
            cache.clock.advance(PAST);
            let writer = go(&cache, move |cache| {
                assert_eq!(cache.insert(c, 3), None);
                within(cache, 2);
            });
            cache.sweep(usize::MAX);
            within(&cache, 2);
            writer.join().unwrap();
            assert_eq!(cache.cause_of(2), Some(Cause::Expired));
            assert_eq!(cache.get(&a), Some(1), "the dead go before the living");
            assert_eq!(cache.get(&c), Some(3));
            cache.settled();
        });
    }
}

#[test]
fn a_victim_and_an_end() {
    let ends = explore(
        "insert into a full cache; advance, sweep",
        UNBOUNDED,
        || {
            let cache = timed(1, 1);
            cache.insert(7, 1);
            let writer = go(&cache, |cache| {
                cache.insert(8, 2);
                within(cache, 1);
            });
            cache.clock.advance(PAST);
            cache.sweep(usize::MAX);
            within(&cache, 1);
            writer.join().unwrap();
            let left = cache.cause_of(1);
            cache.settled();
            cache.ends();
            left
        },
    );
    let either = [Some(Cause::Evicted), Some(Cause::Expired)];
    assert_eq!(ends, BTreeSet::from(either));
}

#[test]
fn a_clear_or_a_drain_of_what_ends() {
    let cleared = explore("clear; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let clearer = go(&cache, |cache| cache.clear());
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        clearer.join().unwrap();
        cache.settled();
        cache.cause_of(1)
    });
    let either = [Some(Cause::Cleared), Some(Cause::Expired)];
    assert_eq!(cleared, BTreeSet::from(either));
    let drained = explore("drain; advance, sweep", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        let drainer = go(&cache, |cache| cache.drain().collect::<Vec<_>>());
        cache.clock.advance(PAST);
        cache.sweep(usize::MAX);
        let drained = drainer.join().unwrap();
        let handed = cache.cause_of(1) != Some(Cause::Expired);
        assert_eq!(drained, [(7, 1)][..usize::from(handed)]);
        cache.settled();
        handed
    });
    assert_eq!(drained.len(), 2, "by either");
}

#[test]
fn a_value_that_ends_with_its_read_is_read_once() {
    let readers = explore("get, get of one that a read ends", UNBOUNDED, || {
        let cache = read_once();
        cache.insert(7, 1);
        let other = go(&cache, |cache| cache.get(&7));
        let mine = cache.get(&7);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "{mine:?} {theirs:?}");
        assert_eq!((cache.get(&7), cache.len_live()), (None, 0));
        cache.settled();
        cache.ends();
        assert_eq!(cache.cause_of(1), Some(Cause::Expired));
        mine
    });
    assert_eq!(readers.len(), 2, "by either");
}

#[test]
fn two_who_load_what_has_ended() {
    let loaded = explore(
        "or_insert, or_insert over what has ended",
        UNBOUNDED,
        || {
            let cache = timed(1, 1);
            cache.insert(7, 1);
            cache.clock.advance(PAST);
            let other = go(&cache, |cache| cache.entry(7).or_insert(2));
            let mine = cache.entry(7).or_insert(3);
            let theirs = other.join().unwrap();
            assert_eq!(mine, theirs);
            assert_eq!(cache.cause_of(1), Some(Cause::Expired));
            cache.settled();
            mine
        },
    );
    assert_eq!(loaded, BTreeSet::from([2, 3]));
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back() {
    let seen = explore("set the clock back; get, get, get", UNBOUNDED, || {
        let cache = timed(2, 1);
        cache.insert(7, 1);
        cache.clock.advance(PAST);
        let turner = go(&cache, |cache| cache.clock.set(Duration::ZERO));
        let read = [(); 3].map(|()| cache.get(&7));
        turner.join().unwrap();
        assert!(read.is_sorted_by(|a, b| a >= b), "{read:?} came back");
        let heard = read[2].is_none();
        assert_eq!(cache.get(&7).is_none(), heard);
        cache.settled();
        read
    });
    assert!(seen.len() >= 2, "{seen:?}");
}

#[test]
fn a_clock_moved_by_two_moves_by_both() {
    explore("advance, advance", UNBOUNDED, || {
        let cache = timed(1, 1);
        let other = go(&cache, |cache| cache.clock.advance(LIFE));
        cache.clock.advance(PAST);
        other.join().unwrap();
        assert_eq!(cache.clock.now(), LIFE + PAST);
    });
}

#[test]
fn what_is_left_of_a_life_never_grows() {
    explore("ttl, ttl, len_live; advance, sweep", UNBOUNDED, || {
        let cache = timed(1, 1);
        cache.insert(7, 1);
        let reader = go(&cache, |cache| {
            let left = [(); 2].map(|()| cache.ttl(&7));
            (left, cache.len_live(), cache.next_deadline())
        });
        cache.clock.advance(LIFE / 2);
        cache.clock.advance(PAST - LIFE / 2);
        cache.sweep(usize::MAX);
        let (left, live, next) = reader.join().unwrap();
        assert!(left[0] >= left[1], "{left:?}");
        assert!(live == 0 || left[1].is_some());
        // The wheel looks when the beat after the end begins.
        assert!(next.is_none_or(|next| next <= PAST), "{next:?}");
        cache.settled();
        left
    });
}
