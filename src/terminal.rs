//! The terminal: taken once, given back as it was exactly once, whatever happens in between.
//!
//! Frames are drawn into memory and written by a thread of their own. While it has not got rid of the last frame no other
//! is drawn, so a slow line drops frames and never holds the build up. A frame that changes nothing writes nothing.

mod paint;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{getpgrp, getsid};
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect, Size};

/// Whether the terminal is ours just now. Only a process-wide flag can be asked by a panic hook.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Held by who writes to the terminal, so that nothing of ours comes behind the bytes that give it back.
static LINE: Mutex<()> = Mutex::new(());

/// What may wait to be written: a frame, and copies that were asked for meanwhile.
const WAITING: usize = 4;

/// How long leaving waits for the last frame on a line that does not take it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether there is a terminal to draw on and somebody to type on it.
pub fn is_usable() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let keys = || io::stdin().is_terminal() || std::fs::File::open("/dev/tty").is_ok();
    !dumb && io::stdout().is_terminal() && keys()
}

/// Gives the terminal back as it was; does nothing where it is not ours. On a line that takes no more bytes it does what
/// can be done without any.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let (written, is_written) = mpsc::sync_channel(1);
        let writer = thread::Builder::new().name("restore".to_owned()).spawn(move || {
            let mut bytes = Vec::new();
            // Nothing can be done about a terminal that is gone.
            let _ = queue!(
                bytes,
                EndSynchronizedUpdate,
                DisableBracketedPaste,
                LeaveAlternateScreen,
                cursor::Show
            );
            let line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = tty().and_then(|mut tty| tty.write_all(&bytes));
            drop(line);
            let _ = written.send(());
        });
        if writer.is_ok() {
            let _ = is_written.recv_timeout(PATIENCE);
        }
        let _ = terminal::disable_raw_mode();
    }
}

/// The terminal as a file of its own: whoever hangs in a write to it holds no lock that others want.
fn tty() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Makes a panic, in whatever thread, give the terminal back before its text is printed.
pub fn restore_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        print(panic);
    }));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendTarget {
    /// This process: it was sent the signal, and so was everybody else who was meant.
    Us,
    /// Its process group, as a terminal does it for ^Z. A script that waits for us has to stop too, or the shell above
    /// it never hears of it.
    Group,
}

/// The screen, while it is ours.
pub struct Display {
    terminal: Terminal<QuietBackend>,
    frame: Rc<RefCell<Vec<u8>>>,
    frames: Option<SyncSender<Vec<u8>>>,
    /// How much is not written yet.
    pending: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Display {
    /// Takes the terminal.
    ///
    /// # Errors
    /// Where it can't be set to raw mode or written to.
    pub fn take() -> io::Result<Self> {
        enter()?;
        Self::begin().inspect_err(|_| restore())
    }

    /// Draws on a terminal that is ours.
    fn begin() -> io::Result<Self> {
        let frame = Rc::new(RefCell::new(Vec::new()));
        let terminal = Terminal::new(QuietBackend::new(Rc::clone(&frame)))?;
        let (frames, inbox) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (pending, broken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (is_pending, is_broken) = (Arc::clone(&pending), Arc::clone(&broken));
        let mut tty = tty()?;
        let writer = thread::Builder::new().name("screen".to_owned()).spawn(move || {
            while let Ok(bytes) = inbox.recv() {
                let line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
                if TAKEN.load(Ordering::SeqCst) && tty.write_all(&bytes).is_err() {
                    is_broken.store(true, Ordering::SeqCst);
                }
                drop(line);
                is_pending.fetch_sub(1, Ordering::SeqCst);
            }
        })?;
        Ok(Self { terminal, frame, frames: Some(frames), pending, broken, writer: Some(writer) })
    }

    /// Whether the last frame is still on its way.
    pub fn is_busy(&self) -> bool {
        self.pending.load(Ordering::SeqCst) > 0
    }

    /// Whether nothing can be written to the terminal any more: it is gone, or a panic has given it back.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst) || !TAKEN.load(Ordering::SeqCst)
    }

    /// The area that there is to draw on.
    pub fn area(&self) -> Rect {
        self.terminal.size().map_or(Rect::new(0, 0, 80, 24), |size| Rect::new(0, 0, size.width, size.height))
    }

    /// Draws a frame; what differs from the last one is written.
    ///
    /// # Errors
    /// Where the terminal's size can't be asked for.
    pub fn draw(&mut self, render: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| render(frame.area(), frame.buffer_mut()))?;
        let drawn = std::mem::take(&mut *self.frame.borrow_mut());
        if !drawn.is_empty() {
            let mut bytes = Vec::with_capacity(drawn.len() + 16);
            queue!(bytes, BeginSynchronizedUpdate)?;
            bytes.extend_from_slice(&drawn);
            queue!(bytes, EndSynchronizedUpdate)?;
            self.send(bytes);
        }
        Ok(())
    }

