//! User code may panic anywhere: hash, eq, clone, weigher, listener, loader,
//! closures, iterators, drop of keys and values, and a policy of the user's own.
//!
//! A *fuse* blows at the n-th call of one kind of user code, in every operation
//! of `Cache` (one shard and several) and `unsync::Cache`, plain and weighed.
//! After each caught panic: the panic is the fuse's own; `check()` recounts; every
//! key and value constructed is dropped once, resident or in the caller's hands;
//! every value that left was told exactly once, with its key and a cause that fits
//! the call, as often as the statistics say; and the next calls answer right.
//! Processes of their own show that two panics at once never abort.
//!
//! Scale: `BRIMFUL_PANICS` caught panics (default 3,000; the full run 100,000).
//! Replay: `BRIMFUL_SEED` (printed), and `BRIMFUL_ROUND` for one round of it.
//! Covers faults 1 to 8, 27, 44 and 62 of `tests/FAULTS.md`.

use crate::world::around::{Around, Aside};
use crate::world::counted::{
    Id, Key, Site, Told, Val, WORLD, always, arm, disarm, new_world, told, visit,
};
use crate::world::door::{
    Counted, Or, Plan, Verdict, open, plain, plain_alone, weighed, weighed_alone,
};
use crate::world::panics::{Blown, at, hush};
use crate::world::scale::{child, scenario};
use crate::world::{Random, count, env, seed};
use brimful::policy::{Duel, Fifo, Gdsf, Lru, Policy, Residents, Sieve, Slot, Tag, Touch};
use brimful::{Cause, Computed, Next, Snapshot};
use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

// ---- policies that panic ----

/// Any policy, with a fuse before and after each of its calls.
type Fused<P> = Around<P, Fuses>;

struct Fuses;

impl Aside for Fuses {
    fn before(_: &str) {
        fuse();
    }
    fn after(_: &str) {
        fuse();
    }
    fn is_sound() -> bool {
        ORDER_IS_SOUND.get()
    }
}

thread_local! {
    /// A policy that panicked may have lost its order; its own check is off then.
    static ORDER_IS_SOUND: Cell<bool> = const { Cell::new(true) };
    /// How many fuses blew in the last call.
    static LAST_BLOWN: Cell<u32> = const { Cell::new(0) };
}

fn fuse() {
    let was_sound = ORDER_IS_SOUND.replace(false);
    visit(Site::Policy);
    ORDER_IS_SOUND.set(was_sound);
}

/// A user's policy without any order, as in the documentation.
#[derive(Debug)]
struct AtRandom(u64);

/// What it keeps in an entry: nothing, but making it may panic.
#[derive(Debug)]
struct Fickle;

impl Default for Fickle {
    fn default() -> Self {
        fuse();
        Fickle
    }
}

impl Policy for AtRandom {
    type Meta = Fickle;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(seed | 1)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<Fickle>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<Fickle>) {}
    fn victim(&mut self, residents: &mut impl Residents<Fickle>) -> Option<Slot> {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        residents.nth(self.0 >> 32)
    }
    fn moved(&mut self, _: &mut impl Residents<Fickle>) {}
}

// ---- calls ----

/// What calls hand back, kept until the fuses are out.
#[derive(Default)]
struct Hand {
    keys: Vec<Key>,
    values: Vec<Val>,
    entries: Vec<(Key, Val)>,
}

impl Hand {
    fn value(&mut self, value: Option<Val>) {
        self.values.extend(value);
    }

    fn verdict(&mut self, verdict: Verdict<Key, Val>) {
        match verdict {
            Ok(old) => self.value(old),
            Err(refused) => {
                self.value(refused.old);
                self.entries.push((refused.key, refused.value));
            }
        }
    }

    /// The ids of what is in it.
    fn ids(&self) -> Vec<u64> {
        let entries = self.entries.iter().map(|entry| &entry.1);
        self.values
            .iter()
            .chain(entries)
            .map(|value| value.id)
            .collect()
    }
}

listed! {
    Op {
        Get, View, Peek, ContainsKey, WeightOf, Iter, Keys, Values, ForEach,
        Insert, TryInsert, InsertWeighted, Extend,
        GetOrInsertWith, OrInsert, OrInsertWith, OrDefault, AndModify,
        Remove, RemoveEntry, RemoveIf, Evict, Update, GetMut, Compute, Retain,
        Drain, Clear, SetCapacity, ShrinkToFit, Drop, IntoIter,
    }
}

