//! Deadlines: giving, reading and ending them.

use super::{A_BATCH, Cache, CachePadded};
use crate::clock::{Glance, Moment, duration, nanos};
use crate::error::Refused;
use crate::expiry::Swept;
use crate::form::{Expiring, Form, Weighed};
use crate::hash::Hashed;
use crate::leave::Batches;
use crate::policy::Slot;
use crate::reentry::Mark;
use crate::shard::Shard;
use crate::sync::Ordering;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// A read that the user's rule is asked about.
    #[inline(never)]
    pub(super) fn read_by_rule<Q, R>(
        &self,
        shard: &mut Shard<K, V, F>,
        hashed: Hashed,
        key: &Q,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let slot = shard.look_up(hashed.tag(), |found| key.equivalent(found))?;
        self.rule_read(shard, slot);
        let entry = shard.entry(slot)?;
        Some(read(entry.key(), entry.value()))
    }

    /// Asks the rule for reads, if there is one. It comes before the read: what that
    /// returns is not to be dropped under the lock, should the rule panic.
    pub(super) fn rule_read(&self, shard: &mut Shard<K, V, F>, slot: Slot) {
        let life = shard.entry(slot).and_then(|entry| {
            let _mark = Mark::set();
            self.door.expiry.life_on_read(entry.key(), entry.value())
        });
        if let Some(life) = life {
            shard.set_life_on_read(slot, life);
        }
    }
}

