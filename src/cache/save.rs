//! `save` and `restore`: entries that outlive the process.
//!
//! ```text
//! save       the line of all shards, each listed under its lock once; then, a step at a time, copies of
//!            64 entries, each under the lock of its shard, which are written without any
//! restore    one entry after another, read without a lock and inserted like any other
//! ```
//!
//! What is written, in any format: `("brimful", version, unit, entries)`, each entry
//! `(key, value, weight, life)` or nothing, if it left while the others were written. The entries come
//! in the order in which they leave: so those that come last are the ones that stay where room is
//! scarce. What the policy knows of them is not written: that would bind its insides for ever.
//!
//! Invariants
//! 1. What is read can do what an insert can do, and no more; the bound is the cache's own.
//! 2. No length that the input claims is believed: an entry takes memory once it is there.

use super::explain::Seat;
use super::{Cache, CachePadded};
use crate::clock::{FOREVER, duration};
use crate::form::{Form, extra::Extra};
use crate::reentry::Mark;
use crate::shard::Inserted;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// So many entries are copied at once.
const A_STEP: usize = 64;

/// The version that is written. What is read may be older, but not newer.
const VERSION: u32 = 1;

/// The first word of all that is saved.
#[derive(Serialize, Deserialize)]
enum Name {
    #[serde(rename = "brimful")]
    Brimful,
}

/// What the weights of the entries count.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Entries,
    Bytes,
    Units,
}

impl Unit {
    fn of(unit: &str) -> Self {
        match unit {
            "entries" => Self::Entries,
            "bytes" => Self::Bytes,
            _ => Self::Units,
        }
    }
}

/// An entry as it is written: key, value, weight where it has one of its own, and how long its value
/// still lives, where that ends.
type Saved<K, V> = (K, V, Option<u64>, Option<Duration>);

