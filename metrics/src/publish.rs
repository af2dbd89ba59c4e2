//! `Metrics`: tells the recorder of the `metrics` facade what a registry's caches say, when it is asked to.
//!
//! Counters are told by how much they have grown since they were last told. So a cache that takes the name
//! of one that was dropped goes on from there, as Prometheus wants it, and does not begin again.
//!
//! Invariant: what is remembered is of caches that the last look saw, and of no others.

use crate::figure::{As, Metric};
use brimful::{Finding, Snapshot};
use brimful_watch::Registry;
use metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Says to the recorder of the `metrics` facade what each metric is: once, when the recorder is installed.
///
/// ```
/// brimful_metrics::describe();
/// ```
pub fn describe() {
    for (metric, meaning) in Metric::all() {
        match metric.told {
            As::Counter => describe_counter!(metric.name, Unit::Count, meaning),
            As::Gauge => describe_gauge!(metric.name, meaning),
            As::Seconds => describe_gauge!(metric.name, Unit::Seconds, meaning),
        }
    }
    describe_gauge!(
        FINDING,
        "1 while something is wrong with the cache, by kind."
    );
}

/// What is wrong.
const FINDING: &str = "brimful_finding";

/// The caches of a registry, told to the recorder of the `metrics` facade whenever
/// [`publish`](Metrics::publish) is called. One for a registry, beside it in a `static`.
///
/// `R` is `&'static Registry`, or an `Arc` of one.
///
/// ```
/// use brimful_metrics::Metrics;
/// use brimful_watch::Registry;
///
/// static CACHES: Registry = Registry::new();
/// static METRICS: Metrics<&Registry> = Metrics::new(&CACHES);
/// METRICS.publish();
/// ```
pub struct Metrics<R> {
    registry: R,
    /// What was told of each cache, by its name.
    told: Mutex<BTreeMap<String, Told>>,
}

/// What was told of one cache.
#[derive(Default)]
struct Told {
    /// How far each counter was told, by the figure's name.
    counted: BTreeMap<&'static str, u64>,
    unit: &'static str,
    /// The kinds of what was ever found.
    found: BTreeSet<String>,
}

impl<R> Metrics<R> {
    /// Metrics of this registry's caches. Nothing is told until [`publish`](Metrics::publish) is called.
    ///
    /// ```
    /// use brimful_metrics::Metrics;
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let registry = Arc::new(Registry::new());
    /// let metrics = Metrics::new(registry.clone());
    /// metrics.publish();
    /// ```
    pub const fn new(registry: R) -> Self {
        Self {
            registry,
            told: Mutex::new(BTreeMap::new()),
        }
    }
}

impl<R: Deref<Target = Registry>> Metrics<R> {
    /// Looks at all caches and sets their metrics: call it when metrics are asked for, before they are
    /// rendered. O(shards) a cache; of calls at the same time one waits for the other.
    ///
    /// Gauges of a cache that was dropped go to 0 once; its counters stay where they are.
    ///
    /// # Panics
    /// Inside of a closure that must not call into a cache, as [`Registry::look`] does.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_metrics::Metrics;
    /// use brimful_watch::Registry;
    /// use metrics_exporter_prometheus::PrometheusBuilder;
    /// use std::sync::Arc;
    ///
    /// let (caches, pages) = (Registry::new(), Arc::new(Cache::new(10)));
    /// caches.watch(&pages);
    /// pages.insert("/", 1);
    /// let metrics = Metrics::new(&caches);
    ///
    /// let recorder = PrometheusBuilder::new().build_recorder();
    /// metrics::with_local_recorder(&recorder, || metrics.publish());
    /// let text = recorder.handle().render();
    /// assert!(text.contains("brimful_inserts_total{cache=\"cache\"} 1"), "{text}");
    /// ```
    pub fn publish(&self) {
        // No panic leaves it half changed: the worst is that an increase is told twice.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let look = self.registry.look();
        let mut gone = std::mem::take(&mut *told);
        for (name, snapshot) in look.snapshots() {
            let mut of_cache = gone.remove(name).unwrap_or_default();
            of_cache.tell(name, snapshot);
            told.insert(name.to_owned(), of_cache);
        }
        for (name, finding) in look.findings() {
            let found = told.get_mut(name).map(|told| &mut told.found);
            found.map(|found| found.insert(kind(finding)));
        }
        for (name, of_cache) in &*told {
            let findings = look.findings().filter(|(of, _)| of == name);
            of_cache.tell_findings(name, &findings.map(|(_, finding)| kind(finding)).collect());
        }
        for (name, of_cache) in &gone {
            of_cache.fall(name);
        }
    }
}

impl Told {
    /// Tells of every figure.
    fn tell(&mut self, name: &str, snapshot: &Snapshot) {
        self.unit = snapshot.unit();
        for figure in snapshot.figures() {
            let metric = Metric::of(&figure);
            let labels = self.labels(name, &metric);
            match metric.told {
                As::Gauge => gauge!(metric.name, labels).set(figure.value as f64),
                As::Seconds => {
                    let span = Duration::from_nanos(figure.value);
                    gauge!(metric.name, labels).set(span.as_secs_f64());
                }
                As::Counter => {
                    let before = self.counted.insert(figure.name, figure.value).unwrap_or(0);
                    // A cache of the same name that is younger has counted less.
                    let grown = figure.value.checked_sub(before).unwrap_or(figure.value);
                    counter!(metric.name, labels).increment(grown);
                }
            }
        }
    }

    /// Says of all that was ever found whether it is found now.
    fn tell_findings(&self, name: &str, now: &BTreeSet<String>) {
        for kind in &self.found {
            let labels = [
                Label::new("cache", name.to_owned()),
                Label::new("kind", kind.clone()),
            ];
            let is_found = f64::from(u8::from(now.contains(kind)));
            gauge!(FINDING, labels.to_vec()).set(is_found);
        }
    }

    /// The cache is gone: nothing is there, and nothing is wrong.
    fn fall(&self, name: &str) {
        let gauges = Metric::all().filter(|(metric, _)| metric.told == As::Gauge);
        for (metric, _) in gauges {
            let labels = self.labels(name, &metric);
            gauge!(metric.name, labels).set(0.0);
        }
        self.tell_findings(name, &BTreeSet::new());
    }

    fn labels(&self, name: &str, metric: &Metric) -> Vec<Label> {
        let mut labels = vec![Label::new("cache", name.to_owned())];
        labels.extend(
            metric
                .cause
                .map(|cause| Label::from_static_parts("cause", cause)),
        );
        if metric.has_unit {
            labels.push(Label::from_static_parts("unit", self.unit));
        }
        labels
    }
}

/// The name of its variant.
pub(crate) fn kind(finding: &Finding) -> String {
    let debug = format!("{finding:?}");
    let name = debug.split(|c: char| !c.is_alphanumeric()).next();
    name.unwrap_or_default().to_owned()
}

impl<R> fmt::Debug for Metrics<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
