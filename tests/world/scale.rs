//! What the environment says: how much a test does, and which run it replays.

use std::process::Command;
use std::sync::OnceLock;

/// The number in an environment variable, if it is set.
pub(crate) fn env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// How much is to be done: what the variable says, or else the default.
pub(crate) fn count(name: &str, default: u64) -> u64 {
    env(name).unwrap_or(default)
}

/// The seed of this run: `BRIMFUL_SEED`, or else a fresh one. It is printed once, and
/// again with each panic that is not meant.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let seed = count("BRIMFUL_SEED", now.as_nanos() as u64);
        println!("BRIMFUL_SEED={seed}");
        super::panics::note(format!("BRIMFUL_SEED={seed}"));
        seed
    })
}

const CHILD: &str = "BRIMFUL_CHILD";

/// Which scenario this process was started for by [`child`], if it was.
pub(crate) fn scenario() -> Option<usize> {
    Some(env(CHILD)? as usize)
}

/// Runs one test of a module once more, in a process of its own, which may abort: whether
/// it passed, and what it printed to its output and to its errors.
pub(crate) fn child(module: &str, test: &str, scenario: usize) -> (bool, String, String) {
    let (_, module) = module.split_once("::").expect("a module below the root");
    let name = format!("{module}::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, scenario.to_string())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("running 1 test"), "no test {name}: {out}");
    (output.status.success(), out, errors)
}
