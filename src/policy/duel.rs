//! Duel: two FIFO queues, a border between them that learns, and a duel at the exit.
//!
//! ```text
//! hit(e):    e.count = min(e.count + 1, 3)
//! announce(k): k enters the history
//!            k is a ghost of small: border += step
//!            k is a ghost of main:  border -= step
//! admit(e):  a ghost of small: into main; else into small, and once the shard has been full with
//!            count 1 if it is no ghost and the history knows it
//!            if no victim was asked for it, now or ahead, and small is beyond the border
//!            (twice beyond it, once the shard has been full):
//!                first small's oldest into main, raised in the history by its count,
//!                with count 1 if it had 2 or more
//! victim():  repeat
//!              small is beyond the border, or main is empty:
//!                v = small's oldest
//!                if v.count = 0: v is the victim
//!                v is raised in the history by v.count
//!                if v.count >= 2: into main with count 0, again
//!                m = main's next
//!                if past(v) > 1 and past(v) > past(m) + 1: v into main with count 0, m is the victim
//!                else: v is the victim, and the history takes one off m
//!              else: m is the victim
//!              (where m is the victim: told to the history)
//! main's next: while main's oldest has a count: to the back with half of it (3, 1, 0), raised
//!              in the history by the other half
//! ```
//!
//! The border (what small should hold, as a part of the shard) moves by the idea
//! of ARC: a miss of a key lately evicted from small says that small should be
//! larger. It may grow to the whole shard, and then the policy is a clock: safe
//! where keys come back soon and once. The duel gives what ARC lacks: a key with
//! a past longer than the ghosts takes the place of one in main that has none. A
//! lead of one is no lead, so equal keys, as in a loop, leave each other alone. Each
//! duel that an old key wins costs it one, so a past that is not added to wears off.
//! While a shard fills or grows, the oldest move on to main: that picks no keys,
//! it only places them by age.
//!
//! There are no lists of ghosts. Small is a queue, so a key that entered not
//! long before small's oldest, and is not here, was evicted from it: the age of
//! its record tells, and an eviction from small of what was not asked for, the most
//! common one, touches no memory but the entry's. Evictions from main are told to
//! the history. A ghost counts for as long as a list of `OF_SMALL` or `OF_MAIN` of
//! the residents would hold it, given how evictions are shared between the queues.
//!
//! A border that learns from ghosts takes turnovers to cross the shard. So two [`Shadows`] of sampled
//! keys, one LRU and one S3-FIFO, say within a part of one turnover whether the shard would hit
//! more by recency:
//!
//! ```text
//! recency leads:    the border goes to 0.9, and is not below 0.5 while that lasts
//!                   small's oldest: with one hit or none it is the victim; else to the back, with count 1
//! frequency leads:  the border goes back to where it was, and each miss moves up to 4 of small's
//!                   oldest on into main until small is no more beyond it
//! first victim:     if more than a fifth of the requests so far were late returns, begin by recency
//! ```
//!
//! Without the second chance a border of 1 would be no clock but FIFO: what is promoted enters a
//! main of one entry, and is the next victim.
//!
//! Everything is in units of weight but the history, which counts keys. An
//! eviction moves at most 128 entries (`ROUNDS`) that hits have kept; after that
//! it takes the next whatever its count. Each move takes hits off an entry, so
//! an eviction is O(1) amortised.
//!
//! Invariants
//! 1. Each resident stands in one queue, as its mark says.
//! 2. `border` is from 0.01 to 1; history and shadows are bounded by the residents.
//!
//! # The constants
//!
//! Mean hit ratio in percent over 54 real traces and bounds, whole, and from an
//! empty cache in the middle of each; in brackets how far the worst lies from
//! LRU. As it was before there were shadows, in one shard: 54.73 (-0.8), cold 54.11 (-5.8); two runs
//! differ by up to 0.03 (0.3). With them: 54.76 (-0.8), 54.14 (-5.6).
//!
//! | constant | as it is | other values, one or two changed at a time |
//! |---|---|---|
//! | `STEP` | 0.5 | 0.25: 54.75 (-0.9), 54.10 (-5.8); 0.75: 54.64 (-0.7), 54.07 (-5.5) |
//! | `OF_SMALL` | 0.2 | 0.25: 54.70 (-0.7), 54.08 (-5.6); 0.4: 54.54 (-0.6), 53.91 (-5.6) |
//! | `OF_MAIN` | 0.1 | 0.15: 54.74 (-1.2), 54.11 (-5.6); 0.2: 54.73 (-0.8), 54.09 (-5.6) |
//! | `KNOWN` / 4 | 2.25 | 1.75: 54.58 (-0.8), 53.99 (-5.7); 2: 54.72 (-0.9), 54.10 (-5.8); 3.5: 54.58 (-0.8), 54.10 (-5.6) |
//! | `MARGIN` | 1 | 0: 54.66 (-0.6), 54.05 (-5.9); 2: 54.72 (-0.8), 54.13 (-6.4) |
//! | second chances cost | 1 | half the count: 54.58 (-0.6), 53.99 (-5.6) |
//!
//! What each part is worth, measured with lists of ghosts and a sketch in place of
//! the history (54.90, 54.22): without the head start 54.83, 54.19; without the
//! duel 54.21, 53.66; with a border that stays 53.53 (-33.0), 52.86 (-33.0). A
//! margin of 0 lets equal keys of a loop throw each other out.

