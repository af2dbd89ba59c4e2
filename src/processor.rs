//! What a processor can do, and safe Rust cannot say: compare 32 bytes at once,
//! and ask for memory without waiting for it.
//!
//! This is the one room of the crate with `unsafe` in it: two blocks, neither of
//! which can go wrong whatever it is called with. Without them a hit takes half as many
//! instructions more and a fifth more time, an insert a quarter more, among a million entries
//! two fifths (`benches/RESULTS.md`). Where the processor has no such instructions, or no stable way
//! to name them, [`equal`] is written out and [`fetch`] does nothing.

/// Bytes compared at once.
pub(crate) const LANES: usize = 32;

/// Half a cache line, where one begins or in the middle of one.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Line(pub(crate) [u8; LANES]);

/// Which bytes of a line are equal to `one`: a bit for each, the lowest for the first.
#[inline]
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[allow(unsafe_code, reason = "instructions, and loads of 16 bytes")]
pub(crate) fn equal(line: &Line, one: u8) -> u32 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8,
    };
    // SAFETY: this is compiled only for processors that have these instructions. The two
    // loads are of 16 bytes each at 0 and at 16 from the beginning of a `Line`, which is 32
    // bytes long, initialised, borrowed, and aligned to 32.
    unsafe {
        let line = std::ptr::from_ref(line).cast::<__m128i>();
        let one = _mm_set1_epi8(one as i8);
        let half = |n| _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_load_si128(line.add(n)), one));
        half(0) as u32 | (half(1) as u32) << 16
    }
}

/// Which bytes of a line are equal to `one`: a bit for each, the lowest for the first.
#[inline]
#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
pub(crate) fn equal_by_one(line: &Line, one: u8) -> u32 {
    let bit = |(lane, &byte): (usize, &u8)| u32::from(byte == one) << lane;
    line.0.iter().enumerate().map(bit).sum()
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub(crate) use equal_by_one as equal;

/// Asks for the first and the last cache line of a place, and does not wait for them: when
/// they are wanted, some ten or hundred instructions later, they may have come.
#[inline]
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "nothing to ask with")
)]
#[allow(unsafe_code, reason = "an instruction")]
pub(crate) fn fetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    // SAFETY: compiled only for processors that have the instruction. It reads and writes
    // nothing that a program can tell, and does not fault whatever the address is: these
    // are that of a borrowed place and of its last byte.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = std::ptr::from_ref(place).cast::<i8>();
        _mm_prefetch::<_MM_HINT_T0>(first);
        _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(size_of::<T>().saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_answers_for_its_byte_alone() {
        for lane in 0..LANES {
            for byte in 1..=u8::MAX {
                let mut line = Line([0; LANES]);
                line.0[lane] = byte;
                assert_eq!(equal(&line, byte), 1 << lane);
                assert_eq!(equal(&line, 0), !(1 << lane));
                assert_eq!(equal(&line, byte ^ 1) & 1 << lane, 0);
            }
        }
        assert_eq!(equal(&Line([7; LANES]), 7), u32::MAX);
    }

    #[test]
    fn at_once_is_one_by_one() {
        let mut dice = 1_u64;
        for _ in 0..20_000 {
            let line = Line(std::array::from_fn(|_| {
                dice = dice.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                // Few values, that many may be equal.
                [0, 1, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x40][(dice >> 61) as usize]
            }));
            for one in line.0 {
                assert_eq!(equal(&line, one), equal_by_one(&line, one), "{:?}", line.0);
            }
        }
    }

    #[test]
    fn anything_may_be_asked_for() {
        fetch(&());
        fetch(&1_u8);
        fetch(&[0_u64; 100]);
        fetch::<[u64; 0]>(&[]);
    }
}
