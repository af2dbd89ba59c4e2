//! Sizing: what the cache would hit with less room, and with more.
//!
//! One idea: a cache of a part of the keys, chosen by their hashes, with that part of the
//! capacity, hits as the whole cache does (miniature simulation). A [`Miniature`] is a shard like
//! those of the cache, without keys and values: so it has the cache's own policy, weights and
//! lives. The [`Gauge`] has four of them, of a half, once, twice and four times the capacity, and
//! plays to each what befell the sampled keys (`lanes::samples`).
//!
//! ```text
//! a look-up   a hit in each miniature that has the key; one that lacks it takes it in if the cache
//!             had it, else when the cache stores it
//! a store     of a new key: into each miniature that lacks it (one that has it would not have
//!             missed, and so not have loaded it); of an older value's: into each
//! a removal   from each
//! ```
//!
//! What the cache itself hits is known, so the miniatures only tell the *difference* that another
//! capacity makes: to all hits the cache counted is added what a miniature has hit more than the
//! one of the cache's own capacity, times the keys of which one is sampled. Which of the most
//! popular keys are of the sample, the main error of such simulations, is the same for all four and
//! cancels out.
//!
//! The sample is as large as that the miniature of four times the capacity may hold up to
//! [`MOST`] entries: in a small cache it is all keys. It follows what entries weigh, and the
//! capacity; where that is a matter of more than a factor of two or of eight, all begin anew.
//!
//! Invariants
//! 1. The holder of the gauge's lock waits for no other lock and runs no user code but the policy.
//! 2. A miniature never holds more than its capacity, and together they hold 4 [`MOST`] entries
//!    at most, and what of the first [`FEW`] is heavier than the rest.
//! 3. A policy that panics stops the gauge for good, and nothing else.
//!
//! Sources: C. Waldspurger, T. Saemundsson, I. Ahmad, N. Park, "Cache Modeling and Optimization
//! using Miniature Simulations", USENIX ATC 2017; the correction takes the place of the one in C.
//! Waldspurger, N. Park, A. Garthwaite, I. Ahmad, "Efficient MRC Construction with SHARDS", FAST
//! 2015, which knows how many look-ups there were but not how many of them hit.

mod curve;
mod miniature;

pub use curve::Sizing;

use crate::form::Form;
use crate::lanes::{Event, Samples, What};
use crate::policy::Seed;
use crate::unwind::Panics;
use miniature::Miniature;

/// The capacities, in halves of the cache's.
const HALVES: [u64; 4] = [1, 2, 4, 8];

/// The index of the capacity that is the cache's own.
const OWN: usize = 1;

/// The index of the largest capacity.
const LARGEST: usize = 3;

/// For so many entries of the largest miniature the sample is chosen: it holds half as many
/// at least, unless that is all keys.
const MOST: u64 = if cfg!(brimful_loom) { 64 } else { 1 << 13 };

/// How many entries tell what they weigh in the mean.
const FEW: usize = 256;

/// After so many look-ups of sampled keys what was counted counts half.
const WINDOW: u64 = 1 << 16;

/// What a gauge has to know of its cache.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) capacity: u64,
    pub(crate) entry_limit: Option<u64>,
    pub(crate) admits_heavy: bool,
    pub(crate) seed: Seed,
    pub(crate) to_idle: u64,
}

impl Model {
    /// A part of an amount: so many halves of it, of one key in 2^`halvings`.
    fn part(amount: u64, halves: u64, halvings: u32) -> u64 {
        let whole = u128::from(amount) * u128::from(halves) / 2;
        let part = u64::try_from(whole >> halvings).unwrap_or(u64::MAX);
        part.max(u64::from(amount > 0))
    }

    /// What the miniature of so many halves of the capacity may hold.
    fn capacity(&self, halves: u64, halvings: u32) -> u64 {
        Self::part(self.capacity, halves, halvings)
    }
}

/// What was looked up and what of that hit, as the cache itself counts it.
pub(crate) type Counted = (u64, u64);

/// What was counted of late.
#[derive(Clone, Copy, Default)]
struct Window {
    /// What each miniature hit.
    hits: [u64; HALVES.len()],
    /// Look-ups of sampled keys.
    sampled: u64,
    lost: u64,
    /// Hits and misses of the cache.
    counted: Counted,
}

