//! The words of this bench: a cell is one trace, or a part of it, at one bound; a score is what one
//! cache made of it; an outcome is a cell with all its scores.

use trace::Request;

/// Which part of a trace is driven, and to what end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its second half alone, from an empty cache.
    Half,
    /// All of it, with very little room.
    Tiny,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Half => "half",
            Self::Tiny => "tiny",
        }
    }
}

/// What a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Entries,
    Bytes,
}

/// What a hit ratio is of; the names are the modes of `targets.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests that hit, the bound being in entries.
    Entries,
    /// Requests that hit, the bound being in bytes.
    Bytes,
    /// Bytes that hit, the bound being in bytes.
    BytesWeighted,
}

impl Measure {
    pub(crate) const ALL: [Self; 3] = [Self::Entries, Self::Bytes, Self::BytesWeighted];

    /// The name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Bytes => "bytes",
            Self::BytesWeighted => "bytes-weighted",
        }
    }

    /// The name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Bytes => "bytes by objects",
            Self::BytesWeighted => "bytes by bytes",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Entries => Unit::Entries,
            Self::Bytes | Self::BytesWeighted => Unit::Bytes,
        }
    }
}

/// One trace, or a part of it, at one bound.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub trace: String,
    pub part: Part,
    pub unit: Unit,
    pub bound: u64,
    /// Whether it counts in means: where the targets do not say that the trace is made up.
    pub real: bool,
    /// The bound as a share of all that there is, as one of [`bounds::SHARES`](crate::bounds::SHARES).
    pub share: usize,
}

impl Cell {
    /// The requests of this cell.
    pub(crate) fn requests<'a>(&self, all: &'a [Request]) -> &'a [Request] {
        match self.part {
            Part::Whole | Part::Tiny => all,
            Part::Half => &all[all.len() / 2..],
        }
    }
}

/// What one cache made of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    pub hits: u64,
    pub requests: u64,
    pub bytes_hit: u64,
    pub bytes: u64,
}

impl Score {
    /// Counts one request.
    pub(crate) fn count(&mut self, request: &Request, hit: bool) {
        self.requests += 1;
        self.bytes += request.size;
        self.hits += u64::from(hit);
        self.bytes_hit += u64::from(hit) * request.size;
    }

    /// Of how many, and of them how many hit.
    pub(crate) fn of(&self, measure: Measure) -> (u64, u64) {
        match measure {
            Measure::Entries | Measure::Bytes => (self.requests, self.hits),
            Measure::BytesWeighted => (self.bytes, self.bytes_hit),
        }
    }

    pub(crate) fn percent(&self, measure: Measure) -> f64 {
        let (all, hits) = self.of(measure);
        hits as f64 / all.max(1) as f64 * 100.0
    }
}

/// The scores of one policy in one cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    /// `Cache` with as many shards as it chooses.
    pub cache: Score,
    /// `unsync::Cache`, which is one shard.
    pub unsync: Score,
}

/// A cell with all its scores.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub cell: Cell,
    /// By the reference LRU.
    pub reference: Score,
    /// By the crate's `Lru` in one shard: to be the same as the reference.
    pub exact: Doors,
    /// By each policy that was asked for, in their order.
    pub runs: Vec<Doors>,
}