use super::history::{History, Past, WayOut};
use super::segments::{HITS, Item, Segments};
use super::shadows::{NOBODY, Request, Shadows, picks};
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch, rehearse};

/// One, in the parts that `border` and `from_main` count.
const ALL: u64 = 1 << 32;

/// The border of an empty shard.
const FIRST: u64 = ALL / 20;
/// The least that the border may be.
const LEAST: u64 = ALL / 100;
/// How far a ghost's return moves the border, as a part of its own weight.
const STEP: f64 = 0.5;
/// For how many evictions from small a key is its ghost, for each resident.
const OF_SMALL: f64 = 0.2;
/// For how many evictions from main a key is its ghost, for each resident.
const OF_MAIN: f64 = 0.1;
/// Keys that the history remembers for each resident, in quarters.
const KNOWN: usize = 9;
/// By how much a newcomer must lead to win the duel, less one.
const MARGIN: u32 = 1;
/// Hits that promote from small to main.
const PROMOTE: u32 = 2;
/// The most entries that one eviction moves.
const ROUNDS: u32 = 128;

/// The border of a shard that turns to recency, at least.
const BY_RECENCY: u64 = ALL / 10 * 9;
/// The least that the border may be while it goes by recency.
const LEAST_BY_RECENCY: u64 = ALL / 2;
/// How many of small's oldest a miss moves on after a shard has turned back.
const MOVES: u32 = 4;
/// A shard of fewer entries has no shadows.
const LEAST_SHADOWED: usize = 256;

/// The most victims that are taken for those of admissions to come.
const AHEAD: u8 = 32;

/// Places that the history may have beyond its keys.
const SLACK: usize = 64;

