//! A real Prometheus scrapes, evaluates every alert rule and answers every query of the dashboard. Asked for by
//! `BRIMFUL_PROMETHEUS=1`; needs `prometheus` and `promtool` (Debian's `prometheus`).

use crate::names::{ALERTS, queries};
use crate::server::{get, serve};
use brimful::{Cache, Entries, Held};
use brimful_watch::Registry;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

/// How long Prometheus may take to begin and to evaluate what it has scraped.
const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    child: Child,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn configure(folder: &Path, scraped: SocketAddr) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("alerts.yml"), ALERTS).unwrap();
    let configuration = format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [alerts.yml]\n\
         scrape_configs:\n  - job_name: test\n    static_configs:\n      - targets: ['{scraped}']\n"
    );
    fs::write(folder.join("prometheus.yml"), configuration).unwrap();
}

fn check(args: &[&str], folder: &Path, input: Option<&str>) {
    let mut tool = Command::new("promtool");
    tool.args(args)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = match input {
        None => tool.output().unwrap(),
        Some(text) => {
            let mut child = tool.stdin(Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        }
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {args:?}: {said}");
    println!("promtool {args:?}: {}", said.trim());
}

fn start(folder: PathBuf) -> (Running, SocketAddr) {
    let address = free_address();
    let child = Command::new("prometheus")
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Running { child, folder }, address)
}

fn escaped(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn ask(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get(address, path).ok()?).ok()
}

/// How many series a query has now.
fn series(address: SocketAddr, query: &str) -> usize {
    let path = format!("/api/v1/query?query={}", escaped(query));
    let answer = ask(address, &path).unwrap_or_else(|| panic!("no answer to {query}"));
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].as_array().map_or(0, Vec::len)
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        sleep(Duration::from_millis(200));
    }
}

/// Whether each rule was evaluated and is well.
fn rules_are_well(address: SocketAddr) -> bool {
    let Some(answer) = ask(address, "/api/v1/rules") else {
        return false;
    };
    let rules = answer["data"]["groups"][0]["rules"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let bad = rules.iter().find(|rule| rule["health"] == "err");
    assert_eq!(bad, None, "a rule that cannot be evaluated");
    rules.len() == ALERTS.matches("- alert:").count()
        && rules.iter().all(|rule| rule["health"] == "ok")
}

#[test]
fn a_real_prometheus_evaluates_every_rule_and_every_query() {
    if env::var_os("BRIMFUL_PROMETHEUS").is_none() {
        return;
    }
    let registry = Arc::new(Registry::new());
    let pages: Arc<Cache<u64, Held<u64>>> = Arc::new(
        Cache::builder(Entries(100))
            .named("pages")
            .lingering()
            .build()
            .unwrap(),
    );
    registry.watch(&pages);
    let scraped = serve(registry);
    let folder = env::temp_dir().join(format!("brimful-prometheus-{}", std::process::id()));
    configure(&folder, scraped);
    check(&["check", "rules", "alerts.yml"], &folder, None);
    check(&["check", "config", "prometheus.yml"], &folder, None);
    check(
        &["check", "metrics"],
        &folder,
        Some(&get(scraped, "/metrics").unwrap()),
    );

    let (_prometheus, address) = start(folder);
    let mut next = 0_u64;
    let mut work = || {
        for _ in 0..2_000 {
            next += 1;
            pages.get_or_insert_with(&next, || Held::new(next));
            pages.get(&next);
        }
        let _ = pages.try_get_or_insert_with(&0, || Err("no route"));
    };
    until("every rule is evaluated", || {
        work();
        rules_are_well(address)
    });
    let queries = queries();
    // What the dashboard puts in for its variables. Label values are no query of Prometheus's own.
    let filled = queries
        .iter()
        .filter(|query| !query.starts_with("label_values"))
        .map(|query| {
            query
                .replace("$__rate_interval", "10s")
                .replace("$cache", ".*")
        });
    for query in filled {
        until(&query, || {
            work();
            series(address, &query) > 0
        });
    }
    let pending = |alert: &str| {
        let query = format!("ALERTS{{alertname=\"{alert}\"}}");
        series(address, &query) > 0
    };
    until("the rule of findings has found one", || {
        work();
        pending("BrimfulFinding")
    });
}
