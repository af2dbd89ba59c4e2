//! `Size`: a capacity with its unit, as people write it.

use super::word::{Word, number};
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// What may stand for a capacity.
pub(super) const ALLOWED: &str = "entries (10_000 or \"10000 entries\"), bytes (\"64 MiB\", in B, kB, MB, \
     GB, TB, KiB, MiB, GiB or TiB) or units of weight (\"500 units\")";

/// Units of bytes, the larger first, those of powers of two before the others.
const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A capacity as a configuration says it, with its unit: the capacity of a [`Plan`](super::Plan).
///
/// It is read from `"10000 entries"`, `"64 MiB"` or `"500 units"`, and printed as such; a number alone
/// counts entries. Bytes may have a fraction, if it makes whole bytes: `"1.5 GiB"`.
///
/// ```
/// use brimful::Size;
///
/// assert_eq!("64 MiB".parse(), Ok(Size::Bytes(64 << 20)));
/// assert_eq!("1.5 kB".parse(), Ok(Size::Bytes(1_500)));
/// assert_eq!("10_000".parse(), Ok(Size::Entries(10_000)));
/// assert_eq!("500 units".parse(), Ok(Size::Units(500)));
/// assert_eq!(Size::Bytes(3 << 30).to_string(), "3 GiB");
/// assert_eq!(Size::Bytes(1_000).to_string(), "1000 B");
/// let error = "64 Mb".parse::<Size>().unwrap_err();
/// assert!(error.to_string().starts_with("\"64 Mb\" will not do: give entries"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Size {
    /// So many entries: [`Entries`](crate::Entries).
    Entries(u64),
    /// So many bytes: [`Bytes`](crate::Bytes).
    Bytes(u64),
    /// So much weight: [`Weight`](crate::Weight).
    Units(u64),
}

/// A text that is no [`Size`].
///
/// ```
/// use brimful::{NoSize, Size};
///
/// assert_eq!("much".parse::<Size>(), Err(NoSize("much".to_owned())));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoSize(pub String);

impl fmt::Display for NoSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Word::Text(self.0.clone()).refused(ALLOWED))
    }
}

impl Error for NoSize {}

impl Size {
    /// So many of this unit of a cache.
    pub(super) fn of(amount: u64, unit: &str) -> Self {
        match unit {
            "entries" => Self::Entries(amount),
            "bytes" => Self::Bytes(amount),
            _ => Self::Units(amount),
        }
    }

    pub(super) fn from_word(word: Word) -> Result<Self, String> {
        match &word {
            Word::Number(entries) => Ok(Self::Entries(*entries)),
            Word::Text(text) => text.parse().map_err(|error: NoSize| error.to_string()),
            _ => Err(word.refused(ALLOWED)),
        }
    }
}

impl From<Size> for Word {
    fn from(size: Size) -> Self {
        match size {
            Size::Entries(entries) => Self::Number(entries),
            other => Self::Text(other.to_string()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(entries) => write!(f, "{entries} entries"),
            Self::Units(units) => write!(f, "{units} units"),
            Self::Bytes(bytes) => {
                let whole =
                    |&&(_, unit): &&(&str, u64)| unit.is_power_of_two() && bytes % unit == 0;
                let (name, unit) = match UNITS.iter().find(whole) {
                    Some(&unit) if *bytes > 0 => unit,
                    _ => ("B", 1),
                };
                write!(f, "{} {name}", bytes / unit)
            }
        }
    }
}

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.');
        let (amount, unit) = trimmed.split_at(end.unwrap_or(trimmed.len()));
        let size = match unit.trim_start() {
            "" | "entries" | "entry" => number(amount).map(Self::Entries),
            "units" | "unit" => number(amount).map(Self::Units),
            unit => bytes(amount, unit).map(Self::Bytes),
        };
        size.ok_or_else(|| NoSize(text.to_owned()))
    }
}

/// So many of a unit in bytes, if they are whole bytes.
fn bytes(amount: &str, unit: &str) -> Option<u64> {
    let &(_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = u128::from(number(fraction)?) * u128::from(unit);
    let bytes = u128::from(number(whole)?) * u128::from(unit) + parts / scale;
    let is_whole = parts % scale == 0 && !fraction.contains('_');
    u64::try_from(bytes).ok().filter(|_| is_whole)
}