/// The default: adapts between recency and frequency, and lets newcomers duel
/// with the old for their place.
///
/// A small FIFO queue takes newcomers in, a main one keeps what proved itself.
/// The border between them moves as keys come back that one or the other has
/// just evicted (the rule of ARC), from a hundredth to the whole of the shard;
/// and an entry that leaves the small queue takes the place of the main queue's oldest if
/// the history of both says that it is asked for more often.
///
/// Wins on nearly all traffic: skewed, with scans and one-timers, loops wider
/// than the cache, and keys that come back once and soon. Loses a little to
/// [`Lru`](super::Lru) where a cache is started in the middle of a phase that
/// only recency fits, until the border has moved.
///
/// Two small shadows of sampled keys, one in 4 to 64, tell within a part of a turnover whether to go
/// by recency for a while.
///
/// A hit only raises a 2-bit count; one on a sampled key is noted for the shadows. A miss is O(1)
/// amortised, with at most 128 entries moved by one eviction. Memory: 4 bytes in
/// each entry, 4 to 8 of queues and 4.5 of history; and some 8 KiB of shadows in each shard of 256
/// entries or more.
///
/// ```
/// use brimful::{Cache, Entries};
///
/// // Nothing to choose: this is the default.
/// let cache: Cache<u32, u32> = Cache::builder(Entries(100)).build()?;
/// for round in 0..20 {
///     (0..50).for_each(|key| drop(cache.get_or_insert_with(&key, || key)));
///     // A scan of keys that never come back.
///     cache.extend((0..200).map(|n| (1_000 * (round + 1) + n, n)));
/// }
/// assert_eq!((0..50).filter(|key| cache.contains_key(key)).count(), 50);
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// Sources: the queues and counts are of S3-FIFO (J. Yang, Y. Zhang, Z. Qiu,
/// Y. Yue, K. V. Rashmi, SOSP 2023), the rule of the border of ARC (N. Megiddo,
/// D. S. Modha, FAST 2003), the question at the exit of TinyLFU (G. Einziger,
/// R. Friedman, B. Manes, ACM Transactions on Storage 13(4), 2017). Their union,
/// and the history, are this crate's.
#[derive(Clone)]
pub struct Duel {
    segments: Segments,
    history: History,
    share: u64,
    /// What part of the shard small should hold.
    border: u64,
    /// What part of late evictions main has paid.
    from_main: u64,
    /// For so many residents the history is as it should be.
    fewest: u32,
    most: u32,
    /// Whether a victim was ever asked for.
    filled: bool,
    /// For how many admissions to come victims were asked for: a shard may evict ahead.
    asked: u8,
    /// What the key last announced is to this shard.
    comes: Comes,
    /// Whether the shard goes by recency now.
    by_recency: bool,
    /// Whether it has turned back, and small is still beyond the border.
    turns_back: bool,
    shadows: Option<Box<Shadows>>,
    /// Whether there are to be none.
    shadowless: bool,
    /// Of 2^this keys one is of the shadows' sample; with [`NOBODY`] none.
    halvings: u8,
}

/// A key on its way in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    New,
    /// Not a ghost, but asked for before.
    Known,
    BackToSmall,
    BackToMain,
}

impl std::fmt::Debug for Duel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Duel")
            .field("border", &(self.border as f64 / ALL as f64))
            .finish_non_exhaustive()
    }
}

/// Keys to remember for so many residents.
#[inline]
fn known(residents: usize) -> usize {
    residents.saturating_mul(KNOWN) / 4
}

impl Duel {
    /// What the shard holds, or will when it is full for the first time.
    #[inline]
    fn whole(&self) -> u64 {
        if self.filled {
            self.segments.weight()
        } else {
            self.share
        }
    }

    /// Whether small is beyond so many times the border.
    #[inline]
    fn is_beyond(&self, times: u64) -> bool {
        self.is_beyond_of(self.whole(), times)
    }

    /// Whether small is beyond `times` the border of a shard that holds `whole`.
    #[inline]
    fn is_beyond_of(&self, whole: u64, times: u64) -> bool {
        let border = (u128::from(whole) * u128::from(self.border)) >> ALL.ilog2();
        self.segments.small.weight() >= (border as u64).saturating_mul(times).max(1)
    }

    /// Moves the border by a step for each unit of `weight`, up or down.
    fn step(&self, weight: u64) -> u64 {
        let step = STEP * weight as f64 / self.whole().max(1) as f64;
        (step.min(1.0) * ALL as f64) as u64
    }

    /// One more eviction, of those that `from_main` looks back upon: about a
    /// quarter as many as there are residents.
    #[inline]
    fn paid(&mut self, by_main: bool) {
        let slow = (self.segments.live() / 4 + 4).ilog2();
        self.from_main -= self.from_main >> slow;
        if by_main {
            self.from_main += ALL >> slow;
        }
    }

