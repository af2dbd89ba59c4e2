//! The service of the story, once with the map that leaked for months and once with brimful. Each
//! copy runs in a process of its own, so that its resident memory is its own, and tells what it
//! sees, line by line, on standard output.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use brimful::Cache;
use clap::ValueEnum;

use crate::curve::Sample;

/// What to say where resident memory cannot be read.
pub(crate) const NO_RESIDENT: &str = "this platform does not tell the resident memory of a \
    process, and without it there is no curve to draw";

/// How often a service tells its memory during its run.
pub(crate) const SAMPLES: u64 = 200;

/// What a copy of the service keeps its contexts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    Map,
    Brimful,
}

impl Store {
    /// Both, in the order in which they are shown.
    pub(crate) const BOTH: [Self; 2] = [Self::Map, Self::Brimful];

    /// The word for it, also on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Brimful => "brimful",
        }
    }
}

/// What the service keeps about a request while it handles it.
struct Context {
    user: String,
    route: String,
    headers: Vec<u8>,
}

/// Where the contexts are kept: code to add, code to read, and none to remove.
trait Contexts {
    fn add(&self, id: String, context: Context);
    fn read<R>(&self, id: &str, look: impl FnOnce(&Context) -> R) -> Option<R>;
    fn entries(&self) -> usize;
}

impl Contexts for Mutex<HashMap<String, Context>> {
    fn add(&self, id: String, context: Context) {
        self.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, context);
    }

    fn read<R>(&self, id: &str, look: impl FnOnce(&Context) -> R) -> Option<R> {
        self.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .map(look)
    }

    fn entries(&self) -> usize {
        self.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Contexts for Cache<String, Context> {
    fn add(&self, id: String, context: Context) {
        self.insert(id, context);
    }

    fn read<R>(&self, id: &str, look: impl FnOnce(&Context) -> R) -> Option<R> {
        self.view(id, |_, context| look(context))
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

/// Handles one request: the way in notes its context under its id, the way out reads it for the
/// access log.
fn handle(contexts: &impl Contexts, number: u64) -> usize {
    let id = format!("{:016x}{:016x}", scatter(number), scatter(!number));
    let draw = scatter(number ^ 0x5eed);
    let context = Context {
        user: format!("user-{}@example.org", draw % 100_000),
        route: format!("/shops/{}/orders/{}", draw % 977, draw % 1_000_003),
        headers: vec![b'h'; 64 + (draw >> 32) as usize % 256],
    };
    contexts.add(id.clone(), context);
    let logged = contexts.read(&id, |c| c.user.len() + c.route.len() + c.headers.len());
    logged.unwrap_or(0)
}

/// A bijection on `u64` that looks random (the finisher of splitmix64), so that request ids are
/// unique.
fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Resident memory of this process in bytes, where the platform tells it.
pub(crate) fn resident() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// Runs one copy to its end. Its lines: `sample N N N` for each sample, then `diff TEXT` for the
/// difference between two looks at its statistics, halfway and at the end.
pub(crate) fn run(store: Store, requests: u64, capacity: usize) -> Result<(), Box<dyn Error>> {
    match store {
        Store::Map => {
            let map = Mutex::new(HashMap::new());
            let before = serve(&map, requests, || map.entries())?;
            tell_diff(map_diff(before, map.entries()))
        }
        Store::Brimful => {
            let cache = Cache::<String, Context>::new(capacity);
            let before = serve(&cache, requests, || cache.stats())?;
            tell_diff(&cache.stats() - &before)
        }
    }
}

/// What a map has for statistics: how many entries there are. The rest follows from the code, where
/// each request adds one and nothing takes one out. In brimful's form, so that the two can be
/// compared.
fn map_diff(before: usize, after: usize) -> String {
    let grown = after as i128 - before as i128;
    format!(
        "{:<17}{grown:>+15}   ({before} -> {after})\n{:<17}{:>+15}   (0 -> 0)",
        "entries", "removed", 0
    )
}

/// Handles all the requests and tells the samples; gives back what `snapshot` saw halfway.
fn serve<T>(
    contexts: &impl Contexts,
    requests: u64,
    snapshot: impl Fn() -> T,
) -> Result<T, Box<dyn Error>> {
    let mut halfway = None;
    let mut handled = 0;
    for sample in 0..=SAMPLES {
        let until = (u128::from(requests) * u128::from(sample) / u128::from(SAMPLES)) as u64;
        for number in handled..until {
            std::hint::black_box(handle(contexts, number));
        }
        handled = until;
        let resident = resident().ok_or(NO_RESIDENT)?;
        let entries = contexts.entries() as u64;
        tell(
            "sample",
            Sample {
                requests: handled,
                resident,
                entries,
            },
        )?;
        if sample == SAMPLES / 2 {
            halfway = Some(snapshot());
        }
    }
    halfway.ok_or_else(|| "the run had no middle".into())
}

fn tell(what: &str, text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what} {text}")?;
    out.flush()
}

fn tell_diff(diff: impl std::fmt::Display) -> Result<(), Box<dyn Error>> {
    for line in diff.to_string().lines() {
        tell("diff", line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_keeps_every_request_and_the_cache_no_more_than_its_capacity() {
        let map = Mutex::new(HashMap::new());
        let cache = Cache::<String, Context>::new(50);
        for number in 0..1_000 {
            assert_eq!(handle(&map, number), handle(&cache, number));
        }
        assert_eq!((map.entries(), cache.entries()), (1_000, 50));
    }
}
