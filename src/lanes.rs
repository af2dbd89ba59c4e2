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
//! A thread that reads for the first time says so, and then passes through the lock of every
//! shard once before its first stay: so whoever holds one knows all that may read. While that is
//! nobody else, as in a program of one thread, a holder needs neither fence nor look. Locks that
//! are held are passed later, and until all are, the thread reads under the lock.
//!
//! Where hits change a policy's order, a lane also has a line for each shard, in which its thread
//! notes them (`recent`).
//!
//! Where keys are sampled, each thread also has a ring of what befell those it saw (`samples`).
//!
//! Invariants
//! 1. A lane is written by one thread at a time: the one that has its number.
//! 2. A holder waits for one stay of each lane that named its shard when it looked, and for
//!    none that began later.
//! 3. `used` and `sole` were set before a lane's first stay, and each shard's lock was free
//!    after that and before it: lanes that a holder does not learn of by them have no stay
//!    before it gives the lock back.
//! 4. A thread has at most one stay in a cache at a time; a second one panics.
//!
//! A thread without a lane reads under the lock: one that came when all numbers were taken,
//! or that has a higher number than this cache has lanes.

mod number;
mod recent;
mod samples;

pub(crate) use samples::{Event, Samples, What};

use crate::reentry;
use crate::sync::cells::{
    AtomicU64, AtomicUsize, LOCKLESS,
    Ordering::{Relaxed, Release, SeqCst},
    Patience, full_fence, look, publish,
};
use number::{given, number};
use recent::Recent;
use std::sync::OnceLock;

/// The bits of a lane's word that name a shard: 0 for none.
const NAME: usize = 0xFFFF;

/// The bit that is set in every shard's name.
const READING: usize = 0x8000;

/// One stay more, in a lane's word.
const STAY: usize = NAME + 1;

/// A lane that is not used yet: as if a shard were read there that nobody waits for.
const UNUSED: usize = 1;

/// There is more than one such lane.
const SEVERAL: usize = usize::MAX;

pub(crate) struct Lanes {
    lanes: Box<[Lane]>,
    /// Lanes from here on were never used.
    used: AtomicUsize,
    /// One more than the index of the lane that alone was ever used; 0 if none was.
    sole: AtomicUsize,
    /// One more than the index of the lane whose thread alone has read, or held a lock to write;
    /// 0 if none has.
    user: AtomicUsize,
    /// Lanes of two threads lie 2^this lines apart.
    apart: u32,
    /// Whether hits are noted, for a policy whose order they change.
    notes: bool,
    /// What befell a sample of the keys.
    pub(crate) samples: Samples,
}

/// One line, which one thread writes.
#[repr(align(64))]
struct Lane {
    /// How many stays there were, and the name of the shard that is being read.
    at: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
    /// How many locks were passed before the first stay.
    passed: AtomicUsize,
    /// The hits on each shard of which its order has not heard yet.
    recent: OnceLock<Box<[Recent]>>,
}

impl Lanes {
    /// No lanes: nobody reads without a lock, and there is nobody to wait for.
    pub(crate) fn none() -> Self {
        Self::new(0, 0, false)
    }

    /// Lanes for so many threads, 2^`apart` lines from one to the next; hits are noted, or not.
    pub(crate) fn new(threads: usize, apart: u32, notes: bool) -> Self {
        let lane = |_| Lane {
            at: AtomicUsize::new(UNUSED),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            passed: AtomicUsize::new(0),
            recent: OnceLock::new(),
        };
        Self {
            lanes: (0..threads << apart).map(lane).collect(),
            used: AtomicUsize::new(0),
            sole: AtomicUsize::new(0),
            user: AtomicUsize::new(0),
            apart,
            notes,
            samples: Samples::none(),
        }
    }

    /// These lanes, with samples of so many threads.
    pub(crate) fn sampled(mut self, threads: usize) -> Self {
        self.samples = Samples::of(threads);
        self
    }

    /// Whether nobody reads without a lock.
    pub(crate) fn are_none(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The index of the calling thread's lane, if it has one, or a number beyond all lanes.
    #[inline]
    fn own_index(&self) -> usize {
        if LOCKLESS {
            number() << self.apart
        } else {
            usize::MAX
        }
    }

    /// The calling thread's lane, if it has one.
    #[inline]
    fn own(&self) -> Option<&Lane> {
        self.lanes.get(self.own_index())
    }

    /// Begins to read a shard, if the thread has a lane that it may use.
    #[inline]
    #[track_caller]
    pub(crate) fn enter(&self, shard: usize) -> Option<Stay<'_>> {
        // A thread without a number is given one before its lane is first used.
        let lane = self.lanes.get(given() << self.apart)?;
        let before = lane.at.load(Relaxed);
        if before & NAME != 0 {
            return not_idle(before);
        }
        let at = before.wrapping_add(STAY) | name(shard);
        publish(&lane.at, at);
        Some(Stay { lane, at })
    }

    /// Goes on to prepare the calling thread's lane for use, if it has one that is not used yet.
    /// `pass` says whether the lock of a shard was free just now.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin(&self, shards: usize, pass: impl Fn(usize) -> bool) {
        let Some(lane) = self.own() else { return };
        if lane.at.load(Relaxed) != UNUSED {
            return;
        }
        let mut passed = lane.passed.load(Relaxed);
        if self.notes {
            let recent = || (0..shards).map(|_| Recent::new()).collect();
            lane.recent.get_or_init(recent);
        }
        if passed == 0 {
            let own = self.own_index() + 1;
            self.used.fetch_max(own, SeqCst);
            join(&self.sole, own);
            join(&self.user, own);
        }
        while passed < shards && pass(passed) {
            passed += 1;
        }
        lane.passed.store(passed, Relaxed);
        if passed == shards {
            lane.at.store(STAY, Release);
        }
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

