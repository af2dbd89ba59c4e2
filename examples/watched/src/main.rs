//! A service that leaks in four ways, and how a person finds them: `cargo run -p watched`.
//!
//! It makes its own load for some seconds, and serves its page meanwhile: open the address that it
//! prints, `/caches`. At its end it prints what these five calls say. Each is a question.
//!
//! 1. *Which cache, and what is wrong?* `(&pages.stats() - &before).findings()`, or for all of them
//!    `registry.look()`: sentences, with the remedy.
//! 2. *What grows in it?* `&rows.survey(class) - &before`: as the difference of two heap profiles.
//! 3. *Which line of code puts it there?* `pages.stats().callers()`.
//! 4. *Who holds what was let go?* `images.lingering(3)`: since when, how heavy, by how many.
//! 5. *Which work does not end?* `work.stats().scopes()`.
//!
//! Options: `--seconds N`, `--port N`, `--linger` to serve on until it is stopped by Ctrl-C, and
//! `--without BUG` (`key`, `class`, `held`, `scope`), as often as you like. `service.rs` is the service and has the
//! bugs, `server.rs` the web server.

use brimful::{Snapshot, Survey};
use brimful_watch::Registry;
use clap::Parser;
use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use watched::{Bug, Server, Service, class};

/// A service with four planted leaks, and the five calls that find them.
#[derive(Parser)]
#[command(name = "watched")]
struct Args {
    /// For how long it makes its own load
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,

    /// The port on the loopback [default: a free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,

    /// Serves on after the load, until it is stopped
    #[arg(long)]
    linger: bool,

    /// Leaves a leak out
    #[arg(long, value_name = "BUG")]
    without: Vec<Bug>,
}

/// About so many requests are made in a second.
const A_SECOND: u64 = 2_000;

/// What the five calls compare with.
struct Before {
    pages: Snapshot,
    rows: Survey<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let registry = Arc::new(Registry::new());
    let service = Service::new(&args.without, &registry)?;
    let server = Server::start(args.port, service.clone(), registry.clone())?;
    println!("http://{}/caches?refresh=5", server.address());
    let second = Duration::from_secs(1);
    let alarm = Registry::alarm(registry.clone(), second, |name, finding| {
        eprintln!("alarm: {name}: {finding}");
    })?;
    let before = Before {
        pages: service.pages.stats(),
        rows: service.rows.survey(|key, _| class(key).to_owned()),
    };
    load(&service, args.seconds);
    five_calls(&service, &registry, &before);
    if args.linger {
        println!(
            "\nhttp://{}/caches is served until Ctrl-C",
            server.address()
        );
        loop {
            thread::park();
        }
    }
    alarm.stop();
    Ok(())
}

/// Requests of the service's own making.
fn load(service: &Service, seconds: u64) {
    let (began, all) = (Instant::now(), seconds * A_SECOND);
    for request in 0..all {
        service.handle(request);
        let due = Duration::from_secs(1) * (request / (A_SECOND / 100)) as u32 / 100;
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

fn five_calls(service: &Service, registry: &Registry, before: &Before) {
    println!("\n1. What is wrong?");
    for finding in (&service.pages.stats() - &before.pages).findings() {
        println!("pages: {finding}");
    }
    println!("Or all caches at once:\n{}", registry.look());

    println!("2. What grows?");
    let rows = service.rows.survey(|key, _| class(key).to_owned());
    println!("{}", &rows - &before.rows);

    println!("3. Which line of code puts it there?");
    for (line, flow) in service.pages.stats().callers() {
        println!(
            "{line}: {} inserts, {} are there",
            flow.inserts(),
            flow.entries()
        );
    }

    println!("\n4. Who holds what was let go?");
    for value in service.images.lingering(3) {
        let (cause, since, weight) = (value.cause, value.since, value.weight);
        println!(
            "{cause} {since:.1?} ago, {weight} bytes, holders: {}",
            value.holders
        );
    }

    println!("\n5. Which work does not end?");
    if let Some(scopes) = service.work.stats().scopes() {
        let (open, oldest) = (scopes.open, scopes.oldest.unwrap_or_default());
        println!(
            "{open} scopes are open, with {} entries, the oldest for {oldest:.1?}",
            scopes.entries
        );
    }

    println!(
        "\nTo change: in `service.rs`, the key of `page`, the key of `look_up`, the lists `shown` and `audited`."
    );
}
