//! Leading: one flight for a missing key, and no call left waiting.
//!
//! ```text
//! seek: board, under the shard's lock: the value is there by now?  it
//!                                    the key is being loaded?  wait, without a lock
//!                                    else, or if the value is stale and not being loaded: lead
//!       woken: landed?  the value    over?  board again
//!              passed the lead?  a computation has put a value there by now?  it    else lead
//! lead: run the loader; what it brings lands: weigh it, lock the shard, store it under the
//!       key that lies in the flight's seat; hand copies to the calls that wait
//! ```
//!
//! This is written once, for tasks. A thread drives it by `sync::block_on`: a call that
//! leads never waits, so its future is ready when it is first polled; one that waits
//! for another's load sleeps until its waker is woken.
//!
//! Invariants
//! 1. Whatever panics or is dropped half-way, no call is left waiting: [`Leading`] passes the
//!    lead on unless it landed; [`Waiting`] leaves the queue, and passes on a lead that was
//!    passed to it.
//! 2. A load that lands locks its shard twice: to take off, and to land. Its key is cloned once,
//!    before it takes off; once more only where the weigher or the rule for lives is to see the key
//!    before it is stored, or room must be gathered for it.
//! 3. A loader's future is owned by a frame around these guards: if the call is dropped, the
//!    lead is passed on first, and the loader dropped after.
//!
//! The room `flight` tells the rest.

use super::Cache;
use crate::budget::Others;
use crate::cause::Cause;
use crate::clock::Reading;
use crate::error::LoadError;
use crate::flight::chain::{self, Chain, Cycle, Wait};
use crate::flight::{Asked, Failure, Flight, Joined};
use crate::form::Form;
use crate::hash::Hashed;
use crate::key::ToKey;
use crate::leave::outbox::Outbox;
use crate::ledger::Reservation;
use crate::policy::{Slot, Tag};
use crate::reentry::{self, Mark};
use crate::shard::{Inserted, Offer, Shard};
use crate::stats::{Caller, Loads, Origin};
use crate::sync::{self, Arc, Mutex};
use crate::unwind::{Panics, after_dropping};
use hashbrown::Equivalent;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a loading call was after.
pub(super) enum Sought<'a, K, V, F: Form, S> {
    Value(V),
    Lead(Leading<'a, K, V, F, S>),
}

impl<K, V, F: Form, S> Sought<'_, K, V, F, S> {
    /// If it is a lead: who is to have stored what it brings.
    fn called_by(mut self, caller: Caller) -> Self {
        if let Self::Lead(leading) = &mut self {
            leading.caller = caller;
        }
        self
    }
}

