//! Policies written against the public trait alone.
//!
//! A right one (last in, first out, in under 60 lines) evicts exactly what it
//! names, in caches with and without locks, weights and shards. An auditor
//! proves what the trait promises a policy: who is admitted, touched, reweighed
//! and forgotten, and with which tag and weight. Wrong ones (that name a victim
//! twice, never, too late or at random, that forget nothing or everything, or
//! always name the entry that must stay) break neither the bound nor the
//! ledgers: no value is lost or told twice, and nothing panics or hangs.
//!
//! `BRIMFUL_POLICY_OPS`: operations for each wrong policy and kind of cache
//! (default 500; the full run 3,000). `BRIMFUL_SEED` replays a run; the seed is printed.
//! Covers faults 27, 28 and 60 of `tests/FAULTS.md`.

use crate::world::counted::{Id, Key, Val, WORLD, new_world, told};
use crate::world::door::{Counted, Plan, open};
use crate::world::{Random, count, seed};
use brimful::policy::{Policy, Residents, Slot, Tag, Touch};
use brimful::{Cache, Cause, Entries, Updated};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

// A policy of one's own: begin
/// Last in, first out.
#[derive(Debug)]
struct Lifo {
    stack: Vec<(Tag, u64)>,
    admitted: u64,
}

/// When an entry came in; tells entries of one tag apart.
#[derive(Debug, Default)]
struct Turn(u64);

impl Policy for Lifo {
    type Meta = Turn;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, _seed: u64) -> Self {
        Self {
            stack: Vec::new(),
            admitted: 0,
        }
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        self.admitted += 1;
        if let Some(turn) = residents.meta_mut(slot) {
            turn.0 = self.admitted;
            self.stack.push((tag, turn.0));
        }
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        if let Some(left) = residents.meta(slot) {
            self.stack.retain(|(_, turn)| *turn != left.0);
        }
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        let (tag, newest) = self.stack.pop()?;
        residents.find(tag, |turn| turn.0 == newest)
    }

    fn moved(&mut self, _: &mut impl Residents<Turn>) {}
}
// A policy of one's own: end

#[test]
fn a_policy_takes_fewer_than_60_lines() {
    let mut parts = include_str!("own_policy.rs").split("// A policy of one's own: ");
    let lines = parts.nth(1).expect("the marker").lines().count() - 1;
    assert!((20..60).contains(&lines), "{lines} lines");
}

/// A cache of so many entries, or of so much weight.
fn plan(capacity: u64, shards: Option<usize>, weighed: bool) -> Plan {
    Plan {
        capacity,
        shards,
        weighed,
        entry_limit: None,
    }
}

/// With a limit of entries, what weighs nothing is charged nothing.
const LIMIT: usize = 7;

fn told_keys() -> Vec<u32> {
    told().iter().map(|told| told.id).collect()
}

fn holds(cache: &Counted) -> (usize, u64, u64) {
    (cache.len(), cache.weight(), cache.capacity())
}

fn grow(cache: &mut Counted, key: u32, weight: u64) -> Updated<()> {
    cache.update(&Id(key), &mut |value| value.weight = weight)
}

fn put(door: &mut Counted, key: u32, weight: u64) -> Vec<u32> {
    door.insert(Key::new(key, 0), Val::new(weight));
    let told = told().into_iter();
    let evicted = told.filter(|told| told.cause == Cause::Evicted);
    evicted.map(|told| told.id).collect()
}

fn the_newest_leaves_first(mut door: Counted) {
    for key in 0..4 {
        assert!(put(&mut door, key, 1).is_empty());
    }
    assert_eq!(put(&mut door, 4, 1), [3]);
    assert_eq!(put(&mut door, 5, 1), [4]);
    // Neither a hit nor a new value of the same weight changes the order.
    assert!(door.view(&Id(0), &mut |_, _| ()));
    assert!(put(&mut door, 1, 1).is_empty());
    assert_eq!(put(&mut door, 6, 1), [5]);
    assert_eq!(door.remove(&Id(6)).map(|value| value.weight), Some(1));
    assert_eq!(told_keys(), [6]);
    assert!(put(&mut door, 7, 1).is_empty());
    door.set_capacity(2);
    assert_eq!(told_keys(), [7, 2]);
    door.set_capacity(5);
    for key in 10..13 {
        assert!(put(&mut door, key, 1).is_empty());
    }
    door.retain(&mut |key, _| key.id.0 != 12);
    assert_eq!(told_keys(), [12]);
    assert!(put(&mut door, 13, 1).is_empty());
    assert_eq!(put(&mut door, 14, 1), [13]);
    door.clear();
    told();
    assert!(put(&mut door, 20, 1).is_empty());
    door.set_capacity(1);
    assert_eq!(put(&mut door, 21, 1), [20]);
    door.check();
}

