//! One budget for several caches: together they hold no more than it, at any instant.
//!
//! ```text
//! used = what the members' ledgers use + what is reserved
//! used <= capacity, always
//! floors + reserved <= capacity, always
//! ```
//!
//! A member is a cache whose ledger lies under the budget's (`ledger`). One that needs room which
//! neither its own shard nor the budget has becomes the one gatherer, and asks:
//!
//! ```text
//! everybody      for what has expired, and what is spare
//! itself         for what would take it beyond its fair share
//! the others     for what they hold beyond theirs: whoever is furthest beyond it comes first
//! the others     for what they hold beyond their floors, in the same order
//! itself         for all it has
//! ```
//!
//! A shard pays by itself, without asking, where its cache holds what is fair; but each time that the
//! number of its victims is a multiple of some, so that what has expired elsewhere is found.
//!
//! A *fair share* is a member's floor and an equal part of what the floors leave over, but no more
//! than its own capacity. So while the budget is not full a member may hold any amount, and once it is
//! full those pay who hold more than is fair.
//!
//! The budget knows its members as *seats*, weakly, and calls on them by *visits*: a visit has its
//! cache's clock read and its way out open before the gatherer's lock is taken, and tells of
//! what left after all locks.
//!
//! Invariants
//! 1. Floors and what is reserved grow under the gatherer's lock alone, and never beyond the capacity.
//! 2. Nothing that is gathered for others takes a member below its floor, but what has expired.
//! 3. A seat is let go of without any lock: it may be the last to hold a listener.
//! 4. A thread that is reading in a member gathers nothing: the gatherer may be waiting for it.

use crate::error::{BudgetError, BuildError};
use crate::ledger::{Ledger, Reservation};
use crate::reentry;
use crate::room::Room;
use crate::sync::{
    Arc, Figure, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed},
    Weak,
};
use crate::unwind::Panics;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

/// As much as there is, of what weighs nothing too.
const EVERYTHING: u64 = u64::MAX;

/// So many entries leave at most before they are told, where many must.
const A_BATCH: usize = 256;

/// A bound for several caches, of whatever types: together they never hold more.
///
/// A clone is the same budget. Caches join it when they are
/// [built](crate::Builder::build_in), each with a [`Share`] of it, and leave it when they are dropped.
///
/// # Who gives room
///
/// A member takes what is free, up to its own capacity. Once nothing is free an insert has room made
/// for it: first by what has expired, in any member; then by its own cache, for what would take that
/// beyond its *fair share*; then by the member that is furthest beyond its own fair share. A fair
/// share is the member's [floor](Share::at_least) and an equal part of what all floors leave over, but
/// no more than its own capacity. An entry that is heavier than that may take all that
/// the others hold above their floors; if that is not enough either it is refused, with
/// [`Reason::Withheld`](crate::Reason::Withheld).
///
/// A member that pays for itself inserts as a cache alone does. One that others pay for asks all
/// of them for what has expired first: O(shards of all members) for such an insert, one lock at a time.
///
/// So a member that is idle keeps what it holds up to its fair share. If it should not, give its
/// entries a [time to idle](crate::Builder::time_to_idle): what has expired goes first.
///
/// # Concurrency
///
/// The bound is as hard as that of one cache: room is charged to the budget before an entry is
/// published, and given back after it is unlinked. Victims of another member leave its own way: its
/// listener and [`on_discard`](crate::Builder::on_discard) run on the thread that needed room, after
/// all locks are released, and may call any member and the budget. One call gathers at a time.
///
/// Values that are changed in place ([`update`](crate::Cache::update),
/// [`compute`](crate::Cache::compute), [`retain`](crate::Cache::retain)) do so under a lock, so
/// they take room from their own cache, and what is free; else they are refused.
///
/// `Eq` of keys and `Clone` of values may not count on room of others while they run in a read of one
/// member: inserts into another that they make are refused where room would have to be gathered,
/// with [`Reason::NoRoom`](crate::Reason::NoRoom), and calls of the budget that gather panic.
///
/// ```
/// use brimful::{Budget, Bytes, Cache};
///
/// let budget = Budget::bytes(1 << 20);
/// let pages = Cache::builder(Bytes(1 << 20)).named("pages").build_in(budget.share())?;
/// let rows = Cache::builder(Bytes(1 << 19)).named("rows").build_in(budget.share().at_least(1 << 16))?;
/// pages.extend((0..5_000).map(|n| (format!("/{n}"), vec![0_u8; 1_000])));
/// rows.extend((0..5_000_u32).map(|n| (n, n.to_string())));
/// assert!(pages.weight() + rows.weight() <= budget.used());
/// assert!(budget.used() <= 1 << 20);
/// println!("{budget}");
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Common>);

