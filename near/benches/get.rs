//! What reads cost: from memory, by the client library alone, and by the cache that the client library has itself.
//!
//! ```sh
//! cargo bench --manifest-path near/Cargo.toml --bench get
//! ```
//!
//! One run, a server of its own on the loopback; rounds of each contender in turn, medians of the rounds. `--
//! --test` makes one short round. The library's cache keeps commands and their answers, least recently used first
//! out, bounded by entries; its entries live for a time of its own unless the server tells of them.

use brimful::{Cache, Entries};
use brimful_near::{Near, Text};
use near_server::Server;
use redis::aio::MultiplexedConnection;
use redis::caching::CacheConfig;
use redis::{AsyncConnectionConfig, Client, cmd, pipe};
use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, hint};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Keys that are read, all of which fit into memory.
const KEYS: usize = 1_000;
const BATCH: usize = 100;
const TASKS: usize = 64;

/// Who is asked.
#[derive(Clone)]
enum Reader {
    Near(Arc<Near<Text>>),
    /// With the library's cache, or without.
    Client(MultiplexedConnection),
}

impl Reader {
    async fn get(&self, key: &str) -> Outcome<usize> {
        match self {
            Self::Near(near) => Ok(near.get(key).await?.map_or(0, |text| text.len())),
            Self::Client(connection) => {
                let mut connection = connection.clone();
                let text: String = cmd("GET").arg(key).query_async(&mut connection).await?;
                Ok(text.len())
            }
        }
    }

    async fn get_many(&self, keys: &[String]) -> Outcome<usize> {
        match self {
            Self::Near(near) => Ok(near.get_many(keys).await?.iter().flatten().count()),
            Self::Client(connection) => {
                let mut connection = connection.clone();
                let texts: Vec<String> = cmd("MGET").arg(keys).query_async(&mut connection).await?;
                Ok(texts.len())
            }
        }
    }
}

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// One after another.
    One,
    /// A hundred in a call.
    Many,
    /// By many tasks.
    Tasks,
}

impl Work {
    const ALL: [(Self, &str); 3] = [
        (Self::One, "one task, one key a call"),
        (Self::Many, "one task, 100 keys a call"),
        (Self::Tasks, "64 tasks, one key a call"),
    ];

    /// The time for each key, in nanoseconds.
    async fn round(self, reader: &Reader, keys: &Arc<[String]>, reads: usize) -> Outcome<f64> {
        let began = Instant::now();
        match self {
            Self::One => {
                for key in keys.iter().cycle().take(reads) {
                    hint::black_box(reader.get(key).await?);
                }
            }
            Self::Many => {
                for keys in keys.chunks(BATCH).cycle().take(reads / BATCH) {
                    hint::black_box(reader.get_many(keys).await?);
                }
            }
            Self::Tasks => {
                let mut tasks = JoinSet::new();
                for task in 0..TASKS {
                    let (reader, keys) = (reader.clone(), keys.clone());
                    tasks.spawn(async move {
                        let own = keys.iter().cycle().skip(task * 7).take(reads / TASKS);
                        for key in own {
                            hint::black_box(reader.get(key).await?);
                        }
                        Outcome::Ok(())
                    });
                }
                while let Some(task) = tasks.join_next().await {
                    task??;
                }
            }
        }
        Ok(began.elapsed().as_nanos() as f64 / reads as f64)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo names `--bench` itself.
    let short = env::args().any(|argument| argument == "--test");
    report::finish(measure(short).await.map_err(|error| error as _))
}

async fn measure(short: bool) -> Outcome<()> {
    let server = Server::start(&[])?;
    let client = Client::open(format!("{}?protocol=resp3", server.url()))?;
    let keys: Arc<[String]> = (0..KEYS).map(|n| format!("user:{n}")).collect();
    let mut plain = client.get_multiplexed_async_connection().await?;
    let mut sets = pipe();
    for key in keys.iter() {
        sets.cmd("SET").arg(key).arg("x".repeat(100)).ignore();
    }
    sets.exec_async(&mut plain).await?;
    let near = Near::builder(Cache::builder(Entries(2 * KEYS)), Text)
        .connect(client.clone())
        .await?;
    let size = NonZeroUsize::new(2 * KEYS).ok_or("no size")?;
    let cached = CacheConfig::new().set_size(size);
    let cached = AsyncConnectionConfig::new().set_cache_config(cached);
    let cached = client
        .get_multiplexed_async_connection_with_config(&cached)
        .await?;
    let readers = [
        ("near cache", Reader::Near(Arc::new(near))),
        ("redis, its own cache", Reader::Client(cached)),
        ("redis, no cache", Reader::Client(plain)),
    ];
    let (rounds, time) = if short {
        (1, Duration::from_millis(1))
    } else {
        (15, Duration::from_millis(150))
    };
    println!(
        "{:<26} {:>22} {:>22} {:>22}   µs a key, medians of {rounds} rounds",
        "", readers[0].0, readers[1].0, readers[2].0
    );
    for (work, name) in Work::ALL {
        let mut reads = [0; 3];
        for ((_, reader), reads) in readers.iter().zip(&mut reads) {
            // The first round fills what is empty, and tells how many reads a round takes.
            work.round(reader, &keys, KEYS * TASKS / 8).await?;
            let nanos = work.round(reader, &keys, KEYS).await?;
            *reads = ((time.as_nanos() as f64 / nanos) as usize).next_multiple_of(BATCH * TASKS);
        }
        let mut found: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            for (n, (_, reader)) in readers.iter().enumerate() {
                found[n].push(work.round(reader, &keys, reads[n]).await?);
            }
        }
        let median = |found: &mut Vec<f64>| {
            found.sort_unstable_by(f64::total_cmp);
            found[found.len() / 2] / 1e3
        };
        let [a, b, c] = found.each_mut().map(median);
        println!("{name:<26} {a:>22.3} {b:>22.3} {c:>22.3}");
    }
    Ok(())
}
