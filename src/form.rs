//! Forms: what the entries of a cache carry, beside key, value and what their policy keeps.
//!
//! One idea: a form is a policy, or a policy in some of the wrappers below. It is no
//! policy itself: nothing is forwarded, the wrapper only names fields of the entry. So a cache
//! that counts entries without deadlines pays for neither, in bytes or in instructions:
//! what only weighed or timed caches do stands behind a constant of the form.
//!
//! The builder's calls choose the form; [`Form`]'s associated types say how.

use crate::policy::{Duel, Policy};
use crate::stats::Origin;
use crate::unit::{Entries, Unit, Units};
use std::marker::PhantomData;

/// What the entries of a cache carry: a policy, or [`Timed`], [`Aged`], [`Tracked`], [`Sampled`] or
/// [`Weighed`] around one.
///
/// | form | an entry carries, beside what its policy keeps | bytes | chosen by |
/// |---|---|---|---|
/// | a [`Policy`] `P` | nothing | 0 | [`Entries`] |
/// | [`Timed<P>`](Timed) | its deadline | 8 | [`time_to_live`](crate::Builder::time_to_live), [`ttl_with`](crate::Builder::ttl_with) |
/// | [`Aged<P>`](Aged) | its deadline, its idle deadline, the birth of its value | 24 | [`time_to_idle`](crate::Builder::time_to_idle), [`refresh_after`](crate::Builder::refresh_after) |
/// | [`Tracked<F>`](Tracked), `F` one of these | its class, the line that stored it, its scope | 8 more | [`tracked`](crate::Builder::tracked), [`classes`](crate::Builder::classes), [`record_callers`](crate::Builder::record_callers) |
/// | [`Sampled<F>`](Sampled), `F` one of these | nothing, but a sample of them is watched | 0 | [`sizing`](crate::Builder::sizing) |
/// | [`Weighed<F>`](Weighed), `F` one of these | its weight | 8 more | [`Weight`](crate::Weight), [`Bytes`](crate::Bytes) |
///
/// The builder follows from its calls, in any order, so a form is written out only where the
/// type of a cache is named. Weights go outside:
///
/// ```
/// use brimful::policy::Lru;
/// use brimful::{Cache, Timed, Weighed, Weight};
/// use std::time::Duration;
///
/// struct Service {
///     pages: Cache<String, String, Weighed<Timed<Lru>>>,
/// }
///
/// let pages = Cache::builder(Weight(1 << 20, |_: &String, page: &String| page.len() as u64))
///     .time_to_live(Duration::from_secs(60))
///     .policy::<Lru>()
///     .build()?;
/// let service = Service { pages };
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// A form that does not match the builder's calls is an ordinary type error:
///
/// ```compile_fail,E0308
/// use brimful::{Cache, Entries, Timed};
/// let cache: Cache<u32, u32, Timed> = Cache::builder(Entries(4)).build().unwrap();
/// ```
///
/// and so is a form where a policy is asked for:
///
/// ```compile_fail,E0277
/// use brimful::policy::Lru;
/// use brimful::{Cache, Entries, Weighed};
/// let cache = Cache::<u32, u32>::builder(Entries(4)).policy::<Weighed<Lru>>().build();
/// ```
///
/// The trait is sealed: a policy of your own is a form as it is.
pub trait Form: Sized + sealed::Sealed {
    /// Decides which entry is evicted.
    type Policy: Policy<Meta = Self::Meta>;

    /// What the policy keeps in each entry.
    type Meta: Default;

    /// The unit of the capacity: [`Entries`], or [`Units`] of weight.
    type Unit: Unit;

    /// This form around another policy.
    type With<P: Policy>: Form<Unit = Self::Unit>;

    /// This form with a deadline in each entry.
    type Timed: Expiring<Unit = Self::Unit>;

    /// This form with a deadline, an idle deadline and a birth in each entry.
    type Aged: Expiring<Unit = Self::Unit>;

    /// This form with an origin in each entry.
    type Tracked: Tracking<Unit = Self::Unit>;

    /// This form with a sample of its keys watched.
    type Sampled: Sampling<Unit = Self::Unit>;

    #[doc(hidden)]
    type Extra: extra::Extra;

    /// Whether entries have a weight of their own; without one all weigh 1.
    #[doc(hidden)]
    const WEIGHED: bool = <Self::Extra as extra::Extra>::WEIGHED;

