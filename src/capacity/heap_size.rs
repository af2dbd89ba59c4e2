//! `HeapSize`: how many bytes a value owns on the heap.
//!
//! Only what lies *behind* a value is counted; the value itself lies in the
//! cache's table and is charged there. Shared memory (`Arc`, `Rc`) is counted
//! in full by each holder that the cache keeps, as if it were the only one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// How many bytes a value owns on the heap, beyond its own `size_of_val`.
///
/// Implemented for the types of the standard library. For a type of your own,
/// add up the fields:
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
pub trait HeapSize {
    /// The bytes behind this value. Capacity counts, not length. O(1) for
    /// buffers of plain numbers, else O(elements).
    fn heap_size(&self) -> usize;
}

macro_rules! nothing_behind {
    ($($type:ty),* $(,)?) => {$(
        impl HeapSize for $type {
            #[inline]
            fn heap_size(&self) -> usize {
                0
            }
        }
    )*};
}

nothing_behind!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    str,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
    std::net::IpAddr,
    std::net::Ipv4Addr,
    std::net::Ipv6Addr,
    std::net::SocketAddr,
    std::num::NonZeroU8,
    std::num::NonZeroU16,
    std::num::NonZeroU32,
    std::num::NonZeroU64,
    std::num::NonZeroU128,
    std::num::NonZeroUsize,
    std::num::NonZeroI32,
    std::num::NonZeroI64,
    Path,
);

/// A reference owns nothing.
impl<T: ?Sized> HeapSize for &T {
    #[inline]
    fn heap_size(&self) -> usize {
        0
    }
}

fn all<'a, T: HeapSize + 'a>(items: impl IntoIterator<Item = &'a T>) -> usize {
    if std::mem::needs_drop::<T>() {
        items.into_iter().map(HeapSize::heap_size).sum()
    } else {
        0
    }
}

impl HeapSize for String {
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl HeapSize for CString {
    fn heap_size(&self) -> usize {
        self.as_bytes_with_nul().len()
    }
}

impl HeapSize for OsString {
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl HeapSize for PathBuf {
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl<T: HeapSize> HeapSize for [T] {
    fn heap_size(&self) -> usize {
        all(self)
    }
}

impl<T: HeapSize, const N: usize> HeapSize for [T; N] {
    fn heap_size(&self) -> usize {
        all(self)
    }
}

impl<T: HeapSize> HeapSize for Vec<T> {
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: HeapSize> HeapSize for VecDeque<T> {
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: HeapSize> HeapSize for BinaryHeap<T> {
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: HeapSize + ?Sized> HeapSize for Box<T> {
    fn heap_size(&self) -> usize {
        size_of_val::<T>(self) + (**self).heap_size()
    }
}

/// Two counters stand before a shared value.
const COUNTERS: usize = 2 * size_of::<usize>();

impl<T: HeapSize + ?Sized> HeapSize for Arc<T> {
    fn heap_size(&self) -> usize {
        COUNTERS + size_of_val::<T>(self) + (**self).heap_size()
    }
}

impl<T: HeapSize + ?Sized> HeapSize for Rc<T> {
    fn heap_size(&self) -> usize {
        COUNTERS + size_of_val::<T>(self) + (**self).heap_size()
    }
}

impl<T: HeapSize> HeapSize for Option<T> {
    fn heap_size(&self) -> usize {
        self.as_ref().map_or(0, HeapSize::heap_size)
    }
}

impl<T: HeapSize, E: HeapSize> HeapSize for Result<T, E> {
    fn heap_size(&self) -> usize {
        match self {
            Ok(value) => value.heap_size(),
            Err(error) => error.heap_size(),
        }
    }
}

impl<T: ToOwned<Owned: HeapSize> + ?Sized> HeapSize for Cow<'_, T> {
    fn heap_size(&self) -> usize {
        match self {
            Cow::Borrowed(_) => 0,
            Cow::Owned(owned) => owned.heap_size(),
        }
    }
}

/// What a table of std's takes for so many places: 8/7 of them, rounded up to a
/// power of two, with a control byte each.
fn table_size(capacity: usize, item: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    let buckets = (capacity * 8 / 7).next_power_of_two().max(4);
    buckets * (item + 1) + 16
}

impl<K: HeapSize, V: HeapSize, S> HeapSize for HashMap<K, V, S> {
    fn heap_size(&self) -> usize {
        table_size(self.capacity(), size_of::<(K, V)>()) + all(self.keys()) + all(self.values())
    }
}

impl<T: HeapSize, S> HeapSize for HashSet<T, S> {
    fn heap_size(&self) -> usize {
        table_size(self.capacity(), size_of::<T>()) + all(self)
    }
}

/// What a B-tree of so many items takes, about: leaves of 11 places, 2/3 full.
fn tree_size(len: usize, item: usize) -> usize {
    len.div_ceil(7) * (11 * item + 16)
}

impl<K: HeapSize, V: HeapSize> HeapSize for BTreeMap<K, V> {
    fn heap_size(&self) -> usize {
        tree_size(self.len(), size_of::<(K, V)>()) + all(self.keys()) + all(self.values())
    }
}

impl<T: HeapSize> HeapSize for BTreeSet<T> {
    fn heap_size(&self) -> usize {
        tree_size(self.len(), size_of::<T>()) + all(self)
    }
}

macro_rules! sum_of_fields {
    ($($name:ident)+) => {
        impl<$($name: HeapSize),+> HeapSize for ($($name,)+) {
            #[allow(non_snake_case, reason = "the types' names serve for the fields")]
            fn heap_size(&self) -> usize {
                let ($($name,)+) = self;
                0 $(+ $name.heap_size())+
            }
        }
    };
}

sum_of_fields!(A);
sum_of_fields!(A B);
sum_of_fields!(A B C);
sum_of_fields!(A B C D);
sum_of_fields!(A B C D E);
sum_of_fields!(A B C D E F);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_lies_behind_a_value_and_nothing_else() {
        assert_eq!(7_u64.heap_size(), 0);
        assert_eq!("abc".heap_size(), 0);
        assert_eq!(String::with_capacity(40).heap_size(), 40);
        assert_eq!(vec![0_u32; 10].heap_size(), 40);
        assert_eq!(vec![String::from("ab"); 3].heap_size(), 3 * 24 + 6);
        assert_eq!(Arc::new(vec![0_u8; 100]).heap_size(), 16 + 24 + 100);
        assert_eq!(Box::<str>::from("hello").heap_size(), 5);
        assert_eq!(Arc::<[u16]>::from([1, 2, 3]).heap_size(), 16 + 6);
        assert_eq!((String::from("a"), 1, Some(vec![1_u8])).heap_size(), 2);
        assert_eq!(Cow::Borrowed("abc").heap_size(), 0);
        assert_eq!(Cow::<str>::Owned("abc".into()).heap_size(), 3);
        assert!(HashMap::from([(1_u64, 2_u64)]).heap_size() >= 4 * 17);
        assert!(BTreeMap::from([(1_u64, 2_u64)]).heap_size() >= 11 * 16);
    }
}
