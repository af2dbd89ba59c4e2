//! `Tag`: the 28 bits of an entry's hash by which its shard finds it again.
//!
//! | bits | use |
//! |---|---|
//! | 0..4 | always 1: an entry keeps its hits there (`table::label`) |
//! | 4..20 | the fingerprint: a table compares the lower 8 of these bits before it looks at an entry, ghosts compare all 16, a sketch the upper 12, the history the upper 11 |
//! | from 31 down | where in a table, or in what is remembered of keys, the search begins |
//!
//! So a tag of 0 can mean "none". The lower 8 bits of the fingerprint are never 0 or 1, so a
//! table has two bytes left that are no entry's. Tags are spread
//! evenly inside each shard by a product of their own (`hash.rs`). Two keys of one shard
//! may share a tag; code that must tell them apart compares more than the tag.

use std::num::NonZeroU32;

/// The bits below a tag.
pub(crate) const BELOW: u32 = 4;

/// What a policy knows of a key: 28 bits of its hash.
///
/// Equal keys have equal tags; different keys may share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(NonZeroU32);

impl Tag {
    /// The tag of a key whose mixed hash has these low 28 bits.
    #[inline]
    pub(crate) fn of(hash: u64) -> Self {
        // A fingerprint of 0 becomes 2, and 1 becomes 3.
        let is_low = (hash as u8) < 2;
        Self::above((hash as u32) << BELOW | u32::from(is_low) << (BELOW + 1))
    }

    /// The tag with these bits, whatever is below them.
    #[inline]
    pub(crate) fn above(bits: u32) -> Self {
        Self(NonZeroU32::MIN | bits >> BELOW << BELOW)
    }

    /// The tag that `bits` were read from, or `None` for "no tag".
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }

    /// The tag as a number, never zero, its low 4 bits always 1: for ghosts and sketches.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0.get()
    }

    /// The bits that are compared in place of a key; the lower 8 of them are never 0 or 1.
    #[inline]
    pub(crate) fn fingerprint(self) -> u16 {
        (self.bits() >> BELOW) as u16
    }

    /// The hash that a table of flights is keyed by: equal tags have equal hashes.
    ///
    /// Such a table takes its control byte from the top 7 bits of a `usize`, which has
    /// 32 bits on some targets, and begins its search at the bits from the lowest.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        if cfg!(target_pointer_width = "64") {
            u64::from(self.bits()).rotate_right(8 + BELOW)
        } else {
            u64::from(self.bits().rotate_right(8 + BELOW))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_never_zero_and_a_tag_survives_its_bits() {
        for hash in [
            0,
            1,
            2,
            3,
            256,
            257,
            u64::MAX,
            1 << 8,
            1 << 27,
            1 << 31,
            0xFFFF,
        ] {
            let tag = Tag::of(hash);
            assert!(tag.fingerprint() as u8 > 1);
            assert_eq!(tag.bits() % (1 << BELOW), 1);
            assert_eq!(Tag::from_bits(tag.bits()), Some(tag));
        }
        assert_eq!(Tag::from_bits(0), None);
    }
}
