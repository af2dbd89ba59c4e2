//! `Finding`: what is wrong with a cache, as far as two snapshots tell, and what to change.
//!
//! Each finding is a rule over the figures of a [`Growth`]; nothing is measured for it. The rules
//! are cautious: below a thousand events in the time between they say nothing.

use super::Growth;
use super::figure::{Grouped, Percent};
use crate::cause::Cause;
use std::fmt;
use std::time::Duration;

/// So many events make a rule speak.
const ENOUGH: u64 = 1_000;

/// So many failures, refusals or forgotten scopes do.
const A_FEW: u64 = 10;

/// What is wrong with a cache, and what to change: from [`Growth::findings`]. It prints as a
/// sentence or two, with the remedy.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// What is evicted does not come back, and most look-ups miss: the keys are not asked
    /// for again. A unique id in the key does that.
    NothingComesBack {
        /// How many were evicted.
        evicted: u64,
        /// Which part of them came back soon, where the policy remembers; else which part was hit
        /// before it was evicted.
        returned: f64,
    },
    /// Many misses are of keys that were evicted a moment ago.
    TooSmall {
        /// Which part of the misses.
        returned: f64,
    },
    /// The cache has never had to evict and is mostly empty.
    TooLarge {
        /// The part of the capacity that is used.
        used: f64,
    },
    /// Scopes are opened and do not end.
    ScopesForgotten {
        /// How many are open now.
        open: u64,
        /// How many were open before.
        before: u64,
        /// How long the oldest has been open.
        oldest: Option<Duration>,
    },
    /// Values that were let go are held elsewhere, and more and more of them.
    Lingering {
        /// How many now.
        values: u64,
        /// Which part of the capacity they would take.
        weight: f64,
        /// How long ago the first of them was let go.
        oldest: Option<Duration>,
    },
    /// Loads fail.
    LoadsFail {
        /// How many failed.
        failed: u64,
        /// Which part of all.
        part: f64,
    },
    /// Stale values are served, and every attempt to refresh them fails.
    StaleForEver {
        /// How many refreshes failed.
        failed: u64,
    },
    /// Values are refused: heavier than the whole capacity, or without a time to live.
    Refuses {
        /// How many.
        refused: u64,
        /// Which part of the inserts.
        part: f64,
    },
    /// One shard is written far more than the others.
    OneShardHot {
        /// Which part of the inserts it has.
        part: f64,
        /// How many shards there are.
        shards: usize,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NothingComesBack { evicted, returned } => write!(
                f,
                "nothing comes back: of {} evicted {} were asked for again. Is there a unique id in the \
                 key? Take it out; or, if the work belongs to one request, use a `scope()`",
                Grouped(evicted),
                Percent(returned)
            ),
            Self::TooSmall { returned } => write!(
                f,
                "too small: {} of the misses are of keys that were evicted a moment ago. Raise the \
                 capacity",
                Percent(returned)
            ),
            Self::TooLarge { used } => write!(
                f,
                "larger than it need be: {} of the capacity is used, and nothing was ever evicted. \
                 Lower the capacity, or leave it as a limit",
                Percent(used)
            ),
            Self::ScopesForgotten {
                open,
                before,
                oldest,
            } => {
                let (open, before) = (Grouped(open), Grouped(before));
                write!(
                    f,
                    "scopes are forgotten: {open} are open, {before} were before"
                )?;
                if let Some(oldest) = oldest {
                    write!(f, ", the oldest for {oldest:.1?}")?;
                }
                f.write_str(
                    ". A guard is kept in something that does not end: a static, a cycle of `Arc`s, \
                     `mem::forget`, a task that waits for ever",
                )
            }
            Self::Lingering {
                values,
                weight,
                oldest,
            } => {
                let (values, weight) = (Grouped(values), Percent(weight));
                write!(
                    f,
                    "lingering: {values} values that were let go are held elsewhere, {weight} of the capacity \
                     beside it"
                )?;
                if let Some(oldest) = oldest {
                    write!(f, ", the first for {oldest:.1?}")?;
                }
                f.write_str(
                    ". Look for what keeps clones of them: `lingering(10)` lists the oldest",
                )
            }
            Self::LoadsFail { failed, part } => write!(
                f,
                "loads fail: {} did, {} of all. Look at what they load from",
                Grouped(failed),
                Percent(part)
            ),
            Self::StaleForEver { failed } => write!(
                f,
                "stale for ever: {} refreshes failed and none brought a value. What is served is old; \
                 give a time to live beside `refresh_after`, or mend the source",
                Grouped(failed)
            ),
            Self::Refuses { refused, part } => write!(
                f,
                "refused: {} values, {} of the inserts, found no room, were far too heavy or had no time to \
                 live. Raise the capacity, keep them out before they are inserted, or let them in (`admit_heavy`)",
                Grouped(refused),
                Percent(part)
            ),
            Self::OneShardHot { part, shards } => write!(
                f,
                "one shard of {shards} takes {} of the inserts. One key is written again and again, or \
                 the hasher does not spread: use the default one",
                Percent(part)
            ),
        }
    }
}

