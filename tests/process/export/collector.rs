//! Traces: decoded by the messages of OpenTelemetry's own packages, and taken by a real collector.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::export::{command, demo, exported, hostile, read, reader, recording, summary};
use crate::support::process::{Ended, Project, run};

/// The attributes of a span, as a collector's decoder has them.
fn attribute<'v>(span: &'v Value, name: &str) -> Option<&'v Value> {
    let found = span["attributes"].as_array()?.iter().find(|one| one["key"] == name)?;
    found["value"].as_object()?.values().next()
}

fn spans(request: &Value) -> Vec<Value> {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

#[test]
fn each_step_is_a_span_below_the_build() {
    let project = Project::new();
    for build in [demo("requirements"), recording("cache-pull"), recording("fail"), hostile(&project)] {
        let file = exported(&project, &build, "otlp");
        let Some(found) = read("otlp", &file) else { return };
        let spans = spans(&found);
        let (root, rest) = spans.split_first().unwrap();
        assert!(root["parentSpanId"].is_null());
        let ids: BTreeSet<String> = spans.iter().map(|span| span["spanId"].to_string()).collect();
        assert_eq!(ids.len(), spans.len());
        let time = |span: &Value, field: &str| span[field].as_str().unwrap().parse::<u64>().unwrap();
        for span in rest {
            assert_eq!((&span["parentSpanId"], &span["traceId"]), (&root["spanId"], &root["traceId"]));
            let (start, end) = (time(span, "startTimeUnixNano"), time(span, "endTimeUnixNano"));
            assert!(
                start <= end
                    && time(root, "startTimeUnixNano") <= start
                    && end <= time(root, "endTimeUnixNano")
            );
            for link in span["links"].as_array().into_iter().flatten() {
                assert!(ids.contains(&link["spanId"].to_string()), "{link}");
            }
        }
        let summary = summary(&project, &build);
        let known = |step: &&Value| {
            !step["digest"].is_null()
                && step["state"].as_str().is_some_and(|state| !state.starts_with("not_"))
        };
        for step in summary["steps"].as_array().unwrap().iter().filter(known) {
            let of = |span: &&Value| attribute(span, "buildkit.vertex.digest") == Some(&step["digest"]);
            let span = rest.iter().find(of).unwrap_or_else(|| panic!("no span of {step}"));
            assert_eq!(attribute(span, "layertop.cache.state"), Some(&step["state"]));
            assert_eq!(attribute(span, "layertop.cache.source").unwrap_or(&Value::Null), &step["source"]);
            assert_eq!(attribute(span, "buildkit.platform").unwrap_or(&Value::Null), &step["platform"]);
            assert_eq!(
                attribute(span, "layertop.reason").unwrap_or(&Value::Null),
                &step["reason"]["because"]
            );
            assert_eq!(span["status"]["code"] == "STATUS_CODE_ERROR", step["state"] == "failed", "{span}");
        }
        let failed = summary["result"] == "failed";
        assert_eq!(root["status"]["code"] == "STATUS_CODE_ERROR", failed, "{root}");
    }
}

#[test]
fn a_second_export_is_the_same_trace() {
    let project = Project::new();
    let bytes = |build: std::path::PathBuf| fs::read(exported(&project, &build, "otlp")).unwrap();
    assert_eq!(bytes(demo("code")), bytes(demo("code")));
    assert_ne!(bytes(demo("code")), bytes(demo("unchanged")));
}

/// A collector that answers one request after the other as it is told, and keeps them.
struct Collector {
    address: String,
    thread: JoinHandle<Vec<(String, Vec<u8>)>>,
}

impl Collector {
    fn answering(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        let thread = std::thread::spawn(move || {
            let mut found = Vec::new();
            let mut connection = None;
            for answer in answers {
                let mut reader =
                    connection.take().unwrap_or_else(|| BufReader::new(listener.accept().unwrap().0));
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
                    let line = head.lines().last().unwrap().to_ascii_lowercase();
                    length =
                        line.strip_prefix("content-length: ").map_or(length, |text| text.parse().unwrap());
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                found.push((head, body));
                connection = Some(reader);
            }
            found
        });
        Self { address, thread }
    }

    fn requests(self) -> Vec<(String, Vec<u8>)> {
        self.thread.join().unwrap()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn send(project: &Project, variables: &[(&str, &str)]) -> Ended {
    let mut command = command(project, &demo("code"), &["--format", "otlp"]);
    run(command.envs(variables.iter().copied()))
}

#[test]
fn the_environment_says_where_and_how() {
    let project = Project::new();
    let collector = Collector::answering(&[OK]);
    let address = format!("{}/otel/", collector.address);
    let ended = send(
        &project,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &address),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hidden,x-scope-orgid=team"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_SERVICE_NAME", "builds"),
            ("OTEL_RESOURCE_ATTRIBUTES", "host.name=ci-1,service.name=other"),
        ],
    );
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("sent ") && !ended.stderr.contains("hidden"), "{}", ended.stderr);
    let (head, body) = collector.requests().remove(0);
    let head = head.to_ascii_lowercase();
    for line in [
        "post /otel/v1/traces http/1.1",
        "content-type: application/x-protobuf",
        "content-encoding: gzip",
        "authorization: bearer hidden",
        "x-scope-orgid: team",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    let packed = project.folder().join("body.gz");
    fs::write(&packed, body).unwrap();
    let unpacked = Command::new("gzip").arg("-dc").arg(&packed).output().unwrap();
    assert!(unpacked.status.success());
    let file = project.folder().join("body");
    fs::write(&file, unpacked.stdout).unwrap();
    let Some(found) = read("otlp", &file) else { return };
    let resource = &found["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name").unwrap(), "builds");
    assert_eq!(attribute(resource, "host.name").unwrap(), "ci-1");
    assert!(ended.stderr.contains(&format!("sent {} spans", spans(&found).len())), "{}", ended.stderr);
}

