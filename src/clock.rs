//! Time: where it comes from, and in which unit the rooms above count it.
//!
//! A moment is a `u64` of nanoseconds since the cache's clock began. A deadline
//! is a moment too, rounded down to a whole tick of a microsecond, so that as a number of
//! ticks it leaves ten bits of a word free for other uses. What passes the range (570
//! years) means never.
//!
//! Invariants
//! 1. A time to live is never prolonged, and is cut short by less than a tick:
//!    `deadline(now, life)` is at or before `now + life`, and less than a tick before it.
//! 2. No moment reaches `NEVER`, whatever a clock says.
//!
//! Clocks may jump: the shard makes sure that its own time never goes back.
//!
//! A hit needs to know that its entry's deadline is far, not what time it is. So it
//! takes a [`Glance`]: a moment that the clock has not reached yet, from the coarse clock that
//! Linux keeps (a quarter of the price). Only where the deadline is no later than that does the
//! exact clock decide.

mod coarse;

use crate::sync::{Arc, AtomicU64, BARE, Ordering};
use std::fmt;
use std::time::{Duration, Instant};

/// Nanoseconds since the clock began.
pub(crate) type Moment = u64;

/// What a deadline is rounded down to, in nanoseconds.
pub(crate) const TICK: u64 = 1_000;

/// The deadline of an entry that does not expire.
pub(crate) const NEVER: Moment = (u64::MAX >> 10) * TICK;

/// The time to live of an entry that does not expire, in nanoseconds.
pub(crate) const FOREVER: u64 = u64::MAX;

/// A duration in nanoseconds; one too long to count is [`FOREVER`].
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().checked_mul(1_000_000_000);
    let nanos = seconds.and_then(|nanos| nanos.checked_add(u64::from(duration.subsec_nanos())));
    nanos.unwrap_or(FOREVER)
}

/// The duration of so many nanoseconds.
pub(crate) fn duration(nanos: u64) -> Duration {
    if nanos == FOREVER {
        Duration::MAX
    } else {
        Duration::from_nanos(nanos)
    }
}

/// The deadline of an entry that is stored now and lives for so many nanoseconds.
#[inline]
pub(crate) fn deadline(now: Moment, life: u64) -> Moment {
    tick_of(now.saturating_add(life))
}

/// A moment, rounded down to a whole tick.
#[inline]
pub(crate) fn tick_of(moment: Moment) -> Moment {
    (moment / TICK * TICK).min(NEVER)
}

/// Tells a cache the time: the span since a moment that stays the same.
///
/// A cache with lives reads its clock once in each call, before it locks (again after
/// a loader has run, for each step of an iteration, and where a lock was not free), one without lives only before and
/// after a load, to tell [how long](crate::Snapshot::load_time) that took. It takes the latest time
/// that a shard was told for the shard's time. So a clock
/// that goes back resurrects nothing; one that jumps ahead ends lives early, and
/// until it is past that time again no further life ends. Times beyond 570 years
/// count as 570 years.
///
/// The clock runs in every call of the cache, outside of its locks, and should be
/// quick. It must not call into a cache that it drives: that would ask it again.
///
/// Without one a cache reads [`Instant`], some 25 to 50 ns, in each write; in a read only
/// where the entry's end is less than a second away (or, for values that are refreshed, the age at
/// which that begins), since on Linux a look at the system's coarse clock, some 6 ns, tells the
/// rest. A read trusts that clock to be less than a second behind; Linux moves it at
/// each tick, every 1 to 10 ms. Elsewhere each hit reads [`Instant`]; under a time to idle of less
/// than 17 minutes, or a rule for reads, each read does. On targets
/// where `Instant` is not there (`wasm32-unknown-unknown`) give a clock: without one a cache with
/// lives [is not built](crate::BuildError::NoClock), and loads of one without lives take no time.
///
/// ```
/// use brimful::{Cache, Clock, Entries, Timed};
/// use std::time::{Duration, SystemTime};
///
/// struct WallClock;
///
/// impl Clock for WallClock {
///     fn now(&self) -> Duration {
///         SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
///     }
/// }
///
/// let cache: Cache<&str, u32, Timed> = Cache::builder(Entries(100))
///     .time_to_live(Duration::from_secs(60))
///     .clock(WallClock)
///     .build()?;
/// cache.insert("a", 1);
/// assert_eq!(cache.get("a"), Some(1));
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub trait Clock: Send + Sync {
    /// The time since this clock's beginning.
    fn now(&self) -> Duration;
}

