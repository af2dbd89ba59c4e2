//! Caches told to `metrics` and to `tracing`, by real recorders and subscribers.

mod exported;
mod exposition;
mod names;
mod prometheus;
mod server;
mod traced;
