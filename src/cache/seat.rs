//! A cache's seat in the budget that it shares: what the calls of other caches reach of it.
//!
//! ```text
//! visit      read the clock, open the way out            no lock is held
//! give       lock one shard after another; spare room, what has expired, then victims, down to
//!            the shard's part of what is fair, and further; their room goes back to the budget
//! end        tell the listener, discard                  no lock is held
//! ```
//!
//! The seat refers to the parts of its cache, which may be dropped meanwhile: the shards are
//! empty then, one after another, and give their room back under their locks.

use super::{CachePadded, Shards, lock_at, share, used};
use crate::budget::{Asked, Seat, Standing, Visit};
use crate::cause::Cause;
use crate::clock::Moment;
use crate::expiry::Expiry;
use crate::form::Form;
use crate::leave::Leave;
use crate::leave::outbox::Outbox;
use crate::ledger::Ledger;
use crate::reentry;
use crate::sync::Arc;
use crate::table::Shelves;
use crate::unwind::Panics;

/// What the budget reaches of a cache.
pub(super) struct CacheSeat<K, V, F: Form> {
    pub(super) standing: Arc<Standing>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) shelves: Arc<Shelves<K, V, F>>,
    pub(super) shards: Shards<K, V, F>,
    pub(super) expiry: Arc<Expiry<K, V>>,
    pub(super) leave: Arc<Leave<K, V>>,
}

impl<K, V, F> Seat for CacheSeat<K, V, F>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    F: Form<Policy: Send, Meta: Send + Sync> + 'static,
{
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn weight(&self) -> u64 {
        used(&self.ledger, &self.shards)
    }

    fn is_inside(&self) -> bool {
        let address = Arc::as_ptr(&self.shelves).addr();
        reentry::is_marked(address) || self.shelves.lanes.is_inside()
    }

    fn set_share(&self, fair: u64, panics: &mut Panics) {
        self.ledger.settle();
        self.ledger.set_fair(fair);
        let part = share(fair, self.shards.len());
        for shard in self.shards.iter() {
            let mut locked = shard.lock();
            self.ledger.give_spare(&shard.spare);
            locked.set_share(part, panics);
        }
    }

    fn visit(self: Arc<Self>, under_lock: bool) -> Box<dyn Visit> {
        let blind = !F::TIMED || under_lock && self.expiry.runs_user_code();
        Box::new(Called {
            now: (!blind).then(|| self.expiry.now()),
            outbox: Some(self.leave.outbox()),
            panics: Panics::none(),
            seat: self,
        })
    }
}

/// A call on a cache to give room.
struct Called<K, V, F: Form> {
    seat: Arc<CacheSeat<K, V, F>>,
    /// What time it is, if that could be asked.
    now: Option<Moment>,
    /// What has left, until that is told.
    outbox: Option<Outbox<K, V>>,
    panics: Panics,
}

impl<K, V, F: Form> Called<K, V, F> {
    /// Lets a shard go down to `floor`, each time for a turn.
    fn ask_shard(
        &mut self,
        shard: &CachePadded<K, V, F>,
        floor: u64,
        asked: Asked,
        given: &mut Given,
    ) {
        let Some(out) = &mut self.outbox else { return };
        let ledger = &self.seat.ledger;
        while given.is_short_of(asked) {
            let mut locked = match self.now {
                Some(now) => lock_at(shard, now),
                None => shard.lock(),
            };
            let mut reservation = ledger.reserve();
            reservation.receive(shard.spare.take());
            let (before, evicted) = (locked.len(), locked.departed(Cause::Evicted));
            let still = given.still(asked);
            let more = locked.give_room(floor, still, &mut reservation, out, &mut self.panics);
            given.weight += reservation.weight();
            given.entries += before - locked.len();
            let evicted = locked.departed(Cause::Evicted) - evicted;
            self.seat.standing.evicted(evicted);
            if !more {
                break;
            }
        }
    }
}

/// What a cache has given.
#[derive(Default)]
struct Given {
    weight: u64,
    entries: usize,
}

impl Given {
    fn is_short_of(&self, asked: Asked) -> bool {
        self.weight < asked.weight && self.entries < asked.most
    }

    /// What is still asked for.
    fn still(&self, asked: Asked) -> Asked {
        Asked {
            weight: asked.weight.saturating_sub(self.weight),
            most: asked.most.saturating_sub(self.entries),
            ..asked
        }
    }
}

impl<K, V, F> Visit for Called<K, V, F>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    F: Form<Policy: Send, Meta: Send + Sync> + 'static,
{
    fn seat(&self) -> &dyn Seat {
        &*self.seat
    }

    fn give(&mut self, asked: Asked) -> usize {
        let shards = Arc::clone(&self.seat.shards);
        let fair = share(self.seat.ledger.fair(), shards.len());
        let mut given = Given::default();
        let floors = match asked.dead {
            true => &[u64::MAX][..],
            false => &[fair, fair - fair / 4, 0],
        };
        for &floor in floors {
            for shard in shards.iter() {
                self.ask_shard(shard, floor, asked, &mut given);
            }
        }
        given.entries
    }

    fn end(&mut self) -> Panics {
        self.tell()
    }
}

impl<K, V, F: Form> Called<K, V, F> {
    fn tell(&mut self) -> Panics {
        let mut panics = std::mem::take(&mut self.panics);
        if let Some(outbox) = self.outbox.take() {
            panics.add(self.seat.leave.tell_of(outbox));
        }
        panics
    }
}

impl<K, V, F: Form> Drop for Called<K, V, F> {
    /// What is left when the call that needed room unwinds.
    fn drop(&mut self) {
        self.tell().resume();
    }
}
