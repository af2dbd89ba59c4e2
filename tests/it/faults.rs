//! The list of others' faults, `tests/FAULTS.md`, held against the tests: each number
//! that a test names has a row, and each row names tests, or slices of the gate, that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The text of every test file.
fn sources() -> Vec<String> {
    let folders =
        ["it", "model", "soak", "interleavings/loom", "wasm/src"].map(|name| tests().join(name));
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

/// A row: a number, and the tests that show what brimful does.
fn rows() -> Vec<(u32, Vec<String>)> {
    let text = fs::read_to_string(tests().join("FAULTS.md")).unwrap();
    let cells = text
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter_map(|cells| {
        let number = cells.get(1)?.parse().ok()?;
        let named = cells[cells.len() - 2].split('`').skip(1).step_by(2);
        Some((number, named.map(str::to_owned).collect()))
    });
    rows.collect()
}

/// The numbers at the start of a text as "1 to 3, 7 and 9".
fn numbers_after(words: &str) -> BTreeSet<u32> {
    let (mut numbers, mut from) = (BTreeSet::new(), None::<u32>);
    let mut last = None;
    for word in words.split_whitespace() {
        match (word.trim_end_matches([',', '.', ':', ';']), from) {
            ("and", _) => {}
            ("to", _) => from = last,
            (word, first) => {
                let Ok(number) = word.parse() else { break };
                numbers.extend(first.unwrap_or(number)..=number);
                (last, from) = (Some(number), None);
            }
        }
    }
    numbers
}

/// The numbers that a source names in its comments and in the names of its tests.
fn named(source: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("//") {
            let words: Vec<_> = line.split_whitespace().collect();
            for (at, word) in words.iter().enumerate() {
                if ["fault", "faults", "Fault", "Faults"].contains(word) {
                    numbers.extend(numbers_after(&words[at + 1..].join(" ")));
                }
            }
        } else if let Some(name) = line.strip_prefix("fn fault") {
            let name = name.split('(').next().unwrap();
            let parts = name.trim_start_matches('s').split('_').skip(1);
            numbers.extend(parts.map_while(|part| part.parse::<u32>().ok()));
        }
    }
    numbers
}

#[test]
fn each_fault_that_a_test_names_is_in_the_list() {
    let listed: BTreeSet<u32> = rows().iter().map(|row| row.0).collect();
    let named: BTreeSet<u32> = sources().iter().flat_map(|source| named(source)).collect();
    assert!(named.len() > 40, "only {named:?}");
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the list: {missing:?}");
}

#[test]
fn each_fault_in_the_list_names_tests_that_there_are() {
    let sources = sources();
    let gate = fs::read_to_string(tests().join("../.ci/run")).unwrap();
    let is_there = |name: &str| {
        if let Some(slice) = name.strip_prefix(".ci/run ") {
            return gate.contains(&format!("\nslice_{slice}() {{"));
        }
        let head = format!("fn {}(", name.rsplit("::").next().unwrap());
        sources.iter().any(|source| source.contains(&head))
    };
    for (number, tests) in rows() {
        assert!(!tests.is_empty(), "fault {number} names no test");
        let gone: Vec<_> = tests.iter().filter(|name| !is_there(name)).collect();
        assert!(gone.is_empty(), "fault {number} names {gone:?}");
    }
}

#[test]
fn numbers_are_read_as_they_are_written() {
    let numbers = |text| numbers_after(text).into_iter().collect::<Vec<_>>();
    assert_eq!(numbers("1 to 3, 7 and 9."), [1, 2, 3, 7, 9]);
    assert_eq!(numbers("67, and the order in which 3 wait"), [67]);
    assert_eq!(numbers("43."), [43]);
    assert_eq!(numbers("of the 8th kind"), [0; 0]);
}
