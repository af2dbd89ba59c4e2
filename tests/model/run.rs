//! Running cases, random or given, and shrinking those that fail.

use crate::op::{Config, Op};
use crate::open::open;
use crate::rig::Rig;
use crate::wary::Wary;
use crate::world::counted::new_world;
use crate::world::panics::{message, quietly};
use crate::world::random::mix;
use crate::world::{Random, count, seed};
use brimful::ManualClock;
use std::cell::Cell;
use std::collections::HashSet;

/// Runs a case to its end; the index of the operation that failed, and how.
pub(crate) fn run(config: &Config, ops: &[Op]) -> Result<(), (usize, String)> {
    let at = Cell::new(0);
    let end = quietly(|| run_case(config, ops, &at));
    end.map_err(|panic| (at.get(), message(&*panic)))
}

fn run_case(config: &Config, ops: &[Op], at: &Cell<usize>) {
    new_world();
    let config = &config.by_turns();
    let clock = ManualClock::new();
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

/// Leaves out operations that a failure does not need, by so many trials at most: unoptimised
/// they take a minute.
pub(crate) fn shrunk(config: &Config, ops: &[Op], (mut at, mut text): (usize, String)) -> String {
    let mut ops = ops[..ops.len().min(at + 1)].to_vec();
    let (mut chunk, mut trials) = (ops.len() / 2, 2_000);
    while chunk > 0 {
        let mut start = 0;
        while start < ops.len() && trials > 0 {
            trials -= 1;
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

/// Of all operations asked for, so many hundredths.
pub(crate) fn budget(hundredths: usize) -> usize {
    let all = count("BRIMFUL_MODEL_OPS", 120_000);
    all as usize / 100 * hundredths
}

/// Random cases of random operations, each with a seed of its own.
pub(crate) fn drive(hundredths: usize, config: impl Fn(&mut Random) -> Config) {
    let (seed, wanted) = (seed(), budget(hundredths));
    let (mut done, mut cases) = (0, 0_u64);
    while done < wanted.max(1) {
        let case = seed.wrapping_add(cases);
        let mut dice = Random(mix(case));
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
