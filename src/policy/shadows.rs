//! Shadows: two small caches of sampled keys, one by recency and one by frequency, that tell which
//! of the two would serve a shard better now.
//!
//! One idea (set dueling by miniature simulation): a cache of one key in so many, of that part of the
//! shard's entries, hits as a cache of all keys would. One shadow is an LRU, the other S3-FIFO
//! without ghosts; of the sampled keys they hold as many as the shard does, which cancels
//! the luck of the sample. They hold tags, and nothing of entries.
//!
//! ```text
//! request of a sampled key (hit: whether the shard has it)
//!     recency, frequency = whether each shadow has it
//!     lead of recency   += recency - hit - EPS_UP      neither below -BANK keys
//!     lead of frequency += frequency - hit - EPS_DOWN
//!     a lead of UP (of recency), or DOWN (of frequency) keys: the shard should turn to it
//! while the shard fills, shadows evict nothing, and the requests are counted that are the first to
//!     find a key after so many insertions as a fifth of the shard: evidence of recency
//! ```
//!
//! Leads are counted in keys of the sample, as parts of what the shard holds of them: so the shard turns
//! after the same part of a turnover, however large it is.
//!
//! Invariants
//! 1. A shadow holds no more keys than the shard has of the sample, once it was full.
//! 2. A line has at most twice as many places as keys, and a few.
//!
//! Sources: C. Waldspurger, T. Saemundsson, I. Ahmad, N. Park, "Cache Modeling and Optimization
//! using Miniature Simulations", USENIX ATC 2017; M. Qureshi, A. Jaleel, Y. Patt, S. Steely, J. Emer,
//! "Adaptive Insertion Policies for High Performance Caching", ISCA 2007 (set dueling).

use super::history::History;
use crate::tag::Tag;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// One key in so many is sampled at the fewest, as a power of two.
const MOST_HALVINGS: u32 = 6;
/// A sample has so many of the shard's entries at least, where it is not all of them.
const ENTRIES: usize = 64;
/// By what part of its keys recency must lead before the shard turns to it.
const UP: f32 = 0.3;
/// And frequency, before it turns back.
const DOWN: f32 = 0.1;
/// How far each may fall behind.
const BANK: f32 = 1.0;
/// What a request costs recency, and frequency: who is as good does not lead.
const EPS_UP: f32 = 0.005;
const EPS_DOWN: f32 = 0.02;
/// Of the requests while the shard fills, the part that must be late returns for it to begin by
/// recency.
const START: f32 = 0.2;
/// After insertions of what part of the shard a return is late.
const OLD: f64 = 0.2;
/// What part of the frequency shadow is small: one in so many.
const SMALL: usize = 20;

/// A key that is requested.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) tag: Tag,
    pub(super) hit: bool,
    /// What the shard holds, or will when it is full.
    pub(super) whole: usize,
    /// Whether it was ever full.
    pub(super) filled: bool,
    /// Whether it goes by recency now.
    pub(super) by_recency: bool,
    /// How many it holds now: while it fills, how many came so far.
    pub(super) live: usize,
}

#[derive(Clone)]
pub(super) struct Shadows {
    /// Of 2^this keys one is sampled.
    halvings: u32,
    recency: Recency,
    frequency: Frequency,
    /// By how many keys each leads the shard.
    lead_of_recency: f32,
    lead_of_frequency: f32,
    requests: u32,
    late: u32,
    /// How many of the sample the shard holds.
    sampled: usize,
    /// What the border was before the shard turned to recency.
    pub(super) before: u64,
}

/// One key in how many is sampled for so many entries, as a power of two.
pub(super) fn halvings(entries: usize) -> u32 {
    (entries / ENTRIES).max(1).ilog2().min(MOST_HALVINGS)
}

/// Whether a key is of the sample below this limit, of which 0 is below none.
#[inline]
pub(super) fn picks(tag: Tag, limit: u32) -> bool {
    tag.bits().wrapping_mul(0xC2B2_AE35) <= limit
}

