//! `Plan`: what a cache is to be, read from a configuration and written out again; and the one type
//! of cache that every plan builds.
//!
//! ```text
//! text -> Word -> Plan -> Builder -> Cache<K, V, Planned>
//!                  ^-------- Plan::of --------'
//! ```
//!
//! A format sees words only: texts, numbers and flags (`word`). What a word means for a field is
//! said here, in one place for all formats, so an error names the field, whatever the format says
//! of its own.
//!
//! Invariant: a plan that was read builds a cache.

mod duration;
mod size;
mod word;

pub use size::{NoSize, Size};

use crate::builder::Builder;
use crate::cache::Cache;
use crate::clock::{FOREVER, duration as duration_of, nanos};
use crate::form::{Aged, Form, Weighed};
use crate::policy::{Choice, Chosen};
use crate::unit::{Bytes, Unit, Units, Weight};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt::{self, Display};
use std::time::Duration;
use word::Word;

/// The form of every cache that a [`Plan`] builds: weighed, with all that time can ask of it, and of
/// a policy that is chosen while the program runs. Entries carry 40 bytes for it.
///
/// ```
/// use brimful::{Cache, Planned};
///
/// struct Service {
///     pages: Cache<String, String, Planned>,
/// }
/// ```
pub type Planned = Weighed<Aged<Chosen>>;

/// What a cache is to be, as a configuration says it: in TOML, JSON, YAML or any other format that
/// `serde` reads. Every plan builds the same type, `Cache<K, V, `[`Planned`]`>`.
///
/// Only the capacity must be given. A field that is not known is an error, as is a value that no cache
/// can have; the error names the field and says what is allowed.
///
/// | field | is | left out |
/// |---|---|---|
/// | `capacity` | a [`Size`]: `10_000` or `"10000 entries"`, `"64 MiB"`, `"500 units"` of weight | an error |
/// | `policy` | a [`Choice`]: `"duel"`, `"s3-fifo"`, `"sieve"`, `"lru"`, `"fifo"`, `"lfu"`, `"gdsf"` | `"duel"` |
/// | `time_to_live`, `time_to_idle`, `refresh_after` | a duration: `"90s"`, `"1h 30m"`, `"250ms"` | never |
/// | `refresh_pause` | a duration | none |
/// | `stale_if_error` | `true` or `false` | `false` |
/// | `entry_limit`, `shards` | a number | see [`Builder::entry_limit`], [`Builder::shards`] |
/// | `name` | a text | none |
///
/// A duration is a sum of whole numbers of `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. More than 584 years
/// are never, and are not written. A number may be a text too (`"8"`), as where it comes out of an
/// environment variable; `_` may stand between its digits.
///
/// ```
/// use brimful::{HeapSize, Plan};
///
/// let plan: Plan = toml::from_str(
///     r#"
///     capacity = "64 MiB"
///     policy = "s3-fifo"
///     time_to_live = "1h 30m"
///     name = "pages"
///     "#,
/// )?;
/// let pages = plan
///     .builder(|url: &String, page: &String| (url.heap_size() + page.heap_size()) as u64)
///     .build()?;
/// pages.insert("/".into(), "hello".into());
/// assert_eq!(pages.capacity().0, 64 << 20);
/// println!("{}", toml::to_string(&Plan::of(&pages))?);
///
/// let error = toml::from_str::<Plan>(r#"capacity = "64 Mb""#).unwrap_err();
/// assert!(error.message().starts_with("capacity: \"64 Mb\" will not do: "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Words", into = "Words")]
#[non_exhaustive]
pub struct Plan {
    /// What the statistics call it: [`Builder::named`].
    pub name: Option<String>,
    /// How much it holds.
    pub capacity: Size,
    /// The most entries, beside bytes or weight: [`Builder::entry_limit`].
    pub entry_limit: Option<usize>,
    /// Which entry is evicted first.
    pub policy: Choice,
    /// [`Builder::time_to_live`].
    pub time_to_live: Option<Duration>,
    /// [`Builder::time_to_idle`].
    pub time_to_idle: Option<Duration>,
    /// [`Builder::refresh_after`].
    pub refresh_after: Option<Duration>,
    /// [`Builder::refresh_pause`].
    pub refresh_pause: Option<Duration>,
    /// [`Builder::stale_if_error`].
    pub stale_if_error: bool,
    /// [`Builder::shards`].
    pub shards: Option<usize>,
}

