//! Work shared out to as many threads as the machine has cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does `work` on each item, several at a time; the results come in the order of the items.
pub fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let claim = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        items.get(index).map(|item| (index, item))
    };
    let claim_all = || -> Vec<(usize, R)> {
        let claimed = std::iter::from_fn(claim);
        claimed.map(|(index, item)| (index, work(item))).collect()
    };
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(items.len());
    let mut results: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(claim_all)).collect();
        let joined = handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.flatten().collect()
    });
    results.sort_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        let squares: Vec<u64> = items.iter().map(|n| n * n).collect();
        assert_eq!(side_by_side(&items, |n| n * n), squares);
        assert!(side_by_side(&[], |n: &u64| *n).is_empty());
    }
}
