//! Steps that write faster than anybody reads, on an engine that does not clip them.
//!
//! `BuildKit` clips a step's output at 2 MiB and 200 KiB/s unless told otherwise; this engine is told otherwise.

use crate::support::process::run;
use crate::support::second::{BUILDER, Second, WORDS};
use crate::support::testbed::{Engine, For};

const UNCLIPPED: &[(&str, &str)] =
    &[("BUILDKIT_STEP_LOG_MAX_SIZE", "-1"), ("BUILDKIT_STEP_LOG_MAX_SPEED", "-1")];

#[test]
fn fast_output_fails_no_build_and_what_is_left_out_is_told() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let Some(second) = Second::start(&engine, &serde_json::json!({}), UNCLIPPED) else { return };
    let floods = ["head -c 50000000 /dev/zero | tr '\\0' '\\n'", "head -c 100000000 /dev/zero | tr '\\0' a"];
    for flood in floods {
        for progress in ["plain", "json", "quiet"] {
            let project =
                engine.project(&format!("FROM BASE\nRUN echo MARKER && {flood}\nRUN echo the end\n"));
            project.write("layertop.toml", &format!("[build]\nbuilder = \"{BUILDER}\"\n"));
            let mut command = project.layertop(&["build", "--progress", progress]);
            let ended = run(command.args(WORDS).env("DOCKER_HOST", second.host()));
            assert_eq!(ended.code(), Some(0), "{flood}, {progress}: {}", ended.stderr);
            if progress == "json" {
                let summary = ended.summary();
                assert_eq!(summary["result"], "success", "{flood}: {summary}");
                let events = ended.events();
                let left_out: u64 = events.iter().filter_map(|event| event["left_out"].as_u64()).sum();
                let told = events
                    .iter()
                    .any(|event| event["type"] == "notice" && event["text"].to_string().contains("left out"));
                assert!(left_out == 0 || told, "{flood}: {left_out} bytes are missing in silence");
                let end = |event: &serde_json::Value| event["lines"].to_string().contains("the end");
                assert!(events.iter().any(end), "{flood}: what follows the flood is there");
            }
        }
    }
}
