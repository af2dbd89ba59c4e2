//! A server of a test's own, and clients of it that are no near caches.

use brimful_near::redis::aio::MultiplexedConnection;
use brimful_near::redis::{self, Client, FromRedisValue};

pub(crate) struct Server(near_server::Server);

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with these lines in its configuration besides.
    pub(crate) async fn start_with(lines: &[&str]) -> Self {
        Self(near_server::Server::start(lines).unwrap_or_else(|why| panic!("{why}")))
    }

    /// Starts it, empty, where it was before.
    pub(crate) async fn run(&mut self) {
        self.0.run().unwrap_or_else(|why| panic!("{why}"));
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }

    pub(crate) fn client(&self) -> Client {
        client(self.port())
    }

    /// Another client, which knows nothing of near caches.
    pub(crate) async fn other(&self) -> Other {
        other(self.port()).await
    }

    /// How often this command was run, by anyone, since the server began.
    pub(crate) async fn calls(&self, command: &str) -> u64 {
        let stats: String = self.other().await.ask("INFO commandstats").await;
        let line = format!("cmdstat_{command}:calls=");
        let after = stats.lines().find_map(|it| it.strip_prefix(&line));
        after.map_or(0, |rest| {
            rest.split(',')
                .next()
                .and_then(|count| count.parse().ok())
                .expect("a count")
        })
    }
}

/// A connection that is no near cache's.
#[derive(Clone)]
pub(crate) struct Other(pub(crate) MultiplexedConnection);

impl Other {
    /// Runs a command of words.
    pub(crate) async fn run(&mut self, words: &str) {
        self.ask(words).await
    }

    pub(crate) async fn ask<T: FromRedisValue>(&mut self, words: &str) -> T {
        self.try_ask(words)
            .await
            .unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    pub(crate) async fn try_ask<T: FromRedisValue>(
        &mut self,
        words: &str,
    ) -> redis::RedisResult<T> {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.0).await
    }

    /// Sets `count` keys that begin with `prefix`, all to one value, by pipelines.
    pub(crate) async fn set_all(&mut self, prefix: &str, count: usize, value: &str) {
        for begin in (0..count).step_by(1_000) {
            let mut pipe = redis::pipe();
            for n in begin..count.min(begin + 1_000) {
                pipe.cmd("SET")
                    .arg(format!("{prefix}{n}"))
                    .arg(value)
                    .ignore();
            }
            pipe.exec_async(&mut self.0).await.expect("a pipeline");
        }
    }
}

pub(crate) fn client(port: u16) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address")
}

/// A client of the server at this port.
pub(crate) async fn other(port: u16) -> Other {
    let connection = client(port).get_multiplexed_async_connection().await;
    Other(connection.expect("a connection"))
}
