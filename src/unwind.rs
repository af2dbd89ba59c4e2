//! Unwinding: what becomes of a call in which user code panics.
//!
//! One idea: a call that runs several pieces of user code (it tells listeners, drops keys and
//! values, wakes tasks) runs all of them, whatever panics, and lets the *first* panic go on
//! when it is done. [`Panics`] is that first panic, or none.
//!
//! What this buys: a value that is to be returned is not lost, nor dropped twice, if a drop
//! on the way panics; every listener is told of every departure; and a *second* panic, of a
//! drop that runs because of the first, does not abort the process. (Rust aborts if a drop
//! panics while its thread is unwinding, and may leak a return value if a local's drop
//! panics: so nothing of the user's is left to be dropped at the end of a scope.)
//!
//! Invariants
//! 1. User code runs inside of `catch_unwind` wherever something must follow it.
//! 2. While the thread is unwinding already, a caught panic goes nowhere.
//!
//! The room knows neither entries nor causes.

use crate::sync::panicking;
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a caught panic carries.
type Payload = Box<dyn Any + Send>;

/// The first panic of several pieces of user code, or none.
#[must_use = "a panic of user code goes on, by `resume` or `hand`"]
#[derive(Default)]
pub(crate) struct Panics(Option<Payload>);

impl Panics {
    /// No panic so far.
    #[inline]
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Runs user code; `None` if it panics.
    #[inline]
    pub(crate) fn run<R>(&mut self, code: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(code)) {
            Ok(result) => Some(result),
            Err(payload) => {
                self.keep(payload);
                None
            }
        }
    }

    /// Drops a value of the user's.
    #[inline]
    pub(crate) fn drop<T>(&mut self, value: T) {
        if needs_drop::<T>() {
            self.run(|| drop(value));
        }
    }

    /// Drops a key and a value, each whatever the other does.
    #[inline]
    pub(crate) fn drop_pair<K, V>(&mut self, key: K, value: V) {
        self.drop(value);
        self.drop(key);
    }

    /// Drops keys and values, each whatever the others do.
    pub(crate) fn drop_pairs<K, V>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in pairs {
            self.drop_pair(key, value);
        }
    }

    /// Adds a panic that came later.
    #[inline]
    pub(crate) fn add(&mut self, mut later: Self) {
        if let Some(payload) = later.0.take() {
            self.keep(payload);
        }
    }

    #[cold]
    fn keep(&mut self, payload: Payload) {
        match self.0 {
            None => self.0 = Some(payload),
            Some(_) => discard(payload),
        }
    }

    /// Whether there is a panic that can go on.
    #[inline]
    pub(crate) fn go_on(&self) -> bool {
        self.0.is_some() && !panicking()
    }

    /// Lets the panic go on, if there is one that can.
    #[inline]
    pub(crate) fn resume(self) {
        if self.go_on() {
            self.unwind();
        }
    }

    /// Lets the panic go on: there is one.
    #[cold]
    pub(crate) fn unwind(mut self) -> ! {
        match self.0.take() {
            Some(payload) => resume_unwind(payload),
            None => unreachable!("no panic goes on"),
        }
    }

    /// Returns a value of the user's, or drops it and lets the panic go on.
    #[inline]
    pub(crate) fn hand<T>(mut self, value: T) -> T {
        if self.go_on() {
            self.drop(value);
            self.unwind();
        }
        value
    }
}

impl Drop for Panics {
    #[inline]
    fn drop(&mut self) {
        if let Some(payload) = self.0.take() {
            discard(payload);
        }
    }
}

/// Drops what is not needed any more, then returns a value of the user's.
#[inline]
pub(crate) fn after_dropping<T, D>(spare: D, value: T) -> T {
    let mut panics = Panics::none();
    panics.drop(spare);
    panics.hand(value)
}

/// Drops a key and a value, each whatever the other does, then returns a value of the user's.
#[inline]
pub(crate) fn after_dropping_pair<T, K, V>(key: K, value: V, kept: T) -> T {
    let mut panics = Panics::none();
    panics.drop_pair(key, value);
    panics.hand(kept)
}

/// Drops the payload of a panic that goes nowhere: its own drop may panic.
#[cold]
fn discard(payload: Payload) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    /// Panics when it is dropped.
    struct Mine(&'static str);

    impl Drop for Mine {
        fn drop(&mut self) {
            std::panic::panic_any(self.0);
        }
    }

    fn carried(run: impl FnOnce()) -> &'static str {
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        payload.downcast_ref::<&str>().unwrap()
    }

    #[test]
    fn the_first_panic_goes_on_and_all_code_runs() {
        let mut ran = 0;
        let first = carried(|| {
            let mut panics = Panics::none();
            panics.run(|| ran += 1);
            panics.drop(Mine("first"));
            panics.drop_pair(Mine("second"), Mine("third"));
            panics.run(|| ran += 1);
            assert!(!panics.is_none());
            panics.resume();
        });
        assert_eq!((first, ran), ("first", 2));
    }

    #[test]
    fn a_value_is_handed_over_or_dropped_before_the_panic_goes_on() {
        assert_eq!(after_dropping(String::from("spare"), 7), 7);
        let first = carried(|| {
            let _ = after_dropping(Mine("spare"), Mine("value"));
        });
        assert_eq!(first, "spare");
    }

    #[test]
    fn a_panic_while_unwinding_goes_nowhere() {
        struct Unwound;
        impl Drop for Unwound {
            fn drop(&mut self) {
                let mut panics = Panics::none();
                panics.drop(Mine("second"));
                panics.resume();
                assert_eq!(after_dropping(Mine("third"), 7), 7);
            }
        }
        let first = carried(|| {
            let _unwound = Unwound;
            std::panic::panic_any("first");
        });
        assert_eq!(first, "first");
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_forgotten() {
        let mut panics = Panics::none();
        panics.run(|| std::panic::panic_any(Mine("payload")));
        drop(panics);
    }
}
