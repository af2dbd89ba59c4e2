//! One connection, from its handshake to its end. It never reconnects: what comes after it is another
//! line. So whatever is read over a line is read over a connection that the server tracks.

use crate::error::Error;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, cmd};
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
    told: Notify,
}

impl End {
    /// Whether this was the first to say so.
    pub(crate) fn comes(&self) -> bool {
        let first = !self.come.swap(true, Ordering::AcqRel);
        self.told.notify_one();
        first
    }

    pub(crate) fn has_come(&self) -> bool {
        self.come.load(Ordering::Acquire)
    }

    /// Returns once the end has come: for one task.
    pub(crate) async fn awaited(&self) {
        while !self.has_come() {
            self.told.notified().await;
        }
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
        answered(self.patience, commands.query_async(&mut connection)).await
    }

    /// The answer to this command.
    pub(crate) async fn ask_one<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.connection.clone();
        answered(self.patience, command.query_async(&mut connection)).await
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
