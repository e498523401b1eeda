//! What a fingerprint of a large context costs: 10,000 files, 1 GB, in 500 folders.
//!
//! The first time is measured against `sha256sum` over the same files, which are in memory for both; they take turns. 1.5
//! times as long is the bound. Again, with the hashes of the first time, 150 ms are. Wall clock: on a machine that is busy
//! all of it is slower, the second more than the first. `cargo bench --bench context [FOLDER]` keeps its files in FOLDER.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]

#[expect(dead_code, reason = "other measurements use the rest of it")]
mod measure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use layertop::clock::Clock;
use layertop::event::fingerprint::{Completeness, Fingerprint};
use layertop::event::{Event, Platform, Stamped};
use layertop::recording::format::event_line;
use layertop::source::context::{FingerprintRequest, fingerprint};

const FILES: usize = 10_000;
const FOLDERS: usize = 500;
const BYTES: usize = 1_000_000_000;
const TURNS: usize = 5;
/// Hashes are kept of files that have not changed for this long.
const SETTLED: Duration = Duration::from_secs(2);

fn main() {
    if !measure::asked() {
        return;
    }
    let folder = std::env::args().skip(1).find(|word| !word.starts_with('-')).map(PathBuf::from);
    let temporary = folder.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
    let root = folder.or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned())).expect("a folder");
    context(&root);
    let clock = Clock::live();
    let (mut first, mut sums, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = Fingerprint::default();
    for _ in 0..TURNS {
        let cache = root.join("cache");
        let _ = fs::remove_dir_all(&cache);
        let request = FingerprintRequest {
            dockerfile: "Dockerfile".into(),
            context: "context".to_owned(),
            cwd: root.clone(),
            platforms: Platform::parse_list("linux/amd64,linux/arm64"),
            cache: Some(cache),
            ..FingerprintRequest::default()
        };
        sums.push(took(clock, || sha256sum(&root)));
        first.push(took(clock, || made = print(&request, clock)));
        assert_eq!((made.work.read_files, made.state), (FILES as u64, Completeness::Complete));
        again.push(took(clock, || made = print(&request, clock)));
        assert_eq!((made.work.known_files, made.work.read_files), (FILES as u64, 0));
    }
    let line = recorded(made, clock);
    let packed = zstd::bulk::compress(&line, 3).expect("what fits into memory can be packed");
    let (first, sums, again) = (median(first), median(sums), median(again));
    println!("10,000 files, 1 GB, all of it in memory           median of {TURNS}");
    println!("sha256sum                                         {sums:>8.0} ms");
    println!(
        "fingerprint, first time                           {first:>8.0} ms   {:.2} of sha256sum; bound 1.50",
        first / sums
    );
    println!("fingerprint, again                                {again:>8.0} ms   bound 150 ms");
    println!(
        "as an event                                       {:>8.0} kB   {:.0} kB in a recording",
        line.len() as f64 / 1e3,
        packed.len() as f64 / 1e3
    );
}

/// Makes the files, unless they are there.
fn context(root: &Path) {
    fs::create_dir_all(root).expect("a folder");
    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY . /app\n").expect("a Dockerfile");
    let context = root.join("context");
    if context.exists() {
        return;
    }
    let mut state = 1_u64;
    for folder in 0..FOLDERS {
        let folder_path = context.join(format!("folder-{}/folder-{folder}", folder % 20));
        fs::create_dir_all(&folder_path).expect("a folder");
        for file in 0..FILES / FOLDERS {
            // Most files are small, a few are large: sizes from 10 kB to 190 kB, 100 kB on average.
            let size = BYTES / FILES / 10 + (file * FILES / FOLDERS + 10) * BYTES / FILES * 9 / 2000;
            let words = (0..size.div_ceil(8)).flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            });
            let content: Vec<u8> = words.collect();
            fs::write(folder_path.join(format!("file-{file}.bin")), content).expect("a file");
        }
    }
    std::thread::sleep(SETTLED);
}

fn print(request: &FingerprintRequest, clock: Clock) -> Fingerprint {
    fingerprint(request, &AtomicBool::new(false), clock)
}

fn sha256sum(root: &Path) {
    let words = "find context -type f -print0 | xargs -0 sha256sum";
    let status = Command::new("sh").args(["-c", words]).current_dir(root).stdout(Stdio::null()).status();
    assert!(status.expect("sh").success());
}

fn recorded(made: Fingerprint, clock: Clock) -> Vec<u8> {
    let mut line = Vec::new();
    event_line(&Stamped { at: clock.now(), event: Event::Fingerprint(Box::new(made)) }, &mut line);
    line
}

fn took(clock: Clock, work: impl FnOnce()) -> f64 {
    let start = clock.now();
    work();
    clock.now().since(start).as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
