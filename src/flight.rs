//! Flights: who loads which key, and who waits for it.
//!
//! One idea: a key that is being loaded has a flight, kept beside its shard's
//! table and under the same lock; so one look, under that one lock, finds the
//! value, or the flight to wait for, or that there is neither, and nothing can
//! slip in between.
//!
//! ```text
//! a miss:     a flight of this key?  join its queue, and wait
//!             else                   take off: lead a new flight, run the loader
//! loaded:     under the shard's lock: still in the shard?  store the value, take
//!                 the flight out.  else store nothing
//!             hand the value to all who wait
//! failed:     in the shard?  offer the lead to the first who waits; it has a loader
//!                 of its own. nobody waits?  take the flight out
//!             else  all who wait start over from the look-up
//! a write of the key by anyone else: take the flight out (it is *detached*): what
//!             it loads goes to those who wait, and is not stored
//! a stale value: a hit, whether it has a flight or not; if not, the loading call that
//!             hit it takes off, and *refreshes* it
//! ```
//!
//! Invariants
//! 1. A key has one flight in the shard at most, and none if a value is in the table
//!    that is not stale. (A policy that panics may leave both.) A landing replaces the
//!    value that is there.
//! 2. A flight in the shard has one leader, or one waiter to whom the lead is
//!    offered. Either lands it, or passes the lead on, whatever happens to it.
//! 3. Who waits looks at the stage under the flight's lock before it sleeps and
//!    after it was woken, and whoever changes the stage wakes; so no wake-up is lost.
//! 4. A leader, and who waits, holds the flight: one that leaves the shard is never
//!    dropped there. Its key stays in it, to be dropped with it.
//! 5. Locks are taken in this order: shard, flight, the one of `chain`. Nobody is
//!    woken, and nothing of the user's is dropped, under any of them.
//!
//! The room does not know how a value is stored, nor whether who waits is a
//! thread or a task.

pub(crate) mod chain;

use crate::leave::{Panic, caught, dropped, first};
use crate::reentry::Mark;
use crate::stats::Loads;
use crate::sync::{self, Arc, Mutex, Thread};
use crate::tag::Tag;
use chain::{Cycle, Wait};
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::task::Waker;

/// A table for more flights than this is given back when the last has left.
const KEPT_SEATS: usize = 14;

/// Who is to be woken.
pub(crate) enum Wake {
    Thread(Thread),
    Task(Waker),
}

impl Wake {
    fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(waker) => waker.wake(),
        }
    }

    /// Whether waking it wakes a caller who waits as this task, or as a thread.
    fn reaches(&self, task: Option<&Waker>) -> bool {
        match (self, task) {
            (Self::Thread(_), None) => true,
            (Self::Task(waker), Some(task)) => waker.will_wake(task),
            _ => false,
        }
    }
}

/// Those who wait, by their tickets: first come, first served. `None` until they
/// have said how to wake them; they look at the stage when they do.
type Queue = BTreeMap<u64, Option<Wake>>;

/// Taken out of a queue, to be woken without any lock.
#[must_use = "whoever is not woken waits for ever"]
#[derive(Default)]
pub(crate) struct Called {
    one: Option<Wake>,
    all: Queue,
}

impl Called {
    /// Wakes them; the first panic of a waker is returned when all are woken.
    pub(crate) fn wake(self) -> Option<Panic> {
        let mut panic = None;
        for wake in self.one.into_iter().chain(self.all.into_values().flatten()) {
            first(&mut panic, caught(|| wake.wake()).err());
        }
        panic
    }
}

/// How far a flight is.
enum Stage<V> {
    /// Its leader is at work.
    Flying,
    /// Its leader failed; the lead is offered to who has this ticket.
    Offered(u64),
    /// The value, for as many as wait for it still.
    Landed { value: V, left: usize },
    /// Nothing to wait for: start over from the look-up.
    Over,
}

