//! B-trees: the most nodes that so many entries can need.
//!
//! std's tree is one of nodes of up to 11 entries; inner nodes have entries of their own, and
//! one edge more than entries. Every node but the root has at least 5 entries after any call, and
//! a root with edges has at least one. How full they are cannot be seen from outside, so the
//! bound is what that rule allows, for *n* entries in *L* leaves and *I* inner nodes, *I* > 0:
//!
//! - Each node but the root hangs on one edge, so there are *L* + *I* - 1 edges and, one less for
//!   each inner node, *L* - 1 entries in inner nodes. The other *n* - *L* + 1 are at least
//!   5 a leaf: *L* ≤ (*n* + 1) / 6.
//! - Of the edges the root has at least 2 and each other inner node 6:
//!   *L* + *I* - 1 ≥ 2 + 6 (*I* - 1), so *I* ≤ (*L* + 3) / 5.
//!
//! Below 11 entries this says at most one leaf, which an empty tree keeps once it had an entry.
//! One leaf needs no inner node, as the second says too.
//!
//! How far above: each leaf takes at most 11 entries and an inner one beside it, so there are at
//! least (*n* + 1) / 12 leaves, half of what is told, and at least (*L* - 1) / 11 inner nodes. A leaf
//! takes 24 bytes or more where there can be a second entry, and an inner node 96 more than a leaf. So
//! at most 2.75 times what is allocated is told, and 0.85 inner nodes for the rounding; it is
//! most where nodes are full, of entries of one byte.

use super::{HeapSize, all};
use std::collections::{BTreeMap, BTreeSet};

/// Entries that a node has place for.
const PLACES: usize = 11;

/// The fields of std's node; the compiler lays both out alike.
type Leaf<K, V> = (usize, [K; PLACES], [V; PLACES], u16, u16);

/// A leaf and its edges, in this order.
type Inner<K, V> = (Leaf<K, V>, [usize; PLACES + 1]);

/// What the nodes of a tree of so many entries take at most. O(1).
fn nodes<K, V>(entries: usize) -> usize {
    let leaves = ((entries + 1) / 6).max(1);
    let inner = (leaves + 3) / 5;
    leaves * size_of::<Leaf<K, V>>() + inner * size_of::<Inner<K, V>>()
}

impl<K: HeapSize, V: HeapSize> HeapSize for BTreeMap<K, V> {
    fn heap_size(&self) -> usize {
        nodes::<K, V>(self.len()) + all(self.keys()) + all(self.values())
    }
}

impl<T: HeapSize> HeapSize for BTreeSet<T> {
    fn heap_size(&self) -> usize {
        nodes::<T, ()>(self.len()) + all(self)
    }
}