/// What the members of a budget have in common.
struct Common {
    ledger: Arc<Ledger>,
    in_bytes: bool,
    reserved: Figure,
    list: Mutex<List>,
}

struct List {
    members: Vec<Listed>,
    /// Whether all seats were told their fair shares since a member left.
    settled: bool,
}

struct Listed {
    standing: Arc<Standing>,
    seat: Weak<dyn Seat>,
}

impl Budget {
    /// A budget of so many bytes, for caches whose capacity is in [`Bytes`](crate::Bytes). With 0 its
    /// members keep nothing.
    ///
    /// ```
    /// let budget = brimful::Budget::bytes(64 << 20);
    /// assert_eq!((budget.capacity(), budget.used()), (64 << 20, 0));
    /// ```
    pub fn bytes(capacity: u64) -> Self {
        Self::new(capacity, true)
    }

    /// A budget of so many units of weight, for caches whose capacity is a
    /// [`Weight`](crate::Weight). That their weighers speak of the same unit is for you to see to.
    ///
    /// ```
    /// use brimful::{Budget, Cache, Weight};
    ///
    /// let budget = Budget::weight(100);
    /// let weigh = |_: &&str, rows: &u64| *rows;
    /// let tables = Cache::builder(Weight(80, weigh)).build_in(budget.share())?;
    /// tables.insert("users", 30);
    /// assert_eq!(budget.used(), 30);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn weight(capacity: u64) -> Self {
        Self::new(capacity, false)
    }

    fn new(capacity: u64, in_bytes: bool) -> Self {
        let list = List {
            members: Vec::new(),
            settled: true,
        };
        Self(Arc::new(Common {
            ledger: Arc::new(Ledger::new(capacity, None)),
            in_bytes,
            reserved: Figure::new(0),
            list: Mutex::new(list),
        }))
    }

    /// A share of this budget, for one cache: to be given to
    /// [`build_in`](crate::Builder::build_in).
    ///
    /// ```
    /// use brimful::{Budget, Bytes, Cache};
    ///
    /// let budget = Budget::bytes(1 << 20);
    /// let cache: Cache<u32, String, _> = Cache::builder(Bytes(1 << 20)).build_in(budget.share())?;
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            floor: 0,
        }
    }

    /// The most that members hold and that is reserved, together.
    ///
    /// ```
    /// assert_eq!(brimful::Budget::weight(100).capacity(), 100);
    /// ```
    pub fn capacity(&self) -> u64 {
        self.0.ledger.capacity()
    }

    /// What members use and what is reserved, now: one load, never more than the capacity. Room on its
    /// way to an entry, and what shards keep for their next entries, counts as used.
    ///
    /// ```
    /// let budget = brimful::Budget::weight(100);
    /// let room = budget.reserve(30)?;
    /// assert_eq!(budget.used(), 30);
    /// # Ok::<(), brimful::BudgetError>(())
    /// ```
    pub fn used(&self) -> u64 {
        self.0.ledger.weight()
    }

    /// What is [reserved](Budget::reserve) now. What was leaked by `mem::forget` shows here.
    ///
    /// ```
    /// let budget = brimful::Budget::weight(100);
    /// std::mem::forget(budget.reserve(30)?);
    /// assert_eq!(budget.reserved(), 30);
    /// # Ok::<(), brimful::BudgetError>(())
    /// ```
    pub fn reserved(&self) -> u64 {
        self.0.reserved.load(Acquire)
    }

    /// The figures of each member, in the order in which they joined. O(shards of all).
    ///
    /// ```
    /// use brimful::{Budget, Cache, Weight};
    ///
    /// let budget = Budget::weight(100);
    /// let builder = Cache::builder(Weight(80, |_: &u32, rows: &u64| *rows)).named("tables");
    /// let tables = builder.build_in(budget.share().at_least(10))?;
    /// tables.insert(1, 30);
    /// let members = budget.members();
    /// assert_eq!(members[0].name.as_deref(), Some("tables"));
    /// assert_eq!((members[0].weight, members[0].floor), (30, 10));
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let figures = |seat: &Arc<dyn Seat>| {
            let standing = seat.standing();
            Member {
                name: standing.name.clone(),
                weight: seat.weight(),
                floor: standing.floor,
                fair_share: seat.ledger().fair(),
                evicted_for_others: standing.evicted.load(Relaxed),
            }
        };
        self.0.seats().iter().map(figures).collect()
    }

    /// Takes room for something that is no cache, which is given back when the [`Reserved`] is
    /// dropped. Members give what they hold above their floors for it, by the
    /// [rule](Budget#who-gives-room) for entries; fair shares are of what is not reserved.
    ///
    /// O(members) and O(entries) that must leave. Entries that left are told before this returns.
    ///
    /// # Errors
    /// If floors, and what is reserved already, leave less: nothing is reserved then. Seldom also where
    /// members would have to give more than that for it, since an entry that would take its cache below
    /// the floor stays whole.
    ///
    /// # Panics
    /// If it is called from code that runs under a lock, or in a read, of a member; and with the panic of
    /// a listener or drop, after all was told.
    ///
    /// ```
    /// use brimful::{Budget, Bytes, Cache};
    ///
    /// let budget = Budget::bytes(1 << 20);
    /// let pages = Cache::builder(Bytes(1 << 20)).build_in(budget.share())?;
    /// pages.extend((0..2_000).map(|n| (n, vec![0_u8; 1_000])));
    /// let buffers = budget.reserve(1 << 19)?;
    /// assert!(pages.weight() <= 1 << 19);
    /// drop(buffers);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reserve(&self, amount: u64) -> Result<Reserved, BudgetError> {
        let mut others = Others::of_all(&self.0);
        let reserved = {
            let gatherer = self.0.ledger.gather();
            others.complete(amount);
            self.0.reserve(amount, gatherer.reserve(), &mut others)
        };
        let left = match reserved {
            Ok(()) => Ok(Reserved {
                budget: self.clone(),
                amount,
            }),
            Err(left) => Err(BudgetError::Reserve {
                asked: amount,
                left,
            }),
        };
        others.end().hand(left)
    }

    /// Reserves so much, or what there is of it: nothing where this thread must not gather.
    /// [`give_reserved`](Budget::give_reserved) gives it back. The panic of a listener or drop is to go on.
    pub(crate) fn reserve_some(&self, amount: u64, taken: &mut u64) -> Panics {
        if reentry::is_marked(Arc::as_ptr(&self.0).addr()) {
            return Panics::none();
        }
        let Some(mut others) = Others::call(&self.0, None) else {
            return Panics::none();
        };
        let gatherer = self.0.ledger.gather();
        others.complete(amount);
        *taken = self.0.reserve_some(amount, gatherer.reserve(), &mut others);
        drop(gatherer);
        others.end()
    }

    /// Gives back what was reserved: by loads and stores alone, anywhere.
    pub(crate) fn give_reserved(&self, amount: u64) {
        if amount == 0 {
            return;
        }
        self.0.ledger.give(Room {
            weight: amount,
            entries: 0,
        });
        // In this order: else an insert would miss the room that it is about to be told of.
        self.0.reserved.fetch_sub(amount, AcqRel);
    }

    /// Whether its unit is bytes, as a cache's may be.
    pub(crate) fn check_unit(&self, in_bytes: bool) -> Result<(), BuildError> {
        match in_bytes == self.0.in_bytes {
            true => Ok(()),
            false => Err(BuildError::BudgetUnit { in_bytes }),
        }
    }

    /// Changes the capacity. When the call returns, the new bound holds.
    ///
    /// A raise takes effect at once. A lowered capacity is published first; from then on nothing is let
    /// in that does not fit, and members give what is over, by the [rule](Budget#who-gives-room) for
    /// entries: while that goes on what is used is never above the old capacity and never rises. What
    /// a member has as its own capacity stays, and counts where it is less than this.
    ///
    /// O(shards of all members), and O(entries) that must leave. Short locks: entries are told and
    /// dropped in batches, outside of them.
    ///
    /// # Errors
    /// If the floors and what is reserved come to more than that: nothing has changed then.
    ///
    /// # Panics
    /// As [`reserve`](Budget::reserve).
    ///
    /// ```
    /// use brimful::{Budget, Cache, Weight};
    ///
    /// let budget = Budget::weight(100);
    /// let weigh = |_: &u64, weight: &u64| *weight;
    /// let cache = Cache::builder(Weight(100, weigh)).build_in(budget.share().at_least(40))?;
    /// cache.extend((0..100).map(|n| (n, 1)));
    /// budget.set_capacity(50)?;
    /// assert_eq!(cache.weight(), 50);
    /// assert!(budget.set_capacity(30).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn set_capacity(&self, capacity: u64) -> Result<(), BudgetError> {
        let mut others = Others::of_all(&self.0);
        let mut panics = Panics::none();
        {
            let _alone = self.0.ledger.exclude_gatherers();
            let least = self.0.promised();
            if capacity < least {
                return Err(BudgetError::Capacity {
                    asked: capacity,
                    least,
                });
            }
            self.0.ledger.set_capacity(capacity);
            self.0.list.lock().settled = false;
            others.complete(0);
        }
        panics.add(others.end());
        loop {
            let mut others = Others::of_all(&self.0);
            let more = {
                let _alone = self.0.ledger.exclude_gatherers();
                others.complete(0);
                others.work_off(A_BATCH)
            };
            panics.add(others.end());
            if !more {
                break;
            }
        }
        panics.resume();
        Ok(())
    }

    /// Proves that what members use and what is reserved is what is used, when no other thread is
    /// using any of them. For tests.
    ///
    /// # Panics
    /// If it is not.
    #[doc(hidden)]
    pub fn check(&self) {
        let seats = self.0.seats();
        let sum: u64 = seats.iter().map(|seat| seat.ledger().weight()).sum();
        assert_eq!(sum + self.reserved(), self.used(), "members, and used");
        assert!(self.used() <= self.capacity(), "the bound");
        assert!(self.0.promised() <= self.capacity(), "floors and reserved");
    }
}

