//! Wires everything: the command line to a feed, a feed to a front end, the end to an exit code.

mod atomic_file;
mod build;
mod builds;
mod compare;
mod configuration;
mod dashboard;
mod export;
mod gates;
mod history;
mod inputs;
mod lookups;
mod output_style;
mod plan;
mod progress;
mod replay;
mod screen;
mod session;
mod signals;
mod snapshot_filter;
mod stats;
mod status;
mod watchers;
mod why;

use clap::CommandFactory;

use crate::cli::{self, Cli, Command, ProgressMode};
use crate::clock::Clock;
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::event::Mask;
use crate::recording::{Reader, Recorder, RecorderSettings, Retention};
use crate::source::buildx::{BuildCommand, Program};
use crate::terminal::Display;
use crate::ui::keys::Action;
use crate::ui::{ReplayStatus, Scene, UiState};
use build::BuildEnd;
use inputs::InputReader;
use lookups::Lookups;
use output_style::OutputStyle;
use screen::{ScreenExit, ScreenLoop};
use session::{BuildSession, Feed};
use signals::{SignalNumber, Signals};
use watchers::WatchTargets;

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
    // Not before: what is dropped with the tasks ends its children.
    if let Err(Error::Signal(number)) = &done {
        let _ = signal_hook::low_level::emulate_default_handler(i32::from(*number));
    }
    done
}

async fn command(cli: Cli) -> Result<(), Error> {
    let around = Surroundings::of_process()?;
    check_files(&cli, &around)?;
    let Some(command) = &cli.command else { return Box::pin(dashboard(&cli, &around)).await };
    match command {
        Command::Build(args) => build(&cli, args, &around).await,
        Command::Replay(args) => replay(&cli, args, &around).await,
        Command::Demo(args) => demo(&cli, args, &around).await,
        Command::Status(args) => Box::pin(status(&cli, args, &around)).await,
        Command::Plan(args) => plan::run(&cli, args, &around).await,
        Command::Why(args) => Box::pin(why::run(&cli, args, &around)).await,
        Command::Compare(args) => compare::run(&cli, args, &around),
        Command::Export(args) => export::run(&cli, args, &around).await,
        Command::History(args) => history::run(&cli, args, &around),
        Command::Stats(args) => stats::run(&cli, args, &around),
        Command::Config(what) => configuration::run(*what, &cli.global, &around),
        Command::Completions { shell } => {
            // Into memory first: the generator panics where its writer fails, and a reader may be gone.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "layertop", &mut script);
            configuration::print(&String::from_utf8_lossy(&script))
        }
    }
}

/// What is wrong with a configuration is said by every command, also by one that needs nothing of it. But for those that write what is
/// needed to put it right, or what a shell reads when it starts.
fn check_files(cli: &Cli, around: &Surroundings) -> Result<(), Error> {
    if let Some(Command::Completions { .. } | Command::Config(cli::ConfigCommand::Schema)) = cli.command {
        return Ok(());
    }
    for ignored in configuration::ignored_folders(around) {
        configuration::print_stderr(&format!("warning: {ignored}\n"));
    }
    Config::of_files(&cli.global, around).map(drop)
}

