//! `Samples`: what befell a sample of the keys, on its way from those who saw it to one who counts.
//!
//! One idea: a key is of the sample or not by its tag alone, so of the same keys all that befalls
//! them is told, on every thread. Who looks such a key up, stores it or removes it leaves an event
//! in a ring of its own thread, and goes on; whoever counts takes events out later. Nothing here
//! knows what is counted.
//!
//! A ring that is full takes no more: the event is lost, and that is counted. Its thread sees to
//! places beforehand, where it holds no lock.
//!
//! Invariants
//! 1. A ring is written by one thread at a time, the one that has its number (or the one that has
//!    its cache, where there is one ring); `told` by the one who counts.
//! 2. Events from `told` up to `written` are there. Both go round twice the places, so that all of
//!    them taken and none can be told apart.

use super::number::number;
use crate::clock::Moment;
use crate::sync::cells::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::tag::{BELOW, Tag};
use std::sync::OnceLock;

/// So many events, with the counts, take eight lines.
const MOST: usize = if cfg!(brimful_loom) { 4 } else { 15 };

/// After so many events both counts are what they were.
const ROUND: u32 = 2 * MOST as u32;

/// A call needs no more places than this: for its look-up, and for what it stores.
const A_CALL: u32 = 3;

/// What befell a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum What {
    /// It was looked up and found.
    Hit,
    /// It was looked up and not found.
    Miss,
    /// It was stored where it had not been.
    Stored,
    /// It was stored in place of an older value.
    Replaced,
    /// It was taken out, not for room and not for its age.
    Removed,
}

/// Something that befell a key of the sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub(crate) tag: Tag,
    pub(crate) what: What,
    /// What the entry is charged, where it is known.
    pub(crate) weight: u64,
    /// How long its value had to live, in nanoseconds.
    pub(crate) life: u64,
    /// When that was, where entries have deadlines.
    pub(crate) now: Moment,
}

pub(crate) struct Samples {
    /// A tag is of the sample if its mixed bits are below this.
    limit: AtomicU64,
    rings: Box<[OnceLock<Box<Ring>>]>,
}

impl Samples {
    /// No key is sampled.
    pub(super) fn none() -> Self {
        Self {
            limit: AtomicU64::new(0),
            rings: Box::default(),
        }
    }

    /// Samples of so many threads at a time; those of one cache that one thread has are of one
    /// ring. As long as nobody says which keys, none.
    pub(super) fn of(threads: usize) -> Self {
        Self {
            limit: AtomicU64::new(0),
            rings: (0..threads).map(|_| OnceLock::new()).collect(),
        }
    }

    /// From now on one key in 2^`halvings` is of the sample, or none. A smaller sample is a part
    /// of each larger one.
    pub(crate) fn pick(&self, halvings: Option<u32>) {
        let limit = halvings.map_or(0, |halvings| (1 << u32::BITS) >> halvings);
        self.limit.store(limit, Relaxed);
    }

    /// Whether a key is of the sample.
    #[inline(always)]
    pub(crate) fn picks(&self, tag: Tag) -> bool {
        let mixed = tag.bits().wrapping_mul(0x9E37_79B1);
        u64::from(mixed) < self.limit.load(Relaxed)
    }

    /// The ring of the calling thread, if it has one.
    #[inline]
    fn own(&self) -> Option<&Ring> {
        let index = if self.rings.len() == 1 { 0 } else { number() };
        let ring = self.rings.get(index)?;
        Some(ring.get_or_init(|| Box::new(Ring::new())))
    }

