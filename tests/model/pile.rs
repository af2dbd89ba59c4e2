//! One shard as the model has it: a `Vec` of all its entries, and the orders of
//! all policies as their papers and pseudo code say.

use crate::time::{BEAT, NEVER, seen_after};
use std::collections::HashSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(brimful_full), allow(dead_code, reason = "only some are compiled"))]
pub(crate) enum Order {
    Lru,
    Fifo,
    Sieve,
    S3Fifo,
    Lfu,
    Gdsf,
    Duel,
}

impl Order {
    /// Whether entries are given lives.
    pub(crate) fn is_greedy(self) -> bool {
        matches!(self, Order::Lfu | Order::Gdsf)
    }

    /// Whether keys evicted are remembered as ghosts.
    pub(crate) fn has_ghosts(self) -> bool {
        matches!(self, Order::S3Fifo | Order::Duel)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: u32,
    /// What ghosts and history know it by.
    pub(crate) mixed: u32,
    pub(crate) stamp: u32,
    pub(crate) value: u64,
    pub(crate) own: u64,
    pub(crate) weight: u64,
    /// Whether it was ever hit.
    pub(crate) hit: bool,
    /// SIEVE's mark.
    pub(crate) visited: bool,
    /// S3-FIFO's and Duel's count and queue.
    pub(crate) count: u8,
    pub(crate) main: bool,
    /// LFU's and GDSF's frequency, and the hits that do not count in it yet.
    pub(crate) frequency: u64,
    pub(crate) hits: u64,
    pub(crate) life: u128,
    pub(crate) due: u128,
    /// When its life ends, when it ends unused, and when its value came.
    pub(crate) end: u64,
    pub(crate) idle_end: u64,
    pub(crate) born: u64,
}

impl Item {
    /// When it ends, if nothing puts that off.
    pub(crate) fn last(&self) -> u64 {
        self.end.min(self.idle_end).min(NEVER)
    }

    pub(crate) fn ends(&self) -> bool {
        self.last() < NEVER
    }

    pub(crate) fn is_past(&self, now: u64) -> bool {
        self.last() <= now
    }

    /// Whether a wheel that looks once a beat must have seen that it is past.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        seen_after(self.last()) <= u128::from(now / BEAT * BEAT)
    }
}

/// Fingerprints in a set of ghosts.
pub(crate) const WAYS: usize = 32;

/// A fingerprint as ghosts have it: 0 is an empty place.
pub(crate) fn ghost(mixed: u32) -> u16 {
    (mixed >> 4) as u16
}

/// Keys lately evicted, newest first, while one set holds them.
#[derive(Clone, Default)]
pub(crate) struct Ghosts {
    pub(crate) prints: Vec<u16>,
    pub(crate) depth: usize,
}

impl Ghosts {
    pub(crate) fn fit(&mut self, tags: usize) {
        self.depth = tags;
        self.prints.truncate(tags);
    }

    pub(crate) fn follow(&mut self, tags: usize) {
        if tags > self.depth {
            self.fit(tags + tags / 8);
        }
    }

    pub(crate) fn shrink(&mut self, tags: usize) {
        if tags < self.depth {
            self.fit(tags);
        }
    }

    /// Whether this is exact: in several sets each has an order of its own.
    pub(crate) fn fits_a_set(&self) -> bool {
        self.depth <= WAYS
    }

    pub(crate) fn remember(&mut self, mixed: u32) {
        self.prints.insert(0, ghost(mixed));
        self.prints.truncate(self.depth);
    }

    pub(crate) fn forget(&mut self, mixed: u32) -> bool {
        let print = ghost(mixed);
        let at = self.prints.iter().position(|other| *other == print);
        at.map(|at| self.prints.remove(at)).is_some()
    }
}

/// What Duel remembers of a key.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// Eleven bits of what it is known by.
    pub(crate) print: u32,
    pub(crate) count: u32,
    pub(crate) left: Left,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// If it is not here, small evicted it.
    Unheard,
    /// It was removed, or has gone round.
    NoGhost,
    /// Main evicted it.
    FromMain,
}

/// Records in a set of the history.
pub(crate) const RECORDS: usize = 16;

/// Duel's records, newest first in each set.
#[derive(Clone, Default)]
pub(crate) struct History(pub(crate) Vec<Vec<Record>>);

