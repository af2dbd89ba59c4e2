//! `Queue`: the calls that wait for a flight, by their tickets: first come, first served.
//!
//! A call that leaves before its turn leaves a hole. Holes at either end go at once, those in
//! between when they outnumber the calls that wait: so memory follows the calls, and each call of
//! a queue costs O(1), or O(log n) once holes were closed.

use std::collections::VecDeque;
use std::task::Waker;

#[derive(Default)]
pub(super) struct Queue {
    /// In the order of their tickets. A hole has no waker; first and last are none.
    places: VecDeque<(u64, Option<Waker>)>,
    /// How many of them are no holes.
    waiting: usize,
    next_ticket: u64,
}

impl Queue {
    /// Puts a call in that has not been polled yet: it will look how far the flight is when
    /// it is. Returns its ticket.
    pub(super) fn join(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting += 1;
        self.places.push_back((ticket, Some(Waker::noop().clone())));
        ticket
    }

    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    fn place(&self, ticket: u64) -> Option<usize> {
        let first = self.places.front()?.0;
        let near = usize::try_from(ticket.checked_sub(first)?).ok()?;
        match self.places.get(near) {
            Some(place) if place.0 == ticket => Some(near),
            _ => self
                .places
                .binary_search_by_key(&ticket, |place| place.0)
                .ok(),
        }
    }

    /// The waker of a call that waits.
    pub(super) fn waker(&mut self, ticket: u64) -> Option<&mut Waker> {
        let place = self.place(ticket)?;
        self.places[place].1.as_mut()
    }

    /// Takes a call out; its waker is not to be dropped under a lock.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        let place = self.place(ticket)?;
        let waker = self.places[place].1.take()?;
        self.waiting -= 1;
        self.close_holes();
        Some(waker)
    }

    /// Takes the first call out.
    pub(super) fn pop(&mut self) -> Option<(u64, Waker)> {
        let (ticket, waker) = self.places.pop_front()?;
        self.waiting -= 1;
        self.close_holes();
        Some((ticket, waker?))
    }

    /// Takes all calls out.
    pub(super) fn take(&mut self) -> Self {
        let next_ticket = self.next_ticket;
        let taken = std::mem::take(self);
        self.next_ticket = next_ticket;
        taken
    }

    /// The wakers of all calls, in their order.
    pub(super) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.places.into_iter().filter_map(|place| place.1)
    }

    fn close_holes(&mut self) {
        while self.places.front().is_some_and(|place| place.1.is_none()) {
            self.places.pop_front();
        }
        while self.places.back().is_some_and(|place| place.1.is_none()) {
            self.places.pop_back();
        }
        if self.places.len() > 2 * self.waiting + 16 {
            self.places.retain(|place| place.1.is_some());
        }
        // Many have left: a flight that takes off again must not keep their places.
        if self.places.capacity() > 4 * self.places.len() + 64 {
            self.places.shrink_to(2 * self.places.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_out_in_their_order_whoever_left_before() {
        let mut queue = Queue::default();
        let tickets: Vec<u64> = (0..1_000).map(|_| queue.join()).collect();
        for ticket in tickets.iter().filter(|ticket| *ticket % 10 != 3) {
            assert!(queue.leave(*ticket).is_some());
            assert!(queue.leave(*ticket).is_none() && queue.waker(*ticket).is_none());
        }
        assert_eq!(queue.len(), 100);
        assert!(queue.places.len() <= 216, "{}", queue.places.len());
        assert!(queue.waker(993).is_some() && queue.waker(2_000).is_none());
        let left = std::iter::from_fn(|| Some(queue.pop()?.0));
        assert!(left.eq((0..1_000).filter(|ticket| ticket % 10 == 3)));
        assert!(queue.is_empty() && queue.places.is_empty());
        assert!(queue.places.capacity() <= 64, "{}", queue.places.capacity());
        assert_eq!(queue.join(), 1_000, "no ticket is given twice");
        assert_eq!(queue.take().into_wakers().count(), 1);
        assert_eq!((queue.join(), queue.len()), (1_001, 1));
    }

    #[test]
    fn a_call_that_waits_for_long_keeps_no_memory_of_those_that_do_not() {
        let mut queue = Queue::default();
        queue.join();
        let mut before = queue.join();
        for _ in 0..100_000 {
            let next = queue.join();
            queue.leave(before);
            before = next;
            assert!(queue.places.len() <= 24);
        }
        assert!(queue.places.capacity() <= 64);
    }
}
