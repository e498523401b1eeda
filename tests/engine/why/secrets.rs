//! Secrets are causes like others, and are told by their names alone: in plans, reasons, recordings and the store.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::bench::{Bench, Built};
use crate::support::testbed::{Engine, For};
use crate::why::Why::{Follows, Root};
use crate::why::address::serve;
use crate::why::{OWN, evidence, expect};

/// Of each the first value and the second.
const GIVEN: [&str; 2] = ["given-hunter2-4711", "given-hunter2-4712"];
const DEFAULT: [&str; 2] = ["default-hunter2-4711", "default-hunter2-4712"];
const IN_URL: [&str; 2] = ["url-hunter2-4711", "url-hunter2-4712"];
const MOUNTED: [&str; 2] = ["mounted-hunter2-4711", "mounted-hunter2-4712"];

const DOCKERFILE: &str = "FROM BASE
WORKDIR /app/MARKER
ADD http://me:IN_URL@ADDRESS/file /file
ARG DB_PASSWORD=DEFAULT
RUN echo MARKER $DB_PASSWORD > /default
ENV PROXY=http://me:IN_URL@proxy
ARG API_TOKEN
RUN <<EOF
echo MARKER $API_TOKEN > /given
EOF
COPY <<CONFIG /config
token=${API_TOKEN}
CONFIG
RUN --mount=type=secret,id=mounted cat /run/secrets/mounted > /dev/null
";

/// All that lies in a folder, unpacked.
fn texts(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(texts(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            let unpacked = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
            found.push((name, unpacked));
        }
    }
    found
}

/// What is packed in the store.
fn packed(store: &Path) -> Vec<(String, Vec<u8>)> {
    let db = rusqlite::Connection::open(store).unwrap();
    let mut found = Vec::new();
    for table in ["pasts", "prints"] {
        let mut query = db.prepare(&format!("SELECT packed FROM {table}")).unwrap();
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        found.extend(rows.map(|row| (table.to_owned(), zstd::decode_all(row.unwrap().as_slice()).unwrap())));
    }
    assert!(!found.is_empty());
    found
}

/// Asserts that a build has said no secret, and kept none.
#[track_caller]
fn no_secret_in(what: &str, bench: &Bench<'_>, built: &Built, words: &[&str]) {
    let plan = bench.layertop(&["plan", "--progress", "plain"], words);
    let mut said: Vec<(String, Vec<u8>)> = vec![
        ("the plan".into(), built.plan.to_string().into_bytes()),
        ("the events".into(), Value::from(built.events.clone()).to_string().into_bytes()),
        ("plan".into(), (plan.stdout + &plan.stderr).into_bytes()),
        ("why".into(), bench.why(&[]).into_bytes()),
        ("why of a step".into(), bench.why(&["RUN"]).into_bytes()),
    ];
    let data = bench.project.beside("data");
    said.extend(texts(&data));
    said.extend(packed(&data.join("layertop/history.db")));
    for (name, bytes) in said {
        let leak = bytes.windows(7).any(|window| window == b"hunter2");
        assert!(!leak, "{what}: in {name}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn secrets_are_told_by_their_names_alone() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let content = Arc::new(Mutex::new("one".to_owned()));
    let address = serve(content);
    let with = |default: &str, url: &str| {
        let text = DOCKERFILE.replace("ADDRESS", &address.to_string());
        text.replace("DEFAULT", default).replace("IN_URL", url)
    };
    let bench = Bench::new(&engine, &with(DEFAULT[0], IN_URL[0]));
    let secret = bench.project.beside("mounted");
    fs::write(&secret, MOUNTED[0]).unwrap();
    let file = format!("--secret=id=mounted,src={}", secret.display());
    let first = format!("API_TOKEN={}", GIVEN[0]);
    let words = ["--", "--build-arg", &first, &file];
    no_secret_in("first", &bench, &bench.build(&words), &words);

    fs::write(&secret, MOUNTED[1]).unwrap();
    let hits = bench.build(&words);
    expect("a secret that is mounted", &hits, &[OWN; 6]);
    no_secret_in("a secret that is mounted", &bench, &hits, &words);

    let second = format!("API_TOKEN={}", GIVEN[1]);
    let words = ["--", "--build-arg", &second, &file];
    let given = bench.build(&words);
    let from = Follows("parent_missed", 5);
    expect("a build argument", &given, &[OWN, OWN, OWN, Root("arg_changed", "proven"), from, from]);
    assert!(evidence(&given, "arg_changed").contains("API_TOKEN changed (a secret, not shown)"));
    no_secret_in("a build argument", &bench, &given, &words);

    bench.replace(DEFAULT[0], DEFAULT[1]);
    let default = bench.build(&words);
    let from = Follows("parent_missed", 4);
    expect("a default", &default, &[OWN, OWN, Root("arg_changed", "proven"), from, from, from]);
    assert!(evidence(&default, "arg_changed").contains("DB_PASSWORD changed (a secret, not shown)"));
    no_secret_in("a default", &bench, &default, &words);

    bench.replace(IN_URL[0], IN_URL[1]);
    // What is in it is what was there.
    let from = Follows("parent_missed", 5);
    let address = bench.build(&words);
    let first = Root("instruction_changed", "proven");
    expect("an address", &address, &[OWN, OWN, OWN, first, from, from]);
    no_secret_in("an address", &bench, &address, &words);
    bench.share("secrets");
}

#[test]
fn what_a_builder_runs_is_told_without_secrets() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let content = Arc::new(Mutex::new("one".to_owned()));
    let address = serve(Arc::clone(&content));
    // Its record stays on the builder, and who builds something else there can't know that it is one.
    let password = "default-swordfish-4711";
    let text =
        format!("FROM BASE\nARG DB_PASSWORD={password}\nADD http://{address}/MARKER/$DB_PASSWORD /file\n");
    let bench = Bench::new(&engine, &text);
    // The address gives nothing until it is let go.
    let held = content.lock().unwrap();
    let mut build = bench.project.layertop(&["build", "--progress", "quiet"]);
    let mut build = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let fetches = format!("http://{address}/");
    let mut asked = 0;
    let told = loop {
        let status = bench.layertop(&["status", "--progress", "json"], &[]).stdout;
        if status.contains(&fetches) {
            break status;
        }
        asked += 1;
        assert!(asked < 60 && build.try_wait().unwrap().is_none(), "it is not seen: {status}");
    };
    drop(held);
    assert!(build.wait().unwrap().success());
    assert!(!told.contains("swordfish"), "{told}");
}
