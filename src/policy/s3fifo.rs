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

use super::{Mark, Policy, Residents, Slot, Tag, Touch};
use crate::ghost::Ghost;
use crate::ring::{POSITION, Position, Ring};

const ONE: u32 = 1 << 28;
const COUNT: u32 = 3 << 28;
const MAIN: u32 = 1 << 30;
const HIT: u32 = 1 << 31;
const TO_MAIN: u32 = 2 << 28;

/// S3-FIFO: three FIFO queues filter one-timers out early. The default for now.
///
/// Hits only raise a 2-bit count under the shared lock. Strong on nearly all
/// skewed traffic; weak where every key comes back exactly once or twice, far
/// apart. As in the authors' simulator an entry needs two hits to be promoted,
/// and while the shard fills for the first time newcomers beyond the small
/// queue's share go to the main queue.
///
/// Memory: 4 to 8 bytes of queue and 4 of ghosts an entry.
///
/// Source: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO Queues are
/// All You Need for Cache Eviction", SOSP 2023.
pub struct S3Fifo {
    small: Queue,
    main: Queue,
    ghost: Ghost,
    share: u64,
    filled: bool,
    to_main: bool,
}

#[derive(Default)]
struct Queue {
    ring: Ring,
    weight: u64,
}

impl std::fmt::Debug for S3Fifo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3Fifo")
    }
}

/// The resident at `position` of the queue named by `queue` (`MAIN` or 0).
#[inline]
fn at(residents: &impl Residents<Mark>, tag: Tag, position: Position, queue: u32) -> Option<Slot> {
    residents.find(tag, |mark| {
        mark.bits() & (POSITION | MAIN) == position | queue
    })
}

impl Queue {
    /// Puts the entry of `slot` at the back and writes its mark.
    fn push(&mut self, slot: Slot, tag: Tag, flags: u32, residents: &mut impl Residents<Mark>) {
        if self.ring.is_crowded() {
            self.ring.compact(|tag, from, to| {
                let slot = at(residents, tag, from, flags & MAIN);
                if let Some(mark) = slot.and_then(|slot| residents.meta(slot)) {
                    mark.set_position(to);
                }
            });
        }
        let position = self.ring.push(tag);
        self.weight = self.weight.saturating_add(residents.weight(slot));
        if let Some(mark) = residents.meta(slot) {
            mark.set(position | flags);
        }
    }

    /// Takes the oldest entry out.
    fn pop(&mut self, queue: u32, residents: &impl Residents<Mark>) -> Option<(Slot, Tag, u32)> {
        let (position, tag) = self.ring.pop()?;
        let slot = at(residents, tag, position, queue)?;
        self.weight = self.weight.saturating_sub(residents.weight(slot));
        Some((slot, tag, residents.meta(slot)?.bits()))
    }
}

impl S3Fifo {
    /// What small should hold: a tenth of what the shard holds now, which is
    /// its share when full, however much room it lent or borrowed.
    #[inline]
    fn small_share(&self) -> u64 {
        (self.small.weight.saturating_add(self.main.weight) / 10).max(1)
    }

    fn queue(&mut self, mark: &Mark) -> &mut Queue {
        if mark.has(MAIN) {
            &mut self.main
        } else {
            &mut self.small
        }
    }

    #[inline]
    fn remember(&mut self, tag: Tag, residents: &impl Residents<Mark>) {
        let wanted = residents.len() / 10 * 9;
        let places = self.ghost.places();
        if wanted > places || wanted * 4 + 64 < places {
            self.ghost.fit(wanted.max(1));
        }
        self.ghost.remember(tag);
    }

    /// Small's oldest is the victim, or goes to main (`None`).
    fn small_pays(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (slot, tag, bits) = self.small.pop(0, residents)?;
        if bits & COUNT >= TO_MAIN {
            self.main.push(slot, tag, bits & HIT | MAIN, residents);
            return None;
        }
        self.remember(tag, residents);
        Some(slot)
    }

    /// Main's oldest is the victim, or has earned another round (`None`).
    fn main_pays(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        let (slot, tag, bits) = self.main.pop(MAIN, residents)?;
        let count = bits & COUNT;
        if count > 0 {
            self.main
                .push(slot, tag, (bits & (HIT | MAIN)) | (count - ONE), residents);
            return None;
        }
        Some(slot)
    }
}

impl Policy for S3Fifo {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Shared;

    fn new(share: u64, _seed: u64) -> Self {
        Self {
            small: Queue::default(),
            main: Queue::default(),
            ghost: Ghost::default(),
            share,
            filled: false,
            to_main: false,
        }
    }

    #[inline]
    fn miss(&mut self, tag: Tag, _weight: u64) {
        self.to_main = self.ghost.forget(tag);
    }

    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Mark>) {
        // An entry that is admitted anew, since its key is being replaced, was hit or not.
        let hit = residents.meta(slot).map_or(0, |mark| mark.bits() & HIT);
        let filling = !self.filled && self.small.weight >= self.share / 10;
        if self.to_main || filling {
            self.to_main = false;
            self.main.push(slot, tag, hit | MAIN, residents);
        } else {
            self.small.push(slot, tag, hit, residents);
        }
    }

    #[inline]
    fn touch_shared(mark: &Mark) {
        let bits = mark.bits();
        if bits & COUNT != COUNT {
            mark.set((bits | HIT) + ONE);
        }
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Mark>) {
        let after = residents.weight(slot);
        if let Some(mark) = residents.meta(slot) {
            let queue = self.queue(mark);
            queue.weight = queue.weight.saturating_sub(before).saturating_add(after);
        }
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        let weight = residents.weight(slot);
        if let Some(mark) = residents.meta(slot) {
            let queue = self.queue(mark);
            queue.ring.remove(mark.position());
            queue.weight = queue.weight.saturating_sub(weight);
        }
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        self.filled = true;
        for _ in 0..=self.small.ring.live() + 4 * residents.len() {
            let over = self.small.weight > self.small_share() || self.main.ring.live() == 0;
            let victim = if over && self.small.ring.live() > 0 {
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

    fn resized(&mut self, share: u64) {
        self.share = share;
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.small.ring.shrink_to_fit();
        self.main.ring.shrink_to_fit();
        if residents.len() * 2 < self.ghost.places() {
            self.ghost.fit(residents.len());
        }
    }

    #[inline]
    fn was_hit(mark: &Mark) -> Option<bool> {
        Some(mark.has(HIT))
    }

    #[inline]
    fn missed_a_ghost(&self) -> bool {
        self.to_main
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        let live = self.small.ring.live() + self.main.ring.live();
        assert_eq!(live, residents.len(), "items and residents");
        for (queue, name) in [(&self.small, 0), (&self.main, MAIN)] {
            queue.ring.check();
            let weight: u64 = queue
                .ring
                .iter()
                .map(|(position, tag)| {
                    let slot = at(residents, tag, position, name).expect("a stale item");
                    residents.weight(slot)
                })
                .sum();
            assert_eq!(weight, queue.weight, "weight of a queue");
        }
    }
}
