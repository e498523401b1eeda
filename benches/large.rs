//! How a replay's time grows with the build: four times the vertices may take at most five times as long.
//!
//! The program itself replays the progress stream of builds of 4,000 and 16,000 vertices, as lines and as JSON. Time on the
//! processor is what counts, the least of several turns.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]

#[expect(dead_code, reason = "other measurements use the rest of it")]
mod measure;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// How many steps a stage has.
const STAGE: usize = 20;
const TURNS: usize = 3;

fn main() {
    if !measure::asked() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("layertop-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the streams");
    println!("replay of a build          4,000 vertices   16,000 vertices   ratio (at most 5)");
    for progress in ["plain", "json"] {
        let [few, many] = [4_000, 16_000].map(|vertices| {
            let file = folder.join(format!("{vertices}.jsonl"));
            std::fs::write(&file, stream(vertices)).expect("a stream");
            (0..TURNS).map(|_| replay(&file, progress)).min().unwrap_or_default()
        });
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("{progress:<22} {few:>15.2?} {many:>17.2?} {ratio:>9.1}");
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// The progress of a build of stages, each a chain, every third step a hit.
fn stream(vertices: usize) -> String {
    let mut text = String::new();
    for at in 0..vertices {
        let (stage, step) = (at / STAGE, at % STAGE);
        let words = if step == 0 { format!("FROM base:{stage}") } else { format!("RUN make target-{at}") };
        let inputs =
            if step == 0 { String::new() } else { format!(",\"inputs\":[\"sha256:{:064x}\"]", at - 1) };
        let moment = |thousandths: usize| {
            let (seconds, rest) = (thousandths / 1000, thousandths % 1000);
            format!("2026-11-22T00:{:02}:{:02}.{rest:03}Z", seconds / 60, seconds % 60)
        };
        let vertex = format!(
            "\"digest\":\"sha256:{at:064x}\"{inputs},\"name\":\"[stage-{stage} {}/{STAGE}] {words}\",\"started\":\"{}\"",
            step + 1,
            moment(at * 10)
        );
        let hit = if at % 3 == 0 { ",\"cached\":true" } else { "" };
        let _ = writeln!(text, "{{\"vertexes\":[{{{vertex}}}]}}");
        let _ = writeln!(
            text,
            "{{\"logs\":[{{\"vertex\":\"sha256:{at:064x}\",\"stream\":1,\"data\":\"aGVsbG8gd29ybGQK\",\"timestamp\":\"{}\"}}]}}",
            moment(at * 10 + 3)
        );
        let _ =
            writeln!(text, "{{\"vertexes\":[{{{vertex},\"completed\":\"{}\"{hit}}}]}}", moment(at * 10 + 8));
    }
    text
}

/// Time on the processor of one replay.
fn replay(file: &Path, progress: &str) -> Duration {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of children");
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    let before = used();
    let status = Command::new(env!("CARGO_BIN_EXE_layertop"))
        .args(["replay", "--speed", "max", "--progress", progress])
        .arg(file)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("layertop").success(), "the replay failed");
    used().saturating_sub(before)
}
