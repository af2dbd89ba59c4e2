//! Deadlines: what the fields of an entry say about its time, and nothing else.
//!
//! A deadline is a moment in whole ticks of a microsecond: their number takes 54 bits of a word,
//! its stamp. The last ten hold the number of the bucket of the timer wheel in which the entry
//! has an item. The idle deadline has a word of its own and is not rounded.
//!
//! Everything here is a function of an entry's fields and a moment; what the wheel makes of it
//! is `timer`'s business.

use crate::cause::{Cause, Times};
use crate::clock::{FOREVER, Moment, NEVER, TICK};
use crate::form::{Form, extra::Extra};
use crate::leave::outbox::Departure;
use crate::table::Owned;

use super::wheel::{Bucket, NOWHERE};

/// One tick, in a stamp.
const STAMP: u64 = 1 << 10;

/// A deadline with a bucket's number in its last ten bits, as an entry stores it.
#[inline]
pub(super) fn stamp(deadline: Moment, bucket: Bucket) -> u64 {
    deadline / TICK * STAMP + bucket
}

/// The deadline in a stamp.
#[inline]
pub(super) fn deadline_in(stamp: u64) -> Moment {
    stamp / STAMP * TICK
}

/// The bucket in a stamp.
#[inline]
pub(super) fn bucket_in(stamp: u64) -> Bucket {
    stamp % STAMP
}

/// Takes an entry's deadline away: one that is not yet paid for does not expire.
#[inline]
pub(super) fn set_endless<X: Extra>(extra: &X) {
    if X::TIMED {
        extra.set_deadline(stamp(NEVER, NOWHERE));
    }
}

/// Whether an entry has expired at `now`.
#[inline]
pub(super) fn is_expired<X: Extra>(extra: &X, now: Moment) -> bool {
    X::TIMED && (deadline_in(extra.deadline()) <= now || X::AGED && extra.idle_deadline() <= now)
}

/// When an entry expires, if nothing puts that off.
#[inline]
pub(super) fn deadline_of<X: Extra>(extra: &X) -> Moment {
    let deadline = deadline_in(extra.deadline());
    if X::AGED {
        deadline.min(extra.idle_deadline())
    } else {
        deadline
    }
}

/// How long an entry still has at `now`, in nanoseconds.
pub(super) fn time_left<X: Extra>(extra: &X, now: Moment) -> u64 {
    match deadline_of(extra) {
        NEVER => FOREVER,
        deadline => deadline.saturating_sub(now),
    }
}

/// How long a value still has at `now`, in nanoseconds, used or not.
pub(super) fn life_left<X: Extra>(extra: &X, now: Moment) -> u64 {
    match deadline_in(extra.deadline()) {
        NEVER => FOREVER,
        deadline => deadline.saturating_sub(now),
    }
}

/// How long a value was to live when it was stored, in nanoseconds, if its deadline was not moved.
pub(super) fn life_of<X: Extra>(extra: &X) -> u64 {
    match deadline_in(extra.deadline()) {
        NEVER => FOREVER,
        // The deadline was rounded down.
        deadline => deadline
            .saturating_sub(extra.birth())
            .next_multiple_of(TICK),
    }
}

/// Whether a value has reached this age at `now`.
#[inline]
pub(super) fn has_age<X: Extra>(extra: &X, age: u64, now: Moment) -> bool {
    X::AGED && now.saturating_sub(extra.birth()) >= age
}

/// The cause and the times of an entry that departs at `now`: an expired one departs as
/// expired, whatever takes it out.
#[inline]
pub(super) fn cause_and_times<X: Extra>(extra: &X, cause: Cause, now: Moment) -> (Cause, Times) {
    let mut times = Times::UNKNOWN;
    if !X::TIMED {
        return (cause, times);
    }
    if X::AGED {
        times.age = now.saturating_sub(extra.birth());
    }
    if is_expired(extra, now) {
        times.late = now - deadline_of(extra);
        return (Cause::Expired, times);
    }
    (cause, times)
}

/// The departure of an entry that left the table with all others.
pub(super) fn departure<K, V, F: Form>(
    entry: Owned<K, V, F>,
    cause: Cause,
    now: Moment,
) -> Departure<K, V> {
    let (key, value, extra) = entry.into_parts();
    let (cause, times) = cause_and_times(&extra, cause, now);
    Departure {
        key,
        value,
        weight: extra.weight(),
        cause,
        times,
    }
}
