//! The sweep of one trace: its cells, the reference LRU in each of them, and then every cache in
//! each of them, side by side.

use brimful::BuildError;
use indicatif::ProgressBar;
use trace::Trace;
use workers::side_by_side;

use crate::bounds::{TINY, by_rule, nearest_share};
use crate::cell::{Cell, Doors, Measure, Outcome, Part, Score, Unit};
use crate::policies::{Contestant, Drive, Hashing, Ride, exact_cache, exact_unsync};
use crate::reference;
use crate::targets::Targets;

/// Tiny bounds tell something only where LRU hits so much, in percent.
const TINY_LRU: f64 = 5.0;

/// What all traces are swept with.
pub(crate) struct Sweep<'a> {
    pub policies: &'a [&'static Contestant],
    pub targets: &'a Targets,
    pub hashing: Hashing,
    pub progress: &'a ProgressBar,
}

impl Sweep<'_> {
    /// Drives every cache over every cell of the trace.
    pub(crate) fn over(&self, name: &str, trace: &Trace) -> Result<Vec<Outcome>, BuildError> {
        let cells = cells(name, trace, self.targets);
        let mut cells = self.with_reference(trace, cells);
        cells.retain(|(cell, score)| {
            cell.part != Part::Tiny || score.percent(Measure::Entries) >= TINY_LRU
        });
        let rides = self.rides(trace, &cells);
        self.progress.inc_length(rides.len() as u64);
        let scores = side_by_side(&rides, |(drive, ride)| {
            let score = drive(*ride);
            self.progress.inc(1);
            score
        });
        let scores: Vec<Score> = scores.into_iter().collect::<Result<_, _>>()?;
        Ok(self.outcomes(cells, &scores))
    }

    fn with_reference(&self, trace: &Trace, cells: Vec<Cell>) -> Vec<(Cell, Score)> {
        self.progress.inc_length(cells.len() as u64);
        let scores = side_by_side(&cells, |cell| {
            let requests = cell.requests(&trace.requests);
            let score = reference::drive(requests, trace.unique, cell.unit, cell.bound);
            self.progress.inc(1);
            score
        });
        cells.into_iter().zip(scores).collect()
    }

    /// In each cell first the exact LRUs, then the policies; of each both doors.
    fn rides<'t>(&self, trace: &'t Trace, cells: &[(Cell, Score)]) -> Vec<(Drive, Ride<'t>)> {
        let exact: [Drive; 2] = [exact_cache, exact_unsync];
        let policies = self.policies.iter().flat_map(|p| [p.cache, p.unsync]);
        let drives: Vec<Drive> = exact.into_iter().chain(policies).collect();
        let ride = |cell: &Cell| Ride {
            requests: cell.requests(&trace.requests),
            unit: cell.unit,
            bound: cell.bound,
            hashing: self.hashing,
        };
        let rides = cells.iter().map(|(cell, _)| ride(cell));
        rides
            .flat_map(|ride| drives.iter().map(move |&drive| (drive, ride)))
            .collect()
    }

    /// Joins each cell with its scores, which lie in the order of the rides.
    fn outcomes(&self, cells: Vec<(Cell, Score)>, scores: &[Score]) -> Vec<Outcome> {
        let in_cell = 2 * (1 + self.policies.len());
        let joined = cells.into_iter().zip(scores.chunks(in_cell));
        let outcome = |((cell, reference), scores): ((Cell, Score), &[Score])| {
            let mut doors = scores.chunks_exact(2).map(|pair| Doors {
                cache: pair[0],
                unsync: pair[1],
            });
            doors.next().map(|exact| Outcome {
                cell,
                reference,
                exact,
                runs: doors.collect(),
            })
        };
        joined.filter_map(outcome).collect()
    }
}

/// All cells of a trace: the bounds of the targets, or else by rule, whole and half; tiny bounds.
fn cells(name: &str, trace: &Trace, targets: &Targets) -> Vec<Cell> {
    let mut rows = Measure::ALL.iter().flat_map(|&m| targets.of(name, m));
    let real = rows.next().is_none_or(|row| row.real);
    let cell = |unit, part, bound| Cell {
        trace: name.to_string(),
        part,
        unit,
        bound,
        real,
        share: nearest_share(bound, all(trace, unit)),
    };
    let mut cells = Vec::new();
    for unit in units(trace) {
        for bound in bounds(name, trace, unit, targets) {
            cells.extend([Part::Whole, Part::Half].map(|part| cell(unit, part, bound)));
        }
    }
    if real {
        cells.extend(TINY.map(|bound| cell(Unit::Entries, Part::Tiny, bound)));
    }
    cells
}

fn units(trace: &Trace) -> Vec<Unit> {
    let sized = trace.sized.then_some(Unit::Bytes);
    [Unit::Entries].into_iter().chain(sized).collect()
}

fn all(trace: &Trace, unit: Unit) -> u64 {
    match unit {
        Unit::Entries => trace.unique,
        Unit::Bytes => trace.unique_size,
    }
}

fn bounds(name: &str, trace: &Trace, unit: Unit, targets: &Targets) -> Vec<u64> {
    let measure = match unit {
        Unit::Entries => Measure::Entries,
        Unit::Bytes => Measure::Bytes,
    };
    let named: Vec<u64> = targets.of(name, measure).map(|row| row.bound).collect();
    if named.is_empty() {
        by_rule(unit, trace.unique, trace.unique_size)
    } else {
        named
    }
}
