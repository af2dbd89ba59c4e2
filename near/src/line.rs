//! One connection, from its handshake to its end. It never reconnects: what comes after it is another
//! line. So whatever is read over a line is read over a connection that the server tracks.

use crate::error::Error;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, cmd};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time;

/// A connection, and its end. A clone is the same line.
#[derive(Clone)]
pub(crate) struct Line {
    connection: MultiplexedConnection,
    end: Arc<End>,
    /// How long to wait for an answer.
    patience: Duration,
    /// Why the server tells nothing over it, if so.
    untracked: Option<Error>,
}

/// The end of a line: whoever learns of it says so here. Once ended, a line stays so.
#[derive(Default)]
pub(crate) struct End {
    come: AtomicBool,
    doubted: Notify,
}

impl End {
    /// The line has ended.
    pub(crate) fn comes(&self) {
        self.come.store(true, Ordering::Release);
        self.doubt();
    }

    pub(crate) fn has_come(&self) -> bool {
        self.come.load(Ordering::Acquire)
    }

    /// Has the keeper look whether the line has ended.
    fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Returns once the line was doubted: for one task.
    pub(crate) async fn doubted(&self) {
        self.doubted.notified().await;
    }
}

impl Line {
    pub(crate) fn new(
        connection: MultiplexedConnection,
        end: Arc<End>,
        patience: Duration,
    ) -> Self {
        Self {
            connection,
            end,
            patience,
            untracked: None,
        }
    }

    /// This line, over which the server tells nothing, and why.
    pub(crate) fn without_tracking(self, why: Error) -> Self {
        Self {
            untracked: Some(why),
            ..self
        }
    }

    pub(crate) fn untracked(&self) -> Option<&Error> {
        self.untracked.as_ref()
    }

    pub(crate) fn end(&self) -> &Arc<End> {
        &self.end
    }

    /// The answers to these commands, in one round trip.
    pub(crate) async fn ask<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let mut connection = self.connection.clone();
        self.heard(answered(self.patience, commands.query_async(&mut connection)).await)
    }

    /// What became of each of these commands, which are for these keys, in one round trip.
    pub(crate) async fn ask_each<T: FromRedisValue, K: AsRef<[u8]>>(
        &self,
        commands: &mut Pipeline,
        keys: &[K],
    ) -> Result<Vec<RedisResult<T>>, Error> {
        let Some(first) = keys.first() else {
            return Ok(Vec::new());
        };
        let answers = self.ask(commands.ignore_errors()).await;
        answers.map_err(|error| Error::of(first.as_ref(), &error))
    }

    /// The answer to this command.
    pub(crate) async fn ask_one<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.connection.clone();
        self.heard(answered(self.patience, command.query_async(&mut connection)).await)
    }

    /// An answer; none is a reason to look after the line.
    fn heard<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.as_ref().is_err_and(RedisError::is_io_error) {
            self.end.doubt();
        }
        answer
    }

    /// One round trip, for which it waits longer.
    pub(crate) async fn ping(&self, patience: Duration) -> RedisResult<()> {
        let mut connection = self.connection.clone();
        answered(patience, cmd("PING").query_async(&mut connection)).await
    }

    /// Has the server tell of changes: to keys that are read over this line, or to all keys that begin
    /// with one of these prefixes.
    pub(crate) async fn track(&self, prefixes: Option<&[Vec<u8>]>) -> RedisResult<()> {
        let mut track = cmd("CLIENT");
        track.arg("TRACKING").arg("ON");
        if let Some(prefixes) = prefixes {
            track.arg("BCAST");
            for prefix in prefixes {
                track.arg("PREFIX").arg(prefix);
            }
        }
        self.ask_one(&track).await
    }
}

/// What is asked for, if it comes in time.
async fn answered<T>(
    patience: Duration,
    answer: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("none in {patience:?}"));
    time::timeout(patience, answer).await.map_err(late)?
}
