//! The text that Prometheus reads, read.

use std::collections::BTreeMap;

/// Values by name and labels as they stand; the type and the help of each name.
#[derive(Default, Debug)]
pub(crate) struct Exposition {
    pub(crate) values: BTreeMap<(String, String), f64>,
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
}

impl Exposition {
    pub(crate) fn parse(text: &str) -> Self {
        let mut read = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let owned = |pair: (&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                read.types.extend(typed.split_once(' ').map(owned));
            } else if let Some(helped) = line.strip_prefix("# HELP ") {
                read.helps.extend(helped.split_once(' ').map(owned));
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
                let before = read
                    .values
                    .insert(owned((name, labels)), value.parse().unwrap());
                assert_eq!(before, None, "twice: {line}");
            }
        }
        read
    }

    /// The value of a series, if it is there.
    pub(crate) fn value(&self, name: &str, labels: &str) -> Option<f64> {
        let series = (name.to_owned(), labels.to_owned());
        self.values.get(&series).copied()
    }
}
