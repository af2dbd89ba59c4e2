//! Whether each operation is timed alone.

use hdrhistogram::Histogram;
use std::time::Instant;

/// Looks on while an operation runs.
pub(crate) trait Watch: Default + Send {
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R;
}

/// Does not look.
#[derive(Default)]
pub(crate) struct Blind;

impl Watch for Blind {
    #[inline]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        operation()
    }
}

/// Two looks at the clock, whose own time is in the figure.
pub(crate) struct Stopwatch(Histogram<u64>);

impl Default for Stopwatch {
    fn default() -> Self {
        Self(histogram())
    }
}

impl Watch for Stopwatch {
    #[inline]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = operation();
        self.0.saturating_record(began.elapsed().as_nanos() as u64);
        result
    }
}

impl Stopwatch {
    pub(crate) fn merge(watches: Vec<Self>) -> Histogram<u64> {
        let mut all = histogram();
        for watch in watches {
            all.add(watch.0).expect("histograms of one kind");
        }
        all
    }
}

/// 1 ns to 10 s, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds that fit")
}
