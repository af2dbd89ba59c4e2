//! `Past`: what is remembered of a cache. Two things: points to draw, and a snapshot of about a
//! minute ago to compare with.
//!
//! Invariants
//! 1. There are `MOST` points at most, each a second or more after the one before.
//! 2. What a window compares with is older than a minute, or as old as the window.
//! 3. A cache is looked at under the lock of its past, so that what is compared with was
//!    taken before.

use brimful::{Cause, Growth, Snapshot, Survey};
use std::collections::VecDeque;
use std::time::Duration;

/// How many points are kept.
pub(crate) const MOST: usize = 120;

/// How far they are apart at least.
const APART: Duration = Duration::from_secs(1);

/// How old what a window compares with becomes, at least.
const MINUTE: Duration = Duration::from_secs(60);

/// What is drawn of one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Point {
    /// By the registry's clock.
    pub(crate) at: Duration,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) inserts: u64,
    pub(crate) evicted: u64,
    pub(crate) weight: u64,
}

impl Point {
    fn of(at: Duration, snapshot: &Snapshot) -> Self {
        Self {
            at,
            hits: snapshot.hits(),
            misses: snapshot.misses(),
            inserts: snapshot.inserts(),
            evicted: snapshot.departures(Cause::Evicted),
            weight: snapshot.weight(),
        }
    }
}

/// Something of a minute or two ago, and something later that takes its place in time.
pub(crate) struct Window<T> {
    base: (Duration, T),
    next: (Duration, T),
}

impl<T: Clone> Window<T> {
    fn open(at: Duration, now: T) -> Self {
        Self {
            base: (at, now.clone()),
            next: (at, now),
        }
    }

    /// What to compare with, and how long ago that was.
    pub(crate) fn before(&mut self, at: Duration, now: impl FnOnce() -> T) -> (Duration, T) {
        if at.saturating_sub(self.next.0) >= MINUTE {
            self.base = std::mem::replace(&mut self.next, (at, now()));
        }
        (at.saturating_sub(self.base.0), self.base.1.clone())
    }
}

/// What is seen of a cache, beside what was.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Since some moment.
    pub(crate) growth: Growth,
    /// How long ago that was.
    pub(crate) between: Duration,
    /// The oldest first.
    pub(crate) points: Vec<Point>,
}

pub(crate) struct Past {
    points: VecDeque<Point>,
    snapshots: Window<Snapshot>,
    /// Of a cache that was given classes.
    pub(crate) surveys: Option<Window<Survey<String>>>,
}

impl Past {
    pub(crate) fn begin(at: Duration, snapshot: Snapshot, survey: Option<Survey<String>>) -> Self {
        Self {
            points: VecDeque::from([Point::of(at, &snapshot)]),
            snapshots: Window::open(at, snapshot),
            surveys: survey.map(|survey| Window::open(at, survey)),
        }
    }

    /// Remembers what is seen now, and compares it with what was a minute or two ago.
    pub(crate) fn see(&mut self, at: Duration, now: &Snapshot) -> Compared {
        self.note(at, now);
        let (between, before) = self.snapshots.before(at, || now.clone());
        Compared {
            growth: now - &before,
            between,
            points: self.points.iter().copied().collect(),
        }
    }

    /// Adds a point, unless the last one is too near, or later: a clock may go back.
    fn note(&mut self, at: Duration, snapshot: &Snapshot) {
        let last = self.points.back().map_or(Duration::ZERO, |last| last.at);
        if at < last + APART {
            return;
        }
        if self.points.len() == MOST {
            self.points.pop_front();
        }
        self.points.push_back(Point::of(at, snapshot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful::Cache;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_ring_keeps_the_last_points_each_a_second_after_the_other() {
        let stats = Cache::<u32, u32>::new(10).stats();
        let mut past = Past::begin(seconds(0), stats.clone(), None);
        past.note(Duration::from_millis(999), &stats);
        assert_eq!(past.points.len(), 1);
        (1..=300).for_each(|at| past.note(seconds(at), &stats));
        past.note(seconds(7), &stats);
        let points = past.points;
        assert_eq!(points.len(), MOST);
        assert_eq!(
            (points[0].at, points[MOST - 1].at),
            (seconds(181), seconds(300))
        );
    }

    #[test]
    fn what_is_compared_with_is_a_minute_to_two_old() {
        let mut window = Window::open(seconds(0), 0);
        let ages: Vec<_> = (1..=600)
            .map(|at| window.before(seconds(at), || at))
            .collect();
        let young = ages.iter().take(60).map(|&(age, _)| age);
        assert!(young.eq((1..=60).map(seconds)));
        for (at, &(age, from)) in (1..).zip(&ages).skip(60) {
            assert!(age >= seconds(60) && age < seconds(120), "at {at}: {age:?}");
            assert_eq!(seconds(at - from), age);
        }
    }

    #[test]
    fn whoever_looks_seldom_compares_with_the_last_look() {
        let mut window = Window::open(seconds(0), 0);
        for hour in 1..10 {
            let (age, from) = window.before(seconds(hour * 3_600), || hour);
            assert_eq!((age, from), (seconds(3_600), hour - 1));
        }
    }

    #[test]
    fn points_take_some_7_kib() {
        assert!(size_of::<Point>() * MOST <= 7 << 10);
    }
}
