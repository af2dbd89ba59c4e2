//! What is scraped over HTTP is what the statistics say.

use crate::exposition::Exposition;
use crate::server::{get, serve};
use brimful::{Bytes, Cache, Cause, Entries, Held, ManualClock, Snapshot, Weighed};
use brimful_metrics::Metrics;
use brimful_watch::Registry;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::Arc;
use std::time::Duration;

/// Every figure of a snapshot, against what was exported.
fn same(read: &Exposition, cache: &str, stats: &Snapshot) {
    let mut compared = 0;
    for figure in stats.figures() {
        let words = figure.name.replace(' ', "_");
        let unit = format!("cache=\"{cache}\",unit=\"{}\"", stats.unit());
        let plain = format!("cache=\"{cache}\"");
        let by_cause = format!("{plain},cause=\"{}\"", figure.name);
        let span = words.replace("_nanoseconds", "_time");
        let count = figure.value as f64;
        let tries = [
            (format!("brimful_{words}"), &plain, count),
            (format!("brimful_{words}"), &unit, count),
            (format!("brimful_{words}_total"), &plain, count),
            (format!("brimful_{words}_total"), &unit, count),
            ("brimful_departures_total".to_owned(), &by_cause, count),
            (format!("brimful_{span}_seconds"), &plain, count / 1e9),
        ];
        let found = tries.iter().filter_map(|(name, labels, expected)| {
            let value = read.value(name, labels)?;
            assert!(
                (value - expected).abs() <= 1e-9 * expected,
                "{name}: {value}, {figure:?}"
            );
            assert!(
                read.types.contains_key(name) && read.helps.contains_key(name),
                "{name}"
            );
            Some(())
        });
        assert_eq!(found.count(), 1, "{figure:?} is exported once");
        compared += 1;
    }
    assert!(compared > 25);
}

#[test]
fn a_scrape_tells_what_stats_do() {
    let registry = Arc::new(Registry::new());
    let clock = ManualClock::new();
    let pages: Arc<Cache<u64, Held<String>>> = Arc::new(
        Cache::builder(Entries(100))
            .named("pages")
            .lingering()
            .build()
            .unwrap(),
    );
    let sessions = Cache::builder(Entries(50))
        .named("sessions \"of\" a\\user\n")
        .time_to_live(Duration::from_secs(10))
        .tracked()
        .clock(clock.clone())
        .build();
    let sessions = Arc::new(sessions.unwrap());
    let blobs: Arc<Cache<u64, Vec<u8>, Weighed>> = Arc::new(
        Cache::builder(Bytes(10_000))
            .named("blobs")
            .build()
            .unwrap(),
    );
    registry.watch(&pages);
    registry.watch(&sessions);
    registry.watch(&blobs);
    let address = serve(registry.clone());

    let mut held = Vec::new();
    for round in 1..=3_u64 {
        for n in 0..300 * round {
            let page = pages.get_or_insert_with(&(n % 170), || Held::new(n.to_string()));
            held.extend((n % 50 == 0).then_some(page));
            sessions.insert(n % 70, n);
            blobs.insert(n, vec![0; n as usize % 400]);
        }
        assert!(
            pages
                .try_get_or_insert_with(&9_999, || Err("no route"))
                .is_err()
        );
        std::mem::forget(sessions.scope());
        clock.advance(Duration::from_secs(11));
        assert!(sessions.sweep(1_000).expired > 0);
        blobs.insert(0, vec![0; 20_000]);
        blobs.remove(&(300 * round - 1));

        let read = Exposition::parse(&get(address, "/metrics").unwrap());
        same(&read, "pages", &pages.stats());
        same(&read, "blobs", &blobs.stats());
        same(&read, "sessions \\\"of\\\" a\\\\user\\n", &sessions.stats());
        assert_eq!(read.types["brimful_hits_total"], "counter");
        assert_eq!(read.types["brimful_entries"], "gauge");
        let refused = read.value(
            "brimful_departures_total",
            r#"cache="blobs",cause="refused""#,
        );
        assert_eq!(refused, Some(round as f64));
    }
    assert!(get(address, "/").is_err());
}

#[test]
fn what_is_wrong_is_told_until_it_is_not() {
    let clock = ManualClock::new();
    let registry = Registry::with_clock(clock.clone());
    let pages = Arc::new(Cache::builder(Entries(100)).named("pages").build().unwrap());
    registry.watch(&pages);
    let metrics = Metrics::new(&registry);
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = || {
        metrics::with_local_recorder(&recorder, || metrics.publish());
        Exposition::parse(&recorder.handle().render())
    };
    let wrong = r#"cache="pages",kind="NothingComesBack""#;
    assert_eq!(scrape().value("brimful_finding", wrong), None);
    for request in 0..10_000_u64 {
        pages.get_or_insert_with(&request, || request);
    }
    assert_eq!(scrape().value("brimful_finding", wrong), Some(1.0));
    for _ in 0..3 {
        clock.advance(Duration::from_secs(100));
        scrape();
    }
    assert_eq!(scrape().value("brimful_finding", wrong), Some(0.0));
}

#[test]
fn a_cache_that_is_gone_has_nothing_and_one_of_its_name_goes_on() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = || {
        metrics::with_local_recorder(&recorder, || metrics.publish());
        Exposition::parse(&recorder.handle().render())
    };
    let open = |entries: u64| {
        let cache: Cache<u64, u64> = Cache::builder(Entries(1_000))
            .named("pages")
            .build()
            .unwrap();
        let cache = Arc::new(cache);
        registry.watch(&cache);
        cache.extend((0..entries).map(|n| (n, n)));
        cache
    };
    let (inserts, pages) = ("brimful_inserts_total", r#"cache="pages""#);
    let first = open(500);
    let read = scrape();
    assert_eq!(
        (
            read.value(inserts, pages),
            read.value("brimful_entries", pages)
        ),
        (Some(500.0), Some(500.0))
    );
    drop(first);
    let read = scrape();
    assert_eq!(
        (
            read.value(inserts, pages),
            read.value("brimful_entries", pages)
        ),
        (Some(500.0), Some(0.0))
    );
    let capacity = r#"cache="pages",unit="entries""#;
    assert_eq!(read.value("brimful_capacity", capacity), Some(0.0));
    let second = open(20);
    assert_eq!(scrape().value(inserts, pages), Some(520.0));
    // Replaced between two scrapes: nobody has seen it go.
    drop(second);
    let _third = open(5);
    assert_eq!(scrape().value(inserts, pages), Some(525.0));
    assert_eq!(
        scrape().value(inserts, pages),
        Some(525.0),
        "an increase is told once"
    );
}

#[test]
fn causes_are_labels() {
    let registry = Registry::new();
    let cache = Arc::new(Cache::<u64, u64>::new(2));
    registry.watch(&cache);
    cache.extend((0..5).map(|n| (n, n)));
    let metrics = Metrics::new(&registry);
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics.publish());
    let read = Exposition::parse(&recorder.handle().render());
    for cause in Cause::ALL {
        let labels = format!("cache=\"cache\",cause=\"{cause}\"");
        let expected = cache.stats().departures(cause) as f64;
        assert_eq!(
            read.value("brimful_departures_total", &labels),
            Some(expected)
        );
    }
}