impl Op {
    /// The causes with which values may leave in this call.
    fn causes(self) -> &'static [Cause] {
        match self {
            Op::Insert | Op::TryInsert | Op::InsertWeighted | Op::Extend => {
                &[Cause::Evicted, Cause::Replaced, Cause::Refused]
            }
            Op::GetOrInsertWith | Op::OrInsert | Op::OrInsertWith | Op::OrDefault => {
                &[Cause::Evicted, Cause::Refused]
            }
            Op::AndModify | Op::Update | Op::GetMut => &[Cause::Evicted, Cause::Refused],
            Op::Compute => &[
                Cause::Evicted,
                Cause::Refused,
                Cause::Replaced,
                Cause::Removed,
            ],
            Op::Remove | Op::RemoveEntry | Op::RemoveIf | Op::Drain => &[Cause::Removed],
            Op::Retain => &[Cause::Removed, Cause::Evicted, Cause::Refused],
            Op::Clear => &[Cause::Cleared],
            Op::Evict | Op::SetCapacity => &[Cause::Evicted],
            Op::Drop => &[Cause::CacheDropped],
            Op::IntoIter => &[Cause::Removed, Cause::CacheDropped],
            _ => &[],
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    op: Op,
    key: u32,
    weight: u64,
    n: usize,
}

fn in_closure() {
    visit(Site::Closure);
}

fn change(value: &mut Val, weight: u64) {
    value.weight = weight;
    in_closure();
}

fn many(call: Call) -> impl Iterator<Item = (Key, Val)> {
    (0..call.n).map(move |i| {
        in_closure();
        (Key::new(call.key + i as u32, 0), Val::new(call.weight))
    })
}

/// How a cache is opened.
type Open = fn(Plan) -> Counted;

/// A cache that calls are made on, and how to open another one.
struct Door {
    cache: Counted,
    plan: Plan,
    open: Open,
    /// How often the cache was replaced by a fresh one.
    lives: u32,
    times_told: HashMap<u64, u32>,
}

impl Door {
    fn open(plan: Plan, open: Open) -> Self {
        new_world();
        ORDER_IS_SOUND.set(true);
        Self {
            cache: open(plan),
            plan,
            open,
            lives: 0,
            times_told: HashMap::new(),
        }
    }

    fn call(&mut self, call: Call, hand: &mut Hand) {
        match call.op {
            Op::Drop => drop(self.replace()),
            Op::IntoIter => self.replace().into_entries(call.n, &mut hand.entries),
            _ => self.read(call, hand),
        }
    }

    fn replace(&mut self) -> Counted {
        let fresh = (self.open)(self.plan);
        self.lives += 1;
        std::mem::replace(&mut self.cache, fresh)
    }

    fn read(&mut self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&mut self.cache, &Id(call.key));
        match call.op {
            Op::Get => hand.value(cache.get(key)),
            Op::View => drop(cache.view(key, &mut |_, _| in_closure())),
            Op::Peek => hand.value(cache.peek(key)),
            Op::WeightOf if self.plan.weighed => drop(cache.weight_of(key)),
            Op::ContainsKey | Op::WeightOf => drop(cache.contains_key(key)),
            Op::Iter => cache.entries(call.n, &mut hand.entries),
            Op::Keys => cache.keys(call.n, &mut hand.keys),
            Op::Values => cache.values(call.n, &mut hand.values),
            Op::ForEach => cache.for_each(&mut |_, _| in_closure()),
            _ => self.write(call, hand),
        }
    }

