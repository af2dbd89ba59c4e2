//! Plans: what is read, what is refused and with which words, and that they come back as they went.

use brimful::policy::Choice;
use brimful::{Cache, ManualClock, Plan, Planned, Size};
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

fn toml(text: &str) -> Result<Plan, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

fn json(text: &str) -> Result<Plan, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn build(plan: &Plan) -> Cache<u64, String, Planned> {
    plan.builder(|_: &u64, text: &String| text.len() as u64)
        .build()
        .unwrap()
}

fn timed(plan: &Plan, clock: &ManualClock) -> Cache<u64, String, Planned> {
    plan.builder(|_: &u64, text: &String| text.len() as u64)
        .clock(clock.clone())
        .build()
        .unwrap()
}

#[test]
fn a_plan_is_read_whole_and_is_the_same_in_each_format() {
    let read = toml(
        r#"
        name = "pages"
        capacity = "1.5 GiB"
        entry_limit = 10_000
        policy = "s3-fifo"
        time_to_live = "1h 30m"
        time_to_idle = "15 m"
        refresh_after = "250ms"
        refresh_pause = "5s"
        stale_if_error = true
        shards = 8
        "#,
    );
    let plan = read.unwrap();
    let mut expected = Plan::new(Size::Bytes(3 << 29));
    expected.name = Some("pages".to_owned());
    expected.entry_limit = Some(10_000);
    expected.policy = Choice::S3Fifo;
    expected.time_to_live = Some(Duration::from_secs(5_400));
    expected.time_to_idle = Some(Duration::from_secs(900));
    expected.refresh_after = Some(Duration::from_millis(250));
    expected.refresh_pause = Some(Duration::from_secs(5));
    expected.stale_if_error = true;
    expected.shards = Some(8);
    assert_eq!(plan, expected);
    let written = toml::to_string(&plan).unwrap();
    assert_eq!(
        written,
        "name = \"pages\"\ncapacity = \"1536 MiB\"\nentry_limit = 10000\npolicy = \"s3-fifo\"\n\
         time_to_live = \"1h 30m\"\ntime_to_idle = \"15m\"\nrefresh_after = \"250ms\"\n\
         refresh_pause = \"5s\"\nstale_if_error = true\nshards = 8\n"
    );
    assert_eq!(json(&serde_json::to_string(&plan).unwrap()), Ok(expected));
}

