//! What the web sees: `GET /articles/7` and `PUT /articles/7`.

use crate::articles::{Articles, Text};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use brimful::{Cache, LoadError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn, spawn_blocking};

/// Why there is no article.
#[derive(Debug)]
enum Missing {
    Unknown,
    Broken(String),
}

impl From<Missing> for StatusCode {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unknown => Self::NOT_FOUND,
            Missing::Broken(why) => {
                eprintln!("the database: {why}");
                Self::INTERNAL_SERVER_ERROR
            }
        }
    }
}

#[derive(Clone)]
struct Service {
    articles: Arc<Articles>,
    cache: Option<Arc<Cache<u32, Text>>>,
}

impl Service {
    /// The article: out of the cache; else by one query for all who miss it. An
    /// article that does not exist is an error, and errors are not kept.
    async fn article(&self, id: u32) -> Result<Text, Missing> {
        let Some(cache) = &self.cache else {
            return self.query(id).await;
        };
        let found = cache.try_get_or_insert_async(&id, self.query(id)).await;
        found.map_err(|error| match error {
            LoadError::Failed(missing) => missing,
            other => Missing::Broken(format!("{other:?}")),
        })
    }

    async fn query(&self, id: u32) -> Result<Text, Missing> {
        let articles = self.articles.clone();
        let read = spawn_blocking(move || articles.read(id)).await;
        let read = read.map_err(|error| Missing::Broken(error.to_string()))?;
        let read = read.map_err(|error| Missing::Broken(error.to_string()))?;
        read.ok_or(Missing::Unknown)
    }

    /// The database first, then the cache: a query that began before the write is
    /// handed to those who wait for it and is not kept.
    async fn change(&self, id: u32, text: String) -> Result<(), Missing> {
        let articles = self.articles.clone();
        let written = spawn_blocking(move || articles.write(id, &text)).await;
        let written = written.map_err(|error| Missing::Broken(error.to_string()))?;
        written.map_err(|error| Missing::Broken(error.to_string()))?;
        if let Some(cache) = &self.cache {
            cache.remove(&id);
        }
        Ok(())
    }
}

async fn read(State(service): State<Service>, Path(id): Path<u32>) -> Result<String, StatusCode> {
    let text = service.article(id).await?;
    Ok(text.to_string())
}

async fn write(
    State(service): State<Service>,
    Path(id): Path<u32>,
    text: String,
) -> Result<(), StatusCode> {
    Ok(service.change(id, text).await?)
}

/// A service at work, on a port of its own.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Starts the service on a free port of the loopback device.
///
/// # Errors
/// If there is none.
pub async fn start(
    articles: Arc<Articles>,
    cache: Option<Arc<Cache<u32, Text>>>,
) -> std::io::Result<Running> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Service { articles, cache };
    let app = Router::new()
        .route("/articles/{id}", get(read).put(write))
        .with_state(service);
    let server = spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            eprintln!("the server: {error}");
        }
    });
    Ok(Running { address, server })
}