/// Time: for caches whose entries have deadlines.
///
/// # How lives combine
///
/// The time to live of a stored value is the explicit one of
/// [`insert_with_ttl`](Cache::insert_with_ttl), else what the
/// [rule](crate::Builder::ttl_with) says, else [time to
/// live](crate::Builder::time_to_live); it begins when the value is stored or replaced. A value
/// that is changed in place keeps its deadline, unless the rule begins a new life then, or a
/// [`set_ttl`](Cache::set_ttl) that follows. A value that a [refresh](crate::Builder::refresh_after)
/// replaces lives as long as it was to live, unless the rule says how long. [Time to
/// idle](crate::Builder::time_to_idle) always counts beside it: the earlier deadline counts.
///
/// # Past the deadline
///
/// An entry past its deadline is a miss for every call, counts in
/// [`len`](Cache::len) and [`weight`](Cache::weight) until it is taken out, and leaves
/// as [`Expired`](crate::Cause::Expired) whatever takes it out:
///
/// - a write to its key, `retain`, `clear`, `drain`, or the drop of the cache;
/// - an insert into its shard that needs room: what is due goes before the policy is
///   asked for a victim;
/// - any write to its shard: it does up to 4 units of due work first;
/// - a [`sweep`](Cache::sweep), by a timer of yours or a [`sweeper`](Cache::sweeper).
///
/// The last three find entries by a timer wheel, up to 1.05 ms after their deadline.
impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Expiring,
    S: BuildHasher,
{
    /// Stores a value that lives for so long, whatever the rule and the time to
    /// live say; otherwise as [`insert`](Cache::insert).
    ///
    /// With a time to live of zero the value is not stored: it leaves at once, as
    /// [`Expired`](crate::Cause::Expired), and an older one under its key as
    /// [`Replaced`](crate::Cause::Replaced). [`Duration::MAX`] means never.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// let tokens = Cache::builder(Entries(100)).time_to_live(Duration::MAX).build()?;
    /// tokens.insert_with_ttl("ann", "t0k3n", Duration::from_secs(300));
    /// assert_eq!(tokens.get("ann"), Some("t0k3n"));
    /// assert!(tokens.ttl("ann") <= Some(Duration::from_secs(301)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "set_with_expiration")]
    #[track_caller]
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Duration) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_with_ttl(hashed, key, value, ttl);
        self.insert_or_discard(hashed, &mut offer)
    }

    /// Stores a value that lives for so long, as
    /// [`insert_with_ttl`](Cache::insert_with_ttl) does, or hands it back.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert); and with
    /// [`ZeroTtl`](crate::Reason::ZeroTtl) if the time to live is zero.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Reason};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::MAX).build()?;
    /// let refused = cache.try_insert_with_ttl("a", 1, Duration::ZERO).unwrap_err();
    /// assert_eq!(refused.reason, Reason::ZeroTtl);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn try_insert_with_ttl(
        &self,
        key: K,
        value: V,
        ttl: Duration,
    ) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_with_ttl(hashed, key, value, ttl);
        self.insert_or_hand_back(hashed, &mut offer)
    }

    /// How long the entry under this key will still live if it is not used:
    /// [`Duration::MAX`] if it does not end, `None` if it is not there. Less than a
    /// microsecond below what it was given. Does not count as a use.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(20));
    /// assert_eq!(cache.ttl("a"), Some(Duration::from_secs(40)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "expires_in")]
    #[must_use]
    #[track_caller]
    pub fn ttl<Q>(&self, key: &Q) -> Option<Duration>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let exact = Glance::Exact(self.now());
        let left = self.quietly_at(self.hash(key), key, exact, |entry, now| {
            Shard::<K, V, F>::time_left(entry.extra(), now)
        })?;
        Some(duration(left))
    }

    /// Gives the entry under this key a new time to live from now, whatever gave it the old
    /// one; says whether there was an entry. Zero
    /// ends it at once, as [`Expired`](crate::Cause::Expired). Does not count as a use.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
    /// cache.insert("a", 1);
    /// assert!(cache.set_ttl("a", Duration::MAX));
    /// assert_eq!(cache.ttl("a"), Some(Duration::MAX));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn set_ttl<Q>(&self, key: &Q, ttl: Duration) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let is = |found: &K| key.equivalent(found);
        let (shard, now) = (self.shard(hashed), self.now());
        self.door.leave.in_one_batch(|out, _| {
            let mut shard = self.lock_in_time(shard, now);
            let _mark = Mark::set_in_debug();
            let Some(slot) = shard.slot_to_write(hashed.tag(), is, &self.door.ledger, out) else {
                return false;
            };
            if ttl.is_zero() && shard.flights.are_flying() {
                shard.flights.detach(hashed.tag(), is);
            }
            shard.set_life(slot, nanos(ttl), &self.door.ledger, out);
            true
        })
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Expiring,
    S: BuildHasher,
{
    /// Stores a value with a weight and a time to live of its own: neither the weigher nor
    /// the rule is asked, until it is changed in place.
    ///
    /// ```
    /// use brimful::{Cache, Weight};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Weight(100, |_: &&str, _: &u32| 1))
    ///     .time_to_live(Duration::MAX)
    ///     .build()?;
    /// cache.insert_weighted_with_ttl("a", 1, 50, Duration::from_secs(60));
    /// assert_eq!(cache.weight(), 50);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn insert_weighted_with_ttl(
        &self,
        key: K,
        value: V,
        weight: u64,
        ttl: Duration,
    ) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self
            .door
            .offer_weighted_with_ttl(hashed, key, value, weight, ttl);
        self.insert_or_discard(hashed, &mut offer)
    }
}

