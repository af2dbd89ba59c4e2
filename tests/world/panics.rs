//! Panics that are meant are not printed; any other says where the test was, and by
//! which seed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::Once;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::Result;

/// The payload of a fuse that blew.
pub(crate) struct Blown;

/// What a closure says that panics because the test wants it.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// How the cache refuses a call from code that runs under its lock.
pub(crate) const REFUSAL: &str =
    "brimful: a cache was called from code that runs under a cache's lock";

/// How it refuses a call from a listener inside of too many others.
pub(crate) const TOO_DEEP: &str = "brimful: a cache was called from a listener nested 16 deep";

thread_local! {
    /// Whether panics of this thread are meant.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

static REFUSALS_ARE_MEANT: AtomicBool = AtomicBool::new(false);
static NOTE: OnceLock<String> = OnceLock::new();

/// From now on this stands beside every panic that is printed.
pub(crate) fn note(text: String) {
    hush();
    let _ = NOTE.set(text);
}

/// Where this thread is, for the message of a panic.
pub(crate) fn at(place: String) {
    PLACE.set(place);
}

/// From now on panics that are meant are not printed.
pub(crate) fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_meant(info) {
                let place = PLACE.try_with(|place| place.borrow().clone());
                let note = NOTE.get().map_or("", String::as_str);
                eprintln!("{note} {}", place.unwrap_or_default());
                usual(info);
            }
        }));
    });
}

/// From now on refusals of the cache are meant too: there are thousands.
pub(crate) fn hush_refusals() {
    hush();
    REFUSALS_ARE_MEANT.store(true, SeqCst);
}

fn is_meant(info: &PanicHookInfo<'_>) -> bool {
    let message = message(info.payload());
    let is_refusal = || {
        [REFUSAL, TOO_DEEP]
            .iter()
            .any(|refusal| message.starts_with(refusal))
    };
    info.payload().is::<Blown>()
        || message == ON_PURPOSE
        || REFUSALS_ARE_MEANT.load(SeqCst) && is_refusal()
        || QUIET.try_with(Cell::get).unwrap_or(false)
}

/// Runs something whose panic, if there is one, is not printed.
pub(crate) fn quietly<R>(run: impl FnOnce() -> R) -> Result<R> {
    hush();
    QUIET.set(true);
    let end = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    end
}

/// Panics without a word on the terminal.
pub(crate) fn stop() -> ! {
    resume_unwind(Box::new(ON_PURPOSE))
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_default()
}

/// The panic of something that must panic.
pub(crate) fn panic_of(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it should panic");
    message(&*panic)
}
