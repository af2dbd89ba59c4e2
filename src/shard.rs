//! The core: one shard's entries, their order and their weight.
//!
//! The shard is told, not wired: the door above it hashes, weighs, locks and
//! lets go of what left. Here everything happens under the door's
//! lock (or `&mut`), no user code runs but comparing keys and the closures of
//! `change` and `retain`, and nothing is dropped: what leaves goes into the
//! door's outbox.
//!
//! ```text
//! insert(offer): too heavy for the whole capacity?   both old and new leave
//!                key present?  pay the difference, swap the value, touch
//!                else          pay the weight, place the entry, admit it
//! pay(need):     from the hand, else from the budget, else own victims pay;
//!                a shard that holds less than its floor asks the door instead,
//!                which gathers room elsewhere and comes again with a full hand
//! ```
//!
//! Invariants
//! 1. What is held is the sum over the entries of what each was charged, and part of
//!    the budget's `used`: charged before an entry is shown to anyone, given back after
//!    it is taken. Where all weigh 1 that is their number, and nobody counts it again.
//! 2. An entry that is being replaced is never its own victim, and stays
//!    readable until its new value is in.
//! 3. Whatever a policy answers, making room ends: each step evicts an entry or stops.
//!
//! Where entries have lives, `timer` says who is past his end.

mod timer;

pub(crate) use timer::Tally;

use crate::budget::{Budget, Hand};
use crate::cause::{Cause, Times};
use crate::clock::Moment;
use crate::error::{Reason, Updated};
use crate::flight::{Flight, Flights};
use crate::leave::{Leaving, Panic, caught, dropped, first, hand_value};
use crate::outbox::{Departure, Outbox};
use crate::policy::{Meta, Ours, Policy, Residents, Slot, Tag, Touch};
use crate::ring::MOST_LIVE;
use crate::scale::Scale;
use crate::stats::{Counts, Snapshot};
use crate::sync::Arc;
use crate::table::{Entry, Table};
use crate::weight::Room;
use std::mem::ManuallyDrop;

/// An entry on its way in.
pub(crate) struct Offer<K, V> {
    /// The key and the value, until they are in.
    pub(crate) pair: Option<(K, V)>,
    pub(crate) tag: Tag,
    pub(crate) weight: u64,
    /// How long it is to live, in nanoseconds, where entries have lives.
    pub(crate) life: u64,
    /// Leave an older value under the key alone.
    pub(crate) only_if_absent: bool,
    /// It comes from the flight of its key, which must not be detached by it.
    pub(crate) lands: bool,
}

impl<K: Eq, V> Offer<K, V> {
    /// Whether this is its key.
    #[inline]
    pub(crate) fn has(&self, key: &K) -> bool {
        let own = self.pair.as_ref();
        own.is_some_and(|(own, _)| key == own)
    }
}

/// What became of an offer. Key and value stay with the door until they are in,
/// so that whatever panics on the way, it is not dropped under the lock.
pub(crate) enum Placed {
    /// It is in; an older value under its key is in the outbox as `Replaced`.
    Stored(Slot),
    /// It is the last in the outbox, as `Refused` (or `Expired`, if it had no life),
    /// and an older value under its key is there as `Replaced`.
    Refused(Reason),
    /// The key is there, and the offer was only for the case that it is not.
    Present,
    /// Nothing has changed but for victims; room must be gathered first, this
    /// much in all.
    NeedsRoom(Room),
}

/// What became of a value changed in place. The closure's result is not dropped
/// under the lock either.
pub(crate) struct Changed<R> {
    pub(crate) result: Option<R>,
    /// Whether the value stayed.
    pub(crate) stayed: bool,
    /// To go on once the lock is left.
    pub(crate) panic: Option<Panic>,
}

impl<R> Changed<R> {
    /// There was no value to change.
    pub(crate) fn nothing() -> Self {
        Self {
            result: None,
            stayed: false,
            panic: None,
        }
    }

