//! The check that what is measured is right: the crate's LRU in one shard equals the reference to
//! the request, and the reference equals what the simulator's LRU scored.

use crate::cell::{Cell, Doors, Measure, Outcome, Unit};
use crate::targets::{LRU, Targets};

/// A figure in `targets.csv` has two decimals; a difference above half of the last one is told.
const TOLD_ABOVE: f64 = 0.005_001;

/// So much difference is a fault.
const FAULT_ABOVE: f64 = 0.011;

/// What the check found.
pub(crate) struct Findings {
    /// For people.
    pub text: String,
    pub faults: usize,
}

/// Checks all cells.
pub(crate) fn check(outcomes: &[Outcome], targets: &Targets) -> Findings {
    let mut findings = Findings {
        text: String::new(),
        faults: 0,
    };
    findings.crate_against_reference(outcomes);
    if !targets.is_empty() {
        findings.reference_against_column(outcomes, targets);
    }
    findings
}

impl Findings {
    fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn crate_against_reference(&mut self, outcomes: &[Outcome]) {
        let doors = outcomes.iter().flat_map(|outcome| {
            let Doors { cache, unsync } = outcome.exact;
            [("Cache", cache), ("unsync::Cache", unsync)].map(|door| (outcome, door))
        });
        for (outcome, (door, score)) in doors.filter(|(o, (_, score))| *score != o.reference) {
            self.faults += 1;
            let (cell, hits, right) = (told(&outcome.cell), score.hits, outcome.reference.hits);
            self.say(&format!(
                "FAULT: {cell}: {door} hits {hits}, the reference {right}"
            ));
        }
        if self.faults == 0 {
            let cells = outcomes.len();
            self.say(&format!(
                "LRU in one shard of Cache and in unsync::Cache equals the reference LRU to the request in all {cells} cells."
            ));
        }
    }

    fn reference_against_column(&mut self, outcomes: &[Outcome], targets: &Targets) {
        let rows = rows_of(outcomes).filter_map(|(outcome, measure)| {
            let column = targets.figure(&outcome.cell, measure, LRU)?;
            Some((outcome, measure, column))
        });
        let rows: Vec<_> = rows.collect();
        let apart = |row: &&(&Outcome, Measure, f64)| {
            (row.0.reference.percent(row.1) - row.2).abs() > TOLD_ABOVE
        };
        let told = rows.iter().filter(apart);
        self.say(&format!(
            "The column LRU of the targets: {} rows, of which {} differ from the reference by more than rounding.",
            rows.len(),
            told.clone().count()
        ));
        told.for_each(|&(outcome, measure, column)| self.tell_row(outcome, measure, column));
    }

    fn tell_row(&mut self, outcome: &Outcome, measure: Measure, column: f64) {
        let ours = outcome.reference.percent(measure);
        let fault = (ours - column).abs() > FAULT_ABOVE;
        self.faults += usize::from(fault);
        let mark = if fault { "FAULT: " } else { "" };
        let (cell, measure) = (told(&outcome.cell), measure.name());
        self.say(&format!(
            "{mark}{cell}, {measure}: {ours:.4}, the column {column}"
        ));
    }
}

fn rows_of(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, Measure)> {
    outcomes.iter().flat_map(|outcome| {
        let measures = Measure::ALL.into_iter();
        let fitting = measures.filter(|measure| measure.unit() == outcome.cell.unit);
        fitting.map(move |measure| (outcome, measure))
    })
}

fn told(cell: &Cell) -> String {
    let unit = match cell.unit {
        Unit::Entries => "entries",
        Unit::Bytes => "bytes",
    };
    format!(
        "{} ({}) at {} {unit}",
        cell.trace,
        cell.part.name(),
        cell.bound
    )
}
