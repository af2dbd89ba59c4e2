//! One process: what it does, and what it found, as words between processes.

use super::Outcome;
use brimful::{Bytes, Cache, Timed, Weighed};
use brimful_near::redis::{self, Client, aio::MultiplexedConnection};
use brimful_near::{Near, Text};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, thread};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time;

pub(crate) const USERS: u64 = 20_000;
pub(crate) const CLOCK: &str = "user:clock";

/// What a process keeps in memory: a part of the users.
const CAPACITY: Bytes = Bytes(2 << 20);
/// Requests at the same time.
const TASKS: u64 = 8;
/// A request reads so many users, then there is a pause: the processes are busy, not overloaded.
const READS: u64 = 16;
const PAUSE: Duration = Duration::from_millis(1);
/// Instead of so many reads there is one write.
const WRITES: u32 = 200;
/// Latencies are kept by their share of reads, in so many parts.
const PARTS: usize = 1_000;

/// How users are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    Plain,
    Keys,
    Prefix,
}

pub(crate) struct Plan {
    pub(crate) how: How,
    pub(crate) port: u16,
    pub(crate) time: Duration,
}

impl Plan {
    pub(crate) fn words(&self) -> [String; 3] {
        let how = format!("{:?}", self.how);
        [
            how,
            self.port.to_string(),
            self.time.as_millis().to_string(),
        ]
    }

    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut next = || words.next().ok_or("the plan is too short");
        let how = match &*next()? {
            "Plain" => How::Plain,
            "Keys" => How::Keys,
            "Prefix" => How::Prefix,
            other => return Err(format!("no such way to read: {other}").into()),
        };
        let port = next()?.parse()?;
        let time = Duration::from_millis(next()?.parse()?);
        Ok(Self { how, port, time })
    }
}

/// What was found: latencies and ages of news in nanoseconds, unsorted.
#[derive(Default)]
pub(crate) struct Findings {
    latencies: Vec<u64>,
    news: Vec<u64>,
    reads: u64,
    asked: u64,
    older: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.news.extend(other.news);
        self.latencies.sort_unstable();
        self.news.sort_unstable();
        self.reads += other.reads;
        self.asked += other.asked;
        self.older += other.older;
    }

    pub(crate) fn line(&self, time: Duration) -> String {
        let micros = |sorted: &[u64], part| at(sorted, part) as f64 / 1e3;
        let rate = self.reads as f64 / time.as_secs_f64();
        let asked = 100.0 * self.asked as f64 / self.reads.max(1) as f64;
        format!(
            "{rate:>9.0} {:>10.2} {:>8.1} {asked:>15.2}% {:>12.0} {:>7.0} {:>18}",
            micros(&self.latencies, 0.5),
            micros(&self.latencies, 0.99),
            micros(&self.news, 0.5),
            micros(&self.news, 0.99),
            self.older,
        )
    }

    /// Whether what must never be was.
    pub(crate) fn check(&self) -> Outcome<()> {
        match self.older {
            0 => Ok(()),
            older => Err(format!("an older time was read after a newer one, {older} times").into()),
        }
    }

    /// Which part of the reads, in percent, took at most how many microseconds.
    pub(crate) fn latencies(&self) -> Vec<(f64, f64)> {
        let parts = (0..=PARTS).map(|part| part as f64 / PARTS as f64);
        parts
            .map(|part| (part * 100.0, at(&self.latencies, part) as f64 / 1e3))
            .collect()
    }

    pub(crate) fn read(text: &str) -> Outcome<Self> {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            let numbers: Result<Vec<u64>, _> = words.map(str::parse).collect();
            let numbers = numbers?;
            match name {
                "latencies" => found.latencies = numbers,
                "news" => found.news = numbers,
                "counts" => match *numbers {
                    [reads, asked, older] => {
                        (found.reads, found.asked, found.older) = (reads, asked, older)
                    }
                    _ => return Err("three counts are needed".into()),
                },
                other => return Err(format!("what is {other}?").into()),
            }
        }
        Ok(found)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, sample) in [("latencies", &self.latencies), ("news", &self.news)] {
            write!(f, "{name}")?;
            sample.iter().try_for_each(|nanos| write!(f, " {nanos}"))?;
            writeln!(f)?;
        }
        writeln!(f, "counts {} {} {}", self.reads, self.asked, self.older)
    }
}

fn at(sorted: &[u64], part: f64) -> u64 {
    let place = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(0)
}

