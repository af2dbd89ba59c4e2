//! A Redis or Valkey server of one's own: on a free port of the loopback, in a directory of its own, gone
//! when it is dropped. It blocks the thread while it starts, some milliseconds.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tempfile::TempDir;

/// What is missing where no server can be started.
pub const MISSING: &str = "a Redis or Valkey server is needed: install one (Debian: `apt-get install \
     redis-server`), or name it by BRIMFUL_REDIS=/path/to/redis-server";

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs, or that was killed and may run again.
#[derive(Debug)]
pub struct Server {
    port: u16,
    settings: String,
    /// Whether it is a sentinel instead, which watches servers.
    watches: bool,
    directory: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a server with these lines in its configuration, as in `maxmemory 2mb`.
    ///
    /// # Errors
    /// If there is none to start, in a sentence that says what to install; if it does not start.
    pub fn start(lines: &[&str]) -> Result<Self, String> {
        Self::start_as(lines, false)
    }

    /// Starts a sentinel with these lines in its configuration, as in `sentinel monitor name 127.0.0.1 6379 1`.
    ///
    /// # Errors
    /// As [`start`](Server::start).
    pub fn start_sentinel(lines: &[&str]) -> Result<Self, String> {
        Self::start_as(lines, true)
    }

    fn start_as(lines: &[&str], watches: bool) -> Result<Self, String> {
        let directory = TempDir::new().map_err(|error| format!("no directory: {error}"))?;
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let own = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n",
            directory.path().display()
        );
        let settings = format!("{own}save \"\"\nappendonly no\n{}\n", lines.join("\n"));
        let mut server = Self {
            port,
            settings,
            watches,
            directory,
            child: None,
        };
        server.run()?;
        Ok(server)
    }

    /// Starts it again, empty, where it was before.
    ///
    /// # Errors
    /// As [`start`](Server::start).
    pub fn run(&mut self) -> Result<(), String> {
        let program = env::var_os("BRIMFUL_REDIS").unwrap_or_else(|| "redis-server".into());
        let file = self.directory.path().join("settings");
        fs::write(&file, &self.settings).map_err(|error| format!("no settings: {error}"))?;
        let mut command = Command::new(program);
        command.arg(file).args(self.watches.then_some("--sentinel"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("{MISSING} ({error})"))?;
        let child = self.child.insert(child);
        let began = Instant::now();
        while !answers(self.port) {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!(
                    "the server does not start ({status}):\n{}",
                    self.settings
                ));
            }
            if began.elapsed() > PATIENCE {
                return Err("the server does not answer".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether something at this port answers a ping.
fn answers(port: u16) -> bool {
    let ping = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ping().unwrap_or(false)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
