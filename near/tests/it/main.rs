//! The near cache against real servers, which the tests start themselves. See the README for what is needed.

mod coherence;
mod history;
mod lives;
mod loss;
mod refusals;
mod sentinel;
mod storms;
mod world;
