//! Statistics: always on, counted per shard, read as a [`Snapshot`].
//!
//! A count costs a plain addition under the lock that the call holds anyway. All of them take
//! 150 bytes a shard, and 310 more ([`Loads`]) once something was loaded there. Hits and misses
//! of reads without a lock are counted by thread, in its lane (`lanes`).
//!
//! Invariant, when no thread is writing: `inserts - departures = len` and
//! `weight_in - weight_out = weight`, where a refused value that was never
//! resident counts in neither.

mod figure;
mod findings;
mod growth;
mod lingering;
mod origin;
mod survey;

pub use figure::{Figure, Kind};
pub use findings::Finding;
pub use growth::Growth;
pub(crate) use lingering::Lingerers;
pub use lingering::{Lingerer, Lingering};
pub use origin::Flow;
pub(crate) use origin::{Caller, Flows, Line, Origin, Sources, Tracks};
pub use survey::{Grown, Portion, Survey};

use crate::cause::Cause;
use crate::sync::Arc;
use figure::{Grouped, Percent};
use std::fmt;
use std::iter::Sum;
use std::panic::Location;
use std::time::Duration;

/// The counts of one shard.
#[derive(Default)]
pub(crate) struct Counts {
    hits: u64,
    misses: u64,
    inserts: u64,
    departures: [u64; Cause::ALL.len()],
    weight_in: u64,
    weight_out: u64,
    evicted_unhit: u64,
    ghost_hits: u64,
    /// Values that were never resident.
    turned_away: u64,
}

/// How many classes of load times are counted.
const CLASSES: usize = 32;

/// What one shard has loaded.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Loads {
    ended: u64,
    failed: u64,
    waits: u64,
    refreshed: u64,
    unstored: u64,
    nanos: u64,
    /// By the number of bits of the time in microseconds.
    by_time: [u64; CLASSES],
}

impl Loads {
    /// A loader has run to its end.
    pub(crate) fn ended(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.ended += 1;
        self.nanos = self.nanos.saturating_add(nanos);
        self.by_time[class(nanos / 1_000)] += 1;
    }

    /// A loader failed, panicked or was dropped.
    pub(crate) fn failed(&mut self) {
        self.failed += 1;
    }

    /// A call waits for another's load.
    pub(crate) fn waits(&mut self) {
        self.waits += 1;
    }

    /// A loader has brought a value, for a stale one perhaps. The end of a loader of
    /// many is counted apart.
    pub(crate) fn landed(&mut self, took: Option<Duration>, refreshes: bool) {
        self.refreshed += u64::from(refreshes);
        if let Some(took) = took {
            self.ended(took);
        }
    }

    /// What a loader has brought is not stored: its key was written meanwhile.
    pub(crate) fn unstored(&mut self) {
        self.unstored += 1;
    }

    fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.failed += other.failed;
        self.waits += other.waits;
        self.refreshed += other.refreshed;
        self.unstored += other.unstored;
        self.nanos = self.nanos.saturating_add(other.nanos);
        for (sum, more) in self.by_time.iter_mut().zip(other.by_time) {
            *sum += more;
        }
    }
}

/// The class of a load time: 0 for less than a microsecond, else one more than
/// its binary logarithm, up to the last.
fn class(micros: u64) -> usize {
    let bits = u64::BITS - micros.leading_zeros();
    (bits as usize).min(CLASSES - 1)
}

impl Counts {
    #[inline]
    pub(crate) fn hit(&mut self) {
        self.hits += 1;
    }

    #[inline]
    pub(crate) fn missed(&mut self) {
        self.misses += 1;
    }

    #[inline]
    pub(crate) fn entered(&mut self, weight: u64) {
        self.inserts += 1;
        self.weight_in = self.weight_in.wrapping_add(weight);
    }

    #[inline]
    pub(crate) fn left(&mut self, weight: u64, cause: Cause) {
        self.departures[cause as usize] += 1;
        self.weight_out = self.weight_out.wrapping_add(weight);
    }

    /// How many have left for this cause.
    pub(crate) fn departed(&self, cause: Cause) -> u64 {
        self.departures[cause as usize]
    }

    pub(crate) fn left_at_once(&mut self, entries: u64, weight: u64, cause: Cause) {
        self.departures[cause as usize] += entries;
        self.weight_out = self.weight_out.wrapping_add(weight);
    }

