//! The dashboard and the alert rules name only what is exported.

use crate::exposition::Exposition;
use brimful::{Cache, Cause, Entries, Finding};
use brimful_metrics::{Metrics, describe};
use brimful_watch::Registry;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) const ALERTS: &str = include_str!("../../alerts.yml");
const DASHBOARD: &str = include_str!("../../grafana.json");

/// The queries of the dashboard.
pub(crate) fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if name == "expr" || name == "query" => {
                            found.push(text.clone());
                        }
                        value => collect(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).unwrap(), &mut found);
    found.retain(|query| query != "prometheus");
    found
}

/// All words of a text that begin so.
fn words(text: &str, begin: &str) -> BTreeSet<String> {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    parts
        .filter(|word| word.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

/// The values that a text asks of a label.
fn asked<'a>(text: &'a str, label: &str) -> BTreeSet<&'a str> {
    let mut after = text.split(label).skip(1);
    let quoted = after
        .by_ref()
        .filter_map(|rest| rest.strip_prefix("=\"")?.split('"').next());
    quoted.collect()
}

/// What is exported of a cache with which something is wrong.
fn exported() -> BTreeSet<String> {
    let registry = Registry::new();
    let cache = Arc::new(Cache::builder(Entries(10)).build().unwrap());
    registry.watch(&cache);
    for request in 0..5_000_u64 {
        cache.get_or_insert_with(&request, || ());
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        Metrics::new(&registry).publish();
    });
    let read = Exposition::parse(&recorder.handle().render());
    read.values.into_keys().map(|(name, _)| name).collect()
}

#[test]
fn each_name_in_a_query_is_exported() {
    let exported = exported();
    let queries = queries().join("\n");
    let on_board = words(&queries, "brimful_");
    let in_alerts = words(ALERTS, "brimful_");
    assert!(
        on_board.len() > 12 && in_alerts.len() > 6,
        "{on_board:?} {in_alerts:?}"
    );
    for name in on_board.iter().chain(&in_alerts) {
        assert!(
            exported.contains(name),
            "{name} is not exported: {exported:?}"
        );
    }
}

#[test]
fn each_cause_and_kind_in_a_query_exists() {
    let queries = queries().join("\n");
    let causes = Cause::ALL.map(Cause::name);
    let asked_causes: BTreeSet<_> = [&*queries, ALERTS]
        .iter()
        .flat_map(|text| asked(text, "cause"))
        .collect();
    assert!(asked_causes.len() >= 2, "{asked_causes:?}");
    assert!(
        asked_causes.iter().all(|cause| causes.contains(cause)),
        "{asked_causes:?}"
    );
    let too_small = format!("{:?}", Finding::TooSmall { returned: 0.5 });
    assert!(
        too_small.starts_with("TooSmall"),
        "kinds are the names of variants"
    );
}

#[test]
fn each_panel_has_a_title_and_a_query_of_its_own() {
    let board: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let titles: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!((titles.len(), ids.len()), (panels.len(), panels.len()));
    assert!(
        panels
            .iter()
            .all(|panel| panel["targets"][0]["expr"].is_string())
    );
}
