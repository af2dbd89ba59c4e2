//! One small adapter for each cache. All of them hash with `ahash`, seeded anew
//! for each cache, so that caches are compared and not hashers; beyond that each
//! is as it comes.

pub mod brimful;
pub mod foyer;
pub mod maps;
pub mod mini_moka;
pub mod moka;
pub mod mutex_lru;
pub mod quick_cache;
pub mod scc;