    /// An entry changed its weight where it stands.
    pub(crate) fn reweighed(&mut self, before: u64, after: u64) {
        self.weight_in = self.weight_in.wrapping_add(after);
        self.weight_out = self.weight_out.wrapping_add(before);
    }

    /// A value was refused without ever being resident, or had a time to live of zero.
    pub(crate) fn refused_outright(&mut self, cause: Cause) {
        self.inserts += 1;
        self.departures[cause as usize] += 1;
        self.turned_away += 1;
    }

    /// What came in where all entries weigh 1: it was not counted.
    pub(crate) fn entries_in(&self) -> u64 {
        self.inserts - self.turned_away
    }

    /// So many departures counted as `from` were in truth expired.
    pub(crate) fn were_expired(&mut self, entries: u64, from: Cause) {
        self.departures[from as usize] -= entries;
        self.departures[Cause::Expired as usize] += entries;
    }

    #[inline]
    pub(crate) fn evicted_unhit(&mut self) {
        self.evicted_unhit += 1;
    }

    #[inline]
    pub(crate) fn ghost_hit(&mut self) {
        self.ghost_hits += 1;
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            hits: self.hits,
            misses: self.misses,
            inserts: self.inserts,
            departures: self.departures,
            weight_in: self.weight_in,
            weight_out: self.weight_out,
            evicted_unhit: self.evicted_unhit,
            ghost_hits: self.ghost_hits,
            ..Snapshot::default()
        }
    }
}

/// The statistics of a cache at one moment.
///
/// Exact when no other thread is using the cache; else each figure is right for
/// some moment of the call, shard by shard. Subtract an earlier one to see what
/// [grew](Growth).
///
/// Counting is always on: each count is a plain addition, under the lock that the
/// call holds anyway or in a line that only its thread writes. About 150 bytes a shard.
///
/// ```
/// use brimful::{Cache, Cause};
///
/// let cache = Cache::new(2);
/// let before = cache.stats();
/// cache.insert("a", 1);
/// cache.insert("b", 2);
/// cache.insert("c", 3);
/// cache.get("c");
/// cache.get("z");
///
/// let now = cache.stats();
/// assert_eq!((now.hits(), now.misses(), now.inserts()), (1, 1, 3));
/// assert_eq!(now.departures(Cause::Evicted), 1);
/// assert_eq!(now.hit_ratio(), Some(0.5));
/// println!("{}", &now - &before);
/// ```
#[derive(Clone, Default, PartialEq)]
#[must_use]
pub struct Snapshot {
    pub(crate) len: u64,
    pub(crate) weight: u64,
    pub(crate) capacity: u64,
    pub(crate) listener_panics: u64,
    pub(crate) loaded: Loads,
    hits: u64,
    misses: u64,
    inserts: u64,
    departures: [u64; Cause::ALL.len()],
    pub(crate) weight_in: u64,
    pub(crate) weight_out: u64,
    evicted_unhit: u64,
    ghost_hits: u64,
    pub(crate) lateness: Lateness,
    pub(crate) ages: Option<Box<Ages>>,
    /// By origin, where entries have one.
    pub(crate) sources: Option<Box<Sources>>,
    pub(crate) scopes: Option<Scopes>,
    pub(crate) lingering: Option<Lingering>,
    pub(crate) name: Option<Arc<str>>,
    /// What the capacity counts.
    pub(crate) unit: &'static str,
    /// When it was taken, in nanoseconds of the cache's clock.
    pub(crate) taken: Option<u64>,
    /// Whether the policy knows what it has evicted a moment ago.
    pub(crate) remembers: bool,
    /// Whether values grow stale and are loaded again.
    pub(crate) goes_stale: bool,
    /// What was offered to each shard.
    pub(crate) by_shard: Box<[u64]>,
}

/// The open scopes of a cache: [`Snapshot::scopes`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Scopes {
    /// How many are open. One that was forgotten (`mem::forget`, a cycle of `Arc`s, a task that never
    /// ends) is open for ever.
    pub open: u64,
    /// How many resident entries belong to one.
    pub entries: u64,
    /// For how long the oldest has been open: of 64 at least, which are known by when they began.
    pub oldest: Option<Duration>,
}

/// How late the expired left, in nanoseconds.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Lateness {
    sum: u64,
    most: u64,
}

impl Lateness {
    pub(crate) fn note(&mut self, late: u64) {
        self.add(Lateness {
            sum: late,
            most: late,
        });
    }