impl Plan {
    /// A plan of this capacity, which leaves out all else.
    ///
    /// ```
    /// use brimful::{Plan, Size};
    ///
    /// let mut plan = Plan::new(Size::Entries(100));
    /// plan.name = Some("users".into());
    /// let users = plan.builder(|_: &u64, _: &String| 1).build()?;
    /// assert_eq!(users.stats().unit(), "entries");
    /// # Ok::<(), brimful::BuildError>(())
    /// ```
    pub fn new(capacity: Size) -> Self {
        Self {
            name: None,
            capacity,
            entry_limit: None,
            policy: Choice::default(),
            time_to_live: None,
            time_to_idle: None,
            refresh_after: None,
            refresh_pause: None,
            stale_if_error: false,
            shards: None,
        }
    }

    /// A builder of the cache that is planned; a listener, a clock or a hasher may be added to it.
    ///
    /// What `weigher` tells is what the capacity counts: where that is bytes, how many key and value own
    /// on the heap (as [`Bytes::by`]); where it is weight, how much. Where entries are counted it is
    /// not asked.
    ///
    /// ```
    /// use brimful::{Cause, Plan, Planned, Cache};
    ///
    /// let plan: Plan = serde_json::from_str(r#"{"capacity": 2, "policy": "lru"}"#)?;
    /// let cache: Cache<u32, String, Planned> = plan
    ///     .builder(|_: &u32, text: &String| text.capacity() as u64)
    ///     .listener(|key, _, cause: Cause| println!("{key}: {cause}"))
    ///     .build()?;
    /// cache.extend((0..10).map(|n| (n, n.to_string())));
    /// assert_eq!(cache.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A plan that was read always builds; one whose fields were set may be refused by
    /// [`build`](Builder::build), as any builder.
    pub fn builder<K, V>(
        &self,
        weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
    ) -> Builder<K, V, Planned> {
        let builder = match self.capacity {
            Size::Entries(entries) => Builder::counting(entries),
            Size::Units(units) => Builder::new(Weight(units, weigher)),
            Size::Bytes(bytes) => {
                let heap = move |key: &K, value: &V| {
                    usize::try_from(weigher(key, value)).unwrap_or(usize::MAX)
                };
                Builder::new(Bytes(bytes).by(heap))
            }
        };
        let never = Duration::MAX;
        let mut builder = builder
            .choose(self.policy)
            .time_to_live(self.time_to_live.unwrap_or(never))
            .time_to_idle(self.time_to_idle.unwrap_or(never));
        if let Some(name) = &self.name {
            builder = builder.named(name.as_str());
        }
        if let Some(limit) = self.entry_limit {
            builder = builder.entry_limit(limit);
        }
        if let Some(shards) = self.shards {
            builder = builder.shards(shards);
        }
        if let Some(age) = self.refresh_after {
            builder = builder.refresh_after(age);
        }
        if let Some(pause) = self.refresh_pause {
            builder = builder.refresh_pause(pause);
        }
        if self.stale_if_error {
            builder = builder.stale_if_error();
        }
        builder
    }

    /// The plan of a running cache, with the capacity and the lives that it has now: to be written out
    /// again. The number of shards is that which it has, also where the plan left it out; what is no
    /// part of a plan, as a listener, is not in it.
    ///
    /// ```
    /// use brimful::{Plan, Size, Units};
    ///
    /// let plan: Plan = serde_json::from_str(r#"{"capacity": "1 MiB", "time_to_live": "5m"}"#)?;
    /// let cache = plan.builder(|_: &u32, text: &String| text.capacity() as u64).build()?;
    /// cache.set_capacity(Units(2 << 20));
    /// let now = Plan::of(&cache);
    /// assert_eq!(now.capacity, Size::Bytes(2 << 20));
    /// assert_eq!(now.time_to_live, plan.time_to_live);
    /// assert!(serde_json::to_string(&now)?.contains(r#""time_to_live":"5m""#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of<K, V, F, S>(cache: &Cache<K, V, F, S>) -> Self
    where
        F: Form<Policy = Chosen, Unit = Units>,
    {
        let door = cache.door();
        let expiry = &door.expiry;
        let amount = cache.capacity().amount();
        Self {
            name: door.name.as_deref().map(str::to_owned),
            capacity: Size::of(amount, door.unit),
            entry_limit: door.entry_limit,
            policy: door.choice,
            time_to_live: unless_never(expiry.to_live()),
            time_to_idle: unless_never(expiry.to_idle),
            refresh_after: unless_never(expiry.refresh_after()),
            refresh_pause: Some(expiry.refresh_pause)
                .filter(|&pause| pause > 0)
                .map(duration_of),
            stale_if_error: expiry.stale_if_error,
            shards: Some(cache.shards()),
        }
    }
}

fn unless_never(nanos: u64) -> Option<Duration> {
    (nanos != FOREVER).then(|| duration_of(nanos))
}

