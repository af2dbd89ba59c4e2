//! The crate's policies, and how each is driven: get, and on a miss insert, through both doors.

use std::hash::{BuildHasher, Hasher};

use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{BuildError, Cache, Capacity, Entries, Weight, unsync};
use trace::Request;

use crate::cell::{Score, Unit};

/// Every policy of the crate. A new one is one line here.
pub(crate) const POLICIES: &[Contestant] = &[
    Contestant::new::<Duel>("duel"),
    Contestant::new::<S3Fifo>("s3-fifo"),
    Contestant::new::<Sieve>("sieve"),
    Contestant::new::<Lru>("lru"),
    Contestant::new::<Fifo>("fifo"),
    Contestant::new::<Lfu>("lfu"),
    Contestant::new::<Gdsf>("gdsf"),
];

/// What is driven, and with how much room.
#[derive(Clone, Copy)]
pub(crate) struct Ride<'a> {
    pub requests: &'a [Request],
    pub unit: Unit,
    pub bound: u64,
    pub hashing: Hashing,
}

/// Drives a fresh cache.
pub(crate) type Drive = fn(Ride<'_>) -> Result<Score, BuildError>;

/// One policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    pub name: &'static str,
    /// Through `Cache` with as many shards as it chooses.
    pub cache: Drive,
    /// Through `unsync::Cache`.
    pub unsync: Drive,
}

impl Contestant {
    const fn new<P: Policy>(name: &'static str) -> Self {
        Self {
            name,
            cache: |ride| through_cache::<P>(ride, None),
            unsync: through_unsync::<P>,
        }
    }
}

/// The crate's `Lru` in one shard of a `Cache`, which is LRU to the request.
pub(crate) fn exact_cache(ride: Ride<'_>) -> Result<Score, BuildError> {
    through_cache::<Lru>(ride, Some(1))
}

/// The crate's `Lru` in an `unsync::Cache`.
pub(crate) fn exact_unsync(ride: Ride<'_>) -> Result<Score, BuildError> {
    through_unsync::<Lru>(ride)
}

fn through_cache<P: Policy>(ride: Ride<'_>, shards: Option<usize>) -> Result<Score, BuildError> {
    match ride.unit {
        Unit::Entries => shared::<P, _>(ride, ride.entries(), shards),
        Unit::Bytes => shared::<P, _>(ride, ride.bytes(), shards),
    }
}

fn through_unsync<P: Policy>(ride: Ride<'_>) -> Result<Score, BuildError> {
    match ride.unit {
        Unit::Entries => alone::<P, _>(ride, ride.entries()),
        Unit::Bytes => alone::<P, _>(ride, ride.bytes()),
    }
}

fn shared<P: Policy, C: Capacity<u64, u64>>(
    ride: Ride<'_>,
    capacity: C,
    shards: Option<usize>,
) -> Result<Score, BuildError> {
    let builder = Cache::builder(capacity).policy::<P>().hasher(ride.hashing);
    let cache = match shards {
        Some(shards) => builder.shards(shards).build()?,
        None => builder.build()?,
    };
    Ok(drive(ride.requests, |&Request { key, size }| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        hit
    }))
}

fn alone<P: Policy, C: Capacity<u64, u64>>(
    ride: Ride<'_>,
    capacity: C,
) -> Result<Score, BuildError> {
    let builder = unsync::Cache::builder(capacity).policy::<P>();
    let mut cache = builder.hasher(ride.hashing).build_unsync()?;
    Ok(drive(ride.requests, |&Request { key, size }| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        hit
    }))
}

/// Scores what `ask` says of each request: whether it hit.
fn drive(requests: &[Request], mut ask: impl FnMut(&Request) -> bool) -> Score {
    let mut score = Score::default();
    for request in requests {
        let hit = ask(request);
        score.count(request, hit);
    }
    score
}

impl Ride<'_> {
    fn entries(self) -> Entries {
        Entries(usize::try_from(self.bound).unwrap_or(usize::MAX))
    }

    fn bytes(self) -> Weight<fn(&u64, &u64) -> u64> {
        Weight(self.bound, |_, size| *size)
    }
}

/// A seeded hasher, so that a run can be repeated to the request: the crate's own draws its seeds
/// anew for each cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashing(pub u64);

impl BuildHasher for Hashing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The state of one hash: SplitMix64, word by word.
#[derive(Clone, Debug)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.0 = mixed ^ mixed >> 31;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
