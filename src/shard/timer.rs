//! Lives in a shard: what ends when, who has ended, and what that costs.
//!
//! ```text
//! begin(slot, life):   the end goes into the entry; an item into the wheel, if the
//!                      one it has comes up too late
//! past(entry):         its end, or the end of its idle time, is not after `now`
//! expire_one:          items off the wheel, one by one, until an entry leaves or
//!                      nothing is due
//! ```
//!
//! Invariants
//! 1. `now` is the latest time that this shard was told. It never goes back, so
//!    what is past stays past.
//! 2. An entry that ends has an item in the bucket it names, which comes up no
//!    later than it ends, or now. One that never ends may have none.
//! 3. `scheduled` is the number of entries that name a bucket. All other items are
//!    spent, and no more than half of all entries and 64: then the wheel is laid anew.
//! 4. An entry past its end leaves as expired, whoever takes it out, and no call
//!    hands it over.
//!
//! A cache without lives has none of this: every call here is behind
//! `F::TIMED`, which is known at compile time.

use super::wheel::{Bucket, NOWHERE, Wheel, beat_after, beat_of, moment_of};
use super::{Changed, Shard};
use crate::budget::{Budget, Reservation};
use crate::cause::{Cause, Times};
use crate::clock::{FOREVER, Moment, NEVER, TICK, end};
use crate::expiry::Expiry;
use crate::form::{Form, extra::Extra};
use crate::outbox::{Departure, Outbox};
use crate::policy::{Policy, Slot, Tag};
use crate::room::Room;
use crate::stats::{Ages, Lateness};
use crate::table::Entry;
use crate::unwind::Panics;

/// How many units of due work a write does for others before its own.
const A_FEW: usize = 4;

/// What a shard needs once its first entry has an end.
pub(super) struct Timer {
    wheel: Wheel,
    scheduled: usize,
    lateness: Lateness,
    ages: Option<Box<Ages>>,
}

impl Timer {
    fn new(records: bool) -> Self {
        Self {
            wheel: Wheel::new(),
            scheduled: 0,
            lateness: Lateness::default(),
            ages: records.then(Box::default),
        }
    }

    fn spent(&self) -> usize {
        self.wheel.len() - self.scheduled
    }

    fn is_mostly_spent(&self, entries: usize) -> bool {
        self.spent() > entries / 2 + 64
    }

    /// Laying anew looks at each of so many entries, so it has to pay.
    fn wants_laying(&self, entries: usize) -> bool {
        self.is_mostly_spent(entries) || self.wheel.is_sparse(entries)
    }
}

/// What a sweep did in one shard.
pub(crate) struct Work {
    /// Units of work: items taken off the wheel.
    pub(crate) units: usize,
    pub(crate) expired: u64,
    /// A panic of the policy, to go on once all was told.
    pub(crate) panics: Panics,
}

/// A moment with a bucket's number in its last ten bits, as an entry stores it.
#[inline]
fn stamp(end: Moment, bucket: Bucket) -> u64 {
    end | bucket
}

#[inline]
fn end_in(stamp: u64) -> Moment {
    stamp & NEVER
}

#[inline]
fn bucket_in(stamp: u64) -> Bucket {
    stamp & (TICK - 1)
}

/// An entry that is not yet paid for does not end.
#[inline]
pub(super) fn set_endless<X: Extra>(extra: &mut X) {
    if X::TIMED {
        extra.set_deadline(stamp(NEVER, NOWHERE));
    }
}

/// Whether an entry has ended at `now`.
#[inline]
pub(super) fn is_past<X: Extra>(extra: &X, now: Moment) -> bool {
    // An end is a whole tick, so it is at or before `now` if it is at or before
    // the last moment of the same tick, whatever bucket stands in its last bits.
    X::TIMED && (extra.deadline() <= now | (TICK - 1) || X::AGED && extra.idle_deadline() <= now)
}

/// When an entry ends, if nothing puts that off.
#[inline]
fn end_of<X: Extra>(extra: &X) -> Moment {
    let end = end_in(extra.deadline());
    if X::AGED {
        end.min(extra.idle_deadline())
    } else {
        end
    }
}

