//! Greedy policies: each entry is given a life, and the one with the least of
//! it left goes.
//!
//! ```text
//! life(e):   2^floor(log2(e.frequency * value)), value = 1 (Lfu) or 1 / weight (Gdsf)
//! hit(e):    e.hits = min(e.hits + 1, 7)
//! admit(e):  e.frequency = START + how often e was asked for in vain, as far as remembered
//!            place(e)
//! place(e):  e.due = age + life(e), e into the class of its life, at the back
//! victim():  v = of the oldest of each class the one with the least due
//!            if v.hits > 0, and not 64 were placed again: v.frequency += v.hits, v.hits = 0, place(v), again
//!            else: age = v.due, and v is the victim
//! ```
//!
//! `age` is what the papers call inflation: it makes up, all at once, for the
//! frequency that old entries have gathered. Since it only grows, the entries of
//! one class (which all have one life) stand in order of `due`, a class is a
//! ring, and only the oldest of each class is compared. Lives are powers of two:
//! there are at most 48 classes, and as many as are in use are kept.
//!
//! Invariants
//! 1. Each resident has one item, in the ring of its class.
//! 2. Within a class `due` never falls from old to new.
//! 3. Every `due` lies from `age` to `age` + the life of its class. So ages and
//!    dues need no more than their last 64 bits, and an entry no more of the age
//!    at which it was placed than 16 bits, in units of a part of its life.
//! 4. Classes stand by name, none is empty, each knows the `due` of its oldest.
//! 5. The holes of a ring outnumber its live items by 32 at most.
//!
//! An eviction compares the classes and places at most 64 entries again, each
//! paid for by a hit. What is remembered of the past are counts in a sketch:
//! misses at once, hits when the entry leaves. A shard of fewer than 64 entries
//! has no sketch: it would tell noise.
//!
//! Hit ratios at half and at twice each constant: mean of `Lfu` over real traces
//! bounded in entries (in brackets, points under LRU in the worst), mean of
//! `Gdsf` over those with sizes, bounded in bytes. As it is: 53.02 (1.6), 52.31.
//!
//! | constant | half | twice |
//! |---|---|---|
//! | `START` 2 | 53.12 (8.9), 52.45 | 52.53 (0.5), 52.04 |
//! | `REMEMBERED` 1 | 52.21 (1.3), 52.24 | 53.35 (1.8), 52.34 |
//! | `FEWEST` 64 | 53.02 (1.6), 52.31 | 52.66 (1.4), 52.30 |
//! | `PLACED_ANEW` 64 | 53.00 (1.7), 52.31 | 53.03 (1.6), 52.31 |
//! | no sketch | 51.56 (1.4), 51.95 | |

use super::ring::{Position, Ring};
use super::sketch::Sketch;
use super::{Mark, Place, Policy, Residents, Slot, Tag, Touch, rehearse};

/// The frequency of a newcomer; with 1, a hit weighs too much.
const START: u8 = 2;
/// The most entries that one eviction places again.
const PLACED_ANEW: usize = 64;
/// Keys that the sketch remembers for each resident.
const REMEMBERED: usize = 1;
/// Shards of fewer residents remember nothing.
const FEWEST: usize = 64;

/// A life is told in parts of 2^-12, so the age at which it began fits 16 bits.
const PARTS: u32 = 12;
/// The life of frequency 1 and weight 1, as a power of two: even frequency 255
/// stays below class 48, whose parts would leave fewer than 16 bits of an age.
const WHOLE: u32 = 52;

/// LFU with dynamic ageing: of the entries asked for least often the oldest goes.
///
/// Each entry lives for as long as its frequency earns it, and all age together
/// with every eviction, so an old favourite that is not asked for leaves in the
/// end: in a shard of `n` entries after at most some `64 n` misses. The past of
/// newcomers is remembered in a sketch. Frequencies count by powers of two.
///
/// Wins where some keys are asked for far more often than others over a long
/// time, and where scans pass by; loses to [`Lru`](super::Lru) where keys come
/// twice, soon, and never again. Weights play no part.
///
/// Hits raise a count in the entry. O(1) for hits, amortised O(1) for
/// misses: at most 8 classes are compared. Memory: 8 bytes in each entry, 4 to 8
/// of queue and 2 of sketch.
///
/// ```
/// use brimful::policy::Lfu;
/// use brimful::{Cache, Entries};
///
/// let cache = Cache::builder(Entries(3)).policy::<Lfu>().build()?;
/// cache.extend([("often", 1), ("once", 2), ("twice", 3)]);
/// (0..4).for_each(|_| drop(cache.get("often")));
/// (0..2).for_each(|_| drop(cache.get("twice")));
/// cache.insert("new", 4);
/// cache.insert("newer", 5);
/// assert!(cache.contains_key("often") && cache.contains_key("twice"));
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// Source: M. Arlitt, L. Cherkasova, J. Dilley, R. Friedrich, T. Jin,
/// "Evaluating Content Management Techniques for Web Proxy Caches",
/// Performance Evaluation Review 27(4), 2000 (there LFU-DA).
pub type Lfu = Greedy<false>;

