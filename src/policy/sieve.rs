//! SIEVE: one queue that never moves, and a hand that walks it.
//!
//! ```text
//! hit(e):    e.visited = true
//! victim():  from the hand towards the newest, then again from the oldest:
//!                if e.visited: e.visited = false, go on
//!                else: e is the victim, the hand stays at the next newer one
//! ```
//!
//! A hand that has passed the newest entry starts again from the oldest, whatever
//! was admitted meanwhile: else it would stay among the newcomers for ever.
//!
//! The walk passes each entry at most once marked and once unmarked: at most
//! two rounds, amortised O(1).

use super::queue::{Queue, set_position};
use super::ring::Position;
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch};

/// SIEVE: survivors stay where they are, newcomers go unless hit in time.
///
/// Simple and strong on skewed traffic such as web objects; not made for scans
/// and loops, which clear all its marks.
///
/// Source: Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is
/// Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches",
/// NSDI 2024.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    queue: Queue,
    /// A live item, or `None` for the oldest.
    hand: Option<Position>,
}

impl Sieve {
    /// Leaves a hole; a hand that stood there goes on.
    fn leave(&mut self, position: Position, slot: Slot) {
        if self.hand == Some(position) {
            self.hand = self.queue.ring.after(position);
        }
        self.queue.ring.remove(position, slot);
    }

    /// All entries in the order in which the hand comes by.
    fn in_turn(&self) -> impl Iterator<Item = Slot> {
        let turned = self.turned();
        let queue = || self.queue.slots();
        queue().skip(turned).chain(queue().take(turned))
    }

    /// How many entries the hand has passed since it last began with the oldest.
    fn turned(&self) -> usize {
        let here = self.hand.and_then(|hand| {
            let slot = self.queue.ring.slot(hand)?;
            self.queue.ring.before(hand, slot)
        });
        here.unwrap_or(0)
    }
}

/// Items move, and the hand with the one that it points to.
fn follow(
    hand: &mut Option<Position>,
    residents: &mut impl Residents<Mark>,
) -> impl FnMut(Slot, Position, Position) {
    let before = *hand;
    move |slot, from, to| {
        if Some(from) == before {
            *hand = Some(to);
        }
        set_position(residents, slot, to);
    }
}

impl Policy for Sieve {
    type Meta = Mark;
    const TOUCH: Touch = Touch::Mark;
    const HITS: u32 = 1;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<Mark>) {
        let position = self
            .queue
            .ring
            .push(slot, follow(&mut self.hand, residents));
        set_position(residents, slot, position);
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Mark>) {
        if let Some(mark) = residents.meta(slot) {
            self.leave(mark.position(), slot);
        }
    }

    fn victim(&mut self, residents: &mut impl Residents<Mark>) -> Option<Slot> {
        for _ in 0..=2 * self.queue.ring.live() {
            let position = self.hand.or_else(|| self.queue.ring.oldest())?;
            let slot = self.queue.ring.slot(position)?;
            if residents.hits(slot) == 0 {
                self.hand = Some(position);
                self.leave(position, slot);
                return Some(slot);
            }
            residents.set_hits(slot, 0);
            self.hand = self.queue.ring.after(position);
        }
        None
    }

    fn moved(&mut self, residents: &mut impl Residents<Mark>) {
        self.queue.renew(residents);
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Mark>) {
        self.queue
            .ring
            .shrink_to_fit(follow(&mut self.hand, residents));
    }

    fn place(&self, slot: Slot, residents: &impl Residents<Mark>) -> Option<Place> {
        let mut place = self.queue.place("queue", slot, residents)?;
        let turned = self.turned() as u64;
        place.ahead = place
            .ahead
            .checked_sub(turned)
            .unwrap_or(place.ahead + place.of - turned);
        place.spared = residents.hits(slot) > 0;
        Some(place)
    }

    /// The hand goes round twice: those that were hit are passed over once.
    fn order(&self, residents: &impl Residents<Mark>) -> Option<impl Iterator<Item = Slot>> {
        let was_hit = |slot: &Slot| residents.hits(*slot) > 0;
        let first = self.in_turn().filter(move |slot| !was_hit(slot));
        Some(first.chain(self.in_turn().filter(was_hit)))
    }

    fn check(&self, residents: &mut impl Residents<Mark>) {
        self.queue.check_whole(residents);
    }
}