    /// A key that the history knows.
    #[inline(never)]
    fn comes_again(&mut self, tag: Tag, weight: u64) {
        if let Some(past) = self.history.enter_again(tag) {
            self.comes = self.comes(past, weight);
        }
    }

    /// What a key with this past is, and moves the border if it is a ghost.
    fn comes(&mut self, past: Past, weight: u64) -> Comes {
        let comes = self.would_come(past);
        match comes {
            Comes::BackToMain => {
                self.border = self.border.saturating_add(self.step(weight)).min(ALL);
            }
            Comes::BackToSmall => {
                let least = if self.by_recency {
                    LEAST_BY_RECENCY
                } else {
                    LEAST
                };
                self.border = self.border.saturating_sub(self.step(weight)).max(least);
            }
            Comes::Known | Comes::New => {}
        }
        comes
    }

    /// What a key with this past would be if it came now.
    fn would_come(&self, past: Past) -> Comes {
        let (live, small) = (
            self.segments.live() as f64,
            self.segments.small.live() as f64,
        );
        let main_pays = (self.from_main as f64 / ALL as f64).clamp(0.02, 0.98);
        // An admission pushes one record, and an eviction from main another.
        let age = past.age as f64 / (1.0 + main_pays);
        match past.way_out {
            WayOut::Unknown if age <= small + OF_SMALL * live / (1.0 - main_pays) => {
                Comes::BackToMain
            }
            WayOut::Evicted if age <= OF_MAIN * live / main_pays => Comes::BackToSmall,
            _ if past.count > 0 => Comes::Known,
            _ => Comes::New,
        }
    }

    /// Moves small's oldest on if small holds too much, where no entry had to leave for the room.
    #[inline(never)]
    fn overflow(&mut self, residents: &mut impl Residents<Mark>) {
        let times = if self.filled { 2 } else { 1 };
        if self.is_beyond(times) {
            self.move_on(residents);
        }
    }

    /// Moves small's oldest on into main.
    fn move_on(&mut self, residents: &mut impl Residents<Mark>) {
        if let Some((slot, hits)) = self.segments.small.pop(residents) {
            if hits > 0 {
                self.raise(slot, hits, residents);
            }
            let kept = u32::from(hits >= PROMOTE);
            self.segments.main.push(slot, kept, residents);
        }
    }

    /// A miss with too small a history, or too large a one: it follows the number of residents.
    #[cold]
    #[inline(never)]
    fn miss_anew(&mut self, tag: Tag, weight: u64) {
        self.fit(known(self.segments.live() + 1));
        self.miss(tag, weight);
    }

    #[inline(always)]
    fn miss(&mut self, tag: Tag, weight: u64) {
        self.comes = Comes::New;
        if !self.history.enter_new(tag) {
            self.comes_again(tag, weight);
        }
        if self.samples(tag) {
            self.requested(tag, false);
        }
    }

    /// While residents become more for the first time the history grows in larger steps,
    /// but hardly beyond what a full shard needs. No step is so small that a shard which
    /// outgrows that, again and again, would copy its history for each few entries.
    fn fit(&mut self, keys: usize) {
        let spare = if self.filled {
            keys / 8
        } else {
            let missing = known(self.residents_when_full()).saturating_sub(keys);
            missing.clamp(keys / 64, keys / 2)
        };
        self.history.fit(keys + spare);
        self.survey();
        let entries = if self.filled {
            self.segments.live()
        } else {
            self.residents_when_full()
        };
        self.fit_shadows(entries);
    }

    /// Where the policy does not hear of the hits that it watches.
    pub(super) fn without_shadows(self) -> Self {
        Self {
            shadowless: true,
            ..self
        }
    }

    /// Has shadows that are right for so many entries, or none.
    fn fit_shadows(&mut self, entries: usize) {
        if entries < LEAST_SHADOWED || self.shadowless {
            (self.shadows, self.halvings, self.by_recency) = (None, NOBODY, false);
            return;
        }
        let live = self.segments.live();
        let shadows = self
            .shadows
            .get_or_insert_with(|| Box::new(Shadows::new(entries, live)));
        shadows.fit(entries, self.most as usize);
        self.halvings = shadows.halvings();
    }

