//! `ToKey`: how a loading call makes a key of what it was asked for.
//!
//! What is only looked up is compared with the keys there are (`Equivalent`). What is loaded is
//! stored under a key, which is made of a borrowed form once the key was missed.

use crate::sync::of_values::Arc;
use hashbrown::Equivalent;
use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A form in which a key can be asked for, and of which a key can be made.
///
/// Loading calls take a key by such a form: `&str` for keys `String`, `Arc<str>`, `Box<str>`,
/// `Rc<str>` or `Cow<'static, str>`, a slice or a path likewise, and any key by itself. For
/// forms of your own implement it beside [`Equivalent`]:
///
/// ```
/// use brimful::{Cache, Equivalent, ToKey};
/// use std::sync::Arc;
///
/// #[derive(PartialEq, Eq, Hash)]
/// struct Place { country: Arc<str>, town: Arc<str> }
///
/// /// Hashes as a `Place` does.
/// #[derive(Hash)]
/// struct Asked<'a> { country: &'a str, town: &'a str }
///
/// impl Equivalent<Place> for Asked<'_> {
///     fn equivalent(&self, key: &Place) -> bool {
///         *self.country == *key.country && *self.town == *key.town
///     }
/// }
///
/// impl ToKey<Place> for Asked<'_> {
///     fn to_key(&self) -> Place {
///         Place { country: self.country.into(), town: self.town.into() }
///     }
/// }
///
/// let people = Cache::<Place, u64>::new(100);
/// let asked = Asked { country: "France", town: "Paris" };
/// assert_eq!(people.get_or_insert_with(&asked, || 2_100_000), 2_100_000);
/// assert_eq!(people.get(&asked), Some(2_100_000));
/// ```
pub trait ToKey<K>: Equivalent<K> {
    /// The key that this form is equivalent to. Called before a lock is taken, once for a load,
    /// and once more where a weigher or a rule for lives must see the key.
    fn to_key(&self) -> K;
}

/// Any key is a form of itself.
impl<K: Clone + Eq> ToKey<K> for K {
    #[inline]
    fn to_key(&self) -> K {
        self.clone()
    }
}

/// Keys that are made of a borrowed form by `From`, and borrow that.
macro_rules! made {
    ($borrowed:ty => $($key:ty),+) => {
        $(
            impl ToKey<$key> for $borrowed {
                #[inline]
                fn to_key(&self) -> $key {
                    self.into()
                }
            }
        )+
    };
}

made!(str => String, Arc<str>, Rc<str>, Box<str>);
made!(Path => PathBuf, Arc<Path>, Rc<Path>, Box<Path>);
made!(OsStr => OsString, Arc<OsStr>, Rc<OsStr>, Box<OsStr>);
made!(CStr => CString, Arc<CStr>, Rc<CStr>, Box<CStr>);

/// Keys that are slices.
macro_rules! made_of_slices {
    ($($key:ty),+) => {
        $(
            impl<T: Clone + Eq> ToKey<$key> for [T] {
                #[inline]
                fn to_key(&self) -> $key {
                    self.into()
                }
            }
        )+
    };
}

made_of_slices!(Vec<T>, Arc<[T]>, Rc<[T]>, Box<[T]>);

impl<'a> ToKey<Cow<'a, str>> for str {
    #[inline]
    fn to_key(&self) -> Cow<'a, str> {
        Cow::Owned(self.to_owned())
    }
}

#[cfg(feature = "arcstr")]
made!(str => arcstr::ArcStr);
#[cfg(feature = "compact_str")]
made!(str => compact_str::CompactString);
#[cfg(feature = "smol_str")]
made!(str => smol_str::SmolStr);

#[cfg(feature = "bytes")]
impl ToKey<bytes::Bytes> for [u8] {
    #[inline]
    fn to_key(&self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(self)
    }
}

#[cfg(test)]
#[cfg(not(brimful_loom))]
mod tests {
    use super::*;
    use crate::Cache;
    use std::hash::Hash;

    /// What finds a key also loads it.
    fn loads<K: Hash + Eq + 'static>(form: &(impl ToKey<K> + Hash + ?Sized)) {
        let cache = Cache::<K, u32>::new(10);
        assert_eq!(cache.get(form), None);
        assert_eq!(cache.get_or_insert_with(form, || 7), 7);
        assert_eq!((cache.get(form), cache.len()), (Some(7), 1));
        assert_eq!(cache.get_or_insert_with(form, || unreachable!()), 7);
    }

    #[test]
    fn each_form_finds_what_it_has_loaded() {
        loads::<String>("x");
        loads::<Arc<str>>("x");
        loads::<Rc<str>>("x");
        loads::<Box<str>>("x");
        loads::<Cow<'static, str>>("x");
        loads::<&'static str>(&"x");
        loads::<Arc<str>>(&Arc::<str>::from("x"));
        loads::<PathBuf>(Path::new("x"));
        loads::<Arc<Path>>(Path::new("x"));
        loads::<OsString>(OsStr::new("x"));
        loads::<Box<OsStr>>(OsStr::new("x"));
        loads::<CString>(c"x");
        loads::<Rc<CStr>>(c"x");
        loads::<Vec<u8>>(&b"x"[..]);
        loads::<Arc<[u8]>>(&b"x"[..]);
        loads::<Box<[String]>>(&["x".to_owned()][..]);
        loads::<(u8, &'static str)>(&(1, "x"));
    }

    #[test]
    #[cfg(feature = "arcstr")]
    fn of_arcstr() {
        loads::<arcstr::ArcStr>("x");
    }

    #[test]
    #[cfg(feature = "compact_str")]
    fn of_compact_str() {
        loads::<compact_str::CompactString>("x");
    }

    #[test]
    #[cfg(feature = "smol_str")]
    fn of_smol_str() {
        loads::<smol_str::SmolStr>("x");
    }

    #[test]
    #[cfg(feature = "bytes")]
    fn of_bytes() {
        loads::<bytes::Bytes>(&b"x"[..]);
    }
}
