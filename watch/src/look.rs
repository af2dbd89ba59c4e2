//! `Look`: what a registry saw at one moment. What is printed, drawn or written of it is a function of this
//! alone.

use crate::past::Compared;
use brimful::{Finding, Flow, Growth, Lingerer, Portion, Snapshot, Survey};
use std::cmp::Reverse;
use std::fmt;

/// How many classes of a survey are shown.
const SHOWN: usize = 50;

/// What a [registry](crate::Registry::look) saw at one moment: the caches in the order in which they were
/// watched. It prints as a line for each, the heaviest first, and below it what is wrong.
///
/// ```
/// use brimful::{Cache, Entries};
/// use brimful_watch::Registry;
/// use std::sync::Arc;
///
/// let registry = Registry::new();
/// let pages = Arc::new(Cache::builder(Entries(10)).named("pages").build()?);
/// registry.watch(&pages);
/// pages.insert("/", 1);
/// pages.get("/");
/// let look = registry.look();
/// assert_eq!(look.to_string(), "pages: 1 of 10 entries (10.0 % full), hit ratio 100 %\n");
/// # Ok::<(), brimful::BuildError>(())
/// ```
#[derive(Debug)]
pub struct Look {
    pub(crate) seen: Vec<Seen>,
}

/// One cache.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) findings: Vec<Finding>,
    pub(crate) compared: Compared,
    pub(crate) inside: Inside,
}

/// What only the page and the JSON ask for.
#[derive(Default, Debug)]
pub(crate) struct Inside {
    /// By the user's classes: what was, and what is.
    pub(crate) surveys: Option<(Survey<String>, Survey<String>)>,
    pub(crate) lingerers: Vec<Lingerer>,
    /// Whether it may be asked a question.
    pub(crate) explains: bool,
    /// To the question of this look.
    pub(crate) answer: Option<String>,
}

/// What came of one class, or from one line of code.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) entries: u64,
    pub(crate) weight: u64,
    pub(crate) entries_grown: i128,
    pub(crate) weight_grown: i128,
}

impl Row {
    /// From entries and weight, before and now.
    fn new(name: String, before: (u64, u64), now: (u64, u64)) -> Self {
        Self {
            name,
            entries: now.0,
            weight: now.1,
            entries_grown: i128::from(now.0) - i128::from(before.0),
            weight_grown: i128::from(now.1) - i128::from(before.1),
        }
    }

    fn of_flow(name: String, before: Flow, now: Flow) -> Self {
        let of = |flow: Flow| (flow.entries(), flow.weight());
        Self::new(name, of(before), of(now))
    }

    fn grown_most_first(mut rows: Vec<Self>) -> Vec<Self> {
        rows.sort_by_key(|row| Reverse((row.weight_grown, row.weight)));
        rows
    }
}

impl Look {
    /// The statistics of each cache, with its name.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let (registry, pages) = (Registry::new(), Arc::new(Cache::new(100)));
    /// registry.watch(&pages);
    /// pages.insert("/", 1);
    /// let look = registry.look();
    /// assert!(look.snapshots().all(|(name, stats)| name == "cache" && stats.len() == 1));
    /// ```
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        let seen = self.seen.iter();
        seen.map(|seen| (seen.name.as_str(), seen.now()))
    }

    /// The statistics of all caches in sum: see what a [sum](Snapshot) of snapshots means.
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let (pages, users) = (Arc::new(Cache::new(100)), Arc::new(Cache::new(50)));
    /// let registry = Registry::new();
    /// registry.watch(&pages);
    /// registry.watch(&users);
    /// pages.insert("/", 1);
    /// users.insert(7, "ann");
    /// let total = registry.look().total();
    /// assert_eq!((total.len(), total.capacity()), (2, 150));
    /// ```
    pub fn total(&self) -> Snapshot {
        self.seen.iter().map(Seen::now).sum()
    }

    /// What is wrong with each cache, as far as the last minute tells, with its name: see
    /// [`Growth::findings`].
    ///
    /// ```
    /// use brimful::Cache;
    /// use brimful_watch::Registry;
    /// use std::sync::Arc;
    ///
    /// let (registry, pages) = (Registry::new(), Arc::new(Cache::<u64, u64>::new(100)));
    /// registry.watch(&pages);
    /// for (name, finding) in registry.look().findings() {
    ///     println!("{name}: {finding}");
    /// }
    /// # assert_eq!(registry.look().findings().count(), 0);
    /// ```
    pub fn findings(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let seen = self.seen.iter();
        seen.flat_map(|seen| {
            seen.findings
                .iter()
                .map(|finding| (seen.name.as_str(), finding))
        })
    }
}

