//! Expiration in a shard: the timer wheel, and what keeps it and the deadlines in step.
//!
//! ```text
//! start(slot, ttl):    the deadline goes into the entry; an item into the wheel, if the
//!                      one it has comes up too late
//! expire_one:          items off the wheel, one by one, until an entry leaves or
//!                      nothing is ripe
//! ```
//!
//! Invariants
//! 1. `now` is the latest time that this shard was told. It never goes back, so
//!    what has expired stays expired. Readers without a lock take the time of their own call;
//!    if the clock may go back they tell, and are told, the latest as all others.
//! 2. An entry with a deadline has an item in the bucket it names, which comes up no
//!    later than the deadline, or now. An entry without one may have none.
//! 3. `scheduled` is the number of entries that name a bucket. All other items are
//!    stale, and no more than half of all entries and 64: then the wheel is rebuilt.
//! 4. An expired entry leaves as expired, whatever takes it out, and no call
//!    returns it.
//!
//! A cache without deadlines has none of this: what is called from elsewhere asks
//! `F::TIMED` first, which is known at compile time.

use super::change::Closed;
use super::deadline::{
    bucket_in, cause_and_times, deadline_in, deadline_of, has_age, is_expired, stamp, time_left,
};
use super::wheel::{Bucket, NOWHERE, Wheel, beat_after, beat_of, moment_of};
use super::{A_TURN, Changed, Shard};
use crate::cause::{Cause, Times};
use crate::clock::{Moment, NEVER, deadline, tick_of};
use crate::expiry::{Expiry, grain};
use crate::form::{Form, extra::Extra};
use crate::leave::outbox::{Departure, Outbox};
use crate::ledger::{Ledger, Reservation};
use crate::policy::{Policy, Slot, Tag};
use crate::room::Room;
use crate::stats::{Ages, Lateness, Origin};
use crate::table::Entry;
use crate::unwind::Panics;
use std::collections::BTreeMap;

/// How many items a write takes off the wheel before it does its own work.
const A_FEW: usize = 4;

/// What a shard needs once its first entry has a deadline.
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

    fn stale(&self) -> usize {
        self.wheel.len() - self.scheduled
    }

    fn is_mostly_stale(&self, entries: usize) -> bool {
        self.stale() > entries / 2 + 64
    }

    /// Whether a rebuild pays, which looks at each of so many entries.
    fn wants_rebuild(&self, entries: usize) -> bool {
        self.is_mostly_stale(entries) || self.wheel.is_sparse(entries)
    }
}

/// What a sweep did in one shard.
pub(crate) struct Work {
    /// Items taken off the wheel.
    pub(crate) units: usize,
    pub(crate) expired: u64,
    /// A panic of the policy, which goes on once all departures are told.
    pub(crate) panics: Panics,
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// Advances this shard's time, unless the clock went back.
    #[inline]
    pub(crate) fn advance_clock(&mut self, told: Moment) {
        if F::TIMED {
            self.now = match self.may_go_back {
                true => self.table.tell(told),
                false => self.now.max(told),
            };
        }
    }

    /// The latest time this shard was told.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    #[inline]
    pub(super) fn is_expired(&self, entry: &Entry<K, V, F>) -> bool {
        is_expired(entry.extra(), self.now)
    }

    /// Returns `slot`, unless its entry has expired: then the entry leaves.
    #[inline]
    pub(super) fn unless_expired(
        &mut self,
        slot: Option<Slot>,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) -> Option<Slot> {
        if F::TIMED && self.is_expired(self.table.get(slot?)?) {
            self.remove(slot?, Cause::Expired, ledger, out);
            return None;
        }
        slot
    }

    /// Accounts for an entry that was removed: its wheel item, if any, is now stale.
    #[inline]
    pub(super) fn forget_item(&mut self, extra: &F::Extra, times: Times) {
        if !F::TIMED {
            return;
        }
        if let Some(timer) = &mut self.timer {
            timer.scheduled -= usize::from(bucket_in(extra.deadline()) != NOWHERE);
            note(timer, times);
            self.tidy();
        }
    }

    /// The times of a value that is about to be replaced.
    #[inline]
    pub(super) fn times_of_replaced(&mut self, slot: Slot) -> Times {
        if !F::TIMED {
            return Times::UNKNOWN;
        }
        let (Some(entry), Some(timer)) = (self.table.get(slot), &mut self.timer) else {
            return Times::UNKNOWN;
        };
        let (_, times) = cause_and_times(entry.extra(), Cause::Replaced, self.now);
        note(timer, times);
        times
    }

