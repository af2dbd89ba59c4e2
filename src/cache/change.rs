//! Removing, and changing values where they stand.

use super::Cache;
use crate::cause::Cause;
use crate::clock::Moment;
use crate::error::Updated;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::Leaving;
use crate::leave::outbox::Outbox;
use crate::policy::Slot;
use crate::reentry::Mark;
use crate::shard::{Changed, Means, Shard, Victim};
use crate::sync::Ordering;
use crate::table::Cursor;
use crate::unwind::Panics;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Takes the entry out and returns its value. A load of this key that has
    /// begun goes to its callers and is not stored.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.remove("a"), Some(1));
    /// assert_eq!(cache.remove("a"), None);
    /// ```
    #[doc(alias = "invalidate")]
    #[doc(alias = "pop")]
    #[doc(alias = "delete")]
    #[track_caller]
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |_, _| true)?.hand_over_value(Cause::Removed)
    }

    /// Takes the entry out and returns it.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.remove_entry("a"), Some(("a".to_string(), 1)));
    /// ```
    #[track_caller]
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let left = self.take(key, |_, _| true)?.hand_over(Cause::Removed)?;
        Some((left.key, left.value))
    }

    /// Takes the entry out if `condition` holds for it, as one step: no other thread
    /// writes in between.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.remove_if("a", |_, &n| n > 1), None);
    /// assert_eq!(cache.remove_if("a", |_, &n| n == 1), Some(1));
    /// ```
    ///
    /// # Panics
    /// If `condition` calls into any brimful [`Cache`].
    #[track_caller]
    pub fn remove_if<Q>(&self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.take(key, |key, value| {
            let _mark = Mark::set();
            condition(key, value)
        })?
        .hand_over_value(Cause::Removed)
    }

    /// Takes out the entry that the policy would evict next and returns it: `None` if there is
    /// none. It leaves as [`Evicted`](Cause::Evicted).
    ///
    /// Each shard has an order of its own, so they are asked in turn, from call to call; in a cache of
    /// one shard, and in an [`unsync::Cache`](crate::unsync::Cache), the order is exact as a
    /// whole. What is past its deadline is not returned: it leaves as
    /// [`Expired`](Cause::Expired) on the way. O(1) amortised if no shard is empty, else O(shards); one
    /// lock at a time.
    ///
    /// [`coldest`](Cache::coldest) tells who is next and leaves them where they are.
    ///
    /// The room is free until another insert takes it. A load of the key in flight is stored all
    /// the same, as after any eviction.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Cache, Entries};
    ///
    /// let cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(10)).policy::<Lru>().shards(1).build()?;
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// cache.get("a");
    /// assert_eq!(cache.evict(), Some(("b", 2)));
    /// // All of them, in their order.
    /// let rest: Vec<_> = std::iter::from_fn(|| cache.evict()).collect();
    /// assert_eq!(rest, [("c", 3), ("a", 1)]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "pop_lru")]
    #[track_caller]
    pub fn evict(&self) -> Option<(K, V)> {
        self.may_be_called();
        let now = self.now();
        let mut leaving = self.door.leave.open_for_victims();
        let shards = self.shards.len();
        let first = self.turns.evict.load(Ordering::Relaxed) as usize;
        for index in (first..first + shards).map(|index| index % shards) {
            if self.evict_in(index, now, leaving.outbox()) {
                let next = (index + 1) % shards;
                self.turns.evict.store(next as u64, Ordering::Relaxed);
                break;
            }
        }
        let left = leaving.hand_over(Cause::Evicted)?;
        Some((left.key, left.value))
    }

    /// Evicts the next entry of a shard; says whether there was one.
    fn evict_in(&self, index: usize, now: Moment, out: &mut Outbox<K, V>) -> bool {
        loop {
            let mut shard = self.lock_in_time(&self.shards[index], now);
            match shard.evict_next(&self.door.ledger, out) {
                Victim::Found => return true,
                Victim::Nobody => return false,
                Victim::Later => {}
            }
        }
    }

    #[track_caller]
    fn take<Q>(&self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<Leaving<'_, K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let mut leaving = self.door.leave.open();
        {
            let mut shard = self.lock(hashed);
            let _mark = Mark::set_in_debug();
            let is = |found: &K| key.equivalent(found);
            let out = leaving.outbox();
            let slot = shard.slot_to_write(hashed.tag(), is, &self.door.ledger, out);
            let entry = slot.and_then(|slot| shard.entry(slot));
            let stays = entry.is_some_and(|entry| !condition(entry.key(), entry.value()));
            if shard.flights.are_flying() && !stays {
                shard.flights.detach(hashed.tag(), is);
            }
            if let (Some(slot), false) = (slot, stays) {
                shard.remove(slot, Cause::Removed, &self.door.ledger, out);
            }
        }
        Some(leaving)
    }

    /// Changes a value where it stands, under the shard's lock. Counts as a use.
    ///
    /// The value is weighed again before the lock is left. If it grew, others make room as
    /// for an [`insert`](Cache::insert). A value heavier than the capacity leaves with cause
    /// [`Refused`](Cause::Refused), and the answer says so; so does one for which there is no room
    /// while other threads hold it all on its way to entries of theirs. Its deadline stays, unless the
    /// [rule](crate::Builder::ttl_with) gives it a new life; so does [`set_ttl`](Cache::set_ttl).
    /// If `change` panics,
    /// the value stays as `change` left it and is weighed all the same.
    ///
    /// ```
    /// use brimful::Updated;
    ///
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.update("a", |n| { *n += 1; *n }), Updated::Kept(2));
    /// assert_eq!(cache.update("b", |n| *n), Updated::Absent);
    /// ```
    ///
    /// # Panics
    /// If `change`, or the weigher after it, calls into any brimful [`Cache`].
    /// If the weigher panics the value leaves with cause `Refused`.
    #[doc(alias = "compute_if_present")]
    #[doc(alias = "alter")]
    #[track_caller]
    pub fn update<Q, R>(&self, key: &Q, change: impl FnOnce(&mut V) -> R) -> Updated<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.update_hashed(self.hash(key), key, change)
    }

    #[track_caller]
    pub(super) fn update_hashed<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        change: impl FnOnce(&mut V) -> R,
    ) -> Updated<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let mut leaving = self.door.leave.open();
        let changed = {
            let (home, now) = (self.shard(hashed), self.now());
            let mut shard = self.lock_in_time(home, now);
            let mut reservation = home.reserve(&shard, &self.door.ledger);
            let marked = Mark::set_in_debug();
            let out = leaving.outbox();
            shard.expire_some(&self.door.ledger, out);
            let found = shard.look_up(hashed.tag(), |found| key.equivalent(found));
            drop(marked);
            let _mark = Mark::set();
            match found {
                Some(slot) => {
                    if shard.flights.are_flying() {
                        shard
                            .flights
                            .detach(hashed.tag(), |found| key.equivalent(found));
                    }
                    let home = hashed.shard(self.shards.len());
                    let mut means = Means {
                        reservation: &mut reservation,
                        elsewhere: &mut |need, reservation, out| {
                            self.gather_beside(home, need, now, reservation, out);
                        },
                    };
                    self.change(&mut shard, slot, change, &mut means, out)
                }
                None => Changed::nothing(),
            }
        };
        changed.finish(leaving)
    }

    /// Changes the value in a slot, and asks the rule whether it begins a new life.
    #[inline]
    fn change<R>(
        &self,
        shard: &mut Shard<K, V, F>,
        slot: Slot,
        change: impl FnOnce(&mut V) -> R,
        means: &mut Means<'_, '_, K, V>,
        out: &mut Outbox<K, V>,
    ) -> Changed<R> {
        let change = |_: &K, value: &mut V| change(value);
        let mut changed = shard.change(slot, &self.door.scale, change, means, out);
        if F::TIMED && changed.stayed {
            shard.renew(
                slot,
                &self.door.expiry,
                &self.door.ledger,
                out,
                &mut changed,
            );
        }
        changed
    }

    /// Keeps the entries for which `keep` answers `true`; the others leave with
    /// cause [`Removed`](Cause::Removed), and those past their deadline, which
    /// are not shown to `keep`, as [`Expired`](Cause::Expired).
    ///
    /// Runs now, a step at a time under the lock of one shard: a step looks at 64 entries at
    /// most (more only where keys agree in 28 bits of their hash). Values may be changed and
    /// are weighed again, as by [`update`](Cache::update). Whatever others do meanwhile, no key is
    /// shown twice, and each that is there all the time once; what is written behind the walk is
    /// not seen. Does not count as a use. O(entries).
    ///
    /// This is a write of every key, also if all are kept: a load that has begun goes to its
    /// callers and is not stored, since `keep` can't be asked about what is not there yet. To look
    /// without such an effect, see [`for_each`](Cache::for_each).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend((0..10).map(|n| (n, n)));
    /// cache.retain(|key, _| key % 2 == 0);
    /// assert_eq!(cache.len(), 5);
    /// ```
    ///
    /// # Panics
    /// If `keep`, or the weigher after it, calls into any brimful [`Cache`].
    /// If `keep` panics the walk ends there.
    #[doc(alias = "invalidate_entries_if")]
    #[track_caller]
    pub fn retain(&self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.may_be_called();
        let now = self.now();
        let mut batches = self.door.leave.batches();
        let mut whole = true;
        for shard in 0..self.shards.len() {
            let mut cursor = Cursor::START;
            while whole && !cursor.is_at_end() {
                whole = batches.run(|out, panics| {
                    let walked = self.retain_some((shard, &mut cursor), now, &mut keep, out);
                    let whole = walked.is_none();
                    panics.add(walked);
                    whole
                });
            }
        }
        batches.end();
    }

    /// One step of `retain`, in this shard; answers with the panic that ends the walk.
    fn retain_some(
        &self,
        (index, cursor): (usize, &mut Cursor),
        now: Moment,
        keep: &mut impl FnMut(&K, &mut V) -> bool,
        out: &mut Outbox<K, V>,
    ) -> Panics {
        let shard = &self.shards[index];
        let mut locked = self.lock_in_time(shard, now);
        let mut means = Means {
            reservation: &mut shard.reserve(&locked, &self.door.ledger),
            elsewhere: &mut |need, reservation, out| {
                self.gather_beside(index, need, now, reservation, out);
            },
        };
        let _mark = Mark::set();
        locked.retain(cursor, &self.door.scale, keep, &mut means, out)
    }
}
