//! Which policy, and how much room? `cargo run --release -p replay -- [FILE] [OPTIONS]`
//! answers for your own keys.
//!
//! It reads keys, one a line, drives a brimful cache under each policy at each capacity (a request
//! is a read, and a miss puts the key in), and prints a table and draws a curve of the hit ratio
//! over the capacity. Look at where the curve bends: room beyond that buys little; and at which
//! line is on top there.
//!
//! ```text
//! replay access.log --field 7                     the 7th field of each line, so a log works as it is
//! replay keys.txt --capacity 1000,5000 --policy lru,s3-fifo
//! replay objects.csv --sizes                      lines of `key,size`; capacities are in units of size
//! zcat keys.gz | replay -                         standard input
//! ```
//!
//! Without a FILE it replays the words of brimful's own sources. It also reads `.btr` traces,
//! and zstd over either form. A cache with several shards is only nearly LRU; `--shards 1` is LRU
//! to the request.

mod findings;
mod race;
mod words;

use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use indicatif::ProgressBar;
use report::grouped;
use trace::Trace;
use trace::input::{self, Form};

use findings::{limits, picture, table};
use race::{Heat, Rules, Runner, Score};

/// Replays a list of keys through each policy at each capacity and shows the hit ratios.
#[derive(Parser)]
#[command(name = "replay")]
struct Args {
    /// Keys, one a line, `-` for standard input; or a .btr trace; either may be zstd [default: the
    /// words of brimful's own sources]
    file: Option<PathBuf>,

    /// Capacities to try, in entries (with --sizes in units of size) [default: 0.1, 1, 10, 25 and
    /// 50 % of all that there is]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    capacity: Vec<NonZeroU64>,

    /// Policies to try [default: all]
    #[arg(long, value_name = "P,…", value_delimiter = ',')]
    policy: Vec<Runner>,

    /// Take the N-th whitespace-separated field of each line, from 1, instead of the whole line
    #[arg(long, value_name = "N", requires = "file", value_parser = clap::value_parser!(u32).range(1..))]
    field: Option<u32>,

    /// Read `key,size`, and bound the caches by size instead of by entries
    #[arg(long, requires = "file")]
    sizes: bool,

    /// Shards of each cache [default: the cache's own choice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    shards: Option<u32>,

    /// Where the picture goes [default: replay.svg in Cargo's target directory]
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    report::finish(replay(&Args::parse()))
}

fn replay(args: &Args) -> Result<(), Box<dyn Error>> {
    let trace = read(args)?;
    let capacities = capacities(
        &args.capacity,
        if args.sizes {
            trace.unique_size
        } else {
            trace.unique
        },
    );
    let policies = policies(&args.policy);
    let heats: Vec<Heat> = capacities
        .iter()
        .flat_map(|&capacity| {
            policies
                .iter()
                .map(move |&runner| Heat { runner, capacity })
        })
        .collect();
    let rules = Rules {
        weighed: args.sizes,
        shards: args.shards.map(|n| n as usize),
    };
    let progress = ProgressBar::new(heats.len() as u64);
    let scores = race::run(&trace, &heats, rules, || progress.inc(1))?;
    progress.finish_and_clear();
    let results: Vec<(Heat, Score)> = heats.into_iter().zip(scores).collect();

    let mut out = io::stdout().lock();
    let summary = summary(&name(args), &trace);
    writeln!(out, "{summary}\n{}\n", limits(&trace, &results))?;
    let table = table(&results, &trace, args.sizes).to_string();
    writeln!(out, "{table}")?;
    if table.contains('*') {
        writeln!(out, "* the best at its capacity")?;
    }
    out.flush()?;
    let path = args
        .svg
        .clone()
        .unwrap_or_else(|| report::default_path("replay.svg"));
    picture(summary, &results, args.sizes).write_svg(&path)?;
    writeln!(out, "The curve as a picture: {}", path.display())?;
    Ok(())
}

fn read(args: &Args) -> Result<Trace, String> {
    let form = Form {
        field: args.field.map(|n| n as usize),
        sizes: args.sizes,
    };
    args.file
        .as_deref()
        .map_or_else(words::own_words, |path| input::read(path, form))
}

fn name(args: &Args) -> String {
    match args.file.as_deref() {
        None => "the words of brimful's sources".to_string(),
        Some(path) if path == Path::new("-") => "standard input".to_string(),
        Some(path) => path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned(),
    }
}

/// The capacities to try, ascending, none twice: those asked for, or shares of all that there is.
fn capacities(asked: &[NonZeroU64], all: u64) -> Vec<u64> {
    let per_mille = |share: u128| ((u128::from(all) * share + 500) / 1_000).max(1) as u64;
    let mut capacities = match asked {
        [] => [1, 10, 100, 250, 500].map(per_mille).to_vec(),
        _ => asked.iter().map(|capacity| capacity.get()).collect(),
    };
    capacities.sort_unstable();
    capacities.dedup();
    capacities
}

/// The policies to try, none twice: those asked for, or all.
fn policies(asked: &[Runner]) -> Vec<Runner> {
    let asked = if asked.is_empty() {
        Runner::value_variants()
    } else {
        asked
    };
    let mut policies = Vec::new();
    for &policy in asked {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    policies
}

fn summary(name: &str, trace: &Trace) -> String {
    let (requests, unique) = (grouped(trace.requests.len() as u64), grouped(trace.unique));
    format!("{name}: {requests} requests for {unique} unique keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let parse = |args: &[&str]| Args::try_parse_from([&["replay"], args].concat());
        let args = parse(&[
            "-",
            "--capacity",
            "5,10",
            "--policy",
            "lru,s3-fifo",
            "--field",
            "2",
            "--sizes",
        ])
        .unwrap();
        assert_eq!(capacities(&args.capacity, 7), [5, 10]);
        assert_eq!(args.policy, [Runner::Lru, Runner::S3Fifo]);
        let bad: [&[&str]; 9] = [
            &["--capacity=0"],
            &["--capacity=10,"],
            &["--capacity=-1"],
            &["--policy=mru"],
            &["-", "--field=0"],
            &["--field=1"],
            &["--sizes"],
            &["--shards=0"],
            &["a", "b"],
        ];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn default_capacities_are_shares_and_at_least_one() {
        assert_eq!(
            capacities(&[], 186_880),
            [187, 1_869, 18_688, 46_720, 93_440]
        );
        assert_eq!(capacities(&[], 10), [1, 3, 5]);
        assert_eq!(capacities(&[], 0), [1]);
        assert_eq!(capacities(&[], u64::MAX)[4], 1 << 63);
        let asked = [30, 4, 30].map(|n| NonZeroU64::new(n).unwrap());
        assert_eq!(capacities(&asked, 7), [4, 30]);
    }
}
