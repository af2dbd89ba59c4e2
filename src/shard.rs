//! The core: one shard's entries, their order and their weight.
//!
//! The shard is told, not wired: the door above it hashes, weighs, locks and
//! lets go of what left. Here everything happens under the door's
//! lock (or `&mut`), no user code runs but comparing keys and the closures of
//! `change` and `retain`, and nothing is dropped: what leaves goes into the
//! door's outbox.
//!
//! | child | does |
//! |---|---|
//! | `insert` | the way in |
//! | `evict` | making room, for its own insert or for another shard's |
//! | `change` | changes in place, of values and of what they are charged |
//! | `compute` | one decision about one key: keep, change, put or take out |
//! | `explain` | what becomes of one key; who leaves in which order |
//! | `sample` | word of what befalls sampled keys |
//! | `scope` | entries that end with a scope |
//! | `deadline` | what an entry's fields say about its time |
//! | `timer` | expiration: deadlines and the timer wheel |
//! | `wheel` | when to look up which entries |
//!
//! Here is what they share: finding, touching, and the way out.
//!
//! Invariants
//! 1. What is held is the sum over the entries of what each was charged, and part of
//!    the ledger's `used`: charged before an entry can be found, given back after
//!    it is taken. Where all weigh 1 that is their number, which is not counted again.
//! 2. An entry that is being replaced is never its own victim, and stays
//!    readable until its new value is in.
//! 3. Whatever a policy answers, making room ends: each step evicts an entry or stops.

mod change;
mod compute;
mod deadline;
mod evict;
mod explain;
mod insert;
mod sample;
mod scope;
mod timer;
mod wheel;

pub(crate) use change::{Changed, Means};
pub(crate) use compute::{Computation, Terms};
pub(crate) use evict::Victim;
pub(crate) use explain::Line;
pub(crate) use insert::{Inserted, Offer};
pub(crate) use timer::Tally;

use crate::cause::{Cause, Times};
use crate::clock::Moment;
use crate::flight::Flights;
use crate::form::{Form, extra::Extra};
use crate::lanes::{Samples, What};
use crate::leave::outbox::{Departure, Outbox};
use crate::ledger::Ledger;
use crate::policy::{Choice, Policy, Seed, Slot, Tag, Touch};
use crate::room::Room;
use crate::stats::{Counts, Flows, Origin, Portion, Snapshot};
use crate::sync::Arc;
use crate::table::{Cursor, Entry, Owned, Shelves, Table};
use crate::unwind::Panics;
use std::time::Duration;

/// Of its share a shard keeps one part in so many for its next entries, and of its entries it
/// evicts so many at once.
const A_PART: u64 = if cfg!(brimful_loom) { 2 } else { 64 };

/// A shard of a cache that shares a budget asks the others each time that so many of its own
/// entries were evicted.
const A_WHILE: u64 = 64;

/// At most so many entries leave for room, and a batch, before the lock is let go of.
const A_TURN: usize = if cfg!(brimful_loom) { 2 } else { 256 };

/// A shard's part of a ledger.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// Its fair share of the capacity.
    pub(crate) share: u64,
    /// Whom it may ask for room.
    pub(crate) peers: Peers,
    /// Whether entries are limited beside their weight.
    pub(crate) limits_entries: bool,
    /// Whether newcomers are let in however heavy they are.
    pub(crate) admits_heavy: bool,
}

/// Who else may have room for a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    None,
    /// The other shards of its cache.
    Shards,
    /// These, and the other caches of a budget.
    Caches,
}

