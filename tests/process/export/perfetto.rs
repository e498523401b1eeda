//! The trace in Perfetto's own trace processor, as its user interface has it: WebAssembly, spoken with by its protobuf messages
//! (`protos/perfetto/trace_processor/trace_processor.proto`), in a headless browser.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::{Value, json};

use crate::export::browser::Browser;
use crate::export::{demo, exported, hostile, reader, recording};
use crate::support::process::Project;

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(message, repeated, tag = "1")]
    messages: Vec<Rpc>,
}

#[derive(Clone, PartialEq, Message)]
struct Rpc {
    #[prost(int64, tag = "1")]
    sequence: i64,
    #[prost(int32, optional, tag = "2")]
    request: Option<i32>,
    #[prost(string, tag = "5")]
    fatal: String,
    #[prost(bytes, optional, tag = "101")]
    trace: Option<Vec<u8>>,
    #[prost(message, optional, tag = "103")]
    query: Option<Query>,
    #[prost(message, optional, tag = "201")]
    appended: Option<Appended>,
    #[prost(message, optional, tag = "203")]
    found: Option<Found>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(string, tag = "1")]
    sql: String,
}

#[derive(Clone, PartialEq, Message)]
struct Appended {
    #[prost(string, tag = "2")]
    error: String,
}

#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(string, repeated, tag = "1")]
    columns: Vec<String>,
    #[prost(string, tag = "2")]
    error: String,
    #[prost(message, repeated, tag = "3")]
    batches: Vec<Cells>,
}

#[derive(Clone, PartialEq, Message)]
struct Cells {
    /// 1 nothing, 2 a number, 4 a text; the values of each kind stand apart.
    #[prost(int32, repeated, tag = "1")]
    kinds: Vec<i32>,
    #[prost(int64, repeated, tag = "2")]
    numbers: Vec<i64>,
    #[prost(string, tag = "5")]
    texts: String,
}

const APPEND: i32 = 1;
const FINISH: i32 = 2;
const QUERY: i32 = 3;

/// A trace that has been read.
struct Perfetto<'a> {
    browser: &'a mut Browser,
    asked: i64,
}

impl<'a> Perfetto<'a> {
    /// Begins anew, and reads a trace.
    fn read(browser: &'a mut Browser, folder: &str, trace: &Path) -> Self {
        let file = |name: &str| fs::read(Path::new(folder).join(name)).unwrap();
        browser.blank();
        let wasm = STANDARD.encode(file("trace_processor.wasm"));
        browser.value(&format!("self.wasm = Uint8Array.from(atob('{wasm}'), one => one.charCodeAt(0)); 0"));
        // Otherwise it is the browser's worker, keeps its insides to itself, and asks for the other file.
        let mut engine = String::from_utf8(file("engine_bundle.js")).unwrap();
        for (theirs, ours) in [
            ("const wasmBridge = new", "const wasmBridge = self.bridge = new"),
            ("locateFile: (s) => s,", "wasmBinary: self.wasm, locateFile: (s) => s,"),
        ] {
            assert!(engine.contains(theirs), "{theirs}");
            engine = engine.replace(theirs, ours);
        }
        browser.value(&(engine + "; 0"));
        browser.value("self.replies = []; self.text = data => Array.from(data, one => String.fromCharCode(one)).join(''); 0");
        browser.value("self.port = {postMessage: data => replies.push(btoa(text(data)))}; onmessage({data: {enginePort: port}}); 0");
        browser.value("bridge.whenInitialized.then(() => 0)");
        let mut perfetto = Self { browser, asked: 0 };
        let trace = fs::read(trace).unwrap();
        let read = perfetto.ask(Rpc { request: Some(APPEND), trace: Some(trace), ..Rpc::default() });
        assert_eq!(read[0].appended.as_ref().unwrap().error, "");
        perfetto.ask(Rpc { request: Some(FINISH), ..Rpc::default() });
        perfetto
    }

