//! A cache and its model, driven side by side.

use crate::door::{Back, Change, Face, Or, Seen, Then, Verdict};
use crate::naive::{Model, Offer};
use crate::op::{Config, Extras, Op};
use crate::open::{CLASSES, class_of};
use crate::pile::Pile;
use crate::time::{Lives, NEVER};
use crate::world::counted::nanos;
use crate::world::counted::{Id, Key, Val, WORLD, next_value};
use crate::world::random::mix;
use brimful::{Cause, ManualClock, Updated};
use std::time::Duration;

/// A cache and its model, side by side.
pub(crate) struct Rig {
    pub(crate) door: Face,
    pub(crate) clock: ManualClock,
    pub(crate) config: Config,
    pub(crate) model: Model,
    pub(crate) stamp: u32,
}

impl Rig {
    pub(crate) fn new(door: Face, clock: ManualClock, config: &Config) -> Self {
        let homes = (0..config.keys).map(|id| door.shard_of(&Id(id))).collect();
        Self {
            model: Model::new(config, homes),
            door,
            clock,
            config: config.clone(),
            stamp: 0,
        }
    }

    pub(crate) fn id(&self, key: u16) -> u32 {
        // Half of the calls go to a fifth of the keys.
        let keys = self.config.keys;
        let hot = if key & 1 == 0 { keys / 5 + 1 } else { keys };
        u32::from(key / 2) % hot
    }

    pub(crate) fn heft(&self, n: u16) -> u64 {
        self.config.hefts.of(n, self.model.capacity)
    }

    pub(crate) fn change(&self, n: u16) -> Change {
        Change {
            id: next_value(),
            own: self.heft(n),
        }
    }

    pub(crate) fn key(&mut self, key: u16) -> Key {
        self.stamp += 1;
        Key::new(self.id(key), self.stamp)
    }

    /// What the call just made told and recalled goes to the model.
    pub(crate) fn hear(&mut self) -> &mut Model {
        self.model.told = WORLD.with(|world| world.told.take());
        let model = &mut self.model;
        model.some_left = model.piles.len() > 1 && !model.told.is_empty();
        if self.door.stats().ghost_hits() > model.ghost_hits.iter().sum() {
            for (shard, before) in model.ghost_hits.iter_mut().enumerate() {
                let now = self.door.shard_stats(shard).ghost_hits();
                model.recalled[shard] = now - *before;
                *before = now;
            }
        }
        model
    }

    pub(crate) fn offer(&mut self, key: &Key, value: &Val) -> Offer {
        let weight = self.model.weigh(value.weight);
        self.model.rulings += u64::from(self.model.rules());
        self.offer_weighing(key, value, weight)
    }

    pub(crate) fn offer_weighing(&self, key: &Key, value: &Val, weight: u64) -> Offer {
        Offer {
            id: key.id.0,
            stamp: key.stamp,
            value: value.id,
            own: value.weight,
            weight,
            life: self.model.usual_life(key.id.0, value.id),
        }
    }

    /// A call that reads the clock once, and before it locks, whatever it does:
    /// where there is one to read.
    pub(crate) fn once<R>(&mut self, call: impl FnOnce(&mut Face) -> R) -> R {
        let before = WORLD.with(|world| world.clock_reads.get());
        let result = call(&mut self.door);
        let reads = WORLD.with(|world| world.clock_reads.get()) - before;
        assert_eq!(reads, u64::from(self.config.lives.is_some()), "clock reads");
        result
    }

    pub(crate) fn step(&mut self, op: Op) {
        self.lie(op);
        self.run(op);
        self.compare();
    }

    /// A lying weigher gives every value of this call the same false weight.
    pub(crate) fn lie(&mut self, op: Op) {
        if let (true, Op::Insert(_, n) | Op::Update(_, n)) = (self.config.lies, op) {
            self.model.lie = Some(self.heft(n.rotate_left(5)));
            WORLD.with(|world| world.lie.set(self.model.lie));
        }
    }

