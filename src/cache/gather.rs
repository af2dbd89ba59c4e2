//! Gathering: room for an entry whose own shard has not enough.
//!
//! ```text
//! become the one gatherer                            no other thread takes from the ledger now
//! for floor in [share, 3/4 share, 0], and before that one that lets go of the expired alone:
//!     for each shard, the home shard last:
//!         take what is free; done if the reservation covers the need
//!         lock it; take its spare room; it lets go of what has expired, then evicts
//!         down to the floor, at most what is needed; unlock, each time after a turn
//! lock the home shard, place the entry out of the reservation
//! ```
//!
//! Where the budget is shared the other members are asked too (`budget` says in which order),
//! and what they let go is told at the end, after all locks.
//!
//! A value that grew where it lies can't leave its shard's lock before it is paid for. Its call
//! gathers beside that lock: from shards whose locks it gets without waiting, so that two
//! such calls never wait for each other, and into its reservation, where no other call takes.
//! From its own cache alone: it would have to wait for the readers of another, and one of those
//! may be waiting for this shard.
//!
//! Why it ends: a shard once visited with floor 0 is empty, without spare room, and stays so,
//! since it can take no room while this one gathers. After the last pass all there is
//! lies in the reservation or is free, and the entry is no heavier than the capacity. In a
//! shared budget floors may keep the rest: then the second turn is the last, and the entry is refused.

use super::{Cache, lock_at, share};
use crate::budget::{Ask, Others};
use crate::clock::Moment;
use crate::error::Reason;
use crate::flight::Flight;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::outbox::Outbox;
use crate::ledger::Reservation;
use crate::policy::Slot;
use crate::reentry::Mark;
use crate::room::Room;
use crate::shard::{Inserted, Offer, Shard};
use crate::sync::cells::Patience;
use crate::sync::{Arc, Mutex, MutexGuard};
use std::hash::{BuildHasher, Hash};

