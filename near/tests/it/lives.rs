//! How long entries live: no longer than on the server, nor than was said.

use crate::world::{Server, connected, eventually, found, near, reads, text, texts};
use std::time::Duration;

#[tokio::test]
async fn an_entry_lives_no_longer_than_on_the_server() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let near = near(&server).await;
    for n in 0..50 {
        let key = format!("k{n}");
        other.run(&format!("SET {key} v PX 100000")).await;
        assert_eq!(found(&near.get(&key).await), Some("v"));
        let there: u64 = other.ask(&format!("PTTL {key}")).await;
        let here = near.memory().ttl(key.as_bytes()).expect("a life");
        // Asked here after it was asked there; the server rounds down to a millisecond.
        assert!(
            here <= Duration::from_millis(there + 1),
            "{here:?} here, {there} ms there"
        );
    }
}

#[tokio::test]
async fn what_has_expired_on_the_server_is_not_served() {
    let server = Server::start().await;
    let near = near(&server).await;
    near.set_with_ttl("k", &text("v"), Duration::from_millis(150))
        .await
        .unwrap();
    // It may have expired by now, on a slow machine.
    near.get("k").await.unwrap();
    // Nobody has touched it, so the server may not have noticed yet; its clock and this one run alike.
    tokio::time::sleep(Duration::from_millis(160)).await;
    assert_eq!(found(&near.get("k").await), None);
}

#[tokio::test]
async fn a_life_that_is_changed_on_the_server_is_told() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let near = near(&server).await;
    other.run("SET k v PX 100000").await;
    assert_eq!(found(&near.get("k").await), Some("v"));
    other.run("PERSIST k").await;
    eventually("it lives for ever", async || {
        near.get("k").await.unwrap();
        near.memory().ttl(&b"k"[..]) == Some(Duration::MAX)
    })
    .await;
    other.run("PEXPIRE k 1").await;
    reads(&near, "k", None).await;
}

#[tokio::test]
async fn lives_as_they_were_said() {
    let server = Server::start().await;
    server.other().await.run("SET k v").await;
    let builder = texts(100).time_to_live(Duration::from_secs(100));
    let near = connected(builder.absent_for(Duration::from_secs(5)), server.client()).await;
    near.get_many(&["k", "x"]).await.unwrap();
    let life = |key: &str| near.memory().ttl(key.as_bytes()).expect("it is kept");
    assert!(life("k") <= Duration::from_secs(101) && life("k") > Duration::from_secs(5));
    assert!(life("x") <= Duration::from_secs(6));

    let near = connected(texts(100).absent_for(Duration::ZERO), server.client()).await;
    let before = server.calls("get").await;
    for _ in 0..3 {
        assert_eq!(found(&near.get("x").await), None);
        assert_eq!(found(&near.get("k").await), Some("v"));
    }
    assert_eq!(server.calls("get").await - before, 4);
}
