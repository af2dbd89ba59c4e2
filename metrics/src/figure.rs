//! What a figure of a snapshot is called where metrics go, and what it means.
//!
//! The name follows from the figure's own by a rule, so a figure that comes later has one too; what it
//! means is written out below, and a test sees to it that none is missing.

use brimful::{Cause, Figure, Kind, Snapshot};

/// How a metric is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum As {
    /// A count that only grows.
    Counter,
    /// A number as it is.
    Gauge,
    /// Nanoseconds, told in seconds.
    Seconds,
}

/// A figure as a metric.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) told: As,
    /// Why values left, if it counts those.
    pub(crate) cause: Option<&'static str>,
    /// Whether it is in the unit of the cache.
    pub(crate) has_unit: bool,
}

impl Metric {
    pub(crate) fn of(figure: &Figure) -> Self {
        let cause = Cause::ALL.iter().map(|cause| cause.name());
        let cause = cause.into_iter().find(|&cause| cause == figure.name);
        let is_span = figure.name.ends_with(" nanoseconds") || figure.name == "most late";
        let told = match figure.kind {
            _ if is_span => As::Seconds,
            Kind::Counter => As::Counter,
            _ => As::Gauge,
        };
        let words = match cause {
            Some(_) => "departures",
            None => figure.name,
        };
        let words = words.replace(" nanoseconds", " time").replace(' ', "_");
        let end = match told {
            As::Counter => "_total",
            As::Gauge => "",
            As::Seconds => "_seconds",
        };
        Self {
            name: format!("brimful_{words}{end}"),
            told,
            cause,
            has_unit: figure.name.contains("weight") || figure.name == "capacity",
        }
    }

    /// All that there are, each once but those by cause, with what it means.
    pub(crate) fn all() -> impl Iterator<Item = (Self, &'static str)> {
        let snapshot = Snapshot::default();
        let figures: Vec<Figure> = snapshot.figures().collect();
        let described = |figure: Figure| {
            let metric = Self::of(&figure);
            let meaning = match metric.cause {
                Some(_) => "Values that left, by cause.",
                None => meaning(figure.name),
            };
            (metric, meaning)
        };
        figures.into_iter().map(described)
    }
}

/// What a figure means; its name, if it is younger than this crate.
fn meaning(figure: &'static str) -> &'static str {
    match figure {
        "entries" => "Resident entries.",
        "weight" => "Weight that is resident, in the cache's unit.",
        "capacity" => "The capacity, in the cache's unit.",
        "hits" => "Look-ups that found their key.",
        "misses" => "Look-ups that did not find their key.",
        "ghost hits" => "Misses of keys that were evicted a moment ago.",
        "inserts" => "Values offered: stored or refused.",
        "weight in" => "Weight that came in, in the cache's unit.",
        "weight out" => "Weight that left, in the cache's unit.",
        "evicted unhit" => "Entries evicted that were never hit.",
        "loads" => "Loaders that ran to their end.",
        "load nanoseconds" => "All time that loaders took so far.",
        "load failures" => "Loaders that failed, panicked or were dropped.",
        "load waits" => "Calls that waited for another call's load.",
        "refreshes" => "Stale values that were loaded again.",
        "loads unstored" => {
            "Loaded values that were not stored, since their key was written meanwhile."
        }
        "late nanoseconds" => {
            "All time for which expired values stayed beyond their deadlines so far."
        }
        "most late" => "The longest time for which an expired value stayed beyond its deadline.",
        "listener panics" => "Panics of the listener.",
        "open scopes" => "Open scopes.",
        "scoped entries" => "Resident entries that end with a scope.",
        "lingering values" => "Values that were let go and are held elsewhere.",
        "lingering weight" => "Their weight, in the cache's unit.",
        newer => newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_a_meaning_and_a_name_as_prometheus_wants_it() {
        for (metric, meaning) in Metric::all() {
            assert!(meaning.ends_with('.'), "{metric:?}: {meaning}");
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.chars().all(plain), "{metric:?}");
            assert_eq!(metric.name.ends_with("_total"), metric.told == As::Counter);
            assert_eq!(
                metric.name.ends_with("_seconds"),
                metric.told == As::Seconds
            );
        }
    }

    #[test]
    fn names_follow_from_figures() {
        let names: Vec<String> = Metric::all().map(|(metric, _)| metric.name).collect();
        for name in [
            "brimful_entries",
            "brimful_hits_total",
            "brimful_departures_total",
            "brimful_ghost_hits_total",
            "brimful_load_time_seconds",
            "brimful_most_late_seconds",
            "brimful_lingering_weight",
        ] {
            assert!(
                names.iter().any(|known| known == name),
                "{name} in {names:?}"
            );
        }
    }
}