impl Common {
    /// The seats of all members that live.
    fn seats(&self) -> Vec<Arc<dyn Seat>> {
        let list = self.list.lock();
        let seats = list.members.iter().map(|listed| listed.seat.upgrade());
        seats.flatten().collect()
    }

    /// What nobody else can have: floors, and what is reserved.
    fn promised(&self) -> u64 {
        let list = self.list.lock();
        let floors = list.members.iter().map(|listed| listed.standing.floor);
        floors.sum::<u64>() + self.reserved.load(Acquire)
    }

    /// Reserves so much, for the gatherer; or says how much there is.
    fn reserve(
        &self,
        amount: u64,
        mut reservation: Reservation<'_>,
        others: &mut Others,
    ) -> Result<(), u64> {
        let left = self.ledger.capacity() - self.promised();
        if amount > left {
            return Err(left);
        }
        let need = Room::of_weight(amount);
        if !others.gather_in_turn(need, &mut reservation) {
            return Err(reservation.weight());
        }
        self.reserved.fetch_add(amount, AcqRel);
        reservation.pay(need);
        Ok(())
    }

    /// Reserves so much, or what there is of it, for the gatherer; says how much.
    fn reserve_some(
        &self,
        amount: u64,
        mut reservation: Reservation<'_>,
        others: &mut Others,
    ) -> u64 {
        let most = amount.min(self.ledger.capacity() - self.promised());
        others.gather_in_turn(Room::of_weight(most), &mut reservation);
        let taken = reservation.weight().min(most);
        self.reserved.fetch_add(taken, AcqRel);
        reservation.pay(Room::of_weight(taken));
        taken
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("used", &self.used())
            .field("capacity", &self.capacity())
            .field("reserved", &self.reserved())
            .field("members", &self.0.list.lock().members.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Budget {
    /// A table: a line for the whole, and one for each member.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.0.in_bytes { "bytes" } else { "units" };
        let (used, capacity, reserved) = (self.used(), self.capacity(), self.reserved());
        writeln!(f, "{used} of {capacity} {unit} used, {reserved} reserved")?;
        let members = self.members();
        fn name(member: &Member) -> &str {
            member.name.as_deref().unwrap_or("-")
        }
        let lengths = members.iter().map(|member| name(member).chars().count());
        let width = lengths.max().unwrap_or(0).max("member".len());
        let heads = ["weight", "floor", "fair share", "evicted for others"];
        writeln!(
            f,
            "{:<width$}  {:>15}  {:>15}  {:>15}  {:>18}",
            "member", heads[0], heads[1], heads[2], heads[3]
        )?;
        for member in &members {
            writeln!(
                f,
                "{:<width$}  {:>15}  {:>15}  {:>15}  {:>18}",
                name(member),
                member.weight,
                member.floor,
                member.fair_share,
                member.evicted_for_others
            )?;
        }
        Ok(())
    }
}

// No user code runs between two state changes, so a panic leaves nothing half done.
impl UnwindSafe for Budget {}
impl RefUnwindSafe for Budget {}

/// What one cache is to have of a budget; see [`Budget::share`].
#[derive(Clone, Debug)]
#[must_use = "a share does nothing until a cache is built with it"]
pub struct Share {
    budget: Budget,
    floor: u64,
}

impl Share {
    /// A floor: for others the member is not evicted below it. It takes nothing as long as the
    /// member holds less, but the member can have it at any time. The sum of all floors, with what is
    /// reserved, is at most the budget: else [`build_in`](crate::Builder::build_in) says so. What has
    /// expired is not protected.
    ///
    /// ```
    /// use brimful::{Budget, BuildError, Bytes, Cache};
    ///
    /// let budget = Budget::bytes(1 << 20);
    /// let builder = || Cache::<u32, u32>::builder(Bytes(1 << 20));
    /// let first = builder().build_in(budget.share().at_least(600_000))?;
    /// let error = builder().build_in(budget.share().at_least(600_000)).unwrap_err();
    /// assert_eq!(error, BuildError::FloorsExceedBudget { floor: 600_000, left: 448_576 });
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn at_least(mut self, floor: u64) -> Self {
        self.floor = floor;
        self
    }

    /// Whether a cache of this capacity, in bytes or not, may join.
    pub(crate) fn check(&self, capacity: u64, in_bytes: bool) -> Result<(), BuildError> {
        self.budget.check_unit(in_bytes)?;
        if self.floor > capacity {
            return Err(BuildError::FloorAboveCapacity {
                floor: self.floor,
                capacity,
            });
        }
        Ok(())
    }

    /// A ledger for the cache.
    pub(crate) fn ledger(&self, capacity: u64, entries: Option<u64>) -> Ledger {
        Ledger::under(Arc::clone(&self.budget.0.ledger), capacity, entries)
    }

    /// How a cache of this name stands in the budget.
    pub(crate) fn standing(&self, name: Option<Arc<str>>) -> Arc<Standing> {
        Arc::new(Standing {
            name,
            floor: self.floor,
            evicted: Figure::new(0),
        })
    }

    /// Takes a cache in, if its floor can be kept.
    #[track_caller]
    pub(crate) fn join(
        self,
        standing: Arc<Standing>,
        seat: Arc<dyn Seat>,
    ) -> Result<Membership, BuildError> {
        let common = self.budget.0;
        let mut others = Others::of_all(&common);
        let joined = {
            let _alone = common.ledger.exclude_gatherers();
            let left = common.ledger.capacity() - common.promised();
            let floor = standing.floor;
            if floor > left {
                Err(BuildError::FloorsExceedBudget { floor, left })
            } else {
                let mut list = common.list.lock();
                list.settled = false;
                list.members.push(Listed {
                    standing: Arc::clone(&standing),
                    seat: Arc::downgrade(&seat),
                });
                drop(list);
                others.complete(0);
                Ok(())
            }
        };
        let joined = joined.map(|()| Membership {
            common,
            standing,
            seat,
        });
        others.end().hand(joined)
    }
}

/// Room of a budget that no cache has, until it is dropped; see [`Budget::reserve`].
///
/// It may be dropped anywhere, on any thread, also under a lock.
#[must_use = "what is reserved is given back when this is dropped"]
pub struct Reserved {
    budget: Budget,
    amount: u64,
}

impl Reserved {
    /// How much it is.
    ///
    /// ```
    /// let room = brimful::Budget::bytes(1 << 20).reserve(1_000)?;
    /// assert_eq!(room.amount(), 1_000);
    /// # Ok::<(), brimful::BudgetError>(())
    /// ```
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Reserves so much more; as [`Budget::reserve`].
    ///
    /// # Errors
    /// If there is less: what it has stays.
    ///
    /// ```
    /// let mut room = brimful::Budget::bytes(10_000).reserve(1_000)?;
    /// room.grow(2_000)?;
    /// assert!(room.grow(8_000).is_err());
    /// assert_eq!(room.amount(), 3_000);
    /// # Ok::<(), brimful::BudgetError>(())
    /// ```
    #[track_caller]
    pub fn grow(&mut self, more: u64) -> Result<(), BudgetError> {
        let mut room = self.budget.reserve(more)?;
        self.amount += std::mem::take(&mut room.amount);
        Ok(())
    }

    /// Gives so much back, or all of it if that is less.
    ///
    /// ```
    /// let budget = brimful::Budget::bytes(10_000);
    /// let mut room = budget.reserve(1_000)?;
    /// room.shrink(400);
    /// assert_eq!((room.amount(), budget.used()), (600, 600));
    /// # Ok::<(), brimful::BudgetError>(())
    /// ```
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.amount);
        self.amount -= less;
        self.budget.give_reserved(less);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink(self.amount);
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reserved").field(&self.amount).finish()
    }
}

