//! Types of other crates, each behind a feature of its crate's name.

use super::HeapSize;

/// A view of a buffer that others may share. What it does not show is not known.
#[cfg(feature = "bytes")]
mod bytes {
    use super::HeapSize;

    /// The most that a buffer's counters and its true bounds take.
    const COUNTERS: usize = 5 * size_of::<usize>();

    impl HeapSize for ::bytes::Bytes {
        fn heap_size(&self) -> usize {
            COUNTERS + self.len()
        }
    }

    impl HeapSize for ::bytes::BytesMut {
        fn heap_size(&self) -> usize {
            COUNTERS + self.capacity()
        }
    }
}

#[cfg(feature = "arcstr")]
mod arcstr {
    use super::HeapSize;
    use ::arcstr::{ArcStr, Substr};

    /// Two words and the text, in full for each holder; nothing for a literal.
    impl HeapSize for ArcStr {
        fn heap_size(&self) -> usize {
            if Self::is_static(self) {
                0
            } else {
                2 * size_of::<usize>() + self.len()
            }
        }
    }

    /// All of the text of which it is a part.
    impl HeapSize for Substr {
        fn heap_size(&self) -> usize {
            self.parent().heap_size()
        }
    }
}

#[cfg(feature = "compact_str")]
impl HeapSize for compact_str::CompactString {
    fn heap_size(&self) -> usize {
        if self.is_heap_allocated() {
            self.capacity()
        } else {
            0
        }
    }
}

#[cfg(feature = "smallvec")]
impl<A: smallvec::Array<Item: HeapSize>> HeapSize for smallvec::SmallVec<A> {
    fn heap_size(&self) -> usize {
        let buffer = if self.spilled() { self.capacity() } else { 0 };
        buffer * size_of::<A::Item>() + super::all(self)
    }
}

/// A text too long for its place is an `Arc<str>`.
#[cfg(feature = "smol_str")]
impl HeapSize for smol_str::SmolStr {
    fn heap_size(&self) -> usize {
        if self.is_heap_allocated() {
            super::shared::block(std::alloc::Layout::for_value(self.as_str()))
        } else {
            0
        }
    }
}
