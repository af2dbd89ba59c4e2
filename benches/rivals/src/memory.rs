//! The workload `memory`: runs the program that counts allocations, has Cargo
//! build it first, and reads what it writes.

use field::name::Name;
use serde::Deserialize;
use std::env;
use std::error::Error;
use std::process::{Command, Stdio};

use crate::row::{Cell, Row};

#[derive(Deserialize)]
struct Counted {
    cache: String,
    filled: f64,
    churned: f64,
    allocations: f64,
    resident: usize,
    empty: u64,
}

/// A row for each cache.
pub(crate) fn measure(
    cell: Cell,
    names: &[Name],
    version: impl Fn(Name) -> String,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let written = run(cell.entries, names)?;
    let mut reader = csv::Reader::from_reader(written.as_slice());
    let mut rows = Vec::new();
    for (counted, &name) in reader.deserialize().zip(names) {
        let counted: Counted = counted?;
        rows.push(Row {
            resident: Some(counted.resident),
            filled_bytes_per_entry: Some(counted.filled),
            churned_bytes_per_entry: Some(counted.churned),
            allocations_per_insert: Some(counted.allocations),
            empty_bytes: Some(counted.empty),
            ..Row::of(cell, &counted.cache, &version(name))
        });
    }
    Ok(rows)
}

fn run(entries: usize, names: &[Name]) -> Result<Vec<u8>, Box<dyn Error>> {
    let caches: Vec<String> = names.iter().map(Name::to_string).collect();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--bin", "rivals-memory"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .args(["--", "--entries", &entries.to_string()])
        .args(["--caches", &caches.join(",")])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("memory: cannot run cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("memory: rivals-memory failed: {}", output.status).into());
    }
    Ok(output.stdout)
}