/// For what room is gathered.
pub(super) struct Wanted<'o, K, V> {
    pub(super) hashed: Hashed,
    /// What is to replace a value, which is spared.
    pub(super) spared: Option<&'o Offer<K, V>>,
    pub(super) need: Room,
    pub(super) now: Moment,
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Makes room for an offer whose own shard cannot, or should not alone, and
    /// places it: for its flight, if it has one. What left other caches is told when the second
    /// that is returned ends.
    ///
    /// The value it replaces is spared; if that one left meanwhile (another
    /// thread took it) a second turn gathers for the whole weight, which always
    /// suffices, unless the members of a shared budget keep too much.
    #[cold]
    #[inline(never)]
    pub(super) fn gather(
        &self,
        hashed: Hashed,
        offer: &mut Offer<K, V>,
        flight: Option<&Arc<Flight<K, V>>>,
        mut need: Room,
        now: Moment,
        out: &mut Outbox<K, V>,
    ) -> (Inserted, Others) {
        let ledger = &self.door.ledger;
        let refuse = |offer: &mut Offer<K, V>, reason: Reason, out: &mut Outbox<K, V>| {
            let mut home = lock_at(self.shard(hashed), now);
            let _mark = Mark::set_in_debug();
            home.refuse_for(flight, offer, reason, ledger, out)
        };
        let Some(mut others) = self.others() else {
            return (refuse(offer, Reason::NoRoom, out), Others::default());
        };
        let gatherer = ledger.gather();
        others.complete(0);
        let mut reservation = gatherer.reserve();
        for spares in [true, false] {
            let wanted = Wanted {
                hashed,
                spared: spares.then_some(&*offer),
                need,
                now,
            };
            self.gather_into(&wanted, &mut reservation, &mut others, out);
            if offer.weight > others.most() {
                break;
            }
            let mut home = lock_at(self.shard(hashed), now);
            let _mark = Mark::set_in_debug();
            match home.insert_for(flight, offer, &mut reservation, out) {
                Inserted::NeedsRoom(_) => need = home.charge(offer.weight),
                placed => return (placed, others),
            }
        }
        let (weight, most) = (offer.weight, others.most());
        let withheld = Reason::Withheld { weight, most };
        (refuse(offer, withheld, out), others)
    }

    /// [`gather`](Self::gather) for a call that has nothing to do before others are told.
    #[cold]
    #[inline(never)]
    pub(super) fn gather_and_tell(
        &self,
        hashed: Hashed,
        offer: &mut Offer<K, V>,
        need: Room,
        now: Moment,
        out: &mut Outbox<K, V>,
    ) -> Inserted {
        let (placed, others) = self.gather(hashed, offer, None, need, now, out);
        others.end().resume();
        placed
    }

    /// The way to the other caches of a budget, if this one shares it; `None` if this thread must
    /// not gather. Called without any lock.
    pub(super) fn others(&self) -> Option<Others> {
        match &self.membership {
            Some(membership) => membership.others(),
            None => Some(Others::default()),
        }
    }

    /// Puts room into the gatherer's reservation, from wherever it is, as much as it lacks.
    pub(super) fn gather_into(
        &self,
        wanted: &Wanted<'_, K, V>,
        reservation: &mut Reservation<'_>,
        others: &mut Others,
        out: &mut Outbox<K, V>,
    ) {
        let share = share(self.fair(), self.shards.len());
        if self.membership.is_some() && !self.gather_beyond(wanted, reservation, others, out) {
            return;
        }
        for floor in floors::<F>(share) {
            self.pass(floor, wanted, reservation, out);
        }
        reservation.take_some(wanted.need);
    }

    /// Puts room into the gatherer's reservation as a member of a budget: it pays itself for what
    /// takes it beyond its fair share, and others pay for the rest. Says whether there is any hope:
    /// if floors and what is reserved leave less than the entry weighs, nothing that lives leaves.
    fn gather_beyond(
        &self,
        wanted: &Wanted<'_, K, V>,
        reservation: &mut Reservation<'_>,
        others: &mut Others,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let need = wanted.need;
        self.pass(u64::MAX, wanted, reservation, out);
        others.gather(Ask::Dead, need, reservation);
        let weight = wanted.spared.map_or(need.weight, |offer| offer.weight);
        if weight > others.most() {
            return false;
        }
        let own = others.own_part(self.door.ledger.weight(), reservation.lacks(need));
        if own > 0 {
            let own = Wanted {
                need: Room {
                    weight: reservation.weight() + own,
                    ..need
                },
                ..*wanted
            };
            for floor in floors::<F>(share(self.fair(), self.shards.len())) {
                self.pass(floor, &own, reservation, out);
            }
        }
        others.gather(Ask::Share, need, reservation);
        others.gather(Ask::Floor, need, reservation);
        true
    }

    /// Lets the shards go down to a floor, one after another, until the reservation covers what is
    /// wanted.
    fn pass(
        &self,
        floor: u64,
        wanted: &Wanted<'_, K, V>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) {
        let (shards, need) = (self.shards.len(), wanted.need);
        let home = wanted.hashed.shard(shards);
        // The home shard comes last: it needs room itself.
        for index in (home + 1..shards).chain(0..=home) {
            let spared = wanted.spared.filter(|_| index == home);
            while !reservation.take_some(need) && need.weight <= self.door.ledger.capacity() {
                let shard = &self.shards[index];
                let mut locked = lock_at(shard, wanted.now);
                let keep = spared.and_then(|offer| self.kept_slot(&locked, offer));
                reservation.receive(shard.spare.take());
                if !locked.yield_room(floor, need, keep, reservation, out) {
                    break;
                }
            }
        }
    }

    /// Puts room of other shards into the reservation of a call that holds its home shard's
    /// lock, as much as `need` lacks, as far as their locks can be had.
    #[cold]
    pub(super) fn gather_beside(
        &self,
        home: usize,
        need: Room,
        now: Moment,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) {
        let shards = self.shards.len();
        let share = share(self.fair(), shards);
        for floor in floors::<F>(share) {
            for index in (home + 1..shards).chain(0..home) {
                let shard = &self.shards[index];
                while !reservation.draw(need) {
                    let Some(mut locked) = try_lock(shard) else {
                        break;
                    };
                    locked.advance_clock(now);
                    reservation.receive(shard.spare.take());
                    if !locked.yield_room(floor, need, None, reservation, out) {
                        break;
                    }
                }
            }
        }
    }

    /// Where the value lies that an offer is to replace.
    fn kept_slot(&self, shard: &Shard<K, V, F>, offer: &Offer<K, V>) -> Option<Slot> {
        let _mark = Mark::set_in_debug();
        shard.slot(offer.tag, |key| offer.has(key))
    }
}

/// Down to what weight each shard lets go of entries, from pass to pass: first, where they have
/// deadlines, of nothing that lives.
fn floors<F: Form>(share: u64) -> impl Iterator<Item = u64> {
    let expired = F::TIMED.then_some(u64::MAX);
    expired.into_iter().chain([share, share - share / 4, 0])
}

/// The lock of a shard, if its holder lets go of it soon.
fn try_lock<K, V, F: Form>(
    shard: &Mutex<Shard<K, V, F>>,
) -> Option<MutexGuard<'_, Shard<K, V, F>>> {
    let mut patience = Patience::default();
    loop {
        match shard.try_lock() {
            None if patience.lasts() => patience.lose(),
            locked => return locked,
        }
    }
}