    /// Whether a key is of the shadows' sample.
    #[inline]
    fn samples(&self, tag: Tag) -> bool {
        picks(tag, self.halvings)
    }

    /// A sampled key is requested: the shadows say whether to turn.
    #[cold]
    #[inline(never)]
    fn requested(&mut self, tag: Tag, hit: bool) {
        let live = self.segments.live();
        let whole = if self.filled {
            live
        } else {
            self.residents_when_full()
        };
        let request = Request {
            tag,
            hit,
            whole,
            filled: self.filled,
            by_recency: self.by_recency,
            live,
        };
        let Some(shadows) = &mut self.shadows else {
            return;
        };
        if shadows.request(request, &mut self.history) {
            self.turn();
        }
    }

    /// Turns to recency, or back to where the border was.
    fn turn(&mut self) {
        let Some(shadows) = &mut self.shadows else {
            return;
        };
        if self.by_recency {
            self.border = shadows.before;
        } else {
            shadows.before = self.border;
            self.border = self.border.max(BY_RECENCY);
        }
        self.turns_back = self.by_recency;
        self.by_recency = !self.by_recency;
    }

    /// How many entries the share of the shard has room for, if they weigh what the
    /// residents weigh in the mean.
    fn residents_when_full(&self) -> usize {
        let (live, weight) = (self.segments.live() as u128, self.segments.weight());
        let entries = u128::from(self.share) * live / u128::from(weight.max(1));
        usize::try_from(entries).unwrap_or(usize::MAX)
    }

    /// Finds for how many residents the history is neither too small nor, once the
    /// shard was full, more than four times too large.
    fn survey(&mut self) {
        let places = self.history.slots();
        let number = |residents: usize| u32::try_from(residents).unwrap_or(u32::MAX);
        self.most = number((4 * places + 3) / KNOWN);
        let least = places.saturating_sub(SLACK).div_ceil(4);
        self.fewest = match self.filled {
            true => number((4 * least).div_ceil(KNOWN)),
            false => 0,
        };
    }

    /// A victim is asked for the first time.
    #[cold]
    #[inline(never)]
    fn fill(&mut self) {
        self.filled = true;
        self.survey();
        self.fit_shadows(self.segments.live());
        let shadows = self.shadows.as_ref();
        if shadows.is_some_and(|shadows| shadows.begins_by_recency()) {
            self.border = FIRST;
            self.turn();
        }
    }

    /// An entry comes.
    #[inline]
    fn sampled_came(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Mark>) {
        if self.samples(tag) {
            residents.watch(slot);
            if let Some(shadows) = &mut self.shadows {
                shadows.came();
            }
        }
    }

    /// An entry leaves.
    #[inline]
    fn sampled_left(&mut self, tag: Tag) {
        if self.samples(tag) {
            if let Some(shadows) = &mut self.shadows {
                shadows.left();
            }
        }
    }

    /// After a shard has turned back, small shrinks step by step.
    #[cold]
    #[inline(never)]
    fn go_back(&mut self, residents: &mut impl Residents<Mark>) {
        for _ in 0..MOVES {
            if !self.is_beyond(1) {
                self.turns_back = false;
                return;
            }
            self.move_on(residents);
        }
    }

    /// Adds to what the history knows of the entry in `slot`; says how much that is.
    fn raise(&mut self, slot: Slot, by: u32, residents: &impl Residents<Mark>) -> u32 {
        let tag = residents.tag(slot);
        tag.map_or(0, |tag| self.history.raise(tag, by))
    }

    /// Main's oldest that no hit has kept, left where it is.
    #[inline(never)]
    fn next_of_main(
        &mut self,
        rounds: &mut u32,
        residents: &mut impl Residents<Mark>,
    ) -> Option<Item> {
        loop {
            let (slot, hits) = self.segments.main.oldest(residents)?;
            if hits == 0 || *rounds == 0 {
                return Some((slot, hits));
            }
            *rounds -= 1;
            self.segments.main.pop(residents);
            let kept = hits / 2;
            self.segments.main.push(slot, kept, residents);
            self.raise(slot, hits - kept, residents);
        }
    }

