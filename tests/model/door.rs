//! A cache as the model sees it: of values and keys their ids.

use crate::world::counted::{Id, Key, Val};
use crate::world::door::{Counted, Door};
use brimful::{Computed, Next, Reason, Refused, Updated};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// An entry as seen from outside: id, stamp of its key, value.
pub(crate) type Seen = (u32, u32, u64);

/// What `Refused` handed back.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Back {
    pub(crate) key: (u32, u32),
    pub(crate) value: u64,
    pub(crate) old: Option<u64>,
    pub(crate) reason: Reason,
}

pub(crate) type Verdict = Result<Option<u64>, Back>;

fn back(refused: Refused<Key, Val>) -> Back {
    assert!(!refused.to_string().is_empty());
    Back {
        key: (refused.key.id.0, refused.key.stamp),
        value: refused.value.id,
        old: id_of(refused.old),
        reason: refused.reason,
    }
}

fn verdict(verdict: Result<Option<Val>, Refused<Key, Val>>) -> Verdict {
    verdict.map(id_of).map_err(back)
}

fn id_of(value: Option<Val>) -> Option<u64> {
    value.map(|value| value.id)
}

fn seen(key: &Key, value: &Val) -> Seen {
    (key.id.0, key.stamp, value.id)
}

/// A change made to a value in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) own: u64,
}

impl Change {
    pub(crate) fn make(self, value: &mut Val) {
        value.id = self.id;
        value.weight = self.own;
    }
}

/// The calls that insert if absent, which mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Or {
    Insert,
    InsertWith,
    Default,
}

/// What is decided of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Keep,
    Put,
    Remove,
}

pub(crate) struct Face(pub(crate) Counted);

impl Deref for Face {
    type Target = dyn Door<Key, Val, Id>;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl DerefMut for Face {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}

impl Face {
    pub(crate) fn insert(&mut self, key: Key, value: Val) -> Option<u64> {
        id_of(self.0.insert(key, value))
    }

    pub(crate) fn try_insert(&mut self, key: Key, value: Val) -> Verdict {
        verdict(self.0.try_insert(key, value))
    }

    pub(crate) fn insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Option<u64> {
        id_of(self.0.insert_weighted(key, value, weight))
    }

    pub(crate) fn try_insert_weighted(&mut self, key: Key, value: Val, weight: u64) -> Verdict {
        verdict(self.0.try_insert_weighted(key, value, weight))
    }

    pub(crate) fn insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Option<u64> {
        id_of(self.0.insert_with_ttl(key, value, life))
    }

    pub(crate) fn try_insert_with_ttl(&mut self, key: Key, value: Val, life: Duration) -> Verdict {
        verdict(self.0.try_insert_with_ttl(key, value, life))
    }

    pub(crate) fn insert_weighted_with_ttl(
        &mut self,
        key: Key,
        value: Val,
        weight: u64,
        life: Duration,
    ) -> Option<u64> {
        id_of(self.0.insert_weighted_with_ttl(key, value, weight, life))
    }

    pub(crate) fn get(&mut self, id: &Id) -> Option<u64> {
        id_of(self.0.get(id))
    }

    pub(crate) fn view(&mut self, id: &Id) -> Option<Seen> {
        let mut found = None;
        let is_there = self
            .0
            .view(id, &mut |key, value| found = Some(seen(key, value)));
        assert_eq!(is_there, found.is_some());
        found
    }

    pub(crate) fn peek(&self, id: &Id) -> Option<u64> {
        id_of(self.0.peek(id))
    }

    pub(crate) fn get_or_insert_with(&mut self, id: &Id, value: Val) -> Result<u64, Back> {
        let mut value = Some(value);
        let load = &mut || value.take().expect("a loader runs once");
        let found = self.0.get_or_insert_with(id, load);
        found.map(|value| value.id).map_err(back)
    }

