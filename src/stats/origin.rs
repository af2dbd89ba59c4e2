//! `Origin`: where an entry comes from, and what came from there.
//!
//! An entry of a [tracked](crate::Tracked) cache carries three numbers: of the class that the
//! user's function gives it, of the line of code that stored it, and of the scope that it ends
//! with. A shard counts by the first two what came and what went. Lines of code have
//! numbers of each shard's own, given under its lock, so that nothing is shared.
//!
//! Invariant: what is counted of a class, or of a line, is what its entries carry: `entries` and
//! `weight` of all classes add up to those of the shard.

use crate::cause::Cause;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::panic::Location;

/// What an entry carries of its origin; 0 where nothing is known.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Origin {
    /// The number of the scope that it ends with.
    pub(crate) scope: u32,
    /// The number of the line that stored it, from 1.
    pub(crate) line: u16,
    pub(crate) class: u8,
}

/// A line of code.
pub(crate) type Line = &'static Location<'static>;

/// What a loading call knows of where its value comes from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Caller {
    /// The number of the scope that the value ends with, or 0.
    pub(crate) scope: u32,
    /// The line of code, if that is recorded.
    pub(crate) line: Option<Line>,
}

/// What came of one class, or from one line of code, and what of that is still there: part of
/// a [`Snapshot`](crate::Snapshot).
///
/// ```
/// use brimful::{Cache, Cause, Entries};
///
/// let cache = Cache::builder(Entries(2))
///     .classes(["even", "odd"], |n: &u32, _| (n % 2) as usize)
///     .build()?;
/// cache.extend([(1, ()), (2, ()), (3, ())]);
/// let stats = cache.stats();
/// let odd = stats.class("odd").unwrap();
/// assert_eq!((odd.inserts(), odd.entries()), (2, 2 - odd.departures(Cause::Evicted)));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flow {
    inserts: u64,
    departures: [u64; Cause::ALL.len()],
    weight_in: u64,
    weight_out: u64,
}

impl Flow {
    /// How many of its entries are resident.
    pub fn entries(&self) -> u64 {
        let left: u64 = self.departures.iter().sum();
        self.inserts.saturating_sub(left)
    }

    /// What they weigh, in the cache's unit.
    pub fn weight(&self) -> u64 {
        self.weight_in.wrapping_sub(self.weight_out)
    }

    /// How many values were offered so far, those that were refused too.
    pub fn inserts(&self) -> u64 {
        self.inserts
    }

    /// How many have left for this cause.
    pub fn departures(&self, cause: Cause) -> u64 {
        self.departures[cause as usize]
    }

    fn entered(&mut self, weight: u64) {
        self.inserts += 1;
        self.weight_in = self.weight_in.wrapping_add(weight);
    }

    fn left(&mut self, weight: u64, cause: Cause) {
        self.departures[cause as usize] += 1;
        self.weight_out = self.weight_out.wrapping_add(weight);
    }

    fn all_left(&mut self, cause: Cause) {
        self.departures[cause as usize] += self.entries();
        self.weight_out = self.weight_in;
    }

    fn were(&mut self, entries: u64, from: Cause, to: Cause) {
        self.departures[from as usize] -= entries;
        self.departures[to as usize] += entries;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.inserts += other.inserts;
        for (sum, more) in self.departures.iter_mut().zip(other.departures) {
            *sum += more;
        }
        self.weight_in = self.weight_in.wrapping_add(other.weight_in);
        self.weight_out = self.weight_out.wrapping_add(other.weight_out);
    }
}

/// What a shard counts by origin.
#[derive(Default)]
pub(crate) struct Flows {
    classes: Vec<Flow>,
    /// By number less 1; the last one that a number has room for stands for all that came later.
    lines: Vec<(Line, Flow)>,
    /// The numbers of lines, by where their location lies in memory: one line may have several.
    numbers: BTreeMap<usize, u16>,
    /// Entries that end with a scope.
    scoped: u64,
}

impl Flows {
    /// The number of a line.
    pub(crate) fn line(&mut self, line: Line) -> u16 {
        let place = std::ptr::from_ref(line).addr();
        if let Some(&number) = self.numbers.get(&place) {
            return number;
        }
        let known = self.lines.iter().position(|&(known, _)| known == line);
        let number = match known {
            Some(index) => index + 1,
            None if self.lines.len() == usize::from(u16::MAX) => self.lines.len(),
            None => {
                self.lines.push((line, Flow::default()));
                self.lines.len()
            }
        };
        // At most as many as there are lines in the program, some of them several times.
        self.numbers.insert(place, number as u16);
        number as u16
    }

    /// The line that stored an entry of this origin, if that is known. The last one that has a
    /// number stands for all that came later.
    pub(crate) fn line_of(&self, origin: Origin) -> Option<Line> {
        let index = usize::from(origin.line).checked_sub(1)?;
        Some(self.lines.get(index)?.0)
    }

    /// The flows that an entry of this origin counts for.
    fn of(&mut self, origin: Origin) -> impl Iterator<Item = &mut Flow> {
        let class = usize::from(origin.class);
        if self.classes.len() <= class {
            self.classes.resize(class + 1, Flow::default());
        }
        let line = usize::from(origin.line).checked_sub(1);
        let line = line.and_then(|index| self.lines.get_mut(index));
        let class = self.classes.get_mut(class);
        class.into_iter().chain(line.map(|(_, flow)| flow))
    }

    pub(crate) fn entered(&mut self, origin: Origin, weight: u64) {
        self.of(origin).for_each(|flow| flow.entered(weight));
        self.scoped += u64::from(origin.scope != 0);
    }

