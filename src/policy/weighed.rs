//! `Weighed`: any policy, and a weight in each entry.
//!
//! What an entry carries is named in the policy's type, so a cache that counts
//! entries pays nothing for weights.

use super::{Meta, Ours, Policy, Residents, Slot, Tag, Touch};

/// A policy whose entries carry a weight of their own: 8 bytes more each.
///
/// Capacities in [`Weight`](crate::Weight) or [`Bytes`](crate::Bytes) choose it
/// on their own; write it out only to name the type of a cache.
#[derive(Debug)]
pub struct Weighed<P>(P);

/// What entries of a [`Weighed`] policy carry.
#[derive(Debug, Default)]
pub struct WeighedMeta<M> {
    weight: u64,
    order: M,
}

impl<M: Meta> Meta for WeighedMeta<M> {
    const WEIGHED: bool = true;

    #[inline]
    fn weight(&self, _: Ours) -> u64 {
        self.weight
    }

    #[inline]
    fn set_weight(&mut self, weight: u64, _: Ours) {
        self.weight = weight;
    }
}

/// The residents as the wrapped policy sees them.
struct Unwrapped<'a, R>(&'a mut R);

impl<M: Meta, R: Residents<WeighedMeta<M>>> Residents<M> for Unwrapped<'_, R> {
    #[inline]
    fn find(&self, tag: Tag, is: impl Fn(&M) -> bool) -> Option<Slot> {
        self.0.find(tag, |meta| is(&meta.order))
    }

    #[inline]
    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.0.tag(slot)
    }

    #[inline]
    fn meta(&self, slot: Slot) -> Option<&M> {
        self.0.meta(slot).map(|meta| &meta.order)
    }

    #[inline]
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut M> {
        self.0.meta_mut(slot).map(|meta| &mut meta.order)
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u64 {
        self.0.weight(slot)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.0.slots()
    }

    fn nth(&self, bucket: u64) -> Option<Slot> {
        self.0.nth(bucket)
    }
}

impl<P: Policy> Policy for Weighed<P> {
    type Meta = WeighedMeta<P::Meta>;
    const TOUCH: Touch = P::TOUCH;

    fn new(share: u64, seed: u64) -> Self {
        Self(P::new(share, seed))
    }

    #[inline]
    fn miss(&mut self, tag: Tag, weight: u64) {
        self.0.miss(tag, weight);
    }

    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Self::Meta>) {
        self.0.admit(slot, tag, &mut Unwrapped(residents));
    }

    #[inline]
    fn mark(meta: &mut Self::Meta) {
        P::mark(&mut meta.order);
    }

    #[inline]
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>) {
        self.0.touch(slot, &mut Unwrapped(residents));
    }

    #[inline]
    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Self::Meta>) {
        self.0.reweighed(slot, before, &mut Unwrapped(residents));
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>) {
        self.0.forget(slot, &mut Unwrapped(residents));
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Self::Meta>) -> Option<Slot> {
        self.0.victim(&mut Unwrapped(residents))
    }

    fn moved(&mut self, residents: &mut impl Residents<Self::Meta>) {
        self.0.moved(&mut Unwrapped(residents));
    }

    #[inline]
    fn resized(&mut self, share: u64) {
        self.0.resized(share);
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Self::Meta>) {
        self.0.shrink_to_fit(&mut Unwrapped(residents));
    }

    #[inline]
    fn was_hit(meta: &Self::Meta) -> Option<bool> {
        P::was_hit(&meta.order)
    }

    #[inline]
    fn missed_a_ghost(&self) -> bool {
        self.0.missed_a_ghost()
    }

    fn check(&self, residents: &mut impl Residents<Self::Meta>) {
        self.0.check(&mut Unwrapped(residents));
    }
}
