//! The sweeper's thread, under a watchdog: it finds what has ended, ends with its
//! cache or its handle, keeps nothing alive, and goes on after whatever panics.
//!
//! That a thread has ended is seen by the system's list of threads, on Linux, and
//! by the drop of what the thread itself keeps, everywhere. Tests run one at a
//! time, and each begins with no sweeper running: so none is left by the others.
//! Nothing to scale, no randomness, and no claim on how long anything takes, but
//! that it ends.
//!
//! Covers faults 8, 40 and 60 of `tests/FAULTS.md` where the thread is concerned.

use crate::world::watchdog::{patience, sweepers_alone};
use crate::world::{Ledger, Val, ends};
use brimful::{Cache, Cause, Clock, Departed, Entries, ManualClock, Sweeper, Timed};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const OFTEN: Duration = Duration::from_millis(1);

/// As good as never, in a test.
const SELDOM: Duration = Duration::from_secs(36_000);

const LIFE: Duration = Duration::from_secs(1);

/// After this a life is past, and the wheel's bucket due.
const PAST: Duration = Duration::from_secs(2);

/// How much work the thread does before it looks up.
const A_TURN: usize = 1_024;

const NAME: &str = "brimful-sweeper";

// ---- the watchdog ---------------------------------------------------------------------

/// Runs a scenario, alone and with no sweeper running; it must end.
fn alone(scenario: impl FnOnce() + Send + 'static) {
    let _alone = sweepers_alone();
    none_is_left();
    ends(scenario);
}

/// Waits for something that must come.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < patience(), "waited in vain: {what}");
        thread::sleep(OFTEN);
    }
}

/// How many sweepers run in this process, where the system tells.
fn running() -> Option<usize> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    let names = threads.flatten().filter_map(name);
    Some(names.filter(|name| name.trim() == NAME).count())
}

fn none_is_left() {
    until("all sweepers end", || {
        running().is_none_or(|running| running == 0)
    });
}

fn on_a_sweeper() -> bool {
    thread::current().name() == Some(NAME)
}

// ---- what is swept --------------------------------------------------------------------

type Swept = Cache<u32, Val, brimful::Timed<brimful::policy::Duel>>;

/// A cache, its clock, and what became of its values.
struct Scene {
    cache: Arc<Swept>,
    clock: ManualClock,
    ledger: Ledger,
    told: Told,
}

/// How often each value was told, and with which cause last.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<u64, (u32, Cause)>>>);

impl Told {
    fn note(&self, value: u64, cause: Cause) {
        let mut told = self.0.lock().unwrap();
        let times = told.get(&value).map_or(0, |told| told.0);
        told.insert(value, (times + 1, cause));
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// These values were told once each, all as expired, and no others.
    fn all_expired_once(&self, values: u32) {
        let told = self.0.lock().unwrap();
        assert_eq!(told.len(), values as usize);
        assert!(
            told.values().all(|&told| told == (1, Cause::Expired)),
            "{told:?}"
        );
    }
}

impl Scene {
    fn new() -> Self {
        Self::hearing(|_| ())
    }

    /// With a listener that does something after it has noted what it hears.
    fn hearing(then: impl Fn(&Departed<'_, u32, Val>) + Send + Sync + 'static) -> Self {
        let (clock, told) = (ManualClock::new(), Told::default());
        let noted = told.clone();
        let cache = Cache::builder(Entries(100_000))
            .time_to_live(LIFE)
            .clock(clock.clone())
            .on_departure(move |left: Departed<'_, u32, Val>| {
                noted.note(left.value.id, left.cause);
                then(&left);
            })
            .build()
            .expect("a plain configuration");
        Self {
            cache: Arc::new(cache),
            clock,
            ledger: Ledger::default(),
            told,
        }
    }

    /// Entries 0 to `entries`, all past their end.
    fn filled(self, entries: u32) -> Self {
        for n in 0..entries {
            self.cache.insert(n, self.ledger.value(n.into()));
        }
        self.clock.advance(PAST);
        self
    }

    fn sweeper(&self, every: Duration) -> Sweeper {
        self.cache.sweeper(every).expect("a thread")
    }

