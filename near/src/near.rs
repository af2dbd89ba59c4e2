//! The near cache: what is read, from memory or by a load (`fetch`), and how it stands. What is written: `write`.

use crate::builder::{Builder, Settings};
use crate::codec::Codec;
use crate::error::Error;
use crate::kept::{Kept, Key};
use crate::link::Link;
use crate::memory::Memory;
use crate::stats::Stats;
use brimful::{Cache, Expiring, Form, LoadError, RandomState, Timed};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::coop::consume_budget;

/// A near cache: what one process keeps in memory of what a Redis or Valkey server has, told by that server
/// what changes.
///
/// `C` is the [`Codec`], `F` and `S` are the form and the hasher of the [cache in memory](Near::memory): a
/// `Near<Text>` has a capacity in [`Entries`](brimful::Entries), a `Near<Text, Weighed<Timed>>` one in
/// [`Bytes`](brimful::Bytes) or [`Weight`](brimful::Weight). Shared by an [`Arc`]; its methods take
/// `&self`. When it is dropped its connection is closed.
///
/// # Cancelling
///
/// The future of a read may be dropped: another one that waits for the same key asks in its stead. When that of
/// a write is dropped, what was to be written may have been, or may yet be; no read here will see
/// anything older than what the server has.
///
/// # Order
///
/// A read that begins after another read of its key has ended finds what that one found, or something newer; one
/// that begins after a write made through this near cache has ended finds what was written, or something
/// newer. That holds for all tasks of one near cache, as long as the server itself goes not back (a
/// replica that takes over may) and nothing is [served](Builder::serve_for) without a connection. Two near
/// caches, also of one process, need not agree: each may be as old as its lease allows. To read what
/// another process has written once it has told you so, write and read through one near cache, or ask the
/// server.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use brimful::{Bytes, Cache};
/// use brimful_near::{Near, Text, redis};
///
/// let server = redis::Client::open("redis://127.0.0.1/")?;
/// let near = Near::builder(Cache::builder(Bytes(64 << 20)).named("users"), Text)
///     .connect(server)
///     .await?;
/// near.set("user:7", &"ann".into()).await?;
/// assert_eq!(near.get("user:7").await?.as_deref(), Some("ann"));
/// # Ok(())
/// # }
/// ```
pub struct Near<C: Codec, F: Expiring = Timed, S = RandomState> {
    pub(crate) memory: Arc<Memory<C::Value, F, S>>,
    pub(crate) codec: C,
    pub(crate) settings: Arc<Settings>,
    keeper: JoinHandle<()>,
}

impl<C: Codec> Near<C> {
    /// Builds a near cache: the capacity, the policy, the listener and all else of the cache in memory are
    /// those of a builder of brimful's; but how long entries live is this builder's to say, and all loads
    /// come from one line of this crate, should it record who calls.
    ///
    /// What the server tells is done by the task that reads the connection, and a listener that hears of it
    /// runs there: it must be quick, since all answers wait for it. If everything goes at once that takes
    /// the time it takes to drop it all.
    ///
    /// ```
    /// use brimful::policy::Sieve;
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    ///
    /// let memory = Cache::builder(Entries(10_000)).policy::<Sieve>().named("users");
    /// let builder = Near::builder(memory, Text);
    /// ```
    pub fn builder<F: Form, S>(
        memory: brimful::Builder<Key, Kept<C::Value>, F, S>,
        codec: C,
    ) -> Builder<C, F, S> {
        Builder::new(memory, codec)
    }
}