#[test]
fn the_newest_leaves_first_in_every_kind_of_cache_of_one_shard() {
    for shards in [Some(1), None] {
        for weighed in [false, true] {
            the_newest_leaves_first(open::<Lifo>(plan(4, shards, weighed)));
        }
    }
}

fn heavy_ones_push_out_as_many_as_it_takes(mut door: Counted) {
    for key in 0..5 {
        assert!(put(&mut door, key, 2).is_empty());
    }
    assert_eq!(put(&mut door, 5, 5), [4, 3, 2]);
    // The entry that grows is never its own victim, though it is the newest.
    assert_eq!(grow(&mut door, 5, 7), Updated::Kept(()));
    assert_eq!(told_keys().len(), 1);
    assert_eq!(put(&mut door, 5, 10).len(), 1);
    assert_eq!(holds(&door), (1, 10, 10));
    assert_eq!(grow(&mut door, 5, 11), Updated::Refused(()));
    assert_eq!(holds(&door), (0, 0, 10));
    door.check();
}

#[test]
fn heavy_ones_push_out_as_many_of_the_newest_as_it_takes() {
    for shards in [Some(1), None] {
        heavy_ones_push_out_as_many_as_it_takes(open::<Lifo>(plan(10, shards, true)));
    }
}

#[test]
fn each_of_several_shards_keeps_its_own_order() {
    let mut cache = open::<Lifo>(plan(40, Some(4), false));
    let mut stacks = vec![Vec::new(); 4];
    for key in 0..2_000 {
        for victim in put(&mut cache, key, 1) {
            let newest = stacks[cache.shard_of(&Id(victim))].pop();
            assert_eq!(newest, Some(victim));
        }
        stacks[cache.shard_of(&Id(key))].push(key);
    }
    let held: usize = stacks.iter().map(Vec::len).sum();
    assert_eq!((held, holds(&cache)), (40, (40, 40, 40)));
    cache.check();
}

/// Least recently admitted or touched first, and suspicious of every call.
struct Auditor<const IN_ORDER: bool> {
    /// Tag, turn and weight of all that were admitted and did not leave.
    order: Vec<(Tag, u64, u64)>,
    turns: u64,
    announced: Option<(Tag, u64)>,
    share: u64,
}

thread_local! {
    static SHARES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static TOUCHED: Cell<u64> = const { Cell::new(0) };
    static HITS: Cell<u32> = const { Cell::new(0) };
}

impl<const IN_ORDER: bool> Auditor<IN_ORDER> {
    fn place(&self, turn: u64) -> usize {
        let place = self.order.iter().position(|item| item.1 == turn);
        place.expect("an entry that was admitted and did not leave")
    }

    fn push(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        self.turns += 1;
        let weight = residents.weight(slot);
        residents.meta_mut(slot).expect("a resident").0 = self.turns;
        self.order.push((tag, self.turns, weight));
    }

    /// Takes out the entry in `slot`, which must be as it was admitted.
    fn pull(&mut self, slot: Slot, residents: &impl Residents<Turn>) {
        let turn = residents.meta(slot).expect("a resident").0;
        let (tag, _, weight) = self.order.remove(self.place(turn));
        assert_eq!(residents.tag(slot), Some(tag));
        assert_eq!(residents.weight(slot), weight, "weight at leaving");
    }
}

impl<const IN_ORDER: bool> Policy for Auditor<IN_ORDER> {
    type Meta = Turn;
    const TOUCH: Touch = if IN_ORDER { Touch::Order } else { Touch::Mark };
    const HITS: u32 = 7;

