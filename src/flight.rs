//! Flights: which load brings which key, and which calls wait for it.
//!
//! One idea: a key that is being loaded has a flight, kept beside its shard's
//! table and under the same lock; so one look, under that one lock, finds the
//! value, or the flight to wait for, or that there is neither, and nothing can
//! slip in between.
//!
//! ```text
//! a miss:     a flight of this key?  join its queue, and wait
//!             else                   take off: lead a new flight, run the loader
//! loaded:     under the shard's lock: still in the shard?  take the flight out, store the
//!                 value under its key.  else store nothing
//!             hand the value to all calls that wait
//! failed:     shared?  hand the failure to all calls that wait, take the flight out
//!             in the shard?  pass the lead to the first call that waits; it has a loader
//!                 of its own. none waits?  take the flight out
//!             else  all calls that wait start over from the look-up
//! a write of the key by any other call: take the flight out (it is *detached*): what
//!             it loads goes to the calls that wait, and is not stored
//! a computation: takes off too, whatever is under the key; it lands nothing, but passes the lead
//!             on once what it decided is in the table
//! a stale value: a hit, whether it has a flight or not; if not, the loading call that
//!             hit it takes off, and *refreshes* it
//! ```
//!
//! Invariants
//! 1. A key has one flight in the shard at most. If a value is in the table it is of a refresh, of a
//!    load on demand or of a computation. A landing replaces the value that is there.
//! 2. A flight in the shard has one leader, or one waiting call to which the lead was
//!    passed. Either lands it, or passes the lead on, whatever happens to it.
//! 3. A call that waits looks at the stage under the flight's lock before it sleeps and
//!    after it was woken, and a call that changes the stage wakes; so no wake-up is lost.
//! 4. A leader, and a call that waits, holds the flight: one that leaves the shard is
//!    never dropped there. Its key goes with it, or into the table.
//! 5. Locks are taken in this order: shard, flight, those of `chain`. No waker is
//!    woken or cloned, and nothing of the user's is dropped, under any of them.
//!
//! The room does not know how a value is stored. A thread that waits is a task whose
//! waker unparks it (`sync::block_on`).

pub(crate) mod chain;
mod pauses;
mod queue;

use crate::clock::Moment;
use crate::reentry::Mark;
use crate::stats::Loads;
use crate::sync::{Arc, Mutex};
use crate::tag::Tag;
use crate::unwind::Panics;
use chain::{Cycle, Wait};
use hashbrown::HashTable;
use pauses::Pauses;
use queue::Queue;
use std::any::Any;
use std::task::Waker;

/// A table for more flights than this is given back when the last has left.
const KEPT_SEATS: usize = 14;

/// Wakers taken out of a queue, to be woken without any lock.
#[must_use = "a call that is not woken waits for ever"]
#[derive(Default)]
pub(crate) struct Called {
    one: Option<Waker>,
    all: Queue,
}

impl Called {
    /// Wakes all of them, whatever some do.
    pub(crate) fn wake(self) -> Panics {
        let mut panics = Panics::none();
        for waker in self.one.into_iter().chain(self.all.into_wakers()) {
            panics.run(|| waker.wake());
        }
        panics
    }
}

/// How far a flight is.
enum Stage<V> {
    /// Its leader is at work.
    Flying,
    /// Its leader failed; the lead was passed to the call with this ticket.
    Passed(u64),
    /// The value, for as many calls as still wait for it.
    Landed { value: V, left: usize },
    /// The failure of its leader, for all calls that wait and take another's.
    Failed(Failure),
    /// Nothing to wait for: start over from the look-up.
    Over,
}

/// A failure that is shared, of whatever type the loader's errors are.
pub(crate) type Failure = Arc<dyn Any + Send + Sync>;

struct State<K, V> {
    stage: Stage<V>,
    queue: Queue,
    /// The load that leads it.
    leader: u64,
    /// The number by which `chain` knows it, once a call inside of a load waits for it.
    watched: Option<u64>,
    /// Its key, once it has left the shard without a value.
    key: Option<K>,
}