    /// Whether entries have a deadline.
    #[doc(hidden)]
    const TIMED: bool = <Self::Extra as extra::Extra>::TIMED;

    /// Whether entries have an idle deadline and know when their value came.
    #[doc(hidden)]
    const AGED: bool = <Self::Extra as extra::Extra>::AGED;

    /// Whether entries know where they come from.
    #[doc(hidden)]
    const TRACKED: bool = <Self::Extra as extra::Extra>::TRACKED;

    /// Whether a sample of the keys is watched.
    #[doc(hidden)]
    const SAMPLED: bool = false;
}

/// A form whose entries have deadlines: only caches of such a form have the methods of time.
pub trait Expiring: Form {}

/// A form whose entries know where they come from: only caches of such a form have scopes.
pub trait Tracking: Form {}

/// A form with a sample of its keys watched: only caches of such a form tell their
/// [sizing](crate::Cache::sizing).
pub trait Sampling: Form {}

/// A form whose entries have a deadline: 8 bytes more each, and some 5 in the timer wheel
/// that finds them again.
pub struct Timed<P: Policy = Duel>(PhantomData<fn() -> P>);

/// A form whose entries have a deadline, which comes sooner if they are not used, and know
/// when their value was stored: 24 bytes more each.
///
/// Idle times, refreshing and the record of ages need it.
pub struct Aged<P: Policy = Duel>(PhantomData<fn() -> P>);

/// A form whose entries know where they come from, 8 bytes more each than `F`: their class, the
/// line of code that stored them, and the scope that they end with.
///
/// Weights go outside: `Weighed<Tracked<F>>`.
pub struct Tracked<F: Form = Duel>(PhantomData<fn() -> F>);

/// A form with a sample of its keys watched, so that the cache can tell [what other
/// capacities](crate::Cache::sizing) would hit. Entries carry nothing for it.
///
/// Weights go outside, origins inside: `Weighed<Sampled<Tracked<F>>>`.
pub struct Sampled<F: Form = Duel>(PhantomData<fn() -> F>);

/// A form whose entries have a weight of their own: 8 bytes more each than `F`.
pub struct Weighed<F: Form = Duel>(PhantomData<fn() -> F>);

impl<P: Policy> Form for P {
    type Policy = P;
    type Meta = P::Meta;
    type Unit = Entries;
    type With<Q: Policy> = Q;
    type Timed = Timed<P>;
    type Aged = Aged<P>;
    type Tracked = Tracked<P>;
    type Sampled = Sampled<P>;
    type Extra = ();
}

impl<P: Policy> Form for Timed<P> {
    type Policy = P;
    type Meta = P::Meta;
    type Unit = Entries;
    type With<Q: Policy> = Timed<Q>;
    type Timed = Self;
    type Aged = Aged<P>;
    type Tracked = Tracked<Self>;
    type Sampled = Sampled<Self>;
    type Extra = extra::Deadline;
}

impl<P: Policy> Form for Aged<P> {
    type Policy = P;
    type Meta = P::Meta;
    type Unit = Entries;
    type With<Q: Policy> = Aged<Q>;
    type Timed = Self;
    type Aged = Self;
    type Tracked = Tracked<Self>;
    type Sampled = Sampled<Self>;
    type Extra = extra::Age;
}

impl<F: Form> Form for Tracked<F> {
    type Policy = F::Policy;
    type Meta = F::Meta;
    type Unit = F::Unit;
    type With<Q: Policy> = Tracked<F::With<Q>>;
    type Timed = Tracked<F::Timed>;
    type Aged = Tracked<F::Aged>;
    type Tracked = Self;
    type Sampled = Sampled<Self>;
    type Extra = extra::Traced<F::Extra>;
    const SAMPLED: bool = F::SAMPLED;
}

impl<F: Form> Form for Sampled<F> {
    type Policy = F::Policy;
    type Meta = F::Meta;
    type Unit = F::Unit;
    type With<Q: Policy> = Sampled<F::With<Q>>;
    type Timed = Sampled<F::Timed>;
    type Aged = Sampled<F::Aged>;
    type Tracked = Sampled<F::Tracked>;
    type Sampled = Self;
    type Extra = F::Extra;
    const SAMPLED: bool = true;
}

