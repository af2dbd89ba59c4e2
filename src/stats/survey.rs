//! `Survey`: what is in a cache, by classes that the caller thinks up; `Grown`: what has changed
//! between two of them.
//!
//! Invariant: the portions of a survey, and those that were folded into `others`, add up to what the
//! walk met.

use super::figure::{Grouped, Signed};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Sub;
use std::time::Duration;

/// What is in a cache, by class: made by [`Cache::survey`](crate::Cache::survey).
///
/// Two of them, taken apart, show what grew, as two heap profiles do:
///
/// ```
/// let cache = brimful::Cache::new(1_000);
/// cache.extend((0..10).map(|n| (format!("user:{n}"), n)));
/// let kind = |key: &String, _: &u32| key.split(':').next().map(str::to_owned);
/// let before = cache.survey(|key, value| kind(key, value).unwrap_or_default());
///
/// cache.extend((0..500).map(|n| (format!("request:{n}"), n)));
/// cache.remove("user:7");
/// let after = cache.survey(|key, value| kind(key, value).unwrap_or_default());
/// let grown = &after - &before;
/// assert_eq!(grown.iter().next().unwrap(), (&"request".to_string(), 500, 500));
/// println!("{grown}");
/// ```
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct Survey<C> {
    classes: BTreeMap<C, Portion>,
    others: Portion,
    taken: u64,
}

/// The entries of one class in a [`Survey`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Portion {
    /// How many there are.
    pub entries: u64,
    /// What they weigh, in the cache's unit.
    pub weight: u64,
    /// How many of them were never hit.
    pub unhit: u64,
    /// The age of the oldest value, where entries are [`Aged`](crate::Aged).
    pub oldest: Option<Duration>,
}

impl Portion {
    pub(crate) fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.weight = self.weight.saturating_add(other.weight);
        self.unhit += other.unhit;
        self.oldest = self.oldest.max(other.oldest);
    }
}

impl<C: Ord> Survey<C> {
    pub(crate) fn new(taken: u64) -> Self {
        Self {
            classes: BTreeMap::new(),
            others: Portion::default(),
            taken,
        }
    }

    pub(crate) fn add(&mut self, class: C, portion: Portion) {
        self.classes.entry(class).or_default().add(portion);
    }

    /// The portion of one class: of none, if there is no entry of it.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([(1, "a"), (2, "b"), (4, "c")]);
    /// let survey = cache.survey(|n, _| n % 2);
    /// assert_eq!((survey.of(&0).entries, survey.of(&7).entries), (2, 0));
    /// ```
    pub fn of(&self, class: &C) -> Portion {
        self.classes.get(class).copied().unwrap_or_default()
    }

    /// All classes with their portions, the heaviest first; without those that
    /// [`top`](Survey::top) has folded together.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([(1, "a"), (2, "b"), (4, "c")]);
    /// let survey = cache.survey(|n, _| n % 2);
    /// let entries: Vec<_> = survey.iter().map(|(class, portion)| (*class, portion.entries)).collect();
    /// assert_eq!(entries, [(0, 2), (1, 1)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&C, Portion)> {
        let mut classes: Vec<_> = self
            .classes
            .iter()
            .map(|(class, &portion)| (class, portion))
            .collect();
        classes.sort_by_key(|(_, portion)| std::cmp::Reverse((portion.weight, portion.entries)));
        classes.into_iter()
    }

    /// Of all classes together.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend([(1, "a"), (2, "b"), (4, "c")]);
    /// assert_eq!(cache.survey(|n, _| n % 2).total().entries, 3);
    /// ```
    pub fn total(&self) -> Portion {
        let mut total = self.others;
        self.classes
            .values()
            .for_each(|&portion| total.add(portion));
        total
    }

    /// Keeps the heaviest classes, so many of them, and folds the others together: for a survey
    /// that is kept, by a class of which there may be as many as there are entries.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.extend((0..100).map(|n| (n, n)));
    /// let survey = cache.survey(|n, _| *n).top(10);
    /// assert_eq!((survey.iter().count(), survey.total().entries), (10, 100));
    /// ```
    pub fn top(mut self, most: usize) -> Self {
        let mut portions: Vec<_> = self.classes.into_iter().collect();
        portions.sort_by_key(|(_, portion)| std::cmp::Reverse((portion.weight, portion.entries)));
        let folded = portions.split_off(most.min(portions.len()));
        folded
            .iter()
            .for_each(|&(_, portion)| self.others.add(portion));
        self.classes = portions.into_iter().collect();
        self
    }
}