    pub(crate) fn add(&mut self, other: Lateness) {
        self.sum = self.sum.saturating_add(other.sum);
        self.most = self.most.max(other.most);
    }
}

/// The ages of values when they left (how long they were resident), whatever made them
/// leave: a histogram by powers of two. It takes 512 bytes a shard.
///
/// It is kept where the builder was told to [record ages](crate::Builder::record_ages).
///
/// ```
/// use brimful::{Cache, Entries, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache = Cache::builder(Entries(100)).record_ages().clock(clock.clone()).build()?;
/// cache.insert("a", 1);
/// clock.advance(Duration::from_secs(3));
/// cache.remove("a");
/// let ages = cache.stats().ages().cloned().unwrap_or_default();
/// assert_eq!(ages.count(), 1);
/// assert!(ages.quantile(0.5) >= Some(Duration::from_secs(3)));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Ages([u64; 64]);

impl Default for Ages {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Ages {
    pub(crate) fn note(&mut self, nanos: u64) {
        self.0[63 - (nanos | 1).leading_zeros() as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Ages) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// How many values were counted.
    ///
    /// ```
    /// assert_eq!(brimful::Ages::default().count(), 0);
    /// ```
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each step with its count, youngest first: `(most, count)` are the
    /// values whose age was at most `most` and more than half of it. Steps
    /// without a value are left out.
    ///
    /// ```
    /// # use brimful::{Cache, Entries, ManualClock};
    /// # use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100)).record_ages().clock(clock.clone()).build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(3));
    /// cache.insert("b", 2);
    /// cache.clear();
    /// let ages = cache.stats().ages().cloned().unwrap_or_default();
    /// assert_eq!(ages.iter().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Duration, u64)> {
        let step = |(power, &count): (usize, &u64)| (Self::most(power), count);
        self.0
            .iter()
            .enumerate()
            .map(step)
            .filter(|step| step.1 > 0)
    }

    /// An age that this part of the values, from 0.0 to 1.0, did not pass: the
    /// upper edge of the step in which it lies, so less than twice too much.
    /// `None` if nothing was counted.
    ///
    /// ```
    /// assert_eq!(brimful::Ages::default().quantile(0.99), None);
    /// ```
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let mut steps = self.iter();
        let reaches = |step: &(Duration, u64)| {
            seen += step.1;
            seen >= wanted
        };
        steps.find(reaches).map(|step| step.0)
    }

    fn most(power: usize) -> Duration {
        Duration::from_nanos(u64::MAX >> (63 - power))
    }
}

impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Snapshot {
    /// How many entries were resident.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// assert_eq!(cache.stats().len(), 1);
    /// ```
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was resident.
    ///
    /// ```
    /// assert!(brimful::Cache::<u32, u32>::new(100).stats().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The weight that was resident, in the cache's unit.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &u32, text: &&str| text.len() as u64);
    /// cache.insert(1, "seventeen letters");
    /// assert_eq!(cache.stats().weight(), 17);
    /// ```
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The capacity at that moment, in the cache's unit: of a single shard its fair share.
    ///
    /// ```
    /// assert_eq!(brimful::Cache::<u32, u32>::new(100).stats().capacity(), 100);
    /// ```
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What the capacity and the weight count: `entries`, `bytes`, or `units` of a weigher.
    ///
    /// ```
    /// assert_eq!(brimful::Cache::<u32, u32>::new(100).stats().unit(), "entries");
    /// ```
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// Look-ups that found their key: `get`, `get_many`, `view`, `update`,
    /// `get_or_insert_with` and its relatives, and the calls of `entry`. `peek` and `contains_key` are not counted.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.get("a");
    /// cache.peek("a");
    /// assert_eq!(cache.stats().hits(), 1);
    /// ```
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// Look-ups of the same calls that did not find their key. A loading call counts
    /// as it found things at first, whether it then loads or waits.
    ///
    /// ```
    /// let cache = brimful::Cache::<String, u32>::new(100);
    /// cache.get_or_insert_with("a", || 1);
    /// cache.get_or_insert_with("a", || 1);
    /// assert_eq!(cache.stats().misses(), 1);
    /// ```
    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// Hits over look-ups, or `None` before the first look-up.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.get("a");
    /// cache.get("b");
    /// assert_eq!(cache.stats().hit_ratio(), Some(0.5));
    /// ```
    pub fn hit_ratio(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }

    /// Values offered: stored, stored in place of an older one, or refused.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("a", 2)]);
    /// assert_eq!(cache.stats().inserts(), 2);
    /// ```
    pub fn inserts(&self) -> u64 {
        self.inserts
    }

    /// Values that left for this cause.
    ///
    /// ```
    /// use brimful::Cause;
    ///
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([("a", 1), ("a", 2)]);
    /// assert_eq!(cache.stats().departures(Cause::Replaced), 1);
    /// ```
    pub fn departures(&self, cause: Cause) -> u64 {
        self.departures[cause as usize]
    }

    /// Weight that came in, modulo 2^64. A value that changes its weight counts as out and in.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &u32, text: &&str| text.len() as u64);
    /// cache.insert(1, "seventeen letters");
    /// assert_eq!(cache.stats().weight_in(), 17);
    /// ```
    pub fn weight_in(&self) -> u64 {
        self.weight_in
    }

    /// Weight that went out, modulo 2^64.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &u32, text: &&str| text.len() as u64);
    /// cache.insert(1, "seventeen letters");
    /// cache.remove(&1);
    /// assert_eq!(cache.stats().weight_out(), 17);
    /// ```
    pub fn weight_out(&self) -> u64 {
        self.weight_out
    }

    /// Loaders that ended with a value, whether it was stored or not, or found that there is
    /// [no such key](crate::Load::optional): of `get_or_insert_with` and its relatives. A loader of many keys counts once.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.get_or_insert_with(&1, || "one");
    /// cache.get_or_insert_with(&1, || "one");
    /// assert_eq!(cache.stats().loads(), 1);
    /// ```
    pub fn loads(&self) -> u64 {
        self.loaded.ended
    }

    /// Time spent in those loaders, summed over callers: from its start, or the
    /// first poll of its future, to the value.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = brimful::Cache::new(100);
    /// cache.get_or_insert_with(&1, || std::thread::sleep(Duration::from_millis(2)));
    /// assert!(cache.stats().load_time() >= Duration::from_millis(2));
    /// ```
    pub fn load_time(&self) -> Duration {
        Duration::from_nanos(self.loaded.nanos)
    }

    /// How long those loads took, as a histogram: pairs of a time and the number
    /// of loads that took less than it, but not less than that of the pair
    /// before. The times are 1 µs and its doubles; the last is [`Duration::MAX`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = brimful::Cache::new(100);
    /// cache.get_or_insert_with(&1, || std::thread::sleep(Duration::from_millis(2)));
    /// let quick = |(below, _): &(Duration, u64)| *below <= Duration::from_millis(1);
    /// assert_eq!(cache.stats().load_times().filter(quick).map(|(_, loads)| loads).sum::<u64>(), 0);
    /// ```
    pub fn load_times(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let below = |class| match class {
            last if last == CLASSES - 1 => Duration::MAX,
            class => Duration::from_micros(1_u64 << class),
        };
        let counted = self.loaded.by_time.iter().enumerate();
        counted.map(move |(class, &loads)| (below(class), loads))
    }

    /// Loaders that failed, panicked or, as futures, were dropped half-way.
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert!(cache.try_get_or_insert_with(&1, || Err("no route")).is_err());
    /// assert_eq!(cache.stats().load_failures(), 1);
    /// ```
    pub fn load_failures(&self) -> u64 {
        self.loaded.failed
    }

    /// How often a call waited for another call's load, or computation by a future, of the same key.
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert_eq!(cache.stats().load_waits(), 0);
    /// ```
    pub fn load_waits(&self) -> u64 {
        self.loaded.waits
    }

    /// Values that loaders have brought for [stale](crate::Builder::refresh_after) ones,
    /// whether they were stored or not. Their loads are among [`loads`](Snapshot::loads).
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::builder(Entries(100)).refresh_after(Duration::ZERO).build()?;
    /// cache.insert(1, "stale at once");
    /// cache.get_or_insert_with(&1, || "fresh");
    /// assert_eq!(cache.stats().refreshes(), 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn refreshes(&self) -> u64 {
        self.loaded.refreshed
    }

    /// Values that loaders have brought and that were not stored, since their key was
    /// [written or removed](crate::Cache::get_or_insert_with) after the load had begun: their
    /// callers have them, and no listener hears of them. Those that were refused are not counted
    /// here: they are departures.
    ///
    /// Many of them say that writes and loads of one key race: work that is done twice.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// let loaded = cache.get_or_insert_with(&1, || {
    ///     cache.insert(1, "newer");
    ///     "older"
    /// });
    /// assert_eq!((loaded, cache.get(&1)), ("older", Some("newer")));
    /// assert_eq!(cache.stats().loads_unstored(), 1);
    /// ```
    pub fn loads_unstored(&self) -> u64 {
        self.loaded.unstored
    }

    /// Entries evicted that were never hit: room spent for nothing.
    ///
    /// ```
    /// let cache = brimful::Cache::new(1);
    /// cache.insert("a", 1);
    /// cache.insert("b", 2);
    /// assert_eq!(cache.stats().evicted_unhit(), 1);
    /// ```
    pub fn evicted_unhit(&self) -> u64 {
        self.evicted_unhit
    }

    /// Inserts of keys that were evicted a moment ago, as far as the policy
    /// remembers them: each is a miss that a larger cache would have spared.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// // A loop a little wider than the cache: what comes back has just been evicted.
    /// for key in (0..150).cycle().take(1_500) {
    ///     cache.insert(key, ());
    /// }
    /// assert!(cache.stats().ghost_hits() > 0);
    /// ```
    pub fn ghost_hits(&self) -> u64 {
        self.ghost_hits
    }

    /// How late the [expired](Cause::Expired) left, summed over them: the time
    /// between a deadline and the write or sweep that took the value out.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(65));
    /// cache.sweep(100);
    /// assert!(cache.stats().lateness() > Duration::from_secs(4));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lateness(&self) -> Duration {
        Duration::from_nanos(self.lateness.sum)
    }

    /// The largest lateness of any expired value.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::builder(Entries(100))
    ///     .time_to_live(Duration::from_secs(60))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// cache.insert("a", 1);
    /// clock.advance(Duration::from_secs(65));
    /// cache.sweep(100);
    /// assert!(cache.stats().most_late() > Duration::from_secs(4));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn most_late(&self) -> Duration {
        Duration::from_nanos(self.lateness.most)
    }

    /// The ages of values when they left, if the builder was told to
    /// [record ages](crate::Builder::record_ages).
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert!(cache.stats().ages().is_none());
    /// ```
    pub fn ages(&self) -> Option<&Ages> {
        self.ages.as_deref()
    }

    /// What came of each class, in the order in which the builder was told of
    /// [them](crate::Builder::classes), with their names. Empty without classes.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100))
    ///     .classes(["page", "image"], |url: &&str, _| usize::from(url.ends_with(".png")))
    ///     .build()?;
    /// cache.extend([("/", 1), ("/a.png", 2), ("/b.png", 3)]);
    /// let stats = cache.stats();
    /// let entries: Vec<_> = stats.classes().map(|(name, flow)| (name, flow.entries())).collect();
    /// assert_eq!(entries, [("page", 1), ("image", 2)]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn classes(&self) -> impl Iterator<Item = (&str, Flow)> {
        self.sources.iter().flat_map(|sources| sources.classes())
    }

    /// What came of the class of this name, if there is one.
    ///
    /// ```
    /// let cache = brimful::Cache::<u32, u32>::new(100);
    /// assert!(cache.stats().class("page").is_none());
    /// ```
    pub fn class(&self, name: &str) -> Option<Flow> {
        let mut classes = self.classes();
        classes
            .find(|&(known, _)| known == name)
            .map(|(_, flow)| flow)
    }

    /// What came from each line of code that stored something, the heaviest first: where the
    /// builder was told to [record](crate::Builder::record_callers) them. Of more than 65,535
    /// lines the last stands for all others.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).record_callers().build()?;
    /// cache.extend((0..10).map(|n| (n, n)));
    /// cache.insert(10, 10);
    /// let stats = cache.stats();
    /// let entries: Vec<_> = stats.callers().map(|(line, flow)| (line.file(), flow.entries())).collect();
    /// assert_eq!(entries, [(file!(), 10), (file!(), 1)]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn callers(&self) -> impl Iterator<Item = (&'static Location<'static>, Flow)> {
        let sources = self.sources.iter();
        sources.flat_map(|sources| sources.lines())
    }

    /// How many resident entries end with a [scope](crate::Scope).
    pub(crate) fn scoped(&self) -> u64 {
        self.sources.as_ref().map_or(0, |sources| sources.scoped)
    }

    /// The open [scopes](crate::Scope), where the cache has such: in the statistics of the whole cache,
    /// not of one shard.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).tracked().build()?;
    /// let scope = cache.scope();
    /// scope.insert("a", 1);
    /// std::mem::forget(scope);
    /// let scopes = cache.stats().scopes().unwrap();
    /// assert_eq!((scopes.open, scopes.entries), (1, 1));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn scopes(&self) -> Option<Scopes> {
        self.scopes
    }

    /// What was let go and is still held elsewhere: where the builder was told to keep
    /// [a list](crate::Builder::lingering). In the statistics of the whole cache.
    ///
    /// ```
    /// use brimful::{Cache, Entries, Held};
    ///
    /// let cache = Cache::builder(Entries(10)).lingering().build()?;
    /// cache.insert("a", Held::new(1));
    /// let kept = cache.get("a");
    /// cache.clear();
    /// assert_eq!(cache.stats().lingering().unwrap().values, 1);
    /// # drop(kept);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn lingering(&self) -> Option<Lingering> {
        self.lingering
    }

    /// Panics of the listener, and of what [`on_discard`](crate::Builder::on_discard) calls, each of which
    /// was also passed on to its caller unless that one was already unwinding.
    ///
    /// ```
    /// use brimful::{Cache, Cause, Entries};
    ///
    /// let cache = Cache::builder(Entries(100))
    ///     .listener(|_: &u32, _: &u32, _: Cause| panic!("a listener that panics"))
    ///     .build()?;
    /// cache.insert(1, 1);
    /// let removed = std::panic::catch_unwind(|| cache.remove(&1));
    /// assert!(removed.is_err());
    /// assert_eq!(cache.stats().listener_panics(), 1);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn listener_panics(&self) -> u64 {
        self.listener_panics
    }

    /// Adds look-ups that were counted by thread, not by shard.
    pub(crate) fn add_lookups(&mut self, hits: u64, misses: u64) {
        self.hits += hits;
        self.misses += misses;
    }

    /// Adds a shard's counts.
    pub(crate) fn add(&mut self, other: &Snapshot) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.loaded.add(&other.loaded);
        self.inserts += other.inserts;
        for (sum, more) in self.departures.iter_mut().zip(other.departures) {
            *sum += more;
        }
        self.weight_in = self.weight_in.wrapping_add(other.weight_in);
        self.weight_out = self.weight_out.wrapping_add(other.weight_out);
        self.evicted_unhit += other.evicted_unhit;
        self.ghost_hits += other.ghost_hits;
        self.len += other.len;
        self.lateness.add(other.lateness);
        if let Some(lives) = &other.ages {
            self.ages.get_or_insert_default().add(lives);
        }
        if let Some(sources) = &other.sources {
            self.sources.get_or_insert_default().add(sources);
        }
    }

    /// Every figure with its name and kind, in the order in which they are printed: for whoever
    /// exports them. Also those that are 0.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// let stats = cache.stats();
    /// let inserts = stats.figures().find(|figure| figure.name == "inserts").unwrap();
    /// assert_eq!((inserts.value, inserts.kind), (1, brimful::Kind::Counter));
    /// ```
    pub fn figures(&self) -> impl Iterator<Item = Figure> {
        use Kind::{Counter, Level, Maximum, Setting};
        let resident = [
            ("entries", Level, self.len),
            ("weight", Level, self.weight),
            ("capacity", Setting, self.capacity),
        ];
        let flow = [
            ("hits", Counter, self.hits),
            ("misses", Counter, self.misses),
            ("ghost hits", Counter, self.ghost_hits),
            ("inserts", Counter, self.inserts),
            ("weight in", Counter, self.weight_in),
            ("weight out", Counter, self.weight_out),
            ("evicted unhit", Counter, self.evicted_unhit),
            ("loads", Counter, self.loaded.ended),
            ("load nanoseconds", Counter, self.loaded.nanos),
            ("load failures", Counter, self.loaded.failed),
            ("load waits", Counter, self.loaded.waits),
            ("refreshes", Counter, self.loaded.refreshed),
            ("loads unstored", Counter, self.loaded.unstored),
            ("late nanoseconds", Counter, self.lateness.sum),
            ("most late", Maximum, self.lateness.most),
            ("listener panics", Counter, self.listener_panics),
        ];
        let scopes = self.scopes.unwrap_or_default();
        let scopes = [
            ("open scopes", Level, scopes.open),
            ("scoped entries", Level, scopes.entries),
        ];
        let lingering = self.lingering.unwrap_or_default();
        let lingering = [
            ("lingering values", Level, lingering.values),
            ("lingering weight", Level, lingering.weight),
        ];
        let left = Cause::ALL.map(|cause| (cause.name(), Counter, self.departures(cause)));
        let held = scopes.into_iter().chain(lingering);
        let all = resident.into_iter().chain(left).chain(flow).chain(held);
        all.map(|(name, kind, value)| Figure { name, kind, value })
    }

    /// The name that the [builder](crate::Builder::named) was told.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<u32, u32>::builder(Entries(100)).named("pages").build()?;
    /// assert_eq!(cache.stats().name(), Some("pages"));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The name, how full it is, and the hit ratio.
    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        let (used, capacity) = (Grouped(self.weight), Grouped(self.capacity));
        write!(f, "{used} of {capacity} {}", self.unit)?;
        if self.unit != "entries" {
            write!(f, " in {} entries", Grouped(self.len))?;
        }
        if self.capacity > 0 {
            let full = self.weight as f64 / self.capacity as f64;
            write!(f, " ({} full)", Percent(full))?;
        }
        match self.hit_ratio() {
            Some(ratio) => write!(f, ", hit ratio {}", Percent(ratio)),
            None => f.write_str(", no look-ups"),
        }
    }
}

