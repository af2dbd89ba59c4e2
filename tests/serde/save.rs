//! Entries that outlive the process: in which order, with which weights and lives, and what is refused.

use brimful::policy::{Choice, Lru, Policy, Residents, Slot, Tag, Touch};
use brimful::{Bytes, Cache, Entries, Form, Held, ManualClock, Restored, Timed, Weighed, Weight};
use serde::{Deserialize, Serialize, Serializer};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

fn saved<K, V, F: Form>(cache: &Cache<K, V, F>) -> String
where
    K: Clone + Serialize,
    V: Clone + Serialize,
{
    let mut text = Vec::new();
    cache
        .save(&mut serde_json::Serializer::new(&mut text))
        .unwrap();
    String::from_utf8(text).unwrap()
}

fn restore_after<'de, K, V, F: Form>(
    cache: &Cache<K, V, F>,
    text: &'de str,
    ago: Duration,
) -> Result<Restored, String>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
{
    let mut json = serde_json::Deserializer::from_str(text);
    let restored = cache.restore(&mut json, ago);
    restored.map_err(|error| error.to_string())
}

fn restore<'de, K, V, F: Form>(cache: &Cache<K, V, F>, text: &'de str) -> Result<Restored, String>
where
    K: Deserialize<'de> + Hash + Eq,
    V: Deserialize<'de>,
{
    restore_after(cache, text, Duration::ZERO)
}

fn stored(restored: Result<Restored, String>) -> u64 {
    restored.unwrap().stored
}

/// The keys of what was saved, in its order.
fn keys(text: &str) -> Vec<u64> {
    let saved: serde_json::Value = serde_json::from_str(text).unwrap();
    let entries = saved[3].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry[0].as_u64().unwrap())
        .collect()
}

#[test]
fn what_is_written_is_plain() {
    let clock = ManualClock::new();
    let cache: Cache<String, u32, Weighed<Timed<Lru>>> =
        Cache::builder(Weight(10, |_: &String, n: &u32| u64::from(*n)))
            .policy::<Lru>()
            .time_to_live(Duration::MAX)
            .shards(1)
            .clock(clock.clone())
            .build()
            .unwrap();
    cache.insert("b".to_owned(), 2);
    cache.insert_with_ttl("a".to_owned(), 1, Duration::from_millis(2_500));
    cache.get("b");
    assert_eq!(
        saved(&cache),
        r#"["brimful",1,"units",[["a",1,1,{"secs":2,"nanos":500000000}],["b",2,2,null]]]"#
    );
}

#[test]
fn entries_come_in_the_order_in_which_they_leave_and_a_smaller_cache_keeps_the_last() {
    for choice in Choice::ALL {
        for shards in [1, 3] {
            let builder = || Cache::builder(Entries(1_000)).choose(choice).shards(shards);
            let cache: Cache<u64, u64, _> = builder().build().unwrap();
            for step in 0..6_000_u64 {
                cache.get_or_insert_with(&(step * step % 4_001), || step);
            }
            let text = saved(&cache);
            assert_eq!(keys(&text), cache.coldest(usize::MAX), "{choice}");

            let same = builder().build().unwrap();
            assert_eq!(stored(restore(&same, &text)), 1_000);
            assert!(
                cache
                    .iter()
                    .all(|(key, value)| same.peek(&key) == Some(value))
            );

            let small: Cache<u64, u64, Lru> = Cache::builder(Entries(100))
                .policy::<Lru>()
                .shards(1)
                .build()
                .unwrap();
            assert_eq!(stored(restore(&small, &text)), 1_000);
            assert_eq!(small.coldest(100), keys(&text)[900..], "{choice}");
        }
    }
}

#[test]
fn a_use_is_not_counted_and_nothing_changes() {
    let cache: Cache<u64, u64, Lru> = Cache::builder(Entries(50))
        .policy::<Lru>()
        .shards(1)
        .build()
        .unwrap();
    cache.extend((0..50).map(|n| (n, n)));
    let before = (cache.stats(), cache.coldest(50));
    saved(&cache);
    let figures = |stats: &brimful::Snapshot| stats.figures().collect::<Vec<_>>();
    assert_eq!(figures(&before.0), figures(&cache.stats()));
    assert_eq!(before.1, cache.coldest(50));
}

