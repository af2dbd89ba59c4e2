//! `Chosen`: a policy that is chosen while the program runs, by a [`Choice`].
//!
//! One idea: entries carry what the greedy policies keep, of which a [`Mark`] is a part; so each of
//! this crate's policies finds its own in them, and one type of cache serves them all. What a policy
//! does under a choice is what it does by its type.
//!
//! Invariant: hits are counted up to what the greedy policies count, and the others are told no more
//! than they would have counted themselves.

use super::rehearsal::Copies;
use super::{Duel, Fifo, Gdsf, GreedyMeta, Lfu, Lru, Mark, S3Fifo, Sieve};
use super::{Place, Policy, Residents, Slot, Tag, Touch, rehearse};
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The name of a policy of this crate, for [`Builder::choose`](crate::Builder::choose): as it
/// stands in a configuration.
///
/// ```
/// use brimful::policy::Choice;
///
/// assert_eq!("s3-fifo".parse(), Ok(Choice::S3Fifo));
/// assert_eq!(Choice::S3Fifo.to_string(), "s3-fifo");
/// let error = "arc".parse::<Choice>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "no policy \"arc\": it is one of duel, s3-fifo, sieve, lru, fifo, lfu, gdsf"
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[non_exhaustive]
pub enum Choice {
    /// [`Duel`], the default.
    #[default]
    Duel,
    /// [`S3Fifo`].
    S3Fifo,
    /// [`Sieve`].
    Sieve,
    /// [`Lru`].
    Lru,
    /// [`Fifo`].
    Fifo,
    /// [`Lfu`].
    Lfu,
    /// [`Gdsf`].
    Gdsf,
}

impl Choice {
    /// All of them.
    ///
    /// ```
    /// use brimful::policy::Choice;
    ///
    /// assert!(Choice::ALL.iter().all(|choice| choice.name().parse() == Ok(*choice)));
    /// ```
    pub const ALL: [Self; 7] = [
        Self::Duel,
        Self::S3Fifo,
        Self::Sieve,
        Self::Lru,
        Self::Fifo,
        Self::Lfu,
        Self::Gdsf,
    ];

    /// Its name: `duel`, `s3-fifo`, `sieve`, `lru`, `fifo`, `lfu`, `gdsf`.
    ///
    /// ```
    /// assert_eq!(brimful::policy::Choice::Lru.name(), "lru");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duel => "duel",
            Self::S3Fifo => "s3-fifo",
            Self::Sieve => "sieve",
            Self::Lru => "lru",
            Self::Fifo => "fifo",
            Self::Lfu => "lfu",
            Self::Gdsf => "gdsf",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no policy of this name.
///
/// ```
/// use brimful::policy::{Choice, UnknownPolicy};
///
/// assert_eq!("LRU".parse::<Choice>(), Err(UnknownPolicy("LRU".to_owned())));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownPolicy(pub String);

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Choice::ALL.map(Choice::name).join(", ");
        write!(f, "no policy {:?}: it is one of {names}", self.0)
    }
}

impl Error for UnknownPolicy {}