impl History {
    pub(crate) fn places(&self) -> usize {
        self.0.len() * RECORDS
    }

    /// Each of the new sets copies the old one that lies where its middle does.
    pub(crate) fn fit(&mut self, keys: usize) {
        let (old, new) = (self.0.len(), keys.div_ceil(RECORDS));
        let copies = (0..new).map(|n| self.0.get((2 * n + 1) * old / (2 * new)).cloned());
        self.0 = copies.map(Option::unwrap_or_default).collect();
    }

    pub(crate) fn shrink(&mut self, keys: usize) {
        if keys + RECORDS <= self.places() {
            self.fit(keys);
        }
    }

    /// The set of a key, its fingerprint, and where its record stands.
    pub(crate) fn find(&mut self, mixed: u32) -> (&mut Vec<Record>, u32, Option<usize>) {
        let at = u64::from(mixed) * self.0.len() as u64 / (1 << 32);
        let set = &mut self.0[at as usize];
        let print = (mixed >> 4) % (1 << 16) / (1 << 5);
        let print = print.max(1);
        let found = set.iter().position(|record| record.print == print);
        (set, print, found)
    }

    pub(crate) fn push(set: &mut Vec<Record>, record: Record) {
        set.insert(0, record);
        while set.len() > RECORDS {
            let mut last = set.pop().expect("more than fit");
            if last.count > 1 {
                last.count -= 1;
                if last.left == Left::Unheard {
                    last.left = Left::NoGhost;
                }
                set.insert(0, last);
            }
        }
    }

    /// The record of a key that enters, as it was, and how far it had moved on.
    pub(crate) fn enter(&mut self, mixed: u32) -> Option<(Record, usize)> {
        let sets = self.0.len();
        let (set, print, found) = self.find(mixed);
        let before = found.map(|at| set.remove(at));
        let record = Record {
            print,
            count: before.map_or(1, |record| (record.count + 1).min(7)),
            left: Left::Unheard,
        };
        Self::push(set, record);
        Some((before?, found? * sets))
    }

    pub(crate) fn evicted(&mut self, mixed: u32) {
        let (set, print, found) = self.find(mixed);
        let record = Record {
            print,
            count: found.map_or(0, |at| set.remove(at).count),
            left: Left::FromMain,
        };
        Self::push(set, record);
    }

    pub(crate) fn removed(&mut self, mixed: u32) {
        let (set, _, found) = self.find(mixed);
        if let Some(at) = found {
            set[at].left = Left::NoGhost;
        }
    }

    /// What the count is then.
    pub(crate) fn raise(&mut self, mixed: u32, by: u8) -> u32 {
        let (set, print, found) = self.find(mixed);
        let Some(at) = found else {
            let (count, left) = (by.into(), Left::NoGhost);
            Self::push(set, Record { print, count, left });
            return count;
        };
        set[at].count = (set[at].count + u32::from(by)).min(7);
        set[at].count
    }

    pub(crate) fn count(&mut self, mixed: u32) -> u32 {
        let (set, _, found) = self.find(mixed);
        found.map_or(0, |at| set[at].count)
    }

    pub(crate) fn lower(&mut self, mixed: u32) {
        let (set, _, found) = self.find(mixed);
        if let Some(at) = found.filter(|&at| set[at].count > 1) {
            set[at].count -= 1;
        }
    }
}

/// Keys that Duel remembers for so many residents.
pub(crate) fn known(residents: usize) -> usize {
    residents.saturating_mul(9) / 4
}

/// Of what Duel's border and the share that main pays are parts.
pub(crate) const ALL: u64 = 1 << 32;

/// What the key of a newcomer is to its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comes {
    New,
    /// Not a ghost, but asked for before.
    Known,
    BackToMain,
    BackToSmall,
}

impl Comes {
    pub(crate) fn is_ghost(self) -> bool {
        matches!(self, Comes::BackToMain | Comes::BackToSmall)
    }
}

