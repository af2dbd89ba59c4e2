//! Units: what a capacity counts, in its type.
//!
//! A count can't be passed where bytes are meant, and a weight brings its weigher along:
//! neither compiles otherwise. What a capacity asks of a cache is the room `capacity`'s to say.

use std::fmt;

/// A capacity of so many entries; each weighs 1.
///
/// ```
/// use brimful::{Cache, Entries};
///
/// let cache: Cache<u32, u32> = Cache::builder(Entries(4)).build()?;
/// assert_eq!(cache.capacity(), Entries(4));
/// cache.set_capacity(Entries(8));
/// assert_eq!(cache.capacity().to_string(), "8 entries");
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// It is no weight:
///
/// ```compile_fail,E0277
/// use brimful::{Cache, Entries};
/// let cache = Cache::<String, String, _>::bytes(1 << 20);
/// cache.set_capacity(Entries(10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entries(pub usize);

/// A capacity of so much weight, and the weigher that says how heavy an entry is.
///
/// The weigher is called once for each value, without any lock held, and after
/// each change in place. What it answers is stored, so an answer that changes
/// later does no harm. A weight of 0 is charged as 1, unless the builder names
/// an entry limit.
///
/// A weigher that is a closure names the types of both its arguments: with `|_, text: &String|` the
/// compiler says that `FnOnce` is not general enough.
///
/// ```
/// use brimful::{Cache, Units, Weighed, Weight};
///
/// let cache: Cache<u32, String, Weighed> =
///     Cache::builder(Weight(100, |_: &u32, text: &String| text.len() as u64)).build()?;
/// cache.insert(1, "x".repeat(60));
/// cache.insert(2, "y".repeat(60));
/// assert_eq!((cache.len(), cache.weight()), (1, 60));
/// assert_eq!(cache.capacity(), Units(100));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Weight<W>(pub u64, pub W);

/// A capacity of so many bytes: the heap memory of keys and values as
/// [`HeapSize`](crate::HeapSize) tells it, and brimful's own memory for each entry.
///
/// That own memory is charged as for a table two fifths full and rings full of
/// holes (see [`Bytes::overhead`]), so what is allocated stays below the
/// capacity. On top come: what does not grow with the entries, at most 256 KiB, and
/// 2 KiB a shard where entries have deadlines; for a shard of less than some thousand
/// such entries with very different deadlines, up to 60 bytes each of 512 of them;
/// one shard's table, for the moment in which it is rebuilt; while many small
/// entries give way to few large ones, up to half a slot more for each entry;
/// the allocator's own rounding; and what a few types own and cannot tell, which
/// [`HeapSize`](crate::HeapSize#what-is-told) names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many bytes for keys and values without [`HeapSize`](crate::HeapSize): `heap` tells
    /// how many bytes both own on the heap, beyond their own `size_of_val`. Unlike with
    /// [`Weight`], brimful's own memory for each entry is charged on top.
    ///
    /// It is called when a [weigher](Weight) is, and may be wrong as a weigher may: the bound
    /// then holds for what it tells.
    ///
    /// ```
    /// use brimful::{Bytes, Cache, HeapSize};
    ///
    /// struct Page {
    ///     url: String,
    ///     status: u16,
    ///     body: Vec<u8>,
    /// }
    ///
    /// let heap = |_: &u32, page: &Page| page.url.heap_size() + page.body.heap_size();
    /// let cache = Cache::builder(Bytes(64 << 20).by(heap)).build()?;
    /// cache.insert(1, Page { url: "/".into(), status: 200, body: vec![0; 10_000] });
    /// assert!(cache.weight() > 10_000);
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn by<K, V, H: Fn(&K, &V) -> usize>(self, heap: H) -> BytesBy<H> {
        BytesBy(self, heap)
    }
}

/// A capacity of so many bytes, and the function that tells how many a key and its value own
/// on the heap: what [`Bytes::by`] makes.
///
/// ```
/// use brimful::{Bytes, BytesBy, Units, unsync};
///
/// let mut cache = unsync::Cache::builder(BytesBy(Bytes(1_000), |_: &u32, _: &u32| 0)).build_unsync()?;
/// cache.extend((0..1_000).map(|key| (key, key)));
/// assert!((1..100).contains(&cache.len()));
/// assert_eq!(cache.capacity(), Units(1_000));
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BytesBy<H>(pub Bytes, pub H);

/// So many units of weight: the capacity of a cache whose entries are weighed, by a weigher or
/// in bytes. See [`Cache::set_capacity`](crate::Cache::set_capacity).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Units(pub u64);

/// A number out of a configuration. More than an address can count is as many as it can.
///
/// ```
/// let configured: u64 = 10_000;
/// assert_eq!(brimful::Entries::from(configured), brimful::Entries(10_000));
/// ```
impl From<u64> for Entries {
    fn from(entries: u64) -> Self {
        Self::of(entries)
    }
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} units", self.0)
    }
}

impl From<Bytes> for Units {
    fn from(Bytes(bytes): Bytes) -> Self {
        Self(bytes)
    }
}

/// What the capacity of a running cache is told in: [`Entries`] or [`Units`]. The trait is sealed.
pub trait Unit: Copy + Ord + fmt::Debug + fmt::Display + sealed::Sealed {
    /// So many of this unit. More entries than a `usize` holds are as many as it holds.
    fn of(amount: u64) -> Self;

    /// How many of this unit.
    fn amount(self) -> u64;
}

impl Unit for Entries {
    fn of(amount: u64) -> Self {
        Self(usize::try_from(amount).unwrap_or(usize::MAX))
    }

    fn amount(self) -> u64 {
        self.0 as u64
    }
}

impl Unit for Units {
    fn of(amount: u64) -> Self {
        Self(amount)
    }

    fn amount(self) -> u64 {
        self.0
    }
}

mod sealed {
    #[allow(unnameable_types, reason = "sealed: nobody else may implement it")]
    pub trait Sealed {}
    impl Sealed for super::Entries {}
    impl Sealed for super::Units {}
}
