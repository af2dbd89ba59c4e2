//! The rig for keys that contradict themselves, with less to compare.

use crate::door::{Or, Then};
use crate::op::Op;
use crate::rig::Rig;
use crate::world::counted::{Id, Val, WORLD};
use brimful::Cause;
use std::collections::HashSet;

/// Keys whose `Hash` and `Eq` contradict themselves: what is found can't be
/// said, but the bound holds and every value is told of once.
pub(crate) struct Wary {
    pub(crate) rig: Rig,
    pub(crate) told: HashSet<u64>,
}

impl Wary {
    pub(crate) fn step(&mut self, op: Op) {
        WORLD.with(|world| world.contrary.set(true));
        self.run(op);
        WORLD.with(|world| world.contrary.set(false));
        for told in WORLD.with(|world| world.told.take()) {
            assert!(self.told.insert(told.value), "told twice: {told:?}");
        }
        self.check();
    }

    pub(crate) fn run(&mut self, op: Op) {
        let rig = &mut self.rig;
        let (Op::Get(key) | Op::View(key) | Op::Peek(key) | Op::ContainsKey(key)) = op else {
            return self.write(op);
        };
        let id = Id(rig.id(key));
        rig.door.get(&id);
        rig.door.view(&id);
        rig.door.peek(&id);
        rig.door.contains_key(&id);
    }

    pub(crate) fn write(&mut self, op: Op) {
        let rig = &mut self.rig;
        let fresh = |rig: &mut Rig, key, n| (rig.key(key), Val::new(rig.heft(n)));
        match op {
            Op::Insert(key, n) | Op::InsertWeighted(key, n, _) => {
                let (key, value) = fresh(rig, key, n);
                rig.door.insert(key, value);
            }
            Op::TryInsert(key, n) | Op::TryInsertWeighted(key, n, _) => {
                let (key, value) = fresh(rig, key, n);
                let _ = rig.door.try_insert(key, value);
            }
            Op::GetOrInsertWith(key, n) => {
                let (key, value) = fresh(rig, key, n);
                let _ = rig.door.get_or_insert_with(&key.id, value);
            }
            Op::Entry(key, n, m) => {
                let change = Some(rig.change(n));
                let (key, value) = fresh(rig, key, m);
                let _ = rig.door.entry(key, change, Or::Insert, value);
            }
            Op::Update(key, n) => {
                let (id, change) = (Id(rig.id(key)), rig.change(n));
                let _ = rig.door.update(&id, change);
            }
            Op::Compute(key, n, m) => {
                let change = Some(rig.change(n));
                let (key, value) = fresh(rig, key, m);
                let then = [Then::Keep, Then::Put, Then::Remove][m as usize % 3];
                let _ = rig.door.compute(key, change, then, value);
            }
            Op::Extend(key, n, m) => {
                let entries = (0..m % 5).map(|i| fresh(rig, key.wrapping_add(i), n));
                let entries: Vec<_> = entries.collect();
                rig.door.extend(&mut entries.into_iter(), false);
            }
            Op::InsertWithTtl(key, n, m) | Op::TryInsertWithTtl(key, n, m) => {
                let (key, value) = fresh(rig, key, n);
                rig.door.insert_with_ttl(key, value, rig.life(m));
            }
            Op::SetTtl(key, n) => {
                let (id, life) = (Id(rig.id(key)), rig.life(n));
                rig.door.set_ttl(&id, life);
            }
            Op::Advance(n) => rig.advance(n),
            Op::Sweep(n) | Op::SweepAll(n) => _ = rig.door.sweep(n as usize),
            op => self.take_out(op),
        }
    }

    pub(crate) fn take_out(&mut self, op: Op) {
        let rig = &mut self.rig;
        match op {
            Op::GetMut(key, n) if rig.door.is_unsync() => {
                let (id, change) = (Id(rig.id(key)), rig.change(n));
                rig.door.get_mut(&id, Some(change));
            }
            Op::Remove(key) | Op::GetMut(key, _) => drop(rig.door.remove(&Id(rig.id(key)))),
            Op::RemoveEntry(key) => drop(rig.door.remove_entry(&Id(rig.id(key)))),
            Op::RemoveIf(key, n) => drop(rig.door.remove_if(&Id(rig.id(key)), n % 2 == 0)),
            Op::Evict => _ = rig.door.evict(),
            Op::SetCapacity(n) => {
                rig.model.capacity = rig.new_capacity(n);
                rig.door.set_capacity(rig.model.capacity);
            }
            Op::Retain(n, _) => rig.door.retain(&mut |_, value| {
                value.weight = u64::from(n % 7);
                value.id % 3 > 0
            }),
            Op::Drain(n) => drop(rig.door.drain(n as usize % 50)),
            Op::Clear => rig.door.clear(),
            Op::ShrinkToFit => rig.door.shrink_to_fit(),
            _ => drop(rig.door.entries()),
        }
    }

    pub(crate) fn check(&mut self) {
        let door = &mut self.rig.door;
        let entries = door.entries();
        assert!(entries.iter().all(|entry| !self.told.contains(&entry.2)));
        match self.rig.config.lives {
            None => assert_eq!(entries.len(), door.len()),
            Some(_) => assert_eq!(entries.len(), door.len_live()),
        }
        assert_eq!(door.capacity(), self.rig.model.capacity);
        assert!(door.weight() <= door.capacity(), "over the bound");
        let limit = self.rig.config.limit.unwrap_or(usize::MAX);
        assert!(door.len() <= limit, "over the limit of entries");
        let stats = door.stats();
        let left = Cause::ALL.map(|cause| stats.departures(cause));
        let told = self.told.len() as u64;
        assert_eq!(left.iter().sum::<u64>(), told, "counted and told");
        assert_eq!(stats.inserts(), told + stats.len(), "a value was lost");
        WORLD.with(|world| {
            let live = (world.live_keys.get(), world.live_values.get());
            assert_eq!(live, (stats.len() as i64, stats.len() as i64), "leaked");
        });
        if stats.inserts() % 16 == 0 {
            door.check();
        }
    }
}