/// The figures of one member of a budget; see [`Budget::members`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its [name](crate::Builder::named).
    pub name: Option<Arc<str>>,
    /// What its entries weigh, in the budget's unit.
    pub weight: u64,
    /// For others it is not evicted below this.
    pub floor: u64,
    /// Its floor, and its part of what the floors and reservations leave over, when room was last
    /// gathered: what it holds beyond this goes first once the budget is full.
    pub fair_share: u64,
    /// How many of its entries were evicted for other members, for what is reserved, or for a lowered
    /// capacity of the budget.
    pub evicted_for_others: u64,
}

/// How a member stands in its budget.
pub(crate) struct Standing {
    name: Option<Arc<str>>,
    floor: u64,
    evicted: Figure,
}

impl Standing {
    /// Entries were evicted for others.
    pub(crate) fn evicted(&self, entries: u64) {
        self.evicted.fetch_add(entries, Relaxed);
    }
}

/// A cache, as its budget knows it.
pub(crate) trait Seat: Send + Sync {
    fn standing(&self) -> &Standing;

    fn ledger(&self) -> &Ledger;

    /// What its entries weigh.
    fn weight(&self) -> u64;

    /// Whether this thread is in a read of it.
    fn is_inside(&self) -> bool;

    /// Publishes its capacity, and its fair share to all shards, one lock after another. A panic of a
    /// policy is kept.
    fn set_share(&self, share: u64, panics: &mut Panics);

