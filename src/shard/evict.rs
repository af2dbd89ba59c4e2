//! Making room: evicting this shard's entries, for its own insert or for another shard's.
//!
//! ```text
//! pay(need):     from the reservation, else from the ledger, else by evicting entries of
//!                this shard; a shard that holds less than its floor asks the door instead,
//!                which gathers room elsewhere and comes again with enough reserved
//! ```
//!
//! Whatever a policy answers, making room ends: each step evicts an entry or stops. An
//! entry that is being replaced (`keep`), and one that is not yet paid for, is no victim.

use super::change::Closed;
use super::{A_PART, A_TURN, Peers, Shard, deadline, fits};
use crate::budget::Asked;
use crate::cause::Cause;
use crate::form::{Form, extra::Extra};
use crate::leave::outbox::Outbox;
use crate::ledger::{Ledger, Reservation};
use crate::policy::{Policy, Slot};
use crate::room::Room;
use crate::unwind::Panics;

/// What asking for the next victim comes to.
pub(crate) enum Victim {
    /// It is in the outbox, as evicted.
    Found,
    Nobody,
    /// What has expired left first, and there may be more of that: ask again.
    Later,
}

/// Victims that are hidden one after another. When this is dropped, which a panic of the policy
/// brings about too, their readers are waited for once, and they leave.
struct Batch<'a, 'b, K, V, F: Form> {
    shard: &'a mut Shard<K, V, F>,
    reservation: &'a mut Reservation<'b>,
    out: &'a mut Outbox<K, V>,
    /// What they are charged.
    room: Room,
}

impl<K, V, F: Form> Batch<'_, '_, K, V, F> {
    /// Whether there is not enough yet, and the shard holds more than `floor` beside them.
    fn goes_on(&self, enough: Room, floor: u64) -> bool {
        let hidden = if F::WEIGHED { self.room.weight } else { 0 };
        let held = self.shard.held().weight - hidden;
        (floor == 0 || held > floor) && !self.reservation.would_cover(enough, self.room)
    }

    /// Hides what the policy names, but never `keep`: if it names nothing else, another. Says
    /// whether there was one.
    fn add(&mut self, keep: Option<Slot>) -> bool {
        let shard = &mut *self.shard;
        let named = shard.policy.victim(&mut shard.table);
        if named.is_some_and(|slot| named != keep && self.hide(slot)) {
            return true;
        }
        let other = self.shard.other_victim(named, keep);
        other.is_some_and(|slot| self.hide(slot))
    }

    fn hide(&mut self, slot: Slot) -> bool {
        let Some(entry) = self.shard.table.hide(slot) else {
            return false;
        };
        let weight = entry.extra().weight();
        self.room = self.room.plus(self.shard.charge(weight));
        true
    }
}

impl<K, V, F: Form> Drop for Batch<'_, '_, K, V, F> {
    fn drop(&mut self) {
        while let Some(room) = self.shard.evict_hidden(self.out) {
            self.reservation.receive(room);
        }
    }
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// Evicts until an entry that needs this much is paid for. In a cache of entries that
    /// weigh alike one victim's room is the newcomer's: it passes through no reservation.
    #[inline(always)]
    pub(super) fn evict_for(
        &mut self,
        need: Room,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let most = match reservation.most_spare() {
            Room::NONE => 1,
            _ => self.table.batch(),
        };
        if most > 1 {
            self.evict_ahead(most, need, reservation, out);
        } else if let Some(room) = self.evict(None, out) {
            if !F::WEIGHED || room == need {
                return true;
            }
            reservation.receive(room);
        }
        self.evict_more_for(need, reservation, out)
    }

    /// Evicts a batch for an entry that needs this much and for the shard's next ones.
    #[inline(never)]
    fn evict_ahead(
        &mut self,
        most: usize,
        need: Room,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) {
        let most = most.min(1 + self.table.len() / A_PART as usize);
        let enough = need.plus(reservation.most_spare());
        self.evict_batch(
            most,
            (enough, self.floor(reservation.ledger())),
            None,
            reservation,
            out,
        );
    }

