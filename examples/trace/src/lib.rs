//! A trace in memory: requests in their order, each key replaced by a small number, so that driving
//! a cache costs the cache and nothing else.

pub mod input;
mod zstd;

use std::collections::HashMap;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of its key.
    pub key: u64,
    /// Its size, 1 where the trace has none.
    pub size: u64,
}

/// Requests in their order.
#[derive(Debug)]
pub struct Trace {
    /// The requests, first to last.
    pub requests: Vec<Request>,
    /// How many different keys there are: they are numbered from 0 to this.
    pub unique: u64,
    /// The sizes of all keys together, each as it was first seen.
    pub unique_size: u64,
    /// Whether it came with sizes.
    pub sized: bool,
}

/// Takes requests in and numbers their keys.
#[derive(Debug)]
pub struct Recorder {
    numbers: HashMap<Box<[u8]>, u64>,
    trace: Trace,
}

impl Recorder {
    /// A recorder of requests that come with sizes, or without (then each has size 1).
    pub fn new(sized: bool) -> Self {
        Self {
            numbers: HashMap::new(),
            trace: Trace {
                requests: Vec::new(),
                unique: 0,
                unique_size: 0,
                sized,
            },
        }
    }

    /// Takes in one request; a key is any bytes.
    pub fn push(&mut self, key: &[u8], size: u64) {
        let key = self.number(key, size);
        self.trace.requests.push(Request { key, size });
    }

    fn number(&mut self, key: &[u8], size: u64) -> u64 {
        if let Some(&number) = self.numbers.get(key) {
            return number;
        }
        let number = self.trace.unique;
        self.numbers.insert(key.into(), number);
        self.trace.unique += 1;
        self.trace.unique_size = self.trace.unique_size.saturating_add(size);
        number
    }

    /// The whole trace.
    pub fn finish(self) -> Trace {
        self.trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_as_they_come_and_sized_as_first_seen() {
        let mut recorder = Recorder::new(true);
        for (key, size) in [(&b"a"[..], 5), (b"\xff", 7), (b"a", 100), (b"", 1)] {
            recorder.push(key, size);
        }
        let trace = recorder.finish();
        let keys: Vec<u64> = trace.requests.iter().map(|r| r.key).collect();
        assert_eq!(keys, [0, 1, 0, 2]);
        assert_eq!((trace.unique, trace.unique_size), (3, 13));
        assert_eq!(trace.requests[2], Request { key: 0, size: 100 });
    }
}
