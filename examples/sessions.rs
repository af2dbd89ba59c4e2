//! A session store: `cargo run --release --example sessions`.
//!
//! A session ends half an hour after its last request, and twelve hours after it began,
//! whichever comes first. Who asked to be remembered has thirty days in place of the twelve
//! hours; who has just changed a password has a minute left on all other devices. There are never
//! more sessions than the capacity, whoever knocks, and the log says of each how it ended.
//!
//! Nothing here removes a session that has ended. The cache does: a little with each write, all of
//! it in `sweep`, which a service would call from its timer (see `brimful::guide::who_removes_it`
//! for tokio) or leave to `Cache::sweeper`.
//!
//! The day below is lived by hand: `ManualClock` moves only when told, so the same code that runs
//! behind a server is tested without waiting.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brimful::{Aged, BuildError, Cache, Cause, Clock, Departed, Entries, ManualClock};

const MINUTE: Duration = Duration::from_secs(60);

/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long it lasts at most.
const ABSOLUTE: Duration = Duration::from_secs(12 * 3_600);
/// The same for who asked to be remembered.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What a session token stands for. What changes with each request changes inside of the value: to
/// `Cache::update` it would be written anew, and an absolute limit would begin anew as well.
struct Session {
    user: &'static str,
    requests: AtomicU32,
}

type Token = u64;

/// How many sessions ended for each cause, and how long the longest of them lasted.
type Ends = Arc<Mutex<BTreeMap<Cause, (u32, Duration)>>>;

struct Sessions {
    live: Cache<Token, Arc<Session>, Aged>,
    ends: Ends,
    next: Mutex<Token>,
}

impl Sessions {
    fn new(most: usize, clock: impl Clock + 'static) -> Result<Self, BuildError> {
        let ends = Ends::default();
        let log = ends.clone();
        let live = Cache::builder(Entries(most))
            .time_to_live(ABSOLUTE)
            .time_to_idle(IDLE)
            .record_ages()
            .clock(clock)
            .on_departure(move |left: Departed<'_, Token, Arc<Session>>| {
                let mut log = log.lock().expect("no one panics holding it");
                let (sessions, longest) = log.entry(left.cause).or_default();
                *sessions += 1;
                *longest = left.age.unwrap_or_default().max(*longest);
            })
            .build()?;
        Ok(Self {
            live,
            ends,
            next: Mutex::new(1),
        })
    }

    fn sign_in(&self, user: &'static str, remember: bool) -> Token {
        let mut next = self.next.lock().expect("no one panics holding it");
        // A real one is drawn at random; a counter can be guessed.
        let token = *next;
        *next += 1;
        let session = Arc::new(Session {
            user,
            requests: AtomicU32::new(0),
        });
        let life = if remember { REMEMBERED } else { ABSOLUTE };
        self.live.insert_with_ttl(token, session, life);
        token
    }

    /// A request: who is it, and how many requests were there? Puts the end of the idle time off,
    /// and not the other.
    fn request(&self, token: Token) -> Option<(&'static str, u32)> {
        self.live.view(&token, |_, session| {
            let before = session.requests.fetch_add(1, Ordering::Relaxed);
            (session.user, before + 1)
        })
    }

    fn sign_out(&self, token: Token) -> bool {
        self.live.remove(&token).is_some()
    }

    /// Leaves all other sessions of this one's user a minute.
    fn password_changed(&self, token: Token) -> usize {
        let Some(user) = self.live.peek(&token).map(|session| session.user) else {
            return 0;
        };
        let theirs = self
            .live
            .iter()
            .filter(|(other, session)| session.user == user && *other != token);
        theirs
            .filter(|(other, _)| self.live.set_ttl(other, MINUTE))
            .count()
    }

    /// What a timer calls: everything that has ended, in bounded steps.
    fn sweep(&self) -> u64 {
        let mut expired = 0;
        loop {
            let swept = self.live.sweep(1_000);
            expired += swept.expired;
            if !swept.more {
                return expired;
            }
        }
    }

    /// How many ended for this cause, and how long the longest of them lasted.
    fn ended(&self, cause: Cause) -> (u32, Duration) {
        let ends = self.ends.lock().expect("no one panics holding it");
        ends.get(&cause).copied().unwrap_or_default()
    }
}

/// A day: `visitors` come every minute for ten hours. Some leave, some forget to.
fn day(sessions: &Sessions, clock: &ManualClock, visitors: u32) {
    let mut open = Vec::new();
    for minute in 0..24 * 60 {
        let knocks = if minute < 600 { visitors } else { 0 };
        for n in 0..knocks {
            let user = ["ann", "bob", "eve", "joe"][n as usize % 4];
            open.push((sessions.sign_in(user, n % 10 == 0), minute));
        }
        open.retain(|&(token, began)| match token % 5 {
            // Signs out after ten minutes.
            0 if minute - began == 10 => !sessions.sign_out(token),
            // Comes back every quarter of an hour, all day.
            1 if (minute - began) % 15 == 0 => sessions.request(token).is_some(),
            // Was never seen again.
            _ => true,
        });
        clock.advance(MINUTE);
        if minute % 5 == 0 {
            sessions.sweep();
        }
    }
    sessions.sweep();
}

