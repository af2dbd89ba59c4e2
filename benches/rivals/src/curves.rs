//! Lines: how many million operations a second all threads do together, over
//! their number; a panel for each workload, a line for each cache. Threads are on
//! a scale of powers of two, operations on one from zero, for each panel its own.
//! What was not measured has no point, and the line goes past it.
//!
//! Where there are more threads than cores the panel is shaded and says so: there
//! a line shows what it costs to be interrupted, and no longer what one more core
//! is good for.

use field::name::Name;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::path::Path;

use crate::canvas::{self, Area, Colored, Drawn, GRID, INK, text};
use crate::machine;
use crate::report::grouped;
use crate::row::{self, Row};

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const PANEL: u32 = 320;
const COLUMNS: usize = 2;
const SHADE: RGBColor = RGBColor(243, 243, 243);

/// Left of the fewest threads and right of the most, in powers of two.
const MARGIN: f64 = 0.15;

/// So many numbers of threads can be written below a panel.
const LABELS: f64 = 14.0;

/// Writes the picture, if there is anything in it.
pub(crate) fn write(rows: &[Row], path: &Path) -> Result<(), Box<dyn Error>> {
    let picture = Picture::of(rows, machine::cores());
    if picture.panels.is_empty() {
        return Ok(());
    }
    let title = "Million operations a second of all threads together, over threads";
    let height = PANEL * picture.panels.len().div_ceil(COLUMNS) as u32;
    canvas::write(path, title, &picture.caches, height, |area| {
        picture.draw(area)
    })
}

struct Picture<'a> {
    cores: usize,
    caches: Vec<Colored<'a>>,
    threads: Vec<usize>,
    panels: Vec<Panel>,
}

struct Panel {
    title: String,
    /// Brimful's last, above the others.
    lines: Vec<Line>,
}

struct Line {
    is_thick: bool,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

impl<'a> Picture<'a> {
    fn of(rows: &'a [Row], cores: usize) -> Self {
        let measured = || rows.iter().filter(|row| row.throughput().is_some());
        let caches = canvas::colored(measured());
        let workloads = rows.chunk_by(|a, b| a.workload == b.workload);
        let panels = workloads.map(|rows| Panel::of(rows, &caches));
        Self {
            cores,
            threads: row::threads(measured()),
            panels: panels.filter(|panel| !panel.lines.is_empty()).collect(),
            caches,
        }
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let rows = self.panels.len().div_ceil(COLUMNS);
        let areas = area.split_evenly((rows, COLUMNS));
        for (panel, area) in self.panels.iter().zip(areas) {
            self.draw_panel(panel, &area)?;
        }
        Ok(())
    }

    fn draw_panel(&self, panel: &Panel, area: &Area<'_>) -> Drawn {
        let (left, right) = self.ends();
        let top = panel.top();
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(&panel.title, text(16))
            .x_label_area_size(42)
            .y_label_area_size(52)
            .build_cartesian_2d(left..right, 0.0..top)?;
        if let Some(shade) = self.shade() {
            let corners = [(shade, 0.0), (right, top)];
            chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .y_label_style(text(14))
            .y_labels(6)
            .y_label_formatter(&|millions| shown(*millions, top))
            .draw()?;
        let zero = [(left, 0.0), (right, 0.0)];
        chart.draw_series([PathElement::new(zero, INK.stroke_width(1))])?;
        self.draw_labels(&mut chart)?;
        panel
            .lines
            .iter()
            .try_for_each(|line| line.draw(&mut chart))
    }

    /// Below the line of zero: numbers of threads, and what they are.
    fn draw_labels(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        let (left, right) = self.ends();
        let label = |x: f64, y: i32, side: HPos, said: String| {
            let style = text(14).pos(Pos::new(side, VPos::Top));
            EmptyElement::at((x, 0.0)) + Text::new(said, (0, y), style)
        };
        let number = |threads: usize| label(power(threads), 8, HPos::Center, threads.to_string());
        chart.draw_series(self.labelled().into_iter().map(number))?;
        chart.draw_series([label(left, 26, HPos::Left, "threads".to_string())])?;
        let starved = self.shade().map(|_| "starved of cores".to_string());
        chart.draw_series(starved.map(|said| label(right, 26, HPos::Right, said)))?;
        Ok(())
    }

    /// Where the panels begin and end.
    fn ends(&self) -> (f64, f64) {
        let (first, last) = (self.threads[0], self.threads[self.threads.len() - 1]);
        (power(first) - MARGIN, power(last) + MARGIN)
    }

    /// Where the shade begins, past as many threads as cores; none if it would be
    /// over no point.
    fn shade(&self) -> Option<f64> {
        let is_starved = self.threads.iter().any(|threads| *threads > self.cores);
        let (left, _) = self.ends();
        is_starved.then(|| (self.cores as f64 + 0.5).log2().max(left))
    }

    /// Those with room for their label, from the left.
    fn labelled(&self) -> Vec<usize> {
        let (left, right) = self.ends();
        let room = (right - left) / LABELS;
        let mut labelled: Vec<usize> = Vec::new();
        for &threads in &self.threads {
            let last = labelled.last();
            if last.is_none_or(|last| power(threads) - power(*last) >= room) {
                labelled.push(threads);
            }
        }
        labelled
    }
}

impl Panel {
    fn of(rows: &[Row], caches: &[Colored<'_>]) -> Self {
        let entries = grouped(rows[0].entries as u64);
        let line = |&(cache, color): &Colored<'_>| Line::of(rows, cache, color);
        let mut lines: Vec<Line> = caches.iter().filter_map(line).collect();
        lines.sort_by_key(|line| line.is_thick);
        Self {
            title: format!("{}: {entries} entries", rows[0].workload),
            lines,
        }
    }

    /// A little above all points.
    fn top(&self) -> f64 {
        let points = self.lines.iter().flat_map(|line| &line.points);
        1.05 * points.fold(0.0, |most: f64, (_, millions)| most.max(*millions))
    }
}

impl Line {
    /// None for a cache without any point.
    fn of(rows: &[Row], cache: &str, color: RGBColor) -> Option<Self> {
        let rows = rows.iter().filter(|row| row.cache == cache);
        let point = |row: &Row| Some((power(row.threads), row.throughput()?));
        let points: Vec<(f64, f64)> = rows.filter_map(point).collect();
        (!points.is_empty()).then(|| Self {
            is_thick: cache == Name::Brimful.to_string(),
            color,
            points,
        })
    }

