//! The keeper: the one task that connects, pings and connects again.
//!
//! ```text
//! connect: handshake (RESP3); tracking on; install the line (`memory`)
//! watch:   wait for a beat, or until the line is doubted; ping; a pong extends the lease
//!          no pong in time: the line has ended
//! again:   after a pause that doubles, and differs from process to process
//! ```

use crate::builder::Settings;
use crate::error::Error;
use crate::line::{End, Line};
use crate::memory::Memory;
use crate::source::Source;
use brimful::Expiring;
use redis::{AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, RedisError, RedisResult};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::time;

/// The pause before it is tried again, and what it doubles to.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Keeper<P, V, F: Expiring, S> {
    pub(crate) source: P,
    pub(crate) memory: Arc<Memory<V, F, S>>,
    pub(crate) settings: Arc<Settings>,
}

impl<P, V, F, S> Keeper<P, V, F, S>
where
    P: Source,
    V: Clone + Send + Sync + 'static,
    F: Expiring + 'static,
    S: BuildHasher + Send + Sync + 'static,
    Memory<V, F, S>: Send + Sync,
{
    /// Keeps a line installed, for ever.
    pub(crate) async fn keep(mut self, mut line: Line) {
        loop {
            self.watch(&line).await;
            line = self.connect_again().await;
        }
    }

    /// A line that is installed.
    ///
    /// # Errors
    /// [`Error::Down`] and [`Error::Untracked`].
    pub(crate) async fn connect(&mut self) -> Result<Line, Error> {
        let down = |error: RedisError| Error::Down(error.to_string());
        let patience = self.settings.timeout;
        let late = |_| Error::Down(format!("no client in {patience:?}"));
        let client = time::timeout(patience, self.source.client()).await;
        let client = client.map_err(late)?.map_err(down)?;
        let pinged = Instant::now();
        let line = match self.open(&client, ProtocolVersion::RESP3).await {
            Ok(line) => self.tracked(line).await?,
            Err(error) if has_no_resp3(&error) => {
                let why = self.untracked(&error)?;
                let line = self.open(&client, ProtocolVersion::RESP2).await;
                line.map_err(down)?.without_tracking(why)
            }
            Err(error) => return Err(down(error)),
        };
        self.memory.install(&line, pinged);
        Ok(line)
    }

    /// The line with tracking on, or without it if that may be.
    async fn tracked(&self, line: Line) -> Result<Line, Error> {
        match line.track(self.settings.prefixes.as_deref()).await {
            Ok(()) => Ok(line),
            Err(error) if error.kind() == ErrorKind::Io => Err(Error::Down(error.to_string())),
            Err(error) => Ok(line.without_tracking(self.untracked(&error)?)),
        }
    }

    /// Why nothing is told; an error if that may not be.
    fn untracked(&self, error: &RedisError) -> Result<Error, Error> {
        let why = Error::Untracked(error.to_string());
        match self.settings.or_lives {
            Some(_) => Ok(why),
            None => Err(why),
        }
    }

    /// A new connection.
    async fn open(&self, client: &Client, protocol: ProtocolVersion) -> RedisResult<Line> {
        let info = client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_redis_settings(settings))?;
        let end = Arc::new(End::default());
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.timeout))
            .set_response_timeout(None);
        if protocol == ProtocolVersion::RESP3 {
            let memory = Arc::downgrade(&self.memory);
            let end = end.clone();
            config = config.set_push_sender(move |push| {
                // Gone with the near cache.
                let memory: Arc<Memory<V, F, S>> = Weak::upgrade(&memory).ok_or(())?;
                memory.pushed(&end, &push);
                Ok::<(), ()>(())
            });
        }
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Line::new(connection.await?, end, self.settings.timeout))
    }

    /// Returns once the line has ended.
    async fn watch(&self, line: &Line) {
        let beat = self.settings.lease / 4;
        loop {
            // A beat; or sooner, when the line is doubted.
            let _ = time::timeout(beat, line.end().doubted()).await;
            if line.end().has_come() {
                return;
            }
            let pinged = Instant::now();
            match self.vouch(line).await {
                Ok(()) => self.memory.renew(line, pinged),
                Err(error) => {
                    let why = Error::Down(format!("a ping was not answered: {error}"));
                    self.memory.lose(line.end(), &why);
                }
            }
        }
    }

    /// Returns once all that the server told before this call has been done.
    async fn vouch(&self, line: &Line) -> RedisResult<()> {
        let patience = self.settings.timeout.max(self.settings.lease);
        line.ping(patience).await?;
        // With prefixes what is told of a turn of the server's event loop comes after its answers.
        if self.settings.prefixes.is_some() {
            line.ping(patience).await?;
        }
        Ok(())
    }

    async fn connect_again(&mut self) -> Line {
        let mut pause = FIRST_PAUSE;
        loop {
            time::sleep(pause.mul_f64(0.5 + 0.5 * random_part())).await;
            match self.connect().await {
                Ok(line) => return line,
                Err(why) => self.memory.still_down(&why),
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

/// Whether the server has no RESP3: it knows no `HELLO`. The client library's own kind is of how some
/// servers say so.
fn has_no_resp3(error: &RedisError) -> bool {
    let says = error.to_string().to_lowercase();
    error.kind() == ErrorKind::RESP3NotSupported
        || (says.contains("unknown command") && says.contains("hello"))
}

/// A number from 0 to 1, so that many processes do not connect again in step.
fn random_part() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
