//! An LRU that shares nothing with the crate: a linked list over two arrays, since a trace's keys
//! are numbered from 0. By the crate's rules: a hit does not change a size, a size of 0 counts as 1,
//! and what is heavier than the whole bound stays out.

use trace::Request;

use crate::cell::{Score, Unit};

/// The order of the residents, newest first, as a ring closed by one place more than there are keys.
struct Lru {
    newer: Vec<u32>,
    older: Vec<u32>,
    /// By key; 0 for a key that is not resident.
    weights: Vec<u64>,
    used: u64,
}

impl Lru {
    fn new(unique: usize) -> Self {
        let ends = unique as u32;
        Self {
            newer: vec![ends; unique + 1],
            older: vec![ends; unique + 1],
            weights: vec![0; unique],
            used: 0,
        }
    }

    fn ends(&self) -> usize {
        self.weights.len()
    }

    fn unlink(&mut self, key: usize) {
        let (newer, older) = (self.newer[key], self.older[key]);
        self.older[newer as usize] = older;
        self.newer[older as usize] = newer;
    }

    fn link_newest(&mut self, key: usize) {
        let ends = self.ends();
        let second = self.older[ends];
        (self.newer[key], self.older[key]) = (ends as u32, second);
        self.newer[second as usize] = key as u32;
        self.older[ends] = key as u32;
    }

    fn hit(&mut self, key: usize) -> bool {
        let resident = self.weights[key] > 0;
        if resident {
            self.unlink(key);
            self.link_newest(key);
        }
        resident
    }

    fn insert(&mut self, key: usize, weight: u64, bound: u64) {
        if weight > bound {
            return;
        }
        while self.used + weight > bound {
            let oldest = self.newer[self.ends()] as usize;
            self.unlink(oldest);
            self.used -= std::mem::take(&mut self.weights[oldest]);
        }
        self.weights[key] = weight;
        self.used += weight;
        self.link_newest(key);
    }
}

/// Drives the requests, of which each key is below `unique`, through an empty LRU.
pub(crate) fn drive(requests: &[Request], unique: u64, unit: Unit, bound: u64) -> Score {
    let mut lru = Lru::new(unique as usize);
    let mut score = Score::default();
    for request in requests {
        let key = request.key as usize;
        let hit = lru.hit(key);
        score.count(request, hit);
        if !hit {
            let weight = match unit {
                Unit::Entries => 1,
                Unit::Bytes => request.size.max(1),
            };
            lru.insert(key, weight, bound);
        }
    }
    score
}