    /// Writes bytes that are no frame: a copy to the clipboard. Where too many wait already they are dropped; a frame,
    /// drawn when nothing waits, never is.
    pub fn send(&self, bytes: Vec<u8>) {
        if let Some(frames) = &self.frames {
            self.pending.fetch_add(1, Ordering::SeqCst);
            if frames.try_send(bytes).is_err() {
                self.pending.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Forgets what is on the screen: the next frame draws everything.
    ///
    /// # Errors
    /// Where the terminal's size can't be asked for.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Gives the terminal to the shell, stops, and takes the terminal again when the shell lets it go on. Does nothing
    /// where there is no shell to do so.
    ///
    /// # Errors
    /// Where the terminal can't be taken again.
    pub fn suspend(&mut self, who: SuspendTarget) -> io::Result<()> {
        // Nobody watches over the group of a session's leader: `ssh -t HOST layertop …` would be stopped for good.
        if getsid(None).is_ok_and(|session| session == getpgrp()) {
            return Ok(());
        }
        self.settle();
        restore();
        match who {
            SuspendTarget::Us => {
                signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
            }
            SuspendTarget::Group => killpg(getpgrp(), Signal::SIGSTOP)?,
        }
        enter()?;
        self.redraw()
    }

    /// Waits, not for ever, until the last frame is written.
    fn settle(&self) {
        let step = Duration::from_millis(5);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if !self.is_busy() {
                break;
            }
            thread::sleep(step);
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.settle();
        self.frames = None;
        // A writer that hangs in a dead line is left behind; it ends with the process.
        if !self.is_busy()
            && let Some(writer) = self.writer.take()
        {
            let _ = writer.join();
        }
        restore();
    }
}

fn enter() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut bytes = Vec::new();
    queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    tty().and_then(|mut tty| tty.write_all(&bytes)).inspect_err(|_| restore())
}

/// Bytes that go to memory.
#[derive(Clone)]
struct SharedBuffer(Rc<RefCell<Vec<u8>>>);

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A backend that has nothing to say about a frame without changes, and little about one with some: crossterm's resets colours and
/// hides the cursor even then.
struct QuietBackend {
    frame: SharedBuffer,
    inner: CrosstermBackend<SharedBuffer>,
}

impl QuietBackend {
    fn new(frame: Rc<RefCell<Vec<u8>>>) -> Self {
        let frame = SharedBuffer(frame);
        Self { inner: CrosstermBackend::new(frame.clone()), frame }
    }
}

impl Backend for QuietBackend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        paint::cells(content, &mut self.frame)
    }

    /// The cursor is hidden for as long as the screen is ours.
    fn hide_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Asking the terminal would block on one that does not answer; nobody needs to know.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    /// Asked for with every frame; crossterm would open the terminal anew each time.
    fn size(&self) -> io::Result<Size> {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Ok(Size::new(size.ws_col, size.ws_row)),
            _ => self.inner.size(),
        }
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
