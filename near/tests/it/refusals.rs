//! What is refused, by whom, and that nothing is lost by it.

use crate::world::{Server, connected, eventually, found, near, reads, text, texts};
use brimful::{Cache, Entries};
use brimful_near::redis::Client;
use brimful_near::{Error, Link, Near, Text};
use std::time::Duration;

#[tokio::test]
async fn a_key_that_holds_no_string() {
    let server = Server::start().await;
    let mut other = server.other().await;
    other.run("RPUSH list 1").await;
    other.run("SET k v").await;
    let near = near(&server).await;
    let refused = |error: &Error| matches!(error, Error::Refused { key, says } if key == "list" && says.contains("WRONGTYPE"));
    let error = near.get("list").await.unwrap_err();
    assert!(refused(&error), "{error}");
    let error = near.get_many(&["k", "list"]).await.unwrap_err();
    assert!(refused(&error), "{error}");
    other.run("DEL list").await;
    assert_eq!(
        near.get_many(&["k", "list"]).await.unwrap(),
        [Some(text("v")), None]
    );
}

#[tokio::test]
async fn what_is_no_text() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let mut set = brimful_near::redis::cmd("SET");
    set.arg("k").arg(&[255_u8][..]);
    set.exec_async(&mut other.0).await.unwrap();
    let near = near(&server).await;
    let error = near.get("k").await.unwrap_err();
    assert!(
        matches!(&error, Error::Codec { key, .. } if key == "k"),
        "{error}"
    );
    other.run("SET k v").await;
    assert_eq!(found(&near.get("k").await), Some("v"));
}

#[tokio::test]
async fn a_life_of_nothing() {
    let server = Server::start().await;
    let near = near(&server).await;
    near.set("k", &text("old")).await.unwrap();
    for life in [Duration::ZERO, Duration::from_micros(1), Duration::MAX] {
        let error = near
            .set_with_ttl("k", &text("new"), life)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Refused { key, .. } if key == "k"),
            "{error}"
        );
    }
    assert_eq!(found(&near.get("k").await), Some("old"));
}

/// A full server refuses writes: that is said, and what is read is what it has.
#[tokio::test]
async fn a_full_server_that_evicts_nothing() {
    let server = Server::start_with(&["maxmemory-policy noeviction"]).await;
    let mut other = server.other().await;
    let near = near(&server).await;
    near.set("k", &text("old")).await.unwrap();
    assert_eq!(found(&near.get("k").await), Some("old"));
    other.run("CONFIG SET maxmemory 1").await;
    let error = near.set("k", &text("new")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { key, says } if key == "k" && says.contains("OOM")),
        "{error}"
    );
    let (a, b) = (text("a"), text("b"));
    let error = near.set_many(&[("a", &a), ("b", &b)]).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { key, .. } if key == "a"),
        "{error}"
    );
    assert_eq!(found(&near.get("k").await), Some("old"));
    other.run("CONFIG SET maxmemory 0").await;
    near.set("k", &text("new")).await.unwrap();
    assert_eq!(found(&near.get("k").await), Some("new"));
}

/// What a full server evicts it tells.
#[tokio::test]
async fn a_full_server_that_evicts() {
    let server = Server::start_with(&["maxmemory-policy allkeys-lru"]).await;
    let mut other = server.other().await;
    let near = near(&server).await;
    other.set_all("k", 1_000, "value").await;
    let keys: Vec<_> = (0..1_000).map(|n| format!("k{n}")).collect();
    assert!(
        near.get_many(&keys)
            .await
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    other.run("CONFIG SET maxmemory 1").await;
    // Too small for anything: a write has the server evict all, and is refused itself.
    let _ = other.try_ask::<()>("SET x v").await;
    eventually("the server is empty", async || {
        other.ask::<u64>("DBSIZE").await == 0
    })
    .await;
    eventually("all are gone here too", async || {
        near.get_many(&keys)
            .await
            .unwrap()
            .iter()
            .all(Option::is_none)
    })
    .await;
}

#[tokio::test]
async fn settings_that_make_no_sense() {
    let server = Server::start().await;
    let refused = async |builder: brimful_near::Builder<_, _, _>, word: &str| {
        let error = builder.connect(server.client()).await.unwrap_err();
        assert!(
            matches!(error, Error::Setting(_)) && error.to_string().contains(word),
            "{error}"
        );
    };
    refused(texts(100).lease(Duration::ZERO), "lease").await;
    refused(texts(100).timeout(Duration::ZERO), "timeout").await;
    refused(texts(100).or_lives(Duration::ZERO), "lives").await;
    refused(
        Near::builder(Cache::builder(Entries(100)).shards(0), Text),
        "shard",
    )
    .await;
}

#[tokio::test]
async fn prefixes_of_which_one_begins_with_another() {
    let server = Server::start().await;
    let builder = texts(100).prefixes(["user:", "user:7"]);
    let error = builder.connect(server.client()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Untracked(says) if says.contains("overlaps")),
        "{error}"
    );
}

#[tokio::test]
async fn no_server() {
    let mut server = Server::start().await;
    server.kill();
    let error = texts(100).connect(server.client()).await.unwrap_err();
    assert!(matches!(error, Error::Down(_)), "{error}");
}

/// One that wants a password, and one that accepts connections and says nothing.
#[tokio::test]
async fn a_server_that_does_not_let_in() {
    let server = Server::start().await;
    server
        .other()
        .await
        .run("CONFIG SET requirepass secret")
        .await;
    let error = texts(100).connect(server.client()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Down(why) if why.contains("NOAUTH")),
        "{error}"
    );

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("redis://{}/", silent.local_addr().unwrap());
    let builder = texts(100).timeout(Duration::from_millis(50));
    let error = builder
        .connect(Client::open(address).unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Down(_)), "{error}");
}

/// Two kinds of servers that tell nothing: an old one, which has no RESP3, and one that forbids it.
async fn servers_that_tell_nothing() -> [(Server, Client); 2] {
    let old = Server::start_with(&["rename-command HELLO \"\""]).await;
    let forbids =
        Server::start_with(&["user default on nopass ~* &* +@all -client|tracking"]).await;
    [old, forbids].map(|server| {
        let client = server.client();
        (server, client)
    })
}

#[tokio::test]
async fn a_server_that_tells_nothing_is_an_error() {
    for (_server, client) in servers_that_tell_nothing().await {
        let error = texts(100).connect(client).await.unwrap_err();
        assert!(matches!(error, Error::Untracked(_)), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_tells_nothing_serves_plain_lives_where_that_may_be() {
    for (mut server, client) in servers_that_tell_nothing().await {
        let life = Duration::from_millis(300);
        let near = connected(texts(100).or_lives(life), client).await;
        assert!(matches!(
            &*near.link().borrow(),
            Link::Untracked(Error::Untracked(_))
        ));
        let mut other = server.other().await;
        other.run("SET k one").await;
        assert_eq!(found(&near.get("k").await), Some("one"));
        assert!(near.memory().ttl(&b"k"[..]).is_none_or(|left| left <= life));
        other.run("SET k two").await;
        reads(&near, "k", Some("two")).await;
        // Own writes are read at once all the same.
        near.set("k", &text("three")).await.unwrap();
        assert_eq!(found(&near.get("k").await), Some("three"));
        // The server is lost, found, and asked again.
        server.kill();
        eventually("the loss is noticed", async || {
            let _ = near.get("missing").await;
            !near.link().borrow().is_connected()
        })
        .await;
        server.run().await;
        reads(&near, "k", None).await;
    }
}
