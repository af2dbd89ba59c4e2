//! What is read from memory is what the server has, as soon as it has told of it.

use crate::world::{self, Proxy, Server, ended, eventually, found, near, reads, text, texts};
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn many_who_miss_ask_once_and_then_no_more() {
    let server = Server::start().await;
    server.other().await.run("SET k one").await;
    let proxy = Proxy::before(server.port()).await;
    let near = Arc::new(world::connected(texts(100), proxy.client()).await);
    proxy.hold();
    let mut readers = JoinSet::new();
    for _ in 0..100 {
        let near = near.clone();
        readers.spawn(async move { near.get("k").await });
    }
    // All of them are under way before the one answer comes.
    eventually("99 wait", async || near.stats().memory().load_waits() == 99).await;
    proxy.release();
    while let Some(read) = ended(readers.join_next()).await {
        assert_eq!(found(&read.unwrap()), Some("one"));
    }
    assert_eq!(found(&near.get("k").await), Some("one"));
    assert_eq!(server.calls("get").await, 1);
    assert_eq!(near.stats().memory().loads(), 1);
}

#[tokio::test]
async fn what_others_write_is_told() {
    let server = Server::start().await;
    let mut other = server.other().await;
    let near = near(&server).await;
    assert_eq!(found(&near.get("k").await), None);
    other.run("SET k one").await;
    reads(&near, "k", Some("one")).await;
    other.run("APPEND k !").await;
    reads(&near, "k", Some("one!")).await;
    other.run("DEL k").await;
    reads(&near, "k", None).await;
}

#[tokio::test]
async fn that_there_is_no_such_key_is_remembered_until_there_is() {
    let server = Server::start().await;
    let near = near(&server).await;
    for _ in 0..10 {
        assert_eq!(found(&near.get("k").await), None);
    }
    assert_eq!(server.calls("get").await, 1);
    server.other().await.run("SET k one").await;
    reads(&near, "k", Some("one")).await;
}

/// The answer and the news that it is old arrive together: the answer goes to who asked, and is not stored.
#[tokio::test]
async fn a_load_that_began_before_an_invalidation_is_not_stored() {
    for prefixes in [None, Some(["k"])] {
        let server = Server::start().await;
        let mut other = server.other().await;
        other.run("SET k old").await;
        let proxy = Proxy::before(server.port()).await;
        let builder = texts(100);
        let builder = match prefixes {
            None => builder,
            Some(prefixes) => builder.prefixes(prefixes),
        };
        let near = Arc::new(world::connected(builder, proxy.client()).await);
        proxy.hold();
        let reader = tokio::spawn({
            let near = near.clone();
            async move { near.get("k").await }
        });
        eventually("the server has answered", async || {
            server.calls("pttl").await == 1
        })
        .await;
        other.run("SET k new").await;
        // Told in the turn of the server's event loop that ends before this is answered.
        other.run("PING").await;
        proxy.release();
        assert_eq!(found(&ended(reader).await.unwrap()), Some("old"));
        assert_eq!(near.stats().loads_detached(), 1, "{prefixes:?}");
        assert_eq!(found(&near.get("k").await), Some("new"));
        assert_eq!(near.stats().memory().loads(), 2);
    }
}

/// As above, for a load of many keys.
#[tokio::test]
async fn of_many_that_are_loaded_those_that_were_invalidated_are_not_stored() {
    let server = Server::start().await;
    let mut other = server.other().await;
    other.run("MSET a old b old").await;
    let proxy = Proxy::before(server.port()).await;
    let near = Arc::new(world::connected(texts(100), proxy.client()).await);
    proxy.hold();
    let reader = tokio::spawn({
        let near = near.clone();
        async move { near.get_many(&["a", "b"]).await.unwrap() }
    });
    eventually("the server has answered", async || {
        server.calls("pttl").await == 2
    })
    .await;
    other.run("SET a new").await;
    proxy.release();
    assert_eq!(
        ended(reader).await.unwrap(),
        [Some(text("old")), Some(text("old"))]
    );
    assert_eq!(
        near.get_many(&["a", "b"]).await.unwrap(),
        [Some(text("new")), Some(text("old"))]
    );
    assert_eq!(server.calls("get").await, 3);
}