/// Greedy-dual-size-frequency: large entries leave before small ones that are
/// asked for as often.
///
/// An entry is worth its frequency by its weight: room for one large entry is
/// room for many small ones, and so the most requests are answered, though not
/// the most bytes. Ages and remembers as [`Lfu`] does, and is the same as
/// [`Lfu`] where entries are counted.
///
/// Wins wherever weights differ much and each miss costs the same; loses where a
/// miss costs by its weight, as where bytes moved are what is paid for. Weights
/// of 2^40 and more count as equal.
///
/// Hits raise a count in the entry. O(1) for hits, amortised O(1) for
/// misses: at most 48 classes are compared, as a rule a dozen. Memory: 8 bytes in
/// each entry, 4 to 8 of queue and 2 of sketch.
///
/// ```
/// use brimful::policy::Gdsf;
/// use brimful::{Cache, Weight};
///
/// let cache = Cache::builder(Weight(100, |_: &u32, text: &String| text.len() as u64));
/// let cache = cache.policy::<Gdsf>().build()?;
/// (0..10).for_each(|n| drop(cache.insert(n, "small".to_owned())));
/// cache.insert(10, "large".repeat(10));
/// cache.insert(11, "small".to_owned());
/// assert!(!cache.contains_key(&10));
/// assert_eq!(cache.len(), 11);
/// # Ok::<(), brimful::BuildError>(())
/// ```
///
/// Source: L. Cherkasova, "Improving WWW Proxies Performance with
/// Greedy-Dual-Size-Frequency Caching Policy", HP Laboratories report
/// HPL-98-69R1, 1998. The classes are those of S. Ghandeharizadeh, S. Irani,
/// J. Lam, J. Yap, "CAMP: A Cost Adaptive Multi-Queue Eviction Policy for
/// Key-Value Stores", Middleware 2014.
pub type Gdsf = Greedy<true>;

/// What entries of [`Lfu`], [`Gdsf`] and [`Chosen`](super::Chosen) carry: 8 bytes.
#[derive(Clone, Debug, Default)]
pub struct GreedyMeta {
    /// The position in the ring.
    pub(super) mark: Mark,
    /// The age when it was placed, in parts of its life.
    placed: u16,
    class: u8,
    /// 0 until it is admitted.
    frequency: u8,
}

/// What [`Lfu`] and [`Gdsf`] are: of the entries that are worth least the oldest goes. With
/// `BY_WEIGHT` an entry is worth less the more it weighs.
#[derive(Clone, Default)]
pub struct Greedy<const BY_WEIGHT: bool> {
    classes: Vec<Class>,
    age: u64,
    sketch: Sketch,
    /// How often the key last announced was asked for, as far as remembered.
    asked: u8,
}

/// Entries of one life, oldest first.
#[derive(Clone)]
struct Class {
    /// The life of its entries is 2^(name + `PARTS`).
    name: u8,
    /// That of the oldest.
    due: u64,
    ring: Ring,
}

/// When an entry of this class that was placed at this age is due.
#[inline]
fn due(class: u8, age: u64) -> u64 {
    let placed = age >> class << class;
    placed.wrapping_add(1 << (u32::from(class) + PARTS))
}

/// The age when it was placed, but for parts that have no say.
#[inline]
fn placed_at(meta: &GreedyMeta, age: u64) -> u64 {
    let parts = age >> meta.class;
    let since = (parts as u16).wrapping_sub(meta.placed);
    parts.wrapping_sub(u64::from(since)) << meta.class
}

