//! A service with a route `/metrics`, and a client: plain HTTP over a socket.

use brimful_metrics::Metrics;
use brimful_watch::Registry;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Serves the metrics of a registry, until the process ends; says where.
pub(crate) fn serve(registry: Arc<Registry>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = Metrics::new(registry);
        let scrape = || {
            metrics::with_local_recorder(&recorder, || metrics.publish());
            recorder.handle().render()
        };
        metrics::with_local_recorder(&recorder, brimful_metrics::describe);
        for stream in listener.incoming() {
            // A client that goes away is its own affair.
            let _ = answer(stream.unwrap(), scrape);
        }
    });
    address
}

fn answer(mut stream: TcpStream, scrape: impl Fn() -> String) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = match first.starts_with("GET /metrics ") {
        true => ("200 OK", scrape()),
        false => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Asks a server; the body of what it answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(head.to_owned())),
    }
}