pub(crate) struct Shard<K, V, F: Form> {
    table: Table<K, V, F>,
    policy: F::Policy,
    /// What the entries are charged, where they have weights.
    held: Room,
    counts: Counts,
    /// The key that was announced to `policy`, while room is gathered for it.
    announced: Option<Tag>,
    part: Part,
    seed: u64,
    /// Beside the seed, not in it: a shard's head is as large as it may be.
    choice: Choice,
    now: Moment,
    to_idle: u64,
    /// Whether the clock may go back: then readers without a lock are told the time too.
    may_go_back: bool,
    timer: Option<Box<timer::Timer>>,
    /// What is counted by origin, where entries have one.
    flows: Option<Box<Flows>>,
    /// The keys that are being loaded; of those in the table only stale ones.
    pub(crate) flights: Flights<K, V>,
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// An empty shard, on the shelf of this index, with its part of the ledger. Unused entries
    /// end after `to_idle`; the clock may go back, or does not.
    pub(crate) fn new(
        shelves: Arc<Shelves<K, V, F>>,
        index: usize,
        part: Part,
        seed: Seed,
        (to_idle, may_go_back): (u64, bool),
    ) -> Self {
        Self {
            table: Table::new(shelves, index),
            policy: seed.grow(part.share),
            held: Room::NONE,
            counts: Counts::default(),
            announced: None,
            part,
            seed: seed.random,
            choice: seed.choice,
            now: 0,
            to_idle,
            may_go_back,
            timer: None,
            flows: F::TRACKED.then(Box::default),
            flights: Flights::NONE,
        }
    }