    /// Rebuilds the wheel if removed entries have left too many items or too much memory
    /// behind.
    #[inline]
    pub(super) fn tidy(&mut self) {
        if F::TIMED
            && self
                .timer
                .as_ref()
                .is_some_and(|timer| timer.wants_rebuild(self.table.len()))
        {
            self.rebuild_wheel();
        }
    }

    #[cold]
    #[inline(never)]
    fn rebuild_wheel(&mut self) {
        let Some(timer) = &mut self.timer else { return };
        let (expected, mut endless) = (timer.scheduled, 0);
        let items = self.table.iter().filter_map(|entry| {
            let stamped = entry.extra().deadline();
            let bucket = bucket_in(stamped);
            if bucket != NOWHERE && deadline_of(entry.extra()) == NEVER {
                let stamped = stamp(deadline_in(stamped), NOWHERE);
                entry.extra().set_deadline(stamped);
                endless += 1;
                return None;
            }
            (bucket != NOWHERE).then(|| (entry.tag(), bucket))
        });
        timer.wheel.refill(expected, items);
        timer.scheduled -= endless;
    }

    /// Sets the deadlines of a new entry, and has them watched.
    #[inline]
    pub(super) fn set_deadlines(&mut self, slot: Slot, life: u64) {
        if !F::TIMED {
            return;
        }
        if let Some(entry) = self.table.get(slot) {
            Self::stamp_deadlines(entry.extra(), life, self.now, self.to_idle);
        }
        self.schedule(slot);
    }

    /// Sets the deadlines of a value that is stored now; its item in the wheel stays.
    #[inline]
    pub(super) fn stamp_deadlines(extra: &F::Extra, life: u64, now: Moment, to_idle: u64) {
        if !F::TIMED {
            return;
        }
        let bucket = bucket_in(extra.deadline());
        extra.set_deadline(stamp(deadline(now, life), bucket));
        extra.set_birth(now);
        extra.set_idle_deadline(now.saturating_add(to_idle));
    }

    /// Puts the idle deadline off after a use. It is later than before, so the wheel
    /// need not know.
    #[inline]
    pub(crate) fn put_off_idle(&mut self, slot: Slot) {
        let (now, to_idle) = (self.now, self.to_idle);
        if F::AGED {
            if let Some(entry) = self.table.get(slot) {
                Self::put_off(entry.extra(), now, to_idle);
            }
        }
    }

    /// Puts the idle deadline of an entry off, if it moves by more than a grain of the time to
    /// idle: then by up to a grain more, so that many hits write once.
    #[inline]
    pub(crate) fn put_off(extra: &F::Extra, now: Moment, to_idle: u64) {
        if F::AGED {
            let deadline = now.saturating_add(to_idle);
            if extra.idle_deadline() < deadline {
                extra.put_off_idle_deadline(deadline.saturating_add(grain(to_idle)));
            }
        }
    }

    /// Gives the entry in `slot` a new deadline, `life` nanoseconds from now; its idle
    /// deadline stays.
    #[inline]
    fn set_deadline_in(&mut self, slot: Slot, life: u64) {
        let deadline = deadline(self.now, life);
        if let Some(entry) = self.table.get(slot) {
            let bucket = bucket_in(entry.extra().deadline());
            entry.extra().set_deadline(stamp(deadline, bucket));
        }
    }

    /// Sees to it that an item comes up no later than the deadline of the entry in `slot`.
    pub(super) fn schedule(&mut self, slot: Slot) {
        if !F::TIMED {
            return;
        }
        let Some(entry) = self.table.get(slot) else {
            return;
        };
        let deadline = deadline_of(entry.extra());
        if deadline == NEVER && !F::AGED {
            return;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::new(Timer::new(F::AGED)));
        let stamped = entry.extra().deadline();
        let (bucket, when) = (bucket_in(stamped), beat_after(deadline));
        if deadline == NEVER || bucket != NOWHERE && timer.wheel.start(bucket) <= when {
            return;
        }
        let put = timer.wheel.put(entry.tag(), when, beat_of(self.now));
        entry.extra().set_deadline(stamp(deadline_in(stamped), put));
        if bucket == NOWHERE {
            timer.scheduled += 1;
        } else {
            self.tidy();
        }
    }

