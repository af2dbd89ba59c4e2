//! The hard bound: one `Ledger` for all shards, and a `Reservation` to carry room.
//!
//! A ledger may lie under another one, of the budget that its cache shares with others: then what
//! it takes is taken there too, and what it gives goes there too.
//!
//! ```text
//! used = what the shards hold + what they keep spare + what is reserved
//! used <= capacity, always
//!
//! to add an entry (under its shard's lock):
//!     begin with the shard's spare room
//!     draw the rest, or what there is of it: used += room, only while the sum stays
//!         <= capacity
//!     own victims pay for the rest: their room goes into the reservation, not back to the
//!         ledger, until the reservation holds enough, or the ledger has all that is missing
//!     else gather: one gatherer at a time; while it gathers, no other call takes from
//!         the ledger, so room that it frees cannot be snatched away
//!     what is left over stays with the shard as its spare room, up to a limit
//! after an entry is unlinked: used -= room
//! ```
//!
//! Invariants
//! 1. `used` is raised before an entry is published and lowered after it is
//!    unlinked, so it is never less than what is resident.
//! 2. `used` rises only by a compare-exchange that saw the sum within the
//!    capacity. Replacing a victim by an entry of equal room does not touch it.
//! 3. All takes happen under some shard's lock or by the one gatherer. A call that
//!    lowers the capacity keeps gatherers out and passes through every shard's
//!    lock once, so no take can have seen the old capacity afterwards.
//! 4. A reservation gives what it holds to its shard or back to the ledger when dropped: room
//!    is never lost.
//! 5. A ledger of one `Owner` is changed under `&mut` of its cache, so no other thread
//!    reads or writes its words meanwhile.
//! 6. What lies above is never used less than what lies under it: room is taken there first,
//!    and given back there last. One call gathers in all that lies under one ledger.
//! 7. A shard's spare room is changed by the holder of its lock alone. Others read it, after
//!    `used`, to say what entries use: that is never more than the capacity.
//!
//! The ledger does not know which shard holds what: shards do. Entries that are not limited in
//! number it does not count: each change of a word that all processors share costs.

use crate::room::Room;
use crate::sync::{Arc, AtomicU64, Figure, Mutex, MutexGuard, Ordering};

/// One dimension of the bound.
struct Pool {
    capacity: AtomicU64,
    used: AtomicU64,
    users: Users,
}

/// Who takes from a pool.
enum Users {
    /// Threads that share a cache.
    Threads,
    /// The owner of a cache, under `&mut`.
    Owner,
    /// Threads that share several caches: what they take they take from the ledger above too.
    Caches(Arc<Ledger>),
}

impl Pool {
    fn new(capacity: u64, users: Users) -> Self {
        Self {
            capacity: AtomicU64::new(capacity),
            used: AtomicU64::new(0),
            users,
        }
    }

