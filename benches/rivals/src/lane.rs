//! The way of one thread through the requests: a part of them that is its own,
//! again and again. Where one thread trailed another, it would find what the
//! other had just inserted.

use std::ops::Range;

/// Operations between two looks at the clock.
pub(crate) const BLOCK: usize = 256;

/// With more, a part of the shortest requests would be less than a block.
pub(crate) const MOST_THREADS: u64 = 256;

/// Where one thread is.
pub(crate) struct Lane {
    part: Range<usize>,
    at: usize,
    lap: usize,
}

impl Lane {
    /// The `nth` of so many lanes, all equally long.
    pub(crate) fn new(nth: usize, lanes: usize, requests: usize) -> Self {
        let length = requests / lanes / BLOCK * BLOCK;
        assert!(length > 0, "{lanes} lanes in {requests} requests");
        let begin = nth * length;
        Self {
            part: begin..begin + length,
            at: begin,
            lap: 0,
        }
    }

    /// The requests of the next block, and how often they were run before.
    #[inline]
    pub(crate) fn next(&mut self) -> (Range<usize>, usize) {
        if self.at == self.part.end {
            self.at = self.part.start;
            self.lap += 1;
        }
        let block = self.at..self.at + BLOCK;
        self.at = block.end;
        (block, self.lap)
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Lane};

    #[test]
    fn a_lane_stays_in_its_part() {
        let mut lane = Lane::new(1, 2, 4 * BLOCK + 100);
        let blocks = [(); 5].map(|()| lane.next());
        let expected = [(2, 0), (3, 0), (2, 1), (3, 1), (2, 2)];
        assert_eq!(
            blocks,
            expected.map(|(block, lap)| (block * BLOCK..(block + 1) * BLOCK, lap))
        );
    }

    #[test]
    fn lanes_do_not_overlap() {
        let ends = |nth| Lane::new(nth, 3, 10 * BLOCK).part;
        assert_eq!(
            [0, 1, 2].map(ends).map(|part| part.start / BLOCK),
            [0, 3, 6]
        );
        assert_eq!([0, 1, 2].map(ends).map(|part| part.end / BLOCK), [3, 6, 9]);
    }
}
