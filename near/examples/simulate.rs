//! A hundred and a thousand processes before one server: who is told how much, and what breaks first. No server is
//! needed: this is a model of one, and of processes whose caches are brimful's.
//!
//! ```sh
//! cargo run --release --manifest-path near/Cargo.toml --example simulate
//! ```
//!
//! A million keys, read by Zipf's law; each process keeps ten thousand. What is counted after a warm-up:
//!
//! - *by keys*: for each key the server remembers who has read it since it was last written, and tells these, once.
//! - *by prefix*: it remembers nothing, and tells every process of every write.
//!
//! Either way a key that is written leaves every memory that has it, so hits are the same, unless the
//! server's table is full: then it forgets a key, and tells that too.

use brimful::unsync::Cache;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use report::chart::{Axis, BLUE, Chart, Series, SeriesLabelPosition, VERMILION};
use report::grouped;
use std::error::Error;
use std::process::ExitCode;

const KEYS: usize = 1_000_000;
const CAPACITY: usize = 10_000;
/// Requests of each process before anything is counted, and those that are.
const WARM_UP: usize = 20_000;
const COUNTED: usize = 5_000;
/// What each process asks for in a second.
const RATE: f64 = 1_000.0;
/// What one server does in a second, of commands and of news, each key counted once; and what its network
/// carries. Round figures for a machine of today: the report is in parts of them.
const COMMANDS: f64 = 150_000.0;
const NEWS: f64 = 1_000_000.0;
const NETWORK: f64 = 125e6;
/// Bytes of a key and what the protocol adds to it, by keys (a message for each) and by prefix (many in one).
const BY_KEYS: f64 = 20.0 + 40.0;
const BY_PREFIX: f64 = 20.0 + 8.0;
/// Bytes of an answer.
const ANSWER: f64 = 250.0;

#[derive(Clone, Copy)]
struct Setup {
    processes: usize,
    /// The part of the requests that write.
    writes: f64,
    /// How many keys the server remembers.
    table: usize,
    /// How many of the keys, the most popular ones, are kept and tracked at all.
    kept: usize,
    /// How long an entry lives, in requests of its process, whatever is written.
    life: Option<usize>,
}

#[derive(Default)]
struct Count {
    reads: u64,
    hits: u64,
    writes: u64,
    /// Told by keys, and how much of that was of no use, since the key had left by then.
    told: u64,
    useless: u64,
    /// Of what was told: since the table was full.
    forgotten: u64,
}

/// Who has read which key since it was last written.
struct Table {
    words: usize,
    readers: Vec<u64>,
    /// The keys that have readers, and where each of them is in that list.
    keys: Vec<u32>,
    places: Vec<u32>,
    pairs: u64,
}

const NOWHERE: u32 = u32::MAX;

impl Table {
    fn new(processes: usize) -> Self {
        let words = processes.div_ceil(64);
        Self {
            words,
            readers: vec![0; words * KEYS],
            keys: Vec::new(),
            places: vec![NOWHERE; KEYS],
            pairs: 0,
        }
    }

    fn add(&mut self, key: usize, process: usize) {
        let word = &mut self.readers[key * self.words + process / 64];
        let bit = 1 << (process % 64);
        self.pairs += u64::from(*word & bit == 0);
        *word |= bit;
        if self.places[key] == NOWHERE {
            self.places[key] = self.keys.len() as u32;
            self.keys.push(key as u32);
        }
    }

