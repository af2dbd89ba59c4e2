//! A server of a test's own: on a free port of the loopback, in a directory of its own, gone with the test.

use brimful_near::redis::aio::MultiplexedConnection;
use brimful_near::redis::{self, Client, FromRedisValue};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;
use tokio::time;

/// What is missing where no server can be started.
const MISSING: &str = "these tests need a Redis or Valkey server: install one (Debian: `apt-get install \
     redis-server`), or name it by BRIMFUL_REDIS=/path/to/redis-server";

pub(crate) struct Server {
    port: u16,
    settings: String,
    directory: TempDir,
    child: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with these lines in its configuration besides.
    pub(crate) async fn start_with(lines: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let own = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n",
            directory.path().display()
        );
        let mut server = Self {
            port,
            settings: format!("{own}save \"\"\nappendonly no\n{}\n", lines.join("\n")),
            directory,
            child: None,
        };
        server.run().await;
        server
    }

    /// Starts it, empty, where it was before.
    pub(crate) async fn run(&mut self) {
        let program = env::var_os("BRIMFUL_REDIS").unwrap_or_else(|| "redis-server".into());
        let file = self.directory.path().join("settings");
        fs::write(&file, &self.settings).expect("a file");
        let mut command = Command::new(program);
        command
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let began = Instant::now();
        while !self.answers().await {
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the server does not start ({status}):\n{}", self.settings);
            }
            assert!(
                began.elapsed() < super::PATIENCE,
                "the server does not answer"
            );
            time::sleep(Duration::from_millis(5)).await;
        }
        self.child = Some(child);
    }

    async fn answers(&self) -> bool {
        let Ok(mut connection) = self.client().get_multiplexed_async_connection().await else {
            return false;
        };
        redis::cmd("PING").exec_async(&mut connection).await.is_ok()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child to kill");
            child.wait().expect("a child that ended");
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn client(&self) -> Client {
        client(self.port)
    }

    /// Another client, which knows nothing of near caches.
    pub(crate) async fn other(&self) -> Other {
        let connection = self.client().get_multiplexed_async_connection().await;
        Other(connection.expect("a connection"))
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

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
