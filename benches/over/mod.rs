//! What the benches run over: each policy, a filled cache, cheap keys.

#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each bench uses its part"
)]

use brimful::policy::Policy;
use brimful::{Cache, Entries};

pub(crate) const CAPACITY: u64 = 100_000;

/// Runs a block once for each policy, as type `$policy` with name `$name`.
macro_rules! each_policy {
    ($policy:ident, $name:ident => $block:block) => {{
        each_policy!(@one brimful::policy::Duel, "duel", $policy, $name, $block);
        each_policy!(@one brimful::policy::S3Fifo, "s3-fifo", $policy, $name, $block);
        each_policy!(@one brimful::policy::Sieve, "sieve", $policy, $name, $block);
        each_policy!(@one brimful::policy::Lru, "lru", $policy, $name, $block);
        each_policy!(@one brimful::policy::Fifo, "fifo", $policy, $name, $block);
        each_policy!(@one brimful::policy::Lfu, "lfu", $policy, $name, $block);
        each_policy!(@one brimful::policy::Gdsf, "gdsf", $policy, $name, $block);
    }};
    (@one $type:ty, $text:literal, $policy:ident, $name:ident, $block:block) => {{
        type $policy = $type;
        let $name = $text;
        $block
    }};
}
pub(crate) use each_policy;

/// A walk over all of `0..2^64` in odd steps: cheap, and neighbours in time are
/// no neighbours in a table.
pub(crate) struct Keys(u64);

impl Default for Keys {
    fn default() -> Self {
        Self::of(1)
    }
}

impl Keys {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed ^ mixed >> 32
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// A cache of [`CAPACITY`] entries, full of the keys below it.
pub(crate) fn filled<P: Policy>() -> Cache<u64, u64, P> {
    let cache = Cache::builder(Entries(CAPACITY as usize)).policy::<P>();
    let cache = cache.build().expect("a plain configuration");
    cache.extend((0..CAPACITY).map(|key| (key, key)));
    cache
}

pub(crate) fn say_hit_ratio<P: Policy>(bench: &str, cache: &Cache<u64, u64, P>) {
    let stats = cache.stats();
    let ratio = stats.hit_ratio().unwrap_or(f64::NAN);
    println!(
        "{bench}: hit ratio {ratio:.3}, {} of {CAPACITY} entries",
        stats.len()
    );
}