    /// Asks the rule about the value in `slot` after a change in place. The rule is the
    /// user's: call this under a mark. If it panics the deadline stays.
    pub(crate) fn renew<R>(
        &mut self,
        slot: Slot,
        expiry: &Expiry<K, V>,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
        changed: &mut Changed<R>,
    ) {
        let Some(entry) = self.table.get(slot) else {
            return;
        };
        let left = time_left(entry.extra(), self.now);
        let asked = changed
            .panics
            .run(|| expiry.life_on_change(entry.key(), entry.value(), left));
        self.put_off_idle(slot);
        if let Some(life) = asked.flatten() {
            changed
                .panics
                .run(|| self.set_life(slot, life, ledger, out));
        }
        changed.stayed = self.table.get(slot).is_some();
    }

    /// Gives the entry in `slot` a new time to live, from now; with zero it leaves at once.
    pub(crate) fn set_life(
        &mut self,
        slot: Slot,
        life: u64,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) {
        if life == 0 {
            self.expire_now(slot);
            // Should the policy panic, the wheel must know where to find the entry.
            self.schedule(slot);
            self.remove(slot, Cause::Expired, ledger, out);
        } else {
            self.set_deadline_in(slot, life);
            self.schedule(slot);
        }
    }

    /// Gives the entry in `slot` a new time to live after a read; with zero it has expired,
    /// and the next write takes it out.
    pub(crate) fn set_life_on_read(&mut self, slot: Slot, life: u64) {
        if life == 0 {
            self.expire_now(slot);
        } else {
            self.set_deadline_in(slot, life);
        }
        self.schedule(slot);
    }

    /// Moves the deadline of the entry in `slot` to now.
    fn expire_now(&mut self, slot: Slot) {
        let now = tick_of(self.now);
        if let Some(entry) = self.table.get(slot) {
            let bucket = bucket_in(entry.extra().deadline());
            entry.extra().set_deadline(stamp(now, bucket));
        }
    }

    /// Whether an entry has expired at `now`.
    #[inline]
    pub(crate) fn has_expired(extra: &F::Extra, now: Moment) -> bool {
        is_expired(extra, now)
    }

    /// Whether a value has reached this age at `now`.
    #[inline]
    pub(crate) fn has_age(extra: &F::Extra, age: u64, now: Moment) -> bool {
        has_age(extra, age, now)
    }

    /// Whether the value in `slot` has reached this age.
    pub(crate) fn is_stale(&self, slot: Slot, age: u64) -> bool {
        let entry = self.table.get(slot);
        entry.is_some_and(|entry| Self::has_age(entry.extra(), age, self.now))
    }

    /// How long an entry still has at `now`, in nanoseconds.
    pub(crate) fn time_left(extra: &F::Extra, now: Moment) -> u64 {
        time_left(extra, now)
    }

    /// Whether an offer with this time to live could never be read.
    #[inline]
    pub(super) fn is_lifeless(&self, life: u64) -> bool {
        F::TIMED && (life == 0 || F::AGED && self.to_idle == 0)
    }

    /// Takes out one expired entry other than `keep`, if the wheel has one that is ripe; its
    /// room goes into the reservation.
    ///
    /// Each turn takes out an entry, drops a stale item or reschedules one, so the number
    /// of ripe items bounds it.
    #[inline]
    pub(super) fn expire_one(
        &mut self,
        keep: Option<Slot>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> bool {
        let mut units = usize::MAX;
        F::TIMED && self.has_ripe() && self.expire_ripe(&mut units, keep, reservation, out)
    }

    /// Takes out expired entries, a turn at most, until the reservation covers `need`; says
    /// whether it does.
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
        for _ in 0..A_TURN {
            if reservation.take_all(need) {
                return true;
            }
            if !self.expire_one(None, reservation, out) {
                return false;
            }
        }
        false
    }

    /// Whether the wheel has a ripe item.
    #[inline]
    pub(crate) fn has_ripe(&self) -> bool {
        let timer = self.timer.as_ref();
        timer.is_some_and(|timer| timer.wheel.is_ripe(beat_of(self.now)))
    }