impl Window {
    fn halve(&mut self) {
        self.hits.iter_mut().for_each(|hits| *hits /= 2);
        self.sampled /= 2;
        self.lost /= 2;
        self.counted = (self.counted.0 / 2, self.counted.1 / 2);
    }
}

pub(crate) struct Gauge<F: Form> {
    model: Model,
    /// Of 2^this keys one is sampled.
    halvings: u32,
    /// In the order of `HALVES`; none any more if the policy has panicked.
    miniatures: Option<[Miniature<F>; HALVES.len()]>,
    window: Window,
    /// What was counted in all when the window was last brought up to date.
    counted: Counted,
    lost: u64,
}

impl<F: Form> Gauge<F> {
    /// A gauge that has seen nothing. From now on keys are sampled.
    pub(crate) fn new(model: Model, samples: &Samples) -> Self {
        let mut gauge = Self {
            model,
            halvings: 0,
            miniatures: None,
            window: Window::default(),
            counted: (0, 0),
            lost: 0,
        };
        // Where entries have weights of their own, what they weigh will show.
        let likely = if F::WEIGHED {
            0
        } else {
            model.capacity(HALVES[LARGEST], 0)
        };
        gauge.begin(halvings_for(likely), samples);
        gauge
    }

    /// Begins anew, with one key in 2^`halvings`.
    fn begin(&mut self, halvings: u32, samples: &Samples) {
        self.halvings = halvings;
        let model = &self.model;
        self.miniatures = Some(HALVES.map(|halves| Miniature::new(model, halves, halvings)));
        self.window = Window::default();
        samples.pick(Some(halvings));
    }

    /// Runs what calls the policy; stops for good if that panics.
    fn attempt(&mut self, samples: &Samples, code: impl FnOnce(&mut Self)) {
        if self.miniatures.is_none() {
            return;
        }
        let mut panics = Panics::none();
        panics.run(|| code(self));
        if !panics.is_none() {
            samples.pick(None);
            panics.drop(self.miniatures.take());
        }
    }

    /// Plays events to the miniatures. A value that one of them loads lives for `to_live`
    /// nanoseconds; `counted` are the cache's hits and misses so far.
    pub(crate) fn hear(
        &mut self,
        samples: &Samples,
        mut events: impl FnMut(&Samples) -> Option<Event>,
        to_live: Option<u64>,
        counted: impl Fn() -> Counted,
    ) {
        let mut heard = false;
        while let Some(mut event) = events(samples) {
            heard = true;
            if let (What::Hit, Some(life)) = (event.what, to_live) {
                event.life = life;
            }
            // It may be of an earlier, larger sample.
            if samples.picks(event.tag) {
                self.attempt(samples, |gauge| gauge.play(event));
            }
        }
        if heard {
            self.attempt(samples, |gauge| gauge.fit(samples, &counted));
        }
        if self.window.sampled >= WINDOW {
            self.bring_up_to_date(samples, counted());
            self.window.halve();
        }
    }

    fn play(&mut self, event: Event) {
        let Some(miniatures) = &mut self.miniatures else {
            return;
        };
        if matches!(event.what, What::Hit | What::Miss) {
            self.window.sampled += 1;
        }
        for (miniature, hits) in miniatures.iter_mut().zip(&mut self.window.hits) {
            match event.what {
                What::Hit | What::Miss if miniature.looks_up(event) => *hits += 1,
                What::Hit | What::Stored => miniature.stores(event, true),
                What::Miss => {}
                What::Replaced => miniature.stores(event, false),
                What::Removed => miniature.removes(event),
            }
        }
    }

    /// Begins anew if entries weigh so much more or less than it seemed that the sample is far
    /// too small or too large.
    fn fit(&mut self, samples: &Samples, counted: impl Fn() -> Counted) {
        let largest = self.miniatures.as_ref().map(|all| &all[LARGEST]);
        let Some(likely) = largest.and_then(Miniature::likely_full) else {
            return;
        };
        let is_sparse = likely < MOST / 8 && self.halvings > 0;
        if likely > 2 * MOST || is_sparse {
            let halvings = halvings_for(likely.saturating_mul(1 << self.halvings.min(63)));
            self.begin(halvings, samples);
            self.forget_counts(samples, counted());
        }
    }

    /// The window is as empty as if the cache had just begun.
    fn forget_counts(&mut self, samples: &Samples, counted: Counted) {
        self.window = Window::default();
        self.counted = counted;
        self.lost = samples.lost();
    }

