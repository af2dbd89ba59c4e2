//! The model: shards as `Vec`s, sums taken anew, and what was told followed and
//! held against the rules wherever the rules leave a choice.

use crate::door::{Back, Change, Seen, Then, Verdict};
use crate::op::{Config, Extras};
use crate::pile::{Comes, Item, Pile};
use crate::time::{Lives, NEVER};
use crate::world::counted::{Id, Spread, Told};
use brimful::{Cause, Computed, Reason, Snapshot, Updated};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

/// Which shards may pay for room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payer {
    /// The entry's own first, then all.
    Any,
    /// Those that hold more than a lowered share.
    Rich,
}

#[derive(Clone, Copy)]
pub(crate) struct Need {
    pub(crate) weight: u64,
    pub(crate) entries: u64,
    pub(crate) home: usize,
    pub(crate) keep: Option<u32>,
    pub(crate) payer: Payer,
}

/// A value offered to the cache.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) id: u32,
    pub(crate) stamp: u32,
    pub(crate) value: u64,
    pub(crate) own: u64,
    /// What it is charged.
    pub(crate) weight: u64,
    /// How long it is to live, in nanoseconds.
    pub(crate) life: u64,
}

/// What a write does for others before its own: at most so much.
pub(crate) const UNITS: usize = 4;

pub(crate) struct Model {
    pub(crate) piles: Vec<Pile>,
    /// The shard of each id.
    pub(crate) homes: Vec<usize>,
    pub(crate) spread: Spread,
    pub(crate) weighed: bool,
    pub(crate) capacity: u64,
    pub(crate) limit: Option<u64>,
    pub(crate) lie: Option<u64>,
    pub(crate) lives: Option<Lives>,
    pub(crate) records: bool,
    /// The shard that is asked next for a victim.
    pub(crate) asked: usize,
    /// What the clock shows.
    pub(crate) clock: u64,
    /// Whether it can't be said which shards were told the time in this call.
    pub(crate) some_told: bool,
    /// Whether anything left in the current call: then room may have been gathered, though all
    /// that left had expired, and shards that were visited in vain were told the time.
    pub(crate) some_left: bool,
    /// Departures of this call that were told and not yet explained.
    pub(crate) told: VecDeque<Told>,
    /// Ghosts that each shard recalled in this call, not yet explained.
    pub(crate) recalled: Vec<u64>,
    /// Whether it can't be said which of several inserts recalled them.
    pub(crate) blurred: bool,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) loads: u64,
    pub(crate) inserts: u64,
    pub(crate) departures: [u64; 8],
    pub(crate) weight_in: u64,
    pub(crate) weight_out: u64,
    pub(crate) unhit: u64,
    pub(crate) ghost_hits: Vec<u64>,
    pub(crate) weighings: u64,
    pub(crate) rulings: u64,
    pub(crate) lateness: u64,
    pub(crate) most_late: u64,
    /// How many lived for how long, by powers of two of nanoseconds; from the first
    /// value on that was stored.
    pub(crate) lived: Option<[u64; 64]>,
}