    /// Whether several threads use the cache, for the holder of a lock, which is one of them.
    #[inline]
    pub(crate) fn are_shared(&self) -> bool {
        let own = self.own_index().wrapping_add(1);
        let user = self.user.load(Relaxed);
        user == SEVERAL || user != own && join(&self.user, own)
    }

    /// How many lanes `wait` looks at.
    #[inline]
    pub(crate) fn looked_at(&self) -> usize {
        if self.are_own() {
            return 0;
        }
        (self.used.load(Relaxed) + (1 << self.apart) - 1) >> self.apart
    }

    /// Whether nobody but the calling thread reads, or will before it leaves the lock that it holds.
    #[inline]
    pub(crate) fn are_own(&self) -> bool {
        let sole = self.sole.load(Relaxed);
        sole == 0 || sole == self.own_index() + 1
    }

    /// Waits until every stay has ended that may have seen what was taken off the table of
    /// this shard before. The caller holds the shard's lock; `own` is a word that nobody else
    /// writes meanwhile.
    #[inline]
    pub(crate) fn wait(&self, shard: usize, own: &AtomicUsize) {
        if self.are_own() {
            return;
        }
        full_fence(own);
        let used = self.used.load(Relaxed);
        for lane in self.lanes.iter().take(used).step_by(1 << self.apart) {
            let seen = look(&lane.at);
            if seen & NAME == name(shard) {
                lane.wait_beyond(seen);
            }
        }
    }

    /// Takes a note of a hit on a shard of which nobody was told yet, from the lane `at` on, which
    /// is 0 at first. The caller holds the shard's lock.
    #[inline]
    pub(crate) fn take_note(&self, shard: usize, at: &mut usize) -> Option<usize> {
        let used = self.used.load(Relaxed);
        while self.notes && *at < used {
            let recent = self.lanes.get(*at).and_then(|lane| lane.recent.get());
            if let Some(slot) = recent.and_then(|all| all.get(shard)?.take()) {
                return Some(slot);
            }
            *at += 1 << self.apart;
        }
        None
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
        while look(&self.at) == seen {
            patience.lose();
        }
    }
}

/// Notes in a word for one lane alone that this one is meant too; says whether others are.
#[cold]
#[inline(never)]
fn join(word: &AtomicUsize, own: usize) -> bool {
    let before = word.compare_exchange(0, own, SeqCst, SeqCst);
    let others = before.is_err_and(|lane| lane != own);
    if others {
        word.store(SEVERAL, SeqCst);
    }
    others
}

/// A thread that reads already must not read again; one whose lane is not used yet has none.
#[cold]
#[inline(never)]
#[track_caller]
fn not_idle<T>(at: usize) -> Option<T> {
    if at != UNUSED {
        reentry::refuse();
    }
    None
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

/// Where the thread of a stay notes hits.
#[derive(Clone, Copy)]
pub(crate) struct Notes<'a>(&'a Lane);

impl Notes<'_> {
    /// Notes a hit on a slot of a shard; says whether there was a place for it.
    #[inline]
    pub(crate) fn note(self, shard: usize, slot: usize) -> bool {
        let recent = self.0.recent.get().and_then(|all| all.get(shard));
        recent.is_none_or(|recent| recent.note(slot as u32))
    }
}

impl<'a> Stay<'a> {
    /// Where this thread notes hits on what it reads.
    #[inline]
    pub(crate) fn notes(&self) -> Notes<'a> {
        Notes(self.lane)
    }

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
#[cfg(not(brimful_locked))]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Enters; another test may have all numbers for a moment.
    fn lane(lanes: &Lanes, shard: usize) -> Stay<'_> {
        loop {
            lanes.begin(9, |_| true);
            if let Some(stay) = lanes.enter(shard) {
                return stay;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_holder_waits_for_readers_of_its_shard_and_for_no_others() {
        let lanes = Lanes::new(256, 1, false);
        let own = AtomicUsize::new(0);
        drop(lane(&lanes, 0));
        let (left, waited) = (AtomicBool::new(false), AtomicBool::new(false));
        let (entered, has_entered) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let stay = lane(&lanes, 3);
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
        let (lanes, others) = (Lanes::new(256, 0, false), Lanes::new(256, 1, false));
        let stay = lane(&lanes, 0);
        stay.hit();
        others.check();
        lane(&others, 0).missed();
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
    fn a_lane_is_used_when_all_locks_were_passed_and_not_before() {
        let lanes = Lanes::new(256, 0, false);
        let free = std::cell::Cell::new(2);
        let asked = std::cell::RefCell::new(Vec::new());
        let pass = |shard| {
            asked.borrow_mut().push(shard);
            free.replace(free.get() - 1) > 0
        };
        loop {
            lanes.begin(5, pass);
            if !asked.borrow().is_empty() {
                break;
            }
        }
        assert!(lanes.enter(0).is_none());
        free.set(99);
        lanes.begin(5, pass);
        assert_eq!(*asked.borrow(), [0, 1, 2, 2, 3, 4]);
        assert!(lanes.enter(0).is_some());
        lanes.begin(5, |_| unreachable!("it is used"));
    }

    #[test]
    fn who_has_no_lane_is_told_so() {
        let lanes = Lanes::none();
        assert!(lanes.enter(0).is_none());
        lanes.check();
        lanes.wait(0, &AtomicUsize::new(0));
    }
}
