//! Computing by a future: what it decides is carried out if nothing has changed meanwhile.
//!
//! A future can't run under a lock, and what it decides may be out of date when it is ready. So:
//!
//! ```text
//! lead the key's flight, whether the key is there or not     other computations of it wait, and
//!                                                            calls that miss it
//! look the key up, and ask the future about a clone
//! lock the shard: the flight was detached, or the value has left?   ask again
//!                 else do what the future said
//! pass the lead on
//! ```
//!
//! Invariants
//! 1. A write of the key by any other call detaches its flight. So as long as the flight is in the
//!    shard, and the value too if there was one, what the future saw is what is there.
//! 2. The lead is passed on whatever happens to the call: [`Leading`] does that.
//! 3. Weigher and rule are asked without a lock, and room is gathered as for any insert: nothing
//!    is refused for want of time.

use super::gather::Wanted;
use super::lead::{Boarding, Leading, Sought, Valid, Waited, after_emptying};
use super::load::refuse;
use super::{Cache, lock_at};
use crate::budget::Others;
use crate::cause::Cause;
use crate::error::{Computed, Next, Reason};
use crate::form::Form;
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::policy::Slot;
use crate::reentry::Mark;
use crate::shard::{Inserted, Offer, Shard};
use crate::stats::Line;
use crate::unwind::Panics;
use std::hash::{BuildHasher, Hash};
use std::panic::Location;
use std::pin::pin;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Decides by a future what is to be under a key: [`compute`](Cache::compute) for tasks, on any
    /// executor, and for decisions that take long.
    ///
    /// `decide` is given a clone of the value, or `None`, and no lock is held while its future
    /// runs. Computations of one key by this call run one after another, first come first served.
    /// Readers find the older value meanwhile, and calls that would load the key because it is not
    /// there wait. A load in flight is waited for.
    ///
    /// A value is put or taken out only if that was decided about what is there. If another call has
    /// written the key meanwhile (`insert`, `update`, `remove`, `compute`, `retain`, `clear`: all that
    /// keeps a [load](Cache::get_or_insert_with) from being stored), or the value was evicted or has
    /// expired, `decide` is *asked again*, about what is there then: so no change is lost, neither this
    /// one nor the other. Each time another call has got through, but how often is not bounded. A
    /// `decide` that writes its own key by another call would be asked for ever.
    ///
    /// A value that stays is left alone: it was a clone that `decide` had. One that is put begins
    /// a life, as one that is [inserted](Cache::insert), and is refused as such. Each look-up
    /// counts as one, a hit or a miss; a key is made for each, and one more for a value that is put.
    ///
    /// Nothing happens before the first poll. If the future is dropped, or `decide` panics, nothing has
    /// changed, and the next that waits goes on. A future that has begun must be polled when woken, or
    /// dropped. It is `Send` if what it is given, the cache and the key are `Sync` and `Send` as needed.
    ///
    /// # Panics
    /// If `decide` or its future does, and, as far as it is known, if the call is made inside of a
    /// load or computation that waits for this very key: see [`LoadError::Cycle`](crate::LoadError::Cycle).
    ///
    /// ```
    /// use brimful::{Cache, Computed, Next};
    ///
    /// # async fn renewed(token: u32) -> u32 { token + 1 }
    /// # pollster::block_on(async {
    /// let tokens = Cache::<String, u32>::new(100);
    /// let renew = |token: Option<u32>| async move {
    ///     match token {
    ///         Some(token) if token > 7 => Next::Keep,
    ///         token => Next::Put(renewed(token.unwrap_or(6)).await),
    ///     }
    /// };
    /// assert_eq!(tokens.compute_async("ann", renew).await, Computed::Inserted);
    /// assert_eq!(tokens.compute_async("ann", renew).await, Computed::Replaced(7));
    /// assert_eq!(tokens.compute_async("ann", renew).await, Computed::Kept);
    /// # });
    /// ```
    #[doc(alias = "and_compute_with")]
    #[doc(alias = "and_upsert_with")]
    #[track_caller]
    pub fn compute_async<Q, Fut>(
        &self,
        key: &Q,
        mut decide: impl FnMut(Option<V>) -> Fut,
    ) -> impl Future<Output = Computed<V>>
    where
        Q: Hash + ToKey<K> + ?Sized,
        V: Clone,
        Fut: Future<Output = Next<V>>,
    {
        let line = self.door.tracking.line(Location::caller());
        async move {
            let hashed = self.hash(key);
            // Declared before the lead, so dropped after it is passed on.
            let mut deciding = pin!(None);
            loop {
                let leading = self.lead(hashed, key).await;
                let chain = leading.chain();
                let found = chain.run(|| self.read(hashed, key, |_, value| value.clone()));
                let was_there = found.is_some();
                deciding.set(Some(chain.run(|| decide(found))));
                let next = chain.finish(deciding.as_mut()).await;
                let next = after_emptying(deciding.as_mut(), next);
                if let Some(computed) = self.settle(leading, key, was_there, next, line) {
                    return computed;
                }
            }
        }
    }

    /// The lead of a key's flight, whatever is under the key.
    async fn lead<Q>(&self, hashed: Hashed, key: &Q) -> Leading<'_, K, V, F, S>
    where
        Q: ToKey<K> + ?Sized,
        V: Clone,
    {
        // A value that is there is no reason not to lead.
        let no_value: Valid<'_, V> = &|_| false;
        loop {
            let sought = match self.board(hashed, key, Some(no_value)) {
                Boarding::Sought(sought) => Waited::Sought(sought),
                Boarding::Waits(waiting) => waiting.await,
                Boarding::Cycle => refuse(
                    "a computation was asked for inside of a load or computation of the same key, or of \
                     one that waits for it, and would wait for ever",
                ),
            };
            if let Waited::Sought(Sought::Lead(mut leading)) = sought {
                leading.counts(false);
                return leading;
            }
        }
    }

    /// Does what was decided, and passes the lead on; or does nothing, if what it was decided about
    /// is there no more.
    fn settle<Q>(
        &self,
        leading: Leading<'_, K, V, F, S>,
        key: &Q,
        was_there: bool,
        next: Next<V>,
        line: Option<Line>,
    ) -> Option<Computed<V>>
    where
        Q: ToKey<K> + ?Sized,
    {
        let value = match next {
            Next::Keep if was_there => return Some(Computed::Kept),
            Next::Keep => return Some(Computed::Absent),
            Next::Put(value) => Some(value),
            Next::Remove => None,
        };
        let mut leaving = self.door.leave.open();
        let chain = leading.chain().clone();
        let seen = Seen { leading, was_there };
        let mut others = Others::default();
        let (settled, offer) = chain.run(|| match value {
            Some(value) => {
                let mut offer = self.door.offer(seen.leading.hashed(), key.to_key(), value);
                (offer.lands, offer.line) = (true, line);
                let placed = self.put_if_seen(&seen, &mut offer, &mut others, leaving.outbox());
                (placed.map(Some), offer.pair)
            }
            None => {
                let is = |found: &K| key.equivalent(found);
                let taken = self.remove_if_seen(&seen, is, leaving.outbox());
                (taken.then_some(None), None)
            }
        });
        let mut panics = Panics::none();
        panics.drop(seen);
        panics.add(others.end());
        panics.drop_pairs(offer);
        answer(settled, leaving, panics)
    }

    /// Puts an offer in, unless what was seen is there no more. What left `others` is told when they
    /// end.
    fn put_if_seen(
        &self,
        seen: &Seen<'_, K, V, F, S>,
        offer: &mut Offer<K, V>,
        others: &mut Others,
        out: &mut Outbox<K, V>,
    ) -> Option<Inserted> {
        let (hashed, now) = (seen.leading.hashed(), self.now());
        let need = {
            let home = self.shard(hashed);
            let mut shard = self.lock_in_time(home, now);
            let mut reservation = home.reserve(&shard, &self.door.ledger);
            let _mark = Mark::set_in_debug();
            seen.slot(&shard, |key| offer.has(key))?;
            match shard.insert(offer, &mut reservation, out) {
                Inserted::NeedsRoom(need) => need,
                placed => return Some(placed),
            }
        };
        let ledger = &self.door.ledger;
        let Some(called) = self.others() else {
            let mut shard = lock_at(self.shard(hashed), now);
            let _mark = Mark::set_in_debug();
            seen.slot(&shard, |key| offer.has(key))?;
            return Some(shard.refuse_for(None, offer, Reason::NoRoom, ledger, out));
        };
        *others = called;
        let gatherer = ledger.gather();
        others.complete(0);
        let mut reservation = gatherer.reserve();
        let wanted = Wanted {
            hashed,
            spared: Some(offer),
            need,
            now,
        };
        self.gather_into(&wanted, &mut reservation, others, out);
        let mut shard = lock_at(self.shard(hashed), now);
        let _mark = Mark::set_in_debug();
        seen.slot(&shard, |key| offer.has(key))?;
        if !reservation.covers(need) {
            let (weight, most) = (offer.weight, others.most());
            let withheld = Reason::Withheld { weight, most };
            return Some(shard.refuse_for(None, offer, withheld, ledger, out));
        }
        match shard.insert(offer, &mut reservation, out) {
            // All it needs is reserved, unless the value that it replaces weighs less by now: that
            // was written.
            Inserted::NeedsRoom(_) => None,
            placed => Some(placed),
        }
    }

    /// Takes the entry out, if there is one, unless what was seen is there no more: then `false`.
    fn remove_if_seen(
        &self,
        seen: &Seen<'_, K, V, F, S>,
        is: impl Fn(&K) -> bool,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let mut shard = self.lock(seen.leading.hashed());
        let _mark = Mark::set_in_debug();
        let Some(slot) = seen.slot(&shard, is) else {
            return false;
        };
        if let Some(slot) = slot {
            shard.remove(slot, Cause::Removed, &self.door.ledger, out);
        }
        true
    }
}

