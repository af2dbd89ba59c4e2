//! Bars: how many times as fast as quick_cache each cache is in the main
//! workloads. A panel for each number of threads, a group for each workload. On a
//! scale of powers of two, up from its line if faster and down if slower: caches
//! are sixteen times as fast and a sixtieth as fast, and both can be read.

use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

use crate::canvas::{self, Area, Colored, Drawn, GRID, INK, text};
use crate::machine;
use crate::row::{self, Cell, Row};
use crate::workload::ENTRIES;
use field::name::Name;

const PANEL: u32 = 330;

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

/// Powers of two beyond which a bar ends.
const SLOWEST: f64 = -6.0;
const FASTEST: f64 = 5.0;

/// Fewer panels are easier to read: the fewest and the most threads.
const PANELS: usize = 2;

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
    let title = "Times as fast as quick_cache (the line at 1)";
    let height = PANEL * picture.panels.len() as u32;
    canvas::write(path, title, &picture.caches, height, |area| {
        picture.draw(area)
    })
}

struct Picture<'a> {
    caches: Vec<Colored<'a>>,
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
        let mut threads = row::threads(rows.iter().copied());
        if threads.len() > PANELS {
            threads = vec![threads[0], threads[threads.len() - 1]];
        }
        let mut caches = canvas::colored(rows.iter().copied());
        let is_line = |cache: &str| cache == Name::QuickCache.to_string();
        caches.retain(|(cache, _)| !is_line(cache));
        Self {
            caches,
            panels: threads.into_iter().map(panel).collect(),
        }
    }

    fn draw(&self, area: &Area<'_>) -> Drawn {
        let areas = area.split_evenly((self.panels.len(), 1));
        for (panel, area) in self.panels.iter().zip(areas) {
            self.draw_panel(panel, &area)?;
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
            .y_desc(machine::crew(panel.threads))
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
        let mut caches = self.caches.iter().enumerate();
        let (nth, (_, color)) = caches.find(|(_, (name, _))| *name == row.cache)?;
        let width = 0.86 / self.caches.len() as f64;
        let left = group as f64 + 0.07 + nth as f64 * width;
        let corners = [(left, 0.0), (left + width * 0.92, power(row)?)];
        Some(Rectangle::new(corners, color.filled()))
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
