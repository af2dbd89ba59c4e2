//! What the feature `serde` adds: plans of caches, and entries that outlive a process.

mod plan;
mod save;
