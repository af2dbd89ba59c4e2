//! `Expiry`: when entries expire, as the builder was told, and what time it is.
//!
//! ```text
//! time to live of a stored value        explicit, else what the rule says, else the builder's
//! and, whatever that is                 time to idle since its last use: the earlier deadline holds
//! of a value that was changed in place  what the rule says, else its deadline stays
//! of one that a refresh replaces        explicit, or what the rule says, else as long as the older
//!                                       value's
//! of a value that was read              what the rule for reads says, else its deadline stays
//! ```
//!
//! Before its deadline a value may reach an age from which on it is *stale*: still read, and
//! loaded again by the next loading call.
//!
//! The rules are the user's: they run outside the locks, but for the one for reads
//! and the one after `update`, which run under a mark. What the answers make of an
//! entry is the shard's affair.

use crate::clock::{FOREVER, Glance, LAG, Moment, Source, duration, nanos};
use crate::sync::{Figure, Ordering::Relaxed};
use std::time::Duration;

/// By how much an idle deadline is put off at once, in nanoseconds.
#[inline]
pub(crate) fn grain(to_idle: u64) -> u64 {
    to_idle / 1024
}

/// What a [`sweep`](crate::Cache::sweep) did.
///
/// ```
/// use brimful::{Cache, Entries};
/// use std::time::Duration;
///
/// let cache = Cache::builder(Entries(100)).time_to_live(Duration::from_secs(60)).build()?;
/// cache.insert("a", 1);
/// let swept = cache.sweep(100);
/// assert_eq!((swept.expired, swept.more), (0, false));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Swept {
    /// Entries that left as [`Expired`](crate::Cause::Expired).
    pub expired: u64,
    /// Whether work was due that the limit left for later.
    pub more: bool,
}

/// Says how long an entry lives, which is stored or would live so much longer; `None` leaves in
/// force what holds without the rule.
pub(crate) type Rule<K, V> =
    Box<dyn Fn(&K, &V, Option<Duration>) -> Option<Duration> + Send + Sync>;

/// Says how long an entry that is read will live; `None` leaves its deadline.
pub(crate) type RuleOnRead<K, V> = Box<dyn Fn(&K, &V) -> Option<Duration> + Send + Sync>;

pub(crate) struct Expiry<K, V> {
    pub(crate) source: Source,
    to_live: Figure,
    pub(crate) to_idle: u64,
    /// Whether a glance at the time is not enough for reads: idle deadlines move by less than it
    /// may be wrong, or the rule for reads sends them under the lock.
    pub(crate) reads_exactly: bool,
    pub(crate) rule: Option<Rule<K, V>>,
    pub(crate) rule_on_read: Option<RuleOnRead<K, V>>,
    /// The age from which on a value is stale.
    refresh_after: Figure,
    pub(crate) stale_if_error: bool,
    /// How long no refresh is due after one that failed.
    pub(crate) refresh_pause: u64,
}

impl<K, V> Expiry<K, V> {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.source.now()
    }

    /// What a reader needs to know of the time.
    #[inline]
    pub(crate) fn glance(&self) -> Glance {
        if self.reads_exactly {
            return Glance::Exact(self.now());
        }
        self.source.glance()
    }

    /// Whether the time told may be less than before. The system's never is.
    #[inline]
    pub(crate) fn may_go_back(&self) -> bool {
        self.runs_user_code()
    }

    /// Whether reading the clock runs code of the user's.
    #[inline]
    pub(crate) fn runs_user_code(&self) -> bool {
        matches!(self.source, Source::Given(_))
    }

    /// The time to live, in nanoseconds, of a value of which nobody says it.
    #[inline]
    pub(crate) fn to_live(&self) -> u64 {
        self.to_live.load(Relaxed)
    }

    pub(crate) fn set_to_live(&self, life: Duration) {
        self.to_live.store(nanos(life), Relaxed);
    }

    /// The age, in nanoseconds, from which on a value is stale.
    #[inline]
    pub(crate) fn refresh_after(&self) -> u64 {
        self.refresh_after.load(Relaxed)
    }

    pub(crate) fn set_refresh_after(&self, age: Duration) {
        self.refresh_after.store(nanos(age), Relaxed);
    }

    /// The time to live of a value that is stored, in nanoseconds. Calls the user's rule.
    #[inline]
    pub(crate) fn life(&self, key: &K, value: &V) -> u64 {
        self.life_by_rule(key, value).unwrap_or(self.to_live())
    }

    /// The time to live that the rule gives a value that is stored, if it gives one. Calls the
    /// user's rule.
    #[inline]
    pub(crate) fn life_by_rule(&self, key: &K, value: &V) -> Option<u64> {
        self.rule.as_ref()?(key, value, None).map(nanos)
    }

    /// The new time to live of a value that was changed in place and has so much left, if it is
    /// given one. Calls the user's rule.
    pub(crate) fn life_on_change(&self, key: &K, value: &V, left: u64) -> Option<u64> {
        self.rule.as_ref()?(key, value, Some(duration(left))).map(nanos)
    }

    /// Whether reads may change deadlines.
    #[inline]
    pub(crate) fn rules_reads(&self) -> bool {
        self.rule_on_read.is_some()
    }

    /// Whether values grow stale.
    #[inline]
    pub(crate) fn refreshes(&self) -> bool {
        self.refresh_after() != FOREVER
    }

    /// The time to live that a read gives, if it gives one. Calls the user's rule.
    pub(crate) fn life_on_read(&self, key: &K, value: &V) -> Option<u64> {
        self.rule_on_read.as_ref()?(key, value).map(nanos)
    }
}

/// What a builder has been told of time.
pub(crate) struct Told<K, V> {
    pub(crate) to_live: Option<Duration>,
    pub(crate) to_idle: Option<Duration>,
    pub(crate) rule: Option<Rule<K, V>>,
    pub(crate) rule_on_read: Option<RuleOnRead<K, V>>,
    pub(crate) refresh_after: Option<Duration>,
    pub(crate) stale_if_error: bool,
    pub(crate) refresh_pause: Option<Duration>,
    pub(crate) clock: Option<Source>,
}

impl<K, V> Told<K, V> {
    pub(crate) fn nothing() -> Self {
        Self {
            to_live: None,
            to_idle: None,
            rule: None,
            rule_on_read: None,
            refresh_after: None,
            stale_if_error: false,
            refresh_pause: None,
            clock: None,
        }
    }

    pub(crate) fn expiry(self) -> Expiry<K, V> {
        let to_idle = self.to_idle.map_or(FOREVER, nanos);
        Expiry {
            source: self.clock.unwrap_or_else(Source::system),
            to_live: Figure::new(self.to_live.map_or(FOREVER, nanos)),
            to_idle,
            reads_exactly: self.rule_on_read.is_some()
                || to_idle != FOREVER && grain(to_idle) < LAG,
            rule: self.rule,
            rule_on_read: self.rule_on_read,
            refresh_after: Figure::new(self.refresh_after.map_or(FOREVER, nanos)),
            stale_if_error: self.stale_if_error,
            refresh_pause: self.refresh_pause.map_or(0, nanos),
        }
    }
}
