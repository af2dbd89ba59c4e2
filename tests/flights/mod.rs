//! What tests of loads share: a watchdog, futures polled by hand, and values
//! that are counted.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, spawn, yield_now};
use std::time::Duration;

/// After this long a scenario is taken to hang. No test depends on how long it takes.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Runs a scenario that must end, on a thread that is left behind if it does not.
pub fn ends<R: Send + 'static>(scenario: impl FnOnce() -> R + Send + 'static) -> R {
    let (say, said) = channel();
    spawn(move || {
        let end = catch_unwind(AssertUnwindSafe(scenario));
        let _ = say.send(end);
    });
    match said.recv_timeout(WATCHDOG) {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("it hangs"),
    }
}

/// Lets others run until `reached`.
pub fn until(reached: impl Fn() -> bool) {
    while !reached() {
        yield_now();
    }
}

/// A thread that uses something shared.
pub fn go<C, R>(shared: &Arc<C>, work: impl FnOnce(&C) -> R + Send + 'static) -> JoinHandle<R>
where
    C: Send + Sync + 'static,
    R: Send + 'static,
{
    let shared = shared.clone();
    spawn(move || work(&shared))
}

/// Panics without a word on the terminal.
pub fn stop() -> ! {
    resume_unwind(Box::new("on purpose"))
}

/// The panic of a closure that panics.
pub fn panic_of(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it should panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map_or(String::new(), ToString::to_string),
    }
}

/// A future on no executor: polled by hand, with a waker that remembers.
pub struct Task<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    bell: Arc<Bell>,
}

/// Whether it rang since it was last looked at.
#[derive(Default)]
pub struct Bell(AtomicBool);

impl Bell {
    pub fn rang(&self) -> bool {
        self.0.load(SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<'a, T> Task<'a, T> {
    pub fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Some(Box::pin(future)),
            bell: Arc::default(),
        }
    }

    /// Polls once; the future is dropped when it has ended, or panics.
    pub fn poll(&mut self) -> Poll<T> {
        self.bell.0.store(false, SeqCst);
        let waker = Waker::from(self.bell.clone());
        let mut future = self.future.take().expect("polled after its end");
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }

    /// The same with a waker of its own from now on.
    pub fn poll_elsewhere(&mut self) -> Poll<T> {
        self.bell = Arc::default();
        self.poll()
    }

    /// Ends it after one poll.
    pub fn end(&mut self) -> T {
        match self.poll() {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("it should have ended"),
        }
    }

    pub fn waits(&mut self) -> bool {
        self.poll().is_pending()
    }

    pub fn rang(&self) -> bool {
        self.bell.rang()
    }

    pub fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    pub fn cancel(&mut self) {
        self.future = None;
    }
}

/// Something that a future waits for, given by hand.
pub struct Gate<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

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
    pub fn open(&self, with: T) {
        let (_before, waker) = {
            let mut gate = self.0.lock().unwrap();
            (gate.0.replace(with), gate.1.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn pass(&self) -> impl Future<Output = T> + use<T> {
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

/// How many counted values live.
#[derive(Clone, Default)]
pub struct Ledger(Arc<AtomicI64>);

impl Ledger {
    pub fn value(&self, id: u64) -> Val {
        self.0.fetch_add(1, SeqCst);
        Val {
            id,
            ledger: self.clone(),
        }
    }

    pub fn live(&self) -> i64 {
        self.0.load(SeqCst)
    }
}

/// A value on a ledger.
pub struct Val {
    pub id: u64,
    ledger: Ledger,
}

impl Clone for Val {
    fn clone(&self) -> Self {
        self.ledger.value(self.id)
    }
}

impl Drop for Val {
    fn drop(&mut self) {
        self.ledger.0.fetch_sub(1, SeqCst);
    }
}

/// The shortest executor there is.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
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
