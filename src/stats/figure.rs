//! `Figure`: one number of a snapshot, with its name and what it means; and how figures print.

use std::fmt;

/// One number of a [`Snapshot`](crate::Snapshot): what its
/// [`figures`](crate::Snapshot::figures) yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Figure {
    /// What is counted, in words.
    pub name: &'static str,
    /// What the number is.
    pub kind: Kind,
    /// The number.
    pub value: u64,
}

/// What a figure is, and so what the difference of two says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// What is there now: it grows and shrinks.
    Level,
    /// What was counted so far, modulo 2^64.
    Counter,
    /// What the owner of the cache has set: two of them have no difference.
    Setting,
    /// The largest so far. If it has grown, the later one is the largest in between;
    /// if not, nothing is known.
    Maximum,
}

/// A number with its digits in groups of three.
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A difference with its sign and its digits in groups of three.
pub(super) struct Signed(pub(super) i128);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let size = u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX);
        f.pad(&format!("{sign}{}", Grouped(size)))
    }
}

/// A part of 1 as a percentage.
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        let digits = if percent >= 99.95 { 0 } else { 1 };
        f.pad(&format!("{percent:.digits$} %"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_and_padded() {
        let texts = [0, 999, 1_000, 123_456, 1_234_567].map(|n| Grouped(n).to_string());
        assert_eq!(texts, ["0", "999", "1,000", "123,456", "1,234,567"]);
        assert_eq!(
            format!("{:>7}|{:<7}|", Grouped(1_000), Grouped(1_000)),
            "  1,000|1,000  |"
        );
        let texts = [-1_000, 0, 12].map(|n| Signed(n).to_string());
        assert_eq!(texts, ["-1,000", "+0", "+12"]);
        let texts = [0.0, 0.8314, 0.9996, 1.0].map(|part| Percent(part).to_string());
        assert_eq!(texts, ["0.0 %", "83.1 %", "100 %", "100 %"]);
    }
}