    /// Outside the lock: tells what left, then goes on with the panic or answers.
    pub(crate) fn settle<K, V>(self, leaving: Leaving<'_, K, V>) -> Updated<R> {
        let mut panic = self.panic;
        first(&mut panic, leaving.settle_quietly());
        match hand_value(self.result, || panic) {
            Some(result) if self.stayed => Updated::Kept(result),
            Some(result) => Updated::Refused(result),
            None => Updated::Absent,
        }
    }
}

pub(crate) struct Shard<K, V, P: Policy> {
    table: Table<K, V, P::Meta>,
    policy: P,
    /// What the entries are charged, where they have weights.
    held: Room,
    floor: u64,
    counts: Counts,
    /// The key that `policy` was told of, while room is gathered for it.
    announced: Option<Tag>,
    alone: bool,
    share: u64,
    seed: u64,
    now: Moment,
    to_idle: u64,
    timer: Option<Box<timer::Timer>>,
    /// The keys that are being loaded: of those in the table the stale ones alone.
    pub(crate) flights: Flights<K, V>,
}

impl<K, V, P: Policy> Shard<K, V, P> {
    /// An empty shard whose fair share of the capacity is `share`; `alone` if
    /// there is no other to ask for room. Unused entries end after `to_idle`.
    pub(crate) fn new(share: u64, alone: bool, seed: u64, to_idle: u64) -> Self {
        Self {
            table: Table::new(),
            policy: P::new(share, seed),
            held: Room::NONE,
            floor: floor(share, alone),
            counts: Counts::default(),
            announced: None,
            alone,
            share,
            seed,
            now: 0,
            to_idle,
            timer: None,
            flights: Flights::NONE,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What its entries are charged.
    #[inline]
    fn held(&self) -> Room {
        if P::Meta::WEIGHED {
            return self.held;
        }
        Room {
            weight: Residents::len(&self.table) as u64,
            entries: 0,
        }
    }

    /// More, or less, is held from now on.
    #[inline]
    fn hold(&mut self, more: Room) {
        if P::Meta::WEIGHED {
            self.held = self.held.plus(more);
        }
    }

    #[inline]
    fn release(&mut self, less: Room) {
        if P::Meta::WEIGHED {
            self.held = self.held.minus(less);
        }
    }

    /// The weight that its entries are charged.
    pub(crate) fn weight(&self) -> u64 {
        self.held().weight
    }

    /// An entry by its key, without touching it, if it is not past its end at `now`.
    #[inline]
    pub(crate) fn peek(
        &self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
        now: Moment,
    ) -> Option<&Entry<K, V, P::Meta>> {
        let found = self.table.find(tag, is);
        found.filter(|entry| !timer::is_past(&entry.meta, now))
    }

    /// A hit or a miss.
    #[inline]
    pub(crate) fn get(
        &mut self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
    ) -> Option<&Entry<K, V, P::Meta>> {
        match P::TOUCH {
            Touch::Mark => match self.table.find_mut(tag, is) {
                Some(entry) if !timer::is_past(&entry.meta, self.now) => {
                    P::mark(&mut entry.meta);
                    Self::use_of(&mut entry.meta, self.now, self.to_idle);
                    self.counts.hit();
                    Some(entry)
                }
                _ => {
                    self.counts.missed();
                    None
                }
            },
            Touch::Order => {
                let slot = self.look_up(tag, is)?;
                self.table.get(slot)
            }
        }
    }

    /// Finds a key, touches its entry and counts the hit or the miss.
    #[inline]
    pub(crate) fn look_up(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let Some(slot) = self.slot(tag, is) else {
            self.counts.missed();
            return None;
        };
        self.touch(slot);
        self.used(slot);
        self.counts.hit();
        Some(slot)
    }

    pub(crate) fn entry(&self, slot: Slot) -> Option<&Entry<K, V, P::Meta>> {
        self.table.get(slot)
    }

    pub(crate) fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V, P::Meta>> {
        self.table.get_mut(slot)
    }

    /// Puts an offer in, if there is room.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        offer: &mut Offer<K, V>,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) -> Placed
    where
        K: Eq,
    {
        self.work(hand.budget(), out);
        if self.flights.are_flying() {
            self.make_way(offer);
        }
        if self.table.is_due() || self.table.len() >= MOST_LIVE {
            self.prepare(hand, out);
        }
        let budget = hand.budget();
        let (tag, weight) = (offer.tag, weight_of::<K, V, P>(offer));
        if !fits(weight, budget) || self.is_lifeless(offer.life) {
            return self.refuse(offer, budget, out);
        }
        let is = |key: &K| offer.has(key);
        let found = match self.table.slot_or_place(tag, is) {
            Ok(slot) => match self.unless_past(Some(slot), budget, out) {
                Some(slot) => Ok(slot),
                None => self.table.slot_or_place(tag, is),
            },
            Err(place) => Err(place),
        };
        match found {
            Ok(_) if offer.only_if_absent => Placed::Present,
            Ok(slot) => self.replace(slot, weight, offer, hand, out),
            Err(place) => {
                let Some((key, value)) = offer.pair.take() else {
                    return Placed::Present;
                };
                // Before anything is written: an atomic change waits until all that was
                // written has reached the processor's cache.
                hand.draw(charge::<P>(weight));
                let mut meta = P::Meta::default();
                meta.set_weight(weight, Ours);
                timer::set_endless(&mut meta);
                let slot = place.place(Entry {
                    tag,
                    meta,
                    key,
                    value,
                });
                let unpaid = Unpaid {
                    shard: self,
                    slot,
                    offer,
                };
                unpaid.pay(hand, out)
            }
        }
    }

    /// The same for an offer that a flight has loaded, if it comes from one: then
    /// the flight is taken out once that is done, or, if it was detached meanwhile, the
    /// offer is left alone.
    #[inline(never)]
    pub(crate) fn insert_for(
        &mut self,
        flight: Option<&Arc<Flight<K, V>>>,
        offer: &mut Offer<K, V>,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) -> Placed
    where
        K: Eq,
    {
        let tag = offer.tag;
        if flight.is_some_and(|flight| !self.flights.has(tag, flight)) {
            return Placed::Present;
        }
        let placed = self.insert(offer, hand, out);
        if let (Some(flight), false) = (flight, matches!(placed, Placed::NeedsRoom(_))) {
            self.flights.remove(tag, flight);
        }
        placed
    }

    /// Detaches the flight of a key that someone else writes: not one that only would
    /// have, had the key not been there.
    #[cold]
    #[inline(never)]
    fn make_way(&mut self, offered: &Offer<K, V>)
    where
        K: Eq,
    {
        let is = |key: &K| offered.has(key);
        let writes = !offered.only_if_absent || self.slot(offered.tag, is).is_none();
        if writes && !offered.lands {
            self.flights.detach(offered.tag, is);
        }
    }

    /// Before a place is looked for: there must be one.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, hand: &mut Hand<'_>, out: &mut Outbox<K, V>) {
        if self.table.len() >= MOST_LIVE {
            if let Some(room) = self.evict_one(None, out) {
                hand.receive(room);
            }
        }
        if self.table.is_due() {
            self.table.rebuild();
            self.policy.moved(&mut self.table);
        }
    }

    /// The entry in `slot` is paid for: counts it and gives it its place in the order.
    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, paid: Room, life: u64) {
        self.table.paid();
        self.hold(paid);
        self.counts.entered(counted::<P>(paid.weight));
        self.begin(slot, life, true);
        self.policy.admit(slot, tag, &mut self.table);
    }