    fn until_swept(&self) {
        until("all are swept", || {
            self.cache.is_empty() && self.ledger.live() == 0
        });
    }
}

// ---- what it is for -------------------------------------------------------------------

#[test]
fn what_has_ended_leaves_without_a_call() {
    alone(|| {
        let elsewhere = Arc::new(AtomicUsize::new(0));
        let count = elsewhere.clone();
        let scene = Scene::hearing(move |_| {
            count.fetch_add(usize::from(!on_a_sweeper()), Ordering::SeqCst);
        });
        let scene = scene.filled(5_000);
        let sweeper = scene.sweeper(OFTEN);
        scene.until_swept();
        scene.told.all_expired_once(5_000);
        assert_eq!(elsewhere.load(Ordering::SeqCst), 0, "all by the sweeper");
        assert_eq!(sweeper.panics(), 0);
        scene.cache.check();
    });
}

#[test]
fn what_has_not_ended_stays() {
    alone(|| {
        let scene = Scene::new().filled(100);
        let sweeper = scene.sweeper(OFTEN);
        scene.until_swept();
        scene.cache.insert(200, scene.ledger.value(200));
        let forever = scene.ledger.value(201);
        scene.cache.insert_with_ttl(201, forever, Duration::MAX);
        // The sweeper has been at it when it has taken out the one that ends.
        scene.clock.advance(PAST);
        until("one is swept", || scene.ledger.live() == 1);
        assert!(scene.cache.contains_key(&201));
        sweeper.stop();
        assert_eq!(scene.cache.len(), 1);
    });
}

// ---- how it ends ----------------------------------------------------------------------

#[test]
fn it_ends_with_its_cache() {
    for every in [OFTEN, SELDOM, Duration::MAX] {
        for is_detached in [false, true] {
            alone(move || {
                let scene = Scene::new().filled(10);
                let sweeper = scene.sweeper(every);
                let kept = if is_detached {
                    sweeper.detach();
                    None
                } else {
                    Some(sweeper)
                };
                until("it runs", || running().is_none_or(|running| running == 1));
                drop(scene);
                none_is_left();
                drop(kept);
            });
        }
    }
}

#[test]
fn it_ends_with_its_handle() {
    for every in [OFTEN, SELDOM, Duration::MAX] {
        alone(move || {
            let scene = Scene::new();
            drop(scene.sweeper(every));
            none_is_left();
            scene.sweeper(every).stop();
            none_is_left();
            assert_eq!(Arc::strong_count(&scene.cache), 1);
        });
    }
}

/// What a thread keeps for itself, and says when it ends.
struct Farewell(Sender<()>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

thread_local! {
    static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

/// A scene whose sweeper says when it ends, if it has swept something.
fn with_farewell() -> (Scene, Receiver<()>) {
    let (say, ended) = channel();
    let say = Mutex::new(say);
    let scene = Scene::hearing(move |_| {
        if on_a_sweeper() {
            let say = say.lock().unwrap().clone();
            FAREWELL.with_borrow_mut(|farewell| _ = farewell.get_or_insert(Farewell(say)));
        }
    });
    (scene.filled(100), ended)
}

#[test]
fn its_thread_is_gone_when_stop_returns() {
    alone(|| {
        let (scene, ended) = with_farewell();
        let sweeper = scene.sweeper(OFTEN);
        scene.until_swept();
        sweeper.stop();
        ended.try_recv().expect("it has ended");
    });
}

#[test]
fn its_thread_goes_with_the_cache_everywhere() {
    alone(|| {
        let (scene, ended) = with_farewell();
        scene.sweeper(OFTEN).detach();
        scene.until_swept();
        drop(scene);
        ended.recv_timeout(patience()).expect("it has ended");
    });
}

#[test]
fn a_cache_taken_out_of_its_arc_still_ends_it() {
    alone(|| {
        let scene = Scene::new();
        let sweeper = scene.sweeper(SELDOM);
        let cache = Arc::try_unwrap(scene.cache).expect("nobody else holds it");
        cache.insert_with_ttl(1, scene.ledger.value(1), LIFE);
        drop(cache);
        none_is_left();
        drop(sweeper);
    });
}

/// A listener on the sweeper waits in the midst of the first turn, until the test has
/// done something.
fn in_the_midst_of_a_turn(entries: u32, then: impl FnOnce(Scene, Sweeper)) -> Told {
    let (reached, midst) = channel();
    let (open, gate) = channel::<()>();
    let doors = Mutex::new(Some((reached, gate)));
    let scene = Scene::hearing(move |_| {
        if let Some((reached, gate)) = doors.lock().unwrap().take() {
            reached.send(()).unwrap();
            let _ = gate.recv();
        }
    });
    let scene = scene.filled(entries);
    let sweeper = scene.sweeper(OFTEN);
    let (told, ledger) = (scene.told.clone(), scene.ledger.clone());
    midst.recv_timeout(patience()).expect("it sweeps");
    let kept = scene.cache.clone();
    then(scene, sweeper);
    drop(open);
    drop(kept);
    none_is_left();
    until("the values are gone", || ledger.live() == 0);
    told
}

#[test]
fn it_ends_between_two_turns_though_more_is_due() {
    alone(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let told = in_the_midst_of_a_turn(20_000, move |scene, sweeper| {
            drop(sweeper);
            let (cache, told) = (scene.cache, scene.told);
            thread::spawn(move || {
                none_is_left();
                seen.store(told.len(), Ordering::SeqCst);
                drop(cache);
            });
        });
        until("it was counted", || count.load(Ordering::SeqCst) > 0);
        if running().is_some() {
            let swept = count.load(Ordering::SeqCst);
            assert!(swept <= A_TURN, "{swept} after it was told to end");
        }
        told.all_expired_once(20_000);
    });
}

#[test]
fn a_cache_let_go_of_in_the_midst_of_a_turn_is_dropped_by_the_sweeper() {
    alone(|| {
        let told = in_the_midst_of_a_turn(5_000, |scene, sweeper| {
            drop(scene);
            sweeper.detach();
        });
        told.all_expired_once(5_000);
    });
}

#[test]
fn a_listener_on_its_thread_may_stop_it_and_let_go_of_the_cache() {
    alone(|| {
        let handles = Arc::new(Mutex::new(None::<(Sweeper, Arc<Swept>)>));
        let taken = handles.clone();
        let scene = Scene::hearing(move |_| {
            if let Some((sweeper, cache)) = taken.lock().unwrap().take() {
                sweeper.stop();
                drop(cache);
            }
        });
        let scene = scene.filled(3_000);
        let mut held = handles.lock().unwrap();
        *held = Some((scene.sweeper(OFTEN), scene.cache.clone()));
        drop(scene.cache);
        drop(held);
        none_is_left();
        until("the values are gone", || scene.ledger.live() == 0);
        scene.told.all_expired_once(3_000);
    });
}

// ---- what it keeps alive --------------------------------------------------------------

#[test]
fn it_keeps_nothing_alive() {
    alone(|| {
        for round in 0..200 {
            let scene = Scene::new().filled(round * 20);
            let sweeper = scene.sweeper(Duration::from_micros(u64::from(round % 7) * 50));
            let (weak, ledger) = (Arc::downgrade(&scene.cache), scene.ledger.clone());
            let told = scene.told.clone();
            if round % 2 == 0 {
                thread::yield_now();
            }
            drop(scene);
            sweeper.stop();
            assert!(weak.upgrade().is_none(), "the cache is held");
            assert_eq!(ledger.live(), 0, "values are held");
            told.all_expired_once(round * 20);
        }
    });
}

#[test]
fn while_it_waits_it_holds_no_cache() {
    alone(|| {
        let scene = Scene::new();
        let sweeper = scene.sweeper(SELDOM);
        until("it runs", || running().is_none_or(|running| running == 1));
        assert_eq!(Arc::strong_count(&scene.cache), 1);
        sweeper.stop();
        assert_eq!(Arc::weak_count(&scene.cache), 0, "nor a trace of it after");
    });
}

// ---- what it survives -----------------------------------------------------------------

/// Sweeps 5,000 entries, whatever the listener does, and says how often it panicked.
fn swept_in_spite_of(then: impl Fn(&Departed<'_, u32, Val>) + Send + Sync + 'static) -> u64 {
    let scene = Scene::hearing(then).filled(5_000);
    let sweeper = scene.sweeper(OFTEN);
    scene.until_swept();
    scene.told.all_expired_once(5_000);
    scene.cache.check();
    // The last panic is counted after its turn.
    until("it is counted", || sweeper.panics() > 0);
    let listened = scene.cache.stats().listener_panics();
    let panics = sweeper.panics();
    assert!(panics <= listened, "{panics} of {listened}");
    sweeper.stop();
    panics
}

#[test]
fn it_survives_a_listener_that_panics() {
    alone(|| {
        let panics = swept_in_spite_of(|_| resume_unwind(Box::new("the listener panics")));
        assert!(panics > 1, "it went on after the first");
    });
    alone(|| {
        let once = AtomicBool::new(true);
        let panics = swept_in_spite_of(move |_| {
            if once.swap(false, Ordering::SeqCst) {
                resume_unwind(Box::new("the listener panics once"));
            }
        });
        assert_eq!(panics, 1);
    });
}

#[test]
fn it_survives_a_panic_whose_payload_panics_when_dropped() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                resume_unwind(Box::new("the payload panics"));
            }
        }
    }
    alone(|| {
        let panics = swept_in_spite_of(|left| {
            if *left.key % 100 == 0 {
                resume_unwind(Box::new(Bomb));
            }
        });
        assert!(panics > 1, "it went on after the first");
    });
}