    #[inline]
    fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Acquire)
    }

    #[inline]
    fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    #[inline]
    fn free(&self) -> u64 {
        self.capacity().saturating_sub(self.used())
    }

    /// Takes `most`, or what there is if that is at least `least`, or nothing; says how much.
    #[inline]
    fn take(&self, least: u64, most: u64) -> u64 {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let free = self.capacity().saturating_sub(used);
            if free < least || most == 0 {
                return 0;
            }
            let taken = most.min(free);
            let after = used + taken;
            match &self.users {
                Users::Threads => {}
                Users::Owner => {
                    self.used.store(after, Ordering::Relaxed);
                    return taken;
                }
                Users::Caches(above) => return self.take_under(above, least, taken),
            }
            match self
                .used
                .compare_exchange_weak(used, after, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(now) => used = now,
            }
        }
    }

    /// [`take`](Pool::take) what the ledger above has, and no more than is free here.
    #[cold]
    #[inline(never)]
    fn take_under(&self, above: &Ledger, least: u64, most: u64) -> u64 {
        let allowed = above.weight.take(least, most);
        let mut used = self.used.load(Ordering::Relaxed);
        let taken = loop {
            let free = self.capacity().saturating_sub(used);
            if allowed == 0 || free < least {
                break 0;
            }
            let taken = allowed.min(free);
            match self.used.compare_exchange_weak(
                used,
                used + taken,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break taken,
                Err(now) => used = now,
            }
        };
        above.weight.give(allowed - taken);
        taken
    }

    #[inline]
    fn give(&self, room: u64) {
        if room == 0 {
            return;
        }
        let before = match &self.users {
            Users::Threads => self.used.fetch_sub(room, Ordering::AcqRel),
            Users::Owner => {
                let before = self.used.load(Ordering::Relaxed);
                self.used.store(before - room, Ordering::Relaxed);
                before
            }
            Users::Caches(above) => self.give_under(above, room),
        };
        debug_assert!(before >= room, "gave back {room} of {before}");
    }

    /// [`give`](Pool::give) to the ledger above too; what was used here before.
    #[cold]
    #[inline(never)]
    fn give_under(&self, above: &Ledger, room: u64) -> u64 {
        let before = self.used.fetch_sub(room, Ordering::AcqRel);
        above.weight.give(room);
        before
    }
}

/// Whose turn it is to take: everybody's, or the gatherer's, or the ledger above knows.
const EVERYBODY: u64 = 0;
const GATHERER: u64 = 1;
const ABOVE: u64 = 2;

/// So often a figure is read again while shards give room back.
const MOST_LOOKS: usize = 1_000;

/// It has lines of its own: inserts change them, and what lies beside it hits read.
#[repr(align(128))]
pub(crate) struct Ledger {
    weight: Pool,
    /// Only where entries are limited beside the weight: else they are not counted here.
    entries: Option<Pool>,
    /// The capacity that it was told; what lies above may allow less.
    told: Figure,
    /// What is fair of what it shares with other caches.
    fair: Figure,
    turn: AtomicU64,
    /// That of the ledger above counts, if there is one.
    gatherer: Mutex<()>,
    /// How often shards began to give spare room back, and how often that was done.
    returns: [Figure; 2],
}

impl Ledger {
    /// A ledger of so much weight and, if limited, so many entries, for shards that threads
    /// share.
    pub(crate) fn new(weight: u64, entries: Option<u64>) -> Self {
        Self::with(
            weight,
            entries.map(|n| Pool::new(n, Users::Threads)),
            Users::Threads,
        )
    }

    /// A ledger of so much weight, of which what lies above allows less, perhaps.
    pub(crate) fn under(above: Arc<Self>, weight: u64, entries: Option<u64>) -> Self {
        let entries = entries.map(|n| Pool::new(n, Users::Threads));
        let ledger = Self::with(weight, entries, Users::Caches(above));
        ledger.settle();
        ledger
    }

    /// A ledger for one shard, which its owner changes alone (under `&mut`): by loads and
    /// stores, where shared ones need locked instructions. Nothing gathers here.
    pub(crate) fn alone(weight: u64, entries: Option<u64>) -> Self {
        Self::with(
            weight,
            entries.map(|n| Pool::new(n, Users::Owner)),
            Users::Owner,
        )
    }

    fn with(weight: u64, entries: Option<Pool>, users: Users) -> Self {
        let turn = match users {
            Users::Threads | Users::Owner => EVERYBODY,
            Users::Caches(_) => ABOVE,
        };
        Self {
            weight: Pool::new(weight, users),
            entries,
            told: Figure::new(weight),
            fair: Figure::new(0),
            turn: AtomicU64::new(turn),
            gatherer: Mutex::new(()),
            returns: [Figure::new(0), Figure::new(0)],
        }
    }

    /// The weight that is used now, spare room included: one load, never over.
    #[inline]
    pub(crate) fn weight(&self) -> u64 {
        self.weight.used()
    }

