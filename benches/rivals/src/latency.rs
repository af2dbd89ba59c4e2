//! How long a single operation takes: interleaved as all else, each operation
//! between two looks at the clock. Their own time, some 20 to 50 ns, is in every
//! figure; nothing is subtracted.

use field::name::Name;
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::entrant::Entrant;
use crate::round::Pace;
use crate::row::{Cell, Row};
use crate::watch::histogram;

/// Drives all of them; a row for each.
pub(crate) fn race(
    cell: Cell,
    entrants: &[Entrant],
    pace: Pace,
    rng: &mut StdRng,
    version: impl Fn(Name) -> String,
) -> Vec<Row> {
    let mut sums = vec![histogram(); entrants.len()];
    let mut order: Vec<usize> = (0..entrants.len()).collect();
    for _ in 0..pace.rounds {
        order.shuffle(rng);
        for &nth in &order {
            let times = entrants[nth].contest.times(pace);
            sums[nth].add(times).expect("histograms of one kind");
        }
    }
    let row = |(entrant, times): (&Entrant, &Histogram<u64>)| Row {
        rounds: pace.rounds,
        hit_ratio: entrant.contest.hit_ratio(),
        resident: Some(entrant.contest.resident()),
        p50_ns: Some(times.value_at_quantile(0.5)),
        p99_ns: Some(times.value_at_quantile(0.99)),
        p999_ns: Some(times.value_at_quantile(0.999)),
        max_ns: Some(times.max()),
        ..Row::of(cell, &entrant.label, &version(entrant.name))
    };
    entrants.iter().zip(&sums).map(row).collect()
}