    /// Tells the policy who is about to come; not again when the door comes back
    /// with the room it gathered.
    #[inline]
    fn announce(&mut self, tag: Tag, weight: u64) {
        if self.announced.is_none() || self.announced.take() != Some(tag) {
            self.policy.miss(tag, weight);
        }
    }

    fn replace(
        &mut self,
        slot: Slot,
        weight: u64,
        offer: &mut Offer<K, V>,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) -> Placed {
        let before = self.weight_at(slot);
        if !self.reweigh(slot, weight, self.floor, hand, out) {
            return Placed::NeedsRoom(Room {
                weight: weight - before,
                entries: 0,
            });
        }
        self.counts.left(counted::<P>(before), Cause::Replaced);
        self.counts.entered(counted::<P>(weight));
        let times = self.part_replaced(slot);
        if let (Some(entry), Some((key, value))) = (self.table.get_mut(slot), offer.pair.take()) {
            let old = std::mem::replace(&mut entry.value, value);
            out.put(key, old, Cause::Replaced, times);
            self.begin(slot, offer.life, false);
        }
        self.reordered(slot, before, weight);
        self.touch(slot);
        Placed::Stored(slot)
    }

    #[cold]
    fn refuse(&mut self, offer: &mut Offer<K, V>, budget: &Budget, out: &mut Outbox<K, V>) -> Placed
    where
        K: Eq,
    {
        let slot = self.table.slot(offer.tag, |key| offer.has(key));
        let slot = self.unless_past(slot, budget, out);
        if slot.is_some() && offer.only_if_absent {
            return Placed::Present;
        }
        if let Some(slot) = slot {
            self.leave(slot, Cause::Replaced, budget, out);
        }
        let Some((key, value)) = offer.pair.take() else {
            return Placed::Present;
        };
        let (cause, reason) = if fits(offer.weight, budget) {
            (Cause::Expired, Reason::NoLife)
        } else {
            let weight = offer.weight;
            let capacity = budget.capacity();
            (Cause::Refused, Reason::TooHeavy { weight, capacity })
        };
        self.counts.refused_outright(cause);
        out.keep(key, value, cause, Times::of_refused(cause));
        Placed::Refused(reason)
    }

