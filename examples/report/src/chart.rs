//! A line chart as an SVG file: one or more series over a linear or logarithmic axis. Drawn by
//! `plotters` without any font on this machine; whoever shows the file brings the font.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

pub use plotters::chart::SeriesLabelPosition;
pub use plotters::style::RGBColor;

const SIZE: (u32, u32) = (960, 560);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(45, 45, 45);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito).
pub const VERMILION: RGBColor = RGBColor(213, 94, 0);
/// See [`VERMILION`].
pub const BLUE: RGBColor = RGBColor(0, 114, 178);

/// Of the same set.
pub const GREEN: RGBColor = RGBColor(0, 158, 115);

/// Of the same set.
pub const ORANGE: RGBColor = RGBColor(230, 159, 0);

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name.
    pub label: String,
    /// The value at its start.
    pub from: f64,
    /// The value at its end.
    pub to: f64,
    /// The values that have ticks.
    pub ticks: Vec<f64>,
    /// Whether equal lengths are equal factors.
    pub logarithmic: bool,
    /// How a tick reads.
    pub format: fn(f64) -> String,
}

impl Axis {
    /// A linear axis from 0 to a little beyond `max`, with ticks at round figures.
    pub fn from_zero(label: &str, max: f64, format: fn(f64) -> String) -> Self {
        let ticks = round_ticks(max, 8);
        let to = ticks.last().copied().unwrap_or(1.0);
        Self {
            label: label.to_string(),
            from: 0.0,
            to,
            ticks,
            logarithmic: false,
            format,
        }
    }

    /// How far along the axis a value lies: 0 at its start, 1 at its end.
    fn share(&self, value: f64) -> f64 {
        let place = |value: f64| {
            if self.logarithmic {
                value.log10()
            } else {
                value
            }
        };
        let length = place(self.to) - place(self.from);
        (place(value) - place(self.from)) / length
    }
}

/// With this `plotters` draws over the axis.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.share(*value) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // All ticks are bold ones.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.format)(*value)
    }
}

/// One line of the chart.
#[derive(Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub color: RGBColor,
    /// Its points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// The whole picture.
#[derive(Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Under which conditions.
    pub subtitle: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// The lines, the first drawn first.
    pub series: Vec<Series>,
    /// Whether each point gets a dot: good for few points, bad for many.
    pub dots: bool,
    /// The corner that the lines leave free.
    pub legend: SeriesLabelPosition,
}

impl Chart {
    /// Writes the picture to `path`.
    pub fn write_svg(&self, path: &Path) -> Result<(), String> {
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
            .map_err(|e| format!("cannot draw {}: {e}", path.display()))?;
        fs::write(path, svg).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    fn draw(
        &self,
        area: DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<io::Error>> {
        area.fill(&WHITE)?;
        let area = area.margin(10, 0, 0, 0);
        let area = area.titled(&self.title, (FONT, 24).into_font().color(&INK))?;
        let area = area.titled(&self.subtitle, (FONT, 15).into_font().color(&INK))?;
        let mut context = ChartBuilder::on(&area)
            .margin(14)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(84)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        context
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style((FONT, 14).into_font().color(&INK))
            .axis_desc_style((FONT, 16).into_font().color(&INK))
            .x_desc(self.x.label.as_str())
            .y_desc(self.y.label.as_str())
            .draw()?;
        for series in &self.series {
            let style = series.color.stroke_width(3);
            context
                .draw_series(LineSeries::new(series.points.iter().copied(), style))?
                .label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
            if self.dots {
                let dot = |&point| Circle::new(point, 4, series.color.filled());
                context.draw_series(series.points.iter().map(dot))?;
            }
        }
        context
            .configure_series_labels()
            .position(self.legend.clone())
            .legend_area_size(34)
            .margin(14)
            .label_font((FONT, 15).into_font().color(&INK))
            .background_style(WHITE.mix(0.9))
            .border_style(GRID)
            .draw()?;
        area.present()
    }
}

/// A tick at a round figure, without the dust of binary fractions.
pub fn plain(value: f64) -> String {
    format!("{}", (value * 1e9).round() / 1e9)
}

/// Ticks from 0 to at least `max`, a power of ten times 1, 2, 2.5 or 5 apart, at most `most` steps.
pub fn round_ticks(max: f64, most: u32) -> Vec<f64> {
    if !(max.is_finite() && max > 0.0) {
        return vec![0.0, 1.0];
    }
    let decade = 10_f64.powf((max / f64::from(most)).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * decade);
    let fits = |step: &&f64| (max / **step).ceil() <= f64::from(most);
    let step = *steps.iter().find(fits).unwrap_or(&steps[4]);
    let count = (max / step).ceil() as u32;
    (0..=count).map(|i| f64::from(i) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_maximum() {
        assert_eq!(
            round_ticks(78.0, 8),
            (0..=8).map(|i| f64::from(i) * 10.0).collect::<Vec<_>>()
        );
        assert_eq!(
            round_ticks(0.8, 8)
                .iter()
                .map(|&t| plain(t))
                .nth(3)
                .unwrap(),
            "0.3"
        );
        assert_eq!(round_ticks(0.0, 8), [0.0, 1.0]);
        assert_eq!(round_ticks(f64::NAN, 8), [0.0, 1.0]);
        for max in [0.003, 0.9, 1.0, 3.3, 99.9, 450.0, 1e9] {
            let ticks = round_ticks(max, 8);
            let last = ticks[ticks.len() - 1];
            assert!(
                ticks.len() <= 9 && last >= max && last <= max * 2.0,
                "{max}: {ticks:?}"
            );
        }
    }
}
