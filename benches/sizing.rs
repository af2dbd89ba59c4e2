//! How near is the curve that a running cache draws (`Cache::sizing`) to what caches of those
//! capacities score?
//!
//! ```text
//! cargo bench -p benches --bench sizing -- FOLDER    every policy over every trace of a folder
//! cargo bench -p benches --bench sizing              over three traces made here, in seconds
//! ```
//!
//! Each trace is driven, get-else-insert, through a cache that tells its sizing and beside it through
//! three of a half, twice and four times the capacity, of the same policy. The capacities are 1, 5 and 20 %
//! of the trace's unique keys, and of their sizes where it has any. What those three hit ages as the
//! figures of the first do, and the two are compared at the end. The worst cell is drawn.

use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{Cache, Capacity, Entries, Form, Sampling, Sizing, Weight};
use std::fmt::Write;
use std::fs;
use trace::input::{self, Form as Format};
use trace::{Recorder, Request, Trace};

const SHARES: [f64; 3] = [0.01, 0.05, 0.2];

/// Smaller caches are left out.
const LEAST: u64 = 64;

/// So often the figures are looked at, to see them age.
const EACH: usize = 512;

/// Hits with a half, twice and four times the capacity, of so many look-ups.
#[derive(Default)]
struct Truth {
    hits: [f64; 3],
    looked_up: f64,
}

/// What one cache said at one capacity, and what was true.
struct Cell {
    name: String,
    sizing: Sizing,
    truth: [f64; 3],
}

impl Cell {
    /// How far each figure is from the truth, in points.
    fn errors(&self) -> [f64; 3] {
        let told = [0, 2, 3].map(|index| {
            self.sizing
                .iter()
                .nth(index)
                .map_or(0.0, |(_, ratio)| ratio)
        });
        std::array::from_fn(|index| 100.0 * (told[index] - self.truth[index]))
    }

    fn worst(&self) -> f64 {
        self.errors().into_iter().map(f64::abs).fold(0.0, f64::max)
    }
}

fn get_else_insert<F: Form>(cache: &Cache<u64, u64, F>, request: &Request) -> bool {
    let hit = cache.get(&request.key).is_some();
    if !hit {
        cache.insert(request.key, request.size);
    }
    hit
}

fn compare<F: Form, G: Sampling>(
    requests: &[Request],
    sampled: Cache<u64, u64, G>,
    others: [Cache<u64, u64, F>; 3],
) -> (Sizing, [f64; 3]) {
    let (mut truth, mut before) = (Truth::default(), 0);
    for (n, request) in requests.iter().enumerate() {
        get_else_insert(&sampled, request);
        for (cache, hits) in others.iter().zip(&mut truth.hits) {
            *hits += f64::from(u8::from(get_else_insert(cache, request)));
        }
        truth.looked_up += 1.0;
        if n % EACH == 0 {
            let now = sampled.sizing().sampled();
            if now < before {
                truth.hits.iter_mut().for_each(|hits| *hits /= 2.0);
                truth.looked_up /= 2.0;
            }
            before = now;
        }
    }
    (
        sampled.sizing(),
        truth.hits.map(|hits| hits / truth.looked_up),
    )
}

fn cell<P: Policy, C: Capacity<u64, u64>>(
    name: String,
    requests: &[Request],
    capacity: impl Fn(u64) -> C,
    bound: u64,
) -> Cell {
    let other = |bound| {
        Cache::builder(capacity(bound))
            .policy::<P>()
            .build()
            .expect("plain")
    };
    let sampled = Cache::builder(capacity(bound)).policy::<P>().sizing();
    let sampled = sampled.build().expect("plain");
    let others = [bound / 2, bound * 2, bound * 4].map(other);
    let (sizing, truth) = compare(requests, sampled, others);
    Cell {
        name,
        sizing,
        truth,
    }
}

/// All cells of one policy.
fn cells<P: Policy>(name: &str, trace: &Trace) -> Vec<Cell> {
    let mut cells = Vec::new();
    for share in SHARES {
        let bound = (trace.unique as f64 * share) as u64;
        if bound >= LEAST {
            let name = format!("{name}, {bound} entries");
            let entries = |bound| Entries(bound as usize);
            cells.push(cell::<P, _>(name, &trace.requests, entries, bound));
        }
        if bound >= LEAST && trace.sized {
            let bytes = (trace.unique_size as f64 * share) as u64;
            let name = format!("{name}, {bytes} bytes");
            let weight = |bound| Weight(bound, |_: &u64, size: &u64| *size);
            cells.push(cell::<P, _>(name, &trace.requests, weight, bytes));
        }
    }
    cells
}

