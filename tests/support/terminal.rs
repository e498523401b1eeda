//! A pseudo terminal with a program on it, and an emulator that reads along.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{self, Termios};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

use super::bytes::{self, CLEAR, ENTER, FRAME, FRAME_END, LEAVE};
use super::left;

/// How long anything may take on a slow machine before it counts as not happening.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal's size: columns, then rows.
pub(crate) type Size = (u16, u16);

/// What is to run, and where.
pub(crate) struct Setup {
    argv: Vec<OsString>,
    env: Vec<(String, OsString)>,
    cwd: Option<PathBuf>,
    size: Size,
}

impl Setup {
    /// A program with its words, at 120×40.
    pub(crate) fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, env: Vec::new(), cwd: None, size: (120, 40) }
    }

    /// layertop with these words.
    pub(crate) fn layertop(words: &[&str]) -> Self {
        Self::new(std::iter::once(super::LAYERTOP).chain(words.iter().copied()))
    }

    pub(crate) fn size(self, size: Size) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn cwd(self, cwd: impl Into<PathBuf>) -> Self {
        Self { cwd: Some(cwd.into()), ..self }
    }

    /// Starts it.
    pub(crate) fn start(self) -> Terminal {
        Terminal::start(&self)
    }
}

/// What came from the program so far.
pub(crate) struct Seen {
    /// Every byte.
    pub(crate) raw: Vec<u8>,
    /// How many of them the emulator was given.
    shown: usize,
    /// What they look like. A frame is shown when it is whole, as terminals with synchronised output do.
    pub(crate) emulator: vt100::Parser,
}

impl Seen {
    /// More bytes came.
    fn more(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        // A mark may have come in two halves, and the first of them is shown.
        let from = self.shown.saturating_sub(FRAME.len());
        let recent = &self.raw[from..];
        let begun =
            bytes::find_last(recent, FRAME).filter(|at| Some(*at) > bytes::find_last(recent, FRAME_END));
        self.show(begun.map_or(self.raw.len(), |at| from + at));
    }

    /// Shows all up to there.
    fn show(&mut self, end: usize) {
        let end = end.max(self.shown);
        self.emulator.process(&self.raw[self.shown..end]);
        self.shown = end;
    }

    /// The screen's text.
    pub(crate) fn text(&self) -> String {
        self.emulator.screen().contents()
    }
}

/// A program on a terminal.
pub(crate) struct Terminal {
    /// The process.
    pub(crate) pid: Pid,
    /// Home, data and configuration of whatever runs: nobody else's are read or written.
    _home: TempDir,
    /// How the terminal was set before.
    before: Termios,
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Box<dyn Write + Send>,
    /// Kept open, so that the terminal outlives the program.
    tty: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    letting_go: Arc<AtomicBool>,
    states: Receiver<WaitStatus>,
    over: bool,
    /// What all that it starts has in its environment.
    mark: String,
}

/// What is left when the program is gone.
pub(crate) struct Finished {
    /// How it went.
    pub(crate) status: WaitStatus,
    /// Every byte that it wrote.
    pub(crate) raw: Vec<u8>,
    /// The normal screen.
    pub(crate) text: String,
}

