//! `Slot`: where an entry lies in its shard's table.

/// Where an entry lies in its shard: good until the table moves its entries, of
/// which a policy is told ([`Policy::moved`](crate::policy::Policy::moved)), or
/// this one leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(pub(crate) usize);

impl Slot {
    /// The slot as queues keep it: a table has less than 2^32 places.
    #[inline]
    pub(crate) fn bits(self) -> u32 {
        self.0 as u32
    }

    /// The slot that `bits` were read from.
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits as usize)
    }
}
