//! Opens the cache that a configuration asks for: one type for each policy, form
//! of lives, weights and door.

use crate::door::{Door, Opened, synced, unsynced};
use crate::op::{Config, Form};
use crate::pile::Order;
use crate::time::{Watched, ask};
use crate::world::{Key, Spread, Val, listen, weigh};
use brimful::policy::{Duel, Fifo, Gdsf, Lfu, Life, Lru, Policy, S3Fifo, Sieve};
use brimful::{BuildError, Builder, Cache, Capacity, Entries, HandClock, Weight};
use std::time::Duration;

pub(crate) fn open(config: &Config, clock: &HandClock) -> Box<dyn Door> {
    match config.order {
        Order::Lru => open_with::<Lru>(config, clock),
        Order::Fifo => open_with::<Fifo>(config, clock),
        Order::Sieve => open_with::<Sieve>(config, clock),
        Order::S3Fifo => open_with::<S3Fifo>(config, clock),
        Order::Lfu => open_with::<Lfu>(config, clock),
        Order::Gdsf => open_with::<Gdsf>(config, clock),
        Order::Duel => open_with::<Duel>(config, clock),
    }
}

/// The cache that a builder makes, with or without locks, and the words it has.
macro_rules! opened {
    ($config:ident, $builder:expr, $weights:ident, $lives:ident, $both:ident) => {
        match $config.shards {
            None => Box::new(Opened {
                cache: built($builder.build_unsync()),
                weights: unsynced::$weights(),
                lives: unsynced::$lives(),
                both: unsynced::$both(),
            }),
            Some(shards) => Box::new(Opened {
                cache: built($builder.shards(shards).build()),
                weights: synced::$weights(),
                lives: synced::$lives(),
                both: synced::$both(),
            }),
        }
    };
}

fn open_with<P: Policy + 'static>(config: &Config, clock: &HandClock) -> Box<dyn Door> {
    let counted = || with::<_, P>(config, Entries(config.capacity as usize));
    let weighed = || with::<_, P>(config, Weight(config.capacity, weigh));
    let to_idle = config.lives.and_then(|lives| lives.to_idle);
    let to_idle = to_idle.unwrap_or(Duration::MAX);
    let forever = Duration::MAX;
    match (config.weighed, config.form()) {
        (false, Form::Forever) => opened!(config, counted(), none, none, none),
        (false, Form::Ends | Form::Records) => {
            let builder = counted().time_to_live(forever);
            opened!(config, living(builder, config, clock), none, lives, none)
        }
        (false, Form::Idles) => {
            let builder = counted().time_to_idle(to_idle);
            opened!(config, living(builder, config, clock), none, lives, none)
        }
        (true, Form::Forever) => opened!(config, weighed(), weights, none, none),
        (true, Form::Ends) => {
            let builder = weighed().time_to_live(forever);
            opened!(config, living(builder, config, clock), weights, lives, both)
        }
        (true, Form::Records | Form::Idles) => {
            let builder = weighed().time_to_idle(to_idle).record_lives();
            opened!(config, living(builder, config, clock), weights, lives, both)
        }
    }
}

fn with<C: Capacity<Key, Val>, P: Policy>(
    config: &Config,
    capacity: C,
) -> Builder<Key, Val, C, P, Spread> {
    let builder = Cache::builder(capacity).policy::<P>();
    let builder = builder.hasher(config.spread).on_departure(listen);
    match config.limit {
        Some(limit) => builder.entry_limit(limit),
        None => builder,
    }
}

/// With the lives of a case, in a form that they don't change.
fn living<C, P, L: Life<Ending = L>>(
    mut builder: Builder<Key, Val, C, P, Spread, L>,
    config: &Config,
    clock: &HandClock,
) -> Builder<Key, Val, C, P, Spread, L> {
    let lives = config.lives.expect("lives");
    if let Some(to_live) = lives.to_live {
        builder = builder.time_to_live(to_live);
    }
    if lives.rule.is_some() {
        let rule = move |key: &Key, value: &Val| ask(lives.rules(key.id.0, value.id));
        builder = builder.life(rule);
    }
    if lives.on_read.is_some() {
        let rule = move |key: &Key, value: &Val| ask(lives.rules_read(key.id.0, value.id));
        builder = builder.life_on_read(rule);
    }
    builder.clock(Watched(clock.clone()))
}

fn built<T>(cache: Result<T, BuildError>) -> T {
    cache.expect("a configuration that makes sense")
}
