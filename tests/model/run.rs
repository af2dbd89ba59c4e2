//! Running cases, random or given, and shrinking those that fail.

use crate::op::{Config, Op};
use crate::open::open;
use crate::rig::Rig;
use crate::wary::Wary;
use crate::world::{Dice, WORLD, mix, new_world};
use brimful::HandClock;
use std::cell::Cell;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Runs a case to its end; the index of the operation that failed, and how.
pub(crate) fn run(config: &Config, ops: &[Op]) -> Result<(), (usize, String)> {
    let at = Cell::new(0);
    WORLD.with(|world| world.quiet.set(true));
    let result = catch_unwind(AssertUnwindSafe(|| run_case(config, ops, &at)));
    WORLD.with(|world| world.quiet.set(false));
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        (at.get(), text.unwrap_or_default())
    })
}

fn run_case(config: &Config, ops: &[Op], at: &Cell<usize>) {
    new_world();
    let clock = HandClock::new();
    let mut rig = Rig::new(open(config, &clock), clock, config);
    if config.contrary {
        return play_warily(rig, ops, at);
    }
    for (index, op) in ops.iter().enumerate() {
        at.set(index);
        rig.step(*op);
        if (index + 1) % config.every == 0 {
            rig.compare_all();
        }
    }
    at.set(ops.len());
    rig.finish(mix(ops.len() as u64));
}

fn play_warily(rig: Rig, ops: &[Op], at: &Cell<usize>) {
    let told = HashSet::new();
    let mut wary = Wary { rig, told };
    for (index, op) in ops.iter().enumerate() {
        at.set(index);
        wary.step(*op);
    }
    wary.rig.door.check();
}

/// Leaves out all operations that a failure does not need.
pub(crate) fn shrunk(config: &Config, ops: &[Op], (mut at, mut text): (usize, String)) -> String {
    let mut ops = ops[..ops.len().min(at + 1)].to_vec();
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut start = 0;
        while start < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(start..fewer.len().min(start + chunk));
            match run(config, &fewer) {
                Err(failure) => {
                    (at, text) = failure;
                    fewer.truncate(at + 1);
                    ops = fewer;
                }
                Ok(()) => start += chunk,
            }
        }
        chunk /= 2;
    }
    format!("{text}\n  {config:?}\n  fails at operation {at} of {ops:#?}")
}

/// Panics of a case are caught, shrunk and told once, not one by one.
pub(crate) fn hush_expected_panics() {
    static HUSH: Once = Once::new();
    HUSH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !WORLD.try_with(|world| world.quiet.get()).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let digits = text.replace('_', "");
    Some(
        digits
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

pub(crate) fn seed() -> u64 {
    let random = || std::hash::RandomState::new().hash_one(1_u8);
    from_environment("BRIMFUL_SEED").unwrap_or_else(random)
}

/// Of all operations asked for, so many hundredths.
pub(crate) fn budget(hundredths: usize) -> usize {
    let all = from_environment("BRIMFUL_MODEL_OPS").unwrap_or(1_000_000);
    all as usize / 100 * hundredths
}

/// Random cases of random operations, each with a seed of its own.
pub(crate) fn drive(hundredths: usize, config: impl Fn(&mut Dice) -> Config) {
    hush_expected_panics();
    let (seed, wanted) = (seed(), budget(hundredths));
    let (mut done, mut cases) = (0, 0_u64);
    println!("BRIMFUL_SEED={seed}");
    while done < wanted.max(1) {
        let case = seed.wrapping_add(cases);
        let mut dice = Dice(mix(case));
        let config = config(&mut dice);
        let length = 1 + dice.below(3_000);
        let ops: Vec<Op> = (0..length).map(|_| Op::of(dice.throw(), &config)).collect();
        if let Err((at, text)) = run(&config, &ops) {
            let last = &ops[at.saturating_sub(5)..ops.len().min(at + 1)];
            println!("operation {at} failed: {text}\nthe last ones: {last:?}");
            let shrunk = shrunk(&config, &ops, (at, text));
            panic!("replay by BRIMFUL_SEED={case} BRIMFUL_MODEL_OPS=1\n{shrunk}");
        }
        done += ops.len();
        cases += 1;
    }
    println!("{done} operations in {cases} cases agree");
}
