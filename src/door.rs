//! `Door`: what both caches do before the shard, and after it.
//!
//! ```text
//! before    hash the key, read the clock; weigh an entry on its way in, ask for its time to live
//! after     hand over the older value, or hand back what was refused
//! ```
//!
//! A cache is a door with something behind it: shards and locks
//! ([`Cache`](crate::Cache)), or one shard ([`unsync::Cache`](crate::unsync::Cache)). How a
//! shard is reached is the cache's affair; the door never does that by itself.
//!
//! Invariants
//! 1. A door calls the user's hasher, weigher, rule and clock without any lock.
//! 2. What it needs to know was checked by the builder; only the capacity changes later.

mod explain;

use crate::cause::Cause;
use crate::clock::{FOREVER, Glance, Moment, nanos};
use crate::error::Refused;
use crate::expiry::Expiry;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::{Leave, Leaving};
use crate::ledger::Ledger;
use crate::policy::{Choice, Policy, Seed};
use crate::room::{Room, Scale};
use crate::shard::{Inserted, Offer, Shard};
use crate::sizing::Model;
use crate::stats::{Origin, Snapshot, Tracks};
use crate::sync::Arc;
use crate::unit::Unit;
use crate::unwind::Panics;
use std::fmt::{DebugStruct, Formatter};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::panic::Location;
use std::time::Duration;

pub(crate) struct Door<K, V, F, S> {
    pub(crate) hasher: S,
    pub(crate) scale: Scale<K, V>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) expiry: Arc<Expiry<K, V>>,
    pub(crate) leave: Arc<Leave<K, V>>,
    pub(crate) tracking: Tracks<K, V>,
    pub(crate) name: Option<Arc<str>>,
    /// What the capacity counts.
    pub(crate) unit: &'static str,
    pub(crate) entry_limit: Option<usize>,
    /// Whether newcomers are let in however heavy they are.
    pub(crate) admits_heavy: bool,
    /// Which policy it is, where its type leaves that open.
    pub(crate) choice: Choice,
    pub(crate) form: PhantomData<fn() -> F>,
}

impl<K, V, F: Form, S: BuildHasher> Door<K, V, F, S> {
    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed::new(&self.hasher, key)
    }

    /// A shard's seed: of its policy, and of that one's random choices.
    pub(crate) fn seed(&self, shard: usize) -> Seed {
        Seed {
            random: self.hasher.hash_one(shard),
            choice: self.choice,
        }
    }
}

/// What is simulated of it.
impl<K, V, F: Form, S: BuildHasher> Door<K, V, F, S> {
    /// What a gauge has to know of the cache.
    pub(crate) fn model(&self) -> Model {
        Model {
            capacity: self.ledger.capacity(),
            entry_limit: self.entry_limit.map(|limit| limit as u64),
            admits_heavy: self.admits_heavy,
            seed: self.seed(0),
            to_idle: self.expiry.to_idle,
        }
    }
}

/// On the way in.
impl<K, V, F: Form, S> Door<K, V, F, S> {
    /// What a reader needs to know of the time, where entries have deadlines.
    #[inline]
    pub(crate) fn glance(&self) -> Glance {
        match F::TIMED {
            true => self.expiry.glance(),
            false => Glance::Exact(0),
        }
    }

    /// What time it is, where entries have deadlines. The clock is the user's: it is asked
    /// before the lock.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        if F::TIMED { self.expiry.now() } else { 0 }
    }

    /// The time to live of a value on its way in, in nanoseconds. Calls the user's rule.
    #[inline]
    pub(crate) fn life(&self, key: &K, value: &V) -> u64 {
        if F::TIMED {
            self.expiry.life(key, value)
        } else {
            FOREVER
        }
    }

    /// What an entry is charged. Calls the user's weigher.
    #[inline]
    pub(crate) fn weigh(&self, key: &K, value: &V) -> u64 {
        if F::WEIGHED {
            self.scale.weigh(key, value)
        } else {
            1
        }
    }

    /// An entry on its way in, with the weight and the time to live that the builder was told of.
    #[inline]
    #[track_caller]
    pub(crate) fn offer(&self, hashed: Hashed, key: K, value: V) -> Offer<K, V> {
        let weight = self.weigh(&key, &value);
        let life = self.life(&key, &value);
        self.offer_of(hashed, key, value, weight, life)
    }

    /// An entry that a refresh has loaded: if the rule says nothing it lives as long as the value
    /// that it replaces.
    #[track_caller]
    pub(crate) fn offer_refreshed(&self, hashed: Hashed, key: K, value: V) -> Offer<K, V> {
        let weight = self.weigh(&key, &value);
        let ruled = self.expiry.life_by_rule(&key, &value);
        let life = ruled.unwrap_or(self.expiry.to_live());
        let mut offer = self.offer_of(hashed, key, value, weight, life);
        offer.keeps_life = ruled.is_none();
        offer
    }

    /// An entry with a weight of its own.
    #[track_caller]
    pub(crate) fn offer_weighted(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        weight: u64,
    ) -> Offer<K, V> {
        let weight = self.scale.charge(weight);
        let life = self.life(&key, &value);
        self.offer_of(hashed, key, value, weight, life)
    }

    /// An entry with a time to live of its own.
    #[track_caller]
    pub(crate) fn offer_with_ttl(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        ttl: Duration,
    ) -> Offer<K, V> {
        let weight = self.weigh(&key, &value);
        self.offer_of(hashed, key, value, weight, nanos(ttl))
    }

    /// An entry with a weight and a time to live of its own.
    #[track_caller]
    pub(crate) fn offer_weighted_with_ttl(
        &self,
        hashed: Hashed,
        key: K,
        value: V,
        weight: u64,
        ttl: Duration,
    ) -> Offer<K, V> {
        self.offer_of(hashed, key, value, self.scale.charge(weight), nanos(ttl))
    }

    /// An entry with all that is known of it, and its origin: calls the user's function of
    /// classes.
    #[inline]
    #[track_caller]
    fn offer_of(&self, hashed: Hashed, key: K, value: V, weight: u64, life: u64) -> Offer<K, V> {
        let mut offer = Offer {
            pair: None,
            tag: hashed.tag(),
            weight,
            life,
            keeps_life: false,
            only_if_absent: false,
            lands: false,
            origin: Origin::default(),
            line: None,
        };
        if F::TRACKED {
            offer.origin.class = self.tracking.class(&key, &value);
            offer.line = self.tracking.line(Location::caller());
        }
        offer.pair = Some((key, value));
        offer
    }
}

