//! Loading: one miss, one load, and nobody left waiting.
//!
//! ```text
//! a loading call: the value is there?  a hit like any other
//!     board, under the shard's lock: the value is there by now?  it
//!                                    someone loads it?  wait, without a lock
//!                                    else lead: run the loader, land what it made
//!                                    it is stale, and nobody loads it?  lead: refresh it
//!     woken:  landed?  the value    offered the lead?  lead    over?  board again
//! ```
//!
//! Two guards see to it that nobody is left waiting, whatever panics or is
//! cancelled: [`Leading`] passes the lead on unless it landed, [`Waiting`] leaves
//! the queue, and passes on a lead that was offered to it. The room `flight`
//! tells the rest.

use super::{Cache, lock_at};
use crate::error::LoadError;
use crate::flight::chain::{Chain, Cycle, Wait};
use crate::flight::{Asked, Flight, Joined, Wake};
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::{caught, drop_apart, dropped, first, go_on, hand_value};
use crate::outbox::Outbox;
use crate::policy::{Slot, Tag};
use crate::reentry::{self, Mark};
use crate::shard::{Offer, Placed, Shard};
use crate::stats::Loads;
use crate::sync::{Arc, Mutex, current, park};
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash};
use std::task::Waker;
use std::time::{Duration, Instant};

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key; if there is none, that of `load`, stored under it.
    ///
    /// Callers that miss one key at the same time share one load: the first runs
    /// its `load`, the others wait for it and get clones. If that `load` panics,
    /// one who waits runs its own; so does everyone in turn, until a value is there.
    /// Other keys never wait for it. A value that the cache refuses is returned all the same.
    /// If the value is [stale](crate::Builder::refresh_after) and nobody is loading it anew,
    /// this call does.
    ///
    /// `load` runs on the caller's thread without any lock, and may use this and
    /// other caches. The calling thread sleeps while it waits: in a task use
    /// [`get_or_insert_async`](Cache::get_or_insert_async).
    ///
    /// # What others do meanwhile
    ///
    /// A load that began before a key was written or removed is never stored
    /// after it:
    ///
    /// | during the load of a key | its callers get | is stored | later callers |
    /// |---|---|---|---|
    /// | `insert` of the key, or `entry(…).or_insert…` | what it loads | what was inserted | find that |
    /// | an `insert` of the key that is refused | what it loads | nothing | load anew |
    /// | `remove`, `remove_entry`, `remove_if` of the key | what it loads | nothing | load anew |
    /// | `update` of the key, whose [stale](crate::Builder::refresh_after) value was there | what it loads | what was updated | find that |
    /// | `clear`, `drain`, `retain` | what it loads | nothing | load anew |
    /// | other keys are evicted or removed | what it loads | what it loads | find it |
    /// | `set_capacity`, and the value fits | what it loads | what it loads | find it |
    /// | `set_capacity`, and it is too heavy now | what it loads | nothing: refused | load anew |
    /// | the load fails, and the key was not written | one loads in its stead, the others wait for that one | | |
    /// | the load fails, and the key was written | start over from the look-up | | |
    ///
    /// `remove_if` and `retain` can't ask their condition of a value that is not there
    /// yet, so they too keep what is being loaded from being stored; but `remove_if` leaves
    /// the load of a stale value alone that it does not remove.
    ///
    /// # Panics
    /// If `load` panics: that panic reaches its own caller only. If the call is
    /// made inside of a load that waits for this very key, by itself or through others:
    /// see [`LoadError::Cycle`].
    ///
    /// # Example
    ///
    /// ```
    /// let cache = brimful::Cache::new(100);
    /// let length = cache.get_or_insert_with("word", || 4);
    /// assert_eq!(length, 4);
    /// assert_eq!(cache.get_or_insert_with("word", || unreachable!()), 4);
    /// # let _: Option<usize> = cache.get(&"word".to_string());
    /// ```
    #[inline]
    pub fn get_or_insert_with<Q>(&self, key: &Q, load: impl FnOnce() -> V) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        infallibly(self.try_get_or_insert_with(key, || Ok(load())))
    }

    /// The same with a loader that can fail. An error is not stored.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`: an
    /// error of another caller's is never seen, since then one who waits loads in
    /// its stead. [`LoadError::Cycle`] if the call is made inside of a load that waits
    /// for this key.
    ///
    /// # Panics
    /// If `load` does.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    ///
    /// let numbers = Cache::<String, u64>::new(100);
    /// let number = |text: &str| numbers.try_get_or_insert_with(text, || text.parse());
    /// assert_eq!(number("12"), Ok(12));
    /// assert!(matches!(number("twelve"), Err(LoadError::Failed(_))));
    /// assert_eq!(numbers.len(), 1);
    /// ```
    #[inline]
    pub fn try_get_or_insert_with<Q, E>(
        &self,
        key: &Q,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        match self.read_unless_due(hashed, key) {
            Some(value) => Ok(hand_value(value, || dropped(load))),
            None => self.load(hashed, key, Patience::ENDLESS, load),
        }
    }

    /// The same, for a caller who waits at most so long for another's load: zero
    /// means not at all. A load of its own takes the time it takes.
    ///
    /// # Errors
    /// [`LoadError::TimedOut`] after that time, and those of
    /// [`try_get_or_insert_with`](Cache::try_get_or_insert_with).
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::<u32, u32>::new(100);
    /// let impatient = || cache.try_get_or_insert_within(&1, Duration::ZERO, || Err("not asked"));
    /// cache.get_or_insert_with(&1, || {
    ///     std::thread::scope(|scope| {
    ///         assert_eq!(scope.spawn(impatient).join().unwrap(), Err(LoadError::TimedOut));
    ///     });
    ///     7
    /// });
    /// ```
    pub fn try_get_or_insert_within<Q, E>(
        &self,
        key: &Q,
        most: Duration,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        let hashed = self.hash(key);
        match self.read_unless_due(hashed, key) {
            Some(value) => Ok(hand_value(value, || dropped(load))),
            None => self.load(hashed, key, Patience::of(most), load),
        }
    }

    /// A clone of the value, unless it is due to be refreshed.
    #[inline]
    pub(super) fn read_unless_due<Q>(&self, hashed: Hashed, key: &Q) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        if F::AGED && self.door.expiry.refreshes() {
            let mut shard = self.lock(hashed);
            let _mark = Mark::set_in_debug();
            return self.read_in_unless_due(&mut shard, hashed, key);
        }
        self.read(hashed, key, |_, value| value.clone())
    }

    /// The same in a shard that is locked already. A hit either way.
    #[inline]
    pub(super) fn read_in_unless_due<Q>(
        &self,
        shard: &mut Shard<K, V, F>,
        hashed: Hashed,
        key: &Q,
    ) -> Option<V>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        let is = |found: &K| key.equivalent(found);
        let (age, now) = (self.door.expiry.refresh_after, shard.now());
        let entry = shard.get(hashed.tag(), is)?;
        let fresh = !Shard::<K, V, F>::has_age(&entry.extra, age, now);
        if fresh && !self.door.expiry.rules_reads() {
            return Some(entry.value.clone());
        }
        self.reread_unless_due(shard, hashed, is)
    }

    /// The same for a value that is stale, or where a rule is asked about reads.
    #[cold]
    #[inline(never)]
    fn reread_unless_due(
        &self,
        shard: &mut Shard<K, V, F>,
        hashed: Hashed,
        is: impl Fn(&K) -> bool + Copy,
    ) -> Option<V>
    where
        V: Clone,
    {
        let slot = shard.slot(hashed.tag(), is)?;
        if self.is_due(shard, slot, hashed.tag(), is) {
            return None;
        }
        self.rule_read(shard, slot);
        Some(shard.entry(slot)?.value.clone())
    }

    /// Whether the value in `slot` is stale and nobody loads it anew.
    pub(super) fn is_due(
        &self,
        shard: &mut Shard<K, V, F>,
        slot: Slot,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
    ) -> bool {
        F::AGED
            && self.door.expiry.refreshes()
            && shard.is_stale(slot, self.door.expiry.refresh_after)
            && !shard.flights.are_loading(tag, is)
    }

    /// After a miss: waits for the key's load, or leads it.
    #[cold]
    #[inline(never)]
    pub(super) fn load<Q, E>(
        &self,
        hashed: Hashed,
        key: &Q,
        patience: Patience,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        match self.seek(hashed, key, patience) {
            Ok(Sought::Value(value)) => Ok(hand_value(value, || dropped(load))),
            Ok(Sought::Lead(leading)) => leading.run(key, load),
            Err(error) => Err(error.widened()),
        }
    }

    /// The value, once someone has loaded it, or the lead of the key's flight.
    pub(super) fn seek<Q>(
        &self,
        hashed: Hashed,
        key: &Q,
        mut patience: Patience,
    ) -> Result<Sought<'_, K, V, F, S>, LoadError<Infallible>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        let mut own = None;
        loop {
            match self.board(hashed, key, &mut own)? {
                Boarding::Nobody => own = Some(key.to_owned()),
                Boarding::Sought(sought) => return Ok(sought.after(own)),
                Boarding::Waits(waiting) => match waiting.sleep(&mut patience) {
                    None => return Err(LoadError::TimedOut),
                    Some(Woken::Sought(sought)) => return Ok(sought.after(own)),
                    Some(Woken::Over) => {}
                },
            }
        }
    }

    /// One look under one lock: the value, else the flight of the key, else, with
    /// a key of one's `own` to give it, a new one, as for a value that is due to be
    /// refreshed. The hit or miss was counted before.
    pub(super) fn board<Q>(
        &self,
        hashed: Hashed,
        key: &Q,
        own: &mut Option<K>,
    ) -> Result<Boarding<'_, K, V, F, S>, LoadError<Infallible>>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        let tag = hashed.tag();
        let is = |found: &K| key.equivalent(found);
        let mut shard = self.lock(hashed);
        let _mark = Mark::set_in_debug();
        let found = shard.slot(tag, is);
        let due = found.is_some_and(|slot| self.is_due(&mut shard, slot, tag, is));
        match found {
            Some(slot) if !due => {
                shard.touch(slot);
                shard.used(slot);
                if let Some(entry) = shard.entry(slot) {
                    return Ok(Boarding::Sought(Sought::Value(entry.value.clone())));
                }
            }
            Some(_) => {}
            None => {
                let joined = shard
                    .flights
                    .join(tag, is)
                    .map_err(|Cycle| LoadError::Cycle)?;
                if let Joined::Waits(flight, ticket, wait) = joined {
                    return Ok(Boarding::Waits(Waiting {
                        cache: self,
                        hashed,
                        flight: Some(flight),
                        ticket,
                        known: false,
                        wait,
                    }));
                }
            }
        }
        let Some(key) = own.take() else {
            return Ok(Boarding::Nobody);
        };
        let chain = Chain::begin();
        let flight = shard.flights.take_off(tag, key, chain.load());
        let leading = Leading::new(self, hashed, flight, chain, due);
        Ok(Boarding::Sought(Sought::Lead(leading)))
    }

    /// Stores what a flight has loaded, if it is still in the shard.
    fn store_landing(
        &self,
        hashed: Hashed,
        flight: &Arc<Flight<K, V>>,
        offer: &mut Offer<K, V>,
        count: impl FnOnce(&mut Loads),
        out: &mut Outbox<K, V>,
    ) {
        let now = self.now();
        let placed = {
            let mut shard = lock_at(self.shard(hashed), now);
            count(shard.flights.loads());
            // Dropped before the lock: no ordinary reservation holds room outside of one.
            let mut reservation = self.door.budget.reserve();
            let _mark = Mark::set_in_debug();
            shard.insert_for(Some(flight), offer, &mut reservation, out)
        };
        if let Placed::NeedsRoom(need) = placed {
            self.gather(hashed, offer, Some(flight), need, now, out);
        }
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// The shard of a key, for those who have looked at the thread's mark.
    fn shard_at(&self, hashed: Hashed) -> &Mutex<Shard<K, V, F>> {
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// The lead of a flight is given up, by who had it or who was offered it.
    ///
    /// Under a mark this thread may be holding the shard's lock. The flight then
    /// stays, over, until the key's next call finds it; it is never let go of, since
    /// that might be under the lock.
    fn pass_on(&self, hashed: Hashed, flight: Arc<Flight<K, V>>, failed: bool) {
        if reentry::is_marked() {
            let panic = flight.end().wake();
            std::mem::forget(flight);
            go_on(panic);
            reentry::may_lock_while_dropping();
            return;
        }
        let called = {
            let mut shard = self.shard_at(hashed).lock();
            if failed {
                shard.flights.loads().failed();
            }
            shard.flights.pass_on(hashed.tag(), &flight)
        };
        let mut panic = called.wake();
        first(&mut panic, dropped(flight));
        go_on(panic);
    }
}

/// How a loading call that missed goes on.
pub(super) enum Boarding<'a, K, V, F: Form, S> {
    Sought(Sought<'a, K, V, F, S>),
    /// Nobody loads the key, and there was no key of one's own for a flight.
    Nobody,
    Waits(Waiting<'a, K, V, F, S>),
}

/// How one who waited goes on.
pub(super) enum Woken<'a, K, V, F: Form, S> {
    Sought(Sought<'a, K, V, F, S>),
    /// From the look-up.
    Over,
}

/// What a loading call was after.
pub(super) enum Sought<'a, K, V, F: Form, S> {
    Value(V),
    Lead(Leading<'a, K, V, F, S>),
}

impl<K, V, F: Form, S> Sought<'_, K, V, F, S> {
    /// The same, once a key that was not needed is dropped.
    pub(super) fn after(self, own: Option<K>) -> Self {
        hand_value(self, || dropped(own))
    }
}

/// The lead of a flight: to be landed; else it is passed on.
pub(super) struct Leading<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    /// Until it has landed.
    flight: Option<Arc<Flight<K, V>>>,
    chain: Chain,
    /// Whether it counts as a failure that it does not land.
    counts: bool,
    /// Whether a stale value was there when it took off.
    refreshes: bool,
}