impl<C, F, S> Near<C, F, S>
where
    C: Codec,
    F: Expiring,
    S: BuildHasher,
{
    pub(crate) fn new(
        memory: Arc<Memory<C::Value, F, S>>,
        codec: C,
        settings: Arc<Settings>,
        keeper: JoinHandle<()>,
    ) -> Self {
        Self {
            memory,
            codec,
            settings,
            keeper,
        }
    }

    /// The value under this key: from memory, or else from the server, which is asked once however
    /// many wait for it. `None` if there is none, which is remembered too.
    ///
    /// What is served from memory is no older than the [lease](Builder::lease) allows. A hit makes no
    /// system call but for the time, and takes no lock. A task that does nothing but hit gives way now and then, as
    /// tokio's own calls do, so that news is heard.
    ///
    /// # Errors
    /// [`Error::Down`], [`Error::Unanswered`], [`Error::Refused`] (the key holds no string) and
    /// [`Error::Codec`], for each of those who waited. Nothing is remembered of a failure.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// match near.get("user:7").await? {
    ///     Some(name) => println!("{name}"),
    ///     None => println!("no such user"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<C::Value>, Error> {
        consume_budget().await;
        let key = key.as_ref();
        let lease = self.memory.lease();
        let valid = move |_: &Kept<C::Value>| lease.is_ahead();
        let load = self.memory.cache.load(key).valid_if(&valid).shared();
        let kept = load.future(self.fetch(key)).await;
        kept.map(Kept::into_value).map_err(failed)
    }

    /// The values under these keys, in their order: what is not in memory is asked for in one round trip, but
    /// for keys that other calls are asking for already.
    ///
    /// # Errors
    /// As [`get`](Near::get), with the first key for which it is so; what was in memory or was loaded stays there.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// let users = near.get_many(&["user:7", "user:8"]).await?;
    /// println!("{} of them exist", users.iter().flatten().count());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Option<C::Value>>, Error> {
        consume_budget().await;
        let lease = self.memory.lease();
        if lease.is_ahead() {
            let load = self.memory.cache.load_many(keys.iter().map(AsRef::as_ref));
            let fetch = async |missing: Vec<&[u8]>| {
                let kept = self.fetch_many(&missing).await?;
                let owned = missing.into_iter().map(Key::from);
                Ok::<_, Error>(owned.zip(kept).collect::<Vec<_>>())
            };
            let found = load.future(fetch).await.map_err(failed)?;
            // What was in memory was so at some time during this call: all of which the lease must cover.
            if lease.is_ahead() {
                let value = |kept: Option<Kept<_>>| kept.and_then(Kept::into_value);
                return Ok(found.into_iter().map(value).collect());
            }
        }
        let fetched = self.fetch_many(keys).await?;
        Ok(fetched.into_iter().map(Kept::into_value).collect())
    }

    /// How this cache stands with its server, now and from now on. Hold what it lends no longer than it
    /// takes to look at it.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
    /// // Until it is connected again.
    /// let _ = near.link().wait_for(|link| link.is_connected()).await;
    /// # }
    /// ```
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.memory.link()
    }

    /// What this near cache has done so far. O(shards).
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
    /// println!("{}", near.stats());
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.memory.counts.with(self.memory.cache.stats())
    }

    /// The cache in memory: for its capacity, its statistics and whatever explains it, and for a page that
    /// watches it. What is inserted here by hand is not what the server has; what is removed
    /// here is loaded again.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
    /// use brimful::Entries;
    ///
    /// near.memory().set_capacity(Entries(20_000));
    /// println!("{}", near.memory().explain(&b"user:7"[..]));
    /// # }
    /// ```
    #[must_use]
    pub fn memory(&self) -> &Arc<Cache<Key, Kept<C::Value>, F, S>> {
        &self.memory.cache
    }
}

impl<C: Codec, F: Expiring, S> Drop for Near<C, F, S> {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl<C: Codec, F: Expiring, S> fmt::Debug for Near<C, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").finish_non_exhaustive()
    }
}

/// Why a load came to nothing.
fn failed(error: LoadError<Error>) -> Error {
    match error {
        LoadError::Failed(error) => error,
        // A loader here calls a codec, and no cache.
        other => Error::Unanswered(other.to_string()),
    }
}
