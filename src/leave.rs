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

use crate::cause::{Cause, Departed, Listener, Times};
use crate::error::{Reason, Refused};
use crate::outbox::{Departure, Outbox};
use crate::sync::{AtomicU64, Ordering, panicking};
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a caught panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

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

    /// Lets go of many entries at once; returns the first panic, if any.
    pub(crate) fn all(&self, entries: impl Iterator<Item = Departure<K, V>>) -> Option<Panic> {
        let mut panic = None;
        for left in entries {
            first(&mut panic, self.tell(&left));
            first(&mut panic, discard(left));
        }
        panic
    }

    /// Tells of entries that left and hands over those that left as `handed`;
    /// the others are dropped. If the listener panics, or something did before,
    /// all are dropped and the panic goes on.
    pub(crate) fn hand_over_all(
        &self,
        entries: impl Iterator<Item = Departure<K, V>>,
        handed: Cause,
        mut panic: Option<Panic>,
    ) -> Vec<(K, V)> {
        let mut handed_over = Vec::with_capacity(entries.size_hint().0);
        for left in entries {
            first(&mut panic, self.tell(&left));
            if left.cause == handed {
                handed_over.push((left.key, left.value));
            } else {
                first(&mut panic, discard(left));
            }
        }
        if panic.is_some() {
            if !panicking() {
                let second = drop_all(handed_over.drain(..));
                panic = panic.or(second);
            }
            go_on(panic);
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

    fn tell(&self, left: &Departure<K, V>) -> Option<Panic> {
        let listener = self.listener.as_ref()?;
        let departed = Departed {
            key: &left.key,
            value: &left.value,
            cause: left.cause,
            late: left.times.late(),
            lived: left.times.lived(),
        };
        let told = || listener(departed);
        let panic = catch_unwind(AssertUnwindSafe(told)).err()?;
        self.panics.fetch_add(1, Ordering::Relaxed);
        Some(panic)
    }
}

/// Keeps the first panic; a later one's payload is let go of quietly.
pub(crate) fn first(kept: &mut Option<Panic>, new: Option<Panic>) {
    match new {
        Some(panic) if kept.is_none() => *kept = Some(panic),
        Some(panic) => silence(panic),
        None => {}
    }
}

/// Drops a departure, key and value apart, so that a panic of one spares the other.
fn discard<K, V>(Departure { key, value, .. }: Departure<K, V>) -> Option<Panic> {
    let mut panic = None;
    if needs_drop::<V>() {
        first(&mut panic, dropped(value));
    }
    if needs_drop::<K>() {
        first(&mut panic, dropped(key));
    }
    panic
}

/// Drops entries one by one; returns the first panic.
pub(crate) fn drop_all<K, V>(entries: impl Iterator<Item = (K, V)>) -> Option<Panic> {
    let mut panic = None;
    for (key, value) in entries {
        let left = Departure {
            key,
            value,
            cause: Cause::Removed,
            times: Times::UNKNOWN,
        };
        first(&mut panic, discard(left));
    }
    panic
}

/// Drops the payload of a panic that goes nowhere, which could itself panic.
pub(crate) fn silence(panic: Panic) {
    if let Some(again) = dropped(panic) {
        std::mem::forget(again);
    }
}

/// Drops a value; returns its panic, if any.
#[inline]
pub(crate) fn dropped<T>(value: T) -> Option<Panic> {
    if !needs_drop::<T>() {
        return None;
    }
    catch_unwind(AssertUnwindSafe(|| drop(value))).err()
}

/// Runs user code that must not stop what follows.
pub(crate) fn caught<R>(run: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(run))
}

/// Goes on with a caught panic, unless the thread is unwinding already.
pub(crate) fn go_on(panic: Option<Panic>) {
    if let Some(panic) = panic {
        if panicking() {
            silence(panic);
        } else {
            resume_unwind(panic);
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
        let panic = self.tell();
        let departure = self.outbox.hand_over(handed);
        let panic = self.discard(panic);
        hand(departure, panic, |departure| departure.and_then(discard))
    }

    /// The same, of which only the value is wanted: the key is dropped.
    #[inline]
    pub(crate) fn hand_over_value(&mut self, handed: Cause) -> Option<V> {
        let Departure { key, value, .. } = self.hand_over(handed)?;
        Some(hand_value(value, || dropped(key)))
    }

    /// Tells of a refusal and of the older value that left with it; hands both
    /// back. What was refused is what was put last into the outbox.
    #[cold]
    #[inline(never)]
    pub(crate) fn hand_back(mut self, reason: Reason) -> Result<Option<V>, Refused<K, V>> {
        let panic = self.tell();
        let refused = self.outbox.pop();
        let old = self.outbox.hand_over(Cause::Replaced);
        let mut panic = self.discard(panic);
        let old = old.map(|Departure { key, value, .. }| {
            first(&mut panic, dropped(key));
            value
        });
        let (old, refused) = hand((old, refused), panic, |(old, refused)| {
            let panic = dropped(old);
            panic.or(refused.and_then(discard))
        });
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

    /// Tells of everything and drops it; the first panic is returned.
    pub(crate) fn settle_quietly(mut self) -> Option<Panic> {
        self.empty()
    }

    /// Tells of everything; leaves it in the outbox to be handed over.
    #[inline]
    fn tell(&mut self) -> Option<Panic> {
        let mut panic = None;
        if !self.told && self.leave.listens() {
            for left in self.outbox.iter() {
                first(&mut panic, self.leave.tell(left));
            }
        }
        self.told = true;
        panic
    }

    /// Drops what is left, after `panic`.
    #[inline]
    fn discard(&mut self, mut panic: Option<Panic>) -> Option<Panic> {
        while let Some(left) = self.outbox.pop() {
            first(&mut panic, discard(left));
        }
        panic
    }

    fn empty(&mut self) -> Option<Panic> {
        let panic = self.tell();
        self.discard(panic)
    }

    /// What is left when the call unwinds.
    #[cold]
    #[inline(never)]
    fn empty_at_last(&mut self) {
        go_on(self.empty());
    }
}

/// Hands something over, unless a panic goes on: then it is let go of first.
#[inline]
fn hand<T>(handed: T, panic: Option<Panic>, let_go: impl FnOnce(T) -> Option<Panic>) -> T {
    match panic {
        None => handed,
        Some(panic) if panicking() => {
            silence(panic);
            handed
        }
        Some(panic) => {
            if let Some(second) = let_go(handed) {
                silence(second);
            }
            resume_unwind(panic)
        }
    }
}

/// Hands a value over after something else was dropped, whatever that does.
#[inline]
pub(crate) fn hand_value<T>(value: T, drop_others: impl FnOnce() -> Option<Panic>) -> T {
    hand(value, drop_others(), dropped)
}

/// Drops a key and a value apart; returns the first panic.
pub(crate) fn drop_apart<K, V>(key: K, value: V) -> Option<Panic> {
    let panic = dropped(value);
    let second = dropped(key);
    panic.or(second)
}

impl<K, V> Drop for Leaving<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        if !self.outbox.is_empty() && !self.leave.is_silent() {
            self.empty_at_last();
        }
    }
}
