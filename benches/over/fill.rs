//! Caches to run over.

use super::keys::scatter;
use brimful::policy::Policy;
use brimful::{Cache, Entries};
use std::hash::Hash;

pub(crate) fn cache<K, V, P: Policy>(entries: u64) -> Cache<K, V, P> {
    Cache::builder(Entries(entries as usize))
        .policy::<P>()
        .build()
        .expect("a plain configuration")
}

/// A cache of so many entries, full of those of the numbers below.
pub(crate) fn filled<K: Hash + Eq, V, P: Policy>(
    entries: u64,
    entry: impl Fn(u64) -> (K, V),
) -> Cache<K, V, P> {
    let cache = cache(entries);
    cache.extend((0..entries).map(entry));
    cache
}

/// Does an operation at so many positions that no measurement comes to, so that
/// what is measured has settled.
pub(crate) fn drive(count: u64, operation: impl Fn(u64)) {
    (0..count).for_each(|n| operation(!n));
}

/// A number of entries as the names of benches have it: `10k`.
pub(crate) fn short(entries: u64) -> String {
    match entries {
        0..1_000 => entries.to_string(),
        1_000..1_000_000 => format!("{}k", entries / 1_000),
        _ => format!("{}M", entries / 1_000_000),
    }
}
