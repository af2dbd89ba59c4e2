//! The leak, replayed in seconds: `cargo run --release -p leak`.
//!
//! A service leaked for months. It kept the context of each request in a map, keyed by request id,
//! with code to add and code to read and none to remove. It was found by comparing two heap profiles
//! taken hours apart.
//!
//! Here four copies of that service handle the same stream of unique request ids, each in a process of
//! its own: with `Mutex<HashMap>`; with a `brimful::Cache`; with one whose entries leave with their
//! request; and with one whose values an audit trail keeps. Look at four things: the plot (the
//! map climbs), the slope in bytes per request over the second half of the run, what grew between two
//! looks at the statistics, as the engineer did it, and what each answers who is asked: who removes
//! an entry, and when? Then a bug is planted in another cache, and two snapshots name it.
//!
//! Options: `--requests N`, `--capacity N`, `--svg PATH`. `service.rs` is the service, `running.rs`
//! follows the copies, `planted.rs` is the second act, `curve.rs` has the arithmetic and the plot.

mod curve;
mod planted;
mod running;
mod service;

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::error::ErrorKind;
use report::chart::{
    Axis, BLUE, Chart, GREEN, ORANGE, Series, SeriesLabelPosition, VERMILION, plain,
};
use report::grouped;

use curve::{Curve, MIB, Sample};
use running::{Running, follow};
use service::Store;

/// Columns of the plot in the terminal.
const WIDTH: u32 = 72;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Replays a leak: a service with a map that only grows, the same with brimful, and their memory.
#[derive(Parser)]
#[command(name = "leak")]
struct Args {
    /// Requests that each copy of the service handles
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(20_000..=20_000_000))]
    requests: u64,

    /// Entries that each cache may hold
    #[arg(long, value_name = "N", default_value = "5000")]
    capacity: NonZeroUsize,

    /// Where the picture goes [default: leak.svg in Cargo's target directory]
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,

    /// Be one of the copies (the program starts itself with this)
    #[arg(long, hide = true)]
    service: Option<Store>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.capacity.get() as u64 > args.requests / 4 {
        let message = format!(
            "--capacity {} is more than a quarter of --requests {}: the cache has to be full and \
             settled before its slope is measured, over the second half of the run\n",
            args.capacity, args.requests
        );
        clap::Error::raw(ErrorKind::ValueValidation, message).exit();
    }
    report::finish(match args.service {
        Some(store) => service::run(store, args.requests, args.capacity.get()),
        None => compare(&args),
    })
}

/// Starts the copies, follows them, and reports.
fn compare(args: &Args) -> Outcome<()> {
    service::resident().ok_or(service::NO_RESIDENT)?;
    let started = Instant::now();
    let copies = follow(args.requests, args.capacity.get())?;
    report(args, &copies, started.elapsed().as_secs_f64())
}

/// The findings: plot, slopes, differences, picture.
fn report(args: &Args, copies: &[Running], seconds: f64) -> Outcome<()> {
    let curve = |copy: &Running| (copy.store.name(), copy.samples.clone());
    let curves: Vec<Curve> = copies.iter().map(curve).collect();
    let (requests, capacity) = (grouped(args.requests), grouped(args.capacity.get() as u64));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\nResident memory in MiB over {requests} requests, {seconds:.1} s"
    )?;
    writeln!(out, "(each cache holds {capacity} entries at most)\n")?;
    print_plot(&mut out, &curves, &requests)?;
    writeln!(
        out,
        "\nSlope over the second half of the run, and the gain there:"
    )?;
    for (name, samples) in &curves {
        writeln!(out, "  {name:>8} {}", verdict(samples))?;
    }
    let half = grouped(args.requests / 2);
    writeln!(
        out,
        "\nTwo looks at the statistics, after {half} and after {requests} requests:"
    )?;
    print_lines(&mut out, copies, |copy| &copy.diff)?;
    writeln!(out, "\nWho removes an entry, and when?")?;
    print_lines(&mut out, copies, |copy| &copy.answer)?;
    writeln!(out, "\nA bug, planted: {}", planted::BUG)?;
    for line in planted::found() {
        writeln!(out, "  {line}")?;
    }
    out.flush()?;
    let default = || report::default_path("leak.svg");
    let path = args.svg.clone().unwrap_or_else(default);
    picture(args, &curves).write_svg(&path)?;
    writeln!(out, "\nThe curves as a picture: {}", path.display())?;
    Ok(())
}