    pub(crate) fn run(&mut self, op: Op) {
        match op {
            Op::Get(key) => self.get(self.id(key)),
            Op::View(key) => self.view(self.id(key)),
            Op::Peek(key) => self.peek(self.id(key)),
            Op::ContainsKey(key) => self.peek(self.id(key)),
            Op::Insert(key, n) => self.insert(key, n),
            Op::TryInsert(key, n) => self.try_insert(key, n),
            Op::InsertWeighted(key, n, m) => self.insert_weighted(key, n, m),
            Op::TryInsertWeighted(key, n, m) => self.try_insert_weighted(key, n, m),
            Op::GetOrInsertWith(key, n) => self.get_or_insert_with(self.id(key), n),
            Op::Entry(key, n, m) => self.entry(key, n, m),
            Op::Compute(key, n, m) => self.compute(key, n, m),
            Op::Update(key, n) => self.update(self.id(key), n),
            Op::GetMut(key, n) if self.door.is_unsync() => self.get_mut(self.id(key), n),
            Op::GetMut(key, n) => self.update(self.id(key), n),
            Op::Remove(key) => self.remove(self.id(key)),
            Op::RemoveEntry(key) => self.remove_entry(self.id(key)),
            Op::RemoveIf(key, n) => self.remove_if(self.id(key), n % 2 == 0),
            Op::Evict => self.evict(),
            Op::Extend(key, n, m) => self.extend(key, n, m),
            Op::SetCapacity(n) => self.set_capacity(n),
            Op::Retain(n, m) => self.retain(n, m),
            Op::Walk => self.compare_all(),
            Op::ShrinkToFit => self.shrink_to_fit(),
            Op::Drain(n) => self.drain(n as usize % 50),
            Op::Clear => self.clear(),
            Op::Advance(n) => self.advance(n),
            Op::InsertWithTtl(key, n, m) => self.insert_with_ttl(key, n, m),
            Op::TryInsertWithTtl(key, n, m) => self.try_insert_with_ttl(key, n, m),
            Op::SetTtl(key, n) => self.set_ttl(self.id(key), n),
            Op::Ttl(key) => self.ttl(self.id(key)),
            Op::Sweep(n) => {
                _ = self.sweep(if n % 4 == 0 {
                    usize::MAX
                } else {
                    n as usize % 9
                })
            }
            Op::SweepAll(n) => self.sweep_all(1 + n as usize % 6),
            Op::NextDeadline(n) => self.next_deadline(n % 2 == 0),
        }
    }

    pub(crate) fn get(&mut self, id: u32) {
        let got = self.once(|door| door.get(&Id(id)));
        assert_eq!(got, self.hear().read(id));
    }

    pub(crate) fn view(&mut self, id: u32) {
        self.model.tell_home(id);
        let expected = self.model.seen(id);
        let got = self.once(|door| door.view(&Id(id)));
        assert_eq!(got, expected);
        self.hear().read(id);
    }

    pub(crate) fn peek(&mut self, id: u32) {
        self.model.tell_home(id);
        let value = self.model.value(id);
        assert_eq!(self.once(|door| door.peek(&Id(id))), value);
        let is_there = self.once(|door| door.contains_key(&Id(id)));
        assert_eq!(is_there, value.is_some());
    }

