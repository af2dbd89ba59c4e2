//! The way in: an offer is refused, takes an older value's place, or becomes an entry.
//!
//! ```text
//! insert(offer): too heavy for the whole capacity?   both old and new leave
//!                key present?  pay the difference, swap the value, touch
//!                else          place the entry, pay the weight, admit it
//! ```
//!
//! Key and value stay with the door until the entry is in, so that nothing is dropped under
//! the lock, whatever panics on the way.

use super::{A_TURN, Means, Shard, counted, deadline, fits};
use crate::cause::{Cause, Times};
use crate::error::Reason;
use crate::flight::Flight;
use crate::form::{Form, extra::Extra};
use crate::lanes::What;
use crate::leave::outbox::Outbox;
use crate::ledger::{Ledger, Reservation};
use crate::policy::MOST_LIVE;
use crate::policy::{Policy, Slot, Tag};
use crate::room::Room;
use crate::stats::{Line, Origin};
use crate::sync::Arc;
use crate::table::Owned;
use std::mem::ManuallyDrop;

/// An entry on its way in.
pub(crate) struct Offer<K, V> {
    /// The key and the value, until they are in.
    pub(crate) pair: Option<(K, V)>,
    pub(crate) tag: Tag,
    pub(crate) weight: u64,
    /// How long it is to live, in nanoseconds, where entries have deadlines.
    pub(crate) life: u64,
    /// Whether it is to live as long as the value that it replaces, if there is one.
    pub(crate) keeps_life: bool,
    /// Whether an older value under the key stays.
    pub(crate) only_if_absent: bool,
    /// Whether it comes from the flight of its key, which it must not detach.
    pub(crate) lands: bool,
    /// Where it comes from, without the number of its line.
    pub(crate) origin: Origin,
    /// The line of code that offers it, if that is recorded.
    pub(crate) line: Option<Line>,
}

impl<K: Eq, V> Offer<K, V> {
    /// Whether this is its key.
    #[inline]
    pub(crate) fn has(&self, key: &K) -> bool {
        let own = self.pair.as_ref();
        own.is_some_and(|(own, _)| key == own)
    }
}

/// What became of an offer.
pub(crate) enum Inserted {
    /// It is in; an older value under its key is in the outbox as `Replaced`.
    Stored(Slot),
    /// It is the last in the outbox, as `Refused` (or `Expired`, if its time to live is zero),
    /// and an older value under its key is there as `Replaced`.
    Refused(Reason),
    /// It was left alone: its key is there and it was only for the case that it is not, or its
    /// flight was detached.
    Present,
    /// Nothing has changed but for victims; room must be gathered first, this
    /// much in all.
    NeedsRoom(Room),
}

/// So many times the mean weight a newcomer may weigh for each time it was asked for, where others must
/// leave for it.
///
/// On real traces without heavy objects 64 costs no hits, in a study of them 16 cost 0.01 points and 8 cost 0.1.
const HEAVY: u64 = 64;
/// A shard of fewer entries lets all in: what is the mean of so few?
const TELLING: u64 = 8;
/// Who was asked for so often is let in whatever it weighs.
const OFTEN: u32 = 7;