#[test]
fn it_survives_values_that_panic_when_dropped() {
    struct Fuse(Arc<AtomicUsize>);
    impl Drop for Fuse {
        fn drop(&mut self) {
            if self.0.fetch_sub(1, Ordering::SeqCst) % 100 == 0 {
                resume_unwind(Box::new("the value panics"));
            }
        }
    }
    alone(|| {
        let (clock, alive) = (ManualClock::new(), Arc::new(AtomicUsize::new(2_000)));
        let cache = Cache::builder(Entries(10_000)).time_to_live(LIFE);
        let cache: Cache<u32, Fuse, Timed> = cache.clock(clock.clone()).build().unwrap();
        let cache = Arc::new(cache);
        cache.extend((0..2_000).map(|n| (n, Fuse(alive.clone()))));
        clock.advance(PAST);
        let sweeper = cache.sweeper(OFTEN).expect("a thread");
        until("all are swept", || alive.load(Ordering::SeqCst) == 0);
        until("it is counted", || sweeper.panics() > 1);
        assert!(cache.is_empty());
        cache.check();
        sweeper.stop();
    });
}

#[test]
fn it_survives_a_clock_that_panics() {
    #[derive(Clone)]
    struct Moody(ManualClock, Arc<AtomicUsize>);
    impl Clock for Moody {
        fn now(&self) -> Duration {
            let mood = self.1.fetch_add(1, Ordering::SeqCst);
            if on_a_sweeper() && mood % 2 == 0 {
                resume_unwind(Box::new("the clock panics"));
            }
            self.0.now()
        }
    }
    alone(|| {
        let clock = Moody(ManualClock::new(), Arc::default());
        let cache = Cache::builder(Entries(100)).time_to_live(LIFE);
        let cache: Cache<u32, u32, Timed> = cache.clock(clock.clone()).build().unwrap();
        let cache = Arc::new(cache);
        let sweeper = cache.sweeper(OFTEN).expect("a thread");
        for round in 0..5 {
            cache.insert(round, round);
            clock.0.advance(PAST);
            until("it is swept", || cache.is_empty());
        }
        until("it is counted", || sweeper.panics() > 1);
        sweeper.stop();
        cache.check();
    });
}