    fn write(&mut self, call: Call, hand: &mut Hand) {
        let (cache, weight) = (&mut self.cache, call.weight);
        let key = || Key::new(call.key, 0);
        let value = || Val::new(weight);
        let make = &mut || Val::new(weight);
        let load = &mut || Val::loaded(weight);
        let by = &mut |value: &mut Val| change(value, weight);
        let or = match call.op {
            Op::Insert => return hand.value(cache.insert(key(), value())),
            Op::TryInsert => return hand.verdict(cache.try_insert(key(), value())),
            Op::InsertWeighted if self.plan.weighed => {
                return hand.value(cache.insert_weighted(key(), value(), weight));
            }
            Op::InsertWeighted => return hand.value(cache.insert(key(), value())),
            Op::Extend => return cache.extend(&mut many(call), false),
            Op::GetOrInsertWith => {
                let found = cache.get_or_insert_with(&Id(call.key), load);
                return hand.verdict(found.map(Some));
            }
            Op::AndModify => {
                let found = cache.entry(key(), Some(by), Or::Insert(&mut || Val::new(1)));
                return hand.verdict(found.map(Some));
            }
            Op::OrInsert => Or::Insert(make),
            Op::OrInsertWith => Or::InsertWith(load),
            Op::OrDefault if cache.is_unsync() => {
                let changed = cache.default_and_change(key(), by);
                return hand.verdict(changed.map(|()| None));
            }
            Op::OrDefault => Or::Default,
            _ => return self.take(call, hand),
        };
        hand.verdict(cache.entry(key(), None, or).map(Some));
    }

    fn take(&mut self, call: Call, hand: &mut Hand) {
        let (cache, key) = (&mut self.cache, &Id(call.key));
        let by = &mut |value: &mut Val| change(value, call.weight);
        match call.op {
            Op::Remove => hand.value(cache.remove(key)),
            Op::RemoveEntry => hand.entries.extend(cache.remove_entry(key)),
            Op::Evict => hand.entries.extend(cache.evict()),
            Op::RemoveIf => hand.value(cache.remove_if(key, &mut |_, _| {
                in_closure();
                call.n % 4 > 0
            })),
            Op::GetMut if cache.is_unsync() => drop(cache.get_mut(key, &mut |_| (), Some(by))),
            Op::Update | Op::GetMut => drop(cache.update(key, by)),
            Op::Compute => {
                let mut value = Some(Val::new(call.weight));
                let next = &mut || match (call.n % 3, value.take()) {
                    (0, Some(value)) => Next::Put(value),
                    (1, _) => Next::Keep,
                    _ => Next::Remove,
                };
                let computed = cache.compute(Key::new(call.key, 0), Some(by), next);
                if let Computed::Replaced(old) | Computed::Removed(old) = computed {
                    hand.value(Some(old));
                }
            }
            Op::Retain => cache.retain(&mut |key, value| {
                change(value, call.weight);
                key.id.0 as usize % 16 >= call.n % 16
            }),
            Op::Drain => cache.drain(call.n, &mut hand.entries),
            Op::Clear => cache.clear(),
            Op::SetCapacity => cache.set_capacity(call.weight),
            _ => cache.shrink_to_fit(),
        }
    }

    fn residents(&self) -> BTreeMap<u32, u64> {
        let all = self.cache.all();
        all.iter()
            .map(|(key, value)| (key.id.0, value.id))
            .collect()
    }

    /// What was told since this was last asked.
    fn hear(&mut self) -> VecDeque<Told> {
        let told = told();
        for told in &told {
            *self.times_told.entry(told.value).or_default() += 1;
        }
        told
    }

    fn times_told(&self, value: u64) -> u32 {
        self.times_told.get(&value).copied().unwrap_or(0)
    }
}

// ---- one call, and the books after it ----

struct Before {
    residents: BTreeMap<u32, u64>,
    stats: Snapshot,
    lives: u32,
    next_value: u64,
}

impl Before {
    fn of(door: &mut Door) -> Self {
        door.hear();
        Self {
            residents: door.residents(),
            stats: door.cache.stats(),
            lives: door.lives,
            next_value: WORLD.with(|world| world.next_value.get()),
        }
    }
}

type Ended = Result<(), Box<dyn Any + Send>>;

/// Makes a call with fuses burning and proves the books right; says whether it panicked.
fn make(door: &mut Door, call: Call, fuses: &[(Site, u32)]) -> (bool, Hand) {
    let before = Before::of(door);
    let mut hand = Hand::default();
    arm(fuses);
    let ended = catch_unwind(AssertUnwindSafe(|| door.call(call, &mut hand)));
    let blown = disarm();
    LAST_BLOWN.set(blown);
    prove(door, call, &before, &hand, &ended, blown);
    (ended.is_err(), hand)
}