impl Shadows {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            halvings: halvings(entries),
            recency: Recency::default(),
            frequency: Frequency::default(),
            lead_of_recency: 0.0,
            lead_of_frequency: 0.0,
            requests: 0,
            late: 0,
            sampled: 0,
            before: 0,
        }
    }

    /// Below which the keys of the sample are.
    pub(super) fn limit(&self) -> u32 {
        u32::MAX >> self.halvings
    }

    /// Samples for so many entries from now on.
    pub(super) fn fit(&mut self, entries: usize) {
        let halvings = halvings(entries);
        if halvings > self.halvings {
            let stays = |tag: Tag| picks(tag, u32::MAX >> halvings);
            self.recency.keys.retain(stays);
            self.frequency.retain(stays);
        }
        // As near as can be told without a look at all entries.
        self.sampled = match self.halvings.cmp(&halvings) {
            Ordering::Less => self.sampled >> (halvings - self.halvings),
            Ordering::Equal => self.sampled,
            Ordering::Greater => self.sampled << (self.halvings - halvings),
        };
        self.halvings = halvings;
    }

    /// An entry of the sample came.
    #[inline]
    pub(super) fn came(&mut self) {
        self.sampled += 1;
    }

    /// An entry of the sample has left.
    #[inline]
    pub(super) fn left(&mut self) {
        self.sampled = self.sampled.saturating_sub(1);
    }

    /// A sampled key is requested; says whether the shard should turn, to recency or back.
    pub(super) fn request(&mut self, request: Request, history: &mut History) -> bool {
        let tag = request.tag;
        let most = if request.filled {
            self.sampled.max(1)
        } else {
            usize::MAX
        };
        let recency = self.recency.request(tag, most);
        let known = request.filled && history.count(tag) > 1;
        let found = self.frequency.request(tag, most, known, request, history);
        if !request.filled {
            self.requests += 1;
            self.late += u32::from(found.is_some_and(|is_late| is_late));
            return false;
        }
        self.judge(request, recency, found.is_some())
    }

    fn judge(&mut self, request: Request, recency: bool, frequency: bool) -> bool {
        let keys = (request.whole >> self.halvings).max(1) as f32;
        let over = |found: bool| f32::from(u8::from(found)) - f32::from(u8::from(request.hit));
        let floor = -BANK * keys;
        self.lead_of_recency = (self.lead_of_recency + over(recency) - EPS_UP).max(floor);
        self.lead_of_frequency = (self.lead_of_frequency + over(frequency) - EPS_DOWN).max(floor);
        let turns = match request.by_recency {
            false => self.lead_of_recency > UP * keys,
            true => self.lead_of_frequency > DOWN * keys,
        };
        if turns {
            (self.lead_of_recency, self.lead_of_frequency) = (0.0, 0.0);
        }
        turns
    }

    /// Whether what was requested while the shard filled speaks for recency.
    pub(super) fn begins_by_recency(&self) -> bool {
        self.late as f32 > START * self.requests as f32
    }

    /// A key left by no choice of the policy.
    pub(super) fn remove(&mut self, tag: Tag) {
        self.recency.keys.take(tag);
        self.frequency.leave(tag);
    }
}

/// What a shadow knows of a key.
#[derive(Clone, Copy)]
struct Record {
    tag: Tag,
    /// Which of its places in a line is good.
    stamp: u32,
    /// Requests since it came, or was moved: at most 3.
    count: u8,
    in_main: bool,
    /// How many had come before it while the shard filled, as long as it was not asked for again.
    born: u32,
}

/// The keys of a shadow, by tag.
#[derive(Clone, Default)]
struct Keys {
    records: HashTable<Record>,
    stamp: u32,
}

impl Keys {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn get(&mut self, tag: Tag) -> Option<&mut Record> {
        self.records
            .find_mut(tag.hash(), |record| record.tag == tag)
    }

    fn take(&mut self, tag: Tag) -> Option<Record> {
        let found = self
            .records
            .find_entry(tag.hash(), |record| record.tag == tag);
        found.ok().map(|entry| entry.remove().0)
    }

    fn retain(&mut self, stays: impl Fn(Tag) -> bool) {
        self.records.retain(|record| stays(record.tag));
    }

    /// A new record, whose place in a line is to have this stamp.
    fn insert(&mut self, record: Record) -> Item {
        self.stamp = self.stamp.wrapping_add(1);
        let record = Record {
            stamp: self.stamp,
            ..record
        };
        self.records
            .insert_unique(record.tag.hash(), record, |record| record.tag.hash());
        (record.tag, record.stamp)
    }

    fn is_good(&self, (tag, stamp): Item) -> bool {
        let found = self.records.find(tag.hash(), |record| record.tag == tag);
        found.is_some_and(|record| record.stamp == stamp)
    }
}

/// A place in a line: good as long as the key's record has this stamp.
type Item = (Tag, u32);

/// A queue of keys, some of which have left it.
#[derive(Clone, Default)]
struct Line(VecDeque<Item>);

impl Line {
    fn push(&mut self, item: Item, keys: &Keys) {
        if self.0.len() > 2 * keys.len() + 16 {
            self.0.retain(|&item| keys.is_good(item));
        }
        self.0.push_back(item);
    }

    /// The oldest that has not left.
    fn pop(&mut self, keys: &Keys) -> Option<Tag> {
        while let Some(item) = self.0.pop_front() {
            if keys.is_good(item) {
                return Some(item.0);
            }
        }
        None
    }
}

/// A true LRU.
#[derive(Clone, Default)]
struct Recency {
    keys: Keys,
    line: Line,
}