    /// Changes what the entry in `slot` is charged; says whether there was room
    /// for it with own victims paying down to `floor`.
    fn reweigh(
        &mut self,
        slot: Slot,
        after: u64,
        floor: u64,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let before = self.weight_at(slot);
        if !P::Meta::WEIGHED || before == after {
            return true;
        }
        let room = |weight| Room { weight, entries: 0 };
        if after > before {
            let need = room(after - before);
            if !hand.complete(need) && !self.collect(need, floor, Some(slot), hand, out) {
                return false;
            }
            hand.pay(need);
            self.hold(need);
        } else {
            self.release(room(before - after));
            hand.budget().give(room(before - after));
        }
        if let Some(entry) = self.table.get_mut(slot) {
            entry.meta.set_weight(after, Ours);
        }
        true
    }

    /// Tells the policy of a weight that has changed.
    fn reordered(&mut self, slot: Slot, before: u64, after: u64) {
        if before != after {
            self.policy.reweighed(slot, before, &mut self.table);
        }
    }

    /// Own victims pay for an entry that needs this much. In a cache of entries that
    /// weigh alike one victim's room is the newcomer's: no hand touches it.
    #[inline(always)]
    fn settle(&mut self, need: Room, hand: &mut Hand<'_>, out: &mut Outbox<K, V>) -> bool {
        if let Some(room) = self.evict(None, out) {
            if hand.is_empty() && (!P::Meta::WEIGHED || room == need) {
                return true;
            }
            hand.receive(room);
        }
        self.settle_by_more(need, hand, out)
    }

    /// The same, if one victim was not just right.
    #[inline(never)]
    fn settle_by_more(&mut self, need: Room, hand: &mut Hand<'_>, out: &mut Outbox<K, V>) -> bool {
        let settled = hand.complete(need) || self.collect(need, self.floor, None, hand, out);
        if settled {
            hand.pay(need);
        }
        settled
    }

    /// Own victims pay for what the budget has not free, as long as this shard holds
    /// more than `floor`; says whether the hand covers `need` now.
    fn collect(
        &mut self,
        need: Room,
        floor: u64,
        keep: Option<Slot>,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        while self.may_pay(floor) {
            if !self.expire_one(keep, hand, out) {
                let Some(room) = self.evict_one(keep, out) else {
                    break;
                };
                hand.receive(room);
            }
            if hand.complete(need) {
                return true;
            }
        }
        // Others may have given room back since; or all there is was evicted.
        hand.complete(need)
    }

    /// Whether this shard's own victims pay for room, down to `floor`. Entries
    /// may weigh 0, so with a floor of 0 all of them do.
    #[inline]
    fn may_pay(&self, floor: u64) -> bool {
        floor == 0 || self.held().weight > floor
    }