fn prove(door: &mut Door, call: Call, before: &Before, hand: &Hand, ended: &Ended, blown: u32) {
    match ended {
        Ok(()) => assert_eq!(blown, 0, "a panic was swallowed"),
        Err(payload) => assert!(payload.is::<Blown>(), "a panic of brimful's own"),
    }
    door.cache.check();
    let (after, told) = (door.residents(), door.hear());
    everything_is_somewhere(&after, hand);
    told_is_right(door, call, before, &after, &told);
    departures_agree(door, before, &told);
    if ended.is_ok() {
        offered_is_in_or_told(door, call, before, &after);
    }
    assert_eq!(door.cache.len(), after.len());
}

/// Born = dropped + resident + in the caller's hands, one by one.
fn everything_is_somewhere(after: &BTreeMap<u32, u64>, hand: &Hand) {
    let held = after.len() + hand.entries.len();
    WORLD.with(|world| {
        let keys = (held + hand.keys.len()) as i64;
        assert_eq!(world.live_keys.get(), keys, "keys lost (or dropped twice)");
        let values = (held + hand.values.len()) as i64;
        let lost = "values lost (or dropped twice)";
        assert_eq!(world.live_values.get(), values, "{lost}");
        assert_eq!(world.dropped_twice.get(), 0, "dropped twice");
    });
}

/// Who left was told once, with the right key and a fitting cause; who stays, never.
fn told_is_right(
    door: &Door,
    call: Call,
    before: &Before,
    after: &BTreeMap<u32, u64>,
    told: &VecDeque<Told>,
) {
    for &id in after.values() {
        assert_eq!(door.times_told(id), 0, "v{id} is resident and told");
    }
    for (key, &id) in &before.residents {
        if after.get(key) != Some(&id) {
            assert_eq!(door.times_told(id), 1, "v{id} left: times told");
        }
    }
    for told in told {
        let id = told.value;
        assert_eq!(door.times_told(id), 1, "v{id}: times told");
        if id < before.next_value {
            assert_eq!(before.residents.get(&told.id), Some(&id), "told v{id}");
        }
        let fits = call.op.causes().contains(&told.cause);
        assert!(fits, "v{id} told as {}", told.cause);
    }
}

/// As many were told, by cause, as the statistics say.
fn departures_agree(door: &Door, before: &Before, told: &VecDeque<Told>) {
    let stats = door.cache.stats();
    let is_fresh = door.lives != before.lives;
    for cause in Cause::ALL {
        let left = stats.departures(cause);
        if is_fresh {
            assert_eq!(left, 0);
            continue;
        }
        let told = told.iter().filter(|told| told.cause == cause).count();
        let left = left - before.stats.departures(cause);
        assert_eq!(told as u64, left, "told and counted as {cause}");
    }
    if is_fresh {
        let residents = before.residents.len();
        assert_eq!(told.len(), residents, "told of a dropped cache");
    }
}

fn offered_is_in_or_told(door: &Door, call: Call, before: &Before, after: &BTreeMap<u32, u64>) {
    if matches!(call.op, Op::Insert | Op::TryInsert) {
        let id = before.next_value;
        let told = door.times_told(id);
        let stored = after.get(&call.key) == Some(&id);
        assert!(stored != (told == 1), "v{id}: stored {stored}, told {told}");
    }
}

/// Nothing is left when the cache is gone.
fn close(door: Door) {
    drop(door);
    WORLD.with(|world| {
        let live = (world.live_keys.get(), world.live_values.get());
        assert_eq!(live, (0, 0), "leaked");
    });
}

/// After a caught panic ordinary calls must answer right.
fn next_calls_are_right(door: &mut Door, key: u32) {
    let held = door.residents().get(&key).copied();
    let call = |op| Call {
        op,
        key,
        weight: 1,
        n: 1,
    };
    let ids = |hand: &Hand| hand.values.first().map(|value| value.id);

    let (_, hand) = make(door, call(Op::Insert), &[]);
    assert_eq!(ids(&hand), held, "what insert replaced");
    drop(hand);

    let stored = door.residents().get(&key).copied();
    assert_eq!(
        stored.is_some(),
        door.cache.capacity() > 0,
        "what was just inserted"
    );

    let (_, hand) = make(door, call(Op::Remove), &[]);
    assert_eq!(ids(&hand), stored, "what remove returns");
    drop(hand);
    assert_eq!(door.residents().get(&key), None);
}

