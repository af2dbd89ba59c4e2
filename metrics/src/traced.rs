//! Caches told to `tracing`: spans around loads, events for what goes wrong. Feature `tracing`.
//!
//! Each helper wraps what is handed to a cache anyway, a loader or a listener, and says something only when
//! that runs. A hit costs what it does without.
//!
//! ```
//! use brimful::{Cache, Entries};
//! use brimful_metrics::traced;
//!
//! let pages: Cache<String, String> = Cache::builder(Entries(1_000))
//!     .on_departure(traced::departures("pages", 500))
//!     .build()?;
//! let page = pages
//!     .try_get_or_insert_with("/", traced::load("pages", || Ok::<_, std::io::Error>("hello".to_owned())))
//!     .inspect_err(traced::failure("pages"));
//! # assert!(page.is_ok());
//! # Ok::<(), brimful::BuildError>(())
//! ```
//!
//! | what | level | name or message | fields |
//! |---|---|---|---|
//! | a load, by [`load`] or [`load_async`] | span, `DEBUG` | `load` | `cache` |
//! | a load that failed or could not be waited for, by [`failure`] | `WARN`; a cycle `ERROR` | what happened | `cache`, `error` |
//! | a value that was refused, by [`departures`] | `WARN` | `values are refused` | `cache` |
//! | many evictions in a second, by [`departures`] | `WARN` | `a burst of evictions` | `cache`, `evicted` |
//! | something wrong, by [`finding`] | `WARN` | the sentence | `cache`, `kind` |
//!
//! All have the target `brimful`.

use crate::publish;
use brimful::{Cause, Departed, Finding, LoadError};
use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::{Instrument, Span, debug_span, error, warn};

fn span(cache: &'static str) -> Span {
    debug_span!(target: "brimful", "load", cache)
}

/// A loader in a span `load` of the cache of this name: for `get_or_insert_with`, `load(&key)` and all
/// other calls that load. The span begins when the loader runs, and so only on a miss, and for the call that
/// loads, not for those that wait for it.
///
/// ```
/// use brimful::Cache;
/// use brimful_metrics::traced;
///
/// let pages: Cache<String, usize> = Cache::new(100);
/// let page = pages.get_or_insert_with("/index", traced::load("pages", || 7));
/// assert_eq!(page, 7);
/// ```
pub fn load<T>(cache: &'static str, loader: impl FnOnce() -> T) -> impl FnOnce() -> T {
    move || span(cache).in_scope(loader)
}

/// A future that loads, in a span `load` of the cache of this name: as [`load`] for `get_or_insert_async` and
/// its relatives. The span begins when the future is first polled.
///
/// ```
/// use brimful::Cache;
/// use brimful_metrics::traced;
///
/// let pages: Cache<String, usize> = Cache::new(100);
/// let page = pages.get_or_insert_async("/index", traced::load_async("pages", async { 7 }));
/// assert_eq!(pollster::block_on(page), 7);
/// ```
pub async fn load_async<T>(cache: &'static str, loader: impl Future<Output = T>) -> T {
    loader.instrument(span(cache)).await
}

/// An event for a load that has no value: for `inspect_err` of whatever a loading call returns.
///
/// ```
/// use brimful::Cache;
/// use brimful_metrics::traced;
///
/// let pages: Cache<String, usize> = Cache::new(100);
/// let failed = pages
///     .try_get_or_insert_with("/index", || Err("no route"))
///     .inspect_err(traced::failure("pages"));
/// assert!(failed.is_err());
/// ```
pub fn failure<E: Display>(cache: &'static str) -> impl Fn(&LoadError<E>) {
    move |error| match error {
        LoadError::Cycle => error!(target: "brimful", cache, %error, "a load waits for itself"),
        LoadError::TimedOut => warn!(target: "brimful", cache, %error, "a load took too long"),
        _ => warn!(target: "brimful", cache, %error, "a load failed"),
    }
}

/// A listener that says when values are refused, and when `burst` entries or more are evicted within a
/// second: for [`Builder::on_departure`](brimful::Builder::on_departure). Each is said once a second at
/// most.
///
/// What else leaves costs a comparison; an eviction costs a look at the clock and a lock that all threads
/// share. To listen to departures oneself as well, call it with each.
///
/// ```
/// use brimful::{Cache, Departed, Entries};
/// use brimful_metrics::traced;
///
/// let told = traced::departures("pages", 1_000);
/// let pages: Cache<u64, String> = Cache::builder(Entries(100))
///     .on_departure(move |left: Departed<'_, u64, String>| {
///         told(left);
///         // and whatever else
///     })
///     .build()?;
/// # pages.insert(1, String::new());
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub fn departures<K, V>(
    cache: &'static str,
    burst: u64,
) -> impl Fn(Departed<'_, K, V>) + Send + Sync + 'static {
    let (refused, evicted) = (Window::new(1), Window::new(burst.max(1)));
    move |left| match left.cause {
        Cause::Refused if refused.count(Instant::now()).is_some() => {
            warn!(target: "brimful", cache, "values are refused");
        }
        Cause::Evicted => {
            if let Some(evicted) = evicted.count(Instant::now()) {
                warn!(target: "brimful", cache, evicted, "a burst of evictions");
            }
        }
        _ => {}
    }
}

/// An event for what is newly wrong with a cache: for [`Registry::alarm`](brimful_watch::Registry::alarm).
///
/// ```
/// use brimful_metrics::traced;
/// use brimful_watch::Registry;
/// use std::time::Duration;
///
/// static CACHES: Registry = Registry::new();
/// let alarm = Registry::alarm(&CACHES, Duration::from_secs(60), traced::finding)?;
/// # drop(alarm);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn finding(cache: &str, finding: &Finding) {
    let kind = publish::kind(finding);
    warn!(target: "brimful", cache, kind, "{finding}");
}

/// How many there were within a second.
struct Window {
    /// So many are told of.
    enough: u64,
    /// When the second began, and how many there were since.
    since: Mutex<Option<(Instant, u64)>>,
}

impl Window {
    const LENGTH: Duration = Duration::from_secs(1);

    fn new(enough: u64) -> Self {
        Self {
            enough,
            since: Mutex::new(None),
        }
    }

    /// Counts one; says how many there were if that is enough for the first time in this second.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut since = self.since.lock().ok()?;
        let (began, count) = match *since {
            Some((began, count)) if now.saturating_duration_since(began) < Self::LENGTH => {
                (began, count + 1)
            }
            _ => (now, 1),
        };
        *since = Some((began, count));
        (count == self.enough).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_tells_once_a_second() {
        let window = Window::new(3);
        let start = Instant::now();
        let told = |millis: [u64; 5]| {
            millis.map(|at| window.count(start + Duration::from_millis(at)).is_some())
        };
        assert_eq!(
            told([0, 0, 10, 20, 999]),
            [false, false, true, false, false]
        );
        assert_eq!(
            told([1_000, 1_500, 1_999, 2_000, 2_100]),
            [false, false, true, false, false]
        );
    }
}
