//! Bars: how many times as fast as quick_cache each cache is in the main
//! workloads. A panel for each number of threads, a group for each workload. On a
//! scale of powers of two, up from its line if faster and down if slower: caches
//! are sixteen times as fast and a sixtieth as fast, and both can be read.
//! Drawn without any font on this machine; whoever shows the file brings it.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use crate::row::{Cell, Row};
use field::name::Name;

const WIDTH: u32 = 960;
const PANEL: u32 = 330;
const HEAD: u32 = 84;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(45, 45, 45);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// What is drawn of what was measured, and how it is called there.
const GROUPS: [(&str, &str); 7] = [
    ("hit_uniform", "hit uniform"),
    ("hit_zipf", "hit zipf"),
    ("miss", "miss"),
    ("get_or_insert_099", "get or insert"),
    ("mixed", "3 get, 1 insert"),
    ("insert_evict", "insert, evict"),
    ("weighted", "by weight"),
];

/// Of the workloads over several sizes, this one.
const ENTRIES: usize = 100_000;

/// Powers of two beyond which a bar ends.
const SLOWEST: f64 = -6.0;
const FASTEST: f64 = 5.0;

/// Fewer panels are easier to read: the fewest and the most threads.
const PANELS: usize = 2;

type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Whether these cells, run with these caches, give a picture.
pub(crate) fn has_bars(cells: &[Cell], names: &[Name]) -> bool {
    let is_drawn = |cell: &Cell| is_drawn(&cell.workload.to_string(), cell.entries);
    names.contains(&Name::QuickCache) && cells.iter().any(is_drawn)
}

fn is_drawn(workload: &str, entries: usize) -> bool {
    let group = GROUPS.iter().any(|(drawn, _)| *drawn == workload);
    group && entries == ENTRIES
}

/// Writes the picture, if there is anything in it.
pub(crate) fn write(rows: &[Row], path: &Path) -> Result<(), Box<dyn Error>> {
    let picture = Picture::of(rows);
    if picture.panels.is_empty() {
        return Ok(());
    }
    let mut svg = String::new();
    let size = (WIDTH, HEAD + PANEL * picture.panels.len() as u32);
    picture.draw(SVGBackend::with_string(&mut svg, size).into_drawing_area())?;
    fs::write(path, svg).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(())
}

struct Picture<'a> {
    caches: Vec<&'a str>,
    panels: Vec<Panel<'a>>,
}

struct Panel<'a> {
    threads: usize,
    rows: Vec<&'a Row>,
}