impl Seen {
    pub(crate) fn new(name: &str, compared: Compared, inside: Inside) -> Self {
        Self {
            name: name.to_owned(),
            findings: compared.growth.findings(),
            compared,
            inside,
        }
    }

    pub(crate) fn growth(&self) -> &Growth {
        &self.compared.growth
    }

    pub(crate) fn now(&self) -> &Snapshot {
        self.growth().after()
    }

    /// How full it is, and the hit ratio: the first line of its statistics, without the name that
    /// these have.
    pub(crate) fn headline(&self) -> String {
        let text = self.now().to_string();
        let own = self.now().name().map(|name| format!("{name}: "));
        let text = own.and_then(|own| text.strip_prefix(&own)).unwrap_or(&text);
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// By the classes that the cache counts, what grew most first.
    pub(crate) fn classes(&self) -> Vec<Row> {
        let of = |(name, now): (&str, Flow)| {
            let before = self.growth().before().class(name).unwrap_or_default();
            Row::of_flow(name.to_owned(), before, now)
        };
        Row::grown_most_first(self.now().classes().map(of).collect())
    }

    /// By line of code, what grew most first.
    pub(crate) fn callers(&self) -> Vec<Row> {
        let of = |(line, now)| {
            let mut before = self.growth().before().callers();
            let before = before.find(|&(known, _)| known == line);
            let before = before.map(|(_, flow)| flow).unwrap_or_default();
            Row::of_flow(format!("{line}"), before, now)
        };
        Row::grown_most_first(self.now().callers().map(of).collect())
    }

    /// By the user's classes, what grew most first; of more than are shown the lightest in one row.
    pub(crate) fn survey(&self) -> Vec<Row> {
        let Some((before, now)) = &self.inside.surveys else {
            return Vec::new();
        };
        let of = |portion: Portion| (portion.entries, portion.weight);
        let mut classes: Vec<_> = now
            .iter()
            .map(|(class, share)| (class, of(share)))
            .collect();
        let rest = classes.split_off(SHOWN.min(classes.len()));
        let row = |(class, now): (&String, _)| Row::new(class.clone(), of(before.of(class)), now);
        let mut rows = Row::grown_most_first(classes.into_iter().map(row).collect());
        if !rest.is_empty() {
            rows.push(others(
                &rows,
                of(before.total()),
                of(now.total()),
                rest.len(),
            ));
        }
        rows
    }
}

/// What is in all and in none of these rows.
fn others(rows: &[Row], before: (u64, u64), now: (u64, u64), classes: usize) -> Row {
    let mut others = Row::new(format!("({classes} others)"), before, now);
    for row in rows {
        others.entries = others.entries.saturating_sub(row.entries);
        others.weight = others.weight.saturating_sub(row.weight);
        others.entries_grown -= row.entries_grown;
        others.weight_grown -= row.weight_grown;
    }
    others
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen: Vec<_> = self.seen.iter().collect();
        seen.sort_by_key(|seen| Reverse(seen.now().weight()));
        for seen in seen {
            writeln!(f, "{}: {}", seen.name, seen.headline())?;
            for finding in &seen.findings {
                writeln!(f, "  {finding}")?;
            }
        }
        Ok(())
    }
}