    /// Counts a look-up that no lane counts.
    #[inline]
    pub(crate) fn looked_up(&self, hit: bool) {
        if let Some(ring) = self.own() {
            let count = if hit { &ring.hits } else { &ring.misses };
            count.store(count.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Hits and misses that no lane counts.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let count = |ring: &Ring| (ring.hits.load(Relaxed), ring.misses.load(Relaxed));
        let sum =
            |(hits, misses), (more_hits, more_misses)| (hits + more_hits, misses + more_misses);
        self.rings().map(count).fold((0, 0), sum)
    }

    /// How many events found no place.
    pub(crate) fn lost(&self) -> u64 {
        self.rings().map(|ring| ring.lost.load(Relaxed)).sum()
    }

    fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.rings
            .iter()
            .filter_map(|ring| ring.get().map(|ring| &**ring))
    }

    /// Leaves an event in the calling thread's ring; one that finds no place is lost.
    #[inline(never)]
    pub(crate) fn note(&self, event: Event) {
        if let Some(ring) = self.own().filter(|ring| !ring.note(event)) {
            ring.lost.store(ring.lost.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Whether the calling thread's ring has too few places for a call.
    pub(crate) fn are_scarce(&self) -> bool {
        self.own()
            .is_some_and(|ring| ring.held() + A_CALL > MOST as u32)
    }

    /// Takes the oldest event of the calling thread. One thread at a time takes events.
    pub(crate) fn take_own(&self) -> Option<Event> {
        self.own()?.take()
    }

    /// Takes an event of any thread. One thread at a time takes events.
    pub(crate) fn take(&self) -> Option<Event> {
        self.rings().find_map(Ring::take)
    }
}

/// The events of one thread.
#[repr(align(64))]
struct Ring {
    written: AtomicU32,
    told: AtomicU32,
    hits: AtomicU64,
    misses: AtomicU64,
    lost: AtomicU64,
    places: [Place; MOST],
}

/// An event, word by word.
struct Place {
    /// What befell it below the tag.
    key: AtomicU32,
    weight: AtomicU64,
    life: AtomicU64,
    now: AtomicU64,
}

impl Ring {
    fn new() -> Self {
        let place = |_| Place {
            key: AtomicU32::new(0),
            weight: AtomicU64::new(0),
            life: AtomicU64::new(0),
            now: AtomicU64::new(0),
        };
        Self {
            written: AtomicU32::new(0),
            told: AtomicU32::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            places: std::array::from_fn(place),
        }
    }

    #[inline]
    fn place(&self, at: u32) -> &Place {
        &self.places[at as usize % MOST]
    }

    /// How many events are there. For its own thread.
    #[inline]
    fn held(&self) -> u32 {
        (self.written.load(Relaxed) + ROUND - self.told.load(Acquire)) % ROUND
    }

    /// Notes an event; says whether there was a place. The ring's thread alone calls this.
    fn note(&self, event: Event) -> bool {
        if self.held() == MOST as u32 {
            return false;
        }
        let written = self.written.load(Relaxed);
        let place = self.place(written);
        let key = event.tag.bits() >> BELOW << BELOW | event.what as u32;
        place.key.store(key, Relaxed);
        place.weight.store(event.weight, Relaxed);
        place.life.store(event.life, Relaxed);
        place.now.store(event.now, Relaxed);
        self.written.store((written + 1) % ROUND, Release);
        true
    }

    /// Takes the oldest event. One thread at a time calls this.
    fn take(&self) -> Option<Event> {
        let told = self.told.load(Relaxed);
        if told == self.written.load(Acquire) {
            return None;
        }
        let place = self.place(told);
        let key = place.key.load(Relaxed);
        let event = Event {
            tag: Tag::above(key),
            what: what(key % (1 << BELOW)),
            weight: place.weight.load(Relaxed),
            life: place.life.load(Relaxed),
            now: place.now.load(Relaxed),
        };
        self.told.store((told + 1) % ROUND, Release);
        Some(event)
    }
}

/// The inverse of `as u32`.
fn what(number: u32) -> What {
    use What::{Hit, Miss, Removed, Replaced, Stored};
    let all = [Hit, Miss, Stored, Replaced];
    all.into_iter()
        .find(|&what| what as u32 == number)
        .unwrap_or(Removed)
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    fn event(n: u32) -> Event {
        let number = u64::from(n);
        Event {
            tag: Tag::of(number << 3),
            what: what(n % 5),
            weight: number,
            life: 2 * number,
            now: 3 * number,
        }
    }

    #[test]
    fn events_come_out_whole_and_in_order_and_what_finds_no_place_is_counted() {
        let samples = Samples::of(1);
        let mut lost = 0;
        for round in 0..9 {
            let events = || (0..MOST as u32).map(|n| event(100 * round + n));
            assert!(!samples.are_scarce());
            events().for_each(|event| samples.note(event));
            assert_eq!((samples.are_scarce(), samples.lost()), (true, lost));
            samples.note(event(8));
            lost += 1;
            assert!(std::iter::from_fn(|| samples.take()).eq(events()));
        }
        assert_eq!(samples.lost(), lost);
        samples.looked_up(true);
        samples.looked_up(false);
        samples.looked_up(true);
        assert_eq!(samples.counts(), (2, 1));
    }

    #[test]
    fn one_key_in_so_many_is_of_the_sample_and_a_smaller_one_is_a_part_of_a_larger() {
        let samples = Samples::of(1);
        let tags =
            || (0..1_u64 << 18).map(|n| Tag::of(n.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 36));
        assert!(tags().all(|tag| !samples.picks(tag)));
        let mut before: Vec<Tag> = tags().collect();
        for halvings in 0..12 {
            samples.pick(Some(halvings));
            let now: Vec<Tag> = tags().filter(|&tag| samples.picks(tag)).collect();
            let expected = (1 << 18 >> halvings) as f64;
            assert!((now.len() as f64 - expected).abs() < 4.0 * expected.sqrt() + 1.0);
            before.retain(|&tag| samples.picks(tag));
            assert_eq!(before, now);
        }
        samples.pick(None);
        assert!(tags().all(|tag| !samples.picks(tag)));
    }

    #[test]
    fn events_of_two_threads_are_taken_once_each() {
        let samples = Samples::of(256);
        let taken: u64 = std::thread::scope(|scope| {
            let note = || {
                for n in 0..20_000 {
                    while samples.are_scarce() {
                        std::thread::yield_now();
                    }
                    samples.note(event(n));
                }
            };
            let threads = [scope.spawn(note), scope.spawn(note)];
            let mut taken = 0;
            while !threads.iter().all(|thread| thread.is_finished()) {
                for one in std::iter::from_fn(|| samples.take()) {
                    assert_eq!(one, event(one.weight as u32));
                    taken += 1;
                }
                std::thread::yield_now();
            }
            taken + std::iter::from_fn(|| samples.take()).count() as u64
        });
        assert_eq!((taken, samples.lost()), (40_000, 0));
    }
}
