//! The service on a free port of the loopback: what its page and its JSON say of each planted leak, and
//! that they say nothing where it was left out.

use brimful_watch::Registry;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use watched::{Bug, Server, Service};

const ALL: [Bug; 4] = [Bug::Key, Bug::Class, Bug::Held, Bug::Scope];

/// A service that has handled ten thousand requests.
struct Running {
    server: Server,
    service: Arc<Service>,
}

impl Running {
    fn without(bugs: &[Bug]) -> Self {
        let registry = Arc::new(Registry::new());
        let service = Service::new(bugs, &registry).unwrap();
        let server = Server::start(0, service.clone(), registry).unwrap();
        (0..10_000).for_each(|request| drop(service.handle(request)));
        Self { server, service }
    }

    /// Status and body.
    fn get(&self, target: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn caches(&self) -> Vec<Value> {
        let json: Value = serde_json::from_str(&self.get("/caches.json").1).unwrap();
        json["caches"].as_array().unwrap().clone()
    }

    /// The names of caches, each with what is wrong with it.
    fn findings(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |cache: Value| {
            let findings = cache["findings"].as_array().unwrap().clone();
            let name = text(&cache["name"]);
            findings
                .into_iter()
                .map(move |finding| (name.clone(), text(&finding["kind"])))
        };
        self.caches().into_iter().flat_map(of).collect()
    }

    /// The class of rows that grew most, and by how many entries.
    fn class_that_grew(&self) -> (String, i64) {
        let rows = self
            .caches()
            .into_iter()
            .find(|cache| cache["name"] == "rows")
            .unwrap();
        let first = &rows["classes"][0];
        (
            first["name"].as_str().unwrap().to_owned(),
            first["entries_grown"].as_i64().unwrap(),
        )
    }
}

fn found(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[test]
fn each_leak_is_named_in_the_json_and_on_the_page() {
    let running = Running::without(&[]);
    let kinds = [
        ("pages", "NothingComesBack"),
        ("images", "Lingering"),
        ("work", "ScopesForgotten"),
    ];
    assert_eq!(running.findings(), found(&kinds));
    assert_eq!(running.class_that_grew(), ("search".to_owned(), 10_000));
    let (status, page) = running.get("/caches?refresh=5");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for sentence in [
        "Is there a unique id in the key?",
        "values that were let go are held elsewhere",
        "scopes are forgotten: 500 are open, 0 were before",
        "examples/watched/src/service.rs:",
        "<th>search</th><td>10,000</td><td>+10,000</td>",
        "content=\"5\"",
    ] {
        assert!(page.contains(sentence), "{sentence}\n{page}");
    }
}

#[test]
fn a_leak_that_was_left_out_is_not_found_and_without_any_nothing_is() {
    let well = Running::without(&ALL);
    assert_eq!(well.findings(), []);
    assert_eq!(well.class_that_grew(), ("search".to_owned(), 100));
    assert!(well.get("/caches").1.contains("Nothing is wrong"));
    for (bug, cache) in [
        (Bug::Key, "pages"),
        (Bug::Held, "images"),
        (Bug::Scope, "work"),
    ] {
        let others: Vec<Bug> = ALL.into_iter().filter(|&other| other != bug).collect();
        let one = Running::without(&others).findings();
        assert_eq!(
            one.iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            [cache]
        );
        let all_but_one = Running::without(&[bug]).findings();
        assert!(all_but_one.len() == 2 && all_but_one.iter().all(|(name, _)| name != cache));
    }
}

#[test]
fn the_other_calls_name_the_line_the_holders_and_the_scopes() {
    let Running { service, .. } = Running::without(&[]);
    let pages = service.pages.stats();
    let (line, flow) = pages.callers().next().unwrap();
    assert!(line.file().ends_with("service.rs") && flow.inserts() == 10_000);
    let lingering = service.images.lingering(3);
    assert!(lingering.len() == 3 && lingering.iter().all(|value| value.holders == 1));
    assert_eq!(
        service.work.stats().scopes().map(|scopes| scopes.open),
        Some(500)
    );
}

#[test]
fn it_serves_pages_answers_questions_and_says_no() {
    let running = Running::without(&ALL);
    let (status, page) = running.get("/");
    assert!(status.ends_with("200 OK") && page.contains("<h1>/articles/"));
    let (_, page) = running.get("/caches?cache=rows&explain=user%3A7");
    assert!(page.contains("<pre>resident in "), "{page}");
    assert!(running.get("/nothing").0.ends_with("404 Not Found"));
}