    fn draw(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        let width = if self.is_thick { 4 } else { 2 };
        let style = self.color.stroke_width(width);
        chart.draw_series([PathElement::new(self.points.clone(), style)])?;
        let point = |&at: &(f64, f64)| Circle::new(at, width + 1, self.color.filled());
        chart.draw_series(self.points.iter().map(point))?;
        Ok(())
    }
}

fn power(threads: usize) -> f64 {
    (threads as f64).log2()
}

/// With as many digits as tell the labels below `top` apart.
fn shown(millions: f64, top: f64) -> String {
    let digits = match top {
        small if small < 1.0 => 2,
        middle if middle < 5.0 => 1,
        _ => 0,
    };
    format!("{millions:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::{MARGIN, Picture};
    use crate::row::Row;

    fn row(workload: &str, cache: &str, threads: usize, ns: Option<f64>) -> Row {
        Row {
            workload: workload.to_string(),
            cache: cache.to_string(),
            threads,
            ns_per_operation: ns,
            ..Row::default()
        }
    }

    #[test]
    fn what_was_not_measured_has_no_point_no_line_and_no_panel() {
        let rows = [
            row("mixed", "brimful", 1, Some(10.0)),
            row("mixed", "moka", 1, Some(20.0)),
            row("mixed", "brimful", 2, Some(f64::INFINITY)),
            row("mixed", "moka", 2, None),
            row("mixed", "brimful", 4, Some(5.0)),
            row("hot_key", "brimful", 1, None),
            row("hit_zipf", "moka", 1, Some(4.0)),
        ];
        let picture = Picture::of(&rows, 2);
        assert_eq!(picture.panels.len(), 2);
        let lines = picture.panels[0].lines.iter();
        let points: Vec<_> = lines.map(|line| &line.points[..]).collect();
        assert_eq!(points, [&[(0.0, 50.0)][..], &[(0.0, 100.0), (2.0, 200.0)]]);
        assert_eq!(picture.panels[1].lines.len(), 1);
        assert_eq!(picture.shade(), Some(2.5_f64.log2()));
    }

    #[test]
    fn one_number_of_threads_is_a_picture_as_well() {
        let rows = [row("mixed", "brimful", 4, Some(10.0))];
        let starved = Picture::of(&rows, 2);
        assert_eq!(starved.ends(), (2.0 - MARGIN, 2.0 + MARGIN));
        assert_eq!(starved.shade(), Some(2.0 - MARGIN));
        assert_eq!(Picture::of(&rows, 4).shade(), None);
    }

    #[test]
    fn labels_have_room() {
        let rows = (1..=16).map(|threads| row("mixed", "brimful", threads, Some(10.0)));
        let rows: Vec<Row> = rows.collect();
        let labelled = Picture::of(&rows, 16).labelled();
        assert_eq!(labelled, [1, 2, 3, 4, 5, 7, 9, 12, 15]);
    }
}
