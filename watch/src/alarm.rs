//! `Alarm`: a thread that looks now and then, and tells what is newly wrong.
//!
//! What it tells is a function of the snapshots that it is handed ([`Vigil::step`]); the thread only
//! waits, takes them, and calls.
//!
//! Invariants
//! 1. A finding of a cache is told once, until a look did not find it.
//! 2. Nothing is remembered of a cache that was not among the last snapshots.

use crate::Registry;
use brimful::{Finding, Snapshot};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The least that it waits: without, an interval of zero would keep a processor busy.
const A_BREATH: Duration = Duration::from_millis(1);

/// The handle of an alarm's thread: see [`Registry::alarm`]. When it is dropped the thread ends,
/// soon after.
#[must_use = "the alarm ends when its handle is dropped: keep it"]
pub struct Alarm {
    /// Its drop ends the thread.
    stop: Sender<()>,
    thread: JoinHandle<()>,
    panics: Arc<AtomicU64>,
}

impl Alarm {
    /// Ends the thread and waits until it has ended: as long as a call of the function takes that it may
    /// be at. Called by that function itself, it does not wait.
    ///
    /// ```
    /// use brimful_watch::Registry;
    /// use std::time::Duration;
    ///
    /// static CACHES: Registry = Registry::new();
    /// let alarm = Registry::alarm(&CACHES, Duration::from_secs(60), |name, finding| {
    ///     eprintln!("{name}: {finding}");
    /// })?;
    /// alarm.stop();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.thread().id() != thread::current().id() {
            // Its panics are caught inside.
            let _ended = self.thread.join();
        }
    }

    /// How many looks have panicked, in the function or elsewhere; the thread went on after each.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Starts a thread that looks at all caches every so often, and calls `tell` with a cache's name
    /// and what is newly [wrong](brimful::Growth::findings) with it, as far as what happened since its last look
    /// tells. A minute is a good interval: in a second there is too little to go by.
    ///
    /// The same finding of the same cache is told once, and again only after a look that did not
    /// find it.
    ///
    /// `registry` is `&'static Registry`, or an `Arc` of one. The thread ends when the handle is
    /// dropped, or with the program, which does not wait for it. It waits in real time, whatever
    /// clock the registry has, for a millisecond at least.
    ///
    /// `tell` runs on that thread, outside of all locks, and may call any cache. If it panics, the
    /// panic is caught and [counted](Alarm::panics); what it was told counts as told, and the
    /// other findings of that look are told all the same.
    ///
    /// # Errors
    /// If the system can't start a thread.
    ///
    /// ```
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let registry = Arc::new(Registry::new());
    /// let tell = |name: &str, finding: &brimful::Finding| eprintln!("{name}: {finding}");
    /// let alarm = Registry::alarm(registry.clone(), Duration::from_secs(60), tell)?;
    /// # drop(alarm);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn alarm(
        registry: impl Deref<Target = Registry> + Send + 'static,
        every: Duration,
        tell: impl FnMut(&str, &Finding) + Send + 'static,
    ) -> io::Result<Alarm> {
        let (stop, stopped) = channel();
        let panics = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&panics);
        let every = every.max(A_BREATH);
        let mut vigil = Vigil::default();
        // What happens from now on is told of.
        let _nothing = vigil.step(registry.numbered());
        let keep = move || keep_watch(&registry, vigil, &stopped, every, &counted, tell);
        let thread = thread::Builder::new().name("brimful-alarm".to_owned());
        Ok(Alarm {
            stop,
            thread: thread.spawn(keep)?,
            panics,
        })
    }
}

