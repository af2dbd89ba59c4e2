//! What the examples and the bench of hit ratios need to hand over their findings: a place for the
//! picture, figures a person can read, and an ending that is quiet when the reader of the output
//! has gone.

pub mod chart;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where a picture goes when no path was given: Cargo's target directory, known by the tag that
/// Cargo leaves in it, or else the current directory.
pub fn default_path(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors()
        .skip(1)
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| PathBuf::from(name), |target| target.join(name))
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The exit code for an outcome; a failure is told on standard error. That nobody reads the output
/// any more (`| head`) is no failure.
pub fn finish(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let io = error.downcast_ref::<io::Error>();
    if io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to be done when standard error is closed too.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 7, 999, 1_000, 123_456, 1_234_567].map(grouped);
        assert_eq!(
            texts,
            ["0", "7", "999", "1,000", "123,456", "1,234,567"].map(String::from)
        );
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }
}
