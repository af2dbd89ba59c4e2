//! Eviction policies: which entry leaves when room is needed.
//!
//! A policy decides the *order* of one shard's entries and nothing else. It
//! sees [`Tag`]s, weights and its own [`Meta`](Policy::Meta) in each entry, never keys or
//! values; the shard owns the entries and their weight, so a wrong policy can
//! make a cache forget the wrong things but can never break its bound.
//!
//! | policy | order | a hit | pick it when |
//! |---|---|---|---|
//! | [`Duel`] (default) | two FIFO queues, a border that learns, a duel at the exit | raises a count | you do not know better |
//! | [`S3Fifo`] | small and main FIFO queues, ghosts | sets a count | skewed traffic with one-timers, 4 bytes less an entry |
//! | [`Sieve`] | one FIFO queue and a hand | sets a bit | skewed traffic without scans |
//! | [`Lru`] | least recently used first | moves the entry | recency is all that helps |
//! | [`Fifo`] | oldest first | sets a bit for statistics | the order must be plain to all |
//! | [`Lfu`] | least often used first, with ageing | sets a count | popularity lasts and recency tells little |
//! | [`Gdsf`] | least often used by weight first, with ageing | sets a count | weights differ much and each miss costs the same |
//! | [`Chosen`] | that of one of these | sets a count, or moves the entry | a configuration says which |
//!
//! What each wins and loses on real traces is in [`guide::policies`](crate::guide::policies).
//!
//! What entries carry beside, a weight or a deadline, is no business of the policy: see
//! [`Form`](crate::Form).
//!
//! # Writing one
//!
//! The trait is stable: methods may be added to it, with a default. Here is a
//! policy that evicts at random; the example `own_policy` has one that looks at
//! weights. One that can be cloned tells in which order entries leave by three lines more,
//! [`Policy::order`].
//!
//! ```
//! use brimful::policy::{Policy, Residents, Slot, Tag, Touch};
//! use brimful::{Cache, Entries};
//!
//! #[derive(Debug)]
//! struct AtRandom(u64);
//!
//! impl Policy for AtRandom {
//!     type Meta = ();
//!     const TOUCH: Touch = Touch::Mark;
//!
//!     fn new(_share: u64, seed: u64) -> Self {
//!         Self(seed | 1)
//!     }
//!     fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}
//!     fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}
//!     fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
//!         self.0 ^= self.0 << 13;
//!         self.0 ^= self.0 >> 7;
//!         self.0 ^= self.0 << 17;
//!         residents.nth(self.0)
//!     }
//!     fn moved(&mut self, _: &mut impl Residents<()>) {}
//! }
//!
//! let cache: Cache<u32, u32, AtRandom> =
//!     Cache::builder(Entries(100)).policy::<AtRandom>().build()?;
//! cache.extend((0..1_000).map(|n| (n, n)));
//! assert_eq!(cache.len(), 100);
//! # Ok::<(), brimful::BuildError>(())
//! ```

mod chosen;
mod duel;
mod fifo;
mod ghost;
mod greedy;
mod history;
mod lru;
mod mark;
mod place;
mod queue;
mod rehearsal;
mod ring;
mod s3fifo;
mod segments;
mod sets;
mod shadows;
mod sieve;
mod sketch;
mod slot;

pub use slot::Slot;

pub use crate::tag::Tag;
pub use chosen::{Choice, Chosen, UnknownPolicy};
pub use duel::Duel;
pub use fifo::Fifo;
pub use greedy::{Gdsf, Greedy, GreedyMeta, Lfu};
pub use lru::Lru;
pub use mark::Mark;
pub use place::Place;
pub use rehearsal::rehearse;
pub(crate) use ring::MOST_LIVE;
pub use s3fifo::S3Fifo;
pub use sieve::Sieve;

/// What a hit may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Touch {
    /// The entry's count of hits, up to [`Policy::HITS`], and nothing else: a hit costs what
    /// finding the entry costs.
    Mark,
    /// The count, and a hit on an entry that the policy [watches](Residents::watch) is told by
    /// [`Policy::touch`], as with [`Touch::Order`]. A hit on another costs no more than with
    /// [`Touch::Mark`]. For policies that count to 3 hits at most.
    Watch,
    /// The order as well, by [`Policy::touch`]. Where threads share a cache it is called when a lock
    /// is next taken, for one hit after another of each thread; hits of several threads at once may
    /// be told in another order, and some not at all.
    Order,
}

