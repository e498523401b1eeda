//! How good the estimate of time left is: `benches/estimate.sh` makes the recordings and says what it is held to.
//!
//! Each build of a folder of recordings is judged at the half of its time by what all the others took: whatever it was told itself
//! is left out. The error is the difference between what was estimated to be left and what was, against the latter.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints what it measured, and ends where it can't measure"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use layertop::event::{Event, Mask, Stamped};
use layertop::model::expected::{PastBuild, expected};
use layertop::model::{Model, Outcome, TimeLeft, Timeline};
use layertop::recording::Reader;

/// What is promised of the median, in percent.
const TARGET: f64 = 20.0;

/// Where in a build it is asked, as shares of its wall time.
const MOMENTS: [f64; 3] = [0.25, 0.5, 0.75];

struct Recorded {
    name: String,
    events: Vec<Stamped>,
    model: Model,
}

fn main() {
    // Cargo hands `--bench` to every bench.
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        println!("skipped: it takes a folder of recordings; bash benches/estimate.sh makes one");
        return;
    };
    let builds = recordings(Path::new(&folder));
    println!("{:<34} {:>8} {:>4}  error at 25 %, 50 % and 75 %   without cache", "build", "wall", "ran");
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); MOMENTS.len()];
    let mut silent = 0;
    for (at, build) in builds.iter().enumerate() {
        if build.model.outcome() != Outcome::Success {
            println!("{:<34} {:>8} – it failed", build.name, "");
            continue;
        }
        // What was before it, newest first, as it is in life; then what came after it.
        let before = builds.iter().take(at).rev();
        let others: Vec<PastBuild> =
            before.chain(builds.iter().skip(at + 1)).map(|other| PastBuild::of(&other.model)).collect();
        let told = Event::Expected(Box::new(expected(&others)));
        let wall = build.model.wall(build.model.newest());
        print!("{:<34} {:>6.1} s {:>4} ", build.name, wall.as_secs_f64(), build.model.ran_count());
        for (place, share) in MOMENTS.iter().enumerate() {
            if let Some((left, error)) = judge(build, &told, *share) {
                print!(" {}{error:>5.0} %", if left.at_least { '≥' } else { ' ' });
                if let Some(errors) = errors.get_mut(place) {
                    errors.push(error.abs());
                }
            } else {
                silent += 1;
                print!("      – ");
            }
        }
        println!("   {}", without_cache(build, &told));
    }
    for (share, errors) in MOMENTS.iter().zip(&mut errors) {
        errors.sort_by(f64::total_cmp);
        let at = |share: f64| errors.get((errors.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        println!(
            "at {:>2.0} %: median error {:>4.0} %, 90 of 100 below {:>4.0} %, of {} builds",
            share * 100.0,
            at(0.5),
            at(0.9),
            errors.len()
        );
    }
    println!("{silent} times nothing was said; the target is a median of {TARGET} % at the half");
    let half = errors.get(1).and_then(|errors| errors.get(errors.len() / 2)).copied();
    if half.is_none_or(|median| median > TARGET) {
        std::process::exit(1);
    }
}

fn recordings(folder: &Path) -> Vec<Recorded> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut builds = Vec::new();
    for file in files.iter().filter(|file| file.to_string_lossy().contains(".jsonl")) {
        let mut reader = Reader::open(file, Mask::default()).unwrap();
        let mut events = Vec::new();
        while reader.next_batch(1024, &mut events) {}
        events.retain(|event| !matches!(event.event, Event::Expected(_)));
        let mut model = Model::default();
        model.apply_all(&events);
        let name = file.file_name().unwrap().to_string_lossy().chars().take(34).collect();
        builds.push(Recorded { name, events, model });
    }
    builds
}

/// What was said at a moment to be left, and by how much of a hundred that was wrong.
fn judge(build: &Recorded, told: &Event, share: f64) -> Option<(TimeLeft, f64)> {
    let (begun, ended) = (build.model.begun()?, build.model.ended()?);
    let now = begun.plus(ended.since(begun).mul_f64(share));
    let mut model = Model::default();
    model.apply(&Stamped { at: begun, event: told.clone() });
    let until: Vec<Stamped> = build.events.iter().filter(|event| event.at <= now).cloned().collect();
    model.apply_all(&until);
    let left = model.estimate(now).left?;
    let truth = ended.since(now).as_secs_f64();
    Some((left, (left.time.as_secs_f64() - truth) / truth * 100.0))
}

/// What it would have taken without a cache, and what the chain that held it up was made of.
fn without_cache(build: &Recorded, told: &Event) -> String {
    let mut model = Model::default();
    model.apply(&Stamped { at: build.model.begun().unwrap_or_default(), event: told.clone() });
    model.apply_all(&build.events);
    let timeline: Timeline = model.timeline(model.newest());
    let took: Duration = timeline.path.iter().map(|on| on.took).sum();
    match model.no_cache() {
        Some(time) => {
            format!("{:>6.1} s, {:.1} s of it on the path", time.as_secs_f64(), took.as_secs_f64())
        }
        None => "       –".to_owned(),
    }
}