    pub(crate) fn left(&mut self, origin: Origin, weight: u64, cause: Cause) {
        self.of(origin).for_each(|flow| flow.left(weight, cause));
        self.scoped -= u64::from(origin.scope != 0);
    }

    pub(crate) fn reweighed(&mut self, origin: Origin, before: u64, after: u64) {
        for flow in self.of(origin) {
            flow.weight_in = flow.weight_in.wrapping_add(after);
            flow.weight_out = flow.weight_out.wrapping_add(before);
        }
    }

    /// A value was never resident.
    pub(crate) fn refused(&mut self, origin: Origin, cause: Cause) {
        for flow in self.of(origin) {
            flow.inserts += 1;
            flow.departures[cause as usize] += 1;
        }
    }

    /// An entry ends with no scope any more.
    pub(crate) fn kept(&mut self) {
        self.scoped -= 1;
    }

    /// All that was there has left.
    pub(crate) fn all_left(&mut self, cause: Cause) {
        let lines = self.lines.iter_mut().map(|(_, flow)| flow);
        self.classes
            .iter_mut()
            .chain(lines)
            .for_each(|flow| flow.all_left(cause));
        self.scoped = 0;
    }

    /// Of what left for one cause so many had expired.
    pub(crate) fn were_expired(&mut self, expired: &BTreeMap<Origin, u64>, from: Cause) {
        for (&origin, &entries) in expired {
            let flows = self.of(origin);
            flows.for_each(|flow| flow.were(entries, from, Cause::Expired));
        }
    }

    pub(crate) fn snapshot(&self) -> Sources {
        Sources {
            names: None,
            classes: self.classes.clone(),
            lines: self.lines.clone(),
            scoped: self.scoped,
        }
    }

    /// Panics if these are not the counts of entries of these origins and weights.
    pub(crate) fn check(&self, entries: impl Iterator<Item = (Origin, u64)>) {
        let mut found = Flows {
            lines: self
                .lines
                .iter()
                .map(|&(line, _)| (line, Flow::default()))
                .collect(),
            ..Flows::default()
        };
        entries.for_each(|(origin, weight)| found.entered(origin, weight));
        let level = |flow: &Flow| (flow.entries(), flow.weight());
        let none = Flow::default();
        for class in 0..self.classes.len().max(found.classes.len()) {
            let of = |flows: &Flows| level(flows.classes.get(class).unwrap_or(&none));
            assert_eq!(of(self), of(&found), "entries and weight of class {class}");
        }
        for ((line, counted), (_, found)) in self.lines.iter().zip(&found.lines) {
            assert_eq!(
                level(counted),
                level(found),
                "entries and weight from {line}"
            );
        }
        assert_eq!(self.scoped, found.scoped, "entries that end with a scope");
    }
}

/// What a snapshot knows of origins.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Sources {
    /// Of the classes; without any there is one class, which nobody asked for.
    pub(crate) names: Option<Names>,
    classes: Vec<Flow>,
    lines: Vec<(Line, Flow)>,
    pub(crate) scoped: u64,
}

/// The names of classes.
pub(crate) type Names = Arc<[Box<str>]>;

impl Sources {
    pub(super) fn add(&mut self, other: &Self) {
        if self.classes.len() < other.classes.len() {
            self.classes.resize(other.classes.len(), Flow::default());
        }
        for (sum, more) in self.classes.iter_mut().zip(&other.classes) {
            sum.add(more);
        }
        for (line, more) in &other.lines {
            match self.lines.iter_mut().find(|(known, _)| known == line) {
                Some((_, sum)) => sum.add(more),
                None => self.lines.push((line, *more)),
            }
        }
        self.scoped += other.scoped;
    }

    pub(super) fn classes(&self) -> impl Iterator<Item = (&str, Flow)> {
        let flow = |class| self.classes.get(class).copied().unwrap_or_default();
        let names = self.names.iter().flat_map(|names| names.iter());
        names
            .enumerate()
            .map(move |(class, name)| (&**name, flow(class)))
    }

    pub(super) fn lines(&self) -> Vec<(Line, Flow)> {
        let mut lines = self.lines.clone();
        lines.sort_by_key(|&(line, flow)| (std::cmp::Reverse(flow.weight()), line));
        lines
    }
}

/// Says to which class an entry belongs.
type Classify<K, V> = Box<dyn Fn(&K, &V) -> usize + Send + Sync>;

/// How a cache finds out where its entries come from.
pub(crate) struct Tracks<K, V> {
    pub(crate) names: Option<Names>,
    classify: Option<Classify<K, V>>,
    pub(crate) lines: bool,
}

impl<K, V> Tracks<K, V> {
    pub(crate) fn nothing() -> Self {
        Self {
            names: None,
            classify: None,
            lines: false,
        }
    }

    pub(crate) fn classify(
        &mut self,
        names: impl IntoIterator<Item: Into<Box<str>>>,
        class: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
    ) {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self.classify = Some(Box::new(class));
    }

    /// The class of an entry. Calls the user's function: what it says beyond the last class is
    /// the last one.
    pub(crate) fn class(&self, key: &K, value: &V) -> u8 {
        let last = self.names.as_ref().map_or(0, |names| names.len() - 1);
        let class = self.classify.as_ref();
        class.map_or(0, |class| class(key, value).min(last) as u8)
    }

    /// This line, if lines are recorded.
    pub(crate) fn line(&self, line: Line) -> Option<Line> {
        self.lines.then_some(line)
    }
}