    /// The entries that are charged as such now, if they are limited, spare room included: one
    /// load, never over.
    #[inline]
    pub(crate) fn entries(&self) -> Option<u64> {
        self.entries.as_ref().map(Pool::used)
    }

    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.weight.capacity()
    }

    /// Publishes a new capacity. The caller has kept gatherers out, passes
    /// through every shard's lock and then evicts while the ledger is `over`.
    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.told.store(capacity, Ordering::Release);
        self.settle();
    }

    /// Publishes what capacity it has under what lies above. The caller is as in
    /// [`set_capacity`](Self::set_capacity).
    pub(crate) fn settle(&self) {
        let told = self.told();
        let most = self.above().map_or(told, Self::capacity);
        self.weight
            .capacity
            .store(told.min(most), Ordering::Release);
    }

    /// The capacity that it was told.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// What is fair of what it shares: its holder pays for what is beyond that.
    pub(crate) fn fair(&self) -> u64 {
        self.fair.load(Ordering::Acquire)
    }

    pub(crate) fn set_fair(&self, fair: u64) {
        self.fair.store(fair, Ordering::Release);
    }

    /// Whether it shares with others, and uses less than is fair: then they are to pay.
    #[inline]
    pub(crate) fn is_modest(&self) -> bool {
        self.is_under() && self.weight.used() < self.fair()
    }

    /// The most that it could come to use without room of others: all of its capacity, if it shares
    /// it with nobody.
    pub(crate) fn reach(&self) -> u64 {
        match self.above() {
            None => self.capacity(),
            Some(above) => {
                let most = self.weight().saturating_add(above.weight.free());
                most.min(self.capacity())
            }
        }
    }

    /// Whether it shares with others what lies above.
    #[inline]
    pub(crate) fn is_under(&self) -> bool {
        self.above().is_some()
    }

    #[inline]
    fn above(&self) -> Option<&Self> {
        match &self.weight.users {
            Users::Caches(above) => Some(above),
            Users::Threads | Users::Owner => None,
        }
    }

    /// The ledger of which one call at a time gathers.
    #[inline]
    fn top(&self) -> &Self {
        self.above().unwrap_or(self)
    }

    /// Whether there is no room at all for a weight that is not zero.
    #[inline]
    pub(crate) fn is_full_for(&self, weight: u64) -> bool {
        weight > 0 && self.weight.used() >= self.weight.capacity()
    }

    /// Whether so much is free now.
    pub(crate) fn has(&self, room: Room) -> bool {
        let (entries, above) = (self.entries.as_ref(), self.above());
        self.weight.free() >= room.weight
            && entries.is_none_or(|pool| pool.free() >= room.entries)
            && above.is_none_or(|above| above.weight.free() >= room.weight)
    }

    /// Whether a lowered capacity is still being worked off.
    pub(crate) fn is_over(&self) -> bool {
        let capacity = self.weight.capacity();
        // A capacity of 0 keeps nothing, not even what weighs nothing.
        self.weight.used() > capacity || capacity == 0 && self.entries().is_some_and(|n| n > 0)
    }

    /// Gives back the room of entries that were unlinked.
    #[inline]
    pub(crate) fn give(&self, room: Room) {
        // In this order, and taken in the other: an entry that weighs something
        // is never counted without its weight.
        if let Some(entries) = &self.entries {
            entries.give(room.entries);
        }
        self.weight.give(room.weight);
    }

    /// Gives back the spare room of a shard, whose lock the caller holds.
    pub(crate) fn give_spare(&self, spare: &Spare) {
        let [begun, done] = &self.returns;
        begun.fetch_add(1, Ordering::AcqRel);
        self.give(spare.take());
        done.fetch_add(1, Ordering::AcqRel);
    }

    /// What entries use: what `used` says, without what shards keep spare, which is read last
    /// and may have grown since. Never over; and of one moment with regard to room that is given
    /// back meanwhile, which else would show as a rise.
    pub(crate) fn less_spare(&self, used: impl Fn() -> u64, spare: impl Fn() -> u64) -> u64 {
        let [begun, done] = &self.returns;
        for _ in 0..MOST_LOOKS {
            let before = done.load(Ordering::Acquire);
            let used = used();
            let sum = if used == 0 { 0 } else { spare() };
            if begun.load(Ordering::Acquire) == before {
                return used.saturating_sub(sum);
            }
        }
        used().saturating_sub(spare())
    }

    /// Takes room for entries as [`Pool::take`] does; without a limit there is always enough.
    #[inline]
    fn take_entries(&self, least: u64, most: u64) -> u64 {
        let pool = self.entries.as_ref();
        pool.map_or(most, |entries| entries.take(least, most))
    }

    /// An empty reservation of an ordinary caller.
    #[inline]
    pub(crate) fn reserve(&self) -> Reservation<'_> {
        Reservation {
            ledger: self,
            room: Room::NONE,
            home: None,
            gathers: false,
        }
    }

    /// A reservation that begins with the spare room of a shard, and leaves there what is left
    /// over, up to `most`. The caller holds the shard's lock until it drops this.
    #[inline]
    pub(crate) fn reserve_at<'a>(&'a self, spare: &'a Spare, most: Room) -> Reservation<'a> {
        Reservation {
            ledger: self,
            room: spare.room(),
            home: Some(Home { spare, most }),
            gathers: false,
        }
    }

    /// Whether no call gathers.
    #[inline]
    fn is_open(&self) -> bool {
        match self.turn.load(Ordering::Acquire) {
            EVERYBODY => true,
            GATHERER => false,
            _ => self.is_open_above(),
        }
    }

    #[cold]
    #[inline(never)]
    fn is_open_above(&self) -> bool {
        self.top().turn.load(Ordering::Acquire) == EVERYBODY
    }

    /// Waits until no other call gathers or changes the capacity.
    pub(crate) fn exclude_gatherers(&self) -> MutexGuard<'_, ()> {
        self.top().gatherer.lock()
    }

    /// Becomes the one gatherer. Must be called without any shard's lock.
    pub(crate) fn gather(&self) -> Gatherer<'_> {
        let top = self.top();
        let alone = top.gatherer.lock();
        top.turn.store(GATHERER, Ordering::Release);
        Gatherer {
            ledger: self,
            _alone: alone,
        }
    }
}