#[tokio::test]
async fn everything_that_is_deleted_is_told() {
    for prefixes in [None, Some(["k"])] {
        for command in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"] {
            let server = Server::start().await;
            let mut other = server.other().await;
            other.run("SET k one").await;
            let builder = texts(100);
            let builder = match prefixes {
                None => builder,
                Some(prefixes) => builder.prefixes(prefixes),
            };
            let near = world::connected(builder, server.client()).await;
            assert_eq!(found(&near.get("k").await), Some("one"));
            other.run(command).await;
            reads(&near, "k", None).await;
        }
    }
}

#[tokio::test]
async fn by_prefixes_all_writers_are_told_of_and_other_keys_are_not_kept() {
    let server = Server::start().await;
    let mut other = server.other().await;
    other.run("MSET user:7 ann page:7 text").await;
    let near = world::connected(texts(100).prefixes(["user:", "shop:"]), server.client()).await;
    for _ in 0..3 {
        assert_eq!(found(&near.get("user:7").await), Some("ann"));
        assert_eq!(found(&near.get("page:7").await), Some("text"));
    }
    // One of the user, three of the page.
    assert_eq!(server.calls("get").await, 4);
    assert_eq!(near.memory().len(), 1);
    other.run("SET page:7 other").await;
    assert_eq!(found(&near.get("page:7").await), Some("other"));
    other.run("SET user:7 bob").await;
    reads(&near, "user:7", Some("bob")).await;
    // A key that was never read here.
    let told = near.stats().invalidated();
    other.run("SET shop:1 open").await;
    eventually("it is told", async || near.stats().invalidated() > told).await;
}

#[tokio::test]
async fn own_writes_are_read() {
    let server = Server::start().await;
    for prefixes in [None, Some([""; 0])] {
        let builder = texts(100);
        let builder = match prefixes {
            None => builder,
            Some(prefixes) => builder.prefixes(prefixes),
        };
        let near = world::connected(builder, server.client()).await;
        for n in 0..200 {
            let value = n.to_string();
            near.set("k", &text(&value)).await.unwrap();
            assert_eq!(found(&near.get("k").await), Some(&*value));
        }
        assert!(near.del("k").await.unwrap());
        assert_eq!(found(&near.get("k").await), None);
        assert!(!near.del("k").await.unwrap());
    }
}

#[tokio::test]
async fn many_keys_at_once() {
    let server = Server::start().await;
    let near = near(&server).await;
    let (one, two) = (text("1"), text("2"));
    near.set_many(&[("a", &one), ("b", &two)]).await.unwrap();
    let read = near.get_many(&["b", "x", "a", "b"]).await.unwrap();
    assert_eq!(
        read,
        [
            Some(two.clone()),
            None,
            Some(one.clone()),
            Some(two.clone())
        ]
    );
    assert_eq!(server.calls("get").await, 3);
    assert_eq!(
        near.get_many(&["b", "x", "a"]).await.unwrap(),
        [Some(two.clone()), None, Some(one)]
    );
    assert_eq!(server.calls("get").await, 3);
    assert_eq!(near.del_many(&["a", "x"]).await.unwrap(), 1);
    assert_eq!(near.get_many(&["a", "b"]).await.unwrap(), [None, Some(two)]);
    let none: [&str; 0] = [];
    assert_eq!(near.get_many(&none).await.unwrap(), []);
    assert_eq!(near.del_many(&none).await.unwrap(), 0);
    near.set_many::<&str>(&[]).await.unwrap();
}

/// A key is any bytes, and so is a value by `Blob`.
#[tokio::test]
async fn keys_and_values_are_any_bytes() {
    use brimful::{Bytes, Cache};
    use brimful_near::{Blob, Near};

    let server = Server::start().await;
    let memory = Cache::builder(Bytes(1 << 20));
    let near = Near::builder(memory, Blob)
        .connect(server.client())
        .await
        .unwrap();
    let key = [0, 255, b'\r', b'\n', b' '];
    let value: Arc<[u8]> = (0..=255).collect();
    near.set(key, &value).await.unwrap();
    assert_eq!(near.get(key).await.unwrap(), Some(value));
    near.set("", &[][..].into()).await.unwrap();
    assert_eq!(near.get("").await.unwrap().as_deref(), Some(&[][..]));
}

