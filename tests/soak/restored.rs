//! What a saved cache that was damaged can do: each of its prefixes, and each change of one byte, is
//! restored within the bound or refused, without a panic and without much memory.

use crate::world::done;
use crate::{ALLOCATOR, alone};
use brimful::policy::Lru;
use brimful::{Bytes, Cache, Entries, Form, Restored, Timed, Unit, Weighed, Weight};
use std::time::Duration;

/// What one restore may ask of the allocator: what serde sets aside for a list before it sees its items,
/// once for each of its lengths, and the entries themselves.
const MOST: usize = 2 << 20;

/// How many entries were saved: more than fit into those that are restored.
const SAVED: u32 = 8;

type Key = String;
type Value = Vec<u32>;

fn fill<F: Form>(cache: &Cache<Key, Value, F>) {
    cache.extend((0..SAVED).map(|n| (format!("key {n}"), vec![n; n as usize % 4])));
}

/// Restores what may be damaged.
fn attempt<F: Form>(
    cache: &Cache<Key, Value, F>,
    restore: impl Fn(&Cache<Key, Value, F>) -> Option<Restored>,
) -> Option<Restored> {
    cache.clear();
    let before = ALLOCATOR.stats().bytes_allocated;
    let restored = restore(cache);
    let asked = ALLOCATOR.stats().bytes_allocated - before;
    assert!(asked < MOST, "{asked} bytes were asked for");
    assert!(cache.weight() <= cache.capacity().amount());
    restored
}

/// Tries everything that may have become of a file; says how many of the damaged ones were read.
fn damage<F: Form>(
    cache: &Cache<Key, Value, F>,
    file: &[u8],
    restore: impl Fn(&Cache<Key, Value, F>, &[u8]) -> Option<Restored>,
) -> usize {
    let whole = attempt(cache, |cache| restore(cache, file));
    assert_eq!(whole.map(|restored| restored.stored), Some(SAVED.into()));
    let mut file = file.to_vec();
    for end in 0..file.len() {
        assert_eq!(
            attempt(cache, |cache| restore(cache, &file[..end])),
            None,
            "cut at {end}"
        );
    }
    let mut read = 0;
    for at in 0..file.len() {
        let right = file[at];
        for wrong in (0..=u8::MAX).filter(|&wrong| wrong != right) {
            file[at] = wrong;
            read += usize::from(attempt(cache, |cache| restore(cache, &file)).is_some());
        }
        file[at] = right;
    }
    read
}

fn json<F: Form>(cache: &Cache<Key, Value, F>, file: &[u8]) -> Option<Restored> {
    let mut json = serde_json::Deserializer::from_slice(file);
    cache.restore(&mut json, Duration::ZERO).ok()
}

fn postcard<F: Form>(cache: &Cache<Key, Value, F>, file: &[u8]) -> Option<Restored> {
    let mut postcard = postcard::Deserializer::from_bytes(file);
    cache.restore(&mut postcard, Duration::ZERO).ok()
}

#[test]
fn a_damaged_file_is_restored_within_the_bound_or_refused() {
    let _alone = alone();
    let saved: Cache<Key, Value, Weighed<Timed<Lru>>> =
        Cache::builder(Weight(1_000, |_: &Key, value: &Value| value.len() as u64))
            .time_to_live(Duration::from_secs(3_600))
            .policy::<Lru>()
            .build()
            .unwrap();
    fill(&saved);
    let mut text = Vec::new();
    done(saved.save(&mut serde_json::Serializer::new(&mut text)));
    let mut packed = postcard::Serializer {
        output: postcard::ser_flavors::StdVec::new(),
    };
    saved.save(&mut packed).unwrap();
    let packed = postcard::ser_flavors::Flavor::finalize(packed.output).unwrap();

    let weighed = Cache::builder(Weight(10, |_: &Key, _: &Value| 1));
    let weighed = weighed.time_to_live(Duration::MAX).build().unwrap();
    let bytes = Cache::builder(Bytes(1_500)).build().unwrap();
    let counted: Cache<Key, Value> = Cache::builder(Entries(5)).build().unwrap();
    let read = [
        damage(&weighed, &text, json),
        damage(&bytes, &text, json),
        damage(&counted, &packed, postcard),
        damage(&weighed, &packed, postcard),
    ];
    assert!(
        read.iter().all(|&read| read > 100),
        "digits and letters change unseen: {read:?}"
    );
}

/// Lengths that claim more than there is.
#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    let _alone = alone();
    let cache: Cache<Key, Value> = Cache::new(10);
    const HUGE: [u8; 10] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    // A name, a version, a unit; then so many entries.
    let mut entries = vec![0, 1, 0];
    entries.extend(HUGE);
    // One entry, with a key of such a length; with a value of one.
    let mut key = vec![0, 1, 0, 1, 1];
    key.extend(HUGE);
    let mut value = vec![0, 1, 0, 1, 1, 1, b'k'];
    value.extend(HUGE);
    for file in [entries, key, value] {
        assert_eq!(attempt(&cache, |cache| postcard(cache, &file)), None);
    }
}
