//! Values made of parts that lie in them: what lies behind the parts.

use super::{HeapSize, all};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::num::{Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};

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

impl<T: HeapSize> HeapSize for Bound<T> {
    fn heap_size(&self) -> usize {
        match self {
            Bound::Included(end) | Bound::Excluded(end) => end.heap_size(),
            Bound::Unbounded => 0,
        }
    }
}

impl<T: HeapSize> HeapSize for RangeInclusive<T> {
    fn heap_size(&self) -> usize {
        self.start().heap_size() + self.end().heap_size()
    }
}

macro_rules! sum_of_fields {
    ($($type:ident: $($field:tt),+;)*) => {$(
        impl<T: HeapSize> HeapSize for $type<T> {
            fn heap_size(&self) -> usize {
                0 $(+ self.$field.heap_size())+
            }
        }
    )*};
}

sum_of_fields! {
    Range: start, end;
    RangeFrom: start;
    RangeTo: end;
    RangeToInclusive: end;
    Reverse: 0;
    Saturating: 0;
    Wrapping: 0;
}

/// For a tuple of all these fields, then for one without the first, and so on.
macro_rules! tuples {
    () => {};
    ($first:ident $($rest:ident)*) => {
        impl<$first: HeapSize, $($rest: HeapSize),*> HeapSize for ($first, $($rest,)*) {
            #[allow(non_snake_case, reason = "the types' names serve for the fields")]
            fn heap_size(&self) -> usize {
                let ($first, $($rest,)*) = self;
                $first.heap_size() $(+ $rest.heap_size())*
            }
        }
        tuples!($($rest)*);
    };
}

tuples!(A B C D E F G H I J K L);
