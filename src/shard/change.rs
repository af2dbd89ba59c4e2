//! Changes in place: of a value, and of what it is charged.
//!
//! The closures of `change` and `retain` are the user's, and so is the weigher after
//! them; whatever panics, the entry is charged what it weighs then, or leaves. The panic
//! goes on after the lock.

use super::{Peers, Shard, fits};
use crate::cause::Cause;
use crate::error::Updated;
use crate::form::{Form, extra::Extra};
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::ledger::Reservation;
use crate::policy::{Policy, Slot};
use crate::room::{Room, Scale};
use crate::table::Cursor;
use crate::unwind::Panics;
use std::ops::{Deref, DerefMut};

/// What became of a value changed in place, and the closure's result, which is not dropped
/// under the lock either.
pub(crate) struct Changed<R> {
    pub(crate) result: Option<R>,
    /// Whether the value stayed.
    pub(crate) stayed: bool,
    /// Go on once the lock is left.
    pub(crate) panics: Panics,
}

impl<R> Changed<R> {
    /// There was no value to change.
    pub(crate) fn nothing() -> Self {
        Self {
            result: None,
            stayed: false,
            panics: Panics::none(),
        }
    }

    /// Tells what left, outside the lock, then goes on with the panic or answers.
    pub(crate) fn finish<K, V>(self, leaving: Leaving<'_, K, V>) -> Updated<R> {
        let mut panics = self.panics;
        panics.add(leaving.tell_and_discard());
        match panics.hand(self.result) {
            Some(result) if self.stayed => Updated::Kept(result),
            Some(result) => Updated::Refused(result),
            None => Updated::Absent,
        }
    }
}

/// What pays for a value that grows: a reservation, and what puts room of other shards there,
/// as far as that can be had while this shard's lock is held.
pub(crate) struct Means<'m, 'b, K, V> {
    pub(crate) reservation: &'m mut Reservation<'b>,
    pub(crate) elsewhere: &'m mut Elsewhere<'m, 'b, K, V>,
}

type Elsewhere<'m, 'b, K, V> = dyn FnMut(Room, &mut Reservation<'b>, &mut Outbox<K, V>) + 'm;

/// A shard that nobody reads without its lock, until this is dropped: what changes many entries
/// waits for readers once.
pub(crate) struct Closed<'a, K, V, F: Form>(&'a mut Shard<K, V, F>);

impl<'a, K, V, F: Form> Closed<'a, K, V, F> {
    pub(crate) fn new(shard: &'a mut Shard<K, V, F>) -> Self {
        shard.table.close();
        Self(shard)
    }
}

impl<K, V, F: Form> Deref for Closed<'_, K, V, F> {
    type Target = Shard<K, V, F>;

    fn deref(&self) -> &Shard<K, V, F> {
        self.0
    }
}

impl<K, V, F: Form> DerefMut for Closed<'_, K, V, F> {
    fn deref_mut(&mut self) -> &mut Shard<K, V, F> {
        self.0
    }
}

