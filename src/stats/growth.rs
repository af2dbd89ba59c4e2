//! `Growth`: what changed between two snapshots.

use super::Snapshot;
use super::figure::{Figure, Grouped, Kind, Percent};
use crate::cause::Cause;
use std::fmt;
use std::ops::Sub;
use std::time::Duration;

/// What changed between two snapshots: prints like the difference of two heap
/// profiles, with what is resident first.
///
/// ```
/// let cache = brimful::Cache::new(100);
/// cache.insert("a", 1);
/// let before = cache.stats();
/// cache.extend([("b", 2), ("c", 3)]);
/// cache.set_capacity(brimful::Entries(200));
///
/// let growth = &cache.stats() - &before;
/// let printed = growth.to_string();
/// assert!(printed.contains("entries                       +2   (1 -> 3)"));
/// assert!(printed.contains("capacity                     200   (before: 100)"));
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct Growth {
    before: Snapshot,
    after: Snapshot,
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> u64 {
            self.after.$name().wrapping_sub(self.before.$name())
        }
    )*};
}

impl Growth {
    /// The earlier snapshot.
    pub fn before(&self) -> &Snapshot {
        &self.before
    }

    /// The later snapshot.
    pub fn after(&self) -> &Snapshot {
        &self.after
    }

    /// The time between the two, by the cache's clock; zero if one of them has no moment, as
    /// that of a shard.
    ///
    /// ```
    /// use brimful::{Cache, Entries, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = Cache::<u32, u32>::builder(Entries(100)).clock(clock.clone()).build()?;
    /// let before = cache.stats();
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!((&cache.stats() - &before).between(), Duration::from_secs(60));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn between(&self) -> Duration {
        match (self.before.taken, self.after.taken) {
            (Some(before), Some(after)) => Duration::from_nanos(after.saturating_sub(before)),
            _ => Duration::ZERO,
        }
    }

    /// By how many entries the cache grew; less than zero if it shrank.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// let before = cache.stats();
    /// cache.clear();
    /// assert_eq!((&cache.stats() - &before).entries(), -1);
    /// ```
    pub fn entries(&self) -> i128 {
        i128::from(self.after.len) - i128::from(self.before.len)
    }

    /// By how much weight the cache grew; less than zero if it shrank.
    ///
    /// ```
    /// let cache = brimful::Cache::weighted(100, |_: &u32, text: &&str| text.len() as u64);
    /// let before = cache.stats();
    /// cache.insert(1, "seventeen letters");
    /// assert_eq!((&cache.stats() - &before).weight(), 17);
    /// ```
    pub fn weight(&self) -> i128 {
        i128::from(self.after.weight) - i128::from(self.before.weight)
    }

    /// Hits over look-ups between the two, or `None` if there was no look-up.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert("a", 1);
    /// cache.get("z");
    /// let before = cache.stats();
    /// cache.get("a");
    /// assert_eq!((&cache.stats() - &before).hit_ratio(), Some(1.0));
    /// ```
    pub fn hit_ratio(&self) -> Option<f64> {
        let hits = self.after.hits.saturating_sub(self.before.hits);
        let lookups = hits + self.after.misses.saturating_sub(self.before.misses);
        (lookups > 0).then(|| hits as f64 / lookups as f64)
    }

    /// How many left for this cause between the two.
    ///
    /// ```
    /// use brimful::{Cache, Cause};
    ///
    /// let cache = Cache::new(2);
    /// let before = cache.stats();
    /// cache.extend((0..5).map(|n| (n, n)));
    /// assert_eq!((&cache.stats() - &before).departures(Cause::Evicted), 3);
    /// ```
    pub fn departures(&self, cause: Cause) -> u64 {
        let (after, before) = (self.after.departures(cause), self.before.departures(cause));
        after.wrapping_sub(before)
    }