type Cells = fn(&str, &Trace) -> Vec<Cell>;

const POLICIES: [(&str, Cells); 7] = [
    ("duel", cells::<Duel>),
    ("s3-fifo", cells::<S3Fifo>),
    ("sieve", cells::<Sieve>),
    ("lru", cells::<Lru>),
    ("fifo", cells::<Fifo>),
    ("lfu", cells::<Lfu>),
    ("gdsf", cells::<Gdsf>),
];

/// What all cells of a policy come to.
fn summary(policy: &str, cells: &[Cell]) -> String {
    let mut errors: Vec<f64> = cells.iter().flat_map(Cell::errors).map(f64::abs).collect();
    errors.sort_by(f64::total_cmp);
    let within = errors.iter().filter(|&&error| error <= 2.0).count();
    let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    let worst = errors.last().copied().unwrap_or(0.0);
    let share = 100.0 * within as f64 / errors.len().max(1) as f64;
    let mut text = format!(
        "{policy:>8}: {} figures, mean error {mean:.2} points, within 2 points {share:.1} %, worst {worst:.1}\n",
        errors.len()
    );
    for cell in cells.iter().filter(|cell| cell.worst() > 2.0) {
        let [half, twice, four] = cell.errors();
        let _ = writeln!(
            text,
            "          {}: {half:+.1} {twice:+.1} {four:+.1}",
            cell.name
        );
    }
    text
}

/// The folder's traces, or some made here, of so many requests.
fn traces(folder: Option<&str>, requests: u64) -> Vec<(String, Trace)> {
    let Some(folder) = folder else {
        return made(requests);
    };
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains(".btr"))
        .collect();
    paths.sort();
    let named = |path: std::path::PathBuf| {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = file.split(".btr").next().unwrap_or_default().to_owned();
        (
            name,
            input::read(&path, Format::default()).expect("a trace"),
        )
    };
    paths.into_iter().map(named).collect()
}

/// Keys of which the low are the more popular; the same with scans; a loop.
fn made(requests: u64) -> Vec<(String, Trace)> {
    const KEYS: u64 = 40_000;
    let mut state = 1_u64;
    let mut popular = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
        (KEYS as f64).powf(uniform) as u64
    };
    let mut make = |name: &str, key: &mut dyn FnMut(u64, u64) -> u64| {
        let mut recorder = Recorder::new(true);
        for n in 0..requests {
            let key = key(n, popular());
            let size = 1 + key.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000;
            recorder.push(&key.to_le_bytes(), size);
        }
        (name.to_owned(), recorder.finish())
    };
    vec![
        make("popular", &mut |_, key| key),
        make("scans", &mut |n, key| {
            if n % 1_000 < 200 { KEYS + n } else { key }
        }),
        make("loop", &mut |n, _| n % 20_000),
    ]
}

fn main() {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let folder = folder.filter(|folder| fs::metadata(folder).is_ok_and(|found| found.is_dir()));
    let only = std::env::var("BRIMFUL_POLICY").ok();
    // `--test` asks whether it works, no more.
    let is_test = std::env::args().any(|arg| arg == "--test");
    let traces = traces(folder.as_deref(), if is_test { 4_000 } else { 400_000 });
    let mut worst: Option<Cell> = None;
    for (policy, run) in POLICIES
        .iter()
        .filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
    {
        let all = traces.iter().flat_map(|(name, trace)| run(name, trace));
        let all: Vec<Cell> = all.collect();
        print!("{}", summary(policy, &all));
        let candidate = all
            .into_iter()
            .max_by(|a, b| a.worst().total_cmp(&b.worst()));
        worst = worst
            .into_iter()
            .chain(candidate)
            .max_by(|a, b| a.worst().total_cmp(&b.worst()));
    }
    if let Some(Cell {
        name,
        sizing,
        truth,
    }) = worst
    {
        println!(
            "\nThe worst, {name}; in truth {:.1?} % with half, twice, 4 times:",
            truth.map(|ratio| 100.0 * ratio)
        );
        println!("{sizing}");
    }
}
