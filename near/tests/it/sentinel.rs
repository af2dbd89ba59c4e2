//! A master that fails: its replica takes over, and the near cache finds it.

use crate::world::{Server, eventually, found, is_down, is_up, reads, texts};
use brimful_near::redis::sentinel::{SentinelClient, SentinelServerType};

#[tokio::test]
async fn the_master_that_takes_over_is_found() {
    let mut master = Server::start().await;
    master.other().await.run("SET k old").await;
    let replica = Server::start_with(&[&format!("replicaof 127.0.0.1 {}", master.port())]).await;
    let mut there = replica.other().await;
    eventually("the replica has it", async || {
        there.ask::<Option<String>>("GET k").await.is_some()
    })
    .await;
    let watched = format!("sentinel monitor it 127.0.0.1 {} 1", master.port());
    let sentinel = near_server::Server::start_sentinel(&[
        &watched,
        "sentinel down-after-milliseconds it 300",
        "sentinel failover-timeout it 2000",
    ])
    .unwrap_or_else(|why| panic!("{why}"));
    let mut asked = crate::world::server::other(sentinel.port()).await;
    eventually("the sentinel knows the replica", async || {
        let replicas: Vec<redis::Value> = asked.ask("SENTINEL REPLICAS it").await;
        replicas.len() == 1
    })
    .await;
    let client = SentinelClient::build(
        vec![sentinel.url()],
        "it".to_owned(),
        None,
        SentinelServerType::Master,
    );
    let near = texts(100).connect(client.unwrap()).await.unwrap();
    assert_eq!(found(&near.get("k").await), Some("old"));
    master.kill();
    is_down(&near).await;
    is_up(&near).await;
    assert_eq!(found(&near.get("k").await), Some("old"));
    let mut writer = replica.other().await;
    writer.run("SET k new").await;
    reads(&near, "k", Some("new")).await;
}
