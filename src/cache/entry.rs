//! `Entry`: the words of std's entry API, without a lock between the calls.
//!
//! `and_modify` changes a value that is there, and keeps a clone for the call that follows. If
//! there is none it keeps the change: the call that follows inserts, or changes what another thread
//! has inserted meanwhile, in one step.

use super::Cache;
use crate::error::{Next, Updated};
use crate::form::Form;
use crate::hash::Hashed;
use crate::unwind::{Panics, after_dropping_pair};
use hashbrown::Equivalent;
use std::fmt;
use std::hash::{BuildHasher, Hash};

/// A key about to be looked up or inserted; see [`Cache::entry`].
#[must_use = "an entry does nothing until one of its methods is called"]
pub struct Entry<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    key: K,
}

impl<K, V, F: Form, S> fmt::Debug for Entry<'_, K, V, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// A key about to be looked up or inserted, with the words of `HashMap::entry`. No lock is
    /// held between the calls, so another thread may write in between, and the `or_…` calls
    /// return a clone.
    ///
    /// ```
    /// let visits = brimful::Cache::new(100);
    /// for page in ["a", "b", "a"] {
    ///     visits.entry(page).and_modify(|n| *n += 1).or_insert(1);
    /// }
    /// assert_eq!(visits.get("a"), Some(2));
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, K, V, F, S> {
        Entry {
            cache: self,
            hashed: self.hash(&key),
            key,
        }
    }
}

/// A key of the cache's own type, looked up by reference.
pub(super) struct Same<'a, K>(pub(super) &'a K);

impl<K: Hash> Hash for Same<'_, K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Eq> Equivalent<K> for Same<'_, K> {
    fn equivalent(&self, key: &K) -> bool {
        self.0 == key
    }
}

impl<'a, K, V, F, S> Entry<'a, K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The key.
    ///
    /// ```
    /// let cache = brimful::Cache::<&str, u32>::new(100);
    /// assert_eq!(cache.entry("a").key(), &"a");
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Changes the value under the key, if there is one, as [`Cache::update`]
    /// does: a value that grows too heavy leaves. If there is none, and another thread stores one
    /// before the call that follows does, that one is changed: no change is lost.
    ///
    /// ```
    /// let visits = brimful::Cache::new(100);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..4 {
    ///         scope.spawn(|| visits.entry("a").and_modify(|n| *n += 1).or_insert(1));
    ///     }
    /// });
    /// assert_eq!(visits.get("a"), Some(4));
    /// ```
    ///
    /// # Panics
    /// If `change`, or the value's `Clone` after it, calls into any brimful [`Cache`].
    #[track_caller]
    pub fn and_modify<C>(self, change: C) -> Modified<'a, K, V, F, S, C>
    where
        V: Clone,
        C: FnOnce(&mut V),
    {
        let (entry, mut state) = (self, State::Absent(change));
        let mut panics = Panics::none();
        let updated = panics.run(|| {
            let (key, change) = (Same(&entry.key), |value: &mut V| state.change(value));
            entry.cache.update_hashed(entry.hashed, &key, change)
        });
        if let Some(Updated::Refused(())) = updated {
            // What was changed is there no more.
            panics.drop(std::mem::replace(&mut state, State::Gone));
        }
        if panics.go_on() {
            panics.drop_pair(entry.key, state);
            panics.unwind();
        }
        Modified { entry, state }
    }

    /// A clone of the value under the key; if there is none, `value` is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").or_insert(1), 1);
    /// assert_eq!(cache.entry("a").or_insert(2), 1);
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: V) -> V
    where
        V: Clone,
    {
        let clone = |_: &K, value: &V| value.clone();
        match self.cache.read(self.hashed, &Same(&self.key), clone) {
            Some(found) => after_dropping_pair(self.key, value, found),
            None => self.cache.insert_if_absent(self.hashed, self.key, value),
        }
    }

    /// A clone of the value under the key; if there is none, that of `make`,
    /// which runs without any lock, is stored. If another thread stores one
    /// meanwhile, that one stays and is returned. Each caller runs its own `make`; to
    /// share one use [`get_or_insert_with`](Cache::get_or_insert_with).
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").or_insert_with(|| 1), 1);
    /// assert_eq!(cache.entry("a").or_insert_with(|| unreachable!()), 1);
    /// ```
    #[track_caller]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        let clone = |_: &K, value: &V| value.clone();
        if let Some(value) = self.cache.read(self.hashed, &Same(&self.key), clone) {
            return after_dropping_pair(self.key, make, value);
        }
        self.cache.insert_if_absent(self.hashed, self.key, make())
    }

    /// A clone of the value under the key; if there is none, the default is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::<&str, Vec<u32>>::new(100);
    /// assert!(cache.entry("a").or_default().is_empty());
    /// ```
    #[track_caller]
    pub fn or_default(self) -> V
    where
        V: Clone + Default,
    {
        self.or_insert_with(V::default)
    }

    /// Stores a value, or, if there is one by now, changes that one, in one step; a clone of
    /// what is there then.
    #[track_caller]
    fn insert_or_change<C>(self, value: V, mut state: State<V, C>) -> V
    where
        V: Clone,
        C: FnOnce(&mut V),
    {
        let (copy, mut value) = (value.clone(), Some(value));
        let mut panics = Panics::none();
        panics.run(|| {
            let decide = |found: Option<&mut V>| match found {
                Some(found) => {
                    state.change(found);
                    Next::Keep
                }
                None => value.take().map_or(Next::Keep, Next::Put),
            };
            let computed = self.cache.compute_hashed(self.hashed, self.key, decide);
            drop(computed);
        });
        panics.drop(value);
        if let State::Changed(changed) = state {
            panics.drop(copy);
            return panics.hand(changed);
        }
        panics.drop(state);
        panics.hand(copy)
    }
}

