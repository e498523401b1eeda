//! Writes the events of a build down while it runs, on a thread of its own.
//!
//! Nothing here can slow the build down or fail it: what the disk can't take in time is dropped and counted, and an error
//! ends the recording, not the build.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use super::files::{self, NewRecording, Retention, default_dir};
use super::format::{event_line, header_line};
use crate::clock::Clock;
use crate::event::{Event, Level, Notice, Stamped, Text, Time};

/// Batches that wait for the disk at most.
const BATCHES: usize = 256;
/// What they may take of memory; then output of steps is dropped, and nothing else is.
const HEAVIEST: usize = 4 << 20;
/// At least so often what was written becomes readable.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// At least after so many bytes of lines too.
const FLUSH_AFTER: usize = 64 << 10;
/// How long the end of the program waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to record, and where.
#[derive(Debug, Clone, Default)]
pub struct RecorderSettings {
    /// The directory; none: [`default_dir`].
    pub dir: Option<PathBuf>,
    /// Reference of the image that is built; the recording is named after it.
    pub image: String,
    /// What is kept of earlier recordings.
    pub retention: Retention,
}

/// Writes one recording. Dropping it ends the recording as [`Self::close`] does.
#[derive(Debug)]
pub struct Recorder {
    batches: Option<SyncSender<Vec<Stamped>>>,
    done: Receiver<()>,
    shared: Arc<RecorderShared>,
    reported: bool,
}

#[derive(Debug, Default)]
struct RecorderShared {
    dropped: AtomicU64,
    /// What the batches that wait take of memory.
    waiting: AtomicUsize,
    /// The end of the build, where it found no room among the batches: a recording without it would be of a lost build.
    end: Mutex<Vec<Stamped>>,
    path: OnceLock<PathBuf>,
    problem: OnceLock<String>,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingResult {
    /// Where it lies; none where it could not be begun.
    pub path: Option<PathBuf>,
    /// Events that are not in it because the disk did not keep up.
    pub dropped: u64,
    /// Why it is not complete; what was written until then can be read.
    pub problem: Option<String>,
}

impl Recorder {
    /// Begins a recording. This does not wait for the disk and can't fail: see [`Self::new_problem`].
    pub fn start(settings: RecorderSettings, clock: Clock) -> Self {
        let (batches, inbox) = mpsc::sync_channel(BATCHES);
        let (finished, done) = mpsc::sync_channel(1);
        let shared = Arc::new(RecorderShared::default());
        let for_thread = Arc::clone(&shared);
        outlive_file_size_limit();
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            run(&settings, clock, &inbox, &for_thread);
            // Nobody listens where the program did not wait for the end.
            let _ = finished.send(());
        });
        if let Err(error) = thread {
            let _ = shared.problem.set(format!("not recording: {error}; the build goes on"));
        }
        Self { batches: Some(batches), done, shared, reported: false }
    }

    /// Hands over events, in the order in which they arrived. Never waits: where the disk does not keep up they are
    /// dropped and counted, and the recording says so.
    pub fn record(&self, events: Vec<Stamped>) {
        let Some(batches) = &self.batches else { return };
        let mut events = events;
        let shared = &self.shared;
        if shared.waiting.load(Ordering::Relaxed) > HEAVIEST {
            let before = events.len();
            events.retain(|event| !matches!(event.event, Event::Log(_)));
            shared.dropped.fetch_add((before - events.len()) as u64, Ordering::Relaxed);
        }
        let weight = weight(&events);
        shared.waiting.fetch_add(weight, Ordering::Relaxed);
        if let Err(TrySendError::Full(mut events)) = batches.try_send(events) {
            shared.waiting.fetch_sub(weight, Ordering::Relaxed);
            let before = events.len();
            events.retain(|event| matches!(event.event, Event::Ended(_) | Event::Gates(_)));
            shared.dropped.fetch_add((before - events.len()) as u64, Ordering::Relaxed);
            if let Ok(mut end) = shared.end.lock() {
                end.extend(events);
            }
        }
    }

    /// Events dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Where the recording lies, as soon as the file is there.
    pub fn path(&self) -> Option<&Path> {
        self.shared.path.get().map(PathBuf::as_path)
    }

    /// Why the recording stopped or could not be begun, once: ask now and then and show it. One sentence that says what to do.
    pub fn new_problem(&mut self) -> Option<String> {
        let problem = self.shared.problem.get().filter(|_| !self.reported)?;
        self.reported = true;
        Some(problem.clone())
    }

    /// Writes what is left, ends the file and waits until it is on the disk, ten seconds at most.
    pub fn close(mut self) -> RecordingResult {
        self.end();
        RecordingResult {
            // Where not even the header could be written there is no file.
            path: self.shared.path.get().filter(|path| path.exists()).cloned(),
            dropped: self.dropped(),
            problem: self.shared.problem.get().cloned(),
        }
    }

    fn end(&mut self) {
        if self.batches.take().is_some() && self.done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
        {
            let text =
                format!("recording not complete: the disk did not answer for {} s", PATIENCE.as_secs());
            let _ = self.shared.problem.set(text);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Under a limit on the size of files (`ulimit -f`) a write is answered by a signal that ends the program, and the build
/// with it. With a handler the write fails instead. A child's handlers are reset, so the build's own limit stays.
fn outlive_file_size_limit() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    });
}

