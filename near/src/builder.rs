//! From a builder of brimful's and a server to a near cache.

use crate::codec::Codec;
use crate::error::Error;
use crate::keeper::Keeper;
use crate::kept::{Kept, Key};
use crate::memory::Memory;
use crate::near::Near;
use crate::source::Source;
use brimful::{Cache, Form};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// The shortest lease: pings are sent four times in it.
const SHORTEST_LEASE: Duration = Duration::from_millis(20);

/// What the near cache was told.
pub(crate) struct Settings {
    pub(crate) prefixes: Option<Vec<Vec<u8>>>,
    pub(crate) lease: Duration,
    pub(crate) serve_for: Duration,
    pub(crate) or_lives: Option<Duration>,
    pub(crate) time_to_live: Duration,
    pub(crate) absent_for: Duration,
    pub(crate) timeout: Duration,
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Setting(what));
        if self.lease < SHORTEST_LEASE {
            return wrong(format!(
                "a lease of {:?} is too short to be kept: give it {SHORTEST_LEASE:?} at least",
                self.lease
            ));
        }
        if self.timeout.is_zero() {
            return wrong("a timeout of zero leaves no time to answer".to_owned());
        }
        if self.or_lives.is_some_and(|life| life.is_zero()) {
            return wrong("lives of zero keep nothing in memory".to_owned());
        }
        Ok(())
    }

    /// Whether the server tells of changes to this key.
    fn covers(&self, key: &[u8]) -> bool {
        let Some(prefixes) = &self.prefixes else {
            return true;
        };
        prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// How long an answer is kept: `left` to live on the server, if it says, of what is there or is not.
    pub(crate) fn life(
        &self,
        key: &[u8],
        is_tracked: bool,
        is_there: bool,
        left: Option<Duration>,
    ) -> Duration {
        let told = match (is_tracked, self.or_lives) {
            (true, _) if self.covers(key) => Duration::MAX,
            (true, _) => Duration::ZERO,
            (false, life) => life.unwrap_or_default(),
        };
        let here = if is_there {
            self.time_to_live
        } else {
            self.absent_for
        };
        told.min(here).min(left.unwrap_or(Duration::MAX))
    }
}

/// Builds a [`Near`]: made by [`Near::builder`].
#[must_use = "a builder does nothing until `connect` is called"]
pub struct Builder<C: Codec, F: Form, S> {
    memory: brimful::Builder<Key, Kept<C::Value>, F, S>,
    codec: C,
    settings: Settings,
}

impl<C: Codec, F: Form, S> Builder<C, F, S> {
    pub(crate) fn new(memory: brimful::Builder<Key, Kept<C::Value>, F, S>, codec: C) -> Self {
        let settings = Settings {
            prefixes: None,
            lease: Duration::from_secs(2),
            serve_for: Duration::ZERO,
            or_lives: None,
            time_to_live: Duration::MAX,
            absent_for: Duration::MAX,
            timeout: Duration::from_secs(1),
        };
        Self {
            memory,
            codec,
            settings,
        }
    }

    /// Has the server tell of all keys that begin with one of these prefixes, whether they were read here or
    /// not (`BCAST`); with no prefix at all, of all keys.
    ///
    /// Left out, it tells of the keys that were read here, each once, and remembers for each key who
    /// read it, up to its `tracking-table-max-keys`. By prefixes it remembers nothing, and tells everyone of
    /// everything: for many processes that read few of the keys that are written that is more traffic, and
    /// for many that read the same ones it is less to remember. A key outside of the prefixes is read from the server
    /// each time. No prefix may begin with another one.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).prefixes(["user:", "page:"]);
    /// ```
    pub fn prefixes<P: Into<Vec<u8>>>(mut self, prefixes: impl IntoIterator<Item = P>) -> Self {
        self.settings.prefixes = Some(prefixes.into_iter().map(Into::into).collect());
        self
    }

