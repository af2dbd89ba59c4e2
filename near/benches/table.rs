//! What the server's table of who reads what costs it, in bytes.
//!
//! ```sh
//! cargo bench --manifest-path near/Cargo.toml --bench table
//! ```
//!
//! Tracked connections read the same keys, one connection after another; after each the server says how much
//! memory it uses, and how many keys and pairs of a key and a reader it remembers. `-- --test` takes few keys.

use near_server::Server;
use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, RedisResult, cmd, pipe};
use std::env;
use std::error::Error;
use std::process::ExitCode;

const READERS: usize = 20;
const BATCH: usize = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let short = env::args().any(|argument| argument == "--test");
    let keys = if short { BATCH } else { 100_000 };
    report::finish(measure(keys).await)
}

async fn measure(keys: usize) -> Result<(), Box<dyn Error>> {
    let server = Server::start(&[])?;
    let client = Client::open(format!("{}?protocol=resp3", server.url()))?;
    let mut asking = client.get_multiplexed_async_connection().await?;
    each(&mut asking, keys, |pipe, key| {
        pipe.cmd("SET").arg(key).arg("v").ignore()
    })
    .await?;
    // All connections there will be, so that these cost nothing later.
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = client.get_multiplexed_async_connection().await?;
        cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .exec_async(&mut reader)
            .await?;
        readers.push(reader);
    }
    let begin = used(&mut asking, "memory", "used_memory").await?;
    println!(
        "{:>8} {:>10} {:>10} {:>14} {:>14}",
        "readers", "keys", "pairs", "bytes", "bytes a pair"
    );
    for (n, reader) in readers.iter_mut().enumerate() {
        each(reader, keys, |pipe, key| pipe.cmd("GET").arg(key).ignore()).await?;
        let table = used(&mut asking, "memory", "used_memory")
            .await?
            .saturating_sub(begin);
        let keys = used(&mut asking, "stats", "tracking_total_keys").await?;
        let pairs = used(&mut asking, "stats", "tracking_total_items").await?;
        if [1, 2, 5, 10, READERS].contains(&(n + 1)) {
            let each = table as f64 / pairs as f64;
            println!(
                "{:>8} {keys:>10} {pairs:>10} {table:>14} {each:>14.0}",
                n + 1
            );
        }
    }
    Ok(())
}

/// Runs a command for each of so many keys, by pipelines.
async fn each(
    connection: &mut MultiplexedConnection,
    keys: usize,
    add: impl Fn(&mut Pipeline, String) -> &mut Pipeline,
) -> RedisResult<()> {
    for begin in (0..keys).step_by(BATCH) {
        let mut commands = pipe();
        for key in begin..begin + BATCH {
            add(&mut commands, format!("user:{key:012}"));
        }
        commands.exec_async(connection).await?;
    }
    Ok(())
}

/// What the server says of itself.
async fn used(
    asking: &mut MultiplexedConnection,
    section: &str,
    name: &str,
) -> Result<u64, Box<dyn Error>> {
    let info: String = cmd("INFO").arg(section).query_async(asking).await?;
    let found = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(found
        .ok_or_else(|| format!("the server does not tell {name}"))?
        .trim()
        .parse()?)
}