    /// Takes out main's oldest.
    #[inline(never)]
    fn main_pays(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (slot, _) = self.segments.main.pop(residents)?;
        self.history.evicted(residents.tag(slot)?);
        self.paid(true);
        Some(slot)
    }

    /// Small's oldest goes to main (`None`), or duels for a place there. The many
    /// that were not asked for are out without a look at their past.
    #[inline]
    fn small_pays(
        &mut self,
        rounds: &mut u32,
        residents: &mut impl Residents<Mark>,
    ) -> Option<Slot> {
        let (slot, hits) = self.segments.small.pop(residents)?;
        if hits > 0 {
            return self.small_duels((slot, hits), rounds, residents);
        }
        self.paid(false);
        Some(slot)
    }

    #[inline(never)]
    fn small_duels(
        &mut self,
        (slot, hits): Item,
        rounds: &mut u32,
        residents: &mut impl Residents<Mark>,
    ) -> Option<Slot> {
        let known = self.raise(slot, hits, residents);
        if self.by_recency && *rounds > 0 {
            if hits < PROMOTE {
                self.paid(false);
                return Some(slot);
            }
            *rounds -= 1;
            self.segments.small.push(slot, 1, residents);
            return None;
        }
        if hits >= PROMOTE && *rounds > 0 {
            *rounds -= 1;
            self.segments.main.push(slot, 0, residents);
            return None;
        }
        if self.wins(known, rounds, residents) {
            let loser = self.main_pays(residents);
            self.segments.main.push(slot, 0, residents);
            return loser;
        }
        self.paid(false);
        Some(slot)
    }

    /// The duel. An entry that cannot win against any rival is not shown one; a rival that
    /// wins has one fewer to show the next time, so none wins for ever.
    fn wins(&mut self, count: u32, rounds: &mut u32, residents: &mut impl Residents<Mark>) -> bool {
        if count <= MARGIN {
            return false;
        }
        let next = self.next_of_main(rounds, residents);
        let Some(rival) = next.and_then(|(slot, _)| residents.tag(slot)) else {
            return false;
        };
        let wins = count > self.history.count(rival) + MARGIN;
        if !wins {
            self.history.lower(rival);
        }
        wins
    }
}

impl Policy for Duel {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Watch;
    const HITS: u32 = HITS;
    const GHOSTS: bool = true;

    fn new(share: u64, _seed: u64) -> Self {
        Self {
            segments: Segments::default(),
            history: History::default(),
            share,
            border: FIRST,
            from_main: ALL / 2,
            fewest: 0,
            most: 0,
            filled: false,
            asked: 0,
            comes: Comes::New,
            by_recency: false,
            turns_back: false,
            shadows: None,
            shadowless: false,
            halvings: NOBODY,
        }
    }

    fn asked(&mut self, tag: Tag) -> Option<u32> {
        Some(self.history.count(tag))
    }