    /// Takes ripe items off the wheel, at most `units`, until an entry leaves; says
    /// whether one did.
    #[inline(never)]
    fn expire_ripe(
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
            if !self.reschedule(slot, keep) {
                self.tidy();
                continue;
            }
            // The entry leaves the order first, then the table, even if the policy panics:
            // its item is gone, and nothing else would find it.
            let mut panics = Panics::none();
            panics.run(|| self.policy.forget(slot, &mut self.table));
            let room = self.unlink(slot, Cause::Expired, out);
            let freed = room.inspect(|&room| reservation.receive(room)).is_some();
            panics.resume();
            return freed;
        }
        false
    }

    /// The entry that an item of this bucket stands for, if the item is not stale.
    fn in_bucket(&self, tag: Tag, bucket: Bucket) -> Option<Slot> {
        self.table
            .slot_where(tag, |entry| bucket_in(entry.extra().deadline()) == bucket)
    }

    /// Puts an entry whose item came up into the wheel again, unless it has expired:
    /// then the entry has no item any more, and the answer is `true`.
    fn reschedule(&mut self, slot: Slot, keep: Option<Slot>) -> bool {
        let now = self.now;
        let (Some(timer), Some(entry)) = (&mut self.timer, self.table.get(slot)) else {
            return false;
        };
        let deadline = deadline_in(entry.extra().deadline());
        let soonest = deadline_of(entry.extra());
        let expired = soonest <= now;
        let mut bucket = NOWHERE;
        if expired && Some(slot) == keep {
            bucket = timer.wheel.put(entry.tag(), beat_of(now) + 1, beat_of(now));
        } else if !expired && soonest != NEVER {
            bucket = timer
                .wheel
                .put(entry.tag(), beat_after(soonest), beat_of(now));
        }
        timer.scheduled -= usize::from(bucket == NOWHERE);
        entry.extra().set_deadline(stamp(deadline, bucket));
        expired && bucket == NOWHERE
    }

    /// Takes a few ripe items off the wheel, before a write does its own work.
    #[inline]
    pub(crate) fn expire_some(&mut self, ledger: &Ledger, out: &mut Outbox<K, V>) {
        if F::TIMED && self.has_ripe() {
            let mut units = A_FEW;
            // The reservation gives the room back to the ledger.
            let mut reservation = ledger.reserve();
            while self.expire_ripe(&mut units, None, &mut reservation, out) {}
        }
    }

    /// Takes at most `most` ripe items off the wheel; readers wait meanwhile. A panic of the
    /// policy ends the sweep.
    pub(crate) fn sweep(&mut self, most: usize, ledger: &Ledger, out: &mut Outbox<K, V>) -> Work {
        let mut work = Work {
            units: 0,
            expired: 0,
            panics: Panics::none(),
        };
        let mut units = most;
        if !self.has_ripe() {
            return work;
        }
        let mut shard = Closed::new(self);
        let mut reservation = ledger.reserve();
        let expired = &mut work.expired;
        let swept = work.panics.run(|| {
            while shard.expire_ripe(&mut units, None, &mut reservation, out) {
                *expired += 1;
            }
        });
        if swept.is_none() {
            work.expired += 1;
        }
        work.units = most - units;
        work
    }

    /// When the wheel has its next ripe item.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        Some(moment_of(self.timer.as_ref()?.wheel.next()?))
    }

    /// Whether an entry may have expired at `now`. An item comes up a beat after its entry's
    /// deadline at most.
    pub(crate) fn may_have_expired(&self, now: Moment) -> bool {
        let next = self.timer.as_ref().and_then(|timer| timer.wheel.next());
        F::TIMED && next.is_some_and(|next| next <= beat_of(now) + 1)
    }

    /// How many entries have not expired. O(entries).
    pub(crate) fn len_live(&self, now: Moment) -> usize {
        let live = |entry: &&Entry<K, V, F>| !is_expired(entry.extra(), now);
        self.table.iter().filter(live).count()
    }

    /// Corrects what `empty` counted at once: some of those entries had expired.
    pub(crate) fn recount(&mut self, tally: &Tally, from: Cause) {
        if F::TIMED {
            self.counts.were_expired(tally.expired, from);
            if let Some(flows) = self.flows() {
                flows.were_expired(&tally.origins, from);
            }
            if let Some(timer) = &mut self.timer {
                timer.lateness.add(tally.lateness);
                if let Some(ages) = &mut timer.ages {
                    ages.add(&tally.ages);
                }
            }
        }
    }

    /// Empties the wheel: no entry is left.
    pub(super) fn clear_timer(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.wheel = Wheel::new();
            timer.scheduled = 0;
        }
    }

    /// Gives unused memory of the wheel back to the allocator.
    pub(super) fn shrink_timer(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.wheel = Wheel::new();
            self.rebuild_wheel();
        }
    }

    /// Proves the invariants from scratch.
    pub(super) fn check_timer(&self) {
        let Some(timer) = &self.timer else { return };
        timer.wheel.check();
        let stamps = |entry: &Entry<K, V, F>| {
            let bucket = bucket_in(entry.extra().deadline());
            (entry.tag().bits(), bucket)
        };
        let mut items = std::collections::HashMap::new();
        for (tag, bucket) in timer.wheel.iter() {
            *items.entry((tag.bits(), bucket)).or_insert(0_usize) += 1;
        }
        let mut scheduled = 0;
        for entry in self.table.iter() {
            let (tag, bucket) = stamps(entry);
            let deadline = deadline_of(entry.extra());
            if bucket == NOWHERE {
                assert_eq!(deadline, NEVER, "an entry with a deadline has no item");
                continue;
            }
            scheduled += 1;
            let latest = beat_after(deadline).max(timer.wheel.beat());
            assert!(timer.wheel.start(bucket) <= latest, "comes up too late");
            let item = items.get_mut(&(tag, bucket)).filter(|items| **items > 0);
            *item.expect("an item for each entry that names its bucket") -= 1;
        }
        assert_eq!(scheduled, timer.scheduled, "entries with an item");
        let entries = self.table.len();
        assert!(!timer.is_mostly_stale(entries), "stale items pile up");
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
    if let Some(ages) = &mut timer.ages {
        ages.note(times.age);
    }
}