impl<'a, K, V, F: Form, S> Leading<'a, K, V, F, S> {
    pub(super) fn new(
        cache: &'a Cache<K, V, F, S>,
        hashed: Hashed,
        flight: Arc<Flight<K, V>>,
        chain: Chain,
        refreshes: bool,
    ) -> Self {
        Self {
            cache,
            hashed,
            flight: Some(flight),
            chain,
            counts: true,
            refreshes,
        }
    }

    pub(super) fn refreshes(&self) -> bool {
        self.refreshes
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn leads(&self, flight: &Arc<Flight<K, V>>) -> bool {
        let own = self.flight.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, flight))
    }

    /// That it does not land is no failure, or counted as one already.
    pub(super) fn is_counted_elsewhere(&mut self) {
        self.counts = false;
    }

    /// The loader has run to its end, and returns what is yet to be landed.
    pub(super) fn ended(&self, took: Duration) {
        let mut shard = self.cache.shard_at(self.hashed).lock();
        shard.flights.loads().ended(took);
    }
}

impl<K, V, F, S> Leading<'_, K, V, F, S>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    fn run<Q, E>(self, key: &Q, load: impl FnOnce() -> Result<V, E>) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let began = Instant::now();
        let loaded = {
            let _inside = self.chain.enter();
            load()
        };
        self.settle(key, loaded, began)
    }

    /// Lands what was loaded, or fails: with the stale value, if that is asked for
    /// and it is there still.
    pub(super) fn settle<Q, E>(
        self,
        key: &Q,
        loaded: Result<V, E>,
        began: Instant,
    ) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        let error = match loaded {
            Ok(value) => return Ok(self.land(|| key.to_owned(), value, Some(began.elapsed()))),
            Err(error) => error,
        };
        let (cache, hashed, refreshes) = (self.cache, self.hashed, self.refreshes);
        let mut panic = caught(|| drop(self)).err();
        if refreshes && cache.door.expiry.stale_if_error {
            if let Some(stale) = cache.peek_at(hashed, key) {
                first(&mut panic, dropped(error));
                return Ok(hand_value(stale, || panic));
            }
        }
        Err(hand_value(LoadError::Failed(error), || panic))
    }

    /// Stores the value, unless the flight was detached, and hands it to all who
    /// wait, before the listener hears of what had to leave for it.
    ///
    /// The thread is inside of the load until the flight has left the shard, so
    /// that a weigher that asks for the key is told of the cycle.
    pub(super) fn land(mut self, key: impl FnOnce() -> K, value: V, took: Option<Duration>) -> V {
        let Some(flight) = &self.flight else {
            return value;
        };
        let cache = self.cache;
        let mut offer;
        let mut leaving = cache.door.leave.open();
        let copy = {
            let _inside = self.chain.enter();
            let copy = value.clone();
            let key = key();
            offer = Offer {
                tag: self.hashed.tag(),
                weight: cache.door.scale.weigh::<F>(&key, &value),
                life: cache.door.life(&key, &value),
                pair: Some((key, value)),
                only_if_absent: false,
                lands: true,
            };
            let refreshes = self.refreshes;
            let count = |loads: &mut Loads| loads.landed(took, refreshes);
            cache.store_landing(self.hashed, flight, &mut offer, count, leaving.outbox());
            copy
        };
        let flight = self.flight.take();
        let mut panic = flight
            .as_ref()
            .and_then(|flight| flight.land(|| copy.clone()));
        first(&mut panic, leaving.tell_and_drop().into());
        if let Some((key, value)) = offer.pair {
            first(&mut panic, drop_apart(key, value));
        }
        first(&mut panic, dropped(flight));
        hand_value(copy, || panic)
    }
}