/// Nanoseconds of the wall clock, which both processes share.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) async fn fill(connection: &mut MultiplexedConnection) -> Outcome<()> {
    let mut pipe = redis::pipe();
    for user in 0..USERS {
        pipe.cmd("SET")
            .arg(key(user))
            .arg(format!("user {user}, {}", "x".repeat(200)))
            .ignore();
    }
    Ok(pipe.exec_async(connection).await?)
}

fn key(user: u64) -> String {
    format!("user:{user}")
}

/// The users, by one way or the other.
enum Users {
    Plain(MultiplexedConnection),
    Near(Near<Text, Weighed<Timed>>),
}

impl Users {
    async fn connect(plan: &Plan) -> Outcome<Self> {
        let client = Client::open(format!("redis://127.0.0.1:{}/", plan.port))?;
        let builder = Near::builder(Cache::builder(CAPACITY).named("users"), Text);
        Ok(match plan.how {
            How::Plain => Self::Plain(client.get_multiplexed_async_connection().await?),
            How::Keys => Self::Near(builder.connect(client).await?),
            How::Prefix => Self::Near(builder.prefixes(["user:"]).connect(client).await?),
        })
    }

    async fn get(&self, key: &str) -> Outcome<Option<Arc<str>>> {
        match self {
            Self::Near(near) => Ok(near.get(key).await?),
            Self::Plain(connection) => {
                let mut connection = connection.clone();
                let text: Option<String> = redis::cmd("GET")
                    .arg(key)
                    .query_async(&mut connection)
                    .await?;
                Ok(text.map(Arc::from))
            }
        }
    }

    async fn set(&self, key: &str, value: &Arc<str>) -> Outcome<()> {
        match self {
            Self::Near(near) => Ok(near.set(key, value).await?),
            Self::Plain(connection) => {
                let mut set = redis::cmd("SET");
                set.arg(key).arg(&**value);
                Ok(set.exec_async(&mut connection.clone()).await?)
            }
        }
    }

    /// How many reads have asked the server.
    fn asked(&self, reads: u64) -> u64 {
        match self {
            Self::Near(near) => near.stats().memory().loads(),
            Self::Plain(_) => reads,
        }
    }
}

pub(crate) async fn work(plan: &Plan) -> Outcome<Findings> {
    let users = Arc::new(Users::connect(plan).await?);
    let end = Instant::now() + plan.time;
    let reads = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (users, reads) = (users.clone(), reads.clone());
        let requests = async move {
            requests(&users, &reads, task, end)
                .await
                .map_err(|error| error.to_string())
        };
        tasks.spawn(requests);
    }
    let watch = spawn_blocking({
        let users = users.clone();
        move || watch_clock(&users, end).map_err(|error| error.to_string())
    });
    let mut found = watch.await??;
    while let Some(latencies) = tasks.join_next().await {
        found.latencies.extend(latencies??);
    }
    found.reads += reads.load(Ordering::Relaxed);
    found.asked = users.asked(found.reads);
    Ok(found)
}

/// Reads, and some writes; of the reads a sample of what they took.
async fn requests(users: &Users, reads: &AtomicU64, task: u64, end: Instant) -> Outcome<Vec<u64>> {
    let mut random = SmallRng::seed_from_u64(task ^ now());
    let popular = Zipf::new(USERS as f64, 1.0)?;
    let mut latencies = Vec::new();
    let mut count = 0;
    while Instant::now() < end {
        let key = key(popular.sample(&mut random) as u64 - 1);
        if random.random_ratio(1, WRITES) {
            users
                .set(&key, &format!("renamed, {}", "y".repeat(200)).into())
                .await?;
            continue;
        }
        let began = Instant::now();
        users.get(&key).await?;
        let took = began.elapsed();
        if random.random_ratio(1, 20) {
            latencies.push(u64::try_from(took.as_nanos())?);
        }
        count += 1;
        if count % READS == 0 {
            time::sleep(PAUSE).await;
        }
    }
    reads.fetch_add(count, Ordering::Relaxed);
    Ok(latencies)
}

/// Looks at the clock all the time, from a thread of its own, as tasks sleep a millisecond at least: how old each
/// new time was when it was first seen, how often an older time came after a newer one, and how often it looked.
fn watch_clock(users: &Users, end: Instant) -> Outcome<Findings> {
    let (mut found, mut newest) = (Findings::default(), 0);
    while Instant::now() < end {
        let seen = Handle::current().block_on(users.get(CLOCK))?;
        let set: u64 = seen.map_or(Ok(0), |text| text.parse())?;
        found.reads += 1;
        found.older += u64::from(set < newest);
        if set > newest {
            if newest > 0 {
                found.news.push(now().saturating_sub(set));
            }
            newest = set;
        }
        thread::sleep(Duration::from_micros(50));
    }
    Ok(found)
}
