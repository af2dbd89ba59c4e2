//! The model's side of time: who has ended by when, who may take him out, and
//! what a call makes of a life.
//!
//! Which of several due entries leaves first is the wheel's business: the model
//! follows what was told, and asserts that each was past its end, was as late as
//! told, and left where the rules let it: by its own key's write, among the few
//! units of a write in its shard, for room that was needed, or in a sweep.

use crate::naive::{Model, Need, UNITS};
use crate::pile::{Item, Pile};
use crate::time::{NEVER, end_after, seen_after, tick_of};
use crate::world::counted::Told;
use crate::world::counted::nanos;
use brimful::{Cause, Swept};
use std::time::Duration;

impl Model {
    /// A shard hears what time it is; it does not believe that time goes back.
    pub(crate) fn tell(&mut self, shard: usize) {
        let pile = &mut self.piles[shard];
        pile.now = pile.now.max(self.clock);
    }

    pub(crate) fn tell_home(&mut self, id: u32) {
        self.tell(self.homes[id as usize]);
    }

    pub(crate) fn tell_all(&mut self) {
        (0..self.piles.len()).for_each(|shard| self.tell(shard));
    }

    /// Whether a rule is asked for the life of each value.
    pub(crate) fn rules(&self) -> bool {
        self.lives.is_some_and(|lives| lives.rule.is_some())
    }

    /// How long a value lives of which nobody says it.
    pub(crate) fn usual_life(&self, id: u32, value: u64) -> u64 {
        let life = self
            .lives
            .and_then(|lives| lives.rules(id, value, None).or(lives.to_live));
        life.map_or(u64::MAX, nanos)
    }

    /// Whether a value with this life is one that could never be read.
    pub(crate) fn is_lifeless(&self, life: u64) -> bool {
        let to_idle = self.lives.and_then(|lives| lives.to_idle);
        self.lives.is_some() && (life == 0 || to_idle == Some(Duration::ZERO))
    }

    /// A use puts the end of the idle time off, if it is not late enough: by a grain more.
    pub(crate) fn used(&mut self, id: u32) {
        let now = self.now_of(id);
        if let Some(to_idle) = self.lives.and_then(|lives| lives.to_idle).map(nanos) {
            let (item, end) = (self.get_mut(id), now.saturating_add(to_idle));
            if item.idle_end < end {
                item.idle_end = end.saturating_add(to_idle / 1024);
            }
        }
    }

    /// A value begins to live.
    pub(crate) fn begin(&mut self, id: u32, life: u64) {
        let now = self.now_of(id);
        if self.lives.is_none() {
            return;
        }
        let item = self.get_mut(id);
        (item.end, item.born) = (end_after(now, life), now);
        if let Some(to_idle) = self.lives.and_then(|lives| lives.to_idle) {
            self.get_mut(id).idle_end = now.saturating_add(nanos(to_idle));
        }
        if self.records {
            self.lived.get_or_insert([0; 64]);
        }
    }

    /// How long the value of an entry lived that leaves now, if that is recorded.
    pub(crate) fn count_life(&mut self, item: &Item, now: u64) -> Option<u64> {
        let lived = self.lived.as_mut()?;
        let life = now - item.born;
        lived[life.max(1).ilog2() as usize] += 1;
        Some(life)
    }

    /// After a change in place; says whether the value stays.
    pub(crate) fn renew(&mut self, id: u32) -> bool {
        let Some(value) = self.value(id).filter(|_| self.lives.is_some()) else {
            return true;
        };
        self.rulings += u64::from(self.rules());
        self.used(id);
        let left = match self.get_mut(id).last() {
            NEVER => Duration::MAX,
            end => Duration::from_nanos(end - self.now_of(id)),
        };
        let ruled = self
            .lives
            .and_then(|lives| lives.rules(id, value, Some(left)));
        ruled.is_none_or(|life| self.set_life(id, nanos(life)))
    }

    /// A new life from now; says whether there is one.
    pub(crate) fn set_life(&mut self, id: u32, life: u64) -> bool {
        self.cut_or_set(id, life);
        if life == 0 {
            self.leave(id, Cause::Expired);
        }
        life > 0
    }

    /// As above, where an entry with a life of zero stays until it is taken out.
    fn cut_or_set(&mut self, id: u32, life: u64) {
        let now = self.now_of(id);
        self.get_mut(id).end = match life {
            0 => tick_of(now),
            life => end_after(now, life),
        };
    }

    /// A look-up that counts and may give a new life; the value that was found.
    pub(crate) fn read(&mut self, id: u32) -> Option<u64> {
        self.tell_home(id);
        let value = self.value(id);
        if self.look_up(id) {
            let value = value.expect("a hit");
            let lives = self.lives.filter(|lives| lives.on_read.is_some());
            self.rulings += u64::from(lives.is_some());
            if let Some(life) = lives.and_then(|lives| lives.rules_read(id, value)) {
                self.cut_or_set(id, nanos(life));
            }
        }
        value
    }

    /// Whether this is told of an entry that was past its end where it stood, and
    /// not of a value without a life or of one that this call ended.
    pub(crate) fn was_past(&self, told: Told) -> bool {
        let now = self.now_of(told.id).max(self.clock);
        let item = self.get(told.id).filter(|item| item.value == told.value);
        told.cause == Cause::Expired && item.is_some_and(|item| item.is_past(now))
    }

