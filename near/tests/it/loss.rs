//! Connections that are lost, cut, held and late: nothing stale is served after the bound, no call is stuck.

use crate::world::{
    Proxy, Server, connected, ended, eventually, found, is_down, is_up, near, patience, reads,
    text, texts,
};
use brimful_near::{Error, Link};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time;

const LEASE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_server_that_is_killed_and_started_again() {
    let mut server = Server::start().await;
    server.other().await.run("SET k old").await;
    let near = near(&server).await;
    assert_eq!(found(&near.get("k").await), Some("old"));
    server.kill();
    is_down(&near).await;
    assert!(near.memory().is_empty());
    let error = near.get("k").await.unwrap_err();
    assert!(
        matches!(error, Error::Down(_) | Error::Unanswered(_)),
        "{error}"
    );
    assert!(near.set("k", &text("new")).await.is_err());
    assert!(near.get_many(&["k"]).await.is_err());
    assert!(near.del("k").await.is_err());
    server.run().await;
    is_up(&near).await;
    assert_eq!(found(&near.get("k").await), None);
    server.other().await.run("SET k new").await;
    reads(&near, "k", Some("new")).await;
    assert_eq!(near.stats().connections(), 2);
}

/// What is written while the connection is cut is read once it is there again.
#[tokio::test]
async fn what_was_missed_is_gone_before_anything_is_served() {
    let server = Server::start().await;
    let mut other = server.other().await;
    for serve_for in [Duration::ZERO, patience()] {
        let proxy = Proxy::before(server.port()).await;
        let near = connected(texts(1_000).serve_for(serve_for), proxy.client()).await;
        other.set_all("k", 100, "old").await;
        let keys: Vec<_> = (0..100).map(|n| format!("k{n}")).collect();
        reads(&near, "k0", Some("old")).await;
        assert!(
            near.get_many(&keys)
                .await
                .unwrap()
                .iter()
                .all(|read| read.as_deref() == Some("old"))
        );
        proxy.refuse(true);
        proxy.cut();
        is_down(&near).await;
        other.set_all("k", 100, "new").await;
        let served = near.get("k7").await;
        if serve_for.is_zero() {
            assert!(matches!(served, Err(Error::Down(_))), "{served:?}");
        } else {
            assert_eq!(found(&served), Some("old"));
            // What is not there can't be read.
            assert!(near.get("x").await.is_err());
        }
        proxy.refuse(false);
        is_up(&near).await;
        for key in &keys {
            assert_eq!(found(&near.get(key).await), Some("new"), "{key}");
        }
    }
}

/// The server's news is held back, as by a network that drops packets: after the lease nothing old is served,
/// though the connection looks well.
#[tokio::test]
async fn after_the_lease_nothing_is_served_that_no_pong_vouches_for() {
    for prefixes in [None, Some(["k"])] {
        let server = Server::start().await;
        let mut other = server.other().await;
        other.run("SET k old").await;
        let proxy = Proxy::before(server.port()).await;
        let builder = texts(100).lease(LEASE).timeout(Duration::from_secs(3));
        let builder = match prefixes {
            None => builder,
            Some(prefixes) => builder.prefixes(prefixes),
        };
        let near = Arc::new(connected(builder, proxy.client()).await);
        assert_eq!(found(&near.get("k").await), Some("old"));
        // The lease is one that pongs have extended.
        let pings = server.calls("ping").await;
        eventually("pings", async || server.calls("ping").await > pings + 4).await;
        proxy.hold();
        other.run("SET k new").await;
        time::sleep(LEASE).await;
        let reader = |near: Arc<crate::world::Texts>| async move {
            (near.get("k").await, near.get_many(&["k"]).await)
        };
        let reader = tokio::spawn(reader(near.clone()));
        eventually("it asks the server", async || {
            server.calls("get").await == 2
        })
        .await;
        proxy.release();
        let (one, many) = ended(reader).await.unwrap();
        assert_eq!(found(&one), Some("new"));
        assert_eq!(many.unwrap(), [Some(text("new"))]);
    }
}

/// What was in memory when a read of many began is asked for again when the lease ends before the rest is there.
#[tokio::test]
async fn a_read_of_many_that_outlasts_the_lease() {
    let server = Server::start().await;
    let mut other = server.other().await;
    other.run("SET k old").await;
    let proxy = Proxy::before(server.port()).await;
    // Long enough for it to hold when the read begins.
    let lease = Duration::from_secs(1);
    let builder = texts(100).lease(lease).timeout(patience());
    let near = Arc::new(connected(builder, proxy.client()).await);
    assert_eq!(found(&near.get("k").await), Some("old"));
    proxy.hold();
    let reader = tokio::spawn({
        let near = near.clone();
        async move { near.get_many(&["k", "x"]).await.unwrap() }
    });
    eventually("it asks for the rest", async || {
        server.calls("get").await >= 2
    })
    .await;
    other.run("SET k new").await;
    time::sleep(lease).await;
    proxy.release();
    assert_eq!(ended(reader).await.unwrap(), [Some(text("new")), None]);
}

