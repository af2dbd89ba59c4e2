//! The caches through their public API: one binary, a module for each behaviour.
//!
//! `tests/README.md` says which behaviour is where and how each test is scaled.

#[path = "../world/mod.rs"]
#[macro_use]
mod world;

// The gate's optimised form (`--cfg brimful_full`) compiles what it runs: three of them, and in its
// slices `counts` and `loads` (`--cfg brimful_counts`) five more.
#[cfg(any(not(brimful_full), brimful_counts))]
mod adversary;
#[cfg(not(brimful_full))]
mod batch;
#[cfg(not(brimful_full))]
mod begin;
mod bound;
#[cfg(not(brimful_full))]
mod budgets;
#[cfg(not(brimful_full))]
mod causes;
#[cfg(not(brimful_full))]
mod chosen;
#[cfg(not(brimful_full))]
mod compute;
#[cfg(not(brimful_full))]
mod compute_async;
#[cfg(any(not(brimful_full), brimful_counts))]
mod expiry;
#[cfg(not(brimful_full))]
mod explain;
#[cfg(not(brimful_full))]
mod faults;
#[cfg(not(brimful_full))]
mod floorplan;
#[cfg(not(brimful_full))]
mod heavy;
#[cfg(not(brimful_full))]
mod held;
#[cfg(not(brimful_full))]
mod load;
#[cfg(not(brimful_full))]
mod load_cost;
#[cfg(any(not(brimful_full), brimful_counts))]
mod load_model;
#[cfg(not(brimful_full))]
mod locked;
#[cfg(not(brimful_full))]
mod optional;
#[cfg(any(not(brimful_full), brimful_counts))]
mod own_policy;
mod panics;
mod reads;
#[cfg(any(not(brimful_full), brimful_counts))]
mod reentry;
#[cfg(not(brimful_full))]
mod refresh;
#[cfg(not(brimful_full))]
mod scope;
#[cfg(not(brimful_full))]
mod sizing;
#[cfg(not(brimful_full))]
mod survey;
#[cfg(not(brimful_full))]
mod sweeper;
#[cfg(not(brimful_full))]
mod traits;
#[cfg(not(brimful_full))]
mod walk;
