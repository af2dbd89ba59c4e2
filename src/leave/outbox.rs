//! What left a shard in one call, carried out of the lock with its cause.
//!
//! The shard only puts things in; `leave` alone empties it. Most calls let go
//! of nothing or of one value, so the first place costs no allocation. Where
//! there is no listener and nothing is to be dropped, evicted and expired entries are not
//! kept at all.

use crate::cause::{Cause, Times};

/// A value on its way out.
pub(crate) struct Departure<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    /// What it was charged; 0 if it was never resident.
    pub(crate) weight: u64,
    pub(crate) cause: Cause,
    pub(crate) times: Times,
}

pub(crate) struct Outbox<K, V> {
    left: Option<Left<K, V>>,
    silent: bool,
}

/// What has left: the first, and the others.
struct Left<K, V> {
    first: Departure<K, V>,
    rest: Vec<Departure<K, V>>,
}

impl<K, V> Outbox<K, V> {
    /// An empty outbox; a `silent` one may forget entries that the policy or time takes out.
    #[inline]
    pub(crate) fn new(silent: bool) -> Self {
        Self { left: None, silent }
    }

    /// Takes an entry; forgets it if there is no listener, nothing is to be dropped
    /// and no caller is handed entries of that cause.
    #[inline]
    pub(crate) fn put(&mut self, key: K, value: V, weight: u64, cause: Cause, times: Times) {
        if !self.forgets(cause) {
            self.keep(key, value, weight, cause, times);
        }
    }

    /// Whether entries of this cause are forgotten: they may be left unread.
    #[inline]
    pub(crate) fn forgets(&self, cause: Cause) -> bool {
        self.silent && matches!(cause, Cause::Evicted | Cause::Expired)
    }

    /// Takes an entry that the caller may be handed.
    #[inline]
    pub(crate) fn keep(&mut self, key: K, value: V, weight: u64, cause: Cause, times: Times) {
        let departure = Departure {
            key,
            value,
            weight,
            cause,
            times,
        };
        match &mut self.left {
            Some(left) => left.rest.push(departure),
            None => {
                self.left = Some(Left {
                    first: departure,
                    rest: Vec::new(),
                });
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Departure<K, V>> {
        let first = self.left.iter().map(|left| &left.first);
        first.chain(self.left.iter().flat_map(|left| &left.rest))
    }

    /// Takes out the departure that the caller is to be handed, if there is one.
    #[inline]
    pub(crate) fn hand_over(&mut self, cause: Cause) -> Option<Departure<K, V>> {
        let left = self.left.as_mut()?;
        if left.first.cause == cause {
            return match left.rest.pop() {
                Some(other) => Some(std::mem::replace(&mut left.first, other)),
                None => self.pop(),
            };
        }
        let index = left.rest.iter().position(|left| left.cause == cause)?;
        Some(left.rest.swap_remove(index))
    }

    /// Takes out any departure.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Departure<K, V>> {
        let last = self.left.as_mut()?.rest.pop();
        last.or_else(|| self.left.take().map(|left| left.first))
    }
}
