//! Loads step by step: futures polled by hand, and what they wait for.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, spawn};

/// A thread that uses something shared.
pub(crate) fn go<C, R>(
    shared: &Arc<C>,
    work: impl FnOnce(&C) -> R + Send + 'static,
) -> JoinHandle<R>
where
    C: Send + Sync + 'static,
    R: Send + 'static,
{
    let shared = shared.clone();
    spawn(move || work(&shared))
}

/// A future on no executor: polled by hand, with a waker that remembers.
pub(crate) struct Task<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    bell: Arc<Bell>,
}

/// Whether it rang since it was last looked at.
#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Bell {
    pub(crate) fn rang(&self) -> bool {
        self.0.load(SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<'a, T> Task<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Some(Box::pin(future)),
            bell: Arc::default(),
        }
    }

    /// Polls once; the future is dropped when it has ended, or panics.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        self.bell.0.store(false, SeqCst);
        let waker = Waker::from(self.bell.clone());
        let mut future = self.future.take().expect("polled after its end");
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }

    /// Polls once, with a waker of its own from now on.
    pub(crate) fn poll_elsewhere(&mut self) -> Poll<T> {
        self.bell = Arc::default();
        self.poll()
    }

    /// Ends it after one poll.
    pub(crate) fn end(&mut self) -> T {
        match self.poll() {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("it should have ended"),
        }
    }

    pub(crate) fn waits(&mut self) -> bool {
        self.poll().is_pending()
    }

    pub(crate) fn rang(&self) -> bool {
        self.bell.rang()
    }

    pub(crate) fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    pub(crate) fn cancel(&mut self) {
        self.future = None;
    }
}

/// Something that a future waits for, given by hand.
pub(crate) struct Gate<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Gate<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Gate<T> {
    pub(crate) fn open(&self, with: T) {
        let (_before, waker) = {
            let mut gate = self.0.lock().unwrap();
            (gate.0.replace(with), gate.1.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn pass(&self) -> impl Future<Output = T> + use<T> {
        let gate = self.0.clone();
        poll_fn(move |context| {
            let mut gate = gate.lock().unwrap();
            match gate.0.take() {
                Some(with) => Poll::Ready(with),
                None => {
                    gate.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

/// The shortest executor there is.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}