#[test]
fn a_collector_that_is_busy_is_asked_again() {
    let project = Project::new();
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    let collector = Collector::answering(&[busy, OK]);
    let ended = send(&project, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address)]);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let requests = collector.requests();
    assert_eq!(requests[0].1, requests[1].1);
}

#[test]
fn what_goes_wrong_is_said_with_what_to_do() {
    let project = Project::new();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("http://{refused}");
    let stranger = Collector::answering(&["HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found"]);
    // What `google.rpc.Status` and a partial success are in protobuf.
    let denied = Collector::answering(&[
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/x-protobuf\r\ncontent-length: 12\r\n\r\n\x08\x10\x12\x08no token",
    ]);
    let partial = Collector::answering(&[
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\x0a\x0a\x08\x02\x12\x06quotas",
    ]);
    let traces = format!("{}/x", stranger.address);
    for (variables, code, cause, next) in [
        (vec![], 2, "nothing says where", "OTEL_EXPORTER_OTLP_ENDPOINT=http://"),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", refused.as_str())], 4, "nothing listens", "--output FILE"),
        (
            vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str())],
            4,
            "/x answered 404: not found",
            "as it is",
        ),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", denied.address.as_str())], 4, "401: no token", "OTLP_HEADERS"),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", partial.address.as_str())], 4, "did not take 2 of", "its log"),
    ] {
        let ended = send(&project, &variables);
        assert_eq!(ended.code(), Some(code), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(cause) && ended.stderr.contains(next),
            "{variables:?}: {}",
            ended.stderr
        );
    }
}

/// Ends with the test, also where that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rotel, a collector that receives OTLP and says in detail what it received.
#[test]
fn a_real_collector_takes_a_trace() {
    let Some(program) = reader("LAYERTOP_TEST_COLLECTOR") else { return };
    let project = Project::new();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (http, grpc) = (free(), free());
    let log = fs::File::create(project.beside("rotel")).unwrap();
    let child = Command::new(program)
        .args([
            "start",
            "--otlp-http-endpoint",
            &http,
            "--otlp-grpc-endpoint",
            &grpc,
            "--exporter",
            "blackhole",
        ])
        .args(["--debug-log", "traces", "--debug-log-verbosity", "detailed", "--disable-batching"])
        .stdout(log.try_clone().unwrap())
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap();
    let running = Running(child);
    let endpoint = format!("http://{http}");
    // It says nothing when it listens, so it is asked until it does.
    let asked = (0..200).map(|_| send(&project, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]));
    let ended = { asked }.find(|ended| ended.code() == Some(0)).expect("rotel takes the trace");
    let spans = ended.stderr.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap();
    let trace = ended.stderr.split_whitespace().nth(5).unwrap().to_owned();
    // What it received is said behind the answer.
    let said = (0..100_000)
        .map(|_| fs::read_to_string(project.beside("rotel")).unwrap())
        .find(|said| said.matches("Trace ID").count() >= spans);
    drop(running);
    let said = said.expect("rotel says what it has received");
    assert_eq!(said.matches(&format!("Trace ID       : {trace}")).count(), spans, "{said}");
    assert_eq!(said.matches("layertop.cache.state: Str(").count(), 22, "{said}");
    assert!(
        said.contains("buildkit.platform: Str(linux/arm64)") && said.contains("service.name: Str(layertop)")
    );
}