impl Class {
    fn new(name: u8) -> Self {
        Self {
            name,
            due: 0,
            ring: Ring::default(),
        }
    }

    #[cold]
    fn close_holes(&mut self, residents: &mut impl Residents<GreedyMeta>) {
        self.ring
            .shrink_to_fit(|slot, _, to| set_position(residents, slot, to));
    }
}

fn set_position(residents: &mut impl Residents<GreedyMeta>, slot: Slot, to: Position) {
    if let Some(meta) = residents.meta_mut(slot) {
        meta.mark.set_position(to);
    }
}

impl<const BY_WEIGHT: bool> std::fmt::Debug for Greedy<BY_WEIGHT> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if BY_WEIGHT { "Gdsf" } else { "Lfu" })
    }
}

impl<const BY_WEIGHT: bool> Greedy<BY_WEIGHT> {
    /// The name of the class that an entry of this frequency and weight belongs to.
    #[inline]
    fn name(frequency: u8, weight: u64) -> u8 {
        let weight = if BY_WEIGHT { weight.max(1) } else { 1 };
        let life = (u64::from(frequency) << WHOLE) / weight;
        life.max(1).ilog2().saturating_sub(PARTS) as u8
    }

    #[inline]
    fn find(&self, name: u8) -> Result<usize, usize> {
        self.classes.binary_search_by_key(&name, |class| class.name)
    }

    fn class(&mut self, name: u8) -> &mut Class {
        let index = self.find(name).unwrap_or_else(|index| {
            self.classes.insert(index, Class::new(name));
            index
        });
        &mut self.classes[index]
    }

    /// Gives an entry a new life, at the present age.
    fn place(
        &mut self,
        slot: Slot,
        (frequency, hits): (u8, u32),
        residents: &mut impl Residents<GreedyMeta>,
    ) {
        let name = Self::name(frequency, residents.weight(slot));
        if residents.meta(slot).is_none() {
            return;
        }
        let age = self.age;
        let class = self.class(name);
        let position = class
            .ring
            .push(slot, |slot, _, to| set_position(residents, slot, to));
        let Some(meta) = residents.meta_mut(slot) else {
            return;
        };
        if class.ring.live() == 1 {
            class.due = due(name, age);
        }
        meta.mark.set_position(position);
        meta.placed = (age >> name) as u16;
        meta.class = name;
        meta.frequency = frequency;
        residents.set_hits(slot, hits);
    }

    /// After an item has left the class: keeps invariants 4 and 5.
    fn settle(&mut self, index: usize, residents: &mut impl Residents<GreedyMeta>) {
        let age = self.age;
        let class = &mut self.classes[index];
        if class.ring.is_sparse() {
            class.close_holes(residents);
        }
        let oldest = class.ring.front();
        if let Some(meta) = oldest.and_then(|slot| residents.meta(slot)) {
            class.due = due(class.name, placed_at(meta, age));
        } else if class.ring.live() == 0 {
            self.classes.remove(index);
        }
        // Nothing is left that is older or younger than anything.
        if self.classes.is_empty() {
            self.age = 0;
        }
    }

    /// Takes out the entry that is due first, and tells when that is.
    fn pop(&mut self, residents: &mut impl Residents<GreedyMeta>) -> Option<(Slot, u64)> {
        let left = |class: &Class| class.due.wrapping_sub(self.age);
        let index = (0..self.classes.len()).min_by_key(|&index| left(&self.classes[index]))?;
        let class = &mut self.classes[index];
        let due = class.due;
        let slot = class.ring.pop()?;
        self.settle(index, residents);
        Some((slot, due))
    }

    /// How much of its life an entry has left.
    fn left(&self, meta: &GreedyMeta) -> u64 {
        due(meta.class, placed_at(meta, self.age)).wrapping_sub(self.age)
    }

    /// How many entries of a class leave before one of another that has so much left, which of
    /// those that have as much is the last if this class `goes_first`. O(log n) looks.
    fn due_before(
        &self,
        class: &Class,
        (left, goes_first): (u64, bool),
        residents: &impl Residents<GreedyMeta>,
    ) -> usize {
        class.ring.partition(|slot| {
            let theirs = residents.meta(slot).map(|meta| self.left(meta));
            theirs.is_some_and(|theirs| theirs < left || goes_first && theirs == left)
        })
    }

