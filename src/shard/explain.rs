//! What a shard knows of one key, and in which order its entries leave: nothing changes.

use super::{Shard, deadline};
use crate::clock::{FOREVER, Moment, duration};
use crate::explain::{Fate, Hits, Loading, Resident};
use crate::form::{Form, extra::Extra};
#[cfg(feature = "serde")]
use crate::policy::Residents;
use crate::policy::{Policy, Slot, Tag};
use crate::stats::Origin;
#[cfg(feature = "serde")]
use crate::table::Entry;
use std::collections::VecDeque;

/// A line of entries that leave one after another, for callers who come back under the lock.
pub(crate) struct Line {
    /// The first of them, or the last, by slot and tag, and each with its rank.
    pub(crate) ranked: Vec<(usize, Slot, Tag)>,
    /// How many there are in all.
    pub(crate) of: usize,
}

impl<K, V, F: Form> Shard<K, V, F> {
    /// What becomes of a key, as far as the shard knows, and where its entry comes from. For a
    /// policy that hears of hits: to be called after `hear`.
    pub(crate) fn explain(
        &self,
        tag: Tag,
        mut is: impl FnMut(&K) -> bool,
        now: Moment,
    ) -> (Fate, Origin) {
        let slot = self.table.slot(tag, &mut is);
        let waiting = self.flights.waiting(tag, is);
        let loading = waiting.map(|waiting| Loading { waiting });
        let found = slot.and_then(|slot| {
            let entry = self.resident(slot, now)?;
            Some((entry, self.origin_at(slot)))
        });
        match (found, loading) {
            (Some((Fate::Resident(mut resident), origin)), loading) => {
                resident.loading = loading;
                (Fate::Resident(resident), origin)
            }
            (_, Some(loading)) => (Fate::Loading(loading), Origin::default()),
            (Some((fate, _)), None) => (fate, Origin::default()),
            (None, None) if self.policy.remembers(tag) => (Fate::Evicted, Origin::default()),
            (None, None) => (Fate::Unknown, Origin::default()),
        }
    }

    /// What is known of the entry in `slot`.
    fn resident(&self, slot: Slot, now: Moment) -> Option<Fate> {
        let entry = self.table.get(slot)?;
        let extra = entry.extra();
        if deadline::is_expired(extra, now) {
            return Some(Fate::Expired {
                late: duration(now - deadline::deadline_of(extra)),
                weight: extra.weight(),
            });
        }
        let left = deadline::time_left(extra, now);
        let origin = extra.origin();
        Some(Fate::Resident(Resident {
            weight: extra.weight(),
            hits: Hits {
                ever: entry.label.was_hit(),
                counted: entry.label.hits(F::Policy::HITS),
                most: F::Policy::HITS,
            },
            age: F::AGED.then(|| duration(now.saturating_sub(extra.birth()))),
            ends: (left != FOREVER).then(|| duration(left)),
            stale: false,
            loading: None,
            place: self.policy.place(slot, &self.table),
            inserts: None,
            class: None,
            caller: self.flows.as_ref().and_then(|flows| flows.line_of(origin)),
            scoped: origin.scope != 0,
        }))
    }

    /// The first of its entries that leave, `most` at most and none that has expired; `None` if
    /// the policy does not tell. O(`most`) of the policy's steps, and what a copy of it costs.
    pub(crate) fn coldest(&self, most: usize, now: Moment) -> Line {
        Line {
            ranked: self.in_order(now).take(most).collect(),
            of: self.len(),
        }
    }

    /// All its entries but those that have expired: in the order in which they leave, or in any where
    /// the policy does not tell.
    #[cfg(feature = "serde")]
    pub(crate) fn line(&self, now: Moment) -> Line {
        let line = self.coldest(usize::MAX, now);
        if !line.ranked.is_empty() {
            return line;
        }
        let all = self.table.slots().enumerate();
        let all = all.filter_map(|(rank, slot)| {
            let entry = self.table.get(slot)?;
            let lives = !deadline::is_expired(entry.extra(), now);
            lives.then(|| (rank, slot, entry.tag()))
        });
        Line {
            ranked: all.collect(),
            of: self.len(),
        }
    }

    /// An entry that was in this slot and has this tag, also where the table has moved it since, and how
    /// long its value still lives; unless it has left or expired, or ends with a scope. Of two of one tag it
    /// may be the other.
    #[cfg(feature = "serde")]
    pub(crate) fn find_again(&self, slot: Slot, tag: Tag) -> Option<(&Entry<K, V, F>, u64)> {
        let here = self.table.get(slot).filter(|entry| entry.tag() == tag);
        let entry = here.or_else(|| self.table.find(tag, |_| true))?;
        let extra = entry.extra();
        let stays = !deadline::is_expired(extra, self.now) && extra.origin().scope == 0;
        stays.then(|| (entry, deadline::life_left(entry.extra(), self.now)))
    }

    /// The last of its entries that leave, the last one first. O(entries).
    pub(crate) fn hottest(&self, most: usize, now: Moment) -> Line {
        let mut last = VecDeque::new();
        for ranked in self.in_order(now) {
            if last.len() == most {
                last.pop_front();
            }
            if most > 0 {
                last.push_back(ranked);
            }
        }
        let last_rank = self.len().saturating_sub(1);
        let back = |(rank, slot, tag)| (last_rank - rank, slot, tag);
        Line {
            ranked: last.into_iter().rev().map(back).collect(),
            of: self.len(),
        }
    }

    /// The entries that have not expired, in the order in which they leave, each with its rank. A
    /// policy that is wrong may name no entry, or one twice: it names as many as there are at most.
    fn in_order(&self, now: Moment) -> impl Iterator<Item = (usize, Slot, Tag)> {
        let order = self.policy.order(&self.table).into_iter().flatten();
        order
            .take(self.len())
            .enumerate()
            .filter_map(move |(rank, slot)| {
                let entry = self.table.get(slot)?;
                let lives = !deadline::is_expired(entry.extra(), now);
                lives.then(|| (rank, slot, entry.tag()))
            })
    }

    /// The key in a slot, if its entry is still the one with this tag and has not expired.
    pub(crate) fn key_in(&self, slot: Slot, tag: Tag, now: Moment) -> Option<&K> {
        let entry = self.table.get(slot).filter(|entry| entry.tag() == tag)?;
        (!deadline::is_expired(entry.extra(), now)).then(|| entry.key())
    }
}
