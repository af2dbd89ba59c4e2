//! The drawings: small charts of what the last looks saw, as SVG.

use super::text::{Grouped, Seconds, Text, per_second, percent};
use crate::look::Seen;
use crate::past::Point;
use std::fmt::{self, Write};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// A value at a time, in seconds.
type At = (f64, f64);

/// One small chart: its lines share an axis from 0 to `top`.
pub(super) struct Chart {
    title: &'static str,
    top: f64,
    top_is: String,
    lines: Vec<Line>,
}

struct Line {
    /// What it is called, where there are several, and in which colour it is drawn.
    name: &'static str,
    colour: &'static str,
    /// Its last value, in words.
    now: String,
    values: Vec<At>,
}

/// From one point to the next: the time at its end, its seconds, and the two.
fn steps(points: &[Point]) -> impl Iterator<Item = (f64, f64, &Point, &Point)> {
    points.windows(2).map(|pair| {
        let (from, to) = (&pair[0], &pair[1]);
        let seconds = (to.at - from.at).as_secs_f64();
        (to.at.as_secs_f64(), seconds, from, to)
    })
}

impl Chart {
    pub(super) fn hit_ratio(seen: &Seen) -> Self {
        let ratio = |(at, _, from, to): (f64, f64, &Point, &Point)| {
            let (hits, misses) = (to.hits - from.hits, to.misses - from.misses);
            (hits + misses > 0).then(|| (at, hits as f64 / (hits + misses) as f64))
        };
        let values: Vec<At> = steps(&seen.compared.points).filter_map(ratio).collect();
        let now = values
            .last()
            .map_or("–".to_owned(), |&(_, ratio)| percent(ratio));
        let line = Line {
            name: "",
            colour: "a",
            now,
            values,
        };
        Self {
            title: "hit ratio",
            top: 1.0,
            top_is: percent(1.0),
            lines: vec![line],
        }
    }

    /// Inserts and evictions.
    pub(super) fn flow(seen: &Seen) -> Self {
        let line = |name, colour, count: fn(&Point) -> u64| {
            let flowed = |(at, seconds, from, to): (f64, f64, &Point, &Point)| {
                (at, (count(to) - count(from)) as f64 / seconds)
            };
            let values: Vec<At> = steps(&seen.compared.points).map(flowed).collect();
            let now = values
                .last()
                .map_or("–".to_owned(), |&(_, now)| per_second(now));
            Line {
                name,
                colour,
                now,
                values,
            }
        };
        let inserts = line("inserts/s", "a", |point| point.inserts);
        let evicted = line("evicted/s", "b", |point| point.evicted);
        let values = inserts.values.iter().chain(&evicted.values);
        let top = values.map(|&(_, value)| value).fold(1.0, f64::max);
        let lines = vec![inserts, evicted];
        Self {
            title: "in and out",
            top,
            top_is: format!("{}/s", per_second(top)),
            lines,
        }
    }

    /// The weight, beside the capacity.
    pub(super) fn fill(seen: &Seen) -> Self {
        let values = seen
            .compared
            .points
            .iter()
            .map(|point| (point.at.as_secs_f64(), point.weight as f64));
        let values: Vec<At> = values.collect();
        // A capacity that was lowered was higher before.
        let most = seen
            .compared
            .points
            .iter()
            .map(|point| point.weight)
            .max()
            .unwrap_or(0);
        let top = seen.now().capacity().max(most).max(1);
        let now = Grouped(seen.now().weight()).to_string();
        let line = Line {
            name: "",
            colour: "c",
            now,
            values,
        };
        Self {
            title: "weight",
            top: top as f64,
            top_is: Grouped(top).to_string(),
            lines: vec![line],
        }
    }

    pub(super) fn write(&self, page: &mut String) -> fmt::Result {
        let one = self.lines.len() == 1;
        let title = if one { self.title } else { "" };
        write!(page, "<figure><figcaption>{title}")?;
        for Line {
            name, colour, now, ..
        } in &self.lines
        {
            write!(page, " <b class=\"{colour}\">{name} {}</b>", Text(now))?;
        }
        writeln!(page, "</figcaption>")?;
        let times = self
            .lines
            .iter()
            .flat_map(|line| &line.values)
            .map(|&(at, _)| at);
        let (from, to) = times.fold((f64::MAX, 0.0), |(from, to), at| (at.min(from), at.max(to)));
        if to <= from {
            writeln!(page, "<p>not seen often enough yet</p></figure>")?;
            return Ok(());
        }
        write!(
            page,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\">"
        )?;
        writeln!(page, "<title>{}</title>", self.title)?;
        self.lines
            .iter()
            .try_for_each(|line| line.write(page, from, to, self.top))?;
        let (span, top) = (
            Seconds(std::time::Duration::from_secs_f64(to - from)),
            Text(&self.top_is),
        );
        writeln!(
            page,
            "</svg><small><span>{span} ago</span><span>top: {top}</span></small></figure>"
        )
    }
}

impl Line {
    /// An area and its upper edge.
    fn write(&self, page: &mut String, from: f64, to: f64, top: f64) -> fmt::Result {
        let mut edge = String::new();
        let x = |at: f64| (at - from) / (to - from) * WIDTH;
        for &(at, value) in &self.values {
            let y = HEIGHT - (value / top).clamp(0.0, 1.0) * (HEIGHT - 2.0) - 1.0;
            write!(edge, "{:.1},{y:.1} ", x(at))?;
        }
        let (Some(first), Some(last)) = (self.values.first(), self.values.last()) else {
            return Ok(());
        };
        let (colour, edge) = (self.colour, edge.trim_end());
        let (left, right) = (x(first.0), x(last.0));
        write!(
            page,
            "<polygon class=\"{colour}\" points=\"{left:.1},{HEIGHT} {edge} {right:.1},{HEIGHT}\"/>"
        )?;
        writeln!(page, "<polyline class=\"{colour}\" points=\"{edge}\"/>")
    }
}

/// A bar of which this part is full.
pub(super) fn bar(page: &mut String, part: f64) -> fmt::Result {
    let width = part.clamp(0.0, 1.0) * 100.0;
    write!(
        page,
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\">"
    )?;
    write!(
        page,
        "<title>{}</title><rect class=\"whole\" width=\"100\" height=\"8\"/>",
        percent(part)
    )?;
    write!(
        page,
        "<rect class=\"part\" width=\"{width:.1}\" height=\"8\"/></svg>"
    )
}