fn part(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

impl Growth {
    /// What is wrong with the cache, as far as what happened between the two snapshots tells, and
    /// what to change. Nothing, if too little has happened. A function of the figures alone: it
    /// asks the cache nothing.
    ///
    /// | finding | when |
    /// |---|---|
    /// | [`NothingComesBack`](Finding::NothingComesBack) | 1,000 evictions and as many as the cache holds; less than 2 % of them came back soon (where the policy does not remember: less than 10 % were ever hit), and the hit ratio is below 80 % |
    /// | [`TooSmall`](Finding::TooSmall) | 1,000 misses, and more than a fifth of them of keys evicted a moment ago |
    /// | [`TooLarge`](Finding::TooLarge) | 1,000 look-ups, never an eviction, and less than a quarter of the capacity used |
    /// | [`ScopesForgotten`](Finding::ScopesForgotten) | 100 more open scopes, and twice as many as before |
    /// | [`Lingering`](Finding::Lingering) | more values linger than before, and they weigh a tenth of the capacity |
    /// | [`LoadsFail`](Finding::LoadsFail) | 10 loads failed, and a tenth of all |
    /// | [`StaleForEver`](Finding::StaleForEver) | values are refreshed, 10 loads failed and no refresh brought a value |
    /// | [`Refuses`](Finding::Refuses) | 10 refusals, and a hundredth of the inserts |
    /// | [`OneShardHot`](Finding::OneShardHot) | 1,000 inserts into 4 shards or more, and one has half of them |
    ///
    /// ```
    /// use brimful::{Cache, Finding};
    ///
    /// let pages = Cache::new(100);
    /// let before = pages.stats();
    /// for request in 0..10_000 {
    ///     pages.get_or_insert_with(&format!("page 7 for request {request}"), || "hello");
    /// }
    /// let findings = (&pages.stats() - &before).findings();
    /// assert!(matches!(findings[..], [Finding::NothingComesBack { .. }]));
    /// println!("{}", findings[0]);
    /// ```
    pub fn findings(&self) -> Vec<Finding> {
        let rules = [
            Self::nothing_comes_back,
            Self::too_small,
            Self::too_large,
            Self::scopes_forgotten,
            Self::lingering,
            Self::loads_fail,
            Self::stale_for_ever,
            Self::refuses,
            Self::one_shard_hot,
        ];
        rules.iter().filter_map(|rule| rule(self)).collect()
    }

    fn nothing_comes_back(&self) -> Option<Finding> {
        let evicted = self.departures(Cause::Evicted);
        let (returned, few) = match self.after().remembers {
            true => (part(self.ghost_hits(), evicted), 0.02),
            false => (1.0 - part(self.evicted_unhit(), evicted), 0.1),
        };
        let turned_over = evicted >= ENOUGH && evicted >= self.after().len();
        let misses = self.hit_ratio().is_none_or(|ratio| ratio < 0.8);
        let found = turned_over && misses && returned < few;
        found.then_some(Finding::NothingComesBack { evicted, returned })
    }

    fn too_small(&self) -> Option<Finding> {
        let returned = part(self.ghost_hits(), self.misses());
        let found = self.misses() >= ENOUGH && returned > 0.2;
        found.then_some(Finding::TooSmall {
            returned: returned.min(1.0),
        })
    }

    fn too_large(&self) -> Option<Finding> {
        let after = self.after();
        let used = part(after.weight(), after.capacity());
        let never = after.departures(Cause::Evicted) == 0 && after.departures(Cause::Refused) == 0;
        let found = self.hits() + self.misses() >= ENOUGH && never && used < 0.25;
        found.then_some(Finding::TooLarge { used })
    }

    fn scopes_forgotten(&self) -> Option<Finding> {
        let (before, after) = (self.before().scopes()?, self.after().scopes()?);
        let (open, before) = (after.open, before.open);
        let found = open >= before + 10 * A_FEW && open >= 2 * before;
        found.then_some(Finding::ScopesForgotten {
            open,
            before,
            oldest: after.oldest,
        })
    }

    fn lingering(&self) -> Option<Finding> {
        let (before, after) = (self.before().lingering()?, self.after().lingering()?);
        let weight = part(after.weight, self.after().capacity());
        let found = after.values > before.values && weight >= 0.1;
        found.then_some(Finding::Lingering {
            values: after.values,
            weight,
            oldest: after.oldest,
        })
    }

    fn loads_fail(&self) -> Option<Finding> {
        let failed = self.load_failures();
        let part = part(failed, failed + self.loads());
        let found = failed >= A_FEW && part >= 0.1;
        found.then_some(Finding::LoadsFail { failed, part })
    }

    fn stale_for_ever(&self) -> Option<Finding> {
        let failed = self.load_failures();
        let found = self.after().goes_stale && failed >= A_FEW && self.refreshes() == 0;
        found.then_some(Finding::StaleForEver { failed })
    }

    fn refuses(&self) -> Option<Finding> {
        let refused = self.departures(Cause::Refused);
        let part = part(refused, self.inserts());
        let found = refused >= A_FEW && part >= 0.01;
        found.then_some(Finding::Refuses { refused, part })
    }

    fn one_shard_hot(&self) -> Option<Finding> {
        let (before, after) = (&self.before().by_shard, &self.after().by_shard);
        let inserts = before
            .iter()
            .zip(after.iter())
            .map(|(before, after)| after - before);
        let most = inserts.max().unwrap_or(0);
        let part = part(most, self.inserts());
        let found = self.inserts() >= ENOUGH && after.len() >= 4 && part >= 0.5;
        found.then_some(Finding::OneShardHot {
            part,
            shards: after.len(),
        })
    }
}
