//! Lives: giving, reading and ending them, for one owner.

use super::Cache;
use crate::clock::{FOREVER, duration, nanos};
use crate::error::Refused;
use crate::expiry::Swept;
use crate::form::{Expiring, Form, Weighed};
use crate::shard::Shard;
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The life of a value on its way in. Calls the user's rule.
    #[inline]
    pub(super) fn life(&self, key: &K, value: &V) -> u64 {
        if F::TIMED {
            self.expiry.life(key, value)
        } else {
            FOREVER
        }
    }
}

/// Time: for caches whose entries have lives. How lives combine, and what an entry
/// past its end is, is told at [`brimful::Cache`](crate::Cache#how-lives-combine).
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
    /// use brimful::{Entries, HandClock, unsync};
    /// use std::time::Duration;
    ///
    /// let clock = HandClock::new();
    /// let mut tokens = unsync::Cache::builder(Entries(100))
    ///     .time_to_live(Duration::MAX)
    ///     .clock(clock.clone())
    ///     .build_unsync()?;
    /// tokens.insert_with_ttl("ann", "t0k3n", Duration::from_secs(300));
    /// clock.advance(Duration::from_secs(301));
    /// assert_eq!(tokens.get("ann"), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn insert_with_ttl(&mut self, key: K, value: V, life: Duration) -> Option<V> {
        let weight = self.scale.weigh::<F>(&key, &value);
        self.store(key, value, weight, nanos(life))
    }

    /// The same, with the verdict.
    ///
    /// # Errors
    /// As [`try_insert`](Cache::try_insert); and with
    /// [`NoLife`](crate::Reason::NoLife) if the life is zero.
    pub fn try_insert_with_ttl(
        &mut self,
        key: K,
        value: V,
        life: Duration,
    ) -> Result<Option<V>, Refused<K, V>> {
        let weight = self.scale.weigh::<F>(&key, &value);
        self.put(key, value, weight, nanos(life))
    }

    /// How long the entry under this key will still live if it is not used:
    /// [`Duration::MAX`] if it does not end, `None` if it is not there. Does not
    /// count as a use.
    pub fn ttl<Q>(&self, key: &Q) -> Option<Duration>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let now = self.now();
        let is = |found: &K| key.equivalent(found);
        let entry = self.shard.peek(self.hash(key).tag(), is, now)?;
        Some(duration(Shard::<K, V, F>::time_left(&entry.extra, now)))
    }

    /// Gives the entry under this key a new life from now; says whether there was
    /// one. Zero ends it at once. Does not count as a use.
    pub fn set_ttl<Q>(&mut self, key: &Q, life: Duration) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.hear();
        let tag = self.hash(key).tag();
        let is = |found: &K| key.equivalent(found);
        let mut leaving = self.leave.open();
        let out = leaving.outbox();
        let slot = self.shard.claim(tag, is, &self.budget, out);
        if let Some(slot) = slot {
            self.shard.set_life(slot, nanos(life), &self.budget, out);
        }
        leaving.settle_quietly().resume();
        slot.is_some()
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Expiring,
    S: BuildHasher,
{
    /// Stores a value with a weight and a life of its own: neither the weigher nor
    /// the rule is asked, until it is changed in place.
    pub fn insert_weighted_with_ttl(
        &mut self,
        key: K,
        value: V,
        weight: u64,
        life: Duration,
    ) -> Option<V> {
        self.store(key, value, self.scale.charge(weight), nanos(life))
    }
}

impl<K, V, F: Expiring, S> Cache<K, V, F, S> {
    /// How many entries are not past their end. O(entries).
    pub fn len_live(&self) -> usize {
        self.shard.len_live(self.now())
    }

    /// Takes out entries past their end, with at most `limit` units of work, as
    /// [`brimful::Cache::sweep`](crate::Cache::sweep) does.
    pub fn sweep(&mut self, limit: usize) -> Swept {
        self.hear();
        let mut leaving = self.leave.open();
        let work = self.shard.sweep(limit, &self.budget, leaving.outbox());
        let mut panics = work.panics;
        panics.add(leaving.settle_quietly());
        panics.resume();
        Swept {
            expired: work.expired,
            more: self.shard.has_ripe(),
        }
    }

    /// In how long the next entry may end: zero if one has, `None` if none will. A
    /// lower bound, as in [`brimful::Cache::next_deadline`](crate::Cache::next_deadline).
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.shard.next_deadline()?;
        Some(Duration::from_nanos(next.saturating_sub(self.now())))
    }
}
