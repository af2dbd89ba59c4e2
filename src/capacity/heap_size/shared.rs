//! Blocks with two counters before the value. Each holder tells the whole block.

use super::HeapSize;
use crate::held::Held;
use std::alloc::Layout;
use std::{rc, sync};

/// What std asks of the allocator for a value of this layout: the block is padded to its alignment.
pub(super) fn block(value: Layout) -> usize {
    let align = value.align().max(align_of::<usize>());
    let counters = (2 * size_of::<usize>()).next_multiple_of(align);
    (counters + value.size()).next_multiple_of(align)
}

macro_rules! shared {
    ($($pointer:ty, $weak:ty;)*) => {$(
        impl<T: HeapSize + ?Sized> HeapSize for $pointer {
            fn heap_size(&self) -> usize {
                block(Layout::for_value::<T>(self)) + (**self).heap_size()
            }
        }

        /// The block is there as long as one of these is; what the value in it owned is not.
        impl<T> HeapSize for $weak {
            fn heap_size(&self) -> usize {
                if self.ptr_eq(&Self::new()) {
                    0
                } else {
                    block(Layout::new::<T>())
                }
            }
        }
    )*};
}

shared! {
    sync::Arc<T>, sync::Weak<T>;
    rc::Rc<T>, rc::Weak<T>;
}

/// Each holder tells the whole block; a place on a ledger is not counted.
impl<T: HeapSize> HeapSize for Held<T> {
    fn heap_size(&self) -> usize {
        block(Self::SHARED) + (**self).heap_size()
    }
}
