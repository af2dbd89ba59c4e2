//! The findings: what to say, the table, and the picture.

use comfy_table::{CellAlignment, Table, presets};
use report::chart::{Axis, BLUE, Chart, RGBColor, Series, SeriesLabelPosition, VERMILION, plain};
use report::grouped;
use trace::Trace;

use crate::race::{Heat, Runner, Score};

/// What no cache can beat, and how many shards these had.
pub(crate) fn limits(trace: &Trace, results: &[(Heat, Score)]) -> String {
    let requests = trace.requests.len() as f64;
    let most = percent((requests - trace.unique as f64) / requests);
    let shards = results
        .iter()
        .map(|(_, score)| score.shards)
        .max()
        .unwrap_or(1);
    format!("A cache with room for all would hit {most}. Shards of each cache: {shards}.")
}

/// A row for each capacity, in it a line for each policy.
pub(crate) fn table(results: &[(Heat, Score)], trace: &Trace, weighed: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let (all, of_all) = if weighed {
        (trace.unique_size, "of all sizes")
    } else {
        (trace.unique, "of all keys")
    };
    let by_size = if weighed { &["by size"][..] } else { &[] };
    let header = [
        &["capacity", of_all, "policy", "hit ratio"],
        by_size,
        &["hits", "evictions", "of them never hit"],
    ];
    table.set_header(header.concat());
    for group in results.chunk_by(|(a, _), (b, _)| a.capacity == b.capacity) {
        let capacity = group[0].0.capacity;
        let hits = || group.iter().map(|(_, score)| score.hits);
        let best = hits().max().filter(|&best| Some(best) > hits().min());
        let lines = |text: &dyn Fn(&Heat, &Score) -> String| {
            let lines: Vec<String> = group
                .iter()
                .map(|(heat, score)| text(heat, score))
                .collect();
            lines.join("\n")
        };
        let star = |score: &Score| if Some(score.hits) == best { " *" } else { "  " };
        let mut row = vec![
            grouped(capacity),
            percent(capacity as f64 / all.max(1) as f64),
        ];
        row.push(lines(&|heat, _| heat.runner.name().to_string()));
        row.push(lines(&|_, score| percent(score.ratio) + star(score)));
        if weighed {
            row.push(lines(&|_, score| percent(score.ratio_by_size)));
        }
        row.push(lines(&|_, score| grouped(score.hits)));
        row.push(lines(&|_, score| grouped(score.evictions)));
        row.push(lines(&|_, score| grouped(score.never_hit)));
        table.add_row(row);
    }
    table
        .column_iter_mut()
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// The curve of each policy over the capacities.
pub(crate) fn picture(summary: String, results: &[(Heat, Score)], weighed: bool) -> Chart {
    let capacities: Vec<u64> = results.iter().map(|(heat, _)| heat.capacity).collect();
    let best = results
        .iter()
        .map(|(_, score)| score.ratio * 100.0)
        .fold(0.0, f64::max);
    let mut policies: Vec<Runner> = results.iter().map(|(heat, _)| heat.runner).collect();
    policies.truncate(
        capacities
            .iter()
            .take_while(|&&c| c == capacities[0])
            .count(),
    );
    let line = |runner: Runner| Series {
        name: runner.name().to_string(),
        color: color(runner),
        points: results
            .iter()
            .filter(|(heat, _)| heat.runner == runner)
            .map(|(heat, score)| (heat.capacity as f64, score.ratio * 100.0))
            .collect(),
    };
    Chart {
        title: "Hit ratio over capacity".to_string(),
        subtitle: summary,
        x: capacity_axis(capacities, weighed),
        y: Axis::from_zero("hit ratio in %", best, plain),
        series: policies.into_iter().map(line).collect(),
        dots: true,
        legend: SeriesLabelPosition::LowerRight,
    }
}

/// A logarithmic axis with a tick at each capacity, less those that would lie on one another.
fn capacity_axis(mut capacities: Vec<u64>, weighed: bool) -> Axis {
    capacities.dedup();
    let least = capacities.first().map_or(1.0, |&c| c as f64);
    let most = capacities.last().map_or(1.0, |&c| c as f64);
    let (from, to) = if least < most {
        (least, most)
    } else {
        (least / 2.0, most * 2.0)
    };
    let apart = (to / from).powf(0.1);
    let mut ticks: Vec<f64> = Vec::new();
    for capacity in capacities.into_iter().rev().map(|c| c as f64) {
        if ticks.last().is_none_or(|&above| above / capacity >= apart) {
            ticks.push(capacity);
        }
    }
    Axis {
        label: format!(
            "capacity in {}, logarithmic",
            if weighed { "units of size" } else { "entries" }
        ),
        from,
        to,
        ticks,
        logarithmic: true,
        format: |value| grouped(value as u64),
    }
}

fn color(runner: Runner) -> RGBColor {
    match runner {
        Runner::Duel => VERMILION,
        Runner::Lru => BLUE,
        Runner::Fifo => RGBColor(130, 130, 130),
        Runner::Sieve => RGBColor(0, 158, 115),
        Runner::S3Fifo => RGBColor(86, 180, 233),
        Runner::Lfu => RGBColor(230, 159, 0),
        Runner::Gdsf => RGBColor(204, 121, 167),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_the_picture_keep_apart() {
        let axis = capacity_axis(vec![1, 10, 99, 100], false);
        assert_eq!(axis.ticks, [100.0, 10.0, 1.0]);
        let one = capacity_axis(vec![8, 8], true);
        assert_eq!((one.from, one.to, one.ticks), (4.0, 16.0, vec![8.0]));
    }
}