    /// Begins to call on it: reads its clock, unless that runs code of the user's under a lock.
    fn visit(self: Arc<Self>, under_lock: bool) -> Box<dyn Visit>;
}

/// A call on a member to give room. What left is told at the end, or when this is dropped.
pub(crate) trait Visit {
    fn seat(&self) -> &dyn Seat;

    /// Lets entries go, and gives their room back; says how many have left.
    fn give(&mut self, asked: Asked) -> usize;

    /// Tells of what left, outside of all locks.
    fn end(&mut self) -> Panics;
}

/// What a member is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// What has expired, and spare room. This comes first, and to all: who has passed through all
    /// locks knows that no call is in the middle of a take.
    Dead,
    /// What it holds beyond its fair share.
    Share,
    /// What it holds beyond its floor.
    Floor,
    /// All.
    All,
}

/// How much a member is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) weight: u64,
    /// Only what has expired, and spare room.
    pub(crate) dead: bool,
    /// Nothing leaves that takes it below this.
    pub(crate) least: u64,
    /// So many entries leave at most.
    pub(crate) most: usize,
}

/// A cache's membership of a budget, which ends when this is dropped.
pub(crate) struct Membership {
    common: Arc<Common>,
    standing: Arc<Standing>,
    seat: Arc<dyn Seat>,
}