    /// Forgets a key, and tells its readers.
    fn take(&mut self, key: usize, mut tell: impl FnMut(usize)) {
        let place = self.places[key];
        if place == NOWHERE {
            return;
        }
        self.places[key] = NOWHERE;
        self.keys.swap_remove(place as usize);
        if let Some(&moved) = self.keys.get(place as usize) {
            self.places[moved as usize] = place;
        }
        for at in 0..self.words {
            let mut word = std::mem::take(&mut self.readers[key * self.words + at]);
            self.pairs -= u64::from(word.count_ones());
            while word != 0 {
                tell(at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

/// What came of a run: counts, and what the table held at its end.
struct Outcome {
    count: Count,
    keys: usize,
    pairs: u64,
}

fn run(setup: Setup) -> Outcome {
    let Setup { processes, .. } = setup;
    let mut random = SmallRng::seed_from_u64(7);
    let popular = Zipf::new(KEYS as f64, 1.0).expect("a law");
    // What is kept is when it was read.
    let mut caches: Vec<_> = (0..processes)
        .map(|_| Cache::<u32, u32>::new(CAPACITY))
        .collect();
    let mut table = Table::new(processes);
    let mut count = Count::default();
    for request in 0..WARM_UP + COUNTED {
        if request == WARM_UP {
            count = Count::default();
        }
        for process in 0..processes {
            let key = popular.sample(&mut random) as usize - 1;
            if random.random_bool(setup.writes) {
                count.writes += 1;
                table.take(key, |reader| {
                    count.told += 1;
                    let had = caches[reader].remove(&(key as u32));
                    count.useless += u64::from(had.is_none());
                });
                continue;
            }
            count.reads += 1;
            let found = caches[process].get(&(key as u32)).copied();
            let lives = |read: u32| {
                setup
                    .life
                    .is_none_or(|life| request - (read as usize) < life)
            };
            if found.is_some_and(lives) {
                count.hits += 1;
            } else if key < setup.kept {
                caches[process].insert(key as u32, request as u32);
                if setup.life.is_none() {
                    table.add(key, process);
                }
            }
            while table.keys.len() > setup.table {
                let forgotten = table.keys[random.random_range(0..table.keys.len())];
                table.take(forgotten as usize, |reader| {
                    count.told += 1;
                    count.forgotten += 1;
                    caches[reader].remove(&forgotten);
                });
            }
        }
    }
    Outcome {
        count,
        keys: table.keys.len(),
        pairs: table.pairs,
    }
}

/// Parts of one server, in percent.
fn loads(setup: &Setup, outcome: &Outcome, told: f64, bytes: f64) -> String {
    let Count {
        reads,
        hits,
        writes,
        ..
    } = outcome.count;
    let second = setup.processes as f64 * RATE / (reads + writes) as f64;
    let misses = (reads - hits) as f64;
    // A miss is two commands in one round trip.
    let commands = second * (2.0 * misses + writes as f64);
    let news = second * told;
    let network = second * (misses * ANSWER + told * bytes);
    let percent = |part: f64, of: f64| format!("{:.0}%", 100.0 * part / of);
    let parts = [
        percent(commands, COMMANDS),
        percent(news, NEWS),
        percent(network, NETWORK),
    ];
    format!("{:>9} {:>9} {:>9}", parts[0], parts[1], parts[2])
}

fn line(name: &str, setup: Setup) -> Outcome {
    let outcome = run(setup);
    let Count {
        reads,
        hits,
        writes,
        told,
        useless,
        forgotten,
    } = outcome.count;
    let of = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let everyone = (writes * setup.processes as u64) as f64;
    let (by_keys, by_prefix) = match setup.life {
        None => (told as f64, everyone),
        Some(_) => (0.0, 0.0),
    };
    println!(
        "{name:<28} {:>5.1}% {:>9} {:>11} {:>8.1} {:>7.0}% {:>8.0} | {} | {}",
        100.0 * of(hits, reads),
        grouped(outcome.keys as u64),
        grouped(outcome.pairs),
        of(told - forgotten, writes),
        100.0 * of(useless, told),
        by_prefix / writes as f64,
        loads(&setup, &outcome, by_keys, BY_KEYS),
        loads(&setup, &outcome, by_prefix, BY_PREFIX),
    );
    outcome
}

fn main() -> ExitCode {
    report::finish(simulate())
}

fn simulate() -> Result<(), Box<dyn Error>> {
    println!(
        "{} keys, {} kept by each process, {RATE} requests a second by each;\n\
         parts of one server: {COMMANDS} commands a second, {NEWS} news, {} MB\n",
        grouped(KEYS as u64),
        grouped(CAPACITY as u64),
        NETWORK / 1e6,
    );
    println!(
        "                                            the table      told of a write             | by keys: parts of a server    | by prefix"
    );
    println!(
        "                               hits      keys       pairs  by keys useless  by prefix | commands      news   network | commands      news   network"
    );
    let setup = |processes, writes| Setup {
        processes,
        writes,
        table: KEYS,
        kept: KEYS,
        life: None,
    };
    for processes in [100, 1_000] {
        for writes in [0.0001, 0.001, 0.01] {
            line(
                &format!("{processes} processes, {}% writes", 100.0 * writes),
                setup(processes, writes),
            );
        }
    }
    println!("\nwhat to do then, of 1000 processes with 0.1% writes:");
    let base = setup(1_000, 0.001);
    line(
        "a table of 100,000 keys",
        Setup {
            table: 100_000,
            ..base
        },
    );
    line(
        "a table of 10,000 keys",
        Setup {
            table: 10_000,
            ..base
        },
    );
    line(
        "only the hottest 10,000",
        Setup {
            kept: 10_000,
            ..base
        },
    );
    line(
        "only the hottest 1,000",
        Setup {
            kept: 1_000,
            ..base
        },
    );
    line(
        "not told, lives of 1 s",
        Setup {
            life: Some(RATE as usize),
            ..base
        },
    );
    line(
        "not told, lives of 10 s",
        Setup {
            life: Some(10 * RATE as usize),
            ..base
        },
    );
    draw(setup)
}

/// How many are told of a write, over the number of processes.
fn draw(setup: impl Fn(usize, f64) -> Setup) -> Result<(), Box<dyn Error>> {
    let numbers = [10, 30, 100, 300, 1_000_usize];
    let told = |processes: usize| {
        let Count { told, writes, .. } = run(setup(processes, 0.001)).count;
        (processes as f64, told as f64 / writes as f64)
    };
    let by_keys = numbers.map(told).to_vec();
    let by_prefix = numbers
        .map(|processes| (processes as f64, processes as f64))
        .to_vec();
    let chart = Chart {
        title: "How many are told of a write".to_owned(),
        subtitle: "a million keys by Zipf's law, 0.1% writes, 10,000 keys kept by each process"
            .to_owned(),
        x: Axis {
            label: "processes".to_owned(),
            from: 10.0,
            to: 1_000.0,
            ticks: numbers.map(|number| number as f64).to_vec(),
            logarithmic: true,
            format: report::chart::plain,
        },
        y: Axis {
            label: "told".to_owned(),
            from: 1.0,
            to: 1_000.0,
            ticks: vec![1.0, 10.0, 100.0, 1_000.0],
            logarithmic: true,
            format: report::chart::plain,
        },
        series: vec![
            Series {
                name: "by prefix".to_owned(),
                color: VERMILION,
                points: by_prefix,
            },
            Series {
                name: "by keys".to_owned(),
                color: BLUE,
                points: by_keys,
            },
        ],
        dots: true,
        legend: SeriesLabelPosition::UpperLeft,
    };
    let path = report::default_path("simulate.svg");
    chart.write_svg(&path)?;
    println!("\ndrawn: {}", path.display());
    Ok(())
}
