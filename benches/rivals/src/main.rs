//! brimful beside its rivals: the same workloads over all of them, in one
//! process, interleaved.
//!
//! ```text
//! cargo run --release --manifest-path benches/rivals/Cargo.toml -- --quick
//! cargo run --release --manifest-path benches/rivals/Cargo.toml -- --csv all.csv --svg main.svg
//! cargo run --release --manifest-path benches/rivals/Cargo.toml -- --scale --svg scale.svg
//! cargo run --release --manifest-path benches/rivals/Cargo.toml -- count
//! ```
//!
//! `--help` tells the workloads and the caches, and what is in a figure. `--scale`
//! runs a few of the workloads over more and more threads, and draws how many
//! operations they do in a second. `count` has the instructions per operation
//! counted by callgrind, and how many of them are locked (needs valgrind).

mod by_hand;
mod canvas;
mod contest;
mod cost;
mod count;
mod curves;
mod entrant;
mod keys;
mod lane;
mod latency;
mod machine;
mod memory;
mod operation;
mod payload;
mod picture;
mod report;
mod round;
mod row;
mod watch;
mod workload;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use field::name::Name;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::error::Error;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use machine::Versions;
use round::Pace;
use row::{Cell, Row};
use workload::{ENTRIES, Workload};

/// Runs the same workloads over brimful and its rivals
#[derive(Parser)]
#[command(name = "rivals", args_conflicts_with_subcommands = true)]
#[command(after_help = "\
What is in a figure: the operation, the walk over keys drawn beforehand (the same for all caches), a
clone of key and value where one is inserted, and with more than one entry than fits the eviction. A
map without a bound is held to the capacity by a queue beside it (FIFO); that is in its figures.
All caches hash with ahash. One thread: processor time; more: wall time, of all threads together.
In each round every cache runs for a slice, in shuffled order, and untimed before it for a quarter
of that, since the others have emptied the processor's caches. Ratios are of speed (2 is twice as
fast), taken within a round; told is the median over the rounds. Hit ratios are of the second half
of a warm-up, the same requests for every cache. Latencies contain two looks at the clock for each
operation. `resident` is what is really there after the last round.

--scale runs hit_zipf, get_or_insert_099, mixed, insert_evict and hot_key at 100,000 entries with 1,
2, 4, 8, … threads, and ends with a table for each: million operations a second (M/s) of all threads
together. With more threads than cores, each runs only a part of the time: such figures are marked
as starved of cores. On a busy machine one thread looks better beside several than it is, since its
time alone is processor time.")]
struct Args {
    /// All workloads in about a minute: fewer sizes and rounds
    #[arg(long)]
    quick: bool,

    /// Throughput of five workloads over more and more threads
    #[arg(long)]
    scale: bool,

    /// Only these workloads
    #[arg(long, value_name = "W,…", value_delimiter = ',')]
    only: Vec<Workload>,

    /// Only these caches [default: all but brimful-lru and brimful-s3fifo]
    #[arg(long, value_name = "C,…", value_delimiter = ',')]
    caches: Vec<Name>,

    /// Numbers of threads [default: 1,2,4,8,16 up to the cores; scale: 1,2,4,8,… up to twice the cores]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=lane::MOST_THREADS))]
    threads: Vec<u64>,

    /// Rounds [default: 31, quick: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,