impl Membership {
    /// The way to the other members, for a call that will gather; `None` if it must not, as this
    /// thread is in a read of one of them. Called without any lock.
    pub(crate) fn others(&self) -> Option<Others> {
        Others::call(&self.common, Some(&self.seat))
    }

    /// Panics if this thread must not wait for a gatherer.
    #[track_caller]
    pub(crate) fn check(&self) {
        if self.common.seats().iter().any(|seat| seat.is_inside()) {
            reentry::refuse();
        }
    }

    /// The cache's own capacity has changed, so all fair shares have. The caller keeps gatherers out,
    /// and ends what is returned once it does not.
    pub(crate) fn settle(&self) -> Others {
        let mut others = Others::none_of(&self.common, Some(&self.seat));
        self.common.list.lock().settled = false;
        others.complete(0);
        others
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut list = self.common.list.lock();
        let is_other = |listed: &Listed| !Arc::ptr_eq(&listed.standing, &self.standing);
        list.members.retain(is_other);
        list.settled = false;
    }
}

/// The other members of a budget, while room is gathered from them. What left is told at the
/// [end](Others::end), or when this is dropped: after all locks.
#[derive(Default)]
pub(crate) struct Others {
    common: Option<Arc<Common>>,
    own: Option<Arc<dyn Seat>>,
    /// The fair share of the cache that gathers.
    share: u64,
    called: Vec<Called>,
    panics: Panics,
}

/// A member that is called on.
struct Called {
    visit: Box<dyn Visit>,
    share: u64,
    /// For what it was asked last.
    asked: Option<Ask>,
}

impl Called {
    /// What it may give, and what is left to it then.
    fn may_give(&self, ask: Ask) -> (u64, u64) {
        let seat = self.visit.seat();
        let floor = seat.standing().floor;
        let line = match ask {
            Ask::Share => self.share,
            Ask::Floor => floor,
            Ask::Dead | Ask::All => 0,
        };
        let least = if ask == Ask::All { 0 } else { floor };
        (seat.ledger().weight().saturating_sub(line), least)
    }
}

impl Others {
    /// All members, for a call of the budget.
    #[track_caller]
    fn of_all(common: &Arc<Common>) -> Self {
        reentry::check(Arc::as_ptr(common).addr());
        Self::call(common, None).unwrap_or_else(|| reentry::refuse())
    }

