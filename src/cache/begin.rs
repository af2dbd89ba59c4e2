//! Beginning a load: the value, or a guard that is the right to load it.
//!
//! For where a loader can't be a closure or a future: a load that begins in one function and ends in
//! another, or after a choice that the caller makes once it knows that the key is missing. The guard
//! holds the lead of the key's flight, no lock.
//!
//! A thread that holds guards is inside of their loads where it sleeps (`flight::chain`).

use super::lead::{Leading, Sharing, Sought, wait_here};
use super::load::Load;
use crate::clock::Reading;
use crate::error::LoadError;
use crate::flight::chain::Guarded;
use crate::form::Form;
use crate::key::ToKey;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

impl<'a, Q, K, V, F, S> Load<'a, Q, K, V, F, S>
where
    Q: Hash + ToKey<K> + ?Sized,
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key, or the right to load it: a guard, for loads that don't fit into a
    /// closure. The calling thread sleeps while it waits for another caller's load.
    ///
    /// While the guard is held the key is being loaded, as while a loader runs: others who miss it
    /// wait, and a write of the key keeps what is loaded from being stored. A
    /// [stale](crate::Builder::refresh_after) value is still served to others, and can be
    /// [peeked](crate::Cache::peek) at. The key is cloned once more than for a loader.
    ///
    /// # Errors
    /// [`LoadError::Cycle`] as for [`with`](Load::with). A thread that would sleep is inside of all
    /// loads whose guards it has begun and that have not ended: if it asks for one of their keys again, or
    /// for one whose load waits for one of these, by whatever call that sleeps, it is told in place of
    /// waiting for itself. Not known are guards of tasks, and where a guard is sent: it counts
    /// as held by the thread that began it, which may be told `Cycle` where another would have
    /// ended the wait, and that other is not told.
    ///
    /// ```
    /// use brimful::{Begun, Cache};
    ///
    /// let cache = Cache::<String, usize>::new(100);
    /// let length = match cache.load("word").begin()? {
    ///     Begun::Value(length) => length,
    ///     Begun::Lead(lead) => {
    ///         let length = lead.key().len();
    ///         lead.insert(length)
    ///     }
    /// };
    /// assert_eq!((length, cache.get("word")), (4, Some(4)));
    /// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
    /// ```
    #[doc(alias = "get_value_or_guard")]
    pub fn begin(self) -> Result<Begun<'a, K, V, F, S>, LoadError<Infallible>> {
        self.begin_here(None)
    }

    /// As [`begin`](Load::begin), for a caller that waits at most so long for another's load: zero
    /// means not at all.
    ///
    /// # Errors
    /// [`LoadError::TimedOut`] after that time, and those of [`begin`](Load::begin).
    ///
    /// ```
    /// use brimful::{Begun, Cache, LoadError};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::<u32, u32>::new(100);
    /// let lead = cache.load(&1).begin()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let late = cache.load(&1).begin_within(Duration::ZERO);
    ///         assert!(matches!(late, Err(LoadError::TimedOut)));
    ///     });
    /// });
    /// # Ok::<(), LoadError<std::convert::Infallible>>(())
    /// ```
    pub fn begin_within(
        self,
        most: Duration,
    ) -> Result<Begun<'a, K, V, F, S>, LoadError<Infallible>> {
        self.begin_here(Some(most))
    }

    /// As [`begin`](Load::begin), for tasks, on any executor.
    ///
    /// # Errors
    /// [`LoadError::Cycle`] if the call is made inside of a load that waits for this key. Which guards
    /// a task holds is not known: one that asks for the key of its own guard waits for ever.
    ///
    /// ```
    /// use brimful::{Begun, Cache};
    ///
    /// # pollster::block_on(async {
    /// let cache = Cache::<String, usize>::new(100);
    /// if let Begun::Lead(lead) = cache.load("word").begin_async().await? {
    ///     let length = async { 4 }.await;
    ///     lead.insert(length);
    /// }
    /// assert_eq!(cache.get("word"), Some(4));
    /// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_value_or_guard_async")]
    pub async fn begin_async(self) -> Result<Begun<'a, K, V, F, S>, LoadError<Infallible>> {
        let Self { cache, key, .. } = self;
        let how = self.how(Sharing::NO);
        let hashed = cache.hash(key);
        if let Some(value) = cache.read_if_valid(hashed, key, &how) {
            return Ok(Begun::Value(value));
        }
        Ok(match cache.seek(hashed, key, &how).await? {
            Sought::Value(value) => Begun::Value(value),
            Sought::Lead(leading) => Begun::Lead(Lead::new(leading, key.to_key(), None)),
        })
    }

    fn begin_here(
        self,
        most: Option<Duration>,
    ) -> Result<Begun<'a, K, V, F, S>, LoadError<Infallible>> {
        let begun = wait_here(self.begin_async(), most);
        let mut begun = begun.unwrap_or(Err(LoadError::TimedOut))?;
        if let Begun::Lead(lead) = &mut begun {
            lead.guarded = Some(lead.leading.chain().guard());
        }
        Ok(begun)
    }
}

