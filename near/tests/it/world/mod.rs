//! What all tests stand on: a server, a proxy before it that misbehaves as told, and patience.

pub(crate) mod proxy;
pub(crate) mod server;

pub(crate) use proxy::Proxy;
pub(crate) use server::Server;

use brimful::policy::Duel;
use brimful::{Cache, Entries};
use brimful_near::{Builder, Codec, Error, Link, Near, Text};
use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time;

/// How long a test waits for what must come before it counts as hung; in seconds by BRIMFUL_PATIENCE. Nothing is
/// asserted about time.
pub(crate) fn patience() -> Duration {
    let seconds = env::var("BRIMFUL_PATIENCE").ok();
    let seconds = seconds.map_or(60, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// A near cache of texts.
pub(crate) type Texts = Near<Text>;

/// Builds a near cache of so many texts. Its lease is so long that no ping is sent while a test waits: one that is
/// about leases says so.
pub(crate) fn texts(entries: usize) -> Builder<Text, Duel, brimful::RandomState> {
    Near::builder(Cache::builder(Entries(entries)), Text).lease(Duration::from_secs(3600))
}

/// A near cache of texts before this server.
pub(crate) async fn near(server: &Server) -> Texts {
    connected(texts(10_000), server.client()).await
}

pub(crate) async fn connected(
    builder: Builder<Text, Duel, brimful::RandomState>,
    client: redis::Client,
) -> Texts {
    builder.connect(client).await.expect("a near cache")
}

use brimful_near::redis;

/// What a read has found.
pub(crate) fn found(read: &Result<Option<Arc<str>>, Error>) -> Option<&str> {
    read.as_ref().expect("an answer").as_deref()
}

pub(crate) fn text(text: impl AsRef<str>) -> <Text as Codec>::Value {
    text.as_ref().into()
}

/// Waits until this is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < patience(), "never came: {what}");
        time::sleep(Duration::from_millis(2)).await;
    }
}

/// The outcome of a task that must end.
pub(crate) async fn ended<T>(task: impl Future<Output = T>) -> T {
    time::timeout(patience(), task).await.expect("stuck")
}

/// Waits until the near cache reads this value.
pub(crate) async fn reads(near: &Texts, key: &str, value: Option<&str>) {
    let what = format!("{key} is {value:?}");
    eventually(&what, async || {
        near.get(key)
            .await
            .is_ok_and(|read| read.as_deref() == value)
    })
    .await;
}

pub(crate) async fn is_up(near: &Texts) {
    let mut link = near.link();
    ended(link.wait_for(|link| *link == Link::Up))
        .await
        .expect("a keeper");
}

pub(crate) async fn is_down(near: &Texts) {
    let mut link = near.link();
    let down = |link: &Link| !link.is_connected();
    ended(link.wait_for(down)).await.expect("a keeper");
}
