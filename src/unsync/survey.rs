//! Surveys: a walk that asks of each entry to which class it belongs.

use super::Cache;
use crate::form::Form;
use crate::stats::Survey;
use crate::table::Cursor;

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Counts and weighs all entries by class, as
    /// [`brimful::Cache::survey`](crate::Cache::survey) does. O(entries); clones nothing. Entries
    /// past their deadline are left out.
    ///
    /// ```
    /// let mut cache = brimful::unsync::Cache::new(100);
    /// cache.extend([(1, "a"), (2, "b"), (4, "c")]);
    /// let survey = cache.survey(|n, _| n % 2);
    /// assert_eq!(survey.of(&0).entries, 2);
    /// ```
    #[doc(alias = "heap_profile")]
    pub fn survey<C: Ord>(&mut self, mut class: impl FnMut(&K, &V) -> C) -> Survey<C> {
        self.advance_clock();
        let mut survey = Survey::new(self.door.expiry.now());
        let mut met = Vec::new();
        let mut cursor = Cursor::START;
        while !cursor.is_at_end() {
            self.shard.look_over(&mut cursor, &mut class, &mut met);
            met.drain(..)
                .for_each(|(class, portion)| survey.add(class, portion));
        }
        survey
    }
}