    /// Evicts for someone else, down to `floor`, until the hand covers `need`.
    pub(crate) fn yield_room(
        &mut self,
        floor: u64,
        need: Room,
        keep: Option<Slot>,
        hand: &mut Hand<'_>,
        out: &mut Outbox<K, V>,
    ) {
        while !hand.covers(need) && self.expire_one(keep, hand, out) {}
        while !hand.covers(need) && self.may_pay(floor) {
            let Some(room) = self.evict_one(keep, out) else {
                break;
            };
            hand.receive(room);
        }
    }

    /// Evicts at most `most` entries while the budget is over a lowered
    /// capacity and this shard over `floor`; says whether it may go on.
    ///
    /// A policy that panics is not asked for that victim: the bound comes first,
    /// and the panic is kept for later.
    pub(crate) fn work_off(
        &mut self,
        floor: u64,
        most: usize,
        budget: &Budget,
        out: &mut Outbox<K, V>,
        panic: &mut Option<Panic>,
    ) -> usize {
        for gone in 0..most {
            if !budget.is_over() || !self.may_pay(floor) {
                return gone;
            }
            let due = caught(|| self.expire_one(None, &mut budget.hand(), out));
            if !matches!(due, Ok(false)) {
                first(panic, due.err());
                continue;
            }
            let asked = caught(|| self.evict_one(None, out));
            let evicted = asked.unwrap_or_else(|stopped| {
                first(panic, Some(stopped));
                self.evict_unasked(out)
            });
            let Some(room) = evicted else {
                return gone;
            };
            budget.give(room);
        }
        most
    }

    /// Evicts one entry without a word to the policy; its room, if there was one.
    #[cold]
    fn evict_unasked(&mut self, out: &mut Outbox<K, V>) -> Option<Room> {
        let slot = self.table.slot_from(0, None)?;
        let entry = self.table.take(slot)?;
        let (cause, times) = timer::parted(&entry.meta, Cause::Evicted, self.now);
        Some(self.left(entry, cause, times, out))
    }

