//! What is a saved cache worth? `cargo run --release -p warm_restart`
//!
//! A service runs until its cache is warm, saves it and stops; time goes by; the next one begins, once with
//! what was saved and once with nothing. This prints the hit ratio of both after the restart, beside that
//! of a service that never stopped, and draws it.

mod traffic;

use brimful::policy::{Choice, Chosen};
use brimful::{BuildError, Cache, Entries, replace_file};
use clap::Parser;
use comfy_table::Table;
use report::chart::{Axis, BLUE, Chart, GREEN, Series, SeriesLabelPosition, VERMILION, plain};
use report::{default_path, finish, grouped};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use traffic::Traffic;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Restarts a service with its cache and without, and compares how both do.
#[derive(Parser)]
#[command(name = "warm_restart")]
struct Args {
    /// Entries that the cache may hold
    #[arg(long, value_name = "N", default_value = "10000")]
    capacity: NonZeroUsize,

    /// Requests that nobody answers between the two processes
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    down: usize,

    /// The policy: duel, s3-fifo, sieve, lru, fifo, lfu or gdsf
    #[arg(long, value_name = "P", default_value_t)]
    policy: Choice,

    /// Where the picture goes [default: warm_restart.svg in Cargo's target directory]
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

/// Requests until the cache is saved.
const BEFORE: usize = 400_000;

/// Requests after the restart that are looked at.
const AFTER: usize = 100_000;

/// So many requests are one point of the curve.
const A_POINT: usize = 2_000;

/// A page, by its number.
type Pages = Cache<u64, String, Chosen>;

fn open(args: &Args) -> Result<Pages, BuildError> {
    Cache::builder(Entries(args.capacity.get()))
        .choose(args.policy)
        .build()
}

/// Answers so many requests; the hit ratio of each point.
fn serve(pages: &Pages, traffic: &mut Traffic, requests: usize) -> Vec<f64> {
    let point = |_| {
        let before = pages.stats();
        for key in traffic.take(A_POINT) {
            pages.get_or_insert_with(&key, || format!("page {key}"));
        }
        (&pages.stats() - &before).hit_ratio().unwrap_or_default()
    };
    (0..requests / A_POINT).map(point).collect()
}

/// The curves of three services after the restart, and what was said of the file.
struct Race {
    uninterrupted: Vec<f64>,
    warm: Vec<f64>,
    cold: Vec<f64>,
    restored: String,
    bytes: u64,
}

fn race(args: &Args, file: &Path) -> Outcome<Race> {
    let mut traffic = Traffic::new(1);
    let uninterrupted = open(args)?;
    serve(&uninterrupted, &mut traffic, BEFORE);
    replace_file(file, |file| {
        Ok(uninterrupted.save(&mut serde_json::Serializer::new(file))?)
    })?;
    serve(&uninterrupted, &mut traffic.clone(), args.down);
    traffic.by_ref().take(args.down).for_each(drop);

    let (warm, cold) = (open(args)?, open(args)?);
    let saved = BufReader::new(File::open(file)?);
    let mut json = serde_json::Deserializer::from_reader(saved);
    let restored = warm.restore(&mut json, Duration::ZERO)?.to_string();
    let after = |pages: &Pages| serve(pages, &mut traffic.clone(), AFTER);
    Ok(Race {
        uninterrupted: after(&uninterrupted),
        warm: after(&warm),
        cold: after(&cold),
        restored,
        bytes: fs::metadata(file)?.len(),
    })
}

/// The mean of the points up to so many requests, in per cent.
fn mean(points: &[f64], requests: usize) -> f64 {
    let points = &points[..requests / A_POINT];
    100.0 * points.iter().sum::<f64>() / points.len() as f64
}

fn table(race: &Race) -> Table {
    let mut table = Table::new();
    table.set_header([
        "requests after the restart",
        "saved and restored",
        "cold",
        "never stopped",
    ]);
    for requests in [2_000, 10_000, 30_000, AFTER] {
        let mut row = vec![grouped(requests as u64)];
        let services = [&race.warm, &race.cold, &race.uninterrupted];
        row.extend(services.map(|points| format!("{:.1} %", mean(points, requests))));
        table.add_row(row);
    }
    table
}

fn picture(args: &Args, race: &Race) -> Chart {
    let series = |name: &str, color, points: &[f64]| Series {
        name: name.to_owned(),
        color,
        points: points
            .iter()
            .zip(1..)
            .map(|(ratio, point)| ((point * A_POINT) as f64, 100.0 * ratio))
            .collect(),
    };
    let (capacity, down) = (
        grouped(args.capacity.get() as u64),
        grouped(args.down as u64),
    );
    Chart {
        title: "The hit ratio after a restart".to_owned(),
        subtitle: format!(
            "{capacity} entries, {}; {down} requests went by meanwhile",
            args.policy
        ),
        x: Axis::from_zero("requests after the restart", AFTER as f64, |n| {
            grouped(n as u64)
        }),
        y: Axis::from_zero("hit ratio (%)", 100.0, plain),
        series: vec![
            series("never stopped", GREEN, &race.uninterrupted),
            series("saved and restored", BLUE, &race.warm),
            series("cold", VERMILION, &race.cold),
        ],
        dots: false,
        legend: SeriesLabelPosition::LowerRight,
    }
}

fn run(args: &Args) -> Outcome<()> {
    let svg = args
        .svg
        .clone()
        .unwrap_or_else(|| default_path("warm_restart.svg"));
    let file = svg.with_extension("json");
    let race = race(args, &file)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} of {} bytes: {}",
        file.display(),
        grouped(race.bytes),
        race.restored
    )?;
    writeln!(out, "{}", table(&race))?;
    picture(args, &race).write_svg(&svg)?;
    writeln!(out, "drawn in {}", svg.display())?;
    fs::remove_file(file)?;
    Ok(())
}

fn main() -> ExitCode {
    finish(run(&Args::parse()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_cache_begins_where_the_old_one_stood() {
        let folder = std::env::temp_dir().join(format!("warm_restart-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for policy in ["duel", "lru"] {
            let args = Args::parse_from(["warm_restart", "--capacity", "2000", "--policy", policy]);
            let race = race(&args, &folder.join("saved.json")).unwrap();
            let [warm, cold, whole] =
                [&race.warm, &race.cold, &race.uninterrupted].map(|points| mean(points, 2_000));
            assert!(warm > cold + 8.0, "{policy}: {warm} and {cold}");
            assert!(warm > whole - 8.0, "{policy}: {warm} and {whole}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
