//! `Alarm`: a thread that looks now and then, and tells what is newly wrong.
//!
//! What it tells is a function of what each look found ([`Told::news`]); the thread only waits, looks,
//! and calls.
//!
//! Invariants
//! 1. A finding of a cache is told once, until a look did not find it.
//! 2. Nothing is remembered of a cache that the last look did not see.

use crate::Registry;
use brimful::Finding;
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

    /// How many panics the thread has caught, of the function or, where a clock panics, of a look;
    /// it went on after each.
    ///
    /// ```
    /// use brimful_watch::Registry;
    /// use std::time::Duration;
    ///
    /// static CACHES: Registry = Registry::new();
    /// let alarm = Registry::alarm(&CACHES, Duration::from_secs(60), |_, _| ())?;
    /// assert_eq!(alarm.panics(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
    /// Starts a thread that [looks](Registry::look) at all caches every so often, and calls `tell` with
    /// a cache's name and what is newly [wrong](brimful::Growth::findings) with it: what the page
    /// would show on top, as far as the last minute tells, whatever the interval. Some seconds up to a
    /// minute are a good one; a longer one may miss what comes and goes.
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
        let keep = move || keep_watch(&registry, &stopped, every, &counted, tell);
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
    stopped: &Receiver<()>,
    every: Duration,
    panics: &AtomicU64,
    mut tell: impl FnMut(&str, &Finding),
) {
    let mut told = Told::default();
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        // What a panic leaves of the user's function is the user's concern.
        let guarded = |work: &mut dyn FnMut()| {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
            }
        };
        let mut news = Vec::new();
        guarded(&mut || news = told.news(registry.found()));
        for (name, finding) in &news {
            guarded(&mut || tell(name, finding));
        }
    }
}

/// What the last look found, by the number of the cache.
#[derive(Default)]
struct Told(BTreeMap<u64, Vec<Discriminant<Finding>>>);

impl Told {
    /// Of what is found now, with the number and the name of its cache, what the last look did not
    /// find.
    fn news(&mut self, found: Vec<(u64, String, Vec<Finding>)>) -> Vec<(String, Finding)> {
        let before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for (number, name, findings) in found {
            self.0
                .insert(number, findings.iter().map(discriminant).collect());
            let known = before.get(&number);
            let is_known = |finding: &Finding| {
                known.is_some_and(|known| known.contains(&discriminant(finding)))
            };
            let new = findings.into_iter().filter(|finding| !is_known(finding));
            news.extend(new.map(|finding| (name.clone(), finding)));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful::{Cache, ManualClock};
    use std::sync::mpsc::RecvError;

    const LEAKS: Finding = Finding::NothingComesBack {
        evicted: 5_000,
        returned: 0.0,
    };
    const IDLES: Finding = Finding::TooLarge { used: 0.1 };

    #[test]
    fn a_finding_is_told_once_until_a_look_did_not_find_it() {
        let mut told = Told::default();
        let mut look = |found: &[Finding]| {
            let news = told.news(vec![(1, "pages".to_owned(), found.to_vec())]);
            news.into_iter()
                .map(|(_, finding)| finding)
                .collect::<Vec<_>>()
        };
        assert_eq!(look(&[]), []);
        assert_eq!(look(&[LEAKS]), [LEAKS]);
        assert_eq!(look(&[LEAKS]), []);
        assert_eq!(look(&[LEAKS, IDLES]), [IDLES]);
        assert_eq!(look(&[IDLES]), []);
        assert_eq!(look(&[LEAKS, IDLES]), [LEAKS]);
    }

    #[test]
    fn the_same_finding_with_other_figures_is_the_same() {
        let mut told = Told::default();
        let mut look = |used| {
            let found = vec![Finding::TooLarge { used }];
            told.news(vec![(1, "pages".to_owned(), found)]).len()
        };
        assert_eq!([0.1, 0.2, 0.1].map(&mut look), [1, 0, 0]);
    }

    #[test]
    fn each_cache_has_its_own_and_one_that_went_leaves_nothing() {
        let mut told = Told::default();
        let mut look = |found: &[(u64, bool)]| {
            let of = |&(number, ill): &(u64, bool)| {
                let found = ill.then_some(LEAKS).into_iter().collect();
                (number, format!("cache {number}"), found)
            };
            let news = told.news(found.iter().map(of).collect());
            let numbers: Vec<u64> = told.0.keys().copied().collect();
            (
                news.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
                numbers,
            )
        };
        assert_eq!(
            look(&[(1, true), (2, false)]),
            (vec!["cache 1".to_owned()], vec![1, 2])
        );
        assert_eq!(
            look(&[(1, true), (2, true)]),
            (vec!["cache 2".to_owned()], vec![1, 2])
        );
        assert_eq!(look(&[(2, true)]), (vec![], vec![2]));
        assert_eq!(look(&[]), (vec![], vec![]));
    }

    #[test]
    fn a_thread_tells_again_after_a_panic_and_lets_go_of_all_at_its_end() {
        let clock = ManualClock::new();
        let registry = Arc::new(Registry::with_clock(clock.clone()));
        let cache = Arc::new(Cache::new(100));
        registry.watch(&cache);
        let (send, told) = channel();
        let tell = move |name: &str, _: &Finding| {
            send.send(name.to_owned()).unwrap();
            panic!("a function that panics");
        };
        let every = Duration::from_millis(1);
        let alarm = Registry::alarm(Arc::clone(&registry), every, tell).unwrap();
        let fall_ill = || {
            let from = cache.stats().inserts();
            for key in from..from + 5_000 {
                let _loaded = cache.get_or_insert_with(&key, || 0);
            }
        };
        let get_well = || {
            while registry.look().findings().next().is_some() {
                clock.advance(Duration::from_secs(60));
            }
        };
        fall_ill();
        assert_eq!(told.recv(), Ok("cache".to_owned()));
        // Until the thread has looked between the two.
        while told.recv_timeout(100 * every).is_err() {
            get_well();
            thread::sleep(10 * every);
            fall_ill();
        }
        while alarm.panics() < 2 {
            thread::yield_now();
        }
        alarm.stop();
        assert_eq!(Arc::strong_count(&registry), 1);
        assert_eq!(told.recv(), Err(RecvError), "the function was dropped");
    }

    #[test]
    fn an_alarm_that_would_wait_for_ever_ends_with_its_handle() {
        static CACHES: Registry = Registry::new();
        let alarm = Registry::alarm(&CACHES, Duration::MAX, |_, _| ()).unwrap();
        alarm.stop();
    }
}
