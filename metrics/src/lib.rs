//! [brimful](brimful::Cache) caches told to the `metrics` facade, and so to Prometheus, OpenTelemetry or whatever
//! else listens to it; and, by the feature `tracing`, to `tracing`.
//!
//! ```
//! use brimful::{Cache, Entries};
//! use brimful_metrics::Metrics;
//! use brimful_watch::Registry;
//! use std::sync::Arc;
//!
//! static CACHES: Registry = Registry::new();
//! static METRICS: Metrics<&Registry> = Metrics::new(&CACHES);
//!
//! // Once, when the recorder is there.
//! brimful_metrics::describe();
//!
//! let pages: Cache<String, String> = Cache::builder(Entries(10_000)).named("pages").build()?;
//! let pages = Arc::new(pages);
//! CACHES.watch(&pages);
//!
//! // When metrics are asked for, before they are rendered.
//! METRICS.publish();
//! # Ok::<(), brimful::BuildError>(())
//! ```
//!
//! # Metrics
//!
//! Each has the label `cache`, the name by which the registry knows it. Names follow Prometheus:
//!
//! | metric | is |
//! |---|---|
//! | `brimful_hits_total`, `brimful_misses_total`, `brimful_inserts_total`, … | each counter of [`Snapshot::figures`](brimful::Snapshot::figures) |
//! | `brimful_departures_total` | what left, by the label `cause` |
//! | `brimful_entries`, `brimful_weight`, `brimful_capacity`, … | what is there; those that count weight have the label `unit` |
//! | `brimful_load_time_seconds`, `brimful_late_time_seconds` | gauges that only grow: seconds, which counters of the facade can't have a part of |
//! | `brimful_finding` | 1 while something is [wrong](brimful::Finding), by the label `kind` |
//!
//! The repository has a Grafana dashboard (`metrics/grafana.json`) and alert rules for Prometheus
//! (`metrics/alerts.yml`) of these names; a test holds them against what is exported.
//!
//! # Cost
//!
//! Nothing is done on a hit, nor anywhere else until metrics are asked for. [`Metrics::publish`] looks at each
//! cache once, O(shards), and sets some 30 figures of each.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod figure;
mod publish;
#[cfg(feature = "tracing")]
pub mod traced;

pub use publish::{Metrics, describe};

/// The README's code runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