/// Adds events to a recording that has ended, as a frame of its own: what is found out about a build afterwards. Either all of it
/// becomes readable or nothing.
///
/// # Errors
/// Where the file can't be written.
pub fn append(path: &Path, events: &[Stamped]) -> io::Result<()> {
    let mut lines = Vec::new();
    for event in events {
        event_line(event, &mut lines);
    }
    let frame = zstd::encode_all(lines.as_slice(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    // One write to the end of the file, so that two who add to it at once do not mix.
    let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
    file.write_all(&frame)
}

fn run(settings: &RecorderSettings, clock: Clock, inbox: &Receiver<Vec<Stamped>>, shared: &RecorderShared) {
    let Some(dir) = settings.dir.clone().or_else(default_dir) else {
        let text = format!("not recording: there is no home directory; {}", files::ANOTHER_PLACE);
        let _ = shared.problem.set(text);
        return;
    };
    let created = match files::create(&dir, clock.now(), &settings.image) {
        Ok(created) => created,
        Err(error) => {
            let _ = shared.problem.set(format!("not recording: {}", describe(&dir, &error)));
            return;
        }
    };
    let _ = shared.path.set(created.path.clone());
    // What can't be tidied up today is tidied up with the next build.
    let _ = files::prune(&dir, &settings.retention, clock.now());
    if let Err(error) = write(&created, clock, inbox, shared) {
        let _ = shared.problem.set(format!("recording stopped: {}", describe(&created.path, &error)));
        if created.file.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _ = std::fs::remove_file(&created.path);
        }
    }
    let _ = files::prune(&dir, &settings.retention, clock.now());
}

/// Cause, value, and what to do.
fn describe(path: &Path, error: &io::Error) -> String {
    let dir = if path.extension().is_some() { path.parent().unwrap_or(path) } else { path };
    let (cause, remedy) = files::unusable(dir, error);
    // A path may hold anything; this goes to the screen.
    Text::clean(&format!("{}: {cause}; the build goes on; {remedy}", path.display())).as_str().to_owned()
}

fn write(
    created: &NewRecording,
    clock: Clock,
    inbox: &Receiver<Vec<Stamped>>,
    shared: &RecorderShared,
) -> io::Result<()> {
    let dropped = &shared.dropped;
    let mut writer = FrameWriter::begin(&created.file, clock.now())?;
    let (mut noted, mut due, mut begun) = (0, None::<Time>, false);
    loop {
        let wait = due.map_or(Duration::MAX, |due| due.since(clock.now()));
        match inbox.recv_timeout(wait) {
            Ok(events) => {
                for event in &events {
                    writer.event(event)?;
                }
                shared.waiting.fetch_sub(weight(&events), Ordering::Relaxed);
                // What is built is known at once, also where the disk takes nothing more.
                if !std::mem::replace(&mut begun, true) {
                    writer.flush()?;
                }
                note_dropped(&mut writer, dropped, &mut noted, clock.now())?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if due.is_some_and(|due| due <= clock.now()) {
            writer.flush()?;
        }
        due = if writer.pending == 0 { None } else { due.or_else(|| Some(clock.now().plus(FLUSH_EVERY))) };
    }
    note_dropped(&mut writer, dropped, &mut noted, clock.now())?;
    for event in shared.end.lock().map(|mut end| std::mem::take(&mut *end)).unwrap_or_default() {
        writer.event(&event)?;
    }
    writer.finish()?.sync_all()?;
    // The name is on the disk too, as far as the file system can promise it.
    let _ = created.path.parent().and_then(|dir| std::fs::File::open(dir).ok()).map(|dir| dir.sync_all());
    Ok(())
}

fn weight(events: &[Stamped]) -> usize {
    events.iter().map(|event| event.event.weight()).sum()
}

/// Writes a notice where events were dropped.
fn note_dropped<W: Write>(
    writer: &mut FrameWriter<W>,
    dropped: &AtomicU64,
    noted: &mut u64,
    at: Time,
) -> io::Result<()> {
    let now = dropped.load(Ordering::Relaxed);
    if now == *noted {
        return Ok(());
    }
    let text = format!("{} events were not recorded: the disk did not keep up", now - *noted).into();
    *noted = now;
    writer.event(&Stamped { at, event: Event::Notice(Notice { level: Level::Warn, text }) })
}

/// One zstd frame of lines. Whatever was flushed can be read, also where the frame never ends.
struct FrameWriter<W: Write> {
    frame: zstd::Encoder<'static, W>,
    line: Vec<u8>,
    /// Bytes since the last flush.
    pending: usize,
}

impl<W: Write> FrameWriter<W> {
    /// Writes the header and flushes it, so that the file says at once what it is.
    fn begin(to: W, created: Time) -> io::Result<Self> {
        let mut frame = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        frame.include_checksum(true)?;
        frame.write_all(header_line(created).as_bytes())?;
        frame.flush()?;
        Ok(Self { frame, line: Vec::new(), pending: 0 })
    }

    fn event(&mut self, event: &Stamped) -> io::Result<()> {
        self.line.clear();
        event_line(event, &mut self.line);
        self.frame.write_all(&self.line)?;
        self.pending += self.line.len();
        if self.pending >= FLUSH_AFTER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pending = 0;
        self.frame.flush()
    }

    fn finish(self) -> io::Result<W> {
        self.frame.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::event::Ended;

    fn event(at: i64) -> Stamped {
        Stamped { at: Time::from_micros(at), event: Event::Ended(Ended::with(Some(1))) }
    }

    /// The lines that can be read of a frame without its end.
    fn readable(bytes: &[u8]) -> usize {
        let mut text = Vec::new();
        let _ = zstd::Decoder::new(bytes).unwrap().read_to_end(&mut text);
        memchr::memchr_iter(b'\n', &text).count()
    }

    #[test]
    fn what_was_flushed_is_readable_before_the_end() {
        let mut written = Vec::new();
        let mut writer = FrameWriter::begin(&mut written, Time::default()).unwrap();
        writer.event(&event(1)).unwrap();
        assert_eq!(readable(writer.frame.get_ref()), 1, "the header, and nothing that was not flushed");
        writer.flush().unwrap();
        assert_eq!(readable(writer.frame.get_ref()), 2);
        let mut lines = 2;
        while writer.pending > 0 || lines == 2 {
            writer.event(&event(2)).unwrap();
            lines += 1;
        }
        assert_eq!(readable(writer.frame.get_ref()), lines, "64 KiB are flushed by themselves");
        drop(writer);
        assert_eq!(readable(&written), lines);
    }

    #[test]
    fn a_full_disk_is_an_error_that_says_what_to_do() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let Err(error) = FrameWriter::begin(full, Time::default()) else { panic!("the disk was not full") };
        let text = describe(Path::new("/data/x.jsonl.zst"), &error);
        assert_eq!(
            text,
            "/data/x.jsonl.zst: No space left on device (os error 28); the build goes on; free space in /data: df -h /"
        );
    }

    #[test]
    fn drops_are_counted_where_the_disk_does_not_keep_up() {
        let (batches, inbox) = mpsc::sync_channel(2);
        let (_finished, done) = mpsc::sync_channel::<()>(1);
        let shared = Arc::new(RecorderShared::default());
        let mut recorder =
            Recorder { batches: Some(batches), done, shared: Arc::clone(&shared), reported: false };
        let noise = |at| {
            let notice = Notice { level: Level::Info, text: "noise".into() };
            Stamped { at: Time::from_micros(at), event: Event::Notice(notice) }
        };
        for at in 0..5 {
            recorder.record(vec![noise(at), noise(at)]);
        }
        recorder.record(vec![noise(6), event(6)]);
        assert_eq!(recorder.dropped(), 7);
        recorder.batches = None;
        let dir = tempfile::tempdir().unwrap();
        let settings = RecorderSettings { dir: Some(dir.path().to_owned()), ..RecorderSettings::default() };
        run(&settings, Clock::live(), &inbox, &shared);
        let bytes = std::fs::read(recorder.path().unwrap()).unwrap();
        let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
        assert_eq!(text.lines().count(), 1 + 4 + 1 + 1);
        assert!(text.contains("7 events were not recorded: the disk did not keep up"), "{text}");
        assert!(text.lines().last().is_some_and(|line| line.contains("\"ended\"")), "{text}");
        assert_eq!(recorder.new_problem(), None);
    }

    #[test]
    fn output_that_waits_for_the_disk_is_bounded_by_what_it_takes() {
        let (batches, inbox) = mpsc::sync_channel(BATCHES);
        let (_finished, done) = mpsc::sync_channel::<()>(1);
        let shared = Arc::new(RecorderShared::default());
        let recorder =
            Recorder { batches: Some(batches), done, shared: Arc::clone(&shared), reported: false };
        let lines = std::iter::repeat_n(crate::event::Line::plain("some output"), 10_000).collect();
        let chunk = crate::event::LogChunk {
            vertex: crate::event::Digest::parse("sha256:a"),
            stream: crate::event::Stream::Stdout,
            timestamp: Time::default(),
            lines,
            partial: None,
            left_out: 0,
        };
        for at in 0..100 {
            let log = Stamped { at: Time::from_micros(at), event: Event::Log(chunk.clone()) };
            recorder.record(vec![log, event(at)]);
        }
        assert!(shared.waiting.load(Ordering::Relaxed) < 2 * HEAVIEST);
        let waiting: Vec<Stamped> = inbox.try_iter().flatten().collect();
        let ends = waiting.iter().filter(|event| matches!(event.event, Event::Ended(_))).count();
        assert_eq!(ends, 100, "only output is dropped");
        assert_eq!(recorder.dropped() as usize, 200 - waiting.len());
    }
}
