//! The page in a browser: what it makes of the document, and a picture.
//!
//! Where no browser is at hand this says so and checks nothing; with `BRIMFUL_BROWSER=1`, as in
//! `.ci/run seen`, that is a failure.

use crate::{HOSTILE, Scene};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// The names under which Chromium goes.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> Option<&'static str> {
    let path = env::var_os("PATH")?;
    let there = |name: &&str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    BROWSERS.into_iter().find(there)
}

/// What it writes when it opens a page with these options.
fn open(browser: &str, folder: &Path, page: &Path, options: &[&str]) -> String {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .args([
            "--disable-background-networking",
            "--disable-sync",
            &profile,
        ])
        .args(options)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_browser_shows_what_the_page_says() {
    let Some(browser) = browser() else {
        assert!(
            env::var_os("BRIMFUL_BROWSER").is_none(),
            "no browser at hand"
        );
        eprintln!("NOT RUN: no browser at hand: {BROWSERS:?}");
        return;
    };
    let folder = env::temp_dir().join(format!("brimful-watch-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (page, picture) = (folder.join("page.html"), folder.join("page.png"));
    fs::write(&page, Scene::new().registry.page("")).unwrap();

    let dom = open(browser, &folder, &page, &["--dump-dom"]);
    let count = |what: &str| dom.matches(what).count();
    assert_eq!(
        (count("<script"), count("<section"), count("<polyline")),
        (0, 2, 7),
        "{dom}"
    );
    // It has read the hostile name as text, and writes it as text.
    let name = HOSTILE
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    assert!(dom.contains(&format!("<h2>{name}</h2>")), "{dom}");

    let options = [
        &*format!("--screenshot={}", picture.display()),
        "--window-size=1200,1600",
    ];
    open(browser, &folder, &page, &options);
    let drawn = fs::read(&picture).unwrap();
    assert!(drawn.starts_with(b"\x89PNG"));
    let side = |at: usize| u32::from_be_bytes(drawn[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (1_200, 1_600));
    // One colour alone would pack to next to nothing.
    assert!(drawn.len() > 20_000, "{} bytes", drawn.len());
    fs::remove_dir_all(&folder).unwrap();
}
