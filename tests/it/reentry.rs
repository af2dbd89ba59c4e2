//! User code that calls back into the cache: every scenario ends, under a watchdog.
//!
//! Where no lock is held (drop of keys and values, listener, weigher at insert,
//! loader, `Hash`, `Clone` of what is about to be stored, the iterator given to
//! `extend`), every method may be called on the same cache, by the same thread or
//! by another one that it waits for. That also proves that no lock is held there.
//!
//! Under a lock (closures of `view`, `update`, `remove_if`, `retain`, `and_modify`
//! and the weigher after a change) calling any cache is a panic that says so, in
//! release builds too; from `Eq` and `Clone` in debug builds. In a read without a lock they may
//! call another cache, and calling their own is a panic in all builds. The cache works on.
//!
//! Processes of their own show that what a panic drops on its way is not dropped
//! under a lock either. Run with `--release` too. No randomness.
//! Scale: `BRIMFUL_REENTRY=1` makes each call in all ways; by default half of them are made, in one.
//!
//! Covers faults 53 to 57, 61 and 115 of `tests/FAULTS.md`.

use crate::world::Bounded;
use crate::world::around::{Around, Aside};
use crate::world::counted::Site;
use crate::world::panics::{ON_PURPOSE, REFUSAL, TOO_DEEP, hush_refusals, panic_of};
use crate::world::scale::{child, scenario};
use crate::world::watchdog::patience;
use crate::world::{Threaded, done, env};
use brimful::policy::{Duel, Fifo, Lru, Policy};
use brimful::{Cache, Cause, Entries, Next, Weighed, Weight};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Weak};

// ---- keys and values that call back ----

type Callback = Box<dyn FnOnce()>;

thread_local! {
    /// Runs at the n-th visit of a site, once.
    static HOOKS: RefCell<Vec<(Site, u32, Callback)>> = const { RefCell::new(Vec::new()) };
    static RAN: Cell<u32> = const { Cell::new(0) };
}

fn hook(site: Site, visit: u32, callback: impl FnOnce() + 'static) {
    HOOKS.with_borrow_mut(|hooks| hooks.push((site, visit, Box::new(callback))));
}

/// Called wherever user code runs.
fn visit(site: Site) {
    let due = HOOKS.try_with(|hooks| {
        let mut hooks = hooks.borrow_mut();
        let index = hooks.iter().position(|hook| hook.0 == site)?;
        hooks[index].1 -= 1;
        (hooks[index].1 == 0).then(|| hooks.remove(index).2)
    });
    if let Ok(Some(callback)) = due {
        RAN.set(RAN.get() + 1);
        callback();
    }
}

#[derive(Debug)]
struct Key(u32);

#[derive(Debug)]
struct Val(u64);

