//! A near cache before Redis or Valkey: what each process keeps in memory, by [`brimful`]'s hard bound, of
//! what they all have on a server, kept coherent by that server itself.
//!
//! The server tells the process what changes (client-side caching, `CLIENT TRACKING` of RESP3), so a read from
//! memory costs a look-up and is as good as one from the server, but for the time that news takes to arrive.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use brimful::{Cache, Entries};
//! use brimful_near::{Near, Text, redis};
//!
//! let server = redis::Client::open("redis://127.0.0.1/")?;
//! let users = Near::builder(Cache::builder(Entries(10_000)), Text).connect(server).await?;
//! users.set("user:7", &"ann".into()).await?;
//! for _ in 0..1_000 {
//!     assert_eq!(users.get("user:7").await?.as_deref(), Some("ann"));
//! }
//! assert_eq!(users.stats().memory().loads(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How stale a read can be
//!
//! | | what is served from memory was still so on the server |
//! |---|---|
//! | commonly | when the server's news had not arrived yet: a one-way trip, some 100 µs in a data centre |
//! | always, while there is a connection | at some time in the last [`lease`](Builder::lease) |
//! | connection lost, or pongs late | as before; nothing is served from memory after the lease has ended |
//! | the same, with [`serve_for`](Builder::serve_for) | at some time in the last lease and the time to serve |
//! | a server that tells nothing, with [`or_lives`](Builder::or_lives) | at some time in the last such life |
//!
//! The second line is a bound, whatever the network does: a value is served from memory only while the
//! answer to a ping that was sent in the last lease vouches for all that came before it. Time is the
//! monotonic clock of the process; what a caller does with a value after it has it is not counted. What
//! a load brings was so on the server at some time during that load, which takes
//! [`timeout`](Builder::timeout) at most.
//!
//! Two things are beyond it. Redis tells nothing of `SWAPDB` (7.0 was asked): clear
//! [`Near::memory`] yourself after one, or give values a [time to live](Builder::time_to_live). And on
//! most systems that clock stands still while the machine is suspended, as do leases and lives then.
//!
//! # What is promised beside
//!
//! - The capacity in memory is brimful's: hard at every instant.
//! - One miss, one load, however many wait. A load that began before its key was invalidated goes to its
//!   callers and is not stored.
//! - No older value is read after a newer one, and own writes are read: [`Near`] says for whom.
//! - A lost connection is told ([`Near::link`]); what could have been missed is gone before anything is served
//!   as good again.
//! - Each call ends, within its [`timeout`](Builder::timeout) or soon after.
//!
//! # What it is not for
//!
//! Redis Cluster: a connection here is to one server (or to the master that Sentinel names). Values
//! that are no strings. Counters and locks: they are the server's to change, by a client of your own; what it writes
//! is told like anyone's.
//!
//! # Features
//!
//! Off by default: `json`, the codec [`Json`]; `sentinel`, a [`Source`]. TLS is a feature of the client
//! library: name [`redis`] in your own manifest with `tokio-rustls-comp` or `tokio-native-tls-comp`.

mod builder;
mod codec;
mod error;
mod fetch;
mod keeper;
mod kept;
mod lease;
mod line;
mod link;
mod memory;
mod near;
mod source;
mod stats;
mod write;

pub use builder::Builder;
#[cfg(feature = "json")]
pub use codec::Json;
pub use codec::{Blob, Codec, Text};
pub use error::Error;
pub use kept::{Kept, Key};
pub use link::Link;
pub use near::Near;
pub use redis;
pub use source::Source;
pub use stats::Stats;

/// The README's code runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