    /// Completes `evict_for` when one victim's room is not exactly what is needed.
    #[inline(never)]
    pub(super) fn evict_more_for(
        &mut self,
        need: Room,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let paid = reservation.take_all(need)
            || self.collect(
                need,
                (self.floor(reservation.ledger()), A_TURN),
                None,
                reservation,
                out,
            );
        if paid {
            reservation.pay(need);
        }
        paid
    }

    /// Evicts what the ledger has not free, as long as this shard holds more than `floor`, and
    /// some `most` entries; says whether the reservation covers `need` now.
    pub(super) fn collect(
        &mut self,
        need: Room,
        (floor, most): (u64, usize),
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        self.hear();
        let fewest = self.table.len().saturating_sub(most);
        while self.may_pay(floor) && (self.table.len() > fewest || fewest == 0) {
            if !self.expire_one(keep, reservation, out)
                && !self.evict_some((need, floor), keep, reservation, out)
            {
                break;
            }
            if reservation.take_all(need) {
                return true;
            }
        }
        // Other shards may have given room back since; or all there is was evicted.
        reservation.take_all(need)
    }

    /// Evicts an entry, or where readers must be looked for some more towards what is needed,
    /// down to `floor`; says whether there was one.
    fn evict_some(
        &mut self,
        (need, floor): (Room, u64),
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let most = self.table.batch();
        if most > 1 {
            return self.evict_batch(most, (need, floor), keep, reservation, out);
        }
        let room = self.evict_one(keep, out);
        room.inspect(|&room| reservation.receive(room)).is_some()
    }

    /// Evicts until the reservation covers `enough`, or `most` have left, or this shard holds no
    /// more than `floor`, or the policy names no other entry than the one to keep; says whether
    /// any has left. Readers of all are waited for once.
    fn evict_batch(
        &mut self,
        most: usize,
        (enough, floor): (Room, u64),
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let mut batch = Batch {
            shard: self,
            reservation,
            out,
            room: Room::NONE,
        };
        let mut gone = 0;
        while gone < most && batch.goes_on(enough, floor) && batch.add(keep) {
            gone += 1;
        }
        gone > 0
    }

    /// Whether there is room for an entry that weighs least: reserved now, or an entry's that this
    /// shard may evict; or it is in vain to look for any elsewhere.
    pub(crate) fn has_room_for_one(&mut self, reservation: &mut Reservation<'_>) -> bool {
        self.part.peers == Peers::None
            || reservation.draw(self.charge(1))
            || self.table.len() > 0 && self.may_pay(self.floor(reservation.ledger()))
            || !fits(1, reservation.ledger().capacity())
    }

    /// Whether this shard may evict for room, down to `floor`. Entries may weigh 0, so with a
    /// floor of 0 it may evict all of them.
    #[inline]
    pub(super) fn may_pay(&self, floor: u64) -> bool {
        floor == 0 || self.held().weight > floor
    }

    /// Lets go of what has expired, then evicts down to `floor`, for another shard, until the
    /// reservation covers `need`. After a turn it answers `true`: there may be more.
    pub(crate) fn yield_room(
        &mut self,
        floor: u64,
        need: Room,
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        self.hear();
        let fewest = self.table.len().saturating_sub(A_TURN);
        while !reservation.covers(need) {
            if fewest > 0 && self.table.len() <= fewest {
                return true;
            }
            let gone = self.expire_one(keep, reservation, out)
                || self.may_pay(floor) && self.evict_some((need, floor), keep, reservation, out);
            if !gone {
                break;
            }
        }
        false
    }