    fn new(share: u64, _seed: u64) -> Self {
        SHARES.with_borrow_mut(|shares| shares.push(share));
        Self {
            order: Vec::new(),
            turns: 0,
            announced: None,
            share,
        }
    }

    fn announce(&mut self, tag: Tag, weight: u64) {
        self.announced = Some((tag, weight));
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Turn>) {
        assert_eq!(residents.tag(slot), Some(tag));
        let turn = residents.meta(slot).expect("a resident").0;
        assert!(
            self.order.iter().all(|item| item.1 != turn),
            "admitted twice"
        );
        if turn == 0 {
            let announced = self.announced.take();
            assert_eq!(announced, Some((tag, residents.weight(slot))), "a miss");
        }
        self.push(slot, tag, residents);
        assert_eq!(self.order.len(), residents.len());
    }

    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        assert!(IN_ORDER);
        TOUCHED.set(TOUCHED.get() + 1);
        let tag = residents.tag(slot).expect("a resident");
        self.pull(slot, residents);
        self.push(slot, tag, residents);
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Turn>) {
        let turn = residents.meta(slot).expect("a resident").0;
        let place = self.place(turn);
        assert_eq!(self.order[place].2, before);
        assert_ne!(residents.weight(slot), before, "nothing changed");
        self.order[place].2 = residents.weight(slot);
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Turn>) {
        self.pull(slot, residents);
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        assert_eq!(self.order.len(), residents.len());
        let &(tag, turn, _) = self.order.first()?;
        let slot = residents.find(tag, |meta| meta.0 == turn);
        self.pull(slot.expect("a resident"), residents);
        HITS.set(residents.hits(slot?));
        slot
    }

    fn moved(&mut self, residents: &mut impl Residents<Turn>) {
        let slots: Vec<Slot> = residents.slots().collect();
        assert_eq!(slots.len(), self.order.len());
        for slot in slots {
            let tag = residents.tag(slot).expect("a resident");
            let turn = residents.meta(slot).expect("a resident").0;
            assert!(
                self.order
                    .iter()
                    .any(|item| (item.0, item.1) == (tag, turn))
            );
        }
    }

    fn resized(&mut self, share: u64) {
        self.share = share;
        SHARES.with_borrow_mut(|shares| shares.push(share));
    }

    fn check(&self, residents: &mut impl Residents<Turn>) {
        assert_eq!(self.order.len(), residents.len());
        for &(tag, turn, weight) in &self.order {
            let slot = residents.find(tag, |meta| meta.0 == turn);
            assert_eq!(slot.map(|slot| residents.weight(slot)), Some(weight));
        }
    }
}

#[test]
fn a_policy_is_told_of_every_entry_that_comes_and_goes_with_its_tag_and_weight() {
    let seed = seed();
    torment_in_all_kinds::<Auditor<true>>(seed);
    torment_in_all_kinds::<Auditor<false>>(seed);
}

#[test]
fn a_policy_is_told_its_share_when_born_resized_and_cleared() {
    let mut cache = open::<Auditor<true>>(plan(100, Some(8), false));
    assert_eq!(SHARES.take(), [12; 8]);
    cache.set_capacity(1_000);
    assert_eq!(SHARES.take(), [125; 8]);
    cache.clear();
    assert_eq!(SHARES.take(), [125; 8]);
    let mut cache = open::<Auditor<true>>(plan(u64::MAX, None, true));
    cache.set_capacity(5);
    assert_eq!(SHARES.take(), [u64::MAX, 5]);
}

/// Evicts at random, and keeps something on the heap with each entry.
struct Hoarder(#[allow(dead_code)] Arc<()>, u64);

thread_local! {
    static HOARD: Arc<()> = Arc::default();
}

struct Hoarded(#[allow(dead_code)] Arc<()>);

impl Default for Hoarded {
    fn default() -> Self {
        Self(HOARD.with(Arc::clone))
    }
}

impl Policy for Hoarder {
    type Meta = Hoarded;
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(HOARD.with(Arc::clone), seed | 1)
    }
    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<Hoarded>) {}
    fn forget(&mut self, _: Slot, _: &mut impl Residents<Hoarded>) {}
    fn victim(&mut self, residents: &mut impl Residents<Hoarded>) -> Option<Slot> {
        self.1 = self.1.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        residents.nth(self.1 >> 33)
    }
    fn moved(&mut self, _: &mut impl Residents<Hoarded>) {}
}

