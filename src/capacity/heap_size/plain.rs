//! Types behind which nothing lies: numbers, names of things, and what is borrowed.

use super::HeapSize;
use crate::sync::of_values::{ThreadId, atomic};
use std::{alloc, any, cell, cmp, convert, ffi, marker, net, num, ops, path, time};

macro_rules! nothing_behind {
    (impl [$($generic:tt)*] $type:ty) => {
        impl<$($generic)*> HeapSize for $type {
            #[inline]
            fn heap_size(&self) -> usize {
                0
            }
        }
    };
    ($($type:ty),* $(,)?) => {$( nothing_behind!(impl [] $type); )*};
}

nothing_behind!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    num::NonZeroU8,
    num::NonZeroU16,
    num::NonZeroU32,
    num::NonZeroU64,
    num::NonZeroU128,
    num::NonZeroUsize,
    num::NonZeroI8,
    num::NonZeroI16,
    num::NonZeroI32,
    num::NonZeroI64,
    num::NonZeroI128,
    num::NonZeroIsize,
);

nothing_behind!(
    atomic::AtomicBool,
    atomic::AtomicU8,
    atomic::AtomicU16,
    atomic::AtomicU32,
    atomic::AtomicU64,
    atomic::AtomicUsize,
    atomic::AtomicI8,
    atomic::AtomicI16,
    atomic::AtomicI32,
    atomic::AtomicI64,
    atomic::AtomicIsize,
);

nothing_behind!(
    str,
    ffi::CStr,
    ffi::OsStr,
    path::Path,
    net::IpAddr,
    net::Ipv4Addr,
    net::Ipv6Addr,
    net::SocketAddr,
    net::SocketAddrV4,
    net::SocketAddrV6,
    time::Duration,
    time::Instant,
    time::SystemTime,
    alloc::Layout,
    any::TypeId,
    cmp::Ordering,
    convert::Infallible,
    ops::RangeFull,
    ThreadId,
);

// A pointer owns nothing, and nor does what can be copied.
nothing_behind!(impl [T: ?Sized] &T);
nothing_behind!(impl [T] atomic::AtomicPtr<T>);
nothing_behind!(impl [T: Copy] cell::Cell<T>);
nothing_behind!(impl [T: ?Sized] marker::PhantomData<T>);
