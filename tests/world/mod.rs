//! What all test binaries stand on: what scales and replays a test (`scale`), random
//! numbers (`random`), a watchdog (`watchdog`), panics that are meant (`panics`),
//! keys and values that are counted by their thread (`counted`) or by all (`ledger`),
//! loads polled by hand (`flights`), policies with something around them (`around`),
//! and one face for both caches (`door`).

#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

/// An enum with a list of all there is.
macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $one:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum $name { $($(#[$about])* $one),* }

        impl $name {
            pub(crate) const ALL: &[$name] = &[$($name::$one),*];
        }
    };
}

pub(crate) mod around;
pub(crate) mod counted;
pub(crate) mod door;
pub(crate) mod flights;
pub(crate) mod ledger;
pub(crate) mod panics;
pub(crate) mod random;
pub(crate) mod scale;
pub(crate) mod watchdog;

pub(crate) use ledger::{Ledger, Val};
pub(crate) use random::Random;
pub(crate) use scale::{count, env, seed};
pub(crate) use watchdog::{ends, few_threads, until};

use brimful::policy::Policy;
use brimful::{Cache, Form, Unit};

/// Runs `body` for every policy of the crate. Each is a body to compile, so `cargo test` has
/// the two whose hits differ; the gate's long forms, built by `--cfg brimful_full`,
/// have all.
#[allow(unused_macros, reason = "not every binary has generic bodies")]
macro_rules! every_policy {
    ($body:ident $(, $argument:expr)*) => {{
        use brimful::policy;
        $body::<policy::Lru>($($argument),*);
        $body::<policy::Duel>($($argument),*);
        #[cfg(brimful_full)]
        {
            $body::<policy::Gdsf>($($argument),*);
            $body::<policy::Fifo>($($argument),*);
            $body::<policy::Sieve>($($argument),*);
            $body::<policy::S3Fifo>($($argument),*);
            $body::<policy::Lfu>($($argument),*);
        }
    }};
}

/// A policy whose caches threads may share.
pub(crate) trait Threaded: Policy<Meta: Send + Sync> + Send + Sync + 'static {}

impl<P: Policy<Meta: Send + Sync> + Send + Sync + 'static> Threaded for P {}

/// A form whose caches threads may share.
pub(crate) trait ThreadedForm:
    Form<Policy: Send + Sync, Meta: Send + Sync> + 'static
{
}

impl<F: Form<Policy: Send + Sync, Meta: Send + Sync> + 'static> ThreadedForm for F {}

/// A running cache's capacity as a number, whatever its unit.
pub(crate) trait Bounded {
    fn bound(&self) -> u64;
    fn bound_to(&self, capacity: u64);
}

impl<K, V, F: Form, S> Bounded for Cache<K, V, F, S> {
    fn bound(&self) -> u64 {
        self.capacity().amount()
    }

    fn bound_to(&self, capacity: u64) {
        self.set_capacity(F::Unit::of(capacity));
    }
}

/// The name of a type without its path.
pub(crate) fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::")
        .next()
        .unwrap_or(name)
        .trim_end_matches('>')
}

/// Takes whatever a call returns.
pub(crate) fn done<T>(_: T) {}
