//! What is kept of a run: all cells as CSV, and a picture of the means over the bounds.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use report::chart::{Axis, BLUE, Chart, RGBColor, Series, SeriesLabelPosition, VERMILION, plain};
use report::default_path;

use crate::bounds::SHARES;
use crate::cell::{Cell, Measure, Outcome, Part, Score};
use crate::standing::{Field, Standing};
use crate::tables::Results;
use crate::targets::{BELADY, BEST_LIBRARY};

/// Writes both into a folder in Cargo's target directory and says where they are.
pub(crate) fn write(results: &Results<'_>) -> Result<[PathBuf; 2], String> {
    let folder = default_path("hit_ratio");
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let [csv, svg] = ["cells.csv", "means.svg"].map(|name| folder.join(name));
    write_csv(results, &csv)?;
    picture(results).write_svg(&svg)?;
    Ok([csv, svg])
}

fn write_csv(results: &Results<'_>, path: &Path) -> Result<(), String> {
    let mut text = "mode,part,trace,bound,real,policy,door,hits,requests,ratio\n".to_string();
    for outcome in results.outcomes {
        for measure in Measure::ALL {
            if measure.unit() == outcome.cell.unit {
                add_rows(&mut text, outcome, measure, results.policies);
            }
        }
    }
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn add_rows(text: &mut String, outcome: &Outcome, measure: Measure, policies: &[&str]) {
    let cell = &outcome.cell;
    add_row(text, (cell, measure), "lru,reference", &outcome.reference);
    for (run, policy) in outcome.runs.iter().zip(policies) {
        for (door, score) in [("cache", &run.cache), ("unsync", &run.unsync)] {
            add_row(text, (cell, measure), &format!("{policy},{door}"), score);
        }
    }
}

fn add_row(text: &mut String, (cell, measure): (&Cell, Measure), who: &str, score: &Score) {
    let Cell {
        trace,
        bound,
        real,
        part,
        ..
    } = cell;
    let (mode, part, real) = (measure.name(), part.name(), u8::from(*real));
    let (requests, hits) = score.of(measure);
    let ratio = score.percent(measure) / 100.0;
    let _ = writeln!(
        text,
        "{mode},{part},{trace},{bound},{real},{who},{hits},{requests},{ratio:.6}"
    );
}

/// The mean at each share: of each policy, and of what limits it.
fn picture(results: &Results<'_>) -> Chart {
    let field = results.field(Part::Whole, Measure::Entries);
    let percent = |score: &Score| Some(score.percent(Measure::Entries));
    let mut lines: Vec<(&str, Standing)> = vec![
        ("LRU", field.standing(|outcome| Some(field.lru(outcome)))),
        ("best library", column(&field, BEST_LIBRARY)),
        ("Belady", column(&field, BELADY)),
    ];
    for (policy, name) in results.policies.iter().enumerate() {
        lines.push((
            name,
            field.standing(|outcome| percent(&outcome.runs[policy].cache)),
        ));
    }
    let colored = lines.into_iter().zip(COLORS.into_iter().cycle());
    Chart {
        title: "Mean hit ratio over the bound".to_string(),
        subtitle: format!("{} cells, bound in entries", field.outcomes.len()),
        x: share_axis(),
        y: Axis::from_zero("hit ratio in %", 100.0, plain),
        series: colored
            .filter_map(|((name, standing), color)| line(name, &standing, color))
            .collect(),
        dots: true,
        legend: SeriesLabelPosition::LowerRight,
    }
}

const COLORS: [RGBColor; 10] = [
    RGBColor(120, 120, 120),
    RGBColor(180, 180, 180),
    RGBColor(0, 0, 0),
    VERMILION,
    BLUE,
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
];

fn column(field: &Field<'_>, column: usize) -> Standing {
    field.standing(|outcome| field.column(outcome, column))
}

fn line(name: &str, standing: &Standing, color: RGBColor) -> Option<Series> {
    let means = SHARES.into_iter().zip(standing.by_share);
    let points: Vec<(f64, f64)> = means
        .filter_map(|(share, mean)| Some((share, mean?)))
        .collect();
    (!points.is_empty()).then(|| Series {
        name: name.to_string(),
        color,
        points,
    })
}

fn share_axis() -> Axis {
    Axis {
        label: "bound in % of all keys, logarithmic".to_string(),
        from: SHARES[0],
        to: SHARES[SHARES.len() - 1],
        ticks: SHARES.to_vec(),
        logarithmic: true,
        format: plain,
    }
}
