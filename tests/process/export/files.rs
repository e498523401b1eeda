//! Formats that are files: JSON, Markdown, trace events.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use layertop::report::words::duration;
use serde_json::{Value, json};

use crate::export::{HOSTILE, demo, export, exported, hostile, read, recording, summary};
use crate::support::process::{Project, run};

#[test]
fn json_is_the_last_line_of_a_replay() {
    let project = Project::new();
    for build in [demo("requirements"), recording("fail")] {
        let words = ["replay", build.to_str().unwrap(), "--speed", "max", "--progress", "json"];
        let mut replayed = run(&mut project.layertop(&words)).summary();
        let mut exported = summary(&project, &build);
        // A replay tells what was told; an export judges what nobody has judged.
        for summary in [&mut replayed, &mut exported] {
            for step in summary["steps"].as_array_mut().unwrap() {
                step["reason"].take();
            }
        }
        assert_eq!(exported, replayed);
    }
}

#[test]
fn markdown_says_what_matters_first() {
    let project = Project::new();
    let build = demo("requirements");
    let text = fs::read_to_string(exported(&project, &build, "markdown")).unwrap();
    let summary = summary(&project, &build);
    let shown = |ms: u64| duration(Duration::from_millis(ms));
    let pip = |platform: &str| {
        let steps = summary["steps"].as_array().unwrap().iter();
        let of = steps.filter(|step| step["layer"] == "pip" && step["platform"] == platform);
        shown(of.map(|step| step["run_ms"].as_u64().unwrap()).sum())
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let wall = shown(summary["wall_ms"].as_u64().unwrap());
    assert_eq!(lines[0], format!("## ● 127.0.0.1:5055/montage-ai:my-feature: built in {wall}"));
    assert!(lines[1].starts_with("**12 of 22 rebuilt**"), "{}", lines[1]);
    assert_eq!(lines[2], "### What was rebuilt, and why");
    assert!(
        lines[3].starts_with("- pip rebuilt because requirements.txt changed: +requests-toolbelt"),
        "{}",
        lines[3]
    );
    let row = format!("| pip | ○ ran, {} | ○ ran, {} |", pip("linux/amd64"), pip("linux/arm64"));
    assert!(lines.contains(&row.as_str()), "{row}: {text}");
}

/// By GitHub's own parser: what others wrote is text, and the tables have the columns that they should.
#[test]
fn hostile_names_stay_text_in_markdown() {
    let project = Project::new();
    let file = exported(&project, &hostile(&project), "markdown");
    assert!(fs::metadata(&file).unwrap().len() < 1 << 20);
    let Some(found) = read("markdown", &file) else { return };
    let html = found["html"].as_str().unwrap();
    for bad in ["<img", "<script", "<b>", "<a ", "</svg", "pwned=1</script>"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;"), "{html}");
    assert!(html.contains("<details><summary>What it said: 2 lines</summary>"), "{html}");
    for table in html.split("<table>").skip(1) {
        let table = table.split("</table>").next().unwrap();
        let columns = table.matches("<th").count() - table.matches("<thead").count();
        for row in table.split("<tr>").skip(2) {
            assert_eq!(row.matches("<td").count(), columns, "{row}");
        }
    }
}

/// GitHub shows nothing of a summary of more than 1 MiB.
#[test]
fn markdown_of_any_build_is_short_enough() {
    let project = Project::new();
    let text = "x".repeat(900);
    let mut lines = String::new();
    for at in 1..=2200 {
        let digest = format!("sha256:{at:064x}");
        let name = format!("[{at}/2200] RUN {at} {text}");
        let times = json!({"digest": digest, "name": name, "started": "2026-11-22T10:10:09Z", "completed": "2026-11-22T10:10:10Z"});
        lines.push_str(&json!({"vertexes": [times]}).to_string());
        lines.push('\n');
    }
    project.write("long.jsonl", &lines);
    let file = exported(&project, &project.folder().join("long.jsonl"), "markdown");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.len() > 900_000 && text.len() < 1 << 20, "{}", text.len());
    assert!(text.contains(" more steps\n"), "{}", &text[text.len() - 300..]);
}

/// The fields of the events that are used, as the document "Trace Event Format" has them.
fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["traceEvents"],
        "properties": {
            "otherData": {"type": "object"},
            "traceEvents": {"type": "array", "minItems": 1, "items": {
                "type": "object",
                "required": ["ph", "pid", "tid", "name"],
                "additionalProperties": false,
                "properties": {
                    "ph": {"enum": ["X", "M"]}, "pid": {"type": "integer"}, "tid": {"type": "integer"},
                    "name": {"type": "string"}, "cat": {"type": "string"}, "args": {"type": "object"},
                    "ts": {"type": "integer", "minimum": 0}, "dur": {"type": "integer", "minimum": 0}
                },
                "if": {"properties": {"ph": {"const": "X"}}},
                "then": {"required": ["ts", "dur", "cat", "args"]},
                "else": {
                    "required": ["args"],
                    "properties": {"name": {"enum": ["process_name", "process_sort_index", "thread_name", "thread_sort_index"]}}
                }
            }}
        }
    })
}