/// The right to gather, until dropped.
pub(crate) struct Gatherer<'a> {
    ledger: &'a Ledger,
    _alone: MutexGuard<'a, ()>,
}

impl<'a> Gatherer<'a> {
    /// The gatherer's reservation, which may take while others may not.
    pub(crate) fn reserve(&self) -> Reservation<'a> {
        Reservation {
            ledger: self.ledger,
            room: Room::NONE,
            home: None,
            gathers: true,
        }
    }
}

impl Drop for Gatherer<'_> {
    fn drop(&mut self) {
        self.ledger.top().turn.store(EVERYBODY, Ordering::Release);
    }
}

/// Room that a shard keeps for its next entries: what victims left over. It counts as used.
#[derive(Default)]
pub(crate) struct Spare {
    weight: Figure,
    entries: Figure,
}

impl Spare {
    #[inline]
    pub(crate) fn room(&self) -> Room {
        Room {
            weight: self.weight.load(Ordering::Acquire),
            entries: self.entries.load(Ordering::Acquire),
        }
    }

    #[inline]
    fn set(&self, room: Room) {
        self.weight.store(room.weight, Ordering::Release);
        self.entries.store(room.entries, Ordering::Release);
    }

    /// Takes it all. The caller holds the shard's lock.
    pub(crate) fn take(&self) -> Room {
        let room = self.room();
        if room != Room::NONE {
            self.set(Room::NONE);
        }
        room
    }
}

/// Where a reservation leaves what is left over.
struct Home<'a> {
    spare: &'a Spare,
    most: Room,
}