/// Whether a load's failure is shared with the calls that wait for it, and theirs with this: by
/// what knows the type of the errors. One word, since several futures carry it.
pub(super) struct Sharing<E>(Option<fn(Handing<'_, E>) -> Handed<E>>);

/// An error on its way into the hands of others, or out of them.
enum Handing<'a, E> {
    Over(&'a E),
    Back(&'a Failure),
}

enum Handed<E> {
    Over(Failure),
    /// Nothing, if it is of another type.
    Back(Option<E>),
}

impl<E> Sharing<E> {
    pub(super) const NO: Self = Self(None);

    fn given(self, error: &E) -> Option<Failure> {
        match self.0?(Handing::Over(error)) {
            Handed::Over(failure) => Some(failure),
            Handed::Back(_) => None,
        }
    }

    fn taken(self, failure: &Failure) -> Option<E> {
        match self.0?(Handing::Back(failure)) {
            Handed::Over(_) => None,
            Handed::Back(error) => error,
        }
    }
}

impl<E: Clone + Send + Sync + 'static> Sharing<E> {
    pub(super) const YES: Self = Self(Some(|handing| match handing {
        Handing::Over(error) => Handed::Over(Arc::new(error.clone())),
        Handing::Back(failure) => Handed::Back(failure.downcast_ref::<E>().cloned()),
    }));
}

/// Why a loader that may say that there is no such key has brought no value.
pub(super) enum Without<E> {
    Gone,
    Failed(E),
}

/// That there is no such key, on its way to the calls that wait.
struct Gone;

impl<E> Sharing<Without<E>> {
    /// That there is no such key is shared, and failures are not.
    pub(super) const GONE: Self = Self(Some(|handing| match handing {
        Handing::Over(Without::Gone) => Handed::Over(Arc::new(Gone)),
        Handing::Over(Without::Failed(_)) => Handed::Back(None),
        Handing::Back(failure) => Handed::Back(failure.is::<Gone>().then_some(Without::Gone)),
    }));
}

impl<E> Clone for Sharing<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Sharing<E> {}

/// What a loading call that missed finds under the lock.
pub(super) enum Boarding<'a, K, V, F: Form, S> {
    Sought(Sought<'a, K, V, F, S>),
    Waits(Waiting<'a, K, V, F, S>),
    Cycle,
}

/// Whether a value that is there is right: the user's, called under a mark where a lock is held.
pub(super) type Valid<'a, V> = &'a (dyn Fn(&V) -> bool + Sync);

/// What a loading call asks for beside its key.
pub(super) struct How<'a, V, E> {
    pub(super) sharing: Sharing<E>,
    /// A value that is not valid counts as absent.
    pub(super) valid: Option<Valid<'a, V>>,
    pub(super) caller: Caller,
}

impl<'a, V, E> How<'a, V, E> {
    /// Each value is valid, and no failure is shared. It lives as long as this borrow of the cache,
    /// which a caller's future has too.
    pub(super) fn plain<K, F: Form, S>(_cache: &'a Cache<K, V, F, S>) -> Self {
        Self {
            sharing: Sharing::NO,
            valid: None,
            caller: Caller::default(),
        }
    }

    /// Each value is valid.
    pub(super) fn sharing(sharing: Sharing<E>) -> Self {
        Self {
            sharing,
            valid: None,
            caller: Caller::default(),
        }
    }

    #[inline]
    pub(super) fn is_valid(&self, value: &V) -> bool {
        self.valid.is_none_or(|valid| valid(value))
    }
}

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// A thread's load, after a miss: `TimedOut` if it waited for another call's for longer
    /// than `most`.
    #[cold]
    #[inline(never)]
    pub(super) fn load_here<Q, E>(
        &self,
        hashed: Hashed,
        key: &Q,
        most: Option<Duration>,
        how: How<'_, V, E>,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: ToKey<K> + ?Sized,
        V: Clone,
    {
        let mut load = pin!(Some(async move { load() }));
        let loading = async {
            match self.seek(hashed, key, &how).await? {
                Sought::Value(value) => Ok(value),
                Sought::Lead(leading) => {
                    let loaded = |loaded| loaded;
                    leading.run(key, load.as_mut(), loaded, how.sharing).await
                }
            }
        };
        let loaded = wait_here(loading, most).unwrap_or(Err(LoadError::TimedOut));
        after_emptying(load, loaded)
    }

    /// The value, once a call has loaded it, or the lead of the key's flight; an error only on a
    /// cycle, or if another call's failure is taken.
    pub(super) async fn seek<Q, E>(
        &self,
        hashed: Hashed,
        key: &Q,
        how: &How<'_, V, E>,
    ) -> Result<Sought<'_, K, V, F, S>, LoadError<E>>
    where
        Q: ToKey<K> + ?Sized,
        V: Clone,
    {
        loop {
            match self.board(hashed, key, how.valid) {
                Boarding::Sought(sought) => return Ok(sought.called_by(how.caller)),
                Boarding::Cycle => return Err(LoadError::Cycle),
                Boarding::Waits(waiting) => match waiting.await {
                    Waited::Sought(Sought::Lead(leading)) => {
                        let sought = self.unless_there(hashed, key, how, leading);
                        return Ok(sought.called_by(how.caller));
                    }
                    Waited::Sought(sought) => return Ok(sought),
                    Waited::Failed(failure) => {
                        if let Some(error) = how.sharing.taken(&failure) {
                            return Err(LoadError::Failed(error));
                        }
                    }
                    Waited::InVain => {}
                },
            }
        }
    }

    /// A lead that was passed on; or the value, if the leader before was a computation that has
    /// left one there.
    fn unless_there<'a, Q, E>(
        &'a self,
        hashed: Hashed,
        key: &Q,
        how: &How<'_, V, E>,
        mut leading: Leading<'a, K, V, F, S>,
    ) -> Sought<'a, K, V, F, S>
    where
        Q: Equivalent<K> + ?Sized,
        V: Clone,
    {
        let look = || {
            self.peek_at(hashed, key)
                .filter(|found| how.is_valid(found))
        };
        match leading.chain.run(look) {
            Some(value) => {
                leading.counts(false);
                Sought::Value(after_dropping(leading, value))
            }
            None => Sought::Lead(leading),
        }
    }

    /// One look, with a key made before the lock for a flight to keep. It is dropped after
    /// the lock if there is no need of it.
    pub(super) fn board<Q>(
        &self,
        hashed: Hashed,
        key: &Q,
        valid: Option<Valid<'_, V>>,
    ) -> Boarding<'_, K, V, F, S>
    where
        Q: ToKey<K> + ?Sized,
        V: Clone,
    {
        let (boarding, spare) = self.look(hashed, key, key.to_key(), valid);
        after_dropping(spare, boarding)
    }

    /// Under one lock: the value, if it is valid, else a place in the queue of the key's flight,
    /// else the lead of a new one, as for a value that is due to be refreshed. The hit or miss was
    /// counted before. Hands the `own` key back if it was not needed.
    fn look<Q>(
        &self,
        hashed: Hashed,
        key: &Q,
        own: K,
        valid: Option<Valid<'_, V>>,
    ) -> (Boarding<'_, K, V, F, S>, Option<K>)
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
        let entry = found.and_then(|slot| shard.entry(slot));
        let is_valid = entry.is_some_and(|entry| {
            let _mark = valid.map(|_| Mark::set());
            valid.is_none_or(|valid| valid(entry.value()))
        });
        match found {
            Some(slot) if is_valid && !due => {
                shard.touch(slot);
                shard.put_off_idle(slot);
                if let Some(entry) = shard.entry(slot) {
                    let value = Sought::Value(entry.value().clone());
                    return (Boarding::Sought(value), Some(own));
                }
            }
            Some(_) if is_valid => {}
            _ => match shard.flights.join(tag, is) {
                Ok(Some(joined)) => {
                    let waiting = Waiting::new(self, hashed, joined);
                    return (Boarding::Waits(waiting), Some(own));
                }
                Ok(None) => {}
                Err(Cycle) => return (Boarding::Cycle, Some(own)),
            },
        }
        let chain = Chain::begin();
        let flight = shard.flights.take_off(tag, own, chain.load());
        let leading = Leading::new(self, hashed, flight, chain, due && is_valid);
        (Boarding::Sought(Sought::Lead(leading)), None)
    }

    /// Whether the value in `slot` is stale and not being refreshed.
    pub(super) fn is_due(
        &self,
        shard: &mut Shard<K, V, F>,
        slot: Slot,
        tag: Tag,
        is: impl FnMut(&K) -> bool,
    ) -> bool {
        F::AGED
            && self.door.expiry.refreshes()
            && shard.is_stale(slot, self.door.expiry.refresh_after())
            && !shard.flights.are_paused(tag, shard.now())
            && !shard.flights.are_loading(tag, is)
    }

    /// Stores what a flight has loaded, if the flight is still in the shard. One that nobody
    /// waits for stays there, to take off again. What left other caches is told when what is
    /// returned ends.
    fn store_landing(
        &self,
        hashed: Hashed,
        led: &mut Option<Arc<Flight<K, V>>>,
        landing: &mut Landing<K, V, impl FnOnce() -> K>,
        count: impl FnOnce(&mut Loads, Reading),
        out: &mut Outbox<K, V>,
    ) -> Others {
        let Some(flight) = led else {
            return Others::default();
        };
        let ended = self.door.expiry.source.read();
        let now = if F::TIMED {
            self.door.expiry.source.moment(ended)
        } else {
            0
        };
        let placed = {
            let home = self.shard(hashed);
            let mut shard = self.lock_in_time(home, now);
            count(shard.flights.loads(), ended);
            // Declared after `shard`, so dropped before the lock is released: only a gatherer
            // may hold room without a lock.
            let mut reservation = home.reserve(&shard, &self.door.ledger);
            let _mark = Mark::set_in_debug();
            let placed = landing.enter(&mut shard, flight, &mut reservation, out);
            if F::AGED {
                shard.flights.end_pause(landing.offer.tag);
            }
            if landing.was_lifted && !matches!(placed, Inserted::NeedsRoom(_)) {
                shard.flights.keep(led);
                return Others::default();
            }
            placed
        };
        if let Inserted::NeedsRoom(need) = placed {
            landing.bring_key();
            let offer = &mut landing.offer;
            let (_, others) = self.gather(hashed, offer, Some(flight), need, now, out);
            return others;
        }
        Others::default()
    }
}

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// The shard of a key, for calls that have looked at the thread's mark.
    fn shard_at(&self, hashed: Hashed) -> &Mutex<Shard<K, V, F>> {
        &self.shards[hashed.shard(self.shards.len())]
    }

    /// The lead of a flight is given up, by the call that had it or was passed it.
    ///
    /// Inside of user code this thread may be holding the shard's lock, or reading it. The flight then
    /// stays, over, until the key's next call finds it; it is never let go of, since
    /// that might be under the lock.
    fn pass_on(&self, hashed: Hashed, flight: Arc<Flight<K, V>>, end: End) {
        if self.is_inside() {
            let panics = flight.end().wake();
            std::mem::forget(flight);
            panics.resume();
            reentry::may_lock_while_dropping(true);
            return;
        }
        let called = {
            let pause = self.door.expiry.refresh_pause;
            let pauses = F::AGED && pause > 0 && end.refresh_failed;
            let now = if pauses { self.door.now() } else { 0 };
            let mut shard = self.shard_at(hashed).lock();
            if end.counts {
                shard.flights.loads().failed();
            }
            if pauses {
                shard.advance_clock(now);
                let now = shard.now();
                shard
                    .flights
                    .pause(hashed.tag(), now.saturating_add(pause), now);
            }
            shard.flights.pass_on(hashed.tag(), &flight, end.shared)
        };
        let mut panics = called.wake();
        panics.drop(flight);
        panics.resume();
    }
}