    /// Adds to the window what the cache has counted since.
    fn bring_up_to_date(&mut self, samples: &Samples, counted: Counted) {
        let (before, lost) = (self.counted, samples.lost());
        self.window.counted.0 += counted.0.saturating_sub(before.0);
        self.window.counted.1 += counted.1.saturating_sub(before.1);
        self.window.lost += lost.saturating_sub(self.lost);
        (self.counted, self.lost) = (counted, lost);
    }

    /// All entries have left the cache.
    pub(crate) fn clear(&mut self, samples: &Samples) {
        self.attempt(samples, |gauge| {
            let model = &gauge.model;
            let miniature = |halves| Miniature::new(model, halves, gauge.halvings);
            gauge.miniatures = Some(HALVES.map(miniature));
        });
    }

    /// The capacity has changed: what was counted was of others. The miniatures go on, unless the
    /// sample is far too small or too large for the new one.
    pub(crate) fn resize(&mut self, capacity: u64, samples: &Samples, counted: Counted) {
        self.model.capacity = capacity;
        self.forget_counts(samples, counted);
        self.attempt(samples, |gauge| {
            let (model, halvings) = (gauge.model, gauge.halvings);
            for (miniature, halves) in gauge.miniatures.iter_mut().flatten().zip(HALVES) {
                miniature.resizes(model.capacity(halves, halvings));
            }
            gauge.fit(samples, || counted);
        });
    }

    /// What the cache would have hit of late.
    pub(crate) fn sizing(
        &mut self,
        samples: &Samples,
        counted: Counted,
        unit: &'static str,
    ) -> Sizing {
        self.bring_up_to_date(samples, counted);
        let window = &self.window;
        let (hits, misses) = (window.counted.0 as f64, window.counted.1 as f64);
        let heard = window.sampled as f64;
        let each = 2_f64.powi(self.halvings as i32) * (heard + window.lost as f64) / heard.max(1.0);
        let ratio = |more: f64| ((hits + more * each) / (hits + misses).max(1.0)).clamp(0.0, 1.0);
        let more = |index: usize| window.hits[index] as f64 - window.hits[OWN] as f64;
        let capacity = |index: usize| Model::part(self.model.capacity, HALVES[index], 0);
        Sizing {
            points: std::array::from_fn(|index| (capacity(index), ratio(more(index)))),
            sampled: window.sampled,
            lost: window.lost,
            one_in: 1_u64.checked_shl(self.halvings).unwrap_or(u64::MAX),
            stopped: self.miniatures.is_none(),
            unit,
        }
    }
}