impl<K, V, F: Form, S> Drop for Leading<'_, K, V, F, S> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.cache.pass_on(self.hashed, flight, self.counts);
        }
    }
}

/// A place in the queue of a flight: left when dropped.
pub(super) struct Waiting<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    /// Until the wait has ended.
    flight: Option<Arc<Flight<K, V>>>,
    ticket: u64,
    /// Whether it has said how to wake it.
    known: bool,
    wait: Option<Wait>,
}

impl<'a, K, V, F: Form, S> Waiting<'a, K, V, F, S> {
    /// Sleeps until the wait has ended; `None` if patience ends first.
    fn sleep(mut self, patience: &mut Patience) -> Option<Woken<'a, K, V, F, S>>
    where
        V: Clone,
    {
        loop {
            if let Some(woken) = self.ask(None) {
                return Some(woken);
            }
            let until = patience.until();
            if until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            park(until);
        }
    }

    /// How the wait has ended, if it has; else this task, or this thread, will
    /// be woken.
    pub(super) fn ask(&mut self, task: Option<&Waker>) -> Option<Woken<'a, K, V, F, S>>
    where
        V: Clone,
    {
        reentry::check();
        let flight = self.flight.as_ref()?;
        let asked = match std::mem::replace(&mut self.known, true) {
            true => flight.ask(self.ticket, task, &mut None),
            false => Asked::Unknown,
        };
        let asked = match asked {
            Asked::Unknown => {
                let wake =
                    task.map_or_else(|| Wake::Thread(current()), |task| Wake::Task(task.clone()));
                let mut wake = Some(wake);
                let asked = flight.ask(self.ticket, task, &mut wake);
                hand_value(asked, || dropped(wake))
            }
            asked => asked,
        };
        match asked {
            Asked::Later | Asked::Unknown => None,
            Asked::Offered => Some(self.take_up()),
            Asked::Landed(value) => {
                let flight = self.flight.take();
                let value = hand_value(value, || dropped(flight));
                Some(Woken::Sought(Sought::Value(value)))
            }
            Asked::Over => {
                go_on(dropped(self.flight.take()));
                Some(Woken::Over)
            }
        }
    }

