//! What is printed: for each policy its cells and how it stands over them, then all policies in
//! one table.

use comfy_table::{CellAlignment, Table, presets};
use report::grouped;

use crate::bounds::{SHARES, TINY};
use crate::cell::{Cell, Measure, Outcome, Part};
use crate::standing::{Field, Standing, place};
use crate::targets::{COLUMNS, LRU, Targets};

/// Everything that was measured, and what to hold it against.
pub(crate) struct Results<'a> {
    pub outcomes: &'a [Outcome],
    pub targets: &'a Targets,
    /// The policies' names, in the order of their runs.
    pub policies: &'a [&'static str],
}

type Figure<'a> = Box<dyn Fn(&Outcome) -> Option<f64> + 'a>;

impl<'a> Results<'a> {
    pub(crate) fn field(&self, part: Part, measure: Measure) -> Field<'a> {
        Field::new(self.outcomes, (part, measure, true), self.targets)
    }

    /// All that is said about one policy.
    pub(crate) fn about(&self, policy: usize) -> String {
        let mut text = format!("# {}\n", self.policies[policy]);
        for measure in Measure::ALL {
            text += &self.whole_traces(policy, measure);
        }
        for measure in Measure::ALL {
            let field = self.field(Part::Half, measure);
            let title = format!("cold halves, {}: means", measure.title());
            text += &section(&title, &field, |field| self.standings(policy, field));
        }
        text + &self.sharding_and_tiny(policy)
    }

    fn whole_traces(&self, policy: usize, measure: Measure) -> String {
        let title = measure.title();
        let real = self.field(Part::Whole, measure);
        let made_up = Field::new(self.outcomes, (Part::Whole, measure, false), self.targets);
        let cells = |field: &Field<'_>| self.cells(policy, field);
        [
            section(&format!("{title}, in %"), &real, cells),
            section(
                &format!("{title}: made-up traces, in no mean"),
                &made_up,
                cells,
            ),
            section(&format!("{title}: means"), &real, |field| {
                self.standings(policy, field)
            }),
        ]
        .concat()
    }

    /// A row for each cell.
    fn cells(&self, policy: usize, field: &Field<'_>) -> Table {
        let lines = self.lines(policy, field);
        let names = lines.iter().map(|(name, _)| name.as_str());
        let head = ["trace", "bound", "share"].into_iter().chain(names);
        let mut table = table(head.chain(["above LRU"]));
        for outcome in &field.outcomes {
            let Cell {
                trace,
                bound,
                share,
                ..
            } = &outcome.cell;
            let mut row = vec![
                trace.clone(),
                grouped(*bound),
                format!("{} %", SHARES[*share]),
            ];
            row.extend(lines.iter().map(|(_, figure)| shown(figure(outcome))));
            let ours = outcome.runs[policy].cache.percent(field.measure);
            row.push(format!("{:+.2}", ours - field.lru(outcome)));
            table.add_row(row);
        }
        table
    }

    /// A row for each line: its means, and how it stands against LRU and Belady.
    fn standings(&self, policy: usize, field: &Field<'_>) -> Table {
        let shares = SHARES.map(|share| format!("at {share} %"));
        let shares = shares.iter().map(String::as_str);
        let tail = ["LRU-to-Belady", "cells below LRU", "worst"];
        let mut table = table(["", "mean"].into_iter().chain(shares).chain(tail));
        for (name, figure) in self.lines(policy, field) {
            let standing = field.standing(figure);
            let mut row = vec![name, shown(standing.mean)];
            row.extend(standing.by_share.map(shown));
            row.extend([percent(standing.gap), below(&standing), worst(&standing)]);
            table.add_row(row);
        }
        table
    }

    /// What is held against each other: the policy by both doors, and what others score.
    fn lines<'f>(&self, policy: usize, field: &'f Field<'_>) -> Vec<(String, Figure<'f>)> {
        let measure = field.measure;
        let cache = move |outcome: &Outcome| outcome.runs[policy].cache.percent(measure);
        let unsync = move |outcome: &Outcome| outcome.runs[policy].unsync.percent(measure);
        let mut lines: Vec<(String, Figure<'f>)> = vec![
            ("brimful".to_string(), Box::new(move |o| Some(cache(o)))),
            ("one shard".to_string(), Box::new(move |o| Some(unsync(o)))),
        ];
        lines.extend(others(field));
        lines
    }

    fn sharding_and_tiny(&self, policy: usize) -> String {
        let mut text = String::new();
        for measure in Measure::ALL {
            let most = self.largest_sharding_loss(policy, measure);
            let most = most.map_or("-".to_string(), |(points, at)| {
                format!("{points:.2} ({at})")
            });
            let mean = shown(self.sharding_loss(policy, measure));
            let title = measure.title();
            text += &format!("Points lost by sharding, {title}: mean {mean}, most {most}\n");
        }
        let tiny = worst(&self.tiny(policy));
        text + &format!("Worst difference to LRU at {TINY:?} entries: {tiny}\n\n")
    }

    /// The mean of what one shard hits more than the shards by default.
    fn sharding_loss(&self, policy: usize, measure: Measure) -> Option<f64> {
        let field = self.field(Part::Whole, measure);
        field.mean(|outcome| Some(lost(outcome, policy, measure)))
    }

    fn largest_sharding_loss(&self, policy: usize, measure: Measure) -> Option<(f64, String)> {
        let field = self.field(Part::Whole, measure);
        let losses = field.outcomes.iter();
        losses
            .map(|outcome| (lost(outcome, policy, measure), place(&outcome.cell)))
            .max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn tiny(&self, policy: usize) -> Standing {
        let cache = |o: &Outcome| Some(o.runs[policy].cache.percent(Measure::Entries));
        self.field(Part::Tiny, Measure::Entries).standing(cache)
    }

    /// A line for each policy, and for each other that has figures.
    pub(crate) fn summary(&self) -> String {
        let mut table = table([
            "",
            "mean",
            "LRU-to-Belady",
            "below LRU",
            "worst",
            "cold mean",
            "cold below",
            "cold worst",
            "sharding loss",
            "tiny worst",
            "bytes by objects",
            "bytes by bytes",
        ]);
        let policies = 0..self.policies.len();
        table.add_rows(policies.map(|policy| self.summary_of_policy(policy)));
        let known = |column: &usize| *column == LRU || !self.targets.is_empty();
        let columns = (0..COLUMNS.len()).filter(known);
        table.add_rows(columns.map(|column| self.summary_of_column(column)));
        format!("# Summary\n\nMeans in %, differences to LRU in points.\n\n{table}\n")
    }

    fn summary_of_policy(&self, policy: usize) -> Vec<String> {
        let loss = shown(self.sharding_loss(policy, Measure::Entries));
        let tiny = worst(&self.tiny(policy));
        let stands = |part, measure| {
            let cache = |o: &Outcome| Some(o.runs[policy].cache.percent(measure));
            self.field(part, measure).standing(cache)
        };
        summary_row(self.policies[policy], stands, [loss, tiny])
    }

    fn summary_of_column(&self, column: usize) -> Vec<String> {
        let stands = |part, measure| {
            let field = self.field(part, measure);
            field.standing(|outcome| other(&field, outcome, column))
        };
        summary_row(
            &COLUMNS[column].replace('_', " "),
            stands,
            ["-", "-"].map(String::from),
        )
    }
}

