//! Names, weakness, and what is compared with what.

use brimful::policy::Lru;
use brimful::{Bytes, Cache, Cause, Entries, Finding, ManualClock, Weighed};
use brimful_watch::{Look, Registry, Watched};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

fn names(look: &Look) -> Vec<&str> {
    look.snapshots().map(|(name, _)| name).collect()
}

fn named(name: &str) -> Arc<Cache<u64, u64>> {
    Arc::new(Cache::builder(Entries(100)).named(name).build().unwrap())
}

/// Unique keys, of which nothing comes back.
fn leak(cache: &Cache<u64, u64>) {
    let from = cache.stats().inserts();
    for key in from..from + 5_000 {
        let _loaded = cache.get_or_insert_with(&key, || 0);
    }
}

#[test]
fn caches_of_all_types_are_on_one_list() {
    static CACHES: Registry = Registry::new();
    let pages = named("pages");
    let bytes: Cache<String, Vec<u8>, Weighed<Lru>> = Cache::builder(Bytes(1_000_000))
        .policy::<Lru>()
        .named("bytes")
        .build()
        .unwrap();
    let bytes = Arc::new(bytes);
    CACHES.watch(&pages);
    CACHES.watch(&bytes);
    pages.insert(1, 1);
    bytes.insert("a".to_owned(), vec![0; 5_000]);
    let look = CACHES.look();
    assert_eq!(names(&look), ["pages", "bytes"]);
    assert_eq!(look.total().len(), 2);
    let printed = look.to_string();
    let lines: Vec<_> = printed
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["bytes", "pages"], "the heaviest first");
    assert_eq!(format!("{CACHES:?}"), r#"["pages", "bytes"]"#);
}

#[test]
fn names_differ_and_stay() {
    let registry = Registry::new();
    let (first, second, third) = (named("pages"), named("pages"), named("pages (2)"));
    let unnamed = Arc::new(Cache::<u64, u64>::new(10));
    registry.watch(&first);
    registry.watch(&second);
    registry.watch(&third);
    registry.watch(&unnamed);
    let all = ["pages", "pages (2)", "pages (2) (2)", "cache"];
    assert_eq!(names(&registry.look()), all);
    drop(first);
    assert_eq!(names(&registry.look()), all[1..]);
    // The name that is free again goes to the next one.
    let fourth = named("pages");
    registry.watch(&fourth);
    assert_eq!(names(&registry.look()).last(), Some(&"pages"));
}

#[test]
fn a_cache_that_is_watched_again_is_there_once() {
    let (registry, pages) = (Registry::new(), named("pages"));
    registry.watch(&pages);
    registry.watch(Watched::new(&pages).named("others"));
    assert_eq!(names(&registry.look()), ["others"]);
}

#[test]
fn a_headline_has_the_name_of_the_registry() {
    let (registry, pages) = (Registry::new(), named("own: name\nof two lines"));
    registry.watch(Watched::new(&pages).named("given"));
    let line = "given: 0 of 100 entries (0.0 % full), no look-ups\n";
    assert_eq!(registry.look().to_string(), line);
}

#[test]
fn a_cache_that_is_dropped_leaves_nothing() {
    let token = Arc::new(());
    let (registry, pages) = (Registry::new(), named("pages"));
    let (one, two) = (token.clone(), token.clone());
    let watched = Watched::new(&pages)
        .survey(move |_, _| format!("{one:?}"))
        .explain(move |_, _| format!("{two:?}"));
    registry.watch(watched);
    assert_eq!(Arc::strong_count(&pages), 1, "it is held weakly");
    assert_eq!(Arc::strong_count(&token), 3);
    drop(pages);
    assert_eq!(names(&registry.look()), [""; 0]);
    assert_eq!(
        Arc::strong_count(&token),
        1,
        "a look lets go of what was kept"
    );
    assert!(registry.json().contains(r#""caches":[]"#));
    // So does the next cache that is watched; one that is gone is not watched at all.
    let (first, token) = (named("first"), token.clone());
    let kept = token.clone();
    registry.watch(Watched::new(&first).explain(move |_, _| format!("{kept:?}")));
    let gone = Watched::new(&first);
    drop(first);
    registry.watch(gone);
    registry.watch(&named("second"));
    assert_eq!(Arc::strong_count(&token), 2);
}

#[test]
fn a_listener_that_hears_of_the_drop_may_look() {
    let registry = Arc::new(Registry::new());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (inside, hears) = (registry.clone(), heard.clone());
    let listener = move |_: &u64, _: &u64, cause| {
        let look = inside.look();
        hears.lock().unwrap().push((cause, names(&look).len()));
    };
    let cache = Cache::builder(Entries(10))
        .listener(listener)
        .build()
        .unwrap();
    let cache = Arc::new(cache);
    registry.watch(&cache);
    cache.insert(1, 1);
    drop(cache);
    assert_eq!(*heard.lock().unwrap(), [(Cause::CacheDropped, 0)]);
}

#[test]
fn what_happened_before_it_was_watched_is_not_found() {
    let (registry, pages) = (Registry::new(), named("pages"));
    leak(&pages);
    registry.watch(&pages);
    assert_eq!(registry.look().findings().count(), 0);
    leak(&pages);
    let look = registry.look();
    let found: Vec<_> = look.findings().collect();
    assert!(matches!(
        found[..],
        [("pages", Finding::NothingComesBack { evicted: 5_000, .. })]
    ));
    assert!(
        look.to_string()
            .contains("\n  nothing comes back: of 5,000 evicted")
    );
}

#[test]
fn findings_are_of_the_last_minute_or_two_however_many_look() {
    let clock = ManualClock::new();
    let (registry, pages) = (Registry::with_clock(clock.clone()), named("pages"));
    registry.watch(&pages);
    leak(&pages);
    for second in 0..200 {
        // Many look; it makes no difference.
        let counts = [(); 3].map(|()| registry.look().findings().count());
        let expected = usize::from(second < 120);
        assert_eq!(counts, [expected; 3], "after {second} s");
        clock.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let clock = ManualClock::new();
    clock.set(Duration::from_secs(1_000));
    let (registry, pages) = (Registry::with_clock(clock.clone()), named("pages"));
    registry.watch(&pages);
    for seconds in [0, 2_000, 5, u64::MAX, 7] {
        clock.set(Duration::from_secs(seconds));
        leak(&pages);
        assert_eq!(names(&registry.look()), ["pages"]);
        assert!(registry.page("").ends_with("</html>\n"));
    }
}

#[test]
fn threads_look_watch_and_drop_at_once() {
    let registry = Registry::new();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..200 {
                    let (one, two) = (named("pages"), named("pages"));
                    registry.watch(&one);
                    registry.watch(&two);
                    one.insert(1, 1);
                }
            });
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..200 {
                    let look = registry.look();
                    let mut names = names(&look);
                    names.sort_unstable();
                    let all = names.len();
                    names.dedup();
                    assert!(names.len() == all && all <= 4, "{names:?}");
                }
            });
        }
    });
    assert_eq!(registry.look().total().capacity(), 0);
}

#[test]
fn a_panic_of_a_class_reaches_who_asked_and_spoils_nothing() {
    let (registry, pages) = (Registry::new(), named("pages"));
    registry.watch(Watched::new(&pages).survey(|key, _| match key {
        13 => panic!("a class that panics"),
        key => key.to_string(),
    }));
    pages.insert(13, 0);
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| registry.page("")));
    assert!(asked.is_err());
    pages.remove(&13);
    assert!(registry.page("").contains("pages"));
}
