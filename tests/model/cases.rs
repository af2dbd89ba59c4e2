//! Random cases: what they are made of, and how many of each.

use crate::op::{Config, Hefts, Op};
use crate::pile::Order;
use crate::run::{budget, drive, run};
use crate::time::Lives;
use crate::world::counted::Spread;
use crate::world::{Random, seed};
use proptest::prelude::any;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

fn any_config(order: Order) -> impl Fn(&mut Random) -> Config {
    move |dice| Config::of(order, [dice.throw(), dice.throw(), dice.throw()])
}

#[test]
fn lru_evicts_the_least_recently_used_whatever_is_done_to_it() {
    drive(7, any_config(Order::Lru));
}

#[test]
fn fifo_evicts_the_oldest_whatever_is_done_to_it() {
    drive(7, any_config(Order::Fifo));
}

#[test]
#[cfg(brimful_full)]
fn sieve_evicts_whom_its_paper_says_whatever_is_done_to_it() {
    drive(7, any_config(Order::Sieve));
}

#[test]
#[cfg(brimful_full)]
fn s3_fifo_evicts_whom_its_queues_say_whatever_is_done_to_it() {
    drive(7, any_config(Order::S3Fifo));
}

#[test]
#[cfg(brimful_full)]
fn lfu_evicts_who_is_due_first_whatever_is_done_to_it() {
    drive(7, any_config(Order::Lfu));
}

#[test]
fn gdsf_evicts_who_is_due_first_whatever_is_done_to_it() {
    drive(7, any_config(Order::Gdsf));
}

/// Mostly few shards, which are seldom in doubt, and large enough for ghosts of
/// both queues.
fn duel_config(dice: &mut Random) -> Config {
    let mut throw = dice.throw();
    if dice.below(4) > 0 {
        throw[0] %= 4;
        throw[1] = 4 + throw[1] % 37;
    }
    Config::of(Order::Duel, [throw, dice.throw(), dice.throw()])
}

#[test]
fn duel_evicts_whom_its_pseudo_code_says_whatever_is_done_to_it() {
    drive(14, duel_config);
}

fn any_order(n: u64) -> Order {
    let orders = [
        Order::Lru,
        Order::Fifo,
        #[cfg(brimful_full)]
        Order::Sieve,
        #[cfg(brimful_full)]
        Order::S3Fifo,
        #[cfg(brimful_full)]
        Order::Lfu,
        Order::Gdsf,
        Order::Duel,
    ];
    orders[n as usize % orders.len()]
}

#[test]
fn colliding_hashes_break_neither_the_bound_nor_the_order_nor_find_another_key() {
    drive(8, |dice| {
        let order = any_order(dice.next());
        let spread = [Spread::OneBit, Spread::AllEqual][dice.below(2) as usize];
        Config {
            spread,
            ..any_config(order)(dice)
        }
    });
}

#[test]
fn weights_up_to_the_largest_there_is_neither_wrap_nor_pass() {
    drive(7, |dice| {
        let order = any_order(dice.next());
        let capacity = u64::MAX - dice.below(2);
        Config {
            weighed: true,
            hefts: Hefts::Wild,
            capacity,
            ..any_config(order)(dice)
        }
    });
}

#[test]
fn keys_that_contradict_themselves_break_neither_the_bound_nor_the_ledger() {
    drive(7, |dice| Config {
        contrary: true,
        ..any_config(any_order(dice.next()))(dice)
    });
}

#[test]
fn a_clock_that_jumps_by_years_ends_no_life_early_and_resurrects_nobody() {
    drive(8, |dice| {
        let config = any_config(any_order(dice.next()))(dice);
        let lives = Lives {
            hostile: true,
            ..Lives::of(dice.throw())
        };
        Config {
            lives: Some(lives),
            ..config
        }
    });
}

#[test]
fn lives_shorter_than_the_wheel_can_tell_apart_end_when_they_should() {
    drive(7, |dice| {
        let config = any_config(any_order(dice.next()))(dice);
        let lives = Lives {
            span: 8 + dice.below(16) as u32,
            ..Lives::of(dice.throw())
        };
        Config {
            lives: Some(lives),
            ..config
        }
    });
}

/// Cases run by proptest, which shrinks configuration and operations.
#[test]
fn short_cases_agree_in_every_step_and_shrink_when_they_do_not() {
    let seed = seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = (budget(7) / 100).clamp(20, 20_000) as u32;
    let settings = proptest::test_runner::Config {
        cases,
        failure_persistence: None,
        ..Default::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(settings, rng);
    let ops = proptest::collection::vec(any::<[u16; 4]>(), 1..200);
    let strategy = (0..7_u64, any::<[[u16; 4]; 3]>(), ops);
    let result = runner.run(&strategy, |(order, asked, throws)| {
        let (config, ops) = short_case(order, asked, &throws);
        run(&config, &ops).map_err(|(at, text)| TestCaseError::fail(format!("{at}: {text}")))
    });
    if let Err(TestError::Fail(why, (order, asked, throws))) = result {
        let case = short_case(order, asked, &throws);
        panic!("{why}\nreplay by BRIMFUL_SEED={seed}\n{case:#?}");
    }
    result.expect("proptest to run");
}

fn short_case(order: u64, asked: [[u16; 4]; 3], throws: &[[u16; 4]]) -> (Config, Vec<Op>) {
    let config = Config {
        every: 1,
        ..Config::of(any_order(order), asked)
    };
    let ops = throws.iter().map(|throw| Op::of(*throw, &config)).collect();
    (config, ops)
}
