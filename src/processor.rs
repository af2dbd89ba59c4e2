//! What a processor can do, and safe Rust cannot say: compare 32 bytes at once,
//! and ask for memory without waiting for it.
//!
//! | machine | [`equal`] compares | [`prefetch`] |
//! |---|---|---|
//! | x86 and x86_64, with SSE2 | two vectors of 16 bytes | asks |
//! | aarch64 | two vectors of 16 bytes | does nothing |
//! | any other; Miri; `--cfg brimful_portable` | four words of 8 bytes | does nothing |
//!
//! None of the `unsafe` blocks here can go wrong whatever it is called with. The form for
//! any machine is safe, and the tests hold each form against a loop over bytes.

/// Bytes compared at once.
pub(crate) const LANES: usize = 32;

/// Bytes that are compared at once, in words: the lowest byte of the first word is the
/// first, whatever the order of bytes of the machine is.
pub(crate) type Words = [u64; LANES / 8];

// What this file defines for one machine hides what it imports for any.
#[allow(unused_imports, reason = "all of it is hidden where there is SSE2")]
pub(crate) use portable::*;

/// Which of the bytes are equal to `byte`: a bit for each, the lowest for the first.
#[inline]
#[cfg(all(
    any(target_arch = "x86", target_arch = "x86_64"),
    target_feature = "sse2",
    not(any(miri, brimful_portable))
))]
#[allow(unsafe_code, reason = "instructions")]
pub(crate) fn equal(words: Words, byte: u8) -> u32 {
    use arch::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    #[cfg(target_arch = "x86")]
    use std::arch::x86 as arch;
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64 as arch;

    // SAFETY: this is compiled only for processors that have these instructions, which
    // change registers and nothing else.
    unsafe {
        let wanted = _mm_set1_epi8(byte as i8);
        let half = |low: u64, high: u64| {
            let bytes = _mm_set_epi64x(high as i64, low as i64);
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted)) as u32
        };
        half(words[0], words[1]) | half(words[2], words[3]) << 16
    }
}

/// Which of the bytes are equal to `byte`: a bit for each, the lowest for the first.
#[inline]
#[cfg(all(
    target_arch = "aarch64",
    target_feature = "neon",
    not(any(miri, brimful_portable))
))]
#[allow(unsafe_code, reason = "instructions")]
pub(crate) fn equal(words: Words, byte: u8) -> u32 {
    use std::arch::aarch64::{
        vandq_u8, vceqq_u8, vcombine_u8, vcreate_u8, vdupq_n_u8, vgetq_lane_u32, vpaddq_u8,
        vreinterpretq_u32_u8,
    };
    // SAFETY: this is compiled only for processors that have these instructions, which
    // change registers and nothing else.
    unsafe {
        let wanted = vdupq_n_u8(byte);
        // Each of eight lanes has a bit of its own: three sums of neighbours bring the
        // eight together in one byte, and those of the whole line in four.
        let bits = vcreate_u8(0x8040_2010_0804_0201);
        let bits = vcombine_u8(bits, bits);
        let half = |low: u64, high: u64| {
            let bytes = vcombine_u8(vcreate_u8(low), vcreate_u8(high));
            vandq_u8(vceqq_u8(bytes, wanted), bits)
        };
        let pairs = vpaddq_u8(half(words[0], words[1]), half(words[2], words[3]));
        let fours = vpaddq_u8(pairs, pairs);
        let eights = vpaddq_u8(fours, fours);
        vgetq_lane_u32::<0>(vreinterpretq_u32_u8(eights))
    }
}

/// Asks for the first and the last cache line of a place, and does not wait for them: when
/// they are wanted, some ten or hundred instructions later, they may have come.
#[inline]
#[cfg(all(
    any(target_arch = "x86", target_arch = "x86_64"),
    target_feature = "sse2",
    not(any(miri, brimful_portable))
))]
#[allow(unsafe_code, reason = "an instruction")]
pub(crate) fn prefetch<T>(place: &T) {
    use arch::{_MM_HINT_T0, _mm_prefetch};
    #[cfg(target_arch = "x86")]
    use std::arch::x86 as arch;
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64 as arch;

    let first = std::ptr::from_ref(place).cast::<i8>();
    let last = first.wrapping_add(size_of::<T>().saturating_sub(1));
    // SAFETY: this is compiled only for processors that have the instruction. It reads and
    // writes nothing that a program can tell, and does not fault whatever the address is:
    // these are that of a borrowed place and of its last byte.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(first);
        _mm_prefetch::<_MM_HINT_T0>(last);
    }
}

