//! A timer wheel over tags: which entries may have expired by now.
//!
//! One idea: the wheel holds *when to look*, the entry holds its *deadline*. An
//! item is the tag of an entry and no more. When its time comes the entry is
//! looked up, by the tag and by the number of the bucket, which the entry
//! stores; and its deadline then says whether it leaves or is put
//! in again. So a deadline that is put off moves nothing here: a hit under
//! time to idle leaves the wheel alone.
//!
//! ```text
//! 8 levels of 64 buckets; a beat is 2^20 ns; a bucket of level l spans 64^l beats
//!
//! put(tag, when):   level = the highest digit (base 64) in which `when` differs from `beat`
//!                   bucket = that digit of `when`; push the tag, return the bucket's number
//! pop(now):         the earliest bucket that is not empty; if it begins after now: nothing
//!                   beat = its beginning; pop a tag
//! of each popped:   no entry with this tag in this bucket?  stale: drop it
//!                   the entry has expired?                  it leaves
//!                   else                                    put(tag, deadline): a lower level
//! ```
//!
//! Invariants
//! 1. A bucket that is not empty begins at `beat` or later, and all its digits
//!    above its level are those of `beat`: so a bucket's number tells its time,
//!    it never wraps, and the first occupied one of a level is the level's earliest.
//! 2. For each tag and bucket there are at least as many items as entries that
//!    name that bucket. `put` adds one of each, `pop` takes one of each, or an item
//!    only if there is no such entry.
//! 3. Each turn of `pop` takes out an entry, drops a stale item or lowers one by a
//!    level at least, so the number of ripe items bounds the work.
//!
//! Why no sequence number: two entries with one tag in one bucket may take each
//! other's item. Both deadlines stand in the entries; two items come up for two
//! entries, in either order, and by 2 none is left without.
//!
//! An entry that leaves before its deadline leaves a stale item behind. The shard, which counts
//! the entries, knows how many items are stale and rebuilds the wheel before they
//! are many. An item takes 4 bytes, and 4.3 with its share of a chunk's link.

use crate::tag::Tag;

/// A span of 2^20 ns since the clock began; some 1.05 ms.
pub(crate) type Beat = u64;

/// The number of a bucket: its slot in the low 6 bits, its level above.
pub(crate) type Bucket = u64;

/// The bucket of an entry that has no item.
pub(crate) const NOWHERE: Bucket = (1 << 10) - 1;

const BEAT_BITS: u32 = 20;
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = 8;

/// The beat that a moment lies in.
#[inline]
pub(crate) fn beat_of(moment: u64) -> Beat {
    moment >> BEAT_BITS
}

/// The first beat that lies wholly at or after a moment.
#[inline]
pub(crate) fn beat_after(moment: u64) -> Beat {
    moment.div_ceil(1 << BEAT_BITS)
}

/// When a beat begins.
#[inline]
pub(crate) fn moment_of(beat: Beat) -> u64 {
    beat.saturating_mul(1 << BEAT_BITS)
}

/// As many tags as fill a cache line with the link.
const TAGS: usize = 15;

/// No chunk.
const NONE: u32 = (1 << 28) - 1;

/// A piece of a bucket, or of the free list.
struct Chunk {
    tags: [u32; TAGS],
    /// | bits | use |
    /// |---|---|
    /// | 0..28 | the next chunk, or `NONE` |
    /// | 28..32 | how many tags it holds |
    link: u32,
}

impl Chunk {
    fn next(&self) -> u32 {
        self.link & NONE
    }

    fn len(&self) -> usize {
        (self.link >> 28) as usize
    }

    fn push(&mut self, tag: Tag) {
        self.tags[self.len()] = tag.bits();
        self.link += 1 << 28;
    }

    fn pop(&mut self) -> u32 {
        self.link -= 1 << 28;
        self.tags[self.len()]
    }
}

