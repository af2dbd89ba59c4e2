//! Loading in tasks: the same flights, waited for by wakers.
//!
//! The futures need no executor of a kind: a waiter is woken by the waker it was
//! last polled with, and a leader polls its caller's future itself. They allocate
//! nothing on a hit. What they do on being dropped is in the guards they hold.

use super::Cache;
use super::load::{Boarding, Leading, Sought, Waiting, Woken, infallibly};
use crate::error::LoadError;
use crate::flight::chain::Chain;
use crate::form::Form;
use crate::hash::Hashed;
use crate::leave::{Panic, caught, dropped, hand_value};
use hashbrown::Equivalent;
use std::convert::Infallible;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hash};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

impl<K, V, F, S> Cache<K, V, F, S>
where
    K: Hash + Eq,
    F: Form,
    S: BuildHasher,
{
    /// The value under the key; if there is none, that of the future `load`, stored
    /// under it: [`get_or_insert_with`](Cache::get_or_insert_with) for tasks, on any
    /// executor.
    ///
    /// Nothing happens before the first poll; a `load` that is not needed is never
    /// polled. Tasks and threads that miss one key share one load, and a
    /// write during the load means the same as there. If the task that loads is
    /// cancelled (its future dropped), one who waits loads in its stead; if one
    /// who waits is cancelled, nothing of it stays. The future is `Send` if `load`,
    /// the cache and the key are `Sync` and `Send` as needed.
    ///
    /// A future that has begun must be polled when woken, or dropped: the lead may
    /// have been offered to it, and others wait then.
    ///
    /// # Panics
    /// If `load` panics, and on a cycle, as far as it is known: what is polled
    /// inside of `load` is inside of that load, and so is what it runs; a task that
    /// `load` spawns and waits for is not, so if that one asks for
    /// the key, both wait for ever.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let cache = brimful::Cache::<String, usize>::new(100);
    /// let length = cache.get_or_insert_async("word", async { 4 }).await;
    /// assert_eq!(length, 4);
    /// assert_eq!(cache.get("word"), Some(4));
    /// # });
    /// ```
    pub async fn get_or_insert_async<Q>(&self, key: &Q, load: impl Future<Output = V>) -> V
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        infallibly(self.read_or_load(key, load, Ok).await)
    }

    /// The same with a future that can fail. An error is not stored.
    ///
    /// # Errors
    /// [`LoadError::Failed`] with the error of the caller's own `load`, and
    /// [`LoadError::Cycle`] as far as the cycle is known. To wait no longer than some
    /// time, drop the future then, as by your executor's `timeout`.
    ///
    /// ```
    /// use brimful::{Cache, LoadError};
    ///
    /// # pollster::block_on(async {
    /// let cache = Cache::<u32, u32>::new(100);
    /// let failed = cache.try_get_or_insert_async(&1, async { Err("no route") }).await;
    /// assert_eq!(failed, Err(LoadError::Failed("no route")));
    /// # });
    /// ```
    pub async fn try_get_or_insert_async<Q, E>(
        &self,
        key: &Q,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
    {
        self.read_or_load(key, load, |loaded| loaded).await
    }

    async fn read_or_load<Q, Fut, E>(
        &self,
        key: &Q,
        load: Fut,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
        Fut: Future,
    {
        let hashed = self.hash(key);
        match self.read_unless_due(hashed, key) {
            Some(value) => Ok(hand_value(value, || dropped(load))),
            None => self.load_async(hashed, key, load, finish).await,
        }
    }

    /// After a miss: waits for the key's load, or leads it.
    ///
    /// A value that is handed over while something of the caller's is dropped is
    /// never lost to a panic of that: so `load` is dropped here, when it is done.
    pub(super) async fn load_async<Q, Fut, E>(
        &self,
        hashed: Hashed,
        key: &Q,
        load: Fut,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        V: Clone,
        Fut: Future,
    {
        let mut load = pin!(Some(load));
        let loaded = match self.seek_async(hashed, key).await {
            Ok(Sought::Value(value)) => Ok(value),
            Ok(Sought::Lead(leading)) => leading.poll_to_end(key, load.as_mut(), finish).await,
            Err(error) => Err(error.widened()),
        };
        hand_value(loaded, || emptied(load))
    }

    /// The value, once someone has loaded it, or the lead of the key's flight.
    pub(super) async fn seek_async<Q>(
        &self,
        hashed: Hashed,
        key: &Q,
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
                Boarding::Waits(waiting) => match waiting.woken().await {
                    Woken::Sought(sought) => return Ok(sought.after(own)),
                    Woken::Over => {}
                },
            }
        }
    }
}

impl<K, V, F, S> Leading<'_, K, V, F, S>
where
    K: Hash + Eq,
    V: Clone,
    F: Form,
    S: BuildHasher,
{
    /// Runs the loader. If this is dropped, the lead is passed on first and the
    /// loader, which the caller owns, dropped after.
    pub(super) async fn poll_to_end<Q, Fut, E>(
        self,
        key: &Q,
        load: Pin<&mut Option<Fut>>,
        finish: impl FnOnce(Fut::Output) -> Result<V, E>,
    ) -> Result<V, LoadError<E>>
    where
        Q: Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        Fut: Future,
    {
        let began = Instant::now();
        let loaded = polled_inside(self.chain(), load).await;
        self.settle(key, finish(loaded), began)
    }
}

/// What a loader's future comes to; it is polled inside of its load. There must be one.
pub(super) async fn polled_inside<Fut: Future>(
    chain: &Chain,
    mut load: Pin<&mut Option<Fut>>,
) -> Fut::Output {
    poll_fn(|context| {
        let _inside = chain.enter();
        match load.as_mut().as_pin_mut() {
            Some(load) => load.poll(context),
            None => Poll::Pending,
        }
    })
    .await
}

/// Drops a loader's future where it is; returns its panic, if any.
pub(super) fn emptied<Fut>(mut load: Pin<&mut Option<Fut>>) -> Option<Panic> {
    caught(|| load.set(None)).err()
}

impl<'a, K, V: Clone, F: Form, S> Waiting<'a, K, V, F, S> {
    pub(super) async fn woken(mut self) -> Woken<'a, K, V, F, S> {
        poll_fn(|context| match self.ask(Some(context.waker())) {
            Some(woken) => Poll::Ready(woken),
            None => Poll::Pending,
        })
        .await
    }
}
