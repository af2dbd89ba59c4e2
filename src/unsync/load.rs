//! Loading: a value that is missing, or stale, is made on the spot.

use super::Cache;
use crate::error::Refused;
use crate::form::Form;
use crate::key::ToKey;
use crate::policy::{Slot, Tag};
use crate::unwind::after_dropping;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key; if there is none, or a [stale](crate::Builder::refresh_after)
    /// one, that of `load`, stored under it.
    ///
    /// # Errors
    /// If the loaded value is heavier than the whole capacity: it is handed back.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut lengths = Cache::new(100);
    /// let length = lengths.get_or_insert_with("word", || 4)?;
    /// assert_eq!(*length, 4);
    /// # let _: Option<&usize> = lengths.get(&"word".to_string());
    /// # Ok::<(), brimful::Refused<String, usize>>(())
    /// ```
    #[doc(alias = "get_with")]
    #[doc(alias = "get_or_compute")]
    #[doc(alias = "compute_if_absent")]
    #[track_caller]
    pub fn get_or_insert_with<Q>(
        &mut self,
        key: &Q,
        load: impl FnOnce() -> V,
    ) -> Result<&V, Refused<K, V>>
    where
        Q: Hash + ToKey<K> + ?Sized,
    {
        let loaded = self.try_get_or_insert_with(key, || Ok(load()));
        loaded.unwrap_or_else(|never: Infallible| match never {})
    }

    /// The value under the key, or that of a loader that can fail, as
    /// [`get_or_insert_with`](Cache::get_or_insert_with). An error is not stored.
    ///
    /// # Errors
    /// The outer one is the loader's, the inner one the cache's, if the loaded
    /// value is heavier than the whole capacity.
    ///
    /// ```
    /// use brimful::unsync::Cache;
    ///
    /// let mut numbers = Cache::<String, u64>::new(100);
    /// assert!(numbers.try_get_or_insert_with("twelve", || "twelve".parse()).is_err());
    /// assert_eq!(numbers.try_get_or_insert_with("12", || "12".parse())?.ok(), Some(&12));
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    #[doc(alias = "try_get_with")]
    #[track_caller]
    pub fn try_get_or_insert_with<Q, E>(
        &mut self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<Result<&V, Refused<K, V>>, E>
    where
        Q: Hash + ToKey<K> + ?Sized,
    {
        let hashed = self.hash(key);
        let is = |found: &K| key.equivalent(found);
        let found = self.read_tag(hashed.tag(), is);
        let stale = found.is_some_and(|slot| self.is_due(slot, hashed.tag()));
        let slot = match found {
            Some(slot) if !stale => Ok(slot),
            _ => match self.loaded(load, stale) {
                Ok(value) => {
                    self.shard.flights.end_pause(hashed.tag());
                    let mut offer = match stale {
                        true => self.door.offer_refreshed(hashed, key.to_key(), value),
                        false => self.door.offer(hashed, key.to_key(), value),
                    };
                    self.insert_offer(&mut offer).map(|(slot, _)| slot)
                }
                Err(error) => match self.stand_in(stale, hashed.tag(), is) {
                    Some(slot) => after_dropping(error, Ok(slot)),
                    None => return Err(error),
                },
            },
        };
        Ok(slot.map(|slot| self.value_in(slot)))
    }

    /// Runs a loader, and counts how it ends.
    fn loaded<E>(&mut self, load: impl FnOnce() -> Result<V, E>, stale: bool) -> Result<V, E> {
        let source = &self.door.expiry.source;
        let began = source.read();
        let loaded = load();
        let took = source.read().since(began);
        let loads = self.shard.flights.loads();
        match &loaded {
            Ok(_) => loads.landed(Some(took), stale),
            Err(_) => loads.failed(),
        }
        loaded
    }

    /// Whether a value is to be refreshed.
    fn is_due(&self, slot: Slot, tag: Tag) -> bool {
        let (expiry, shard) = (&self.door.expiry, &self.shard);
        expiry.refreshes()
            && shard.is_stale(slot, expiry.refresh_after())
            && !shard.flights.are_paused(tag, shard.now())
    }

    /// Where the stale value is that stands in for one whose load has failed; there is a pause
    /// before the next.
    fn stand_in(&mut self, stale: bool, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        self.advance_clock();
        let (now, pause) = (self.shard.now(), self.door.expiry.refresh_pause);
        if stale && pause > 0 {
            self.shard
                .flights
                .pause(tag, now.saturating_add(pause), now);
        }
        let stands_in = stale && self.door.expiry.stale_if_error;
        stands_in.then(|| self.shard.slot(tag, is)).flatten()
    }
}