    pub(crate) fn insert(&mut self, key: u16, n: u16) {
        let (key, value) = (self.key(key), Val::new(self.heft(n)));
        let offer = self.offer(&key, &value);
        let got = self.once(|door| door.insert(key, value));
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    pub(crate) fn try_insert(&mut self, key: u16, n: u16) {
        let (key, value) = (self.key(key), Val::new(self.heft(n)));
        let offer = self.offer(&key, &value);
        let got = self.once(|door| door.try_insert(key, value));
        assert_eq!(got, self.hear().insert(offer));
    }

    pub(crate) fn insert_weighted(&mut self, key: u16, n: u16, m: u16) {
        if !self.config.weighed {
            return self.insert(key, n);
        }
        let (key, value, weight) = (self.key(key), Val::new(self.heft(n)), self.heft(m));
        let offer = self.offer_of_weight(&key, &value, weight);
        let got = self.once(|door| door.insert_weighted(key, value, weight));
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    pub(crate) fn try_insert_weighted(&mut self, key: u16, n: u16, m: u16) {
        if !self.config.weighed {
            return self.try_insert(key, n);
        }
        let (key, value, weight) = (self.key(key), Val::new(self.heft(n)), self.heft(m));
        let offer = self.offer_of_weight(&key, &value, weight);
        let got = self.once(|door| door.try_insert_weighted(key, value, weight));
        assert_eq!(got, self.hear().insert(offer));
    }

    fn offer_of_weight(&mut self, key: &Key, value: &Val, weight: u64) -> Offer {
        self.model.rulings += u64::from(self.model.rules());
        self.offer_weighing(key, value, self.model.charge(weight))
    }

    pub(crate) fn insert_with_ttl(&mut self, key: u16, n: u16, m: u16) {
        if self.config.weighed && n % 3 == 0 {
            return self.insert_weighted_with_ttl(key, n, m);
        }
        let (key, value, life) = (self.key(key), Val::new(self.heft(n)), self.life(m));
        let offer = self.offer_of_life(&key, &value, life);
        let got = self.once(|door| door.insert_with_ttl(key, value, life));
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    fn insert_weighted_with_ttl(&mut self, key: u16, n: u16, m: u16) {
        let (key, value, life) = (self.key(key), Val::new(self.heft(n)), self.life(m));
        let weight = self.heft(n.rotate_left(7));
        let offer = Offer {
            life: nanos(life),
            ..self.offer_weighing(&key, &value, self.model.charge(weight))
        };
        let got = self.once(|door| door.insert_weighted_with_ttl(key, value, weight, life));
        let verdict = self.hear().insert(offer);
        self.stored(offer, got, verdict);
    }

    pub(crate) fn try_insert_with_ttl(&mut self, key: u16, n: u16, m: u16) {
        let (key, value, life) = (self.key(key), Val::new(self.heft(n)), self.life(m));
        let offer = self.offer_of_life(&key, &value, life);
        let got = self.once(|door| door.try_insert_with_ttl(key, value, life));
        assert_eq!(got, self.hear().insert(offer));
    }

    fn offer_of_life(&mut self, key: &Key, value: &Val, life: Duration) -> Offer {
        let weight = self.model.weigh(value.weight);
        Offer {
            life: nanos(life),
            ..self.offer_weighing(key, value, weight)
        }
    }

    pub(crate) fn life(&self, n: u16) -> Duration {
        self.lives().life(n)
    }

    fn lives(&self) -> Lives {
        self.config.lives.expect("lives")
    }

    /// The clock moves: nothing changes by that alone.
    pub(crate) fn advance(&mut self, n: u16) {
        let (before, now) = (self.model.clock, self.lives().moved(self.model.clock, n));
        if now > before {
            self.clock.advance(Duration::from_nanos(now - before));
        } else {
            self.clock.set(Duration::from_nanos(now));
        }
        self.model.clock = now.min(NEVER - 1);
    }

    pub(crate) fn ttl(&mut self, id: u32) {
        self.model.tell_home(id);
        let expected = self.model.ttl(id);
        assert_eq!(self.once(|door| door.ttl(&Id(id))), expected, "ttl of {id}");
    }

    pub(crate) fn set_ttl(&mut self, id: u32, n: u16) {
        let life = self.life(n);
        let got = self.once(|door| door.set_ttl(&Id(id), life));
        let model = self.hear();
        model.claim(id, None);
        let is_there = model.live(id).is_some();
        assert_eq!(got, is_there);
        if is_there {
            model.set_life(id, nanos(life));
        }
    }

    /// Says whether more is due.
    pub(crate) fn sweep(&mut self, limit: usize) -> bool {
        let swept = self.once(|door| door.sweep(limit));
        self.hear().sweep(limit, swept);
        let next = self.door.next_deadline();
        assert_eq!(swept.more, next == Some(Duration::ZERO), "{next:?}");
        self.model.compare_deadline(next);
        swept.more
    }

    /// Sweeps in small steps: each item that is due goes, or goes down a level of
    /// the wheel, so all is done in the end.
    pub(crate) fn sweep_all(&mut self, limit: usize) {
        let shards = self.model.piles.len() as u64;
        let items = self.model.len() * 3 / 2 + 64 * shards;
        let most = 9 * items / limit as u64 + 1;
        let mut sweeps = 0;
        while self.sweep(limit) {
            sweeps += 1;
            assert!(sweeps <= most, "more is due after {sweeps} sweeps");
        }
    }

    pub(crate) fn next_deadline(&mut self, wait: bool) {
        let next = self.door.next_deadline();
        self.model.compare_deadline(next);
        let is_empty = self.model.len() == 0;
        if let Some(next) = next.filter(|_| wait && !is_empty && !self.lives().hostile) {
            self.clock.advance(next);
            let now = self.model.clock.saturating_add(nanos(next));
            self.model.clock = now.min(NEVER - 1);
            assert!(self.door.next_deadline() == Some(Duration::ZERO) || now >= NEVER);
            self.sweep(usize::MAX);
        }
        self.model.tell_all();
        let live = self.model.entries().len();
        assert_eq!(self.once(|door| door.len_live()), live, "live entries");
    }

    /// After an insert: what it returned, and that a look finds the value, unless its life is
    /// shorter than what ends are rounded down by.
    pub(crate) fn stored(&mut self, offer: Offer, got: Option<u64>, verdict: Verdict) {
        let stored = self.model.value(offer.id);
        assert!(stored.is_none() || verdict.is_ok() && stored == Some(offer.value));
        assert_eq!(self.door.peek(&Id(offer.id)), stored);
        assert_eq!(got, verdict.unwrap_or_else(|back| back.old));
    }

    pub(crate) fn get_or_insert_with(&mut self, id: u32, n: u16) {
        let (key, value) = (Key::new(id, 0), Val::new(self.heft(n)));
        let offer = self.offer_if_absent(&key, &value);
        let got = self.door.get_or_insert_with(&Id(id), value);
        let model = self.hear();
        let found = model.read(id);
        model.loads += u64::from(found.is_none());
        let expected = found.map_or_else(|| model.insert_if_absent(offer), Ok);
        assert_eq!(got, self.handed_back(expected, offer));
    }

    pub(crate) fn offer_if_absent(&mut self, key: &Key, value: &Val) -> Offer {
        let weight = self.model.charge(self.model.lie.unwrap_or(value.weight));
        self.offer_weighing(key, value, weight)
    }

    pub(crate) fn entry(&mut self, key: u16, n: u16, m: u16) {
        let key = self.key(key);
        let or = [Or::Insert, Or::InsertWith, Or::Default][m as usize % 3];
        let change = (m % 2 == 0).then(|| self.change(n));
        let spare = Val::new(self.heft(m / 6));
        let mut offer = self.offer_if_absent(&key, &spare);
        if or == Or::Default {
            offer.value = WORLD.with(|world| world.next_value.get());
            offer.own = 1;
            offer.weight = self.model.charge(self.model.lie.unwrap_or(1));
            offer.life = self.model.usual_life(key.id.0, offer.value);
        }
        let id = key.id.0;
        let got = self.door.entry(key, change, or, spare);
        let is_unsync = self.door.is_unsync();
        let model = self.hear();
        if let Some(change) = change {
            // What the insert told later is not the update's to explain.
            let first_part = WORLD.with(|world| world.first_part.get());
            let of_insert = model.told.split_off(first_part);
            let updated = model.update(id, change, is_unsync);
            assert_eq!(model.told.front(), None, "told, but did not leave");
            model.told = of_insert;
            if !is_unsync && updated == Updated::Kept(()) {
                // `Cache` has cloned what it changed, and does not look it up again.
                return assert_eq!(got, Ok(change.id));
            }
            if !is_unsync && updated == Updated::Absent {
                // It decides once more, under one lock, and has room for one entry before.
                model.gather_for_one(id);
            }
        }
        let found = model.read(id);
        let expected = found.map_or_else(|| model.insert_if_absent(offer), Ok);
        assert_eq!(got, self.handed_back(expected, offer));
    }

    /// `Cache` returns a refused value all the same; `unsync::Cache` hands it back.
    fn handed_back(&self, expected: Result<u64, Back>, offer: Offer) -> Result<u64, Back> {
        match expected {
            Err(_) if !self.door.is_unsync() => Ok(offer.value),
            expected => expected,
        }
    }

    pub(crate) fn update(&mut self, id: u32, n: u16) {
        let change = self.change(n);
        let got = self.once(|door| door.update(&Id(id), change));
        let is_unsync = self.door.is_unsync();
        assert_eq!(got, self.hear().update(id, change, is_unsync));
    }

    pub(crate) fn compute(&mut self, key: u16, n: u16, m: u16) {
        let key = self.key(key);
        let then = [Then::Keep, Then::Put, Then::Put, Then::Remove][m as usize % 4];
        let change = (m / 4 % 2 == 0).then(|| self.change(n));
        let value = Val::new(self.heft(m / 8));
        let offer = self.offer_if_absent(&key, &value);
        let got = self.once(|door| door.compute(key, change, then, value));
        assert_eq!(got, self.hear().compute(change, then, offer));
    }

    pub(crate) fn get_mut(&mut self, id: u32, n: u16) {
        let change = (n % 4 > 0).then(|| self.change(n / 4));
        self.model.tell_home(id);
        let before = self.model.value(id);
        let got = self.once(|door| door.get_mut(&Id(id), change));
        assert_eq!(got, before);
        let model = self.hear();
        // A guard that nobody wrote through does not weigh the value again.
        match change {
            Some(change) => _ = model.update(id, change, true),
            None => _ = model.look_up(id),
        }
    }

    pub(crate) fn remove(&mut self, id: u32) {
        let got = self.once(|door| door.remove(&Id(id)));
        let model = self.hear();
        model.claim(id, None);
        assert_eq!(got, model.remove(id).map(|item| item.value));
    }

    pub(crate) fn remove_entry(&mut self, id: u32) {
        let got = self.once(|door| door.remove_entry(&Id(id)));
        let model = self.hear();
        model.claim(id, None);
        let expected = model.remove(id);
        assert_eq!(got, expected.map(|item| (id, item.stamp, item.value)));
    }

    pub(crate) fn remove_if(&mut self, id: u32, condition: bool) {
        let (got, asked) = self.once(|door| door.remove_if(&Id(id), condition));
        let model = self.hear();
        model.claim(id, None);
        assert_eq!(asked, model.seen(id));
        let expected = if condition { model.remove(id) } else { None };
        assert_eq!(got, expected.map(|item| item.value));
    }

    pub(crate) fn evict(&mut self) {
        let foretold = self.next_of_one_shard();
        let got = self.once(|door| door.evict());
        if let Some(id) = foretold {
            assert_eq!(got.map(|seen| seen.0), Some(id), "the coldest");
        }
        let expected = self.hear().evict_next();
        assert_eq!(got, expected.map(|item| (item.id, item.stamp, item.value)));
    }

    /// The coldest, where there is one shard and no time by which another leaves first.
    fn next_of_one_shard(&self) -> Option<u32> {
        let mut line = Vec::new();
        if self.config.shards.unwrap_or(1) == 1 && self.config.lives.is_none() {
            self.door.coldest(&mut |key| line.push(key.id.0));
        }
        line.first().copied()
    }

    pub(crate) fn extend(&mut self, key: u16, n: u16, m: u16) {
        let mut offers = Vec::new();
        let mut entries = Vec::new();
        for i in 0..m % 5 {
            let key = self.key(key.wrapping_add(14 * i));
            let value = Val::new(self.heft(n.rotate_left(u32::from(i))));
            offers.push(self.offer(&key, &value));
            entries.push((key, value));
        }
        // What each insert told is the model's to explain before the next.
        let told = || WORLD.with(|world| world.told.borrow().len());
        let mut marks = Vec::new();
        let mut entries = entries.into_iter().inspect(|_| marks.push(told()));
        self.door.extend(&mut entries, m % 2 == 0);
        let model = self.hear();
        model.blurred = offers.len() > 1 && model.recalled.iter().any(|&ghosts| ghosts > 0);
        let (mut told, mut of_each) = (std::mem::take(&mut model.told), Vec::new());
        for (offer, mark) in offers.into_iter().zip(marks).rev() {
            let of_this = told.split_off(mark);
            of_each.push((offer, of_this));
        }
        for (offer, told) in of_each.into_iter().rev() {
            model.told = told;
            let _ = model.insert(offer);
            assert_eq!(model.told.front(), None, "told, but did not leave");
        }
    }

    pub(crate) fn new_capacity(&self, n: u16) -> u64 {
        let usual = self.config.capacity;
        match n % 16 {
            0 => 0,
            1 => 1,
            2 => usual / 2,
            3 => usual.saturating_mul(2),
            4 => u64::from(n / 16 % 30),
            5 => usual - usual / 8,
            6 if self.config.weighed => u64::MAX,
            _ => usual,
        }
    }

    pub(crate) fn set_capacity(&mut self, n: u16) {
        let capacity = self.new_capacity(n);
        self.once(|door| door.set_capacity(capacity));
        self.hear_of_capacity(capacity);
    }

    fn hear_of_capacity(&mut self, capacity: u64) {
        if self.door.is_unsync() {
            self.model.tell_all();
        }
        self.hear().set_capacity(capacity);
    }

    pub(crate) fn retain(&mut self, n: u16, m: u16) {
        let (hefts, capacity) = (self.config.hefts, self.model.capacity);
        let mut visits = Vec::new();
        let mut keep = |key: &Key, value: &mut Val| {
            let dice = mix(u64::from(n) << 32 | u64::from(key.id.0));
            let before = value.id;
            let keep = dice % 5 > 0 || m % 4 == 0;
            let change = (keep && dice >> 8 & 3 == 0).then(|| Change {
                id: next_value(),
                own: hefts.of((dice >> 16) as u16, capacity),
            });
            change.inspect(|change| change.make(value));
            visits.push((key.id.0, before, change, keep));
            keep
        };
        self.once(|door| door.retain(&mut keep));
        self.hear().retain(&visits);
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.door.shrink_to_fit();
        let piles = &mut self.hear().piles;
        piles.iter_mut().for_each(Pile::shrink_to_fit);
    }

    pub(crate) fn drain(&mut self, take: usize) {
        self.model.tell_all();
        let expected = self.model.entries();
        let drained = self.door.drain(take);
        assert_eq!(drained.len(), take.min(expected.len()));
        assert!(drained.iter().all(|entry| expected.contains(entry)));
        assert!(is_distinct(&drained));
        self.hear().leave_all(&[Cause::Removed]);
        self.nothing_is_scheduled();
    }

    pub(crate) fn clear(&mut self) {
        self.once(|door| door.clear());
        self.model.tell_all();
        self.hear().leave_all(&[Cause::Cleared]);
        self.nothing_is_scheduled();
    }

    /// What left all at once left nothing in the wheel.
    fn nothing_is_scheduled(&mut self) {
        if self.config.lives.is_some() {
            self.model.tell_all();
            assert_eq!(self.door.next_deadline(), None);
        }
    }

    /// What is cheap to compare, after each operation.
    pub(crate) fn compare(&mut self) {
        let model = &mut self.model;
        assert_eq!(model.told.pop_front(), None, "told, but did not leave");
        let unexplained = model.recalled.iter().sum::<u64>();
        assert_eq!(unexplained, 0, "a ghost that never was");
        model.blurred = false;
        let (told, left) = (&mut model.some_told, &mut model.some_left);
        if std::mem::take(told) | std::mem::take(left) && model.lives.is_some() {
            // From here on all were told.
            self.door.next_deadline();
            model.tell_all();
        }
        model.lie = None;
        let (len, weight) = (model.len(), model.weight());
        assert_eq!(self.door.len() as u64, len, "len");
        assert_eq!(self.door.is_empty(), len == 0);
        assert_eq!(u128::from(self.door.weight()), weight, "weight");
        assert_eq!(self.door.capacity(), model.capacity);
        model.compare_stats(&self.door.stats());
        WORLD.with(|world| {
            world.lie.set(None);
            assert_eq!(world.told.borrow_mut().pop_front(), None, "told twice");
            assert_eq!(world.live_values.get(), len as i64, "live values");
            assert_eq!(world.live_keys.get(), len as i64, "live keys");
            assert_eq!(world.weighings.get(), model.weighings, "weighings");
            assert_eq!(world.rulings.get(), model.rulings, "rules asked");
        });
    }

    /// Every entry, its weight, every shard, and every invariant.
    pub(crate) fn compare_all(&mut self) {
        self.door.check();
        self.model.tell_all();
        let expected = sorted(self.model.entries());
        assert_eq!(sorted(self.door.entries()), expected);
        assert_eq!(sorted(self.door.shown()), expected);
        let (keys, values) = self.door.keys_and_values();
        let key_of = |&(id, stamp, _): &Seen| (id, stamp);
        assert_eq!(
            sorted(keys),
            expected.iter().map(key_of).collect::<Vec<_>>()
        );
        let expected_values = expected.iter().map(|&(_, _, value)| value).collect();
        assert_eq!(sorted(values), sorted(expected_values));
        for &(id, ..) in &expected {
            self.compare_entry(id);
        }
        self.compare_fates();
        self.compare_classes();
        for (shard, pile) in self.model.piles.iter().enumerate() {
            let stats = self.door.shard_stats(shard);
            assert_eq!(stats.len(), pile.items.len() as u64, "len of shard {shard}");
            assert_eq!(u128::from(stats.weight()), pile.weight());
        }
    }

    /// What is explained of each key, and that the order is one of all that live.
    fn compare_fates(&self) {
        for id in 0..self.config.keys {
            let (fate, live) = (self.door.explain(&Id(id)), self.model.live(id));
            assert_eq!(fate.is_resident(), live.is_some(), "{id}: {fate}");
            let Some((told, live)) = fate.resident().zip(live) else {
                continue;
            };
            let weight = if self.config.weighed { live.weight } else { 1 };
            assert_eq!(told.weight, weight, "weight of {id}");
            if self.config.lives.is_some() {
                let ends = told.ends.unwrap_or(Duration::MAX);
                assert_eq!(Some(ends), self.model.ttl(id), "ttl of {id}");
            }
        }
        let mut line = Vec::new();
        self.door.coldest(&mut |key| line.push(key.id.0));
        let live = self.model.entries().into_iter().map(|(id, ..)| id);
        assert_eq!(sorted(line), sorted(live.collect()));
    }

    /// What is there of each class, where entries are counted by class.
    fn compare_classes(&self) {
        let stats = self.door.stats();
        let items = || self.model.piles.iter().flat_map(|pile| &pile.items);
        let counted = stats.classes().count();
        let counts = self.config.form() == Extras::WeighedRecords;
        assert_eq!(counted, CLASSES.len() * usize::from(counts));
        for (class, (name, flow)) in stats.classes().enumerate() {
            assert_eq!(name, CLASSES[class]);
            let of_class = || items().filter(|item| class_of(item.id) == class);
            assert_eq!(flow.entries(), of_class().count() as u64, "of {name}");
            let weight: u64 = of_class().map(|item| item.weight).sum();
            assert_eq!(flow.weight(), weight, "weight of {name}");
        }
    }

    fn compare_entry(&self, id: u32) {
        if self.config.weighed {
            let weight = self.model.get(id).map(|item| item.weight);
            assert_eq!(self.door.weight_of(&Id(id)), weight, "weight of {id}");
        }
        if self.config.lives.is_some() {
            assert_eq!(self.door.ttl(&Id(id)), self.model.ttl(id), "ttl of {id}");
        }
    }

    /// The cache goes, in one of three ways; nothing is left.
    pub(crate) fn finish(mut self, how: u64) {
        self.compare_all();
        let expected = self.model.entries();
        let taken = match how % 3 {
            0 => {
                self.door.set_capacity(0);
                self.hear_of_capacity(0);
                self.compare();
                drop(self.door);
                Vec::new()
            }
            1 => {
                drop(self.door);
                Vec::new()
            }
            _ => self.door.into_entries(how as usize / 3 % 20),
        };
        assert!(taken.iter().all(|entry| expected.contains(entry)));
        assert!(is_distinct(&taken));
        self.model.told = WORLD.with(|world| world.told.take());
        self.model.tell_all();
        let causes = [Cause::CacheDropped, Cause::Removed];
        self.model
            .leave_all(&causes[..1 + usize::from(how % 3 == 2)]);
        assert_eq!(self.model.told.pop_front(), None, "told twice");
        WORLD.with(|world| {
            assert_eq!(
                (world.live_keys.get(), world.live_values.get()),
                (0, 0),
                "leaked"
            );
        });
    }
}

pub(crate) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list
}

pub(crate) fn is_distinct(entries: &[Seen]) -> bool {
    let mut ids: Vec<u32> = entries.iter().map(|entry| entry.0).collect();
    ids.sort_unstable();
    ids.windows(2).all(|pair| pair[0] != pair[1])
}
