//! Sizing: what befalls sampled keys goes to the gauge.
//!
//! ```text
//! a hit or a miss without the lock: an event in the thread's own ring; where that has hardly a place,
//!                                   all that is there goes to the gauge first, if nobody is at it
//! a call that takes a lock:         the same, before it takes that, but it waits for the gauge
//! ```
//!
//! So only threads that hit again and again, and write nothing, lose events. Who is at the gauge waits
//! for no other lock; a hit does not wait for it.

use super::Cache;
use crate::clock::FOREVER;
use crate::form::{Form, Sampling};
use crate::hash::Hashed;
use crate::lanes::{Event, Samples};
use crate::shard::Shard;
use crate::sizing::{Counted, Gauge, Sizing};
use crate::table::{Entry, Visit};

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Counts a miss without the lock.
    #[inline(always)]
    pub(super) fn missed(&self, hashed: Hashed, visit: &Visit<'_, K, V, F>) {
        visit.stay.missed();
        self.sample(hashed, None);
    }

    /// Leaves word of a look-up without the lock, and of what it found, if the key is of the
    /// sample.
    #[inline(always)]
    pub(super) fn sample(&self, hashed: Hashed, found: Option<&Entry<K, V, F>>) {
        if F::SAMPLED && self.shelves.lanes.samples.picks(hashed.tag()) {
            self.leave_word(hashed, found);
        }
    }

    #[inline(never)]
    fn leave_word(&self, hashed: Hashed, found: Option<&Entry<K, V, F>>) {
        let samples = &self.shelves.lanes.samples;
        if samples.are_scarce() {
            if let Some(mut gauge) = self.gauge.as_ref().and_then(|gauge| gauge.try_lock()) {
                self.play(&mut gauge, Samples::take_own);
            }
        }
        samples.note(Shard::look_up_event(hashed.tag(), found, self.now()));
    }

    /// Takes what this thread has noted to the gauge, if there is hardly a place for more; waits
    /// for whoever is there. To be called before a shard's lock is taken for this key.
    #[inline(always)]
    pub(super) fn make_place(&self, hashed: Hashed) {
        if F::SAMPLED && self.shelves.lanes.samples.picks(hashed.tag()) {
            self.tell_gauge_if_scarce();
        }
    }

    #[inline(never)]
    fn tell_gauge_if_scarce(&self) {
        if let (Some(gauge), true) = (&self.gauge, self.shelves.lanes.samples.are_scarce()) {
            self.play(&mut gauge.lock(), Samples::take_own);
        }
    }

    /// Takes these events to the gauge.
    fn play(&self, gauge: &mut Gauge<F>, events: fn(&Samples) -> Option<Event>) {
        let to_live = Some(self.door.expiry.to_live()).filter(|&life| life != FOREVER);
        gauge.hear(&self.shelves.lanes.samples, events, to_live, || {
            self.looked_up()
        });
    }

    /// Hits and misses so far.
    fn looked_up(&self) -> Counted {
        let (lanes, locked) = (&self.shelves.lanes, self.shelves.lanes.samples.counts());
        let (hits, misses) = lanes.counts();
        (hits + locked.0, misses + locked.1)
    }

    /// Does something with the gauge, if there is one, once it has heard of all. No lock is held.
    fn at_gauge<R>(&self, act: impl FnOnce(&mut Gauge<F>, &Samples, Counted) -> R) -> Option<R> {
        let mut gauge = self.gauge.as_ref()?.lock();
        self.play(&mut gauge, Samples::take);
        Some(act(
            &mut gauge,
            &self.shelves.lanes.samples,
            self.looked_up(),
        ))
    }

    /// All entries have left.
    pub(super) fn clear_gauge(&self) {
        self.at_gauge(|gauge, samples, _| gauge.clear(samples));
    }

    /// The capacity has changed.
    pub(super) fn resize_gauge(&self, capacity: u64) {
        self.at_gauge(|gauge, samples, counted| gauge.resize(capacity, samples, counted));
    }
}

impl<K, V, F: Sampling, S> Cache<K, V, F, S> {
    /// What this cache would have hit of late with a half, twice and four times its capacity.
    ///
    /// The builder's call [`sizing`](crate::Builder::sizing) tells what that rests on.
    ///
    /// O(threads) and O(1) beside; takes the lock of the simulations, which no read and no write
    /// waits for.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(1_000)).sizing().build()?;
    /// for n in 0..50_000_u64 {
    ///     // 3,000 keys, some of them more popular than others.
    ///     let key = n.wrapping_mul(n) % 3_000;
    ///     cache.get_or_insert_with(&key, || n);
    /// }
    /// let sizing = cache.sizing();
    /// assert!(sizing.at(4) > Some(0.9));
    /// println!("{sizing}");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "miss_ratio_curve")]
    #[doc(alias = "mrc")]
    #[track_caller]
    pub fn sizing(&self) -> Sizing {
        self.may_be_called();
        let unit = self.door.unit;
        let told = self.at_gauge(|gauge, samples, counted| gauge.sizing(samples, counted, unit));
        told.expect("a cache of a form that samples has a gauge")
    }
}