impl<'a> Picture<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let is_main =
            |row: &&Row| is_drawn(&row.workload, row.entries) && row.over_quick_cache.is_some();
        let rows: Vec<&Row> = rows.iter().filter(is_main).collect();
        let panel = |threads| Panel {
            threads,
            rows: rows
                .iter()
                .copied()
                .filter(|row| row.threads == threads)
                .collect(),
        };
        let mut threads: Vec<usize> = rows.iter().map(|row| row.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        if threads.len() > PANELS {
            threads = vec![threads[0], threads[threads.len() - 1]];
        }
        let mut caches: Vec<&str> = Vec::new();
        for row in &rows {
            let is_line = row.cache == Name::QuickCache.to_string();
            if !is_line && !caches.contains(&row.cache.as_str()) {
                caches.push(&row.cache);
            }
        }
        Self {
            caches,
            panels: threads.into_iter().map(panel).collect(),
        }
    }

    fn draw(&self, area: Area<'_>) -> Drawn {
        area.fill(&WHITE)?;
        let (head, body) = area.split_vertically(HEAD);
        let title = "Times as fast as quick_cache (the line at 1)";
        head.draw(&Text::new(title, (20, 10), text(22)))?;
        self.draw_legend(&head)?;
        for (panel, area) in self
            .panels
            .iter()
            .zip(body.split_evenly((self.panels.len(), 1)))
        {
            self.draw_panel(panel, &area)?;
        }
        area.present()
    }

    /// Two lines of names, each with its colour before it.
    fn draw_legend(&self, area: &Area<'_>) -> Drawn {
        let columns = self.caches.len().div_ceil(2).max(1);
        let step = (WIDTH as i32 - 40) / columns as i32;
        for (nth, name) in self.caches.iter().enumerate() {
            let x = 20 + (nth % columns) as i32 * step;
            let y = 44 + (nth / columns) as i32 * 19;
            area.draw(&Rectangle::new(
                [(x, y), (x + 12, y + 12)],
                color(nth).filled(),
            ))?;
            area.draw(&Text::new(name.to_string(), (x + 18, y), text(14)))?;
        }
        Ok(())
    }

    fn draw_panel(&self, panel: &Panel<'_>, area: &Area<'_>) -> Drawn {
        let powers = panel.rows.iter().filter_map(|row| power(row));
        let (least, most) = powers.fold((-1.0, 1.0), |(least, most): (f64, f64), power| {
            (least.min(power), most.max(power))
        });
        let (bottom, top) = (least.floor(), most.ceil());
        let mut context = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(26)
            .y_label_area_size(66)
            .build_cartesian_2d(0.0..GROUPS.len() as f64, bottom..top)?;
        let threads = panel.threads;
        let plural = if threads == 1 { "" } else { "s" };
        context
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .y_label_style(text(14))
            .y_labels((top - bottom) as usize + 1)
            .y_label_formatter(&|power| shown(*power))
            .y_desc(format!("{threads} thread{plural}"))
            .axis_desc_style(text(16))
            .draw()?;
        context.draw_series(panel.rows.iter().filter_map(|row| self.bar(row)))?;
        let one = [(0.0, 0.0), (GROUPS.len() as f64, 0.0)];
        context.draw_series([PathElement::new(one, INK.stroke_width(1))])?;
        for (nth, (_, name)) in GROUPS.iter().enumerate() {
            let (x, y) = context.backend_coord(&(nth as f64 + 0.1, bottom));
            let (left, above) = area.get_base_pixel();
            area.draw(&Text::new(*name, (x - left, y - above + 8), text(15)))?;
        }
        Ok(())
    }

    fn bar(&self, row: &Row) -> Option<Rectangle<(f64, f64)>> {
        let named = |(workload, _): &(&str, &str)| *workload == row.workload;
        let group = GROUPS.iter().position(named)?;
        let nth = self.caches.iter().position(|name| *name == row.cache)?;
        let width = 0.86 / self.caches.len() as f64;
        let left = group as f64 + 0.07 + nth as f64 * width;
        let corners = [(left, 0.0), (left + width * 0.92, power(row)?)];
        Some(Rectangle::new(corners, color(nth).filled()))
    }
}

/// Where the bar of a row ends.
fn power(row: &Row) -> Option<f64> {
    let power = row.over_quick_cache?.log2();
    Some(power.clamp(SLOWEST, FASTEST))
}

/// A power of two as a number or as a fraction.
fn shown(power: f64) -> String {
    let size = power.abs().exp2();
    if power < 0.0 {
        format!("1/{size}")
    } else {
        size.to_string()
    }
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// Brimful's own first; beside each other as different as can be.
fn color(nth: usize) -> RGBColor {
    const COLORS: [(u8, u8, u8); 14] = [
        (213, 94, 0),
        (0, 158, 115),
        (136, 204, 170),
        (204, 121, 167),
        (120, 60, 130),
        (230, 159, 0),
        (86, 180, 233),
        (60, 60, 60),
        (125, 125, 125),
        (190, 190, 190),
        (240, 228, 66),
        (150, 75, 40),
        (200, 60, 60),
        (0, 114, 178),
    ];
    let (red, green, blue) = COLORS[nth % COLORS.len()];
    RGBColor(red, green, blue)
}
