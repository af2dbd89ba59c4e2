//! Which bounds a trace is driven at when nobody says: 0.1, 1, 10 and 25 % of its unique keys.

use crate::cell::Unit;

/// The bounds as shares of all that there is, in percent.
pub(crate) const SHARES: [f64; 4] = [0.1, 1.0, 10.0, 25.0];

/// The bounds with very little room, in entries.
pub(crate) const TINY: [u64; 3] = [8, 16, 32];

/// A bound below this is left out.
const SKIPPED_BELOW: f64 = 32.0;

/// No bound is below this.
const LEAST: u64 = 64;

/// Ascending bounds for a trace with so many unique keys, of so many bytes together. Those in bytes
/// are the same shares as those in entries.
pub(crate) fn by_rule(unit: Unit, unique: u64, unique_bytes: u64) -> Vec<u64> {
    let shares = SHARES.map(|percent| unique as f64 * percent / 100.0);
    let kept = shares.iter().filter(|&&share| share >= SKIPPED_BELOW);
    let mut entries: Vec<u64> = kept
        .map(|share| (share.round() as u64).max(LEAST))
        .collect();
    entries.dedup();
    match unit {
        Unit::Entries => entries,
        Unit::Bytes => {
            let each = unique_bytes as f64 / unique.max(1) as f64;
            let bytes = |entries: u64| (entries as f64 * each).round() as u64;
            entries.into_iter().map(bytes).collect()
        }
    }
}

/// The place in [`SHARES`] that is nearest to this bound.
pub(crate) fn nearest_share(bound: u64, all: u64) -> usize {
    let percent = (bound.max(1) as f64 / all.max(1) as f64 * 100.0).ln();
    let far = |place: &usize| (SHARES[*place].ln() - percent).abs();
    let places = 0..SHARES.len();
    places.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(0)
}
