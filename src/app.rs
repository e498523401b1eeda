//! Wires everything: the command line to a feed, a feed to a front end, the end to an exit code.

mod replay;
mod screen;
mod session;
mod signals;

use crossterm::event::EventStream;

use crate::cli::{Cli, Command, Global, Progress, Replay};
use crate::clock::{Clock, Speed};
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::Mask;
use crate::model::Model;
use crate::recording::Reader;
use crate::terminal::{self, Display};
use crate::ui::Ui;
use crate::ui::theme::Theme;
use screen::{Left, Watch};
use session::{Feed, Session};
use signals::Signals;

/// Does what was typed.
///
/// # Errors
/// Whatever the user has to know; each error has its exit code.
pub fn run(cli: Cli) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable(format!("can't start: {error}"), "try again"))?;
    let done = runtime.block_on(command(cli));
    // A read that hangs in a pipe must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn command(cli: Cli) -> Result<(), Error> {
    let clock = Clock::live();
    match cli.command {
        Command::Replay(args) => {
            let reader =
                Reader::open(&args.file, Mask::default()).map_err(|e| Error::usage(e.to_string(), "x"))?;
            let theme = Theme::default();
            let _ = (&args, &cli.global);
            screen_of(clock, reader, args.speed, theme).await
        }
        _ => Ok(()),
    }
}

async fn screen_of(clock: Clock, reader: Reader, speed: Speed, theme: Theme) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let mut session = Session::new(clock, None);
    let mut ui = Ui::new(theme);
    let mut display = Some(Display::take().map_err(|error| screen::broken(&error))?);
    let mut inputs = EventStream::new();
    let feed = replay::play(reader, clock, speed, true);
    let watch = Watch {
        display: &mut display,
        ui: &mut ui,
        session: &mut session,
        feed,
        inputs: &mut inputs,
        signals: &mut signals,
        stay: true,
        cancelled: 0,
        leaving: false,
        signal: None,
    };
    let left = watch.run().await?;
    drop(display);
    let _ = left;
    Ok(())
}