/// What became of the entries that [`Cache::restore`] read. Printed, it is a line for the log.
///
/// ```
/// use brimful::Cache;
/// use std::time::Duration;
///
/// let saved = r#"["brimful", 1, "entries", [["a", 1, null, null], ["b", 2, null, {"secs": 5, "nanos": 0}]]]"#;
/// let cache: Cache<String, u32> = Cache::new(10);
/// let mut json = serde_json::Deserializer::from_str(saved);
/// let restored = cache.restore(&mut json, Duration::from_secs(60))?;
/// assert_eq!((restored.stored, restored.expired), (1, 1));
/// assert_eq!(restored.to_string(), "1 restored, 1 expired, 0 known already, 0 refused");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[must_use = "a cache may have taken none of the entries"]
#[non_exhaustive]
pub struct Restored {
    /// Entries that came in. Where they are more than fit, those that came first have left again.
    pub stored: u64,
    /// Entries whose life was over.
    pub expired: u64,
    /// Entries whose key was there already: what is there is newer, and stays.
    pub present: u64,
    /// Entries that the cache refused, as [`insert`](Cache::insert) does.
    pub refused: u64,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} restored, {} expired, {} known already, {} refused",
            self.stored, self.expired, self.present, self.refused
        )
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Writes all entries, in any format that `serde` knows, the ones that leave first first: for a
    /// process that is to begin [with a full cache](Cache::restore). With each entry goes its weight, where
    /// that is no matter of bytes, and how long its value still lives. Does not count as a use.
    ///
    /// Others may use the cache meanwhile. First each shard says under its lock, in turn, in which order its
    /// entries leave, O(entries) without user code, some 0.2 ms for 1,000 entries of a shard; 32 bytes an entry
    /// are kept of that until all is written.
    /// Then 64 entries at a time are cloned, each under its shard's lock, and written without any. Entries
    /// that have left by then, are past their deadline or end with a [scope](crate::Scope) are missing; what comes
    /// meanwhile too. Values in an `Arc` are written where the program has the feature `rc` of `serde`.
    ///
    /// ```
    /// use brimful::Cache;
    /// use std::time::Duration;
    ///
    /// let pages: Cache<String, String> = Cache::new(1_000);
    /// pages.insert("/".into(), "hello".into());
    /// let mut file = Vec::new();
    /// pages.save(&mut serde_json::Serializer::new(&mut file))?;
    ///
    /// // The next process:
    /// let pages: Cache<String, String> = Cache::new(1_000);
    /// let mut json = serde_json::Deserializer::from_slice(&file);
    /// let restored = pages.restore(&mut json, Duration::ZERO)?;
    /// assert_eq!((restored.stored, pages.get("/").as_deref()), (1, Some("hello")));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the serializer, and of keys and values that cannot be written.
    ///
    /// To write a file such that a crash leaves the old one or the new one: [`replace_file`](crate::replace_file).
    #[doc(alias = "dump")]
    #[doc(alias = "snapshot")]
    #[track_caller]
    pub fn save<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error>
    where
        K: Clone + Serialize,
        V: Clone + Serialize,
    {
        let line = Line {
            seats: self.seats(usize::MAX, |shard, _, now| shard.line(now)),
            cache: self,
        };
        let mut saved = serializer.serialize_tuple(4)?;
        saved.serialize_element(&Name::Brimful)?;
        saved.serialize_element(&VERSION)?;
        saved.serialize_element(&Unit::of(self.door.unit))?;
        saved.serialize_element(&line)?;
        saved.end()
    }

    /// Reads what [`save`](Cache::save) has written `ago`, and inserts it: so a cache that is smaller is
    /// simply full, of those entries that would have left last. Says how many came in.
    ///
    /// A life goes on where it stood, less the time since it was saved: give that as `ago`, or zero if it is
    /// not known. What is over is left out; what had no end is stored as by [`insert`](Cache::insert). Ages,
    /// idle times and counts of hits begin anew. A key that is there keeps its value; so a cache can be
    /// restored while it serves.
    ///
    /// In a cache of [`Weight`](crate::Weight) the entries of such a one have the weights that they
    /// had; in all others they are weighed anew.
    ///
    /// # Errors
    /// If it is no saved cache, was cut off, was saved by a newer version of this crate than this one can
    /// read, or holds keys or values of other types. What came before the error has been inserted. Input that
    /// is hostile can do no more than fill the cache, and never beyond its bound; what one key or value takes
    /// before it is inserted is the format's to limit.
    ///
    /// ```
    /// use brimful::Cache;
    /// use std::time::Duration;
    ///
    /// let cache: Cache<String, u32> = Cache::new(10);
    /// let mut json = serde_json::Deserializer::from_str(r#"["brimful", 9, "entries", []]"#);
    /// let error = cache.restore(&mut json, Duration::ZERO).unwrap_err();
    /// assert!(error.to_string().starts_with("saved in version 9 of the format, and this reads up to 1"));
    /// ```
    #[doc(alias = "load")]
    #[track_caller]
    pub fn restore<'de, D>(&self, deserializer: D, ago: Duration) -> Result<Restored, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Hash + Eq,
        V: Deserialize<'de>,
        S: BuildHasher,
    {
        let mut restored = Restored::default();
        let reader = Reader {
            cache: self,
            ago,
            has_units: false,
            restored: &mut restored,
        };
        deserializer.deserialize_tuple(4, File(reader))?;
        Ok(restored)
    }

    /// Whether weights are the user's own: neither counted nor bytes.
    fn has_units(&self) -> bool {
        F::WEIGHED && Unit::of(self.door.unit) == Unit::Units
    }

    /// Copies of the entries of one step, in their order: nothing in the place of what has left.
    fn copy_step(&self, step: &[Seat]) -> Vec<Option<Saved<K, V>>>
    where
        K: Clone,
        V: Clone,
    {
        let mut copies: Vec<Option<Saved<K, V>>> = step.iter().map(|_| None).collect();
        let mut order: Vec<usize> = (0..step.len()).collect();
        order.sort_by_key(|&at| step[at].shard);
        for of_shard in order.chunk_by(|&one, &other| step[one].shard == step[other].shard) {
            let shard = &self.shards[step[of_shard[0]].shard];
            self.copy_of_shard(shard, of_shard, step, &mut copies);
        }
        copies
    }

    /// Clones those of a step that lie in one shard, under its lock, into what was made before it.
    fn copy_of_shard(
        &self,
        shard: &CachePadded<K, V, F>,
        of_shard: &[usize],
        step: &[Seat],
        copies: &mut [Option<Saved<K, V>>],
    ) where
        K: Clone,
        V: Clone,
    {
        let has_weights = self.has_units();
        let shard = self.lock_in_time(shard, self.now());
        let _mark = Mark::set_in_debug();
        for &at in of_shard {
            let Seat { slot, tag, .. } = step[at];
            copies[at] = shard.find_again(slot, tag).map(|(entry, left)| {
                let life = (left != FOREVER).then(|| duration(left));
                let weight = has_weights.then(|| entry.extra().weight());
                (entry.key().clone(), entry.value().clone(), weight, life)
            });
        }
    }
}

