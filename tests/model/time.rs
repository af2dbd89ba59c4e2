//! Time, counted naively: moments as numbers of nanoseconds, sums in `u128`.

use crate::world::counted::WORLD;
use crate::world::random::mix;
use brimful::{Clock, ManualClock};
use std::time::Duration;

/// What the end of a life is rounded down to, the grain in which the wheel sees
/// it, and the end of what does not end.
pub(crate) const TICK: u64 = 1_000;
pub(crate) const BEAT: u64 = 1 << 20;
pub(crate) const NEVER: u64 = (u64::MAX >> 10) * TICK;

/// When a life that begins now ends.
pub(crate) fn end_after(now: u64, life: u64) -> u64 {
    let end = u128::from(now) + u128::from(life);
    u64::try_from(end).map_or(NEVER, |end| tick_of(end).min(NEVER))
}

/// The first moment at which the wheel must have found what ended at `end`.
pub(crate) fn seen_after(end: u64) -> u128 {
    u128::from(end.div_ceil(BEAT)) * u128::from(BEAT)
}

/// The last tick that is wholly past.
pub(crate) fn tick_of(now: u64) -> u64 {
    now / TICK * TICK
}

/// The clock of a case, which counts how often it is read.
pub(crate) struct Watched(pub(crate) ManualClock);

impl Clock for Watched {
    fn now(&self) -> Duration {
        WORLD.with(|world| world.clock_reads.set(world.clock_reads.get() + 1));
        self.0.now()
    }
}

/// Lives as a case gives them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lives {
    pub(crate) to_live: Option<Duration>,
    pub(crate) to_idle: Option<Duration>,
    /// The rules, if there are any, by what they mix their answers from.
    pub(crate) rule: Option<u16>,
    pub(crate) on_read: Option<u16>,
    /// Whether lives are recorded, where entries have weights: each form doubles the
    /// types that there are to compile.
    pub(crate) records: bool,
    /// Most lives are shorter than two to this power.
    pub(crate) span: u32,
    /// Whether the clock also goes back.
    pub(crate) hostile: bool,
}

impl Lives {
    pub(crate) fn of([some, to_live, to_idle, rules]: [u16; 4]) -> Self {
        let unsaid = Self {
            to_live: None,
            to_idle: None,
            rule: (rules % 3 == 0).then_some(rules),
            on_read: (rules / 3 % 4 == 0).then_some(rules / 12),
            records: some % 3 == 0,
            span: [12, 22, 25, 32, 36, 44, 54][some as usize / 3 % 7],
            hostile: some / 21 % 3 == 0,
        };
        let life = |n: u16| unsaid.usual_life(n / 4);
        Self {
            to_live: (to_live % 4 > 0).then(|| life(to_live)),
            to_idle: (to_idle % 2 > 0).then(|| life(to_idle)),
            ..unsaid
        }
    }

    /// Seldom zero: that lets nothing in.
    fn usual_life(self, n: u16) -> Duration {
        self.life(if n % 64 > 0 { n | 8 } else { n })
    }

    pub(crate) fn life(self, n: u16) -> Duration {
        let some = mix(u64::from(n));
        let nanos = match n % 16 {
            0 => 0,
            1 => return Duration::MAX,
            2 => some % (2 * TICK),
            3 => some % (4 * BEAT),
            4 => u64::MAX - some % (4 * TICK),
            5 => return Duration::from_secs(some),
            6 => some % (64 << self.span),
            8 => return Duration::MAX,
            _ => 1 + some % (1 << self.span),
        };
        Duration::from_nanos(nanos)
    }

    /// What the rule says of a value that is stored, or was changed and has so much left.
    pub(crate) fn rules(self, id: u32, value: u64, left: Option<Duration>) -> Option<Duration> {
        let heard = left.map_or(0, |left| mix(left.as_nanos() as u64 | 1));
        self.answer(self.rule?, id, value ^ heard, 3)
    }

    pub(crate) fn rules_read(self, id: u32, value: u64) -> Option<Duration> {
        self.answer(self.on_read?, id, value, 5)
    }

    /// Something in one case out of so many, the same for the same value.
    fn answer(self, salt: u16, id: u32, value: u64, out_of: u64) -> Option<Duration> {
        let some = mix(value ^ u64::from(id) << 32 ^ u64::from(salt) << 48);
        (some % out_of == 0).then(|| self.life((some >> 32) as u16))
    }

    /// Where the clock stands after it was moved.
    pub(crate) fn moved(self, clock: u64, n: u16) -> u64 {
        let some = mix(u64::from(n));
        let some_years = some % (1 << 58);
        match n % 16 {
            0 => clock,
            1 => clock.saturating_add(1 + some % (2 * TICK)),
            2 => clock.saturating_add(some % (2 * BEAT)),
            3 => clock.saturating_add(BEAT * (some % 70)),
            4 => clock.saturating_add(some % (16 << self.span)),
            5 if n / 16 % 8 == 0 => clock.saturating_add(some % (1 << 62)),
            5 if n / 16 % 8 == 1 => clock.saturating_add(some_years),
            6 if self.hostile && n / 16 % 4 == 0 => some_years,
            7 | 8 if self.hostile => clock.saturating_sub(some % (4 << self.span)),
            9 if self.hostile => clock.saturating_sub(some_years),
            10 if self.hostile && n / 16 % 16 == 0 => u64::MAX - some % (4 * TICK),
            _ => clock.saturating_add(some % (1 << self.span) / 4),
        }
    }
}

/// Whether a rule was asked; in a closure that a cache keeps.
pub(crate) fn ask(answer: Option<Duration>) -> Option<Duration> {
    WORLD.with(|world| world.rulings.set(world.rulings.get() + 1));
    answer
}