// ---- random rounds ----

fn goal() -> u64 {
    count("BRIMFUL_PANICS", 3_000)
}

/// Whether the long forms run.
fn in_full() -> bool {
    goal() >= 100_000
}

/// Caught panics by call and site.
type Tally = BTreeMap<(Op, Site), u64>;

const KEYS: u64 = 24;

fn a_plan(rng: &mut Random) -> Plan {
    let weighed = rng.chance(2);
    let several = 2 + rng.below(6) as usize;
    Plan {
        capacity: if weighed { 40 } else { 12 },
        shards: rng.pick(&[None, Some(1), Some(several)]),
        weighed,
        entry_limit: (weighed && rng.chance(3)).then_some(8),
    }
}

fn a_call(rng: &mut Random, weighed: bool) -> Call {
    // Two inserts in three, or the caches run empty.
    let op = match rng.below(3) {
        0 => rng.pick(Op::ALL),
        1 => rng.pick(&[
            Op::Insert,
            Op::TryInsert,
            Op::InsertWeighted,
            Op::Extend,
            Op::GetOrInsertWith,
            Op::OrInsertWith,
        ]),
        _ => rng.pick(&Op::ALL[..Op::ALL.len() - 6]),
    };
    Call {
        op,
        key: rng.below(KEYS) as u32,
        weight: a_weight(rng, op, weighed),
        n: rng.below(30) as usize,
    }
}

fn a_weight(rng: &mut Random, op: Op, weighed: bool) -> u64 {
    let light = if weighed { 8 } else { 14 };
    match (op, rng.below(12)) {
        (Op::SetCapacity, _) if !weighed => rng.below(light),
        (Op::SetCapacity, _) => rng.below(50),
        (Op::Retain | Op::Extend, _) => rng.below(5),
        (_, 0) => 41 + rng.below(20),
        (_, 1) => 10 + rng.below(31),
        _ => rng.below(light),
    }
}

fn a_fuse(rng: &mut Random, with_policy: bool) -> (Site, u32) {
    let sites = if with_policy { 11 } else { 10 };
    let site = if with_policy && rng.chance(3) {
        Site::Policy
    } else {
        Site::ALL[rng.below(sites) as usize]
    };
    let most = if rng.chance(3) { 24 } else { 3 };
    (site, 1 + rng.below(most) as u32)
}

/// A policy in half of its forms and doors: each is a type of its own to compile.
fn half<P: Policy + 'static>(plan: Plan) -> Counted {
    if plan.weighed {
        weighed_alone::<Fused<P>>(plan)
    } else {
        plain::<Fused<P>>(plan)
    }
}

fn other_half<P: Policy + 'static>(plan: Plan) -> Counted {
    if plan.weighed {
        weighed::<Fused<P>>(plan)
    } else {
        plain_alone::<Fused<P>>(plan)
    }
}

fn a_round(index: u64, tally: &mut Tally) -> u64 {
    let rng = &mut Random::new(index);
    let mut plan = a_plan(rng);
    let with_policy = rng.chance(3);
    let has_locks = match index % 6 {
        0 | 1 => plan.shards.is_some(),
        2 | 3 => !plan.weighed,
        _ => plan.weighed,
    };
    plan.shards = has_locks.then_some(plan.shards.unwrap_or(1));
    let open: Open = match index % 6 {
        0 => open::<Fused<Lru>>,
        1 => open::<Fused<Duel>>,
        #[cfg(brimful_full)]
        2 => half::<brimful::policy::Lfu>,
        #[cfg(not(brimful_full))]
        2 => half::<AtRandom>,
        3 => half::<AtRandom>,
        #[cfg(brimful_full)]
        4 => other_half::<brimful::policy::S3Fifo>,
        _ => other_half::<Gdsf>,
    };
    let mut door = Door::open(plan, open);
    let mut caught = 0;
    for step in 0..50 {
        let call = a_call(rng, plan.weighed);
        let fuse = a_fuse(rng, with_policy);
        at(format!(
            "BRIMFUL_ROUND={index}, step {step}, {call:?}, {fuse:?}, {plan:?}"
        ));
        let (panicked, hand) = make(&mut door, call, &[fuse]);
        drop(hand);
        if panicked {
            caught += 1;
            *tally.entry((call.op, fuse.0)).or_default() += 1;
            next_calls_are_right(&mut door, rng.below(KEYS) as u32);
        }
    }
    close(door);
    caught
}