impl<F: Form> Form for Weighed<F> {
    type Policy = F::Policy;
    type Meta = F::Meta;
    type Unit = Units;
    type With<Q: Policy> = Weighed<F::With<Q>>;
    type Timed = Weighed<F::Timed>;
    type Aged = Weighed<F::Aged>;
    type Tracked = Weighed<F::Tracked>;
    type Sampled = Weighed<F::Sampled>;
    type Extra = extra::Weighty<F::Extra>;
    const SAMPLED: bool = F::SAMPLED;
}

impl<P: Policy> Expiring for Timed<P> {}
impl<P: Policy> Expiring for Aged<P> {}
impl<F: Expiring> Expiring for Tracked<F> {}
impl<F: Expiring> Expiring for Sampled<F> {}
impl<F: Expiring> Expiring for Weighed<F> {}

impl<F: Form> Tracking for Tracked<F> {}
impl<F: Tracking> Tracking for Sampled<F> {}
impl<F: Tracking> Tracking for Weighed<F> {}

impl<F: Form> Sampling for Sampled<F> {}
impl<F: Sampling> Sampling for Tracked<F> {}
impl<F: Sampling> Sampling for Weighed<F> {}

macro_rules! named {
    ($($form:ident: $bound:ident),*) => {$(
        impl<F: $bound> std::fmt::Debug for $form<F> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($form))
            }
        }
    )*};
}
named!(Timed: Policy, Aged: Policy, Tracked: Form, Sampled: Form, Weighed: Form);

mod sealed {
    use super::{Aged, Form, Policy, Sampled, Timed, Tracked, Weighed};

    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Sealed {}
    impl<P: Policy> Sealed for P {}
    impl<P: Policy> Sealed for Timed<P> {}
    impl<P: Policy> Sealed for Aged<P> {}
    impl<F: Form> Sealed for Tracked<F> {}
    impl<F: Form> Sealed for Sampled<F> {}
    impl<F: Form> Sealed for Weighed<F> {}
}

