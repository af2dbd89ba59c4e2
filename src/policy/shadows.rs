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
//! 2. A line has at most half as many places again as there are keys, and a few.
//!
//! What it is worth, in the mean share that [`Duel`](super::Duel) has of what the better of LRU and
//! S3-FIFO hits over seven patterns (`cargo bench --bench hit_ratio -- --patterns`): 0.946, without
//! shadows 0.61. With `ENTRIES` 32 it is 0.945, and one of 54 real cells loses 1.8 points. The other
//! constants were not varied in this crate; a study of a simulated one found, in the mean of 54 real cells,
//! of their cold halves, and in the share:
//!
//! | constant | as it is | half | twice |
//! |---|---|---|---|
//! | `UP` | 0.3: 54.70, 54.12, 0.88 | 54.52, 54.12, 0.89 | 54.70, 54.11, 0.86 |
//! | `DOWN` | 0.05: the same | 54.70, 54.06, 0.88 | the same |
//! | `BANK` | 1: the same | 54.70, 54.12, 0.82 | 54.69, 54.11, 0.85 |
//! | `START` | 0.2: the same | 54.70, 53.86, 0.90 | 54.71, 54.12, 0.71 |
//! | `EPS_UP` | 0.005: the same | 54.70, 54.12, 0.88 | 54.70, 54.12, 0.88 |
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
const MOST_HALVINGS: u8 = 6;
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
    halvings: u8,
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
pub(super) fn halvings(entries: usize) -> u8 {
    (entries / ENTRIES).max(1).ilog2().min(MOST_HALVINGS.into()) as u8
}

/// Of so many halvings no key is left.
pub(super) const NOBODY: u8 = 63;

/// Whether a key is of the sample of one key in 2^`halvings`.
#[inline]
pub(super) fn picks(tag: Tag, halvings: u8) -> bool {
    // Never 0: the lowest bit of a tag is set, and that of an odd factor.
    let mixed = tag.bits().wrapping_mul(0xC2B2_AE35);
    u64::from(mixed) <= u64::from(u32::MAX) >> halvings
}

impl Shadows {
    /// Of a shard for so many entries, which holds `live` already: how many of them are of the sample is
    /// reckoned.
    pub(super) fn new(entries: usize, live: usize) -> Self {
        Self {
            halvings: halvings(entries),
            recency: Recency::default(),
            frequency: Frequency::default(),
            lead_of_recency: 0.0,
            lead_of_frequency: 0.0,
            requests: 0,
            late: 0,
            sampled: live >> halvings(entries),
            before: 0,
        }
    }

    /// Of 2^this keys one is of the sample.
    pub(super) fn halvings(&self) -> u8 {
        self.halvings
    }

