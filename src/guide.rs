//! The guide: what brimful promises, and how to live with it.
//!
//! | page | answers |
//! |---|---|
//! | [`replacing`] | which call of `HashMap`, DashMap, `lru`, moka, quick_cache, `cached` becomes which; the type to write; a cache from a configuration |
//! | [`who_removes_it`] | how a value leaves, and how to hear of it |
//! | [`sizing`] | in which unit to give a capacity, and how much |
//! | [`policies`] | which entry is evicted first, and which policy to pick when |
//! | [`near`] | when one process is outgrown: a near cache before Redis or Valkey |
//! | `configuration` | a cache from a file in TOML, JSON or another format: feature `serde` |
//! | `restart` | a cache that is saved and restored: feature `serde` |
//! | [`limits`] | what runs under a lock, what may not, what this crate is not for |
//! | [`words`] | the vocabulary, one word per thing |
//! | [`inside`] | the plan of the house, for those who read or change it |

#[doc = include_str!("guide/replacing.md")]
pub mod replacing {}

#[doc = include_str!("guide/who_removes_it.md")]
pub mod who_removes_it {}

#[doc = include_str!("guide/sizing.md")]
pub mod sizing {}

#[doc = include_str!("guide/policies.md")]
pub mod policies {}

#[doc = include_str!("guide/near.md")]
pub mod near {}
#[cfg(feature = "serde")]
#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

#[cfg(feature = "serde")]
#[doc = include_str!("guide/restart.md")]
pub mod restart {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/words.md")]
pub mod words {}

#[doc = include_str!("guide/inside.md")]
pub mod inside {}
