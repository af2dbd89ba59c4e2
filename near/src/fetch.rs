//! Loading: what the server has, and how long it may be kept.

use crate::codec::Codec;
use crate::error::Error;
use crate::kept::Kept;
use crate::line::Line;
use crate::near::Near;
use brimful::Expiring;
use redis::{Pipeline, RedisResult, pipe};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

impl<C, F, S> Near<C, F, S>
where
    C: Codec,
    F: Expiring,
    S: BuildHasher,
{
    /// What the server has under this key.
    pub(crate) async fn fetch(&self, key: &[u8]) -> Result<Kept<C::Value>, Error> {
        let line = self.memory.line()?;
        let asked = Instant::now();
        let mut commands = pipe();
        read(&mut commands, key);
        let answer = line.ask(&commands).await;
        let answer = answer.map_err(|error| Error::of(key, &error))?;
        self.kept(&line, key, asked, answer)
    }

    /// What the server has under each of these keys, in their order.
    pub(crate) async fn fetch_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Kept<C::Value>>, Error> {
        let line = self.memory.line()?;
        let asked = Instant::now();
        let mut commands = pipe();
        keys.iter()
            .for_each(|key| read(&mut commands, key.as_ref()));
        let answers: Vec<RedisResult<redis::Value>> = line.ask_each(&mut commands, keys).await?;
        let mut answers = answers.into_iter();
        let mut kept = |key: &K| {
            let key = key.as_ref();
            let missing = || Error::Unanswered("fewer answers than questions".to_owned());
            let (bytes, left) = answers.next().zip(answers.next()).ok_or_else(missing)?;
            let refused = |error| Error::of(key, &error);
            let answer = (bytes.map_err(refused)?, left.map_err(refused)?);
            let unreadable = |error: redis::ParsingError| Error::of(key, &error.into());
            let bytes = redis::from_redis_value(answer.0).map_err(unreadable)?;
            let left = redis::from_redis_value(answer.1).map_err(unreadable)?;
            self.kept(&line, key, asked, (bytes, left))
        };
        keys.iter().map(&mut kept).collect()
    }

    /// What is kept of an answer to `GET` and `PTTL` that were sent then.
    fn kept(
        &self,
        line: &Line,
        key: &[u8],
        asked: Instant,
        (bytes, left): (Option<Vec<u8>>, i64),
    ) -> Result<Kept<C::Value>, Error> {
        let decode = |bytes: Vec<u8>| self.codec.decode(&bytes);
        let value = bytes.map(decode).transpose();
        let value = value.map_err(|error| Error::codec(key, &error))?;
        // -1: it lives for ever. -2: it is not there, any more if there was a value.
        let left = match (u64::try_from(left), &value) {
            // No longer than on the server: it was asked after `asked`, and the answer is stored after now.
            (Ok(left), _) => Some(Duration::from_millis(left).saturating_sub(asked.elapsed())),
            (Err(_), Some(_)) if left == -2 => Some(Duration::ZERO),
            (Err(_), _) => None,
        };
        let is_tracked = line.untracked().is_none();
        let life = self.settings.life(key, is_tracked, value.is_some(), left);
        Ok(Kept::new(value, life))
    }
}

/// A value, and how long it is to live.
fn read(commands: &mut Pipeline, key: &[u8]) {
    commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
}
