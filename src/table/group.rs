//! Groups: 32 places of a table, and half a cache line that says what is in them.
//!
//! | byte | says of its place |
//! |---|---|
//! | 0 | it is empty |
//! | any other | it holds an entry, whose tag has this print |
//! | 255 | that, or the place is not there: a small table has fewer |
//!
//! One look at the bytes finds the places that a key may lie in: of others one
//! in 255 looks the same.
//!
//! The room knows the prints, not the entries.

use crate::processor::{LANES, Line, equal};

/// Places of a group.
pub(crate) const WAYS: usize = LANES;

const EMPTY: u8 = 0;
const NOT_THERE: u8 = u8::MAX;

#[derive(Clone, Copy)]
pub(crate) struct Group(Line);

impl Group {
    /// An empty group of so many places.
    pub(crate) fn of(places: usize) -> Self {
        let print = |way| if way < places { EMPTY } else { NOT_THERE };
        Self(Line(std::array::from_fn(print)))
    }

    /// The places that have this print.
    #[inline]
    pub(crate) fn matches(&self, print: u8) -> Ways {
        Ways(equal(&self.0, print))
    }

    /// The first empty place.
    #[inline]
    pub(crate) fn first_empty(&self) -> Option<usize> {
        self.matches(EMPTY).next()
    }

    #[inline]
    pub(crate) fn fill(&mut self, way: usize, print: u8) {
        self.0.0[way % WAYS] = print;
    }

    #[inline]
    pub(crate) fn clear(&mut self, way: usize) {
        self.fill(way, EMPTY);
    }
}

/// Places of a group, from the first on.
pub(crate) struct Ways(u32);

impl Iterator for Ways {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let way = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_fills_from_the_first_place_and_finds_all_of_a_print() {
        let mut group = Group::of(WAYS);
        for way in 0..WAYS {
            assert_eq!(group.first_empty(), Some(way));
            group.fill(way, if way % 3 == 0 { 7 } else { 8 });
        }
        assert_eq!(group.first_empty(), None);
        assert!(group.matches(7).eq((0..WAYS).step_by(3)));
        group.clear(9);
        group.clear(20);
        assert_eq!(group.first_empty(), Some(9));
        assert!(!group.matches(7).any(|way| way == 9));
        assert_eq!(group.matches(9).next(), None);
    }

    #[test]
    fn a_small_group_has_no_more_places_than_it_is_given() {
        for places in 0..WAYS {
            let mut group = Group::of(places);
            while let Some(way) = group.first_empty() {
                group.fill(way, 5);
            }
            assert!(group.matches(5).eq(0..places));
        }
    }
}
