//! What a `Cache` is, as the compiler sees it: auto traits, no `'static`, no
//! demands of `Debug`. What it is not is shown by the compile-fail examples in
//! the docs.

use brimful::policy::{Fifo, Gdsf, Lfu, Lru, S3Fifo, Sieve};
use brimful::{Builder, Cache, Entries, Growth, Refused, Snapshot, Weighed, unsync};
use std::error::Error;
use std::panic::{RefUnwindSafe, UnwindSafe};

fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
fn error<T: Error>() {}

#[test]
fn caches_and_what_they_return_can_be_shared_and_unwound() {
    shared::<Cache<String, Vec<u8>>>();
    shared::<Cache<u64, u64, Lru>>();
    shared::<Cache<u64, u64, Fifo>>();
    shared::<Cache<u64, u64, Sieve>>();
    shared::<Cache<u64, u64, Weighed<S3Fifo>>>();
    shared::<Cache<u64, u64, Lfu>>();
    shared::<Cache<u64, u64, Weighed<Gdsf>>>();
    shared::<unsync::Cache<String, Vec<u8>>>();
    shared::<Snapshot>();
    shared::<Growth>();
    error::<brimful::BuildError>();
    error::<Refused<NoDebug, NoDebug>>();
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct NoDebug;

#[test]
fn debug_asks_nothing_of_keys_and_values_and_shows_the_figures() {
    let cache = Cache::new(7);
    cache.insert(NoDebug, NoDebug);
    let shown = format!("{cache:?} {:?}", cache.iter());
    assert!(
        shown.contains("len: 1") && shown.contains("capacity: 7"),
        "{shown}"
    );
    let builder: Builder<NoDebug, NoDebug> = Cache::builder(Entries(3));
    let shown = format!("{builder:?}");
    assert!(shown.contains("Entries(3)") && shown.contains("discards: false"));
    let shown = format!("{:?}", builder.on_discard(|_, _, _| ()));
    assert!(shown.contains("discards: true") && shown.contains("listens: false"));
}

#[test]
fn keys_and_values_may_borrow() {
    let text = String::from("full to the brim");
    let words = Cache::new(2);
    text.split(' ')
        .for_each(|word| assert_eq!(words.insert(word, word.as_bytes()), None));
    assert_eq!(words.get("brim"), Some(&b"brim"[..]));
    assert_eq!(words.get(&String::from("brim")[..]), Some(&b"brim"[..]));
    assert_eq!(words.len(), 2);
}

#[test]
fn a_cache_can_be_a_static() {
    static PAGES: std::sync::LazyLock<Cache<u32, String>> =
        std::sync::LazyLock::new(|| Cache::new(10));
    PAGES.insert(1, "one".to_owned());
    assert_eq!(PAGES.get(&1).as_deref(), Some("one"));
}
