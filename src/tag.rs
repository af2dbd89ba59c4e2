//! `Tag`: the 31 bits of an entry's hash by which its shard finds it again.
//!
//! | bits | use |
//! |---|---|
//! | 0..7 | what the table keeps in its control byte |
//! | 7..31 | where in the table the search begins |
//! | 31 | always 1, so that 0 can mean "no tag" |
//!
//! The shard is picked from the other half of the hash (`hash.rs`), so tags
//! stay evenly spread inside each shard. Two keys of one shard may share a
//! tag; whoever must tell them apart compares more than the tag.

/// What a policy knows of a key: 31 bits of its hash.
///
/// Equal keys have equal tags; different keys may share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag(u32);

impl Tag {
    const ALWAYS: u32 = 1 << 31;

    /// The tag of a key whose mixed hash is `hash`.
    #[inline]
    pub(crate) fn of(hash: u64) -> Self {
        Self(hash as u32 | Self::ALWAYS)
    }

    /// The tag that `bits` were read from, or `None` for "no tag".
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    /// The tag as a number, never zero: for ghosts and sketches.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The hash that the table is keyed by; the same for every entry of this tag.
    ///
    /// The table takes its control byte from the top 7 bits of a `usize`, which has
    /// 32 bits on some targets, and begins its search at the bits from the lowest.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        if cfg!(target_pointer_width = "64") {
            u64::from(self.0).rotate_right(7)
        } else {
            u64::from(self.0.rotate_right(7))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_never_zero_and_survives_its_bits() {
        for hash in [0, 1, u64::MAX, 1 << 31, u64::from(!Tag::ALWAYS)] {
            let tag = Tag::of(hash);
            assert_ne!(tag.bits(), 0);
            assert_eq!(Tag::from_bits(tag.bits()), Some(tag));
        }
        assert_eq!(Tag::from_bits(0), None);
    }
}