/// How a lead was given up.
#[derive(Default)]
struct End {
    /// Whether that counts as a failure.
    counts: bool,
    /// Whether it was that of a refresh, whose loader failed.
    refresh_failed: bool,
    /// With what it failed, if the calls that wait are to have that.
    shared: Option<Failure>,
}

impl End {
    /// Whether it ends since there is no such key.
    fn is_gone(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|failure| failure.is::<Gone>())
    }
}

/// The lead of a flight: to be landed; else it is passed on.
pub(super) struct Leading<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    /// Until it has landed.
    flight: Option<Arc<Flight<K, V>>>,
    chain: Chain,
    /// Whether a stale value was there when it took off.
    refreshes: bool,
    /// How it ends, if it does not land.
    end: End,
    /// Who is to have stored what it brings.
    caller: Caller,
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
            refreshes,
            end: End {
                counts: true,
                ..End::default()
            },
            caller: Caller::default(),
        }
    }

    pub(super) fn refreshes(&self) -> bool {
        self.refreshes
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(super) fn hashed(&self) -> Hashed {
        self.hashed
    }

    /// Whether its flight is still in its shard: nobody has written the key since it took off.
    pub(super) fn is_in(&self, shard: &Shard<K, V, F>) -> bool {
        let own = self.flight.as_ref();
        own.is_some_and(|own| shard.flights.has(self.hashed.tag(), own))
    }

    pub(super) fn leads(&self, flight: &Arc<Flight<K, V>>) -> bool {
        let own = self.flight.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, flight))
    }

    /// Whether it counts as a failure that it does not land. It does unless told.
    pub(super) fn counts(&mut self, counts: bool) {
        self.end.counts = counts;
    }

    /// When its loader begins, which is now.
    pub(super) fn begins(&self) -> Reading {
        self.cache.door.expiry.source.read()
    }

    /// The loader has failed.
    pub(super) fn failed(&mut self) {
        self.end.refresh_failed = self.refreshes;
    }

    /// The loader has run to its end, and brought nothing to be landed.
    pub(super) fn ended(&mut self, began: Reading) {
        self.end.counts = false;
        let took = self.cache.door.expiry.source.read().since(began);
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
    /// Polls the loader to its end; tells when it began, too.
    pub(super) async fn load<Fut: Future>(
        &self,
        load: Pin<&mut Option<Fut>>,
    ) -> (Reading, Fut::Output) {
        let began = self.begins();
        (began, self.chain.finish(load).await)
    }

    /// Runs the loader, and lands what it brings, or fails.
    pub(super) async fn run<Q, Fut, E>(
        self,
        key: &Q,
        load: Pin<&mut Option<Fut>>,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
        sharing: Sharing<E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: ToKey<K> + ?Sized,
        Fut: Future,
    {
        let (began, loaded) = self.load(load).await;
        match finish(loaded) {
            Ok(value) => Ok(self.land(|| key.to_key(), value, Some(began))),
            Err(error) => self.fail(key, error, sharing, began),
        }
    }

    /// Runs a loader in a box. A future that takes another one in by value, and pins it, has
    /// room for it twice; so where a task leads, its loader is boxed.
    pub(super) async fn run_boxed<Q, Fut, E>(
        self,
        key: &Q,
        load: Pin<Box<Fut>>,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
        sharing: Sharing<E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: ToKey<K> + ?Sized,
        Fut: Future,
    {
        let mut load = Some(load);
        let loaded = self.run(key, Pin::new(&mut load), finish, sharing).await;
        after_dropping(load, loaded)
    }

    /// Passes the lead on, or the failure to all. The answer is the stale value, if that is
    /// asked for and it is there still. That there is no such key is no failure: then what is
    /// there leaves.
    pub(super) fn fail<Q, E>(
        mut self,
        key: &Q,
        error: E,
        sharing: Sharing<E>,
        began: Reading,
    ) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let (cache, hashed, refreshes) = (self.cache, self.hashed, self.refreshes);
        let mut panics = Panics::none();
        self.end.shared = panics.run(|| sharing.given(&error)).flatten();
        if self.end.is_gone() {
            panics.add(self.take_out(key, began));
            return Err(LoadError::Failed(panics.hand(error)));
        }
        self.failed();
        panics.drop(self);
        if refreshes && cache.door.expiry.stale_if_error {
            if let Some(stale) = cache.peek_at(hashed, key) {
                panics.drop(error);
                return Ok(panics.hand(stale));
            }
        }
        Err(LoadError::Failed(panics.hand(error)))
    }

    /// Takes out the value that is there, unless the key was written since, and tells all calls
    /// that wait, before the listener hears of it.
    #[cold]
    fn take_out<Q>(mut self, key: &Q, began: Reading) -> Panics
    where
        Q: Equivalent<K> + ?Sized,
    {
        self.ended(began);
        let cache = self.cache;
        let mut leaving = cache.door.leave.open();
        {
            let (tag, out, ledger) = (self.hashed.tag(), leaving.outbox(), &cache.door.ledger);
            let mut shard = cache.lock(self.hashed);
            let _mark = Mark::set_in_debug();
            if self.is_in(&shard) {
                let is = |found: &K| key.equivalent(found);
                if let Some(slot) = shard.slot_to_write(tag, is, ledger, out) {
                    shard.remove(slot, Cause::Removed, ledger, out);
                }
            }
        }
        let mut panics = Panics::none();
        panics.drop(self);
        panics.add(leaving.tell_and_discard());
        panics
    }

    /// Stores the value, unless the flight was detached, and hands it to all calls that
    /// wait, before the listener hears of what had to leave for it. `key` is asked for
    /// a key of the call's own if there is need of one; `began` is when the load did, if
    /// its time is to be counted.
    ///
    /// The thread is inside of the load until the flight has left the shard, so
    /// that a weigher that asks for the key is told of the cycle.
    pub(super) fn land(mut self, key: impl FnOnce() -> K, value: V, began: Option<Reading>) -> V {
        if self.flight.is_none() {
            return value;
        }
        let (cache, refreshes) = (self.cache, self.refreshes);
        let mut leaving = cache.door.leave.open();
        let (copy, landing, others) = self.chain.run(|| {
            let copy = value.clone();
            let mut landing =
                Landing::new(cache, self.hashed.tag(), refreshes, self.caller, key, value);
            let count = |loads: &mut Loads, ended: Reading| {
                loads.landed(began.map(|began| ended.since(began)), refreshes);
            };
            let out = leaving.outbox();
            let others =
                cache.store_landing(self.hashed, &mut self.flight, &mut landing, count, out);
            (copy, landing, others)
        });
        let mut panics = match &self.flight {
            Some(flight) => flight.land(|| copy.clone()),
            None => Panics::none(),
        };
        panics.add(leaving.tell_and_discard());
        panics.add(others.end());
        panics.add(landing.let_go());
        panics.drop(self.flight.take());
        panics.hand(copy)
    }
}

impl<K, V, F: Form, S> Drop for Leading<'_, K, V, F, S> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            let mut end = std::mem::take(&mut self.end);
            end.refresh_failed |= self.refreshes && sync::panicking();
            self.cache.pass_on(self.hashed, flight, end);
        }
    }
}