fn keep_watch(
    registry: &Registry,
    mut vigil: Vigil,
    stopped: &Receiver<()>,
    every: Duration,
    panics: &AtomicU64,
    mut tell: impl FnMut(&str, &Finding),
) {
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        // What a panic leaves of the user's function is his concern; a vigil has no state between.
        let guarded = |work: &mut dyn FnMut()| {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut news = Vec::new();
        guarded(&mut || news = vigil.step(registry.numbered()));
        for (name, finding) in &news {
            guarded(&mut || tell(name, finding));
        }
    }
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Vigil(BTreeMap<u64, Known>);

/// Of one cache, by its number.
struct Known {
    before: Snapshot,
    told: Vec<Discriminant<Finding>>,
}

impl Vigil {
    /// What is newly wrong with which cache, since the step before. Of a cache that is new
    /// nothing is known yet.
    fn step(&mut self, now: Vec<(u64, String, Snapshot)>) -> Vec<(String, Finding)> {
        let mut known = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for (number, name, now) in now {
            let (found, told) = match known.remove(&number) {
                Some(known) => ((&now - &known.before).findings(), known.told),
                None => (Vec::new(), Vec::new()),
            };
            let telling = found.iter().map(discriminant).collect();
            let new = found.into_iter();
            let new = new.filter(|finding| !told.contains(&discriminant(finding)));
            news.extend(new.map(|finding| (name.clone(), finding)));
            let known = Known {
                before: now,
                told: telling,
            };
            self.0.insert(number, known);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful::policy::Lru;
    use brimful::{Cache, Entries};

    /// Something that goes wrong with a cache when it is asked for.
    struct Patient(Arc<Cache<u64, u64, Lru>>);

    impl Patient {
        fn new() -> Self {
            let builder = Cache::builder(Entries(100)).policy::<Lru>();
            Self(Arc::new(builder.build().unwrap()))
        }

        /// Unique keys, of which nothing comes back.
        fn falls_ill(&self) {
            let from = self.0.stats().inserts();
            for key in from..from + 5_000 {
                let _loaded = self.0.get_or_insert_with(&key, || 0);
            }
        }

        fn seen(&self, number: u64) -> (u64, String, Snapshot) {
            (number, format!("cache {number}"), self.0.stats())
        }
    }

    fn kinds(news: &[(String, Finding)]) -> Vec<(&str, bool)> {
        let kind = |finding: &Finding| matches!(finding, Finding::NothingComesBack { .. });
        news.iter()
            .map(|(name, finding)| (name.as_str(), kind(finding)))
            .collect()
    }

    #[test]
    fn a_finding_is_told_once_until_it_went_away() {
        let (patient, mut vigil) = (Patient::new(), Vigil::default());
        let mut look = || vigil.step(vec![patient.seen(1)]);
        patient.falls_ill();
        assert!(look().is_empty(), "what happened before it was first seen");
        patient.falls_ill();
        assert_eq!(kinds(&look()), [("cache 1", true)]);
        patient.falls_ill();
        assert!(look().is_empty(), "it was told");
        assert!(look().is_empty(), "it went away");
        patient.falls_ill();
        assert_eq!(kinds(&look()), [("cache 1", true)]);
    }

    #[test]
    fn each_cache_has_its_own_and_one_that_went_leaves_nothing() {
        let (one, two, mut vigil) = (Patient::new(), Patient::new(), Vigil::default());
        let _ = vigil.step(vec![one.seen(1), two.seen(2)]);
        one.falls_ill();
        let news = vigil.step(vec![one.seen(1), two.seen(2)]);
        assert_eq!(kinds(&news), [("cache 1", true)]);
        two.falls_ill();
        let news = vigil.step(vec![two.seen(2)]);
        assert_eq!(kinds(&news), [("cache 2", true)]);
        assert_eq!(vigil.0.keys().collect::<Vec<_>>(), [&2]);
    }

    #[test]
    fn a_thread_tells_again_after_a_panic_and_lets_go_of_all_at_its_end() {
        let (registry, patient) = (Arc::new(Registry::new()), Arc::new(Patient::new()));
        let cache = Arc::clone(&patient.0);
        registry.watch(&cache);
        let (send, told) = channel();
        let tell = move |name: &str, _: &Finding| {
            send.send(name.to_owned()).unwrap();
            panic!("a function that panics");
        };
        let every = Duration::from_millis(20);
        let alarm = Registry::alarm(Arc::clone(&registry), every, tell).unwrap();
        for _ in 0..2 {
            // While nothing is told nothing happens either, so that it can go away.
            while told.recv_timeout(10 * every) != Ok("cache".to_owned()) {
                patient.falls_ill();
            }
        }
        while alarm.panics() < 2 {
            thread::yield_now();
        }
        alarm.stop();
        assert_eq!(Arc::strong_count(&registry), 1);
        assert_eq!(
            told.recv(),
            Err(std::sync::mpsc::RecvError),
            "the function was dropped"
        );
    }

    #[test]
    fn an_alarm_that_would_wait_for_ever_ends_with_its_handle() {
        static CACHES: Registry = Registry::new();
        let alarm = Registry::alarm(&CACHES, Duration::MAX, |_, _| ()).unwrap();
        alarm.stop();
    }
}
