//! Two eviction policies of one's own: `cargo run --release --example own_policy`.
//!
//! `AtRandom` is the shortest there is. `HeavyFirst` knows two priorities: what weighs so much
//! or more is cheap to lose, and goes first unless it was hit of late.
//!
//! A policy sees tags, weights and its own meta, not keys or values, so a priority that it is to
//! heed has to be told as weight. Both are run beside the default and LRU on skewed traffic with
//! scans, where one key in eight is heavy; look at the share of requests that hit, and at the most
//! that each cache ever held.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use brimful::policy::{Duel, Lru, Policy, Residents, Slot, Tag, Touch, rehearse};
use brimful::{BuildError, Cache, Updated, Weight};

/// Evicts whomever the dice hit.
struct AtRandom(u64);

impl Policy for AtRandom {
    type Meta = ();
    const TOUCH: Touch = Touch::Mark;

    fn new(_share: u64, seed: u64) -> Self {
        Self(seed | 1)
    }

    fn admit(&mut self, _: Slot, _: Tag, _: &mut impl Residents<()>) {}

    fn forget(&mut self, _: Slot, _: &mut impl Residents<()>) {}

    fn victim(&mut self, residents: &mut impl Residents<()>) -> Option<Slot> {
        self.0 = dice(self.0);
        residents.nth(self.0)
    }

    // It keeps no slots.
    fn moved(&mut self, _: &mut impl Residents<()>) {}
}

/// First in, first out, with a second chance for who was hit; the heavy (`HEAVY` or more) go first.
#[derive(Clone, Default)]
struct HeavyFirst<const HEAVY: u64> {
    heavy_and_light: [VecDeque<(Tag, u64)>; 2],
    turn: u64,
}

#[derive(Clone, Default)]
struct Seat {
    /// The last place given: tells apart entries that share a tag, and who left or moved.
    turn: u64,
}

impl<const HEAVY: u64> Policy for HeavyFirst<HEAVY> {
    type Meta = Seat;
    const TOUCH: Touch = Touch::Mark;
    const HITS: u32 = 1;

    fn new(_share: u64, _seed: u64) -> Self {
        Self::default()
    }

    fn admit(&mut self, slot: Slot, tag: Tag, residents: &mut impl Residents<Seat>) {
        self.turn += 1;
        let queue = &mut self.heavy_and_light[usize::from(residents.weight(slot) < HEAVY)];
        // Who left is still queued: not more of these than of those here.
        if queue.len() > 2 * residents.len() {
            queue.retain(|&place| find(place, residents).is_some());
        }
        queue.push_back((tag, self.turn));
        if let Some(seat) = residents.meta_mut(slot) {
            seat.turn = self.turn;
        }
    }

    fn reweighed(&mut self, slot: Slot, before: u64, residents: &mut impl Residents<Seat>) {
        if (before < HEAVY) != (residents.weight(slot) < HEAVY) {
            if let Some(tag) = residents.tag(slot) {
                self.admit(slot, tag, residents);
            }
        }
    }

    fn forget(&mut self, _: Slot, _: &mut impl Residents<Seat>) {}

    fn victim(&mut self, residents: &mut impl Residents<Seat>) -> Option<Slot> {
        let mut queues = self.heavy_and_light.iter_mut();
        queues.find_map(|queue| next(queue, residents))
    }

    // It keeps tags, which stay good.
    fn moved(&mut self, _: &mut impl Residents<Seat>) {}

    // For `coldest`: its next victims are those of a copy.
    fn order(&self, residents: &impl Residents<Seat>) -> Option<impl Iterator<Item = Slot>> {
        Some(rehearse(self.clone(), residents))
    }
}

fn next(queue: &mut VecDeque<(Tag, u64)>, residents: &mut impl Residents<Seat>) -> Option<Slot> {
    while let Some(place) = queue.pop_front() {
        let Some(slot) = find(place, residents) else {
            continue;
        };
        if residents.hits(slot) == 0 {
            return Some(slot);
        }
        residents.set_hits(slot, 0);
        queue.push_back(place);
    }
    None
}