    #[inline]
    fn leaves(&mut self, tag: Tag, meta: &GreedyMeta, due: u64) {
        if !self.classes.is_empty() {
            self.age = due;
        }
        let earned = meta.frequency.saturating_sub(START);
        self.sketch.raise(tag, u32::from(earned));
    }

    /// Keeps the sketch in proportion to the residents.
    #[inline]
    fn fit_sketch(&mut self, residents: usize) {
        let wanted = residents * REMEMBERED;
        let slots = self.sketch.slots();
        if residents >= FEWEST && (wanted > slots || wanted < slots / 4) {
            self.sketch.fit(wanted + wanted / 8);
        }
    }

    fn check_class(&self, class: &Class, residents: &impl Residents<GreedyMeta>) {
        class.ring.check();
        assert!(!class.ring.is_sparse(), "a ring of holes");
        assert!(class.ring.live() > 0, "an empty class");
        let mut before = class.due.wrapping_sub(self.age);
        for (position, slot) in class.ring.iter() {
            let meta = residents.meta(slot).expect("a stale item");
            assert_eq!((meta.class, meta.mark.position()), (class.name, position));
            let due = due(class.name, placed_at(meta, self.age));
            let left = due.wrapping_sub(self.age);
            assert!(left <= 1 << (u32::from(class.name) + PARTS), "overdue");
            assert!(left >= before, "a class out of order");
            let name = Self::name(meta.frequency, residents.weight(slot));
            assert_eq!(name, class.name, "an entry of another class");
            assert!(
                Some(position) != class.ring.oldest() || due == class.due,
                "the oldest"
            );
            before = left;
        }
    }
}

impl<const BY_WEIGHT: bool> Policy for Greedy<BY_WEIGHT> {
    type Meta = GreedyMeta;
    const TOUCH: Touch = Touch::Mark;
    const HITS: u32 = 7;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    #[inline]
    fn prefetch(&self, tag: Tag) {
        self.sketch.prefetch(tag);
    }

    #[inline]
    fn announce(&mut self, tag: Tag, _weight: u64) {
        self.asked = self.sketch.count(tag) as u8;
        self.sketch.raise(tag, 1);
    }

    fn asked(&mut self, _: Tag) -> Option<u32> {
        // Before anybody had to leave nothing is remembered.
        let knows = BY_WEIGHT && self.sketch.slots() > 0;
        knows.then_some(u32::from(self.asked) + 1)
    }

    fn admit(&mut self, slot: Slot, _: Tag, residents: &mut impl Residents<GreedyMeta>) {
        let Some(meta) = residents.meta(slot) else {
            return;
        };
        // An entry that is admitted again, since its key is being replaced, has a past.
        let past = match meta.frequency {
            0 => (START + self.asked, 0),
            frequency => (frequency, residents.hits(slot)),
        };
        self.place(slot, past, residents);
    }

    /// A weight of another class is a new life; any other changes nothing.
    fn reweighed(&mut self, slot: Slot, _before: u64, residents: &mut impl Residents<GreedyMeta>) {
        let (Some(meta), Some(tag)) = (residents.meta(slot), residents.tag(slot)) else {
            return;
        };
        if Self::name(meta.frequency, residents.weight(slot)) != meta.class {
            self.forget(slot, residents);
            self.admit(slot, tag, residents);
        }
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<GreedyMeta>) {
        let Some(meta) = residents.meta(slot) else {
            return;
        };
        if let Ok(index) = self.find(meta.class) {
            let position = meta.mark.position();
            self.classes[index].ring.remove(position, slot);
            self.settle(index, residents);
        }
    }

    fn victim(&mut self, residents: &mut impl Residents<GreedyMeta>) -> Option<Slot> {
        self.fit_sketch(residents.len());
        for anew in 0..=PLACED_ANEW {
            let (slot, due) = self.pop(residents)?;
            let meta = residents.meta(slot)?;
            let hits = residents.hits(slot);
            if hits == 0 || anew == PLACED_ANEW {
                self.leaves(residents.tag(slot)?, meta, due);
                return Some(slot);
            }
            let frequency = meta.frequency.saturating_add(hits as u8);
            self.place(slot, (frequency, 0), residents);
        }
        None
    }

