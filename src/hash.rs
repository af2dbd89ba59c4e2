//! The default hasher, and which bits of a hash pick what.
//!
//! A key is hashed once per call, before any lock. The result is multiplied by
//! an odd constant, so that a weak hasher (the identity, say) still spreads keys:
//! then the high bits pick the shard, and the high bits of a second such product
//! becomes the [`Tag`]: among the keys of one shard, which are alike in the high bits of
//! the first, it is spread all the same.

use crate::tag::Tag;
use std::hash::{BuildHasher, Hash};

/// The default hasher: `ahash` with fresh seeds for every cache, so that
/// an attacker cannot choose keys that collide.
#[derive(Clone)]
pub struct RandomState(ahash::RandomState);

impl Default for RandomState {
    /// Draws four fresh seeds from the standard library's source of randomness.
    fn default() -> Self {
        let seed = |n: u64| std::hash::RandomState::new().hash_one(n);
        Self(ahash::RandomState::with_seeds(
            seed(1),
            seed(2),
            seed(3),
            seed(4),
        ))
    }
}

impl std::fmt::Debug for RandomState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RandomState")
    }
}

impl BuildHasher for RandomState {
    type Hasher = Hasher;

    #[inline]
    fn build_hasher(&self) -> Hasher {
        Hasher(self.0.build_hasher())
    }

    #[inline]
    fn hash_one<T: Hash>(&self, x: T) -> u64 {
        self.0.hash_one(x)
    }
}

/// The state of one hash under [`RandomState`].
#[derive(Clone, Debug)]
pub struct Hasher(ahash::AHasher);

impl std::hash::Hasher for Hasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.0.write_u8(n);
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.0.write_u32(n);
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.0.write_u64(n);
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.0.write_usize(n);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// A key's mixed hash; in its order the shards are in order too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Hashed(u64);

impl Hashed {
    /// Hashes `key` and mixes the result (by 2^64 over the golden ratio). Calls
    /// the user's `Hash` exactly once.
    #[inline]
    pub(crate) fn new<S: BuildHasher, Q: Hash + ?Sized>(hasher: &S, key: &Q) -> Self {
        Self(hasher.hash_one(key).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The shard of this key among `shards`, by multiply-shift: any number will do.
    #[inline]
    pub(crate) fn shard(self, shards: usize) -> usize {
        ((u128::from(self.0) * shards as u128) >> 64) as usize
    }

    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag::of(self.0.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 36)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasherDefault;

    /// The weakest hasher there is: the key itself.
    #[derive(Default)]
    struct Identity(u64);
    impl std::hash::Hasher for Identity {
        fn write(&mut self, _: &[u8]) {
            unreachable!("only u64 keys are hashed here")
        }
        fn write_u64(&mut self, n: u64) {
            self.0 = n;
        }
        fn finish(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn sequential_keys_under_the_identity_fill_shards_and_tags_evenly() {
        let hasher = BuildHasherDefault::<Identity>::default();
        for stride in [1_u64, 64, 4096, 1 << 20, 1 << 40, 1 << 48] {
            let mut shards = [0_u32; 16];
            let mut homes = [[0_u32; 32]; 16];
            let mut tags = std::collections::HashSet::new();
            for i in 0..16_000_u64 {
                let hashed = Hashed::new(&hasher, &(i * stride));
                let shard = hashed.shard(16);
                shards[shard] += 1;
                homes[shard][hashed.tag().bits() as usize >> 27] += 1;
                tags.insert(hashed.tag());
            }
            // About 31 for each.
            let most = homes.iter().flatten().max();
            assert!(most < Some(&80), "{stride}: {most:?} in one place");
            assert!(
                shards.iter().all(|n| (700..1300).contains(n)),
                "{stride}: {shards:?}"
            );
            assert!(tags.len() > 15_000, "{stride}: {} tags", tags.len());
        }
    }

    #[test]
    fn the_shard_is_within_range_for_every_count() {
        for shards in 1..200 {
            assert!(Hashed(u64::MAX).shard(shards) == shards - 1);
            assert!(Hashed(0).shard(shards) == 0);
        }
    }

    #[test]
    fn two_caches_never_share_their_seeds() {
        assert_ne!(
            RandomState::default().hash_one(7_u64),
            RandomState::default().hash_one(7_u64)
        );
    }
}
