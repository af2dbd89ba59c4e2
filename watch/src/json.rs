//! The JSON: a [`Look`] for machines. [`Registry::json`](crate::Registry::json) says what each name means.

use crate::look::{Look, Row, Seen};
use crate::past::Point;
use brimful::{Finding, Kind, Lingerer, Snapshot};
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(crate) fn render(look: &Look) -> String {
    let caches: Vec<_> = look.seen.iter().map(cache).collect();
    let mut total = levels(&look.total());
    total.insert("caches".to_owned(), json!(caches.len()));
    json!({ "caches": caches, "total": total }).to_string()
}

fn cache(seen: &Seen) -> Value {
    let mut cache = levels(seen.now());
    let more = [
        ("name", json!(seen.name)),
        ("headline", json!(seen.headline())),
        ("seconds", seconds(seen.compared.between)),
        ("findings", seen.findings.iter().map(finding).collect()),
        ("figures", figures(seen)),
        ("classes", rows(&seen.classes())),
        ("survey", rows(&seen.survey())),
        ("callers", rows(&seen.callers())),
        ("scopes", scopes(seen.now())),
        ("lingering", lingering(seen)),
        ("history", seen.compared.points.iter().map(point).collect()),
    ];
    cache.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(cache)
}

fn levels(now: &Snapshot) -> Map<String, Value> {
    let levels = [
        ("unit", json!(now.unit())),
        ("entries", json!(now.len())),
        ("weight", json!(now.weight())),
        ("capacity", json!(now.capacity())),
        ("hit_ratio", json!(now.hit_ratio())),
    ];
    levels
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

fn seconds(time: Duration) -> Value {
    json!(time.as_secs_f64())
}

/// A change, which JSON's readers take for a number of 64 bits.
fn change(by: i128) -> Value {
    let size = i64::try_from(by.unsigned_abs()).unwrap_or(i64::MAX);
    json!(if by < 0 { -size } else { size })
}

fn finding(finding: &Finding) -> Value {
    // The first word of `Debug` is the variant.
    let debug = format!("{finding:?}");
    let kind = debug.split(|c: char| !c.is_alphanumeric()).next();
    json!({ "kind": kind, "text": finding.to_string() })
}

fn figures(seen: &Seen) -> Value {
    let figure = |(before, after): (brimful::Figure, brimful::Figure)| {
        let by = match after.kind {
            Kind::Counter => i128::from(after.value.wrapping_sub(before.value)),
            _ => i128::from(after.value) - i128::from(before.value),
        };
        let kind = format!("{:?}", after.kind).to_lowercase();
        let figure = json!({ "kind": kind, "value": after.value, "change": change(by) });
        (after.name.to_owned(), figure)
    };
    Value::Object(seen.growth().figures().map(figure).collect())
}

fn rows(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "name": row.name,
            "entries": row.entries,
            "weight": row.weight,
            "entries_grown": change(row.entries_grown),
            "weight_grown": change(row.weight_grown),
        })
    };
    rows.iter().map(row).collect()
}

fn scopes(now: &Snapshot) -> Value {
    let scopes = now.scopes().map(|scopes| {
        let oldest = scopes.oldest.map(seconds);
        json!({ "open": scopes.open, "entries": scopes.entries, "oldest": oldest })
    });
    json!(scopes)
}

fn lingering(seen: &Seen) -> Value {
    let first: Value = seen.inside.lingerers.iter().map(lingerer).collect();
    let lingering = seen.now().lingering().map(|sum| {
        let oldest = sum.oldest.map(seconds);
        json!({ "values": sum.values, "weight": sum.weight, "oldest": oldest, "first": first })
    });
    json!(lingering)
}

fn lingerer(value: &Lingerer) -> Value {
    json!({
        "since": seconds(value.since),
        "weight": value.weight,
        "cause": value.cause.name(),
        "holders": value.holders,
    })
}

fn point(point: &Point) -> Value {
    json!({
        "at": seconds(point.at),
        "hits": point.hits,
        "misses": point.misses,
        "inserts": point.inserts,
        "evicted": point.evicted,
        "weight": point.weight,
    })
}