    /// Lets go of what has expired, then evicts down to `floor`, for another cache that shares its
    /// budget, until the reservation covers what is asked: nothing that would take its cache below the
    /// least that it keeps. After a turn it answers `true`: there may be more.
    ///
    /// A policy that panics is not asked for that victim, and the panic is kept for later: it is not
    /// one of the cache that needs the room.
    pub(crate) fn give_room(
        &mut self,
        floor: u64,
        asked: Asked,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
        panics: &mut Panics,
    ) -> bool {
        let may_give = self.has_ripe() || !asked.dead && self.may_pay(floor);
        if !may_give || reservation.weight() >= asked.weight {
            return false;
        }
        let mut shard = Closed::new(self);
        panics.run(|| shard.hear());
        for _ in 0..A_TURN.min(asked.most) {
            if reservation.weight() >= asked.weight || shard.table.len() == 0 {
                return false;
            }
            if panics.run(|| shard.expire_one(None, reservation, out)) == Some(true) {
                continue;
            }
            if asked.dead || !shard.may_pay(floor) {
                return false;
            }
            let held = reservation.ledger().weight() - reservation.weight();
            let most = held.saturating_sub(asked.least);
            let evicted = panics.run(|| shard.evict_within(most, out));
            let Some(room) = evicted.unwrap_or_else(|| shard.evict_unasked(out)) else {
                return false;
            };
            reservation.receive(room);
        }
        true
    }

    /// Evicts one entry, unless the one that the policy names weighs more than `most`; its room, if
    /// there was one.
    fn evict_within(&mut self, most: u64, out: &mut Outbox<K, V>) -> Option<Room> {
        let named = self.policy.victim(&mut self.table);
        let named = named.filter(|&slot| self.table.get(slot).is_some());
        let slot = named.or_else(|| self.other_victim(None, None))?;
        if self.weight_at(slot) > most {
            self.readmit(Some(slot), Some(slot));
            return None;
        }
        self.unlink(slot, Cause::Evicted, out)
    }

    /// Lets go of at most `most` entries while the ledger is over a lowered capacity: of what has
    /// expired, then, while this shard is over `floor`, of others; says how many. Readers wait meanwhile.
    ///
    /// A policy that panics is not asked for that victim: the bound comes first,
    /// and the panic is kept for later.
    pub(crate) fn evict_over_capacity(
        &mut self,
        floor: u64,
        most: usize,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
        panics: &mut Panics,
    ) -> usize {
        let mut shard = Closed::new(self);
        panics.run(|| shard.hear());
        for gone in 0..most {
            if !ledger.is_over() {
                return gone;
            }
            let due = panics.run(|| shard.expire_one(None, &mut ledger.reserve(), out));
            if due != Some(false) {
                continue;
            }
            if !shard.may_pay(floor) {
                return gone;
            }
            let asked = panics.run(|| shard.evict_one(None, out));
            let evicted = asked.unwrap_or_else(|| shard.evict_unasked(out));
            let Some(room) = evicted else {
                return gone;
            };
            ledger.give(room);
        }
        most
    }

    /// Lets go of what has expired, then takes out the entry that the policy names next, for a caller
    /// who is handed it. One that is named though it has expired leaves as such. After a turn it
    /// answers [`Victim::Later`].
    pub(crate) fn evict_next(&mut self, ledger: &Ledger, out: &mut Outbox<K, V>) -> Victim {
        self.hear();
        let mut reservation = ledger.reserve();
        for _ in 0..A_TURN {
            if self.expire_one(None, &mut reservation, out) {
                continue;
            }
            if self.table.len() == 0 {
                return Victim::Nobody;
            }
            let before = self.counts.departed(Cause::Evicted);
            let Some(room) = self.evict_one(None, out) else {
                return Victim::Nobody;
            };
            reservation.receive(room);
            if self.counts.departed(Cause::Evicted) > before {
                return Victim::Found;
            }
        }
        Victim::Later
    }

    /// Evicts some entry without asking the policy, which has just panicked; its room, if
    /// there was one.
    #[cold]
    pub(super) fn evict_unasked(&mut self, out: &mut Outbox<K, V>) -> Option<Room> {
        let slot = self.table.slot_from(0, None)?;
        let entry = self.table.take(slot)?;
        let (cause, times) = deadline::cause_and_times(&entry.extra, Cause::Evicted, self.now);
        Some(self.depart(entry, cause, times, out))
    }

    /// Evicts one entry, but never `keep`; its room, if there was one.
    #[inline(always)]
    pub(super) fn evict(&mut self, keep: Option<Slot>, out: &mut Outbox<K, V>) -> Option<Room> {
        let named = self.policy.victim(&mut self.table);
        if let Some(slot) = named {
            if named != keep {
                if let Some(room) = self.unlink(slot, Cause::Evicted, out) {
                    return Some(room);
                }
            }
        }
        self.evict_another(named, keep, out)
    }