/// The fields that forms add to an entry.
pub(crate) mod extra {
    #![allow(
        unnameable_types,
        unreachable_pub,
        missing_debug_implementations,
        private_interfaces,
        reason = "public only as hidden associated types of `Form`"
    )]

    use super::Origin;
    use crate::sync::cells::{AtomicU32, AtomicU64, Ordering::Relaxed};

    /// What an entry carries. A field that is not there reads as its default. Each field is read
    /// and set as a whole while others read it.
    pub trait Extra: Default + Send + Sync + 'static {
        const WEIGHED: bool = false;
        const TIMED: bool = false;
        const AGED: bool = false;
        const TRACKED: bool = false;

        #[inline]
        fn weight(&self) -> u64 {
            1
        }

        #[inline]
        fn set_weight(&self, _weight: u64) {}

        /// The entry's deadline, with the number of a bucket in its last ten bits.
        #[inline]
        fn deadline(&self) -> u64 {
            u64::MAX
        }

        #[inline]
        fn set_deadline(&self, _deadline: u64) {}

        /// The deadline of the entry if it is not used until then.
        #[inline]
        fn idle_deadline(&self) -> u64 {
            u64::MAX
        }

        #[inline]
        fn set_idle_deadline(&self, _deadline: u64) {}

        /// Sets the idle deadline, unless it is later already. For readers, of which several
        /// may do so at the same time.
        #[inline]
        fn put_off_idle_deadline(&self, _deadline: u64) {}

        /// When the value was stored.
        #[inline]
        fn birth(&self) -> u64 {
            0
        }

        #[inline]
        fn set_birth(&self, _birth: u64) {}

        /// Where the entry comes from. Only the holder of the lock reads and sets it.
        #[inline]
        fn origin(&self) -> Origin {
            Origin::default()
        }

        #[inline]
        fn set_origin(&self, _origin: Origin) {}
    }

    impl Extra for () {}

    /// A number that the holder of a lock sets while others read it.
    #[derive(Default)]
    struct Number(AtomicU64);

    impl Number {
        #[inline]
        fn get(&self) -> u64 {
            self.0.load(Relaxed)
        }

        #[inline]
        fn set(&self, number: u64) {
            self.0.store(number, Relaxed);
        }
    }

    /// 8 bytes.
    #[derive(Default)]
    pub struct Deadline(Number);

    impl Extra for Deadline {
        const TIMED: bool = true;

        #[inline]
        fn deadline(&self) -> u64 {
            self.0.get()
        }

        #[inline]
        fn set_deadline(&self, deadline: u64) {
            self.0.set(deadline);
        }
    }

    /// 24 bytes.
    #[derive(Default)]
    pub struct Age {
        deadline: Number,
        idle_deadline: Number,
        birth: Number,
    }

    impl Extra for Age {
        const TIMED: bool = true;
        const AGED: bool = true;

        #[inline]
        fn deadline(&self) -> u64 {
            self.deadline.get()
        }

        #[inline]
        fn set_deadline(&self, deadline: u64) {
            self.deadline.set(deadline);
        }

        #[inline]
        fn idle_deadline(&self) -> u64 {
            self.idle_deadline.get()
        }

        #[inline]
        fn set_idle_deadline(&self, deadline: u64) {
            self.idle_deadline.set(deadline);
        }

        #[inline]
        fn put_off_idle_deadline(&self, deadline: u64) {
            self.idle_deadline.0.fetch_max(deadline, Relaxed);
        }

        #[inline]
        fn birth(&self) -> u64 {
            self.birth.get()
        }

        #[inline]
        fn set_birth(&self, birth: u64) {
            self.birth.set(birth);
        }
    }

    /// What the rest of an extra says of time.
    macro_rules! times_of_the_rest {
        () => {
            #[inline]
            fn deadline(&self) -> u64 {
                self.rest.deadline()
            }

            #[inline]
            fn set_deadline(&self, deadline: u64) {
                self.rest.set_deadline(deadline);
            }

            #[inline]
            fn idle_deadline(&self) -> u64 {
                self.rest.idle_deadline()
            }

            #[inline]
            fn set_idle_deadline(&self, deadline: u64) {
                self.rest.set_idle_deadline(deadline);
            }

            #[inline]
            fn put_off_idle_deadline(&self, deadline: u64) {
                self.rest.put_off_idle_deadline(deadline);
            }

            #[inline]
            fn birth(&self) -> u64 {
                self.rest.birth()
            }

            #[inline]
            fn set_birth(&self, birth: u64) {
                self.rest.set_birth(birth);
            }
        };
    }

    /// 8 bytes, and what else the entry carries.
    #[derive(Default)]
    pub struct Traced<X> {
        scope: AtomicU32,
        /// The line's number above the class.
        line_and_class: AtomicU32,
        rest: X,
    }

    impl<X: Extra> Extra for Traced<X> {
        const WEIGHED: bool = X::WEIGHED;
        const TIMED: bool = X::TIMED;
        const AGED: bool = X::AGED;
        const TRACKED: bool = true;

        #[inline]
        fn weight(&self) -> u64 {
            self.rest.weight()
        }

        #[inline]
        fn set_weight(&self, weight: u64) {
            self.rest.set_weight(weight);
        }

        times_of_the_rest!();

        #[inline]
        fn origin(&self) -> Origin {
            let line_and_class = self.line_and_class.load(Relaxed);
            Origin {
                scope: self.scope.load(Relaxed),
                line: (line_and_class >> 8) as u16,
                class: line_and_class as u8,
            }
        }

        #[inline]
        fn set_origin(&self, origin: Origin) {
            let line_and_class = u32::from(origin.line) << 8 | u32::from(origin.class);
            self.line_and_class.store(line_and_class, Relaxed);
            self.scope.store(origin.scope, Relaxed);
        }
    }

    /// 8 bytes, and what else the entry carries.
    #[derive(Default)]
    pub struct Weighty<X> {
        weight: Number,
        rest: X,
    }

    impl<X: Extra> Extra for Weighty<X> {
        const WEIGHED: bool = true;
        const TIMED: bool = X::TIMED;
        const AGED: bool = X::AGED;
        const TRACKED: bool = X::TRACKED;

        #[inline]
        fn weight(&self) -> u64 {
            self.weight.get()
        }

        #[inline]
        fn set_weight(&self, weight: u64) {
            self.weight.set(weight);
        }

        times_of_the_rest!();

        #[inline]
        fn origin(&self) -> Origin {
            self.rest.origin()
        }

        #[inline]
        fn set_origin(&self, origin: Origin) {
            self.rest.set_origin(origin);
        }
    }
}
