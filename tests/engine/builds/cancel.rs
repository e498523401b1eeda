//! Builds that are stopped, and what is left of them: nothing.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::group;
use crate::support::live::Live;
use crate::support::process::Project;
use crate::support::testbed::{BUILDER, Engine, For, docker, recorded_status};

/// A build that does not end by itself, once its step has spoken.
const ENDLESS: &str = "FROM BASE\nRUN echo MARKER; sleep 600\n";

/// Starts it; gives also the process group of its buildx.
fn begin(project: &Project, options: &[&str]) -> (Live, u32) {
    let words = [&["build", "--progress", "json"], options].concat();
    let mut live = Live::start(&mut project.layertop(&words));
    // That this arrives shows too that lines come while a build runs: it can't have ended.
    live.until_event(|event| {
        event["type"] == "log" && event["lines"][0].to_string().contains(&project.marker)
    });
    assert!(live.is_running());
    let group = group::of_child(live.id());
    assert!(
        group::living(group).iter().any(|line| line.contains("buildx build")),
        "{:?}",
        group::living(group)
    );
    (live, group)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn one_interrupt_cancels_gracefully() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let (live, group) = begin(&project, &[]);
    live.send(Signal::SIGINT);
    let ended = live.end();
    assert_eq!(group::living(group), nothing());
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
    let summary = ended.summary();
    assert_eq!((&summary["result"], &summary["exit_code"]), (&"cancelled".into(), &130.into()));
    assert_eq!(summary["steps"][1]["state"], "cancelled");
    assert!(summary["error"].is_null(), "nothing failed: {summary}");
    let asked: Vec<_> = ended.events().into_iter().filter(|event| event["type"] == "cancelling").collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(recorded_status(&project), "canceled");
}

#[test]
fn a_plain_build_tells_a_step_while_it_runs_and_that_it_was_cancelled() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let mut live = Live::start(&mut project.layertop(&["build", "--progress", "plain"]));
    live.until(|line| line.starts_with("[2/2] RUN echo "));
    live.until(|line| line == format!("[2/2] | {}", project.marker));
    live.send(Signal::SIGINT);
    let ended = live.end();
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
    assert!(ended.stdout.lines().any(|line| line.contains("cancelled after")), "{}", ended.stdout);
}

#[test]
fn a_termination_cancels_and_is_what_ends_the_process() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let (live, group) = begin(&project, &[]);
    live.send(Signal::SIGTERM);
    let ended = live.end();
    assert_eq!(group::living(group), nothing());
    assert_eq!(ended.status.signal(), Some(Signal::SIGTERM as i32), "{ended:?}");
    assert_eq!(ended.summary()["result"], "cancelled");
    assert_eq!(recorded_status(&project), "canceled");
}

#[test]
fn a_hang_up_leaves_no_build_behind() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let (live, group) = begin(&project, &[]);
    live.send(Signal::SIGHUP);
    let ended = live.end();
    assert_eq!(group::living(group), nothing());
    assert_eq!(ended.status.signal(), Some(Signal::SIGHUP as i32), "{ended:?}");
    assert_eq!(recorded_status(&project), "canceled");
}

#[test]
fn interrupts_in_quick_succession_leave_nothing_behind() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let (live, group) = begin(&project, &[]);
    for _ in 0..3 {
        live.send(Signal::SIGINT);
    }
    let ended = live.end();
    assert_eq!(group::living(group), nothing());
    // Signals that come at once are one, so any step of the ladder may have been the last.
    assert!(matches!(ended.code(), Some(130 | 137 | 143)), "{ended:?}");
    assert_eq!(ended.summary()["result"], "cancelled");
    assert_eq!(recorded_status(&project), "canceled");
}

/// A builder of our own, which can be stopped in the middle without anybody else noticing.
struct Builder(String);

impl Builder {
    fn create(project: &Project) -> Self {
        let image =
            docker(&["inspect", &format!("buildx_buildkit_{BUILDER}0"), "--format", "{{.Config.Image}}"]);
        let options = format!("image={},network=host", image.trim());
        let builder = Self(format!("layertop-{}", project.marker));
        let words =
            ["buildx", "create", "--driver", "docker-container", "--driver-opt", &options, "--bootstrap"];
        docker(&[&words[..], &["--name", &builder.0]].concat());
        builder
    }

    fn container(&self) -> String {
        format!("buildx_buildkit_{}0", self.0)
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        // In a test that failed it may not be there, or not be paused.
        let _ = Command::new("docker").args(["unpause", &self.container()]).output();
        let _ = Command::new("docker").args(["buildx", "rm", "-f", &self.0]).output();
    }
}

#[test]
fn the_second_interrupt_ends_a_build_whose_builder_does_not_answer() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let project = engine.project(ENDLESS);
    let builder = Builder::create(&project);
    let (mut live, group) = begin(&project, &["--builder", &builder.0]);
    docker(&["pause", &builder.container()]);
    for count in 1..=2 {
        assert!(live.is_running() && !group::living(group).is_empty(), "before {count}");
        live.send(Signal::SIGINT);
        live.until_event(|event| event["type"] == "cancelling" && event["count"] == count);
    }
    let ended = live.end();
    assert_eq!(group::living(group), nothing());
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
    let summary = ended.summary();
    assert_eq!((&summary["result"], &summary["exit_code"]), (&"cancelled".into(), &130.into()));
    assert_eq!(summary["steps"][1]["state"], "cancelled");
}
