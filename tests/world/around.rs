//! A policy of the crate with something of the test's around each of its calls.

use brimful::policy::{Place, Policy, Residents, Slot, Tag, Touch};
use std::marker::PhantomData;

/// What happens around the calls of a policy, each known by its name.
pub(crate) trait Aside: 'static {
    fn before(_call: &str) {}
    fn after(_call: &str) {}

    /// Whether the policy can still be held to its own check.
    fn is_sound() -> bool {
        true
    }
}

pub(crate) struct Around<P, A: Aside>(P, PhantomData<fn() -> A>);

fn around<A: Aside, R>(name: &str, call: impl FnOnce() -> R) -> R {
    A::before(name);
    let answer = call();
    A::after(name);
    answer
}

impl<P: Policy, A: Aside> Policy for Around<P, A> {
    type Meta = P::Meta;
    const TOUCH: Touch = P::TOUCH;
    const HITS: u32 = P::HITS;

    fn new(share: u64, seed: u64) -> Self {
        let policy = around::<A, _>("new", || P::new(share, seed));
        Self(policy, PhantomData)
    }
    fn announce(&mut self, tag: Tag, weight: u64) {
        around::<A, _>("announce", || self.0.announce(tag, weight));
    }
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<P::Meta>) {
        around::<A, _>("admit", || self.0.admit(slot, tag, residents));
    }
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<P::Meta>) {
        around::<A, _>("touch", || self.0.touch(slot, residents));
    }
    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<P::Meta>) {
        around::<A, _>("reweighed", || self.0.reweighed(slot, before, residents));
    }
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<P::Meta>) {
        around::<A, _>("forget", || self.0.forget(slot, residents));
    }
    fn victim(&mut self, residents: &mut impl Residents<P::Meta>) -> Option<Slot> {
        around::<A, _>("victim", || self.0.victim(residents))
    }
    fn moved(&mut self, residents: &mut impl Residents<P::Meta>) {
        around::<A, _>("moved", || self.0.moved(residents));
    }
    fn resized(&mut self, share: u64) {
        around::<A, _>("resized", || self.0.resized(share));
    }
    fn hit_a_ghost(&self) -> bool {
        around::<A, _>("hit_a_ghost", || self.0.hit_a_ghost())
    }
    fn place(&self, slot: Slot, residents: &impl Residents<P::Meta>) -> Option<Place> {
        around::<A, _>("place", || self.0.place(slot, residents))
    }
    fn order(&self, residents: &impl Residents<P::Meta>) -> Option<impl Iterator<Item = Slot>> {
        around::<A, _>("order", || self.0.order(residents))
    }
    fn remembers(&self, tag: Tag) -> bool {
        around::<A, _>("remembers", || self.0.remembers(tag))
    }
    fn check(&self, residents: &mut impl Residents<P::Meta>) {
        if A::is_sound() {
            self.0.check(residents);
        }
    }
}

impl<P, A: Aside> Drop for Around<P, A> {
    fn drop(&mut self) {
        A::before("drop");
    }
}
