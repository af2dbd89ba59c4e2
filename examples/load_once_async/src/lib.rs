//! A web service with a database behind it and, if wanted, a cache between them.
//!
//! `articles` is the database, which counts its queries; `service` is what the
//! web sees; `crowd` is a load generator. The one line that brimful is about is
//! in `service`: `get_or_insert_async`, by which all who ask for a page that is not
//! there wait for one query.

pub mod articles;
pub mod crowd;
pub mod service;
