//! What the cache in memory keeps: keys as they are on the server, and what the server answered.

use brimful::HeapSize;
use std::time::Duration;

/// A key in memory: the bytes that it is on the server.
pub type Key = Box<[u8]>;

/// What is kept under a key: the server's answer, which may be that there is no such key.
///
/// Listeners and weighers of the cache in memory see it.
///
/// ```
/// use brimful::{Cache, Weight};
/// use brimful_near::{Kept, Key, Near, Text};
/// use std::sync::Arc;
///
/// let weigh = |key: &Key, kept: &Kept<Arc<str>>| {
///     (key.len() + kept.value().map_or(0, |text| text.len())) as u64
/// };
/// let builder = Near::builder(Cache::builder(Weight(1 << 20, weigh)), Text);
/// ```
#[derive(Clone, Debug)]
pub struct Kept<V> {
    value: Option<V>,
    life: Duration,
}

impl<V> Kept<V> {
    pub(crate) fn new(value: Option<V>, life: Duration) -> Self {
        Self { value, life }
    }

    /// The value, unless the answer was that there is no such key.
    ///
    /// ```
    /// use brimful::{Cache, Entries};
    /// use brimful_near::{Near, Text};
    ///
    /// let memory = Cache::builder(Entries(100)).on_departure(|left: brimful::Departed<'_, brimful_near::Key, brimful_near::Kept<_>>| {
    ///     println!("{:?}: {:?} {}", left.key, left.value.value(), left.cause);
    /// });
    /// let builder = Near::builder(memory, Text);
    /// ```
    #[must_use]
    pub fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    pub(crate) fn into_value(self) -> Option<V> {
        self.value
    }

    /// How long it was to be kept when it came.
    pub(crate) fn life(&self) -> Duration {
        self.life
    }
}

/// The bytes behind the value.
impl<V: HeapSize> HeapSize for Kept<V> {
    fn heap_size(&self) -> usize {
        self.value.as_ref().map_or(0, HeapSize::heap_size)
    }
}