impl<K, V, F: Form> Shard<K, V, F> {
    /// Puts an offer in, if there is room.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        offer: &mut Offer<K, V>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        self.policy.prefetch(offer.tag);
        self.hear_before(offer.tag);
        self.expire_some(reservation.ledger(), out);
        if self.flights.are_flying() {
            self.detach_written(offer);
        }
        if self.table.needs_rebuild() || self.table.len() >= MOST_LIVE {
            self.prepare(reservation, out);
        }
        let ledger = reservation.ledger();
        let (tag, weight) = (offer.tag, weight_of::<K, V, F>(offer));
        let capacity = ledger.capacity();
        if !fits(weight, capacity) {
            return self.refuse(offer, Reason::TooHeavy { weight, capacity }, ledger, out);
        }
        if self.is_lifeless(offer.life) && !offer.keeps_life {
            return self.refuse(offer, Reason::ZeroTtl, ledger, out);
        }
        let (need, origin) = (self.charge(weight), self.origin(offer));
        let is = |key: &K| offer.has(key);
        let found = match self.table.slot_or_vacant(tag, is) {
            Ok(slot) => match self.unless_expired(Some(slot), ledger, out) {
                Some(slot) => Ok(slot),
                None => self.table.slot_or_vacant(tag, is),
            },
            Err(vacant) => Err(vacant),
        };
        match found {
            Ok(_) if offer.only_if_absent => Inserted::Present,
            Ok(slot) => self.replace(slot, weight, offer, reservation, out),
            Err(vacant) => {
                let Some((key, value)) = offer.pair.take() else {
                    return Inserted::Present;
                };
                // This comes before anything is written: an atomic change waits until all that
                // was written has reached the processor's cache.
                reservation.draw(need);
                let extra = F::Extra::default();
                extra.set_weight(weight);
                deadline::set_endless(&extra);
                extra.set_origin(origin);
                let slot = vacant.fill(Owned::new(tag, extra, key, value));
                let unpaid = Unpaid {
                    shard: self,
                    slot,
                    offer,
                };
                match unpaid.pay(need, reservation, out) {
                    Inserted::Refused(reason) if F::WEIGHED => {
                        self.refuse(offer, reason, reservation.ledger(), out)
                    }
                    placed => placed,
                }
            }
        }
    }

    /// Puts in an offer that a flight has loaded, if it comes from one: then the flight is
    /// taken out once that is done, or, if it was detached meanwhile, the
    /// offer is left alone.
    #[inline(never)]
    pub(crate) fn insert_for(
        &mut self,
        flight: Option<&Arc<Flight<K, V>>>,
        offer: &mut Offer<K, V>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        let tag = offer.tag;
        if flight.is_some_and(|flight| !self.flights.has(tag, flight)) {
            self.flights.loads().unstored();
            return Inserted::Present;
        }
        let placed = self.insert(offer, reservation, out);
        if let (Some(flight), false) = (flight, matches!(placed, Inserted::NeedsRoom(_))) {
            self.flights.remove(tag, flight);
        }
        placed
    }

    /// Refuses an offer for which there is no room, as [`insert_for`](Self::insert_for) does one
    /// that is too heavy.
    #[cold]
    pub(crate) fn refuse_for(
        &mut self,
        flight: Option<&Arc<Flight<K, V>>>,
        offer: &mut Offer<K, V>,
        reason: Reason,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        let tag = offer.tag;
        if flight.is_some_and(|flight| !self.flights.has(tag, flight)) {
            self.flights.loads().unstored();
            return Inserted::Present;
        }
        let refused = self.refuse(offer, reason, ledger, out);
        if let Some(flight) = flight {
            self.flights.remove(tag, flight);
        }
        refused
    }

    /// Detaches the flight of a key that is written by another call, unless that call only
    /// writes where the key is not there, and it is.
    #[cold]
    #[inline(never)]
    pub(super) fn detach_written(&mut self, offered: &Offer<K, V>)
    where
        K: Eq,
    {
        let is = |key: &K| offered.has(key);
        let writes = !offered.only_if_absent || self.slot(offered.tag, is).is_none();
        if writes && !offered.lands {
            self.flights.detach(offered.tag, is);
        }
    }

    /// Makes sure that the table has a free slot.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare(&mut self, reservation: &mut Reservation<'_>, out: &mut Outbox<K, V>) {
        if self.table.len() >= MOST_LIVE {
            if let Some(room) = self.evict_one(None, out) {
                reservation.receive(room);
            }
        }
        if self.table.needs_rebuild() {
            self.table.rebuild(self.likely_full());
            self.policy.moved(&mut self.table);
        }
    }

    /// How many entries there are likely to be when this shard is full.
    fn likely_full(&self) -> usize {
        let (live, held) = (self.table.len() as u128, self.weight().max(1));
        (u128::from(self.part.share) * live / u128::from(held)).min(MOST_LIVE as u128) as usize
    }

    /// The entry in `slot` is paid for: counts it and gives it its place in the order.
    #[inline]
    pub(super) fn admit(&mut self, slot: Slot, tag: Tag, paid: Room, life: u64) {
        self.table.paid(tag);
        self.hold(paid);
        self.counts.entered(counted::<F>(paid.weight));
        self.count_in(slot, paid.weight);
        self.set_deadlines(slot, life);
        self.sample(What::Stored, tag, paid.weight, life);
        self.policy.admit(slot, tag, &mut self.table);
    }

    /// Announces to the policy a key that is about to be admitted; not again when the door
    /// comes back with the room it gathered.
    #[inline]
    pub(super) fn announce(&mut self, tag: Tag, weight: u64) {
        if self.announced.is_none() || self.announced.take() != Some(tag) {
            self.policy.announce(tag, weight);
        }
    }

    /// Whether a newcomer for which others would have to leave is far heavier than they are, and was not
    /// asked for often enough: then what the most is that it could weigh.
    #[inline]
    fn outweighs(&mut self, tag: Tag, need: Room, reservation: &Reservation<'_>) -> Option<u64> {
        let live = self.table.len() as u64;
        let is_heavy = need.weight.saturating_mul(live) > self.held.weight.saturating_mul(HEAVY);
        if !is_heavy || live < TELLING || self.part.admits_heavy {
            return None;
        }
        self.most_for(tag, need, reservation)
    }

    #[cold]
    #[inline(never)]
    fn most_for(&mut self, tag: Tag, need: Room, reservation: &Reservation<'_>) -> Option<u64> {
        // Another call may be gathering what is free.
        if reservation.ledger().has(need) {
            return None;
        }
        self.announce(tag, need.weight);
        self.announced = Some(tag);
        let asked = self.policy.asked(tag).filter(|&asked| asked < OFTEN)?;
        let mean = self.held.weight as f64 / self.table.len() as f64;
        let most = (mean * HEAVY as f64 * f64::from(asked.max(1))) as u64;
        let refused = need.weight > most;
        if refused {
            self.announced = None;
        }
        refused.then_some(most)
    }

    /// Where an offer comes from, with the number of its line.
    #[inline]
    pub(super) fn origin(&mut self, offer: &Offer<K, V>) -> Origin {
        let mut origin = offer.origin;
        if let (Some(flows), Some(line)) = (self.flows(), offer.line) {
            origin.line = flows.line(line);
        }
        origin
    }

    pub(super) fn replace(
        &mut self,
        slot: Slot,
        weight: u64,
        offer: &mut Offer<K, V>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> Inserted {
        let before = self.weight_at(slot);
        if !self.reweigh(
            slot,
            weight,
            (self.floor(reservation.ledger()), A_TURN),
            reservation,
            out,
        ) {
            return Inserted::NeedsRoom(Room {
                weight: weight - before,
                entries: 0,
            });
        }
        self.counts.left(counted::<F>(before), Cause::Replaced);
        self.counts.entered(counted::<F>(weight));
        let (from, origin) = (self.origin_at(slot), self.origin(offer));
        if let Some(flows) = self.flows() {
            flows.left(from, before, Cause::Replaced);
        }
        let times = self.times_of_replaced(slot);
        if let Some((key, value)) = offer.pair.take() {
            // Readers see the new value with its own deadlines.
            let (now, to_idle) = (self.now, self.to_idle);
            if let Some(mut still) = self.table.still(slot) {
                let old = std::mem::replace(still.pair().1, value);
                let life = match F::AGED && offer.keeps_life {
                    true => deadline::life_of(still.extra()),
                    false => offer.life,
                };
                Self::stamp_deadlines(still.extra(), life, now, to_idle);
                still.extra().set_origin(origin);
                drop(still);
                out.put(key, old, before, Cause::Replaced, times);
            }
            self.schedule(slot);
        }
        self.count_in(slot, weight);
        self.sample(What::Replaced, offer.tag, weight, offer.life);
        self.reordered(slot, before, weight);
        self.touch(slot);
        Inserted::Stored(slot)
    }

    /// Takes out an older value too: what was decided once is told, though the capacity may change
    /// meanwhile.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        offer: &mut Offer<K, V>,
        reason: Reason,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        let slot = self.table.slot(offer.tag, |key| offer.has(key));
        let slot = self.unless_expired(slot, ledger, out);
        if slot.is_some() && offer.only_if_absent {
            return Inserted::Present;
        }
        if let Some(slot) = slot {
            self.remove(slot, Cause::Replaced, ledger, out);
        }
        let Some((key, value)) = offer.pair.take() else {
            return Inserted::Present;
        };
        let cause = match reason {
            Reason::ZeroTtl => Cause::Expired,
            Reason::TooHeavy { .. }
            | Reason::Heavy { .. }
            | Reason::NoRoom
            | Reason::Withheld { .. } => Cause::Refused,
        };
        let origin = self.origin(offer);
        self.refuse_pair((key, value), origin, cause, out);
        Inserted::Refused(reason)
    }

    /// Counts a pair that is not stored, and puts it into the outbox.
    pub(super) fn refuse_pair(
        &mut self,
        (key, value): (K, V),
        origin: Origin,
        cause: Cause,
        out: &mut Outbox<K, V>,
    ) {
        self.counts.refused_outright(cause);
        if let Some(flows) = self.flows() {
            flows.refused(origin, cause);
        }
        out.keep(key, value, 0, cause, Times::of_refused(cause));
    }

    /// Puts an offer in without letting go of the lock, whatever that takes: room of its own
    /// shard down to its floor, then of others, then all of its own. What finds none is refused.
    pub(super) fn insert_now(
        &mut self,
        offer: &mut Offer<K, V>,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        let need = match self.insert(offer, means.reservation, out) {
            Inserted::NeedsRoom(need) => need,
            placed => return placed,
        };
        if offer.weight > means.reservation.ledger().reach() {
            let ledger = means.reservation.ledger();
            return self.refuse(offer, Reason::NoRoom, ledger, out);
        }
        (means.elsewhere)(need, means.reservation, out);
        if !means.reservation.take_all(need) {
            let replaced = self.slot(offer.tag, |key| offer.has(key));
            self.collect(need, (0, usize::MAX), replaced, means.reservation, out);
        }
        match self.insert(offer, means.reservation, out) {
            Inserted::NeedsRoom(_) => {
                self.refuse(offer, Reason::NoRoom, means.reservation.ledger(), out)
            }
            placed => placed,
        }
    }
}

