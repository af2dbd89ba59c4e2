//! Values that any thread may hold, counted from their birth to their drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// How many values, and how much of their weight, exist anywhere.
#[derive(Clone, Default, Debug)]
pub(crate) struct Ledger(Arc<Sums>);

#[derive(Default, Debug)]
struct Sums {
    values: AtomicU64,
    weight: AtomicU64,
}

impl Ledger {
    pub(crate) fn value(&self, id: u64) -> Val {
        self.heavy(id, 1)
    }

    pub(crate) fn heavy(&self, id: u64, weight: u64) -> Val {
        self.0.values.fetch_add(1, SeqCst);
        self.0.weight.fetch_add(weight, SeqCst);
        Val {
            id,
            weight,
            ledger: self.clone(),
        }
    }

    pub(crate) fn live(&self) -> u64 {
        self.0.values.load(SeqCst)
    }

    pub(crate) fn weight(&self) -> u64 {
        self.0.weight.load(SeqCst)
    }
}

/// A value on a ledger.
#[derive(Debug)]
pub(crate) struct Val {
    pub(crate) id: u64,
    weight: u64,
    ledger: Ledger,
}

impl Val {
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn reweigh(&mut self, weight: u64) {
        let sum = &self.ledger.0.weight;
        sum.fetch_add(weight, SeqCst);
        sum.fetch_sub(self.weight, SeqCst);
        self.weight = weight;
    }
}

impl Clone for Val {
    fn clone(&self) -> Self {
        self.ledger.heavy(self.id, self.weight)
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        self.ledger.0.weight.fetch_sub(self.weight, SeqCst);
        self.ledger.0.values.fetch_sub(1, SeqCst);
    }
}