    fn ask(&mut self, rpc: Rpc) -> Vec<Rpc> {
        let stream = Stream { messages: vec![Rpc { sequence: self.asked, ..rpc }] };
        self.asked += 1;
        let bytes = STANDARD.encode(stream.encode_to_vec());
        let replies = self.browser.value(&format!(
            "replies.length = 0; port.onmessage({{data: Uint8Array.from(atob('{bytes}'), one => one.charCodeAt(0))}}); replies"
        ));
        let replies = replies.as_array().unwrap().iter().flat_map(|reply| {
            Stream::decode(&*STANDARD.decode(reply.as_str().unwrap()).unwrap()).unwrap().messages
        });
        let replies: Vec<Rpc> = replies.collect();
        assert!(!replies.is_empty() && replies.iter().all(|reply| reply.fatal.is_empty()), "{replies:?}");
        replies
    }

    /// The rows that a question gives.
    fn query(&mut self, sql: &str) -> Vec<Vec<Value>> {
        let query = Some(Query { sql: sql.to_owned() });
        let replies = self.ask(Rpc { request: Some(QUERY), query, ..Rpc::default() });
        let (mut columns, mut cells) = (1, Vec::new());
        for found in replies.into_iter().filter_map(|reply| reply.found) {
            assert_eq!(found.error, "", "{sql}");
            columns = columns.max(found.columns.len());
            for batch in found.batches {
                let mut numbers = batch.numbers.into_iter();
                let mut texts = batch.texts.split('\0');
                cells.extend(batch.kinds.into_iter().map(|kind| match kind {
                    1 => Value::Null,
                    2 => numbers.next().unwrap().into(),
                    4 => texts.next().unwrap().into(),
                    other => panic!("a cell of kind {other}"),
                }));
            }
        }
        cells.chunks(columns).map(<[Value]>::to_vec).collect()
    }
}

#[test]
fn perfetto_has_each_stretch_in_its_place() {
    let Some(program) = reader("LAYERTOP_TEST_BROWSER") else { return };
    let Some(folder) = reader("LAYERTOP_TEST_PERFETTO") else { return };
    let project = Project::new();
    let mut browser = Browser::start(&program, &project);
    let mut builds: Vec<_> = ["first", "unchanged"].map(demo).into();
    builds.extend(["bake", "fail", "multistage"].map(recording));
    builds.push(hostile(&project));
    for build in builds {
        let file = exported(&project, &build, "chrome-trace");
        let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let events = written["traceEvents"].as_array().unwrap();
        let named = |event: &Value, kind: &str, tid: &Value| {
            let is_it =
                |one: &&Value| one["name"] == kind && one["pid"] == event["pid"] && one["tid"] == *tid;
            events.iter().find(is_it).unwrap()["args"]["name"].clone()
        };
        let mut wanted: Vec<Vec<Value>> = Vec::new();
        for event in events.iter().filter(|event| event["ph"] == "X") {
            // Perfetto counts nanoseconds.
            let nanos = |field: &str| json!(event[field].as_i64().unwrap() * 1000);
            wanted.push(vec![
                nanos("ts"),
                nanos("dur"),
                event["name"].clone(),
                event["cat"].clone(),
                named(event, "process_name", &json!(0)),
                named(event, "thread_name", &event["tid"]),
                event["args"]["digest"].clone(),
                event["args"]["state"].clone(),
            ]);
        }
        let mut perfetto = Perfetto::read(&mut browser, &folder, &file);
        let mut found = perfetto.query(
            "SELECT slice.ts, slice.dur, slice.name, slice.category, process.name, thread.name, \
             extract_arg(slice.arg_set_id, 'args.digest'), extract_arg(slice.arg_set_id, 'args.state') FROM slice \
             JOIN thread_track ON slice.track_id = thread_track.id JOIN thread USING (utid) JOIN process USING (upid)",
        );
        let by_text = |row: &Vec<Value>| Value::from(row.clone()).to_string();
        wanted.sort_by_cached_key(by_text);
        found.sort_by_cached_key(by_text);
        assert!(!found.is_empty());
        assert_eq!(found, wanted, "{build:?}");
        let trouble = perfetto
            .query("SELECT name, value FROM stats WHERE severity IN ('error', 'data_loss') AND value > 0");
        assert_eq!(trouble, Vec::<Vec<Value>>::new(), "{build:?}");
    }
}
