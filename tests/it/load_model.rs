//! Flights against a model that is too simple to be wrong.
//!
//! Callers are futures polled by hand, so the model knows each step: who leads,
//! who waits in which order, who was offered the lead, what has landed. Random
//! sequences of starting, polling, finishing, failing, panicking, cancelling and
//! of writes by others run through both; after each step they must agree on every
//! poll's outcome, on what is stored, on the statistics, and on who has been woken:
//! whoever could go on was. At the end nothing may be left.
//!
//! It also runs where values grow stale and end: time goes on by steps, and a loading
//! call that meets a stale value refreshes it, itself or by a future that is handed over.
//!
//! - `BRIMFUL_FLIGHTS`: how many sequences (default 100; the gate runs 40,000, `hunt` 1,000,000).
//!
//! Covers faults 7, 43 and 67 to 71 of `tests/FAULTS.md`.

use crate::world::flights::{Gate, Task};
use crate::world::panics::stop;
use crate::world::{Ledger, Val, count};
use brimful::policy::Fifo;
use brimful::{Aged, Cache, Entries, Form, LoadError, ManualClock};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Few keys and callers, so that they meet.
const KEYS: u32 = 3;
const CALLERS: usize = 6;

/// From this age on a value is stale.
const AGE: Duration = Duration::from_secs(1);

/// Its life, in steps of time, each a bit longer than that.
const LIFE: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A caller asks for a key, and is polled once.
    Start(usize, u32),
    /// It asks as well, but hands a refresh over to a future that takes the caller's place.
    Hand(usize, u32),
    Poll(usize),
    Finish(usize),
    Fail(usize),
    Panic(usize),
    Cancel(usize),
    Insert(u32),
    OrInsert(u32),
    Remove(u32),
    RemoveIf(u32),
    Get(u32),
    Update(u32),
    Age,
    Clear,
    Drain,
    Retain,
    /// Looks at all entries, in two ways.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, key) = (0..CALLERS, 0..KEYS);
    prop_oneof![
        6 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Start(who, key)),
        2 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Hand(who, key)),
        8 => who.clone().prop_map(Step::Poll),
        3 => who.clone().prop_map(Step::Finish),
        2 => who.clone().prop_map(Step::Fail),
        1 => who.clone().prop_map(Step::Panic),
        3 => who.prop_map(Step::Cancel),
        2 => key.clone().prop_map(Step::Insert),
        1 => key.clone().prop_map(Step::OrInsert),
        2 => key.clone().prop_map(Step::Remove),
        1 => key.clone().prop_map(Step::RemoveIf),
        1 => key.clone().prop_map(Step::Get),
        1 => key.prop_map(Step::Update),
        2 => Just(Step::Age),
        1 => Just(Step::Clear),
        1 => Just(Step::Drain),
        1 => Just(Step::Retain),
        1 => Just(Step::Look),
    ]
}

// ---- the model ----

/// What a caller's loader will do when it is polled.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Will {
    Wait,
    Finish(u64),
    Fail,
    Panic,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    /// A flight; whether it refreshes a stale value.
    Leads(usize, bool),
    Waits(usize),
}

/// How one poll ends.
#[derive(PartialEq, Debug)]
enum End {
    Pending,
    Value(u64),
    Failed,
    Panicked,
    /// Of a refresh that was handed over: nobody hears how it went.
    Over,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Flying,
    Offered(usize),
    Landed(u64),
    Over,
}

struct Flight {
    key: u32,
    attached: bool,
    stage: Stage,
    queue: VecDeque<usize>,
}

struct Caller {
    key: u32,
    will: Will,
    place: Option<Place>,
    /// A refresh that was handed over.
    is_chore: bool,
}

struct Stored {
    value: u64,
    /// The step of time at which it came, and the one at which it ends.
    came: u64,
    ends: u64,
}

#[derive(Default)]
struct Model {
    stored: BTreeMap<u32, Stored>,
    now: u64,
    ages: bool,
    stale_if_error: bool,
    flights: Vec<Flight>,
    callers: [Option<Caller>; CALLERS],
    loads: u64,
    failures: u64,
    waits: u64,
    refreshes: u64,
    unstored: u64,
    misses: u64,
    hits: u64,
}