#[test]
fn what_is_left_out_is_as_the_builder_has_it() {
    let plan = json(r#"{"capacity": 100}"#).unwrap();
    assert_eq!(plan, Plan::new(Size::Entries(100)));
    let written = serde_json::to_string(&plan).unwrap();
    assert_eq!(written, r#"{"capacity":100,"policy":"duel"}"#);
    // Out of environment variables everything is a text.
    let plan = json(r#"{"capacity": "1_00", "shards": "2", "stale_if_error": "false"}"#).unwrap();
    assert_eq!((plan.capacity, plan.shards), (Size::Entries(100), Some(2)));
    let cache = build(&plan);
    assert_eq!((cache.capacity().0, cache.shards()), (100, 2));
    assert_eq!(cache.stats().unit(), "entries");
    cache.extend((0..1_000).map(|n| (n, "of any length".repeat(n as usize % 5))));
    assert_eq!((cache.len(), cache.weight()), (100, 100));
    assert_eq!(cache.ttl(&999), Some(Duration::MAX));
}

#[test]
fn what_is_planned_is_built() {
    let clock = ManualClock::new();
    let plan = toml(
        "capacity = 3\npolicy = \"lru\"\nshards = 1\ntime_to_live = \"10s\"\ntime_to_idle = \"4s\"",
    );
    let cache = timed(&plan.unwrap(), &clock);
    cache.extend([1, 2, 3].map(|n| (n, String::new())));
    cache.get(&1);
    cache.insert(4, String::new());
    assert_eq!(cache.coldest(9), [3, 1, 4], "least recently used first");
    clock.advance(Duration::from_secs(3));
    cache.get(&1);
    clock.advance(Duration::from_secs(3));
    assert!(
        cache.contains_key(&1) && !cache.contains_key(&4),
        "idle for 6 s"
    );
    clock.advance(Duration::from_secs(4));
    assert!(!cache.contains_key(&1), "10 s old");

    let plan = toml(
        "capacity = \"500 units\"\nname = \"texts\"\nrefresh_after = \"1s\"\nstale_if_error = true",
    );
    let cache = timed(&plan.unwrap(), &clock);
    cache.insert(1, "x".repeat(400));
    assert_eq!((cache.weight(), cache.stats().name()), (400, Some("texts")));
    clock.advance(Duration::from_secs(1));
    let failed = cache.try_get_or_insert_with(&1, || Err("no route"));
    assert_eq!(
        failed.map(|text| text.len()),
        Ok(400),
        "the stale value is served"
    );
    assert_eq!(cache.stats().load_failures(), 1);

    let cache = build(&toml("capacity = \"10 KiB\"").unwrap());
    cache.insert(1, "x".repeat(4_000));
    assert!(
        cache.weight() > 4_000,
        "brimful's own memory is charged too"
    );
    cache.insert(2, "x".repeat(10_240));
    assert_eq!(cache.len(), 1, "what is larger than all is refused");
}

/// Each with what a TOML file says, and the error in full.
const BAD: &[(&str, &str)] = &[
    (
        "policy = \"lru\"",
        "capacity: it is missing, and a cache has no other bound: give entries (10_000 or \"10000 entries\"), \
         bytes (\"64 MiB\", in B, kB, MB, GB, TB, KiB, MiB, GiB or TiB) or units of weight (\"500 units\")",
    ),
    (
        "capacity = \"64 Mb\"",
        "capacity: \"64 Mb\" will not do: give entries (10_000 or \"10000 entries\"), bytes (\"64 MiB\", \
         in B, kB, MB, GB, TB, KiB, MiB, GiB or TiB) or units of weight (\"500 units\")",
    ),
    ("capacity = -1", "capacity: -1 will not do: give entries"),
    ("capacity = 1.5", "capacity: 1.5 will not do: give entries"),
    (
        "capacity = true",
        "capacity: true will not do: give entries",
    ),
    (
        "capacity = [1, [2]]",
        "capacity: a list will not do: give entries",
    ),
    (
        "capacity = { bytes = 5 }",
        "capacity: a table will not do: give entries",
    ),
    (
        "capacity = \"\"",
        "capacity: \"\" will not do: give entries",
    ),
    (
        "capacity = \"B\"",
        "capacity: \"B\" will not do: give entries",
    ),
    (
        "capacity = \"1.5 entries\"",
        "capacity: \"1.5 entries\" will not do: give entries",
    ),
    (
        "capacity = \"0.3 B\"",
        "capacity: \"0.3 B\" will not do: give entries",
    ),
    (
        "capacity = \"1.2.3 kB\"",
        "capacity: \"1.2.3 kB\" will not do: give entries",
    ),
    (
        "capacity = \".5 kB\"",
        "capacity: \".5 kB\" will not do: give entries",
    ),
    (
        "capacity = \"16777216 TiB\"",
        "capacity: \"16777216 TiB\" will not do: give entries",
    ),
    (
        "capacity = \"99999999999999999999\"",
        "capacity: \"99999999999999999999\" will not do: give entries",
    ),
    (
        "capacity = \"_1\"",
        "capacity: \"_1\" will not do: give entries",
    ),
    (
        "capacity = 1\npolicy = \"LRU\"",
        "policy: no policy \"LRU\": it is one of duel, s3-fifo, sieve, lru, fifo, lfu, gdsf",
    ),
    (
        "capacity = 1\npolicy = 5",
        "policy: 5 will not do: give a text in quotes",
    ),
    (
        "capacity = 1\ntime_to_live = 60",
        "time_to_live: 60 will not do: give a duration as \"90s\", \"1h 30m\" or \"250ms\": whole numbers \
         of d, h, m, s, ms, us and ns, less than 584 years in all",
    ),
    (
        "capacity = 1\ntime_to_live = \"60\"",
        "time_to_live: \"60\" will not do: give a duration",
    ),
    (
        "capacity = 1\ntime_to_idle = \"\"",
        "time_to_idle: \"\" will not do: give a duration",
    ),
    (
        "capacity = 1\ntime_to_idle = \"1.5h\"",
        "time_to_idle: \"1.5h\" will not do: give a duration",
    ),
    (
        "capacity = 1\ntime_to_idle = \"-5s\"",
        "time_to_idle: \"-5s\" will not do: give a duration",
    ),
    (
        "capacity = 1\nrefresh_after = \"1m 1h\"",
        "refresh_after: \"1m 1h\" will not do: give a duration",
    ),
    (
        "capacity = 1\nrefresh_after = \"5 fortnights\"",
        "refresh_after: \"5 fortnights\" will not do: give a duration",
    ),
    (
        "capacity = 1\nrefresh_pause = \"300000d\"",
        "refresh_pause: \"300000d\" will not do: give a duration",
    ),
    (
        "capacity = 1\nrefresh_pause = false",
        "refresh_pause: false will not do: give a duration",
    ),
    (
        "capacity = 1\nshards = \"many\"",
        "shards: \"many\" will not do: give a whole number, as 8",
    ),
    (
        "capacity = 1\nshards = -8",
        "shards: -8 will not do: give a whole number, as 8",
    ),
    (
        "capacity = 1\nshards = 0",
        "plan: shards(0): a cache has between 1 and 65536 shards",
    ),
    (
        "capacity = 1\nshards = 65537",
        "plan: shards(65537): a cache has between 1 and 65536 shards",
    ),
    (
        "capacity = \"1 B\"\nentry_limit = true",
        "entry_limit: true will not do: give a whole number, as 8",
    ),
    (
        "capacity = \"1 B\"\nentry_limit = 0",
        "plan: entry_limit(0): to switch caching off give a capacity of 0; else name at least 1",
    ),
    (
        "capacity = 7\nentry_limit = 5",
        "plan: entry_limit(5): the capacity already counts entries (7); give the smaller of the two as Entries",
    ),
    (
        "capacity = 1\nstale_if_error = 1",
        "stale_if_error: 1 will not do: give true or false",
    ),
    (
        "capacity = 1\nstale_if_error = \"yes\"",
        "stale_if_error: \"yes\" will not do: give true or false",
    ),
    (
        "capacity = 1\nstale_if_error = true",
        "plan: stale_if_error or refresh_pause, but no value is ever stale: add refresh_after, or leave them out",
    ),
    (
        "capacity = 1\nname = 5",
        "name: 5 will not do: give a text in quotes",
    ),
    (
        "capacity = 1\ntime_to_life = \"5s\"",
        "unknown field `time_to_life`, expected one of `name`, `capacity`, `entry_limit`, `policy`, \
         `time_to_live`, `time_to_idle`, `refresh_after`, `refresh_pause`, `stale_if_error`, `shards`",
    ),
];

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    for (text, expected) in BAD {
        let error = toml(text).unwrap_err();
        // Those that say what is allowed are written out once each.
        let is_cut = expected.ends_with("give entries") || expected.ends_with("give a duration");
        let begins = error.starts_with(expected);
        assert!(
            if is_cut { begins } else { error == *expected },
            "{text}\n{error}"
        );
    }
}

#[test]
fn json_says_the_same_and_where() {
    let error = json("{\"capacity\": 1,\n\"policy\": \"arc\"}").unwrap_err();
    let expected =
        "policy: no policy \"arc\": it is one of duel, s3-fifo, sieve, lru, fifo, lfu, gdsf";
    assert!(error.starts_with(expected), "{error}");
    let error = json(r#"{"capacity": 1, "capacity": 2}"#).unwrap_err();
    assert!(error.starts_with("duplicate field `capacity`"), "{error}");
    for text in [
        "",
        "null",
        "[]",
        "5",
        r#"{"capacity": 1"#,
        r#"{"capacity": {"a": [1, {}]}}"#,
    ] {
        assert!(json(text).is_err(), "{text}");
    }
}

/// No text makes a reader panic, and what is taken for a plan builds.
#[test]
fn any_text_is_read_or_refused() {
    let word = "[0-9._]{0,20} ?(B|kB|TiB|entries|units|h|ms|d|[a-zµ]{0,3}| 5s){0,3}";
    proptest!(|(capacity in word, life in word, policy in "[a-z3-]{0,7}", shards in any::<u64>())| {
        let fields = serde_json::json!({
            "capacity": capacity, "time_to_live": life, "policy": policy, "shards": shards,
        });
        if let Ok(plan) = serde_json::from_value::<Plan>(fields) {
            build(&plan);
        }
    });
}

fn sizes() -> impl Strategy<Value = Size> {
    let amount = prop_oneof![
        any::<u64>(),
        0..10_000_u64,
        (0..60_u32).prop_map(|bits| 1 << bits)
    ];
    (0..3, amount).prop_map(|(unit, amount)| match unit {
        0 => Size::Entries(amount),
        1 => Size::Bytes(amount),
        _ => Size::Units(amount),
    })
}

fn spans() -> impl Strategy<Value = Option<Duration>> {
    let nanos = prop_oneof![
        1..u64::MAX,
        (1..100_000_u64).prop_map(|secs| secs * 1_000_000_000)
    ];
    option::of(nanos.prop_map(Duration::from_nanos))
}

prop_compose! {
    fn plans()(
        name in option::of(".{0,20}"),
        capacity in sizes(),
        limit in option::of(1..usize::MAX),
        policy in 0..Choice::ALL.len(),
        spans in (spans(), spans(), spans(), spans()),
        stale in any::<bool>(),
        shards in option::of(1..=64_usize),
    ) -> Plan {
        let mut plan = Plan::new(capacity);
        plan.name = name;
        plan.entry_limit = limit.filter(|_| !matches!(capacity, Size::Entries(_)));
        plan.policy = Choice::ALL[policy];
        (plan.time_to_live, plan.time_to_idle, plan.refresh_after, plan.refresh_pause) = spans;
        plan.refresh_pause = plan.refresh_pause.filter(|_| plan.refresh_after.is_some());
        plan.stale_if_error = stale && plan.refresh_after.is_some();
        plan.shards = shards;
        plan
    }
}

#[test]
fn a_plan_comes_back_as_it_went_from_every_format_and_from_the_cache() {
    proptest!(|(plan in plans())| {
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Plan>(&text).unwrap(), &plan);
        let bytes = postcard::to_stdvec(&plan).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Plan>(&bytes).unwrap(), &plan);
        // TOML counts no further than an i64.
        let counted = match plan.capacity {
            Size::Entries(amount) => i64::try_from(amount).is_ok(),
            _ => plan.entry_limit.is_none_or(|limit| i64::try_from(limit).is_ok()),
        };
        if counted {
            let text = toml::to_string(&plan).unwrap();
            prop_assert_eq!(&toml::from_str::<Plan>(&text).unwrap(), &plan, "{}", text);
        }
        let cache = build(&plan);
        let mut expected = plan;
        expected.shards = expected.shards.or(Some(cache.shards()));
        prop_assert_eq!(Plan::of(&cache), expected);
    });
}

#[test]
fn what_is_never_is_left_out() {
    let mut plan = Plan::new(Size::Entries(1));
    plan.time_to_live = Some(Duration::MAX);
    assert!(!toml::to_string(&plan).unwrap().contains("time_to_live"));
    assert_eq!(Plan::of(&build(&plan)).time_to_live, None);
    plan.shards = Some(0);
    assert!(
        plan.builder(|(): &(), (): &()| 1).build().is_err(),
        "fields that were set are checked by the builder"
    );
}
