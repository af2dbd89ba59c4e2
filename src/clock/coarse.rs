//! The clock that Linux keeps beside its exact one and moves at each tick: behind by up to 10 ms, and
//! a quarter of the price.

#![allow(
    unsafe_code,
    reason = "std does not read this clock, and the crates that do bring ten others"
)]

use super::Moment;

/// What it shows, if there is one.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(super) fn now() -> Option<Moment> {
    let mut now = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a `timespec` that may be written, and that is one whatever comes of
    // the call: it is of integers, all 0.
    let (failed, now) = unsafe {
        let failed = libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, now.as_mut_ptr());
        (failed != 0, now.assume_init())
    };
    (!failed).then_some(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// There is none.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[inline]
pub(super) fn now() -> Option<Moment> {
    None
}
