//! One decision about one key, made and carried out while its shard is locked.
//!
//! ```text
//! the key is there:   change it in place; then keep it, put another in its place, or take it out
//! it is not:          put a value, or nothing
//! ```
//!
//! The closure is the user's, and so are the weigher and the rule that are asked about a value
//! that is put: they run under a mark. A panic of theirs goes on after the lock; whatever
//! panics, what is there is charged what it weighs, and a value that was to be put leaves as
//! refused.
//!
//! Key and value stay in the computation, which outlives the lock.

use super::{Inserted, Means, Offer, Shard};
use crate::cause::Cause;
use crate::error::{Computed, Next};
use crate::expiry::Expiry;
use crate::form::Form;
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::policy::{Slot, Tag};
use crate::room::Scale;
use crate::stats::{Line, Origin, Tracks};
use crate::unwind::Panics;

/// A decision about one key, from before the lock until after it.
pub(crate) struct Computation<K, V> {
    offer: Offer<K, V>,
    /// The key, until it is in the offer.
    key: Option<K>,
    came: Came,
    panics: Panics,
}

/// What has come of it so far.
enum Came {
    Nothing,
    Kept,
    Put,
    Removed,
    Refused,
}

/// How values are weighed, how long they live and where they come from: what a decision needs of the door.
pub(crate) struct Terms<'a, K, V> {
    pub(crate) scale: &'a Scale<K, V>,
    pub(crate) expiry: &'a Expiry<K, V>,
    pub(crate) tracking: &'a Tracks<K, V>,
}

impl<K: Eq, V> Computation<K, V> {
    pub(crate) fn new(tag: Tag, key: K, line: Option<Line>) -> Self {
        Self {
            offer: Offer {
                pair: None,
                tag,
                weight: 1,
                life: 0,
                keeps_life: false,
                only_if_absent: false,
                lands: false,
                origin: Origin::default(),
                line,
            },
            key: Some(key),
            came: Came::Nothing,
            panics: Panics::none(),
        }
    }

    /// Whether this is its key.
    #[inline]
    pub(crate) fn has(&self, key: &K) -> bool {
        self.key.as_ref() == Some(key)
    }

    /// Asks `decide` about the entry in `slot`, or about none, and does what it says.
    pub(crate) fn run<F: Form>(
        &mut self,
        shard: &mut Shard<K, V, F>,
        slot: Option<Slot>,
        decide: impl FnOnce(Option<&mut V>) -> Next<V>,
        terms: &Terms<'_, K, V>,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) {
        let Some(slot) = slot else {
            return match self.panics.run(|| decide(None)) {
                Some(Next::Put(value)) => self.put(shard, value, terms, means, out),
                Some(Next::Remove) => self.detach(shard),
                Some(Next::Keep) | None => {}
            };
        };
        shard.expire_some(means.reservation.ledger(), out);
        self.detach(shard);
        let decide = |_: &K, value: &mut V| decide(Some(value));
        let mut changed = shard.change(slot, terms.scale, decide, means, out);
        let next = changed.result.take();
        match next {
            Some(Next::Put(value)) => self.put(shard, value, terms, means, out),
            Some(Next::Remove) if changed.stayed => {
                shard.remove(slot, Cause::Removed, means.reservation.ledger(), out);
                self.came = Came::Removed;
            }
            Some(Next::Keep) if changed.stayed => {
                if F::TIMED {
                    let ledger = means.reservation.ledger();
                    shard.renew(slot, terms.expiry, ledger, out, &mut changed);
                }
                self.came = match changed.stayed {
                    true => Came::Kept,
                    false => Came::Refused,
                };
            }
            Some(Next::Keep | Next::Remove) | None => self.came = Came::Refused,
        }
        self.panics.add(changed.panics);
    }

    /// Keeps what is being loaded for its key from being stored.
    fn detach<F: Form>(&self, shard: &mut Shard<K, V, F>) {
        if shard.flights.are_flying() {
            shard.flights.detach(self.offer.tag, |key| self.has(key));
        }
    }

    /// Weighs a value, gives it a life and puts it in.
    fn put<F: Form>(
        &mut self,
        shard: &mut Shard<K, V, F>,
        value: V,
        terms: &Terms<'_, K, V>,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) {
        let Some(key) = self.key.take() else { return };
        let asked = self.panics.run(|| {
            let weight = if F::WEIGHED {
                terms.scale.weigh(&key, &value)
            } else {
                1
            };
            let life = if F::TIMED {
                terms.expiry.life(&key, &value)
            } else {
                0
            };
            let class = if F::TRACKED {
                terms.tracking.class(&key, &value)
            } else {
                0
            };
            (weight, life, class)
        });
        let Some((weight, life, class)) = asked else {
            self.came = Came::Refused;
            let origin = shard.origin(&self.offer);
            return shard.refuse_pair((key, value), origin, Cause::Refused, out);
        };
        self.offer.origin.class = class;
        self.offer.pair = Some((key, value));
        (self.offer.weight, self.offer.life) = (weight, life);
        self.came = match shard.insert_now(&mut self.offer, means, out) {
            Inserted::Stored(_) => Came::Put,
            _ => Came::Refused,
        };
    }

    /// Tells what left, outside the lock, then goes on with the panic or answers.
    /// Panics of what was told meanwhile come after its own.
    pub(crate) fn finish(self, mut leaving: Leaving<'_, K, V>, told: Panics) -> Computed<V> {
        let mut panics = self.panics;
        panics.add(told);
        panics.drop(self.key);
        panics.drop(self.offer.pair);
        if panics.go_on() || matches!(self.came, Came::Refused) {
            panics.add(leaving.tell_and_discard());
            panics.resume();
            return Computed::Refused;
        }
        match self.came {
            Came::Nothing => Computed::Absent,
            Came::Kept => Computed::Kept,
            Came::Put => match leaving.hand_over_value(Cause::Replaced) {
                Some(old) => Computed::Replaced(old),
                None => Computed::Inserted,
            },
            Came::Removed => match leaving.hand_over_value(Cause::Removed) {
                Some(old) => Computed::Removed(old),
                None => Computed::Absent,
            },
            Came::Refused => Computed::Refused,
        }
    }
}