    /// What its policy is made of.
    fn seed(&self) -> Seed {
        Seed {
            random: self.seed,
            choice: self.choice,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What befell a sample of the keys.
    #[inline]
    pub(crate) fn samples(&self) -> &Samples {
        self.table.samples()
    }

    /// How many entries have left for this cause.
    pub(crate) fn departed(&self, cause: Cause) -> u64 {
        self.counts.departed(cause)
    }

    /// What its entries are charged together.
    #[inline]
    fn held(&self) -> Room {
        if F::WEIGHED {
            return self.held;
        }
        Room {
            weight: self.table.len() as u64,
            entries: 0,
        }
    }

    /// What an entry of this weight is charged.
    #[inline]
    pub(crate) fn charge(&self, weight: u64) -> Room {
        Room {
            weight,
            entries: u64::from(F::WEIGHED && self.part.limits_entries),
        }
    }

    /// Below this weight it asks for room elsewhere: three quarters of its share. Above it, it
    /// evicts its own entries. Where other caches are to pay, it always asks.
    #[inline]
    fn floor(&self, ledger: &Ledger) -> u64 {
        let Part { share, peers, .. } = self.part;
        let floor = share - share / 4;
        match peers {
            Peers::Shards => floor,
            Peers::None => 0,
            Peers::Caches if self.asks_others(ledger) => u64::MAX,
            Peers::Caches => floor,
        }
    }

    /// Whether other caches are to be asked for room: before this one has what is fair, and for
    /// what has expired there now and then.
    #[cold]
    #[inline(never)]
    fn asks_others(&self, ledger: &Ledger) -> bool {
        ledger.is_modest() || self.counts.departed(Cause::Evicted) % A_WHILE == 0
    }

    /// The most room that it keeps for its next entries: a part, and nothing while one thread
    /// alone uses the cache, so that it finds the cache as full as can be.
    #[inline]
    pub(crate) fn most_spare(&self) -> Room {
        if !self.table.is_shared() {
            return Room::NONE;
        }
        Room {
            weight: self.part.share / A_PART,
            entries: self.table.len() as u64 / A_PART,
        }
    }

    /// Charges more.
    #[inline]
    fn hold(&mut self, more: Room) {
        if F::WEIGHED {
            self.held = self.held.plus(more);
        }
    }

    /// Charges less.
    #[inline]
    fn release(&mut self, less: Room) {
        if F::WEIGHED {
            self.held = self.held.minus(less);
        }
    }

    /// The weight that its entries are charged.
    pub(crate) fn weight(&self) -> u64 {
        self.held().weight
    }

    /// An entry by its key, without touching it, if it has not expired at `now`.
    #[inline]
    pub(crate) fn peek(
        &self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
        now: Moment,
    ) -> Option<&Entry<K, V, F>> {
        let found = self.table.find(tag, is);
        found.filter(|entry| !deadline::is_expired(entry.extra(), now))
    }

    /// An entry by its key, touched; counts the hit or the miss.
    #[inline]
    pub(crate) fn get(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<&Entry<K, V, F>> {
        let slot = self.look_up(tag, is)?;
        self.table.get(slot)
    }

    /// Finds a key, touches its entry and counts the hit or the miss.
    #[inline]
    pub(crate) fn look_up(&mut self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let found = self.slot(tag, is);
        self.sample_look_up(tag, found);
        let Some(slot) = found else {
            self.counts.missed();
            return None;
        };
        self.touch(slot);
        self.put_off_idle(slot);
        self.counts.hit();
        Some(slot)
    }

    pub(crate) fn entry(&self, slot: Slot) -> Option<&Entry<K, V, F>> {
        self.table.get(slot)
    }

    /// A value to be changed where it lies, in a shard that has no readers.
    pub(crate) fn value_mut(&mut self, slot: Slot) -> Option<&mut V> {
        self.table.value_mut(slot)
    }

    /// Hands out the entries of a shard that will not be used again, and gives back their room.
    pub(crate) fn finish(
        &mut self,
        ledger: &Ledger,
    ) -> impl Iterator<Item = Departure<K, V>> + use<K, V, F> {
        let (now, held) = (self.now, self.held());
        self.held = Room::NONE;
        let left = move |entry| deadline::departure(entry, Cause::CacheDropped, now);
        let taken = self.table.empty().map(left);
        ledger.give(held);
        taken
    }

    #[inline]
    pub(crate) fn touch(&mut self, slot: Slot) {
        let watched = self.table.get(slot).is_some_and(Self::mark);
        match F::Policy::TOUCH {
            Touch::Mark => {}
            Touch::Watch if !watched => {}
            Touch::Watch | Touch::Order => {
                self.hear_hits();
                self.policy.touch(slot, &mut self.table);
            }
        }
    }

    /// Tells the policy of hits that took no lock, if they change its order: to be called before
    /// it is asked for anything that depends on it.
    #[inline]
    pub(crate) fn hear(&mut self) {
        if F::Policy::TOUCH == Touch::Order {
            self.hear_hits();
        }
    }

    #[inline(never)]
    pub(crate) fn hear_hits(&mut self) {
        let mut at = 0;
        while let Some(slot) = self.table.take_note(&mut at) {
            // It may have left since.
            if self.table.get(slot).is_some() {
                self.policy.touch(slot, &mut self.table);
            }
        }
    }

    /// As [`hear`](Self::hear), before a key is announced that may be one of those that are watched.
    #[inline]
    pub(crate) fn hear_before(&mut self, tag: Tag) {
        if F::Policy::TOUCH == Touch::Watch && self.policy.watches(tag) {
            self.hear_hits();
        }
        self.hear();
    }

    /// What a hit leaves on an entry; whether that is watched.
    #[inline]
    pub(crate) fn mark(entry: &Entry<K, V, F>) -> bool {
        entry.label.hit(F::Policy::HITS)
    }

    fn weight_at(&self, slot: Slot) -> u64 {
        self.table
            .get(slot)
            .map_or(0, |entry| entry.extra().weight())
    }

    /// The slot of a key, to be changed or taken by the calls below.
    #[inline]
    pub(crate) fn slot(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<Slot> {
        let slot = self.table.slot(tag, is)?;
        if F::TIMED && self.is_expired(self.table.get(slot)?) {
            return None;
        }
        Some(slot)
    }

    /// The slot of a key before a write: takes a few ripe items off the wheel first, and an
    /// expired entry leaves.
    #[inline]
    pub(crate) fn slot_to_write(
        &mut self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) -> Option<Slot> {
        self.expire_some(ledger, out);
        let slot = self.table.slot(tag, is);
        self.unless_expired(slot, ledger, out)
    }

    /// Takes the entry in `slot` out; the policy did not choose it.
    pub(crate) fn remove(
        &mut self,
        slot: Slot,
        cause: Cause,
        ledger: &Ledger,
        out: &mut Outbox<K, V>,
    ) {
        let entry = self.table.get(slot).filter(|_| F::SAMPLED);
        if let (Some(entry), true) = (entry, cause != Cause::Expired) {
            self.sample(What::Removed, entry.tag(), 0, 0);
        }
        self.policy.forget(slot, &mut self.table);
        if let Some(room) = self.unlink(slot, cause, out) {
            ledger.give(room);
        }
    }

    /// Moves an entry, if there is one, from the table to the outbox; returns
    /// what it was charged.
    #[inline]
    fn unlink(&mut self, slot: Slot, cause: Cause, out: &mut Outbox<K, V>) -> Option<Room> {
        let entry = self.table.get(slot)?;
        let origin = entry.extra().origin();
        let (weight, cause, times) = Self::last_look(entry, cause, self.now, &mut self.counts);
        if !F::TIMED && out.forgets(cause) {
            self.table.forget(slot)?;
            return Some(self.discharge(weight, origin, cause));
        }
        let entry = self.table.take(slot)?;
        Some(self.depart(entry, cause, times, out))
    }

    /// Moves the entry that was hidden first, if there is one, to the outbox, as a victim; returns
    /// what it was charged. The first such call waits for the readers of all.
    #[inline(never)]
    fn evict_hidden(&mut self, out: &mut Outbox<K, V>) -> Option<Room> {
        let entry = self.table.next_hidden()?;
        let origin = entry.extra().origin();
        let (weight, cause, times) =
            Self::last_look(entry, Cause::Evicted, self.now, &mut self.counts);
        if !F::TIMED && out.forgets(cause) {
            self.table.forget_hidden()?;
            return Some(self.discharge(weight, origin, cause));
        }
        let entry = self.table.take_hidden()?;
        Some(self.depart(entry, cause, times, out))
    }

    /// What an entry weighs, and why and when it leaves; counts a victim that was never hit.
    #[inline(always)]
    fn last_look(
        entry: &Entry<K, V, F>,
        cause: Cause,
        now: Moment,
        counts: &mut Counts,
    ) -> (u64, Cause, Times) {
        let (cause, times) = deadline::cause_and_times(entry.extra(), cause, now);
        if cause == Cause::Evicted && !entry.label.was_hit() {
            counts.evicted_unhit();
        }
        (entry.extra().weight(), cause, times)
    }

    /// Counts an entry that was taken out; what it was charged.
    #[inline]
    fn depart(
        &mut self,
        entry: Owned<K, V, F>,
        cause: Cause,
        times: Times,
        out: &mut Outbox<K, V>,
    ) -> Room {
        let (key, value, extra) = entry.into_parts();
        let weight = extra.weight();
        let room = self.discharge(weight, extra.origin(), cause);
        self.forget_item(&extra, times);
        out.put(key, value, weight, cause, times);
        room
    }

    /// An entry of this weight is held no more; what it was charged.
    #[inline]
    fn discharge(&mut self, weight: u64, origin: Origin, cause: Cause) -> Room {
        let room = self.charge(weight);
        self.release(room);
        self.counts.left(counted::<F>(weight), cause);
        if let Some(flows) = self.flows() {
            flows.left(origin, weight, cause);
        }
        room
    }

    /// What is counted by origin, where entries have one.
    #[inline]
    fn flows(&mut self) -> Option<&mut Flows> {
        self.flows.as_deref_mut().filter(|_| F::TRACKED)
    }

    /// Where the entry in `slot` comes from.
    #[inline]
    fn origin_at(&self, slot: Slot) -> Origin {
        let entry = self.table.get(slot).filter(|_| F::TRACKED);
        entry.map_or(Origin::default(), |entry| entry.extra().origin())
    }

    /// Counts the entry in `slot`, which is there now, by its origin.
    #[inline]
    fn count_in(&mut self, slot: Slot, weight: u64) {
        let origin = self.origin_at(slot);
        if let Some(flows) = self.flows() {
            flows.entered(origin, weight);
        }
    }

    /// Makes a step of a walk: the entries that it meets and that have not expired.
    pub(crate) fn step(
        &self,
        cursor: &mut Cursor,
    ) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V, F> {
        let live = self.live(self.table.step(cursor));
        live.map(|entry| (entry.key(), entry.value()))
    }

    /// Makes a step of a survey: asks of each entry that it meets for its class.
    pub(crate) fn look_over<C>(
        &self,
        cursor: &mut Cursor,
        class: &mut impl FnMut(&K, &V) -> C,
        met: &mut Vec<(C, Portion)>,
    ) {
        for entry in self.live(self.table.step(cursor)) {
            let class = class(entry.key(), entry.value());
            met.push((class, self.portion(entry)));
        }
    }

    /// Of these slots the entries that have not expired.
    fn live(&self, slots: impl IntoIterator<Item = Slot>) -> impl Iterator<Item = &Entry<K, V, F>> {
        let entries = slots.into_iter().filter_map(|slot| self.table.get(slot));
        entries.filter(|entry| !self.is_expired(entry))
    }

    /// An entry as a survey counts it.
    fn portion(&self, entry: &Entry<K, V, F>) -> Portion {
        let age = self.now.saturating_sub(entry.extra().birth());
        Portion {
            entries: 1,
            weight: entry.extra().weight(),
            unhit: u64::from(!entry.label.was_hit()),
            oldest: F::AGED.then(|| Duration::from_nanos(age)),
        }
    }

    /// Empties the shard; hands out its entries, already counted as `cause`. Those that have
    /// expired come out as expired: `recount` corrects the counts.
    pub(crate) fn empty(
        &mut self,
        cause: Cause,
        ledger: &Ledger,
        panics: &mut Panics,
    ) -> impl Iterator<Item = (Departure<K, V>, Origin)> + use<K, V, F> {
        let anew = self.seed().grow(self.part.share);
        let before = std::mem::replace(&mut self.policy, anew);
        self.announced = None;
        self.flights.detach_all();
        let entries = self.table.len() as u64;
        let held = self.held();
        self.held = Room::NONE;
        let now = self.now;
        let taken = self.table.empty();
        self.clear_timer();
        self.counts
            .left_at_once(entries, counted::<F>(held.weight), cause);
        if let Some(flows) = self.flows() {
            flows.all_left(cause);
        }
        ledger.give(held);
        panics.drop(before);
        taken.map(move |entry| {
            let origin = entry.extra.origin();
            (deadline::departure(entry, cause, now), origin)
        })
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.hear();
        self.table.shrink_to_fit();
        self.policy.moved(&mut self.table);
        self.shrink_timer();
        self.policy.shrink_to_fit(&mut self.table);
    }

    /// Sets the fair share of a new capacity; a panic of the policy is kept for later.
    pub(crate) fn set_share(&mut self, share: u64, panics: &mut Panics) {
        self.part.share = share;
        panics.run(|| self.policy.resized(share));
    }

    /// This shard's statistics, with its fair share as the capacity.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.counts.snapshot();
        snapshot.len = self.table.len() as u64;
        snapshot.weight = self.weight();
        if !F::WEIGHED {
            snapshot.weight_in = self.counts.entries_in();
            snapshot.weight_out = snapshot.weight_in - snapshot.weight;
        }
        snapshot.capacity = self.part.share;
        snapshot.lateness = self.lateness();
        snapshot.ages = self.ages();
        snapshot.loaded = self.flights.loaded().cloned().unwrap_or_default();
        snapshot.sources = self.flows.as_ref().map(|flows| Box::new(flows.snapshot()));
        snapshot
    }

    /// Proves the invariants from scratch; returns what the entries are charged.
    pub(crate) fn check(&mut self) -> Room {
        self.table.check();
        self.flights.check();
        self.policy.check(&mut self.table);
        self.check_timer();
        let charges = self
            .table
            .iter()
            .map(|entry| self.charge(entry.extra().weight()));
        let sum = charges.fold(Room::NONE, Room::plus);
        assert_eq!(
            sum,
            self.held(),
            "the sum of the entries' weights and what is held"
        );
        if let Some(flows) = &self.flows {
            let entries = self.table.iter().map(Entry::extra);
            flows.check(entries.map(|extra| (extra.origin(), extra.weight())));
        }
        let counts = self.snapshot();
        let left: u64 = Cause::ALL
            .iter()
            .map(|&cause| counts.departures(cause))
            .sum();
        assert_eq!(
            counts.inserts() - left,
            self.table.len() as u64,
            "counts and entries"
        );
        let weight = counts.weight_in().wrapping_sub(counts.weight_out());
        assert_eq!(weight, self.weight(), "weight counted and held");
        sum
    }
}

/// Whether an entry of this weight may be resident at all.
#[inline]
fn fits(weight: u64, capacity: u64) -> bool {
    weight <= capacity && capacity > 0
}

/// What is counted of a weight: 0 where all weigh 1, since entries are counted anyway.
#[inline]
fn counted<F: Form>(weight: u64) -> u64 {
    if F::WEIGHED { weight } else { 0 }
}
