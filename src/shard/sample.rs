//! Word of what befalls sampled keys, for who counts it elsewhere (`lanes::samples`).

use super::Shard;
use super::deadline::life_left;
use crate::clock::Moment;
use crate::form::{Form, extra::Extra};
use crate::lanes::{Event, What};
use crate::policy::{Slot, Tag};
use crate::table::Entry;

impl<K, V, F: Form> Shard<K, V, F> {
    /// Counts a look-up under the lock, and leaves word of it if the key is of the sample.
    #[inline]
    pub(super) fn sample_look_up(&self, tag: Tag, found: Option<Slot>) {
        if !F::SAMPLED {
            return;
        }
        let samples = self.table.samples();
        samples.looked_up(found.is_some());
        if samples.picks(tag) {
            let entry = found.and_then(|slot| self.table.get(slot));
            samples.note(Self::look_up_event(tag, entry, self.now));
        }
    }

    /// A look-up that found this, at this time.
    pub(crate) fn look_up_event(tag: Tag, found: Option<&Entry<K, V, F>>, now: Moment) -> Event {
        let what = if found.is_some() {
            What::Hit
        } else {
            What::Miss
        };
        let extra = found.map(Entry::extra);
        Event {
            tag,
            what,
            weight: extra.map_or(0, Extra::weight),
            life: extra.map_or(0, |extra| life_left(extra, now)),
            now,
        }
    }

    /// Leaves word of what was done to a key, if it is of the sample.
    #[inline(always)]
    pub(super) fn sample(&self, what: What, tag: Tag, weight: u64, life: u64) {
        if F::SAMPLED && self.table.samples().picks(tag) {
            let now = self.now;
            self.table.samples().note(Event {
                tag,
                what,
                weight,
                life,
                now,
            });
        }
    }
}