    #[inline]
    fn watches(&self, tag: Tag) -> bool {
        self.samples(tag)
    }

    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        if let Some(tag) = residents.tag(slot).filter(|&tag| self.samples(tag)) {
            self.requested(tag, true);
        }
    }

    #[inline]
    fn prefetch(&self, tag: Tag) {
        self.history.prefetch(tag);
    }

    #[inline]
    fn announce(&mut self, tag: Tag, weight: u64) {
        let residents = self.segments.live() as u32 + 1;
        if residents > self.most || residents < self.fewest {
            return self.miss_anew(tag, weight);
        }
        self.miss(tag, weight);
    }

    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Mark>) {
        if self.turns_back {
            self.go_back(residents);
        }
        self.sampled_came(slot, tag, residents);
        let asked = self.asked > 0;
        self.asked -= u8::from(asked);
        match std::mem::replace(&mut self.comes, Comes::New) {
            Comes::BackToMain => self.segments.main.push(slot, 0, residents),
            Comes::Known if self.filled => {
                self.segments.small.push(slot, 1, residents);
            }
            _ => {
                if !asked {
                    self.overflow(residents);
                }
                self.segments.small.push(slot, 0, residents);
            }
        }
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Mark>) {
        self.segments.reweighed(slot, before, residents);
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        if let Some(tag) = residents.tag(slot) {
            self.history.removed(tag);
            self.sampled_left(tag);
            if let Some(shadows) = self.shadows.as_mut().filter(|_| picks(tag, self.halvings)) {
                shadows.remove(tag);
            }
        }
        self.segments.remove(slot, residents);
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        if self.segments.live() == 0 {
            return None;
        }
        self.asked = (self.asked + 1).min(AHEAD);
        if !self.filled {
            self.fill();
        }
        let mut rounds = ROUNDS;
        while self.segments.live() > 0 {
            let (small, main) = (self.segments.small.live(), self.segments.main.live());
            if main == 0 || small > 0 && self.is_beyond_of(self.segments.weight(), 1) {
                if let Some(victim) = self.small_pays(&mut rounds, residents) {
                    self.sampled_left(residents.tag(victim)?);
                    return Some(victim);
                }
            } else {
                self.next_of_main(&mut rounds, residents)?;
                let victim = self.main_pays(residents)?;
                self.sampled_left(residents.tag(victim)?);
                return Some(victim);
            }
        }
        None
    }

    fn moved(&mut self, residents: &mut impl Residents<Mark>) {
        self.segments.renew(residents);
    }

    fn resized(&mut self, share: u64) {
        self.share = share;
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.segments.shrink_to_fit(residents);
        self.history.shrink(known(residents.len()));
        self.survey();
        self.fit_shadows(residents.len());
    }

    #[inline]
    fn hit_a_ghost(&self) -> bool {
        matches!(self.comes, Comes::BackToMain | Comes::BackToSmall)
    }

    /// A hit of an entry of small may win it a duel, too: only a rehearsal tells.
    fn place(&self, slot: Slot, residents: &impl Residents<Mark>) -> Option<Place> {
        self.segments.place(slot, PROMOTE, residents)
    }

    fn order(&self, residents: &impl Residents<Mark>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }

    fn remembers(&self, tag: Tag) -> bool {
        let past = self.history.past(tag);
        let comes = past.map(|past| self.would_come(past));
        matches!(comes, Some(Comes::BackToSmall | Comes::BackToMain))
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        self.segments.check(residents);
        assert!((LEAST..=ALL).contains(&self.border), "{}", self.border);
        assert!(self.from_main <= ALL, "{}", self.from_main);
        let places = self.history.slots();
        let fits = |n| known(n) <= places && (!self.filled || known(n) * 4 + SLACK >= places);
        assert!(
            fits(self.most as usize) && !fits(self.most as usize + 1),
            "{}",
            self.most
        );
        assert!(fits(self.fewest as usize), "{}", self.fewest);
        assert!(
            self.fewest == 0 || !fits(self.fewest as usize - 1),
            "{}",
            self.fewest
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Residents that all weigh `weight`: slot `n` holds key `n`.
    struct Shelf {
        weight: u64,
        marks: Vec<Mark>,
    }

    fn tag(key: usize) -> Tag {
        Tag::of((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16)
    }

    impl Residents<Mark> for Shelf {
        fn find(&self, wanted: Tag, is: impl Fn(&Mark) -> bool) -> Option<Slot> {
            let found = |&slot: &Slot| tag(slot.0) == wanted && is(&self.marks[slot.0]);
            self.slots().find(found)
        }
        fn tag(&self, slot: Slot) -> Option<Tag> {
            self.meta(slot).map(|_| tag(slot.0))
        }
        fn meta(&self, slot: Slot) -> Option<&Mark> {
            self.marks.get(slot.0)
        }
        fn meta_mut(&mut self, slot: Slot) -> Option<&mut Mark> {
            self.marks.get_mut(slot.0)
        }
        fn hits(&self, _: Slot) -> u32 {
            0
        }
        fn set_hits(&mut self, _: Slot, _: u32) {}
        fn weight(&self, _: Slot) -> u64 {
            self.weight
        }
        fn len(&self) -> usize {
            self.marks.len()
        }
        fn slots(&self) -> impl Iterator<Item = Slot> {
            (0..self.marks.len()).map(Slot)
        }
        fn nth(&self, _: u64) -> Option<Slot> {
            None
        }
    }

    /// A shard that evicts ahead admits into room that nobody leaves at that moment: that is no
    /// reason to move newcomers on into main, as in a shard that fills.
    #[test]
    fn newcomers_stay_in_small_where_victims_were_asked_for_ahead() {
        const SHARE: usize = 640;
        let mut duel = Duel::new(SHARE as u64, 1);
        let marks = Vec::new();
        let mut shelf = Shelf { weight: 1, marks };
        let admit = |duel: &mut Duel, shelf: &mut Shelf| {
            let key = shelf.marks.len();
            duel.announce(tag(key), 1);
            shelf.marks.push(Mark::default());
            duel.admit(Slot(key), tag(key), shelf);
        };
        (0..SHARE).for_each(|_| admit(&mut duel, &mut shelf));
        for ahead in [1, 2, 8, AHEAD] {
            duel.border = LEAST;
            let before = duel.segments.main.live();
            for _ in 0..100 {
                (0..ahead).for_each(|_| assert!(duel.victim(&mut shelf).is_some()));
                (0..ahead).for_each(|_| admit(&mut duel, &mut shelf));
            }
            let main = duel.segments.main.live();
            assert!(
                main <= before,
                "{main} in main, {before} before, {ahead} ahead"
            );
        }
    }

    /// Fills a shard of this share; says how large its history was for each number of
    /// residents on the way, and how often it was copied.
    fn history_of_a_filling_shard(share: u64, weight: u64, entries: usize) -> (Vec<usize>, usize) {
        let mut duel = Duel::new(share, 1);
        let marks = Vec::new();
        let mut shelf = Shelf { weight, marks };
        let sizes = (0..entries).map(|key| {
            duel.announce(tag(key), weight);
            shelf.marks.push(Mark::default());
            duel.admit(Slot(key), tag(key), &mut shelf);
            duel.history.slots()
        });
        let sizes: Vec<usize> = sizes.collect();
        duel.check(&mut shelf);
        let copies = sizes.windows(2).filter(|pair| pair[0] != pair[1]).count();
        (sizes, copies)
    }

    #[test]
    fn while_it_fills_a_history_is_bounded_by_the_entries_of_a_full_shard_whatever_they_weigh() {
        const ENTRIES: usize = 1_000;
        for weight in [1, 3, 1_000, 1 << 40] {
            let share = ENTRIES as u64 * weight;
            let (sizes, copies) = history_of_a_filling_shard(share, weight, ENTRIES);
            let most = known(ENTRIES) + known(ENTRIES) / 64 + 16;
            assert!(sizes.iter().all(|&slots| slots <= most), "{sizes:?}");
            assert!(
                sizes
                    .iter()
                    .enumerate()
                    .all(|(n, &slots)| slots >= known(n + 1))
            );
            assert!(copies < 20, "{copies} copies");
        }
    }

    #[test]
    fn a_shard_far_beyond_its_share_seldom_copies_its_history() {
        let (_, copies) = history_of_a_filling_shard(100, 1, 20_000);
        assert!(copies < 1_000, "{copies} copies");
        // Weightless entries, and a share beyond all numbers of entries.
        for (share, weight) in [(0, 1), (100, 0), (u64::MAX, 1), (u64::MAX, 0), (1, 1 << 40)] {
            let (sizes, _) = history_of_a_filling_shard(share, weight, 500);
            let most = known(500) + known(500) / 2 + 16;
            assert!(sizes.iter().all(|&slots| slots <= most), "{share} {weight}");
        }
    }
}