    /// Nobody yet.
    fn none_of(common: &Arc<Common>, own: Option<&Arc<dyn Seat>>) -> Self {
        Self {
            common: Some(Arc::clone(common)),
            own: own.map(Arc::clone),
            ..Self::default()
        }
    }

    fn call(common: &Arc<Common>, own: Option<&Arc<dyn Seat>>) -> Option<Self> {
        let seats = common.seats();
        if seats.iter().any(|seat| seat.is_inside()) {
            return None;
        }
        let mut others = Self::none_of(common, own);
        seats.into_iter().for_each(|seat| others.add(seat, false));
        Some(others)
    }

    fn add(&mut self, seat: Arc<dyn Seat>, under_lock: bool) {
        let is_own = |own: &Arc<dyn Seat>| is_same(&**own, &*seat);
        if !self.own.as_ref().is_some_and(is_own) {
            self.called.push(Called {
                visit: seat.visit(under_lock),
                share: 0,
                asked: None,
            });
        }
    }

    /// Adds those that have joined meanwhile, tells all seats their fair shares if a member has
    /// left, and finds what is fair while so much `more` is reserved. The caller keeps gatherers out.
    pub(crate) fn complete(&mut self, more: u64) {
        let Some(common) = self.common.clone() else {
            return;
        };
        for seat in common.seats() {
            let is_called = |called: &Called| is_same(called.visit.seat(), &*seat);
            if !self.called.iter().any(is_called) {
                self.add(seat, true);
            }
        }
        let capacity = common.ledger.capacity();
        let settled = std::mem::replace(&mut common.list.lock().settled, true);
        if !settled {
            self.share_out(capacity);
            let mut panics = Panics::none();
            for called in &self.called {
                called.visit.seat().set_share(called.share, &mut panics);
            }
            if let Some(own) = &self.own {
                own.set_share(self.share, &mut panics);
            }
            self.panics.add(panics);
        }
        // What is reserved comes and goes: of that the ledgers hear, and no shard.
        let reserved = common.reserved.load(Acquire).saturating_add(more);
        self.share_out(capacity.saturating_sub(reserved));
        for called in &self.called {
            called.visit.seat().ledger().set_fair(called.share);
        }
        if let Some(own) = &self.own {
            own.ledger().set_fair(self.share);
        }
    }

    /// Finds the fair shares of so much.
    fn share_out(&mut self, capacity: u64) {
        let seats = self.called.iter().map(|called| called.visit.seat());
        let own = self.own.as_deref().into_iter();
        let claims = seats.chain(own).map(|seat| {
            let most = seat.ledger().told();
            Claim {
                floor: seat.standing().floor.min(most),
                most,
            }
        });
        let mut shares = fair_shares(capacity, &claims.collect::<Vec<_>>()).into_iter();
        for (called, share) in self.called.iter_mut().zip(&mut shares) {
            called.share = share;
        }
        self.share = shares.next().unwrap_or(0);
    }

    /// How much of what is `short` the cache that gathers is to pay itself: what would take it
    /// beyond its fair share.
    pub(crate) fn own_part(&self, used: u64, short: u64) -> u64 {
        let after = used.saturating_add(short);
        after.saturating_sub(self.share).min(short)
    }

    /// The most that the cache that gathers could come to hold: to be asked after what is
    /// [dead](Ask::Dead).
    pub(crate) fn most(&self) -> u64 {
        let Some(common) = &self.common else {
            return u64::MAX;
        };
        let kept = self.called.iter().map(|called| {
            let seat = called.visit.seat();
            seat.standing().floor.min(seat.ledger().weight())
        });
        let kept = kept.fold(common.reserved.load(Acquire), u64::saturating_add);
        common.ledger.capacity().saturating_sub(kept)
    }

    /// Puts room into a reservation, as much as `need` lacks, for which the others are asked one
    /// after another.
    pub(crate) fn gather(&mut self, ask: Ask, need: Room, reservation: &mut Reservation<'_>) {
        while !reservation.take_some(need) {
            let short = reservation.lacks(need);
            if short == 0 || self.ask_one(ask, short, usize::MAX).is_none() {
                break;
            }
        }
    }

    /// Puts room into a reservation as for an entry of nobody's; says whether it covers `need`.
    fn gather_in_turn(&mut self, need: Room, reservation: &mut Reservation<'_>) -> bool {
        for ask in [Ask::Dead, Ask::Share, Ask::Floor] {
            self.gather(ask, need, reservation);
        }
        reservation.take_some(need)
    }

