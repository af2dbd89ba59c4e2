//! What others score: `targets.csv` beside the traces, a row for each mode, trace and bound. Its
//! header names the columns; those that are shown here must be there, more may be.

use std::path::Path;

use crate::cell::{Cell, Measure, Part};

/// The columns that are shown.
pub(crate) const COLUMNS: [&str; 6] = [
    "LRU",
    "ARC",
    "S3FIFO",
    "best_library",
    "best_simulated",
    "Belady",
];

/// The place of a column in [`COLUMNS`].
pub(crate) const LRU: usize = 0;
/// See [`LRU`].
pub(crate) const BEST_LIBRARY: usize = 3;
/// See [`LRU`].
pub(crate) const BELADY: usize = 5;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    mode: String,
    trace: String,
    pub bound: u64,
    pub real: bool,
    /// In percent, in the order of [`COLUMNS`].
    pub figures: [Option<f64>; COLUMNS.len()],
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Targets(Vec<Target>);

impl Targets {
    /// Reads the file; there are no rows where there is no file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        Self::parse(&text).map_err(|why| format!("{name}:{why}"))
    }

    /// Reads the rows behind a header; a complaint begins with the number of its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let (_, header) = lines.next().ok_or("1: there is no header")?;
        let header = Header::parse(header).map_err(|why| format!("1: {why}"))?;
        lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| header.row(line).map_err(|why| format!("{at}: {why}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The rows of a trace in one measure.
    pub(crate) fn of<'a>(
        &'a self,
        trace: &'a str,
        measure: Measure,
    ) -> impl Iterator<Item = &'a Target> {
        let rows = self.0.iter().filter(move |row| row.trace == trace);
        rows.filter(move |row| row.mode == measure.name())
    }

    /// What others score in this cell; they were run over whole traces only.
    pub(crate) fn figure(&self, cell: &Cell, measure: Measure, column: usize) -> Option<f64> {
        let mut rows = self.of(&cell.trace, measure);
        let row = rows.find(|row| row.bound == cell.bound && cell.part == Part::Whole);
        row.and_then(|row| row.figures[column])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where in a row each field is.
struct Header {
    key: [usize; 4],
    figures: [usize; COLUMNS.len()],
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let names: Vec<&str> = line.split(',').collect();
        Ok(Self {
            key: places(&names, ["mode", "trace", "bound", "real"])?,
            figures: places(&names, COLUMNS)?,
        })
    }

    fn row(&self, line: &str) -> Result<Target, String> {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let field = |place: usize| {
            let missing = || format!("there is no field {}", place + 1);
            fields.get(place).copied().ok_or_else(missing)
        };
        let mut figures = [None; COLUMNS.len()];
        for (figure, &place) in figures.iter_mut().zip(&self.figures) {
            *figure = percent(field(place)?)?;
        }
        let [mode, trace, bound, real] = self.key;
        Ok(Target {
            mode: field(mode)?.to_string(),
            trace: field(trace)?.to_string(),
            bound: whole(field(bound)?)?,
            real: field(real)? == "1",
            figures,
        })
    }
}

fn places<const N: usize>(names: &[&str], wanted: [&str; N]) -> Result<[usize; N], String> {
    let mut places = [0; N];
    for (place, wanted) in places.iter_mut().zip(wanted) {
        let found = names.iter().position(|name| name.trim() == wanted);
        *place = found.ok_or_else(|| format!("there is no column `{wanted}`"))?;
    }
    Ok(places)
}

/// A figure in percent, or nothing where there is none.
fn percent(text: &str) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|n| (0.0..=100.0).contains(n));
    number
        .map(Some)
        .ok_or_else(|| format!("`{text}` is no figure from 0 to 100"))
}

fn whole(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| format!("`{text}` is no whole number above 0"))
}
