//! The second act: a bug in the key of a cache, and the calls that name it.

use brimful::{Cache, Entries};

/// What is wrong.
pub(crate) const BUG: &str = "the key of a page holds the id of the request that asked for it.";

/// How many requests each act sees: so few take less than a second.
const REQUESTS: u32 = 20_000;

/// What two snapshots, and the statistics by class and by line, say of it; then of the same cache
/// with the bug mended.
pub(crate) fn found() -> Vec<String> {
    let mut lines = look(|page, request| format!("page:{page}?request={request}"));
    lines.push("mended, with the page alone in the key:".to_string());
    lines.extend(look(|page, _| format!("page:{page}")));
    lines
}

/// Serves requests of pages under such keys, and tells what is found.
fn look(key: impl Fn(u32, u32) -> String) -> Vec<String> {
    let pages = Cache::builder(Entries(1_000))
        .named("pages")
        .classes(["page", "user"], |key: &String, _| {
            usize::from(key.starts_with("user"))
        })
        .record_callers()
        .build()
        .unwrap_or_else(|error| unreachable!("{error}"));
    let before = pages.stats();
    for request in 0..REQUESTS {
        let page = request.wrapping_mul(2_654_435_761) >> 24;
        if request % 50 == 0 {
            pages.insert(format!("user:{}", request % 100), String::new());
        }
        if pages.get(&key(page, request)).is_none() {
            pages.insert(key(page, request), format!("the text of page {page}"));
        }
    }
    let growth = &pages.stats() - &before;
    let findings = growth.findings();
    let mut lines: Vec<String> = findings
        .iter()
        .map(|finding| format!("{finding}."))
        .collect();
    if lines.is_empty() {
        let ratio = growth.hit_ratio().unwrap_or(0.0) * 100.0;
        return vec![format!(
            "nothing is found; {ratio:.1} % of the look-ups hit."
        )];
    }
    let stats = pages.stats();
    let most = stats.classes().max_by_key(|(_, flow)| flow.inserts());
    lines.extend(most.map(|(class, flow)| {
        let (inserts, entries) = (flow.inserts(), flow.entries());
        format!("class: {class}, {inserts} inserted for {entries} that are there.")
    }));
    let line = stats.callers().max_by_key(|(_, flow)| flow.inserts());
    lines.extend(line.map(|(line, flow)| {
        format!(
            "line: {}:{}, {} inserts.",
            line.file(),
            line.line(),
            flow.inserts()
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planted_bug_is_named_and_the_mended_cache_has_none() {
        let lines = found();
        assert!(
            lines[0].contains("nothing comes back") && lines[0].contains("unique id"),
            "{lines:#?}"
        );
        assert!(lines[1].starts_with("class: page"), "{lines:#?}");
        assert!(lines[2].contains("planted.rs"), "{lines:#?}");
        assert_eq!(lines[3], "mended, with the page alone in the key:");
        assert!(lines[4].starts_with("nothing is found"), "{lines:#?}");
        assert_eq!(lines.len(), 5, "{lines:#?}");
    }
}
