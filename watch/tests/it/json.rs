//! The JSON: what is in it, by the names that the documentation gives.

use crate::{HOSTILE, Scene};
use serde_json::{Value, json};

fn parsed(scene: &Scene) -> Value {
    serde_json::from_str(&scene.registry.json()).unwrap()
}

#[test]
fn it_says_all_that_the_page_shows() {
    let all = parsed(&Scene::new());
    let full = &all["caches"][0];
    assert_eq!(full["name"], HOSTILE);
    assert_eq!(
        [&full["entries"], &full["weight"], &full["capacity"]],
        [1_000; 3]
    );
    assert_eq!(
        (full["unit"].as_str(), full["seconds"].as_f64()),
        (Some("entries"), Some(10.0))
    );
    let ratio = full["hit_ratio"].as_f64().unwrap();
    assert!(ratio > 0.0 && ratio < 0.2, "{ratio}");
    let kinds = full["findings"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["NothingComesBack", "ScopesForgotten", "Lingering"]);
    assert!(
        full["findings"][0]["text"]
            .as_str()
            .unwrap()
            .contains("unique id")
    );
    let inserts = json!({ "kind": "counter", "value": 5_000, "change": 5_000 });
    assert_eq!(full["figures"]["inserts"], inserts);
    assert_eq!(full["figures"]["capacity"]["kind"], "setting");
    let entries: Vec<_> = full["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| &of["entries_grown"])
        .collect();
    assert_eq!(
        entries.iter().map(|n| n.as_i64().unwrap()).sum::<i64>(),
        1_000
    );
    assert_eq!(full["survey"].as_array().unwrap().len(), 2);
    assert!(
        full["callers"][0]["name"]
            .as_str()
            .unwrap()
            .contains("main.rs:")
    );
    assert_eq!(
        (&full["scopes"]["open"], &full["scopes"]["entries"]),
        (&json!(500), &json!(0))
    );
    let lingering = &full["lingering"];
    assert_eq!(lingering["first"].as_array().unwrap().len(), 10);
    assert_eq!(lingering["first"][0]["cause"], "evicted");
    assert_eq!(lingering["first"][0]["holders"], 1);
    let history = full["history"].as_array().unwrap();
    assert_eq!(history.len(), 11);
    assert_eq!(
        (&history[10]["at"], &history[10]["inserts"]),
        (&json!(10.0), &json!(5_000))
    );
}

#[test]
fn what_a_cache_does_not_record_is_null_or_empty() {
    let all = parsed(&Scene::new());
    let plain = &all["caches"][1];
    for null in ["hit_ratio", "scopes", "lingering"] {
        assert_eq!(plain[null], Value::Null, "{null}");
    }
    for empty in ["findings", "classes", "survey", "callers"] {
        assert_eq!(plain[empty], json!([]), "{empty}");
    }
    assert_eq!(all["total"]["caches"], 2);
    assert_eq!(all["total"]["capacity"], 1_010);
}

#[test]
fn the_names_in_the_documentation_are_those_in_the_json() {
    let all = parsed(&Scene::new());
    let source = include_str!("../../src/registry.rs");
    let known = |name: &str| source.contains(&format!("\"{name}\":"));
    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.push(name.clone());
                if name != "figures" {
                    names(value, found);
                }
            }),
            Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(&all, &mut found);
    assert!(found.len() > 50);
    found
        .iter()
        .for_each(|name| assert!(known(name), "{name} is not documented"));
}
