//! The race: each policy at each capacity is one heat, a fresh cache driven through the whole
//! trace, get-else-insert.

use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Lru, Policy, S3Fifo, Sieve};
use brimful::{BuildError, Cache, Cause, Entries, Form, Weight};
use clap::ValueEnum;
use trace::Trace;
use workers::side_by_side;

/// The policies to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runner {
    Duel,
    Lru,
    Fifo,
    Sieve,
    S3Fifo,
    Lfu,
    Gdsf,
}

impl Runner {
    /// The name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Duel => "duel",
            Self::Lru => "lru",
            Self::Fifo => "fifo",
            Self::Sieve => "sieve",
            Self::S3Fifo => "s3-fifo",
            Self::Lfu => "lfu",
            Self::Gdsf => "gdsf",
        }
    }
}

/// The rules that all heats share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether a capacity is in units of weight; else it is in entries.
    pub weighed: bool,
    /// The number of shards, where it is not the cache's own choice.
    pub shards: Option<usize>,
}

/// One policy at one capacity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heat {
    pub runner: Runner,
    pub capacity: u64,
}

/// What came of a heat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    pub hits: u64,
    /// The share of requests that hit.
    pub ratio: f64,
    /// The share of what was asked for, by size, that hit.
    pub ratio_by_size: f64,
    pub evictions: u64,
    /// Evictions of entries that were never hit.
    pub never_hit: u64,
    pub shards: usize,
}

/// Runs all heats, as many at a time as the machine has cores; the scores come in the order of the
/// heats.
pub(crate) fn run(
    trace: &Trace,
    heats: &[Heat],
    rules: Rules,
    done: impl Fn() + Sync,
) -> Result<Vec<Score>, BuildError> {
    let scores = side_by_side(heats, |&heat| {
        let score = run_one(trace, heat, rules);
        done();
        score
    });
    scores.into_iter().collect()
}

fn run_one(trace: &Trace, heat: Heat, rules: Rules) -> Result<Score, BuildError> {
    match heat.runner {
        Runner::Duel => build_and_drive::<Duel>(trace, heat.capacity, rules),
        Runner::Lru => build_and_drive::<Lru>(trace, heat.capacity, rules),
        Runner::Fifo => build_and_drive::<Fifo>(trace, heat.capacity, rules),
        Runner::Sieve => build_and_drive::<Sieve>(trace, heat.capacity, rules),
        Runner::S3Fifo => build_and_drive::<S3Fifo>(trace, heat.capacity, rules),
        Runner::Lfu => build_and_drive::<Lfu>(trace, heat.capacity, rules),
        Runner::Gdsf => build_and_drive::<Gdsf>(trace, heat.capacity, rules),
    }
}

fn build_and_drive<P: Policy>(
    trace: &Trace,
    capacity: u64,
    rules: Rules,
) -> Result<Score, BuildError> {
    if rules.weighed {
        let builder = Cache::builder(Weight(capacity, |_: &u64, size: &u64| *size)).policy::<P>();
        let builder = rules
            .shards
            .into_iter()
            .fold(builder, |b, shards| b.shards(shards));
        Ok(drive(trace, &builder.build()?))
    } else {
        let entries = usize::try_from(capacity).unwrap_or(usize::MAX);
        let builder = Cache::<u64, u64>::builder(Entries(entries)).policy::<P>();
        let builder = rules
            .shards
            .into_iter()
            .fold(builder, |b, shards| b.shards(shards));
        Ok(drive(trace, &builder.build()?))
    }
}

/// Every request is a read: a hit, or a miss that puts the key in.
fn drive<F: Form>(trace: &Trace, cache: &Cache<u64, u64, F>) -> Score {
    let (mut hits, mut size_hit, mut size_asked) = (0_u64, 0_u128, 0_u128);
    for request in &trace.requests {
        size_asked += u128::from(request.size);
        if cache.get(&request.key).is_some() {
            hits += 1;
            size_hit += u128::from(request.size);
        } else {
            cache.insert(request.key, request.size);
        }
    }
    let statistics = cache.stats();
    Score {
        hits,
        ratio: hits as f64 / trace.requests.len() as f64,
        ratio_by_size: size_hit as f64 / size_asked.max(1) as f64,
        evictions: statistics.departures(Cause::Evicted),
        never_hit: statistics.evicted_unhit(),
        shards: cache.shards(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::Recorder;

    fn trace(requests: impl IntoIterator<Item = (u64, u64)>) -> Trace {
        let mut recorder = Recorder::new(true);
        requests
            .into_iter()
            .for_each(|(key, size)| recorder.push(&key.to_le_bytes(), size));
        recorder.finish()
    }

    fn scores(trace: &Trace, capacity: u64, weighed: bool) -> Vec<Score> {
        let heats: Vec<_> = Runner::value_variants()
            .iter()
            .map(|&runner| Heat { runner, capacity })
            .collect();
        run(
            trace,
            &heats,
            Rules {
                weighed,
                shards: Some(1),
            },
            || (),
        )
        .unwrap()
    }

    #[test]
    fn a_circle_wider_than_the_cache_never_hits_in_lru_and_fifo() {
        let circle = trace((0..1_000).map(|i| (i % 11, 1)));
        let scores = scores(&circle, 10, false);
        for (runner, score) in Runner::value_variants().iter().zip(scores) {
            let all_in_vain = (score.hits, score.evictions, score.never_hit) == (0, 990, 990);
            let in_vain = matches!(runner, Runner::Lru | Runner::Fifo);
            assert!(all_in_vain || !in_vain, "{runner:?}: {score:?}");
            assert!(score.hits > 0 || *runner != Runner::Duel);
        }
    }

    #[test]
    fn what_fits_hits_from_the_second_round_on() {
        let circle = trace((0..1_000).map(|i| (i % 10, 1)));
        for score in scores(&circle, 10, false) {
            assert_eq!((score.hits, score.evictions, score.shards), (990, 0, 1));
            assert!((score.ratio - 0.99).abs() < 1e-9);
        }
    }

    #[test]
    fn a_weighed_cache_counts_sizes() {
        let sized = trace((0..1_000).map(|i| (i % 10, if i % 10 == 0 { 91 } else { 1 })));
        for score in scores(&sized, 100, true) {
            assert_eq!((score.hits, score.evictions), (990, 0));
        }
        // The heavy key is refused each time, the others stay.
        for score in scores(&sized, 90, true) {
            assert_eq!((score.hits, score.evictions), (99 * 9, 0));
            assert!((score.ratio_by_size - 0.0891).abs() < 1e-9);
        }
    }

    #[test]
    fn a_cache_that_cannot_be_built_is_an_error() {
        let heats = [Heat {
            runner: Runner::Lru,
            capacity: 1,
        }];
        assert!(
            run(
                &trace([(1, 1)]),
                &heats,
                Rules {
                    weighed: false,
                    shards: Some(0)
                },
                || ()
            )
            .is_err()
        );
    }
}
