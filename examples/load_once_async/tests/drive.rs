//! The service on a loopback port, driven by the load generator.

use brimful::Cache;
use load_once_async::articles::{Articles, Text};
use load_once_async::crowd::{Client, ask_all};
use load_once_async::service::start;
use std::sync::Arc;
use std::time::Duration;

type Pages = Arc<Cache<u32, Text>>;

/// A scenario that must end.
fn drive(scenario: impl Future<Output = std::io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = Duration::from_secs(120);
    let ended = runtime.block_on(async { tokio::time::timeout(limit, scenario).await });
    ended.expect("it hangs").unwrap();
}

fn articles(count: u32) -> Arc<Articles> {
    Arc::new(Articles::new(count).unwrap())
}

#[test]
fn one_query_an_article_however_many_ask() {
    drive(async {
        let (articles, cache) = (articles(10), Pages::new(Cache::new(100)));
        let running = start(articles.clone(), Some(cache.clone())).await?;
        assert_eq!(ask_all(running.address, 40, 10).await?, 400);
        assert_eq!((articles.queries(), cache.stats().loads()), (10, 10));
        Ok(())
    });
}

#[test]
fn without_a_cache_every_request_is_a_query() {
    drive(async {
        let articles = articles(5);
        let running = start(articles.clone(), None).await?;
        assert_eq!(ask_all(running.address, 8, 5).await?, 40);
        assert_eq!(articles.queries(), 40);
        Ok(())
    });
}

#[test]
fn what_does_not_exist_is_not_kept_and_what_changed_is_read_anew() {
    drive(async {
        let (articles, cache) = (articles(1), Pages::new(Cache::new(100)));
        let running = start(articles.clone(), Some(cache.clone())).await?;
        let mut client = Client::connect(running.address).await?;
        assert_eq!(client.get(7).await?.0, 404);
        assert_eq!((cache.len(), cache.stats().load_failures()), (0, 1));
        assert_eq!(client.put(7, "new").await?, 200);
        assert_eq!(client.get(7).await?, (200, "new".to_owned()));
        assert_eq!(client.put(7, "newer").await?, 200);
        assert_eq!(client.get(7).await?, (200, "newer".to_owned()));
        assert_eq!(client.get(7).await?, (200, "newer".to_owned()));
        assert_eq!(articles.queries(), 3);
        Ok(())
    });
}

/// A client that goes away while its query runs: the next one loads.
#[test]
fn a_client_that_goes_away_strands_nobody() {
    drive(async {
        let (articles, cache) = (articles(1), Pages::new(Cache::new(100)));
        let running = start(articles.clone(), Some(cache.clone())).await?;
        for _ in 0..20 {
            let mut gone = Client::connect(running.address).await?;
            let _ = tokio::time::timeout(Duration::from_micros(300), gone.get(0)).await;
            drop(gone);
            let mut client = Client::connect(running.address).await?;
            assert_eq!(client.get(0).await?, (200, "article 0".to_owned()));
            cache.clear();
        }
        cache.check();
        Ok(())
    });
}