async fn build(cli: &Cli, args: &cli::BuildArgs, around: &Surroundings) -> Result<(), Error> {
    let clock = Clock::live();
    let config = Config::load(&cli.global, Some(&args.overrides), around)?;
    let found = Program::find(std::env::var_os("PATH").as_deref());
    // What would be run can be told where it can't be run.
    let program = if args.dry_run { found.unwrap_or_default() } else { found? };
    let command = build::command(&config, &args.buildx, program, around)?;
    gates::check(&args.fail_on, &command, &config, clock)?;
    if args.dry_run {
        for warning in build::warnings(&config) {
            configuration::print_stderr(&format!("warning: {warning}\n"));
        }
        return configuration::print(&format!("{}\n", command.shell()));
    }
    let look = OutputStyle::of(&config, around);
    let recorded = !args.no_record && *config.recordings.keep > 0;
    let recorder = recorded.then(|| Recorder::start(recording(&config, &command), clock));
    let mut session = BuildSession::new(clock, recorder);
    let mut signals = Signals::listen()?;
    session.gates.clone_from(&args.fail_on);
    let history_client = history::HistoryClient::start(&command, &config, clock);
    session.explainer = Some(why::Explainer::start(&command, history_client.clerk(), clock));
    let earlier = history_client.earlier();
    session.history_client = Some(history_client);
    let targets = WatchTargets::of(&config, &command, around);
    let asking = Lookups::of(&targets);
    let running = build::start(command, &config, around, targets, earlier, clock);
    let ended_by = match look.progress {
        ProgressMode::Tui => {
            let mut stage = FullScreen::take(look)?;
            let watch = stage.watch(&mut session, running.feed, &mut signals);
            let left = ScreenLoop { stay: args.stay, asking, ..watch }.run().await?;
            if let ScreenExit::Signal(number) = left { Some(number) } else { None }
        }
        _ => progress::run(&mut session, running.feed, look.writer(), &mut signals).await?,
    };
    let end = running.end.await.unwrap_or(Err(Error::Exit(130)));
    let closed = session.close();
    // Where the terminal has gone nothing can be told, and the build's end is still what counts.
    let told = look.print_summary(&session, closed.as_ref().and_then(|closed| closed.path.as_deref()));
    for problem in closed.and_then(|closed| closed.problem).into_iter().chain(session.close_history()) {
        configuration::print_stderr(&format!("warning: {problem}\n"));
    }
    if let Some(path) = &args.metrics_file
        && let Err(error) = export::write_metrics(&session.model, session.now(), path)
    {
        configuration::print_stderr(&format!("warning: {error}\n"));
    }
    // A build that had ended by itself when the signal came has a code of its own.
    if let Some(number) = ended_by.filter(|_| end.as_ref().is_ok_and(|end| end.stopped)) {
        return Err(signal_error(number));
    }
    let BuildEnd { exit_code, diagnosis, .. } = end?;
    match diagnosis {
        // The lines have said it; everybody else hears it now.
        Some(diagnosis) if look.progress != ProgressMode::Plain => Err(Error::Diagnosed {
            message: diagnosis.message.to_string(),
            hint: diagnosis.hint.to_string(),
            exit_code: diagnosis.exit_code,
        }),
        Some(diagnosis) => Err(Error::Exit(diagnosis.exit_code)),
        None => {
            look.errors(&session);
            let code = u8::try_from(exit_code).unwrap_or(1);
            // The build's own code comes first.
            let gates = gates::result(&session.model);
            if code == 0 { told.and(gates) } else { Err(Error::Exit(code)) }
        }
    }
}

async fn status(cli: &Cli, args: &cli::StatusArgs, around: &Surroundings) -> Result<(), Error> {
    let typed = cli::BuildOverrides {
        registry: args.registry.clone(),
        builder: args.builder.clone(),
        ..cli::BuildOverrides::default()
    };
    let config = Config::load(&cli.global, Some(&typed), around)?;
    let look = OutputStyle::of(&config, around);
    let command = build::command(&config, &[], Program::default(), around)?;
    let mut targets = WatchTargets::of(&config, &command, around);
    // There is no build that the builder is to be left alone for.
    targets.builder.images.clear();
    status::run(targets, look, args.watch).await
}

/// Without a command: what there is of this project, and nothing is started.
async fn dashboard(cli: &Cli, around: &Surroundings) -> Result<(), Error> {
    let config = Config::load(&cli.global, None, around)?;
    let look = OutputStyle::of(&config, around);
    let command = build::command(&config, &[], Program::default(), around)?;
    if !dashboard::is_project(&config, &command) {
        configuration::print_stderr(&format!("{}\n", Cli::command().render_help()));
        return Err(Error::usage(
            format!("there is no {} here or above, and no Dockerfile", crate::config::FILE_NAME),
            "go to a project's folder, or see a build without one: layertop demo",
        ));
    }
    let targets = WatchTargets::of(&config, &command, around);
    if look.progress != ProgressMode::Tui {
        return status::run(targets, look, false).await;
    }
    let clock = Clock::live();
    let mut session = BuildSession::new(clock, None);
    let mut signals = Signals::listen()?;
    let asking = Lookups::of(&targets);
    let feed = dashboard::feed(command, config, around, targets, clock);
    let mut stage = FullScreen::take(look)?;
    stage.ui.dashboard = true;
    let left = ScreenLoop { asking, ..stage.watch(&mut session, feed, &mut signals) }.run().await?;
    drop(stage);
    match left {
        ScreenExit::Signal(number) => Err(signal_error(number)),
        ScreenExit::Quit | ScreenExit::Scene(_) => Ok(()),
    }
}

fn recording(config: &Config, command: &BuildCommand) -> RecorderSettings {
    let retention = Retention {
        keep: *config.recordings.keep as usize,
        keep_for: *config.recordings.keep_for,
        keep_bytes: *config.recordings.keep_bytes,
    };
    RecorderSettings { dir: None, image: command.images.first().cloned().unwrap_or_default(), retention }
}