impl Model {
    fn flight_of(&self, key: u32) -> Option<usize> {
        let attached = |flight: &Flight| flight.attached && flight.key == key;
        self.flights.iter().position(attached)
    }

    fn detach(&mut self, key: u32) {
        if let Some(flight) = self.flight_of(key) {
            self.flights[flight].attached = false;
        }
    }

    fn detach_all(&mut self) {
        self.flights.iter_mut().for_each(|f| f.attached = false);
    }

    fn store(&mut self, key: u32, value: u64) {
        let (came, ends) = (self.now, self.now + LIFE);
        self.stored.insert(key, Stored { value, came, ends });
    }

    fn insert(&mut self, key: u32, value: u64) {
        self.detach(key);
        self.store(key, value);
    }

    /// Time goes on, where values age.
    fn age(&mut self) {
        self.now += u64::from(self.ages);
        self.stored.retain(|_, stored| stored.ends > self.now);
    }

    fn value(&self, key: u32) -> Option<u64> {
        self.stored.get(&key).map(|stored| stored.value)
    }

    /// A look-up that counts.
    fn look_up(&mut self, key: u32) -> Option<u64> {
        let found = self.value(key);
        match found {
            Some(_) => self.hits += 1,
            None => self.misses += 1,
        }
        found
    }

    /// Whether a value is there that is stale and that nobody refreshes.
    fn is_due(&self, key: u32) -> bool {
        let stale = |stored: &Stored| stored.came < self.now;
        self.stored.get(&key).is_some_and(stale) && self.flight_of(key).is_none()
    }

    fn take_off(&mut self, key: u32, refreshes: bool) -> Place {
        self.flights.push(Flight {
            key,
            attached: true,
            stage: Stage::Flying,
            queue: VecDeque::new(),
        });
        Place::Leads(self.flights.len() - 1, refreshes)
    }

    /// The lead is given up.
    fn pass_on(&mut self, flight: usize) {
        let flight = &mut self.flights[flight];
        flight.stage = match flight.queue.pop_front() {
            Some(first) if flight.attached => Stage::Offered(first),
            _ => Stage::Over,
        };
        flight.attached &= flight.stage != Stage::Over;
    }

    fn cancel(&mut self, who: usize) {
        let place = self.callers[who].take().and_then(|caller| caller.place);
        match place {
            Some(Place::Leads(flight, _)) => {
                self.failures += 1;
                self.pass_on(flight);
            }
            Some(Place::Waits(flight)) if self.flights[flight].stage == Stage::Offered(who) => {
                self.pass_on(flight);
            }
            Some(Place::Waits(flight)) => self.flights[flight].queue.retain(|&w| w != who),
            None => {}
        }
    }

    fn land(&mut self, flight: usize, value: u64) {
        self.loads += 1;
        let (key, attached) = (self.flights[flight].key, self.flights[flight].attached);
        if attached {
            self.store(key, value);
        }
        self.unstored += u64::from(!attached);
        let flight = &mut self.flights[flight];
        flight.attached = false;
        flight.stage = Stage::Landed(value);
    }

    /// Whether the next poll of one who waits would get on.
    fn could_go_on(&self, who: usize) -> bool {
        match self.callers[who].as_ref().and_then(|caller| caller.place) {
            Some(Place::Waits(flight)) => match self.flights[flight].stage {
                Stage::Flying => false,
                Stage::Offered(first) => first == who,
                Stage::Landed(_) | Stage::Over => true,
            },
            _ => false,
        }
    }