    /// Hands out the entries of a shard that will not be used again.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = Departure<K, V>> + use<K, V, P> {
        let now = self.now;
        let left = move |entry| timer::departed(entry, Cause::CacheDropped, now);
        self.table.empty().map(left)
    }

    /// Evicts one entry, but never `keep`; its room, if there was one.
    #[inline(always)]
    fn evict(&mut self, keep: Option<Slot>, out: &mut Outbox<K, V>) -> Option<Room> {
        let named = self.policy.victim(&mut self.table);
        if let Some(slot) = named {
            if named != keep && !self.table.is_unpaid(slot) {
                if let Some(room) = self.unlink(slot, Cause::Evicted, out) {
                    return Some(room);
                }
            }
        }
        self.evict_another(named, keep, out)
    }

    /// The same, for callers in no haste.
    #[inline(never)]
    fn evict_one(&mut self, keep: Option<Slot>, out: &mut Outbox<K, V>) -> Option<Room> {
        self.evict(keep, out)
    }

    /// The same, when the policy has named the entry to keep, or nothing that exists.
    #[cold]
    #[inline(never)]
    fn evict_another(
        &mut self,
        named: Option<Slot>,
        keep: Option<Slot>,
        out: &mut Outbox<K, V>,
    ) -> Option<Room> {
        let slot = self.other_victim(named, keep)?;
        self.unlink(slot, Cause::Evicted, out)
    }

    /// Asks the policy once more, then chooses for it.
    fn other_victim(&mut self, named: Option<Slot>, keep: Option<Slot>) -> Option<Slot> {
        self.readmit(named, keep);
        if keep.is_some() && self.table.len() > 1 {
            let again = self.policy.victim(&mut self.table);
            let slot = again.filter(|&slot| again != keep && self.table.get(slot).is_some());
            if slot.is_some() {
                return slot;
            }
            self.readmit(again, keep);
        }
        self.seed = self.seed.wrapping_add(0x9E37_79B9);
        let slot = self.table.slot_from(self.seed as usize, keep)?;
        self.policy.forget(slot, &mut self.table);
        Some(slot)
    }

    fn readmit(&mut self, named: Option<Slot>, keep: Option<Slot>) {
        if let (Some(slot), true) = (named, named == keep) {
            if let Some(entry) = self.table.get(slot) {
                self.policy.admit(slot, entry.tag, &mut self.table);
            }
        }
    }

    #[inline]
    pub(crate) fn touch(&mut self, slot: Slot) {
        match P::TOUCH {
            Touch::Mark => {
                if let Some(entry) = self.table.get_mut(slot) {
                    P::mark(&mut entry.meta);
                }
            }
            Touch::Order => self.policy.touch(slot, &mut self.table),
        }
    }

    fn weight_at(&self, slot: Slot) -> u64 {
        self.table
            .get(slot)
            .map_or(0, |entry| entry.meta.weight(Ours))
    }

    /// The slot of a key, to be changed or taken by the calls below.
    #[inline]
    pub(crate) fn slot(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let slot = self.table.slot(tag, is)?;
        if P::Meta::TIMED && self.is_past(self.table.get(slot)?) {
            return None;
        }
        Some(slot)
    }

    /// The same before a write: does some due work first, and an entry that is
    /// past its end leaves.
    #[inline]
    pub(crate) fn claim(
        &mut self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
        budget: &Budget,
        out: &mut Outbox<K, V>,
    ) -> Option<Slot> {
        self.work(budget, out);
        let slot = self.table.slot(tag, is);
        self.unless_past(slot, budget, out)
    }

    /// Takes the entry in `slot` out, by no choice of the policy.
    pub(crate) fn leave(
        &mut self,
        slot: Slot,
        cause: Cause,
        budget: &Budget,
        out: &mut Outbox<K, V>,
    ) {
        self.policy.forget(slot, &mut self.table);
        if let Some(room) = self.unlink(slot, cause, out) {
            budget.give(room);
        }
    }

    /// Moves an entry, if there is one, from the table to the outbox; returns
    /// what it was charged.
    #[inline]
    fn unlink(&mut self, slot: Slot, cause: Cause, out: &mut Outbox<K, V>) -> Option<Room> {
        let meta = &self.table.get(slot)?.meta;
        let (cause, times) = timer::parted(meta, cause, self.now);
        let weight = meta.weight(Ours);
        if cause == Cause::Evicted && P::was_hit(meta) == Some(false) {
            self.counts.evicted_unhit();
        }
        if !P::Meta::TIMED && out.forgets(cause) {
            self.table.forget(slot);
            return Some(self.without(weight, cause));
        }
        let entry = self.table.take(slot)?;
        Some(self.left(entry, cause, times, out))
    }

    /// Counts an entry that was taken out; what it was charged.
    #[inline]
    fn left(
        &mut self,
        entry: Entry<K, V, P::Meta>,
        cause: Cause,
        times: Times,
        out: &mut Outbox<K, V>,
    ) -> Room {
        let room = self.without(entry.meta.weight(Ours), cause);
        self.part(&entry.meta, times);
        out.put(entry.key, entry.value, cause, times);
        room
    }

    /// An entry of this weight is held no more; what it was charged.
    #[inline]
    fn without(&mut self, weight: u64, cause: Cause) -> Room {
        let room = charge::<P>(weight);
        self.release(room);
        self.counts.left(counted::<P>(weight), cause);
        room
    }

    /// Runs a closure on the value in `slot` and charges what it weighs then,
    /// whatever panics on the way; a panic is returned, to go on after the lock.
    ///
    /// A value that finds no room, or that the weigher panics on, leaves as refused.
    pub(crate) fn change<R>(
        &mut self,
        slot: Slot,
        scale: &Scale<K, V>,
        budget: &Budget,
        change: impl FnOnce(&K, &mut V) -> R,
        out: &mut Outbox<K, V>,
    ) -> Changed<R> {
        let mut changed = Changed::nothing();
        let Some(entry) = self.table.get_mut(slot) else {
            return changed;
        };
        match caught(|| change(&entry.key, &mut entry.value)) {
            Ok(result) => changed.result = Some(result),
            Err(panic) => changed.panic = Some(panic),
        }
        let weight = caught(|| scale.weigh::<P>(&entry.key, &entry.value));
        // The policy is asked here: its panic waits as well.
        let settled = caught(|| {
            let stayed = match &weight {
                Ok(weight) => self.recharge(slot, *weight, budget, out),
                Err(_) => false,
            };
            if !stayed {
                self.leave(slot, Cause::Refused, budget, out);
            }
            stayed
        });
        first(&mut changed.panic, weight.err());
        match settled {
            Ok(stayed) => changed.stayed = stayed,
            Err(panic) => first(&mut changed.panic, Some(panic)),
        }
        changed
    }

    /// Charges a value's new weight, if there is room for it.
    fn recharge(
        &mut self,
        slot: Slot,
        after: u64,
        budget: &Budget,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let before = self.weight_at(slot);
        // All of this shard may pay: the closure's caller cannot wait for others.
        let fits = fits(after, budget) && self.reweigh(slot, after, 0, &mut budget.hand(), out);
        if fits && before != after {
            self.counts.reweighed(before, after);
            self.reordered(slot, before, after);
        }
        fits
    }

    /// Calls `keep` for every entry, until one panics: entries for which it
    /// answers `false` leave as removed, the others are charged what they weigh then.
    /// What is being loaded can't be asked about: it is not stored.
    pub(crate) fn retain(
        &mut self,
        scale: &Scale<K, V>,
        budget: &Budget,
        keep: &mut impl FnMut(&K, &mut V) -> bool,
        out: &mut Outbox<K, V>,
    ) -> Option<Panic> {
        self.flights.detach_all();
        for slot in self.table.every_slot() {
            if self.unless_past(Some(slot), budget, out).is_none() {
                continue;
            }
            let Some(entry) = self.table.get_mut(slot) else {
                continue;
            };
            let kept = caught(|| keep(&entry.key, &mut entry.value));
            if let Ok(false) = kept {
                self.leave(slot, Cause::Removed, budget, out);
                continue;
            }
            let mut panic = kept.err();
            first(
                &mut panic,
                self.change(slot, scale, budget, |_, _| (), out).panic,
            );
            if panic.is_some() {
                return panic;
            }
        }
        None
    }

    /// The entries that are not past their end at `now`.
    pub(crate) fn iter(&self, now: Moment) -> impl Iterator<Item = (&K, &V)> {
        let live = move |entry: &&Entry<K, V, P::Meta>| !timer::is_past(&entry.meta, now);
        let entries = self.table.iter().filter(live);
        entries.map(|entry| (&entry.key, &entry.value))
    }

    /// Empties the shard; hands out its entries, already counted as `cause`. Those
    /// past their end come out as expired: to be told of by `recount`.
    pub(crate) fn empty(
        &mut self,
        cause: Cause,
        budget: &Budget,
        panic: &mut Option<Panic>,
    ) -> impl Iterator<Item = Departure<K, V>> + use<K, V, P> {
        let before = std::mem::replace(&mut self.policy, P::new(self.share, self.seed));
        self.announced = None;
        self.flights.detach_all();
        let entries = self.table.len() as u64;
        let held = self.held();
        self.held = Room::NONE;
        let now = self.now;
        let taken = self.table.empty();
        self.forget_all_ends();
        self.counts
            .left_at_once(entries, counted::<P>(held.weight), cause);
        budget.give(held);
        first(panic, dropped(before));
        taken.map(move |entry| timer::departed(entry, cause, now))
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.table.shrink_to_fit();
        self.policy.moved(&mut self.table);
        self.shrink_timer();
        self.policy.shrink_to_fit(&mut self.table);
    }

    /// Sets the fair share of a new capacity; a panic of the policy is kept for later.
    pub(crate) fn set_share(&mut self, share: u64, panic: &mut Option<Panic>) {
        self.share = share;
        self.floor = floor(share, self.alone);
        first(panic, caught(|| self.policy.resized(share)).err());
    }

    /// This shard's statistics, with its fair share as the capacity.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.counts.snapshot();
        snapshot.len = self.table.len() as u64;
        snapshot.weight = self.weight();
        if !P::Meta::WEIGHED {
            snapshot.weight_in = self.counts.entries_in();
            snapshot.weight_out = snapshot.weight_in - snapshot.weight;
        }
        snapshot.capacity = self.share;
        snapshot.lateness = self.lateness();
        snapshot.lives = self.lives();
        snapshot.loaded = self.flights.loaded().cloned().unwrap_or_default();
        snapshot
    }

    /// Proves the invariants from scratch; returns what the entries are charged.
    pub(crate) fn check(&mut self) -> Room {
        self.table.check();
        self.flights.check();
        self.policy.check(&mut self.table);
        self.check_timer();
        let charges = self
            .table
            .iter()
            .map(|entry| charge::<P>(entry.meta.weight(Ours)));
        let sum = charges.fold(Room::NONE, Room::plus);
        assert_eq!(
            sum,
            self.held(),
            "the sum of the entries' weights and what is held"
        );
        let counts = self.snapshot();
        let left: u64 = Cause::ALL
            .iter()
            .map(|&cause| counts.departures(cause))
            .sum();
        assert_eq!(
            counts.inserts() - left,
            self.table.len() as u64,
            "counts and entries"
        );
        let weight = counts.weight_in().wrapping_sub(counts.weight_out());
        assert_eq!(weight, self.weight(), "weight counted and held");
        sum
    }
}

