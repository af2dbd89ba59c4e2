//! The lease: until when what is in memory may be served without asking the server.
//!
//! One word, the end of the lease, in nanoseconds since it was made. Readers load it once before they look
//! at the cache, and compare the time with *that* after they have found something: so what was found was
//! found while the lease held, whatever others did meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Lease {
    began: Instant,
    end: AtomicU64,
}

/// An end of the lease, as a reader saw it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    began: Instant,
    end: u64,
}

impl End {
    /// Whether what was found since this end was read may be served.
    #[inline]
    pub(crate) fn is_ahead(self) -> bool {
        self.end == u64::MAX || nanos(self.began.elapsed()) < self.end
    }
}

impl Lease {
    /// A lease that has ended.
    pub(crate) fn ended() -> Self {
        Self {
            began: Instant::now(),
            end: AtomicU64::new(0),
        }
    }

    /// When it ends, as of now. `Acquire`: what invalidations took out before it was extended is not
    /// found after it was read.
    #[inline]
    pub(crate) fn end(&self) -> End {
        End {
            began: self.began,
            end: self.end.load(Ordering::Acquire),
        }
    }

    /// It lasts so long from that time on, or for ever.
    pub(crate) fn extend(&self, from: Instant, by: Duration) {
        let since = from.saturating_duration_since(self.began);
        self.end
            .store(nanos(since.saturating_add(by)), Ordering::Release);
    }

    /// It lasts at most so long from now on.
    pub(crate) fn cut(&self, most: Duration) {
        let end = nanos(self.began.elapsed().saturating_add(most));
        self.end.fetch_min(end, Ordering::AcqRel);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_lease_is_ended_extended_and_cut() {
        let lease = Lease::ended();
        assert!(!lease.end().is_ahead());
        lease.extend(Instant::now(), HOUR);
        let seen = lease.end();
        assert!(seen.is_ahead());
        lease.cut(Duration::ZERO);
        assert!(!lease.end().is_ahead());
        // Who read it before keeps what it read: that is the promise that was made then.
        assert!(seen.is_ahead());
    }

    #[test]
    fn a_cut_never_extends() {
        let lease = Lease::ended();
        lease.cut(HOUR);
        assert!(!lease.end().is_ahead());
    }

    #[test]
    fn it_can_last_for_ever() {
        let lease = Lease::ended();
        lease.extend(Instant::now(), Duration::MAX);
        assert!(lease.end().is_ahead());
        assert_eq!(lease.end().end, u64::MAX);
    }
}
