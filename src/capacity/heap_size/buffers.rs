//! Memory of one owner whose capacity is told: exact.

use super::{HeapSize, all};
use std::collections::{BinaryHeap, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::path::PathBuf;

macro_rules! texts {
    ($($type:ty)*) => {$(
        impl HeapSize for $type {
            fn heap_size(&self) -> usize {
                self.capacity()
            }
        }
    )*};
}

texts!(String OsString PathBuf);

macro_rules! of_items {
    ($($type:ident)*) => {$(
        impl<T: HeapSize> HeapSize for $type<T> {
            fn heap_size(&self) -> usize {
                self.capacity() * size_of::<T>() + all(self)
            }
        }
    )*};
}

of_items!(Vec VecDeque BinaryHeap);

impl HeapSize for CString {
    fn heap_size(&self) -> usize {
        self.as_bytes_with_nul().len()
    }
}

impl<T: HeapSize + ?Sized> HeapSize for Box<T> {
    fn heap_size(&self) -> usize {
        size_of_val::<T>(self) + (**self).heap_size()
    }
}

/// An item stands between two links.
impl<T: HeapSize> HeapSize for LinkedList<T> {
    fn heap_size(&self) -> usize {
        self.len() * size_of::<(usize, usize, T)>() + all(self)
    }
}