/// Room on its way from victims or the ledger to an entry. It counts as used.
pub(crate) struct Reservation<'a> {
    ledger: &'a Ledger,
    room: Room,
    home: Option<Home<'a>>,
    gathers: bool,
}

impl Reservation<'_> {
    #[inline]
    pub(crate) fn ledger(&self) -> &Ledger {
        self.ledger
    }

    #[inline]
    pub(crate) fn covers(&self, need: Room) -> bool {
        self.room.covers(need)
    }

    /// The weight in it.
    pub(crate) fn weight(&self) -> u64 {
        self.room.weight
    }

    /// The weight that it lacks to cover `need`.
    pub(crate) fn lacks(&self, need: Room) -> u64 {
        self.room.short_of(need).weight
    }

    /// Whether it would cover `need` with `more`, and with what the ledger has free now.
    #[inline]
    pub(crate) fn would_cover(&self, need: Room, more: Room) -> bool {
        let room = self.room.plus(more);
        room.covers(need) || self.may_take() && self.ledger.has(room.short_of(need))
    }

    /// How much may be left over for the shard's next entries.
    #[inline]
    pub(crate) fn most_spare(&self) -> Room {
        self.home.as_ref().map_or(Room::NONE, |home| home.most)
    }

    /// Puts a victim's room into the reservation.
    #[inline]
    pub(crate) fn receive(&mut self, room: Room) {
        self.room = self.room.plus(room);
    }

    /// Pays `need` out of the reservation, which covers it.
    #[inline]
    pub(crate) fn pay(&mut self, need: Room) {
        self.room = self.room.minus(need);
    }

    /// Whether the reservation covers `need`, with what it lacks taken from the ledger if
    /// all of that is free: at most one atomic change for each dimension of the bound.
    #[inline]
    pub(crate) fn take_all(&mut self, need: Room) -> bool {
        if !self.room.covers(need) && self.may_take() {
            let short = self.room.short_of(need);
            self.room.weight += self.ledger.weight.take(short.weight, short.weight);
            if self.room.weight >= need.weight {
                self.room.entries += self.ledger.take_entries(short.entries, short.entries);
            }
        }
        self.room.covers(need)
    }

    /// Takes what `need` lacks from the ledger, or what there is of it, unless another call
    /// gathers; says whether the reservation covers it.
    #[inline]
    pub(crate) fn draw(&mut self, need: Room) -> bool {
        if !self.covers(need) && !self.ledger.is_full_for(self.room.short_of(need).weight) {
            self.draw_free(need);
        }
        self.covers(need)
    }

    #[inline(never)]
    fn draw_free(&mut self, need: Room) {
        if self.may_take() {
            self.take_some(need);
        }
    }

    /// Takes what `need` lacks, or what is free if that is less, and says whether the reservation
    /// covers it. A gatherer keeps it until it does.
    pub(crate) fn take_some(&mut self, need: Room) -> bool {
        let short = self.room.short_of(need);
        self.room.weight += self.ledger.weight.take(1, short.weight);
        if self.room.weight >= need.weight {
            self.room.entries += self.ledger.take_entries(1, short.entries);
        }
        self.room.covers(need)
    }

    /// While a call gathers, the ledger's free room is that call's alone.
    #[inline]
    fn may_take(&self) -> bool {
        self.gathers || self.ledger.is_open()
    }
}

