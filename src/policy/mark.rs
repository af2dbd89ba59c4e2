//! `Mark`: where an entry stands in its ring, and what hits have left on it.
//!
//! | bits | use |
//! |---|---|
//! | 0..28 | position in the ring |
//! | 28..32 | four flags, named by each policy |
//!
//! Flags rise under the shared lock, where racing hits may lose each other's
//! rise (each stores what it read plus its own) but can spoil nothing: the
//! position only changes under the exclusive lock.

use super::Meta;
use crate::ring::{POSITION, Position};
use crate::sync::{AtomicU32, Ordering};

/// The meta of this crate's policies: a ring position and four flag bits in 32 bits.
#[derive(Debug, Default)]
pub struct Mark(AtomicU32);

impl Meta for Mark {}

impl Mark {
    #[inline]
    pub(super) fn bits(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// A plain store: one instruction, no lock prefix.
    #[inline]
    pub(super) fn set(&self, bits: u32) {
        self.0.store(bits, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn position(&self) -> Position {
        self.bits() & POSITION
    }

    #[inline]
    pub(super) fn set_position(&self, position: Position) {
        self.set(self.bits() & !POSITION | position);
    }

    #[inline]
    pub(super) fn has(&self, flag: u32) -> bool {
        self.bits() & flag != 0
    }

    /// Sets flags that are not set yet; a hit on a marked entry writes nothing.
    #[inline]
    pub(super) fn raise(&self, flags: u32) {
        let bits = self.bits();
        if bits & flags != flags {
            self.set(bits | flags);
        }
    }

    #[inline]
    pub(super) fn lower(&self, flags: u32) {
        self.set(self.bits() & !flags);
    }
}
