//! Fills a store with builds by the way in which layertop itself keeps them, for `benches/history.sh` to measure what is read of it.
//!
//!   cargo bench --bench history -- fill FILE COUNT IMAGE

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the time")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layertop::event::{Text, Time};
use layertop::history::{Store, StoredBuild, read};

/// The bundled builds: one of each row of Montage AI's table.
const SCENARIOS: [&str; 4] = ["first", "code", "requirements", "unchanged"];

/// How often each comes, of ten.
const TURNS: [usize; 10] = [1, 3, 1, 1, 2, 1, 3, 1, 1, 0];

/// From one build to the next.
const APART: Duration = Duration::from_secs(50 * 60);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [fill, path, count, image] = words.as_slice() else { return };
    assert_eq!(fill, "fill");
    let count: u32 = count.parse().expect("COUNT is a number");
    let builds: Vec<StoredBuild> = SCENARIOS.iter().map(|name| recorded(name, image)).collect();
    let end = jiff::Timestamp::now().as_microsecond();
    let now = Time::from_micros(end);
    let mut store = Store::open(Path::new(path), now).expect("the store can be made").store;
    let begun = Instant::now();
    for nth in 0..count {
        let mut build = builds[TURNS[nth as usize % TURNS.len()]].clone();
        build.name = Text::clean(&format!("build-{nth:06}"));
        build.started = now.minus(APART * (count - nth));
        // No two builds take the same time.
        build.wall = build.wall.mul_f64(0.9 + f64::from(nth * 7919 % 1000) / 5000.0);
        store.keep(&build).expect("the store can be written");
    }
    let took = begun.elapsed();
    drop(store);
    let bytes = std::fs::metadata(path).expect("the store is there").len();
    println!(
        "{count} builds kept in {:.1} s, {:.2} ms each; {:.1} MB",
        took.as_secs_f64(),
        took.as_secs_f64() * 1000.0 / f64::from(count),
        bytes as f64 / 1e6
    );
}

fn recorded(name: &str, image: &str) -> StoredBuild {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/demo/{name}.jsonl.zst"));
    let model = read(&path, &|_| true).expect("it can be read").expect("it is wanted");
    let mut build = StoredBuild::of(
        &model,
        Text::clean(name),
        Some(PathBuf::from(format!("/recordings/{name}.jsonl.zst"))),
    );
    build.image = Some(Text::clean(image));
    build
}
