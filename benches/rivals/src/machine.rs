//! What the figures were measured on, and with which versions.

use field::name::Name;
use std::collections::BTreeMap;
use std::fs;
use std::thread;

/// The packages this program was built from.
pub(crate) struct Versions(BTreeMap<&'static str, &'static str>);

impl Versions {
    /// Reads this package's lock file. Of a package that is there in several
    /// versions the last is ours: they are sorted, and ours is the newest.
    pub(crate) fn read() -> Self {
        let lock = include_str!("../Cargo.lock");
        let packages = lock.split("[[package]]").skip(1);
        let field = |package: &'static str, field: &str| {
            let mut lines = package.lines();
            let value = lines.find_map(|line| line.strip_prefix(field));
            value.and_then(|value| value.trim_matches([' ', '=', '"']).into())
        };
        let named = |package| Some((field(package, "name")?, field(package, "version")?));
        Self(packages.filter_map(named).collect())
    }

    pub(crate) fn of(&self, name: Name) -> String {
        self.0.get(name.package()).unwrap_or(&"?").to_string()
    }
}

/// Model and cores.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1));
    format!(
        "{}, {} cores",
        model.unwrap_or("processor unknown"),
        cores()
    )
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// So many threads, and whether each of them has a core.
pub(crate) fn crew(threads: usize) -> String {
    crew_on(cores(), threads)
}

fn crew_on(cores: usize, threads: usize) -> String {
    match threads {
        1 => "1 thread".to_string(),
        few if few <= cores => format!("{few} threads"),
        many => format!("{many} threads, starved of cores"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Versions, crew_on};
    use clap::ValueEnum;
    use field::name::Name;

    #[test]
    fn every_cache_has_a_version() {
        let versions = Versions::read();
        for name in Name::value_variants() {
            assert_ne!(versions.of(*name), "?", "{name}");
        }
    }

    #[test]
    fn more_threads_than_cores_are_said_to_be_starved() {
        let crews = [1, 2, 3].map(|threads| crew_on(2, threads));
        let expected = ["1 thread", "2 threads", "3 threads, starved of cores"];
        assert_eq!(crews, expected);
    }
}
