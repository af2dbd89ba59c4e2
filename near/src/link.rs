//! How the cache stands with its server, as anyone may watch it.

use crate::error::Error;

/// How the cache stands with its server: see [`Near::link`](crate::Near::link).
///
/// ```
/// # async fn example(near: brimful_near::Near<brimful_near::Text>) {
/// use brimful_near::Link;
///
/// let mut link = near.link();
/// while link.changed().await.is_ok() {
///     match &*link.borrow_and_update() {
///         Link::Up => println!("connected: nothing that was missed is in memory"),
///         Link::Untracked(why) => println!("connected, and told of no change: {why}"),
///         Link::Down(why) => println!("not connected: {why}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Connected, and told of changes. What could have been missed before is gone.
    Up,
    /// Connected to a server that does not tell what changes, as [`Builder::or_lives`](crate::Builder::or_lives)
    /// allows: entries live their plain lives. Why it does not.
    Untracked(Error),
    /// Not connected. It is tried again and again. Why.
    Down(Error),
}

impl Link {
    /// Whether there is a connection.
    ///
    /// ```
    /// assert!(brimful_near::Link::Up.is_connected());
    /// ```
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !matches!(self, Self::Down(_))
    }
}
