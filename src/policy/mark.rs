//! `Mark`: where an entry stands in its ring.
//!
//! | bits | use |
//! |---|---|
//! | 0..28 | position in the ring |
//! | 28..32 | four flags, named by each policy |
//!
//! What the flags mean is for each policy to say.

use super::ring::{POSITION, Position};

/// The meta of this crate's policies: a ring position and four flag bits in 32 bits.
#[derive(Clone, Debug, Default)]
pub struct Mark(u32);

impl Mark {
    #[inline]
    pub(super) fn new(position: Position, flags: u32) -> Self {
        Self(position | flags)
    }

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        self.0 & !POSITION
    }

    #[inline]
    pub(super) fn position(&self) -> Position {
        self.0 & POSITION
    }

    #[inline]
    pub(super) fn set_position(&mut self, position: Position) {
        self.0 = self.0 & !POSITION | position;
    }

    #[inline]
    pub(super) fn has(&self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}
