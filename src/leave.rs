//! The single way out: tell the listener of every departure, then hand over
//! what the caller asked for, then drop the rest; in that order, outside all locks.
//!
//! The shard counted the departures when it unlinked them, so the statistics
//! are right whatever happens here.
//!
//! Invariants
//! 1. Every departure is told exactly once, also when the call that caused it
//!    unwinds: [`Leaving`] tells the rest when it is dropped.
//! 2. A panic of the listener or of a value's `Drop` keeps nobody else from
//!    being told and dropped. The first such panic goes on to the caller
//!    afterwards; while already unwinding it is caught and counted.

use crate::cause::{Cause, Departed, Listener};
use crate::error::{Reason, Refused};
use crate::outbox::{Departure, Outbox};
use crate::sync::{AtomicU64, Ordering};
use crate::unwind::{Panics, after_dropping};
use std::mem::needs_drop;

pub(crate) struct Leave<K, V> {
    listener: Option<Listener<K, V>>,
    panics: AtomicU64,
}

impl<K, V> Leave<K, V> {
    pub(crate) fn new(listener: Option<Listener<K, V>>) -> Self {
        Self {
            listener,
            panics: AtomicU64::new(0),
        }
    }

    /// Panics of the listener so far.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// An empty outbox that is sure to be emptied. Open it before the lock.
    #[inline]
    pub(crate) fn open(&self) -> Leaving<'_, K, V> {
        Leaving {
            leave: self,
            outbox: Outbox::new(self.is_silent()),
            told: false,
        }
    }

    /// Lets go of many entries at once.
    pub(crate) fn all(&self, entries: impl Iterator<Item = Departure<K, V>>) -> Panics {
        let mut panics = Panics::none();
        for left in entries {
            self.tell(&left, &mut panics);
            discard(left, &mut panics);
        }
        panics
    }

    /// Tells of entries that left and hands over those that left as `handed`;
    /// the others are dropped. If the listener panics, or something did before,
    /// all are dropped and the panic goes on.
    pub(crate) fn hand_over_all(
        &self,
        entries: impl Iterator<Item = Departure<K, V>>,
        handed: Cause,
        mut panics: Panics,
    ) -> Vec<(K, V)> {
        let mut handed_over = Vec::with_capacity(entries.size_hint().0);
        for left in entries {
            self.tell(&left, &mut panics);
            if left.cause == handed {
                handed_over.push((left.key, left.value));
            } else {
                discard(left, &mut panics);
            }
        }
        if panics.go_on() {
            panics.drop_pairs(handed_over);
            panics.unwind();
        }
        handed_over
    }

    /// Whether letting go of an entry runs any code of the user.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.listener.is_none() && !needs_drop::<(K, V)>()
    }

    /// Whether anybody listens.
    pub(crate) fn listens(&self) -> bool {
        self.listener.is_some()
    }

    fn tell(&self, left: &Departure<K, V>, panics: &mut Panics) {
        let Some(listener) = &self.listener else {
            return;
        };
        let departed = Departed {
            key: &left.key,
            value: &left.value,
            cause: left.cause,
            late: left.times.late(),
            lived: left.times.lived(),
        };
        if panics.run(|| listener(departed)).is_none() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Drops a departure, key and value apart, so that a panic of one spares the other.
#[inline]
fn discard<K, V>(left: Departure<K, V>, panics: &mut Panics) {
    panics.drop_pair(left.key, left.value);
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

    /// Tells of everything, hands over the departure with cause `handed`, drops
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

    /// The same, when user code is to run.
    #[inline(never)]
    fn hand_over_aloud(&mut self, handed: Cause) -> Option<Departure<K, V>> {
        let mut panics = self.tell();
        let departure = self.outbox.hand_over(handed);
        self.discard(&mut panics);
        if panics.go_on() {
            departure
                .into_iter()
                .for_each(|left| discard(left, &mut panics));
            panics.unwind();
        }
        departure
    }

    /// The same, of which only the value is wanted: the key is dropped.
    #[inline]
    pub(crate) fn hand_over_value(&mut self, handed: Cause) -> Option<V> {
        let Departure { key, value, .. } = self.hand_over(handed)?;
        Some(after_dropping(key, value))
    }

    /// Tells of a refusal and of the older value that left with it; hands both
    /// back. What was refused is what was put last into the outbox.
    #[cold]
    #[inline(never)]
    pub(crate) fn hand_back(mut self, reason: Reason) -> Result<Option<V>, Refused<K, V>> {
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
                .for_each(|left| discard(left, &mut panics));
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

    /// Tells of everything and drops it.
    pub(crate) fn settle_quietly(mut self) -> Panics {
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

    /// Drops what is left.
    #[inline]
    fn discard(&mut self, panics: &mut Panics) {
        while let Some(left) = self.outbox.pop() {
            discard(left, panics);
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
