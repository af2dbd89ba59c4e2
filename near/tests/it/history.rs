//! Histories: a writer counts up under each key; no read is older than one that had ended before it began.
//!
//! Each near cache has readers that share, for each key, the newest number that any of them has read, or that a
//! write through this near cache has ended with. A reader looks at it before it reads, and what it reads must be no
//! older. All this while the way to the server is delayed, held and cut. It holds for the tasks of one
//! near cache; two near caches are not compared, since that is not promised.

use crate::world::{Proxy, Server, Texts, connected, ended, text, texts};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time;

const KEYS: usize = 4;
const NEARS: usize = 3;
const READERS: usize = 4;

/// How many writes a history has; more by BRIMFUL_WRITES.
fn writes() -> u64 {
    std::env::var("BRIMFUL_WRITES")
        .map_or(2_000, |count| count.parse().expect("a number of writes"))
}

struct Watched {
    near: Texts,
    newest: [AtomicU64; KEYS],
    reads: AtomicU64,
}

impl Watched {
    fn new(near: Texts) -> Arc<Self> {
        Arc::new(Self {
            near,
            newest: Default::default(),
            reads: AtomicU64::new(0),
        })
    }

    fn saw(&self, key: usize, number: u64) {
        self.newest[key].fetch_max(number, Ordering::AcqRel);
    }

    async fn read(&self, key: usize, many: bool) {
        let newest = self.newest[key].load(Ordering::Acquire);
        let name = name(key);
        let read = match many {
            false => self.near.get(&name).await,
            true => self
                .near
                .get_many(&[&name])
                .await
                .map(|mut read| read.remove(0)),
        };
        let Ok(read) = read else { return };
        let number = read.map_or(0, |text| text.parse().expect("a number"));
        assert!(
            number >= newest,
            "{name} was {newest}, and {number} after that"
        );
        self.saw(key, number);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }
}

fn name(key: usize) -> String {
    format!("k{key}")
}

async fn reader(watched: Arc<Watched>, over: Arc<AtomicBool>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    while !over.load(Ordering::Acquire) {
        watched
            .read(random.random_range(0..KEYS), random.random_ratio(1, 4))
            .await;
        tokio::task::yield_now().await;
    }
}

/// Misbehaves until it is over; then all is well.
async fn chaos(proxies: Arc<Vec<Proxy>>, over: Arc<AtomicBool>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    while !over.load(Ordering::Acquire) {
        let proxy = &proxies[random.random_range(0..proxies.len())];
        match random.random_range(0..10) {
            0 => proxy.cut(),
            1..=4 => {
                proxy.hold();
                time::sleep(Duration::from_millis(random.random_range(0..30))).await;
                proxy.release();
            }
            _ => proxy.delay(Duration::from_millis(random.random_range(0..4))),
        }
        time::sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
    proxies.iter().for_each(|proxy| proxy.delay(Duration::ZERO));
}

/// One history; the writer counts up by a near cache of its own, which is watched too, so that own writes are
/// read; or by another client.
async fn history(prefixes: Option<[&str; 1]>, lease: Duration, by_near: bool) {
    let server = Server::start().await;
    let mut proxies = Vec::new();
    let mut all = Vec::new();
    for _ in 0..NEARS {
        let proxy = Proxy::before(server.port()).await;
        // Less room than there are keys, so that entries also come and go by themselves.
        let builder = texts(KEYS - 1).lease(lease);
        let builder = match prefixes {
            None => builder,
            Some(prefixes) => builder.prefixes(prefixes),
        };
        all.push(Watched::new(connected(builder, proxy.client()).await));
        proxies.push(proxy);
    }
    let over = Arc::new(AtomicBool::new(false));
    let proxies = Arc::new(proxies);
    let mut tasks = JoinSet::new();
    for (n, watched) in all.iter().enumerate() {
        for reads in 0..READERS {
            let seed = (n * READERS + reads) as u64;
            tasks.spawn(reader(watched.clone(), over.clone(), seed));
        }
    }
    tasks.spawn(chaos(proxies.clone(), over.clone(), 99));
    let mut other = server.other().await;
    for n in 1..=writes() {
        let key = n as usize % KEYS;
        if by_near {
            // An answer that is lost may be of a write that was done or not: one after the other is greater.
            if all[0]
                .near
                .set(name(key), &text(n.to_string()))
                .await
                .is_ok()
            {
                all[0].saw(key, n);
            }
        } else {
            other.run(&format!("SET {} {n}", name(key))).await;
            time::sleep(Duration::from_micros(200)).await;
        }
    }
    over.store(true, Ordering::Release);
    while let Some(task) = ended(tasks.join_next()).await {
        task.unwrap();
    }
    for watched in &all {
        assert!(
            watched.reads.load(Ordering::Relaxed) > 100,
            "hardly anything was read"
        );
        for key in 0..KEYS {
            let there: Option<String> = other.ask(&format!("GET {}", name(key))).await;
            crate::world::reads(&watched.near, &name(key), there.as_deref()).await;
        }
    }
}

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_writer_elsewhere() {
    history(None, LONG, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_writer_elsewhere_by_prefixes() {
    history(Some(["k"]), LONG, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_that_end_all_the_time() {
    history(None, SHORT, false).await;
    history(Some(["k"]), SHORT, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_writer_here() {
    history(None, LONG, true).await;
    history(Some(["k"]), LONG, true).await;
}