/// Who was given this place and still has it.
fn find((tag, turn): (Tag, u64), residents: &impl Residents<Seat>) -> Option<Slot> {
    residents.find(tag, |seat| seat.turn == turn)
}

const CAPACITY: u64 = 20_000;
const REQUESTS: u64 = 1_000_000;

/// The next number of a xorshift.
fn dice(mut n: u64) -> u64 {
    n ^= n << 13;
    n ^= n >> 7;
    n ^ n << 17
}

/// Zipf over 20,000 keys; each 10,000 requests the last 1,000 are a scan of keys that never return.
fn keys() -> impl Iterator<Item = u64> {
    let mut seed = 42;
    (0..REQUESTS).map(move |n| {
        seed = dice(seed);
        let even = (seed >> 11) as f64 / (1_u64 << 53) as f64;
        let zipf = 20_000_f64.powf(even) as u64;
        if n % 10_000 < 9_000 {
            zipf
        } else {
            1 << 32 | n
        }
    })
}

/// One key in eight is heavy.
fn weigh(key: &u64, (): &()) -> u64 {
    let drawn = dice(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1) >> 32;
    if drawn % 8 == 0 { 200 } else { 1 + drawn % 16 }
}

/// The share of requests that hit, and the most that was ever held.
fn run<P: Policy>() -> Result<(f64, u64), BuildError> {
    let cache = Cache::builder(Weight(CAPACITY, weigh))
        .policy::<P>()
        .build()?;
    let (mut hits, mut most) = (0, 0);
    for key in keys() {
        if cache.get(&key).is_some() {
            hits += 1;
        } else {
            cache.insert(key, ());
        }
        most = most.max(cache.weight());
    }
    Ok((100.0 * hits as f64 / REQUESTS as f64, most))
}

/// A hasher for which all keys are one: they all share a tag.
#[derive(Default)]
struct AllAlike;

impl Hasher for AllAlike {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        7
    }
}

/// Who leaves must be who was meant, also where no tag tells entries apart.
fn survives_colliding_tags() -> Result<(), BuildError> {
    let cache = Cache::builder(Weight(40, |_: &u32, weight: &u64| *weight))
        .policy::<HeavyFirst<20>>()
        .hasher(BuildHasherDefault::<AllAlike>::default())
        .shards(1)
        .build()?;
    cache.extend([(0, 10), (1, 5), (2, 5), (3, 20)]);
    cache.insert(4, 10);
    assert!(!cache.contains_key(&3), "the only heavy one");
    // Among the light ones 0 was hit, 1 is still queued but gone, and 2 is next.
    cache.get(&0);
    cache.remove(&1);
    cache.extend([(5, 10), (6, 10)]);
    assert!(!cache.contains_key(&2) && cache.contains_key(&0));
    // 6, the last of all, grows heavy: it has one chance, then goes before all others.
    assert_eq!(cache.update(&6, |weight| *weight = 20), Updated::Kept(()));
    cache.extend([(7, 10), (8, 10)]);
    assert!(!cache.contains_key(&6) && cache.weight() <= 40);
    // It tells who is next, and they are.
    let order = cache.coldest(10);
    assert!(
        std::iter::from_fn(|| cache.evict())
            .map(|(key, _)| key)
            .eq(order)
    );
    Ok(())
}

fn main() -> Result<(), BuildError> {
    survives_colliding_tags()?;
    let rows = [
        ("Duel (default)", run::<Duel>()?),
        ("Lru", run::<Lru>()?),
        ("AtRandom", run::<AtRandom>()?),
        ("HeavyFirst", run::<HeavyFirst<100>>()?),
    ];
    println!("{REQUESTS} requests, capacity {CAPACITY} in units of weight\n");
    println!("{:<16}{:>7}{:>14}", "policy", "hits", "held at most");
    for (name, (ratio, most)) in rows {
        println!("{name:<16}{ratio:>5.1} %{most:>14}");
        assert!(most <= CAPACITY, "over the bound");
    }
    let [_, (_, (lru, _)), (_, (random, _)), (_, (heavy_first, _))] = rows;
    assert!(
        heavy_first > lru + 2.0 && heavy_first > random + 2.0,
        "what it knows of weights pays"
    );
    Ok(())
}