impl FromStr for Choice {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        let mut all = Self::ALL.into_iter();
        all.find(|choice| choice.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

/// A policy that is chosen while the program runs, by [`Builder::choose`](crate::Builder::choose):
/// one type of cache for all of this crate's policies. It evicts what the chosen one would, but that
/// [`Duel`] has no shadows: of single hits it hears nothing, so it turns to recency more slowly.
///
/// What it costs beside that: entries carry 8 bytes for it, where most policies keep 4; each call of
/// the policy is a branch more; and hits write until 7 were counted. To tell the
/// [order](crate::Cache::coldest) it is copied, whichever it is.
///
/// ```
/// use brimful::policy::{Choice, Chosen};
/// use brimful::{Cache, Entries};
///
/// let policy: Choice = "lru".parse()?;
/// let cache: Cache<&str, u32, Chosen> = Cache::builder(Entries(2)).choose(policy).build()?;
/// cache.extend([("a", 1), ("b", 2)]);
/// cache.get("a");
/// cache.insert("c", 3);
/// assert!(!cache.contains_key("b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Chosen(Inner);

#[derive(Clone)]
enum Inner {
    Duel(Duel),
    S3Fifo(S3Fifo),
    Sieve(Sieve),
    Lru(Lru),
    Fifo(Fifo),
    Lfu(Lfu),
    Gdsf(Gdsf),
}

impl Chosen {
    fn choice(&self) -> Choice {
        match self.0 {
            Inner::Duel(_) => Choice::Duel,
            Inner::S3Fifo(_) => Choice::S3Fifo,
            Inner::Sieve(_) => Choice::Sieve,
            Inner::Lru(_) => Choice::Lru,
            Inner::Fifo(_) => Choice::Fifo,
            Inner::Lfu(_) => Choice::Lfu,
            Inner::Gdsf(_) => Choice::Gdsf,
        }
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chosen({})", self.choice())
    }
}

/// The residents as a policy sees them that keeps a [`Mark`] and counts so many hits.
struct Marked<'a, R> {
    residents: &'a mut R,
    most: u32,
}

fn marked<'a, P: Policy<Meta = Mark>, R>(residents: &'a mut R, _: &P) -> Marked<'a, R> {
    let most = P::HITS;
    Marked { residents, most }
}

impl<R: Residents<GreedyMeta>> Residents<Mark> for Marked<'_, R> {
    #[inline]
    fn find(&self, tag: Tag, is: impl Fn(&Mark) -> bool) -> Option<Slot> {
        self.residents.find(tag, |meta| is(&meta.mark))
    }

    #[inline]
    fn tag(&self, slot: Slot) -> Option<Tag> {
        self.residents.tag(slot)
    }

    #[inline]
    fn meta(&self, slot: Slot) -> Option<&Mark> {
        self.residents.meta(slot).map(|meta| &meta.mark)
    }

    #[inline]
    fn meta_mut(&mut self, slot: Slot) -> Option<&mut Mark> {
        self.residents.meta_mut(slot).map(|meta| &mut meta.mark)
    }

    #[inline]
    fn hits(&self, slot: Slot) -> u32 {
        self.residents.hits(slot).min(self.most)
    }

    #[inline]
    fn set_hits(&mut self, slot: Slot, hits: u32) {
        self.residents.set_hits(slot, hits);
    }

    #[inline]
    fn weight(&self, slot: Slot) -> u64 {
        self.residents.weight(slot)
    }

    #[inline]
    fn prefetch(&self, slot: Slot) {
        self.residents.prefetch(slot);
    }

    #[inline]
    fn len(&self) -> usize {
        self.residents.len()
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.residents.slots()
    }

    fn nth(&self, index: u64) -> Option<Slot> {
        self.residents.nth(index)
    }
}

/// Calls the chosen policy, without residents, or with them as it sees them.
macro_rules! ask {
    ($inner:expr, $policy:ident => $call:expr) => {
        match $inner {
            Inner::Duel($policy) => $call,
            Inner::S3Fifo($policy) => $call,
            Inner::Sieve($policy) => $call,
            Inner::Lru($policy) => $call,
            Inner::Fifo($policy) => $call,
            Inner::Lfu($policy) => $call,
            Inner::Gdsf($policy) => $call,
        }
    };
    ($inner:expr, $residents:ident, $policy:ident => $call:expr) => {
        match $inner {
            Inner::Duel($policy) => ask!(@ $policy, $residents, $call),
            Inner::S3Fifo($policy) => ask!(@ $policy, $residents, $call),
            Inner::Sieve($policy) => ask!(@ $policy, $residents, $call),
            Inner::Lru($policy) => ask!(@ $policy, $residents, $call),
            Inner::Fifo($policy) => ask!(@ $policy, $residents, $call),
            Inner::Lfu($policy) => $call,
            Inner::Gdsf($policy) => $call,
        }
    };
    (@ $policy:ident, $residents:ident, $call:expr) => {{
        let $residents = &mut marked($residents, $policy);
        $call
    }};
}