/// The cause and the times of an entry that leaves at `now`.
#[inline]
pub(super) fn parted<X: Extra>(extra: &X, cause: Cause, now: Moment) -> (Cause, Times) {
    let mut times = Times::UNKNOWN;
    if !X::TIMED {
        return (cause, times);
    }
    if X::AGED {
        times.age = now.saturating_sub(extra.birth());
    }
    if is_past(extra, now) {
        times.late = now - end_of(extra);
        return (Cause::Expired, times);
    }
    (cause, times)
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// Hears what time it is; a clock that went back is not believed.
    #[inline]
    pub(crate) fn hear(&mut self, told: Moment) {
        if F::TIMED && told > self.now {
            self.now = told;
        }
    }

    /// The latest time told.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    #[inline]
    pub(super) fn is_past(&self, entry: &Entry<K, V, F>) -> bool {
        is_past(&entry.extra, self.now)
    }

    /// Takes out the entry in `slot` if it is past its end.
    #[inline]
    pub(super) fn unless_past(
        &mut self,
        slot: Option<Slot>,
        budget: &Budget,
        out: &mut Outbox<K, V>,
    ) -> Option<Slot> {
        if F::TIMED && self.is_past(self.table.get(slot?)?) {
            self.leave(slot?, Cause::Expired, budget, out);
            return None;
        }
        slot
    }

    /// An entry has left the table: it is one of the timer's no more.
    #[inline]
    pub(super) fn part(&mut self, extra: &F::Extra, times: Times) {
        if !F::TIMED {
            return;
        }
        if let Some(timer) = &mut self.timer {
            timer.scheduled -= usize::from(bucket_in(extra.deadline()) != NOWHERE);
            note(timer, times);
            self.tidy();
        }
    }

    /// What time has to say of a value that is being replaced.
    #[inline]
    pub(super) fn part_replaced(&mut self, slot: Slot) -> Times {
        if !F::TIMED {
            return Times::UNKNOWN;
        }
        let (Some(entry), Some(timer)) = (self.table.get(slot), &mut self.timer) else {
            return Times::UNKNOWN;
        };
        let (_, times) = parted(&entry.extra, Cause::Replaced, self.now);
        note(timer, times);
        times
    }

    /// Lays the wheel anew if entries that left have left too many items behind, or
    /// too much memory.
    #[inline]
    pub(super) fn tidy(&mut self) {
        if F::TIMED
            && self
                .timer
                .as_ref()
                .is_some_and(|timer| timer.wants_laying(self.table.len()))
        {
            self.lay_anew();
        }
    }

    #[cold]
    #[inline(never)]
    fn lay_anew(&mut self) {
        let Some(timer) = &mut self.timer else { return };
        timer.wheel.clear(timer.scheduled);
        let now = beat_of(self.now);
        for entry in self.table.iter_mut() {
            let stamped = entry.extra.deadline();
            if bucket_in(stamped) == NOWHERE {
                continue;
            }
            let mut bucket = NOWHERE;
            match end_of(&entry.extra) {
                NEVER => timer.scheduled -= 1,
                end => bucket = timer.wheel.put(entry.tag, beat_after(end), now),
            }
            entry.extra.set_deadline(stamp(end_in(stamped), bucket));
        }
    }

    /// A value begins to live in `slot`: that of a new entry, or one that takes the
    /// place of an older value.
    #[inline]
    pub(super) fn begin(&mut self, slot: Slot, life: u64, is_new: bool) {
        if !F::TIMED {
            return;
        }
        let (now, to_idle) = (self.now, self.to_idle);
        if let Some(entry) = self.table.get_mut(slot) {
            let bucket = if is_new {
                NOWHERE
            } else {
                bucket_in(entry.extra.deadline())
            };
            entry.extra.set_deadline(stamp(end(now, life), bucket));
            entry.extra.set_birth(now);
            Self::use_of(&mut entry.extra, now, to_idle);
        }
        self.schedule(slot);
    }

    /// A use puts the end of the idle time off. That end is later than before,
    /// so the wheel need not know.
    #[inline]
    pub(crate) fn used(&mut self, slot: Slot) {
        let (now, to_idle) = (self.now, self.to_idle);
        if F::AGED {
            if let Some(entry) = self.table.get_mut(slot) {
                Self::use_of(&mut entry.extra, now, to_idle);
            }
        }
    }

    /// The same for an entry at hand. That end shares its word with nothing, so it
    /// is not rounded.
    #[inline]
    pub(super) fn use_of(extra: &mut F::Extra, now: Moment, to_idle: u64) {
        if F::AGED {
            extra.set_idle_deadline(now.saturating_add(to_idle));
        }
    }

    /// Gives the entry in `slot` a new end, so many nanoseconds from now; the
    /// end of its idle time stays.
    #[inline]
    fn ends_after(&mut self, slot: Slot, life: u64) {
        let end = end(self.now, life);
        if let Some(entry) = self.table.get_mut(slot) {
            let bucket = bucket_in(entry.extra.deadline());
            entry.extra.set_deadline(stamp(end, bucket));
        }
    }

    /// Sees to it that an item comes up before the entry in `slot` ends.
    fn schedule(&mut self, slot: Slot) {
        let Some(entry) = self.table.get_mut(slot) else {
            return;
        };
        let end = end_of(&entry.extra);
        if end == NEVER && !F::AGED {
            return;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::new(Timer::new(F::AGED)));
        let stamped = entry.extra.deadline();
        let (bucket, when) = (bucket_in(stamped), beat_after(end));
        if end == NEVER || bucket != NOWHERE && timer.wheel.start(bucket) <= when {
            return;
        }
        let put = timer.wheel.put(entry.tag, when, beat_of(self.now));
        entry.extra.set_deadline(stamp(end_in(stamped), put));
        if bucket == NOWHERE {
            timer.scheduled += 1;
        } else {
            self.tidy();
        }
    }

    /// The life of the value in `slot` begins anew after a change in place. The
    /// rule is the user's: call this under a mark. If it panics the life stays.
    pub(crate) fn renew<R>(
        &mut self,
        slot: Slot,
        expiry: &Expiry<K, V>,
        budget: &Budget,
        out: &mut Outbox<K, V>,
        changed: &mut Changed<R>,
    ) {
        let Some(entry) = self.table.get(slot) else {
            return;
        };
        let asked = changed.panics.run(|| expiry.life(&entry.key, &entry.value));
        if let Some(life) = asked {
            self.used(slot);
            changed
                .panics
                .run(|| self.set_life(slot, life, budget, out));
        }
        changed.stayed = self.table.get(slot).is_some();
    }

    /// Gives the entry in `slot` a new life, from now; one of zero ends it at once.
    pub(crate) fn set_life(
        &mut self,
        slot: Slot,
        life: u64,
        budget: &Budget,
        out: &mut Outbox<K, V>,
    ) {
        if life == 0 {
            self.cut(slot);
            // Should the policy panic, the wheel must know where to find it.
            self.schedule(slot);
            self.leave(slot, Cause::Expired, budget, out);
        } else {
            self.ends_after(slot, life);
            self.schedule(slot);
        }
    }

    /// What a read makes of the life of the entry in `slot`: one of zero ends
    /// with this read, and the next write takes it out.
    pub(crate) fn set_life_on_read(&mut self, slot: Slot, life: u64) {
        if life == 0 {
            self.cut(slot);
        } else {
            self.ends_after(slot, life);
        }
        self.schedule(slot);
    }

    /// Ends a life now.
    fn cut(&mut self, slot: Slot) {
        let now = self.now & NEVER;
        if let Some(entry) = self.table.get_mut(slot) {
            let bucket = bucket_in(entry.extra.deadline());
            entry.extra.set_deadline(stamp(now, bucket));
        }
    }

    /// Whether a value has reached this age by `now`.
    #[inline]
    pub(crate) fn has_age(extra: &F::Extra, age: u64, now: Moment) -> bool {
        F::AGED && now.saturating_sub(extra.birth()) >= age
    }

    /// Whether the value in `slot` has reached this age.
    pub(crate) fn is_stale(&self, slot: Slot, age: u64) -> bool {
        let entry = self.table.get(slot);
        entry.is_some_and(|entry| Self::has_age(&entry.extra, age, self.now))
    }

    /// How long the entry under a key still has, in nanoseconds.
    pub(crate) fn left_of(extra: &F::Extra, now: Moment) -> u64 {
        match end_of(extra) {
            NEVER => FOREVER,
            end => end.saturating_sub(now),
        }
    }

    /// Whether an offer with this life is one that could never be read.
    #[inline]
    pub(super) fn is_lifeless(&self, life: u64) -> bool {
        F::TIMED && (life == 0 || F::AGED && self.to_idle == 0)
    }

    /// Frees one entry that is past its end, and is not `keep`, if the wheel has
    /// one due; its room goes into the reservation.
    ///
    /// Each turn frees an entry, drops a spent item or lowers one, so what is due
    /// bounds it.
    #[inline]
    pub(super) fn expire_one(
        &mut self,
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let mut units = usize::MAX;
        F::TIMED && self.has_due() && self.expire_due(&mut units, keep, reservation, out)
    }

    /// Frees entries past their end until the reservation covers `need`; says whether it does.
    #[inline]
    pub(super) fn expire_for(
        &mut self,
        need: Room,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        if !F::TIMED {
            return false;
        }
        while !reservation.take_all(need) {
            if !self.expire_one(None, reservation, out) {
                return false;
            }
        }
        true
    }

    /// Whether the wheel has work to do by now.
    #[inline]
    pub(crate) fn has_due(&self) -> bool {
        let timer = self.timer.as_ref();
        timer.is_some_and(|timer| timer.wheel.is_due(beat_of(self.now)))
    }

    /// Takes items off the wheel, at most `units`, until an entry leaves; says
    /// whether one did.
    #[inline(never)]
    fn expire_due(
        &mut self,
        units: &mut usize,
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let now = beat_of(self.now);
        while *units > 0 {
            let Some(timer) = &mut self.timer else { break };
            let Some((tag, bucket)) = timer.wheel.pop(now) else {
                break;
            };
            *units -= 1;
            let Some(slot) = self.in_bucket(tag, bucket) else {
                continue;
            };
            if !self.lower(slot, keep) {
                self.tidy();
                continue;
            }
            // Out of the order first, then out of the table, whatever a policy's
            // panic says: its item is gone, and nothing else would come for it.
            let mut panics = Panics::none();
            panics.run(|| self.policy.forget(slot, &mut self.table));
            let room = self.unlink(slot, Cause::Expired, out);
            let freed = room.inspect(|&room| reservation.receive(room)).is_some();
            panics.resume();
            return freed;
        }
        false
    }

    /// The entry that an item of this bucket stands for.
    fn in_bucket(&self, tag: Tag, bucket: Bucket) -> Option<Slot> {
        self.table
            .slot_where(tag, |entry| bucket_in(entry.extra.deadline()) == bucket)
    }

    /// Puts an entry whose item came up into the wheel again, unless it is past
    /// its end: then it says so, and the entry has no item.
    fn lower(&mut self, slot: Slot, keep: Option<Slot>) -> bool {
        let now = self.now;
        let (Some(timer), Some(entry)) = (&mut self.timer, self.table.get_mut(slot)) else {
            return false;
        };
        let end = end_in(entry.extra.deadline());
        let whole = end_of(&entry.extra);
        let past = whole <= now;
        let mut bucket = NOWHERE;
        if past && Some(slot) == keep {
            bucket = timer.wheel.put(entry.tag, beat_of(now) + 1, beat_of(now));
        } else if !past && whole != NEVER {
            bucket = timer.wheel.put(entry.tag, beat_after(whole), beat_of(now));
        }
        timer.scheduled -= usize::from(bucket == NOWHERE);
        entry.extra.set_deadline(stamp(end, bucket));
        past && bucket == NOWHERE
    }

    /// A few units of due work, before a write does its own.
    #[inline]
    pub(crate) fn work(&mut self, budget: &Budget, out: &mut Outbox<K, V>) {
        if F::TIMED && self.has_due() {
            let mut units = A_FEW;
            // The room goes back to the budget with the reservation.
            let mut reservation = budget.reserve();
            while self.expire_due(&mut units, None, &mut reservation, out) {}
        }
    }

    /// At most `most` units of due work. A panic of the policy ends it.
    pub(crate) fn sweep(&mut self, most: usize, budget: &Budget, out: &mut Outbox<K, V>) -> Work {
        let mut work = Work {
            units: 0,
            expired: 0,
            panics: Panics::none(),
        };
        let mut units = most;
        let mut reservation = budget.reserve();
        let expired = &mut work.expired;
        let swept = work.panics.run(|| {
            while self.expire_due(&mut units, None, &mut reservation, out) {
                *expired += 1;
            }
        });
        if swept.is_none() {
            work.expired += 1;
        }
        work.units = most - units;
        work
    }

    /// When the wheel has work to do next.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        Some(moment_of(self.timer.as_ref()?.wheel.next()?))
    }

    /// How many entries are not past their end. O(entries).
    pub(crate) fn len_live(&self, now: Moment) -> usize {
        let live = |entry: &&Entry<K, V, F>| !is_past(&entry.extra, now);
        self.table.iter().filter(live).count()
    }

    /// Puts right what `empty` counted at once: some of those entries were expired.
    pub(crate) fn recount(&mut self, tally: &Tally, from: Cause) {
        if F::TIMED {
            self.counts.were_expired(tally.expired, from);
            if let Some(timer) = &mut self.timer {
                timer.lateness.add(tally.lateness);
                if let Some(lives) = &mut timer.ages {
                    lives.add(&tally.ages);
                }
            }
        }
    }

    /// No entry is left.
    pub(super) fn forget_all_ends(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.wheel = Wheel::new();
            timer.scheduled = 0;
        }
    }

    /// Gives memory of the wheel back.
    pub(super) fn shrink_timer(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.wheel = Wheel::new();
            self.lay_anew();
        }
    }

    /// Proves the invariants from scratch.
    pub(super) fn check_timer(&self) {
        let Some(timer) = &self.timer else { return };
        timer.wheel.check();
        let stamps = |entry: &Entry<K, V, F>| {
            let bucket = bucket_in(entry.extra.deadline());
            (entry.tag.bits(), bucket)
        };
        let mut items = std::collections::HashMap::new();
        for (tag, bucket) in timer.wheel.iter() {
            *items.entry((tag.bits(), bucket)).or_insert(0_usize) += 1;
        }
        let mut scheduled = 0;
        for entry in self.table.iter() {
            let (tag, bucket) = stamps(entry);
            let end = end_of(&entry.extra);
            if bucket == NOWHERE {
                assert_eq!(end, NEVER, "an entry that ends has no item");
                continue;
            }
            scheduled += 1;
            let latest = beat_after(end).max(timer.wheel.beat());
            assert!(timer.wheel.start(bucket) <= latest, "comes up too late");
            let item = items.get_mut(&(tag, bucket)).filter(|items| **items > 0);
            *item.expect("an item for each entry that names its bucket") -= 1;
        }
        assert_eq!(scheduled, timer.scheduled, "entries with an item");
        let entries = self.table.len();
        assert!(!timer.is_mostly_spent(entries), "spent items pile up");
    }

    pub(super) fn lateness(&self) -> Lateness {
        self.timer
            .as_ref()
            .map_or_else(Lateness::default, |timer| timer.lateness)
    }

    pub(super) fn ages(&self) -> Option<Box<Ages>> {
        self.timer.as_ref()?.ages.clone()
    }
}

