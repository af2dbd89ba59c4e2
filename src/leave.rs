//! The single way out: tell the listener of every departure, then hand over
//! what the caller asked for, then discard the rest (give it to whom the builder named, or drop
//! it); in that order, outside all locks.
//!
//! The shard counted the departures when it unlinked them, so the statistics
//! are right whatever happens here.
//!
//! Invariants
//! 1. Every departure is told exactly once, also when the call that caused it
//!    unwinds: [`Leaving`] tells the rest when it is dropped.
//! 2. A panic of the listener or of a value's `Drop` keeps no other departure from
//!    being told and discarded. The first such panic goes on to the caller
//!    afterwards; while already unwinding it is caught and counted.
//! 3. A listener runs inside of so many others at most, whatever it calls (`reentry`).
//!
//! A call on one key opens a [`Leaving`]; one that empties shards, or parts of them, has
//! [`Batches`].

pub(crate) mod outbox;

use crate::cause::{Cause, Departed, Discard, Listener};
use crate::error::{Reason, Refused};
use crate::reentry::Nested;
use crate::stats::Lingerers;
use crate::sync::{AtomicU64, Ordering};
use crate::unwind::{Panics, after_dropping};
use outbox::{Departure, Outbox};
use std::mem::needs_drop;

pub(crate) struct Leave<K, V> {
    listener: Option<Listener<K, V>>,
    /// Takes what would be dropped.
    discard: Option<Discard<K, V>>,
    /// Takes note of values that are held elsewhere.
    lingerers: Option<Box<dyn Lingerers<V>>>,
    /// Whether letting go of an entry runs no code of the user.
    silent: bool,
    panics: AtomicU64,
}

impl<K, V> Leave<K, V> {
    pub(crate) fn new(
        listener: Option<Listener<K, V>>,
        discard: Option<Discard<K, V>>,
        lingerers: Option<Box<dyn Lingerers<V>>>,
    ) -> Self {
        Self {
            silent: listener.is_none() && discard.is_none() && lingerers.is_none(),
            listener,
            discard,
            lingerers,
            panics: AtomicU64::new(0),
        }
    }

    /// Panics of the listeners so far.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// An empty outbox that is sure to be emptied. Open it before the lock.
    #[inline]
    pub(crate) fn open(&self) -> Leaving<'_, K, V> {
        self.open_with(Outbox::new(self.is_silent()))
    }

    /// An outbox for what leaves in a call of another cache: to be given to
    /// [`tell_of`](Leave::tell_of).
    pub(crate) fn outbox(&self) -> Outbox<K, V> {
        Outbox::new(self.is_silent())
    }

    /// Tells of what is in an outbox and discards it.
    pub(crate) fn tell_of(&self, outbox: Outbox<K, V>) -> Panics {
        self.open_with(outbox).tell_and_discard()
    }

    /// As [`open`](Leave::open), for a call that hands over what is evicted: it is not forgotten.
    pub(crate) fn open_for_victims(&self) -> Leaving<'_, K, V> {
        self.open_with(Outbox::new(false))
    }

    #[inline]
    fn open_with(&self, outbox: Outbox<K, V>) -> Leaving<'_, K, V> {
        Leaving {
            leave: self,
            outbox,
            told: false,
        }
    }

    /// The way out of a call that lets entries go in several batches, or has more to do
    /// after a panic.
    #[inline]
    pub(crate) fn batches(&self) -> Batches<'_, K, V> {
        Batches {
            leave: self,
            panics: Panics::none(),
        }
    }

    /// Runs `work`, which lets entries go, then tells of them and discards them. A panic that
    /// `work` kept, or that came later, goes on after that.
    #[inline]
    pub(crate) fn in_one_batch<R>(
        &self,
        work: impl FnOnce(&mut Outbox<K, V>, &mut Panics) -> R,
    ) -> R {
        let mut batches = self.batches();
        let done = batches.run(work);
        batches.end();
        done
    }

    /// Whether letting go of an entry runs no code of the user.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        !needs_drop::<(K, V)>() && self.silent
    }

    /// Whether anybody is to hear of what leaves.
    fn listens(&self) -> bool {
        self.listener.is_some() || self.lingerers.is_some()
    }

    /// The values that were let go and are held elsewhere.
    pub(crate) fn lingerers(&self) -> Option<&dyn Lingerers<V>> {
        self.lingerers.as_deref()
    }

    fn tell(&self, left: &Departure<K, V>, panics: &mut Panics) {
        if let Some(lingerers) = &self.lingerers {
            // The clock that it reads may be the user's.
            panics.run(|| lingerers.note(&left.value, left.weight, left.cause));
        }
        let Some(listener) = &self.listener else {
            return;
        };
        let departed = Departed {
            key: &left.key,
            value: &left.value,
            cause: left.cause,
            late: left.times.late(),
            age: left.times.age(),
        };
        self.call(panics, || listener(departed));
    }

    /// Calls a listener, inside of those that this thread is inside of.
    fn call(&self, panics: &mut Panics, listener: impl FnOnce()) {
        let called = panics.run(|| {
            let _nested = Nested::enter();
            listener();
        });
        if called.is_none() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives a departure away, or drops it: key and value apart, so that a panic of one spares
    /// the other.
    #[inline]
    fn discard(&self, left: Departure<K, V>, panics: &mut Panics) {
        let Departure {
            key, value, cause, ..
        } = left;
        match &self.discard {
            Some(discard) => self.call(panics, || discard(key, value, cause)),
            None => panics.drop_pair(key, value),
        }
    }
}

/// An outbox that empties itself.
pub(crate) struct Leaving<'a, K, V> {
    leave: &'a Leave<K, V>,
    outbox: Outbox<K, V>,
    told: bool,
}

