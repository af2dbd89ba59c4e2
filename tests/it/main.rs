//! The caches through their public API: one binary, a module for each behaviour.
//!
//! `tests/README.md` says which behaviour is where and how each test is scaled.

#[path = "../world/mod.rs"]
#[macro_use]
mod world;

mod adversary;
mod bound;
mod causes;
mod expiry;
mod faults;
mod floorplan;
mod load;
mod load_cost;
mod load_model;
mod own_policy;
mod panics;
mod reentry;
mod refresh;
mod sweeper;
mod traits;
