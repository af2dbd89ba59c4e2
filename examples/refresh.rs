//! Prices that may be a minute old: `cargo run --release --example refresh`.
//!
//! Someone asks for the price of each of twenty goods every second. The service that knows them is
//! slow, and for five minutes of the hour it is down. Three ways to keep its answers:
//!
//! - a time to live alone: once a minute for each good someone waits, and while the
//!   service is down everyone is told so;
//! - values that grow stale after a minute, and are good enough for ten if there is no better one:
//!   as many wait, since nobody here asks at the same time as another (who does is served),
//!   but nobody is told of an error;
//! - the same, loaded elsewhere: nobody waits but for the very first answer.
//!
//! The hour is lived by hand: `ManualClock` moves only when told. What is handed over runs here
//! between two seconds; a service would give it to a thread pool, as in
//! `|refresh| pool.spawn(refresh)`.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brimful::{Aged, BuildError, Cache, Entries, LoadError, ManualClock};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const GOODS: u32 = 20;

/// The slow service.
#[derive(Default)]
struct Service {
    down: AtomicBool,
    asked: AtomicU32,
}

/// A second in which the price was told.
type Price = u64;

impl Service {
    fn ask(&self, second: Price) -> Result<Price, &'static str> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.down.load(Ordering::Relaxed) {
            true => Err("the service is down"),
            false => Ok(second),
        }
    }
}

/// What happened to those who asked for prices.
#[derive(Default, PartialEq, Debug)]
struct Hour {
    queries: u32,
    waited: u32,
    failed: u32,
    oldest: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Live,
    Stale,
    Elsewhere,
}

fn prices(way: Way, clock: ManualClock) -> Result<Cache<u32, Price, Aged>, BuildError> {
    let prices = Cache::builder(Entries(1_000)).clock(clock);
    if way == Way::Live {
        return prices.time_to_live(MINUTE).record_ages().build();
    }
    let prices = prices.refresh_after(MINUTE).time_to_live(10 * MINUTE);
    prices.stale_if_error().build()
}

fn hour(way: Way) -> Result<Hour, BuildError> {
    let clock = ManualClock::new();
    let prices = Arc::new(prices(way, clock.clone())?);
    let service = Arc::new(Service::default());
    let pool: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::default();
    let mut hour = Hour::default();
    for second in 0..3_600 {
        service
            .down
            .store((1_200..1_500).contains(&second), Ordering::Relaxed);
        for good in 0..GOODS {
            let waits = Cell::new(false);
            let asked: Result<Price, LoadError<&str>> = if way == Way::Elsewhere {
                let service = service.clone();
                waits.set(!prices.contains_key(&good));
                let load = move || service.ask(second);
                prices.load_or_refresh(&good).with(load, |refresh| {
                    pool.lock().expect("no one panics holding it").push(refresh);
                })
            } else {
                prices.try_get_or_insert_with(&good, || {
                    waits.set(true);
                    service.ask(second)
                })
            };
            hour.waited += u32::from(waits.get());
            match asked {
                Ok(told) => hour.oldest = hour.oldest.max(second - told),
                Err(_) => hour.failed += 1,
            }
        }
        for refresh in std::mem::take(&mut *pool.lock().expect("no one panics holding it")) {
            refresh();
        }
        clock.advance(SECOND);
    }
    hour.queries = service.asked.load(Ordering::Relaxed);
    Ok(hour)
}

fn main() -> Result<(), BuildError> {
    println!("72,000 times someone asks for one of 20 prices; for 5 minutes the service is down\n");
    println!(
        "{:<34}{:>9}{:>9}{:>9}{:>10}",
        "", "queries", "waited", "failed", "oldest"
    );
    let ways = [
        ("time_to_live", Way::Live),
        ("refresh_after, stale_if_error", Way::Stale),
        ("refresh_after, loaded elsewhere", Way::Elsewhere),
    ];
    for (name, way) in ways {
        let Hour {
            queries,
            waited,
            failed,
            oldest,
        } = hour(way)?;
        println!("{name:<34}{queries:>9}{waited:>9}{failed:>9}{oldest:>8} s");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_elsewhere_makes_nobody_wait_but_the_first() {
        let hour = hour(Way::Elsewhere).unwrap();
        assert_eq!((hour.waited, hour.failed), (GOODS, 0));
    }

    #[test]
    fn stale_values_bridge_what_a_life_alone_does_not() {
        let [live, stale] = [Way::Live, Way::Stale].map(|way| hour(way).unwrap());
        assert!(live.failed > 0 && live.oldest <= 60, "{live:?}");
        assert!(stale.failed == 0 && stale.oldest < 600, "{stale:?}");
        assert_eq!((live.waited, live.queries), (stale.waited, stale.queries));
    }
}
