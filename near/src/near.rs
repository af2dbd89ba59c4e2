//! The near cache: reads from memory, loads from the server, writes to the server.
//!
//! A write stores nothing in memory: it takes out what is there, and the next read loads it. To store
//! what was written would have to be done before anyone else's write to the key, and only the server knows
//! what came first.

use crate::builder::{Builder, Settings};
use crate::codec::Codec;
use crate::error::Error;
use crate::kept::{Kept, Key};
use crate::line::Line;
use crate::link::Link;
use crate::memory::Memory;
use crate::stats::Stats;
use brimful::{Cache, Expiring, Form, LoadError, RandomState, Timed};
use redis::{Pipeline, RedisResult, cmd, pipe};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
    memory: Arc<Memory<C::Value, F, S>>,
    codec: C,
    settings: Arc<Settings>,
    keeper: JoinHandle<()>,
}

impl<C: Codec> Near<C> {
    /// Builds a near cache: the capacity, the policy, the listener and all else of the cache in memory are
    /// those of a builder of brimful's; but how long entries live is this builder's to say.
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
    /// system call but for the time, and takes no lock.
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

    /// Stores a value on the server, for ever, and takes out what is in memory.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing was written, as for a server whose memory is full; [`Error::Unanswered`]:
    /// it may have been written; [`Error::Down`] and [`Error::Codec`]: nothing was sent.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// near.set("user:7", &"ann".into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set(&self, key: impl AsRef<[u8]>, value: &C::Value) -> Result<(), Error> {
        self.set_many(&[(key, value)]).await
    }

    /// Stores a value that lives for so long on the server, and takes out what is in memory. The
    /// server counts in milliseconds.
    ///
    /// # Errors
    /// As [`set`](Near::set); and the server refuses a life of less than a millisecond, or one that
    /// it can't count.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// use std::time::Duration;
    ///
    /// near.set_with_ttl("session:7", &"ann".into(), Duration::from_secs(600)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: &C::Value,
        life: Duration,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        let mut set = cmd("SET");
        set.arg(key).arg(self.encode(key, value)?);
        set.arg("PX").arg(life.as_millis().to_string());
        let _taken_out = self.taking_out(vec![key]);
        let answer: RedisResult<()> = self.memory.line()?.ask_one(&set).await;
        answer.map_err(|error| Error::of(key, &error))
    }

    /// Stores these values on the server in one round trip, and takes out what is in memory. They are
    /// stored one after another, not as one: others may see some of them before the rest.
    ///
    /// # Errors
    /// As [`set`](Near::set), with the first key for which it is so. If one is refused the others
    /// may have been stored; if the codec refuses one, nothing is sent.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// near.set_many(&[("user:7", &"ann".into()), ("user:8", &"bob".into())]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_many<K: AsRef<[u8]>>(&self, pairs: &[(K, &C::Value)]) -> Result<(), Error> {
        let mut sets = pipe();
        let mut keys = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key = key.as_ref();
            sets.cmd("SET").arg(key).arg(self.encode(key, value)?);
            keys.push(key);
        }
        let taken_out = self.taking_out(keys);
        let answers: Vec<RedisResult<()>> = self.ask_all(&mut sets, &taken_out.keys).await?;
        answers
            .into_iter()
            .zip(&taken_out.keys)
            .try_for_each(|(answer, key)| answer.map_err(|error| Error::of(key, &error)))
    }

    /// Deletes a key on the server, and takes out what is in memory. Whether it was there.
    ///
    /// # Errors
    /// As [`set`](Near::set).
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// println!("there was one: {}", near.del("user:7").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn del(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.del_many(&[key]).await? == 1)
    }

    /// Deletes these keys on the server in one step, and takes out what is in memory. How many were there.
    ///
    /// # Errors
    /// As [`set`](Near::set).
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// println!("there were {}", near.del_many(&["user:7", "user:8"]).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn del_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        let Some(first) = keys.first() else {
            return Ok(0);
        };
        let taken_out = self.taking_out(keys.iter().map(AsRef::as_ref).collect());
        let mut del = cmd("DEL");
        del.arg(&taken_out.keys);
        let answer = self.memory.line()?.ask_one(&del).await;
        answer.map_err(|error| Error::of(first.as_ref(), &error))
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

    /// What the server has under this key.
    async fn fetch(&self, key: &[u8]) -> Result<Kept<C::Value>, Error> {
        let line = self.memory.line()?;
        let asked = Instant::now();
        let mut commands = pipe();
        read(&mut commands, key);
        let answer = line.ask(&commands).await;
        let answer = answer.map_err(|error| Error::of(key, &error))?;
        self.kept(&line, key, asked, answer)
    }

    /// What the server has under each of these keys, in their order.
    async fn fetch_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Kept<C::Value>>, Error> {
        let line = self.memory.line()?;
        let asked = Instant::now();
        let mut commands = pipe();
        keys.iter()
            .for_each(|key| read(&mut commands, key.as_ref()));
        let answers: Vec<RedisResult<redis::Value>> =
            self.ask_over(&line, &mut commands, keys).await?;
        let mut answers = answers.into_iter();
        let mut kept = |key: &K| {
            let key = key.as_ref();
            let missing = || Error::Unanswered("fewer answers than questions".to_owned());
            let (bytes, left) = answers.next().zip(answers.next()).ok_or_else(missing)?;
            let refused = |error| Error::of(key, &error);
            let answer = (bytes.map_err(refused)?, left.map_err(refused)?);
            let unreadable = |error: redis::ParsingError| Error::of(key, &error.into());
            let bytes = redis::from_redis_value(answer.0).map_err(unreadable)?;
            let left = redis::from_redis_value(answer.1).map_err(unreadable)?;
            self.kept(&line, key, asked, (bytes, left))
        };
        keys.iter().map(&mut kept).collect()
    }

    /// What is kept of an answer to `GET` and `PTTL` that were sent then.
    fn kept(
        &self,
        line: &Line,
        key: &[u8],
        asked: Instant,
        (bytes, left): (Option<Vec<u8>>, i64),
    ) -> Result<Kept<C::Value>, Error> {
        let decode = |bytes: Vec<u8>| self.codec.decode(&bytes);
        let value = bytes.map(decode).transpose();
        let value = value.map_err(|error| Error::codec(key, &error))?;
        // -1: it lives for ever. -2: it is not there, any more if there was a value.
        let left = match (u64::try_from(left), &value) {
            // No longer than on the server: it was asked after `asked`, and the answer is stored after now.
            (Ok(left), _) => Some(Duration::from_millis(left).saturating_sub(asked.elapsed())),
            (Err(_), Some(_)) if left == -2 => Some(Duration::ZERO),
            (Err(_), _) => None,
        };
        let is_tracked = line.untracked().is_none();
        let life = self.settings.life(key, is_tracked, value.is_some(), left);
        Ok(Kept::new(value, life))
    }

    fn encode(&self, key: &[u8], value: &C::Value) -> Result<Vec<u8>, Error> {
        let bytes = self.codec.encode(value);
        bytes.map_err(|error| Error::codec(key, &error))
    }

    /// The answers to these commands, or what became of each.
    async fn ask_all<T: redis::FromRedisValue, K: AsRef<[u8]>>(
        &self,
        commands: &mut Pipeline,
        keys: &[K],
    ) -> Result<Vec<RedisResult<T>>, Error> {
        self.ask_over(&self.memory.line()?, commands, keys).await
    }

    async fn ask_over<T: redis::FromRedisValue, K: AsRef<[u8]>>(
        &self,
        line: &Line,
        commands: &mut Pipeline,
        keys: &[K],
    ) -> Result<Vec<RedisResult<T>>, Error> {
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        let answers = line.ask(commands.ignore_errors()).await;
        answers.map_err(|error| Error::of(first.as_ref(), &error))
    }

    fn taking_out<'a>(&'a self, keys: Vec<&'a [u8]>) -> TakenOut<'a, C, F, S> {
        TakenOut { near: self, keys }
    }
}

/// Keys that are being written: when that ends, however it does, what is in memory of them is taken out, so
/// that a read that begins after it asks the server, after what was written.
struct TakenOut<'a, C: Codec, F: Expiring, S: BuildHasher> {
    near: &'a Near<C, F, S>,
    keys: Vec<&'a [u8]>,
}

impl<C: Codec, F: Expiring, S: BuildHasher> Drop for TakenOut<'_, C, F, S> {
    fn drop(&mut self) {
        self.keys
            .iter()
            .for_each(|key| self.near.memory.forget(key));
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

/// A value, and how long it is to live.
fn read(commands: &mut Pipeline, key: &[u8]) {
    commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
}

/// Why a load came to nothing.
fn failed(error: LoadError<Error>) -> Error {
    match error {
        LoadError::Failed(error) => error,
        // A loader here calls a codec, and no cache.
        other => Error::Unanswered(other.to_string()),
    }
}