impl Drop for Reservation<'_> {
    #[inline]
    fn drop(&mut self) {
        let home = self.home.as_ref();
        if self.room == home.map_or(Room::NONE, |home| home.spare.room()) {
            return;
        }
        let kept = self.room.least(self.most_spare());
        if let Some(home) = home {
            home.spare.set(kept);
        }
        if self.room != kept {
            self.ledger.give(self.room.minus(kept));
        }
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    fn weight(weight: u64) -> Room {
        Room { weight, entries: 0 }
    }

    #[test]
    fn a_reservation_takes_what_is_free_and_gives_back_what_is_left() {
        let ledger = Ledger::new(10, None);
        let mut reservation = ledger.reserve();
        assert!(reservation.take_all(weight(7)));
        reservation.pay(weight(5));
        assert!(
            !reservation.take_all(weight(8)),
            "all that is missing or nothing"
        );
        assert_eq!(ledger.weight(), 7);
        assert!(!reservation.take_some(weight(8)), "what there is");
        assert_eq!(ledger.weight(), 10);
        drop(reservation);
        assert_eq!(ledger.weight(), 5);
        ledger.give(weight(5));
        assert_eq!(ledger.weight(), 0);
    }

    #[test]
    fn a_ledger_alone_counts_as_a_shared_one_does() {
        for ledger in [Ledger::new(10, Some(3)), Ledger::alone(10, Some(3))] {
            let mut reservation = ledger.reserve();
            let need = Room {
                weight: 4,
                entries: 1,
            };
            assert!(reservation.take_all(need));
            reservation.pay(need);
            assert!(reservation.take_all(need));
            assert!(!ledger.reserve().take_all(need), "8 of 10 are in use");
            assert_eq!((ledger.weight(), ledger.entries()), (8, Some(2)));
            drop(reservation);
            ledger.give(need);
            assert_eq!((ledger.weight(), ledger.entries()), (0, Some(0)));
        }
    }

    #[test]
    fn while_one_gathers_nobody_else_takes() {
        let ledger = Ledger::new(10, Some(3));
        let gatherer = ledger.gather();
        assert!(!ledger.reserve().take_all(weight(1)));
        let need = Room {
            weight: 10,
            entries: 1,
        };
        assert!(gatherer.reserve().take_all(need));
        drop(gatherer);
        assert!(ledger.reserve().take_all(need));
        assert_eq!((ledger.weight(), ledger.entries()), (0, Some(0)));
    }

    #[test]
    fn a_lowered_capacity_lets_nothing_in_until_it_is_worked_off() {
        let ledger = Ledger::new(10, None);
        let mut reservation = ledger.reserve();
        assert!(reservation.take_all(weight(8)));
        ledger.set_capacity(5);
        assert!(ledger.is_over());
        assert!(!ledger.reserve().take_all(weight(1)));
        drop(reservation);
        assert!(!ledger.is_over());
        assert!(ledger.reserve().take_all(weight(5)));
    }

    #[test]
    fn what_lies_above_is_used_whenever_what_lies_under_it_is() {
        let above = Arc::new(Ledger::new(10, None));
        let [one, other] = [8, 20].map(|told| Ledger::under(above.clone(), told, None));
        assert_eq!(
            (one.capacity(), other.capacity(), other.told()),
            (8, 10, 20)
        );
        let (mut first, mut second) = (one.reserve(), other.reserve());
        assert!(!first.take_some(weight(9)), "its own capacity");
        assert!(!second.take_all(weight(3)), "what is shared");
        assert!(!second.take_some(weight(3)));
        assert_eq!((one.weight(), other.weight(), above.weight()), (8, 2, 10));
        let gatherer = one.gather();
        drop(first);
        assert!(!second.draw(weight(3)), "another gathers under the same");
        drop(gatherer);
        assert!(second.draw(weight(3)));
        second.pay(weight(3));
        other.give(weight(3));
        assert_eq!((one.weight(), other.weight(), above.weight()), (0, 0, 0));
        above.set_capacity(15);
        other.settle();
        assert_eq!(other.capacity(), 15);
    }

    #[test]
    fn the_largest_weights_neither_wrap_nor_pass() {
        let ledger = Ledger::new(u64::MAX, None);
        let mut reservation = ledger.reserve();
        assert!(reservation.take_all(weight(u64::MAX)));
        assert!(!ledger.reserve().take_all(weight(1)));
        reservation.pay(weight(u64::MAX));
        ledger.give(weight(u64::MAX));
        assert_eq!(ledger.weight(), 0);
    }
}
