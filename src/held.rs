//! `Held`: a value whose weight stays on a list after the cache has let it go, until its last
//! holder drops it.
//!
//! The bound speaks of what the cache holds. A value that was evicted while somebody else holds
//! an `Arc` of it keeps its memory all the same, and no bound sees it. So: when a [`Held`] leaves
//! the cache, and others hold it too, it goes on the cache's list; when its last holder
//! drops it, it leaves that.
//!
//! Invariants
//! 1. A value goes on the list while the reference that the cache had is still there, so it
//!    leaves it later; and an entry that is unlinked is not cloned from the cache any more, so
//!    if no one else holds it then, no one will.
//! 2. The list owns no value: what it keeps of one leaves with it.
//! 3. Where a budget pays for it, what is reserved there is never more than what is on the list
//!    weighs, but while a call is about to give the difference back.
//! 4. One call at a time reserves for a list. What its victims put there meanwhile it
//!    reserves for too, in a loop: however many are held, the stack stays as deep.

use crate::budget::Budget;
use crate::cause::Cause;
use crate::clock::{Moment, Source};
use crate::stats::{Lingerer, Lingerers, Lingering};
use crate::sync::{Arc, AtomicU64, Mutex, OnceLock, Ordering, Weak};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// A value that is shared by count, as by an [`Arc`], and accounted for after the cache has let it
/// go: where the builder was told to keep a [list](crate::Builder::lingering), the statistics
/// say how many values were let go and are still held elsewhere, what they weigh, and for how long.
///
/// Clones are cheap and share the value. It takes 16 bytes more than in an `Arc`.
///
/// A value that is stored twice, under two keys or in two caches, is on the list of the
/// first that lets it go while the other still has it.
///
/// ```
/// use brimful::{Cache, Entries, Held};
///
/// let pages: Cache<u32, Held<Vec<u8>>> = Cache::builder(Entries(10)).lingering().build()?;
/// pages.insert(1, Held::new(vec![0; 1_000_000]));
/// let kept = pages.get(&1).unwrap();
/// pages.clear();
/// // It has left; its megabyte is still here.
/// assert_eq!(pages.stats().lingering().unwrap().values, 1);
/// drop(kept);
/// assert_eq!(pages.stats().lingering().unwrap().values, 0);
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub struct Held<T>(Arc<Inner<T>>);

struct Inner<T> {
    value: T,
    /// Dropped after the value: as long as that takes it is held.
    ticket: OnceLock<Ticket>,
}

impl<T> Held<T> {
    /// Takes a value into its own allocation.
    ///
    /// ```
    /// let page = brimful::Held::new("hello".to_string());
    /// assert_eq!(page.len(), 5);
    /// ```
    pub fn new(value: T) -> Self {
        Self(Arc::new(Inner {
            value,
            ticket: OnceLock::new(),
        }))
    }

    /// How many hold the value now, the cache included if it is there. Others may change that at any
    /// moment.
    ///
    /// ```
    /// use brimful::Held;
    ///
    /// let page = Held::new(7);
    /// let other = page.clone();
    /// assert_eq!(Held::holders(&page), 2);
    /// ```
    pub fn holders(this: &Self) -> usize {
        Arc::strong_count(&this.0)
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> From<T> for Held<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0.value).finish()
    }
}

/// As the value itself.
#[cfg(feature = "serde")]
impl<T: serde::Serialize> serde::Serialize for Held<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}

/// As the value itself.
#[cfg(feature = "serde")]
impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Held<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

impl<T: PartialEq> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Held<T> {}

impl<T> Held<T> {
    /// What lies behind the counters of its allocation.
    pub(crate) const SHARED: Layout = Layout::new::<Inner<T>>();
}

/// A place on a list, until dropped.
struct Ticket {
    book: Arc<Book>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.book.remove(self.number);
    }
}

/// Something that is counted: here only how many hold it is asked.
trait Counted: Send + Sync {}

impl<T: Send + Sync> Counted for Inner<T> {}

/// What a cache has let go and others hold.
struct Book {
    noted: Mutex<Lines>,
    next: AtomicU64,
    source: Source,
    /// Pays for what is on the list.
    budget: Option<Budget>,
}

/// What is noted, and what it weighs together.
#[derive(Default)]
struct Lines {
    /// By number, so the oldest first.
    by_number: BTreeMap<u64, Noted>,
    weight: u64,
    /// How much of the budget is reserved for it.
    reserved: u64,
    /// Whether a call is about to reserve more.
    reserving: bool,
}

