//! std's hash tables: places, and a byte of control for each.
//!
//! A table has a power of two of places, at least 4, and takes entries for 7/8 of them, or for
//! all but one if they are less than 8. `capacity` is that number, less the places of removed
//! entries that were not cleared. So the least table of at least that capacity is the table, as
//! long as those are less than half of it; more is not to be seen from outside.

use super::{HeapSize, all};
use std::collections::{HashMap, HashSet};

/// Control bytes are read in groups of at most so many; the first of them is aligned to that, and
/// as many stand after the last.
const GROUP: usize = 16;

/// What a table of entries `T` and this capacity takes, if nothing was removed.
fn table<T>(capacity: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    let places = (capacity * 8).div_ceil(7).next_power_of_two().max(4);
    let entries = (places * size_of::<T>()).next_multiple_of(GROUP.max(align_of::<T>()));
    entries + places + GROUP
}

impl<K: HeapSize, V: HeapSize, S> HeapSize for HashMap<K, V, S> {
    fn heap_size(&self) -> usize {
        table::<(K, V)>(self.capacity()) + all(self.keys()) + all(self.values())
    }
}

impl<T: HeapSize, S> HeapSize for HashSet<T, S> {
    fn heap_size(&self) -> usize {
        table::<T>(self.capacity()) + all(self)
    }
}