impl<C: Ord + fmt::Display> fmt::Display for Survey<C> {
    /// A line a class, the heaviest first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>15}{:>12}{:>12}  class",
            "weight", "entries", "never hit"
        )?;
        let mut line = |portion: Portion, class: &dyn fmt::Display| {
            let Portion {
                entries,
                weight,
                unhit,
                ..
            } = portion;
            let (weight, entries, unhit) = (Grouped(weight), Grouped(entries), Grouped(unhit));
            write!(f, "{weight:>15}{entries:>12}{unhit:>12}  {class}")?;
            match portion.oldest {
                Some(age) => writeln!(f, ", oldest {age:.1?}"),
                None => writeln!(f),
            }
        };
        self.iter()
            .try_for_each(|(class, portion)| line(portion, class))?;
        if self.others != Portion::default() {
            line(self.others, &"(others)")?;
        }
        line(self.total(), &"in all")
    }
}

/// What has changed between two surveys: prints as the difference of two heap profiles does, with
/// what grew most first.
#[derive(Clone, PartialEq, Debug)]
#[must_use]
pub struct Grown<C> {
    /// By how much weight and how many entries, largest first.
    classes: Vec<(C, i128, i128)>,
    others: (i128, i128),
    between: Duration,
}

impl<C> Grown<C> {
    /// Each class with the entries and the weight by which it grew (less than zero if it shrank):
    /// what grew most by weight first. Classes that have not changed are left out.
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// cache.insert(1, "a");
    /// let before = cache.survey(|n, _| *n);
    /// cache.remove(&1);
    /// let grown = &cache.survey(|n, _| *n) - &before;
    /// assert_eq!(grown.iter().collect::<Vec<_>>(), [(&1, -1, -1)]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&C, i128, i128)> {
        let classes = self.classes.iter();
        classes.map(|(class, weight, entries)| (class, *entries, *weight))
    }

    /// The time between the two surveys, by the cache's clock.
    pub fn between(&self) -> Duration {
        self.between
    }
}

impl<C: Ord + Clone> Sub for &Survey<C> {
    type Output = Grown<C>;

    fn sub(self, earlier: &Survey<C>) -> Grown<C> {
        let change = |after: Portion, before: Portion| {
            let difference = |after, before| i128::from(after) - i128::from(before);
            let weight = difference(after.weight, before.weight);
            (weight, difference(after.entries, before.entries))
        };
        let gone = earlier
            .classes
            .keys()
            .filter(|class| !self.classes.contains_key(class));
        let all = self.classes.keys().chain(gone);
        let changes = all.map(|class| {
            let (weight, entries) = change(self.of(class), earlier.of(class));
            (class.clone(), weight, entries)
        });
        let mut classes: Vec<_> = changes
            .filter(|change| (change.1, change.2) != (0, 0))
            .collect();
        classes.sort_by_key(|&(_, weight, entries)| std::cmp::Reverse((weight, entries)));
        Grown {
            classes,
            others: change(self.others, earlier.others),
            between: Duration::from_nanos(self.taken.saturating_sub(earlier.taken)),
        }
    }
}

impl<C: fmt::Display> fmt::Display for Grown<C> {
    /// A line a class, what grew most first, with its rate if time has passed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.between.as_secs_f64();
        let rates = self.between > Duration::ZERO;
        write!(f, "{:>15}{:>12}", "weight", "entries")?;
        if rates {
            write!(f, "{:>15}", "weight/s")?;
        }
        writeln!(f, "  class, in {:.1?}", self.between)?;
        let mut line = |weight: i128, entries: i128, class: &dyn fmt::Display| {
            write!(f, "{:>15}{:>12}", Signed(weight), Signed(entries))?;
            if rates {
                write!(f, "{:>+15.1}", weight as f64 / seconds)?;
            }
            writeln!(f, "  {class}")
        };
        let (mut weights, mut entries) = self.others;
        for (class, weight, count) in &self.classes {
            line(*weight, *count, class)?;
            (weights, entries) = (weights + weight, entries + count);
        }
        if self.others != (0, 0) {
            line(self.others.0, self.others.1, &"(others)")?;
        }
        line(weights, entries, &"in all")
    }
}