/// A loaded value on its way into the table.
///
/// The key that it is stored under lies in the seat of its flight, in the shard: so the
/// two meet under the shard's lock. Only where the user's code sees them before, the call
/// brings a key of its own.
struct Landing<K, V, N> {
    offer: Offer<K, V>,
    /// Until it is in the offer, with a key.
    value: Option<V>,
    /// Whether that is the key that lay in the seat.
    was_lifted: bool,
    /// Makes a key of the call's own.
    key: Option<N>,
}

impl<K, V, N: FnOnce() -> K> Landing<K, V, N> {
    /// Weighs the value and gives it a life: where it refreshes another, and the rule says
    /// nothing, that one's.
    fn new<F: Form, S>(
        cache: &Cache<K, V, F, S>,
        tag: Tag,
        refreshes: bool,
        caller: Caller,
        key: N,
        value: V,
    ) -> Self {
        let mut landing = Self {
            offer: Offer {
                tag,
                weight: 1,
                life: cache.door.expiry.to_live(),
                keeps_life: refreshes,
                pair: None,
                only_if_absent: false,
                lands: true,
                origin: Origin {
                    scope: caller.scope,
                    ..Origin::default()
                },
                line: caller.line,
            },
            value: Some(value),
            was_lifted: false,
            key: Some(key),
        };
        if F::WEIGHED || F::TRACKED || cache.door.expiry.rule.is_some() {
            landing.bring_key();
        }
        if let Some((key, value)) = &landing.offer.pair {
            landing.offer.weight = cache.door.weigh(key, value);
            landing.offer.origin.class = cache.door.tracking.class(key, value);
            if let Some(life) = cache.door.expiry.life_by_rule(key, value) {
                landing.offer.life = life;
                landing.offer.keeps_life = false;
            }
        }
        landing
    }

