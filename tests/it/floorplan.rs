//! The floor plan of `src`, as data, held against the code.
//!
//! A room is a file, or a file with the folder of its name. It may import only
//! from lower floors, so there are no import circles; every file belongs to a
//! room; and the primitives of threads are named in one room alone. The plan in
//! words is `src/guide/inside.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up.
const FLOORS: &[&[&str]] = &[
    &["sync", "tag", "processor", "room", "unit", "cause", "error"],
    &[
        "reentry", "hash", "key", "ledger", "stats", "clock", "unwind", "file",
    ],
    &["expiry", "policy", "leave", "flight", "lanes", "budget"],
    &["form", "explain", "held"],
    &["table"],
    &["shard", "capacity"],
    &["sizing"],
    &["door"],
    &["cache", "unsync"],
    &["builder"],
    &["plan"],
];

/// Files that are no rooms.
const OUTSIDE: &[&str] = &["lib", "guide"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The room of a file: its first name below `src`.
fn room(file: &Path) -> String {
    let inside = file.strip_prefix(source()).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code of a file: without comments and without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let tests = [
        "#[cfg(test)]\nmod tests",
        "#[cfg(not(brimful_loom))]\nmod tests",
    ];
    let ends = tests.iter().filter_map(|tests| text.find(tests)).min();
    let code = &text[..ends.unwrap_or(text.len())];
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn rooms() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let mut rooms = BTreeMap::<String, String>::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        *rooms.entry(room(file)).or_default() += &code(file);
    }
    rooms
}

/// The rooms that some code names as `crate::room`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |rest: &str| {
        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
        rest.split(ends).next().unwrap_or_default().to_owned()
    };
    // A capital is an item that the crate re-exports, named in a doc or a macro.
    let named = code.split("crate::").skip(1).map(word);
    named
        .filter(|name| name.starts_with(char::is_lowercase))
        .collect()
}

#[test]
fn every_file_belongs_to_a_room_and_every_room_exists() {
    let found: BTreeSet<_> = rooms().into_keys().collect();
    let outside = OUTSIDE.iter().filter(|name| found.contains(**name));
    let planned = FLOORS.iter().copied().flatten().chain(outside);
    assert_eq!(found, planned.map(|name| (*name).to_owned()).collect());
}

#[test]
fn a_room_imports_only_from_lower_floors() {
    let mut arrows = 0;
    for (room, code) in rooms() {
        let Some(own) = floor(&room) else { continue };
        for import in imports(&code).iter().filter(|import| **import != room) {
            arrows += 1;
            let theirs = floor(import).unwrap_or_else(|| panic!("{room} imports {import}"));
            assert!(
                theirs < own,
                "{room} (floor {own}) imports {import} (floor {theirs})"
            );
        }
    }
    assert!(
        arrows > 40,
        "only {arrows} imports found: does this test still see them?"
    );
}

/// The files that may say `unsafe`, and have to argue each block.
const UNSAFE: &[&str] = &[
    "clock/coarse.rs",
    "processor.rs",
    "table.rs",
    "table/cells.rs",
    "table/shelf.rs",
];

#[test]
fn unsafe_code_is_in_a_few_files_and_each_block_is_argued() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let mut found = BTreeSet::new();
    for file in &files {
        let name = file.strip_prefix(source()).unwrap().to_str().unwrap();
        let name = name.replace(std::path::MAIN_SEPARATOR, "/");
        let text = fs::read_to_string(file).unwrap();
        let (mut argued, mut asked) = (false, false);
        for line in text.lines().map(str::trim) {
            let comment = line.starts_with("//");
            let says = |what: &str| line.contains(what);
            argued |= comment && says("SAFETY:");
            asked |= comment && says("# Safety");
            if comment || !(says("unsafe {") || says("unsafe impl") || says("unsafe fn")) {
                continue;
            }
            found.insert(name.clone());
            let ok = if says("unsafe fn") {
                &mut asked
            } else {
                &mut argued
            };
            assert!(std::mem::take(ok), "{name}: nothing argues {line}");
        }
    }
    assert!(
        found.iter().all(|name| UNSAFE.contains(&name.as_str())),
        "{found:?}"
    );
    assert_eq!(
        found.len(),
        UNSAFE.len(),
        "a list longer than need be: {found:?}"
    );
}

#[test]
fn primitives_of_threads_are_named_in_one_room() {
    for (room, code) in rooms() {
        let named = ["parking_lot", "std::thread", "loom::", "std::sync::atomic"];
        for name in named.iter().filter(|name| code.contains(**name)) {
            assert_eq!(room, "sync", "{room} names {name}");
        }
    }
}

#[test]
fn no_room_is_a_store_room() {
    let names = [
        "utils", "util", "common", "helpers", "types", "base", "inner", "manager", "raw", "mod",
    ];
    for room in rooms().keys() {
        assert!(!names.contains(&room.as_str()), "{room}");
    }
}
