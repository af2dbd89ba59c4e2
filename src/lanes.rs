//! `Lanes`: where threads that read without a lock say which shard they look at.
//!
//! One idea: a thread that reads writes one line that is its own, its lane in this cache, and
//! nothing that another reader writes. Who holds a shard's lock looks at the lanes before it
//! drops, moves or changes what a reader may be looking at.
//!
//! ```text
//! reader                                      holder of the lock of shard s
//! at = (count + 1, s)                         take the entry off the table
//! full fence                                  full fence
//! look, compare, clone                        for each lane that was ever used:
//! at = (count + 1, none)                          names it s? wait until it has moved on
//!                                             the entry is the holder's alone
//! ```
//!
//! By the two fences either the holder sees the lane, or the reader sees that the entry is off
//! the table. Both ends of a stay are release stores and the holder's looks acquire loads, so
//! all that a reader did comes before all that the holder does to the entry.
//!
//! Invariants
//! 1. A lane is written by one thread at a time: the one that has its number.
//! 2. A holder waits for one stay of each lane that named its shard when it looked, and for
//!    none that began later.
//! 3. `used` is raised before a lane's first stay: lanes at or beyond it were never used, or
//!    a full fence of their thread comes after that of the holder.
//! 4. A thread has at most one stay in a cache at a time; a second one panics.
//!
//! A thread without a lane reads under the lock: one that came when all numbers were taken,
//! or that has a higher number than this cache has lanes.

mod number;

use crate::reentry;
use crate::sync::cells::{
    AtomicU64, AtomicUsize, LOCKLESS,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    Patience, full_fence, publish,
};
use number::number;

/// The bits of a lane's word that name a shard: 0 for none.
const NAME: usize = 0xFFFF;

/// The bit that is set in every shard's name.
const READING: usize = 0x8000;

/// One stay more, in a lane's word.
const STAY: usize = NAME + 1;

/// A lane that was never used: as if a shard were read there that nobody waits for.
const UNUSED: usize = 1;

pub(crate) struct Lanes {
    lanes: Box<[Lane]>,
    /// Lanes from here on were never used.
    used: AtomicUsize,
    /// Lanes of two threads lie 2^this lines apart.
    apart: u32,
}

/// One line, which one thread writes.
#[repr(align(64))]
struct Lane {
    /// How many stays there were, and the name of the shard that is being read.
    at: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Lanes {
    /// No lanes: nobody reads without a lock, and there is nobody to wait for.
    pub(crate) fn none() -> Self {
        Self::new(0, 0)
    }

    /// Lanes for so many threads, 2^`apart` lines from one to the next.
    pub(crate) fn new(threads: usize, apart: u32) -> Self {
        let lane = |_| Lane {
            at: AtomicUsize::new(UNUSED),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        Self {
            lanes: (0..threads << apart).map(lane).collect(),
            used: AtomicUsize::new(0),
            apart,
        }
    }

    /// Whether nobody reads without a lock.
    pub(crate) fn are_none(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The calling thread's lane, if it has one.
    #[inline]
    fn own(&self) -> Option<&Lane> {
        if !LOCKLESS {
            return None;
        }
        self.lanes.get(number() << self.apart)
    }

    /// Begins to read a shard, if the thread has a lane.
    #[inline]
    #[track_caller]
    pub(crate) fn enter(&self, shard: usize) -> Option<Stay<'_>> {
        let lane = self.own()?;
        let mut before = lane.at.load(Relaxed);
        if before & NAME != 0 {
            before = self.begin_to_use(before);
        }
        let at = before.wrapping_add(STAY) | name(shard);
        publish(&lane.at, at);
        Some(Stay { lane, at })
    }

    /// Notes that the thread uses its lane from now on; says what its word is. If the thread is
    /// reading there already it panics.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn begin_to_use(&self, before: usize) -> usize {
        if before != UNUSED {
            reentry::refuse();
        }
        self.used.fetch_max((number() << self.apart) + 1, SeqCst);
        STAY
    }

    /// Whether the calling thread is reading in this cache.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        let own = self.own();
        own.is_some_and(|lane| lane.at.load(Relaxed) & READING != 0)
    }