/// The sum over caches: of what is counted and of what is there, capacities too. It has the
/// moment of the latest, and no name; so all should have the same clock.
///
/// ```
/// use brimful::{Cache, Snapshot};
///
/// let (pages, users) = (Cache::new(100), Cache::new(50));
/// pages.insert("/", 1);
/// users.insert(7, "ann");
/// let both: Snapshot = [pages.stats(), users.stats()].iter().sum();
/// assert_eq!((both.len(), both.capacity()), (2, 150));
/// ```
impl<'a> Sum<&'a Snapshot> for Snapshot {
    fn sum<I: Iterator<Item = &'a Snapshot>>(snapshots: I) -> Self {
        let mut sum = Snapshot::default();
        for snapshot in snapshots {
            sum.add(snapshot);
            sum.weight = sum.weight.saturating_add(snapshot.weight);
            sum.capacity = sum.capacity.saturating_add(snapshot.capacity);
            sum.listener_panics += snapshot.listener_panics;
            if let Some(more) = snapshot.scopes {
                let scopes = sum.scopes.get_or_insert_default();
                scopes.open += more.open;
                scopes.entries += more.entries;
                scopes.oldest = scopes.oldest.max(more.oldest);
            }
            if let Some(more) = snapshot.lingering {
                let lingering = sum.lingering.get_or_insert_default();
                lingering.values += more.values;
                lingering.weight = lingering.weight.saturating_add(more.weight);
                lingering.oldest = lingering.oldest.max(more.oldest);
            }
            sum.taken = sum.taken.max(snapshot.taken);
            sum.unit = match sum.unit {
                "" => snapshot.unit,
                unit if unit == snapshot.unit => unit,
                _ => "units",
            };
            sum.remembers |= snapshot.remembers;
            sum.goes_stale |= snapshot.goes_stale;
        }
        sum
    }
}

impl Sum for Snapshot {
    fn sum<I: Iterator<Item = Snapshot>>(snapshots: I) -> Self {
        let snapshots: Vec<Snapshot> = snapshots.collect();
        snapshots.iter().sum()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures().map(|figure| (figure.name, figure.value));
        f.debug_map().entries(figures).finish()
    }
}

impl fmt::Display for Snapshot {
    /// A line for the whole: name, how full, hit ratio. Then one line a figure; figures that are
    /// zero are left out, but for the entries. Then one a class, one a line of code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        writeln!(f)?;
        for Figure { name, value, .. } in self.figures() {
            if value > 0 || name == "entries" {
                writeln!(f, "{name:<17}{value:>15}")?;
            }
        }
        let classes = self.classes().map(|(name, flow)| (name.to_owned(), flow));
        let lines = self.callers().map(|(line, flow)| (line.to_string(), flow));
        for (of, flow) in classes.chain(lines) {
            let (entries, weight) = (Grouped(flow.entries()), Grouped(flow.weight()));
            writeln!(f, "{of}: {entries} entries, weight {weight}")?;
        }
        Ok(())
    }
}
