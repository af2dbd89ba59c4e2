//! A great deal at once: invalidations by the hundred thousand, clients that lag, a tracking table that is full.

use crate::world::{Proxy, Server, connected, ended, eventually, found, is_up, near, reads, texts};
use std::sync::Arc;

const KEYS: usize = 100_000;

async fn all_are(near: &crate::world::Texts, keys: &[String], value: Option<&str>) {
    let what = format!("all are {value:?}");
    eventually(&what, async || {
        let read = near.get_many(keys).await.expect("values");
        read.iter().all(|read| read.as_deref() == value)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_invalidations_at_once() {
    let server = Server::start().await;
    let mut other = server.other().await;
    for prefixes in [None, Some(["k"])] {
        let capacity = KEYS / 2;
        let builder = texts(capacity).timeout(crate::world::patience());
        let builder = match prefixes {
            None => builder,
            Some(prefixes) => builder.prefixes(prefixes),
        };
        let near = connected(builder, server.client()).await;
        let keys: Vec<_> = (0..KEYS).map(|n| format!("k{n}")).collect();
        other.set_all("k", KEYS, "old").await;
        all_are(&near, &keys, Some("old")).await;
        assert!(near.memory().len() > capacity / 2);
        other.set_all("k", KEYS, "new").await;
        all_are(&near, &keys, Some("new")).await;
        assert!(near.stats().invalidated() >= KEYS as u64);
        assert!(near.memory().len() <= capacity);
        other.run("FLUSHALL").await;
        all_are(&near, &keys, None).await;
    }
}

/// What a client that does not read is to be told gathers on the server, or on the way, and arrives.
#[tokio::test]
async fn a_client_that_lags_catches_up() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let proxy = Proxy::before(server.port()).await;
    let near = Arc::new(
        connected(
            texts(KEYS).timeout(crate::world::patience()),
            proxy.client(),
        )
        .await,
    );
    let keys: Vec<_> = (0..20_000).map(|n| format!("k{n}")).collect();
    other.set_all("k", keys.len(), "old").await;
    all_are(&near, &keys, Some("old")).await;
    proxy.hold();
    other.set_all("k", keys.len(), "new").await;
    assert_eq!(found(&near.get("k7").await), Some("old"));
    proxy.release();
    all_are(&near, &keys, Some("new")).await;
    assert_eq!(near.stats().connections(), 1);
}

/// A server that does not keep so much for one client drops it; then all that it missed is gone.
#[tokio::test]
async fn a_client_that_lags_too_far_is_dropped_and_starts_over() {
    let server = Server::start_with(&["client-output-buffer-limit normal 100kb 0 0"]).await;
    let mut other = server.other().await;
    let proxy = Proxy::before(server.port()).await;
    let near = connected(
        texts(KEYS).timeout(crate::world::patience()),
        proxy.client(),
    )
    .await;
    // Long keys fill what the system keeps of a connection.
    let prefix = "k".repeat(2_000);
    let keys: Vec<_> = (0..10_000).map(|n| format!("{prefix}{n}")).collect();
    other.set_all(&prefix, keys.len(), "old").await;
    for keys in keys.chunks(1_000) {
        near.get_many(keys).await.unwrap();
    }
    proxy.hold();
    other.set_all(&prefix, keys.len(), "new").await;
    proxy.release();
    eventually("a new connection", async || near.stats().connections() == 2).await;
    is_up(&near).await;
    for key in &keys[..100] {
        assert_eq!(found(&near.get(key).await), Some("new"));
    }
}

/// Of more keys than the server remembers it forgets some, and says so.
#[tokio::test]
async fn a_tracking_table_that_is_full() {
    let server = Server::start_with(&["tracking-table-max-keys 100"]).await;
    let mut other = server.other().await;
    other.set_all("k", 1_000, "old").await;
    let near = near(&server).await;
    for n in 0..1_000 {
        assert_eq!(found(&near.get(format!("k{n}")).await), Some("old"));
    }
    // The server forgets in a task of its own, some at a time.
    eventually("few stay", async || near.memory().len() <= 100).await;
    other.set_all("k", 1_000, "new").await;
    for n in 0..1_000 {
        reads(&near, &format!("k{n}"), Some("new")).await;
    }
}

/// Many near caches, of which each reads and writes: at the end all agree with the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients() {
    let server = Server::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..20_usize {
        let near = near(&server).await;
        tasks.spawn(async move {
            for n in 0..300 {
                let key = format!("k{}", (n * 3 + client) % 30);
                if (n + client) % 10 == 0 {
                    near.set(&key, &crate::world::text(format!("{client} {n}")))
                        .await
                        .unwrap();
                } else {
                    near.get(&key).await.unwrap();
                }
            }
            near
        });
    }
    let mut nears = Vec::new();
    while let Some(near) = ended(tasks.join_next()).await {
        nears.push(near.unwrap());
    }
    let mut other = server.other().await;
    for n in 0..30 {
        let key = format!("k{n}");
        let there: Option<String> = other.ask(&format!("GET {key}")).await;
        for near in &nears {
            reads(near, &key, there.as_deref()).await;
        }
    }
}
