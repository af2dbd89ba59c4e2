//! `Sweeper`: an optional background thread that removes expired entries.
//!
//! ```text
//! until the bell rings:   wait for it, `every` at most
//!                         the cache is gone?  end
//!                         sweep, A_TURN units at a time, letting go of the cache in between
//! ```
//!
//! The thread holds the cache weakly, but for the length of one turn: a cache let
//! go of in that moment is dropped here. The cache's drop rings the bell, and so
//! does the handle's.

use super::Cache;
use crate::form::Expiring;
use crate::sync::{Arc, AtomicU64, Bell, Mutex, Ordering, Started, Weak, join, start};
use crate::unwind::Panics;
use std::fmt;
use std::io;
use std::time::Duration;

/// How many units are worked off before the cache is let go of.
const A_TURN: usize = 1_024;

/// The least that it waits: without, an interval of zero would keep a processor busy.
const A_BREATH: Duration = Duration::from_millis(1);

/// The bells that a cache rings when it is dropped.
pub(super) struct Bells(Mutex<Vec<Weak<Bell>>>);

impl Bells {
    pub(super) fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One more; those whose thread has ended are let go of.
    fn add(&self, bell: &Arc<Bell>) {
        let mut bells = self.0.lock();
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(bell));
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        for bell in self.0.get_mut().iter().filter_map(Weak::upgrade) {
            bell.ring();
        }
    }
}

/// The handle of a sweeping thread; see [`Cache::sweeper`]. When it is dropped the
/// thread ends, soon after.
#[must_use = "the sweeper ends when its handle is dropped: keep it, or `detach` it"]
pub struct Sweeper {
    bell: Option<Arc<Bell>>,
    thread: Option<Started>,
    panics: Arc<AtomicU64>,
}

impl Sweeper {
    /// Ends the thread and waits until it has ended, which takes no longer than the
    /// turn that it may be at. Called on the sweeper's own thread, by a listener, it
    /// does not wait.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
    /// let cache = Arc::new(cache);
    /// # cache.insert("a", 1);
    /// let sweeper = cache.sweeper(Duration::from_secs(1))?;
    /// sweeper.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread {
            join(thread);
        }
    }

    /// Lets the thread run for as long as the cache lives.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
    /// let cache = Arc::new(cache);
    /// # cache.insert("a", 1);
    /// cache.sweeper(Duration::from_secs(1))?.detach();
    /// drop(cache);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(mut self) {
        self.bell = None;
    }

    /// Panics of the listener, or of a value being dropped, that the thread has
    /// caught; it went on after each.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
    /// let cache = Arc::new(cache);
    /// # cache.insert("a", 1);
    /// let sweeper = cache.sweeper(Duration::from_secs(1))?;
    /// assert_eq!(sweeper.panics(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper")
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    F: Expiring,
    Self: Send + Sync + 'static,
{
    /// Starts a thread that [sweeps](Cache::sweep) this cache every so often, until
    /// the handle or the cache is dropped. Nothing needs it: writes sweep too. It is
    /// for caches that may be left alone while full of what has ended.
    ///
    /// The thread keeps neither the cache nor a value alive, but for the length of
    /// a turn of at most 1,024 units of work. The listener runs on it; a panic there
    /// is caught and [counted](Sweeper::panics), and the thread goes on.
    ///
    /// It waits in real time, whatever clock the cache has, for a millisecond at least.
    ///
    /// # Errors
    /// If the system can't start a thread.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
    /// let cache = Arc::new(cache);
    /// let sweeper = cache.sweeper(Duration::from_secs(1))?;
    /// cache.insert("a", 1);
    /// sweeper.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweeper(self: &Arc<Self>, every: Duration) -> io::Result<Sweeper> {
        let bell = Arc::new(Bell::new());
        self.bells.add(&bell);
        let panics = Arc::new(AtomicU64::new(0));
        let run = {
            let cache = Arc::downgrade(self);
            let bell = Arc::clone(&bell);
            let panics = Arc::clone(&panics);
            move || sweep_until(&bell, every, &cache, &panics)
        };
        Ok(Sweeper {
            thread: Some(start("brimful-sweeper", run)?),
            bell: Some(bell),
            panics,
        })
    }
}

fn sweep_until<K, V, F: Expiring, S>(
    bell: &Bell,
    every: Duration,
    cache: &Weak<Cache<K, V, F, S>>,
    panics: &AtomicU64,
) {
    while !bell.wait(every.max(A_BREATH)) {
        loop {
            let Some(cache) = cache.upgrade() else {
                return;
            };
            // Also the drop of a cache that this thread was the last to hold.
            let swept = Panics::none().run(move || cache.sweep(A_TURN));
            if swept.is_none() {
                panics.fetch_add(1, Ordering::Relaxed);
            }
            let more = swept.is_some_and(|swept| swept.more);
            if bell.wait(Duration::ZERO) || !more {
                break;
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use crate::{Entries, ManualClock, Timed};

    fn cache(clock: &ManualClock) -> Arc<Cache<u32, u32, Timed>> {
        let builder = Cache::builder(Entries(10_000)).time_to_live(Duration::from_secs(1));
        Arc::new(builder.clock(clock.clone()).build().unwrap())
    }

    #[test]
    fn the_drop_of_the_cache_wakes_a_thread_that_would_wait_for_ever() {
        let cache = cache(&ManualClock::new());
        let bell = Arc::new(Bell::new());
        cache.bells.add(&bell);
        let held = Arc::downgrade(&cache);
        let run = move || sweep_until(&bell, Duration::MAX, &held, &AtomicU64::new(0));
        let thread = start("sweeps", run).unwrap();
        drop(cache);
        thread.join().unwrap();
    }

    #[test]
    fn bells_of_threads_that_have_ended_do_not_pile_up() {
        let cache = cache(&ManualClock::new());
        for _ in 0..50 {
            cache.sweeper(Duration::MAX).unwrap().stop();
        }
        assert!(cache.bells.0.lock().len() <= 1);
    }

    #[test]
    fn one_waking_works_off_all_that_is_due() {
        let clock = ManualClock::new();
        let cache = cache(&clock);
        cache.extend((0..5_000).map(|n| (n, n)));
        clock.advance(Duration::from_secs(2));
        let bell = Arc::new(Bell::new());
        let held = Arc::downgrade(&cache);
        let run = {
            let bell = bell.clone();
            move || sweep_until(&bell, Duration::from_millis(1), &held, &AtomicU64::new(0))
        };
        let thread = start("sweeps", run).unwrap();
        while !cache.is_empty() {
            Bell::new().wait(Duration::from_millis(1));
        }
        bell.ring();
        thread.join().unwrap();
        cache.check();
    }
}
