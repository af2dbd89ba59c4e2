//! Asks one service twice, without a cache and with brimful, and prints how many
//! queries reached the database.
//!
//! ```text
//! cargo run --release --manifest-path examples/load_once_async/Cargo.toml
//! ```

use brimful::Cache;
use load_once_async::articles::Articles;
use load_once_async::{crowd, service};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const CLIENTS: u32 = 100;
const ARTICLES: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!("{CLIENTS} clients ask for {ARTICLES} articles each, all in the same order");
    println!(
        "{:<18}{:>9}{:>9}{:>9}{:>8}",
        "", "answers", "queries", "waited", "ms"
    );
    runtime.block_on(async {
        run("without a cache", None).await?;
        run("with brimful", Some(Arc::new(Cache::new(1_000)))).await
    })
}

async fn run(name: &str, cache: Option<Arc<Cache<u32, Arc<str>>>>) -> Result<(), Box<dyn Error>> {
    let articles = Arc::new(Articles::new(ARTICLES)?);
    let running = service::start(articles.clone(), cache.clone()).await?;
    let began = Instant::now();
    let answers = crowd::ask_all(running.address, CLIENTS, ARTICLES).await?;
    let took = began.elapsed().as_millis();
    let waited = cache.map_or(0, |cache| cache.stats().load_waits());
    let queries = articles.queries();
    println!("{name:<18}{answers:>9}{queries:>9}{waited:>9}{took:>8}");
    Ok(())
}
