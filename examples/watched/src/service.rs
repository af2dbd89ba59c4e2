//! The service: four caches, each with a planted leak.

use brimful::{Bytes, Cache, Entries, Held, Scope, Tracked, Weighed};
use brimful_watch::{Registry, Watched};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// A leak that was planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Bug {
    /// The key of a page has the request's id in it, so that no page is found again.
    Key,
    /// What was searched for is kept with the time at which it was: one class of rows grows.
    Class,
    /// A list keeps the images that it has shown.
    Held,
    /// A list keeps the scopes of requests that are audited, and nobody empties it.
    Scope,
}

/// How many users, orders and images there are.
const USERS: u64 = 3_000;
const ORDERS: u64 = 4_000;
const IMAGES: u64 = 300;

/// A picture's size.
const PIXELS: usize = 10_000;

/// What is worked out once within a request.
type Work = Cache<(u64, &'static str), String, Tracked>;

/// The service.
#[derive(Debug)]
pub struct Service {
    /// Pages, by path: it records which line of code stores them.
    pub pages: Arc<Cache<String, Arc<str>, Tracked>>,
    /// Rows of a database.
    pub rows: Arc<Cache<String, u64, Tracked>>,
    /// Images: it knows which of them are held elsewhere after they left.
    pub images: Arc<Cache<u64, Held<Vec<u8>>, Weighed>>,
    /// What belongs to one request.
    pub work: Arc<Work>,
    without: Vec<Bug>,
    shown: Mutex<Vec<Held<Vec<u8>>>>,
    audited: Mutex<Vec<Scope<Arc<Work>>>>,
}

/// The class of a row, by its number and by its name.
const CLASSES: [&str; 3] = ["user", "order", "search"];

/// What a row is, by its key: `user:7` is a user.
#[must_use]
pub fn class(key: &str) -> &str {
    key.split(':').next().unwrap_or_default()
}

impl Service {
    /// Starts it without these bugs: with the rows that it always has, and its caches in this registry.
    ///
    /// # Errors
    /// None, as the configurations of its caches make sense.
    pub fn new(without: &[Bug], registry: &Registry) -> Result<Arc<Self>, Box<dyn Error>> {
        let number = |key: &String, _: &u64| {
            let known = CLASSES.iter().position(|&name| name == class(key));
            known.unwrap_or(CLASSES.len())
        };
        let pages = Cache::builder(Entries(1_000)).named("pages");
        let rows = Cache::builder(Entries(20_000)).named("rows");
        let images = Cache::builder(Bytes(4 << 20)).named("images");
        let work = Cache::builder(Entries(1_000)).named("work");
        let service = Arc::new(Self {
            pages: Arc::new(pages.record_callers().build()?),
            rows: Arc::new(rows.classes(CLASSES, number).record_callers().build()?),
            images: Arc::new(images.lingering().build()?),
            work: Arc::new(work.tracked().build()?),
            without: without.to_vec(),
            shown: Mutex::default(),
            audited: Mutex::default(),
        });
        service.fill();
        registry.watch(&service.pages);
        let rows = Watched::new(&service.rows);
        registry.watch(rows.explain(|rows, key| rows.explain(key).to_string()));
        registry.watch(Watched::new(&service.images).lingering());
        registry.watch(&service.work);
        Ok(service)
    }

    fn has(&self, bug: Bug) -> bool {
        !self.without.contains(&bug)
    }

    fn fill(&self) {
        let users = (0..USERS).map(|user| (format!("user:{user}"), user));
        let orders = (0..ORDERS).map(|order| (format!("order:{order}"), order));
        self.rows.extend(users.chain(orders));
        self.images
            .extend((0..IMAGES).map(|image| (image, draw(image))));
    }

    /// Handles a request, and answers with a page.
    pub fn handle(&self, request: u64) -> Arc<str> {
        self.work_of(request);
        self.look_up(request);
        self.show(request);
        self.page(request)
    }

    fn page(&self, request: u64) -> Arc<str> {
        let path = format!("/articles/{}", request % 400);
        let key = match self.has(Bug::Key) {
            true => format!("{path}?request={request}"),
            false => path.clone(),
        };
        if let Some(page) = self.pages.get(&key) {
            return page;
        }
        let page: Arc<str> = format!("<!DOCTYPE html><title>{path}</title><h1>{path}</h1>").into();
        self.pages.insert(key, page.clone());
        page
    }

    /// A user, an order, and what was searched for.
    fn look_up(&self, request: u64) {
        let searched = match self.has(Bug::Class) {
            true => format!("search:shoes at {request}"),
            false => format!("search:shoes {}", request % 100),
        };
        let keys = [
            format!("user:{}", request % USERS),
            format!("order:{}", request % ORDERS),
            searched,
        ];
        for key in keys {
            if self.rows.get(&key).is_none() {
                self.rows.insert(key, request);
            }
        }
    }

    /// Shows an image. One in fifty has been drawn anew, and takes the place of the old one.
    fn show(&self, request: u64) {
        let image = request % IMAGES;
        let Some(shown) = self.images.get(&image) else {
            self.images.insert(image, draw(image));
            return;
        };
        if request % 50 == 0 {
            if self.has(Bug::Held) {
                keep(&self.shown, shown);
            }
            self.images.insert(image, draw(image));
        }
    }

    /// What is worked out for this request leaves with it; one in twenty is audited.
    fn work_of(&self, request: u64) {
        let scope = self.work.scope_owned();
        scope.insert((request, "visitor"), format!("visitor of {request}"));
        if request % 20 == 0 && self.has(Bug::Scope) {
            keep(&self.audited, scope);
        }
    }
}

fn draw(image: u64) -> Held<Vec<u8>> {
    Held::new(vec![image as u8; PIXELS])
}

/// Puts something on a list that nobody empties.
fn keep<T>(list: &Mutex<Vec<T>>, kept: T) {
    list.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(kept);
}
