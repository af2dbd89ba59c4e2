//! A web server as small as can be: one connection at a time, `GET` alone, on this machine alone.

use crate::Service;
use brimful_watch::Registry;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a browser may take to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long its question may be.
const MOST: u64 = 8 << 10;

/// The server's thread, until dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it serves.
struct Site {
    service: Arc<Service>,
    registry: Arc<Registry>,
    requests: AtomicU64,
}

impl Server {
    /// Serves `/`, `/caches` and `/caches.json` on this port of the loopback; 0 finds a free one.
    ///
    /// # Errors
    /// If the port is taken, or no thread can be started.
    pub fn start(port: u16, service: Arc<Service>, registry: Arc<Registry>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let site = Site {
            service,
            registry,
            requests: AtomicU64::new(0),
        };
        let stop = Arc::clone(&stopping);
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                // One that hangs up does not concern the others.
                let _answered = site.answer(&stream);
            }
        };
        let thread = thread::Builder::new()
            .name("server".to_owned())
            .spawn(serve)?;
        Ok(Self {
            address,
            stopping,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes it.
        let woken = TcpStream::connect(self.address);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ended = thread.join();
        }
    }
}

impl Site {
    fn answer(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let asked = BufReader::new(stream.take(MOST)).lines();
        let lines: io::Result<Vec<_>> = asked
            .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
            .collect();
        let first = lines?.into_iter().next().unwrap_or_default();
        let (status, kind, body) = self.reply(&first);
        write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n")?;
        write!(
            stream,
            "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Status, type and body, by a first line such as `GET /caches?refresh=5 HTTP/1.1`.
    fn reply(&self, line: &str) -> (&'static str, &'static str, String) {
        let (ok, html) = ("200 OK", "text/html; charset=utf-8");
        let mut words = line.split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        if method != Some("GET") {
            return (
                "405 Method Not Allowed",
                "text/plain",
                "GET alone\n".to_owned(),
            );
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/" => {
                // Not the requests that the load makes.
                let request = self.requests.fetch_add(1, Ordering::Relaxed) + (1 << 40);
                (ok, html, self.service.handle(request).to_string())
            }
            "/caches" => (ok, html, self.registry.page(query)),
            "/caches.json" => (ok, "application/json", self.registry.json()),
            _ => (
                "404 Not Found",
                "text/plain",
                "/, /caches, /caches.json\n".to_owned(),
            ),
        }
    }
}