    /// `evict`, not inlined.
    #[inline(never)]
    pub(super) fn evict_one(&mut self, keep: Option<Slot>, out: &mut Outbox<K, V>) -> Option<Room> {
        self.evict(keep, out)
    }

    /// Completes `evict` when the policy has named the entry to keep, or no entry.
    #[cold]
    #[inline(never)]
    pub(super) fn evict_another(
        &mut self,
        named: Option<Slot>,
        keep: Option<Slot>,
        out: &mut Outbox<K, V>,
    ) -> Option<Room> {
        let slot = self.other_victim(named, keep)?;
        self.unlink(slot, Cause::Evicted, out)
    }

    /// Asks the policy once more, then chooses for it.
    pub(super) fn other_victim(&mut self, named: Option<Slot>, keep: Option<Slot>) -> Option<Slot> {
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

    /// Puts the entry to keep into the order again, if the policy has named it.
    pub(super) fn readmit(&mut self, named: Option<Slot>, keep: Option<Slot>) {
        if let (Some(slot), true) = (named, named == keep) {
            if let Some(entry) = self.table.get(slot) {
                let tag = entry.tag();
                self.policy.admit(slot, tag, &mut self.table);
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::super::{Inserted, Offer, Part};
    use super::*;
    use crate::clock::FOREVER;
    use crate::form::Weighed;
    use crate::lanes::Lanes;
    use crate::policy::{Fifo, Seed, Tag};
    use crate::stats::Origin;
    use crate::sync::Arc;
    use crate::table::Shelves;

    const CAPACITY: u64 = 10_000;

    fn insert(
        shard: &mut Shard<u64, u64, Weighed<Fifo>>,
        reservation: &mut Reservation<'_>,
        (key, weight): (u64, u64),
    ) -> (Inserted, usize) {
        let mut offer = Offer {
            tag: Tag::of(key),
            pair: Some((key, key)),
            weight,
            life: FOREVER,
            keeps_life: false,
            only_if_absent: false,
            lands: false,
            origin: Origin::default(),
            line: None,
        };
        let before = shard.len();
        let placed = shard.insert(&mut offer, reservation, &mut Outbox::new(true));
        (placed, before - shard.len().min(before))
    }

    /// One insert for which 9,000 light entries must leave lets go of the lock in between.
    #[test]
    fn an_entry_is_made_room_for_turn_by_turn() {
        let shelves = Arc::new(Shelves::new(1, Lanes::none()));
        let part = Part {
            share: CAPACITY,
            peers: Peers::None,
            limits_entries: false,
            admits_heavy: true,
        };
        let ledger = Ledger::new(CAPACITY, None);
        let mut shard = Shard::new(shelves, 0, part, Seed::default(), (FOREVER, false));
        for key in 0..CAPACITY {
            let (placed, _) = insert(&mut shard, &mut ledger.reserve(), (key, 1));
            assert!(matches!(placed, Inserted::Stored(_)));
        }
        let gatherer = ledger.gather();
        let mut reservation = gatherer.reserve();
        let (heavy, mut turns) = ((CAPACITY, 9_000), 0);
        let need = Room {
            weight: 9_000,
            entries: 0,
        };
        loop {
            let (placed, gone) = insert(&mut shard, &mut reservation, heavy);
            assert!(gone <= A_TURN + 1, "{gone} in one turn");
            turns += 1;
            if matches!(placed, Inserted::Stored(_)) {
                break;
            }
            let out = &mut Outbox::new(true);
            let before = shard.len();
            shard.yield_room(0, need, None, &mut reservation, out);
            assert!(before - shard.len() <= A_TURN, "a turn of a gatherer");
        }
        assert!(turns > 9_000 / (2 * A_TURN + 1), "{turns} turns");
        assert_eq!(shard.len(), 1_001);
        drop(reservation);
        assert_eq!(ledger.weight(), CAPACITY);
        assert_eq!(shard.check().weight, CAPACITY);
    }
}
