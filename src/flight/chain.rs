//! `Chain`: the loads that a call is made inside of, and which load waits for which.
//!
//! A loader may ask any cache for other keys. If a call inside of a load waits
//! for a load that waits, through others perhaps, for the first, none of them
//! ever ends. So a call that is about to wait looks first:
//!
//! ```text
//! a thread knows the loads it is inside of, innermost first: set while a loader
//!     runs, and while its future is polled
//! wait for a load L, inside of a chain C:
//!     C is empty?  no load can be waiting for this call: no lock, nothing registered
//!     else, under the one lock of the process:
//!         walk from L to whatever is waited for inside of it, and on from there
//!         a load of C is reached?  a cycle: an error, nothing registered
//!         else register, for each load of C, that it waits for L's flight
//! ```
//!
//! A load may also be led by a guard, which outlives the call that began it. The thread that began
//! it is not inside of it, since guards end in any order, and since a task that is polled there does not
//! stop it. But when it sleeps what it leads waits: so in a call that may sleep it is inside of
//! all that.
//!
//! Loads form a tree: two calls that one load makes at the same time (joined
//! futures) may wait for each other's loads, since neither is inside of the other.
//!
//! Invariants
//! 1. Of the waits that close a cycle the last one finds it: all others are
//!    registered by then, and it looks and registers under one lock.
//! 2. What is registered has no cycle. A new leader of a flight adds none:
//!    nothing is waited for inside of a load that has only just begun.
//! 3. A load that has ended is in no chain any more, so what is still registered
//!    about it leads nowhere.
//! 4. There is an entry for each waiting call and load it is inside of, no more.
//!
//! The room knows no caches and no keys: it works across both. It cannot know
//! of a task that a loader spawns and then waits for, nor which guards a task holds, nor
//! to which thread a guard was sent.

use crate::sync::{self, Arc, Mutex};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::iter::successors;
use std::pin::Pin;
use std::task::Poll;

/// A load, and those that it is inside of.
#[derive(Clone)]
pub(crate) struct Chain {
    load: u64,
    outer: Option<Arc<Chain>>,
}

sync::thread_wide! {
    static INSIDE: Cell<Option<Chain>> = const { Cell::new(None) }
}

/// The loads that a thread leads by guards: which may end in any order, and in other threads.
type Leads = Arc<Mutex<Vec<u64>>>;

sync::thread_wide! {
    static LEADS: Cell<Option<Leads>> = const { Cell::new(None) }
}

/// Exchanges what this thread is inside of. A thread on its way out, whose
/// storage is gone, is inside of nothing.
fn exchange(chain: Option<Chain>) -> Option<Chain> {
    INSIDE.try_with(|inside| inside.replace(chain)).ok()?
}

fn current() -> Option<Chain> {
    let inside = exchange(None)?;
    exchange(Some(inside.clone()));
    Some(inside)
}

/// The loads that this thread leads by guards.
fn leads() -> Option<Leads> {
    let look = |kept: &Cell<Option<Leads>>| {
        let leads = kept.take();
        kept.set(leads.clone());
        leads
    };
    LEADS.try_with(look).ok()?
}

/// Where this thread may sleep, and so keep the loads waiting that it leads by guards: it is
/// inside of these too until the answer is dropped.
pub(crate) fn enter_led() -> Option<Inside> {
    let leads = leads()?;
    let leads = leads.lock();
    let inside = leads.iter().fold(current(), |outer, &load| {
        let outer = outer.map(Arc::new);
        Some(Chain { load, outer })
    })?;
    Some(inside.enter())
}

/// A load that a thread leads by a guard, until dropped, in whatever thread.
#[must_use = "the thread leads the load until this is dropped"]
pub(crate) struct Guarded {
    leads: Leads,
    load: u64,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut leads = self.leads.lock();
        if let Some(place) = leads.iter().position(|&load| load == self.load) {
            leads.swap_remove(place);
        }
    }
}

impl Chain {
    /// This thread leads the load by a guard from now on: if it waits, so does the load.
    pub(crate) fn guard(&self) -> Guarded {
        let leads = leads().unwrap_or_else(|| Arc::new(Mutex::new(Vec::new())));
        leads.lock().push(self.load);
        // A thread on its way out keeps no guards.
        let _ = LEADS.try_with(|kept| kept.set(Some(leads.clone())));
        Guarded {
            leads,
            load: self.load,
        }
    }