/// Neither key nor value needs a drop there, and nobody listens; what the policy keeps does.
#[test]
fn what_a_policy_keeps_with_an_entry_goes_with_it() {
    let cache: Cache<u32, u32, Hoarder> = Cache::builder(Entries(10))
        .policy::<Hoarder>()
        .shards(1)
        .build()
        .unwrap();
    let kept = || HOARD.with(Arc::strong_count) - 2;
    for n in 0..100 {
        cache.insert(n, n);
        assert_eq!(kept(), cache.len());
    }
    cache.remove(&99);
    assert_eq!(kept(), cache.len());
    cache.shrink_to_fit();
    cache.clear();
    assert_eq!(kept(), 0);
    drop(cache);
    assert_eq!(HOARD.with(Arc::strong_count), 1);
}

fn hits_touch_and_looks_do_not<const IN_ORDER: bool>() {
    let mut cache = open::<Auditor<IN_ORDER>>(plan(10, None, false));
    TOUCHED.set(0);
    put(&mut cache, 1, 1);
    assert!(
        cache.contains_key(&Id(1)) && cache.peek(&Id(1)).is_some() && cache.get(&Id(2)).is_none()
    );
    assert_eq!(TOUCHED.get(), 0);
    assert!(cache.get(&Id(1)).is_some() && cache.view(&Id(1), &mut |_, _| ()));
    assert_eq!(grow(&mut cache, 1, 1), Updated::Kept(()));
    put(&mut cache, 1, 1);
    // What the cache counted is seen when the entry is asked about as a victim.
    cache.set_capacity(0);
    assert_eq!(HITS.get(), 4);
    assert_eq!(TOUCHED.get(), if IN_ORDER { 4 } else { 0 });
}

#[test]
fn hits_updates_and_new_values_touch_and_looks_do_not() {
    hits_touch_and_looks_do_not::<true>();
    hits_touch_and_looks_do_not::<false>();
}

listed! {
    /// A wrong way to answer, given every slot that was ever admitted.
    Folly {
        /// Names each victim twice.
        Twice,
        /// Has no answer.
        Never,
        /// Names whoever lay where the oldest it ever heard of once lay, and never forgets.
        Stale,
        /// Names slots at random, of those that ever were.
        AtRandom,
        /// Always names the newest, which is the one that must stay if it grows.
        TheNewest,
        /// Names one slot for ever, from the first that it heard of.
        TheFirst,
        /// Forgets all whenever one is to be forgotten.
        Amnesia,
    }
}

thread_local! {
    /// The folly of the policies that are made next.
    static FOLLY: Cell<Folly> = const { Cell::new(Folly::Never) };
}

struct Foolish {
    folly: Folly,
    slots: Vec<Slot>,
    last: Option<Slot>,
    random: Random,
}

impl Policy for Foolish {
    type Meta = Turn;
    const TOUCH: Touch = Touch::Order;

    fn new(_share: u64, seed: u64) -> Self {
        Self {
            folly: FOLLY.get(),
            slots: Vec::new(),
            last: None,
            random: Random(seed),
        }
    }

    fn admit(&mut self, slot: Slot, _: Tag, _: &mut impl Residents<Turn>) {
        self.slots.push(slot);
    }

    fn forget(&mut self, _: Slot, _: &mut impl Residents<Turn>) {
        if self.folly == Folly::Amnesia {
            self.slots.clear();
        }
    }