impl<K: Hash + Eq, V, F: Form, S: BuildHasher> Cache<K, V, F, S> {
    /// Inserts an entry that was read, unless its life is over or its key is there. It has a weight
    /// where entries have such of their own.
    #[track_caller]
    fn put_back(&self, saved: Saved<K, V>, ago: Duration, restored: &mut Restored) {
        let (key, value, weight, life) = saved;
        let life = life.map(|life| life.saturating_sub(ago));
        if life == Some(Duration::ZERO) {
            restored.expired += 1;
            return;
        }
        let hashed = self.hash(&key);
        let door = &self.door;
        let mut offer = match (weight, life) {
            (None, None) => door.offer(hashed, key, value),
            (Some(weight), None) => door.offer_weighted(hashed, key, value, weight),
            (None, Some(life)) => door.offer_with_ttl(hashed, key, value, life),
            (Some(weight), Some(life)) => {
                door.offer_weighted_with_ttl(hashed, key, value, weight, life)
            }
        };
        offer.only_if_absent = true;
        let mut leaving = self.door.leave.open();
        let placed = self.lock_and_insert(hashed, &mut offer, leaving.outbox());
        match placed {
            Inserted::Stored(_) => restored.stored += 1,
            Inserted::Present => restored.present += 1,
            Inserted::Refused(_) | Inserted::NeedsRoom(_) => restored.refused += 1,
        }
        leaving.tell_and_discard().resume();
    }
}

/// Reads what was saved into a cache.
struct Reader<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    ago: Duration,
    /// Whether the weights that are read are those of a cache like this one.
    has_units: bool,
    restored: &'a mut Restored,
}

/// Of all that was saved.
struct File<'a, K, V, F: Form, S>(Reader<'a, K, V, F, S>);

impl<'de, K, V, F, S> Visitor<'de> for File<'_, K, V, F, S>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
    F: Form,
    S: BuildHasher,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cache that brimful has saved: a name, a version, a unit and entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut saved: A) -> Result<(), A::Error> {
        let cut =
            |at: usize| A::Error::invalid_length(at, &"4: a name, a version, a unit and entries");
        let Name::Brimful = saved.next_element()?.ok_or_else(|| cut(0))?;
        let version: u32 = saved.next_element()?.ok_or_else(|| cut(1))?;
        if !(1..=VERSION).contains(&version) {
            return Err(A::Error::custom(format_args!(
                "saved in version {version} of the format, and this reads up to {VERSION}"
            )));
        }
        let unit: Unit = saved.next_element()?.ok_or_else(|| cut(2))?;
        self.0.has_units = unit == Unit::Units && self.0.cache.has_units();
        saved.next_element_seed(self.0)?.ok_or_else(|| cut(3))
    }
}

/// Of the entries.
impl<'de, K, V, F, S> DeserializeSeed<'de> for Reader<'_, K, V, F, S>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
    F: Form,
    S: BuildHasher,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, K, V, F, S> Visitor<'de> for Reader<'_, K, V, F, S>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
    F: Form,
    S: BuildHasher,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries of a cache: key, value, weight and life of each")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<Option<Saved<K, V>>>()? {
            if let Some((key, value, weight, life)) = entry {
                let weight = weight.filter(|_| self.has_units);
                (self.cache).put_back((key, value, weight, life), self.ago, self.restored);
            }
        }
        Ok(())
    }
}

/// All entries, in the order in which they leave.
struct Line<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    seats: Vec<Seat>,
}

impl<K, V, F, S> Serialize for Line<'_, K, V, F, S>
where
    K: Clone + Serialize,
    V: Clone + Serialize,
    F: Form,
{
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut entries = serializer.serialize_seq(Some(self.seats.len()))?;
        for step in self.seats.chunks(A_STEP) {
            for copy in self.cache.copy_step(step) {
                entries.serialize_element(&copy)?;
            }
        }
        entries.end()
    }
}
