//! Caches as a configuration says: read from TOML or JSON, built into one type whatever the policy,
//! the unit and the lives, and written out again as they run.
//!
//! ```sh
//! cargo run --features serde --example configured              # the configuration below
//! cargo run --features serde --example configured -- caches.toml
//! ```

use brimful::{Cache, HeapSize, Plan, Planned, Units};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

/// What is read where no file is given.
const BUILT_IN: &str = r#"
[pages]
capacity = "64 MiB"
policy = "s3-fifo"
time_to_live = "1h 30m"

[sessions]
capacity = 10_000
policy = "lru"
time_to_idle = "15m"
"#;

/// The caches of a program, each with its plan.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    pages: Plan,
    sessions: Plan,
}

/// The fields have one type, whatever the file says.
struct Caches {
    pages: Cache<String, String, Planned>,
    sessions: Cache<u64, String, Planned>,
}

impl Caches {
    fn open(plans: &Configuration) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            pages: plans.pages.builder(heap_of_page).build()?,
            sessions: plans.sessions.builder(heap_of_session).build()?,
        })
    }

    /// The plans of the caches as they are now.
    fn plans(&self) -> Configuration {
        Configuration {
            pages: Plan::of(&self.pages),
            sessions: Plan::of(&self.sessions),
        }
    }
}

fn heap_of_page(url: &String, page: &String) -> u64 {
    (url.heap_size() + page.heap_size()) as u64
}

fn heap_of_session(_: &u64, user: &String) -> u64 {
    user.heap_size() as u64
}

/// A file is read by the end of its name.
fn read(path: &Path) -> Result<Configuration, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    match path.extension().and_then(|end| end.to_str()) {
        Some("json") => Ok(serde_json::from_str(&text)?),
        _ => Ok(toml::from_str(&text)?),
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let plans = match env::args().nth(1) {
        Some(path) => read(Path::new(&path)).map_err(|error| format!("{path}: {error}"))?,
        None => toml::from_str(BUILT_IN)?,
    };
    let caches = Caches::open(&plans)?;
    caches.pages.insert("/".to_owned(), "hello".to_owned());
    caches.sessions.insert(7, "ann".to_owned());
    println!("{:?}\n{:?}\n", caches.pages, caches.sessions);

    // While it runs, an operator gives the pages twice the room.
    let Units(room) = caches.pages.capacity();
    caches.pages.set_capacity(Units(2 * room));
    let now = caches.plans();
    println!("# as they are now\n{}", toml::to_string(&now)?);
    println!("{}", serde_json::to_string_pretty(&now.pages)?);
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brimful::Size;

    #[test]
    fn both_formats_open_the_same_caches_and_write_out_what_they_are_now() {
        let plans: Configuration = toml::from_str(BUILT_IN).unwrap();
        let json = serde_json::to_string(&plans).unwrap();
        let caches = Caches::open(&serde_json::from_str(&json).unwrap()).unwrap();
        caches.pages.set_capacity(Units(1 << 20));
        let now = caches.plans();
        assert_eq!(now.pages.capacity, Size::Bytes(1 << 20));
        assert_eq!(now.sessions.policy, plans.sessions.policy);
        let again: Configuration = toml::from_str(&toml::to_string(&now).unwrap()).unwrap();
        assert_eq!((again.pages, again.sessions), (now.pages, now.sessions));
    }

    #[test]
    fn an_unknown_cache_is_an_error() {
        let error = toml::from_str::<Configuration>("[page]\ncapacity = 1")
            .map(|_| ())
            .unwrap_err();
        assert!(error.message().contains("unknown field `page`"), "{error}");
    }
}