/// One shard: all its entries, oldest first (LFU and GDSF: as they were placed).
#[derive(Clone)]
pub(crate) struct Pile {
    pub(crate) order: Order,
    /// Whether S3-FIFO's ghosts are exact: one set, of a lone shard that was
    /// never in doubt. Duel's are as long as the pile is sure.
    pub(crate) knows_ghosts: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) share: u64,
    /// SIEVE's hand; `None` is the oldest.
    pub(crate) hand: Option<u32>,
    /// S3-FIFO's.
    pub(crate) ghosts: Ghosts,
    /// Duel's, what part small should hold, and what part of evictions main paid.
    pub(crate) history: History,
    pub(crate) border: u64,
    pub(crate) from_main: u64,
    /// Moves that Duel's eviction may yet make.
    pub(crate) rounds: u32,
    /// For how many admissions to come Duel was asked for victims.
    pub(crate) asked: u32,
    /// All that may ever have become ghosts.
    pub(crate) ever: HashSet<u32>,
    /// Whether the shard has been full once.
    pub(crate) filled: bool,
    /// When LFU's and GDSF's last victim was due.
    pub(crate) age: u128,
    /// Whether a doubt outlasts the residents: in what LFU, GDSF or Duel
    /// remember of keys that left.
    pub(crate) lasting: bool,
    /// False where something that can't be seen from outside (the order was
    /// asked for a victim that could not go) may have changed the order.
    pub(crate) sure: bool,
    /// The latest time that this shard was told.
    pub(crate) now: u64,
}

impl Pile {
    pub(crate) fn new(order: Order, alone: bool, share: u64) -> Self {
        Self {
            order,
            knows_ghosts: alone,
            items: Vec::new(),
            share,
            hand: None,
            ghosts: Ghosts::default(),
            history: History::default(),
            border: ALL / 20,
            from_main: ALL / 2,
            rounds: 0,
            asked: 0,
            ever: HashSet::new(),
            filled: false,
            age: 0,
            lasting: false,
            sure: true,
            now: 0,
        }
    }

    /// Begins anew after all have left; the time goes on.
    pub(crate) fn begin_anew(&mut self, alone: bool) {
        *self = Self {
            now: self.now,
            ..Self::new(self.order, alone, self.share)
        };
    }

