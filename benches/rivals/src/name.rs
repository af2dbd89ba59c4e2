//! The field by name: from what a person types to a cache of its own type.

use crate::caches::{brimful, foyer, maps, mini_moka, moka, mutex_lru, quick_cache, scc};
use crate::rival::{Bound, Heft, Key, Task, Value};
use ::brimful::policy::{Duel, Lru, S3Fifo};
use clap::ValueEnum;
use std::fmt;

/// Each cache that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// brimful as it comes
    Brimful,
    /// brimful with the policy Lru
    BrimfulLru,
    /// brimful with the policy S3Fifo
    #[value(name = "brimful-s3fifo")]
    BrimfulS3Fifo,
    /// quick_cache::sync
    #[value(name = "quick_cache")]
    QuickCache,
    /// moka::sync
    Moka,
    /// mini_moka::sync
    MiniMoka,
    /// foyer-memory with its S3-FIFO
    #[value(name = "foyer-s3fifo")]
    FoyerS3Fifo,
    /// foyer-memory with its LRU, its default
    FoyerLru,
    /// scc::HashCache; holds up to the next power of two
    Scc,
    /// 16 x parking_lot::Mutex<lru::LruCache>
    MutexLru,
    /// no bound: 64 x parking_lot::RwLock<hashbrown>
    RwlockMap,
    /// no bound: 64 x parking_lot::Mutex<hashbrown>
    MutexMap,
    /// no bound: dashmap
    Dashmap,
    /// no bound: papaya, whose reads take no lock
    Papaya,
    /// no bound: scc::HashMap
    SccMap,
}

impl Name {
    /// Those measured if nobody chooses.
    pub const DEFAULT: [Self; 13] = [
        Self::Brimful,
        Self::QuickCache,
        Self::Moka,
        Self::MiniMoka,
        Self::FoyerS3Fifo,
        Self::FoyerLru,
        Self::Scc,
        Self::MutexLru,
        Self::RwlockMap,
        Self::MutexMap,
        Self::Dashmap,
        Self::Papaya,
        Self::SccMap,
    ];

    /// Whether it evicts by itself.
    pub fn is_bounded(self) -> bool {
        !matches!(
            self,
            Self::RwlockMap | Self::MutexMap | Self::Dashmap | Self::Papaya | Self::SccMap
        )
    }

    /// Whether its bound can be a sum of weights. The maps without a bound are
    /// held to one by hand.
    pub fn takes_weights(self) -> bool {
        !matches!(self, Self::Scc | Self::MutexLru)
    }

    /// The name of the package, as in `Cargo.lock`.
    pub fn package(self) -> &'static str {
        match self {
            Self::Brimful | Self::BrimfulLru | Self::BrimfulS3Fifo => "brimful",
            Self::QuickCache => "quick_cache",
            Self::Moka => "moka",
            Self::MiniMoka => "mini-moka",
            Self::FoyerS3Fifo | Self::FoyerLru => "foyer-memory",
            Self::Scc | Self::SccMap => "scc",
            Self::MutexLru => "lru",
            Self::RwlockMap | Self::MutexMap => "hashbrown",
            Self::Dashmap => "dashmap",
            Self::Papaya => "papaya",
        }
    }

    /// Makes an empty cache of at most `entries` and does the task with it.
    pub fn open<K: Key, V: Value, T: Task<K, V>>(self, entries: usize, task: T) -> T::Outcome {
        match self {
            Self::Brimful => task.with(brimful::of_entries::<K, V, Duel>(entries)),
            Self::BrimfulLru => task.with(brimful::of_entries::<K, V, Lru>(entries)),
            Self::BrimfulS3Fifo => task.with(brimful::of_entries::<K, V, S3Fifo>(entries)),
            Self::QuickCache => task.with(quick_cache::of_entries::<K, V>(entries)),
            Self::Moka => task.with(moka::of_entries::<K, V>(entries)),
            Self::MiniMoka => task.with(mini_moka::of_entries::<K, V>(entries)),
            Self::FoyerS3Fifo => task.with(foyer::of_entries::<K, V>(entries, foyer::s3fifo())),
            Self::FoyerLru => task.with(foyer::of_entries::<K, V>(entries, foyer::lru())),
            Self::Scc => task.with(scc::of_entries::<K, V>(entries)),
            Self::MutexLru => task.with(mutex_lru::of_entries::<K, V>(entries)),
            Self::RwlockMap => task.with(maps::rwlock::<K, V>()),
            Self::MutexMap => task.with(maps::mutex::<K, V>()),
            Self::Dashmap => task.with(maps::dashmap::<K, V>()),
            Self::Papaya => task.with(maps::papaya::<K, V>()),
            Self::SccMap => task.with(maps::scc::<K, V>()),
        }
    }

    /// Makes an empty cache bound by weight and does the task with it; nothing
    /// where it does not take weights.
    pub fn open_weighted<T: Task<u64, Heft>>(self, bound: Bound, task: T) -> Option<T::Outcome> {
        Some(match self {
            Self::Brimful => task.with(brimful::of_weight::<Duel>(bound)),
            Self::BrimfulLru => task.with(brimful::of_weight::<Lru>(bound)),
            Self::BrimfulS3Fifo => task.with(brimful::of_weight::<S3Fifo>(bound)),
            Self::QuickCache => task.with(quick_cache::of_weight(bound)),
            Self::Moka => task.with(moka::of_weight(bound)),
            Self::MiniMoka => task.with(mini_moka::of_weight(bound)),
            Self::FoyerS3Fifo => task.with(foyer::of_weight(bound, foyer::s3fifo())),
            Self::FoyerLru => task.with(foyer::of_weight(bound, foyer::lru())),
            Self::Scc | Self::MutexLru => return None,
            Self::RwlockMap => task.with(maps::rwlock()),
            Self::MutexMap => task.with(maps::mutex()),
            Self::Dashmap => task.with(maps::dashmap()),
            Self::Papaya => task.with(maps::papaya()),
            Self::SccMap => task.with(maps::scc()),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no name is hidden");
        f.pad(value.get_name())
    }
}