#[test]
fn weights_of_ones_own_stay_and_bytes_are_counted_anew() {
    let by_weight = |capacity| {
        let builder = Cache::builder(Weight(capacity, |_: &u64, _: &String| 1));
        builder.shards(1).build().unwrap()
    };
    let cache = by_weight(100);
    cache.insert_weighted(1, "x".repeat(500), 70);
    cache.insert(2, "y".to_owned());
    let text = saved(&cache);
    let again = by_weight(100);
    assert_eq!(stored(restore(&again, &text)), 2);
    assert_eq!(
        (again.weight_of(&1), again.weight_of(&2)),
        (Some(70), Some(1))
    );
    let tight = by_weight(60);
    let restored = restore(&tight, &text).unwrap();
    assert_eq!((restored.stored, restored.refused), (1, 1));

    let bytes: Cache<u64, String, Weighed> = Cache::builder(Bytes(10_000)).build().unwrap();
    assert_eq!(stored(restore(&bytes, &text)), 2);
    assert!(
        bytes.weight_of(&1) > Some(500),
        "what a file says is no matter of memory"
    );
    assert!(!saved(&bytes).contains("500"), "and is not written");
    let counted: Cache<u64, String> = Cache::new(10);
    assert_eq!(stored(restore(&counted, &text)), 2);
    assert_eq!(counted.weight(), 2);
    // The other way round: the weigher is asked.
    let again = by_weight(100);
    assert_eq!(stored(restore(&again, &saved(&bytes))), 2);
    assert_eq!(again.weight(), 2);
}

#[test]
fn lives_go_on_where_they_stood_less_the_time_between() {
    let clock = ManualClock::new();
    let seconds = Duration::from_secs;
    let open = |life| {
        let builder = Cache::builder(Entries(10)).time_to_live(life);
        let cache: Cache<u64, u64, Timed> = builder.clock(clock.clone()).build().unwrap();
        cache
    };
    let cache = open(seconds(60));
    cache.insert(1, 1);
    cache.insert_with_ttl(2, 2, seconds(300));
    cache.insert_with_ttl(3, 3, Duration::MAX);
    cache.insert_with_ttl(4, 4, seconds(5));
    clock.advance(seconds(10));
    let text = saved(&cache);
    assert!(!text.contains("[4,"), "what is over is not written");

    let again = open(seconds(1_000));
    let restored = restore_after(&again, &text, seconds(20)).unwrap();
    assert_eq!((restored.stored, restored.expired), (3, 0));
    let lives = [1, 2, 3].map(|key| again.ttl(&key));
    assert_eq!(
        lives,
        [30, 270, 1_000].map(|life| Some(seconds(life))),
        "no end: as an insert has it"
    );

    let again = open(seconds(1_000));
    let restored = restore_after(&again, &text, seconds(50)).unwrap();
    assert_eq!(
        (restored.stored, restored.expired),
        (2, 1),
        "at its very end it is over"
    );
    assert_eq!(again.len(), 2);
    let again = open(seconds(1_000));
    assert_eq!(
        restore_after(&again, &text, Duration::MAX).unwrap().expired,
        2
    );
    // A cache without lives has them for good.
    let forever: Cache<u64, u64> = Cache::new(10);
    assert_eq!(stored(restore(&forever, &text)), 3);
}

#[test]
fn what_is_there_is_newer_and_stays() {
    let cache: Cache<u64, u64> = Cache::new(10);
    cache.extend([(1, 1), (2, 2)]);
    let text = saved(&cache);
    cache.insert(1, 100);
    cache.remove(&2);
    let restored = restore(&cache, &text).unwrap();
    assert_eq!((restored.stored, restored.present), (1, 1));
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(100), Some(2)));
}

#[test]
fn what_ends_with_a_scope_ends_with_the_process() {
    let builder = Cache::builder(Entries(10)).tracked();
    let cache: Cache<u64, u64, brimful::Tracked> = builder.build().unwrap();
    let scope = cache.scope();
    scope.insert(1, 1);
    cache.insert(2, 2);
    let again: Cache<u64, u64> = Cache::new(10);
    assert_eq!(stored(restore(&again, &saved(&cache))), 1);
    assert!(cache.contains_key(&1) && !again.contains_key(&1));
}