/// One load of one key, shared by its leader and all calls that wait for it.
pub(crate) struct Flight<K, V> {
    state: Mutex<State<K, V>>,
}

/// What a flight answers to a call that waits.
pub(crate) enum Asked<V> {
    Landed(V),
    Failed(Failure),
    Over,
    /// The lead is the call's, if it takes it up.
    Passed,
    /// The call will be woken.
    Later,
}

impl<K, V> Flight<K, V> {
    fn new(leader: u64) -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Flying,
                queue: Queue::default(),
                leader,
                watched: None,
                key: None,
            }),
        }
    }

    /// This flight, which nobody else holds and which carries nothing, led by another load.
    fn again(mut self: Arc<Self>, leader: u64) -> Arc<Self> {
        match Arc::get_mut(&mut self) {
            Some(flight) => {
                let state = flight.state.get_mut();
                (state.stage, state.watched, state.leader) = (Stage::Flying, None, leader);
                debug_assert!(state.queue.is_empty() && state.key.is_none());
                self
            }
            None => Arc::new(Self::new(leader)),
        }
    }

    /// Asks how far the flight is, for the call with this ticket. `waker` is the one to
    /// wake it by from now on, if that has changed; what it replaces, or is not needed, is
    /// left there.
    pub(crate) fn ask(&self, ticket: u64, waker: &mut Option<Waker>) -> Asked<V>
    where
        V: Clone,
    {
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Landed { .. } => return state.share(),
            Stage::Failed(failure) => return Asked::Failed(failure.clone()),
            Stage::Over => return Asked::Over,
            Stage::Passed(passed) if *passed == ticket => return Asked::Passed,
            Stage::Passed(_) | Stage::Flying => {}
        }
        let Some(known) = state.queue.waker(ticket) else {
            return Asked::Over;
        };
        if let Some(waker) = waker {
            std::mem::swap(known, waker);
        }
        Asked::Later
    }

    /// Takes the call with this ticket out of the queue. Answers `true` if the lead was
    /// passed to it: it must pass it on.
    pub(crate) fn quit(&self, ticket: u64) -> bool {
        // Declared before the lock, so dropped after it.
        let (_waker, _value);
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Passed(passed) if *passed == ticket => return true,
            Stage::Flying | Stage::Passed(_) => _waker = state.queue.leave(ticket),
            Stage::Landed { left, .. } => {
                *left -= 1;
                if *left == 0 {
                    _value = std::mem::replace(&mut state.stage, Stage::Over);
                }
            }
            Stage::Failed(_) | Stage::Over => {}
        }
        false
    }

    /// Hands copies of the loaded value to all calls that wait. The flight has left the
    /// shard, so no call joins any more. If there is no copy to be had, they start over.
    pub(crate) fn land(self: &Arc<Self>, copy: impl FnOnce() -> V) -> Panics {
        let mut panics = Panics::none();
        // Only the leader holds it?  Then none waits.
        if Arc::strong_count(self) == 1 || self.state.lock().queue.is_empty() {
            return panics;
        }
        let (called, spare) = match panics.run(copy) {
            Some(value) => self.state.lock().land(value),
            None => (self.end(), None),
        };
        panics.add(called.wake());
        panics.drop(spare);
        panics
    }

    /// Nothing will come of it: all calls that wait start over from the look-up.
    pub(crate) fn end(&self) -> Called {
        self.state.lock().end()
    }
}

impl<K, V> State<K, V> {
    fn end(&mut self) -> Called {
        self.stage = Stage::Over;
        self.call_all()
    }

    fn call_all(&mut self) -> Called {
        Called {
            one: None,
            all: self.queue.take(),
        }
    }

    /// The value stays with the calls that wait, or is handed back if none does.
    fn land(&mut self, value: V) -> (Called, Option<V>) {
        match self.queue.len() {
            0 => (self.end(), Some(value)),
            left => {
                self.stage = Stage::Landed { value, left };
                (self.call_all(), None)
            }
        }
    }