/// An entry in the table that is not yet paid for, and not yet shown to the policy.
///
/// It is placed first, since that takes one search for key and place, and so that
/// its memory is on its way while room is made. Whatever keeps it from being
/// paid for, a panic too, it goes back into the offer. Nobody sees it before:
/// the lock is held.
struct Unpaid<'a, K, V, P: Policy> {
    shard: &'a mut Shard<K, V, P>,
    slot: Slot,
    offer: &'a mut Offer<K, V>,
}

impl<K, V, P: Policy> Unpaid<'_, K, V, P> {
    #[inline]
    fn pay(self, hand: &mut Hand<'_>, out: &mut Outbox<K, V>) -> Placed {
        let (tag, weight) = (self.offer.tag, weight_of::<K, V, P>(self.offer));
        let need = charge::<P>(weight);
        let shard = &mut *self.shard;
        let free = hand.covers(need) || shard.expire_for(need, hand, out);
        if !free && !shard.may_pay(shard.floor) {
            return Placed::NeedsRoom(need);
        }
        shard.announce(tag, weight);
        // Asked before room is paid, which a panic would lose.
        let is_ghost = shard.policy.missed_a_ghost();
        if free {
            hand.pay(need);
        } else if !shard.settle(need, hand, out) {
            shard.announced = Some(tag);
            return Placed::NeedsRoom(need);
        }
        if is_ghost {
            shard.counts.ghost_hit();
        }
        let (slot, life) = (self.slot, self.offer.life);
        let mut paid = ManuallyDrop::new(self);
        paid.shard.admit(slot, tag, need, life);
        Placed::Stored(slot)
    }
}