pub(crate) struct Wheel {
    /// Its own time: what lies before has been worked off.
    beat: Beat,
    /// When the earliest bucket begins that is not empty; the largest value if none.
    next: Beat,
    occupied: [u64; LEVELS],
    /// The first chunk of each bucket of a level; made with its first item.
    heads: [Option<Box<[u32; SLOTS]>>; LEVELS],
    chunks: Vec<Chunk>,
    free: u32,
    items: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            beat: 0,
            next: Beat::MAX,
            occupied: [0; LEVELS],
            heads: [const { None }; LEVELS],
            chunks: Vec::new(),
            free: NONE,
            items: 0,
        }
    }

    /// How many items there are, stale ones included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items
    }

    /// Whether far more memory is held than the items need, and more than is worth
    /// a look at all of so many entries.
    #[inline]
    pub(crate) fn is_sparse(&self, entries: usize) -> bool {
        self.chunks.capacity() / 4 > (self.items + entries / 8) / TAGS + SLOTS
    }

    /// When there is something to pop: no item is ripe before.
    #[inline]
    pub(crate) fn next(&self) -> Option<Beat> {
        (self.next != Beat::MAX).then_some(self.next)
    }

    /// Its own time. For tests.
    pub(crate) fn beat(&self) -> Beat {
        self.beat
    }

    #[inline]
    pub(crate) fn is_ripe(&self, now: Beat) -> bool {
        self.next <= now
    }

    /// When a bucket begins: what stands in it comes up then.
    #[inline]
    pub(crate) fn start(&self, bucket: Bucket) -> Beat {
        let (level, slot) = (bucket as u32 / SLOTS as u32, bucket % SLOTS as u64);
        let above = (level + 1) * DIGIT;
        self.beat >> above << above | slot << (level * DIGIT)
    }

    /// Puts an item in, to come up at `when` or before; returns its bucket. Amortised O(1).
    #[inline]
    pub(crate) fn put(&mut self, tag: Tag, when: Beat, now: Beat) -> Bucket {
        if self.next > now && self.beat < now {
            self.beat = now;
        }
        let when = when.max(self.beat);
        let differs = (self.beat ^ when) | 1;
        let level = (u64::BITS - 1 - differs.leading_zeros()) / DIGIT;
        let first = when >> (level * DIGIT);
        let bucket = u64::from(level) * SLOTS as u64 + first % SLOTS as u64;
        self.push(bucket, tag);
        self.next = self.next.min(first << (level * DIGIT));
        bucket
    }

    #[inline]
    fn push(&mut self, bucket: Bucket, tag: Tag) {
        let (level, slot) = (bucket as usize / SLOTS, bucket as usize % SLOTS);
        let head = self.heads[level].as_ref().map_or(NONE, |heads| heads[slot]);
        match self.chunks.get_mut(head as usize) {
            Some(chunk) if chunk.len() < TAGS => chunk.push(tag),
            _ => self.push_chunk(level, slot, tag),
        }
        self.items += 1;
    }

    /// Puts an item into a new chunk: into a bucket that is empty, or whose first chunk is full.
    #[inline(never)]
    fn push_chunk(&mut self, level: usize, slot: usize, tag: Tag) {
        let head = self.heads[level].as_ref().map_or(NONE, |heads| heads[slot]);
        let chunk = self.new_chunk(head);
        self.chunks[chunk as usize].push(tag);
        self.heads[level].get_or_insert_with(|| Box::new([NONE; SLOTS]))[slot] = chunk;
        self.occupied[level] |= 1 << slot;
    }

    /// Takes one item out of the earliest bucket, if that begins by now.
    pub(crate) fn pop(&mut self, now: Beat) -> Option<(Tag, Bucket)> {
        if !self.is_ripe(now) {
            return None;
        }
        let bucket = self.earliest()?;
        self.beat = self.next;
        let (level, slot) = (bucket as usize / SLOTS, bucket as usize % SLOTS);
        let heads = self.heads[level].as_mut()?;
        let chunk = heads[slot];
        let bits = self.chunks[chunk as usize].pop();
        self.items -= 1;
        if self.chunks[chunk as usize].len() == 0 {
            let next = self.chunks[chunk as usize].next();
            heads[slot] = next;
            self.chunks[chunk as usize].link = self.free;
            self.free = chunk;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
                self.next = self.earliest().map_or(Beat::MAX, |first| self.start(first));
            }
        }
        Some((Tag::from_bits(bits)?, bucket))
    }

    /// The bucket that begins first.
    fn earliest(&self) -> Option<Bucket> {
        let first = |level: usize| {
            let occupied = self.occupied[level];
            (occupied != 0).then(|| (level * SLOTS) as u64 + u64::from(occupied.trailing_zeros()))
        };
        (0..LEVELS)
            .filter_map(first)
            .min_by_key(|&bucket| self.start(bucket))
    }

    /// An empty chunk in front of `next`.
    fn new_chunk(&mut self, next: u32) -> u32 {
        let chunk = self.free;
        if chunk != NONE {
            let chunk_free = &mut self.chunks[chunk as usize];
            self.free = chunk_free.next();
            chunk_free.link = next;
            return chunk;
        }
        if self.chunks.len() == self.chunks.capacity() {
            // By a sixteenth: doubling would leave half of it unused.
            self.chunks.reserve_exact((self.chunks.len() / 16).max(4));
        }
        self.chunks.push(Chunk {
            tags: [0; TAGS],
            link: next,
        });
        (self.chunks.len() - 1) as u32
    }

    /// Holds these items, some `expected`, in the place of all that it held: each in a bucket that
    /// [`put`](Self::put) returned. Keeps its memory unless that is far more than they need.
    pub(crate) fn refill(&mut self, expected: usize, items: impl Iterator<Item = (Tag, Bucket)>) {
        self.occupied = [0; LEVELS];
        self.items = 0;
        self.free = NONE;
        for heads in self.heads.iter_mut().flatten() {
            **heads = [NONE; SLOTS];
        }
        if self.chunks.capacity() > 2 * (expected / TAGS + SLOTS) {
            self.chunks = Vec::new();
        }
        self.chunks.clear();
        items.for_each(|(tag, bucket)| self.push(bucket, tag));
        self.next = self.earliest().map_or(Beat::MAX, |first| self.start(first));
    }

    /// Every item with its bucket. For tests.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tag, Bucket)> {
        (0..LEVELS * SLOTS).flat_map(move |bucket| {
            let mut chunk = match &self.heads[bucket / SLOTS] {
                Some(heads) => heads[bucket % SLOTS],
                None => NONE,
            };
            let chunks = std::iter::from_fn(move || {
                let found = self.chunks.get(chunk as usize)?;
                chunk = found.next();
                Some(&found.tags[..found.len()])
            });
            chunks
                .flatten()
                .filter_map(move |&bits| Some((Tag::from_bits(bits)?, bucket as Bucket)))
        })
    }

    /// Proves invariant 1, and that no chunk is lost.
    pub(crate) fn check(&self) {
        assert_eq!(self.iter().count(), self.items, "items counted");
        let mut occupied = [0_u64; LEVELS];
        for (_, bucket) in self.iter() {
            occupied[bucket as usize / SLOTS] |= 1 << (bucket % SLOTS as u64);
            assert!(self.start(bucket) >= self.beat, "a bucket of the past");
        }
        assert_eq!(occupied, self.occupied, "occupied buckets");
        let next = self.earliest().map_or(Beat::MAX, |first| self.start(first));
        assert_eq!(next, self.next, "the earliest bucket");
        let free = std::iter::successors(self.chunks.get(self.free as usize), |chunk| {
            self.chunks.get(chunk.next() as usize)
        });
        let full = self.items.div_ceil(TAGS);
        let held = self.chunks.len() - free.take(self.chunks.len()).count();
        assert!(
            held >= full && held <= full + LEVELS * SLOTS,
            "{held} chunks for {} items",
            self.items
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tag(n: u64) -> Tag {
        Tag::of(n)
    }

    /// What stands in an entry.
    #[derive(Clone, Copy)]
    struct Stand {
        end: Beat,
        bucket: Bucket,
    }

    /// Takes off what is ripe as the shard does; returns what expired, and asserts
    /// on the way that nothing is lowered more often than there are levels.
    fn work(wheel: &mut Wheel, stands: &mut BTreeMap<u64, Stand>, now: Beat) -> Vec<(u64, Beat)> {
        let mut ended = Vec::new();
        let mut steps = 0;
        let most = (wheel.len() + 1) * (LEVELS + 1);
        while let Some((tag, bucket)) = wheel.pop(now) {
            steps += 1;
            assert!(steps <= most, "{steps} steps of {most}");
            let found = stands
                .iter()
                .find(|(n, stand)| Tag::of(**n) == tag && stand.bucket == bucket)
                .map(|(n, stand)| (*n, stand.end));
            match found {
                Some((n, end)) if end <= now => {
                    stands.remove(&n);
                    ended.push((n, end));
                }
                Some((n, end)) => {
                    let bucket = wheel.put(tag, end, now);
                    stands.insert(n, Stand { end, bucket });
                }
                None => {}
            }
        }
        wheel.check();
        ended
    }

    #[test]
    fn each_comes_up_at_its_beat_and_never_before() {
        let mut wheel = Wheel::new();
        let mut stands = BTreeMap::new();
        // The cases of each level, one beat to either side of each border.
        let mut ends = Vec::new();
        for power in 0..44 {
            ends.extend([1_u64 << power, (1 << power) - 1, (1 << power) + 1]);
        }
        for (n, &end) in ends.iter().enumerate() {
            let bucket = wheel.put(tag(n as u64), end, 0);
            stands.insert(n as u64, Stand { end, bucket });
        }
        let mut moments: Vec<Beat> = ends
            .iter()
            .flat_map(|&end| [end.saturating_sub(1), end])
            .collect();
        moments.sort_unstable();
        for now in moments {
            for (_, end) in work(&mut wheel, &mut stands, now) {
                assert_eq!(end, now, "came up late");
            }
            assert!(stands.values().all(|stand| stand.end > now));
        }
        assert!(stands.is_empty());
        assert_eq!((wheel.len(), wheel.next()), (0, None));
    }

    #[test]
    fn random_lives_and_jumps_lose_nothing() {
        let mut random = 7_u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut wheel = Wheel::new();
        let mut stands = BTreeMap::new();
        let mut now = 0;
        for n in 0..6_000_u64 {
            let power = next(40);
            let span = 1 << power;
            let end = now + next(span) + 1;
            // Every tag twice, so that items are swapped.
            let bucket = wheel.put(tag(n), end, now);
            stands.insert(n, Stand { end, bucket });
            let power = next(12);
            let jump = next(1 << power);
            now += if n % 500 == 499 { 1 << next(38) } else { jump };
            if n % 100 == 50 {
                // Their items were stale, and are gone after this.
                (0..8).for_each(|_| _ = stands.remove(&next(n)));
                let items = stands.iter().map(|(&n, stand)| (tag(n), stand.bucket));
                wheel.refill(stands.len(), items);
                assert_eq!(wheel.len(), stands.len());
                wheel.check();
            }
            if n % 7 == 0 {
                for (_, end) in work(&mut wheel, &mut stands, now) {
                    assert!(end <= now);
                }
                let next = wheel.next().unwrap_or(Beat::MAX);
                assert!(
                    stands
                        .values()
                        .all(|stand| stand.end > now && next <= stand.end)
                );
            }
        }
        work(&mut wheel, &mut stands, 1 << 44);
        assert!(stands.is_empty());
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn entries_of_one_tag_take_each_others_items() {
        let mut wheel = Wheel::new();
        let mut stands = BTreeMap::new();
        // Bits above the 32nd are no part of a tag.
        for n in 0..40_u64 {
            let end = 100 + n % 3;
            let bucket = wheel.put(tag(5 | n << 32), end, 0);
            stands.insert(5 | n << 32, Stand { end, bucket });
        }
        let ended: Vec<usize> = (99..103)
            .map(|now| work(&mut wheel, &mut stands, now).len())
            .collect();
        assert_eq!(ended, [0, 14, 13, 13]);
    }

    #[test]
    fn chunks_are_used_again_and_given_back() {
        let mut wheel = Wheel::new();
        let mut now = 0;
        for round in 0..50_u64 {
            for n in 0..5_000 {
                wheel.put(tag(n), now + 100 + n % 50, now);
            }
            let held = wheel.chunks.len();
            assert!(held < 5_000 / TAGS + 100, "{held} chunks in round {round}");
            now += 150;
            while wheel.pop(now).is_some() {}
            assert_eq!(wheel.len(), 0);
        }
        wheel.refill(0, std::iter::empty());
        assert_eq!(wheel.chunks.capacity(), 0);
        wheel.check();
    }

    #[test]
    fn a_chunk_is_a_cache_line() {
        assert_eq!(size_of::<Chunk>(), 64);
    }
}
