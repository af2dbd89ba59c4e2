//! Where the server is.

use redis::{Client, RedisResult};

/// Where the server is: asked before each connection, so it may be another one each time.
///
/// A [`redis::Client`] is one: with its address (TCP, TLS by the client library's features, a Unix
/// socket), its user, password and database. With the feature `sentinel` a `redis::sentinel::SentinelClient`
/// is one, which finds the master of the moment. One of your own can ask whoever knows:
///
/// ```
/// use brimful_near::Source;
/// use brimful_near::redis::{Client, RedisResult};
///
/// struct ByEnvironment;
///
/// impl Source for ByEnvironment {
///     async fn client(&mut self) -> RedisResult<Client> {
///         Client::open(std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".into()))
///     }
/// }
/// ```
pub trait Source: Send + Sync + 'static {
    /// The client for the next connection. Its protocol and time-outs are not looked at.
    ///
    /// # Errors
    /// If the server is not known just now. It is asked again later.
    fn client(&mut self) -> impl Future<Output = RedisResult<Client>> + Send;
}

impl Source for Client {
    async fn client(&mut self) -> RedisResult<Client> {
        Ok(self.clone())
    }
}

#[cfg(feature = "sentinel")]
impl Source for redis::sentinel::SentinelClient {
    async fn client(&mut self) -> RedisResult<Client> {
        self.async_get_client().await
    }
}
