//! Computing: one closure that sees what is under a key and decides what is to be there, in one
//! step that no other thread writes in between.
//!
//! ```text
//! lock the shard; the key is not there, and there is no room for one entry: unlock, gather that
//!                                                                           much, lock again
//! ask the closure, once, and do what it says
//! ```
//!
//! So where entries are counted, what is put finds room; by weight what one entry lacks is
//! gathered beside the lock, as for a value that grows.

use super::gather::Wanted;
use super::{Cache, lock_at};
use crate::budget::Others;
use crate::error::{Computed, Next};
use crate::form::Form;
use crate::hash::Hashed;
use crate::reentry::Mark;
use crate::shard::{Computation, Means, Terms};
use std::hash::{BuildHasher, Hash};
use std::panic::Location;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Decides what is to be under a key, from what is there now, as one step: no other thread
    /// writes in between.
    ///
    /// `decide` is called once: with the value, which it may change in place, or with `None`. It
    /// says what comes [next](Next): the value stays, another is put, or it leaves. The look-up
    /// counts as one, a hit or a miss. A value that stays is weighed again and keeps its
    /// deadline, as after [`update`](Cache::update); one that is put begins a life, as one that is
    /// [inserted](Cache::insert). A load of the key in flight is not stored, unless the key was not
    /// there and is [kept](Next::Keep) so.
    ///
    /// No other write of the shard goes on while `decide` runs: for decisions that take long, or wait, there
    /// is [`compute_async`](Cache::compute_async).
    ///
    /// A value may be refused: one that is too heavy for the capacity, or that has no time to
    /// live; and in a cache by weight one for which there is no room while other threads hold it
    /// all on its way to entries of theirs. It is told as such, and dropped. If `decide` panics
    /// what is there stays as `decide` left it.
    ///
    /// ```
    /// use brimful::{Cache, Next};
    ///
    /// // At most three requests of one client, however many threads ask.
    /// let asked = Cache::<&str, u32>::new(10_000);
    /// let allows = |client| {
    ///     let mut allowed = true;
    ///     let _ = asked.compute(client, |count| match count {
    ///         None => Next::Put(1),
    ///         Some(count) => {
    ///             allowed = *count < 3;
    ///             *count += u32::from(allowed);
    ///             Next::Keep
    ///         }
    ///     });
    ///     allowed
    /// };
    /// assert_eq!([allows("ann"), allows("ann"), allows("ann"), allows("ann")], [true, true, true, false]);
    /// ```
    ///
    /// # Panics
    /// If `decide`, or the weigher or the rule for lives after it, calls into any brimful
    /// [`Cache`]. If the weigher or the rule panics on a value that is put, that leaves with cause
    /// [`Refused`](crate::Cause::Refused).
    #[doc(alias = "and_compute_with")]
    #[doc(alias = "upsert")]
    #[doc(alias = "merge")]
    #[doc(alias = "alter")]
    #[track_caller]
    pub fn compute(&self, key: K, decide: impl FnOnce(Option<&mut V>) -> Next<V>) -> Computed<V> {
        self.compute_hashed(self.hash(&key), key, decide)
    }

    #[track_caller]
    pub(super) fn compute_hashed(
        &self,
        hashed: Hashed,
        key: K,
        decide: impl FnOnce(Option<&mut V>) -> Next<V>,
    ) -> Computed<V> {
        let mut leaving = self.door.leave.open();
        let line = self.door.tracking.line(Location::caller());
        let mut computation = Computation::new(hashed.tag(), key, line);
        let mut others = Others::default();
        {
            let (out, ledger) = (leaving.outbox(), &self.door.ledger);
            let (home, now) = (self.shard(hashed), self.now());
            let gatherer;
            let mut shard = self.lock_in_time(home, now);
            let mut reservation = home.reserve(&shard, ledger);
            let mut marked = Mark::set_in_debug();
            let mut found = shard.look_up(hashed.tag(), |found| computation.has(found));
            if found.is_none() && !shard.has_room_for_one(&mut reservation) {
                let one = shard.charge(1);
                drop((marked, reservation, shard));
                if let Some(called) = self.others() {
                    others = called;
                    gatherer = ledger.gather();
                    others.complete(0);
                    reservation = gatherer.reserve();
                    let wanted = Wanted {
                        hashed,
                        spared: None,
                        need: one,
                        now,
                    };
                    self.gather_into(&wanted, &mut reservation, &mut others, out);
                    shard = lock_at(home, now);
                } else {
                    shard = lock_at(home, now);
                    reservation = home.reserve(&shard, ledger);
                }
                marked = Mark::set_in_debug();
                found = shard.slot(hashed.tag(), |found| computation.has(found));
            }
            drop(marked);
            let _mark = Mark::set();
            let index = hashed.shard(self.shards.len());
            let mut means = Means {
                reservation: &mut reservation,
                elsewhere: &mut |need, reservation, out| {
                    self.gather_beside(index, need, now, reservation, out);
                },
            };
            let terms = Terms {
                scale: &self.door.scale,
                expiry: &self.door.expiry,
                tracking: &self.door.tracking,
            };
            computation.run(&mut shard, found, decide, &terms, &mut means, out);
        }
        computation.finish(leaving, others.end())
    }
}