/// An entry in the table that is not yet paid for, and not yet shown to anybody.
///
/// It is put there first, since that takes one search for key and slot, and so that
/// its memory is on its way while room is made. If anything keeps it from being
/// paid for, a panic too, it goes back into the offer.
struct Unpaid<'a, K, V, F: Form> {
    shard: &'a mut Shard<K, V, F>,
    slot: Slot,
    offer: &'a mut Offer<K, V>,
}

impl<K, V, F: Form> Unpaid<'_, K, V, F> {
    #[inline]
    fn pay(
        self,
        need: Room,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> Inserted {
        let tag = self.offer.tag;
        let shard = &mut *self.shard;
        let free = reservation.covers(need) || shard.expire_for(need, reservation, out);
        if F::WEIGHED && !free {
            if let Some(most) = shard.outweighs(tag, need, reservation) {
                let weight = need.weight;
                return Inserted::Refused(Reason::Heavy { weight, most });
            }
        }
        // What has expired goes first, also where that takes more than a turn.
        if !free
            && (!shard.may_pay(shard.floor(reservation.ledger())) || F::TIMED && shard.has_ripe())
        {
            return Inserted::NeedsRoom(need);
        }
        shard.announce(tag, need.weight);
        // This is asked before room is paid, which a panic would lose.
        let is_ghost = shard.policy.hit_a_ghost();
        if free {
            reservation.pay(need);
        } else if !shard.evict_for(need, reservation, out) {
            shard.announced = Some(tag);
            return Inserted::NeedsRoom(need);
        }
        if is_ghost {
            shard.counts.ghost_hit();
        }
        let (slot, life) = (self.slot, self.offer.life);
        let mut paid = ManuallyDrop::new(self);
        paid.shard.admit(slot, tag, need, life);
        Inserted::Stored(slot)
    }
}

impl<K, V, F: Form> Drop for Unpaid<'_, K, V, F> {
    fn drop(&mut self) {
        if let Some(entry) = self.shard.table.take_unpaid() {
            let (key, value, _) = entry.into_parts();
            self.offer.pair = Some((key, value));
        }
    }
}

/// What an entry weighs: 1 where entries have no weights.
#[inline]
fn weight_of<K, V, F: Form>(offer: &Offer<K, V>) -> u64 {
    if F::WEIGHED { offer.weight } else { 1 }
}