impl<K, V, F: Expiring, S> Cache<K, V, F, S> {
    /// Sets the time to live of values that are stored from now on; those that are there keep
    /// their deadlines. It takes the place of [`time_to_live`](crate::Builder::time_to_live).
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60));
    /// let cache = cache.clock(ManualClock::new()).build()?;
    /// cache.insert("a", 1);
    /// cache.set_time_to_live(Duration::from_secs(5));
    /// cache.insert("b", 2);
    /// assert_eq!(cache.ttl("a"), Some(Duration::from_secs(60)));
    /// assert_eq!(cache.ttl("b"), Some(Duration::from_secs(5)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn set_time_to_live(&self, life: Duration) {
        self.door.expiry.set_to_live(life);
    }

    /// Sets the age at which values are loaded anew, of all that are there and all that will be:
    /// [`Duration::MAX`] means never. It takes the place of
    /// [`refresh_after`](crate::Builder::refresh_after).
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::from_secs(60));
    /// let cache = cache.clock(clock.clone()).build()?;
    /// cache.insert(1, "old");
    /// clock.advance(Duration::from_secs(10));
    /// cache.get_or_insert_with(&1, || unreachable!());
    /// cache.set_refresh_after(Duration::from_secs(10));
    /// cache.get_or_insert_with(&1, || "new");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn set_refresh_after(&self, age: Duration)
    where
        F: Form<Aged = F>,
    {
        self.door.expiry.set_refresh_after(age);
    }

    /// How many entries are not past their deadline. It walks over all of them, one shard
    /// at a time under its lock; [`len`](Cache::len) also counts those not yet swept.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(61));
    /// assert_eq!((cache.len(), cache.len_live()), (1, 0));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn len_live(&self) -> usize {
        self.may_be_called();
        let now = self.now();
        let live = |shard: &CachePadded<K, V, F>| {
            let shard = self.lock_in_time(shard, now);
            shard.len_live(shard.now())
        };
        self.shards.iter().map(live).sum()
    }

    /// Takes out entries past their deadline, with at most `limit` units of work in all;
    /// says how many left and whether more is due.
    ///
    /// A unit takes one item off a timer wheel: its entry leaves, or is put in again
    /// because its deadline was put off or is still some way off (at most 8 times for one
    /// deadline), or has left already. Shards take turns; a sweep goes on where the last
    /// one ended. O(shards + `limit`), locks one shard at a time, for 256 units at most.
    ///
    /// It is for a timer of yours: call it at
    /// [`next_deadline`](Cache::next_deadline), or every second or so. A cache that is
    /// written to sweeps itself, a little with each write.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(65));
    /// assert_eq!(cache.sweep(100).expired, 1);
    /// assert!(cache.is_empty());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// # Panics
    /// If the listener, or the drop of a value, panicked: after all was told.
    #[doc(alias = "run_pending_tasks")]
    #[doc(alias = "cleanup")]
    #[doc(alias = "flush")]
    #[track_caller]
    pub fn sweep(&self, limit: usize) -> Swept {
        self.may_be_called();
        let now = self.now();
        let shards = self.shards.len();
        let first_swept = self.turns.sweep.load(Ordering::Relaxed) as usize;
        let mut swept = Swept::default();
        let mut left = limit;
        let mut batches = self.door.leave.batches();
        for turn in 0..shards {
            let index = (first_swept + turn) % shards;
            swept.more = self.sweep_shard(index, now, &mut left, &mut swept.expired, &mut batches);
            if swept.more || batches.have_panicked() {
                self.turns.sweep.store(index as u64, Ordering::Relaxed);
                break;
            }
        }
        batches.end();
        swept
    }

    /// Works off what is due in one shard, in batches, while `left` lasts; says
    /// whether more is due there.
    fn sweep_shard(
        &self,
        index: usize,
        now: Moment,
        left: &mut usize,
        expired: &mut u64,
        batches: &mut Batches<'_, K, V>,
    ) -> bool {
        loop {
            let more = batches.run(|out, panics| {
                let mut shard = self.lock_in_time(&self.shards[index], now);
                let work = shard.sweep((*left).min(A_BATCH), &self.door.ledger, out);
                *left -= work.units;
                *expired += work.expired;
                panics.add(work.panics);
                shard.has_ripe()
            });
            if !more || *left == 0 || batches.have_panicked() {
                return more;
            }
        }
    }

    /// In how long the next entry may end: zero if one has, `None` if none will.
    ///
    /// It is a lower bound: a deadline far off is known to the timer wheel only roughly, and
    /// one that was put off not at all, until it is looked at. A
    /// [`sweep`](Cache::sweep) at that time looks. O(shards).
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// assert!(cache.next_deadline() <= Some(Duration::from_secs(61)));
    /// cache.clear();
    /// assert_eq!(cache.next_deadline(), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.may_be_called();
        let now = self.now();
        let next = |shard: &CachePadded<K, V, F>| {
            let shard = self.lock_in_time(shard, now);
            Some(shard.next_deadline()?.saturating_sub(shard.now()))
        };
        let soonest = self.shards.iter().filter_map(next).min()?;
        Some(Duration::from_nanos(soonest))
    }
}