#[test]
fn whatever_panics_nothing_is_lost_and_the_next_call_is_right() {
    hush();
    seed();
    let goal = goal();
    let mut tally = Tally::new();
    if let Some(index) = env("BRIMFUL_ROUND") {
        a_round(index, &mut tally);
        return;
    }
    let (mut caught, mut index) = (0, 0);
    while caught < goal {
        caught += a_round(index, &mut tally);
        index += 1;
    }
    println!("{caught} panics caught in {index} rounds");
    print_tally(&tally);
    if goal >= 5_000 {
        every_op_and_site_was_hit(&tally);
    }
}

fn print_tally(tally: &Tally) {
    for &op in Op::ALL {
        let hits = Site::ALL.iter().filter_map(|&site| {
            let caught = tally.get(&(op, site))?;
            Some(format!("{site:?} {caught}"))
        });
        println!("{op:?}: {}", hits.collect::<Vec<_>>().join(", "));
    }
}

fn every_op_and_site_was_hit(tally: &Tally) {
    let pairs = tally.len();
    println!("{pairs} pairs of call and site");
    let least = if in_full() { 145 } else { 115 };
    assert!(
        pairs >= least,
        "only {pairs} pairs of call and site panicked"
    );
}

// ---- a panic at every depth of the calls that let many go ----

/// Blows a fuse of `site` at the first, second, ... call until one is out of reach.
fn at_every_depth(open: Open, plan: Plan, entries: usize, call: Call, site: Site) -> u64 {
    for depth in 1.. {
        let mut door = Door::open(plan, open);
        fill(&mut door, entries);
        at(format!("{call:?}, {site:?} at {depth}, {plan:?}"));
        let (panicked, hand) = make(&mut door, call, &[(site, depth)]);
        drop(hand);
        if !panicked {
            return u64::from(depth) - 1;
        }
        next_calls_are_right(&mut door, 1_000);
    }
    unreachable!("a call ends")
}

fn light(capacity: u64, shards: Option<usize>) -> Plan {
    Plan {
        capacity,
        shards,
        weighed: false,
        entry_limit: None,
    }
}

fn weighty(capacity: u64, shards: Option<usize>) -> Plan {
    let weighed = true;
    Plan {
        weighed,
        ..light(capacity, shards)
    }
}

fn fill(door: &mut Door, entries: usize) {
    let call = Call {
        op: Op::Extend,
        key: 0,
        weight: 2,
        n: entries,
    };
    door.call(call, &mut Hand::default());
}

fn depths_of(open: Open, plan: Plan, entries: usize) -> u64 {
    let calls = [
        (Op::Clear, 0),
        (Op::Drain, 0),
        (Op::Retain, 1),
        (Op::Retain, 5),
        (Op::SetCapacity, 3),
        (Op::SetCapacity, 0),
        (Op::Extend, 2),
        (Op::Drop, 0),
        (Op::IntoIter, 0),
    ];
    let sites = [
        Site::Listener,
        Site::DropKey,
        Site::DropValue,
        Site::Closure,
        Site::Weigher,
    ];
    let mut caught = 0;
    for (op, weight) in calls {
        let call = Call {
            op,
            key: entries as u32 / 2,
            weight,
            n: entries / 3,
        };
        for site in sites {
            caught += at_every_depth(open, plan, entries, call, site);
        }
    }
    caught
}

#[test]
fn a_panic_at_every_depth_of_a_mass_departure_spares_all_others() {
    hush();
    let entries = if in_full() { 60 } else { 20 };
    let (few, many) = (entries as u64, 2 * entries as u64);
    let caught = depths_of(open::<Fused<Duel>>, light(few, Some(1)), entries)
        + depths_of(open::<Fused<Lru>>, light(few, Some(5)), entries)
        + depths_of(open::<Fused<Duel>>, weighty(many, Some(4)), entries)
        + depths_of(plain_alone::<Fused<Fifo>>, light(few, None), entries)
        + depths_of(weighed_alone::<Fused<Sieve>>, weighty(many, None), entries);
    println!("{caught} panics caught");
    assert!(caught > 80 * few, "{caught}");
}