impl<K, V, P: Policy> Drop for Unpaid<'_, K, V, P> {
    fn drop(&mut self) {
        if let Some(entry) = self.shard.table.take(self.slot) {
            self.offer.pair = Some((entry.key, entry.value));
        }
        self.shard.table.paid();
    }
}

/// Whether an entry of this weight may be resident at all.
#[inline]
fn fits(weight: u64, budget: &Budget) -> bool {
    let capacity = budget.capacity();
    weight <= capacity && capacity > 0
}

/// What an entry weighs, where entries have weights; else 1.
#[inline]
fn weight_of<K, V, P: Policy>(offer: &Offer<K, V>) -> u64 {
    if P::Meta::WEIGHED { offer.weight } else { 1 }
}

/// What is counted of a weight: where all weigh 1, nothing, as entries are counted.
#[inline]
fn counted<P: Policy>(weight: u64) -> u64 {
    if P::Meta::WEIGHED { weight } else { 0 }
}

/// What an entry of this weight is charged.
#[inline]
fn charge<P: Policy>(weight: u64) -> Room {
    Room {
        weight,
        entries: u64::from(P::Meta::WEIGHED),
    }
}

/// Below this weight a shard lets others pay for room: three quarters of its
/// share. Above it, its own victims pay, without a word to anyone.
fn floor(share: u64, alone: bool) -> u64 {
    if alone { 0 } else { share - share / 4 }
}
