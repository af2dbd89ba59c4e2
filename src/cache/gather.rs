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
//! A value that grew where it lies can't leave its shard's lock before it is paid for. Its call
//! gathers beside that lock: from shards whose locks it gets without waiting, so that two
//! such calls never wait for each other, and into its reservation, where no other call takes.
//!
//! Why it ends: a shard once visited with floor 0 is empty, without spare room, and stays so,
//! since it can take no room while this one gathers. After the last pass all there is
//! lies in the reservation or is free, and the entry is no heavier than the capacity.

use super::{Cache, lock_at, share};
use crate::clock::Moment;
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
        let gatherer = self.door.ledger.gather();
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

    /// Puts room into the gatherer's reservation, from wherever it is, as much as `need` lacks.
    pub(super) fn gather_into(
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
        let share = share(self.door.ledger.capacity(), shards);
        for floor in floors::<F>(share) {
            // The home shard comes last: it needs room itself.
            for index in (home + 1..shards).chain(0..=home) {
                let spared = spared.filter(|_| index == home);
                while !reservation.take_some(need) && need.weight <= self.door.ledger.capacity() {
                    let shard = &self.shards[index];
                    let mut locked = lock_at(shard, now);
                    let keep = spared.and_then(|offer| self.kept_slot(&locked, offer));
                    reservation.receive(shard.spare.take());
                    if !locked.yield_room(floor, need, keep, reservation, out) {
                        break;
                    }
                }
            }
        }
        reservation.take_some(need);
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
        let share = share(self.door.ledger.capacity(), shards);
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