#[tokio::test]
async fn json() {
    use brimful::{Cache, Entries};
    use brimful_near::{Error, Json, Near};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct User {
        name: String,
    }

    let server = Server::start().await;
    let users = Near::builder(Cache::builder(Entries(100)), Json::<User>::new());
    let users = users.connect(server.client()).await.unwrap();
    let ann = Arc::new(User {
        name: "ann".to_owned(),
    });
    users.set("user:7", &ann).await.unwrap();
    assert_eq!(users.get("user:7").await.unwrap(), Some(ann));
    let mut other = server.other().await;
    other.run("SET user:8 {").await;
    let error = users.get("user:8").await.unwrap_err();
    assert!(
        matches!(&error, Error::Codec { key, .. } if key == "user:8"),
        "{error}"
    );
    other.run(r#"SET user:8 {"name":"bob"}"#).await;
    assert_eq!(users.get("user:8").await.unwrap().unwrap().name, "bob");
}

/// Who writes may be gone before the answer: what was in memory is gone too.
#[tokio::test]
async fn a_write_whose_caller_is_gone_leaves_nothing_old() {
    let server = Server::start().await;
    server.other().await.run("SET k old").await;
    let proxy = Proxy::before(server.port()).await;
    let near = Arc::new(world::connected(texts(100), proxy.client()).await);
    assert_eq!(found(&near.get("k").await), Some("old"));
    proxy.hold();
    let writer = tokio::spawn({
        let near = near.clone();
        async move { near.set("k", &text("new")).await }
    });
    eventually("it is written", async || server.calls("set").await == 2).await;
    writer.abort();
    assert!(ended(writer).await.unwrap_err().is_cancelled());
    proxy.release();
    assert_eq!(found(&near.get("k").await), Some("new"));
}

/// A listener runs where the server's news is done; one that panics there stops nothing.
#[tokio::test]
async fn a_listener_that_panics() {
    use brimful::{Cache, Cause, Entries};
    use brimful_near::{Kept, Key, Near, Text};

    let server = Server::start().await;
    let mut other = server.other().await;
    let listener = |_: &Key, _: &Kept<Arc<str>>, cause: Cause| {
        assert_ne!(cause, Cause::Removed, "a planted panic")
    };
    let memory = Cache::builder(Entries(100)).listener(listener);
    let near = Near::builder(memory, Text)
        .connect(server.client())
        .await
        .unwrap();
    for n in 0..3 {
        let value = n.to_string();
        other.run(&format!("SET k {value}")).await;
        eventually("the news", async || {
            near.get("k").await.unwrap().as_deref() == Some(&*value)
        })
        .await;
    }
    other.run("FLUSHALL").await;
    reads(&near, "k", None).await;
    assert_eq!(near.stats().connections(), 1);
    assert!(near.stats().memory().listener_panics() >= 2);
}

/// The cache in memory is whatever brimful's builder makes.
#[tokio::test]
async fn any_form_of_cache() {
    use brimful::policy::Sieve;
    use brimful::{Aged, Bytes, Cache, Sampled, Tracked, Weighed};
    use brimful_near::{Near, Text};
    use std::time::Duration;

    let server = Server::start().await;
    server.other().await.run("SET user:7 ann").await;
    let memory = Cache::builder(Bytes(1 << 20))
        .policy::<Sieve>()
        .time_to_idle(Duration::from_secs(60))
        .classes(["user", "other"], |key: &brimful_near::Key, _| {
            usize::from(!key.starts_with(b"user:"))
        })
        .sizing()
        .shards(2);
    let near: Near<Text, Weighed<Sampled<Tracked<Aged<Sieve>>>>> = Near::builder(memory, Text)
        .connect(server.client())
        .await
        .unwrap();
    assert_eq!(near.get("user:7").await.unwrap().as_deref(), Some("ann"));
    let stats = near.stats();
    assert_eq!(
        stats.memory().class("user").map(|flow| flow.entries()),
        Some(1)
    );
    assert!(near.memory().weight() > 0);
}

/// One thread, and a task on it that never waits: it hears of what others write all the same.
#[tokio::test]
async fn a_task_that_does_nothing_but_hit_hears_the_news() {
    let server = Server::start().await;
    let near = near(&server).await;
    near.set("k", &text("old")).await.unwrap();
    let client = server.client();
    let writer = std::thread::spawn(move || {
        let mut connection = client.get_connection().expect("a connection");
        brimful_near::redis::cmd("SET")
            .arg("k")
            .arg("new")
            .exec(&mut connection)
    });
    let began = std::time::Instant::now();
    while found(&near.get("k").await) != Some("new") {
        assert!(began.elapsed() < world::patience(), "the news never came");
    }
    writer.join().unwrap().unwrap();
}