impl Terminal {
    fn start(setup: &Setup) -> Self {
        let (columns, rows) = setup.size;
        let pair = native_pty_system().openpty(size(setup.size)).unwrap();
        let path = pair.master.tty_name().unwrap();
        let no_controlling = nix::fcntl::OFlag::O_NOCTTY.bits();
        let tty = OpenOptions::new().read(true).write(true).custom_flags(no_controlling).open(path).unwrap();
        let before = termios::tcgetattr(&tty).unwrap();
        let emulator = vt100::Parser::new(at_least_one(rows), at_least_one(columns), 1000);
        let seen = Arc::new((Mutex::new(Seen { raw: Vec::new(), shown: 0, emulator }), Condvar::new()));
        let letting_go = Arc::new(AtomicBool::new(false));
        let reader = thread::spawn({
            let (seen, letting_go) = (Arc::clone(&seen), Arc::clone(&letting_go));
            let input = pair.master.try_clone_reader().unwrap();
            move || read(input, &seen, &letting_go)
        });
        let home = tempfile::tempdir().unwrap();
        let mark = left::mark();
        let mut command = command(setup, &home);
        command.env(left::MARK, &mark);
        let child = pair.slave.spawn_command(command).unwrap();
        let pid = Pid::from_raw(i32::try_from(child.process_id().unwrap()).unwrap());
        let (tx, states) = mpsc::channel();
        thread::spawn(move || {
            let changes = WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
            while let Ok(status) = waitpid(pid, Some(changes)) {
                if tx.send(status).is_err() || is_end(status) {
                    break;
                }
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        let (master, reader) = (Some(pair.master), Some(reader));
        Self {
            pid,
            _home: home,
            before,
            master,
            keyboard,
            tty,
            seen,
            reader,
            letting_go,
            states,
            over: false,
            mark,
        }
    }

    /// Looks at what came so far.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something to be found in what came.
    pub(crate) fn wait<T>(&self, what: &str, mut find: impl FnMut(&Seen) -> Option<T>) -> T {
        let mut found = None;
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let not_yet = |seen: &mut Seen| {
            found = find(seen);
            found.is_none()
        };
        let (seen, _) = self.seen.1.wait_timeout_while(seen, PATIENCE, not_yet).unwrap();
        let (text, bytes) = (seen.text(), seen.raw.len());
        drop(seen);
        found.unwrap_or_else(|| panic!("{what} did not come; {bytes} bytes did; the screen:\n{text}"))
    }

    /// Waits until the screen shows this; returns the screen.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("`{text}`"), |seen| Some(seen.text()).filter(|shown| shown.contains(text)))
    }

    /// Waits until the screen does not show this any more; returns the screen.
    pub(crate) fn wait_gone(&self, text: &str) -> String {
        self.wait(&format!("the end of `{text}`"), |seen| {
            Some(seen.text()).filter(|shown| !shown.contains(text))
        })
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).unwrap();
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, to: Size) {
        // The emulator first: what is drawn for the new size must not be read at the old one.
        let (columns, rows) = (at_least_one(to.0), at_least_one(to.1));
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).emulator.set_size(rows, columns);
        self.master.as_ref().unwrap().resize(size(to)).unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// How the terminal is set now.
    pub(crate) fn settings(&self) -> Termios {
        termios::tcgetattr(&self.tty).unwrap()
    }

    /// Whether the terminal is set as it was before.
    pub(crate) fn is_as_before(&self) -> bool {
        self.settings() == self.before
    }

    /// Whether nothing is written for as long as this.
    pub(crate) fn is_silent(&self, long: Duration) -> bool {
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = seen.raw.len();
        let silent = |seen: &mut Seen| seen.raw.len() == bytes;
        let (seen, waited) = self.seen.1.wait_timeout_while(seen, long, silent).unwrap();
        drop(seen);
        waited.timed_out()
    }

    /// The next change of the process: stopped, continued, gone.
    pub(crate) fn change(&mut self) -> WaitStatus {
        let status = self.states.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the process neither stopped nor ended; the screen:\n{}", self.look(Seen::text))
        });
        self.over = is_end(status);
        status
    }

    /// Makes the terminal vanish, as a closed window or a cut line does; how the program ended then.
    pub(crate) fn hang_up(mut self) -> WaitStatus {
        self.letting_go.store(true, Ordering::SeqCst);
        // Something to draw again or to echo, so that the reader wakes up once more and lets go of its end too.
        self.keys("\x0c");
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.keyboard = Box::new(std::io::sink());
        self.master = None;
        self.end()
    }

    fn end(&mut self) -> WaitStatus {
        loop {
            let status = self.change();
            if is_end(status) {
                // One that was killed at once can't have cleaned up.
                if !matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)) {
                    left::nothing(&self.mark);
                }
                return status;
            }
        }
    }

    /// Waits for the program's end, with which everything ends that it has started.
    pub(crate) fn finish(mut self) -> Finished {
        let status = self.end();
        assert!(self.is_as_before(), "before {:?}\nafter {:?}", self.before, self.settings());
        // The reader comes to an end when nobody has the terminal open any more.
        self.tty = File::open("/dev/null").unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let (raw, text) = self.look(|seen| (seen.raw.clone(), seen.text()));
        Finished { status, raw, text }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.over {
            // A test failed: nothing that it started may be left.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

impl Finished {
    /// The exit code; none where a signal ended it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        if let WaitStatus::Exited(_, code) = self.status { Some(code) } else { None }
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<Signal> {
        if let WaitStatus::Signaled(_, signal, _) = self.status { Some(signal) } else { None }
    }

    /// Panics where the terminal was not given back as it was, once.
    pub(crate) fn assert_given_back(&self) {
        let modes: Vec<(u16, bool)> = bytes::modes(&self.raw).into_iter().collect();
        assert_eq!(modes, [(25, true), (1049, false), (2004, false), (2026, false)]);
        assert_eq!((bytes::count(&self.raw, ENTER), bytes::count(&self.raw, LEAVE)), (1, 1));
        let mut emulator = vt100::Parser::new(at_least_one(40), at_least_one(120), 0);
        emulator.process(&self.raw);
        let screen = emulator.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!((screen.fgcolor(), screen.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
        assert!(!screen.bold() && !screen.inverse() && !screen.underline() && !screen.dim());
    }
}

/// The last whole frame that began with an empty screen, and all behind it. Frames are what is between the marks of
/// synchronised output.
pub(crate) fn last_full_frame(raw: &[u8]) -> Option<&[u8]> {
    let end = raw.windows(FRAME_END.len()).rposition(|window| window == FRAME_END)?;
    let clear = raw[..end].windows(CLEAR.len()).rposition(|window| window == CLEAR)?;
    Some(&raw[clear..end])
}

/// The rows of a frame at this size; none where it draws beyond it.
pub(crate) fn fits(frame: &[u8], (columns, rows): Size) -> Option<Vec<String>> {
    // On a larger screen what does not fit can be seen.
    let (wide, high) = (columns + 60, rows + 60);
    let mut emulator = vt100::Parser::new(at_least_one(high), at_least_one(wide), 0);
    emulator.process(frame);
    let screen = emulator.screen();
    let beyond = |row, column| {
        (row >= rows || column >= columns) && screen.cell(row, column).is_some_and(has_contents)
    };
    if (0..high).any(|row| (0..wide).any(|column| beyond(row, column))) {
        return None;
    }
    Some(screen.rows(0, columns).take(usize::from(rows)).collect())
}

fn has_contents(cell: &vt100::Cell) -> bool {
    cell.has_contents() && cell.contents() != " "
}

/// Every frame: what is between the marks of synchronised output.
pub(crate) fn frames(raw: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = raw;
    while let Some(from) = bytes::find(rest, FRAME) {
        rest = &rest[from + FRAME.len()..];
        let Some(to) = bytes::find(rest, FRAME_END) else { break };
        frames.push(&rest[..to]);
        rest = &rest[to + FRAME_END.len()..];
    }
    frames
}

/// What the terminal showed after each frame.
pub(crate) fn screens(raw: &[u8], (columns, rows): Size) -> Vec<String> {
    let mut emulator = vt100::Parser::new(at_least_one(rows), at_least_one(columns), 0);
    let mut screens = Vec::new();
    for frame in raw.split_inclusive(|byte| *byte == b'l') {
        emulator.process(frame);
        if frame.ends_with(FRAME_END) {
            screens.push(emulator.screen().contents());
        }
    }
    screens
}

fn is_end(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..))
}

fn at_least_one(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

fn size((cols, rows): Size) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn command(setup: &Setup, home: &TempDir) -> CommandBuilder {
    let mut command = CommandBuilder::from_argv(setup.argv.clone());
    command.env_clear();
    command.cwd(setup.cwd.as_deref().unwrap_or(home.path()));
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", home.path());
    command.env("TERM", "xterm-256color");
    command.env("LANG", "C.UTF-8");
    for (name, value) in &setup.env {
        command.env(name, value);
    }
    command
}

fn read(mut input: Box<dyn Read + Send>, seen: &(Mutex<Seen>, Condvar), letting_go: &AtomicBool) {
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        let mut all = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.more(&buffer[..count]);
        drop(all);
        seen.1.notify_all();
        if letting_go.load(Ordering::SeqCst) {
            break;
        }
    }
    // Nothing follows: what began is as whole as it gets.
    let mut all = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    let end = all.raw.len();
    all.show(end);
}