    /// Leads the flight on, unless it was detached.
    fn take_up(&mut self) -> Woken<'a, K, V, F, S> {
        let Some(flight) = self.flight.take() else {
            return Woken::Over;
        };
        let chain = Chain::begin();
        let taken = {
            let mut shard = self.cache.shard_at(self.hashed).lock();
            let flights = &mut shard.flights;
            flights.take_up(self.hashed.tag(), &flight, chain.load())
        };
        match taken {
            Ok(()) => {
                let leading = Leading::new(self.cache, self.hashed, flight, chain, false);
                Woken::Sought(Sought::Lead(leading))
            }
            Err(called) => {
                let mut panic = called.wake();
                first(&mut panic, dropped(flight));
                go_on(panic);
                Woken::Over
            }
        }
    }
}

impl<K, V, F: Form, S> Drop for Waiting<'_, K, V, F, S> {
    fn drop(&mut self) {
        // First: whoever leads the flight from now on is not waited for from here.
        self.wait = None;
        let Some(flight) = self.flight.take() else {
            return;
        };
        match caught(|| flight.quit(self.ticket)) {
            Ok(true) => self.cache.pass_on(self.hashed, flight, false),
            Ok(false) => go_on(dropped(flight)),
            Err(panic) => {
                let mut panic = Some(panic);
                first(&mut panic, dropped(flight));
                go_on(panic);
            }
        }
    }
}

/// How long a caller waits for others in all, from its first wait on.
pub(super) struct Patience {
    most: Option<Duration>,
    until: Option<Instant>,
}

impl Patience {
    pub(super) const ENDLESS: Self = Self {
        most: None,
        until: None,
    };

    fn of(most: Duration) -> Self {
        Self {
            most: Some(most),
            until: None,
        }
    }

    /// When it ends: never, if that is too far off to be told.
    fn until(&mut self) -> Option<Instant> {
        if let Some(most) = self.most.take() {
            self.until = Instant::now().checked_add(most);
        }
        self.until
    }
}

/// The value of a loader that cannot fail.
#[inline]
pub(super) fn infallibly<V>(loaded: Result<V, LoadError<Infallible>>) -> V {
    match loaded {
        Ok(value) => value,
        Err(LoadError::Failed(never)) => match never {},
        Err(LoadError::Cycle | LoadError::TimedOut) => refuse(),
    }
}

#[cold]
fn refuse() -> ! {
    panic!(
        "brimful: a loader asked for a key whose load waits for that loader, and would wait for \
         ever; the `try_` forms answer LoadError::Cycle instead"
    )
}