/// What a shard makes its policy of, each time it begins anew.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seed {
    pub(crate) random: u64,
    pub(crate) choice: Choice,
}

impl Seed {
    /// An empty order.
    pub(crate) fn grow<P: Policy>(self, share: u64) -> P {
        P::chosen(self.choice, share, self.random)
    }
}

/// The entries of one shard, as a policy may see them.
///
/// The crate implements it; implement it yourself only to test a policy apart from a cache, and
/// expect methods to be added, with a default.
pub trait Residents<M> {
    /// The entry with this tag whose meta passes `is`. O(1) expected.
    fn find(&self, tag: Tag, is: impl Fn(&M) -> bool) -> Option<Slot>;

    /// The tag of an entry.
    fn tag(&self, slot: Slot) -> Option<Tag>;

    /// What the policy keeps in an entry.
    fn meta(&self, slot: Slot) -> Option<&M>;

    /// What the policy keeps in an entry, to be changed.
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut M>;

    /// How often an entry was hit since it was admitted, or since [`set_hits`](Self::set_hits):
    /// at most [`Policy::HITS`]. While others read, one of several hits at once may not be
    /// counted.
    fn hits(&self, slot: Slot) -> u32;

    /// Sets that count, as where an entry that was hit is given another round.
    fn set_hits(&mut self, slot: Slot, hits: u32);

    /// Watches an entry from now on until it leaves, where the policy's touch is [`Touch::Watch`].
    /// By default nothing.
    #[inline]
    fn watch(&mut self, _slot: Slot) {}

    /// The weight of an entry: 1 where entries have none of their own, 0 if
    /// they have but that slot is empty.
    fn weight(&self, slot: Slot) -> u64;

    /// Prefetches the memory of an entry that is wanted soon. A stale slot does no harm.
    /// By default nothing.
    #[inline]
    fn prefetch(&self, _slot: Slot) {}

    /// How many entries the shard holds.
    fn len(&self) -> usize;

    /// Whether the shard holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots of all entries, in no particular order. O(slots).
    fn slots(&self) -> impl Iterator<Item = Slot>;

    /// The first entry at or after this slot of the table, taken modulo their
    /// number: with a random number, nearly a random entry. O(1) expected.
    fn nth(&self, index: u64) -> Option<Slot>;
}

/// The order in which the entries of one shard leave.
///
/// Every call is made under the shard's lock. A
/// policy must not call into a cache and should not panic; if it does panic,
/// the bound still holds and no value is lost, but its own order may be off.
///
/// What a shard makes of answers that are wrong: a slot that holds no entry, or
/// `None` from a shard that is not empty, and the shard evicts an entry of its
/// own choice.
pub trait Policy: Sized {
    /// What each entry carries for this policy: `()`, or a type of your own. A new entry
    /// starts with the default.
    type Meta: Default;

    /// What a hit may change, known at compile time.
    const TOUCH: Touch;

    /// Up to how many hits the cache counts in each entry, for [`Residents::hits`]: 7 at most.
    /// A hit that is not to be counted any more writes nothing.
    const HITS: u32 = 0;

    /// Whether [`hit_a_ghost`](Policy::hit_a_ghost) tells anything.
    const GHOSTS: bool = false;

    /// An empty order for a shard whose fair share of the capacity is `share`,
    /// in the cache's unit (`u64::MAX` is possible: reserve nothing).
    /// `seed` differs between shards and, with a seeded hasher, between runs.
    fn new(share: u64, seed: u64) -> Self;

    /// An empty order of the kind that the builder has chosen, where that is known only while the
    /// program runs.
    #[doc(hidden)]
    #[inline]
    fn chosen(_choice: Choice, share: u64, seed: u64) -> Self {
        Self::new(share, seed)
    }

    /// Whether that kind hears of hits, or of some.
    #[doc(hidden)]
    #[inline]
    fn hears_of_hits(_choice: Choice) -> bool {
        Self::TOUCH != Touch::Mark
    }

    /// Whether that kind knows what it has evicted a moment ago.
    #[doc(hidden)]
    #[inline]
    fn keeps_ghosts(_choice: Choice) -> bool {
        Self::GHOSTS
    }

