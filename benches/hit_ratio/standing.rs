//! How a policy stands over many cells: its mean, the share of the way from LRU to Belady's
//! optimum, and where it is below LRU.

use crate::bounds::SHARES;
use crate::cell::{Cell, Measure, Outcome, Part};
use crate::targets::{BELADY, LRU, Targets};

/// A cell counts as below LRU when it is by more than so many points.
const BELOW: f64 = 1.0;

/// Cells of one part and measure, all of real traces, or all of made-up ones.
pub(crate) struct Field<'a> {
    pub outcomes: Vec<&'a Outcome>,
    pub measure: Measure,
    pub targets: &'a Targets,
}

/// Figures over the cells of a field, in percent or points. One is missing where a cell lacks it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub mean: Option<f64>,
    pub by_share: [Option<f64>; SHARES.len()],
    /// Of the way from the mean of LRU to the mean of Belady.
    pub gap: Option<f64>,
    /// Cells more than a point below LRU.
    pub below: Option<usize>,
    /// The least difference to LRU, and where it is.
    pub worst: Option<(f64, String)>,
}

impl<'a> Field<'a> {
    pub(crate) fn new(
        all: &'a [Outcome],
        (part, measure, real): (Part, Measure, bool),
        targets: &'a Targets,
    ) -> Self {
        let fits =
            |cell: &Cell| cell.part == part && cell.unit == measure.unit() && cell.real == real;
        Self {
            outcomes: all.iter().filter(|outcome| fits(&outcome.cell)).collect(),
            measure,
            targets,
        }
    }

    /// A column of the targets in one cell.
    pub(crate) fn column(&self, outcome: &Outcome, column: usize) -> Option<f64> {
        self.targets.figure(&outcome.cell, self.measure, column)
    }

    /// LRU in one cell: the targets' figure, or else the reference's.
    pub(crate) fn lru(&self, outcome: &Outcome) -> f64 {
        let reference = || outcome.reference.percent(self.measure);
        self.column(outcome, LRU).unwrap_or_else(reference)
    }

    pub(crate) fn mean(&self, figure: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        mean(self.outcomes.iter().map(|outcome| figure(outcome)))
    }

    /// How a figure of each cell stands.
    pub(crate) fn standing(&self, figure: impl Fn(&Outcome) -> Option<f64>) -> Standing {
        let mean = self.mean(&figure);
        let differences = self.differences(&figure);
        let worst = |all: &Vec<(f64, &Cell)>| {
            let worst = all.iter().min_by(|a, b| a.0.total_cmp(&b.0));
            worst.map(|&(difference, cell)| (difference, place(cell)))
        };
        Standing {
            mean,
            by_share: std::array::from_fn(|share| self.mean_at(share, &figure)),
            gap: mean.and_then(|mean| self.gap(mean)),
            below: differences
                .as_ref()
                .map(|all| all.iter().filter(|(points, _)| *points < -BELOW).count()),
            worst: differences.as_ref().and_then(worst),
        }
    }

    fn mean_at(&self, share: usize, figure: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        let here = |outcome: &&&Outcome| outcome.cell.share == share;
        mean(
            self.outcomes
                .iter()
                .filter(here)
                .map(|outcome| figure(outcome)),
        )
    }

    fn gap(&self, mean: f64) -> Option<f64> {
        let lru = self.mean(|outcome| Some(self.lru(outcome)))?;
        let belady = self.mean(|outcome| self.column(outcome, BELADY))?;
        Some((mean - lru) / (belady - lru) * 100.0)
    }

    /// The points above LRU in each cell.
    fn differences(
        &self,
        figure: impl Fn(&Outcome) -> Option<f64>,
    ) -> Option<Vec<(f64, &'a Cell)>> {
        let cells = self.outcomes.iter();
        cells
            .map(|outcome| Some((figure(outcome)? - self.lru(outcome), &outcome.cell)))
            .collect()
    }
}

/// A cell in a few words.
pub(crate) fn place(cell: &Cell) -> String {
    format!("{} {}", cell.trace, cell.bound)
}

/// Of nothing there is no mean, and none where one is missing.
fn mean(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let figures: Vec<f64> = figures.collect::<Option<_>>()?;
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}
