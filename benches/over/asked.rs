//! What the command line asks for. Criterion reads it too; this is for what
//! criterion does not run, and for how large things are.

use std::env::args;

/// Options that stand alone; any other is followed by its value.
const ALONE: [&str; 16] = [
    "--bench",
    "--test",
    "--list",
    "--exact",
    "--ignored",
    "--include-ignored",
    "--nocapture",
    "--show-output",
    "--quick",
    "--quiet",
    "--verbose",
    "--noplot",
    "--discard-baseline",
    "-n",
    "-q",
    "-v",
];

/// Whether each bench shall run once, to show that it works. As criterion has
/// it: `cargo bench -- --test`, and whatever does not come from `cargo bench`.
pub(crate) fn is_test() -> bool {
    args().any(|arg| arg == "--test") || !args().any(|arg| arg == "--bench")
}

/// How many entries a bench of so many is run with: all, or few for a test.
pub(crate) fn sized(entries: u64) -> u64 {
    if is_test() {
        entries.min(1_000)
    } else {
        entries
    }
}

/// Whether to print the table of this name: no filter was given, or one that
/// is in the name. `cargo bench WORD` gives every bench the same filter. With
/// `--list` the name is all there is to print, as criterion does.
pub(crate) fn is_wanted(table: &str) -> bool {
    let given: Vec<_> = args().skip(1).collect();
    let filters = filters(&given);
    let wanted = filters.is_empty() || filters.iter().any(|filter| table.contains(filter));
    let listed = given.iter().any(|arg| arg == "--list");
    if listed && wanted {
        println!("{table}: benchmark");
    }
    wanted && !listed
}

/// The words that are neither options nor their values.
fn filters(given: &[String]) -> Vec<&str> {
    let mut filters = Vec::new();
    let mut args = given.iter();
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            filters.push(arg.as_str());
        } else if !ALONE.contains(&arg.as_str()) && !arg.contains('=') {
            args.next();
        }
    }
    filters
}