    /// Puts the value into the offer, with a key of the call's own.
    fn bring_key(&mut self) {
        if let Some(key) = self.key.take() {
            let key = key();
            self.offer.pair = self.value.take().map(|value| (key, value));
        }
    }

    /// Puts the value into the shard if its flight is still there, which leaves then.
    fn enter<F: Form>(
        &mut self,
        shard: &mut Shard<K, V, F>,
        flight: &Arc<Flight<K, V>>,
        reservation: &mut Reservation<'_>,
        out: &mut Outbox<K, V>,
    ) -> Inserted
    where
        K: Eq,
    {
        let Some(value) = self.value.take() else {
            return shard.insert_for(Some(flight), &mut self.offer, reservation, out);
        };
        let Some(key) = shard.flights.lift(self.offer.tag, flight) else {
            self.value = Some(value);
            shard.flights.loads().unstored();
            return Inserted::Present;
        };
        self.offer.pair = Some((key, value));
        self.was_lifted = true;
        let Lifted { shard, landing, .. } = &mut Lifted {
            shard,
            flight,
            landing: self,
        };
        shard.insert(&mut landing.offer, reservation, out)
    }

    /// Drops what was not stored.
    fn let_go(self) -> Panics {
        let mut panics = Panics::none();
        panics.drop(self.value);
        panics.drop_pairs(self.offer.pair);
        panics.drop(self.key);
        panics
    }
}

