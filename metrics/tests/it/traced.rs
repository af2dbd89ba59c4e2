//! What a subscriber hears: spans of loads, events of what goes wrong, and nothing of hits.

use brimful::{Cache, Departed, Entries, Finding, Weight};
use brimful_metrics::traced;
use brimful_watch::Registry;
use std::io::{self, Write};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Lines that were written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// All since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs this with a subscriber that writes lines, of everything.
fn heard(run: impl FnOnce(&Lines)) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_writer(lines.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, || run(&lines));
}

/// Without what `time.busy` and the like say.
fn shapes(lines: Vec<String>) -> Vec<String> {
    let shape = |line: String| line.split(" time.").next().unwrap().to_owned();
    lines.into_iter().map(shape).collect()
}

#[test]
fn a_load_is_a_span_and_a_hit_is_nothing() {
    heard(|lines| {
        let pages: Cache<String, u32> = Cache::new(10);
        let get = || pages.get_or_insert_with("/", traced::load("pages", || 7));
        assert_eq!(get(), 7);
        let span = [
            "DEBUG load{cache=\"pages\"}: brimful: new",
            "DEBUG load{cache=\"pages\"}: brimful: close",
        ];
        assert_eq!(shapes(lines.take()), span);
        assert_eq!((get(), lines.take()), (7, Vec::new()));

        let get = |key: &'static str| {
            pollster::block_on(
                pages.get_or_insert_async(key, traced::load_async("pages", async { 8 })),
            )
        };
        assert_eq!(get("/a"), 8);
        assert_eq!(shapes(lines.take()), span);
        assert_eq!((get("/a"), lines.take()), (8, Vec::new()));
    });
}

#[test]
fn what_happens_in_a_loader_is_inside_of_its_span() {
    heard(|lines| {
        let pages: Cache<String, u32> = Cache::new(10);
        let loader = traced::load("pages", || {
            tracing::info!("asking the database");
            7
        });
        pages.get_or_insert_with("/", loader);
        let heard = lines.take();
        assert!(
            heard[1].starts_with("INFO load{cache=\"pages\"}: ")
                && heard[1].ends_with("asking the database")
        );
    });
}

#[test]
fn loads_without_a_value_are_told_with_the_reason() {
    heard(|lines| {
        let pages: Cache<String, u32> = Cache::new(10);
        let failed = pages
            .try_get_or_insert_with("/", || Err("no route"))
            .inspect_err(traced::failure("pages"));
        assert!(failed.is_err());
        assert_eq!(
            lines.take(),
            ["WARN brimful: a load failed cache=\"pages\" error=the loader failed: no route"]
        );
        // A loader that asks for its own key.
        let inner = || {
            pages
                .try_get_or_insert_with("/", || Ok::<_, &str>(1))
                .inspect_err(traced::failure("pages"))
        };
        let outer =
            pages.try_get_or_insert_with("/", || inner().map_err(|_| "it waits for itself"));
        assert!(outer.is_err());
        let heard = lines.take();
        assert_eq!(heard.len(), 1);
        assert!(
            heard[0].starts_with("ERROR brimful: a load waits for itself cache=\"pages\""),
            "{heard:?}"
        );
        let found = pages
            .try_get_or_insert_with("/a", || Ok::<_, &str>(1))
            .inspect_err(traced::failure("pages"));
        assert_eq!((found, lines.take()), (Ok(1), Vec::new()));
    });
}

#[test]
fn refusals_and_bursts_are_told_once_a_second() {
    heard(|lines| {
        let told = traced::departures("pages", 50);
        let pages = Cache::builder(Weight(10, |_: &u64, weight: &u64| *weight))
            .on_departure(move |left: Departed<'_, u64, u64>| told(left))
            .build()
            .unwrap();
        pages.extend((0..40).map(|n| (n, 1)));
        assert_eq!(
            lines.take(),
            Vec::<String>::new(),
            "30 evictions are no burst"
        );
        pages.extend((0..100).map(|n| (n, 11)));
        let refused = "WARN brimful: values are refused cache=\"pages\"";
        // A second may have passed on a slow machine; then it is said again.
        let heard = lines.take();
        assert!(
            heard.iter().all(|line| line == refused) && (1..50).contains(&heard.len()),
            "{heard:?}"
        );
        pages.extend((0..10_000).map(|n| (n, 1)));
        let burst = "WARN brimful: a burst of evictions cache=\"pages\" evicted=50";
        let heard = lines.take();
        assert!(
            heard.iter().all(|line| line == burst) && (1..50).contains(&heard.len()),
            "{heard:?}"
        );
        let before = pages.stats().hits();
        assert!((0..1_000).all(|_| pages.get(&9_999).is_some()));
        assert_eq!(pages.stats().hits(), before + 1_000);
        assert_eq!(lines.take(), Vec::<String>::new());
    });
}

#[test]
fn findings_of_an_alarm_are_told() {
    let registry = Arc::new(Registry::new());
    let pages = Arc::new(Cache::builder(Entries(100)).named("pages").build().unwrap());
    registry.watch(&pages);
    for request in 0..10_000_u64 {
        pages.get_or_insert_with(&request, || ());
    }
    let (found, finding) = channel();
    let alarm = Registry::alarm(
        registry,
        Duration::from_millis(5),
        move |name, finding: &Finding| {
            heard(|lines| {
                traced::finding(name, finding);
                let _ = found.send(lines.take());
            });
        },
    );
    let heard = finding.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        heard[0].starts_with("WARN brimful: nothing comes back: of"),
        "{heard:?}"
    );
    assert!(
        heard[0].ends_with("cache=\"pages\" kind=\"NothingComesBack\""),
        "{heard:?}"
    );
    alarm.unwrap().stop();
}