/// A plan as formats see it. That a field is missing is said here, not by the format.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Plan")]
struct Words {
    #[serde(default)]
    name: Option<Word>,
    #[serde(default)]
    capacity: Option<Word>,
    #[serde(default)]
    entry_limit: Option<Word>,
    #[serde(default)]
    policy: Option<Word>,
    #[serde(default)]
    time_to_live: Option<Word>,
    #[serde(default)]
    time_to_idle: Option<Word>,
    #[serde(default)]
    refresh_after: Option<Word>,
    #[serde(default)]
    refresh_pause: Option<Word>,
    #[serde(default)]
    stale_if_error: Option<Word>,
    #[serde(default)]
    shards: Option<Word>,
}

/// In a format that people read, what is left out is not written; in others all fields have their place.
impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = [
            ("name", &self.name),
            ("capacity", &self.capacity),
            ("entry_limit", &self.entry_limit),
            ("policy", &self.policy),
            ("time_to_live", &self.time_to_live),
            ("time_to_idle", &self.time_to_idle),
            ("refresh_after", &self.refresh_after),
            ("refresh_pause", &self.refresh_pause),
            ("stale_if_error", &self.stale_if_error),
            ("shards", &self.shards),
        ];
        let is_written = |word: &Option<Word>| word.is_some() || !serializer.is_human_readable();
        let written = fields.map(|(name, word)| is_written(word).then_some((name, word)));
        let count = written.iter().flatten().count();
        let mut plan = serializer.serialize_struct("Plan", count)?;
        for (name, word) in written.into_iter().flatten() {
            plan.serialize_field(name, word)?;
        }
        plan.end()
    }
}

impl From<Plan> for Words {
    fn from(plan: Plan) -> Self {
        let number = |number: Option<usize>| number.map(|number| Word::Number(number as u64));
        let span = |span: Option<Duration>| {
            let counted = span.filter(|&span| nanos(span) != FOREVER);
            counted.map(|span| Word::Text(duration::written(span)))
        };
        Self {
            name: plan.name.map(Word::Text),
            capacity: Some(plan.capacity.into()),
            entry_limit: number(plan.entry_limit),
            policy: Some(Word::Text(plan.policy.to_string())),
            time_to_live: span(plan.time_to_live),
            time_to_idle: span(plan.time_to_idle),
            refresh_after: span(plan.refresh_after),
            refresh_pause: span(plan.refresh_pause),
            stale_if_error: plan.stale_if_error.then_some(Word::Flag(true)),
            shards: number(plan.shards),
        }
    }
}

impl TryFrom<Words> for Plan {
    type Error = Misread;

    fn try_from(words: Words) -> Result<Self, Misread> {
        let capacity = words.capacity.ok_or(Misread {
            field: "capacity",
            problem: format!(
                "it is missing, and a cache has no other bound: give {}",
                size::ALLOWED
            ),
        })?;
        let plan = Self {
            name: read("name", words.name, Word::into_text)?,
            capacity: read("capacity", Some(capacity), Size::from_word)?
                .unwrap_or(Size::Entries(0)),
            entry_limit: read("entry_limit", words.entry_limit, Word::into_number)?,
            policy: read("policy", words.policy, |word| {
                let name = word.into_text()?;
                name.parse()
                    .map_err(|error: crate::policy::UnknownPolicy| error.to_string())
            })?
            .unwrap_or_default(),
            time_to_live: read("time_to_live", words.time_to_live, duration::from_word)?,
            time_to_idle: read("time_to_idle", words.time_to_idle, duration::from_word)?,
            refresh_after: read("refresh_after", words.refresh_after, duration::from_word)?,
            refresh_pause: read("refresh_pause", words.refresh_pause, duration::from_word)?,
            stale_if_error: read("stale_if_error", words.stale_if_error, Word::into_flag)?
                .unwrap_or_default(),
            shards: read("shards", words.shards, Word::into_number)?,
        };
        plan.check()?;
        Ok(plan)
    }
}

impl Plan {
    /// Whether the fields together make sense.
    fn check(&self) -> Result<(), Misread> {
        let builder = self.builder(|(): &(), (): &()| 1);
        builder.makes_sense().map_err(|error| Misread {
            field: "plan",
            problem: error.to_string(),
        })
    }
}

/// Reads a field, if it is there.
fn read<T>(
    field: &'static str,
    word: Option<Word>,
    meaning: impl FnOnce(Word) -> Result<T, String>,
) -> Result<Option<T>, Misread> {
    let read = word.map(meaning).transpose();
    read.map_err(|problem| Misread { field, problem })
}

/// What is wrong with a field.
struct Misread {
    field: &'static str,
    problem: String,
}

impl Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}
