//! What can change without the cache's knowing: told as it is when it is asked.
//!
//! What is held by someone just then is told as nothing. To wait for it could be to wait for
//! ever: a value that changes is weighed under its shard's lock, and whoever holds the value
//! may call the cache.

use super::HeapSize;
use crate::sync::of_values::{Mutex, OnceLock, PoisonError, RwLock, TryLockError};
use std::cell::{OnceCell, RefCell};

impl<T: HeapSize> HeapSize for OnceCell<T> {
    fn heap_size(&self) -> usize {
        self.get().map_or(0, HeapSize::heap_size)
    }
}

impl<T: HeapSize> HeapSize for OnceLock<T> {
    fn heap_size(&self) -> usize {
        self.get().map_or(0, HeapSize::heap_size)
    }
}

impl<T: HeapSize + ?Sized> HeapSize for RefCell<T> {
    fn heap_size(&self) -> usize {
        self.try_borrow().map_or(0, |value| value.heap_size())
    }
}

impl<T: HeapSize + ?Sized> HeapSize for Mutex<T> {
    fn heap_size(&self) -> usize {
        admitted(self.try_lock()).map_or(0, |value| value.heap_size())
    }
}

impl<T: HeapSize + ?Sized> HeapSize for RwLock<T> {
    fn heap_size(&self) -> usize {
        admitted(self.try_read()).map_or(0, |value| value.heap_size())
    }
}

/// The guard, unless the lock is held; a panic under it changes no sizes.
fn admitted<G>(attempt: Result<G, TryLockError<G>>) -> Option<G> {
    match attempt {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(panicked)) => Some(PoisonError::into_inner(panicked)),
        Err(TryLockError::WouldBlock) => None,
    }
}
