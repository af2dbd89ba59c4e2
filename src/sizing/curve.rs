//! `Sizing`: hit ratio over capacity, to be read, asked and printed.

use std::fmt;

/// How wide a bar of all is.
const WIDTH: f64 = 40.0;

/// What a cache would have hit of late with a half, once, twice and four times its capacity: from
/// [`Cache::sizing`](crate::Cache::sizing).
///
/// ```
/// use brimful::{Cache, Entries};
///
/// // Twice as many keys as there is room for, in a loop that no order can serve.
/// let cache = Cache::builder(Entries(1_000)).policy::<brimful::policy::Lru>().sizing().build()?;
/// for n in 0..20_000 {
///     cache.get_or_insert_with(&(n % 2_000), || n);
/// }
/// let sizing = cache.sizing();
/// assert!(sizing.at(1) < Some(0.1) && sizing.at(2) > Some(0.8));
/// let enough = sizing.smallest_for(0.75).unwrap();
/// assert!((1_500..=2_000).contains(&enough));
/// assert_eq!(sizing.to_string().lines().count(), 6);
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sizing {
    /// Capacities with their hit ratios, the smallest first.
    pub(super) points: [(u64, f64); 4],
    pub(super) sampled: u64,
    pub(super) lost: u64,
    pub(super) one_in: u64,
    pub(super) stopped: bool,
    pub(super) unit: &'static str,
}

impl Sizing {
    /// Capacities, the smallest first, each with the part of look-ups that would have hit, from 0 to
    /// 1: a half, once, twice and four times the cache's. None as long as no look-up was sampled.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<u32, u32>::builder(Entries(100)).sizing().build()?;
    /// assert_eq!(cache.sizing().iter().count(), 0);
    /// cache.get(&1);
    /// let capacities: Vec<u64> = cache.sizing().iter().map(|(capacity, _)| capacity).collect();
    /// assert_eq!(capacities, [50, 100, 200, 400]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        let known = if self.sampled > 0 { 4 } else { 0 };
        self.points.iter().copied().take(known)
    }

    /// The part of look-ups that would have hit with so many times the capacity, 1, 2 or 4; for 1
    /// that is what the cache did hit. `None` for others, or if no look-up was sampled.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).sizing().build()?;
    /// cache.insert(1, "one");
    /// cache.get(&1);
    /// assert_eq!([cache.sizing().at(1), cache.sizing().at(3)], [Some(1.0), None]);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn at(&self, times: u64) -> Option<f64> {
        let index = [1, 2, 4].iter().position(|&known| known == times)?;
        self.iter().nth(1 + index).map(|(_, ratio)| ratio)
    }

    /// The least capacity, in the cache's unit, with which this part of look-ups would have hit: on
    /// straight lines between the known ones, and below the smallest on one from 0. `None` if four
    /// times the capacity is not enough, or no look-up was sampled.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::builder(Entries(100)).sizing().build()?;
    /// cache.extend((0..10).map(|n| (n, n)));
    /// (0..10).for_each(|n| drop(cache.get(&n)));
    /// assert_eq!(cache.sizing().smallest_for(0.8), Some(40));
    /// assert_eq!(cache.sizing().smallest_for(1.1), None);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn smallest_for(&self, hit_ratio: f64) -> Option<u64> {
        let mut below = (0, 0.0);
        for (capacity, ratio) in self.iter() {
            if ratio >= hit_ratio {
                let (from, least) = below;
                let part = ((hit_ratio - least) / (ratio - least)).clamp(0.0, 1.0);
                let part = if part.is_nan() { 0.0 } else { part };
                return Some(from + ((capacity - from) as f64 * part).ceil() as u64);
            }
            below = (capacity, ratio);
        }
        None
    }

    /// How many look-ups of sampled keys this rests on. After each 65,536 what was counted before
    /// counts half, so these are of the recent past.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<u32, u32>::builder(Entries(100)).sizing().build()?;
    /// (0..50).for_each(|n| drop(cache.get(&n)));
    /// assert_eq!(cache.sizing().sampled(), 50);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn sampled(&self) -> u64 {
        self.sampled
    }

    /// How many events of sampled keys, in the same time, were lost: look-ups, stores and removals
    /// for which there was no place, since another thread was at the miniatures.
    ///
    /// ```
    /// # let cache = brimful::Cache::<u32, u32>::builder(brimful::Entries(100)).sizing().build()?;
    /// assert_eq!(cache.sizing().lost(), 0);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Of how many keys one is sampled: 1 in caches of up to 2,048 entries, and in larger ones as many
    /// as leave 1,024 to 2,048 for the capacity.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    ///
    /// let cache = Cache::<u32, u32>::builder(Entries(100_000)).sizing().build()?;
    /// assert_eq!(cache.sizing().one_in(), 64);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn one_in(&self) -> u64 {
        self.one_in
    }

    /// Whether nothing is sampled any more, since the policy (one that is not this crate's)
    /// has panicked in a simulation. The cache goes on.
    ///
    /// ```
    /// # let cache = brimful::Cache::<u32, u32>::builder(brimful::Entries(100)).sizing().build()?;
    /// assert!(!cache.sizing().has_stopped());
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }
}

impl fmt::Display for Sizing {
    /// The curve, in six lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = if self.stopped { " (stopped)" } else { "" };
        writeln!(f, "hit ratio by capacity, in {}{stopped}", self.unit)?;
        let names = ["half", "now", "twice", "4 times"];
        for ((capacity, ratio), name) in self.points.iter().zip(names) {
            match self.sampled {
                0 => writeln!(f, "{name:>8} {capacity:>14}  nothing looked up yet")?,
                _ => {
                    let bar = "█".repeat((ratio * WIDTH).round() as usize);
                    writeln!(f, "{name:>8} {capacity:>14} {:>5.1} % {bar}", ratio * 100.0)?;
                }
            }
        }
        let Self {
            sampled,
            lost,
            one_in,
            ..
        } = self;
        write!(
            f,
            "from {sampled} look-ups of one key in {one_in}; {lost} events lost"
        )
    }
}
