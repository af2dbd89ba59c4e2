//! Caches seen from outside: a registry of [brimful](brimful::Cache) caches, a page, JSON, an alarm.
//!
//! ```
//! use brimful::{Cache, Entries};
//! use brimful_watch::Registry;
//! use std::sync::Arc;
//!
//! static CACHES: Registry = Registry::new();
//!
//! let pages: Cache<String, String> = Cache::builder(Entries(10_000)).named("pages").build()?;
//! let pages = Arc::new(pages);
//! CACHES.watch(&pages);
//!
//! // Which of my caches, and what is wrong with it?
//! println!("{}", CACHES.look());
//! // For a route of the service: `GET /caches`, `GET /caches.json`.
//! let html = CACHES.page("refresh=5");
//! let json = CACHES.json();
//! # assert!(html.contains("pages") && json.contains("pages"));
//! # Ok::<(), brimful::BuildError>(())
//! ```
//!
//! - [`Registry`]: the caches of a process, held weakly, by name.
//! - [`Watched`]: a cache to be watched with more than its statistics: classes by a walk, an
//!   answer to *why is this key there?*, values that are held elsewhere.
//! - [`Look`]: what a registry saw at one moment; it prints as a line for each cache.
//! - [`Registry::page`]: one HTML page with drawings, without a script or anything from elsewhere.
//! - [`Registry::json`]: the same for machines.
//! - [`Registry::alarm`]: calls a function when something goes wrong with a cache.
//!
//! # Cost
//!
//! Nothing is done between two looks, and there is no thread but that of an alarm. A look costs what
//! [`Cache::stats`](brimful::Cache::stats) does for each cache, O(shards), and, for the page and the JSON,
//! a walk over the entries of those caches that were given [classes](Watched::survey). A
//! watched cache takes some 7 KiB for its history, and two snapshots.

mod alarm;
mod json;
mod look;
mod page;
mod past;
mod registry;
mod watched;

pub use alarm::Alarm;
pub use look::Look;
pub use registry::Registry;
pub use watched::Watched;

/// The README's code runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
