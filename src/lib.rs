//! A bounded concurrent cache: *full to the brim, never over*.
//!
//! For the place where a program would keep a `Mutex<HashMap>` that only ever
//! grows. A [`Cache`] cannot be made without a capacity, never holds more than
//! it at any instant, and tells why each value left.
//!
//! ```
//! use brimful::Cache;
//!
//! let sessions = Cache::new(10_000);
//! sessions.insert("alice", 1);
//! assert_eq!(sessions.get("alice"), Some(1));
//! ```

mod budget;
mod builder;
mod cache;
mod capacity;
mod cause;
mod config;
mod error;
mod ghost;
mod hash;
mod heap_size;
mod leave;
mod outbox;
pub mod policy;
mod reentry;
mod ring;
mod scale;
mod shard;
mod stats;
mod sync;
mod table;
mod tag;
pub mod unsync;
mod weight;

pub use builder::Builder;
pub use cache::{Cache, Drain, Entry, IntoIter, Iter, Keys, Values, WeighedCache};
pub use capacity::{Bytes, Capacity, Entries, Weight};
pub use cause::Cause;
pub use error::{BuildError, Reason, Refused, Updated};
pub use hash::{Hasher, RandomState};
pub use hashbrown::Equivalent;
pub use heap_size::HeapSize;
pub use stats::{Growth, Snapshot};
