//! `Timed`, `Idle`, `Recorded`: any policy, and a life in each entry.
//!
//! | form | an entry carries | asked for by |
//! |---|---|---|
//! | [`Timed`] | 8 bytes: when its life ends | `time_to_live`, `life` |
//! | [`Idle`] | 16: and when it ends if unused | `time_to_idle` |
//! | [`Recorded`] | 24: and when its value came | `record_lives` |
//!
//! Each form includes the one before. The builder moves upwards in this order
//! and never down, in whatever order its calls are made.

use super::carry::Packed;
use super::{Carry, Load, Meta, Ours, Policy};

/// A policy whose entries have a life that ends: 8 bytes more each, and some 5
/// in the wheel that finds them again.
///
/// [`time_to_live`](crate::Builder::time_to_live) and
/// [`life`](crate::Builder::life) choose it on their own; write it out only to
/// name the type of a cache. With weights it goes inside: `Weighed<Timed<P>>`.
pub type Timed<P> = Carry<P, Ends>;

/// A policy whose entries have a life that ends, sooner if they are not used: 16
/// bytes more each. Chosen by [`time_to_idle`](crate::Builder::time_to_idle).
pub type Idle<P> = Carry<P, Idles>;

/// The same, with the moment at which the value came: 24 bytes more each. Chosen
/// by [`record_lives`](crate::Builder::record_lives).
pub type Recorded<P> = Carry<P, Records>;

/// The end of a life, as an [`Extra`](super::Extra): 8 bytes.
#[derive(Debug, Default)]
pub struct Ends(Packed);

/// Two ends, one of which each use puts off, as an [`Extra`](super::Extra): 16 bytes.
#[derive(Debug, Default)]
pub struct Idles {
    ends: Ends,
    idle_end: Packed,
}

/// Two ends and a beginning, as an [`Extra`](super::Extra): 24 bytes.
#[derive(Debug, Default)]
pub struct Records {
    idles: Idles,
    born: Packed,
}

impl Meta for Ends {
    const TIMED: bool = true;

    #[inline]
    fn end(&self, _: Ours) -> u64 {
        self.0.number()
    }

    #[inline]
    fn set_end(&mut self, end: u64, _: Ours) {
        self.0 = Packed::of(end);
    }
}

impl Meta for Idles {
    const TIMED: bool = true;
    const IDLES: bool = true;

    #[inline]
    fn end(&self, ours: Ours) -> u64 {
        self.ends.end(ours)
    }

    #[inline]
    fn set_end(&mut self, end: u64, ours: Ours) {
        self.ends.set_end(end, ours);
    }

    #[inline]
    fn idle_end(&self, _: Ours) -> u64 {
        self.idle_end.number()
    }

    #[inline]
    fn set_idle_end(&mut self, end: u64, _: Ours) {
        self.idle_end = Packed::of(end);
    }
}

impl Meta for Records {
    const TIMED: bool = true;
    const IDLES: bool = true;
    const RECORDS: bool = true;

    #[inline]
    fn end(&self, ours: Ours) -> u64 {
        self.idles.end(ours)
    }

    #[inline]
    fn set_end(&mut self, end: u64, ours: Ours) {
        self.idles.set_end(end, ours);
    }

    #[inline]
    fn idle_end(&self, ours: Ours) -> u64 {
        self.idles.idle_end(ours)
    }

    #[inline]
    fn set_idle_end(&mut self, end: u64, ours: Ours) {
        self.idles.set_idle_end(end, ours);
    }

    #[inline]
    fn born(&self, _: Ours) -> u64 {
        self.born.number()
    }

    #[inline]
    fn set_born(&mut self, born: u64, _: Ours) {
        self.born = Packed::of(born);
    }
}

/// A policy whose entries have a life: only caches of such a policy have the
/// methods of time. The trait is sealed.
pub trait Ending: Policy + sealed::Ending {}

impl<P: Policy + sealed::Ending> Ending for P {}

/// What a builder knows of lives so far. The trait is sealed.
pub trait Life: sealed::Life {
    /// What the entries of a cache carry then for policy `P`.
    type Form<P: Policy>: Policy;

    /// With an end.
    type Ending: Life;

    /// With an end that each use puts off.
    type Idling: Life;

    #[doc(hidden)]
    const TIMED: bool = true;
}

/// Entries without a life: they stay until something else removes them.
#[derive(Debug)]
pub enum Forever {}

impl Life for Forever {
    type Form<P: Policy> = P;
    type Ending = Ends;
    type Idling = Idles;
    const TIMED: bool = false;
}

impl Life for Ends {
    type Form<P: Policy> = Timed<P>;
    type Ending = Ends;
    type Idling = Idles;
}

impl Life for Idles {
    type Form<P: Policy> = Idle<P>;
    type Ending = Idles;
    type Idling = Idles;
}

impl Life for Records {
    type Form<P: Policy> = Recorded<P>;
    type Ending = Records;
    type Idling = Records;
}

mod sealed {
    use super::{Carry, Ends, Forever, Idles, Load, Policy, Records};

    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Ending {}
    impl<P: Policy> Ending for Carry<P, Ends> {}
    impl<P: Policy> Ending for Carry<P, Idles> {}
    impl<P: Policy> Ending for Carry<P, Records> {}
    impl<P: Policy + Ending> Ending for Carry<P, Load> {}

    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Life {}
    impl Life for Forever {}
    impl Life for Ends {}
    impl Life for Idles {}
    impl Life for Records {}
}
