//! `HeapSize`: how many bytes a value owns on the heap.
//!
//! Only what lies *behind* a value is counted; the value itself lies in the
//! cache's table and is charged there. No less is told than was asked of the
//! allocator; where a type hides what it owns, the most that it can be. Shared memory
//! (`Arc`, `Rc`) is counted in full by each holder that the cache keeps, as if it
//! were the only one. A file for each kind of type:
//!
//! - `plain`: nothing lies behind them; `parts`: values made of parts in place.
//! - `buffers`: memory of a known capacity; `shared`: blocks with counters.
//! - `cells`: what can change without the cache's knowing.
//! - `b_tree`, `hash_table`: memory that std does not tell.
//! - `crates`: types of other crates, each behind a feature of its crate's name.

mod b_tree;
mod buffers;
mod cells;
#[cfg(any(
    feature = "arcstr",
    feature = "bytes",
    feature = "compact_str",
    feature = "smallvec",
    feature = "smol_str"
))]
mod crates;
mod hash_table;
mod parts;
mod plain;
mod shared;

/// How many bytes a value owns on the heap, beyond its own `size_of_val`.
///
/// For a type without it, [`Bytes::by`](crate::Bytes::by) takes a function in its place. For a
/// type of your own that is a part of others, add up the fields:
///
/// ```
/// use brimful::HeapSize;
///
/// struct Page {
///     url: String,
///     body: Vec<u8>,
///     status: u16,
/// }
///
/// impl HeapSize for Page {
///     fn heap_size(&self) -> usize {
///         self.url.heap_size() + self.body.heap_size()
///     }
/// }
///
/// let page = Page { url: "/".into(), body: Vec::with_capacity(100), status: 200 };
/// assert_eq!(page.heap_size(), 101);
/// ```
///
/// # What is told
///
/// Implemented for the types of the standard library, and by features of their names for those
/// of `arcstr`, `bytes`, `compact_str`, `smallvec` and `smol_str`. What they tell is what they
/// asked of the allocator, which may round it up, to the byte, but for these:
///
/// - `BTreeMap` and `BTreeSet` hide their nodes, so as many are told as so many entries can
///   need: exactly the one there is for 1 to 10 entries; else at most 2.75 times the bytes of those
///   there are, and one node more. Mostly it is less: 1.1 to 1.3 times for keys that came in
///   order, 1.4 to 1.8 at random. An empty tree tells one leaf.
/// - `HashMap` and `HashSet` tell their places: exactly, or 16 bytes more where the processor has
///   no vectors of 16 bytes. Of entries that were *removed*, std forgets to count some
///   places until it next rebuilds the table. While these are less than half of all, the table is
///   told in full; else too little, and `shrink_to_fit` mends it. Their hasher tells nothing.
/// - `Arc`, `Rc` and the texts of `arcstr` and `smol_str` are told in full by each holder, as if
///   it were the only one; a `Weak` tells the block that it keeps, without what the value in
///   it owned.
/// - `bytes::Bytes` and `BytesMut` tell what they show, and 40 bytes for the counters they may
///   have, also where they show something static. What they keep and do not show (the rest of a
///   buffer of which they are a slice, the spare capacity of the `Vec` or `BytesMut` they
///   were) cannot be known: copy it (`Bytes::copy_from_slice`) before you keep it.
/// - `Mutex`, `RwLock` and the cells tell what they hold when they are asked, which is when the
///   value is inserted or updated; what grows in them later is not seen. One that is
///   locked (for writing, if that is told apart) or mutably borrowed just then tells nothing, since
///   to wait could be for ever. What some systems (macOS) put behind a lock itself is not told.
pub trait HeapSize {
    /// The bytes behind this value. Capacity counts, not length. O(1) for
    /// what holds plain numbers, else O(elements).
    fn heap_size(&self) -> usize;
}

/// The bytes behind all these items.
fn all<'a, T: HeapSize + 'a>(items: impl IntoIterator<Item = &'a T>) -> usize {
    if std::mem::needs_drop::<T>() {
        items.into_iter().map(HeapSize::heap_size).sum()
    } else {
        0
    }
}