impl Recency {
    /// Says whether it has the key, and has it then.
    fn request(&mut self, tag: Tag, most: usize) -> bool {
        let Self { keys, line } = self;
        let record = keys.take(tag);
        while record.is_none() && keys.len() >= most {
            let Some(oldest) = line.pop(keys) else { break };
            keys.take(oldest);
        }
        let item = keys.insert(Record {
            tag,
            stamp: 0,
            count: 0,
            in_main: false,
            born: 0,
        });
        line.push(item, keys);
        record.is_some()
    }
}

/// S3-FIFO with the history in the place of its ghosts.
#[derive(Clone, Default)]
struct Frequency {
    keys: Keys,
    small: Line,
    main: Line,
    in_small: usize,
}

/// Of a key that was asked for again: no evidence.
const ASKED: u32 = u32::MAX;

impl Frequency {
    /// Whether it has the key, and if so, whether this is a late return; it has it then.
    fn request(
        &mut self,
        tag: Tag,
        most: usize,
        known: bool,
        request: Request,
        history: &mut History,
    ) -> Option<bool> {
        if let Some(record) = self.keys.get(tag) {
            record.count = (record.count + 1).min(3);
            let came = (request.live as u32).saturating_sub(record.born);
            let is_late = record.born != ASKED && f64::from(came) > OLD * request.whole as f64;
            record.born = ASKED;
            return Some(is_late);
        }
        if !request.filled {
            if self.in_small * SMALL >= self.keys.len().max(ENTRIES) {
                self.promote_oldest();
            }
        } else {
            while self.keys.len() >= most && self.evict(history) {}
        }
        let item = self.keys.insert(Record {
            tag,
            stamp: 0,
            count: known.into(),
            in_main: false,
            born: request.live as u32,
        });
        self.small.push(item, &self.keys);
        self.in_small += 1;
        None
    }

    /// Moves small's oldest on, as a shard that fills does.
    fn promote_oldest(&mut self) {
        if let Some(tag) = self.small.pop(&self.keys) {
            self.move_to_main(tag, |count| u8::from(count >= 2));
        }
    }

    /// Puts a key at the end of main, with what `kept` says of its count.
    fn move_to_main(&mut self, tag: Tag, kept: impl Fn(u8) -> u8) {
        if let Some(record) = self.keys.take(tag) {
            self.in_small -= usize::from(!record.in_main);
            let item = self.keys.insert(Record {
                count: kept(record.count),
                in_main: true,
                ..record
            });
            self.main.push(item, &self.keys);
        }
    }

    fn retain(&mut self, stays: impl Fn(Tag) -> bool) {
        self.keys.retain(stays);
        let small = self.keys.records.iter().filter(|record| !record.in_main);
        self.in_small = small.count();
    }

    fn leave(&mut self, tag: Tag) {
        if let Some(record) = self.keys.take(tag) {
            self.in_small -= usize::from(!record.in_main);
        }
    }

    fn count(&mut self, tag: Tag) -> u8 {
        self.keys.get(tag).map_or(0, |record| record.count)
    }

    /// One key leaves; says whether there was any.
    fn evict(&mut self, history: &mut History) -> bool {
        loop {
            let is_beyond = self.in_small >= (self.keys.len() / SMALL).max(1);
            if self.in_small == self.keys.len() || is_beyond {
                let Some(oldest) = self.small.pop(&self.keys) else {
                    break;
                };
                match self.count(oldest) {
                    0 => self.leave(oldest),
                    1 => self.duel(oldest, history),
                    _ => {
                        self.move_to_main(oldest, |_| 0);
                        continue;
                    }
                }
                return true;
            }
            let Some(next) = self.next_of_main() else {
                break;
            };
            self.leave(next);
            return true;
        }
        !self.keys.records.is_empty() && {
            // Stale counts: all begins anew.
            *self = Self::default();
            true
        }
    }

    /// The oldest of main that no request has kept, taken out of the line.
    fn next_of_main(&mut self) -> Option<Tag> {
        loop {
            let oldest = self.main.pop(&self.keys)?;
            if self.count(oldest) == 0 {
                return Some(oldest);
            }
            self.move_to_main(oldest, |count| count / 2);
        }
    }

    fn duel(&mut self, newcomer: Tag, history: &mut History) {
        let mine = history.count(newcomer) + 1;
        let rival = if mine > 1 { self.next_of_main() } else { None };
        match rival {
            Some(rival) if mine > history.count(rival) + 1 => {
                self.leave(rival);
                self.move_to_main(newcomer, |_| 0);
            }
            Some(rival) => {
                // It stays the next.
                let record = self.keys.get(rival).map(|record| record.stamp);
                if let Some(stamp) = record {
                    self.main.0.push_front((rival, stamp));
                }
                self.leave(newcomer);
            }
            None => self.leave(newcomer),
        }
    }
}