    /// Lets entries go that are over a lowered capacity, some `most` of them; says whether there may be
    /// more.
    fn work_off(&mut self, most: usize) -> bool {
        let Some(common) = self.common.clone() else {
            return false;
        };
        let (ledger, mut left) = (&common.ledger, most);
        for ask in [Ask::Dead, Ask::Share, Ask::Floor, Ask::All] {
            while ledger.is_over() || self.holds_for_nothing() {
                let over = match ledger.capacity() {
                    0 => EVERYTHING,
                    capacity => ledger.weight().saturating_sub(capacity),
                };
                let Some(gone) = self.ask_one(ask, over, left) else {
                    break;
                };
                left = left.saturating_sub(gone);
                if left == 0 {
                    return true;
                }
            }
        }
        false
    }

    /// Whether a member keeps what weighs nothing in a budget of nothing.
    fn holds_for_nothing(&self) -> bool {
        let mut seats = self.called.iter().map(|called| called.visit.seat());
        seats.any(|seat| seat.ledger().capacity() == 0 && seat.ledger().is_over())
    }

    /// Asks the member that can give most, of those that were not asked for that yet, for what is
    /// `short`; says how many entries have left, or `None` if nobody is left to ask.
    fn ask_one(&mut self, ask: Ask, short: u64, most: usize) -> Option<usize> {
        let unasked = self
            .called
            .iter_mut()
            .filter(|called| called.asked != Some(ask));
        let called = unasked.max_by_key(|called| called.may_give(ask).0)?;
        called.asked = Some(ask);
        let (may_give, least) = called.may_give(ask);
        let (dead, all) = (ask == Ask::Dead, short == EVERYTHING);
        if may_give == 0 && !dead && !all {
            return None;
        }
        Some(called.visit.give(Asked {
            // What is dead is of no use to anybody.
            weight: if dead || all {
                EVERYTHING
            } else {
                short.min(may_give)
            },
            dead,
            least,
            most: if dead { most.min(A_BATCH) } else { most },
        }))
    }

    /// Tells of all that left; the first panic is to go on.
    pub(crate) fn end(mut self) -> Panics {
        let mut panics = std::mem::take(&mut self.panics);
        for mut called in std::mem::take(&mut self.called) {
            panics.add(called.visit.end());
            panics.drop(called);
        }
        panics.drop(self.own.take());
        panics
    }
}

fn is_same(one: &dyn Seat, other: &dyn Seat) -> bool {
    std::ptr::eq(one.standing(), other.standing())
}

/// What a member can claim of a budget: this much at least, and no more than that.
struct Claim {
    floor: u64,
    most: u64,
}

/// What each is to have: its floor, and an equal part of what the floors leave over, but no more than
/// its own capacity; what one cannot have goes to the others.
fn fair_shares(capacity: u64, claims: &[Claim]) -> Vec<u64> {
    let floors = claims.iter().map(|claim| claim.floor);
    let mut left = capacity.saturating_sub(floors.fold(0, u64::saturating_add));
    let mut order: Vec<usize> = (0..claims.len()).collect();
    let beyond = |index: usize| claims[index].most.saturating_sub(claims[index].floor);
    order.sort_by_key(|&index| beyond(index));
    let mut shares = vec![0; claims.len()];
    for (at, index) in order.into_iter().enumerate() {
        let part = left / (claims.len() - at) as u64;
        let more = part.min(beyond(index));
        left -= more;
        shares[index] = claims[index].floor + more;
    }
    shares
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;

    fn shares(capacity: u64, claims: &[(u64, u64)]) -> Vec<u64> {
        let claim = |&(floor, most)| Claim { floor, most };
        fair_shares(capacity, &claims.iter().map(claim).collect::<Vec<_>>())
    }

    #[test]
    fn what_the_floors_leave_over_is_shared_evenly() {
        assert_eq!(shares(100, &[]), []);
        assert_eq!(shares(100, &[(0, 100)]), [100]);
        assert_eq!(shares(100, &[(0, 100), (0, 100)]), [50, 50]);
        assert_eq!(shares(100, &[(40, 100), (0, 100)]), [70, 30]);
        assert_eq!(shares(100, &[(0, 10), (0, 100), (20, 100)]), [10, 35, 55]);
        assert_eq!(shares(7, &[(0, 100), (0, 100), (0, 100)]), [2, 2, 3]);
        assert_eq!(shares(0, &[(0, 100), (0, 100)]), [0, 0]);
    }

    #[test]
    fn the_largest_budget_is_shared_without_wrapping() {
        let half = u64::MAX / 2;
        let most = (0, u64::MAX);
        assert_eq!(shares(u64::MAX, &[most, most]), [half, half + 1]);
        assert_eq!(
            shares(u64::MAX, &[(u64::MAX, u64::MAX), most]),
            [u64::MAX, 0]
        );
    }
}
