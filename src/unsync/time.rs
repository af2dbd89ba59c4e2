//! Deadlines: giving, reading and ending them.

use super::Cache;
use crate::clock::{duration, nanos};
use crate::error::Refused;
use crate::expiry::Swept;
use crate::form::{Expiring, Form, Weighed};
use crate::shard::Shard;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// Time: for caches whose entries have deadlines. How lives combine, and what an entry
/// past its deadline is, is told at [`brimful::Cache`](crate::Cache#how-lives-combine).
impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Expiring,
    S: BuildHasher,
{
    /// Stores a value that lives for so long, whatever the rule and the time to
    /// live say; otherwise as [`insert`](Cache::insert). Zero: it is not stored and
    /// leaves at once, as [`Expired`](crate::Cause::Expired).
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut tokens = unsync::Cache::builder(Entries(100))
    ///     .time_to_live(Duration::MAX)
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// tokens.insert_with_ttl("ann", "t0k3n", Duration::from_secs(300));
    /// clock.advance(Duration::from_secs(301));
    /// assert_eq!(tokens.get("ann"), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "set_with_expiration")]
    #[track_caller]
    pub fn insert_with_ttl(&mut self, key: K, value: V, ttl: Duration) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_with_ttl(hashed, key, value, ttl);
        self.insert_or_discard(&mut offer)
    }

    /// Stores a value that lives for so long, as
    /// [`insert_with_ttl`](Cache::insert_with_ttl) does, or hands it back.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert); and with
    /// [`ZeroTtl`](crate::Reason::ZeroTtl) if the time to live is zero.
    ///
    /// ```
    /// use brimful::{Entries, Reason, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let builder = Cache::builder(Entries(100)).time_to_live(Duration::MAX);
    /// let mut cache = builder.build_unsync()?;
    /// let refused = cache.try_insert_with_ttl("a", 1, Duration::ZERO).unwrap_err();
    /// assert_eq!(refused.reason, Reason::ZeroTtl);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn try_insert_with_ttl(
        &mut self,
        key: K,
        value: V,
        ttl: Duration,
    ) -> Result<Option<V>, Refused<K, V>> {
        let hashed = self.hash(&key);
        let mut offer = self.door.offer_with_ttl(hashed, key, value, ttl);
        self.insert_or_hand_back(&mut offer)
    }

    /// How long the entry under this key will still live if it is not used:
    /// [`Duration::MAX`] if it does not end, `None` if it is not there. Does not
    /// count as a use.
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(20));
    /// assert_eq!(cache.ttl("a"), Some(Duration::from_secs(40)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "expires_in")]
    #[must_use]
    pub fn ttl<Q>(&self, key: &Q) -> Option<Duration>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let now = self.now();
        let entry = self.peek_entry_at(key, now)?;
        let left = Shard::<K, V, F>::time_left(entry.extra(), now);
        Some(duration(left))
    }

    /// Gives the entry under this key a new time to live from now; says whether there was an
    /// entry. Zero ends it at once. Does not count as a use.
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// cache.insert("a", 1);
    /// assert!(cache.set_ttl("a", Duration::MAX));
    /// assert_eq!(cache.ttl("a"), Some(Duration::MAX));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn set_ttl<Q>(&mut self, key: &Q, ttl: Duration) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.advance_clock();
        let tag = self.hash(key).tag();
        let is = |found: &K| key.equivalent(found);
        let Self { shard, door, .. } = self;
        door.leave.in_one_batch(|out, _| {
            let slot = shard.slot_to_write(tag, is, &door.ledger, out);
            if let Some(slot) = slot {
                shard.set_life(slot, nanos(ttl), &door.ledger, out);
            }
            slot.is_some()
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
    /// use brimful::{Weight, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let mut cache = Cache::builder(Weight(100, |_: &&str, _: &u32| 1))
    ///     .time_to_live(Duration::MAX)
    ///     .build_unsync()?;
    /// cache.insert_weighted_with_ttl("a", 1, 50, Duration::from_secs(60));
    /// assert_eq!(cache.weight(), 50);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[track_caller]
    pub fn insert_weighted_with_ttl(
        &mut self,
        key: K,
        value: V,
        weight: u64,
        ttl: Duration,
    ) -> Option<V> {
        let hashed = self.hash(&key);
        let mut offer = self
            .door
            .offer_weighted_with_ttl(hashed, key, value, weight, ttl);
        self.insert_or_discard(&mut offer)
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
    /// let mut cache = cache.clock(ManualClock::new()).build_unsync()?;
    /// cache.insert("a", 1);
    /// cache.set_time_to_live(Duration::from_secs(5));
    /// cache.insert("b", 2);
    /// assert_eq!(cache.ttl("a"), Some(Duration::from_secs(60)));
    /// assert_eq!(cache.ttl("b"), Some(Duration::from_secs(5)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn set_time_to_live(&mut self, life: Duration) {
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
    /// let mut cache = cache.clock(clock.clone()).build_unsync()?;
    /// cache.insert(1, "old");
    /// clock.advance(Duration::from_secs(10));
    /// cache.get_or_insert_with(&1, || unreachable!());
    /// cache.set_refresh_after(Duration::from_secs(10));
    /// cache.get_or_insert_with(&1, || "new").unwrap();
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn set_refresh_after(&mut self, age: Duration)
    where
        F: Form<Aged = F>,
    {
        self.door.expiry.set_refresh_after(age);
    }

    /// How many entries are not past their deadline. O(entries).
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(61));
    /// assert_eq!((cache.len(), cache.len_live()), (1, 0));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn len_live(&self) -> usize {
        self.shard.len_live(self.now())
    }

    /// Takes out entries past their deadline, with at most `limit` units of work, as
    /// [`brimful::Cache::sweep`](crate::Cache::sweep) does.
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(65));
    /// assert_eq!(cache.sweep(100).expired, 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "run_pending_tasks")]
    #[doc(alias = "cleanup")]
    #[doc(alias = "flush")]
    pub fn sweep(&mut self, limit: usize) -> Swept {
        self.advance_clock();
        let Self { shard, door, .. } = self;
        let expired = door.leave.in_one_batch(|out, panics| {
            let work = shard.sweep(limit, &door.ledger, out);
            panics.add(work.panics);
            work.expired
        });
        Swept {
            expired,
            more: self.shard.has_ripe(),
        }
    }

    /// In how long the next entry may end: zero if one has, `None` if none will: a
    /// lower bound, as in [`brimful::Cache::next_deadline`](crate::Cache::next_deadline).
    ///
    /// ```
    /// use brimful::{Entries, ManualClock, unsync::Cache};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let mut cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// cache.insert("a", 1);
    /// assert!(cache.next_deadline() <= Some(Duration::from_secs(61)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.shard.next_deadline()?;
        Some(Duration::from_nanos(next.saturating_sub(self.now())))
    }
}
