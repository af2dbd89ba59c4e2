//! What becomes of a key, and in which order keys leave.
//!
//! ```text
//! explain     one look under one lock, which changes nothing
//! coldest     each shard's lock once: who leaves first, by slot and tag
//!             merged by how much of its shard's line is before each
//!             their keys, cloned a step at a time under their shard's lock
//! ```

use super::{Cache, CachePadded};
use crate::clock::Moment;
use crate::explain::Fate;
use crate::form::Form;
use crate::policy::{Slot, Tag};
use crate::reentry::Mark;
use crate::shard::{Line, Shard};
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};

/// So many keys are cloned under one lock at most.
const A_STEP: usize = 64;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// What becomes of this key: who removes it, and about when. An answer for every key, also for
    /// one that is not there. Does not count as a use, and changes nothing: no order, no
    /// deadline, no statistics, no load.
    ///
    /// Printed, it is a sentence for whoever is on call:
    ///
    /// ```text
    /// resident in main, 1,204 of 5,000 leave before it; weight 1, hit (counted 3 or more);
    /// ends in 19 s (expired), unless about 2,400 inserts come first (evicted)
    /// ```
    ///
    /// Takes the lock of the key's shard, for one look. O(1) expected; where entries have left a
    /// queue out of turn (hits under [`Lru`](crate::policy::Lru), removals), its position is
    /// counted by one pass over at most half the queue at 4 bytes an entry, and under
    /// [`Lfu`](crate::policy::Lfu) and [`Gdsf`](crate::policy::Gdsf) over all of it, some
    /// microseconds for 100,000 entries. What it says was so under that lock: others write on.
    ///
    /// ```
    /// use brimful::policy::Fifo;
    /// use brimful::{Cache, Entries, Fate, ManualClock};
    /// use std::time::Duration;
    ///
    /// let pages = Cache::builder(Entries(3))
    ///     .policy::<Fifo>()
    ///     .shards(1)
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(ManualClock::new())
    ///     .build()?;
    /// pages.extend([("a", 1), ("b", 2), ("c", 3)]);
    ///
    /// let fate = pages.explain("b");
    /// let Fate::Resident(entry) = &fate else { panic!("{fate}") };
    /// assert_eq!(entry.ends, Some(Duration::from_secs(60)));
    /// // One of three leaves before it, by the first insert; it leaves by the second.
    /// assert_eq!(entry.place.map(|place| (place.ahead, place.of)), Some((1, 3)));
    /// assert_eq!(entry.inserts, Some(2));
    /// assert_eq!(pages.explain("x"), Fate::Unknown);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// # Panics
    /// If it is called from a closure under a cache's lock, as every call.
    #[doc(alias = "policy")]
    #[must_use]
    #[track_caller]
    pub fn explain<Q>(&self, key: &Q) -> Fate
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let is = |found: &K| key.equivalent(found);
        let (known, mean) = {
            let mut shard = self.lock(hashed);
            let _mark = Mark::set_in_debug();
            shard.hear();
            let known = shard.explain(hashed.tag(), is, shard.now());
            (known, (shard.len() as u64, shard.weight()))
        };
        let used = self.used();
        let len = self.counted().unwrap_or_else(|| {
            // As many as there would be if all shards were like this one.
            let len = u128::from(used) * u128::from(mean.0) / u128::from(mean.1.max(1));
            u64::try_from(len).unwrap_or(u64::MAX)
        });
        self.door.fate(known, self.shards.len(), (len, used))
    }
}

impl<K: Clone, V, F: Form, S> Cache<K, V, F, S> {
    /// The keys that leave first, `most` at most, in the order in which the policy would evict them
    /// if nothing were used or written any more: as it stands now, without changing it. Does not
    /// count as a use. Entries past their deadline are not among them. Empty if the
    /// [policy](crate::policy::Policy::order) is one of your own that does not tell.
    ///
    /// They are keys rather than a view of entries, since shards are merged, by how much of its
    /// line each has before it, and that order goes to and fro between their locks; ask
    /// [`peek`](Cache::peek) or [`explain`](Cache::explain) for the rest. Keys that leave while it
    /// runs may be missing. With one shard, in a cache that nobody else uses, they are those that
    /// [`evict`](Cache::evict) would take out, one after another.
    ///
    /// Holds the lock of one shard at a time: O(`most`) steps without user code to find out who
    /// they are, beside a copy of the order under [`S3Fifo`](crate::policy::S3Fifo),
    /// [`Duel`](crate::policy::Duel), [`Lfu`](crate::policy::Lfu) and
    /// [`Gdsf`](crate::policy::Gdsf), some 10 bytes for each of the shard's entries; then to clone 64
    /// keys at a time. O(shards · `most`) in all, and a sort of as many.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Cache, Entries};
    ///
    /// let cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(10)).policy::<Lru>().shards(1).build()?;
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// cache.get("a");
    /// assert_eq!(cache.coldest(2), ["b", "c"]);
    /// assert_eq!(cache.evict(), Some(("b", 2)));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "peek_lru")]
    #[doc(alias = "oldest")]
    #[must_use]
    #[track_caller]
    pub fn coldest(&self, most: usize) -> Vec<K> {
        self.in_line(most, Shard::coldest)
    }

