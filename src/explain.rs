//! `Fate`: what becomes of a key: who removes it, and about when.
//!
//! Only what an answer says is here, and how it reads; a shard finds it out (`shard::explain`), and
//! a door adds what it alone knows (`door::explain`).

use crate::policy::Place;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// What becomes of a key: what [`explain`](crate::Cache::explain) answers. Printed, it is a sentence.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// The key is there.
    Resident(Resident),
    /// It is not there yet: it is being loaded, and what that brings is stored.
    Loading(Loading),
    /// Its entry is past its end, and still in memory: a miss for every call, until it leaves as
    /// [`Expired`](crate::Cause::Expired) by the next write to its key, by due work of another write
    /// to its shard, or by a sweep.
    Expired {
        /// How long ago it ended.
        late: Duration,
        /// What it is charged until it is taken out, in the cache's unit.
        weight: u64,
    },
    /// It was [`Evicted`](crate::Cause::Evicted) a moment ago, as far as its policy remembers: a
    /// fingerprint of its hash, which other keys may share (one in 2,000 under
    /// [`S3Fifo`](crate::policy::S3Fifo), one in 1,000 under [`Duel`](crate::policy::Duel)).
    Evicted,
    /// It is not there, and nothing is known of it: it never was, or it is forgotten.
    Unknown,
}

/// A key that is there.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Resident {
    /// What the entry is charged, in the cache's unit.
    pub weight: u64,
    /// How often it was hit, as far as that is counted.
    pub hits: Hits,
    /// How long ago its value was stored, where entries are [`Aged`](crate::Aged).
    pub age: Option<Duration>,
    /// In how much time it ends if it is not used until then; `None` if it does not.
    pub ends: Option<Duration>,
    /// Whether its value is of the age from which on a loading call loads it again.
    pub stale: bool,
    /// The load that is to replace its value.
    pub loading: Option<Loading>,
    /// Where it stands in the order of its shard; `None` if the policy does not tell.
    pub place: Option<Place>,
    /// By about how many inserts of new keys into the cache it is evicted, if it is not used
    /// meanwhile and all that is there is like the mean: those for which there is room, and then,
    /// of as many as there are shards, one for each entry ahead of it and for itself. `None` if
    /// the policy does not tell where it stands.
    ///
    /// Under [`Fifo`](crate::policy::Fifo) in a cache of one shard that counts entries it is exact.
    /// Elsewhere hits of those ahead make it fewer, and hits of its own
    /// ([`spared`](Place::spared)) more.
    pub inserts: Option<u64>,
    /// Its class, where entries are [`Tracked`](crate::Tracked) and classes have names.
    pub class: Option<Box<str>>,
    /// The line of code that stored it, where that is recorded.
    pub caller: Option<&'static Location<'static>>,
    /// Whether it leaves with a scope, as [`ScopeEnded`](crate::Cause::ScopeEnded).
    pub scoped: bool,
}

/// How often an entry was hit, as far as that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Hits {
    /// Whether it was ever hit.
    pub ever: bool,
    /// The count that its policy keeps, which it may lower as it moves the entry on, and
    /// may begin above 0.
    pub counted: u32,
    /// The most that it counts up to: a count of as many means at least as many.
    pub most: u32,
}

/// A load on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Loading {
    /// How many calls wait for it, beside the one that runs it.
    pub waiting: usize,
}

impl Fate {
    /// Whether the key is there.
    pub fn is_resident(&self) -> bool {
        matches!(self, Self::Resident(_))
    }

    /// What is known of the entry, if the key is there.
    pub fn resident(&self) -> Option<&Resident> {
        match self {
            Self::Resident(resident) => Some(resident),
            _ => None,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resident(resident) => resident.fmt(f),
            Self::Loading(loading) => loading.fmt(f),
            Self::Expired { late, weight } => write!(
                f,
                "expired {} ago and still in memory (weight {}): the next write to its key, \
                 work that is due in its shard, or a sweep takes it out",
                Span(*late),
                Thousands(*weight)
            ),
            Self::Evicted => f.write_str("evicted a moment ago, as far as its fingerprint tells"),
            Self::Unknown => f.write_str("never seen, or forgotten"),
        }
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("resident")?;
        if let Some(Place {
            queue, ahead, of, ..
        }) = &self.place
        {
            let (ahead, of) = (Thousands(*ahead), Thousands(*of));
            write!(f, " in {queue}, {ahead} of {of} leave before it")?;
        }
        write!(f, "; weight {}, {}", Thousands(self.weight), self.hits)?;
        if let Some(age) = self.age {
            write!(f, "; stored {} ago", Span(age))?;
        }
        self.write_origin(f)?;
        if self.stale {
            f.write_str("; stale")?;
        }
        if let Some(loading) = &self.loading {
            write!(f, "; {loading}")?;
        }
        self.write_end(f)
    }
}

