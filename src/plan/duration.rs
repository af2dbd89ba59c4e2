//! Durations as people write them: `1h 30m`, `250ms`.

use super::word::{Word, number};
use crate::clock::{FOREVER, duration};
use std::time::Duration;

/// What may stand for a duration.
const ALLOWED: &str = "a duration as \"90s\", \"1h 30m\" or \"250ms\": whole numbers of d, h, m, s, ms, us \
     and ns, less than 584 years in all";

/// The units, in nanoseconds, from the largest on.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

pub(super) fn from_word(word: Word) -> Result<Duration, String> {
    let nanos = match &word {
        Word::Text(text) => nanos_in(text),
        _ => None,
    };
    nanos.map(duration).ok_or_else(|| word.refused(ALLOWED))
}

/// The sum of all numbers with their units; each unit once at most, the larger first.
fn nanos_in(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut sum = (!rest.is_empty()).then_some(0_u64)?;
    while !rest.is_empty() {
        let (amount, after) = split(rest, |c| c.is_ascii_digit() || c == '_');
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        let &(_, nanos) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number(amount)?.checked_mul(nanos)?)?;
        rest = after.trim_start();
    }
    (sum != FOREVER).then_some(sum)
}

/// As many characters as are of a kind, and the rest.
fn split(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()))
}

/// A duration in the largest units that make it up.
pub(super) fn written(span: Duration) -> String {
    let mut left = span.as_nanos();
    let mut parts = Vec::new();
    for (name, nanos) in UNITS {
        let amount = left / u128::from(nanos);
        left %= u128::from(nanos);
        if amount > 0 {
            parts.push(format!("{amount}{name}"));
        }
    }
    match parts.is_empty() {
        true => "0s".to_owned(),
        false => parts.join(" "),
    }
}