fn summary_row(
    name: &str,
    stands: impl Fn(Part, Measure) -> Standing,
    [loss, tiny]: [String; 2],
) -> Vec<String> {
    let whole = stands(Part::Whole, Measure::Entries);
    let cold = stands(Part::Half, Measure::Entries);
    let bytes = |measure| shown(stands(Part::Whole, measure).mean);
    vec![
        name.to_string(),
        shown(whole.mean),
        percent(whole.gap),
        below(&whole),
        worst(&whole),
        shown(cold.mean),
        below(&cold),
        worst(&cold),
        loss,
        tiny,
        bytes(Measure::Bytes),
        bytes(Measure::BytesWeighted),
    ]
}

/// What others score in the cells of a field, as far as it is known.
fn others<'f>(field: &'f Field<'_>) -> Vec<(String, Figure<'f>)> {
    let known = |column: &usize| {
        *column == LRU
            || field
                .outcomes
                .iter()
                .any(|o| field.column(o, *column).is_some())
    };
    let columns = (0..COLUMNS.len()).filter(known);
    columns
        .map(|column| {
            let figure: Figure<'f> = Box::new(move |outcome| other(field, outcome, column));
            (COLUMNS[column].replace('_', " "), figure)
        })
        .collect()
}

/// A column in one cell, LRU being known everywhere.
fn other(field: &Field<'_>, outcome: &Outcome, column: usize) -> Option<f64> {
    if column == LRU {
        return Some(field.lru(outcome));
    }
    field.column(outcome, column)
}

fn lost(outcome: &Outcome, policy: usize, measure: Measure) -> f64 {
    let run = &outcome.runs[policy];
    run.unsync.percent(measure) - run.cache.percent(measure)
}

/// A title and a table; nothing where there are no cells.
fn section(title: &str, field: &Field<'_>, table: impl Fn(&Field<'_>) -> Table) -> String {
    if field.outcomes.is_empty() {
        return String::new();
    }
    format!("\n## {title}\n\n{}\n\n", table(field))
}

fn table<'t>(head: impl IntoIterator<Item = &'t str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head);
    let columns = table.column_iter_mut().skip(1);
    columns.for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("-".to_string(), |figure| format!("{figure:.2}"))
}

fn percent(figure: Option<f64>) -> String {
    figure.map_or("-".to_string(), |figure| format!("{figure:.1} %"))
}

fn below(standing: &Standing) -> String {
    standing
        .below
        .map_or("-".to_string(), |cells| cells.to_string())
}

fn worst(standing: &Standing) -> String {
    let worst = standing.worst.as_ref();
    worst.map_or("-".to_string(), |(points, place)| {
        format!("{points:+.2} ({place})")
    })
}
