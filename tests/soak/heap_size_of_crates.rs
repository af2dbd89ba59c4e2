//! The types of other crates. Each test needs the feature of its crate's name.

#[cfg(feature = "bytes")]
use crate::heap_size::above;
#[cfg(any(
    feature = "arcstr",
    feature = "compact_str",
    feature = "smallvec",
    feature = "smol_str"
))]
use crate::heap_size::exact;
#[cfg(any(feature = "arcstr", feature = "bytes"))]
use brimful::HeapSize;

/// Around the longest text that lies in place, and further.
#[cfg(any(feature = "compact_str", feature = "smol_str"))]
const LENGTHS: [usize; 12] = [0, 1, 21, 22, 23, 24, 25, 31, 32, 33, 100, 1_001];

#[cfg(feature = "bytes")]
#[test]
fn bytes_tell_what_they_show_and_their_counters() {
    use bytes::{Bytes, BytesMut};
    let _alone = crate::alone();
    const COUNTERS: usize = 5 * 8;
    for length in [0, 1, 39, 40, 41, 1_000] {
        let whole = || Bytes::from(vec![7; length]);
        above(1.0, COUNTERS, whole);
        above(1.0, COUNTERS, || whole().clone());
        above(1.0, COUNTERS, || Bytes::copy_from_slice(&vec![7; length]));
        above(1.0, COUNTERS, || {
            Bytes::copy_from_slice(&whole()[length / 2..])
        });
        above(1.0, COUNTERS + 6, || Bytes::from_static(b"static"));
        let filled = || BytesMut::from(&vec![7; length][..]);
        above(1.0, COUNTERS, filled);
        above(1.0, COUNTERS, || filled().freeze());
        above(1.0, COUNTERS, || BytesMut::with_capacity(length));
        above(1.0, COUNTERS, || {
            let mut grown = BytesMut::with_capacity(length);
            grown.extend(0..100);
            grown
        });
        // Of two halves each tells its own.
        above(1.0, 2 * COUNTERS, || {
            let mut rest = filled();
            let half = rest.split_to(length / 2);
            (half.freeze(), rest.freeze())
        });
    }
}

#[cfg(feature = "bytes")]
#[test]
fn a_slice_tells_its_own_length_only() {
    use bytes::Bytes;
    let slice = Bytes::from(vec![7; 1_000]).slice(..10);
    assert!(slice.heap_size() < 100);
}

#[cfg(feature = "arcstr")]
#[test]
fn texts_of_arcstr_tell_all_of_their_block() {
    use arcstr::{ArcStr, Substr};
    let _alone = crate::alone();
    exact(ArcStr::new);
    exact(|| arcstr::literal!("a literal"));
    for length in [0, 1, 7, 8, 9, 1_000] {
        let text = || ArcStr::from("x".repeat(length));
        exact(text);
        exact(|| text().clone());
        exact(|| text().substr(length / 2..));
        exact(|| Substr::from(text()));
    }
    let shared = ArcStr::from("shared");
    assert_eq!([shared.clone(), shared].heap_size(), 2 * (16 + 6));
}

#[cfg(feature = "compact_str")]
#[test]
fn texts_of_compact_str_tell_what_does_not_lie_in_place() {
    use compact_str::CompactString;
    let _alone = crate::alone();
    exact(|| CompactString::const_new("a literal that is longer than what lies in place"));
    for length in LENGTHS {
        let text = || CompactString::new("x".repeat(length));
        exact(text);
        exact(|| text().clone());
        exact(|| CompactString::from("x".repeat(length)));
        exact(|| CompactString::with_capacity(length));
        exact(|| {
            let mut grown = text();
            grown.push('y');
            grown
        });
        exact(|| {
            let mut shrunk = text();
            shrunk.truncate(3);
            shrunk.shrink_to_fit();
            shrunk
        });
    }
}

#[cfg(feature = "smol_str")]
#[test]
fn texts_of_smol_str_tell_what_does_not_lie_in_place() {
    use smol_str::SmolStr;
    let _alone = crate::alone();
    exact(|| SmolStr::new_static("a literal that is longer than what lies in place"));
    for length in LENGTHS {
        exact(|| SmolStr::new("x".repeat(length)));
        exact(|| SmolStr::new("x".repeat(length)).clone());
        exact(|| SmolStr::from("x".repeat(length)));
        exact(|| SmolStr::new("\n".repeat(length)));
    }
}

#[cfg(feature = "smallvec")]
#[test]
fn small_vectors_tell_what_has_spilled_and_what_items_own() {
    use smallvec::SmallVec;
    let _alone = crate::alone();
    for length in [0, 1, 3, 4, 5, 8, 100] {
        exact(|| crate::heap_size::texts(length).collect::<SmallVec<[String; 4]>>());
        exact(|| SmallVec::<[u16; 4]>::with_capacity(length));
        exact(|| {
            let mut removed: SmallVec<[u16; 4]> = (0..length as u16).collect();
            removed.truncate(2);
            removed
        });
        exact(|| {
            let mut shrunk: SmallVec<[u16; 4]> = (0..length as u16).collect();
            shrunk.truncate(2);
            shrunk.shrink_to_fit();
            shrunk
        });
    }
}