    fn poll(&mut self, who: usize) -> End {
        let Some(caller) = &mut self.callers[who] else {
            unreachable!("only callers are polled");
        };
        let (key, will) = (caller.key, caller.will);
        let mut first = caller.place.is_none();
        loop {
            match self.callers[who].as_ref().and_then(|caller| caller.place) {
                None => {
                    if std::mem::take(&mut first) {
                        self.look_up(key);
                    }
                    let due = self.is_due(key);
                    if let (Some(value), false) = (self.value(key), due) {
                        return self.leave(who, End::Value(value));
                    }
                    let place = match self.flight_of(key) {
                        Some(flight) => {
                            self.waits += 1;
                            self.flights[flight].queue.push_back(who);
                            Place::Waits(flight)
                        }
                        None => self.take_off(key, due),
                    };
                    self.place(who, Some(place));
                }
                Some(Place::Leads(flight, refreshes)) => match will {
                    Will::Wait => return End::Pending,
                    Will::Finish(value) => {
                        self.refreshes += u64::from(refreshes);
                        self.land(flight, value);
                        return self.leave(who, End::Value(value));
                    }
                    Will::Fail | Will::Panic => {
                        self.failures += 1;
                        self.pass_on(flight);
                        let stale = self.value(key).filter(|_| refreshes && self.stale_if_error);
                        let end = match (will, stale) {
                            (Will::Panic, _) => End::Panicked,
                            (_, Some(value)) => End::Value(value),
                            _ => End::Failed,
                        };
                        return self.leave(who, end);
                    }
                },
                Some(Place::Waits(flight)) => match self.flights[flight].stage {
                    Stage::Landed(value) => return self.leave(who, End::Value(value)),
                    Stage::Over => self.place(who, None),
                    Stage::Offered(offered) if offered == who => {
                        if self.flights[flight].attached {
                            self.flights[flight].stage = Stage::Flying;
                            self.place(who, Some(Place::Leads(flight, false)));
                        } else {
                            self.flights[flight].stage = Stage::Over;
                            self.place(who, None);
                        }
                    }
                    Stage::Flying | Stage::Offered(_) => return End::Pending,
                },
            }
        }
    }

    fn place(&mut self, who: usize, place: Option<Place>) {
        if let Some(caller) = &mut self.callers[who] {
            caller.place = place;
        }
    }

    fn leave(&mut self, who: usize, end: End) -> End {
        match self.callers[who].take() {
            Some(caller) if caller.is_chore && end != End::Panicked => End::Over,
            _ => end,
        }
    }
}

// ---- both ----

type Loaded = Result<Val, LoadError<()>>;

/// What a caller runs.
enum Run<'a> {
    Call(Task<'a, Loaded>),
    Chore(Task<'a, ()>),
}

impl Run<'_> {
    fn rang(&self) -> bool {
        match self {
            Self::Call(task) => task.rang(),
            Self::Chore(task) => task.rang(),
        }
    }

    fn poll(&mut self) -> End {
        let polled = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Call(task) => task.poll().map(Some),
            Self::Chore(task) => task.poll().map(|()| None),
        }));
        match polled {
            Ok(Poll::Pending) => End::Pending,
            Ok(Poll::Ready(None)) => End::Over,
            Ok(Poll::Ready(Some(Ok(value)))) => End::Value(value.id),
            Ok(Poll::Ready(Some(Err(LoadError::Failed(()))))) => End::Failed,
            Ok(Poll::Ready(Some(Err(error)))) => panic!("{error:?}"),
            Err(_) => End::Panicked,
        }
    }
}

/// What is given to a loader by hand.
enum Given {
    Value(Val),
    Failure,
    Panic,
}