    /// A new load, inside of those that this thread is inside of.
    pub(crate) fn begin() -> Self {
        Self {
            load: sync::fresh_number(),
            outer: current().map(Arc::new),
        }
    }

    /// The load of that number, begun elsewhere, inside of those that this thread is
    /// inside of: they wait for it from now on.
    pub(crate) fn resumed(load: u64) -> Self {
        Self {
            load,
            outer: current().map(Arc::new),
        }
    }

    pub(crate) fn load(&self) -> u64 {
        self.load
    }

    /// This thread is inside of the load until the answer is dropped.
    pub(crate) fn enter(&self) -> Inside {
        Inside {
            before: exchange(Some(self.clone())),
        }
    }

    /// Runs code inside of the load.
    pub(crate) fn run<R>(&self, code: impl FnOnce() -> R) -> R {
        let _inside = self.enter();
        code()
    }

    /// Polls a future inside of the load, until it is ready. There must be one.
    pub(crate) async fn finish<F: Future>(&self, mut load: Pin<&mut Option<F>>) -> F::Output {
        poll_fn(|context| match load.as_mut().as_pin_mut() {
            Some(load) => self.run(|| load.poll(context)),
            None => Poll::Pending,
        })
        .await
    }

    fn loads(&self) -> impl Iterator<Item = u64> {
        successors(Some(self), |chain| chain.outer.as_deref()).map(Chain::load)
    }
}

/// Restores what the thread was inside of before.
#[must_use = "the thread is inside of the load until this is dropped"]
pub(crate) struct Inside {
    before: Option<Chain>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        exchange(self.before.take());
    }
}

/// Waiting would deadlock: the load to wait for already waits for the caller.
#[derive(Debug)]
pub(crate) struct Cycle;

/// A registered wait, until dropped.
pub(crate) struct Wait {
    inside: Chain,
    flight: u64,
}

impl Wait {
    /// The number of the flight that is waited for.
    pub(crate) fn flight(&self) -> u64 {
        self.flight
    }
}

/// Whether this thread may wait for a flight led by the load `leader`. What is
/// registered, if it is inside of a load itself, must be kept while it waits. A flight that has
/// no number gets one.
pub(crate) fn wait(flight: Option<u64>, leader: u64) -> Result<Option<Wait>, Cycle> {
    let Some(inside) = current() else {
        return Ok(None);
    };
    let flight = flight.unwrap_or_else(sync::fresh_number);
    let mut waits = WAITS.lock();
    if waits.reach(leader, &inside) {
        return Err(Cycle);
    }
    waits.add(flight, leader, &inside);
    Ok(Some(Wait { inside, flight }))
}

/// A flight that is waited for is led by another load now.
pub(crate) fn lead(flight: u64, leader: u64) {
    if let Some(led) = WAITS.lock().led.get_mut(&flight) {
        led.by = leader;
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        WAITS.lock().remove(self.flight, &self.inside);
    }
}

sync::process_wide! {
    /// Everything that is waited for inside of a load.
    static WAITS: Waits = Waits::NONE
}

struct Waits {
    /// By load: the flights that are waited for inside of it, each once for
    /// each call that waits.
    inside: BTreeMap<u64, Vec<u64>>,
    /// By flight: which load leads it.
    led: BTreeMap<u64, Led>,
}

struct Led {
    by: u64,
    waits: usize,
}

impl Waits {
    const NONE: Self = Self {
        inside: BTreeMap::new(),
        led: BTreeMap::new(),
    };