#[test]
fn an_interval_of_zero_is_no_race() {
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);
    impl Clock for Counting {
        fn now(&self) -> Duration {
            self.0.fetch_add(1, Ordering::SeqCst);
            Duration::ZERO
        }
    }
    alone(|| {
        let clock = Counting::default();
        let cache = Cache::builder(Entries(100)).time_to_live(LIFE);
        let cache: Cache<u32, u32, Timed> = cache.clock(clock.clone()).build().unwrap();
        let cache = Arc::new(cache);
        let began = Instant::now();
        let sweeper = cache.sweeper(Duration::ZERO).expect("a thread");
        until("it sweeps", || clock.0.load(Ordering::SeqCst) > 20);
        sweeper.stop();
        // However slow this machine is: it waits a millisecond before each sweep.
        let sweeps = clock.0.load(Ordering::SeqCst) as u128;
        let most = began.elapsed().as_millis();
        assert!(sweeps <= most, "{sweeps} sweeps in {most} ms");
    });
}

// ---- many -----------------------------------------------------------------------------

#[test]
fn many_caches_have_one_each() {
    alone(|| {
        let scenes: Vec<_> = (0..64).map(|n| Scene::new().filled(n * 10)).collect();
        let sweepers: Vec<_> = scenes.iter().map(|scene| scene.sweeper(OFTEN)).collect();
        for (n, scene) in (0..).zip(&scenes) {
            scene.until_swept();
            scene.told.all_expired_once(n * 10);
        }
        assert!(running().is_none_or(|running| running == 64));
        let mut kept = Vec::new();
        for (n, (scene, sweeper)) in scenes.into_iter().zip(sweepers).enumerate() {
            match n % 3 {
                0 => sweeper.stop(),
                1 => sweeper.detach(),
                _ => kept.push(sweeper),
            }
            drop(scene);
        }
        none_is_left();
    });
}

#[test]
fn one_cache_has_many() {
    alone(|| {
        let scene = Scene::new().filled(20_000);
        let sweepers: Vec<_> = (0..8).map(|_| scene.sweeper(OFTEN)).collect();
        scene.until_swept();
        scene.told.all_expired_once(20_000);
        assert!(running().is_none_or(|running| running == 8));
        drop(scene);
        none_is_left();
        drop(sweepers);
    });
}

#[test]
fn sweepers_come_and_go() {
    alone(|| {
        let scene = Scene::new();
        for round in 0..300_u32 {
            let sweeper = scene.sweeper(if round % 2 == 0 { OFTEN } else { SELDOM });
            if round % 3 == 0 {
                sweeper.stop();
            }
        }
        none_is_left();
        let scene = scene.filled(100);
        let _sweeper = scene.sweeper(OFTEN);
        scene.until_swept();
    });
}