    /// Panics if the calling thread is reading in this cache: it must not wait for itself.
    #[inline]
    #[track_caller]
    pub(crate) fn check(&self) {
        if self.is_inside() {
            reentry::refuse();
        }
    }

    /// Waits until every stay has ended that may have seen what was taken off the table of
    /// this shard before. The caller holds the shard's lock; `own` is a word that nobody else
    /// writes meanwhile.
    #[inline]
    pub(crate) fn wait(&self, shard: usize, own: &AtomicUsize) {
        if self.lanes.is_empty() {
            return;
        }
        full_fence(own);
        let used = self.used.load(Relaxed);
        for lane in self.lanes.iter().take(used).step_by(1 << self.apart) {
            let seen = lane.at.load(Acquire);
            if seen & NAME == name(shard) {
                lane.wait_beyond(seen);
            }
        }
    }

    /// Hits and misses of all lanes; exact when nobody reads.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let sum = |(hits, misses), lane: &Lane| {
            let (more_hits, more_misses) = (lane.hits.load(Relaxed), lane.misses.load(Relaxed));
            (hits + more_hits, misses + more_misses)
        };
        self.lanes.iter().fold((0, 0), sum)
    }
}

impl Lane {
    #[cold]
    #[inline(never)]
    fn wait_beyond(&self, seen: usize) {
        let mut patience = Patience::default();
        while self.at.load(Acquire) == seen {
            patience.lose();
        }
    }
}

/// The name of a shard: never 0. Beyond 32,768 shards some share one, and their holders wait
/// for each other's readers.
#[inline]
fn name(shard: usize) -> usize {
    (shard | READING) & NAME
}

/// A thread is reading a shard, until this is dropped.
pub(crate) struct Stay<'a> {
    lane: &'a Lane,
    at: usize,
}

impl Stay<'_> {
    #[inline]
    pub(crate) fn hit(&self) {
        let hits = &self.lane.hits;
        hits.store(hits.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    pub(crate) fn missed(&self) {
        let misses = &self.lane.misses;
        misses.store(misses.load(Relaxed) + 1, Relaxed);
    }
}

impl Drop for Stay<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lane.at.store(self.at & !NAME, Release);
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_holder_waits_for_readers_of_its_shard_and_for_no_others() {
        let lanes = Lanes::new(256, 1);
        let own = AtomicUsize::new(0);
        let (left, waited) = (AtomicBool::new(false), AtomicBool::new(false));
        let (entered, has_entered) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let stay = lanes.enter(3).expect("a lane");
                entered.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
                assert!(!waited.load(Relaxed));
                left.store(true, Relaxed);
                drop(stay);
            });
            has_entered.recv().unwrap();
            lanes.wait(2, &own);
            assert!(!left.load(Relaxed), "waited for a reader of another shard");
            lanes.wait(3, &own);
            assert!(left.load(Relaxed), "did not wait");
            waited.store(true, Relaxed);
        });
    }

    #[test]
    fn a_thread_that_reads_may_neither_read_nor_write_there_but_elsewhere() {
        let (lanes, others) = (Lanes::new(256, 0), Lanes::new(256, 1));
        let stay = lanes.enter(0).expect("a lane");
        stay.hit();
        others.check();
        others.enter(0).expect("a lane").missed();
        others.wait(0, &AtomicUsize::new(0));
        for again in [&|| lanes.check() as _, &|| drop(lanes.enter(1))] as [&dyn Fn(); 2] {
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(again));
            assert!(refused.is_err());
        }
        drop(stay);
        lanes.check();
        assert_eq!((lanes.counts(), others.counts()), ((1, 0), (0, 1)));
        assert!(!lanes.are_none() && Lanes::none().are_none());
    }

    #[test]
    fn who_has_no_lane_is_told_so() {
        let lanes = Lanes::none();
        assert!(lanes.enter(0).is_none());
        lanes.check();
        lanes.wait(0, &AtomicUsize::new(0));
    }
}
