//! A service with four planted leaks, each of which can be left out, and the page on which a person
//! sees them. `main.rs` says how to find them.

mod server;
mod service;

pub use server::Server;
pub use service::{Bug, Service, class};