async fn replay(cli: &Cli, args: &cli::ReplayArgs, around: &Surroundings) -> Result<(), Error> {
    let clock = Clock::live();
    let look = OutputStyle::without_build(&cli.global, around)?;
    let file = replay::file(&args.file)?;
    let name = crate::history::name(&file);
    let reader = Reader::open(file, Mask::default()).map_err(|error| replay::unreadable(&error))?;
    let mut session = BuildSession::new(clock, None);
    session.derived_events = Some(Box::new(move |model| builds::derived_events(model, &name, None)));
    let mut signals = Signals::listen()?;
    let feed = replay::play(reader, clock, args.speed, look.progress == ProgressMode::Tui);
    let ended_by = if look.progress == ProgressMode::Tui {
        let mut stage = FullScreen::take(look)?;
        match stage.watch(&mut session, feed, &mut signals).run().await? {
            ScreenExit::Signal(number) => Some(number),
            ScreenExit::Quit | ScreenExit::Scene(_) => None,
        }
    } else {
        progress::run(&mut session, feed, look.writer(), &mut signals).await?
    };
    if let Some(number) = ended_by {
        return Err(signal_error(number));
    }
    look.print_summary(&session, None)?;
    look.errors(&session);
    if !args.exit_code {
        return Ok(());
    }
    match session.model.exit_code() {
        Some(0) => gates::result(&session.model),
        Some(code) => Err(Error::Exit(u8::try_from(code).unwrap_or(1))),
        // Nobody knows how it ended, so nobody may take it for a success.
        None => Err(Error::Exit(1)),
    }
}

async fn demo(cli: &Cli, args: &cli::DemoArgs, around: &Surroundings) -> Result<(), Error> {
    let clock = Clock::live();
    let look = OutputStyle::without_build(&cli.global, around)?;
    let mut signals = Signals::listen()?;
    let scenes = replay::BUNDLED;
    let chosen = |wanted| scenes.iter().position(|scene| scene.scenario == wanted);
    let mut at = args.scenario.and_then(chosen).unwrap_or(0);
    if look.progress != ProgressMode::Tui {
        let last = if args.scenario.is_some() { at } else { scenes.len() - 1 };
        for scene in &scenes[at..=last] {
            let mut session = BuildSession::new(clock, None);
            if look.progress == ProgressMode::Plain {
                configuration::print(&format!("== {} ==\n", scene.title))?;
            }
            let feed = replay::play(scene.open()?, clock, args.speed, false);
            if let Some(number) = progress::run(&mut session, feed, look.writer(), &mut signals).await? {
                return Err(signal_error(number));
            }
        }
        return Ok(());
    }
    let mut stage = FullScreen::take(look)?;
    loop {
        let mut session = BuildSession::new(clock, None);
        let feed = replay::play(scenes[at].open()?, clock, args.speed, true);
        stage.ui.reset();
        let scene = Scene { number: at + 1, of: scenes.len(), title: scenes[at].title };
        stage.ui.replay = Some(ReplayStatus { scene: Some(scene), ..ReplayStatus::default() });
        let watch = stage.watch(&mut session, feed, &mut signals);
        let more = args.scenario.is_none() && at + 1 < scenes.len();
        match (ScreenLoop { more, asking: Lookups::of_bundled(at), ..watch }).run().await? {
            ScreenExit::Scene(Action::PreviousScene) => at = at.saturating_sub(1),
            ScreenExit::Scene(_) => at = (at + 1).min(scenes.len() - 1),
            ScreenExit::Quit => {
                drop(stage);
                return configuration::print(AFTER_THE_DEMO);
            }
            ScreenExit::Signal(number) => {
                drop(stage);
                return Err(signal_error(number));
            }
        }
    }
}

/// What stays behind of the demo.
const AFTER_THE_DEMO: &str = "\
these builds were recorded. For your own, in the folder of a project:
  layertop         what a build would rebuild now
  layertop build   build it
";

/// The terminal with what belongs to it.
struct FullScreen {
    display: Option<Display>,
    ui: UiState,
    inputs: InputReader,
}

impl FullScreen {
    fn take(look: OutputStyle) -> Result<Self, Error> {
        let display = Display::take().map_err(|error| screen::broken(&error))?;
        Ok(Self { display: Some(display), ui: UiState::new(look.theme), inputs: InputReader::listen() })
    }

    fn watch<'a>(
        &'a mut self,
        session: &'a mut BuildSession,
        feed: Feed,
        signals: &'a mut Signals,
    ) -> ScreenLoop<'a> {
        ScreenLoop {
            display: &mut self.display,
            ui: &mut self.ui,
            session,
            feed,
            inputs: &mut self.inputs,
            signals,
            stay: false,
            leaving: false,
            signal: None,
            asking: Lookups::default(),
            more: false,
        }
    }
}

/// The process ends by the signal that it was sent, so that whoever sent it sees that it did: when all tasks have been dropped. The
/// terminal has been given back before.
fn signal_error(number: SignalNumber) -> Error {
    Error::Signal(u8::try_from(number.0).unwrap_or(0))
}
