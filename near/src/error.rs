//! What can go wrong, and with which key.

use redis::{ErrorKind, RedisError};
use std::fmt;

/// Why a call has no answer. Cheap to clone: those who wait for one load share its failure.
///
/// ```
/// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
/// use brimful_near::Error;
///
/// match near.get("user:7").await {
///     Ok(user) => println!("{user:?}"),
///     Err(Error::Down(why)) => println!("no connection, so ask elsewhere: {why}"),
///     Err(error) => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The builder was told what makes no sense; the text says what.
    Setting(String),
    /// The server does not tell what changes, as it is older than Redis 6, forbids it to this user,
    /// or was given prefixes of which one begins with another. See
    /// [`Builder::or_lives`](crate::Builder::or_lives).
    Untracked(String),
    /// There is no connection. Nothing was sent.
    Down(String),
    /// The connection was lost, or no answer came in [time](crate::Builder::timeout). What was to be
    /// written may have been, or may yet be.
    Unanswered(String),
    /// The server has refused: its words, and the key.
    Refused {
        /// The key, or the first of those that were refused.
        key: String,
        /// What the server says.
        says: String,
    },
    /// The codec has refused: its words, and the key. Nothing was stored or sent.
    Codec {
        /// The key.
        key: String,
        /// What the codec says.
        says: String,
    },
}

impl Error {
    /// What a command about this key came to.
    pub(crate) fn of(key: &[u8], error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::Unanswered(error.to_string()),
            _ => Self::Refused {
                key: shown(key),
                says: error.to_string(),
            },
        }
    }

    pub(crate) fn codec(key: &[u8], says: &dyn fmt::Display) -> Self {
        Self::Codec {
            key: shown(key),
            says: says.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(what) => write!(f, "the near cache cannot be built: {what}"),
            Self::Untracked(why) => write!(f, "the server does not tell what changes: {why}"),
            Self::Down(why) => write!(f, "no connection to the server: {why}"),
            Self::Unanswered(why) => write!(f, "no answer from the server: {why}"),
            Self::Refused { key, says } => write!(f, "the server refuses the key {key:?}: {says}"),
            Self::Codec { key, says } => write!(f, "the codec refuses the key {key:?}: {says}"),
        }
    }
}

impl std::error::Error for Error {}

/// A key for people: at most 100 characters.
fn shown(key: &[u8]) -> String {
    key.escape_ascii().take(100).map(char::from).collect()
}
