//! `Carry`: any policy, and something more in each entry: a weight, a life.
//!
//! What an entry carries is named in the policy's type, so a cache that counts
//! entries without lives pays for neither. One wrapper passes every call on;
//! what it adds is its second parameter.

use super::{Meta, Ours, Policy, Residents, Slot, Tag, Touch};
use std::marker::PhantomData;

/// A policy whose entries carry something more.
///
/// The builder's calls choose it on their own; its forms have names:
/// [`Weighed`], [`Timed`](super::Timed), [`Idle`](super::Idle) and
/// [`Recorded`](super::Recorded). Weights go outside of lives:
/// `Weighed<Timed<P>>`.
#[derive(Debug)]
pub struct Carry<P, X>(P, PhantomData<fn() -> X>);

/// A policy whose entries carry a weight of their own: 8 bytes more each.
///
/// Capacities in [`Weight`](crate::Weight) or [`Bytes`](crate::Bytes) choose it
/// on their own; write it out only to name the type of a cache.
pub type Weighed<P> = Carry<P, Load>;

/// What entries of a [`Carry`] policy carry: the extra, and what the policy itself keeps.
#[derive(Debug, Default)]
pub struct Carried<M, X> {
    extra: X,
    order: M,
}

/// What an entry may carry beside what its policy keeps. The trait is sealed.
pub trait Extra: Meta + sealed::Sealed {}

impl<X: Meta + sealed::Sealed> Extra for X {}

mod sealed {
    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Sealed {}
    impl Sealed for super::Load {}
    impl Sealed for super::super::Ends {}
    impl Sealed for super::super::Idles {}
    impl Sealed for super::super::Records {}
}

/// A `u64` that asks for no alignment: beside the 32 bits that most policies
/// keep, eight bytes are then eight and not twelve.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C, align(4))]
pub(super) struct Packed([u8; 8]);

impl Packed {
    #[inline]
    pub(super) fn of(number: u64) -> Self {
        Self(number.to_ne_bytes())
    }

    #[inline]
    pub(super) fn number(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }
}

/// A weight, as an [`Extra`]: 8 bytes.
#[derive(Debug, Default)]
pub struct Load(Packed);

impl Meta for Load {
    const WEIGHED: bool = true;

    #[inline]
    fn weight(&self, _: Ours) -> u64 {
        self.0.number()
    }

    #[inline]
    fn set_weight(&mut self, weight: u64, _: Ours) {
        self.0 = Packed::of(weight);
    }
}

/// Each figure is the extra's, if it has it, else the policy's, which may itself
/// be one that carries.
impl<M: Meta, X: Extra> Meta for Carried<M, X> {
    const WEIGHED: bool = X::WEIGHED || M::WEIGHED;
    const TIMED: bool = X::TIMED || M::TIMED;
    const IDLES: bool = X::IDLES || M::IDLES;
    const RECORDS: bool = X::RECORDS || M::RECORDS;

    #[inline]
    fn weight(&self, ours: Ours) -> u64 {
        if X::WEIGHED {
            self.extra.weight(ours)
        } else {
            self.order.weight(ours)
        }
    }

    #[inline]
    fn set_weight(&mut self, weight: u64, ours: Ours) {
        if X::WEIGHED {
            self.extra.set_weight(weight, ours);
        } else {
            self.order.set_weight(weight, ours);
        }
    }

    #[inline]
    fn end(&self, ours: Ours) -> u64 {
        if X::TIMED {
            self.extra.end(ours)
        } else {
            self.order.end(ours)
        }
    }

    #[inline]
    fn set_end(&mut self, end: u64, ours: Ours) {
        if X::TIMED {
            self.extra.set_end(end, ours);
        } else {
            self.order.set_end(end, ours);
        }
    }

    #[inline]
    fn idle_end(&self, ours: Ours) -> u64 {
        if X::IDLES {
            self.extra.idle_end(ours)
        } else {
            self.order.idle_end(ours)
        }
    }

    #[inline]
    fn set_idle_end(&mut self, idle_end: u64, ours: Ours) {
        if X::IDLES {
            self.extra.set_idle_end(idle_end, ours);
        } else {
            self.order.set_idle_end(idle_end, ours);
        }
    }

    #[inline]
    fn born(&self, ours: Ours) -> u64 {
        if X::RECORDS {
            self.extra.born(ours)
        } else {
            self.order.born(ours)
        }
    }

    #[inline]
    fn set_born(&mut self, born: u64, ours: Ours) {
        if X::RECORDS {
            self.extra.set_born(born, ours);
        } else {
            self.order.set_born(born, ours);
        }
    }
}
/// The residents as the wrapped policy sees them.
struct Unwrapped<'a, R, X>(&'a mut R, PhantomData<X>);

impl<M: Meta, X: Extra, R: Residents<Carried<M, X>>> Residents<M> for Unwrapped<'_, R, X> {
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

    fn nth(&self, place: u64) -> Option<Slot> {
        self.0.nth(place)
    }

    #[inline]
    fn fetch(&self, slot: Slot) {
        self.0.fetch(slot);
    }
}

fn unwrapped<R, X>(residents: &mut R) -> Unwrapped<'_, R, X> {
    Unwrapped(residents, PhantomData)
}

impl<P: Policy, X: Extra> Policy for Carry<P, X> {
    type Meta = Carried<P::Meta, X>;
    const TOUCH: Touch = P::TOUCH;

    fn new(share: u64, seed: u64) -> Self {
        Self(P::new(share, seed), PhantomData)
    }

    #[inline]
    fn miss(&mut self, tag: Tag, weight: u64) {
        self.0.miss(tag, weight);
    }

    #[inline]
    fn fetch(&self, tag: Tag) {
        self.0.fetch(tag);
    }

    #[inline]
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Self::Meta>) {
        self.0.admit(slot, tag, &mut unwrapped::<_, X>(residents));
    }

    #[inline]
    fn mark(meta: &mut Self::Meta) {
        P::mark(&mut meta.order);
    }

    #[inline]
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>) {
        self.0.touch(slot, &mut unwrapped::<_, X>(residents));
    }

    #[inline]
    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Self::Meta>) {
        self.0
            .reweighed(slot, before, &mut unwrapped::<_, X>(residents));
    }

    #[inline]
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>) {
        self.0.forget(slot, &mut unwrapped::<_, X>(residents));
    }

    #[inline]
    fn victim(&mut self, residents: &mut impl Residents<Self::Meta>) -> Option<Slot> {
        self.0.victim(&mut unwrapped::<_, X>(residents))
    }

    fn moved(&mut self, residents: &mut impl Residents<Self::Meta>) {
        self.0.moved(&mut unwrapped::<_, X>(residents));
    }

    #[inline]
    fn resized(&mut self, share: u64) {
        self.0.resized(share);
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<Self::Meta>) {
        self.0.shrink_to_fit(&mut unwrapped::<_, X>(residents));
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
        self.0.check(&mut unwrapped::<_, X>(residents));
    }
}
