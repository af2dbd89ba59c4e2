//! The field: brimful, its rivals, and maps without any bound, all behind one
//! trait. What is done with them is in the two programs, `main.rs` (time) and
//! `memory_program.rs` (memory).

pub mod caches;
pub mod name;
pub mod rival;