    fn victim(&mut self, residents: &mut impl Residents<Turn>) -> Option<Slot> {
        let slots = &mut self.slots;
        match self.folly {
            Folly::Twice => match self.last.take() {
                Some(slot) => Some(slot),
                None => {
                    self.last = residents.nth(self.random.next());
                    self.last
                }
            },
            Folly::Never => None,
            Folly::Stale => {
                let oldest = slots.first().copied();
                let turned = slots.len().min(1);
                slots.rotate_left(turned);
                oldest
            }
            Folly::AtRandom => {
                let any = self.random.next() as usize % slots.len().max(1);
                slots.get(any).copied()
            }
            Folly::TheNewest => slots.last().copied(),
            Folly::TheFirst => slots.first().copied(),
            Folly::Amnesia => slots.pop(),
        }
    }

    fn moved(&mut self, _: &mut impl Residents<Turn>) {}
}

#[test]
fn no_wrong_answer_breaks_the_bound_or_loses_a_value() {
    let seed = seed();
    for &folly in Folly::ALL {
        FOLLY.set(folly);
        torment_in_all_kinds::<Foolish>(seed);
    }
}

fn torment_in_all_kinds<P: Policy + 'static>(seed: u64) {
    for shards in [Some(1), Some(3), Some(16), None] {
        let plain = plan(20, shards, false);
        let weighed = plan(60, shards, true);
        let limited = Plan {
            entry_limit: Some(LIMIT),
            ..weighed
        };
        for plan in [plain, weighed, limited] {
            torment(open::<P>, plan, seed);
        }
    }
}

/// Random operations; after each, the bound and the ledgers.
fn torment(open: fn(Plan) -> Counted, plan: Plan, seed: u64) {
    let ops = count("BRIMFUL_POLICY_OPS", 500);
    new_world();
    let mut door = open(plan);
    let mut random = Random(seed);
    let mut gone = HashSet::new();
    let limit = plan.entry_limit.unwrap_or(usize::MAX);
    for _ in 0..ops {
        operate(&mut door, &mut random, plan.capacity);
        for told in told() {
            assert!(gone.insert(told.value), "told twice");
        }
        compare(&mut door, limit, &gone);
    }
    let rest = door.len();
    drop(door);
    assert_eq!(told().len(), rest, "told when the cache was dropped");
    WORLD.with(|world| {
        let live = (world.live_keys.get(), world.live_values.get());
        assert_eq!(live, (0, 0), "leaked");
    });
}

fn operate(door: &mut Counted, random: &mut Random, usual: u64) {
    let key = Key::new(random.below(40) as u32, 0);
    let weight = match random.below(16) {
        0 => 0,
        1 => usual,
        2 => usual + 1,
        3 => usual / 2,
        _ => random.below(8),
    };
    match random.below(64) {
        0..32 => drop(door.insert(key, Val::new(weight))),
        32..44 => drop(door.view(&key.id, &mut |_, _| ())),
        44..54 => drop(grow(door, key.id.0, weight)),
        54..58 => drop(door.remove(&key.id)),
        58..60 => door.set_capacity(random.pick(&[0, 1, usual / 3, usual, 2 * usual])),
        60 => door.set_capacity(usual),
        61 => {
            let odd = random.below(2);
            door.retain(&mut |_, value| {
                value.weight += random.below(2);
                value.id % 4 > odd
            });
        }
        62 => door.shrink_to_fit(),
        _ if random.chance(2) => drop(door.drained(0)),
        _ => door.clear(),
    }
}

fn compare(door: &mut Counted, limit: usize, gone: &HashSet<u64>) {
    let residents = door.all();
    let (len, weight, capacity) = holds(door);
    assert!(weight <= capacity, "{weight} of {capacity}");
    assert!(len <= limit, "{len} entries of {limit}");
    assert_eq!(residents.len(), len, "len");
    let stays = |value: &Val| !gone.contains(&value.id);
    assert!(
        residents.iter().all(|entry| stays(&entry.1)),
        "told, but here"
    );
    drop(residents);
    let stats = door.stats();
    let left: u64 = Cause::ALL.map(|cause| stats.departures(cause)).iter().sum();
    assert_eq!(left, gone.len() as u64, "counted and told");
    assert_eq!(stats.inserts() - left, len as u64, "a value was lost");
    let live = WORLD.with(|world| world.live_values.get());
    assert_eq!(live, len as i64, "live values");
    door.check();
}