#[test]
fn held_values_are_saved_as_what_they_hold() {
    let open = || Cache::builder(Entries(10)).lingering().build().unwrap();
    let (cache, again): (Cache<u64, Held<String>>, Cache<u64, Held<String>>) = (open(), open());
    cache.insert(1, Held::new("one".to_owned()));
    let text = saved(&cache);
    assert!(text.contains(r#"[1,"one",null,null]"#));
    assert_eq!(stored(restore(&again, &text)), 1);
    assert_eq!(again.get(&1), Some(Held::new("one".to_owned())));
}

/// A policy that does not tell its order.
struct Silent(Vec<Tag>);

impl Policy for Silent {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_: u64, _: u64) -> Self {
        Self(Vec::new())
    }
    fn admit(&mut self, _: Slot, tag: Tag, _: &mut impl Residents<()>) {
        self.0.push(tag);
    }
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<()>) {
        let tag = residents.tag(slot);
        self.0.retain(|&other| Some(other) != tag);
    }
    fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
        residents.find(self.0.pop()?, |()| true)
    }
    fn moved(&mut self, _: &mut impl Residents<()>) {}
}

#[test]
fn entries_of_a_policy_that_does_not_tell_are_saved_too() {
    let cache: Cache<u64, u64, Silent> = Cache::builder(Entries(500))
        .policy::<Silent>()
        .build()
        .unwrap();
    cache.extend((0..300).map(|n| (n, n)));
    let text = saved(&cache);
    let found = keys(&text).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(found, (0..300).collect());
}

thread_local! {
    /// How many keys were cloned and not written yet.
    static AHEAD: Cell<usize> = const { Cell::new(0) };
    static MOST_AHEAD: Cell<usize> = const { Cell::new(0) };
}

/// A key that counts its clones, and what is written of them.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Counted(u64);

impl Clone for Counted {
    fn clone(&self) -> Self {
        AHEAD.set(AHEAD.get() + 1);
        MOST_AHEAD.set(MOST_AHEAD.get().max(AHEAD.get()));
        Self(self.0)
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        AHEAD.set(AHEAD.get() - 1);
        serializer.serialize_u64(self.0)
    }
}

#[test]
fn few_entries_are_copied_at_once() {
    for shards in [1, 16] {
        let builder = Cache::builder(Entries(5_000)).shards(shards);
        let cache: Cache<Counted, u64> = builder.build().unwrap();
        cache.extend((0..5_000).map(|n| (Counted(n), n)));
        MOST_AHEAD.set(0);
        assert_eq!(keys(&saved(&cache)).len(), 5_000);
        assert_eq!((MOST_AHEAD.get(), AHEAD.get()), (64, 0));
    }
}

/// A value that, when it is written, writes to its cache: no lock is held then.
#[derive(Clone)]
struct Busy(Arc<dyn Fn() + Send + Sync>);

impl Serialize for Busy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0)();
        serializer.serialize_unit()
    }
}

#[test]
fn what_is_there_all_the_time_is_saved_while_tables_are_rebuilt() {
    let cache: Arc<Cache<u64, Busy>> =
        Arc::new(Cache::builder(Entries(100_000)).shards(2).build().unwrap());
    let own = Arc::downgrade(&cache);
    let next = std::sync::atomic::AtomicU64::new(1_000);
    let idle = Busy(Arc::new(|| ()));
    let value = Busy(Arc::new(move || {
        let Some(cache) = own.upgrade() else { return };
        let first = next.fetch_add(20, std::sync::atomic::Ordering::Relaxed);
        cache.extend((first..first + 20).map(|n| (n, idle.clone())));
    }));
    cache.extend((0..1_000).map(|n| (n, value.clone())));
    let text = saved(&cache);
    assert!(cache.len() > 20_000, "its tables have grown");
    let found = keys(&text).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(found, (0..1_000).collect());
}

#[test]
fn entries_that_leave_meanwhile_are_missing_and_no_error() {
    let cache: Arc<Cache<u64, Busy>> = Arc::new(Cache::new(1_000));
    let own = Arc::downgrade(&cache);
    let value = Busy(Arc::new(move || {
        own.upgrade().iter().for_each(|cache| cache.clear())
    }));
    cache.extend((0..1_000).map(|n| (n, value.clone())));
    let text = saved(&cache);
    let entries: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = entries[3].as_array().unwrap();
    assert_eq!(entries.len(), 1_000);
    assert_eq!(entries.iter().filter(|entry| !entry.is_null()).count(), 64);
    let again: Cache<u64, ()> = Cache::new(1_000);
    assert_eq!(stored(restore(&again, &text)), 64);
}

