//! `rehearse`: who would leave, one after another, found out on copies.
//!
//! One idea: a policy that decides when it is asked can say who is next only by deciding. So a copy
//! of it decides, on entries whose metas and hits are copied as it changes them; its order, and the
//! entries themselves, stay as they are. What it says is what it would do, by construction.
//!
//! Invariants
//! 1. What the copy changes is found in `changed`, all else in the shard.
//! 2. An entry that was named is gone: it is named once, so a rehearsal ends.

use super::{Policy, Residents, Slot, Tag};
use crate::hash::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use std::cell::Cell;

/// The entries in the order in which this policy, a copy of a shard's, would name them as victims
/// if nothing were hit or written meanwhile: for [`Policy::order`]. It changes neither the entries
/// nor the policy that it is a copy of.
///
/// Lazy: each item costs what a victim costs, and O(1) expected for each entry that the policy looks at
/// or changes. Ends where the policy names an entry twice, or none.
///
/// ```
/// use brimful::policy::{Policy, Residents, Slot, Tag, Touch, rehearse};
/// use brimful::{Cache, Entries};
///
/// /// Who was hit last goes first.
/// #[derive(Clone, Default)]
/// struct Mru(Vec<Tag>);
///
/// impl Policy for Mru {
///     type Meta = ();
///     const TOUCH: Touch = Touch::Order;
///
///     fn new(_share: u64, _seed: u64) -> Self {
///         Self::default()
///     }
///     fn admit(&mut self, _: Slot, tag: Tag, _: &mut impl Residents<()>) {
///         self.0.push(tag);
///     }
///     fn touch(&mut self, slot: Slot, residents: &mut impl Residents<()>) {
///         self.forget(slot, residents);
///         self.0.extend(residents.tag(slot));
///     }
///     fn forget(&mut self, slot: Slot, residents: &mut impl Residents<()>) {
///         let tag = residents.tag(slot);
///         self.0.retain(|&other| Some(other) != tag);
///     }
///     fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
///         residents.find(self.0.pop()?, |()| true)
///     }
///     fn moved(&mut self, _: &mut impl Residents<()>) {}
///     fn order(&self, residents: &impl Residents<()>) -> Option<impl Iterator<Item = Slot>> {
///         Some(rehearse(self.clone(), residents))
///     }
/// }
///
/// let cache: Cache<&str, u32, Mru> =
///     Cache::builder(Entries(10)).policy::<Mru>().shards(1).build()?;
/// cache.extend([("a", 1), ("b", 2), ("c", 3)]);
/// cache.get("a");
/// assert_eq!(cache.coldest(10), ["a", "c", "b"]);
/// assert_eq!(cache.evict(), Some(("a", 1)));
/// # Ok::<(), brimful::BuildError>(())
/// ```
pub fn rehearse<P>(mut policy: P, residents: &impl Residents<P::Meta>) -> impl Iterator<Item = Slot>
where
    P: Policy<Meta: Clone>,
{
    let mut copies = Copies::of(residents);
    std::iter::from_fn(move || {
        let slot = policy.victim(&mut copies)?;
        copies.take(slot).then_some(slot)
    })
}

/// A shard's entries as a copy of its policy finds and changes them.
pub(super) struct Copies<'a, M, R> {
    residents: &'a R,
    /// Metas and hits that are not any more as the shard has them, by slot; nothing of those that
    /// were named.
    changed: HashMap<usize, Option<(M, u32)>, RandomState>,
    /// How many were named.
    gone: usize,
}

impl<'a, M: Clone, R: Residents<M>> Copies<'a, M, R> {
    /// All of them, as the shard has them.
    pub(super) fn of(residents: &'a R) -> Self {
        Self {
            residents,
            changed: HashMap::default(),
            gone: 0,
        }
    }

    /// Takes an entry out; says whether it was there.
    fn take(&mut self, slot: Slot) -> bool {
        let is_here = self.residents.tag(slot).is_some() && self.is_here(slot);
        if is_here {
            self.changed.insert(slot.0, None);
            self.gone += 1;
        }
        is_here
    }

    fn is_here(&self, slot: Slot) -> bool {
        !matches!(self.changed.get(&slot.0), Some(None))
    }

    /// The meta and the hits of an entry, copied.
    fn copy(&mut self, slot: Slot) -> Option<&mut (M, u32)> {
        match self.changed.entry(slot.0) {
            Entry::Occupied(copied) => copied.into_mut().as_mut(),
            Entry::Vacant(vacant) => {
                let meta = self.residents.meta(slot)?.clone();
                vacant
                    .insert(Some((meta, self.residents.hits(slot))))
                    .as_mut()
            }
        }
    }
}

impl<M: Clone, R: Residents<M>> Residents<M> for Copies<'_, M, R> {
    fn find(&self, tag: Tag, is: impl Fn(&M) -> bool) -> Option<Slot> {
        // Entries may share a tag: of those that do, the first, then the second, and so on.
        (0_u32..).find_map(|nth| {
            let left = Cell::new(nth);
            let next = |_: &M| left.replace(left.get().wrapping_sub(1)) == 0;
            let Some(slot) = self.residents.find(tag, next) else {
                return Some(None);
            };
            self.meta(slot).is_some_and(&is).then_some(Some(slot))
        })?
    }

    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.residents.tag(slot).filter(|_| self.is_here(slot))
    }

    fn meta(&self, slot: Slot) -> Option<&M> {
        match self.changed.get(&slot.0) {
            Some(copied) => copied.as_ref().map(|(meta, _)| meta),
            None => self.residents.meta(slot),
        }
    }

    fn meta_mut(&mut self, slot: Slot) -> Option<&mut M> {
        self.copy(slot).map(|(meta, _)| meta)
    }

    fn hits(&self, slot: Slot) -> u32 {
        match self.changed.get(&slot.0) {
            Some(copied) => copied.as_ref().map_or(0, |&(_, hits)| hits),
            None => self.residents.hits(slot),
        }
    }

    fn set_hits(&mut self, slot: Slot, hits: u32) {
        if let Some((_, copied)) = self.copy(slot) {
            *copied = hits;
        }
    }

    fn weight(&self, slot: Slot) -> u64 {
        self.residents.weight(slot)
    }

    fn len(&self) -> usize {
        self.residents.len() - self.gone
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.residents.slots().filter(|&slot| self.is_here(slot))
    }

    fn nth(&self, index: u64) -> Option<Slot> {
        let mut slot = self.residents.nth(index)?;
        for _ in 0..self.gone {
            if self.is_here(slot) {
                break;
            }
            slot = self.residents.nth(slot.0 as u64 + 1)?;
        }
        Some(slot).filter(|&slot| self.is_here(slot))
    }
}