/// A flight that is out of its shard while its key is on the way into the table. Whatever
/// keeps the key from getting there, a panic too, the flight goes back with it.
struct Lifted<'a, K, V, F: Form, N> {
    shard: &'a mut Shard<K, V, F>,
    flight: &'a Arc<Flight<K, V>>,
    landing: &'a mut Landing<K, V, N>,
}

impl<K, V, F: Form, N> Drop for Lifted<'_, K, V, F, N> {
    fn drop(&mut self) {
        let Landing { offer, value, .. } = &mut *self.landing;
        if let Some((key, loaded)) = offer.pair.take() {
            *value = Some(loaded);
            self.shard.flights.put_back(offer.tag, key, self.flight);
        }
    }
}

/// What came of a wait.
pub(super) enum Waited<'a, K, V, F: Form, S> {
    Sought(Sought<'a, K, V, F, S>),
    /// The leader failed, and shares that.
    Failed(Failure),
    /// Nothing: the call starts over from the look-up.
    InVain,
}

/// A place in the queue of a flight: left when dropped.
pub(super) struct Waiting<'a, K, V, F: Form, S> {
    cache: &'a Cache<K, V, F, S>,
    hashed: Hashed,
    /// Until the wait has ended.
    flight: Option<Arc<Flight<K, V>>>,
    ticket: u64,
    /// The one it will be woken by.
    waker: Waker,
    wait: Option<Wait>,
}

