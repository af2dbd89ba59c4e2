//! How good are the policies? `cargo bench --bench hit_ratio -- [FOLDER] [--policy A,B]` drives each
//! of them, get-else-insert, over every trace of a folder and says what hits.
//!
//! ```text
//! cargo bench --bench hit_ratio -- FOLDER                       every policy
//! cargo bench --bench hit_ratio -- FOLDER --policy s3-fifo,lru  some of them
//! cargo bench --bench hit_ratio                                 small traces made here, in seconds
//! ```
//!
//! FOLDER holds traces as `NAME.btr` or `NAME.btr.zst` (`examples/trace/src/input.rs` tells the format)
//! and may hold `targets.csv`: bounds for each trace, and what others score there. Without it the
//! bounds are 0.1, 1, 10 and 25 % of a trace's unique keys.
//!
//! Whole traces are driven, their second halves from an empty cache ("cold halves"), and bounds of
//! 8, 16 and 32 entries; traces with sizes also at bounds in bytes. All of it through `Cache` with
//! as many shards as it chooses, and through `unsync::Cache`. In every cell the crate's LRU in one
//! shard must equal an independent one to the request; if not, this program fails.
//!
//! With `--patterns` it drives those of `patterns` instead, with 1,000 and with 10,000 entries.
//!
//! Hashes are seeded, so a run can be repeated; `--seed` draws others. The number of shards depends
//! on the cores of the machine.

mod bounds;
mod cell;
mod check;
mod patterns;
mod policies;
mod record;
mod reference;
mod source;
mod standing;
mod sweep;
mod synthetic;
mod tables;
mod targets;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use cell::Outcome;
use policies::{Contestant, Hashing, POLICIES};
use source::Source;
use sweep::Sweep;
use tables::Results;
use targets::Targets;

/// Drives every policy over every trace of a folder and shows the hit ratios.
#[derive(Parser)]
#[command(name = "hit_ratio")]
struct Args {
    /// Traces, and perhaps targets.csv [default: small traces made here]
    folder: Option<PathBuf>,

    /// Policies to drive [default: all]
    #[arg(long, value_name = "P,…", value_delimiter = ',', value_parser = names())]
    policy: Vec<String>,

    /// Seed of the hashes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The patterns alone
    #[arg(long)]
    patterns: bool,

    /// Cargo adds it; no meaning here
    #[arg(long, hide = true)]
    bench: bool,

    /// Cargo adds it to try benches out: then tiny patterns too
    #[arg(long, hide = true)]
    test: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(POLICIES.iter().map(|policy| policy.name))
}

fn main() -> ExitCode {
    report::finish(measure(&Args::parse()))
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    if let Some(filter) = args.folder.as_deref().filter(|name| is_filter(name)) {
        writeln!(
            io::stdout(),
            "hit_ratio: no folder {}, so a filter for other benches",
            filter.display()
        )?;
        return Ok(());
    }
    if args.patterns || args.test {
        let capacities: &[u64] = if args.test { &[100] } else { &[1_000, 10_000] };
        let table = patterns::table(capacities, Hashing(args.seed))?;
        writeln!(io::stdout(), "{table}")?;
    }
    if args.patterns {
        return Ok(());
    }
    let (mut sources, targets) = source::open(args.folder.as_deref())?;
    if args.test {
        // They show that it works; unoptimised each takes its time.
        sources.truncate(2);
    }
    let policies = chosen(&args.policy);
    let (outcomes, reading) = sweep_all(&sources, &targets, &policies, Hashing(args.seed))?;
    if outcomes.is_empty() {
        return Err("every trace has too few keys for a bound to tell anything".into());
    }
    let names: Vec<_> = policies.iter().map(|policy| policy.name).collect();
    let results = Results {
        outcomes: &outcomes,
        targets: &targets,
        policies: &names,
    };
    let findings = check::check(&outcomes, &targets);
    say(&results, &findings.text)?;
    say_elapsed(began.elapsed(), reading)?;
    match findings.faults {
        0 => Ok(()),
        faults => Err(format!("faults found by the check of LRU: {faults}").into()),
    }
}

/// Whether this is a word for `cargo bench WORD`, which every bench is given.
fn is_filter(name: &Path) -> bool {
    name.components().count() == 1 && !name.exists()
}

/// The policies to drive: those asked for, or all.
fn chosen(asked: &[String]) -> Vec<&'static Contestant> {
    let wanted = |policy: &&Contestant| asked.is_empty() || asked.iter().any(|a| a == policy.name);
    POLICIES.iter().filter(wanted).collect()
}

/// Sweeps one trace after the other; also tells how long reading them took.
fn sweep_all(
    sources: &[Source],
    targets: &Targets,
    policies: &[&'static Contestant],
    hashing: Hashing,
) -> Result<(Vec<Outcome>, Duration), Box<dyn Error>> {
    let progress = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{elapsed} {msg} {wide_bar} {pos}/{len}",
    )?);
    let sweep = Sweep {
        policies,
        targets,
        hashing,
        progress: &progress,
    };
    let (mut outcomes, mut reading) = (Vec::new(), Duration::ZERO);
    for (number, source) in (1..).zip(sources) {
        progress.set_message(format!("{number}/{} {}", sources.len(), source.name));
        let began = Instant::now();
        let trace = source.load()?;
        reading += began.elapsed();
        outcomes.extend(sweep.over(&source.name, &trace)?);
    }
    progress.finish_and_clear();
    Ok((outcomes, reading))
}

fn say(results: &Results<'_>, check: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for policy in 0..results.policies.len() {
        write!(out, "{}", results.about(policy))?;
    }
    writeln!(out, "{}", results.summary())?;
    writeln!(out, "{check}")?;
    let [cells, picture] = record::write(results)?;
    writeln!(out, "All cells: {}", cells.display())?;
    writeln!(out, "Picture of the means: {}", picture.display())?;
    Ok(())
}

fn say_elapsed(all: Duration, reading: Duration) -> io::Result<()> {
    let [all, reading] = [all, reading].map(|time| time.as_secs_f64());
    writeln!(
        io::stdout(),
        "Elapsed: {all:.1} s, of them {reading:.1} s to read the traces"
    )
}
