//! Codecs: what values are in memory, and what they are on the server.

use std::convert::Infallible;
use std::fmt;
use std::str::Utf8Error;
use std::sync::Arc;

/// What values are in memory, and what they are on the server.
///
/// Each read clones a value, so it should be cheap to clone: keep an [`Arc`] in it. For memory
/// bounded by [`Bytes`](brimful::Bytes) it has [`HeapSize`](brimful::HeapSize), or
/// [`Bytes::by`](brimful::Bytes::by) is told how large it is.
///
/// ```
/// use brimful_near::Codec;
///
/// /// Numbers, big-endian.
/// struct Number;
///
/// impl Codec for Number {
///     type Value = u64;
///     type Error = std::array::TryFromSliceError;
///
///     fn encode(&self, value: &u64) -> Result<Vec<u8>, Self::Error> {
///         Ok(value.to_be_bytes().to_vec())
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<u64, Self::Error> {
///         Ok(u64::from_be_bytes(bytes.try_into()?))
///     }
/// }
///
/// assert_eq!(Number.decode(&Number.encode(&7).unwrap()).unwrap(), 7);
/// assert!(Number.decode(b"short").is_err());
/// ```
pub trait Codec: Send + Sync + 'static {
    /// A value in memory.
    type Value: Clone + Send + Sync + 'static;

    /// Why bytes are no value, or a value can be no bytes.
    type Error: fmt::Display;

    /// The bytes for a value.
    ///
    /// # Errors
    /// If there are none. Then nothing is sent.
    fn encode(&self, value: &Self::Value) -> Result<Vec<u8>, Self::Error>;

    /// The value of these bytes, which anyone may have written.
    ///
    /// # Errors
    /// If they are none. Then nothing is stored, and the next read asks the server again.
    fn decode(&self, bytes: &[u8]) -> Result<Self::Value, Self::Error>;
}

/// Values that are bytes as they are: `Arc<[u8]>`.
///
/// ```
/// use brimful_near::{Blob, Codec};
///
/// assert_eq!(*Blob.decode(b"\xff").unwrap(), [255]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Blob;

impl Codec for Blob {
    type Value = Arc<[u8]>;
    type Error = Infallible;

    fn encode(&self, value: &Arc<[u8]>) -> Result<Vec<u8>, Infallible> {
        Ok(value.to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<[u8]>, Infallible> {
        Ok(bytes.into())
    }
}

/// Values that are text in UTF-8: `Arc<str>`.
///
/// ```
/// use brimful_near::{Codec, Text};
///
/// assert_eq!(&*Text.decode(b"ann").unwrap(), "ann");
/// assert!(Text.decode(b"\xff").is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl Codec for Text {
    type Value = Arc<str>;
    type Error = Utf8Error;

    fn encode(&self, value: &Arc<str>) -> Result<Vec<u8>, Utf8Error> {
        Ok(value.as_bytes().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<str>, Utf8Error> {
        std::str::from_utf8(bytes).map(Into::into)
    }
}

#[cfg(feature = "json")]
pub use json::Json;

#[cfg(feature = "json")]
mod json {
    use super::Codec;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::fmt;
    use std::marker::PhantomData;
    use std::sync::Arc;

    /// Values of any type that `serde` knows, as JSON: `Arc<T>`. With the feature `json`.
    ///
    /// ```
    /// use brimful_near::{Codec, Json};
    ///
    /// let pairs = Json::<Vec<(String, u32)>>::new();
    /// assert_eq!(*pairs.decode(br#"[["ann",7]]"#).unwrap(), [("ann".to_owned(), 7)]);
    /// assert!(pairs.decode(b"{").is_err());
    /// ```
    pub struct Json<T>(PhantomData<fn() -> T>);

    impl<T> Json<T> {
        /// The codec for this type.
        ///
        /// ```
        /// let numbers = brimful_near::Json::<Vec<u32>>::new();
        /// ```
        #[must_use]
        pub fn new() -> Self {
            Self(PhantomData)
        }
    }

    impl<T> Default for Json<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<T> fmt::Debug for Json<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Json")
        }
    }

    impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Codec for Json<T> {
        type Value = Arc<T>;
        type Error = serde_json::Error;

        fn encode(&self, value: &Arc<T>) -> Result<Vec<u8>, serde_json::Error> {
            serde_json::to_vec(&**value)
        }

        fn decode(&self, bytes: &[u8]) -> Result<Arc<T>, serde_json::Error> {
            serde_json::from_slice(bytes).map(Arc::new)
        }
    }
}
