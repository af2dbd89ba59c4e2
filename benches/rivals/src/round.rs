//! Rounds: in each of them every cache is driven once, in shuffled order, so that
//! whatever the machine is busy with falls on all alike. Ratios are taken within
//! a round; what is told is the median over the rounds.
//!
//! The others have emptied the processor's caches when the turn comes to one: it
//! runs for a while before it is timed.

use field::name::Name;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::time::Duration;

use crate::entrant::{Entrant, UNWEIGHTED};
use crate::row::{Cell, Row};

/// How long and how often.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub rounds: usize,
    /// Before a slice, untimed.
    pub lead_in: Duration,
    pub slice: Duration,
}

/// How fast one cache was, round by round.
struct Course<'a> {
    entrant: &'a Entrant,
    speeds: Vec<f64>,
}

/// Drives all of them; a row for each.
pub(crate) fn race(
    cell: Cell,
    entrants: &[Entrant],
    pace: Pace,
    rng: &mut StdRng,
    version: impl Fn(Name) -> String,
) -> Vec<Row> {
    let courses = drive(entrants, pace, rng);
    let quick = courses.iter().find(|c| c.entrant.name == Name::QuickCache);
    let map = best_map(&courses);
    let row = |course: &Course<'_>| Row {
        rounds: pace.rounds,
        ns_per_operation: Some(course.ns()),
        over_quick_cache: quick.map(|quick| course.over(quick)),
        over_best_map: map.map(|map| course.over(map)),
        best_map: map.map(|map| map.entrant.label.clone()),
        hit_ratio: course.entrant.contest.hit_ratio(),
        resident: Some(course.entrant.contest.resident()),
        ..Row::of(cell, &course.entrant.label, &version(course.entrant.name))
    };
    let rows = courses.iter().map(row).collect();
    say_weighing(&courses);
    rows
}

fn drive<'a>(entrants: &'a [Entrant], pace: Pace, rng: &mut StdRng) -> Vec<Course<'a>> {
    let course = |entrant| Course {
        entrant,
        speeds: Vec::new(),
    };
    let mut courses: Vec<_> = entrants.iter().map(course).collect();
    let mut order: Vec<usize> = (0..courses.len()).collect();
    for _ in 0..pace.rounds {
        order.shuffle(rng);
        for &nth in &order {
            let course = &mut courses[nth];
            course.speeds.push(course.entrant.contest.speed(pace));
        }
    }
    courses
}

/// Chosen by all rounds: the best of each would be a floor nobody stands on.
fn best_map<'c, 'e>(courses: &'c [Course<'e>]) -> Option<&'c Course<'e>> {
    let maps = courses.iter().filter(|c| !c.entrant.name.is_bounded());
    maps.min_by(|a, b| a.ns().total_cmp(&b.ns()))
}

impl Course<'_> {
    fn ns(&self) -> f64 {
        median(self.speeds.iter().map(|speed| 1.0 / speed).collect())
    }

    /// How many times as fast as the other.
    fn over(&self, other: &Self) -> f64 {
        let rounds = self.speeds.iter().zip(&other.speeds);
        median(rounds.map(|(a, b)| a / b).collect())
    }
}

fn say_weighing(courses: &[Course<'_>]) {
    let by_entries = courses.iter().find(|c| c.entrant.label == UNWEIGHTED);
    let by_weight = courses.iter().find(|c| c.entrant.name == Name::Brimful);
    if let (Some(by_entries), Some(by_weight)) = (by_entries, by_weight) {
        let over = by_weight.over(by_entries);
        println!("\nbrimful by weight is {over:.3} times as fast as brimful by entries");
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[middle],
        _ => (figures[middle - 1] + figures[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
