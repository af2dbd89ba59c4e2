//! Every operation of both caches, on every policy, with and without weights and
//! lives, against a naive model that is obviously right: a `Vec` for each shard
//! and sums taken anew each time.
//!
//! After each operation it compares what was returned, who left, in which
//! order and for which cause, how late and after how long a life, `len`, `weight`,
//! `capacity`, every statistic, how often weigher, rules and clock were asked, and the
//! ledger of live keys and values; every few operations also all entries with what they
//! have left to live, and `check()`. Who is evicted is exact for each shard (SIEVE as
//! in its paper, S3-FIFO with its ghosts, LFU and GDSF by ages that never wrap, in
//! shards too small for a sketch, Duel with all that its history says); which shard
//! pays is followed and held against the rules, and each eviction must have been needed.
//! Heavy newcomers are let in (`admit_heavy`); who else is, `it::heavy` asks.
//! Weights reach from 0 to `u64::MAX`, hashes may all collide, the weigher may lie,
//! and `Hash` and `Eq` of a key may contradict themselves.
//!
//! Time is an operation: a clock moved by hand goes ahead by nothing, by
//! nanoseconds, by centuries, and where it is hostile also back. Lives reach from zero to
//! `Duration::MAX`: time to live, time to idle, a rule, a rule on reads, explicit ones.
//! The end of each is exact. Which of several due entries leaves first is not: that is
//! followed (see `ends`), but only what is past its end may leave as expired, once, and
//! as late as told; nobody is evicted while the wheel must see someone as due in his
//! shard; and a sweep without limit leaves nothing that ended a beat ago.
//!
//! `time`: moments and lives. `door`, `open`: one face
//! for all caches. `pile`: one shard and its order. `naive`, `ends`: the model. `op`:
//! operations and configurations. `rig`, `wary`: cache and model side by side. `run`,
//! `cases`: random cases, and shrinking. `found`: what was once found, in a few lines each.
//!
//! `BRIMFUL_MODEL_OPS`: operations in all (default 120,000; the full run is
//! 10,000,000). `BRIMFUL_SEED`: replays a run; a failure prints the seed of its
//! case, and the operations that are left of it after shrinking.
//! Covers faults 26 to 30, 44, 46, 47, 50, 63, 65 and 76 of `tests/FAULTS.md`.

mod cases;
mod door;
mod ends;
mod found;
mod naive;
mod op;
mod open;
mod pile;
mod rig;
mod run;
mod time;
mod wary;

#[path = "../world/mod.rs"]
#[macro_use]
mod world;