    /// An entry left since it was past its end; if room was wanted then, the
    /// policy may have named it.
    fn expire(&mut self, id: u32, keep: Option<u32>, room_was_wanted: bool) {
        let shard = self.homes[id as usize];
        self.tell(shard);
        if room_was_wanted {
            let keep = keep.filter(|keep| self.homes[*keep as usize] == shard);
            self.piles[shard].may_have_named(id, keep);
        }
        self.leave(id, Cause::Expired);
    }

    /// As above, for room that is needed.
    pub(crate) fn expire_for(&mut self, id: u32, need: Need) {
        assert_ne!(need.keep, Some(id), "the entry of this call expired");
        self.expire(id, need.keep, true);
    }

    /// What is due in the home shard goes before anybody is asked for room.
    pub(crate) fn expire_at_home(&mut self, need: Need) {
        while self.lacks(need) {
            match self.next_expired(need.home) {
                Some(id) => self.expire_for(id, need),
                None => break,
            }
        }
    }

    /// The entry of this shard that was told next, if it expired.
    fn next_expired(&self, shard: usize) -> Option<u32> {
        let told = *self.told.front()?;
        let here = self.homes[told.id as usize] == shard;
        (here && self.was_past(told)).then_some(told.id)
    }

    /// A write does a few units of due work before its own.
    fn work(
        &mut self,
        shard: usize,
        own: Option<u32>,
        keep: Option<u32>,
        wants_room: impl Fn(&Self) -> bool,
    ) {
        let mut units = UNITS;
        while let Some(id) = self.next_expired(shard) {
            if Some(id) != own {
                if units == 0 {
                    return;
                }
                units -= 1;
            }
            self.expire(id, keep, wants_room(self));
        }
    }

    /// Before a write to this key: due work, and an entry that is past its end
    /// leaves. `need` is what the write will want.
    pub(crate) fn claim(&mut self, id: u32, need: Option<Need>) {
        self.tell_home(id);
        let shard = self.homes[id as usize];
        let keep = need.and_then(|need| need.keep);
        let wants_room = |model: &Self| need.is_some_and(|need| model.lacks(need));
        self.work(shard, Some(id), keep, wants_room);
        if self.get(id).is_some() && self.live(id).is_none() {
            self.expire(id, None, false);
        }
        assert!(self.live(id).is_some() == self.get(id).is_some());
    }

    /// Before a change in place, which may want room once the value is weighed.
    pub(crate) fn work_before_change(&mut self, id: u32) {
        self.tell_home(id);
        let weighed = self.weighed;
        self.work(self.homes[id as usize], None, Some(id), |_| weighed);
    }

    /// When room was gathered the home shard is asked once more to insert, and
    /// works before that.
    pub(crate) fn work_again(&mut self, home: usize) {
        if self.some_told {
            self.work(home, None, None, |_| false);
        }
    }

    /// On a walk over all entries, what is past its end leaves: also for the room that
    /// another entry wants, which may be the very one that the order names first.
    pub(crate) fn expire_on_the_way(&mut self) {
        while let Some(&told) = self.told.front() {
            if !self.was_past(told) {
                return;
            }
            let mut pile = self.piles[self.homes[told.id as usize]].clone();
            let first = pile.name_victim(None).filter(|first| *first != told.id);
            self.expire(told.id, first, self.weighed);
        }
    }

    /// The next victim, of the first shard in turn that has one: there what is due leaves first.
    pub(crate) fn evict_next(&mut self) -> Option<Item> {
        let shards = self.piles.len();
        for shard in (self.asked..self.asked + shards).map(|n| n % shards) {
            self.tell(shard);
            while let Some(id) = self.next_expired(shard) {
                self.expire(id, None, true);
            }
            let pile = &self.piles[shard];
            let due = pile.due().next();
            assert!(due.is_none(), "left for a victim's sake: {due:?}");
            let named = self.told.front().map(|told| told.id);
            match named.filter(|id| self.homes[*id as usize] == shard) {
                Some(id) => {
                    self.asked = (shard + 1) % shards;
                    return Some(self.leave_as_victim(id, None));
                }
                None => assert_eq!(pile.items.len(), 0, "nobody of shard {shard} was evicted"),
            }
        }
        None
    }

    pub(crate) fn sweep(&mut self, limit: usize, swept: Swept) {
        let mut expired = 0;
        while let Some(&told) = self.told.front() {
            assert!(self.was_past(told), "{told:?} in a sweep");
            self.expire(told.id, None, false);
            expired += 1;
        }
        assert_eq!(swept.expired, expired, "swept and told");
        assert!(expired <= limit as u64, "{expired} of {limit} units");
        assert!(limit < usize::MAX || !swept.more, "a sweep without end");
        if !swept.more {
            self.tell_all();
            let due = self.piles.iter().flat_map(Pile::due).next();
            assert!(due.is_none(), "swept, but for {due:?}");
        }
    }

    /// What is said of the next deadline must not be later than any end that the
    /// wheel can see.
    pub(crate) fn compare_deadline(&mut self, told: Option<Duration>) {
        self.tell_all();
        for pile in &self.piles {
            for item in pile.items.iter().filter(|item| item.ends()) {
                let end = seen_after(item.last()).min(u64::MAX.into());
                let latest = end.saturating_sub(pile.now.into());
                let is_early = told.is_some_and(|told| told.as_nanos() <= latest);
                assert!(is_early, "{told:?}, but {latest} ns for {item:?}");
            }
        }
    }

    /// How long an entry has still to live.
    pub(crate) fn ttl(&self, id: u32) -> Option<Duration> {
        let (item, now) = (self.live(id)?, self.now_of(id));
        Some(match item.ends() {
            true => Duration::from_nanos(item.last() - now),
            false => Duration::MAX,
        })
    }
}
