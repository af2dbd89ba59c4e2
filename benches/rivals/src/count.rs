//! Instructions per operation, exact where times are noise: `rivals cost` under
//! callgrind, once with few and once with many operations; the difference,
//! divided. Some 10 of each figure are loop and keys, and with a map without a
//! bound what its eviction by hand takes.

use clap::ValueEnum;
use field::name::Name;
use std::env;
use std::error::Error;
use std::process::Command;

use crate::cost::Operation;
use crate::report;

const FEW: u64 = 50_000;
const MANY: u64 = 250_000;

/// A table of all operations of all caches.
pub(crate) fn count(names: &[Name]) -> Result<(), Box<dyn Error>> {
    let operations = Operation::value_variants();
    let heads = operations.iter().map(Operation::to_string);
    let heads: Vec<String> = std::iter::once(String::new()).chain(heads).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = report::empty(&heads);
    for &name in names {
        let mut row = vec![name.to_string()];
        for &operation in operations {
            row.push(instructions(operation, name)?);
        }
        table.add_row(row);
    }
    println!("Instructions per operation\n\n{table}");
    Ok(())
}

fn instructions(operation: Operation, name: Name) -> Result<String, Box<dyn Error>> {
    if operation == Operation::Weighted && !name.takes_weights() {
        return Ok("-".to_string());
    }
    let [few, many] = [FEW, MANY].map(|count| collected(operation, name, count));
    let difference = many?.saturating_sub(few?);
    let each = difference as f64 / (MANY - FEW) as f64;
    Ok(report::grouped(each.round() as u64))
}

fn collected(operation: Operation, name: Name, count: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([
            "cost",
            &operation.to_string(),
            &name.to_string(),
            &count.to_string(),
        ])
        .output()
        .map_err(|e| format!("count needs valgrind, which does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let figure = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, figure)| figure.trim().parse().ok());
    match figure {
        Some(figure) if output.status.success() => Ok(figure),
        _ => Err(format!("count: {operation} of {name} failed under valgrind:\n{said}").into()),
    }
}
