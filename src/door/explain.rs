//! What a door adds to what a shard knows of a key.

use super::Door;
use crate::clock::{FOREVER, nanos};
use crate::explain::{Fate, Resident};
use crate::form::Form;
use crate::stats::Origin;

impl<K, V, F: Form, S> Door<K, V, F, S> {
    /// What becomes of a key, in a cache of so many shards whose entries together use so much of its
    /// capacity, `len` of them or about as many.
    pub(crate) fn fate(
        &self,
        (mut fate, origin): (Fate, Origin),
        shards: usize,
        (len, used): (u64, u64),
    ) -> Fate {
        if let Fate::Resident(resident) = &mut fate {
            let names = self.tracking.names.as_ref();
            let class = names.and_then(|names| names.get(usize::from(origin.class)));
            resident.class = class.cloned();
            resident.stale = self.is_stale(resident);
            resident.inserts = resident.place.map(|place| {
                let turns = place.ahead.saturating_add(1).saturating_mul(shards as u64);
                self.vacant(len, used).saturating_add(turns)
            });
        }
        fate
    }

    fn is_stale(&self, resident: &Resident) -> bool {
        let after = self.expiry.refresh_after();
        after != FOREVER && resident.age.is_some_and(|age| nanos(age) >= after)
    }

    /// For how many entries like those that are there is room.
    fn vacant(&self, len: u64, used: u64) -> u64 {
        let free = self.ledger.capacity().saturating_sub(used);
        let free = u128::from(free) * u128::from(len) / u128::from(used.max(1));
        let free = u64::try_from(free).unwrap_or(u64::MAX);
        match self.entry_limit {
            Some(limit) => free.min((limit as u64).saturating_sub(len)),
            None => free,
        }
    }
}
