//! What a crate locks that depends on brimful alone, without a feature: by `Cargo.toml`, whatever is a dependency on any
//! target and under any `cfg`, and all that those name, which the workspace's own lock file tells.
//!
//! `.ci/run user` locks such a crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// brimful, 4 dependencies and theirs: 8 of them are of `ahash`, 5 of these for a macro that no build
/// uses.
const MOST: usize = 22;

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The names under `[dependencies]` and `[target.….dependencies]`, but for those that come with a
/// feature.
fn named() -> BTreeSet<String> {
    let manifest = text("Cargo.toml");
    let mut tables = manifest.split("\n[").map(|table| table.lines());
    let of_a_user = |head: &str| {
        head == "dependencies]" || head.starts_with("target.") && head.ends_with(".dependencies]")
    };
    let lines = tables
        .by_ref()
        .filter_map(|mut table| table.next().filter(|head| of_a_user(head)).map(|_| table));
    let names = lines
        .flatten()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| !line.contains("optional = true"))
        .map(|line| line.split(['.', ' ']).next().unwrap().to_owned());
    names.collect()
}

/// The packages of the lock file: `name version`, and what each names, with a version where the name
/// is not enough.
fn packages() -> Vec<(String, Vec<String>)> {
    let lock = text("Cargo.lock");
    let quoted = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let of = |package: &str| {
        let is = |what: &str| quoted(package.lines().find(|l| l.starts_with(what)).unwrap());
        let names = package.lines().filter(|line| line.starts_with(" \""));
        let whole = format!("{} {}", is("name = "), is("version = "));
        (whole, names.map(quoted).collect())
    };
    lock.split("[[package]]").skip(1).map(of).collect()
}

#[test]
fn a_user_locks_few_packages() {
    let (packages, named) = (packages(), named());
    // As brimful's own entry has them: with a version where other packages have another.
    let own = packages
        .iter()
        .find(|(whole, _)| whole.starts_with("brimful "));
    let is_named = |name: &&String| named.contains(name.split(' ').next().unwrap());
    let mut open: Vec<_> = own.unwrap().1.iter().filter(is_named).cloned().collect();
    assert!(open.len() > 2 && open.len() == named.len(), "only {open:?}");
    let mut locked = BTreeSet::from(["brimful"]);
    while let Some(name) = open.pop() {
        let is = |whole: &str| whole == name || whole.split(' ').next() == Some(&name);
        for (whole, names) in packages.iter().filter(|package| is(&package.0)) {
            if locked.insert(whole) {
                open.extend(names.iter().cloned());
            }
        }
    }
    assert!(locked.len() <= MOST, "{}: {locked:?}", locked.len());
}