fn print_plot(out: &mut impl Write, curves: &[Curve], requests: &str) -> io::Result<()> {
    let width = WIDTH as usize - 1;
    writeln!(out, "{}", curve::terminal_plot(curves, WIDTH))?;
    writeln!(out, "{:>11}{:>width$}", 0, format!("{requests} requests"))
}

/// What each copy had to say, beside its name.
fn print_lines(
    out: &mut impl Write,
    copies: &[Running],
    said: impl Fn(&Running) -> &Vec<String>,
) -> io::Result<()> {
    for copy in copies {
        let mut name = copy.store.name();
        for line in said(copy) {
            writeln!(out, "  {name:>8}  {line}")?;
            name = "";
        }
    }
    Ok(())
}

/// A slope in words. An allocator's steps make no slope quite zero, so flat is what gains less than a
/// tenth over the second half of the run; a leak nearly doubles there.
fn verdict(samples: &[Sample]) -> String {
    let slope = curve::slope(samples);
    let half = samples[samples.len() / 2];
    let requests = samples
        .last()
        .map_or(0, |last| last.requests - half.requests);
    let share = slope * requests as f64 / half.resident as f64;
    let gib_a_day = slope * 1_000.0 * 86_400.0 / MIB / 1_024.0;
    let word = match share {
        ..-0.1 => "falls".to_string(),
        0.1.. => format!("climbs, by {gib_a_day:.0} GiB a day at 1,000 requests a second"),
        _ => "flat".to_string(),
    };
    let percent = hundredths(share * 100.0);
    format!(
        "{:>8} bytes per request ({percent:>6} %): {word}",
        hundredths(slope)
    )
}

/// With two decimals, and never `-0.00`.
fn hundredths(number: f64) -> String {
    format!("{:.2}", (number * 100.0).round() / 100.0 + 0.0)
}

fn picture(args: &Args, curves: &[Curve]) -> Chart {
    let max = curves
        .iter()
        .flat_map(|(_, samples)| samples)
        .map(Sample::mib)
        .fold(0.0, f64::max);
    let line = |((name, samples), color): (&Curve, _)| Series {
        name: format!(
            "{name} ({} bytes per request)",
            hundredths(curve::slope(samples))
        ),
        color,
        points: samples
            .iter()
            .map(|s| (s.requests as f64, s.mib()))
            .collect(),
    };
    let number = |value: f64| grouped(value as u64);
    let mut x = Axis::from_zero("requests handled", args.requests as f64, number);
    x.to = args.requests as f64;
    x.ticks.retain(|&tick| tick <= x.to);
    Chart {
        title: "A map that only grows, and caches that cannot".to_string(),
        subtitle: format!(
            "the same service, {} unique request ids; each cache holds {} entries at most",
            grouped(args.requests),
            grouped(args.capacity.get() as u64)
        ),
        x,
        y: Axis::from_zero("resident memory in MiB", max, plain),
        series: curves
            .iter()
            .zip([VERMILION, BLUE, GREEN, ORANGE])
            .map(line)
            .collect(),
        dots: false,
        legend: SeriesLabelPosition::UpperLeft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parse = |args: &[&str]| Args::try_parse_from([&["leak"], args].concat());
        assert!(parse(&[]).is_ok_and(|a| a.capacity.get() == 5_000));
        for bad in [
            "--requests=0",
            "--requests=x",
            "--requests=-5",
            "--capacity=0",
            "--service=x",
            "file",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slope_is_called_what_it_is() {
        let line = |resident: fn(u64) -> u64| {
            let sample = |i| Sample {
                requests: i * 1_000,
                resident: resident(i),
                entries: i,
            };
            verdict(&(0..=200).map(sample).collect::<Vec<_>>())
        };
        assert!(
            line(|i| 3_000_000 + i * 400_000)
                .contains("  400.00 bytes per request ( 93.02 %): climbs")
        );
        assert!(line(|i| 13_000_000 + i / 150 * 400_000).ends_with("flat"));
        assert!(
            line(|i| 13_000_000 - i).starts_with("    0.00 bytes per request (  0.00 %): flat")
        );
        assert!(line(|i| 30_000_000 - i * 100_000).ends_with("falls"));
    }
}
