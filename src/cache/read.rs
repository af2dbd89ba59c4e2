//! Reading: by clone, by view, with and without touching.
//!
//! ```text
//! a visit without the lock: the key is there, or it is not: done
//!                           it is being changed, or the shard's table is: look under the lock
//! a hit that changes the order: noted, for the next holder of the lock to tell of
//! no lane, a rule for reads: under the lock
//! ```

use super::Cache;
use crate::clock::{Glance, Moment};
use crate::form::{Form, Weighed, extra::Extra};
use crate::hash::Hashed;
use crate::policy::{Policy, Touch};
use crate::reentry::{self, Mark};
use crate::shard::Shard;
use crate::sync::cells::LOCKLESS;
use crate::table::{Entry, Look, Noting, Visit};
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// Looks a key up, touches it, and gives `read` what it found.
    #[inline(always)]
    #[track_caller]
    pub(super) fn read<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.read_at(hashed, key, self.glance(), read)
    }

    /// Looks a key up at this time, touches it, and gives `read` what it found: without the
    /// lock if that can be.
    #[inline(always)]
    #[track_caller]
    pub(super) fn read_at<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        glance: Glance,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if let Some(visit) = self.visit(hashed) {
            match self.find(&visit, hashed, key, glance) {
                (Look::Here(entry), now) => {
                    self.touch(hashed, entry, &visit, now);
                    return Some(read(entry.key(), entry.value()));
                }
                (Look::Absent, _) => {
                    self.missed(hashed, &visit);
                    return None;
                }
                (Look::Unclear, _) => (),
            }
        }
        self.read_locked(hashed, key, self.exact(glance), read)
    }

    /// Begins a visit without a lock to the shard of a key, unless this cache or this thread
    /// reads under locks.
    #[inline(always)]
    #[track_caller]
    pub(super) fn visit(&self, hashed: Hashed) -> Option<Visit<'_, K, V, F>> {
        if F::TIMED && self.door.expiry.rules_reads() {
            return None;
        }
        reentry::check(self.address());
        let shard = hashed.shard(self.shards.len());
        self.shelves.visit(shard).or_else(|| {
            self.begin_to_read();
            self.shelves.visit(shard)
        })
    }

    /// Marks the thread while `Eq` or `Clone` runs in a read under the lock. Where reads take it
    /// always: as for a write. Else they may call other caches, as in a read without.
    #[inline]
    pub(super) fn mark_read(&self) -> Option<Mark> {
        if !LOCKLESS || F::TIMED && self.door.expiry.rules_reads() {
            return Mark::set_in_debug();
        }
        Some(Mark::set_for(self.address()))
    }

    /// Goes on to prepare this thread for reads without a lock, if it can have them.
    #[cold]
    #[inline(never)]
    fn begin_to_read(&self) {
        let pass = |shard: usize| self.shards[shard].try_lock().is_some();
        self.shelves.lanes.begin(self.shards.len(), pass);
    }

    /// What a visit finds under a key, and the time as exactly as that needs: what has
    /// expired is absent.
    #[inline(always)]
    pub(super) fn find<'v, Q>(
        &self,
        visit: &'v Visit<'_, K, V, F>,
        hashed: Hashed,
        key: &Q,
        glance: Glance,
    ) -> (Look<'v, K, V, F>, Moment)
    where
        Q: Equivalent<K> + ?Sized,
    {
        let glance = self.tell(visit, glance);
        let look = visit.find(hashed.tag(), |found| key.equivalent(found));
        match look {
            Look::Here(entry) if F::TIMED => {
                let now = self.time_for(entry, glance);
                let expired = Shard::<K, V, F>::has_expired(entry.extra(), now);
                (if expired { Look::Absent } else { look }, now)
            }
            look => (look, 0),
        }
    }

    /// The time; or a later moment, if the entry neither expires nor becomes stale before that.
    #[inline(always)]
    fn time_for(&self, entry: &Entry<K, V, F>, glance: Glance) -> Moment {
        match glance {
            Glance::Before(latest)
                if !Shard::<K, V, F>::has_expired(entry.extra(), latest)
                    && self.is_fresh(entry, latest) =>
            {
                latest
            }
            glance => self.exact(glance),
        }
    }

    /// What time it is for a visit: of a clock that may go back, the latest that the shard
    /// was told.
    #[inline(always)]
    fn tell(&self, visit: &Visit<'_, K, V, F>, glance: Glance) -> Glance {
        match glance {
            Glance::Exact(now) if F::TIMED && self.door.expiry.may_go_back() => {
                Glance::Exact(visit.tell(now))
            }
            glance => glance,
        }
    }

    /// What a hit without a lock leaves on the entry, and in the thread's lane.
    #[inline(always)]
    pub(super) fn touch(
        &self,
        hashed: Hashed,
        entry: &Entry<K, V, F>,
        visit: &Visit<'_, K, V, F>,
        now: Moment,
    ) {
        let watched = Shard::<K, V, F>::mark(entry);
        Shard::<K, V, F>::put_off(entry.extra(), now, self.door.expiry.to_idle);
        visit.stay.hit();
        self.sample(hashed, Some(entry));
        match F::Policy::TOUCH {
            Touch::Mark => {}
            Touch::Watch if !watched => {}
            Touch::Watch => self.note_watched(hashed, entry, visit.noting()),
            Touch::Order if !self.door.hears_of_hits() => {}
            Touch::Order => self.note(hashed, entry, visit.noting()),
        }
    }

    /// Notes one of the few hits that are watched.
    #[cold]
    #[inline(never)]
    fn note_watched(&self, hashed: Hashed, entry: &Entry<K, V, F>, noting: Noting<'_, K, V, F>) {
        self.note(hashed, entry, noting);
    }

    /// Notes a hit for the order to hear of. If there is no place for it, the order hears of all
    /// that is noted now, or, if another thread has the lock, this hit is lost.
    #[inline]
    fn note(&self, hashed: Hashed, entry: &Entry<K, V, F>, noting: Noting<'_, K, V, F>) {
        let shard = hashed.shard(self.shards.len());
        if noting.note(shard, entry) {
            return;
        }
        // The lock is not waited for: its holder may be waiting for this visit to end.
        if let Some(mut locked) = self.shards[shard].try_lock() {
            let _mark = Mark::set_in_debug();
            locked.hear_hits();
            noting.note(shard, entry);
        }
    }

    /// Looks a key up, touches it, and gives `read` what it found, all under the lock.
    #[track_caller]
    fn read_locked<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        now: Moment,
        read: impl FnOnce(&K, &V) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let mut shard = self.lock_in_time(self.shard(hashed), now);
        let _mark = self.mark_read();
        if F::TIMED && self.door.expiry.rules_reads() {
            return self.read_by_rule(&mut shard, hashed, key, read);
        }
        let entry = shard.get(hashed.tag(), |found| key.equivalent(found))?;
        Some(read(entry.key(), entry.value()))
    }

    /// A clone of the value, if the key is there. Counts as a use.
    ///
    /// While the clone is made, writers of its shard wait for it: keep it cheap (`Arc`, small
    /// values), or use [`view`](Cache::view).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a".to_string(), 1);
    /// assert_eq!(cache.get("a"), Some(1));
    /// assert_eq!(cache.get("b"), None);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.read(self.hash(key), key, |_, value| value.clone())
    }

    /// Calls `view` with the stored key and value, without a clone. Counts as a use. Other reads
    /// go on meanwhile; writers of its shard wait.
    ///
    /// ```
    /// let cache = brimful::Cache::new(10);
    /// cache.insert("page", vec![0_u8; 4096]);
    /// assert_eq!(cache.view("page", |_, bytes| bytes.len()), Some(4096));
    /// ```
    ///
    /// # Panics
    /// If `view` calls into any brimful [`Cache`].
    #[doc(alias = "with_value")]
    #[doc(alias = "read")]
    #[inline]
    #[track_caller]
    pub fn view<Q, R>(&self, key: &Q, view: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.read(self.hash(key), key, |key, value| {
            let _mark = Mark::set();
            view(key, value)
        })
    }

    /// Reads without touching: neither the order nor the statistics change.
    #[inline]
    #[track_caller]
    pub(super) fn quietly<Q, R>(
        &self,
        key: &Q,
        read: impl FnOnce(&Entry<K, V, F>) -> R,
    ) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly_at(self.hash(key), key, self.glance(), |entry, _| read(entry))
    }

    /// As `quietly`, at this time, which is told as exactly as it was given.
    #[inline]
    #[track_caller]
    pub(super) fn quietly_at<Q, R>(
        &self,
        hashed: Hashed,
        key: &Q,
        glance: Glance,
        read: impl FnOnce(&Entry<K, V, F>, Moment) -> R,
    ) -> Option<R>
    where
        Q: Equivalent<K> + ?Sized,
    {
        if let Some(visit) = self.visit(hashed) {
            match self.find(&visit, hashed, key, glance) {
                (Look::Here(entry), now) => return Some(read(entry, now)),
                (Look::Absent, _) => return None,
                (Look::Unclear, _) => (),
            }
        }
        let shard = self.lock_in_time(self.shard(hashed), self.exact(glance));
        let _mark = self.mark_read();
        let now = shard.now();
        let entry = shard.peek(hashed.tag(), |found| key.equivalent(found), now)?;
        Some(read(entry, now))
    }

    /// A clone of the value, if the key is there. Does not count as a use:
    /// neither the order nor the statistics change.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.peek("a"), Some(1));
    /// assert_eq!(cache.stats().hits(), 0);
    /// ```
    #[doc(alias = "get_if_present")]
    #[must_use]
    #[track_caller]
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.peek_at(self.hash(key), key)
    }

    #[track_caller]
    pub(super) fn peek_at<Q>(&self, hashed: Hashed, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.quietly_at(hashed, key, self.glance(), |entry, _| entry.value().clone())
    }

    /// Whether the key is there. Does not count as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert!(cache.contains_key("a") && !cache.contains_key("b"));
    /// ```
    #[doc(alias = "contains")]
    #[must_use]
    #[track_caller]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key, |_| ()).is_some()
    }
}

impl<K, V, F, S> Cache<K, V, Weighed<F>, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// What the entry under this key is charged. Does not count as a use.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &&str, text: &&str| text.len() as u64);
    /// cache.insert("a", "seventeen letters");
    /// assert_eq!(cache.weight_of("a"), Some(17));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn weight_of<Q>(&self, key: &Q) -> Option<u64>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.quietly(key, |entry| entry.extra().weight())
    }
}
