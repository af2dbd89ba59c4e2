//! What the pictures have in common: their width, their head with a title and the
//! names of the caches, text and colors. They are drawn without any font on this
//! machine; whoever shows the file brings it.

use field::name::Name;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

use crate::row::{self, Row};

const WIDTH: u32 = 960;
pub(crate) const INK: RGBColor = RGBColor(45, 45, 45);
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);
const HEAD: u32 = 84;
const FONT: &str = "sans-serif";

pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A cache by its label, and the color it has.
pub(crate) type Colored<'a> = (&'a str, RGBColor);

/// Writes a picture: its head, and below it a body of this height.
pub(crate) fn write(
    path: &Path,
    title: &str,
    caches: &[Colored<'_>],
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<(), Box<dyn Error>> {
    let mut svg = String::new();
    let size = (WIDTH, HEAD + height);
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let (head, body) = area.split_vertically(HEAD);
    head.draw(&Text::new(title, (20, 10), text(22)))?;
    draw_legend(&head, caches)?;
    draw(&body)?;
    area.present()?;
    drop((area, head, body));
    fs::write(path, svg).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(())
}

/// Names, each with its color before it: two lines, if they do not fit on one.
fn draw_legend(area: &Area<'_>, caches: &[Colored<'_>]) -> Drawn {
    let columns = caches.len().div_ceil(2).max(7);
    let step = (WIDTH as i32 - 40) / columns as i32;
    for (nth, (name, color)) in caches.iter().enumerate() {
        let x = 20 + (nth % columns) as i32 * step;
        let y = 44 + (nth / columns) as i32 * 19;
        area.draw(&Rectangle::new([(x, y), (x + 12, y + 12)], color.filled()))?;
        area.draw(&Text::new(*name, (x + 18, y), text(14)))?;
    }
    Ok(())
}

pub(crate) fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// The caches of these rows. quick_cache has a color that no other has, so that
/// the others' are the same in a picture without it.
pub(crate) fn colored<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Colored<'a>> {
    let quick = Name::QuickCache.to_string();
    let mut others = 0..;
    let color = |cache| match cache == quick {
        true => (cache, QUICK_CACHE),
        false => (cache, color(others.next().expect("no end"))),
    };
    row::caches(rows).into_iter().map(color).collect()
}

const QUICK_CACHE: RGBColor = RGBColor(0, 114, 178);

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
        (110, 120, 20),
    ];
    let (red, green, blue) = COLORS[nth % COLORS.len()];
    RGBColor(red, green, blue)
}