/// What an insert returns, once the lock is left: the older value, or what was refused.
#[inline(always)]
pub(crate) fn finish<K, V>(
    placed: Inserted,
    leaving: &mut Leaving<'_, K, V>,
) -> Result<Option<V>, Refused<K, V>> {
    match placed {
        Inserted::Refused(reason) => leaving.hand_back(reason),
        _ => Ok(leaving.hand_over_value(Cause::Replaced)),
    }
}

/// Runs code of the user's that needs `kept`, and returns that; if the code panics, `kept` is
/// dropped before the panic goes on.
pub(crate) fn after_running<T, R>(mut kept: T, code: impl FnOnce(&mut T) -> R) -> T {
    let mut panics = Panics::none();
    panics.run(|| drop(code(&mut kept)));
    panics.hand(kept)
}

/// Figures, and the end.
impl<K, V, F: Form, S> Door<K, V, F, S> {
    pub(crate) fn capacity(&self) -> F::Unit {
        F::Unit::of(self.ledger.capacity())
    }

    /// Whether hits change the policy's order.
    #[inline]
    pub(crate) fn hears_of_hits(&self) -> bool {
        F::Policy::hears_of_hits(self.choice)
    }

    /// How many entries are in use, where the ledger counts them.
    pub(crate) fn counted(&self) -> Option<u64> {
        if F::WEIGHED {
            self.ledger.entries()
        } else {
            Some(self.ledger.weight())
        }
    }

    /// The statistics of all shards in sum, with what only the door knows. `len`, if it is
    /// counted, and `weight` are of one moment, where a sum would be of many.
    pub(crate) fn stats(
        &self,
        shards: impl Iterator<Item = Snapshot>,
        len: Option<u64>,
        weight: u64,
    ) -> Snapshot {
        // The clock may be the user's: it is read before a lock is taken.
        let mut sum = Snapshot::default();
        sum.taken = Some(self.expiry.now());
        sum.name = self.name.clone();
        sum.unit = self.unit;
        sum.remembers = F::Policy::keeps_ghosts(self.choice);
        sum.goes_stale = self.expiry.refreshes();
        let mut by_shard = Vec::new();
        for shard in shards {
            by_shard.push(shard.inserts());
            sum.add(&shard);
        }
        sum.by_shard = by_shard.into();
        sum.weight = weight;
        sum.len = len.unwrap_or(sum.len);
        sum.capacity = self.ledger.capacity();
        sum.listener_panics = self.leave.panics();
        sum.lingering = self.leave.lingerers().map(|list| list.sum());
        if let Some(sources) = &mut sum.sources {
            sources.names = self.tracking.names.clone();
        }
        sum
    }

    /// The figures that `Debug` prints: nothing is asked of `K` and `V`.
    pub(crate) fn figures<'f, 'a>(
        &self,
        len: Option<u64>,
        weight: u64,
        f: &'f mut Formatter<'a>,
    ) -> DebugStruct<'f, 'a> {
        let mut figures = f.debug_struct("Cache");
        if let Some(len) = len {
            figures.field("len", &len);
        }
        figures
            .field("weight", &weight)
            .field("capacity", &self.ledger.capacity());
        figures
    }

    /// Proves that what the shards hold is what the ledger says, and within the bound.
    pub(crate) fn check(&self, held: Room) {
        assert_eq!(held.weight, self.ledger.weight(), "weight held and used");
        assert!(self.ledger.weight() <= self.ledger.capacity(), "weight");
        if let Some(entries) = self.ledger.entries() {
            assert_eq!(held.entries, entries, "entries held and used");
            assert!(Some(entries as usize) <= self.entry_limit, "entries");
        }
    }

    /// The cache is dropped: every entry leaves, as [`CacheDropped`](Cause::CacheDropped), or
    /// as [`Expired`](Cause::Expired) if it is past its deadline.
    pub(crate) fn close(&self, shards: impl Iterator<Item: DerefMut<Target = Shard<K, V, F>>>) {
        if self.leave.is_silent() && !self.ledger.is_under() {
            return;
        }
        let mut batches = self.leave.batches();
        let now = batches.panics().run(|| self.now()).unwrap_or(0);
        for mut shard in shards {
            shard.advance_clock(now);
            let left = shard.finish(&self.ledger);
            drop(shard);
            batches.discard_all(left);
        }
        batches.end();
    }
}