fn note(timer: &mut Timer, times: Times) {
    if times.late != u64::MAX {
        timer.lateness.note(times.late);
    }
    if let Some(lives) = &mut timer.ages {
        lives.note(times.age);
    }
}

/// What was found out about many entries after they had left at once.
#[derive(Default)]
pub(crate) struct Tally {
    expired: u64,
    lateness: Lateness,
    ages: Ages,
}

impl Tally {
    pub(crate) fn note<K, V>(&mut self, left: &Departure<K, V>) {
        if left.times.late != u64::MAX {
            self.expired += 1;
            self.lateness.note(left.times.late);
        }
        if left.times.age != u64::MAX {
            self.ages.note(left.times.age);
        }
    }
}

/// An entry that left with all others, as the way out wants it.
pub(super) fn departed<K, V, F: Form>(
    entry: Entry<K, V, F>,
    cause: Cause,
    now: Moment,
) -> Departure<K, V> {
    let (cause, times) = parted(&entry.extra, cause, now);
    Departure {
        key: entry.key,
        value: entry.value,
        cause,
        times,
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::super::{Offer, Placed};
    use super::*;
    use crate::form::Timed;
    use crate::policy::Fifo;

    /// A shard alone, and all that a door brings along.
    struct Alone {
        shard: Shard<u64, u64, Timed<Fifo>>,
        budget: Budget,
        out: Outbox<u64, u64>,
    }

    impl Alone {
        fn new() -> Self {
            Self {
                shard: Shard::new(1 << 20, true, 0, FOREVER),
                budget: Budget::new(1 << 20, None),
                out: Outbox::new(true),
            }
        }

        fn insert(&mut self, key: u64, life: u64) {
            let mut offer = Offer {
                tag: Tag::of(key),
                pair: Some((key, key)),
                weight: 1,
                life,
                only_if_absent: false,
                lands: false,
            };
            let mut reservation = self.budget.reserve();
            let placed = self
                .shard
                .insert(&mut offer, &mut reservation, &mut self.out);
            assert!(matches!(placed, Placed::Stored(_)));
        }

        fn remove(&mut self, key: u64) {
            let is = |found: &u64| *found == key;
            let slot = self.shard.slot(Tag::of(key), is).unwrap();
            let (budget, out) = (&self.budget, &mut self.out);
            self.shard.leave(slot, Cause::Removed, budget, out);
        }

        fn items(&self) -> usize {
            self.shard.timer.as_ref().map_or(0, |it| it.wheel.len())
        }
    }

    #[test]
    fn a_wheel_is_laid_anew_only_when_that_pays() {
        for (others, life) in [(10_000, FOREVER), (10_000, 1 << 50), (0, FOREVER)] {
            let mut alone = Alone::new();
            for key in 1..=others {
                alone.insert(key, life);
            }
            let (turns, mut looks) = (20_000, 0);
            for _ in 0..turns {
                alone.insert(0, 1 << 40);
                let before = alone.items();
                alone.remove(0);
                if alone.items() < before {
                    looks += others;
                }
            }
            assert!(looks <= 4 * turns, "{looks} looks in {turns} turns");
            alone.shard.check();
        }
    }
}