impl Lines {
    fn insert(&mut self, number: u64, noted: Noted) {
        self.weight = self.weight.saturating_add(noted.weight);
        self.by_number.insert(number, noted);
    }

    fn remove(&mut self, number: u64) -> Option<Noted> {
        let noted = self.by_number.remove(&number)?;
        self.weight = self.weight.saturating_sub(noted.weight);
        Some(noted)
    }

    /// Begins to reserve; says how much is to be reserved, if anything, and no other call does.
    fn begin(&mut self) -> Option<u64> {
        let short = self.weight.saturating_sub(self.reserved);
        if self.reserving || short == 0 {
            return None;
        }
        self.reserving = true;
        Some(short)
    }

    /// Ends to reserve, with so much.
    fn end(&mut self, taken: u64) {
        self.reserving = false;
        self.reserved += taken;
    }

    /// What is reserved for nothing any more: to be given back.
    fn excess(&mut self) -> u64 {
        let excess = self.reserved.saturating_sub(self.weight);
        self.reserved -= excess;
        excess
    }
}

impl Book {
    fn remove(&self, number: u64) {
        let mut lines = self.noted.lock();
        let gone = lines.remove(number);
        let excess = lines.excess();
        drop(lines);
        drop(gone);
        self.give(excess);
    }

    fn give(&self, room: u64) {
        if let Some(budget) = &self.budget {
            budget.give_reserved(room);
        }
    }

    /// Reserves for what is on the list, as far as the budget has room for it.
    fn reserve(&self) {
        let Some(budget) = &self.budget else { return };
        loop {
            let Some(short) = self.noted.lock().begin() else {
                return;
            };
            let mut ending = Ending {
                book: self,
                taken: 0,
            };
            // This may evict, and run listeners: what they put on the list is seen in the next round.
            let panics = budget.reserve_some(short, &mut ending.taken);
            let taken = ending.taken;
            drop(ending);
            panics.resume();
            if taken < short {
                return;
            }
        }
    }
}

/// A call that reserves, until dropped.
struct Ending<'a> {
    book: &'a Book,
    taken: u64,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut lines = self.book.noted.lock();
        lines.end(self.taken);
        // Values may have been dropped meanwhile.
        let excess = lines.excess();
        drop(lines);
        self.book.give(excess);
    }
}

struct Noted {
    since: Moment,
    weight: u64,
    cause: Cause,
    value: Weak<dyn Counted>,
}

/// The list of a cache of such values.
pub(crate) struct Holding(Arc<Book>);

impl Holding {
    pub(crate) fn new(source: Source, budget: Option<Budget>) -> Self {
        Self(Arc::new(Book {
            noted: Mutex::new(Lines::default()),
            next: AtomicU64::new(0),
            source,
            budget,
        }))
    }

    fn age(&self, noted: &Noted, now: Moment) -> Duration {
        Duration::from_nanos(now.saturating_sub(noted.since))
    }
}

impl<T: Send + Sync + 'static> Lingerers<Held<T>> for Holding {
    fn note(&self, held: &Held<T>, weight: u64, cause: Cause) {
        if Held::holders(held) < 2 || held.0.ticket.get().is_some() {
            return;
        }
        // The clock may be the user's.
        let since = self.0.source.now();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let inner: Arc<dyn Counted> = held.0.clone();
        let noted = Noted {
            since,
            weight,
            cause,
            value: Arc::downgrade(&inner),
        };
        drop(inner);
        self.0.noted.lock().insert(number, noted);
        let ticket = Ticket {
            book: Arc::clone(&self.0),
            number,
        };
        // If another cache let it go at the same moment, one of the two tickets is dropped here.
        let _second = held.0.ticket.set(ticket);
        self.0.reserve();
    }

    fn sum(&self) -> Lingering {
        let now = self.0.source.now();
        let lines = self.0.noted.lock();
        let oldest = lines.by_number.values().next();
        Lingering {
            values: lines.by_number.len() as u64,
            weight: lines.weight,
            oldest: oldest.map(|noted| self.age(noted, now)),
        }
    }

    fn oldest(&self, most: usize) -> Vec<Lingerer> {
        let now = self.0.source.now();
        let lines = self.0.noted.lock();
        let oldest = lines.by_number.values().take(most);
        oldest
            .map(|noted| Lingerer {
                since: self.age(noted, now),
                weight: noted.weight,
                cause: noted.cause,
                holders: noted.value.strong_count(),
            })
            .collect()
    }
}