/// Pongs that are late cost loads, no entries.
#[tokio::test]
async fn late_pongs_leave_what_is_in_memory() {
    let server = Server::start().await;
    let mut other = server.other().await;
    other.set_all("k", 100, "v").await;
    let proxy = Proxy::before(server.port()).await;
    let builder = texts(1_000).lease(LEASE).timeout(patience());
    let near = connected(builder, proxy.client()).await;
    let keys: Vec<_> = (0..100).map(|n| format!("k{n}")).collect();
    near.get_many(&keys).await.unwrap();
    proxy.hold();
    time::sleep(2 * LEASE).await;
    proxy.release();
    assert_eq!(near.memory().len(), 100);
    let gets = server.calls("get").await;
    eventually("they are served again", async || {
        let before = server.calls("get").await;
        near.get_many(&keys).await.unwrap();
        server.calls("get").await == before
    })
    .await;
    assert!(gets >= 100);
    assert_eq!((near.stats().connections(), near.memory().len()), (1, 100));
}

/// A connection that is dead and not closed is given up; calls that wait for it end.
#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_replaced() {
    let server = Server::start().await;
    server.other().await.run("SET k v").await;
    let proxy = Proxy::before(server.port()).await;
    let timeout = Duration::from_millis(300);
    let near = connected(texts(100).lease(LEASE).timeout(timeout), proxy.client()).await;
    proxy.hold();
    let error = ended(near.get("k")).await.unwrap_err();
    assert!(matches!(error, Error::Unanswered(_)), "{error}");
    is_down(&near).await;
    proxy.release();
    is_up(&near).await;
    assert_eq!(found(&near.get("k").await), Some("v"));
}

#[tokio::test]
async fn what_is_served_without_a_connection_ends_in_time() {
    let server = Server::start().await;
    server.other().await.run("SET k old").await;
    let proxy = Proxy::before(server.port()).await;
    let serve_for = Duration::from_millis(300);
    let builder = texts(100).lease(LEASE).serve_for(serve_for);
    let near = connected(builder, proxy.client()).await;
    assert_eq!(found(&near.get("k").await), Some("old"));
    proxy.refuse(true);
    proxy.cut();
    is_down(&near).await;
    time::sleep(serve_for).await;
    let error = near.get("k").await.unwrap_err();
    assert!(matches!(error, Error::Down(_)), "{error}");
}

#[tokio::test]
async fn how_it_stands_is_told() {
    let server = Server::start().await;
    let proxy = Proxy::before(server.port()).await;
    let near = near_by(&proxy).await;
    let link = near.link();
    assert_eq!(*link.borrow(), Link::Up);
    proxy.refuse(true);
    proxy.cut();
    is_down(&near).await;
    assert!(!link.borrow().is_connected());
    proxy.refuse(false);
    is_up(&near).await;
    drop(near);
    // Nobody is left to tell.
    eventually("the channel closes", async || link.has_changed().is_err()).await;
}

async fn near_by(proxy: &Proxy) -> crate::world::Texts {
    connected(texts(100), proxy.client()).await
}

/// The connection is closed with the near cache.
#[tokio::test]
async fn nothing_stays_on_the_server_when_it_is_dropped() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let near = near(&server).await;
    let clients = |info: String| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("tracking_clients:").map(str::to_owned));
        line.expect("a count")
    };
    assert_eq!(clients(other.ask("INFO clients").await), "1");
    drop(near);
    eventually("no client is tracked", async || {
        clients(other.ask("INFO clients").await) == "0"
    })
    .await;
}

/// Reads and writes of many keys while the connection is cut again and again: each call ends, and at the end what is
/// read is what the server has.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cut_in_the_middle_of_everything() {
    const KEYS: usize = 50;
    let server = Server::start().await;
    let proxy = Proxy::before(server.port()).await;
    let builder = texts(KEYS / 2).lease(LEASE).timeout(Duration::from_secs(5));
    let near = Arc::new(connected(builder, proxy.client()).await);
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let near = near.clone();
        tasks.spawn(async move {
            let mut failures = 0;
            for n in 0..600 {
                let key = format!("k{}", (n * 7 + task) % KEYS);
                let outcome = match (n + task) % 4 {
                    0 => near.set(&key, &text(n.to_string())).await,
                    1 => near.get_many(&[&key, "x"]).await.map(drop),
                    2 => near.get(&key).await.map(drop),
                    _ => near.del_many(&[&key]).await.map(drop),
                };
                failures += u32::from(outcome.is_err());
                assert!(near.memory().len() <= KEYS / 2);
                time::sleep(Duration::from_micros(500)).await;
            }
            failures
        });
    }
    let mut cuts = 0;
    while !tasks.is_empty() && cuts < 40 {
        time::sleep(Duration::from_millis(20)).await;
        proxy.cut();
        cuts += 1;
        if let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = ended(tasks.join_next()).await {
        done.unwrap();
    }
    is_up(&near).await;
    assert!(near.stats().connections() > 2, "{}", near.stats());
    let mut other = server.other().await;
    for n in 0..KEYS {
        let key = format!("k{n}");
        let there: Option<String> = other.ask(&format!("GET {key}")).await;
        reads(&near, &key, there.as_deref()).await;
    }
    near.memory().check();
}