    /// The keys that leave last, `most` at most, the last one first: the other end of what
    /// [`coldest`](Cache::coldest) tells, and otherwise the same. It has to find out the whole
    /// order: O(entries), one shard after another under its lock.
    ///
    /// ```
    /// use brimful::policy::Lru;
    /// use brimful::{Cache, Entries};
    ///
    /// let cache: Cache<&str, u32, Lru> =
    ///     Cache::builder(Entries(10)).policy::<Lru>().shards(1).build()?;
    /// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
    /// cache.get("a");
    /// assert_eq!(cache.hottest(2), ["a", "c"]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[doc(alias = "peek_mru")]
    #[must_use]
    #[track_caller]
    pub fn hottest(&self, most: usize) -> Vec<K> {
        self.in_line(most, Shard::hottest)
    }

    /// The keys of the first of all shards' lines.
    #[track_caller]
    fn in_line(&self, most: usize, line: fn(&Shard<K, V, F>, usize, Moment) -> Line) -> Vec<K> {
        let seats = self.seats(most, line);
        self.keys_of(&seats)
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// The first of all shards' lines, merged.
    #[track_caller]
    pub(super) fn seats(
        &self,
        most: usize,
        line: impl Fn(&Shard<K, V, F>, usize, Moment) -> Line,
    ) -> Vec<Seat> {
        self.may_be_called();
        let now = self.now();
        let mut merged = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            let line = {
                let mut locked = self.lock_in_time(shard, now);
                // A policy of the user's runs, and its copy is made and dropped.
                let _mark = Mark::set_in_debug();
                locked.hear();
                line(&locked, most, locked.now())
            };
            merged.extend(line.ranked.iter().map(|&(rank, slot, tag)| Seat {
                before: rank as f64 / line.of as f64,
                shard: index,
                slot,
                tag,
            }));
        }
        // A stable sort: those of one shard stay in their order.
        merged.sort_by(|one, other| one.before.total_cmp(&other.before));
        merged.truncate(most);
        merged
    }
}

impl<K: Clone, V, F: Form, S> Cache<K, V, F, S> {
    /// The keys of these entries, in their order, of those that are still there.
    fn keys_of(&self, seats: &[Seat]) -> Vec<K> {
        let mut keys: Vec<Option<K>> = seats.iter().map(|_| None).collect();
        let mut of_shard = vec![Vec::new(); self.shards.len()];
        for (at, seat) in seats.iter().enumerate() {
            of_shard[seat.shard].push(at);
        }
        for (shard, seated) in self.shards.iter().zip(&of_shard) {
            for step in seated.chunks(A_STEP) {
                self.copy_keys(shard, step, seats, &mut keys);
            }
        }
        keys.into_iter().flatten().collect()
    }

    /// Clones the keys of one step under one lock, into what was made before it.
    fn copy_keys(
        &self,
        shard: &CachePadded<K, V, F>,
        step: &[usize],
        seats: &[Seat],
        keys: &mut [Option<K>],
    ) {
        let shard = self.lock_in_time(shard, self.now());
        let _mark = Mark::set_in_debug();
        for &at in step {
            let Seat { slot, tag, .. } = seats[at];
            keys[at] = shard.key_in(slot, tag, shard.now()).cloned();
        }
    }
}

/// An entry in the line of all shards.
pub(super) struct Seat {
    /// What part of its shard's entries stands before it.
    before: f64,
    pub(super) shard: usize,
    pub(super) slot: Slot,
    pub(super) tag: Tag,
}
