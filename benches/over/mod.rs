//! What the benches share: what was asked for, the keys, the policies, and a
//! lane, which measures one operation by one and by several threads.

#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each bench uses its part"
)]

mod asked;
mod fill;
mod keys;
mod lane;
mod policies;
mod race;
mod tail;

pub(crate) use asked::{is_test, is_wanted, sized};
pub(crate) use fill::{cache, drive, filled, short};
pub(crate) use keys::{Trace, scatter};
pub(crate) use lane::{Lane, settings};
pub(crate) use policies::each_policy;
pub(crate) use tail::Tail;
