//! A bounded concurrent cache: *full to the brim, never over*.
//!
//! For the place where a program would keep a `Mutex<HashMap>` that only ever
//! grows. A [`Cache`] cannot be made without a capacity, holds no more than it at
//! any instant, and tells for each value that left [why](Cause).
//!
//! ```
//! use brimful::Cache;
//! use std::sync::Arc;
//!
//! let pages: Cache<String, Arc<Vec<u8>>> = Cache::new(10_000);
//! let page = pages.get_or_insert_with("/index", || Arc::new(b"hello".to_vec()));
//! assert_eq!(page.len(), 5);
//! assert_eq!(pages.len(), 1);
//! ```
//!
//! # The bound
//!
//! At no moment does any thread see more weight or more entries resident than
//! the capacity, which is global over all shards and filled to the last unit.
//!
//! # Where to look
//!
//! - [`Cache`]: shared by threads, `&self`. [`unsync::Cache`]: one owner,
//!   `&mut self`, references instead of clones.
//! - [`Cache::get_or_insert_with`], [`Cache::get_or_insert_async`],
//!   [`Cache::get_or_insert_many`]: one load for all callers that miss a key at the same time.
//! - [`Entries`], [`Weight`], [`Bytes`]: capacities, with their unit in the type.
//! - [`policy`]: which entry is evicted first; [`policy::Duel`] unless you choose otherwise.
//! - [`Builder::time_to_live`], [`Builder::time_to_idle`], [`Cache::insert_with_ttl`]:
//!   entries that expire; [`Clock`]: the time they expire by.
//! - [`Cache::compute`]: one closure that sees what is there, and decides what is to be;
//!   [`Cache::compute_async`]: a future that does.
//! - [`Budget`]: one bound for several caches of different types.
//! - [`Cause`] and [`Builder::listener`]: what removed an entry, and when;
//!   [`Builder::on_discard`]: what is dropped else, by value.
//! - [`Cache::explain`]: for one key, who removes it, and about when; [`Cache::coldest`]: who
//!   leaves next.
//! - [`Cache::stats`]: hits, misses and departures, always on; two
//!   [`Snapshot`]s subtracted show what grew.
//! - [`guide`]: replacing a map call by call, sizing, limits, the plan inside.
//!
//! # Cost
//!
//! There is no background thread unless asked for, and no async runtime; the tree has 12 crates.
//! The cargo features, none of which is on by default, are `arcstr`, `bytes`, `compact_str`,
//! `smallvec` and `smol_str`: [`HeapSize`] and [`ToKey`] for the types of that crate; and `serde`:
//! caches from a configuration, `Plan`, and such that outlive their process, `save` and `restore`. `unsafe` is in the
//! room of the table, which threads read while others write it, where instructions of the processor are named, and
//! where Linux is asked for its coarse clock.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod budget;
mod builder;
mod cache;
mod capacity;
mod cause;
mod clock;
mod door;
mod error;
mod expiry;
mod explain;
#[cfg(all(feature = "serde", not(target_family = "wasm")))]
mod file;
mod flight;
mod form;
pub mod guide;
mod hash;
mod held;
mod key;
mod lanes;
mod leave;
mod ledger;
#[cfg(feature = "serde")]
mod plan;
pub mod policy;
mod processor;
mod reentry;
mod room;
mod shard;
mod sizing;
mod stats;
mod sync;
mod table;
mod tag;
mod unit;
pub mod unsync;
mod unwind;

pub use budget::{Budget, Member, Reserved, Share};
pub use builder::Builder;
#[cfg(feature = "serde")]
pub use cache::Restored;
pub use cache::{
    Begun, Cache, Drain, Entry, IntoIter, Iter, Keys, Lead, Load, LoadMany, LoadOrRefresh,
    Modified, OptionalLoad, OptionalLoadOrRefresh, Scope, SharedLoad, Sweeper, Values,
};
pub use capacity::{Capacity, HeapSize};
pub use cause::{Cause, Departed};
pub use clock::{Clock, ManualClock};
pub use error::{BudgetError, BuildError, Computed, LoadError, Next, Reason, Refused, Updated};
pub use expiry::Swept;
pub use explain::{Fate, Hits, Loading, Resident};
#[cfg(all(feature = "serde", not(target_family = "wasm")))]
pub use file::replace_file;
pub use form::{Aged, Expiring, Form, Sampled, Sampling, Timed, Tracked, Tracking, Weighed};
pub use hash::{Hasher, RandomState};
pub use hashbrown::Equivalent;
pub use held::Held;
pub use key::ToKey;
#[cfg(feature = "serde")]
pub use plan::{NoSize, Plan, Planned, Size};
pub use sizing::Sizing;
pub use stats::{
    Ages, Figure, Finding, Flow, Grown, Growth, Kind, Lingerer, Lingering, Portion, Scopes,
    Snapshot, Survey,
};
pub use unit::{Bytes, BytesBy, Entries, Unit, Units, Weight};

/// The README's code runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
