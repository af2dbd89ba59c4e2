//! The service of the story, four times: with the map that leaked for months, with a cache, with
//! entries that leave with their request, and with values that somebody else holds. Each copy runs in
//! a process of its own, so that its resident memory is its own, and tells what it sees, line by
//! line, on standard output.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use brimful::{Cache, Cause, Entries, Held, Tracked};
use clap::ValueEnum;
use report::grouped;

use crate::curve::Sample;

/// What to say where resident memory cannot be read.
pub(crate) const NO_RESIDENT: &str = "this platform does not tell the resident memory of a \
    process, and without it there is no curve to draw";

/// How often a service tells its memory during its run.
pub(crate) const SAMPLES: u64 = 200;

/// What a copy of the service keeps its contexts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// What leaked: nothing takes an entry out.
    Map,
    /// A cache, which is full to the brim and evicts.
    Cache,
    /// A cache whose entries leave with the request that brought them.
    Scope,
    /// A cache whose values an audit trail holds after they have left: the subtler trap.
    Held,
}

impl Store {
    /// All, in the order in which they are shown.
    pub(crate) const ALL: [Self; 4] = [Self::Map, Self::Cache, Self::Scope, Self::Held];

    /// The word for it, also on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Cache => "cache",
            Self::Scope => "scope",
            Self::Held => "held",
        }
    }
}

/// What the service keeps about a request while it handles it.
struct Context {
    user: String,
    route: String,
    headers: Vec<u8>,
}

impl Context {
    /// What the access log takes of it.
    fn logged(&self) -> usize {
        self.user.len() + self.route.len() + self.headers.len()
    }
}

/// Where the contexts are kept while requests are handled.
trait Contexts {
    /// One request: the way in notes its context under its id, the way out reads it for the access
    /// log.
    fn handle(&self, id: String, context: Context) -> usize;

    fn entries(&self) -> usize;
}

impl Contexts for Mutex<HashMap<String, Context>> {
    /// Code to add, code to read, and none to remove.
    fn handle(&self, id: String, context: Context) -> usize {
        let lock = || self.lock().unwrap_or_else(PoisonError::into_inner);
        lock().insert(id.clone(), context);
        lock().get(&id).map_or(0, Context::logged)
    }

