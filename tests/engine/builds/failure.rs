//! Builds that fail.

use crate::support::process::run;
use crate::support::testbed::{Engine, For};

const FAILS: &str = "FROM BASE
RUN echo MARKER
RUN echo no matching distribution >&2; exit 7
RUN echo never
";

#[test]
fn the_failing_step_its_excerpt_and_last_lines_are_told() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(FAILS);

    let json = run(&mut project.layertop(&["build", "--progress", "json"]));
    assert_eq!(json.code(), Some(1), "{}", json.stderr);
    let summary = json.summary();
    assert_eq!((summary["result"].as_str(), summary["exit_code"].as_i64()), (Some("failed"), Some(1)));
    let error = &summary["error"];
    assert!(
        error["message"].as_str().unwrap().ends_with("did not complete successfully: exit code: 7"),
        "{error}"
    );
    assert!(error["name"].as_str().unwrap().contains("3/4] RUN echo no matching distribution"), "{error}");
    assert_eq!(error["log"][0], "no matching distribution");
    let excerpt: Vec<_> =
        error["excerpt"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(excerpt[0], "Dockerfile:3");
    assert!(
        excerpt.iter().any(|line| line.contains("3 | >>> RUN echo no matching distribution")),
        "{excerpt:?}"
    );
    let states: Vec<_> =
        summary["steps"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect();
    assert_eq!(states[1..], ["miss", "failed", "not_reached"]);
    assert_eq!(error["vertex"], summary["steps"][2]["digest"]);

    let plain = run(&mut project.layertop(&["build", "--progress", "plain"]));
    assert_eq!(plain.code(), Some(1));
    let end = plain.stdout.split_once("failed: [3/4] RUN").expect("the failure at the end").1;
    assert!(end.contains("| no matching distribution\n"), "{end}");
    assert!(end.contains(">>> RUN echo no matching distribution"), "{end}");
    assert!(end.contains("failed after"), "{end}");

    let quiet = run(&mut project.layertop(&["build", "--progress", "quiet"]));
    assert_eq!((quiet.code(), quiet.stdout.as_str()), (Some(1), ""));
    assert!(quiet.stderr.contains("| no matching distribution\n"), "{}", quiet.stderr);
    assert!(quiet.stderr.contains(">>> RUN echo no matching distribution"), "{}", quiet.stderr);
}

#[test]
fn where_one_platform_fails_the_others_steps_are_cancelled() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    // Without emulation: `TARGETARCH` is an argument, and both run on the builder's own platform. Each waits until the other
    // one is there, by a cache mount that they share, so that one is cancelled in its middle.
    let project = engine.project(
        "FROM --platform=$BUILDPLATFORM BASE
ARG TARGETARCH
RUN --mount=type=cache,id=MARKER,target=/meet touch /meet/$TARGETARCH; \
    while [ ! -e /meet/amd64 ] || [ ! -e /meet/arm64 ]; do sleep 0.1; done; \
    [ $TARGETARCH = amd64 ] || { echo no wheel for $TARGETARCH >&2; exit 3; }; sleep 600
RUN echo never
",
    );
    let words = ["build", "--progress", "json", "--platform", "linux/amd64,linux/arm64"];
    let ended = run(&mut project.layertop(&words));
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let summary = ended.summary();
    let steps = summary["steps"].as_array().unwrap();
    for (begins, platform, state) in
        [("touch /meet/amd64;", "linux/amd64", "cancelled"), ("touch /meet/arm64;", "linux/arm64", "failed")]
    {
        let step = steps.iter().find(|step| step["instruction"].as_str().unwrap().contains(begins)).unwrap();
        assert_eq!((&step["platform"], &step["state"]), (&platform.into(), &state.into()), "{step}");
    }
    assert_eq!(summary["layers"]["failed"], 1);
    assert_eq!(summary["layers"]["cancelled"], 1);
    assert_eq!(summary["error"]["log"][0], "no wheel for arm64");
    let never: Vec<_> = steps.iter().filter(|step| step["instruction"] == "RUN echo never").collect();
    assert!(!never.is_empty() && never.iter().all(|step| step["state"] == "not_reached"), "{never:?}");
}

#[test]
fn a_cache_that_can_not_be_reached_fails_the_import_loudly_and_the_export_finally() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project("FROM BASE\nRUN echo MARKER\n");
    let cache = "type=registry,ref=127.0.0.1:1/nowhere:cache";

    let words = ["build", "--progress", "json", "--", "--cache-from", cache];
    let imported = run(&mut project.layertop(&words));
    assert_eq!(imported.code(), Some(0), "a failed import fails nothing");
    let import = &imported.summary()["cache"]["import"];
    assert_eq!((&import["state"], &import["ref"]), (&"failed".into(), &"127.0.0.1:1/nowhere:cache".into()));
    assert!(import["error"].as_str().unwrap().contains("connection refused"), "{import}");
    assert_eq!(imported.summary()["cache"]["export"]["state"], "none");

    let words = ["build", "--progress", "json", "--", "--cache-from", cache, "--cache-to", cache];
    let exported = run(&mut project.layertop(&words));
    assert_eq!(exported.code(), Some(1), "a failed export fails the build");
    let summary = exported.summary();
    assert_eq!((&summary["result"], &summary["exit_code"]), (&"failed".into(), &1.into()));
    for side in ["import", "export"] {
        assert_eq!(summary["cache"][side]["state"], "failed", "{side}");
        assert!(summary["cache"][side]["error"].as_str().unwrap().contains("connection refused"), "{side}");
    }
    assert_eq!(summary["layers"]["failed"], 0, "no layer is to blame");

    let words = ["build", "--progress", "plain", "--", "--cache-from", cache, "--cache-to", cache];
    let plain = run(&mut project.layertop(&words));
    assert_eq!(plain.code(), Some(1));
    assert!(
        plain.stdout.contains("! cache import failed: from 127.0.0.1:1/nowhere:cache: "),
        "{}",
        plain.stdout
    );
    assert!(plain.stdout.contains("! cache export failed: "), "{}", plain.stdout);
    let last = plain.stdout.lines().rfind(|line| line.contains("failed after")).unwrap();
    assert!(last.contains("cache import failed") && last.contains("cache export failed"), "{last}");
}
