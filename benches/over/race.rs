//! Threads side by side, timed from the first start to the last finish.

use std::ops::Range;
use std::sync::Barrier;
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

/// The numbers of threads to measure with: no more than the machine can run
/// four times over.
pub(crate) fn threads() -> impl Iterator<Item = u64> {
    let processors = available_parallelism().map_or(1, usize::from) as u64;
    [1, 2, 4, 8]
        .into_iter()
        .filter(move |threads| *threads <= 4 * processors)
}

/// The time in which so many threads do an operation at these positions, of
/// which each thread has its share.
pub(crate) fn race(
    threads: u64,
    positions: Range<u64>,
    operation: impl Fn(u64) + Sync,
) -> Duration {
    let run = |share: Range<u64>| {
        let began = Instant::now();
        share.for_each(&operation);
        (began, Instant::now())
    };
    if threads == 1 {
        let (began, ended) = run(positions);
        return ended - began;
    }
    let border = |thread| positions.start + (positions.end - positions.start) * thread / threads;
    let start = Barrier::new(threads as usize);
    let runs: Vec<_> = scope(|scope| {
        let spawn = |thread| {
            let share = border(thread)..border(thread + 1);
            let (start, run) = (&start, &run);
            scope.spawn(move || {
                start.wait();
                run(share)
            })
        };
        let runners: Vec<_> = (0..threads).map(spawn).collect();
        runners
            .into_iter()
            .map(|runner| runner.join().expect("no operation panics"))
            .collect()
    });
    let began = runs.iter().map(|(began, _)| *began).min();
    let ended = runs.iter().map(|(_, ended)| *ended).max();
    ended
        .zip(began)
        .map_or(Duration::ZERO, |(ended, began)| ended - began)
}