struct Both<'a, P: Form> {
    cache: &'a Arc<Cache<u32, Val, P>>,
    clock: ManualClock,
    ledger: Ledger,
    model: Model,
    tasks: [Option<(Run<'a>, Gate<Given>)>; CALLERS],
    next_value: u64,
}

/// Keys to be borrowed by futures.
static NUMBERS: [u32; KEYS as usize] = [0, 1, 2];

/// A loader that does what it is given by hand.
async fn loader(given: impl Future<Output = Given>) -> Result<Val, ()> {
    match given.await {
        Given::Value(value) => Ok(value),
        Given::Failure => Err(()),
        Given::Panic => stop(),
    }
}

impl<'a, P: Form + Send + 'static> Both<'a, P>
where
    Cache<u32, Val, P>: Send + Sync,
{
    fn value(&mut self) -> Val {
        self.next_value += 1;
        self.ledger.value(self.next_value)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start(who, key) => self.start(who, key),
            Step::Hand(who, key) => self.hand(who, key),
            Step::Poll(who) => self.poll(who),
            Step::Finish(who) => {
                let value = self.value();
                self.give(who, Will::Finish(value.id), Given::Value(value));
            }
            Step::Fail(who) => self.give(who, Will::Fail, Given::Failure),
            Step::Panic(who) => self.give(who, Will::Panic, Given::Panic),
            Step::Cancel(who) => {
                self.tasks[who] = None;
                self.model.cancel(who);
            }
            Step::Insert(key) => {
                let value = self.value();
                self.model.insert(key, value.id);
                drop(self.cache.insert(key, value));
            }
            Step::OrInsert(key) => {
                let value = self.value();
                if self.model.look_up(key).is_none() {
                    self.model.insert(key, value.id);
                }
                let got = self.cache.entry(key).or_insert(value);
                assert_eq!(self.model.value(key), Some(got.id));
            }
            Step::Remove(key) => {
                self.model.detach(key);
                let removed = self.cache.remove(&key).map(|value| value.id);
                assert_eq!(removed, self.model.value(key));
                self.model.stored.remove(&key);
            }
            Step::RemoveIf(key) => {
                if self.model.value(key).is_none() {
                    self.model.detach(key);
                }
                self.cache.remove_if(&key, |_, _| false);
            }
            Step::Get(key) => {
                let got = self.cache.get(&key).map(|value| value.id);
                assert_eq!(got, self.model.look_up(key));
            }
            Step::Update(key) => {
                let value = self.value();
                let id = value.id;
                if self.model.look_up(key).is_some() {
                    self.model.detach(key);
                }
                if let Some(stored) = self.model.stored.get_mut(&key) {
                    stored.value = id;
                }
                let updated = self.cache.update(&key, |old| *old = value);
                assert_eq!(updated.was_present(), self.model.value(key).is_some());
            }
            Step::Age => {
                self.clock.advance(AGE + Duration::from_micros(2));
                self.model.age();
            }
            Step::Clear => self.all(|cache| cache.clear()),
            Step::Drain => self.all(|cache| drop(cache.drain())),
            Step::Retain => {
                self.model.detach_all();
                self.cache.retain(|_, _| true);
            }
            Step::Look => {
                let mut shown = 0;
                self.cache.for_each(|_, _| shown += 1);
                assert_eq!(self.cache.iter().count(), shown);
            }
        }
        self.agree();
    }

    fn all(&mut self, write: fn(&Cache<u32, Val, P>)) {
        self.model.detach_all();
        self.model.stored.clear();
        write(self.cache);
    }

    fn start(&mut self, who: usize, key: u32) {
        if self.tasks[who].is_some() {
            return;
        }
        let gate = Gate::default();
        let load = loader(gate.pass());
        let key = &NUMBERS[key as usize];
        let task = Task::new(self.cache.try_get_or_insert_async(key, load));
        self.take_seat(who, *key, Run::Call(task), gate, None);
        self.poll(who);
    }

    fn hand(&mut self, who: usize, key: u32) {
        if self.tasks[who].is_some() {
            return;
        }
        let gate = Gate::default();
        let load = loader(gate.pass());
        let key = &NUMBERS[key as usize];
        let handed = Rc::new(Cell::new(None));
        let take = handed.clone();
        let spawn = move |chore| take.set(Some(Task::new(chore)));
        let mut call = Task::new(self.cache.load_or_refresh(key).future(load, spawn));
        if !self.model.is_due(*key) {
            self.take_seat(who, *key, Run::Call(call), gate, None);
            return self.poll(who);
        }
        let served = call.end().map(|value| value.id);
        assert_eq!(served.ok(), self.model.look_up(*key), "served at once");
        let place = self.model.take_off(*key, true);
        let chore = handed.take().expect("handed over");
        self.take_seat(who, *key, Run::Chore(chore), gate, Some(place));
    }

    fn take_seat(
        &mut self,
        who: usize,
        key: u32,
        run: Run<'a>,
        gate: Gate<Given>,
        place: Option<Place>,
    ) {
        self.model.callers[who] = Some(Caller {
            key,
            will: Will::Wait,
            place,
            is_chore: matches!(run, Run::Chore(_)),
        });
        self.tasks[who] = Some((run, gate));
    }

    fn give(&mut self, who: usize, will: Will, given: Given) {
        if let (Some((_, gate)), Some(caller)) = (&self.tasks[who], &mut self.model.callers[who]) {
            caller.will = will;
            gate.open(given);
        }
    }

    fn poll(&mut self, who: usize) {
        let Some((task, _)) = &mut self.tasks[who] else {
            return;
        };
        let end = task.poll();
        if end != End::Pending {
            self.tasks[who] = None;
        }
        assert_eq!(end, self.model.poll(who), "caller {who}");
    }

    fn agree(&self) {
        for key in 0..KEYS {
            let stored = self.cache.peek(&key).map(|value| value.id);
            assert_eq!(stored, self.model.value(key), "key {key}");
        }
        for (who, task) in self.tasks.iter().enumerate() {
            let rang = task.as_ref().is_some_and(|(task, _)| task.rang());
            assert!(rang || !self.model.could_go_on(who), "caller {who} sleeps");
        }
        let stats = self.cache.stats();
        let (model, of) = (&self.model, |figure: u64| figure);
        assert_eq!(of(stats.loads()), model.loads, "loads");
        assert_eq!(of(stats.load_failures()), model.failures, "failures");
        assert_eq!(of(stats.load_waits()), model.waits, "waits");
        assert_eq!(of(stats.refreshes()), model.refreshes, "refreshes");
        assert_eq!(of(stats.loads_unstored()), model.unstored, "unstored");
        assert_eq!((stats.hits(), stats.misses()), (model.hits, model.misses));
        self.cache.check();
    }
}

