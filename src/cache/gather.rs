//! Gathering: room for an entry whose own shard has not enough.
//!
//! ```text
//! become the one gatherer                            no other thread takes from the budget now
//! for floor in [share, 3/4 share, 0]:
//!     for each shard, the home shard last:
//!         take what is free; done if the reservation covers the need
//!         lock it; take its spare room; it lets go of what is past its end, then evicts
//!         down to the floor, at most what is needed; unlock
//! lock the home shard, place the entry out of the reservation
//! ```
//!
//! Why it ends: a shard once visited with floor 0 is empty, without spare room, and stays so,
//! since it can take no room while this one gathers. After the last pass all there is
//! lies in the reservation or is free, and the entry is no heavier than the capacity.

use super::{Cache, lock_at, share};
use crate::budget::Reservation;
use crate::clock::Moment;
use crate::flight::Flight;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::outbox::Outbox;
use crate::policy::Slot;
use crate::reentry::Mark;
use crate::room::Room;
use crate::shard::{Inserted, Offer, Shard};
use crate::sync::Arc;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Makes room for an offer whose own shard cannot, or should not alone, and
    /// places it: for its flight, if it has one.
    ///
    /// The value it replaces is spared; if that one left meanwhile (another
    /// thread took it) a second turn gathers for the whole weight, which always
    /// suffices.
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
    ) -> Inserted {
        let gatherer = self.door.budget.gather();
        let mut reservation = gatherer.reserve();
        let mut spare = true;
        loop {
            let spared = spare.then_some(&*offer);
            self.gather_into(&mut reservation, hashed, spared, need, now, out);
            let mut home = lock_at(self.shard(hashed), now);
            let _mark = Mark::set_in_debug();
            match home.insert_for(flight, offer, &mut reservation, out) {
                Inserted::NeedsRoom(_) => spare = false,
                placed => return placed,
            }
            need = home.charge(offer.weight);
        }
    }

    fn gather_into(
        &self,
        reservation: &mut Reservation<'_>,
        hashed: Hashed,
        spared: Option<&Offer<K, V>>,
        need: Room,
        now: Moment,
        out: &mut Outbox<K, V>,
    ) {
        let shards = self.shards.len();
        let home = hashed.shard(shards);
        let share = share(self.door.budget.capacity(), shards);
        for floor in [share, share - share / 4, 0] {
            // The home shard comes last: it needs room itself.
            for index in (home + 1..shards).chain(0..=home) {
                if reservation.take_some(need) || need.weight > self.door.budget.capacity() {
                    return;
                }
                let shard = &self.shards[index];
                let mut locked = lock_at(shard, now);
                let keep = match spared {
                    Some(offer) if index == home => self.kept_slot(&locked, offer),
                    _ => None,
                };
                reservation.receive(shard.spare.take());
                locked.yield_room(floor, need, keep, reservation, out);
            }
        }
        reservation.take_some(need);
    }

    /// Where the value lies that an offer is to replace.
    fn kept_slot(&self, shard: &Shard<K, V, F>, offer: &Offer<K, V>) -> Option<Slot> {
        let _mark = Mark::set_in_debug();
        shard.slot(offer.tag, |key| offer.has(key))
    }
}