/// How often the keys are to be halved, if the largest miniature of all of them held so many.
fn halvings_for(entries: u64) -> u32 {
    let times = entries.div_ceil(MOST).max(1);
    times
        .checked_next_power_of_two()
        .map_or(u64::BITS, u64::ilog2)
        .min(28)
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use crate::clock::FOREVER;
    use crate::form::{Sampled, Weighed};
    use crate::lanes::Lanes;
    use crate::policy::{Duel, Fifo, Lru};
    use crate::tag::Tag;
    use std::collections::VecDeque;

    fn model(capacity: u64) -> Model {
        Model {
            capacity,
            entry_limit: None,
            admits_heavy: false,
            seed: Seed {
                random: 1,
                ..Seed::default()
            },
            to_idle: FOREVER,
        }
    }

    fn event(what: What, tag: Tag, weight: u64) -> Event {
        Event {
            tag,
            what,
            weight,
            life: FOREVER,
            now: 0,
        }
    }

    /// Keys of which the low are the more popular, as tags.
    fn popular(keys: f64) -> impl Iterator<Item = Tag> {
        let mut state = 7_u64;
        std::iter::from_fn(move || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
            let key = keys.powf(uniform) as u64;
            Some(Tag::of(key.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 36))
        })
    }

    /// Plays look-ups to a gauge, of which a naive cache of its own capacity says what each found;
    /// answers what each miniature hit, and what naive caches of their capacities did.
    fn against_naive<F: Form>(moves_on_hit: bool, capacity: u64) -> ([u64; 4], [u64; 4]) {
        let samples = Lanes::none().sampled(1).samples;
        let mut gauge = Gauge::<F>::new(model(capacity), &samples);
        let most = HALVES.map(|halves| gauge.model.capacity(halves, gauge.halvings) as usize);
        let mut naive: [VecDeque<Tag>; 4] = Default::default();
        let mut hits = [0; 4];
        let tags = popular(8.0 * capacity as f64).filter(|&tag| samples.picks(tag));
        for tag in tags.take(20_000) {
            for ((order, hits), most) in naive.iter_mut().zip(&mut hits).zip(most) {
                let found = order.iter().position(|&other| other == tag);
                *hits += u64::from(found.is_some());
                if let (Some(index), true) = (found, moves_on_hit) {
                    order.remove(index);
                }
                if found.is_none() || moves_on_hit {
                    order.push_back(tag);
                }
                if order.len() > most {
                    order.pop_front();
                }
            }
            // Hits and misses are told alike, whatever the cache itself had.
            gauge.play(event(What::Hit, tag, 1));
        }
        gauge
            .miniatures
            .iter_mut()
            .flatten()
            .for_each(Miniature::check);
        (gauge.window.hits, hits)
    }

    #[test]
    fn miniatures_hit_as_naive_caches_of_the_same_keys_do() {
        for capacity in [1, 2, 7, 100, 700, 5_000] {
            let (hits, naive) = against_naive::<Sampled<Lru>>(true, capacity);
            assert_eq!(hits, naive, "LRU of {capacity}");
            let (hits, naive) = against_naive::<Sampled<Fifo>>(false, capacity);
            assert_eq!(hits, naive, "FIFO of {capacity}");
        }
    }

    #[test]
    fn what_is_stored_and_removed_is_so_in_all_and_what_is_missed_waits_for_its_store() {
        let samples = Lanes::none().sampled(1).samples;
        let mut gauge = Gauge::<Sampled<Duel>>::new(model(100), &samples);
        let tag = Tag::of(77);
        let mut play = |what| {
            gauge.play(event(what, tag, 1));
            gauge.window.hits
        };
        assert_eq!(play(What::Miss), [0; 4]);
        assert_eq!(play(What::Miss), [0; 4]);
        play(What::Stored);
        assert_eq!(play(What::Hit), [1; 4]);
        play(What::Replaced);
        assert_eq!(play(What::Miss), [2; 4]);
        play(What::Removed);
        assert_eq!(play(What::Hit), [2; 4]);
        assert_eq!(play(What::Hit), [3; 4], "what the cache has they take in");
    }

    #[test]
    fn the_sample_follows_what_entries_weigh() {
        let samples = Lanes::none().sampled(1).samples;
        let mut gauge = Gauge::<Weighed<Sampled<Lru>>>::new(model(1 << 30), &samples);
        assert_eq!(gauge.halvings, 0);
        let fill = |gauge: &mut Gauge<_>, weight| {
            for n in 0..20_000_u64 {
                let tag = Tag::of(n.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 36);
                let mut one = Some(event(What::Stored, tag, weight)).into_iter();
                gauge.hear(&samples, |_| one.next(), None, || (0, 0));
            }
            gauge
                .miniatures
                .iter_mut()
                .flatten()
                .for_each(Miniature::check);
            gauge.halvings
        };
        // 2^20 entries of 2^10: of four times as many one in 2^9 makes 2^13.
        assert_eq!(fill(&mut gauge, 1 << 10), 9);
        gauge.clear(&samples);
        // Few heavy ones: all of them.
        gauge.resize(1 << 20, &samples, (0, 0));
        assert_eq!(
            gauge.halvings, 9,
            "as nothing is known of their weights now"
        );
        assert_eq!(fill(&mut gauge, 1 << 10), 0);
    }

    #[test]
    fn one_key_in_so_many_is_sampled_that_the_largest_holds_what_it_should() {
        let bounds = [0, 1, 1_024, 2_048, 2_049, 100_000, 1 << 40, u64::MAX];
        let halvings = bounds.map(|bound| {
            let samples = Lanes::none().sampled(1).samples;
            let gauge = Gauge::<Sampled<Duel>>::new(model(bound), &samples);
            let largest = gauge.model.capacity(HALVES[LARGEST], gauge.halvings);
            assert!(bound > 1 << 38 || largest <= MOST);
            assert!(gauge.halvings == 0 || largest > MOST / 2);
            gauge.halvings
        });
        assert_eq!(halvings, [0, 0, 0, 0, 1, 6, 28, 28]);
    }
}