impl<K, V, F: Form> Drop for Closed<'_, K, V, F> {
    fn drop(&mut self) {
        self.0.table.open();
    }
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// Changes what the entry in `slot` is charged; says whether there was room
    /// for it, with some `most` entries of this shard evicted, down to `floor`.
    pub(super) fn reweigh(
        &mut self,
        slot: Slot,
        after: u64,
        (floor, most): (u64, usize),
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let before = self.weight_at(slot);
        if !F::WEIGHED || before == after {
            return true;
        }
        let room = |weight| Room { weight, entries: 0 };
        if after > before {
            let need = room(after - before);
            if !reservation.take_all(need)
                && !self.collect(need, (floor, most), Some(slot), reservation, out)
            {
                return false;
            }
            reservation.pay(need);
            self.hold(need);
        } else {
            self.release(room(before - after));
            reservation.ledger().give(room(before - after));
        }
        if let Some(entry) = self.table.get(slot) {
            entry.extra().set_weight(after);
        }
        true
    }

    /// Tells the policy of a weight that has changed.
    pub(super) fn reordered(&mut self, slot: Slot, before: u64, after: u64) {
        if before != after {
            self.policy.reweighed(slot, before, &mut self.table);
        }
    }

    /// Runs a closure on the value in `slot` and charges what it weighs then,
    /// whatever panics on the way; a panic is returned, to go on after the lock.
    ///
    /// A value that finds no room, or that the weigher panics on, leaves as refused.
    pub(crate) fn change<R>(
        &mut self,
        slot: Slot,
        scale: &Scale<K, V>,
        change: impl FnOnce(&K, &mut V) -> R,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) -> Changed<R> {
        let mut changed = Changed::nothing();
        let Some(mut still) = self.table.still(slot) else {
            return changed;
        };
        let (key, value) = still.pair();
        let panics = &mut changed.panics;
        changed.result = panics.run(|| change(key, value));
        let weight = panics.run(|| match F::WEIGHED {
            true => scale.weigh(key, value),
            false => 1,
        });
        drop(still);
        // The policy is asked here: its panic waits as well.
        let settled = panics.run(|| {
            let stayed = weight.is_some_and(|weight| self.recharge(slot, weight, means, out));
            if !stayed {
                self.remove(slot, Cause::Refused, means.reservation.ledger(), out);
            }
            stayed
        });
        changed.stayed = settled == Some(true);
        changed
    }

    /// Charges a value's new weight, if there is room for it: its own shard pays down to its
    /// floor, then others, then all of its own.
    fn recharge(
        &mut self,
        slot: Slot,
        after: u64,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let before = self.weight_at(slot);
        let fits = fits(after, means.reservation.ledger().reach())
            && (self.reweigh(
                slot,
                after,
                (self.floor(means.reservation.ledger()), usize::MAX),
                means.reservation,
                out,
            ) || self.part.peers != Peers::None && {
                let weight = after - before;
                (means.elsewhere)(Room { weight, entries: 0 }, means.reservation, out);
                self.reweigh(slot, after, (0, usize::MAX), means.reservation, out)
            });
        if fits && before != after {
            self.counts.reweighed(before, after);
            let origin = self.origin_at(slot);
            if let Some(flows) = self.flows() {
                flows.reweighed(origin, before, after);
            }
            self.reordered(slot, before, after);
        }
        fits
    }

    /// Detaches the flight of an entry's key, if it has one.
    #[inline]
    fn detach_at(&mut self, slot: Slot) {
        if self.flights.are_flying() {
            if let Some(entry) = self.table.get(slot) {
                self.flights.detach_tag(entry.tag());
            }
        }
    }

    /// Makes a step of a walk. Calls `keep` for each entry that it meets, until one panics:
    /// entries for which it answers `false` leave as removed, the others are charged what they
    /// weigh then. Readers wait meanwhile.
    ///
    /// The first step detaches all flights, even if `keep` answers `true` to all that it is shown.
    /// It may be about keys whose old values must not be served any more, and can't be asked of one
    /// that is still being loaded. Each step detaches those of the entries that it meets: what `keep`
    /// changes or takes out must not be overwritten by a refresh, or a computation, that began before,
    /// be it between two steps.
    pub(crate) fn retain(
        &mut self,
        cursor: &mut Cursor,
        scale: &Scale<K, V>,
        keep: &mut impl FnMut(&K, &mut V) -> bool,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) -> Panics {
        if *cursor == Cursor::START {
            self.flights.detach_all();
        }
        let mut shard = Closed::new(self);
        for slot in shard.table.step(cursor) {
            let ledger = means.reservation.ledger();
            if shard.unless_expired(Some(slot), ledger, out).is_none() {
                continue;
            }
            shard.detach_at(slot);
            let Some(mut still) = shard.table.still(slot) else {
                continue;
            };
            let (key, value) = still.pair();
            let mut panics = Panics::none();
            let kept = panics.run(|| keep(key, value));
            drop(still);
            if kept == Some(false) {
                shard.remove(slot, Cause::Removed, means.reservation.ledger(), out);
                continue;
            }
            panics.add(shard.change(slot, scale, |_, _| (), means, out).panics);
            if !panics.is_none() {
                return panics;
            }
        }
        Panics::none()
    }
}