impl Model {
    pub(crate) fn new(config: &Config, homes: Vec<usize>) -> Self {
        let shards = config.shards.unwrap_or(1);
        let share = config.capacity / shards as u64;
        Self {
            piles: (0..shards)
                .map(|_| Pile::new(config.order, shards == 1, share))
                .collect(),
            homes,
            spread: config.spread,
            weighed: config.weighed,
            capacity: config.capacity,
            limit: config.limit.map(|limit| limit as u64),
            lie: None,
            lives: config.lives,
            records: matches!(config.form(), Extras::Idles | Extras::WeighedRecords),
            asked: 0,
            clock: 0,
            some_told: false,
            some_left: false,
            told: VecDeque::new(),
            recalled: vec![0; shards],
            blurred: false,
            hits: 0,
            misses: 0,
            loads: 0,
            inserts: 0,
            departures: [0; 8],
            weight_in: 0,
            weight_out: 0,
            unhit: 0,
            ghost_hits: vec![0; shards],
            weighings: 0,
            rulings: 0,
            lateness: 0,
            most_late: 0,
            lived: None,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.piles.iter().map(|pile| pile.items.len() as u64).sum()
    }

    pub(crate) fn weight(&self) -> u128 {
        self.piles.iter().map(Pile::weight).sum()
    }

    pub(crate) fn share(&self) -> u64 {
        self.capacity / self.piles.len() as u64
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Item> {
        let pile = &self.piles[self.homes[id as usize]];
        pile.items.iter().find(|item| item.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> &mut Item {
        let pile = &mut self.piles[self.homes[id as usize]];
        let item = pile.items.iter_mut().find(|item| item.id == id);
        item.expect("a resident")
    }

    pub(crate) fn now_of(&self, id: u32) -> u64 {
        self.piles[self.homes[id as usize]].now
    }

    /// An entry that is not past its end, as far as its shard was told.
    pub(crate) fn live(&self, id: u32) -> Option<&Item> {
        let now = self.now_of(id);
        self.get(id).filter(|item| !item.is_past(now))
    }

    pub(crate) fn value(&self, id: u32) -> Option<u64> {
        self.live(id).map(|item| item.value)
    }

    pub(crate) fn seen(&self, id: u32) -> Option<Seen> {
        self.live(id).map(|item| (item.id, item.stamp, item.value))
    }

    /// All that are not past their end.
    pub(crate) fn entries(&self) -> Vec<Seen> {
        let live = |pile: &'_ Pile| {
            let now = pile.now;
            let live = pile.items.iter().filter(move |item| !item.is_past(now));
            let seen = live.map(|item| (item.id, item.stamp, item.value));
            seen.collect::<Vec<_>>()
        };
        self.piles.iter().flat_map(live).collect()
    }

    /// The tag of a key: what ghosts and history know it by.
    pub(crate) fn mixed(&self, id: u32) -> u32 {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let hash = self.spread.hash_one(Id(id)).wrapping_mul(GOLDEN);
        let bits = (hash.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 36) as u32;
        let bits = if bits % (1 << 8) < 2 { bits + 2 } else { bits };
        bits << 4 | 1
    }

    pub(crate) fn charge(&self, weight: u64) -> u64 {
        match (self.weighed, self.limit) {
            (false, _) => 1,
            (true, None) => weight.max(1),
            (true, Some(_)) => weight,
        }
    }

    /// What the weigher makes of a value; counts the call.
    pub(crate) fn weigh(&mut self, own: u64) -> u64 {
        self.weighings += u64::from(self.weighed);
        self.charge(self.lie.unwrap_or(own))
    }

    /// A cache of capacity 0 keeps nothing, not even what weighs nothing.
    pub(crate) fn refuses(&self, weight: u64) -> bool {
        weight > self.capacity || self.capacity == 0
    }

    pub(crate) fn lacks(&self, need: Need) -> bool {
        let entries = self.len() + need.entries;
        self.weight() + u128::from(need.weight) > u128::from(self.capacity)
            || self.limit.is_some_and(|limit| entries > limit)
            || self.capacity == 0 && entries > 0
    }

    /// A look-up that counts.
    pub(crate) fn look_up(&mut self, id: u32) -> bool {
        if self.live(id).is_none() {
            self.misses += 1;
            return false;
        }
        self.hits += 1;
        self.piles[self.homes[id as usize]].hit(id);
        self.used(id);
        true
    }

    /// The next departure told must be this one.
    pub(crate) fn expect(&mut self, expected: Told) {
        assert_eq!(self.told.pop_front(), Some(expected), "told");
        self.departures[expected.cause as usize] += 1;
    }

    pub(crate) fn unlink(&mut self, id: u32) -> Item {
        let item = self.piles[self.homes[id as usize]].take(id);
        self.weight_out = self.weight_out.wrapping_add(item.weight);
        item
    }

    /// Takes an entry out; the listener must have heard of it just now: as
    /// expired if it is past its end, whatever took it out.
    pub(crate) fn leave(&mut self, id: u32, cause: Cause) -> Item {
        let item = self.unlink(id);
        if cause != Cause::Evicted {
            self.piles[self.homes[id as usize]].forget(item.mixed);
        }
        let now = self.now_of(id);
        let late = item.is_past(now).then(|| now - item.last());
        assert!(
            cause != Cause::Expired || late.is_some(),
            "{id} still lives"
        );
        let lived = self.count_life(&item, now);
        self.expect(Told {
            id,
            value: item.value,
            cause: late.map_or(cause, |_| Cause::Expired),
            late,
            lived,
        });
        self.lateness = self.lateness.saturating_add(late.unwrap_or(0));
        self.most_late = self.most_late.max(late.unwrap_or(0));
        item
    }

    /// Follows the departures told, each of which must be right and needed,
    /// until there is room; says whether there is.
    pub(crate) fn make_room(&mut self, need: Need) -> bool {
        let mut departures = 0;
        let made = loop {
            if !self.lacks(need) {
                break true;
            }
            match self.told.front() {
                Some(&Told {
                    id,
                    cause: Cause::Evicted,
                    ..
                }) => self.evict(id, need),
                Some(&told) if self.was_past(told) => self.expire_for(told.id, need),
                _ => break false,
            }
            departures += 1;
        };
        if departures > 0 || !made {
            self.doubt(need);
            self.some_told |= self.piles.len() > 1;
        }
        made
    }

    pub(crate) fn evict(&mut self, id: u32, need: Need) {
        assert_ne!(need.keep, Some(id), "the entry of this call was evicted");
        assert!(self.get(id).is_some(), "{id} was evicted but not resident");
        let shard = self.homes[id as usize];
        self.tell(shard);
        let due = self.piles[shard].due().next();
        assert!(due.is_none(), "{id} was evicted before {due:?}");
        self.check_payer(shard, need);
        let keep = need.keep.filter(|keep| self.homes[*keep as usize] == shard);
        self.leave_as_victim(id, keep);
    }

    /// Takes out who was evicted: he must be whom the order names, but for `keep`.
    pub(crate) fn leave_as_victim(&mut self, id: u32, keep: Option<u32>) -> Item {
        let shard = self.homes[id as usize];
        // Whoever may have been named and become a ghost.
        for id in keep.into_iter().chain([id]) {
            let mixed = self.mixed(id);
            self.piles[shard].may_return(mixed);
        }
        let pile = &mut self.piles[shard];
        let named = pile.name_victim(keep);
        if pile.sure {
            assert_eq!(named.unwrap_or(id), id, "the wrong victim of shard {shard}");
        }
        if named.is_none() {
            let mixed = self.mixed(id);
            self.piles[shard].forget(mixed);
        }
        let item = self.leave(id, Cause::Evicted);
        self.unhit += u64::from(!item.hit);
        item
    }

    pub(crate) fn check_payer(&self, shard: usize, need: Need) {
        let share = u128::from(self.share());
        let rich = |shard: usize| self.piles[shard].weight() > share;
        let only_keep = |shard: usize| {
            shard == need.home && need.keep.is_some() && self.piles[shard].items.len() == 1
        };
        match need.payer {
            _ if self.piles.len() == 1 => {}
            Payer::Rich => assert!(rich(shard) || share == 0, "a shard within its share paid"),
            Payer::Any if shard == need.home => {}
            Payer::Any => {
                let home_pays = rich(need.home) && !only_keep(need.home);
                assert!(!home_pays, "a shard above its share let others pay");
                if !rich(shard) && share > 0 {
                    let richer = (0..self.piles.len()).find(|&n| rich(n) && !only_keep(n));
                    assert_eq!(richer, None, "shard {shard} paid, with less than its share");
                }
            }
        }
    }

    /// After room was looked for in several shards, or all of it, what S3-FIFO,
    /// LFU, GDSF and Duel were asked in vain can't be seen.
    pub(crate) fn doubt(&mut self, need: Need) {
        if self.piles.len() == 1 && self.capacity > 0 {
            return;
        }
        for (shard, pile) in self.piles.iter_mut().enumerate() {
            let keep = need.keep.filter(|_| shard == need.home);
            if !pile.may_have_been_asked_in_vain(keep) {
                continue;
            }
            if let Some(mixed) = pile.items.first().map(|item| item.mixed) {
                pile.may_return(mixed);
            }
            pile.doubt();
        }
    }

    /// Whether a shard's own victims pay first: then it hears of the key before.
    pub(crate) fn may_pay(&self, home: usize) -> bool {
        let share = self.share();
        self.piles.len() == 1
            || self.piles[home].weight() > u128::from(share - share / 4)
            || share == 0
    }

    /// What the key of an offer was to its shard, if that is known.
    pub(crate) fn recall(&mut self, offer: Offer, home: usize) -> Option<Comes> {
        let mixed = self.mixed(offer.id);
        let comes = self.piles[home].recall(mixed, offer.weight)?;
        if comes.is_ghost() {
            assert!(self.recalled[home] > 0, "a ghost was not recalled");
            self.recalled[home] -= 1;
        }
        Some(comes)
    }

    /// As above where the order of the ghosts is not modelled: what the cache
    /// says, if it was ever remembered.
    pub(crate) fn recall_as_told(&mut self, id: u32, home: usize) -> Comes {
        let mixed = self.mixed(id);
        let pile = &mut self.piles[home];
        let known = pile.order.has_ghosts() && pile.ever.contains(&pile.print(mixed));
        if known && self.blurred {
            pile.sure = false;
        }
        if self.recalled[home] == 0 || !known {
            return Comes::New;
        }
        self.recalled[home] -= 1;
        Comes::BackToMain
    }

    /// Inserts; the old value, or what was handed back.
    pub(crate) fn insert(&mut self, offer: Offer) -> Verdict {
        self.inserts += 1;
        let home = self.homes[offer.id as usize];
        self.tell(home);
        let before = self.live(offer.id).map(|item| item.weight);
        let need = Need {
            weight: offer.weight.saturating_sub(before.unwrap_or(0)),
            entries: u64::from(before.is_none()),
            home,
            keep: before.map(|_| offer.id),
            payer: Payer::Any,
        };
        let is_refused = self.refuses(offer.weight) || self.is_lifeless(offer.life);
        self.claim(offer.id, (!is_refused).then_some(need));
        if is_refused {
            return Err(self.refuse(offer));
        }
        let Some(before) = before else {
            self.add(offer, need);
            return Ok(None);
        };
        assert!(need.weight == 0 || self.make_room(need), "over the bound");
        self.work_again(home);
        self.weight_in = self.weight_in.wrapping_add(offer.weight);
        self.weight_out = self.weight_out.wrapping_add(before);
        let now = self.piles[home].now;
        let item = self.get_mut(offer.id);
        let old = item.clone();
        item.value = offer.value;
        item.own = offer.own;
        item.weight = offer.weight;
        self.begin(offer.id, offer.life);
        self.piles[home].reweighed(offer.id);
        self.piles[home].hit(offer.id);
        let lived = self.count_life(&old, now);
        self.expect(Told {
            id: offer.id,
            value: old.value,
            cause: Cause::Replaced,
            late: None,
            lived,
        });
        Ok(Some(old.value))
    }

    pub(crate) fn refuse(&mut self, offer: Offer) -> Back {
        let old = self.value(offer.id);
        if old.is_some() {
            self.leave(offer.id, Cause::Replaced);
        }
        let too_heavy = self.refuses(offer.weight);
        let (cause, late) = match too_heavy {
            true => (Cause::Refused, None),
            false => (Cause::Expired, Some(0)),
        };
        self.expect(Told {
            id: offer.id,
            value: offer.value,
            cause,
            late,
            lived: None,
        });
        Back {
            key: (offer.id, offer.stamp),
            value: offer.value,
            old,
            reason: if too_heavy {
                Reason::TooHeavy {
                    weight: offer.weight,
                    capacity: self.capacity,
                }
            } else {
                Reason::ZeroTtl
            },
        }
    }

    pub(crate) fn add(&mut self, offer: Offer, need: Need) {
        let home = need.home;
        self.expire_at_home(need);
        let now = !self.lacks(need) || self.may_pay(home);
        let before = now.then(|| self.recall(offer, home));
        assert!(self.make_room(need), "over the bound");
        self.work_again(home);
        let comes = before.unwrap_or_else(|| self.recall(offer, home));
        let comes = comes.unwrap_or_else(|| self.recall_as_told(offer.id, home));
        self.weight_in = self.weight_in.wrapping_add(offer.weight);
        let item = Item {
            id: offer.id,
            mixed: self.mixed(offer.id),
            stamp: offer.stamp,
            value: offer.value,
            own: offer.own,
            weight: offer.weight,
            hit: false,
            visited: false,
            count: 0,
            main: false,
            frequency: 2,
            hits: 0,
            life: 0,
            due: 0,
            end: NEVER,
            idle_end: NEVER,
            born: 0,
        };
        self.piles[home].admit(item, comes);
        self.begin(offer.id, offer.life);
    }

    /// A value was changed in place; says whether it stays.
    pub(crate) fn change(&mut self, id: u32, change: Option<Change>) -> bool {
        let item = self.get_mut(id);
        if let Some(change) = change {
            item.value = change.id;
            item.own = change.own;
        }
        let (own, before) = (item.own, item.weight);
        let after = self.weigh(own);
        if self.recharge(id, before, after) {
            return true;
        }
        self.leave(id, Cause::Refused);
        false
    }

    pub(crate) fn recharge(&mut self, id: u32, before: u64, after: u64) -> bool {
        let home = self.homes[id as usize];
        let need = Need {
            weight: after.saturating_sub(before),
            entries: 0,
            home,
            keep: Some(id),
            payer: Payer::Any,
        };
        if !self.weighed || before == after {
            return true;
        }
        if self.refuses(after) {
            return false;
        }
        assert!(need.weight == 0 || self.make_room(need), "over the bound");
        self.get_mut(id).weight = after;
        self.piles[home].reweighed(id);
        self.weight_in = self.weight_in.wrapping_add(after);
        self.weight_out = self.weight_out.wrapping_add(before);
        true
    }

    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        let share = self.share();
        self.piles.iter_mut().for_each(|pile| pile.share = share);
        let need = Need {
            weight: 0,
            entries: 0,
            home: 0,
            keep: None,
            payer: Payer::Rich,
        };
        assert!(self.make_room(need), "over the new bound");
        if capacity == 0 {
            self.doubt(need);
        }
    }

    /// Everything leaves at once, in any order, for one of these causes.
    pub(crate) fn leave_all(&mut self, causes: &[Cause]) {
        for _ in 0..self.len() {
            let told = *self.told.front().expect("told of every entry");
            let expired = told.cause == Cause::Expired;
            assert!(expired || causes.contains(&told.cause), "{told:?}");
            self.leave(told.id, told.cause);
        }
        let alone = self.piles.len() == 1;
        self.piles
            .iter_mut()
            .for_each(|pile| pile.begin_anew(alone));
    }
}

impl Model {
    /// What the calls that insert if absent return: the value that is there now.
    pub(crate) fn insert_if_absent(&mut self, offer: Offer) -> Result<u64, Back> {
        if let Some(value) = self.value(offer.id) {
            return Ok(value);
        }
        self.weighings += u64::from(self.weighed);
        self.rulings += u64::from(self.rules());
        self.insert(offer).map(|_| offer.value)
    }

    /// `Cache` works off what is due before it looks the key up, `unsync::Cache`
    /// once it has found it.
    pub(crate) fn update(&mut self, id: u32, change: Change, is_unsync: bool) -> Updated<()> {
        self.tell_home(id);
        if !is_unsync || self.live(id).is_some() {
            self.work_before_change(id);
        }
        match self.look_up(id) {
            false => Updated::Absent,
            true if self.change(id, Some(change)) && self.renew(id) => Updated::Kept(()),
            true => Updated::Refused(()),
        }
    }

    pub(crate) fn compute(
        &mut self,
        change: Option<Change>,
        then: Then,
        offer: Offer,
    ) -> Computed<u64> {
        let id = offer.id;
        self.tell_home(id);
        let found = self.look_up(id);
        if found {
            self.work_before_change(id);
        } else {
            self.gather_for_one(id);
        }
        let stayed = found && self.change(id, change);
        match then {
            Then::Put => {
                self.weighings += u64::from(self.weighed);
                self.rulings += u64::from(self.rules());
                match self.insert(offer) {
                    Ok(Some(old)) => Computed::Replaced(old),
                    Ok(None) => Computed::Inserted,
                    Err(_) => Computed::Refused,
                }
            }
            _ if !found => Computed::Absent,
            Then::Remove if stayed => Computed::Removed(self.leave(id, Cause::Removed).value),
            Then::Keep if stayed && self.renew(id) => Computed::Kept,
            Then::Keep | Then::Remove => Computed::Refused,
        }
    }

    /// Room for one entry, if its shard has none, before it is decided whether there is to be one.
    pub(crate) fn gather_for_one(&mut self, id: u32) {
        let home = self.homes[id as usize];
        let need = Need {
            weight: 1,
            entries: 1,
            home,
            keep: None,
            payer: Payer::Any,
        };
        let pays = !self.piles[home].items.is_empty() && self.may_pay(home);
        if self.piles.len() > 1 && self.lacks(need) && !pays && !self.refuses(1) {
            assert!(self.make_room(need), "no room was gathered for one");
        }
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<Item> {
        self.live(id)?;
        Some(self.leave(id, Cause::Removed))
    }

    /// Follows the closure's own account of a walk.
    pub(crate) fn retain(&mut self, visits: &[(u32, u64, Option<Change>, bool)]) {
        self.tell_all();
        let mut left: Vec<u32> = self.entries().iter().map(|entry| entry.0).collect();
        for &(id, before, change, keep) in visits {
            self.expire_on_the_way();
            assert!(
                left.contains(&id),
                "{id} was visited twice or was not there"
            );
            left.retain(|other| *other != id);
            assert_eq!(self.value(id), Some(before), "visited with another value");
            if keep {
                self.change(id, change);
            } else {
                self.leave(id, Cause::Removed);
            }
        }
        self.expire_on_the_way();
        let missed = left.iter().find(|id| self.get(**id).is_some());
        assert_eq!(missed, None, "retain missed one");
        let past = self.piles.iter().flat_map(Pile::past).next();
        assert!(past.is_none(), "retain left {past:?}");
    }

    pub(crate) fn compare_stats(&self, stats: &Snapshot) {
        assert_eq!(stats.hits(), self.hits, "hits");
        assert_eq!(stats.misses(), self.misses, "misses");
        assert_eq!(stats.loads(), self.loads, "loads");
        assert_eq!(stats.inserts(), self.inserts, "inserts");
        for cause in Cause::ALL {
            let expected = self.departures[cause as usize];
            assert_eq!(stats.departures(cause), expected, "departures: {cause}");
        }
        assert_eq!(stats.weight_in(), self.weight_in, "weight in");
        assert_eq!(stats.weight_out(), self.weight_out, "weight out");
        assert_eq!(stats.evicted_unhit(), self.unhit, "evicted unhit");
        assert_eq!(stats.lateness(), Duration::from_nanos(self.lateness));
        assert_eq!(stats.most_late(), Duration::from_nanos(self.most_late));
        assert_eq!(stats.ages().is_some(), self.lived.is_some(), "lives");
        if let (Some(lives), Some(lived)) = (stats.ages(), &self.lived) {
            let counted = lived.iter().enumerate().filter(|step| *step.1 > 0);
            let most = |power: usize| (1_u128 << (power + 1)) - 1;
            let counted = counted.map(|(power, count)| (most(power), *count));
            let told = lives.iter().map(|(most, count)| (most.as_nanos(), count));
            assert!(told.eq(counted), "{lives:?} {lived:?}");
        }
        assert_eq!(stats.listener_panics(), 0);
        assert_eq!(stats.len(), self.len());
        assert_eq!(u128::from(stats.weight()), self.weight());
        assert_eq!(stats.capacity(), self.capacity);
    }
}
