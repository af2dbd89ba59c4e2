//! `Miniature`: a shard that holds sampled keys by their tags, and nothing of them.
//!
//! Two keys of one tag are one to it: of the few thousand that it holds, some one in 30,000.

use super::{FEW, Model};
use crate::cause::Cause;
use crate::form::Form;
use crate::lanes::{Event, Lanes};
use crate::leave::outbox::Outbox;
use crate::ledger::Ledger;
use crate::shard::{Inserted, Offer, Part, Peers, Shard};
use crate::stats::Origin;
use crate::sync::Arc;
use crate::table::Shelves;
use crate::unwind::Panics;

pub(super) struct Miniature<F: Form> {
    shard: Shard<(), (), F>,
    ledger: Ledger,
}

impl<F: Form> Miniature<F> {
    /// An empty one, of so many halves of the model's capacity, for one key in 2^`halvings`.
    pub(super) fn new(model: &Model, halves: u64, halvings: u32) -> Self {
        let share = model.capacity(halves, halvings);
        let limit = model.entry_limit;
        let limit = limit.map(|limit| Model::part(limit, halves, halvings));
        let part = Part {
            share,
            peers: Peers::None,
            limits_entries: limit.is_some(),
            admits_heavy: model.admits_heavy,
        };
        let shelves = Arc::new(Shelves::new(1, Lanes::none()));
        Self {
            shard: Shard::new(shelves, 0, part, model.seed, (model.to_idle, false)),
            ledger: Ledger::alone(share, limit),
        }
    }

    /// Looks a key up, and touches it; says whether it is there.
    pub(super) fn looks_up(&mut self, event: Event) -> bool {
        self.shard.advance_clock(event.now);
        self.shard.look_up(event.tag, |()| true).is_some()
    }

    /// Stores a key, or does so if it is absent.
    pub(super) fn stores(&mut self, event: Event, only_if_absent: bool) {
        self.shard.advance_clock(event.now);
        let mut offer = Offer {
            pair: Some(((), ())),
            tag: event.tag,
            weight: event.weight,
            life: event.life,
            keeps_life: false,
            only_if_absent,
            lands: false,
            origin: Origin::default(),
            line: None,
        };
        let (out, mut reservation) = (&mut Outbox::new(true), self.ledger.reserve());
        // A heavy one may take turns, each of which evicts.
        while let Inserted::NeedsRoom(_) = self.shard.insert(&mut offer, &mut reservation, out) {}
    }

    pub(super) fn removes(&mut self, event: Event) {
        self.shard.advance_clock(event.now);
        if let Some(slot) = self.shard.slot(event.tag, |()| true) {
            let out = &mut Outbox::new(true);
            self.shard.remove(slot, Cause::Removed, &self.ledger, out);
        }
    }

    /// Sets its capacity; evicts what no longer fits. A panic of the policy goes on when that
    /// is done.
    pub(super) fn resizes(&mut self, capacity: u64) {
        let mut panics = Panics::none();
        let (ledger, out) = (&self.ledger, &mut Outbox::new(true));
        ledger.set_capacity(capacity);
        self.shard.set_share(capacity, &mut panics);
        self.shard
            .evict_over_capacity(0, usize::MAX, ledger, out, &mut panics);
        panics.resume();
    }

    /// How many entries it will hold when it is full, if that can be told.
    pub(super) fn likely_full(&self) -> Option<u64> {
        let (capacity, len) = (self.ledger.capacity(), self.shard.len());
        if !F::WEIGHED {
            return Some(capacity);
        }
        let weight = self.shard.weight();
        let is_telling = len >= FEW || weight > capacity / 2;
        let likely = u128::from(capacity) * len as u128 / u128::from(weight.max(1));
        is_telling.then(|| u64::try_from(likely).unwrap_or(u64::MAX))
    }
    /// Proves the invariants of its shard from scratch.
    #[cfg(all(test, not(brimful_loom)))]
    pub(super) fn check(&mut self) {
        assert_eq!(self.shard.check().weight, self.ledger.weight());
        assert!(self.ledger.weight() <= self.ledger.capacity());
    }
}