    /// A copy of the value that has landed; the last gets the value itself.
    fn share(&mut self) -> Asked<V>
    where
        V: Clone,
    {
        if let Stage::Landed { value, left } = &mut self.stage {
            if *left > 1 {
                let _mark = Mark::set_in_debug();
                let copy = value.clone();
                *left -= 1;
                return Asked::Landed(copy);
            }
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Landed { value, .. } => Asked::Landed(value),
            _ => Asked::Over,
        }
    }

    /// Passes the lead to the first call that waits, if there is one.
    fn pass(&mut self) -> Option<Called> {
        let (ticket, waker) = self.queue.pop()?;
        self.stage = Stage::Passed(ticket);
        Some(Called {
            one: Some(waker),
            all: Queue::default(),
        })
    }
}

/// A flight in its shard.
struct Seat<K, V> {
    tag: Tag,
    key: K,
    flight: Arc<Flight<K, V>>,
}

impl<K, V> Seat<K, V> {
    /// The key goes into the flight, which others hold: nothing is dropped here.
    fn leave(self) {
        self.flight.state.lock().key = Some(self.key);
    }
}

/// The flights of one shard, and what it has loaded.
pub(crate) struct Flights<K, V> {
    flying: usize,
    /// Made by the first load.
    desk: Option<Box<Desk<K, V>>>,
}

struct Desk<K, V> {
    seats: HashTable<Seat<K, V>>,
    /// A flight that landed and that nobody waits for, to take off again.
    hangar: Option<Arc<Flight<K, V>>>,
    /// Made by the first refresh that fails where that has a consequence.
    pauses: Option<Box<Pauses>>,
    loads: Loads,
}

/// A place in the queue of a flight.
pub(crate) struct Joined<K, V> {
    pub(crate) flight: Arc<Flight<K, V>>,
    pub(crate) ticket: u64,
    /// What `chain` knows of it.
    pub(crate) wait: Option<Wait>,
}

impl<K, V> Flights<K, V> {
    pub(crate) const NONE: Self = Self {
        flying: 0,
        desk: None,
    };

    /// Whether any key of the shard is being loaded.
    #[inline]
    pub(crate) fn are_flying(&self) -> bool {
        self.flying > 0
    }

    fn desk(&mut self) -> &mut Desk<K, V> {
        self.desk.get_or_insert_with(|| {
            Box::new(Desk {
                seats: HashTable::new(),
                hangar: None,
                pauses: None,
                loads: Loads::default(),
            })
        })
    }

    /// What this shard has loaded, to be counted.
    pub(crate) fn loads(&mut self) -> &mut Loads {
        &mut self.desk().loads
    }

    /// What this shard has loaded so far, if anything.
    pub(crate) fn loaded(&self) -> Option<&Loads> {
        self.desk.as_deref().map(|desk| &desk.loads)
    }

