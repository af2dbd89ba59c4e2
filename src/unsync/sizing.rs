//! Sizing: what befalls sampled keys goes to the gauge.

use super::Cache;
use crate::clock::FOREVER;
use crate::form::{Form, Sampling};
use crate::lanes::Samples;
use crate::policy::Tag;
use crate::sizing::{Gauge, Sizing};

impl<K, V, F: Form, S> Cache<K, V, F, S> {
    /// Takes what was noted to the gauge, if there is hardly a place for more. To be called before
    /// something is done to this key.
    #[inline(always)]
    pub(super) fn make_place(&mut self, tag: Tag) {
        if F::SAMPLED && self.shard.samples().picks(tag) {
            self.tell_gauge_if_scarce();
        }
    }

    #[inline(never)]
    fn tell_gauge_if_scarce(&mut self) {
        if self.shard.samples().are_scarce() {
            self.at_gauge(|_, _| ());
        }
    }

    /// Does something with the gauge, if there is one, once it has heard of all.
    pub(super) fn at_gauge<R>(
        &mut self,
        act: impl FnOnce(&mut Gauge<F>, &Samples) -> R,
    ) -> Option<R> {
        let (gauge, samples) = (self.gauge.as_mut()?, self.shard.samples());
        let to_live = Some(self.door.expiry.to_live()).filter(|&life| life != FOREVER);
        gauge.hear(samples, Samples::take, to_live, || samples.counts());
        Some(act(gauge, samples))
    }
}

impl<K, V, F: Sampling, S> Cache<K, V, F, S> {
    /// What this cache would have hit of late with a half, twice and four times its capacity: as
    /// [`brimful::Cache::sizing`](crate::Cache::sizing).
    ///
    /// ```
    /// use brimful::{Entries, unsync::Cache};
    ///
    /// let mut cache = Cache::builder(Entries(100)).sizing().build_unsync()?;
    /// for n in 0..10_000 {
    ///     cache.get_or_insert_with(&(n % 180), || n)?;
    /// }
    /// assert!(cache.sizing().at(2) > Some(0.9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "miss_ratio_curve")]
    #[doc(alias = "mrc")]
    pub fn sizing(&mut self) -> Sizing {
        let unit = self.door.unit;
        let told = self.at_gauge(|gauge, samples| gauge.sizing(samples, samples.counts(), unit));
        told.expect("a cache of a form that samples has a gauge")
    }
}