    fn entries(&self) -> usize {
        self.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Contexts for Cache<String, Context> {
    /// The same code: the cache removes.
    fn handle(&self, id: String, context: Context) -> usize {
        self.insert(id.clone(), context);
        self.view(&id, |_, context| context.logged()).unwrap_or(0)
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

impl Contexts for Cache<String, Context, Tracked> {
    /// One line more, and the entry leaves at the end of this function, whichever way that ends.
    fn handle(&self, id: String, context: Context) -> usize {
        let scope = self.scope();
        scope.insert(id.clone(), context);
        self.view(&id, |_, context| context.logged()).unwrap_or(0)
    }

    fn entries(&self) -> usize {
        self.len()
    }
}

/// A cache, and an audit trail that keeps each tenth context for ever.
struct Audited {
    contexts: Cache<String, Held<Context>>,
    trail: Mutex<Vec<Held<Context>>>,
}

impl Contexts for Audited {
    fn handle(&self, id: String, context: Context) -> usize {
        self.contexts.insert(id.clone(), Held::new(context));
        let Some(context) = self.contexts.get(&id) else {
            return 0;
        };
        let logged = context.logged();
        if id.ends_with(['0', '1']) {
            let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
            trail.push(context);
        }
        logged
    }

    fn entries(&self) -> usize {
        self.contexts.len()
    }
}

/// The id of a request.
fn id(number: u64) -> String {
    format!("{:016x}{:016x}", scatter(number), scatter(!number))
}

/// Handles one request.
fn handle(contexts: &impl Contexts, number: u64) -> usize {
    let draw = scatter(number ^ 0x5eed);
    let context = Context {
        user: format!("user-{}@example.org", draw % 100_000),
        route: format!("/shops/{}/orders/{}", draw % 977, draw % 1_000_003),
        headers: vec![b'h'; 64 + (draw >> 32) as usize % 256],
    };
    contexts.handle(id(number), context)
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
/// difference between two looks at its statistics, halfway and at the end, then `answer TEXT`: who
/// removes an entry of it, and when, as far as it can be asked.
pub(crate) fn run(store: Store, requests: u64, capacity: usize) -> Result<(), Box<dyn Error>> {
    let builder = || Entries(capacity);
    match store {
        Store::Map => {
            let map = Mutex::new(HashMap::new());
            let before = serve(&map, requests, || map.entries())?;
            tell_all("diff", map_diff(before, map.entries()))?;
            tell_all(
                "answer",
                format!("{} entries, and no call to ask", map.entries()),
            )
        }
        Store::Cache => {
            let cache: Cache<String, Context> = Cache::builder(builder()).named("cache").build()?;
            let before = serve(&cache, requests, || cache.stats())?;
            tell_all("diff", &cache.stats() - &before)?;
            tell_all("answer", causes(|cause| cache.stats().departures(cause)))?;
            tell_all(
                "answer",
                format!("the last: {}", cache.explain(&id(requests - 1))),
            )
        }
        Store::Scope => {
            let cache: Cache<String, Context, Tracked> =
                Cache::builder(builder()).named("scope").tracked().build()?;
            let before = serve(&cache, requests, || cache.stats())?;
            tell_all("diff", &cache.stats() - &before)?;
            tell_all("answer", causes(|cause| cache.stats().departures(cause)))?;
            let scopes = cache.stats().scopes().unwrap_or_default();
            let (open, entries) = (scopes.open, scopes.entries);
            tell_all(
                "answer",
                format!("{open} scopes are open, with {entries} entries"),
            )
        }
        Store::Held => {
            let audited = Audited {
                contexts: Cache::builder(builder())
                    .named("held")
                    .lingering()
                    .build()?,
                trail: Mutex::new(Vec::new()),
            };
            let cache = &audited.contexts;
            let before = serve(&audited, requests, || cache.stats())?;
            let growth = &cache.stats() - &before;
            tell_all("diff", &growth)?;
            tell_all("answer", causes(|cause| cache.stats().departures(cause)))?;
            for finding in growth.findings() {
                tell_all("answer", finding)?;
            }
            for oldest in cache.lingering(1) {
                let (cause, since, holders) = (oldest.cause, oldest.since, oldest.holders);
                tell_all(
                    "answer",
                    format!("the oldest: {cause} {since:.1?} ago, held by {holders}"),
                )?;
            }
            Ok(())
        }
    }
}

/// What has removed entries so far.
fn causes(departures: impl Fn(Cause) -> u64) -> String {
    let counted = Cause::ALL.map(|cause| (cause, departures(cause)));
    let some = counted.into_iter().filter(|&(_, entries)| entries > 0);
    let texts: Vec<String> = some
        .map(|(cause, entries)| format!("{} {cause}", grouped(entries)))
        .collect();
    texts.join(", ")
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

fn tell_all(what: &str, text: impl std::fmt::Display) -> Result<(), Box<dyn Error>> {
    for line in text.to_string().lines() {
        tell(what, line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_keeps_every_request_and_the_caches_do_not() {
        let map = Mutex::new(HashMap::new());
        let cache = Cache::<String, Context>::new(50);
        let scoped: Cache<String, Context, Tracked> =
            Cache::builder(Entries(50)).tracked().build().unwrap();
        let audited = Audited {
            contexts: Cache::builder(Entries(50)).lingering().build().unwrap(),
            trail: Mutex::new(Vec::new()),
        };
        for number in 0..1_000 {
            let logged = handle(&map, number);
            assert_eq!(handle(&cache, number), logged);
            assert_eq!(handle(&scoped, number), logged);
            assert_eq!(handle(&audited, number), logged);
        }
        assert_eq!((map.entries(), cache.entries()), (1_000, 50));
        assert_eq!((scoped.entries(), audited.entries()), (0, 50));
        let trail = audited.trail.lock().unwrap().len() as u64;
        let lingering = audited.contexts.stats().lingering().unwrap().values;
        assert!(trail > 50 && lingering <= trail && lingering + 50 >= trail);
        let words = causes(|cause| scoped.stats().departures(cause));
        assert_eq!(words, "1,000 scope ended");
    }
}