/// The times of many entries that left at once, added up after they had left.
#[derive(Default)]
pub(crate) struct Tally {
    expired: u64,
    lateness: Lateness,
    ages: Ages,
    /// Where those that had expired came from.
    origins: BTreeMap<Origin, u64>,
}

impl Tally {
    /// Takes note of what has left, as it passes by.
    pub(crate) fn noting<K, V>(
        &mut self,
        left: impl Iterator<Item = (Departure<K, V>, Origin)>,
    ) -> impl Iterator<Item = Departure<K, V>> {
        left.map(|(left, origin)| {
            self.note(&left, origin);
            left
        })
    }

    fn note<K, V>(&mut self, left: &Departure<K, V>, origin: Origin) {
        if left.times.late != u64::MAX {
            self.expired += 1;
            *self.origins.entry(origin).or_default() += 1;
            self.lateness.note(left.times.late);
        }
        if left.times.age != u64::MAX {
            self.ages.note(left.times.age);
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::super::{Inserted, Offer, Part, Peers};
    use super::*;
    use crate::clock::FOREVER;
    use crate::form::Timed;
    use crate::lanes::Lanes;
    use crate::policy::{Fifo, Seed};
    use crate::sync::Arc;
    use crate::table::Shelves;

    /// A shard alone, and all that a door brings along.
    struct Alone {
        shard: Shard<u64, u64, Timed<Fifo>>,
        ledger: Ledger,
        out: Outbox<u64, u64>,
    }

    impl Alone {
        fn new() -> Self {
            let shelves = Arc::new(Shelves::new(1, Lanes::none()));
            let part = Part {
                share: 1 << 20,
                peers: Peers::None,
                limits_entries: false,
                admits_heavy: true,
            };
            Self {
                shard: Shard::new(shelves, 0, part, Seed::default(), (FOREVER, false)),
                ledger: Ledger::new(1 << 20, None),
                out: Outbox::new(true),
            }
        }

        fn insert(&mut self, key: u64, life: u64) {
            let mut offer = Offer {
                tag: Tag::of(key),
                pair: Some((key, key)),
                weight: 1,
                life,
                keeps_life: false,
                only_if_absent: false,
                lands: false,
                origin: Origin::default(),
                line: None,
            };
            let mut reservation = self.ledger.reserve();
            let placed = self
                .shard
                .insert(&mut offer, &mut reservation, &mut self.out);
            assert!(matches!(placed, Inserted::Stored(_)));
        }

        fn remove(&mut self, key: u64) {
            let is = |found: &u64| *found == key;
            let slot = self.shard.slot(Tag::of(key), is).unwrap();
            let (ledger, out) = (&self.ledger, &mut self.out);
            self.shard.remove(slot, Cause::Removed, ledger, out);
        }

        fn items(&self) -> usize {
            self.shard.timer.as_ref().map_or(0, |it| it.wheel.len())
        }
    }

    #[test]
    fn a_wheel_is_rebuilt_only_when_that_pays() {
        for (others, life) in [(10_000, FOREVER), (10_000, 1 << 50), (0, FOREVER)] {
            let mut alone = Alone::new();
            for key in 1..=others {
                alone.insert(key, life);
            }
            let (turns, mut looks) = (8_000, 0);
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
