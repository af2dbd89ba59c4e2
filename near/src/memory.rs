//! What is in memory, and what becomes of it when the server, or the connection, has something to say.
//!
//! # Why nothing stale stays
//!
//! A connection is one [`Line`]: its bytes arrive in order, and its driver calls
//! [`Memory::pushed`] for what the server tells *before* it hands out any later answer. So:
//!
//! 1. **What the server tells after an answer takes out what that answer stored.** Either the answer is
//!    stored by then, and is removed; or its flight is still under way, and the removal detaches it: a load
//!    that began before a removal of its key is not stored by brimful. Each flight begins before its `GET` is
//!    sent, since its loader sends it; so there is no third case.
//! 2. **What the server told before an answer does it no harm** but a needless removal: it was told of
//!    an older value.
//! 3. **A pong vouches for all that came before it.** When the answer to a `PING` is here, all that the server
//!    told before it is done. So at that moment whatever is in memory is what the server had when the `PING`
//!    was *sent*, or newer, and the lease is extended from then. With prefixes Redis tells of changes at the end
//!    of a turn of its event loop, after the answers of that turn; so there it takes two pongs, one
//!    after the other, and the lease is extended from when the first `PING` was sent.
//! 4. **No line inherits from another.** A new line is tracked first, then becomes the one that
//!    loads use, then all is cleared, then the lease is extended. A flight that began before the clear is
//!    detached by it; one that began after it finds the new line, or a later one, for which the same holds.
//!
//! What an own write changes the server tells too (no `NOLOOP`), so it makes no difference whether the
//! caller of a write waits for its answer, gives up, or is gone.
//!
//! Lock order: `current` is held for a few loads and stores, never while the cache is called, since that may
//! run a listener of the user's.

use crate::error::Error;
use crate::kept::{Kept, Key};
use crate::lease::{self, Lease};
use crate::line::{End, Line};
use crate::link::Link;
use crate::stats::Counts;
use brimful::{Cache, Expiring};
use redis::{PushInfo, PushKind, Value};
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub(crate) struct Memory<V, F: Expiring, S> {
    pub(crate) cache: Arc<Cache<Key, Kept<V>, F, S>>,
    pub(crate) counts: Counts,
    lease: Lease,
    /// How long a pong is good for, and how long what was good is served after that.
    length: Duration,
    serve_for: Duration,
    current: Mutex<Option<Line>>,
    link: watch::Sender<Link>,
}

impl<V, F, S> Memory<V, F, S>
where
    V: Clone + Send + Sync + 'static,
    F: Expiring,
    S: BuildHasher,
{
    pub(crate) fn new(
        cache: Cache<Key, Kept<V>, F, S>,
        length: Duration,
        serve_for: Duration,
    ) -> Self {
        let nothing_yet = Error::Down("not connected yet".to_owned());
        Self {
            cache: Arc::new(cache),
            counts: Counts::default(),
            lease: Lease::ended(),
            length,
            serve_for,
            current: Mutex::new(None),
            link: watch::Sender::new(Link::Down(nothing_yet)),
        }
    }

    pub(crate) fn lease(&self) -> lease::End {
        self.lease.end()
    }

    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// The line to send commands over.
    pub(crate) fn line(&self) -> Result<Line, Error> {
        self.current().clone().ok_or_else(|| {
            let link = self.link.borrow();
            match &*link {
                Link::Down(why) => why.clone(),
                // Just now being replaced.
                Link::Up | Link::Untracked(_) => Error::Down("the connection was lost".to_owned()),
            }
        })
    }

    /// What the server, or the driver of a connection, says.
    pub(crate) fn pushed(&self, end: &Arc<End>, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                keys.iter().for_each(|key| self.invalidate(key));
            }
            // `FLUSHALL` or `FLUSHDB`: no keys, which means all of them. So does what is not understood.
            (PushKind::Invalidate, _) => self.flush(),
            (PushKind::Disconnection, _) => {
                self.lose(end, &Error::Down("the connection was lost".to_owned()));
            }
            _ => (),
        }
    }

    fn invalidate(&self, key: &Value) {
        let (Value::BulkString(key), counts) = (key, &self.counts) else {
            return self.flush();
        };
        counts.invalidated.add(1);
        self.forget(key);
    }

    /// Takes out what is kept under this key, and detaches its load. A listener that panics must not take
    /// the driver along; brimful has counted it.
    pub(crate) fn forget(&self, key: &[u8]) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.cache.remove(key)));
    }

    /// Takes out everything, and detaches all loads.
    pub(crate) fn flush(&self) {
        self.counts.flushes.add(1);
        let _ = catch_unwind(AssertUnwindSafe(|| self.cache.clear()));
    }

    /// Has loads use this line, which is tracked if it can be, and whatever came over others be gone, before
    /// anything is served by its pongs; it was first pinged then.
    pub(crate) fn install(&self, line: &Line, pinged: Instant) {
        if !self.replace_current(line) {
            return;
        }
        self.flush();
        self.counts.connections.add(1);
        self.renew(line, pinged);
        let link = line.untracked().cloned().map_or(Link::Up, Link::Untracked);
        self.tell(line, link);
    }

    fn replace_current(&self, line: &Line) -> bool {
        let mut current = self.current();
        let replaced = !line.end().has_come();
        if replaced {
            *current = Some(line.clone());
        }
        replaced
    }

    /// Extends the lease, as a ping that was sent then was answered.
    pub(crate) fn renew(&self, line: &Line, pinged: Instant) {
        let current = self.current();
        if is_current(&current, line.end()) {
            let by = match line.untracked() {
                None => self.length.saturating_add(self.serve_for),
                Some(_) => Duration::MAX,
            };
            self.lease.extend(pinged, by);
        }
    }

    /// The line has ended. What is in memory is served for as long as was said, or gone at once; what
    /// came over a line on which the server tells nothing lives its life.
    pub(crate) fn lose(&self, end: &Arc<End>, why: &Error) {
        let mut current = self.current();
        let ours = is_current(&current, end);
        end.comes();
        if !ours {
            return;
        }
        let was_tracked = current
            .take()
            .is_some_and(|line| line.untracked().is_none());
        if was_tracked {
            self.lease.cut(self.serve_for);
        }
        self.link.send_replace(Link::Down(why.clone()));
        drop(current);
        if was_tracked && self.serve_for.is_zero() {
            self.flush();
        }
    }

    /// There is no connection, for another reason by now.
    pub(crate) fn still_down(&self, why: &Error) {
        self.link.send_replace(Link::Down(why.clone()));
    }

    fn tell(&self, line: &Line, link: Link) {
        let current = self.current();
        if is_current(&current, line.end()) {
            self.link.send_replace(link);
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Line>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the line with this end is the one that loads use, and has not ended.
fn is_current(current: &Option<Line>, end: &Arc<End>) -> bool {
    let ours = |line: &Line| Arc::ptr_eq(line.end(), end) && !end.has_come();
    current.as_ref().is_some_and(ours)
}