    /// A key that is not resident is about to be admitted with this weight. Called before
    /// room is made for it, once for each admission (seldom twice,
    /// where another key was announced in between).
    #[inline]
    fn announce(&mut self, _tag: Tag, _weight: u64) {}

    /// This key may be announced in a moment: the policy may prefetch what it knows of it.
    /// By default nothing.
    #[inline]
    fn prefetch(&self, _tag: Tag) {}

    /// Whether hits that were noted are to be told before this key is announced, where the touch is
    /// [`Touch::Watch`].
    #[inline]
    fn watches(&self, _tag: Tag) -> bool {
        false
    }

    /// How often the key that was announced last was asked for of late, this time included; so that
    /// of newcomers that are far heavier than the residents only those are let in that are
    /// [asked for again](crate::Builder::admit_heavy). By default `None`: all are let in.
    #[inline]
    fn asked(&mut self, _tag: Tag) -> Option<u32> {
        None
    }

    /// The entry in `slot` is new, and one of `residents` already: it enters the order. Its meta
    /// is the default; that of an entry admitted again is as it was.
    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Self::Meta>);

    /// A hit: called if `TOUCH` is [`Touch::Order`], or [`Touch::Watch`] and the entry is watched.
    #[inline]
    fn touch(&mut self, _slot: Slot, _residents: &mut impl Residents<Self::Meta>) {}

    /// The weight of the entry in `slot` has changed from `before` to what
    /// `residents` now says.
    #[inline]
    fn reweighed(
        &mut self,
        _slot: Slot,
        _before: u64,
        _residents: &mut impl Residents<Self::Meta>,
    ) {
    }

    /// The entry in `slot` is about to leave, not by this policy's choice; it is
    /// still one of `residents`, with the weight last told. Not called for a victim,
    /// nor when all leave at once: then a policy made by [`new`](Policy::new) takes over.
    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<Self::Meta>);

    /// Names the entry to evict and takes it out of the order. If the shard
    /// must keep that entry (its key is being replaced), it is admitted again.
    fn victim(&mut self, residents: &mut impl Residents<Self::Meta>) -> Option<Slot>;

    /// The table has moved its entries: every [`Slot`] from before now names
    /// nothing, or another entry. For policies that keep slots, to renew them from
    /// `residents`; tags stay good, and a policy that keeps only those has nothing to do. A
    /// policy that wraps another passes it on: that is why there is no default.
    /// Called when the table grows or shrinks: never while a full cache stays full.
    fn moved(&mut self, residents: &mut impl Residents<Self::Meta>);

    /// The shard's fair share of the capacity has changed.
    #[inline]
    fn resized(&mut self, _share: u64) {}

    /// Give unused memory back.
    #[inline]
    fn shrink_to_fit(&mut self, _residents: &mut impl Residents<Self::Meta>) {}

    /// Whether the key last announced by [`announce`](Policy::announce) was evicted a
    /// moment ago, for the statistics; `false` if the policy keeps no ghosts.
    #[inline]
    fn hit_a_ghost(&self) -> bool {
        false
    }

    /// Where the entry in `slot` stands in the order, for [`explain`](crate::Cache::explain): O(1)
    /// expected, and nothing changes. By default `None`: the policy does not tell.
    #[inline]
    fn place(&self, _slot: Slot, _residents: &impl Residents<Self::Meta>) -> Option<Place> {
        None
    }

    /// The entries in the order in which [`victim`](Policy::victim) would name them if nothing were
    /// hit or written meanwhile, for [`coldest`](crate::Cache::coldest): lazily, and nothing
    /// changes. A policy that can be cloned answers by [`rehearse`]. By default `None`: the
    /// policy does not tell.
    #[inline]
    fn order(&self, _residents: &impl Residents<Self::Meta>) -> Option<impl Iterator<Item = Slot>> {
        None::<std::iter::Empty<Slot>>
    }

    /// Whether a key of this tag, of which there is no entry, was evicted a moment ago, for
    /// [`explain`](crate::Cache::explain): O(1). By default `false`: the policy keeps no ghosts.
    #[inline]
    fn remembers(&self, _tag: Tag) -> bool {
        false
    }

    /// Panics if the order does not match the residents. Called by tests only.
    fn check(&self, _residents: &mut impl Residents<Self::Meta>) {}
}