struct State<K, V> {
    stage: Stage<V>,
    queue: Queue,
    next_ticket: u64,
    /// The load that leads it.
    leader: u64,
    /// Whether `chain` knows of someone who waits for it.
    watched: bool,
    /// Its key, once it has left the shard.
    key: Option<K>,
}

/// One load of one key, shared by its leader and all who wait for it.
pub(crate) struct Flight<K, V> {
    number: u64,
    state: Mutex<State<K, V>>,
}

/// What a flight answers to one who waits.
pub(crate) enum Asked<V> {
    Landed(V),
    Over,
    /// The lead is theirs, if they take it.
    Offered,
    /// They will be woken.
    Later,
    /// They must say first how to wake them.
    Unknown,
}

impl<K, V> Flight<K, V> {
    fn new(leader: u64) -> Self {
        Self {
            number: sync::fresh_number(),
            state: Mutex::new(State {
                stage: Stage::Flying,
                queue: Queue::new(),
                next_ticket: 0,
                leader,
                watched: false,
                key: None,
            }),
        }
    }

    /// Asks how far the flight is, for the one with this ticket, who waits as
    /// this `task` or else as a thread. `wake` is how to wake them, if they have
    /// said it anew; what it replaces, or is not needed, is left there.
    pub(crate) fn ask(&self, ticket: u64, task: Option<&Waker>, wake: &mut Option<Wake>) -> Asked<V>
    where
        V: Clone,
    {
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Landed { .. } => return state.share(),
            Stage::Over => return Asked::Over,
            Stage::Offered(offered) if *offered == ticket => return Asked::Offered,
            Stage::Offered(_) | Stage::Flying => {}
        }
        let Some(known) = state.queue.get_mut(&ticket) else {
            return Asked::Over;
        };
        if wake.is_some() {
            std::mem::swap(known, wake);
            return Asked::Later;
        }
        match known {
            Some(known) if known.reaches(task) => Asked::Later,
            _ => Asked::Unknown,
        }
    }

    /// Takes the one with this ticket out of the queue. Answers `true` if the
    /// lead was offered to them: they must pass it on.
    pub(crate) fn quit(&self, ticket: u64) -> bool {
        // Dropped after the lock.
        let (_wake, _value);
        let mut state = self.state.lock();
        match &mut state.stage {
            Stage::Offered(offered) if *offered == ticket => return true,
            Stage::Flying | Stage::Offered(_) => _wake = state.queue.remove(&ticket),
            Stage::Landed { left, .. } => {
                *left -= 1;
                if *left == 0 {
                    _value = std::mem::replace(&mut state.stage, Stage::Over);
                }
            }
            Stage::Over => {}
        }
        false
    }

    /// Hands copies of the loaded value to all who wait. The flight has left the
    /// shard, so no one joins any more. If there is no copy to be had, they start over.
    pub(crate) fn land(&self, copy: impl FnOnce() -> V) -> Option<Panic> {
        if self.state.lock().queue.is_empty() {
            return None;
        }
        let mut panic = None;
        let (called, spare) = match caught(copy) {
            Ok(value) => self.state.lock().land(value),
            Err(stopped) => {
                panic = Some(stopped);
                (self.end(), None)
            }
        };
        first(&mut panic, called.wake());
        first(&mut panic, dropped(spare));
        panic
    }

    /// Nothing will come of it: all who wait start over from the look-up.
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
            all: std::mem::take(&mut self.queue),
        }
    }

    /// The value stays with those who wait, or is handed back if nobody does.
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

    /// Offers the lead to the first who waits, if there is one.
    fn offer(&mut self) -> Option<Called> {
        let (ticket, wake) = self.queue.pop_first()?;
        self.stage = Stage::Offered(ticket);
        Some(Called {
            one: wake,
            all: Queue::new(),
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
    loads: Loads,
}

/// What came of joining.
pub(crate) enum Joined<K, V> {
    /// A place in the queue of a flight, and what `chain` knows of it.
    Waits(Arc<Flight<K, V>>, u64, Option<Wait>),
    /// Nobody loads this key.
    Nobody,
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

    /// Whether someone loads a key. A flight that is over, and that its leader had to
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

    /// Joins those who wait for a key, if someone loads it.
    pub(crate) fn join(
        &mut self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
    ) -> Result<Joined<K, V>, Cycle> {
        let Some(flight) = self.find(tag, &mut is).cloned() else {
            return Ok(Joined::Nobody);
        };
        let mut state = flight.state.lock();
        if let Stage::Over = state.stage {
            drop(state);
            self.detach(tag, is);
            return Ok(Joined::Nobody);
        }
        let wait = chain::wait(flight.number, state.leader)?;
        state.watched |= wait.is_some();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.insert(ticket, None);
        drop(state);
        self.loads().waits();
        Ok(Joined::Waits(flight, ticket, wait))
    }

    /// A new flight of a key that is not being loaded, and is not in the table or stale.
    pub(crate) fn take_off(&mut self, tag: Tag, key: K, leader: u64) -> Arc<Flight<K, V>> {
        let flight = Arc::new(Flight::new(leader));
        let seat = Seat {
            tag,
            key,
            flight: flight.clone(),
        };
        let seats = &mut self.desk().seats;
        seats.insert_unique(tag.hash(), seat, |seat| seat.tag.hash());
        self.flying += 1;
        flight
    }

    /// Whether this flight is still in the shard.
    pub(crate) fn has(&self, tag: Tag, flight: &Arc<Flight<K, V>>) -> bool {
        let desk = self.desk.as_deref();
        let same = |seat: &Seat<K, V>| Arc::ptr_eq(&seat.flight, flight);
        desk.is_some_and(|desk| desk.seats.find(tag.hash(), same).is_some())
    }

    /// Takes a flight out, if it is still in the shard.
    pub(crate) fn remove(&mut self, tag: Tag, flight: &Arc<Flight<K, V>>) {
        self.take_out(tag, |seat| Arc::ptr_eq(&seat.flight, flight));
    }

    /// Takes the flight of this key out: what it loads will not be stored.
    #[cold]
    #[inline(never)]
    pub(crate) fn detach(&mut self, tag: Tag, mut is: impl FnMut(&K) -> bool) {
        self.take_out(tag, |seat| is(&seat.key));
    }

    fn take_out(&mut self, tag: Tag, is: impl FnMut(&Seat<K, V>) -> bool) {
        let Some(desk) = self.desk.as_deref_mut() else {
            return;
        };
        if let Ok(found) = desk.seats.find_entry(tag.hash(), is) {
            found.remove().0.leave();
            self.flying -= 1;
            if self.flying == 0 && desk.seats.capacity() > KEPT_SEATS {
                desk.seats = HashTable::new();
            }
        }
    }

    /// Takes every flight out. O(flights).
    pub(crate) fn detach_all(&mut self) {
        if self.flying > 0 {
            let seats = std::mem::take(&mut self.desk().seats);
            self.flying = 0;
            seats.into_iter().for_each(Seat::leave);
        }
    }

    /// The leader of a flight, or to whom the lead was offered, gives it up.
    pub(crate) fn pass_on(&mut self, tag: Tag, flight: &Arc<Flight<K, V>>) -> Called {
        let mut state = flight.state.lock();
        if !self.has(tag, flight) {
            return state.end();
        }
        match state.offer() {
            Some(called) => called,
            None => {
                let called = state.end();
                drop(state);
                self.remove(tag, flight);
                called
            }
        }
    }

    /// The one to whom the lead was offered takes it. A flight that was detached
    /// meanwhile is not led on: then those who are called start over, and so must
    /// the one who asks.
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
        if state.watched {
            chain::lead(flight.number, leader);
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