    pub(crate) fn entry(
        &mut self,
        key: Key,
        change: Option<Change>,
        or: Or,
        value: Val,
    ) -> Result<u64, Back> {
        use crate::world::door::Or as With;
        let mut make = |value: &mut Val| change.into_iter().for_each(|change| change.make(value));
        let make: Option<&mut dyn FnMut(&mut Val)> = match change {
            Some(_) => Some(&mut make),
            None => None,
        };
        let mut value = Some(value);
        let mut take = || value.take().expect("a value is stored once");
        let found = match or {
            Or::Insert => self.0.entry(key, make, With::Insert(&mut take)),
            Or::InsertWith => self.0.entry(key, make, With::InsertWith(&mut take)),
            Or::Default => self.0.entry(key, make, With::Default),
        };
        found.map(|value| value.id).map_err(back)
    }

    pub(crate) fn update(&mut self, id: &Id, change: Change) -> Updated<()> {
        self.0.update(id, &mut |value| change.make(value))
    }

    pub(crate) fn compute(
        &mut self,
        key: Key,
        change: Option<Change>,
        then: Then,
        value: Val,
    ) -> Computed<u64> {
        let mut make = |value: &mut Val| change.into_iter().for_each(|change| change.make(value));
        let make: Option<&mut dyn FnMut(&mut Val)> = match change {
            Some(_) => Some(&mut make),
            None => None,
        };
        let mut value = Some(value);
        let computed = self.0.compute(key, make, &mut || match then {
            Then::Keep => Next::Keep,
            Then::Put => Next::Put(value.take().expect("it is asked once")),
            Then::Remove => Next::Remove,
        });
        match computed {
            Computed::Absent => Computed::Absent,
            Computed::Kept => Computed::Kept,
            Computed::Inserted => Computed::Inserted,
            Computed::Replaced(old) => Computed::Replaced(old.id),
            Computed::Removed(old) => Computed::Removed(old.id),
            Computed::Refused => Computed::Refused,
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) fn get_mut(&mut self, id: &Id, change: Option<Change>) -> Option<u64> {
        let mut before = None;
        let look = &mut |value: &Val| before = Some(value.id);
        let is_there = match change {
            Some(change) => self
                .0
                .get_mut(id, look, Some(&mut |value| change.make(value))),
            None => self.0.get_mut(id, look, None),
        };
        assert_eq!(is_there, before.is_some());
        before
    }

    pub(crate) fn remove(&mut self, id: &Id) -> Option<u64> {
        id_of(self.0.remove(id))
    }

    pub(crate) fn remove_entry(&mut self, id: &Id) -> Option<Seen> {
        let removed = self.0.remove_entry(id);
        removed.map(|(key, value)| seen(&key, &value))
    }

    pub(crate) fn evict(&mut self) -> Option<Seen> {
        self.0.evict().map(|(key, value)| seen(&key, &value))
    }

    pub(crate) fn remove_if(&mut self, id: &Id, condition: bool) -> (Option<u64>, Option<Seen>) {
        let mut asked = None;
        let removed = self.0.remove_if(id, &mut |key, value| {
            asked = Some(seen(key, value));
            condition
        });
        (id_of(removed), asked)
    }

    pub(crate) fn entries(&self) -> Vec<Seen> {
        all_seen(&self.0.all())
    }

    /// The entries, by reference.
    pub(crate) fn shown(&self) -> Vec<Seen> {
        let mut shown = Vec::new();
        self.0
            .for_each(&mut |key, value| shown.push(seen(key, value)));
        shown
    }

    pub(crate) fn keys_and_values(&self) -> (Vec<(u32, u32)>, Vec<u64>) {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        self.0.keys(usize::MAX, &mut keys);
        self.0.values(usize::MAX, &mut values);
        let keys = keys.iter().map(|key| (key.id.0, key.stamp));
        let values = values.iter().map(|value| value.id);
        (keys.collect(), values.collect())
    }

    pub(crate) fn drain(&mut self, take: usize) -> Vec<Seen> {
        all_seen(&self.0.drained(take))
    }

    pub(crate) fn into_entries(self, take: usize) -> Vec<Seen> {
        let mut entries = Vec::new();
        self.0.into_entries(take, &mut entries);
        all_seen(&entries)
    }
}

fn all_seen(entries: &[(Key, Val)]) -> Vec<Seen> {
    entries
        .iter()
        .map(|(key, value)| seen(key, value))
        .collect()
}
