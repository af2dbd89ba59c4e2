//! The database: articles in SQLite, in memory, slow enough to be worth a cache.

use rusqlite::{Connection, OptionalExtension, Result, params};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The text of an article, shared by all who read it.
pub type Text = Arc<str>;

/// Its work grows with the number at its end: some milliseconds.
const READ: &str = "
    with recursive effort(n) as (select 1 union all select n + 1 from effort where n < 20000)
    select text, (select count(*) from effort) from articles where id = ?1";

/// All articles, and how often they were asked for.
#[derive(Debug)]
pub struct Articles {
    connection: Mutex<Connection>,
    queries: AtomicU64,
}

impl Articles {
    /// So many articles, numbered from 0.
    ///
    /// # Errors
    /// If SQLite can't.
    pub fn new(count: u32) -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("create table articles (id integer primary key, text text)")?;
        for id in 0..count {
            let text = format!("article {id}");
            connection.execute("insert into articles values (?1, ?2)", params![id, text])?;
        }
        Ok(Self {
            connection: Mutex::new(connection),
            queries: AtomicU64::new(0),
        })
    }

    /// The article, or `None` if there is none of that number. Blocks the thread.
    ///
    /// # Errors
    /// If SQLite can't.
    pub fn read(&self, id: u32) -> Result<Option<Text>> {
        self.queries.fetch_add(1, Relaxed);
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut read = connection.prepare_cached(READ)?;
        let text = read
            .query_row([id], |row| row.get::<_, String>(0))
            .optional()?;
        Ok(text.map(Text::from))
    }

    /// Changes an article. Blocks the thread.
    ///
    /// # Errors
    /// If SQLite can't.
    pub fn write(&self, id: u32, text: &str) -> Result<()> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sql = "insert or replace into articles values (?1, ?2)";
        connection.execute(sql, params![id, text])?;
        Ok(())
    }

    /// How often an article was read from the database.
    pub fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }
}