fn main() -> Result<(), BuildError> {
    let clock = ManualClock::new();
    let sessions = Sessions::new(10_000, clock.clone())?;
    day(&sessions, &clock, 20);

    println!("{:<15}{:>9}{:>14}", "ended because", "sessions", "longest");
    for cause in Cause::ALL {
        let (number, longest) = sessions.ended(cause);
        if number > 0 {
            let hours = longest.as_secs_f64() / 3_600.0;
            println!("{:<15}{number:>9}{hours:>12.1} h", cause.name());
        }
    }
    let stats = sessions.live.stats();
    let lives = stats.ages().cloned().unwrap_or_default();
    println!("\nhow long sessions lasted");
    for (most, number) in lives.iter() {
        println!("up to {:>6.1} h {number:>9}", most.as_secs_f64() / 3_600.0);
    }
    println!(
        "\neach left the store {:?} after its end at most",
        stats.most_late()
    );

    let open = sessions.live.len_live();
    let others = sessions.password_changed(sessions.sign_in("ann", false));
    clock.advance(2 * MINUTE);
    let ended = sessions.sweep();
    println!("{open} remembered ones are still open; ann changes her password and ends {ended}");
    assert_eq!(others as u64, ended);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(most: usize) -> (Sessions, ManualClock) {
        let clock = ManualClock::new();
        let sessions = Sessions::new(most, clock.clone()).unwrap();
        (sessions, clock)
    }

    /// Requests every ten minutes; says how long the session lasted.
    fn lasts(sessions: &Sessions, clock: &ManualClock, token: Token) -> Duration {
        let began = clock.now();
        while sessions.request(token).is_some() {
            clock.advance(10 * MINUTE);
        }
        clock.now() - began
    }

    #[test]
    fn a_session_in_use_ends_at_its_absolute_limit() {
        let (sessions, clock) = store(10);
        let token = sessions.sign_in("ann", false);
        let lasted = lasts(&sessions, &clock, token);
        assert!(lasted >= ABSOLUTE && lasted <= ABSOLUTE + 10 * MINUTE);
        let token = sessions.sign_in("ann", true);
        let lasted = lasts(&sessions, &clock, token);
        assert!(lasted >= REMEMBERED && lasted <= REMEMBERED + 10 * MINUTE);
    }

    #[test]
    fn a_session_that_nobody_uses_ends_after_its_idle_time_and_is_swept() {
        let (sessions, clock) = store(10);
        for user in ["ann", "bob"] {
            sessions.sign_in(user, true);
        }
        clock.advance(IDLE - MINUTE);
        assert_eq!(sessions.request(1), Some(("ann", 1)));
        clock.advance(2 * MINUTE);
        assert_eq!(sessions.sweep(), 1, "bob's, without a request for it");
        assert_eq!(sessions.request(1), Some(("ann", 2)));
        assert_eq!(sessions.request(2), None);
        assert_eq!(sessions.ended(Cause::Expired).0, 1);
    }

    #[test]
    fn a_changed_password_ends_the_other_sessions_soon() {
        let (sessions, clock) = store(10);
        let [mine, phone, others] = ["ann", "ann", "bob"].map(|user| sessions.sign_in(user, true));
        assert_eq!(sessions.password_changed(mine), 1);
        assert!(sessions.request(phone).is_some());
        clock.advance(2 * MINUTE);
        let open = [mine, phone, others].map(|token| sessions.request(token).is_some());
        assert_eq!(open, [true, false, true]);
        assert_eq!(sessions.password_changed(phone), 0);
    }

    #[test]
    fn whoever_knocks_there_are_never_more_than_the_store_holds() {
        let (sessions, clock) = store(100);
        for n in 0..10_000 {
            sessions.sign_in("eve", n % 2 == 0);
            assert!(sessions.live.len() <= 100);
            clock.advance(Duration::from_secs(1));
        }
        assert!(sessions.ended(Cause::Evicted).0 > 9_000);
    }

    #[test]
    fn a_day_ends_with_nothing_left_that_has_ended() {
        let (sessions, clock) = store(10_000);
        day(&sessions, &clock, 3);
        assert_eq!(sessions.live.len(), sessions.live.len_live());
        let (expired, longest) = sessions.ended(Cause::Expired);
        let (signed_out, _) = sessions.ended(Cause::Removed);
        let total = expired + signed_out + sessions.live.len() as u32;
        assert_eq!(total, 3 * 600);
        assert!(longest >= ABSOLUTE && longest < ABSOLUTE + 30 * MINUTE);
        assert!(sessions.live.stats().most_late() <= 5 * MINUTE);
    }
}
