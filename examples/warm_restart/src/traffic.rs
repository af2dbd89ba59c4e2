//! Requests as a service sees them: some keys far more popular than others, and which these are
//! changes as time goes by.

/// Requests without end, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Traffic {
    state: u64,
    /// How many there were.
    requests: u64,
}

/// How many keys are asked for at any one time.
const KEYS: u64 = 100_000;

/// After so many requests one key gives its place to a new one.
const CHANGE: u64 = 40;

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            requests: 0,
        }
    }

    /// A number from 0 up to 1 (SplitMix64).
    fn part(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }

    /// How often the place of this rank has changed hands.
    fn change(&self, rank: u64) -> u64 {
        // Places change one after another, in an order that has nothing to do with their rank.
        let turn = rank.wrapping_mul(48_271) % KEYS;
        (self.requests / CHANGE + KEYS - turn) / KEYS
    }
}

impl Iterator for Traffic {
    type Item = u64;

    /// Zipf's law, nearly: the key of rank r is asked for 1/r as often as the first.
    fn next(&mut self) -> Option<u64> {
        self.requests += 1;
        let rank = ((KEYS as f64).powf(self.part()) as u64).min(KEYS - 1);
        Some(rank + KEYS * self.change(rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn few_keys_get_most_requests_and_they_change() {
        let count = |requests: Vec<u64>| {
            let mut count = HashMap::new();
            requests
                .into_iter()
                .for_each(|key| *count.entry(key).or_insert(0) += 1);
            count
        };
        let early = count(Traffic::new(1).take(20_000).collect());
        let mut counts: Vec<u32> = early.values().copied().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let of_first: u32 = counts.iter().take(100).sum();
        assert!((7_000..12_000).contains(&of_first), "{of_first}");
        let late = count(Traffic::new(1).skip(2_000_000).take(20_000).collect());
        let known = late.keys().filter(|key| early.contains_key(key)).count();
        assert!(known < late.len() / 2, "{known} of {}", late.len());
    }
}
