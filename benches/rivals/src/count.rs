//! Instructions per operation, exact where times are noise, and how many of them
//! are locked: `rivals cost` under callgrind, once with few and once with many
//! operations; the difference, divided. Some 10 of each number of instructions
//! are loop and keys, and with a map without a bound what its eviction by hand
//! takes.
//!
//! A locked instruction has its cache line for itself while it reads and writes
//! (an access of the bus, as valgrind calls it: event `Ge`). On x86 valgrind
//! counts each instruction with the prefix `lock`, a compare-and-swap that fails
//! among them, and each `xchg` with memory, which is locked without the prefix.
//! It counts neither `mfence` nor what the kernel does in a system call. There is
//! one thread, so that nothing is repeated because of another.

use clap::ValueEnum;
use comfy_table::Table;
use field::name::Name;
use std::env;
use std::error::Error;
use std::iter;
use std::process::Command;

use crate::cost::Operation;
use crate::report;

const FEW: u64 = 50_000;
const MANY: u64 = 250_000;

/// The sums over a whole run.
#[derive(Debug, PartialEq, Eq)]
struct Collected {
    instructions: u64,
    locked: u64,
}

/// The same for one operation.
struct Each {
    instructions: f64,
    locked: f64,
}

/// What the operations of one cache take, none where it cannot.
type Costs = Vec<Option<Each>>;

/// Two tables of all operations of all caches.
pub(crate) fn count(names: &[Name]) -> Result<(), Box<dyn Error>> {
    let costs = names.iter().map(|&name| costs(name));
    let costs = costs.collect::<Result<Vec<Costs>, _>>()?;
    let instructions = table(names, &costs, |each| {
        report::grouped(each.instructions.round() as u64)
    });
    let locked = table(names, &costs, |each| format!("{:.1}", each.locked));
    println!("Instructions per operation\n\n{instructions}");
    println!("\nLocked instructions per operation\n\n{locked}");
    Ok(())
}

fn table(names: &[Name], costs: &[Costs], shown: impl Fn(&Each) -> String) -> Table {
    let operations = Operation::value_variants().iter();
    let heads: Vec<String> = operations.map(Operation::to_string).collect();
    let heads = heads.iter().map(String::as_str);
    let heads: Vec<&str> = iter::once("").chain(heads).collect();
    let mut table = report::empty(&heads);
    for (name, costs) in names.iter().zip(costs) {
        let figure = |each: &Option<Each>| each.as_ref().map_or("-".to_string(), &shown);
        let figures = costs.iter().map(figure);
        table.add_row(iter::once(name.to_string()).chain(figures));
    }
    table
}

fn costs(name: Name) -> Result<Costs, Box<dyn Error>> {
    let operations = Operation::value_variants().iter();
    operations.map(|&operation| each(operation, name)).collect()
}

fn each(operation: Operation, name: Name) -> Result<Option<Each>, Box<dyn Error>> {
    if operation == Operation::Weighted && !name.takes_weights() {
        return Ok(None);
    }
    let few = collected(operation, name, FEW)?;
    let many = collected(operation, name, MANY)?;
    let each = |few: u64, many: u64| many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    Ok(Some(Each {
        instructions: each(few.instructions, many.instructions),
        locked: each(few.locked, many.locked),
    }))
}

fn collected(operation: Operation, name: Name, count: u64) -> Result<Collected, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--collect-bus=yes")
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
    match read(&said) {
        Some(collected) if output.status.success() => Ok(collected),
        _ => Err(format!("count: {operation} of {name} failed under valgrind:\n{said}").into()),
    }
}

/// The sums out of callgrind's report: one line has the names of the events, a
/// later one their figures in the same order.
fn read(said: &str) -> Option<Collected> {
    let words = |head| {
        let (_, rest) = said.lines().find_map(|line| line.split_once(head))?;
        Some(rest.split_whitespace())
    };
    let events = words("Events    : ")?.zip(words("Collected : ")?);
    let figure = |event| {
        let (_, figure) = events.clone().find(|(name, _)| *name == event)?;
        figure.parse().ok()
    };
    Some(Collected {
        instructions: figure("Ir")?,
        locked: figure("Ge")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Collected, read};

    #[test]
    fn figures_are_read_by_the_order_of_the_events() {
        let expected = Collected {
            instructions: 126_651,
            locked: 20,
        };
        let said = "==8== Command: x\n==8== Events    : Ir Ge\n==8== Collected : 126651 20\n";
        assert_eq!(read(said).as_ref(), Some(&expected));
        let said = "==8== Events    : Ge Bc Ir\n==8== Collected : 20 7 126651\n";
        assert_eq!(read(said).as_ref(), Some(&expected));
        let said = "==8== Events    : Ir\n==8== Collected : 126651\n";
        assert_eq!(read(said), None);
    }
}