impl Drop for Key {
    fn drop(&mut self) {
        visit(Site::DropKey);
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        visit(Site::DropValue);
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        visit(Site::CloneKey);
        Key(self.0)
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        visit(Site::CloneValue);
        Val(self.0)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        visit(Site::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        visit(Site::Eq);
        self.0 == other.0
    }
}

impl Eq for Key {}

type C<P> = Cache<Key, Val, Weighed<P>>;

const CAPACITY: u64 = 100;

/// A full cache of 50 entries of weight 2.
fn full<P: Policy>(shards: usize) -> Arc<C<P>> {
    let weigher = |_: &Key, value: &Val| {
        visit(Site::Weigher);
        value.0
    };
    let builder = Cache::builder(Weight(CAPACITY, weigher)).policy::<P>();
    let builder = builder.shards(shards);
    let cache = builder
        .listener(|_: &Key, _: &Val, _: Cause| visit(Site::Listener))
        .build()
        .unwrap();
    cache.extend((0..50).map(|n| (Key(n), Val(2))));
    assert_eq!(cache.weight(), CAPACITY);
    Arc::new(cache)
}

// ---- every method that asks the cache for something ----

type Call<P> = (&'static str, fn(&C<P>));

fn calls<P: Policy>() -> Vec<Call<P>> {
    let mut calls = reads();
    calls.extend(inserts());
    calls.extend(removals());
    calls
}

fn reads<P: Policy>() -> Vec<Call<P>> {
    vec![
        ("get", |cache| done(cache.get(&Key(49)))),
        ("view", |cache| {
            done(cache.view(&Key(49), |_, value| value.0))
        }),
        ("peek", |cache| done(cache.peek(&Key(49)))),
        ("contains_key", |cache| done(cache.contains_key(&Key(49)))),
        ("weight_of", |cache| done(cache.weight_of(&Key(49)))),
        ("iter", |cache| done(cache.iter().count())),
        ("&cache", |cache| (cache.into_iter()).for_each(drop)),
        ("keys", |cache| done(cache.keys().count())),
        ("values", |cache| done(cache.values().count())),
        ("for_each", |cache| cache.for_each(|_, _| ())),
        ("explain", |cache| done(cache.explain(&Key(49)))),
        ("coldest", |cache| done(cache.coldest(9))),
        ("hottest", |cache| done(cache.hottest(9))),
        ("len", |cache| done(cache.len())),
        ("is_empty", |cache| done(cache.is_empty())),
        ("weight", |cache| done(cache.weight())),
        ("stats", |cache| done(cache.stats())),
        ("shard_stats", |cache| done(cache.shard_stats(0))),
    ]
}

fn inserts<P: Policy>() -> Vec<Call<P>> {
    vec![
        ("insert new", |cache| done(cache.insert(Key(500), Val(3)))),
        ("insert old", |cache| done(cache.insert(Key(49), Val(3)))),
        ("insert heavy", |cache| {
            done(cache.insert(Key(501), Val(90)))
        }),
        ("insert too heavy", |cache| {
            done(cache.insert(Key(502), Val(101)));
        }),
        ("try_insert", |cache| {
            done(cache.try_insert(Key(503), Val(40)));
        }),
        ("insert_weighted", |cache| {
            done(cache.insert_weighted(Key(504), Val(0), 30));
        }),
        ("extend", |cache| {
            cache.extend((600..620).map(|n| (Key(n), Val(3))));
        }),
        ("get_or_insert_with", |cache| {
            done(cache.get_or_insert_with(&Key(505), || Val(2)));
        }),
        ("entry or_insert", |cache| {
            done(cache.entry(Key(506)).or_insert(Val(2)));
        }),
        ("entry and_modify", |cache| {
            done(
                cache
                    .entry(Key(49))
                    .and_modify(|v| v.0 = 4)
                    .or_insert(Val(2)),
            );
        }),
    ]
}

fn removals<P: Policy>() -> Vec<Call<P>> {
    vec![
        ("remove", |cache| done(cache.remove(&Key(48)))),
        ("remove_entry", |cache| done(cache.remove_entry(&Key(47)))),
        ("remove_if", |cache| {
            done(cache.remove_if(&Key(46), |_, _| true));
        }),
        ("evict", |cache| done(cache.evict())),
        ("update", |cache| {
            done(cache.update(&Key(49), |value| value.0 = 5));
        }),
        ("update beyond", |cache| {
            done(cache.update(&Key(45), |value| value.0 = 1_000));
        }),
        ("retain", |cache| cache.retain(|key, _| key.0 % 3 > 0)),
        ("drain", |cache| done(cache.drain().count())),
        ("drain not begun", |cache| done(cache.drain())),
        ("clear", |cache| cache.clear()),
        ("set_capacity down", |cache| cache.bound_to(20)),
        ("set_capacity up", |cache| cache.bound_to(200)),
        ("shrink_to_fit", |cache| cache.shrink_to_fit()),
    ]
}

/// The cache still does what it is for.
fn works<P: Policy>(cache: &C<P>) {
    cache.check();
    cache.insert(Key(900), Val(1));
    assert_eq!(cache.get(&Key(900)).map(|value| value.0), Some(1));
    assert_eq!(cache.remove(&Key(900)).map(|value| value.0), Some(1));
    assert_eq!(cache.len(), cache.iter().count());
    cache.clear();
    assert_eq!((cache.len(), cache.weight()), (0, 0));
    cache.check();
}

// ---- the watchdog ----

#[derive(PartialEq, Debug)]
enum End {
    Well,
    Hangs,
    Panics,
}

type Scenario = (String, Box<dyn FnOnce() + Send>);

/// Scenarios, each run under the watchdog.
#[derive(Default)]
struct Scenarios(VecDeque<Scenario>);

impl Scenarios {
    fn add(&mut self, name: impl Into<String>, scenario: impl FnOnce() + Send + 'static) {
        self.0.push_back((name.into(), Box::new(scenario)));
    }

    /// Runs all; names those that do not end well, and stops at the third that hangs.
    fn all_end_well(self, at_least: usize) {
        let names: Vec<_> = self.0.iter().map(|scenario| scenario.0.clone()).collect();
        assert!(names.len() >= at_least, "only {} scenarios", names.len());
        let queue = Arc::new(Mutex::new(self.0));
        let (mut failed, mut hung) = (Vec::new(), 0);
        let mut ends = work_off(&queue);
        for name in &names {
            let end = ends.recv_timeout(patience()).unwrap_or(End::Hangs);
            if end != End::Well {
                failed.push(format!("{end:?}: {name}"));
            }
            if end == End::Hangs {
                hung += 1;
                ends = work_off(&queue);
            }
            if hung == 3 {
                break;
            }
        }
        let (count, of) = (failed.len(), names.len());
        failed.truncate(60);
        assert!(count == 0, "{count} of {of}:\n{}", failed.join("\n"));
        println!("{of} scenarios");
    }
}

/// Runs scenarios one by one on a thread of their own and says how each ended.
/// A thread that hangs is left behind.
fn work_off(queue: &Arc<Mutex<VecDeque<Scenario>>>) -> Receiver<End> {
    let (say, ends) = channel();
    let queue = queue.clone();
    std::thread::spawn(move || {
        let next = || queue.lock().unwrap().pop_front();
        while let Some((_, scenario)) = next() {
            HOOKS.with_borrow_mut(Vec::clear);
            RAN.set(0);
            let ended = catch_unwind(AssertUnwindSafe(scenario));
            let end = if ended.is_ok() {
                End::Well
            } else {
                End::Panics
            };
            if say.send(end).is_err() {
                break;
            }
        }
    });
    ends
}

// ---- where no lock is held ----

/// A site, and an operation in the middle of which it is visited.
struct Moment<P: Policy> {
    name: &'static str,
    site: Site,
    begin: fn(&C<P>),
}

fn moment<P: Policy>(name: &'static str, site: Site, begin: fn(&C<P>)) -> Moment<P> {
    Moment { name, site, begin }
}

/// Operations in which values leave, so that they are told and dropped.
fn departures<P: Policy>() -> Vec<Call<P>> {
    vec![
        ("an eviction", |cache| done(cache.insert(Key(100), Val(2)))),
        ("gathering", |cache| done(cache.insert(Key(100), Val(100)))),
        ("a replacement", |cache| done(cache.insert(Key(9), Val(80)))),
        ("a refusal", |cache| done(cache.insert(Key(9), Val(101)))),
        ("a refused try", |cache| {
            done(cache.try_insert(Key(9), Val(101)));
        }),
        ("extend", |cache| {
            cache.extend((100..110).map(|n| (Key(n), Val(2))));
        }),
        ("a load", |cache| {
            done(cache.get_or_insert_with(&Key(100), || Val(2)));
        }),
        ("or_insert", |cache| {
            done(cache.entry(Key(100)).or_insert(Val(20)));
        }),
        ("remove", |cache| done(cache.remove(&Key(9)))),
        ("remove_entry", |cache| done(cache.remove_entry(&Key(9)))),
        ("remove_if", |cache| {
            done(cache.remove_if(&Key(9), |_, _| true));
        }),
        ("evict", |cache| done(cache.evict())),
        ("growing", |cache| {
            done(cache.update(&Key(9), |value| value.0 = 8));
        }),
        ("growing too heavy", |cache| {
            done(cache.update(&Key(9), |value| value.0 = 101));
        }),
        ("and_modify", |cache| {
            let entry = cache.entry(Key(9)).and_modify(|v| v.0 = 101);
            done(entry.or_insert(Val(2)));
        }),
        ("a put", |cache| {
            done(cache.compute(Key(9), |_| Next::Put(Val(80))));
        }),
        ("a put that is refused", |cache| {
            done(cache.compute(Key(100), |_| Next::Put(Val(101))));
        }),
        ("compute", |cache| {
            done(cache.compute(Key(9), |_| Next::Remove));
        }),
        ("retain", |cache| cache.retain(|key, _| key.0 != 9)),
        ("drain", |cache| cache.drain().for_each(drop)),
        ("drain not ended", |cache| done(cache.drain().next())),
        ("clear", |cache| cache.clear()),
        ("set_capacity", |cache| cache.bound_to(10)),
    ]
}

fn moments<P: Policy>() -> Vec<Moment<P>> {
    let mut moments = Vec::new();
    for site in [Site::Listener, Site::DropValue, Site::DropKey] {
        for (name, begin) in departures() {
            moments.push(moment(name, site, begin));
        }
    }
    moments.extend(unlocked());
    moments
}

/// User code that is asked before any lock is taken.
fn unlocked<P: Policy>() -> Vec<Moment<P>> {
    vec![
        moment("insert", Site::Weigher, |c| done(c.insert(Key(9), Val(5)))),
        moment("try_insert", Site::Weigher, |c| {
            done(c.try_insert(Key(100), Val(5)));
        }),
        moment("a load", Site::Weigher, |c| {
            done(c.get_or_insert_with(&Key(100), || Val(2)));
        }),
        moment("a load", Site::Loader, |c| {
            done(c.get_or_insert_with(&Key(100), loaded));
        }),
        moment("or_insert_with", Site::Loader, |c| {
            done(c.entry(Key(100)).or_insert_with(loaded));
        }),
        moment("a load", Site::CloneKey, |c| {
            done(c.get_or_insert_with(&Key(100), || Val(2)));
        }),
        moment("a load", Site::CloneValue, |c| {
            done(c.get_or_insert_with(&Key(100), || Val(2)));
        }),
        moment("or_insert", Site::CloneValue, |c| {
            done(c.entry(Key(100)).or_insert(Val(2)));
        }),
        moment("extend", Site::Loader, |c| {
            c.extend((100..103).map(|n| (Key(n), loaded())));
        }),
        moment("get", Site::Hash, |c| done(c.get(&Key(9)))),
        moment("view", Site::Hash, |c| done(c.view(&Key(9), |_, _| ()))),
        moment("peek", Site::Hash, |c| done(c.peek(&Key(9)))),
        moment("insert", Site::Hash, |c| done(c.insert(Key(9), Val(5)))),
        moment("remove", Site::Hash, |c| done(c.remove(&Key(9)))),
        moment("update", Site::Hash, |c| {
            done(c.update(&Key(9), |value| value.0 = 1));
        }),
        moment("entry", Site::Hash, |c| {
            done(c.entry(Key(9)).and_modify(|v| v.0 = 1).or_insert(Val(2)));
        }),
        moment("a load", Site::Hash, |c| {
            done(c.get_or_insert_with(&Key(100), || Val(2)));
        }),
        moment("shard_of", Site::Hash, |c| done(c.shard_of(&Key(9)))),
    ]
}

fn loaded() -> Val {
    visit(Site::Loader);
    Val(2)
}

/// Begins an operation; in its middle the cache is called, by this thread or by
/// another that this one waits for.
fn call_back<P: Threaded>(shards: usize, moment: Moment<P>, call: Call<P>, other: bool) {
    let cache = full::<P>(shards);
    let same = cache.clone();
    hook(moment.site, 1, move || {
        if other {
            let caller = std::thread::spawn(move || call.1(&same));
            caller.join().unwrap();
        } else {
            call.1(&same);
        }
    });
    (moment.begin)(&cache);
    assert_eq!(RAN.get(), 1, "the callback ran");
    works(&cache);
}

/// Each moment by each call, by turns from the same thread and from another, in one shard
/// and in eight (half of the calls in one of these ways), or in all of them.
fn all_moments_by_all_calls<P: Threaded>(policy: &str) {
    let in_full = env("BRIMFUL_REENTRY").is_some_and(|n| n > 0);
    let (mut scenarios, mut turn) = (Scenarios::default(), 0);
    for index in 0..moments::<P>().len() {
        for call in calls::<P>() {
            turn += 1;
            for (way, shards) in [1, 8, 1, 8].into_iter().enumerate() {
                let other = way > 1;
                if in_full || way == (turn + index) % 8 {
                    let moment = moments::<P>().swap_remove(index);
                    let thread = if other { "another" } else { "the same" };
                    let name = format!(
                        "{} called by {thread} thread from {:?} during {}, {policy}, {shards} shards",
                        call.0, moment.site, moment.name
                    );
                    scenarios.add(name, move || call_back(shards, moment, call, other));
                }
            }
        }
    }
    scenarios.all_end_well(if in_full { 5_000 } else { 600 });
}

#[test]
fn any_call_is_allowed_where_no_lock_is_held() {
    hush_refusals();
    all_moments_by_all_calls::<Duel>("Duel");
    all_moments_by_all_calls::<Lru>("Lru");
}

// ---- under a lock: closures ----

fn locked_closures<P: Policy>() -> Vec<Moment<P>> {
    fn closure() -> bool {
        visit(Site::Closure);
        true
    }
    let (closures, weigher) = (Site::Closure, Site::Weigher);
    vec![
        moment("view", closures, |c| {
            done(c.view(&Key(9), |_, _| closure()));
        }),
        moment("update", closures, |c| {
            done(c.update(&Key(9), |_| closure()));
        }),
        moment("remove_if", closures, |c| {
            done(c.remove_if(&Key(9), |_, _| closure()));
        }),
        moment("for_each", closures, |c| {
            c.for_each(|_, _| done(closure()));
        }),
        moment("retain", closures, |c| c.retain(|_, _| closure())),
        moment("and_modify", closures, |c| {
            let entry = c.entry(Key(9)).and_modify(|_| done(closure()));
            done(entry.or_insert(Val(2)));
        }),
        moment("compute", closures, |c| {
            done(c.compute(Key(9), |_| {
                done(closure());
                Next::Keep
            }));
        }),
        moment("compute of what is not there", closures, |c| {
            done(c.compute(Key(100), |_| {
                done(closure());
                Next::Put(Val(2))
            }));
        }),
        moment("update", weigher, |c| {
            done(c.update(&Key(9), |_| closure()));
        }),
        moment("compute", weigher, |c| {
            done(c.compute(Key(9), |_| Next::Keep));
        }),
        moment("compute of what is not there", weigher, |c| {
            done(c.compute(Key(100), |_| Next::Put(Val(2))));
        }),
        moment("retain", weigher, |c| c.retain(|_, _| closure())),
        moment("and_modify", weigher, |c| {
            let entry = c.entry(Key(9)).and_modify(|_| done(closure()));
            done(entry.or_insert(Val(2)));
        }),
    ]
}

/// Whether `Eq` or `Clone` runs in a read without a lock there: then they may call another
/// cache, and calling the same one panics in release builds too.
fn is_lockless<P: Policy>(moment: &Moment<P>) -> bool {
    let reads = [
        "get",
        "peek",
        "contains_key",
        "weight_of",
        "a load",
        "or_insert",
        "a load that hits",
        "or_insert that hits",
    ];
    let by_eq = moment.site == Site::Eq && (moment.name == "view" || reads.contains(&moment.name));
    let by_clone = moment.site == Site::CloneValue && reads.contains(&moment.name);
    by_eq || by_clone
}

/// Calls the same or another cache from under a lock, or in a read without one: a clear panic.
fn call_from_under_a_lock<P: Threaded>(
    shards: usize,
    moment: Moment<P>,
    call: Call<P>,
    other: bool,
) {
    let cache = full::<P>(shards);
    let called = if other {
        full::<P>(shards)
    } else {
        cache.clone()
    };
    let target = called.clone();
    hook(moment.site, 1, move || call.1(&target));
    if other && is_lockless(&moment) {
        (moment.begin)(&cache);
        assert_eq!(RAN.get(), 1, "the callback ran");
        works(&cache);
        works(&called);
        return;
    }
    let message = panic_of(|| (moment.begin)(&cache));
    assert!(message.starts_with(REFUSAL), "{message}");
    assert_eq!(RAN.get(), 1, "the callback ran");
    if other {
        assert_eq!(called.len(), 50, "the other cache was not changed");
    }
    works(&cache);
    works(&called);
}

fn all_locks_by_all_calls<P: Threaded>(
    policy: &str,
    places: fn() -> Vec<Moment<P>>,
    at_least: usize,
) {
    let mut scenarios = Scenarios::default();
    for shards in [1, 8] {
        for index in 0..places().len() {
            for call in calls::<P>() {
                for other in [false, true] {
                    let moment = places().swap_remove(index);
                    let which = if other { "another" } else { "the same" };
                    let name = format!(
                        "{} on {which} cache from {:?} of {}, {policy}, {shards} shards",
                        call.0, moment.site, moment.name
                    );
                    scenarios.add(name, move || {
                        call_from_under_a_lock(shards, moment, call, other);
                    });
                }
            }
        }
    }
    scenarios.all_end_well(at_least);
}

#[test]
fn a_call_from_a_closure_under_the_lock_panics_and_says_so() {
    hush_refusals();
    all_locks_by_all_calls::<Duel>("Duel", locked_closures, 1_000);
    all_locks_by_all_calls::<Lru>("Lru", locked_closures, 1_000);
}

/// `drain` locks when it is dropped, so that must be refused as well.
#[test]
fn a_drain_begun_before_and_dropped_under_a_lock_panics_and_says_so() {
    hush_refusals();
    let mut scenarios = Scenarios::default();
    for other in [false, true] {
        scenarios.add(format!("another cache: {other}"), move || {
            let cache = full::<Duel>(8);
            let drained = if other { full(8) } else { cache.clone() };
            let drain = drained.drain();
            let message = panic_of(|| done(cache.view(&Key(9), |_, _| drop(drain))));
            assert!(message.starts_with(REFUSAL), "{message}");
            works(&cache);
        });
    }
    scenarios.all_end_well(2);
}

/// What needs no lock may answer or refuse, but must not hang.
#[test]
fn what_needs_no_lock_ends_in_a_closure_too() {
    hush_refusals();
    let lockless: [Call<Duel>; 5] = [
        ("capacity", |cache| done(cache.bound())),
        ("shards", |cache| done(cache.shards())),
        ("entry_limit", |cache| done(cache.entry_limit())),
        ("shard_of", |cache| done(cache.shard_of(&Key(49)))),
        ("Debug", |cache| done(format!("{cache:?}"))),
    ];
    let mut scenarios = Scenarios::default();
    for call in lockless {
        for index in 0..locked_closures::<Duel>().len() {
            scenarios.add(call.0, move || {
                let moment = locked_closures::<Duel>().swap_remove(index);
                let cache = full::<Duel>(1);
                let same = cache.clone();
                hook(moment.site, 1, move || call.1(&same));
                let ended = catch_unwind(AssertUnwindSafe(|| (moment.begin)(&cache)));
                if let Err(panic) = ended {
                    let message = panic.downcast_ref::<String>();
                    assert!(message.is_some_and(|m| m.starts_with(REFUSAL)));
                }
                works(&cache);
            });
        }
    }
    scenarios.all_end_well(40);
}

/// Dropping a cache takes no lock that anybody else could hold.
#[test]
fn another_cache_may_be_dropped_in_a_closure_under_the_lock() {
    hush_refusals();
    let mut scenarios = Scenarios::default();
    scenarios.add("drop", || {
        let (cache, other) = (full::<Duel>(4), full::<Duel>(4));
        cache.view(&Key(9), |_, _| drop(other));
        works(&cache);
    });
    scenarios.all_end_well(1);
}

/// After a closure has panicked on its own the thread is free to call again.
#[test]
fn a_panic_of_a_closure_takes_the_mark_along() {
    hush_refusals();
    let cache = full::<Duel>(2);
    for moment in locked_closures::<Duel>() {
        HOOKS.with_borrow_mut(Vec::clear);
        hook(moment.site, 1, || panic!("{ON_PURPOSE}"));
        assert_eq!(panic_of(|| (moment.begin)(&cache)), ON_PURPOSE);
        assert!(cache.len() >= 40);
        cache.check();
        cache.insert(Key(9), Val(2));
    }
    works(&cache);
}

// ---- under a lock: Eq and Clone, refused in debug builds ----

fn equals<P: Policy>() -> Vec<Moment<P>> {
    let eq = Site::Eq;
    vec![
        moment("get", eq, |c| done(c.get(&Key(9)))),
        moment("view", eq, |c| done(c.view(&Key(9), |_, _| ()))),
        moment("peek", eq, |c| done(c.peek(&Key(9)))),
        moment("contains_key", eq, |c| done(c.contains_key(&Key(9)))),
        moment("weight_of", eq, |c| done(c.weight_of(&Key(9)))),
        moment("insert", eq, |c| done(c.insert(Key(9), Val(5)))),
        moment("try_insert", eq, |c| done(c.try_insert(Key(9), Val(5)))),
        moment("remove", eq, |c| done(c.remove(&Key(9)))),
        moment("remove_entry", eq, |c| done(c.remove_entry(&Key(9)))),
        moment("remove_if", eq, |c| {
            done(c.remove_if(&Key(9), |_, _| true));
        }),
        moment("update", eq, |c| {
            done(c.update(&Key(9), |_| ()));
        }),
        moment("a load", eq, |c| {
            done(c.get_or_insert_with(&Key(9), || Val(2)));
        }),
        moment("or_insert", eq, |c| done(c.entry(Key(9)).or_insert(Val(2)))),
        moment("compute", eq, |c| {
            done(c.compute(Key(9), |_| Next::Put(Val(2))));
        }),
        moment("and_modify", eq, |c| {
            done(c.entry(Key(9)).and_modify(|_| ()).or_insert(Val(2)));
        }),
    ]
}

fn clones<P: Policy>() -> Vec<Moment<P>> {
    let (key, value) = (Site::CloneKey, Site::CloneValue);
    vec![
        moment("and_modify", value, |c| {
            done(c.entry(Key(9)).and_modify(|_| ()).or_insert(Val(2)));
        }),
        moment("get", value, |c| done(c.get(&Key(9)))),
        moment("peek", value, |c| done(c.peek(&Key(9)))),
        moment("a load that hits", value, |c| {
            done(c.get_or_insert_with(&Key(9), || Val(2)));
        }),
        moment("or_insert that hits", value, |c| {
            done(c.entry(Key(9)).or_insert(Val(2)));
        }),
        moment("iter", value, |c| done(c.iter().next())),
        moment("iter", key, |c| done(c.iter().next())),
        moment("keys", key, |c| done(c.keys().next())),
        moment("values", value, |c| done(c.values().next())),
    ]
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "refused in debug builds only")]
fn a_call_from_eq_or_clone_under_the_lock_panics_in_debug_builds() {
    hush_refusals();
    all_locks_by_all_calls::<Duel>("Duel", equals, 2_000);
    all_locks_by_all_calls::<Lru>("Lru", equals, 2_000);
    all_locks_by_all_calls::<Duel>("Duel", clones, 1_000);
    all_locks_by_all_calls::<Lru>("Lru", clones, 1_000);
}

// ---- deep and crosswise ----

#[test]
fn loaders_that_load_other_keys_of_the_same_cache_end() {
    fn load(cache: &C<Duel>, n: u32) -> Val {
        cache.get_or_insert_with(&Key(1_000 + n), || match n {
            0 => Val(1),
            _ => Val(load(cache, n - 1).0),
        })
    }
    let mut scenarios = Scenarios::default();
    scenarios.add("loads 60 deep", || {
        let cache = full::<Duel>(4);
        assert_eq!(load(&cache, 60).0, 1);
        works(&cache);
    });
    scenarios.all_end_well(1);
}

/// How deep listeners may be nested.
const DEEPEST: u32 = 16;

/// Listeners of two caches that insert, by turns, into each other's so many times.
fn to_and_fro(times: u32) -> [Arc<C<Duel>>; 2] {
    let (left, right) = (full::<Duel>(1), full::<Duel>(1));
    for n in 0..times {
        let (one, two) = (left.clone(), right.clone());
        hook(Site::Listener, 1, move || {
            let cache = if n % 2 == 0 { one } else { two };
            cache.insert(Key(2_000 + n), Val(2));
        });
    }
    [left, right]
}

#[test]
fn listeners_of_two_caches_may_call_each_other() {
    let mut scenarios = Scenarios::default();
    scenarios.add("to and fro", || {
        let caches = to_and_fro(DEEPEST - 1);
        // Twice: it is how deep they are nested that counts, not how many there are.
        for n in 0..2 {
            caches
                .iter()
                .for_each(|cache| done(cache.insert(Key(100 + n), Val(2))));
        }
        assert_eq!(RAN.get(), DEEPEST - 1, "listeners nested in listeners");
        caches.iter().for_each(|cache| works(cache));
    });
    scenarios.all_end_well(1);
}

#[test]
fn fault_115_listeners_nested_too_deep_are_refused_whatever_cache_they_call() {
    hush_refusals();
    let mut scenarios = Scenarios::default();
    scenarios.add("to and fro", || {
        let caches = to_and_fro(DEEPEST);
        let message = panic_of(|| done(caches[0].insert(Key(100), Val(2))));
        assert!(message.starts_with(TOO_DEEP), "{message}");
        assert_eq!(RAN.get(), DEEPEST, "the last was refused");
        let panics = caches
            .each_ref()
            .map(|cache| cache.stats().listener_panics());
        assert_eq!(panics.iter().sum::<u64>(), u64::from(DEEPEST));
        caches.iter().for_each(|cache| works(cache));
    });
    scenarios.all_end_well(1);
}

/// A page that is large, so that what is moved on the stack is.
type Page = [u8; 2_000];

/// What was told: keys and causes.
type Told = Arc<Mutex<Vec<(u32, Cause)>>>;

/// A cache of three pages with such a listener, which is told of the cache as well; and what it
/// was told.
fn with_pages(
    listener: impl Fn(&Cache<u32, Page, Fifo>, u32, &Page, Cause) + Send + Sync + 'static,
) -> (Arc<Cache<u32, Page, Fifo>>, Told) {
    let told = Told::default();
    let log = told.clone();
    let cache = Arc::new_cyclic(|own: &Weak<Cache<u32, Page, Fifo>>| {
        let own = own.clone();
        let builder = Cache::builder(Entries(3)).shards(1).policy::<Fifo>();
        let builder = builder.listener(move |&key: &u32, page: &Page, cause| {
            log.lock().unwrap().push((key, cause));
            if let Some(cache) = own.upgrade() {
                listener(&cache, key, page, cause);
            }
        });
        builder.build().unwrap()
    });
    cache.extend((0..3).map(|n| (n, [n as u8; 2_000])));
    (cache, told)
}

/// It overflowed the stack: each insert evicts another, which is put back in its turn.
#[test]
fn fault_115_a_listener_that_puts_back_what_was_evicted_is_refused_and_says_so() {
    hush_refusals();
    let mut scenarios = Scenarios::default();
    scenarios.add("putting back", || {
        let (cache, told) = with_pages(|cache, key, page, cause| {
            if cause == Cause::Evicted {
                cache.insert(key, *page);
            }
        });
        let message = panic_of(|| done(cache.insert(3, [3; 2_000])));
        assert!(message.starts_with(TOO_DEEP), "{message}");
        // The keys in turn, each told once: the last that was refused is not there any more.
        let in_turn = (0..DEEPEST).map(|n| (n % 4, Cause::Evicted));
        assert_eq!(*told.lock().unwrap(), in_turn.collect::<Vec<_>>());
        let stats = cache.stats();
        assert_eq!(stats.departures(Cause::Evicted), u64::from(DEEPEST));
        assert_eq!(stats.listener_panics(), u64::from(DEEPEST));
        let here = [0, 1, 2, 3].map(|key| cache.contains_key(&key));
        assert_eq!(here, [true, true, true, false]);
        cache.check();
        // The thread may call again: so it goes each time.
        told.lock().unwrap().clear();
        assert_eq!(cache.get(&1), Some([1; 2_000]));
        let again = panic_of(|| done(cache.insert(3, [3; 2_000])));
        assert!(again.starts_with(TOO_DEEP), "{again}");
        assert_eq!(told.lock().unwrap().len(), DEEPEST as usize);
        cache.check();
    });
    scenarios.all_end_well(1);
}

#[test]
fn fault_115_a_listener_may_put_one_back_under_another_key_and_remove_and_read() {
    let mut scenarios = Scenarios::default();
    scenarios.add("a second chance", || {
        let (cache, told) = with_pages(|cache, key, page, cause| {
            if cause == Cause::Evicted && key < 100 {
                assert_eq!(cache.peek(&key), None, "it is gone");
                // Makes room first, so that this evicts no other.
                cache.remove(&(key + 1));
                cache.insert(key + 100, *page);
            }
        });
        cache.insert(3, [3; 2_000]);
        let causes = [(0, Cause::Evicted), (1, Cause::Removed)];
        assert_eq!(*told.lock().unwrap(), causes);
        assert_eq!(cache.get(&100), Some([0; 2_000]));
        assert_eq!(cache.len(), 3);
        cache.check();
    });
    scenarios.all_end_well(1);
}

/// Three tiers, each of which takes what the one before it evicts.
#[test]
fn fault_115_what_one_cache_evicts_another_may_take_and_a_third() {
    let mut scenarios = Scenarios::default();
    scenarios.add("three tiers", || {
        let tier = |next: Option<Arc<Cache<u32, Page, Fifo>>>| {
            let builder = Cache::builder(Entries(3)).shards(1).policy::<Fifo>();
            let builder = builder.on_discard(move |key, page, cause| {
                if let (Some(next), Cause::Evicted) = (&next, cause) {
                    next.insert(key, page);
                }
            });
            Arc::new(builder.build().unwrap())
        };
        let third = tier(None);
        let second = tier(Some(third.clone()));
        let first = tier(Some(second.clone()));
        first.extend((0..9).map(|n| (n, [n as u8; 2_000])));
        for (tier, keys) in [(first, [6, 7, 8]), (second, [3, 4, 5]), (third, [0, 1, 2])] {
            assert_eq!(
                keys.map(|key| tier.get(&key)),
                keys.map(|n| Some([n as u8; 2_000]))
            );
            assert_eq!(tier.stats().listener_panics(), 0);
            tier.check();
        }
    });
    scenarios.all_end_well(1);
}

#[test]
fn each_of_many_dropped_values_may_call_the_cache() {
    let mut scenarios = Scenarios::default();
    for (name, begin) in departures::<Duel>() {
        scenarios.add(name, move || {
            let cache = full::<Duel>(4);
            for _ in 0..10 {
                let same = cache.clone();
                hook(Site::DropValue, 1, move || {
                    same.insert(Key(700), Val(1));
                    same.get(&Key(700));
                });
            }
            begin(&cache);
            assert!(RAN.get() > 0);
            works(&cache);
        });
    }
    scenarios.all_end_well(15);
}

/// A cache kept in a thread-local is dropped when the thread ends.
#[test]
fn a_cache_in_a_thread_local_goes_with_its_thread() {
    thread_local! {
        static KEPT: RefCell<Option<Arc<C<Duel>>>> = const { RefCell::new(None) };
    }
    let mut scenarios = Scenarios::default();
    scenarios.add("thread-local", || {
        let thread = std::thread::spawn(|| {
            let cache = full::<Duel>(4);
            KEPT.with_borrow_mut(|kept| *kept = Some(cache));
        });
        thread.join().unwrap();
    });
    scenarios.all_end_well(1);
}

// ---- what a panic drops on its way, in processes of their own ----

/// First in first out; its calls are visits.
type Moody = Around<Fifo, Minds>;

struct Minds;

impl Aside for Minds {
    fn before(call: &str) {
        if matches!(call, "announce" | "admit" | "forget" | "victim" | "moved") {
            visit(Site::Policy);
        }
    }
    fn is_sound() -> bool {
        false
    }
}

/// User code panics under a lock at its n-th visit; what that unwinds is dropped
/// and calls the cache from its `Drop`.
struct Unwound {
    name: &'static str,
    panics: Site,
    visit: u32,
    calls: Site,
    begin: fn(&C<Moody>),
}

fn unwound() -> Vec<Unwound> {
    let mut all = Vec::new();
    let mut add = |name, panics, visits: u32, calls: &[Site], begin| {
        for visit in 1..=visits {
            for &calls in calls {
                all.push(Unwound {
                    name,
                    panics,
                    visit,
                    calls,
                    begin,
                });
            }
        }
    };
    let both = [Site::DropKey, Site::DropValue];
    let insert_old: fn(&C<Moody>) = |c| done(c.insert(Key(9), Val(2)));
    let gather: fn(&C<Moody>) = |c| done(c.insert(Key(9), Val(60)));
    let insert_new: fn(&C<Moody>) = |c| done(c.insert(Key(100), Val(2)));
    add("insert", Site::Eq, 1, &both, insert_old);
    add("a gathering insert", Site::Eq, 2, &both, gather);
    add("insert", Site::Policy, 3, &both, insert_new);
    add("a load", Site::Policy, 3, &both, |c| {
        done(c.get_or_insert_with(&Key(100), || Val(2)));
    });
    add("a refusal", Site::Policy, 1, &both, |c| {
        done(c.insert(Key(9), Val(101)));
    });
    add("iter", Site::CloneValue, 3, &both, |c| {
        done(c.iter().count());
    });
    add("keys", Site::CloneKey, 3, &[Site::DropKey], |c| {
        done(c.keys().count());
    });
    add("values", Site::CloneValue, 3, &[Site::DropValue], |c| {
        done(c.values().count());
    });
    add(
        "update's answer when it grew",
        Site::Policy,
        1,
        &[Site::DropValue],
        |c| {
            done(c.update(&Key(9), |value| std::mem::replace(value, Val(30))));
        },
    );
    add(
        "update's answer",
        Site::Weigher,
        1,
        &[Site::DropValue],
        |c| {
            done(c.update(&Key(9), |value| std::mem::replace(value, Val(3))));
        },
    );
    all
}

impl Unwound {
    fn run(&self, shards: usize) {
        let cache = full::<Moody>(shards);
        let same = cache.clone();
        hook(self.panics, self.visit, move || panic!("{ON_PURPOSE}"));
        let first_drop = self.calls;
        hook(first_drop, 1, move || {
            same.insert(Key(800), Val(1));
            same.get(&Key(800));
        });
        let panic = catch_unwind(AssertUnwindSafe(|| (self.begin)(&cache)));
        HOOKS.with_borrow_mut(Vec::clear);
        if let Err(panic) = panic {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            assert_eq!(message, Some(ON_PURPOSE), "the panic that was meant");
        }
        works(&cache);
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn what_a_panic_drops_on_its_way_is_not_dropped_under_a_lock() {
    if let Some(index) = scenario() {
        return run_unwound(index);
    }
    let name = "what_a_panic_drops_on_its_way_is_not_dropped_under_a_lock";
    let all = unwound();
    let mut failed = Vec::new();
    for (index, unwound) in all.iter().enumerate() {
        let (passed, _, errors) = child(module_path!(), name, index);
        if !passed {
            let Unwound {
                name,
                panics,
                visit,
                calls,
                ..
            } = unwound;
            let said = errors.lines().filter(|line| line.len() < 120).take(4);
            let said = said.collect::<Vec<_>>().join("\n    ");
            failed.push(format!(
                "{panics:?} panics at visit {visit} of {name}, {calls:?} calls back\n    {said}"
            ));
        }
    }
    let (count, of) = (failed.len(), all.len());
    assert!(failed.is_empty(), "{count} of {of}:\n{}", failed.join("\n"));
}

/// In a process of its own, since it may abort.
fn run_unwound(index: usize) {
    hush_refusals();
    for shards in [1, 4] {
        let mut scenarios = Scenarios::default();
        let name = format!("scenario {index}, {shards} shards");
        scenarios.add(name, move || unwound().swap_remove(index).run(shards));
        scenarios.all_end_well(1);
    }
}