/// A clock that stands still until it is moved: for tests of what time does.
///
/// Clones show the same time.
///
/// ```
/// use brimful::{Cache, Entries, ManualClock, Timed};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache: Cache<&str, u32, Timed> = Cache::builder(Entries(100))
///     .time_to_live(Duration::from_secs(60))
///     .clock(clock.clone())
///     .build()?;
/// cache.insert("a", 1);
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(cache.get("a"), Some(1));
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(cache.get("a"), None);
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows 0.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }

    /// Moves it ahead; at most to 584 years.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            let later = now.saturating_add(nanos(by));
            let moved =
                self.0
                    .compare_exchange_weak(now, later, Ordering::AcqRel, Ordering::Acquire);
            match moved {
                Ok(_) => return,
                Err(moved) => now = moved,
            }
        }
    }

    /// Sets it, also back, as a clock that is put right may go.
    pub fn set(&self, now: Duration) {
        self.0.store(nanos(now), Ordering::Release);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// What a reader knows of the time before it has looked at an entry.
#[derive(Clone, Copy)]
pub(crate) enum Glance {
    Exact(Moment),
    /// It is earlier than this moment; the exact clock was not read.
    Before(Moment),
}

/// How far a glance may be ahead, in nanoseconds: as far as the system's coarse clock may be
/// behind its exact one. Linux moves it at each tick of 1 to 10 ms.
pub(crate) const LAG: u64 = 1_000_000_000;

/// The system's monotonic clock, since the cache was opened.
#[derive(Clone, Copy)]
pub(crate) struct System {
    began: Instant,
    began_coarse: Moment,
}

impl System {
    fn begin() -> Self {
        // In this order: what the coarse clock counts from is no later than what the other does.
        Self {
            began_coarse: coarse::now().unwrap_or(0),
            began: Instant::now(),
        }
    }

    /// A moment that the clock has not reached, found without reading it.
    #[inline]
    fn not_reached(&self) -> Moment {
        coarse::now().map_or(Moment::MAX, |now| {
            now.saturating_sub(self.began_coarse).saturating_add(LAG)
        })
    }
}

/// Where a cache's moments come from.
#[derive(Clone)]
pub(crate) enum Source {
    System(System),
    Given(Arc<dyn Clock>),
    /// There is no clock: it is 0 always.
    Absent,
}

impl Source {
    /// The system's clock, if it has one.
    pub(crate) fn system() -> Self {
        match BARE {
            true => Self::Absent,
            false => Self::System(System::begin()),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::System(system) => {
                let since = system.began.elapsed();
                since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
            }
            Self::Given(clock) => nanos(clock.now()).min(NEVER - 1),
            Self::Absent => 0,
        }
    }

    /// Looks at the time as cheaply as can be.
    #[inline]
    pub(crate) fn glance(&self) -> Glance {
        match self {
            Self::System(system) => Glance::Before(system.not_reached()),
            Self::Given(_) | Self::Absent => Glance::Exact(self.now()),
        }
    }

    /// Reads the clock, and leaves it to be told which moment that is.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        match self {
            Self::System(_) => Reading::System(Instant::now()),
            Self::Given(_) | Self::Absent => Reading::Given(self.now()),
        }
    }

    /// The moment of a reading of this clock.
    #[inline]
    pub(crate) fn moment(&self, reading: Reading) -> Moment {
        match (self, reading) {
            (Self::System(system), Reading::System(now)) => nanos(now.duration_since(system.began)),
            (_, Reading::Given(now)) => now,
            _ => 0,
        }
    }
}

/// What a clock showed, to be compared with another reading of it.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    System(Instant),
    Given(Moment),
}

impl Reading {
    /// The time since an earlier reading; none if the clock was set back.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        match (self, earlier) {
            (Self::System(now), Self::System(then)) => now.saturating_duration_since(then),
            (Self::Given(now), Self::Given(then)) => Duration::from_nanos(now.saturating_sub(then)),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_never_prolonged_and_cut_short_by_less_than_a_tick() {
        for now in [0, 1, 999, 1_000, 1_001, 1_999, 999_999_999] {
            for life in [1, 2, 999, 1_000, 1_001, 5_000, 1_000_000_000] {
                let end = deadline(now, life);
                assert!(end <= now + life && end + TICK > now + life, "{now} {life}");
                assert_eq!(end % TICK, 0);
            }
        }
    }

    #[test]
    fn what_passes_the_range_never_ends() {
        assert_eq!(nanos(Duration::MAX), FOREVER);
        assert_eq!(
            nanos(Duration::from_secs(u64::MAX / 1_000_000_000 + 1)),
            FOREVER
        );
        assert_eq!(nanos(Duration::from_nanos(u64::MAX - 1)), u64::MAX - 1);
        assert_eq!(deadline(0, FOREVER), NEVER);
        assert_eq!(deadline(NEVER - 1, 1), NEVER);
        assert_eq!(deadline(NEVER, 1), NEVER);
        assert_eq!(deadline(NEVER - 1, u64::MAX - 1), NEVER);
        assert!(deadline(NEVER - TICK, 1) <= NEVER);
    }

    #[test]
    fn what_the_coarse_clock_says_is_not_reached() {
        let source = Source::system();
        for _ in 0..100_000 {
            // In this order: whatever passes in between, the glance comes later.
            let now = source.now();
            let Glance::Before(latest) = source.glance() else {
                unreachable!("the system's clock is glanced at");
            };
            assert!(now < latest);
        }
    }

    #[test]
    fn no_clock_reaches_never() {
        let clock = ManualClock::new();
        let source = Source::Given(Arc::new(clock.clone()));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(source.now(), NEVER - 1);
        clock.set(Duration::from_nanos(7));
        assert_eq!(source.now(), 7);
        assert_eq!(clock.clone().now(), Duration::from_nanos(7));
    }
}