impl Policy for Chosen {
    type Meta = GreedyMeta;
    const TOUCH: Touch = Touch::Order;
    const HITS: u32 = Lfu::HITS;
    const GHOSTS: bool = true;

    fn new(share: u64, seed: u64) -> Self {
        Self::chosen(Choice::default(), share, seed)
    }

    fn chosen(choice: Choice, share: u64, seed: u64) -> Self {
        Self(match choice {
            Choice::Duel => Inner::Duel(Duel::new(share, seed).without_shadows()),
            Choice::S3Fifo => Inner::S3Fifo(S3Fifo::new(share, seed)),
            Choice::Sieve => Inner::Sieve(Sieve::new(share, seed)),
            Choice::Lru => Inner::Lru(Lru::new(share, seed)),
            Choice::Fifo => Inner::Fifo(Fifo::new(share, seed)),
            Choice::Lfu => Inner::Lfu(Lfu::new(share, seed)),
            Choice::Gdsf => Inner::Gdsf(Gdsf::new(share, seed)),
        })
    }

    #[inline]
    fn hears_of_hits(choice: Choice) -> bool {
        choice == Choice::Lru
    }

    fn keeps_ghosts(choice: Choice) -> bool {
        match choice {
            Choice::Duel => Duel::GHOSTS,
            Choice::S3Fifo => S3Fifo::GHOSTS,
            Choice::Sieve => Sieve::GHOSTS,
            Choice::Lru => Lru::GHOSTS,
            Choice::Fifo => Fifo::GHOSTS,
            Choice::Lfu => Lfu::GHOSTS,
            Choice::Gdsf => Gdsf::GHOSTS,
        }
    }

    #[inline]
    fn announce(&mut self, tag: Tag, weight: u64) {
        ask!(&mut self.0, policy => policy.announce(tag, weight));
    }

    fn asked(&mut self, tag: Tag) -> Option<u32> {
        ask!(&mut self.0, policy => policy.asked(tag))
    }

    #[inline]
    fn prefetch(&self, tag: Tag) {
        ask!(&self.0, policy => policy.prefetch(tag));
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&mut self.0, residents, policy => policy.admit(slot, tag, residents));
    }

    #[inline]
    fn touch(&mut self, slot: Slot, residents: &mut impl Residents<GreedyMeta>) {
        if let Inner::Lru(lru) = &mut self.0 {
            lru.touch(slot, &mut marked(residents, lru));
        }
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&mut self.0, residents, policy => policy.reweighed(slot, before, residents));
    }

    fn forget(&mut self, slot: Slot, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&mut self.0, residents, policy => policy.forget(slot, residents));
    }

    fn victim(&mut self, residents: &mut impl Residents<GreedyMeta>) -> Option<Slot> {
        ask!(&mut self.0, residents, policy => policy.victim(residents))
    }

    fn moved(&mut self, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&mut self.0, residents, policy => policy.moved(residents));
    }

    fn resized(&mut self, share: u64) {
        ask!(&mut self.0, policy => policy.resized(share));
    }

    fn shrink_to_fit(&mut self, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&mut self.0, residents, policy => policy.shrink_to_fit(residents));
    }

    #[inline]
    fn hit_a_ghost(&self) -> bool {
        ask!(&self.0, policy => policy.hit_a_ghost())
    }

    fn place(&self, slot: Slot, residents: &impl Residents<GreedyMeta>) -> Option<Place> {
        let residents = &mut Copies::of(residents);
        ask!(&self.0, residents, policy => policy.place(slot, residents))
    }

    fn order(&self, residents: &impl Residents<GreedyMeta>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }

    fn remembers(&self, tag: Tag) -> bool {
        ask!(&self.0, policy => policy.remembers(tag))
    }

    fn check(&self, residents: &mut impl Residents<GreedyMeta>) {
        ask!(&self.0, residents, policy => policy.check(residents));
    }
}
