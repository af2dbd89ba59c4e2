//! Writing. A write stores nothing in memory: it takes out what is there, and the next read loads it. To
//! store what was written would have to be done before anyone else's write to the key, and only the
//! server knows what came first.

use crate::codec::Codec;
use crate::error::Error;
use crate::near::Near;
use brimful::Expiring;
use redis::{RedisResult, cmd, pipe};
use std::hash::BuildHasher;
use std::time::Duration;

impl<C, F, S> Near<C, F, S>
where
    C: Codec,
    F: Expiring,
    S: BuildHasher,
{
    /// Stores a value on the server, for ever, and takes out what is in memory.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing was written, as for a server whose memory is full; [`Error::Unanswered`]:
    /// it may have been written; [`Error::Down`] and [`Error::Codec`]: nothing was sent.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// near.set("user:7", &"ann".into()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set(&self, key: impl AsRef<[u8]>, value: &C::Value) -> Result<(), Error> {
        self.set_many(&[(key, value)]).await
    }

    /// Stores a value that lives for so long on the server, and takes out what is in memory. The
    /// server counts in milliseconds.
    ///
    /// # Errors
    /// As [`set`](Near::set); and the server refuses a life of less than a millisecond, or one that
    /// it can't count.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// use std::time::Duration;
    ///
    /// near.set_with_ttl("session:7", &"ann".into(), Duration::from_secs(600)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: &C::Value,
        life: Duration,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        let mut set = cmd("SET");
        set.arg(key).arg(self.encode(key, value)?);
        set.arg("PX").arg(life.as_millis().to_string());
        let _taken_out = self.taking_out(vec![key]);
        let answer: RedisResult<()> = self.memory.line()?.ask_one(&set).await;
        answer.map_err(|error| Error::of(key, &error))
    }

    /// Stores these values on the server in one round trip, and takes out what is in memory. They are
    /// stored one after another, not as one: others may see some of them before the rest.
    ///
    /// # Errors
    /// As [`set`](Near::set), with the first key for which it is so. If one is refused the others
    /// may have been stored; if the codec refuses one, nothing is sent.
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// near.set_many(&[("user:7", &"ann".into()), ("user:8", &"bob".into())]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_many<K: AsRef<[u8]>>(&self, pairs: &[(K, &C::Value)]) -> Result<(), Error> {
        let mut sets = pipe();
        let mut keys = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key = key.as_ref();
            sets.cmd("SET").arg(key).arg(self.encode(key, value)?);
            keys.push(key);
        }
        let taken_out = self.taking_out(keys);
        let answers: Vec<RedisResult<()>> = self
            .memory
            .line()?
            .ask_each(&mut sets, &taken_out.keys)
            .await?;
        answers
            .into_iter()
            .zip(&taken_out.keys)
            .try_for_each(|(answer, key)| answer.map_err(|error| Error::of(key, &error)))
    }

    /// Deletes a key on the server, and takes out what is in memory. Whether it was there.
    ///
    /// # Errors
    /// As [`set`](Near::set).
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// println!("there was one: {}", near.del("user:7").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn del(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.del_many(&[key]).await? == 1)
    }

    /// Deletes these keys on the server in one step, and takes out what is in memory. How many were there.
    ///
    /// # Errors
    /// As [`set`](Near::set).
    ///
    /// ```
    /// # async fn example(near: brimful_near::Near<brimful_near::Text>) -> Result<(), brimful_near::Error> {
    /// println!("there were {}", near.del_many(&["user:7", "user:8"]).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn del_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<u64, Error> {
        let Some(first) = keys.first() else {
            return Ok(0);
        };
        let taken_out = self.taking_out(keys.iter().map(AsRef::as_ref).collect());
        let mut del = cmd("DEL");
        del.arg(&taken_out.keys);
        let answer = self.memory.line()?.ask_one(&del).await;
        answer.map_err(|error| Error::of(first.as_ref(), &error))
    }

    fn encode(&self, key: &[u8], value: &C::Value) -> Result<Vec<u8>, Error> {
        let bytes = self.codec.encode(value);
        bytes.map_err(|error| Error::codec(key, &error))
    }

    fn taking_out<'a>(&'a self, keys: Vec<&'a [u8]>) -> TakenOut<'a, C, F, S> {
        TakenOut { near: self, keys }
    }
}

/// Keys that are being written: when that ends, however it does, what is in memory of them is taken out, so
/// that a read that begins after it asks the server, after what was written.
struct TakenOut<'a, C: Codec, F: Expiring, S: BuildHasher> {
    near: &'a Near<C, F, S>,
    keys: Vec<&'a [u8]>,
}

impl<C: Codec, F: Expiring, S: BuildHasher> Drop for TakenOut<'_, C, F, S> {
    fn drop(&mut self) {
        self.keys
            .iter()
            .for_each(|key| self.near.memory.forget(key));
    }
}