    /// How old what is served may be while there is a connection; 2 seconds if left out, 20 ms at least.
    ///
    /// The server is pinged four times in this time. A pong vouches for all that came before it: what was
    /// overwritten on the server longer ago than this is never served. If pongs are late the server
    /// is asked for each read until one comes, and what is in memory stays. A pong that does not come in
    /// this time, or in [`timeout`](Builder::timeout) if that is longer, ends the connection.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).lease(Duration::from_millis(500));
    /// ```
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Serves what is in memory for so long when the connection is lost or pongs are late; zero if left
    /// out: then everything is taken out when it is lost.
    ///
    /// So what is served may be that much older than [`lease`](Builder::lease) allows. What is not in memory
    /// can't be read meanwhile.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).serve_for(Duration::from_secs(30));
    /// ```
    pub fn serve_for(mut self, time: Duration) -> Self {
        self.settings.serve_for = time;
        self
    }

    /// Allows for a server that does not tell what changes (older than Redis 6, or the user may not ask it
    /// to): then an entry is kept for so long, and may be that old, or as old as its life on the server
    /// allows. Left out, such a server is an error.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).or_lives(Duration::from_secs(5));
    /// ```
    pub fn or_lives(mut self, life: Duration) -> Self {
        self.settings.or_lives = Some(life);
        self
    }

    /// The longest that a value is kept without being read from the server again; for ever if left out. It
    /// is never kept longer than it lives on the server.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).time_to_live(Duration::from_secs(600));
    /// ```
    pub fn time_to_live(mut self, life: Duration) -> Self {
        self.settings.time_to_live = life;
        self
    }

    /// The longest that it is kept that there is no such key; for ever if left out, as the server
    /// tells of that too. Zero keeps no such answer.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).absent_for(Duration::from_secs(5));
    /// ```
    pub fn absent_for(mut self, life: Duration) -> Self {
        self.settings.absent_for = life;
        self
    }

    /// How long a call waits for the server; a second if left out.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    /// use std::time::Duration;
    ///
    /// let builder = Near::builder(Cache::builder(Entries(1_000)), Text).timeout(Duration::from_millis(200));
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Connects, and has the server tell what changes. From then on a task of this runtime keeps the
    /// connection, and makes a new one when it is lost.
    ///
    /// # Errors
    /// [`Error::Setting`] if the builder, this one or brimful's, was told what makes no sense;
    /// [`Error::Down`] if there is no server; [`Error::Untracked`] if it does not tell what changes.
    ///
    /// # Panics
    /// Outside of a runtime of tokio's with time and I/O enabled.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text, redis};
    ///
    /// let server = redis::Client::open("redis://127.0.0.1/")?;
    /// let near = Near::builder(Cache::builder(Entries(10_000)), Text).connect(server).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(self, source: impl Source) -> Result<Near<C, F::Timed, S>, Error>
    where
        F::Timed: 'static,
        S: BuildHasher + Send + Sync + 'static,
        Cache<Key, Kept<C::Value>, F::Timed, S>: Send + Sync + 'static,
    {
        self.settings.check()?;
        let (lease, serve_for) = (self.settings.lease, self.settings.serve_for);
        let life = |_: &Key, kept: &Kept<C::Value>, left: Option<Duration>| {
            left.is_none().then(|| kept.life())
        };
        let cache = self.memory.ttl_with(life).build();
        let cache = cache.map_err(|error| Error::Setting(error.to_string()))?;
        let memory = Arc::new(Memory::new(cache, lease, serve_for));
        let settings = Arc::new(self.settings);
        let mut keeper = Keeper {
            source,
            memory: memory.clone(),
            settings: settings.clone(),
        };
        let line = keeper.connect().await?;
        let keeper = tokio::spawn(keeper.keep(line));
        Ok(Near::new(memory, self.codec, settings, keeper))
    }
}

impl<C: Codec, F: Form, S> fmt::Debug for Builder<C, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
