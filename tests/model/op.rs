//! Operations and configurations, made of raw numbers.

use crate::pile::Order;
use crate::time::Lives;
use crate::world::counted::Spread;

/// One operation, in raw numbers that shrink to simple ones: which key, how
/// heavy, and what else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Get(u16),
    Insert(u16, u16),
    TryInsert(u16, u16),
    InsertWeighted(u16, u16, u16),
    TryInsertWeighted(u16, u16, u16),
    View(u16),
    Peek(u16),
    ContainsKey(u16),
    GetOrInsertWith(u16, u16),
    Entry(u16, u16, u16),
    Update(u16, u16),
    Compute(u16, u16, u16),
    GetMut(u16, u16),
    Remove(u16),
    RemoveEntry(u16),
    RemoveIf(u16, u16),
    Evict,
    Extend(u16, u16, u16),
    SetCapacity(u16),
    Retain(u16, u16),
    Walk,
    ShrinkToFit,
    Drain(u16),
    Clear,
    // Where entries have lives.
    Advance(u16),
    InsertWithTtl(u16, u16, u16),
    TryInsertWithTtl(u16, u16, u16),
    SetTtl(u16, u16),
    Ttl(u16),
    Sweep(u16),
    SweepAll(u16),
    NextDeadline(u16),
}

impl Op {
    pub(crate) fn of(throw: [u16; 4], config: &Config) -> Self {
        // A fourth of what is done to lives has to do with time.
        if config.lives.is_some() && throw[0] >> 14 == 0 {
            return Self::of_time(throw);
        }
        let [kind, key, a, b] = throw;
        match kind % 256 {
            0..=54 => Op::Get(key),
            55..=124 => Op::Insert(key, a),
            125..=134 => Op::TryInsert(key, a),
            135..=144 => Op::InsertWeighted(key, a, b),
            145..=149 => Op::TryInsertWeighted(key, a, b),
            150..=157 => Op::View(key),
            158..=161 => Op::Peek(key),
            162..=165 => Op::ContainsKey(key),
            166..=177 => Op::GetOrInsertWith(key, a),
            178..=191 => Op::Entry(key, a, b),
            192..=198 => Op::Update(key, a),
            199..=205 => Op::Compute(key, a, b),
            206..=213 => Op::GetMut(key, a),
            214..=221 => Op::Remove(key),
            222..=225 => Op::RemoveEntry(key),
            226..=231 => Op::RemoveIf(key, a),
            232..=236 => Op::Extend(key, a, b),
            237..=241 => Op::SetCapacity(a),
            242..=244 => Op::Evict,
            245..=247 => Op::Retain(a, b),
            248 => Op::Walk,
            249..=250 => Op::ShrinkToFit,
            251..=252 if a % 4 == 0 => Op::Drain(b),
            253 if a % 4 == 0 => Op::Clear,
            _ => Op::Insert(key, b),
        }
    }

    fn of_time([kind, key, a, b]: [u16; 4]) -> Self {
        match kind % 64 {
            0..=29 => Op::Advance(a),
            30..=40 => Op::InsertWithTtl(key, a, b),
            41..=44 => Op::TryInsertWithTtl(key, a, b),
            45..=50 => Op::SetTtl(key, a),
            51..=53 => Op::Ttl(key),
            54..=59 => Op::Sweep(a),
            60 => Op::SweepAll(a),
            _ => Op::NextDeadline(a),
        }
    }
}

/// How heavy entries are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hefts {
    /// From 0 up to this, without it.
    Below(u16),
    /// 0, 1, the whole capacity, more than it, `u64::MAX` and its like.
    Wild,
}

impl Hefts {
    pub(crate) fn of(self, n: u16, capacity: u64) -> u64 {
        match (self, n % 16) {
            (Hefts::Below(top), _) => u64::from(n % top.max(1)),
            (_, 0) => 0,
            (_, 1) => capacity,
            (_, 2) => capacity.saturating_add(1),
            (_, 3) => capacity / 2,
            (_, 4) => capacity - capacity / 8,
            (_, 5) => u64::MAX - u64::from(n / 16 % 2),
            (_, 6) => capacity.saturating_sub(1),
            (_, 7) => capacity / 3 + 1,
            _ => u64::from(n / 16 % 12),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) order: Order,
    /// `None` is the cache without locks.
    pub(crate) shards: Option<usize>,
    pub(crate) weighed: bool,
    pub(crate) capacity: u64,
    pub(crate) limit: Option<usize>,
    pub(crate) keys: u32,
    pub(crate) spread: Spread,
    pub(crate) hefts: Hefts,
    pub(crate) lies: bool,
    pub(crate) lives: Option<Lives>,
    /// Whether `Hash` and `Eq` of keys lie.
    pub(crate) contrary: bool,
    /// All is compared after so many operations.
    pub(crate) every: usize,
}

impl Config {
    pub(crate) fn of(order: Order, [throw, second, third]: [[u16; 4]; 3]) -> Self {
        let [shards, capacity, keys, weighed] = throw;
        let [_, limit, lies, salt] = second;
        let shards = [None, Some(1), Some(2), Some(3), Some(7), Some(16)][shards as usize % 6];
        let entries = u64::from(capacity % 41);
        let weighed = weighed % 3 > 0;
        let hefts = [
            Hefts::Below(2),
            Hefts::Below(5),
            Hefts::Below(12),
            Hefts::Wild,
        ];
        let hefts = hefts[second[0] as usize % 4 * usize::from(weighed)];
        let capacity = match hefts {
            Hefts::Below(top) => entries * u64::from(top) / 2,
            Hefts::Wild => wild_capacity(capacity),
        };
        Self {
            order,
            shards,
            weighed,
            capacity,
            limit: (weighed && limit % 3 == 0).then_some(1 + limit as usize / 3 % 30),
            keys: 2 + u32::from(keys) % (3 * entries as u32 + 4),
            spread: Spread::Well(u64::from(salt % 4)),
            hefts,
            lies: weighed && lies % 5 == 0,
            lives: (salt / 4 % 3 > 0).then(|| Lives::of(third)),
            contrary: false,
            every: 1 + second[0] as usize / 4 % 40,
        }
    }

    pub(crate) fn form(&self) -> Extras {
        let to_idle = |lives: Lives| lives.to_idle.is_some();
        match (self.weighed, self.lives) {
            (false, None) => Extras::Forever,
            (false, Some(lives)) if to_idle(lives) => Extras::Idles,
            (false, Some(_)) => Extras::Ends,
            (true, None) => Extras::Weighed,
            (true, Some(lives)) if lives.records || to_idle(lives) => Extras::WeighedRecords,
            (true, Some(_)) => Extras::WeighedEnds,
        }
    }
}

/// What an entry carries of weight and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extras {
    Forever,
    Ends,
    Idles,
    Weighed,
    WeighedEnds,
    WeighedRecords,
}

pub(crate) fn wild_capacity(n: u16) -> u64 {
    let capacities = [10, 100, 1 << 20, 1 << 63, u64::MAX - 1, u64::MAX];
    capacities[n as usize % capacities.len()]
}
