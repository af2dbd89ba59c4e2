//! `Word`: a value of a configuration, before it is known what it is to mean.
//!
//! A format that people read may bring a text, a number or a flag; one that they do not read brings a
//! text, since such a format says of no value what it is.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Word {
    Text(String),
    Number(u64),
    Flag(bool),
    /// Something else, in words.
    Other(String),
}

impl Word {
    pub(super) fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.refused("a text in quotes")),
        }
    }

    pub(super) fn into_number(self) -> Result<usize, String> {
        let number = match &self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => number(text),
            _ => None,
        };
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| self.refused("a whole number, as 8"))
    }

    pub(super) fn into_flag(self) -> Result<bool, String> {
        match &self {
            Self::Flag(flag) => Ok(*flag),
            Self::Text(text) => text.parse().map_err(|_| self.refused("true or false")),
            _ => Err(self.refused("true or false")),
        }
    }

    /// That it will not do, and what would.
    pub(super) fn refused(&self, allowed: &str) -> String {
        format!("{self} will not do: give {allowed}")
    }
}

/// A whole number; `_` may stand between its digits.
pub(super) fn number(text: &str) -> Option<u64> {
    let begins = text.starts_with(|c: char| c.is_ascii_digit());
    let digits = text.chars().filter(|&c| c != '_').collect::<String>();
    let counts = begins && digits.chars().all(|c| c.is_ascii_digit());
    counts.then(|| digits.parse().ok())?
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Other(text) => serializer.serialize_str(text),
            other if !serializer.is_human_readable() => serializer.collect_str(other),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(Anything),
            false => deserializer.deserialize_str(Anything),
        }
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E>(self, text: &str) -> Result<Word, E> {
        Ok(Word::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Word, E> {
        Ok(Word::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Word, E> {
        let counts = u64::try_from(number).map(Word::Number);
        Ok(counts.unwrap_or_else(|_| Word::Other(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Word, E> {
        Ok(Word::Other(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Word, E> {
        Ok(Word::Flag(flag))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Word, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Word::Other("a list".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Word, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Word::Other("a table".to_owned()))
    }
}