fn trace(project: &Project, build: &Path) -> Value {
    let text = fs::read(exported(project, build, "chrome-trace")).unwrap();
    let trace: Value = serde_json::from_slice(&text).unwrap();
    if let Err(error) = jsonschema::validator_for(&schema()).unwrap().validate(&trace) {
        panic!("{error}");
    }
    trace
}

#[test]
fn a_trace_has_each_step_once_and_its_lanes_do_not_overlap() {
    let project = Project::new();
    let mut builds: Vec<_> = ["first", "code", "requirements", "unchanged"].map(demo).into();
    builds.extend(["bake", "cancelled", "cache-pull", "fail", "hangup", "multistage"].map(recording));
    builds.push(hostile(&project));
    for build in builds {
        let trace = trace(&project, &build);
        let events = trace["traceEvents"].as_array().unwrap();
        let mut lanes: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
        let mut steps: Vec<&str> = Vec::new();
        for event in events.iter().filter(|event| event["ph"] == "X") {
            let number = |field: &str| event[field].as_u64().unwrap();
            lanes
                .entry((number("pid"), number("tid")))
                .or_default()
                .push((number("ts"), number("ts") + number("dur")));
            if event["cat"] == "step" {
                steps.push(event["args"]["digest"].as_str().unwrap());
                assert!(event["args"]["state"].is_string(), "{event}");
            }
        }
        for ((pid, tid), spans) in &lanes {
            assert!(
                spans.is_sorted() && spans.windows(2).all(|two| two[0].1 <= two[1].0),
                "{build:?} {pid}/{tid}"
            );
            let named = |kind: &str, tid: u64| {
                let of =
                    |event: &&Value| event["name"] == kind && event["pid"] == *pid && event["tid"] == tid;
                events.iter().filter(of).count()
            };
            assert_eq!((named("process_name", 0), named("thread_name", *tid)), (1, 1));
        }
        let known = summary(&project, &build);
        let started = |step: &&Value| {
            !step["digest"].is_null()
                && step["state"].as_str().is_some_and(|state| !state.starts_with("not_"))
        };
        let expected: BTreeSet<&str> = known["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(started)
            .map(|step| step["digest"].as_str().unwrap())
            .collect();
        assert_eq!(steps.len(), steps.iter().collect::<BTreeSet<_>>().len(), "{build:?}");
        assert_eq!(steps.into_iter().collect::<BTreeSet<_>>(), expected, "{build:?}");
    }
}

#[test]
fn what_a_trace_says_of_a_step() {
    let project = Project::new();
    let trace = trace(&project, &demo("requirements"));
    let events = trace["traceEvents"].as_array().unwrap();
    let pip: Vec<&Value> = events.iter().filter(|event| event["args"]["step"] == "6/11").collect();
    assert_eq!(pip.len(), 2, "one a platform");
    assert_eq!(pip[0]["name"], "pip: COPY requirements.txt .");
    assert_eq!(pip[0]["args"]["state"], "miss");
    assert_eq!(pip[0]["args"]["reason_kind"], "files_changed");
    let hit = events.iter().find(|event| event["args"]["state"] == "hit").unwrap();
    assert_eq!(hit["args"]["source"], "local");
}

#[test]
fn what_can_t_be_exported_is_said() {
    let project = Project::new();
    let none = run(&mut project.layertop(&["export", "--format", "json"]));
    assert_eq!(none.code(), Some(4));
    assert!(
        none.stderr.contains("there is no recording") && none.stderr.contains("layertop build"),
        "{}",
        none.stderr
    );
    let strange = run(&mut project.layertop(&["export", "no-such-build", "--format", "html"]));
    assert_eq!(strange.code(), Some(4), "{}", strange.stderr);
    let bare = run(&mut project.layertop(&["export"]));
    assert!(bare.code() == Some(2) && bare.stderr.contains("--format"), "{}", bare.stderr);
    let folder = project.folder();
    let full = export(&project, &demo("code"), &["--format", "html", "--output", folder.to_str().unwrap()]);
    assert!(full.code() == Some(1) && full.stderr.contains("can't write"), "{full:?}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left");
    assert!(HOSTILE.len() > 100);
}