impl Resident {
    fn write_origin(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(class) = &self.class {
            write!(f, "; of class {class}")?;
        }
        if let Some(caller) = self.caller {
            write!(f, "; stored at {caller}")?;
        }
        if self.scoped {
            f.write_str("; leaves with its scope (scope ended)")?;
        }
        Ok(())
    }

    /// Who removes it, and about when.
    fn write_end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ends) = self.ends {
            write!(f, "; ends in {} (expired)", Span(ends))?;
        }
        let spared = self.place.is_some_and(|place| place.spared);
        match (self.inserts, self.ends.is_some()) {
            (None, true) => f.write_str(", unless it is evicted before"),
            (None, false) => f.write_str("; when it is evicted its policy does not tell"),
            (Some(inserts), ends) => {
                let (unless, first) = match ends {
                    true => (", unless", " come first"),
                    false => ("; leaves by", ""),
                };
                let more = if spared {
                    ", or more since it was hit,"
                } else {
                    ""
                };
                let s = if inserts == 1 { "" } else { "s" };
                let inserts = Thousands(inserts);
                write!(
                    f,
                    "{unless} about {inserts} insert{s}{more}{first} (evicted)"
                )
            }
        }
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ever,
            counted,
            most,
        } = *self;
        match (ever, counted) {
            (false, _) => f.write_str("never hit"),
            (true, 0) => f.write_str("hit"),
            (true, _) if counted >= most => write!(f, "hit (counted {counted} or more)"),
            (true, _) => write!(f, "hit (counted {counted})"),
        }
    }
}

impl fmt::Display for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waiting {
            0 => f.write_str("being loaded, and nobody waits for it"),
            1 => f.write_str("being loaded, and 1 call waits for it"),
            calls => write!(f, "being loaded, and {calls} calls wait for it"),
        }
    }
}

/// A number with a comma at each thousand.
struct Thousands(u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A time as one says it: in the largest unit of which there are two, and rounded down.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nanos, seconds) = (self.0.as_nanos(), self.0.as_secs());
        match seconds {
            0..2 if nanos < 2_000_000 => write!(f, "{} µs", nanos / 1_000),
            0..2 => write!(f, "{} ms", nanos / 1_000_000),
            2..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min", seconds / 60),
            7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", Thousands(seconds / 86_400)),
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    fn resident() -> Resident {
        Resident {
            weight: 1,
            hits: Hits {
                ever: true,
                counted: 3,
                most: 3,
            },
            age: None,
            ends: Some(Duration::from_secs(19)),
            stale: false,
            loading: None,
            place: Some(Place {
                queue: "main",
                ahead: 1_204,
                of: 5_000,
                spared: false,
            }),
            inserts: Some(2_400),
            class: None,
            caller: None,
            scoped: false,
        }
    }

    #[test]
    fn an_answer_reads_as_a_sentence() {
        let mut entry = resident();
        assert_eq!(
            Fate::Resident(entry.clone()).to_string(),
            "resident in main, 1,204 of 5,000 leave before it; weight 1, hit (counted 3 or more); \
             ends in 19 s (expired), unless about 2,400 inserts come first (evicted)"
        );
        entry.ends = None;
        entry.hits.ever = false;
        entry.inserts = Some(1);
        assert_eq!(
            entry.to_string(),
            "resident in main, 1,204 of 5,000 leave before it; weight 1, never hit; \
             leaves by about 1 insert (evicted)"
        );
        entry.place = None;
        entry.inserts = None;
        entry.class = Some("user".into());
        entry.loading = Some(Loading { waiting: 1 });
        (entry.stale, entry.scoped) = (true, true);
        entry.age = Some(Duration::from_millis(1_999));
        assert_eq!(
            entry.to_string(),
            "resident; weight 1, never hit; stored 1999 ms ago; of class user; leaves with its \
             scope (scope ended); stale; being loaded, and 1 call waits for it; \
             when it is evicted its policy does not tell"
        );
        let expired = Fate::Expired {
            late: Duration::from_secs(7_200),
            weight: 12_345,
        };
        let said = expired.to_string();
        assert!(said.starts_with("expired 2 h ago and still in memory (weight 12,345): "));
    }

    #[test]
    fn times_and_numbers_are_said_shortly() {
        for (nanos, said) in [
            (0, "0 µs"),
            (1_999_999, "1999 µs"),
            (2_000_000, "2 ms"),
            (2_000_000_000, "2 s"),
            (120_000_000_000, "2 min"),
            (u64::MAX, "213,503 days"),
        ] {
            assert_eq!(Span(Duration::from_nanos(nanos)).to_string(), said);
        }
        for (number, said) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Thousands(number).to_string(), said);
        }
    }
}