#[test]
fn a_policy_that_panics_at_any_of_its_calls_loses_no_value() {
    hush();
    let (capacity, entries) = if in_full() { (60, 80) } else { (24, 32) };
    let mut caught = 0;
    for &op in Op::ALL {
        let calls = [(10, 30), (500, 25), (10, 70), (10, 2), (10, 0)];
        for (key, weight) in calls.into_iter().take(if in_full() { 5 } else { 2 }) {
            let n = 9;
            let call = Call { op, key, weight, n };
            let site = Site::Policy;
            let (duel, lru): (Open, _) = (open::<Fused<Duel>>, open::<Fused<Lru>>);
            caught += at_every_depth(lru, light(capacity, Some(3)), entries, call, site)
                + at_every_depth(duel, weighty(capacity, Some(3)), entries, call, site)
                + at_every_depth(duel, light(capacity, None), entries, call, site)
                + at_every_depth(lru, weighty(capacity, None), entries, call, site);
        }
    }
    println!("{caught} panics caught");
    assert!(caught > 500, "{caught}");
}

// ---- two panics at once, in processes of their own since they might abort ----

/// One call on a full cache in which some user code panics at every call.
#[derive(Clone, Copy, Debug)]
struct Double {
    door: usize,
    call: Call,
    always: &'static [Site],
    /// Made by a destructor while another panic unwinds.
    unwinding: bool,
}

const BOTH_DROPS: [Site; 2] = [Site::DropKey, Site::DropValue];

impl Double {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for door in 0..5 {
            for &op in Op::ALL {
                for (key, weight) in [(500, 3), (5, 9), (5, 30), (5, 0)] {
                    let n = 4;
                    let call = Call { op, key, weight, n };
                    all.extend(Self::of(door, call));
                }
            }
        }
        all.retain(|double| double.is_ours());
        all
    }

    fn of(door: usize, call: Call) -> impl Iterator<Item = Self> {
        const ALWAYS: [&[Site]; 6] = [
            &[Site::Listener],
            &[Site::DropValue],
            &[Site::DropKey],
            &[Site::Listener, Site::DropValue],
            &[Site::Listener, Site::DropKey],
            &[Site::Listener, Site::DropKey, Site::DropValue],
        ];
        let with = move |always, unwinding| Self {
            door,
            call,
            always,
            unwinding,
        };
        ALWAYS
            .into_iter()
            .flat_map(move |always| [with(always, false), with(always, true)])
    }

    fn is_ours(&self) -> bool {
        let drops = self.always.iter().any(|site| BOTH_DROPS.contains(site));
        !(drops && in_a_vec_of_std(self.call.op, self.door > 2))
    }

    fn run(&self) {
        let (plan, open): (_, Open) = match self.door {
            0 => (light(10, Some(1)), open::<Fused<Duel>>),
            1 => (weighty(20, Some(1)), open::<Fused<Duel>>),
            2 => (weighty(20, Some(3)), open::<Fused<Lru>>),
            3 => (light(10, None), open::<Fused<Duel>>),
            _ => (weighty(20, None), open::<Fused<Duel>>),
        };
        let undisturbed = self.answer(plan, open, &[]);
        let answer = self.answer(plan, open, self.always);
        if self.unwinding && self.always == [Site::Listener] {
            assert_eq!(answer, undisturbed, "the answer while unwinding");
        }
    }

    /// Makes the call; the values that it hands back.
    fn answer(&self, plan: Plan, open: Open, sites: &[Site]) -> Vec<u64> {
        let mut door = Door::open(plan, open);
        fill(&mut door, 10);
        let before = Before::of(&mut door);
        let mut hand = Hand::default();
        always(sites);
        let ended = if self.unwinding {
            self.while_unwinding(&mut door, &mut hand)
        } else {
            catch_unwind(AssertUnwindSafe(|| door.call(self.call, &mut hand)))
        };
        let blown = disarm();
        if self.unwinding {
            let ended = Ok(());
            prove(&mut door, self.call, &before, &hand, &ended, 0);
        } else {
            prove(&mut door, self.call, &before, &hand, &ended, blown);
        }
        hand.ids()
    }

    fn while_unwinding(&self, door: &mut Door, hand: &mut Hand) -> Ended {
        struct Late<'a>(&'a mut Door, Call, &'a mut Hand);
        impl Drop for Late<'_> {
            fn drop(&mut self) {
                self.0.call(self.1, self.2);
            }
        }
        catch_unwind(AssertUnwindSafe(|| {
            let _late = Late(door, self.call, hand);
            panic_any(Blown);
        }))
    }
}

