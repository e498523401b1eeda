//! What an address gives, which only the builder sees.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::bench::{AMD, ARM, Bench, planned};
use crate::support::testbed::{Engine, For};
use crate::why::Why::{Follows, Hit, Root};
use crate::why::{evidence, expect};

/// What an address gives, to whoever asks.
pub(crate) fn serve(content: Arc<Mutex<String>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = content.lock().unwrap().clone();
            // Without a time of its own the file gets that of the download, and is another one each time.
            let when = "Last-Modified: Sat, 21 Nov 2026 10:00:00 GMT";
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\n{when}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

#[test]
fn what_an_address_gives_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let content = Arc::new(Mutex::new("one".to_owned()));
    let address = serve(Arc::clone(&content));
    let dockerfile =
        format!("FROM BASE\nWORKDIR /app/MARKER\nADD http://{address}/file /file\nRUN cat /file > /copy\n");
    let bench = Bench::new(&engine, &dockerfile);
    bench.build(&[]);
    let same = bench.build(&[]);
    expect("the same file", &same, &[Hit; 3]);
    for platform in [AMD, ARM] {
        // Nobody but the builder asks the address.
        assert_eq!(
            planned(&same.plan, platform, "predicted"),
            ["hit", "unknown", "unknown"],
            "{:#}",
            same.plan
        );
    }
    // Its content is known to the builder; what this one makes of it is new on both platforms.
    let other = Bench::new(&engine, &dockerfile).build(&[]);
    let adds = |step: &&Value| step["instruction"].as_str().unwrap().starts_with("ADD ");
    let states: Vec<&Value> =
        other.summary["steps"].as_array().unwrap().iter().filter(adds).map(|step| &step["state"]).collect();
    assert_eq!(states, ["miss", "miss"]);
    "two".clone_into(&mut content.lock().unwrap());
    let changed = bench.build(&[]);
    expect("another file", &changed, &[Hit, Root("uncacheable", "likely"), Follows("parent_missed", 3)]);
    let told = evidence(&changed, "uncacheable");
    assert!(told.contains(&address.to_string()) && told.contains("ADD --checksum=sha256:"), "{told}");

    // What a checksum pins can't change unseen.
    let sum = "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
    bench.replace("ADD http", &format!("ADD --checksum={sum} http"));
    bench.build(&[]);
    let pinned = bench.build(&[]);
    expect("a pinned file", &pinned, &[Hit; 3]);
    assert_eq!(planned(&pinned.plan, ARM, "predicted"), ["hit"; 3], "{:#}", pinned.plan);
    bench.share("an address");
}
