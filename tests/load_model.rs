//! Flights against a model that is too simple to be wrong.
//!
//! Callers are futures polled by hand, so the model knows each step: who leads,
//! who waits in which order, who was offered the lead, what has landed. Random
//! sequences of starting, polling, finishing, failing, panicking, cancelling and
//! of writes by others run through both; after each step they must agree on every
//! poll's outcome, on what is stored, on the statistics, and on who has been woken:
//! whoever could go on was. At the end nothing may be left.
//!
//! - `BRIMFUL_FLIGHTS`: how many sequences (default 3,000).
//!
//! Covers faults 7, 43 and 67 to 71.

mod flights;

use brimful::policy::Fifo;
use brimful::{Cache, Entries, LoadError};
use flights::{Gate, Ledger, Task, Val, stop};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// Few keys and callers, so that they meet.
const KEYS: u32 = 3;
const CALLERS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// A caller asks for a key, and is polled once.
    Start(usize, u32),
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
    Clear,
    Drain,
    Retain,
}

fn step() -> impl Strategy<Value = Step> {
    let (who, key) = (0..CALLERS, 0..KEYS);
    prop_oneof![
        6 => (who.clone(), key.clone()).prop_map(|(who, key)| Step::Start(who, key)),
        8 => who.clone().prop_map(Step::Poll),
        3 => who.clone().prop_map(Step::Finish),
        2 => who.clone().prop_map(Step::Fail),
        1 => who.clone().prop_map(Step::Panic),
        3 => who.prop_map(Step::Cancel),
        2 => key.clone().prop_map(Step::Insert),
        1 => key.clone().prop_map(Step::OrInsert),
        2 => key.clone().prop_map(Step::Remove),
        1 => key.clone().prop_map(Step::RemoveIf),
        1 => key.prop_map(Step::Get),
        1 => Just(Step::Clear),
        1 => Just(Step::Drain),
        1 => Just(Step::Retain),
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
    Leads(usize),
    Waits(usize),
}

/// How one poll ends.
#[derive(PartialEq, Debug)]
enum End {
    Pending,
    Value(u64),
    Failed,
    Panicked,
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
}

#[derive(Default)]
struct Model {
    stored: BTreeMap<u32, u64>,
    flights: Vec<Flight>,
    callers: [Option<Caller>; CALLERS],
    loads: u64,
    failures: u64,
    waits: u64,
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

    fn insert(&mut self, key: u32, value: u64) {
        self.detach(key);
        self.stored.insert(key, value);
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
            Some(Place::Leads(flight)) => {
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
        let flight = &mut self.flights[flight];
        if flight.attached {
            self.stored.insert(flight.key, value);
        }
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
                    if let Some(&value) = self.stored.get(&key) {
                        self.hits += u64::from(first);
                        return self.leave(who, End::Value(value));
                    }
                    self.misses += u64::from(first);
                    first = false;
                    let place = match self.flight_of(key) {
                        Some(flight) => {
                            self.waits += 1;
                            self.flights[flight].queue.push_back(who);
                            Place::Waits(flight)
                        }
                        None => {
                            self.flights.push(Flight {
                                key,
                                attached: true,
                                stage: Stage::Flying,
                                queue: VecDeque::new(),
                            });
                            Place::Leads(self.flights.len() - 1)
                        }
                    };
                    self.place(who, Some(place));
                }
                Some(Place::Leads(flight)) => match will {
                    Will::Wait => return End::Pending,
                    Will::Finish(value) => {
                        self.land(flight, value);
                        return self.leave(who, End::Value(value));
                    }
                    Will::Fail | Will::Panic => {
                        self.failures += 1;
                        self.pass_on(flight);
                        let failed = will == Will::Fail;
                        return self.leave(who, if failed { End::Failed } else { End::Panicked });
                    }
                },
                Some(Place::Waits(flight)) => match self.flights[flight].stage {
                    Stage::Landed(value) => return self.leave(who, End::Value(value)),
                    Stage::Over => self.place(who, None),
                    Stage::Offered(offered) if offered == who => {
                        if self.flights[flight].attached {
                            self.flights[flight].stage = Stage::Flying;
                            self.place(who, Some(Place::Leads(flight)));
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
        self.callers[who] = None;
        end
    }
}

// ---- both ----

type Plain = Cache<u32, Val, Fifo>;
type Loaded = Result<Val, LoadError<()>>;

/// What is given to a loader by hand.
enum Given {
    Value(Val),
    Failure,
    Panic,
}

struct Both<'a> {
    cache: &'a Plain,
    ledger: Ledger,
    model: Model,
    tasks: [Option<(Task<'a, Loaded>, Gate<Given>)>; CALLERS],
    next_value: u64,
}

/// Keys to be borrowed by futures.
static NUMBERS: [u32; KEYS as usize] = [0, 1, 2];

impl<'a> Both<'a> {
    fn value(&mut self) -> Val {
        self.next_value += 1;
        self.ledger.value(self.next_value)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Start(who, key) => self.start(who, key),
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
                match self.model.stored.get(&key) {
                    Some(_) => self.model.hits += 1,
                    None => {
                        self.model.misses += 1;
                        self.model.insert(key, value.id);
                    }
                }
                let got = self.cache.entry(key).or_insert(value);
                assert_eq!(self.model.stored.get(&key), Some(&got.id));
            }
            Step::Remove(key) => {
                self.model.detach(key);
                let removed = self.cache.remove(&key).map(|value| value.id);
                assert_eq!(removed, self.model.stored.remove(&key));
            }
            Step::RemoveIf(key) => {
                self.model.detach(key);
                self.cache.remove_if(&key, |_, _| false);
            }
            Step::Get(key) => {
                let got = self.cache.get(&key).map(|value| value.id);
                assert_eq!(got.as_ref(), self.model.stored.get(&key));
                match got {
                    Some(_) => self.model.hits += 1,
                    None => self.model.misses += 1,
                }
            }
            Step::Clear => self.all(|cache| cache.clear()),
            Step::Drain => self.all(|cache| drop(cache.drain())),
            Step::Retain => {
                self.model.detach_all();
                self.cache.retain(|_, _| true);
            }
        }
        self.agree();
    }

    fn all(&mut self, write: fn(&Plain)) {
        self.model.detach_all();
        self.model.stored.clear();
        write(self.cache);
    }

    fn start(&mut self, who: usize, key: u32) {
        if self.tasks[who].is_some() {
            return;
        }
        let gate = Gate::default();
        let pass = gate.pass();
        let load = async {
            match pass.await {
                Given::Value(value) => Ok(value),
                Given::Failure => Err(()),
                Given::Panic => stop(),
            }
        };
        let key = &NUMBERS[key as usize];
        let task = Task::new(self.cache.try_get_or_insert_async(key, load));
        self.tasks[who] = Some((task, gate));
        self.model.callers[who] = Some(Caller {
            key: *key,
            will: Will::Wait,
            place: None,
        });
        self.poll(who);
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
        let polled = catch_unwind(AssertUnwindSafe(|| task.poll()));
        let end = match polled {
            Ok(Poll::Pending) => End::Pending,
            Ok(Poll::Ready(Ok(value))) => End::Value(value.id),
            Ok(Poll::Ready(Err(LoadError::Failed(())))) => End::Failed,
            Ok(Poll::Ready(Err(error))) => panic!("{error:?}"),
            Err(_) => End::Panicked,
        };
        if end != End::Pending {
            self.tasks[who] = None;
        }
        assert_eq!(end, self.model.poll(who), "caller {who}");
    }

    fn agree(&self) {
        for key in 0..KEYS {
            let stored = self.cache.peek(&key).map(|value| value.id);
            assert_eq!(stored.as_ref(), self.model.stored.get(&key), "key {key}");
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
        assert_eq!((stats.hits(), stats.misses()), (model.hits, model.misses));
        self.cache.check();
    }
}

fn run(steps: &[Step], shards: usize) {
    let cache = Cache::builder(Entries(100)).policy::<Fifo>().shards(shards);
    let cache: Plain = cache.build().unwrap();
    let ledger = Ledger::default();
    let mut both = Both {
        cache: &cache,
        ledger: ledger.clone(),
        model: Model::default(),
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
    let cases = std::env::var("BRIMFUL_FLIGHTS").map_or(3_000, |n| n.parse().unwrap());
    proptest!(ProptestConfig { cases, ..ProptestConfig::default() }, |(
        steps in vec(step(), 1..80), shards in 1..3_usize
    )| run(&steps, shards));
}
