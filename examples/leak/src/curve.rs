//! What was measured: resident memory after so many requests, its slope, and its picture in the
//! terminal.

use std::fmt;
use std::str::FromStr;

use report::chart::round_ticks;

/// A mebibyte.
pub(crate) const MIB: f64 = 1_048_576.0;

/// One look at a service while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Requests handled so far.
    pub requests: u64,
    /// Resident memory of its process, in bytes.
    pub resident: u64,
    /// Entries in its map or cache.
    pub entries: u64,
}

impl Sample {
    /// Resident memory in MiB.
    pub(crate) fn mib(&self) -> f64 {
        self.resident as f64 / MIB
    }
}

/// The samples of one service, under its name.
pub(crate) type Curve = (&'static str, Vec<Sample>);

/// The form in which a service tells its samples: three numbers.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.requests, self.resident, self.entries)
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[requests, resident, entries]) => Ok(Self {
                requests,
                resident,
                entries,
            }),
            _ => Err(format!("a service said `{line}`, which is no sample")),
        }
    }
}

/// Bytes gained per request over the second half of the run, by least squares: the first half is
/// warm-up, in which the cache fills and the program finds its size.
pub(crate) fn slope(samples: &[Sample]) -> f64 {
    let half = &samples[samples.len() / 2..];
    let count = half.len() as f64;
    let mean_x = half.iter().map(|s| s.requests as f64).sum::<f64>() / count;
    let mean_y = half.iter().map(|s| s.resident as f64).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for s in half {
        let dx = s.requests as f64 - mean_x;
        above += dx * (s.resident as f64 - mean_y);
        below += dx * dx;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

/// The curves over one another as text, in MiB from 0, each with its name where it ends.
pub(crate) fn terminal_plot(curves: &[Curve], width: u32) -> String {
    let mib = |(_, samples): &Curve| samples.iter().map(Sample::mib).collect();
    let series: Vec<Vec<f64>> = curves.iter().map(mib).collect();
    let max = series.iter().flatten().copied().fold(0.0, f64::max);
    let ticks = round_ticks(max, 8);
    let (top, rows) = (ticks[ticks.len() - 1], 2 * (ticks.len() - 1));
    let mut drawn = series.clone();
    // Two series of one point each, on the axis itself: they make it reach from 0 to the topmost tick.
    for end in [0.0, top] {
        let mut point = vec![f64::NAN; width as usize];
        point[0] = end;
        drawn.push(point);
    }
    let config = rasciigraph::Config::default()
        .with_width(width)
        .with_height(rows as u32)
        .with_offset(10);
    let plot = rasciigraph::plot_many(drawn, config);
    let mut lines: Vec<String> = plot
        .lines()
        .map(|line| line.trim_end().to_string())
        .collect();
    for ((name, _), values) in curves.iter().zip(&series) {
        let share = values.last().map_or(0.0, |last| last / top);
        let row = (share * rows as f64).round() as usize;
        if let Some(line) = lines.get_mut(rows.saturating_sub(row)) {
            line.push_str(&format!(" {name}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(resident: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |i| Sample {
            requests: i * 10,
            resident: resident(i),
            entries: i,
        };
        (0..=100).map(sample).collect()
    }

    #[test]
    fn slope_is_per_request_and_leaves_the_warm_up_out() {
        assert!((slope(&line(|i| 5_000 + i * 30)) - 3.0).abs() < 1e-9);
        assert!(slope(&line(|i| if i < 50 { i * 1_000 } else { 50_000 })).abs() < 1e-9);
        assert_eq!(slope(&line(|_| 7)[..1]), 0.0);
    }

    #[test]
    fn a_sample_survives_the_pipe() {
        let sample = Sample {
            requests: 1,
            resident: 2_000_000,
            entries: 3,
        };
        assert_eq!(sample.to_string().parse(), Ok(sample));
        for bad in ["", "1 2", "1 2 3 4", "1 2 x", "1 -2 3"] {
            assert!(bad.parse::<Sample>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_plot_names_each_curve_where_it_ends() {
        let climbing = line(|i| i << 20);
        let flat = line(|_| 5 << 20);
        let plot = terminal_plot(&[("map", climbing), ("cache", flat)], 40);
        let lines: Vec<&str> = plot.lines().collect();
        assert_eq!(lines.len(), 11, "0 to 100 by 20, a row in between");
        assert!(lines[0].ends_with("map"), "{plot}");
        assert!(
            lines[9].ends_with("cache") || lines[10].ends_with("cache"),
            "{plot}"
        );
    }
}
