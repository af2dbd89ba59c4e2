//! What the registry promises: names, weakness, windows of time; what the page and the JSON show; and
//! the page in a browser.

mod browser;
mod json;
mod markup;
mod page;
mod registry;

use brimful::{Cache, Entries, Held, ManualClock, Tracked};
use brimful_watch::{Registry, Watched};
use std::sync::Arc;
use std::time::Duration;

/// A text that must not be markup anywhere.
const HOSTILE: &str = "<script>alert('1')</script>\"&amp;<!-- -->]]>\u{202e}ü";

/// A registry with two caches: one that has everything that is shown, under hostile names, with
/// something wrong in each; and a plain one.
struct Scene {
    registry: Registry,
    clock: ManualClock,
    full: Arc<Cache<String, Held<u64>, Tracked>>,
    _plain: Arc<Cache<u64, u64>>,
    _kept: Vec<Held<u64>>,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::new();
        let registry = Registry::with_clock(clock.clone());
        let builder = Cache::builder(Entries(1_000))
            .named(HOSTILE)
            .lingering()
            .record_callers();
        let class = |key: &String, _: &Held<u64>| usize::from(key.starts_with("odd"));
        let builder = builder.classes(["even", HOSTILE], class);
        let full = Arc::new(builder.build().unwrap());
        let plain = Arc::new(Cache::new(10));
        let watched = Watched::new(&full)
            .survey(|key, _| format!("{HOSTILE} {}", &key[..4]))
            .explain(|cache, text| format!("{text} of {}\n{HOSTILE}", cache.capacity()))
            .lingering();
        registry.watch(watched);
        registry.watch(&plain);
        let mut scene = Self {
            registry,
            clock,
            full,
            _plain: plain,
            _kept: Vec::new(),
        };
        scene.happens();
        scene
    }

    /// Ten seconds, with a look after each: unique keys, values that are kept, scopes that are.
    fn happens(&mut self) {
        for second in 0..10 {
            for n in second * 500..(second + 1) * 500 {
                let kind = if n % 2 == 0 { "even" } else { "odd " };
                self.full.insert(format!("{kind} {n}"), Held::new(n));
                self.full.get("missing");
                if n % 10 == 0 {
                    self._kept.extend(self.full.get(&format!("{kind} {n}")));
                    std::mem::forget(self.full.scope());
                }
            }
            self.clock.advance(Duration::from_secs(1));
            let _point = self.registry.look();
        }
    }
}