    /// Samples for so many entries from now on, and has room for that many residents' part of the
    /// sample: then requests hardly ever allocate.
    pub(super) fn fit(&mut self, entries: usize, residents: usize) {
        let halvings = halvings(entries);
        if halvings > self.halvings {
            let stays = |tag: Tag| picks(tag, halvings);
            self.recency.keys.records.retain(|record| stays(record.tag));
            self.frequency.retain(stays);
        }
        // As near as can be told without a look at all entries.
        self.sampled = match self.halvings.cmp(&halvings) {
            Ordering::Less => self.sampled >> (halvings - self.halvings),
            Ordering::Equal => self.sampled,
            Ordering::Greater => self.sampled << (self.halvings - halvings),
        };
        self.halvings = halvings;
        let keys = residents.min(entries) >> halvings;
        let keys = keys + 3 * keys.isqrt() + 8;
        self.recency.reserve(keys);
        self.frequency.reserve(keys);
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
        let found = self.frequency.request(most, request, history);
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

impl Record {
    fn new(tag: Tag, stamp: u32) -> Self {
        Self {
            tag,
            stamp,
            count: 0,
            in_main: false,
            born: ASKED,
        }
    }
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

    /// Room for so many keys.
    fn reserve(&mut self, keys: usize) {
        let more = keys.saturating_sub(self.len());
        self.records.reserve(more, |record| record.tag.hash());
    }

    fn get(&mut self, tag: Tag) -> Option<&mut Record> {
        let is = |record: &Record| record.tag == tag;
        self.records.find_mut(tag.hash(), is)
    }

    fn take(&mut self, tag: Tag) -> Option<Record> {
        let is = |record: &Record| record.tag == tag;
        let found = self.records.find_entry(tag.hash(), is);
        found.ok().map(|entry| entry.remove().0)
    }

    /// A stamp that no place has yet.
    fn next(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        self.stamp
    }

    fn insert(&mut self, record: Record) {
        let hash = |record: &Record| record.tag.hash();
        self.records.insert_unique(hash(&record), record, hash);
    }

    /// The record of a place, if that is still good.
    fn at(&mut self, (tag, stamp): Item) -> Option<&mut Record> {
        self.get(tag).filter(|record| record.stamp == stamp)
    }

    fn is_good(&self, (tag, stamp): Item) -> bool {
        let is = |record: &Record| record.tag == tag;
        let found = self.records.find(tag.hash(), is);
        found.is_some_and(|record| record.stamp == stamp)
    }
}

/// A place in a line: good as long as the key's record has this stamp.
type Item = (Tag, u32);

/// A queue of keys, some of which have left it.
#[derive(Clone, Default)]
struct Line(VecDeque<Item>);

impl Line {
    /// Room for what a line of so many keys may hold.
    fn reserve(&mut self, keys: usize) {
        let places = 3 * keys / 2 + 17;
        self.0.reserve_exact(places.saturating_sub(self.0.len()));
    }

    fn push(&mut self, item: Item, keys: &Keys) {
        if self.0.len() > 3 * keys.len() / 2 + 16 {
            self.0.retain(|&item| keys.is_good(item));
        }
        self.0.push_back(item);
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
        let stamp = self.keys.next();
        let record = self.keys.get(tag);
        let found = record.map(|record| record.stamp = stamp).is_some();
        if !found {
            while self.keys.len() >= most && self.evict() {}
            self.keys.insert(Record::new(tag, stamp));
        }
        self.line.push((tag, stamp), &self.keys);
        found
    }

    fn reserve(&mut self, keys: usize) {
        self.keys.reserve(keys);
        self.line.reserve(keys);
    }

    fn evict(&mut self) -> bool {
        while let Some(item) = self.line.0.pop_front() {
            let is = |record: &Record| record.tag == item.0 && record.stamp == item.1;
            if let Ok(entry) = self.keys.records.find_entry(item.0.hash(), is) {
                entry.remove();
                return true;
            }
        }
        false
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
    fn request(&mut self, most: usize, request: Request, history: &mut History) -> Option<bool> {
        if let Some(record) = self.keys.get(request.tag) {
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
        let known = request.filled && history.count(request.tag) > 1;
        let stamp = self.keys.next();
        self.keys.insert(Record {
            count: known.into(),
            born: request.live as u32,
            ..Record::new(request.tag, stamp)
        });
        self.small.push((request.tag, stamp), &self.keys);
        self.in_small += 1;
        None
    }

    fn reserve(&mut self, keys: usize) {
        self.keys.reserve(keys);
        self.small.reserve(keys);
        self.main.reserve(keys);
    }

    /// Moves small's oldest on, as a shard that fills does.
    fn promote_oldest(&mut self) {
        if let Some((tag, count)) = self.next_of_small() {
            self.move_to_main(tag, u8::from(count >= 2));
        }
    }

    /// Puts a key at the end of main, with this count.
    fn move_to_main(&mut self, tag: Tag, count: u8) {
        let stamp = self.keys.next();
        let Some(record) = self.keys.get(tag) else {
            return;
        };
        self.in_small -= usize::from(!record.in_main);
        (record.stamp, record.count, record.in_main) = (stamp, count, true);
        self.main.push((tag, stamp), &self.keys);
    }

    fn leave(&mut self, tag: Tag) {
        if let Some(record) = self.keys.take(tag) {
            self.in_small -= usize::from(!record.in_main);
        }
    }

    fn retain(&mut self, stays: impl Fn(Tag) -> bool) {
        self.keys.records.retain(|record| stays(record.tag));
        let small = self.keys.records.iter().filter(|record| !record.in_main);
        self.in_small = small.count();
    }

    /// One key leaves; says whether there was any.
    fn evict(&mut self, history: &mut History) -> bool {
        loop {
            let is_beyond = self.in_small >= (self.keys.len() / SMALL).max(1);
            if !is_beyond && self.in_small < self.keys.len() {
                let next = self.next_of_main();
                next.into_iter().for_each(|(tag, _)| self.leave(tag));
                return next.is_some();
            }
            match self.next_of_small() {
                None => return false,
                Some((tag, 0)) => self.leave(tag),
                Some((tag, 1)) => self.duel(tag, history),
                Some((tag, _)) => {
                    self.move_to_main(tag, 0);
                    continue;
                }
            }
            return true;
        }
    }

    /// The oldest of small, taken out of the line, and its count.
    fn next_of_small(&mut self) -> Option<(Tag, u8)> {
        while let Some(item) = self.small.0.pop_front() {
            if let Some(record) = self.keys.at(item) {
                return Some((record.tag, record.count));
            }
        }
        None
    }

    /// The oldest of main that no request has kept, taken out of the line.
    fn next_of_main(&mut self) -> Option<Item> {
        while let Some(item) = self.main.0.pop_front() {
            match self.keys.at(item).map(|record| record.count) {
                None => {}
                Some(0) => return Some(item),
                Some(count) => self.move_to_main(item.0, count / 2),
            }
        }
        None
    }

    fn duel(&mut self, newcomer: Tag, history: &mut History) {
        let mine = history.count(newcomer) + 1;
        let rival = if mine > 1 { self.next_of_main() } else { None };
        match rival {
            Some((rival, _)) if mine > history.count(rival) + 1 => {
                self.leave(rival);
                self.move_to_main(newcomer, 0);
            }
            rival => {
                // It stays the next.
                rival
                    .into_iter()
                    .for_each(|item| self.main.0.push_front(item));
                self.leave(newcomer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: u64) -> Tag {
        let mixed = (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Tag::of((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 30)
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, top: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (self.0 >> 33) % top
        }
    }

    /// Each key has one good place, in the line that its record names, and no line is mostly holes.
    fn check(shadows: &Shadows) {
        let Shadows {
            recency, frequency, ..
        } = shadows;
        let good =
            |line: &Line, keys: &Keys| line.0.iter().filter(|&&item| keys.is_good(item)).count();
        assert_eq!(good(&recency.line, &recency.keys), recency.keys.len());
        let small = good(&frequency.small, &frequency.keys);
        let main = good(&frequency.main, &frequency.keys);
        assert_eq!(small, frequency.in_small);
        assert_eq!(small + main, frequency.keys.len());
    }

    const MOST: usize = 100;

    #[test]
    fn one_is_an_lru_and_both_hold_what_the_shard_has_of_the_sample() {
        let (mut shadows, mut history) = (Shadows::new(MOST, 0), History::default());
        history.fit(1_000);
        (0..MOST).for_each(|_| shadows.came());
        let (mut lru, mut random) = (VecDeque::new(), Random(1));
        for step in 0..30_000 {
            let key = random.below(if step % 7 == 0 { 3_000 } else { 150 });
            if random.below(20) == 0 {
                shadows.remove(tag(key));
                lru.retain(|&other| other != key);
                continue;
            }
            let had = lru.contains(&key);
            lru.retain(|&other| other != key);
            lru.push_back(key);
            while lru.len() > MOST {
                lru.pop_front();
            }
            assert_eq!(shadows.recency.request(tag(key), MOST), had, "{step}");
            let request = Request {
                tag: tag(key),
                hit: had,
                whole: MOST,
                filled: true,
                by_recency: false,
                live: MOST,
            };
            let before = shadows.frequency.keys.get(tag(key)).is_some();
            assert_eq!(
                shadows
                    .frequency
                    .request(MOST, request, &mut history)
                    .is_some(),
                before
            );
            if step % 500 == 0 {
                check(&shadows);
                assert!(shadows.frequency.keys.len() <= MOST);
                for line in [
                    &shadows.recency.line,
                    &shadows.frequency.small,
                    &shadows.frequency.main,
                ] {
                    assert!(line.0.len() <= 3 * MOST / 2 + 17, "{}", line.0.len());
                }
                assert_eq!(shadows.recency.keys.len(), lru.len());
            }
        }
    }

    /// Runs requests past a shard that hits as told; says whether it should ever turn.
    fn turns(by_recency: bool, keys: impl Iterator<Item = u64>, hits: bool) -> bool {
        let (mut shadows, mut history) = (Shadows::new(MOST, 0), History::default());
        history.fit(1_000);
        (0..MOST).for_each(|_| shadows.came());
        let mut turned = false;
        for (index, key) in keys.enumerate() {
            if !history.enter_new(tag(key)) {
                history.enter_again(tag(key));
            }
            let request = Request {
                tag: tag(key),
                hit: hits,
                whole: MOST,
                filled: index >= MOST,
                by_recency,
                live: index.min(MOST),
            };
            turned |= shadows.request(request, &mut history);
        }
        turned
    }

    #[test]
    fn a_shard_turns_to_whom_would_hit_more_and_stays_with_who_is_as_good() {
        let twice = || (0..20_000_u64).map(|n| n / 90 / 2 * 90 + n % 90);
        let circle = || (0..20_000_u64).map(|n| n % 110);
        assert!(
            turns(false, twice(), false),
            "recency has what comes back once"
        );
        assert!(
            !turns(false, circle(), false),
            "recency has nothing of a circle"
        );
        assert!(turns(true, circle(), false), "frequency has a part of it");
        let same = || (0..20_000_u64).map(|n| n % 50);
        assert!(!turns(false, same(), true) && !turns(true, same(), true));
    }

    #[test]
    fn late_returns_while_a_shard_fills_speak_for_recency() {
        let fill = |keys: &mut dyn Iterator<Item = u64>| {
            let (mut shadows, mut history) = (Shadows::new(MOST, 0), History::default());
            for (live, key) in keys.enumerate() {
                let request = Request {
                    tag: tag(key),
                    hit: false,
                    whole: MOST,
                    filled: false,
                    by_recency: false,
                    live,
                };
                assert!(!shadows.request(request, &mut history));
            }
            check(&shadows);
            shadows.begins_by_recency()
        };
        assert!(
            fill(&mut (0..50).chain(0..50)),
            "each after half a turnover"
        );
        assert!(!fill(&mut (0..50).flat_map(|n| [n, n])), "each at once");
        assert!(!fill(&mut (0..100)), "none");
    }

    #[test]
    fn a_coarser_sample_is_a_part_of_the_finer_one() {
        let mut shadows = Shadows::new(100, 0);
        let mut history = History::default();
        let request = |n: u64| Request {
            tag: tag(n),
            hit: false,
            whole: 10_000,
            filled: false,
            by_recency: false,
            live: n as usize,
        };
        (0..2_000).for_each(|n| {
            shadows.came();
            shadows.request(request(n), &mut history);
        });
        assert_eq!(shadows.recency.keys.len(), 2_000);
        shadows.fit(ENTRIES << 4, 2_000);
        let expected = (0..2_000)
            .filter(|&n| picks(tag(n), shadows.halvings()))
            .count();
        assert!((60..=200).contains(&expected), "{expected} of 2,000");
        assert_eq!(shadows.recency.keys.len(), expected);
        assert_eq!(
            (shadows.frequency.keys.len(), shadows.sampled),
            (expected, 125)
        );
        check(&shadows);
        assert_eq!(halvings(usize::MAX), MOST_HALVINGS);
        assert!(!picks(tag(1), NOBODY));
    }
}
