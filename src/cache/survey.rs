//! Surveys: a walk that asks of each entry to which class it belongs.

use super::Cache;
use crate::form::Form;
use crate::reentry::Mark;
use crate::stats::{Portion, Survey};
use crate::table::Cursor;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Counts and weighs all entries by class: who fills this cache? `class` names the class of
    /// an entry: a prefix of its key, the type of its value, its owner.
    ///
    /// Clones nothing, is no use of an entry, and leaves what is being loaded alone. It walks as
    /// [`for_each`](Cache::for_each) does, in steps of 64 entries under the lock of a shard, with
    /// the same words about what others do meanwhile; entries past their deadline are left out.
    /// O(entries); the survey takes memory for each class, which [`Survey::top`] bounds.
    ///
    /// To count by classes all the time, at one byte an entry, see
    /// [`Builder::classes`](crate::Builder::classes).
    ///
    /// ```
    /// use brimful::{Bytes, Cache};
    ///
    /// let cache = Cache::builder(Bytes(64 << 20)).build()?;
    /// cache.insert("user:1".to_string(), vec![0_u8; 100]);
    /// cache.insert("page:1".to_string(), vec![0_u8; 9_000]);
    /// let survey = cache.survey(|key, _| key.split(':').next().unwrap_or("").to_owned());
    /// let heaviest = survey.iter().next().unwrap();
    /// assert_eq!(heaviest.0, "page");
    /// print!("{survey}");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    ///
    /// # Panics
    /// If `class` calls into any brimful [`Cache`]. If `class` panics the walk ends there.
    #[doc(alias = "heap_profile")]
    #[track_caller]
    pub fn survey<C: Ord>(&self, mut class: impl FnMut(&K, &V) -> C) -> Survey<C> {
        self.may_be_called();
        let now = self.now();
        let mut survey = Survey::new(self.door.expiry.now());
        let mut met: Vec<(C, Portion)> = Vec::new();
        for shard in self.shards.iter() {
            let mut cursor = Cursor::START;
            while !cursor.is_at_end() {
                {
                    let locked = self.lock_in_time(shard, now);
                    let _mark = Mark::set();
                    locked.look_over(&mut cursor, &mut class, &mut met);
                }
                // Classes are compared, and dropped, outside of the lock.
                met.drain(..)
                    .for_each(|(class, portion)| survey.add(class, portion));
            }
        }
        survey
    }
}