#[test]
fn other_threads_write_while_a_cache_is_saved_and_restored() {
    let cache: Cache<u64, String> = Cache::new(2_000);
    cache.extend((0..2_000).map(|n| (n, n.to_string())));
    let again: Cache<u64, String> = Cache::new(1_000);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (cache, again) = (&cache, &again);
            scope.spawn(move || {
                for n in 0..20_000_u64 {
                    let key = n * (thread + 3) % 3_000;
                    cache.get_or_insert_with(&key, || key.to_string());
                    again.get_or_insert_with(&key, || key.to_string());
                }
            });
        }
        for _ in 0..20 {
            let text = saved(&cache);
            assert!(restore(&again, &text).is_ok());
            assert!(again.len() <= 1_000);
        }
    });
    let right = |(key, value): (u64, String)| value == key.to_string();
    assert!(again.iter().all(right) && cache.iter().all(right));
}

#[test]
fn what_is_no_saved_cache_is_refused_by_name() {
    let cases = [
        (
            "{}",
            "invalid type: map, expected a cache that brimful has saved: a name, a version, a unit and entries",
        ),
        (
            "[]",
            "invalid length 0, expected 4: a name, a version, a unit and entries",
        ),
        (r#"["moka"]"#, "unknown variant `moka`, expected `brimful`"),
        (
            r#"["brimful"]"#,
            "invalid length 1, expected 4: a name, a version, a unit and entries",
        ),
        (
            r#"["brimful", 0, "units", []]"#,
            "saved in version 0 of the format, and this reads up to 1",
        ),
        (
            r#"["brimful", 2, 5, {}]"#,
            "saved in version 2 of the format, and this reads up to 1",
        ),
        (
            r#"["brimful", -1]"#,
            "invalid value: integer `-1`, expected u32",
        ),
        (
            r#"["brimful", 1, "litres", []]"#,
            "unknown variant `litres`, expected one of `entries`, `bytes`, `units`",
        ),
        (
            r#"["brimful", 1, "units"]"#,
            "invalid length 3, expected 4: a name, a version, a unit and entries",
        ),
        (
            r#"["brimful", 1, "units", 5]"#,
            "invalid type: integer `5`, expected the entries of a cache: key, value, weight and life of each",
        ),
        (
            r#"["brimful", 1, "units", [["a", 1, null, null]]]"#,
            "invalid type: string \"a\", expected u64",
        ),
        (
            r#"["brimful", 1, "units", [[1, 1, null]]]"#,
            "invalid length 3, expected a tuple of size 4",
        ),
        (
            r#"["brimful", 1, "units", [[1, 1, null, {"secs": 18446744073709551615, "nanos": 4294967295}]]]"#,
            "overflow deserializing Duration",
        ),
        (r#"["brimful", 1, "units", [], 7]"#, "trailing characters"),
    ];
    for (text, expected) in cases {
        let cache: Cache<u64, u64> = Cache::new(10);
        let error = restore(&cache, text).unwrap_err();
        assert!(error.starts_with(expected), "{text}\n{error}");
        assert!(cache.is_empty());
    }
    // What came before the error is in.
    let cache: Cache<u64, u64> = Cache::new(10);
    assert!(
        restore(
            &cache,
            r#"["brimful", 1, "entries", [[1, 10, null, null], [2"#
        )
        .is_err()
    );
    assert_eq!((cache.len(), cache.get(&1)), (1, Some(10)));
}

#[test]
fn a_format_of_bytes_does_too() {
    let cache: Cache<u64, String, Weighed> =
        Cache::builder(Bytes(1 << 20)).shards(1).build().unwrap();
    cache.extend((0..100).map(|n| (n, n.to_string())));
    let mut postcard = postcard::Serializer {
        output: postcard::ser_flavors::StdVec::new(),
    };
    cache.save(&mut postcard).unwrap();
    let bytes = postcard::ser_flavors::Flavor::finalize(postcard.output).unwrap();
    let again: Cache<u64, String, Weighed> = Cache::builder(Bytes(1 << 20)).build().unwrap();
    let mut postcard = postcard::Deserializer::from_bytes(&bytes);
    let restored = again.restore(&mut postcard, Duration::ZERO).unwrap();
    assert_eq!(
        (restored.stored, again.get(&42)),
        (100, Some("42".to_owned()))
    );
}