/// A load that has begun: its value was there, or is to be loaded. See [`Load::begin`].
///
/// ```
/// use brimful::{Begun, Cache};
///
/// let cache = Cache::<u32, u32>::new(100);
/// cache.insert(1, 7);
/// assert!(matches!(cache.load(&1).begin()?, Begun::Value(7)));
/// assert!(matches!(cache.load(&2).begin()?, Begun::Lead(_)));
/// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
/// ```
#[must_use = "a lead that is dropped is passed on to one that waits"]
pub enum Begun<'a, K, V, F: Form, S> {
    /// A clone of the value that is there, or that another caller has loaded.
    Value(V),
    /// The caller is to load it.
    Lead(Lead<'a, K, V, F, S>),
}

impl<K, V, F: Form, S> fmt::Debug for Begun<'_, K, V, F, S> {
    /// Prints which it is: nothing is asked of key and value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value(..)",
            Self::Lead(_) => "Lead(..)",
        })
    }
}

/// The right to load a key: others who miss it wait until this [brings](Lead::insert) a value, or is
/// dropped, and then one of them loads in its stead. Made by [`Load::begin`].
///
/// Dropped without a value it counts as a [failed load](crate::Snapshot::load_failures), and starts the
/// [pause](crate::Builder::refresh_pause) of a refresh. It must not be forgotten
/// ([`mem::forget`](std::mem::forget), a cycle of `Arc`s): those who wait would wait for ever, until
/// the time that they [gave](Load::within) is over; who comes after a write of the key does not wait.
/// It must not be dropped under a cache's lock, by a closure that runs there: that panics.
///
/// ```
/// use brimful::{Begun, Cache};
/// use std::thread;
///
/// let cache = Cache::<u32, u32>::new(100);
/// let Begun::Lead(lead) = cache.load(&1).begin()? else { panic!("nothing is there") };
/// thread::scope(|scope| {
///     let waits = scope.spawn(|| cache.get_or_insert_with(&1, || 7));
///     while cache.stats().load_waits() == 0 {
///         thread::yield_now();
///     }
///     drop(lead);
///     assert_eq!(waits.join().unwrap(), 7);
/// });
/// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
/// ```
#[must_use = "a lead that is dropped is passed on to one that waits"]
pub struct Lead<'a, K, V, F: Form, S> {
    leading: Leading<'a, K, V, F, S>,
    key: K,
    began: Reading,
    /// By the thread that began it, which is told of cycles.
    guarded: Option<Guarded>,
}

impl<'a, K, V, F: Form, S> Lead<'a, K, V, F, S> {
    fn new(mut leading: Leading<'a, K, V, F, S>, key: K, guarded: Option<Guarded>) -> Self {
        leading.failed();
        Self {
            began: leading.begins(),
            leading,
            key,
            guarded,
        }
    }

    /// The key that is to be loaded.
    ///
    /// ```
    /// use brimful::{Begun, Cache};
    ///
    /// let cache = Cache::<String, u32>::new(100);
    /// let Begun::Lead(lead) = cache.load("a").begin()? else { panic!("nothing is there") };
    /// assert_eq!(lead.key(), "a");
    /// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
    /// ```
    #[must_use]
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K, V, F, S> Lead<'_, K, V, F, S>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// Ends the load with this value: stores it, hands clones to those who wait, and returns it. If the
    /// key was written since the load began it is handed out and not stored, as what any
    /// [load](crate::Cache::get_or_insert_with) brings.
    ///
    /// # Panics
    /// If the weigher or the rule for lives does: then the lead is passed on.
    ///
    /// ```
    /// use brimful::{Begun, Cache};
    ///
    /// let cache = Cache::<u32, u32>::new(100);
    /// if let Begun::Lead(lead) = cache.load(&1).begin()? {
    ///     assert_eq!(lead.insert(7), 7);
    /// }
    /// assert_eq!((cache.get(&1), cache.stats().loads()), (Some(7), 1));
    /// # Ok::<(), brimful::LoadError<std::convert::Infallible>>(())
    /// ```
    pub fn insert(self, value: V) -> V {
        let Self {
            leading,
            key,
            began,
            guarded: _guarded,
        } = self;
        leading.land(|| key, value, Some(began))
    }
}

impl<K, V, F: Form, S> fmt::Debug for Lead<'_, K, V, F, S> {
    /// Nothing is asked of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").finish_non_exhaustive()
    }
}
