//! What the page shows, and that nothing that is shown becomes markup.

use crate::markup::elements;
use crate::{HOSTILE, Scene};
use brimful::Cache;
use brimful_watch::{Registry, Watched};
use std::sync::Arc;

fn count(all: &[String], name: &str) -> usize {
    all.iter().filter(|known| *known == name).count()
}

#[test]
fn a_page_is_well_formed_and_runs_nothing_whatever_names_hold() {
    let scene = Scene::new();
    let page = scene.registry.page("cache=&explain=");
    let all = elements(&page);
    assert_eq!(count(&all, "script"), 0);
    assert_eq!((count(&all, "section"), count(&all, "meta")), (2, 2));
    // Three drawings for each, and a bar; but nothing to draw of what was never looked up.
    assert_eq!((count(&all, "figure"), count(&all, "svg")), (6, 7));
    assert_eq!(count(&all, "polyline"), 7);
    for outside in ["http:", "https:", "src=", "url(", "@import", "javascript:"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn everything_that_is_known_of_a_cache_is_there() {
    let scene = Scene::new();
    let page = scene.registry.page("");
    let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;";
    for shown in [
        "<h1>2 caches</h1>",
        &format!("<h2>{escaped}"),
        "1,000 of 1,000 entries (100 % full)",
        "nothing comes back: of ",
        "lingering: ",
        "scopes are forgotten: 500 are open, 0 were before",
        "<h3>classes <small>",
        "<th>even</th><td>",
        "<h3>survey <small>",
        &format!("<tr><th>{escaped}"),
        "<h3>lines of code <small>",
        "watch/tests/it/main.rs:",
        "<h3>scopes</h3>\n<p>500 open, with 0 entries; the oldest for",
        "<th>evicted</th><td>",
        "<tr><th>inserts</th><td>5,000</td><td>+5,000</td><td>500</td></tr>",
        "<label>explain <input name=\"explain\" value=\"\"></label>",
    ] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    let (first, findings) = (
        page.find("<section").unwrap(),
        page.find("class=\"findings\"").unwrap(),
    );
    assert!(findings < first, "what is wrong comes before all else");
}

#[test]
fn a_question_is_answered_for_the_cache_that_is_meant() {
    let (first, second) = (
        Arc::new(Cache::<u64, u64>::new(10)),
        Arc::new(Cache::<u64, u64>::new(20)),
    );
    let registry = Registry::new();
    for cache in [&first, &second] {
        let explain =
            |cache: &Cache<u64, u64>, text: &str| format!("<{text}> of {}", cache.capacity());
        registry.watch(Watched::new(cache).named("a & b").explain(explain));
    }
    let page = registry.page("refresh=7&cache=a+%26+b+%282%29&explain=%3Cb%3E%22");
    elements(&page);
    assert!(
        page.contains("<pre>&lt;&lt;b&gt;&quot;&gt; of 20 entries</pre>"),
        "{page}"
    );
    assert_eq!(page.matches("<pre>").count(), 1);
    assert!(
        page.contains("value=\"&lt;b&gt;&quot;\""),
        "the question stays in its field"
    );
    // Asking again does not end the refresh.
    assert_eq!(
        page.matches("<input type=\"hidden\" name=\"refresh\" value=\"7\">")
            .count(),
        2
    );
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"7\">"));
    for nothing in ["cache=c&explain=x", "cache=a+%26+b", "explain=x", ""] {
        assert!(!registry.page(nothing).contains("<pre>"), "{nothing}");
    }
}

#[test]
fn an_empty_registry_and_a_young_cache_have_a_page() {
    let registry = Registry::new();
    assert!(registry.page("").contains("Nothing is wrong"));
    let cache = Arc::new(Cache::<u64, u64>::new(0));
    registry.watch(&cache);
    let page = registry.page("");
    elements(&page);
    assert!(page.contains("not seen often enough yet"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn of_many_classes_the_heaviest_are_shown_and_the_others_in_one_row() {
    let cache = Arc::new(Cache::new(1_000));
    let registry = Registry::new();
    registry
        .watch(Watched::new(&cache).survey(|key: &u64, _: &u64| format!("class {}", key % 100)));
    cache.extend((0..1_000).map(|key| (key, key)));
    let page = registry.page("");
    elements(&page);
    assert_eq!(page.matches("<th>class ").count(), 50);
    assert!(
        page.contains("<th>(50 others)</th><td>500</td><td>+500</td>"),
        "{page}"
    );
    assert!(page.contains("<summary>43 more</summary>"));
}

#[test]
fn the_hostile_name_is_what_it_says() {
    assert!(HOSTILE.contains("<script>") && HOSTILE.contains('"') && HOSTILE.contains('\''));
}
