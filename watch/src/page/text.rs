//! How texts and numbers are written on the page.

use std::fmt;
use std::time::Duration;

/// A text from outside, escaped for elements and for attributes in double or single quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = 0;
        for (at, byte) in self.0.bytes().enumerate() {
            let escaped = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                _ => continue,
            };
            f.write_str(&self.0[plain..at])?;
            f.write_str(escaped)?;
            plain = at + 1;
        }
        f.write_str(&self.0[plain..])
    }
}

/// A number with its digits in groups of three.
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A change with its sign; nothing, if there is none.
pub(super) struct Signed(pub(super) i128);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        let size = u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX);
        let sign = if self.0 < 0 { '−' } else { '+' };
        write!(f, "{sign}{}", Grouped(size))
    }
}

/// A time in its largest unit.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0..1 => write!(f, "{} ms", self.0.as_millis()),
            1..10 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            seconds @ 10..600 => write!(f, "{seconds} s"),
            seconds @ 600..36_000 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{} h", Grouped(seconds / 3_600)),
        }
    }
}

/// A part of 1.
pub(super) fn percent(part: f64) -> String {
    let digits = if part >= 0.9995 { 0 } else { 1 };
    format!("{:.digits$} %", part * 100.0)
}

/// So many in this time; in no time there is no rate.
pub(super) fn rate(counted: u64, seconds: f64) -> String {
    match seconds > 0.0 {
        true => per_second(counted as f64 / seconds),
        false => "–".to_owned(),
    }
}

/// So many in a second.
pub(super) fn per_second(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{rate:.1}"),
        _ => Grouped(rate as u64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_html_is_escaped() {
        let text = Text("<script>alert(\"é\" & 'ü')</script>").to_string();
        let escaped = "&lt;script&gt;alert(&quot;é&quot; &amp; &#39;ü&#39;)&lt;/script&gt;";
        assert_eq!(text, escaped);
        assert_eq!(Text("pläin").to_string(), "pläin");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0, 999, 1_234_567].map(|n| Grouped(n).to_string()),
            ["0", "999", "1,234,567"]
        );
        assert_eq!(
            [-1_000, 0, 7].map(|n| Signed(n).to_string()),
            ["−1,000", "", "+7"]
        );
        assert_eq!(
            [0.0, 0.8314, 0.9996, 1.0].map(percent),
            ["0.0 %", "83.1 %", "100 %", "100 %"]
        );
        let rates = [(0, 1.0), (1, 4.0), (5_000, 2.0), (5, 0.0)];
        assert_eq!(
            rates.map(|(n, seconds)| rate(n, seconds)),
            ["0", "0.2", "2,500", "–"]
        );
        let times = [0.25, 2.5, 61.0, 7_200.0, 1e7].map(Duration::from_secs_f64);
        let texts = times.map(|time| Seconds(time).to_string());
        assert_eq!(texts, ["250 ms", "2.5 s", "61 s", "120 min", "2,777 h"]);
    }
}