    fn moved(&mut self, residents: &mut impl Residents<GreedyMeta>) {
        for slot in residents.slots() {
            let Some(meta) = residents.meta(slot) else {
                continue;
            };
            if let Ok(index) = self.find(meta.class) {
                self.classes[index].ring.renew(meta.mark.position(), slot);
            }
        }
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<GreedyMeta>) {
        for class in &mut self.classes {
            class.close_holes(residents);
        }
        self.classes.shrink_to_fit();
        self.sketch.shrink(residents.len() * REMEMBERED);
    }

    /// Of other classes those that are due earlier stand before it. O(classes, log n).
    fn place(&self, slot: Slot, residents: &impl Residents<GreedyMeta>) -> Option<Place> {
        let meta = residents.meta(slot)?;
        let own = self.find(meta.class).ok()?;
        let left = self.left(meta);
        let mut ahead = self.classes[own].ring.before(meta.mark.position(), slot)?;
        for (index, class) in self.classes.iter().enumerate() {
            if index != own {
                ahead += self.due_before(class, (left, index < own), residents);
            }
        }
        let mut place = Place::new("queue", ahead, residents.len());
        place.spared = residents.hits(slot) > 0;
        Some(place)
    }

    fn order(&self, residents: &impl Residents<GreedyMeta>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }

