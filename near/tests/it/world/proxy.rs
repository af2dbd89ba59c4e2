//! A TCP proxy that can delay what the server says, hold it back and let it go, cut all connections, and refuse
//! new ones.
//!
//! While it holds, it does not read either, so the server feels it. What has gathered is passed on at once.

use super::server;
use brimful_near::redis::Client;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;

#[derive(Clone, Copy, Default)]
struct Told {
    holds: bool,
    refuses: bool,
    delay: Duration,
    /// How often all connections were cut.
    cuts: u64,
}

pub(crate) struct Proxy {
    port: u16,
    told: Arc<watch::Sender<Told>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the server at this port.
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let told = Arc::new(watch::Sender::new(Told::default()));
        let accepting = tokio::spawn(accept(listener, server, told.clone()));
        Self {
            port,
            told,
            accepting,
        }
    }

    pub(crate) fn client(&self) -> Client {
        server::client(self.port)
    }

    /// What the server says does not arrive, until it is released.
    pub(crate) fn hold(&self) {
        self.told.send_modify(|told| told.holds = true);
    }

    pub(crate) fn release(&self) {
        self.told.send_modify(|told| told.holds = false);
    }

    /// What the server says arrives that much later.
    pub(crate) fn delay(&self, delay: Duration) {
        self.told.send_modify(|told| told.delay = delay);
    }

    pub(crate) fn cut(&self) {
        self.told.send_modify(|told| told.cuts += 1);
    }

    /// New connections are closed at once, or not.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.told.send_modify(|told| told.refuses = refuses);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, server: u16, told: Arc<watch::Sender<Told>>) {
    while let Ok((client, _)) = listener.accept().await {
        if told.borrow().refuses {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
            continue;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        tokio::spawn(join(client, server, told.subscribe()));
    }
}

/// Passes bytes both ways until a side closes or the connection is cut.
async fn join(client: TcpStream, server: TcpStream, told: watch::Receiver<Told>) {
    let cuts = told.borrow().cuts;
    let mut cut = told.clone();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = cut.wait_for(|told| told.cuts > cuts) => (),
        _ = pass(from_server, to_client, Some(told)) => (),
        _ = pass(from_client, to_server, None) => (),
    }
}

async fn pass(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut told: Option<watch::Receiver<Told>>,
) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        from.readable().await?;
        if let Some(told) = &mut told {
            let delay = told.borrow().delay;
            time::sleep(delay).await;
            let released = told.wait_for(|told| !told.holds).await;
            released.map_err(io::Error::other)?;
        }
        match from.try_read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&bytes[..length]).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => return Err(error),
        }
    }
}