    /// Whether the load `from` waits, by itself or through others, for one of `chain`, or
    /// is one of them.
    fn reach(&self, from: u64, chain: &Chain) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(load) = next.pop() {
            if chain.loads().any(|own| own == load) {
                return true;
            }
            if seen.insert(load) {
                let flights = self.inside.get(&load).into_iter().flatten();
                let leaders = flights.filter_map(|flight| self.led.get(flight));
                next.extend(leaders.map(|led| led.by));
            }
        }
        false
    }

    fn add(&mut self, flight: u64, leader: u64, inside: &Chain) {
        for load in inside.loads() {
            self.inside.entry(load).or_default().push(flight);
        }
        let led = self.led.entry(flight).or_insert(Led {
            by: leader,
            waits: 0,
        });
        led.waits += 1;
    }

    fn remove(&mut self, flight: u64, inside: &Chain) {
        for load in inside.loads() {
            if let Some(flights) = self.inside.get_mut(&load) {
                if let Some(place) = flights.iter().position(|&waited| waited == flight) {
                    flights.swap_remove(place);
                }
                if flights.is_empty() {
                    self.inside.remove(&load);
                }
            }
        }
        if let Some(led) = self.led.get_mut(&flight) {
            led.waits -= 1;
            if led.waits == 0 {
                self.led.remove(&flight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load begun inside of `outer`.
    fn load(outer: Option<&Chain>) -> Chain {
        let _inside = outer.map(Chain::enter);
        Chain::begin()
    }

    /// A wait made inside of `chain` for a flight of that number and leader.
    fn waits(chain: &Chain, flight: u64, leader: &Chain) -> Result<Option<Wait>, Cycle> {
        let _inside = chain.enter();
        wait(Some(flight), leader.load())
    }

    fn flight() -> u64 {
        sync::fresh_number()
    }

    #[test]
    fn outside_of_any_load_nothing_is_registered() {
        let other = load(None);
        assert!(wait(None, other.load()).unwrap().is_none());
    }

    #[test]
    fn a_load_must_not_wait_for_itself_nor_for_one_it_is_inside_of() {
        let outer = load(None);
        let inner = load(Some(&outer));
        assert!(waits(&outer, flight(), &outer).is_err());
        assert!(waits(&inner, flight(), &outer).is_err());
        assert!(waits(&inner, flight(), &inner).is_err());
    }

    #[test]
    fn loads_side_by_side_inside_of_one_may_wait_for_each_other_once() {
        let outer = load(None);
        let (left, right) = (load(Some(&outer)), load(Some(&outer)));
        let one = waits(&left, flight(), &right).unwrap();
        assert!(waits(&right, flight(), &left).is_err(), "both would hang");
        drop(one);
        assert!(waits(&outer, flight(), &left).unwrap().is_some());
    }

    #[test]
    fn the_last_of_any_number_closes_the_cycle_and_only_the_last() {
        for count in [2, 3, 10] {
            let loads: Vec<_> = (0..count).map(|_| load(None)).collect();
            let pairs = loads.iter().zip(&loads[1..]);
            let kept: Vec<_> = pairs
                .map(|(from, to)| waits(&load(Some(from)), flight(), to).unwrap())
                .collect();
            let last = loads.last().unwrap();
            assert!(waits(last, flight(), &loads[0]).is_err());
            drop(kept);
            assert!(waits(last, flight(), &loads[0]).is_ok());
        }
    }

    #[test]
    fn a_flight_that_changed_hands_leads_to_its_new_leader() {
        let (first, second, caller) = (load(None), load(None), load(None));
        let number = flight();
        let _waiting = waits(&caller, number, &first).unwrap();
        assert!(waits(&second, flight(), &caller).is_ok());
        lead(number, second.load());
        assert!(waits(&second, flight(), &caller).is_err());
        assert!(waits(&first, flight(), &caller).is_ok());
    }

    #[test]
    fn what_was_registered_is_gone_when_nobody_waits() {
        let (one, two) = (load(None), load(None));
        let number = flight();
        let both = [0, 1].map(|_| waits(&load(Some(&one)), number, &two).unwrap());
        drop(both);
        let waits = WAITS.lock();
        assert!(!waits.led.contains_key(&number) && !waits.inside.contains_key(&one.load()));
    }

    #[test]
    fn a_thread_is_inside_of_what_it_was_before_when_a_load_ends() {
        let outer = load(None);
        let inside = outer.enter();
        drop(Chain::begin().enter());
        assert_eq!(current().map(|chain| chain.load()), Some(outer.load()));
        drop(inside);
        assert!(current().is_none());
    }
}