impl<'a, K, V, F: Form, S> Waiting<'a, K, V, F, S> {
    fn new(cache: &'a Cache<K, V, F, S>, hashed: Hashed, joined: Joined<K, V>) -> Self {
        Self {
            cache,
            hashed,
            flight: Some(joined.flight),
            ticket: joined.ticket,
            waker: Waker::noop().clone(),
            wait: joined.wait,
        }
    }

    /// Leads the flight on, unless it was detached.
    fn take_up(&mut self) -> Option<Sought<'a, K, V, F, S>> {
        let flight = self.flight.take()?;
        let chain = Chain::begin();
        let taken = {
            let mut shard = self.cache.shard_at(self.hashed).lock();
            let flights = &mut shard.flights;
            flights.take_up(self.hashed.tag(), &flight, chain.load())
        };
        match taken {
            Ok(()) => {
                let leading = Leading::new(self.cache, self.hashed, flight, chain, false);
                Some(Sought::Lead(leading))
            }
            Err(called) => {
                let mut panics = called.wake();
                panics.drop(flight);
                panics.resume();
                None
            }
        }
    }
}

impl<'a, K, V: Clone, F: Form, S> Future for Waiting<'a, K, V, F, S> {
    type Output = Waited<'a, K, V, F, S>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = self.get_mut();
        waiting.cache.may_be_called();
        let Some(flight) = &waiting.flight else {
            return Poll::Ready(Waited::InVain);
        };
        // Cloned and dropped outside of the flight's lock.
        let mut waker = None;
        if !waiting.waker.will_wake(context.waker()) {
            waiting.waker = context.waker().clone();
            waker = Some(waiting.waker.clone());
        }
        let asked = flight.ask(waiting.ticket, &mut waker);
        match after_dropping(waker, asked) {
            Asked::Later => Poll::Pending,
            Asked::Passed => Poll::Ready(match waiting.take_up() {
                Some(lead) => Waited::Sought(lead),
                None => Waited::InVain,
            }),
            Asked::Landed(value) => {
                let value = after_dropping(waiting.flight.take(), value);
                Poll::Ready(Waited::Sought(Sought::Value(value)))
            }
            Asked::Failed(failure) => {
                let failure = after_dropping(waiting.flight.take(), failure);
                Poll::Ready(Waited::Failed(failure))
            }
            Asked::Over => {
                drop(waiting.flight.take());
                Poll::Ready(Waited::InVain)
            }
        }
    }
}

impl<K, V, F: Form, S> Drop for Waiting<'_, K, V, F, S> {
    fn drop(&mut self) {
        // First: whatever leads the flight from now on is not waited for from here.
        self.wait = None;
        let mut panics = Panics::none();
        if let Some(flight) = self.flight.take() {
            match panics.run(|| flight.quit(self.ticket)) {
                Some(true) => {
                    panics.run(|| self.cache.pass_on(self.hashed, flight, End::default()));
                }
                _ => panics.drop(flight),
            }
        }
        panics.drop(std::mem::replace(&mut self.waker, Waker::noop().clone()));
        panics.resume();
    }
}

/// Drives a call on this thread, which sleeps while another leads.
pub(super) fn wait_here<F: Future>(call: F, most: Option<Duration>) -> Option<F::Output> {
    let _inside = chain::enter_led();
    sync::block_on(call, most)
}

/// Drops a loader's future where it is, then returns what the load came to: that is not
/// lost to a panic of the drop.
pub(super) fn after_emptying<Fut, T>(mut load: Pin<&mut Option<Fut>>, loaded: T) -> T {
    let mut panics = Panics::none();
    panics.run(|| load.set(None));
    panics.hand(loaded)
}