/// What a decision is about.
struct Seen<'a, K, V, F: Form, S> {
    leading: Leading<'a, K, V, F, S>,
    /// Whether there was a value.
    was_there: bool,
}

impl<K, V, F: Form, S> Seen<'_, K, V, F, S> {
    /// Where the value is, if there was one and nobody has written the key since: `None` if that
    /// is not so any more.
    fn slot(&self, shard: &Shard<K, V, F>, is: impl Fn(&K) -> bool) -> Option<Option<Slot>> {
        let slot = shard.slot(self.leading.hashed().tag(), is);
        (self.leading.is_in(shard) && slot.is_some() == self.was_there).then_some(slot)
    }
}

/// Tells what left, and answers: `settled` is nothing if all was left alone, else how the offer
/// was placed, if there was one.
fn answer<K, V>(
    settled: Option<Option<Inserted>>,
    mut leaving: Leaving<'_, K, V>,
    mut panics: Panics,
) -> Option<Computed<V>> {
    let handed = match settled {
        Some(Some(Inserted::Stored(_))) if panics.is_none() => Cause::Replaced,
        Some(None) if panics.is_none() => Cause::Removed,
        settled => {
            panics.add(leaving.tell_and_discard());
            panics.resume();
            return settled.map(|_| Computed::Refused);
        }
    };
    let old = leaving.hand_over_value(handed);
    Some(match (handed, old) {
        (Cause::Removed, Some(old)) => Computed::Removed(old),
        (Cause::Removed, None) => Computed::Absent,
        (_, Some(old)) => Computed::Replaced(old),
        (_, None) => Computed::Inserted,
    })
}