    /// The flight of a key.
    pub(crate) fn find(
        &self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Option<&Arc<Flight<K, V>>> {
        let seats = &self.desk.as_deref()?.seats;
        let seat = seats.find(tag.hash(), |seat| is(&seat.key))?;
        Some(&seat.flight)
    }

    /// How many calls wait for a key, if it is being loaded; nothing changes.
    pub(crate) fn waiting(&self, tag: Tag, is: impl FnMut(&K) -> bool) -> Option<usize> {
        if !self.are_flying() {
            return None;
        }
        let state = self.find(tag, is)?.state.lock();
        match state.stage {
            Stage::Flying => Some(state.queue.len()),
            // The call that is to take the lead has left the queue.
            Stage::Passed(_) => Some(state.queue.len() + 1),
            Stage::Landed { .. } | Stage::Failed(_) | Stage::Over => None,
        }
    }

    /// Whether a key is being loaded. A flight that is over, and that its leader had to
    /// leave where it was, is taken out.
    pub(crate) fn are_loading(&mut self, tag: Tag, mut is: impl FnMut(&K) -> bool) -> bool {
        let Some(flight) = self.find(tag, &mut is) else {
            return false;
        };
        let over = matches!(flight.state.lock().stage, Stage::Over);
        if over {
            self.detach(tag, is);
        }
        !over
    }

    /// Joins the calls that wait for a key, if it is being loaded.
    #[inline]
    pub(crate) fn join(
        &mut self,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
    ) -> Result<Option<Joined<K, V>>, Cycle> {
        if !self.are_flying() {
            return Ok(None);
        }
        self.join_any(tag, is)
    }

    #[inline(never)]
    fn join_any(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Result<Option<Joined<K, V>>, Cycle> {
        let Some(flight) = self.find(tag, &mut is).cloned() else {
            return Ok(None);
        };
        let mut state = flight.state.lock();
        if let Stage::Over = state.stage {
            drop(state);
            self.detach(tag, is);
            return Ok(None);
        }
        let wait = chain::wait(state.watched, state.leader)?;
        if let Some(wait) = &wait {
            state.watched = Some(wait.flight());
        }
        let ticket = state.queue.join();
        drop(state);
        self.loads().waits();
        Ok(Some(Joined {
            flight,
            ticket,
            wait,
        }))
    }

    /// A new flight of a key that has none.
    pub(crate) fn take_off(&mut self, tag: Tag, key: K, leader: u64) -> Arc<Flight<K, V>> {
        let flight = match self.desk().hangar.take() {
            Some(flight) => flight.again(leader),
            None => Arc::new(Flight::new(leader)),
        };
        self.seat(tag, key, flight.clone());
        flight
    }

    /// Keeps a flight that has landed, if nobody waits for it, to take off again: most do, and
    /// need no memory of their own then.
    pub(crate) fn keep(&mut self, landed: &mut Option<Arc<Flight<K, V>>>) {
        let hangar = &mut self.desk().hangar;
        if hangar.is_none() {
            *hangar = landed.take_if(|flight| Arc::strong_count(flight) == 1);
        }
    }

    fn seat(&mut self, tag: Tag, key: K, flight: Arc<Flight<K, V>>) {
        let seat = Seat { tag, key, flight };
        let seats = &mut self.desk().seats;
        seats.insert_unique(tag.hash(), seat, |seat| seat.tag.hash());
        self.flying += 1;
    }

    /// Takes a flight out and hands its key over, if it is still in the shard.
    pub(crate) fn lift(&mut self, tag: Tag, flight: &Arc<Flight<K, V>>) -> Option<K> {
        let seat = self.take_out(tag, |seat| Arc::ptr_eq(&seat.flight, flight))?;
        Some(seat.key)
    }

    /// Puts a flight back that was lifted, under the same lock, with its key.
    pub(crate) fn put_back(&mut self, tag: Tag, key: K, flight: &Arc<Flight<K, V>>) {
        self.seat(tag, key, flight.clone());
    }

    /// A refresh of this key has failed: until then no other is due.
    #[cold]
    pub(crate) fn pause(&mut self, tag: Tag, until: Moment, now: Moment) {
        let pauses = self.desk().pauses.get_or_insert_default();
        pauses.add(tag, until, now);
    }

    /// Whether a refresh of this key has failed lately.
    pub(crate) fn are_paused(&self, tag: Tag, now: Moment) -> bool {
        let pauses = self.desk.as_ref().and_then(|desk| desk.pauses.as_ref());
        pauses.is_some_and(|pauses| pauses.holds(tag, now))
    }

    /// A value of this key was loaded.
    pub(crate) fn end_pause(&mut self, tag: Tag) {
        let pauses = self.desk.as_mut().and_then(|desk| desk.pauses.as_mut());
        if let Some(pauses) = pauses {
            pauses.end(tag);
        }
    }

    /// Whether this flight is still in the shard.
    pub(crate) fn has(&self, tag: Tag, flight: &Arc<Flight<K, V>>) -> bool {
        let desk = self.desk.as_deref();
        let same = |seat: &Seat<K, V>| Arc::ptr_eq(&seat.flight, flight);
        desk.is_some_and(|desk| desk.seats.find(tag.hash(), same).is_some())
    }

    /// Takes a flight out, if it is still in the shard.
    pub(crate) fn remove(&mut self, tag: Tag, flight: &Arc<Flight<K, V>>) {
        if let Some(seat) = self.take_out(tag, |seat| Arc::ptr_eq(&seat.flight, flight)) {
            seat.leave();
        }
    }

    /// Takes the flight of this key out: what it loads will not be stored.
    #[cold]
    #[inline(never)]
    pub(crate) fn detach(&mut self, tag: Tag, mut is: impl FnMut(&K) -> bool) {
        if let Some(seat) = self.take_out(tag, |seat| is(&seat.key)) {
            seat.leave();
        }
    }

    /// Takes the flights of all keys with this tag out: of one key most likely.
    #[cold]
    #[inline(never)]
    pub(crate) fn detach_tag(&mut self, tag: Tag) {
        while let Some(seat) = self.take_out(tag, |seat| seat.tag == tag) {
            seat.leave();
        }
    }

    fn take_out(&mut self, tag: Tag, is: impl FnMut(&Seat<K, V>) -> bool) -> Option<Seat<K, V>> {
        let desk = self.desk.as_deref_mut()?;
        let found = desk.seats.find_entry(tag.hash(), is).ok()?;
        let (seat, _) = found.remove();
        self.flying -= 1;
        if self.flying == 0 && desk.seats.capacity() > KEPT_SEATS {
            desk.seats = HashTable::new();
        }
        Some(seat)
    }

    /// Takes every flight out. O(flights).
    pub(crate) fn detach_all(&mut self) {
        if self.flying > 0 {
            let seats = std::mem::take(&mut self.desk().seats);
            self.flying = 0;
            seats.into_iter().for_each(Seat::leave);
        }
    }

    /// The leader of a flight, or the call to which the lead was passed, gives it up. A
    /// failure that it shares goes to all calls that wait, unless the key was written.
    pub(crate) fn pass_on(
        &mut self,
        tag: Tag,
        flight: &Arc<Flight<K, V>>,
        shared: Option<Failure>,
    ) -> Called {
        let mut state = flight.state.lock();
        if !self.has(tag, flight) {
            return state.end();
        }
        if let Some(failure) = shared {
            state.stage = Stage::Failed(failure);
            let called = state.call_all();
            drop(state);
            self.remove(tag, flight);
            return called;
        }
        match state.pass() {
            Some(called) => called,
            None => {
                let called = state.end();
                drop(state);
                self.remove(tag, flight);
                called
            }
        }
    }

    /// The call to which the lead was passed takes it up. A flight that was detached
    /// meanwhile is not led on: then the calls that are woken start over, and so must
    /// the one that asks.
    pub(crate) fn take_up(
        &mut self,
        tag: Tag,
        flight: &Arc<Flight<K, V>>,
        leader: u64,
    ) -> Result<(), Called> {
        let mut state = flight.state.lock();
        if !self.has(tag, flight) {
            return Err(state.end());
        }
        state.stage = Stage::Flying;
        state.leader = leader;
        if let Some(number) = state.watched {
            chain::lead(number, leader);
        }
        Ok(())
    }

    /// Proves the count of flights and where their seats lie.
    pub(crate) fn check(&self) {
        let Some(desk) = &self.desk else {
            return assert_eq!(self.flying, 0, "flights without a table");
        };
        assert_eq!(self.flying, desk.seats.len(), "flights counted and kept");
        for seat in &desk.seats {
            assert!(self.has(seat.tag, &seat.flight), "a flight out of place");
            assert!(
                seat.flight.state.lock().key.is_none(),
                "a key of two places"
            );
        }
    }
}