    /// Write all figures to a file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Draw the main workloads into a file; scale: all of them, over threads
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Seed of keys and order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Subcommand)]
enum Instead {
    /// One operation of one cache, many times, without a word: for callgrind
    Cost {
        operation: cost::Operation,
        cache: Name,
        count: u64,
    },
    /// Instructions per operation, and those that are locked, by callgrind
    Count {
        /// Only these caches
        #[arg(long, value_name = "C,…", value_delimiter = ',', default_values_t = Name::DEFAULT)]
        caches: Vec<Name>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.instead {
        Some(Instead::Count { ref caches }) => count::count(caches),
        Some(Instead::Cost {
            operation,
            cache,
            count,
        }) => cost(operation, cache, count),
        None => measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rivals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn cost(operation: cost::Operation, cache: Name, count: u64) -> Result<(), Box<dyn Error>> {
    match cost::run(operation, cache, count) {
        true => Ok(()),
        false => refuse(format!("{cache} takes no weights")),
    }
}

/// What was asked for cannot be: says so and exits with 2, as clap does.
fn refuse(why: impl Display) -> ! {
    let error = Args::command().error(ErrorKind::ValueValidation, why);
    error.exit()
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let (names, versions) = (args.names(), Versions::read());
    args.check(&names);
    args.say_head(&names, &versions);
    let mut rows = Vec::new();
    let ran = args.run_all(&names, &versions, &mut rows);
    // After a failure what was measured before it is not lost.
    if let Some(path) = &args.csv {
        write_csv(&rows, path)?;
    }
    if let Some(path) = &args.svg {
        args.draw(&rows, path)?;
    }
    ran?;
    println!("\nElapsed: {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn write_csv(rows: &[Row], path: &Path) -> Result<(), Box<dyn Error>> {
    let cannot = |e| format!("cannot write {}: {e}", path.display());
    let mut writer = csv::Writer::from_path(path).map_err(cannot)?;
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    Ok(writer.flush()?)
}

fn check_writable(path: &Path) {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).open(path);
    if let Err(e) = file {
        refuse(format!("cannot write {}: {e}", path.display()));
    }
}

impl Args {
    /// Now, and not after all is measured.
    fn check(&self, names: &[Name]) {
        let is_left_out = |workload: &&Workload| self.scale && !workload.is_scaled();
        if let Some(workload) = self.only.iter().find(is_left_out) {
            refuse(format!("--scale does not run {workload}"));
        }
        [&self.csv, &self.svg]
            .into_iter()
            .flatten()
            .for_each(|path| check_writable(path));
        if self.svg.is_some() && !self.scale && !picture::has_bars(&self.cells(), names) {
            refuse("nothing to draw: --svg needs a main workload and quick_cache");
        }
    }

    fn draw(&self, rows: &[Row], path: &Path) -> Result<(), Box<dyn Error>> {
        match self.scale {
            true => curves::write(rows, path),
            false => picture::write(rows, path),
        }
    }

    fn run_all(
        &self,
        names: &[Name],
        versions: &Versions,
        rows: &mut Vec<Row>,
    ) -> Result<(), Box<dyn Error>> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        for cell in self.cells() {
            let of_cell = self.run(cell, names, &mut rng, versions)?;
            println!("{}", report::table(cell, &of_cell));
            rows.extend(of_cell);
        }
        if self.scale {
            println!("{}", report::throughput(rows));
        }
        Ok(())
    }

    fn run(
        &self,
        cell: Cell,
        names: &[Name],
        rng: &mut StdRng,
        versions: &Versions,
    ) -> Result<Vec<Row>, Box<dyn Error>> {
        let version = |name| versions.of(name);
        if cell.workload == Workload::Memory {
            return memory::measure(cell, names, version);
        }
        let entrants = entrant::enter(cell, names, self.quick, self.seed);
        let race = match cell.workload {
            Workload::Latency => latency::race,
            _ => round::race,
        };
        Ok(race(cell, &entrants, self.pace(), rng, &version))
    }

    fn pace(&self) -> Pace {
        let (rounds, slice) = if self.quick { (5, 16) } else { (31, 40) };
        let slice = Duration::from_millis(slice);
        Pace {
            rounds: self.rounds.unwrap_or(rounds) as usize,
            lead_in: slice / 4,
            slice,
        }
    }

    fn names(&self) -> Vec<Name> {
        if self.caches.is_empty() {
            return Name::DEFAULT.to_vec();
        }
        let mut names = self.caches.clone();
        names.sort();
        names.dedup();
        names
    }

    fn threads(&self) -> Vec<usize> {
        if self.threads.is_empty() {
            let most = match self.scale {
                true => (2 * machine::cores()).min(lane::MOST_THREADS as usize),
                false => machine::cores().min(16),
            };
            let doubled = iter::successors(Some(1), |threads| Some(2 * threads));
            return doubled.take_while(|threads| *threads <= most).collect();
        }
        let mut threads: Vec<usize> = self.threads.iter().map(|&n| n as usize).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    fn cells(&self) -> Vec<Cell> {
        let wanted = |workload: &&Workload| {
            let is_run = !self.scale || workload.is_scaled();
            is_run && (self.only.is_empty() || self.only.contains(workload))
        };
        let workloads = Workload::value_variants().iter().filter(wanted);
        let mut cells = Vec::new();
        for &workload in workloads {
            let threads = match workload {
                Workload::Latency => vec![2],
                Workload::Memory => vec![1],
                _ => self.threads(),
            };
            let sizes = match self.scale {
                true => &[ENTRIES],
                false => workload.sizes(self.quick),
            };
            for &entries in sizes {
                let cell = |&threads: &usize| Cell {
                    workload,
                    entries,
                    threads,
                };
                cells.extend(threads.iter().map(cell));
            }
        }
        cells
    }

    fn say_head(&self, names: &[Name], versions: &Versions) {
        let Pace {
            rounds,
            lead_in,
            slice,
        } = self.pace();
        println!("{}", machine::describe());
        println!(
            "{rounds} rounds of {slice:?} after {lead_in:?}, seed {}",
            self.seed
        );
        for &name in names {
            println!("{name}: {} {}", name.package(), versions.of(name));
        }
    }
}
