//! The HTML report in a real browser, asked by its debugging protocol over a pair of pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use layertop::report::html;
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::export::{demo, exported, hostile, reader, recording, summary};
use crate::support::process::Project;

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    last: u64,
    /// What it has said beside its answers.
    events: Vec<Value>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    pub(crate) fn start(program: &str, project: &Project) -> Self {
        let (asked, said) = (project.beside("asked"), project.beside("said"));
        for pipe in [&asked, &said] {
            nix::unistd::mkfifo(pipe, Mode::S_IRWXU).unwrap();
        }
        // The protocol wants the descriptors 3 and 4.
        let child = Command::new("bash")
            .args(["-c", "exec \"$0\" \"${@:3}\" 3<\"$1\" 4>\"$2\"", program])
            .args([&asked, &said])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", project.beside("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = OpenOptions::new().write(true).open(asked).unwrap();
        let from = BufReader::new(File::open(said).unwrap());
        let mut browser = Self { child, to, from, session: None, last: 0, events: Vec::new() };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.ask("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        assert!(self.from.read_until(0, &mut bytes).unwrap() > 0, "the browser is gone");
        serde_json::from_slice(bytes.strip_suffix(b"\0").unwrap()).unwrap()
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let said = self.next();
            if said["id"] == self.last {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            self.events.push(said);
        }
    }

    /// Opens a file as a page of this size.
    fn open(&mut self, file: &Path, width: u32, dark: bool) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        self.events.clear();
        self.ask("Page.navigate", &json!({"url": format!("file://{}", file.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let said = self.next();
            self.events.push(said);
        }
    }

    /// Leaves the page for an empty one.
    pub(crate) fn blank(&mut self) {
        self.events.clear();
        self.ask("Page.navigate", &json!({"url": "about:blank"}));
    }

    /// What an expression is in the page; of a promise, what comes of it.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let how = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let found = self.ask("Runtime.evaluate", &how);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    /// What the page complained of, or asked the network for.
    fn complaints(&self) -> Vec<&Value> {
        let bad = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
            "Log.entryAdded" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => true,
            "Network.requestWillBeSent" => {
                !event["params"]["request"]["url"].as_str().unwrap().starts_with("file://")
            }
            _ => false,
        };
        self.events.iter().filter(bad).collect()
    }
}

#[test]
fn the_page_shows_each_step_and_nothing_overflows() {
    let Some(program) = reader("LAYERTOP_TEST_BROWSER") else { return };
    let project = Project::new();
    let mut browser = Browser::start(&program, &project);
    for build in [
        demo("first"),
        demo("requirements"),
        recording("cache-pull"),
        recording("fail"),
        recording("multistage"),
        recording("parse-error"),
    ] {
        let file = exported(&project, &build, "html");
        let steps = summary(&project, &build)["steps"].as_array().unwrap().clone();
        let ran = steps
            .iter()
            .filter(|step| {
                !step["digest"].is_null()
                    && step["state"].as_str().is_some_and(|state| !state.starts_with("not_"))
            })
            .count();
        for (width, dark) in [(1280, false), (400, true), (320, false)] {
            browser.open(&file, width, dark);
            assert_eq!(browser.complaints(), Vec::<&Value>::new(), "{build:?} at {width}");
            let shown = browser.value("document.querySelectorAll('svg.timeline g[data-kind=step]').length");
            assert_eq!(shown, ran, "{build:?} at {width}");
            let bars = "[...document.querySelectorAll('svg.timeline g')].every(g => g.querySelector('rect') && g.querySelector('title').textContent)";
            assert_eq!(browser.value(bars), true, "{build:?}");
            // Opened up, too; what is wider than its place scrolls in it.
            browser.value("document.querySelectorAll('details').forEach(one => one.open = true)");
            let wide = "(() => { const page = document.documentElement, out = []; \
                 if (page.scrollWidth > page.clientWidth) out.push('the page'); \
                 for (const one of document.querySelectorAll('main *:not(svg *):not(pre)')) { \
                   if (one.closest('pre')) continue; const box = one.getBoundingClientRect(); \
                   if (box.right > page.clientWidth + 0.5 && !one.closest('.names')) out.push(one.tagName + ' ' + one.className); } \
                 for (const bar of document.querySelectorAll('svg.timeline rect')) { const box = bar.getBoundingClientRect(), \
                   picture = bar.closest('svg').getBoundingClientRect(); \
                   if (box.left < picture.left - 1 || box.right > picture.right + 1 || box.bottom > picture.bottom + 1) out.push('a bar'); } \
                 return out.join(', '); })()";
            assert_eq!(browser.value(wide), "", "{build:?} at {width}");
            let page = browser.value("getComputedStyle(document.body).backgroundColor");
            assert_eq!(
                page,
                if dark { "rgb(15, 19, 25)" } else { "rgb(246, 247, 249)" },
                "the style is let in"
            );
        }
    }
}

#[test]
fn names_that_are_html_stay_text() {
    let Some(program) = reader("LAYERTOP_TEST_BROWSER") else { return };
    let project = Project::new();
    let file = exported(&project, &hostile(&project), "html");
    let mut browser = Browser::start(&program, &project);
    browser.open(&file, 1280, false);
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    assert_eq!(browser.value("document.images.length + document.scripts.length + document.links.length"), 0);
    assert_eq!(browser.value("typeof pwned"), "undefined");
    assert_eq!(browser.value("document.body.textContent.includes('<img src=x onerror=alert(1)>')"), true);
    // Were a script let through, the page's policy would not run it.
    browser.value("{ const one = document.createElement('script'); one.textContent = 'pwned = 1'; document.body.append(one) }");
    assert_eq!(browser.value("typeof pwned"), "undefined");
}

/// The policy lets the page's own style in by its hash.
#[test]
fn the_policy_has_the_hash_of_the_style() {
    use base64::Engine as _;
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let hash = suite.common.hash_provider.hash(html::STYLE.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    assert_eq!(html::STYLE_HASH, format!("sha256-{hash}"), "write this one into src/report/html.rs");
}