    fn check(&self, residents: &mut impl Residents<GreedyMeta>) {
        let live: usize = self.classes.iter().map(|class| class.ring.live()).sum();
        assert_eq!(live, residents.len(), "items and residents");
        assert!(
            self.classes.is_sorted_by(|a, b| a.name < b.name),
            "the order of classes"
        );
        for class in &self.classes {
            self.check_class(class, residents);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A greedy policy and its residents: slot `n` holds key `n`.
    #[derive(Default)]
    struct Shop<const BY_WEIGHT: bool> {
        order: Greedy<BY_WEIGHT>,
        shelf: Shelf,
    }

    #[derive(Default)]
    struct Shelf(Vec<Option<(u64, GreedyMeta)>>, HashMap<usize, u32>);

    fn tag(key: usize) -> Tag {
        Tag::of((key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16)
    }

    impl Residents<GreedyMeta> for Shelf {
        fn find(&self, wanted: Tag, is: impl Fn(&GreedyMeta) -> bool) -> Option<Slot> {
            let found = |key: &usize| tag(*key) == wanted && self.meta(Slot(*key)).is_some_and(&is);
            (0..self.0.len()).find(found).map(Slot)
        }
        fn tag(&self, slot: Slot) -> Option<Tag> {
            self.meta(slot).map(|_| tag(slot.0))
        }
        fn meta(&self, slot: Slot) -> Option<&GreedyMeta> {
            Some(&self.0.get(slot.0)?.as_ref()?.1)
        }
        fn meta_mut(&mut self, slot: Slot) -> Option<&mut GreedyMeta> {
            Some(&mut self.0.get_mut(slot.0)?.as_mut()?.1)
        }
        fn hits(&self, slot: Slot) -> u32 {
            self.1.get(&slot.0).copied().unwrap_or(0)
        }
        fn set_hits(&mut self, slot: Slot, hits: u32) {
            self.1.insert(slot.0, hits);
        }
        fn weight(&self, slot: Slot) -> u64 {
            self.0
                .get(slot.0)
                .and_then(Option::as_ref)
                .map_or(0, |entry| entry.0)
        }
        fn len(&self) -> usize {
            self.0.iter().flatten().count()
        }
        fn slots(&self) -> impl Iterator<Item = Slot> {
            (0..self.0.len()).map(Slot)
        }
        fn nth(&self, _: u64) -> Option<Slot> {
            None
        }
    }

    impl<const BY_WEIGHT: bool> Shop<BY_WEIGHT> {
        fn add(&mut self, key: usize, weight: u64) {
            self.order.announce(tag(key), weight);
            let slots = self.shelf.0.len().max(key + 1);
            self.shelf.0.resize_with(slots, || None);
            self.shelf.0[key] = Some((weight, GreedyMeta::default()));
            self.order.admit(Slot(key), tag(key), &mut self.shelf);
        }

        fn ask(&mut self, key: usize, times: usize) {
            let hits = self.shelf.hits(Slot(key)) + times as u32;
            self.shelf.set_hits(Slot(key), hits.min(Lfu::HITS));
        }

        fn evict(&mut self) -> Option<usize> {
            let Slot(key) = self.order.victim(&mut self.shelf)?;
            self.shelf.0[key] = None;
            self.order.check(&mut self.shelf);
            Some(key)
        }

        fn remove(&mut self, key: usize) {
            self.order.forget(Slot(key), &mut self.shelf);
            self.shelf.0[key] = None;
        }

        fn reweigh(&mut self, key: usize, weight: u64) {
            let before = std::mem::replace(&mut self.shelf.0[key].as_mut().unwrap().0, weight);
            self.order.reweighed(Slot(key), before, &mut self.shelf);
            self.order.check(&mut self.shelf);
        }

        fn evict_all(&mut self) -> Vec<usize> {
            std::iter::from_fn(|| self.evict()).collect()
        }

        fn frequency(&self, key: usize) -> u8 {
            self.shelf.meta(Slot(key)).unwrap().frequency
        }
    }

    #[test]
    fn an_old_favourite_stays_long_and_leaves_within_its_bound() {
        const RESIDENTS: usize = 10;
        let mut shop = Shop::<false>::default();
        (0..RESIDENTS).for_each(|key| shop.add(key, 1));
        let mut next = RESIDENTS;
        let mut turn = |shop: &mut Shop<false>| {
            shop.add(next, 1);
            next = RESIDENTS + (next + 1) % RESIDENTS;
            shop.evict()
        };
        for _ in 0..30_000 {
            shop.ask(0, 7);
            turn(&mut shop);
        }
        assert_eq!(shop.frequency(0), 255);
        shop.shelf.set_hits(Slot(0), 0);
        shop.order.forget(Slot(0), &mut shop.shelf);
        shop.order.admit(Slot(0), tag(0), &mut shop.shelf);
        let survived = (1..=1_000).find(|_| turn(&mut shop) == Some(0)).unwrap();
        assert!(
            (32 * RESIDENTS..=65 * RESIDENTS).contains(&survived),
            "{survived}"
        );
    }

    #[test]
    fn of_those_asked_for_as_often_the_heaviest_leaves_first() {
        let mut shop = Shop::<true>::default();
        let weights = [1, 1 << 20, 100, 9, 10_000];
        weights
            .iter()
            .enumerate()
            .for_each(|(key, weight)| shop.add(key, *weight));
        assert_eq!(shop.evict_all(), [1, 4, 2, 3, 0]);

        let mut shop = Shop::<false>::default();
        weights
            .iter()
            .enumerate()
            .for_each(|(key, weight)| shop.add(key, *weight));
        assert_eq!(shop.evict_all(), [0, 1, 2, 3, 4], "LFU is blind to weights");
    }

    #[test]
    fn hits_outweigh_weight_by_their_number() {
        let mut shop = Shop::<true>::default();
        shop.add(0, 100);
        shop.add(1, 50);
        shop.ask(0, 7);
        assert_eq!(shop.evict_all(), [1, 0]);
    }

    #[test]
    fn the_extremes_of_weight_neither_wrap_nor_panic() {
        let mut shop = Shop::<true>::default();
        let weights = [u64::MAX, 0, 1 << 63, 1, 1 << 40, 1 << 41, (1 << 40) - 1];
        weights
            .iter()
            .enumerate()
            .for_each(|(key, weight)| shop.add(key, *weight));
        shop.order.check(&mut shop.shelf);
        (0..7).for_each(|key| shop.ask(key, 300));
        assert_eq!(shop.evict_all().len(), 7);
        weights
            .iter()
            .enumerate()
            .for_each(|(key, weight)| shop.add(key, *weight));
        shop.reweigh(3, u64::MAX);
        shop.reweigh(0, 0);
        let order = shop.evict_all();
        assert_eq!(order[5..], [1, 0], "the weightless leave last, {order:?}");
    }

    #[test]
    fn a_new_weight_is_a_new_life_and_nearly_the_same_one_changes_nothing() {
        let mut shop = Shop::<true>::default();
        (0..4).for_each(|key| shop.add(key, 64));
        shop.reweigh(0, 60);
        shop.reweigh(1, 1);
        shop.reweigh(3, 1_000);
        assert_eq!(shop.evict_all(), [3, 0, 2, 1]);
    }

    #[test]
    fn an_eviction_places_a_bounded_number_anew() {
        let mut shop = Shop::<false>::default();
        (0..100).for_each(|key| shop.add(key, 1));
        (0..100).for_each(|key| shop.ask(key, 1));
        assert_eq!(shop.evict(), Some(PLACED_ANEW));
        assert_eq!((shop.frequency(63), shop.frequency(65)), (START + 1, START));
    }

    #[test]
    fn an_entry_admitted_anew_keeps_its_past() {
        let mut shop = Shop::<false>::default();
        (0..3).for_each(|key| shop.add(key, 1));
        shop.ask(0, 5);
        assert_eq!(shop.order.victim(&mut shop.shelf), Some(Slot(1)));
        shop.order.admit(Slot(1), tag(1), &mut shop.shelf);
        assert_eq!(shop.frequency(1), START);
        assert_eq!(shop.frequency(0), START + 5);
        assert_eq!(shop.evict_all(), [2, 1, 0]);
    }

    #[test]
    fn what_was_asked_for_often_is_known_when_it_comes_back() {
        let mut shop = Shop::<false>::default();
        (0..200).for_each(|key| shop.add(key, 1));
        assert_eq!((0..100).filter_map(|_| shop.evict()).count(), 100);
        for _ in 0..5 {
            shop.add(7, 1);
            shop.remove(7);
        }
        shop.add(7, 1);
        assert!(shop.frequency(7) >= START + 5, "{}", shop.frequency(7));
        shop.add(1_000, 1);
        assert_eq!(shop.frequency(1_000), START);
    }

    #[test]
    fn a_small_shard_remembers_nothing() {
        let mut shop = Shop::<false>::default();
        (0..FEWEST - 1).for_each(|key| shop.add(key, 1));
        shop.evict_all();
        assert_eq!(shop.order.sketch.slots(), 0);
    }

    #[test]
    fn ages_that_wrap_change_no_order() {
        let run = |age: u64| {
            let mut shop = Shop::<true>::default();
            shop.order.age = age;
            let mut victims = Vec::new();
            for n in 0..3_000_usize {
                shop.add(n % 40, [1, 3, 70, 1 << 30][n * 7 % 4]);
                shop.ask(n % 40, n % 3);
                while shop.shelf.len() > 20 || n % 40 == 39 && shop.shelf.len() > 12 {
                    victims.push(shop.evict().unwrap());
                }
                if shop.shelf.0.get((n + 1) % 40).is_some_and(Option::is_some) {
                    shop.remove((n + 1) % 40);
                }
            }
            (victims, shop.order.age < age)
        };
        let (plain, _) = run(0);
        let (wrapped, did_wrap) = run(0_u64.wrapping_sub(1 << 56));
        assert!(did_wrap && plain.len() > 500);
        assert_eq!(plain, wrapped);
    }

    #[test]
    fn rings_hold_no_memory_for_holes_and_empty_classes_none_at_all() {
        let mut shop = Shop::<true>::default();
        for key in 0..2_000 {
            shop.add(key, 1 << (key % 30));
        }
        assert_eq!(shop.order.classes.len(), 30);
        (0..2_000)
            .filter(|key| key % 500 != 499)
            .for_each(|key| shop.remove(key));
        shop.order.check(&mut shop.shelf);
        let bytes = |shop: &Shop<true>| -> usize {
            let rings = shop.order.classes.iter().map(|class| class.ring.bytes());
            rings.sum()
        };
        assert_eq!(shop.shelf.len(), 4);
        assert!(shop.order.classes.len() <= 4);
        assert!(
            bytes(&shop) <= 4 * 4 * (2 * 32 + 16),
            "{} bytes",
            bytes(&shop)
        );
        shop.order.shrink_to_fit(&mut shop.shelf);
        shop.evict_all();
        assert!(shop.order.classes.is_empty());
    }

    #[test]
    fn the_sketch_shrinks_with_the_shard() {
        let mut shop = Shop::<false>::default();
        (0..1_000).for_each(|key| shop.add(key, 1));
        shop.evict();
        let full = shop.order.sketch.slots();
        assert!(full >= 999, "{full}");
        (1..900).for_each(|key| shop.remove(key));
        shop.order.shrink_to_fit(&mut shop.shelf);
        assert!(shop.order.sketch.slots() <= 128 + 32);
    }

    #[test]
    fn an_entry_carries_8_bytes() {
        assert_eq!(size_of::<GreedyMeta>(), 8);
    }
}