/// Clones that an iterator has not yielded, and what `unsync`'s `drain` has
/// not, lie in a `Vec` of std's, which aborts when two of its items panic.
fn in_a_vec_of_std(op: Op, alone: bool) -> bool {
    match op {
        Op::Iter | Op::Keys | Op::Values => true,
        Op::Drain | Op::IntoIter => alone,
        _ => false,
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn two_panics_at_once_never_abort() {
    if let Some(start) = scenario() {
        return each_double_panic(start);
    }
    let all = Double::all();
    let (mut start, mut failed) = (0, Vec::new());
    while start < all.len() {
        let (passed, out, errors) = child(module_path!(), "two_panics_at_once_never_abort", start);
        if passed {
            break;
        }
        let mut lines = out.lines().rev();
        let last = lines.find_map(|line| line.strip_prefix("scenario "));
        let last: usize = last.expect(&errors).parse().unwrap();
        failed.push(format!("{:?}\n{}", all[last], first_lines(&errors)));
        start = last + 1;
    }
    let (count, of) = (failed.len(), all.len());
    failed.truncate(40);
    assert!(count == 0, "{count} of {of}:\n{}", failed.join("\n"));
}

fn first_lines(text: &str) -> String {
    text.lines().take(4).collect::<Vec<_>>().join("\n    ")
}

#[test]
#[cfg_attr(miri, ignore = "starts processes")]
fn a_second_panic_while_others_are_told_and_dropped_neither_aborts_nor_loses() {
    if scenario().is_some() {
        return second_fuses();
    }
    let name = "a_second_panic_while_others_are_told_and_dropped_neither_aborts_nor_loses";
    let (passed, out, errors) = child(module_path!(), name, 0);
    assert!(passed, "{out}\n{errors}");
}

fn second_fuses() {
    hush();
    let goal = goal() / 5;
    let (mut both, mut index) = (0, 0);
    while both < goal {
        both += match index % 4 {
            0 => second_round(index, light(12, Some(1)), open::<Fused<Duel>>),
            1 => second_round(index, weighty(40, Some(3)), open::<Fused<Duel>>),
            2 => second_round(index, light(12, None), open::<Fused<Lru>>),
            _ => second_round(index, weighty(40, None), open::<Fused<Lru>>),
        };
        index += 1;
    }
    println!("{both} calls in which two fuses blew, in {index} rounds");
}

/// Calls in which a second panic happens on the way out; says in how many.
fn second_round(index: u64, plan: Plan, open: Open) -> u64 {
    let rng = &mut Random::new(index);
    let mut door = Door::open(plan, open);
    let mut both = 0;
    for step in 0..50 {
        let call = a_call(rng, true);
        let outs = [Site::Listener, Site::DropKey, Site::DropValue];
        let mut fuse = || (rng.pick(&outs), 1 + rng.below(4) as u32);
        let fuses = [fuse(), fuse()];
        at(format!(
            "round {index}, step {step}, {call:?}, {fuses:?}, {plan:?}"
        ));
        if in_a_vec_of_std(call.op, plan.shards.is_none()) {
            continue;
        }
        let (panicked, hand) = make(&mut door, call, &fuses);
        drop(hand);
        both += u64::from(panicked && LAST_BLOWN.get() == 2);
    }
    close(door);
    both
}

fn each_double_panic(start: usize) {
    hush();
    for (index, double) in Double::all().iter().enumerate().skip(start) {
        println!("\nscenario {index}");
        at(format!("{double:?}"));
        double.run();
    }
}
