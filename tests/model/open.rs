//! Opens the cache that a configuration asks for. Each policy and form has a type for each
//! of its doors, and those are costly to compile: the default and LRU have both doors, the
//! others one, by turns.

use crate::door::Face;
use crate::op::{Config, Extras};
use crate::pile::Order;
use crate::time::{Watched, ask};
use crate::world::counted::{Key, Spread, Val, hear, weigh};
use crate::world::door::{Counted, Opened};
use brimful::policy::{Duel, Fifo, Gdsf, Lru, Policy};
#[cfg(brimful_full)]
use brimful::policy::{Lfu, S3Fifo, Sieve};
use brimful::{BuildError, Builder, Cache, Capacity, Entries, ManualClock, Weight, unsync};
use std::time::Duration;

pub(crate) fn open(config: &Config, clock: &ManualClock) -> Face {
    Face(match config.order {
        Order::Lru => both::<Lru>(config, clock),
        Order::Duel => both::<Duel>(config, clock),
        Order::Fifo => even::<Fifo>(config, clock),
        #[cfg(brimful_full)]
        Order::S3Fifo => even::<S3Fifo>(config, clock),
        Order::Gdsf => even::<Gdsf>(config, clock),
        #[cfg(brimful_full)]
        Order::Sieve => odd::<Sieve>(config, clock),
        #[cfg(brimful_full)]
        Order::Lfu => odd::<Lfu>(config, clock),
        #[cfg(not(brimful_full))]
        order => unreachable!("{order:?} is compiled by `--cfg brimful_full` alone"),
    })
}

impl Config {
    /// With the one door that its policy has in its form, where it has only one.
    pub(crate) fn by_turns(&self) -> Self {
        let is_even = self.form() as usize % 2 == 0;
        let has_locks = match self.order {
            Order::Lru | Order::Duel => self.shards.is_some(),
            Order::Fifo | Order::S3Fifo | Order::Gdsf => is_even,
            Order::Sieve | Order::Lfu => !is_even,
        };
        Self {
            shards: has_locks.then_some(self.shards.unwrap_or(1)),
            ..self.clone()
        }
    }
}

/// The classes by which the form that records all counts.
pub(crate) const CLASSES: [&str; 3] = ["a third", "another", "the last"];

pub(crate) fn class_of(id: u32) -> usize {
    id as usize % CLASSES.len()
}

/// The cache that a builder makes, by the doors that its form has.
macro_rules! door {
    (locks, $config:ident, $builder:expr, $as:ident) => {{
        let shards = $config.shards.expect("a form with locks");
        Opened::<Cache<_, _, _, _>, _, _, _>::$as(built($builder.shards(shards).build()))
    }};
    (alone, $config:ident, $builder:expr, $as:ident) => {{
        assert_eq!($config.shards, None, "a form without locks");
        Opened::<unsync::Cache<_, _, _, _>, _, _, _>::$as(built($builder.build_unsync()))
    }};
    (both, $config:ident, $builder:expr, $as:ident) => {
        match $config.shards {
            None => door!(alone, $config, $builder, $as),
            Some(_) => door!(locks, $config, $builder, $as),
        }
    };
}

/// The caches of a policy in each of the six forms.
macro_rules! forms {
    ($name:ident: $counted:ident $ends:ident $idles:ident
     $weighed:ident $weighed_ends:ident $records:ident) => {
        fn $name<P: Policy + 'static>(config: &Config, clock: &ManualClock) -> Counted {
            let counted = || with::<_, P>(config, Entries(config.capacity as usize));
            let weighed = || with::<_, P>(config, Weight(config.capacity, weigh)).admit_heavy();
            let to_idle = config.lives.and_then(|lives| lives.to_idle);
            let to_idle = to_idle.unwrap_or(Duration::MAX);
            let forever = Duration::MAX;
            match config.form() {
                Extras::Forever => door!($counted, config, counted(), plain),
                Extras::Ends => {
                    let builder = counted().time_to_live(forever);
                    door!($ends, config, living(builder, config, clock), with_lives)
                }
                Extras::Idles => {
                    let builder = counted().time_to_idle(to_idle);
                    door!($idles, config, living(builder, config, clock), with_lives)
                }
                Extras::Weighed => door!($weighed, config, weighed(), weighed),
                Extras::WeighedEnds => {
                    let builder = weighed().time_to_live(forever);
                    let builder = living(builder, config, clock);
                    door!($weighed_ends, config, builder, weighed_with_lives)
                }
                Extras::WeighedRecords => {
                    let builder = weighed().time_to_idle(to_idle).record_ages();
                    let builder = builder.classes(CLASSES, |key, _| class_of(key.id.0));
                    let builder = living(builder, config, clock);
                    door!($records, config, builder, weighed_with_lives)
                }
            }
        }
    };
}

forms!(both: both both both both both both);
forms!(even: locks alone locks alone locks alone);
#[cfg(brimful_full)]
forms!(odd: alone locks alone locks alone locks);

fn with<C: Capacity<Key, Val>, P: Policy>(
    config: &Config,
    capacity: C,
) -> Builder<Key, Val, <C::Form as brimful::Form>::With<P>, Spread> {
    let builder = Cache::builder(capacity).policy::<P>();
    let builder = builder.hasher(config.spread).on_departure(hear);
    match config.limit {
        Some(limit) => builder.entry_limit(limit),
        None => builder,
    }
}

/// With the lives of a case, in a form that they don't change.
fn living<F: brimful::Form<Timed = F>>(
    mut builder: Builder<Key, Val, F, Spread>,
    config: &Config,
    clock: &ManualClock,
) -> Builder<Key, Val, F, Spread> {
    let lives = config.lives.expect("lives");
    if let Some(to_live) = lives.to_live {
        builder = builder.time_to_live(to_live);
    }
    if lives.rule.is_some() {
        let rule = move |key: &Key, value: &Val, left: Option<_>| {
            ask(lives.rules(key.id.0, value.id, left))
        };
        builder = builder.ttl_with(rule);
    }
    if lives.on_read.is_some() {
        let rule = move |key: &Key, value: &Val| ask(lives.rules_read(key.id.0, value.id));
        builder = builder.ttl_on_read(rule);
    }
    builder.clock(Watched(clock.clone()))
}

fn built<T>(cache: Result<T, BuildError>) -> T {
    cache.expect("a configuration that makes sense")
}