/// A key about to be inserted, whose value was changed if there was one: made by
/// [`Entry::and_modify`].
///
/// ```
/// let visits = brimful::Cache::new(100);
/// let visit = |page| visits.entry(page).and_modify(|n| *n += 1).or_insert(1);
/// assert_eq!([visit("a"), visit("b"), visit("a")], [1, 1, 2]);
/// ```
#[must_use = "where there is no value, nothing is done until one of its methods is called"]
pub struct Modified<'a, K, V, F: Form, S, C> {
    entry: Entry<'a, K, V, F, S>,
    state: State<V, C>,
}

/// What a change has come to.
enum State<V, C> {
    /// There was no value yet to change.
    Absent(C),
    /// A value was changed, to this.
    Changed(V),
    /// The value that was changed has left since, too heavy or without a life.
    Gone,
}

impl<V: Clone, C: FnOnce(&mut V)> State<V, C> {
    /// Changes a value, if none was changed before.
    fn change(&mut self, value: &mut V) {
        if let Self::Absent(change) = std::mem::replace(self, Self::Gone) {
            change(value);
            *self = Self::Changed(value.clone());
        }
    }
}

impl<K, V, F: Form, S, C> fmt::Debug for Modified<'_, K, V, F, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Modified").finish_non_exhaustive()
    }
}

impl<K, V, F, S, C> Modified<'_, K, V, F, S, C>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
    C: FnOnce(&mut V),
{
    /// A clone of the value as it was changed; if there was none, `value` is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").and_modify(|n| *n += 1).or_insert(1), 1);
    /// assert_eq!(cache.entry("a").and_modify(|n| *n += 1).or_insert(1), 2);
    /// ```
    #[track_caller]
    pub fn or_insert(self, value: V) -> V {
        let Self { entry, state } = self;
        match state {
            State::Changed(changed) => after_dropping_pair(entry.key, value, changed),
            State::Absent(_) => entry.insert_or_change(value, state),
            State::Gone => entry.or_insert(value),
        }
    }

    /// A clone of the value as it was changed; if there was none, that of `make`, which runs
    /// without any lock, is stored.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// assert_eq!(cache.entry("a").and_modify(|n| *n += 1).or_insert_with(|| 1), 1);
    /// ```
    #[track_caller]
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> V {
        let Self { entry, state } = self;
        match state {
            State::Changed(changed) => after_dropping_pair(entry.key, make, changed),
            State::Absent(_) => entry.insert_or_change(make(), state),
            State::Gone => entry.or_insert_with(make),
        }
    }

    /// A clone of the value as it was changed; if there was none, the default is stored.
    ///
    /// ```
    /// let lists = brimful::Cache::<&str, Vec<u32>>::new(100);
    /// assert!(lists.entry("a").and_modify(|list| list.push(1)).or_default().is_empty());
    /// assert_eq!(lists.entry("a").and_modify(|list| list.push(1)).or_default(), [1]);
    /// ```
    #[track_caller]
    pub fn or_default(self) -> V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}