impl<K, V> Leaving<'_, K, V> {
    #[inline]
    pub(crate) fn outbox(&mut self) -> &mut Outbox<K, V> {
        &mut self.outbox
    }

    /// Tells of everything, hands over the departure with cause `handed`, discards
    /// the rest. A panic on the way goes on after all that.
    #[inline]
    pub(crate) fn hand_over(&mut self, handed: Cause) -> Option<Departure<K, V>> {
        if self.outbox.is_empty() {
            return None;
        }
        if self.leave.is_silent() {
            return self.outbox.hand_over(handed);
        }
        self.hand_over_aloud(handed)
    }

    /// [`hand_over`](Leaving::hand_over) where user code is to run.
    #[inline(never)]
    fn hand_over_aloud(&mut self, handed: Cause) -> Option<Departure<K, V>> {
        let mut panics = self.tell();
        let departure = self.outbox.hand_over(handed);
        self.discard(&mut panics);
        if panics.go_on() {
            departure
                .into_iter()
                .for_each(|left| self.leave.discard(left, &mut panics));
            panics.unwind();
        }
        departure
    }

    /// [`hand_over`](Leaving::hand_over) if only the value is wanted: the key is dropped.
    #[inline]
    pub(crate) fn hand_over_value(&mut self, handed: Cause) -> Option<V> {
        let Departure { key, value, .. } = self.hand_over(handed)?;
        Some(after_dropping(key, value))
    }

    /// Tells of a refusal and of the older value that left with it; hands both
    /// back. What was refused is what was put last into the outbox.
    #[cold]
    #[inline(never)]
    pub(crate) fn hand_back(&mut self, reason: Reason) -> Result<Option<V>, Refused<K, V>> {
        let mut panics = self.tell();
        let refused = self.outbox.pop();
        let old = self.outbox.hand_over(Cause::Replaced);
        self.discard(&mut panics);
        let old = old.map(|Departure { key, value, .. }| {
            panics.drop(key);
            value
        });
        if panics.go_on() {
            panics.drop(old);
            refused
                .into_iter()
                .for_each(|left| self.leave.discard(left, &mut panics));
            panics.unwind();
        }
        match refused {
            Some(Departure { key, value, .. }) => Err(Refused {
                key,
                value,
                old,
                reason,
            }),
            None => Ok(old),
        }
    }

    /// Tells of everything and discards it.
    pub(crate) fn tell_and_discard(mut self) -> Panics {
        self.empty()
    }

    /// Tells of everything; leaves it in the outbox to be handed over.
    #[inline]
    fn tell(&mut self) -> Panics {
        let mut panics = Panics::none();
        if !self.told && self.leave.listens() {
            for left in self.outbox.iter() {
                self.leave.tell(left, &mut panics);
            }
        }
        self.told = true;
        panics
    }

    /// Discards what is left.
    #[inline]
    fn discard(&mut self, panics: &mut Panics) {
        while let Some(left) = self.outbox.pop() {
            self.leave.discard(left, panics);
        }
    }

    fn empty(&mut self) -> Panics {
        let mut panics = self.tell();
        self.discard(&mut panics);
        panics
    }

    /// What is left when the call unwinds.
    #[cold]
    #[inline(never)]
    fn empty_at_last(&mut self) {
        self.empty().resume();
    }
}

impl<K, V> Drop for Leaving<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        if !self.outbox.is_empty() && !self.leave.is_silent() {
            self.empty_at_last();
        }
    }
}

/// The way out of a call that lets entries go batch by batch. A panic keeps no batch from
/// being told and discarded; the first goes on at the end.
#[must_use = "a panic of user code goes on at the `end`"]
pub(crate) struct Batches<'a, K, V> {
    leave: &'a Leave<K, V>,
    panics: Panics,
}

impl<K, V> Batches<'_, K, V> {
    /// The first panic so far, for code that keeps its own panics for later.
    pub(crate) fn panics(&mut self) -> &mut Panics {
        &mut self.panics
    }

    /// Whether any user code has panicked so far.
    pub(crate) fn have_panicked(&self) -> bool {
        !self.panics.is_none()
    }

    /// Runs `work`, which lets entries go, then tells of them and discards them.
    #[inline]
    pub(crate) fn run<R>(&mut self, work: impl FnOnce(&mut Outbox<K, V>, &mut Panics) -> R) -> R {
        let mut leaving = self.leave.open();
        let done = work(leaving.outbox(), &mut self.panics);
        self.panics.add(leaving.tell_and_discard());
        done
    }

    /// Tells of entries and discards them, one after another.
    pub(crate) fn discard_all(&mut self, entries: impl Iterator<Item = Departure<K, V>>) {
        for left in entries {
            self.leave.tell(&left, &mut self.panics);
            self.leave.discard(left, &mut self.panics);
        }
    }

    /// Tells of entries; those that left as `handed` are returned, the others discarded.
    pub(crate) fn take_all(
        &mut self,
        entries: impl Iterator<Item = Departure<K, V>>,
        handed: Cause,
    ) -> Vec<(K, V)> {
        let mut taken = Vec::with_capacity(entries.size_hint().0);
        for left in entries {
            self.leave.tell(&left, &mut self.panics);
            if left.cause == handed {
                taken.push((left.key, left.value));
            } else {
                self.leave.discard(left, &mut self.panics);
            }
        }
        taken
    }

    /// Lets the first panic go on, if there was one.
    #[inline]
    pub(crate) fn end(self) {
        self.panics.resume();
    }

    /// Returns entries, or drops them and lets the first panic go on.
    pub(crate) fn end_with(mut self, taken: Vec<(K, V)>) -> Vec<(K, V)> {
        if self.panics.go_on() {
            self.panics.drop_pairs(taken);
            self.panics.unwind();
        }
        taken
    }
}