/// Where nothing has a life, and where values age.
fn run(steps: &[Step], shards: usize, ages: bool, stale_if_error: bool) {
    let clock = ManualClock::new();
    let builder = Cache::builder(Entries(100)).shards(shards);
    let builder = builder.policy::<Fifo>();
    if !ages {
        let cache: Cache<u32, Val, Fifo> = builder.build().unwrap();
        return run_both(steps, cache, clock, Model::default());
    }
    let mut builder = builder
        .refresh_after(AGE)
        .time_to_live(AGE * LIFE as u32)
        .clock(clock.clone());
    if stale_if_error {
        builder = builder.stale_if_error();
    }
    let cache: Cache<u32, Val, Aged<Fifo>> = builder.build().unwrap();
    let model = Model {
        ages,
        stale_if_error,
        ..Model::default()
    };
    run_both(steps, cache, clock, model);
}

fn run_both<P>(steps: &[Step], cache: Cache<u32, Val, P>, clock: ManualClock, model: Model)
where
    P: Form + Send + 'static,
    Cache<u32, Val, P>: Send + Sync,
{
    let cache = Arc::new(cache);
    let ledger = Ledger::default();
    let mut both = Both {
        cache: &cache,
        clock,
        ledger: ledger.clone(),
        model,
        tasks: Default::default(),
        next_value: 0,
    };
    steps.iter().for_each(|step| both.step(step));
    // Everyone finishes, one after another: nobody may be stuck.
    for _ in 0..=CALLERS {
        for who in 0..CALLERS {
            both.step(&Step::Finish(who));
            both.poll(who);
            both.agree();
        }
    }
    assert!(
        both.tasks.iter().all(Option::is_none),
        "somebody waits for ever"
    );
    drop(both);
    cache.clear();
    assert_eq!(ledger.live(), 0, "values left over");
}

#[test]
fn flights_agree_with_the_model() {
    let cases = count("BRIMFUL_FLIGHTS", 100) as u32;
    proptest!(ProptestConfig { cases, ..ProptestConfig::default() }, |(
        steps in vec(step(), 1..80), shards in 1..3_usize, ages: bool, stale_if_error: bool
    )| run(&steps, shards, ages, stale_if_error));
}