/// The forms for any machine.
#[allow(
    dead_code,
    reason = "where the machine has a form of its own, only the tests use these"
)]
mod portable {
    use super::Words;

    /// The lower seven bits of each byte of a word.
    const LOW: u64 = u64::from_le_bytes([0x7F; 8]);

    /// As a factor it takes the highest bit of byte `n` to bit `56 + n`. No two of the
    /// products fall on one bit, so nothing is carried.
    const GATHER: u64 = 0x0002_0408_1020_4081;

    /// Which of the bytes are equal to `byte`: a bit for each, the lowest for the first.
    #[inline]
    pub(crate) fn equal(words: Words, byte: u8) -> u32 {
        let word = |n: usize| equal_in_word(words[n], byte) << (8 * n);
        word(0) | word(1) | word(2) | word(3)
    }

    /// The 8 bits of [`equal`] for one word.
    #[inline]
    fn equal_in_word(word: u64, byte: u8) -> u32 {
        let differs = word ^ u64::from_le_bytes([byte; 8]);
        // The highest bit of each byte here says whether that byte differs: the sum of
        // seven bits and 0x7F carries into it if any of them is set, and never beyond.
        let unlike = ((differs & LOW) + LOW) | differs;
        ((!unlike & !LOW).wrapping_mul(GATHER) >> 56) as u32
    }

    /// Asks for nothing: there is no stable intrinsic to ask with.
    #[inline]
    pub(crate) fn prefetch<T>(_place: &T) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: [u8; LANES]) -> Words {
        let word = |n: usize| std::array::from_fn(|lane| bytes[8 * n + lane]);
        std::array::from_fn(|n| u64::from_le_bytes(word(n)))
    }

    /// What each form must answer.
    fn equal_by_bytes(bytes: [u8; LANES], byte: u8) -> u32 {
        let bit = |(lane, &other): (usize, &u8)| u32::from(other == byte) << lane;
        bytes.iter().enumerate().map(bit).sum()
    }

    #[test]
    fn each_lane_answers_for_its_byte_alone() {
        for equal in [equal, portable::equal] {
            for lane in 0..LANES {
                for byte in 1..=u8::MAX {
                    let mut bytes = [0; LANES];
                    bytes[lane] = byte;
                    assert_eq!(equal(words(bytes), byte), 1 << lane);
                    assert_eq!(equal(words(bytes), 0), !(1 << lane));
                    assert_eq!(equal(words(bytes), byte ^ 1) & 1 << lane, 0);
                }
            }
            assert_eq!(equal(words([7; LANES]), 7), u32::MAX);
        }
    }

    #[test]
    fn at_once_is_byte_by_byte() {
        let mut dice = 1_u64;
        for _ in 0..20_000 {
            let bytes: [u8; LANES] = std::array::from_fn(|_| {
                dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                // Few values, that many may be equal, and such as differ by one bit.
                [0, 1, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x40][(dice >> 61) as usize]
            });
            for byte in bytes {
                let expected = equal_by_bytes(bytes, byte);
                assert_eq!(equal(words(bytes), byte), expected, "{bytes:?}");
                assert_eq!(portable::equal(words(bytes), byte), expected, "{bytes:?}");
            }
        }
    }

    #[test]
    fn no_lane_disturbs_its_neighbour() {
        const WANTED: u8 = 0xA5;
        for one in 0..=u8::MAX {
            for other in 0..=u8::MAX {
                let lane = |lane| [one ^ WANTED, other ^ WANTED][lane % 2];
                let bytes = std::array::from_fn(lane);
                let expected = equal_by_bytes(bytes, WANTED);
                assert_eq!(equal(words(bytes), WANTED), expected, "{one} {other}");
                assert_eq!(
                    portable::equal(words(bytes), WANTED),
                    expected,
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn anything_may_be_asked_for() {
        prefetch(&());
        prefetch(&1_u8);
        prefetch(&[0_u64; 100]);
        prefetch::<[u64; 0]>(&[]);
    }
}
