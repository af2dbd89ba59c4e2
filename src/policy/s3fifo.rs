//! S3-FIFO: a small queue that newcomers must survive, a main queue for those
//! that did, and a memory of those that did not.
//!
//! ```text
//! hit(e):   e.count = min(e.count + 1, 3)
//! admit(e): into main if e is a ghost, or while the shard fills for the first
//!           time and small has its share; else into small
//! victim(): while small is over its share (a tenth), or main is empty:
//!               v = small's oldest
//!               if v.count >= 2: into main with count 0
//!               else: v is the victim, and a ghost from now on
//!           m = main's oldest
//!               if m.count > 0: to main's back with count - 1
//!               else: m is the victim
//! ```
//!
//! Shares are in units of weight. Ghosts are as many as residents of main would
//! be. An eviction moves each entry of small at most once and each of main at
//! most three times: bounded, amortised O(1).

use super::ghost::Ghost;
use super::segments::{HITS, Segments};
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch, rehearse};

const TO_MAIN: u32 = 2;

/// S3-FIFO: three FIFO queues filter one-timers out early.
///
/// Hits only raise a 2-bit count. Strong on nearly all
/// skewed traffic; weak where every key comes back exactly once or twice, far
/// apart. As in the authors' simulator an entry needs two hits to be promoted,
/// and while the shard fills for the first time newcomers beyond the small
/// queue's share go to the main queue.
///
/// Memory: 4 bytes in each entry, 4 to 8 of queues and 2 of ghosts.
///
/// Source: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO Segments are
/// All You Need for Cache Eviction", SOSP 2023.
#[derive(Clone)]
pub struct S3Fifo {
    segments: Segments,
    ghost: Ghost,
    share: u64,
    filled: bool,
    to_main: bool,
}

impl std::fmt::Debug for S3Fifo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3Fifo")
    }
}

impl S3Fifo {
    /// What small should hold: a tenth of what the shard holds now, which is
    /// its share when full, however much room it lent or borrowed.
    #[inline]
    fn small_share(&self) -> u64 {
        (self.segments.weight() / 10).max(1)
    }

    #[inline]
    fn remember(&mut self, slot: Slot, residents: &impl Residents<Mark>) {
        self.ghost.follow(residents.len() / 10 * 9);
        if let Some(tag) = residents.tag(slot) {
            self.ghost.remember(tag);
        }
    }

    /// Small's oldest is the victim, or goes to main (`None`).
    fn small_pays(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (slot, hits) = self.segments.small.pop(residents)?;
        if hits >= TO_MAIN {
            self.segments.main.push(slot, 0, residents);
            return None;
        }
        self.remember(slot, residents);
        Some(slot)
    }

    /// Main's oldest is the victim, or has earned another round (`None`).
    fn main_pays(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (slot, hits) = self.segments.main.pop(residents)?;
        if hits > 0 {
            self.segments.main.push(slot, hits - 1, residents);
            return None;
        }
        Some(slot)
    }
}

impl Policy for S3Fifo {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Mark;
    const HITS: u32 = HITS;
    const GHOSTS: bool = true;

    fn new(share: u64, _seed: u64) -> Self {
        Self {
            segments: Segments::default(),
            ghost: Ghost::default(),
            share,
            filled: false,
            to_main: false,
        }
    }

    #[inline]
    fn prefetch(&self, tag: Tag) {
        self.ghost.prefetch(tag);
    }

    #[inline]
    fn announce(&mut self, tag: Tag, _weight: u64) {
        self.to_main = self.ghost.forget(tag);
    }

    #[inline]
    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<Mark>) {
        let filling = !self.filled && self.segments.small.weight() >= self.share / 10;
        if self.to_main || filling {
            self.to_main = false;
            self.segments.main.push(slot, 0, residents);
        } else {
            self.segments.small.push(slot, 0, residents);
        }
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Mark>) {
        self.segments.reweighed(slot, before, residents);
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        self.segments.remove(slot, residents);
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        self.filled |= self.segments.live() > 0;
        for _ in 0..=self.segments.small.live() + 4 * residents.len() {
            let over =
                self.segments.small.weight() > self.small_share() || self.segments.main.live() == 0;
            let victim = if over && self.segments.small.live() > 0 {
                self.small_pays(residents)
            } else {
                self.main_pays(residents)
            };
            if victim.is_some() {
                return victim;
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
        self.ghost.shrink(residents.len() / 10 * 9);
    }

    #[inline]
    fn hit_a_ghost(&self) -> bool {
        self.to_main
    }

    fn place(&self, slot: Slot, residents: &impl Residents<Mark>) -> Option<Place> {
        self.segments.place(slot, TO_MAIN, residents)
    }

    fn order(&self, residents: &impl Residents<Mark>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }

    fn remembers(&self, tag: Tag) -> bool {
        self.ghost.remembers(tag)
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        self.segments.check(residents);
    }
}
