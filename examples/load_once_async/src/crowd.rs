//! A load generator: clients that keep a connection each and ask all at once.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A connection.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects to a service.
    ///
    /// # Errors
    /// If it does not listen.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The status and the text of an article.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn get(&mut self, id: u32) -> Result<(u16, String)> {
        self.ask("GET", id, "").await
    }

    /// Changes an article; the status.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn put(&mut self, id: u32, text: &str) -> Result<u16> {
        Ok(self.ask("PUT", id, text).await?.0)
    }

    async fn ask(&mut self, method: &str, id: u32, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let request = format!(
            "{method} /articles/{id} HTTP/1.1\r\nhost: articles\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).await?;
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).await?;
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no status"))?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}

/// Has so many clients each ask for the articles from 0 up to `articles`, all in
/// the same order, so that they meet; the number of right answers.
///
/// # Errors
/// If a connection fails.
pub async fn ask_all(address: SocketAddr, clients: u32, articles: u32) -> Result<u64> {
    let mut crowd = JoinSet::new();
    for _ in 0..clients {
        crowd.spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut right = 0;
            for id in 0..articles {
                let expected = (200, format!("article {id}"));
                right += u64::from(client.get(id).await? == expected);
            }
            Ok::<u64, Error>(right)
        });
    }
    let mut right = 0;
    while let Some(asked) = crowd.join_next().await {
        right += asked.map_err(Error::other)??;
    }
    Ok(right)
}