    counted! {
        /// [Hits](Snapshot::hits) between the two.
        hits,
        /// [Misses](Snapshot::misses) between the two.
        misses,
        /// [Inserts](Snapshot::inserts) between the two.
        inserts,
        /// [Weight](Snapshot::weight_in) that came in between the two.
        weight_in,
        /// [Weight](Snapshot::weight_out) that went out between the two.
        weight_out,
        /// [Entries](Snapshot::evicted_unhit) evicted between the two that were never hit.
        evicted_unhit,
        /// [Keys](Snapshot::ghost_hits) that came back between the two soon after they were evicted.
        ghost_hits,
        /// [Loads](Snapshot::loads) that ended between the two.
        loads,
        /// [Loads](Snapshot::load_failures) that failed between the two.
        load_failures,
        /// [Calls](Snapshot::load_waits) that waited for another's load between the two.
        load_waits,
        /// [Refreshes](Snapshot::refreshes) between the two.
        refreshes,
        /// [Loads](Snapshot::loads_unstored) whose value was not stored, between the two.
        loads_unstored,
        /// [Panics](Snapshot::listener_panics) of the listener between the two.
        listener_panics
    }

    /// Every figure of both snapshots: before and after.
    ///
    /// ```
    /// let cache = brimful::Cache::new(2);
    /// let before = cache.stats();
    /// cache.insert("a", 1);
    /// let growth = &cache.stats() - &before;
    /// let changed = growth.figures().filter(|(before, after)| before.value != after.value);
    /// let names: Vec<_> = changed.map(|(figure, _)| figure.name).collect();
    /// assert_eq!(names, ["entries", "weight", "inserts", "weight in"]);
    /// ```
    pub fn figures(&self) -> impl Iterator<Item = (Figure, Figure)> {
        self.before.figures().zip(self.after.figures())
    }
}

impl Sub for &Snapshot {
    type Output = Growth;

    fn sub(self, earlier: &Snapshot) -> Growth {
        Growth {
            before: earlier.clone(),
            after: self.clone(),
        }
    }
}

impl fmt::Display for Growth {
    /// A line for the whole, then one line a figure that changed, and always the entries; with
    /// rates, if time has passed. Of what was set, and of the largest of something, the later figure is
    /// printed: a difference would say nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.after.headline(f)?;
        let between = self.between();
        if let Some(ratio) = self.hit_ratio() {
            write!(f, "; in {between:.1?} {}", Percent(ratio))?;
        }
        writeln!(f)?;
        for (before, after) in self.figures() {
            let (name, before, after, kind) = (after.name, before.value, after.value, after.kind);
            if before == after && name != "entries" {
                continue;
            }
            match kind {
                Kind::Level => {
                    let grown = i128::from(after) - i128::from(before);
                    writeln!(f, "{name:<17}{grown:>+15}   ({before} -> {after})")?;
                }
                Kind::Counter => {
                    let counted = after.wrapping_sub(before) as i64;
                    write!(f, "{name:<17}{counted:>+15}   ({before} -> {after})")?;
                    if between > Duration::ZERO {
                        let rate = counted as f64 / between.as_secs_f64();
                        write!(f, "   {rate:.1}/s")?;
                    }
                    writeln!(f)?;
                }
                Kind::Maximum if after < before => {}
                Kind::Setting | Kind::Maximum => {
                    writeln!(f, "{name:<17}{after:>15}   (before: {before})")?;
                }
            }
        }
        for (name, flow) in self.after.classes() {
            let before = self.before.class(name).unwrap_or_default();
            let grown = i128::from(flow.entries()) - i128::from(before.entries());
            let (was, is) = (Grouped(before.weight()), Grouped(flow.weight()));
            writeln!(f, "class {name:<11}{grown:>+15}   (weight {was} -> {is})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(most: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.lateness.note(most);
        snapshot
    }

    #[test]
    fn a_difference_says_something_of_each_figure_or_leaves_it_out() {
        let grown = (&late(7) - &late(3)).to_string();
        assert!(grown.contains("most late                      7   (before: 3)"));
        assert!(grown.contains("late nanoseconds              +4   (3 -> 7)"));
        let shrunk = (&late(3) - &late(7)).to_string();
        assert!(!shrunk.contains("most late"), "{shrunk}");
    }

    #[test]
    fn counters_that_wrapped_have_a_small_difference() {
        let (mut before, mut after) = (Snapshot::default(), Snapshot::default());
        before.weight_in = u64::MAX;
        after.weight_in = 9;
        let grown = (&after - &before).to_string();
        assert!(
            grown.contains("weight in                    +10"),
            "{grown}"
        );
    }
}