    pub(crate) fn past(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_past(self.now))
    }

    pub(crate) fn due(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_due(self.now))
    }

    /// An entry past its end left while room was made. If its end is less than a
    /// beat ago, either the wheel found it in a bucket of an upper level, or
    /// the order named it: unless the order can only have named another one, or
    /// does not care, nobody can say what it has become.
    pub(crate) fn may_have_named(&mut self, id: u32, keep: Option<u32>) {
        let at = self.index(id).expect("a resident");
        if self.items[at].is_due(self.now) {
            return;
        }
        self.may_return(self.items[at].mixed);
        let plain = matches!(self.order, Order::Lru | Order::Fifo);
        if !self.sure || plain && at == 0 {
            return;
        }
        let named = self.clone().name_victim(keep);
        if self.order == Order::Duel || named.is_none() || named == Some(id) {
            self.doubt();
        }
    }

    pub(crate) fn weight(&self) -> u128 {
        self.items.iter().map(|item| u128::from(item.weight)).sum()
    }

    pub(crate) fn small_weight(&self) -> u128 {
        let small = self.items.iter().filter(|item| !item.main);
        small.map(|item| u128::from(item.weight)).sum()
    }

    pub(crate) fn index(&self, id: u32) -> Option<usize> {
        self.items.iter().position(|item| item.id == id)
    }

    pub(crate) fn hit(&mut self, id: u32) {
        let at = self.index(id).expect("a resident");
        let item = &mut self.items[at];
        item.hit = true;
        item.visited = true;
        item.count = (item.count + 1).min(3);
        item.hits = (item.hits + 1).min(7);
        if self.order == Order::Lru {
            self.send_back(at);
        }
    }

    pub(crate) fn send_back(&mut self, at: usize) {
        let item = self.items.remove(at);
        self.items.push(item);
    }

    /// From here on nobody can say what the order has become.
    pub(crate) fn doubt(&mut self) {
        (self.sure, self.knows_ghosts) = (false, false);
        self.lasting |= self.order == Order::Duel;
    }

    /// Whether room may have been asked of a shard that can't give any, and
    /// that changed by it.
    pub(crate) fn may_have_been_asked_in_vain(&self, keep: Option<u32>) -> bool {
        let greedy = self.order.is_greedy();
        match self.items.len() {
            0 => greedy && !self.filled,
            // SIEVE forgets that it was visited.
            1 => keep.is_some() && !matches!(self.order, Order::Lru | Order::Fifo),
            _ => false,
        }
    }

    pub(crate) fn admit(&mut self, mut item: Item, comes: Comes) {
        if self.order == Order::Duel {
            return self.duel_admit(item, comes);
        }
        let filling = !self.filled && self.small_weight() >= u128::from(self.share / 10);
        item.main = comes == Comes::BackToMain || filling;
        self.items.push(item);
        self.place(self.items.len() - 1);
    }

    pub(crate) fn duel_admit(&mut self, mut item: Item, comes: Comes) {
        item.main = comes == Comes::BackToMain;
        item.count = u8::from(comes == Comes::Known && self.filled);
        let asked = self.asked > 0;
        self.asked -= u32::from(asked);
        if item.count == 0 && !item.main && !asked {
            self.overflow();
        }
        self.items.push(item);
    }

    /// Room that nobody had to leave: if small holds too much, its oldest moves on.
    pub(crate) fn overflow(&mut self) {
        if !self.is_beyond(if self.filled { 2 } else { 1 }) {
            return;
        }
        let oldest = self.items.iter().position(|item| !item.main);
        if let Some(at) = oldest {
            let Item { mixed, count, .. } = self.items[at];
            if count > 0 {
                self.history.raise(mixed, count);
            }
            self.promote(at, u8::from(count >= 2));
        }
    }

    pub(crate) fn promote(&mut self, at: usize, count: u8) {
        self.items[at].main = true;
        self.items[at].count = count;
        self.send_back(at);
    }

    pub(crate) fn whole(&self) -> u128 {
        if self.filled {
            self.weight()
        } else {
            self.share.into()
        }
    }

    pub(crate) fn is_beyond(&self, times: u128) -> bool {
        let border = self.whole() * u128::from(self.border) / u128::from(ALL);
        self.small_weight() >= (border * times).clamp(1, u64::MAX.into())
    }

    /// How far the return of a ghost moves the border.
    pub(crate) fn step(&self, weight: u64) -> u64 {
        let part = 0.5 * weight as f64 / self.whole().max(1) as f64;
        (part.min(1.0) * ALL as f64) as u64
    }

    /// One of the evictions that `from_main` looks back upon, which leaves so many.
    pub(crate) fn paid(&mut self, by_main: bool, left: usize) {
        let part = |whole: u64| whole / (1 << (left / 4 + 4).ilog2());
        self.from_main -= part(self.from_main);
        self.from_main += if by_main { part(ALL) } else { 0 };
    }

    /// The history has places for the residents, one more than now.
    pub(crate) fn follow(&mut self) {
        let (keys, places) = (known(self.items.len() + 1), self.history.places());
        if self.filled && (keys > places || keys * 4 + 64 < places) {
            self.history.fit(keys + keys / 8);
        } else if keys > places {
            // As many as the share has room for, at the mean weight.
            let weight: u128 = self.items.iter().map(|item| u128::from(item.weight)).sum();
            let full = u128::from(self.share) * self.items.len() as u128 / weight.max(1);
            let full = known(usize::try_from(full).unwrap_or(usize::MAX));
            let missing = full.saturating_sub(keys);
            self.history.fit(keys + missing.clamp(keys / 64, keys / 2));
        }
    }

    /// What a key that enters is, by its past.
    pub(crate) fn duel_recall(&mut self, mixed: u32, weight: u64) -> Comes {
        self.may_return(mixed);
        self.follow();
        let Some((record, moved)) = self.history.enter(mixed) else {
            return Comes::New;
        };
        let live = self.items.len() as f64;
        let small = self.items.iter().filter(|item| !item.main).count() as f64;
        let main_pays = (self.from_main as f64 / ALL as f64).clamp(0.02, 0.98);
        let admissions = moved as f64 / (1.0 + main_pays);
        if record.left == Left::Unheard && admissions <= small + 0.2 * live / (1.0 - main_pays) {
            self.border = (self.border + self.step(weight)).min(ALL);
            Comes::BackToMain
        } else if record.left == Left::FromMain && admissions <= 0.1 * live / main_pays {
            let step = self.step(weight).min(self.border);
            self.border = (self.border - step).max(ALL / 100);
            Comes::BackToSmall
        } else if record.count > 0 {
            Comes::Known
        } else {
            Comes::New
        }
    }

    pub(crate) fn life(&self, item: &Item) -> u128 {
        let by_weight = self.order == Order::Gdsf;
        let weight = if by_weight { item.weight.max(1) } else { 1 };
        let life = (u128::from(item.frequency) << 52) / u128::from(weight);
        1 << life.max(1 << 12).ilog2()
    }

    /// Gives an entry a new life, at the present age in parts of that life.
    pub(crate) fn place(&mut self, at: usize) {
        let life = self.life(&self.items[at]);
        let part = life >> 12;
        let item = &mut self.items[at];
        item.life = life;
        item.due = self.age / part * part + life;
        self.send_back(at);
    }

    pub(crate) fn reweighed(&mut self, id: u32) {
        let at = self.index(id).expect("a resident");
        if self.order.is_greedy() && self.life(&self.items[at]) != self.items[at].life {
            if self.items.len() == 1 {
                self.age = 0;
            }
            self.place(at);
        }
    }

    pub(crate) fn take(&mut self, id: u32) -> Item {
        let at = self
            .index(id)
            .unwrap_or_else(|| panic!("{id} is not resident"));
        if self.hand == Some(id) {
            self.hand = self.items.get(at + 1).map(|item| item.id);
        }
        let item = self.items.remove(at);
        if self.items.is_empty() {
            self.age = 0;
            self.sure |= self.filled && !self.lasting;
        }
        item
    }

    /// Where the victim stands. It is taken out of the order by the caller.
    pub(crate) fn victim(&mut self) -> usize {
        self.filled = true;
        match self.order {
            Order::Lru | Order::Fifo => 0,
            Order::Sieve => self.sieve_victim(),
            Order::S3Fifo => self.s3_victim(),
            Order::Duel => self.duel_victim(),
            Order::Lfu | Order::Gdsf => self.greedy_victim(),
        }
    }

    pub(crate) fn greedy_victim(&mut self) -> usize {
        if self.items.len() >= 64 {
            (self.lasting, self.sure) = (true, false);
        }
        for anew in 0.. {
            let all = self.items.iter().enumerate();
            let first = all.min_by_key(|(at, item)| (item.due, item.life, *at));
            let (at, item) = first.expect("asked an empty shard");
            let (hits, due) = (item.hits, item.due);
            let alone = self.items.len() == 1;
            if alone {
                self.age = 0;
            }
            if hits == 0 || anew == 64 {
                self.age = if alone { 0 } else { due };
                return at;
            }
            let item = &mut self.items[at];
            item.frequency = (item.frequency + hits).min(255);
            item.hits = 0;
            self.place(at);
        }
        unreachable!("one of 65 leaves")
    }

    pub(crate) fn sieve_victim(&mut self) -> usize {
        let mut at = self.hand.and_then(|id| self.index(id)).unwrap_or(0);
        while self.items[at].visited {
            self.items[at].visited = false;
            at = (at + 1) % self.items.len();
        }
        self.hand = self.items.get(at + 1).map(|item| item.id);
        at
    }

    pub(crate) fn s3_victim(&mut self) -> usize {
        loop {
            let small = self.items.iter().position(|item| !item.main);
            let main = self.items.iter().position(|item| item.main);
            let small_pays = self.small_weight() > (self.weight() / 10).max(1);
            match (small, main) {
                (Some(at), _) if small_pays || main.is_none() => {
                    if self.items[at].count < 2 {
                        return at;
                    }
                    self.items[at].count = 0;
                    self.items[at].main = true;
                    self.send_back(at);
                }
                (_, Some(at)) => {
                    if self.items[at].count == 0 {
                        return at;
                    }
                    self.items[at].count -= 1;
                    self.send_back(at);
                }
                _ => unreachable!("asked an empty shard"),
            }
        }
    }

    pub(crate) fn duel_victim(&mut self) -> usize {
        self.asked = (self.asked + 1).min(32);
        self.rounds = 128;
        loop {
            let small = self.items.iter().position(|item| !item.main);
            let no_main = self.items.iter().all(|item| !item.main);
            match small.filter(|_| no_main || self.is_beyond(1)) {
                Some(at) => {
                    if let Some(victim) = self.small_pays(at) {
                        return victim;
                    }
                }
                None => {
                    let at = self.next_of_main().expect("asked an empty shard");
                    return self.main_pays(at, self.items.len() - 1);
                }
            }
        }
    }

    /// Small's oldest goes to main (`None`), or duels with main's next.
    pub(crate) fn small_pays(&mut self, at: usize) -> Option<usize> {
        let Item {
            id, mixed, count, ..
        } = self.items[at];
        if count > 0 {
            // Read before main's next is found, whose raises may push its record out.
            let known = self.history.raise(mixed, count);
            if count >= 2 && self.rounds > 0 {
                self.rounds -= 1;
                self.promote(at, 0);
                return None;
            }
            if let Some(next) = (known > 1).then(|| self.next_of_main()).flatten() {
                let rival = self.items[next].clone();
                if known > self.history.count(rival.mixed) + 1 {
                    self.promote(self.index(id)?, 0);
                    return Some(self.main_pays(self.index(rival.id)?, self.items.len() - 2));
                }
                self.history.lower(rival.mixed);
            }
        }
        self.paid(false, self.items.len() - 1);
        self.index(id)
    }

    pub(crate) fn main_pays(&mut self, at: usize, left: usize) -> usize {
        self.history.evicted(self.items[at].mixed);
        self.paid(true, left);
        at
    }

    /// Main's oldest that no hit has kept.
    pub(crate) fn next_of_main(&mut self) -> Option<usize> {
        loop {
            let at = self.items.iter().position(|item| item.main)?;
            let Item { mixed, count, .. } = self.items[at];
            if count == 0 || self.rounds == 0 {
                return Some(at);
            }
            self.rounds -= 1;
            self.promote(at, count / 2);
            self.history.raise(mixed, count - count / 2);
        }
    }

    /// It is not by the order's choice that a key leaves.
    pub(crate) fn forget(&mut self, mixed: u32) {
        if self.order == Order::Duel {
            self.history.removed(mixed);
        }
    }

    /// Who must go, if `keep` must not; `None` is anybody else: the order named
    /// `keep` twice. An entry kept against the order is admitted anew.
    pub(crate) fn name_victim(&mut self, keep: Option<u32>) -> Option<u32> {
        for _ in 0..2 {
            let at = self.victim();
            let Item {
                id, mixed, main, ..
            } = self.items[at];
            if self.order == Order::S3Fifo && !main {
                self.remember(mixed);
            }
            self.may_return(mixed);
            if keep != Some(id) {
                return Some(id);
            }
            self.items[at].count = 0;
            self.items[at].main = false;
            self.readmit(at);
            if self.items.len() == 1 {
                return None;
            }
        }
        None
    }

    pub(crate) fn readmit(&mut self, at: usize) {
        if self.order.is_greedy() {
            self.place(at);
        } else if self.order == Order::Duel {
            let item = self.items.remove(at);
            self.duel_admit(item, Comes::New);
        } else {
            self.send_back(at);
        }
    }

    /// S3-FIFO's ghosts are as many as residents of main would be.
    pub(crate) fn remember(&mut self, mixed: u32) {
        self.ghosts.follow(self.items.len() / 10 * 9);
        self.knows_ghosts &= self.ghosts.fits_a_set();
        self.ghosts.remember(mixed);
    }

    /// Ghosts and history take keys of one print for one another.
    pub(crate) fn print(&self, mixed: u32) -> u32 {
        match self.order {
            Order::Duel => (mixed % (1 << 16) / (1 << 5)).max(1),
            _ => ghost(mixed).into(),
        }
    }

    /// From here on a key with this print may be a ghost.
    pub(crate) fn may_return(&mut self, mixed: u32) {
        self.ever.insert(self.print(mixed));
    }

    /// Announces a key and forgets its ghost; what it is, if that is known.
    pub(crate) fn recall(&mut self, mixed: u32, weight: u64) -> Option<Comes> {
        match self.order {
            Order::S3Fifo if self.knows_ghosts && self.ghosts.forget(mixed) => {
                Some(Comes::BackToMain)
            }
            Order::S3Fifo if self.knows_ghosts => Some(Comes::New),
            Order::Duel => {
                let comes = self.duel_recall(mixed, weight);
                self.sure.then_some(comes)
            }
            _ => None,
        }
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        let residents = self.items.len();
        self.ghosts.shrink(residents / 10 * 9);
        self.history.shrink(known(residents));
    }
}
