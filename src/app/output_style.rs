//! Which front end, and how it looks: what was typed and configured, what the environment says, what the terminal can.

use std::io::IsTerminal;
use std::path::Path;

use super::configuration;
use super::progress::ProgressWriter;
use super::session::BuildSession;
use crate::cli::{ColorChoice, GlobalArgs, ProgressMode};
use crate::config::{Config, Surroundings};
use crate::error::Error;
use crate::model::Outcome;
use crate::report::{end, failure, plain};
use crate::terminal;
use crate::ui::theme::Theme;

/// Which front end, and how it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputStyle {
    /// Never `Auto`.
    pub(super) progress: ProgressMode,
    pub(super) theme: Theme,
}

impl OutputStyle {
    /// That of a build.
    pub(super) fn of(config: &Config, around: &Surroundings) -> Self {
        Self::resolve(*config.ui.progress, *config.ui.color, *config.ui.ascii, around)
    }

    /// That of a command that builds nothing.
    pub(super) fn without_build(global: &GlobalArgs, around: &Surroundings) -> Result<Self, Error> {
        Ok(Self::of(&Config::of_files(global, around)?, around))
    }

    fn resolve(progress: ProgressMode, color: ColorChoice, ascii: bool, around: &Surroundings) -> Self {
        let progress = match progress {
            ProgressMode::Auto if terminal::is_usable() => ProgressMode::Tui,
            ProgressMode::Auto => ProgressMode::Plain,
            chosen => chosen,
        };
        let tty = std::io::stdout().is_terminal();
        let var = |name: &str| around.env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        Self {
            progress,
            theme: Theme { color: colored(color, tty, &var), ascii: ascii || plain_locale(&var) },
        }
    }

    /// The writer of a front end without a screen.
    pub(super) fn writer(self) -> ProgressWriter {
        match self.progress {
            ProgressMode::Json => ProgressWriter::Json(super::progress::JsonWriter::default()),
            ProgressMode::Quiet => ProgressWriter::Quiet,
            _ => ProgressWriter::plain(plain::PlainOptions {
                color: self.theme.color,
                ascii: self.theme.ascii,
            }),
        }
    }

    /// How wide lines may be.
    pub(super) fn columns() -> usize {
        let tty = std::io::stdout().is_terminal();
        let size = crossterm::terminal::size().ok().filter(|_| tty);
        size.map_or(80, |(columns, _)| usize::from(columns.max(40)))
    }

    /// What stays behind when everything else is gone.
    pub(super) fn print_summary(self, session: &BuildSession, recording: Option<&Path>) -> Result<(), Error> {
        match self.progress {
            ProgressMode::Tui => {
                let mut text = String::new();
                let columns = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
                let (model, ascii) = (&session.model, self.theme.ascii);
                for line in end::lines(model, session.now(), recording, columns, ascii) {
                    line.write(self.theme.color, &mut text);
                }
                configuration::print(&text)
            }
            ProgressMode::Plain => match recording {
                Some(path) => configuration::print(&format!("recording: {}\n", path.display())),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The errors that `--progress quiet` leaves to be said: why a build failed, and that one is lost.
    pub(super) fn errors(self, session: &BuildSession) {
        let (model, ascii) = (&session.model, self.theme.ascii);
        if self.progress != ProgressMode::Quiet {
            return;
        }
        let mut lines = Vec::new();
        if model.outcome() == Outcome::Lost {
            lines.push(end::result(model, session.now(), ascii));
            lines.extend(end::cut(model));
        }
        if let Some(failure) = model.failure() {
            lines.extend(failure::lines(model, &failure, &FAILURE, ascii));
        }
        let color = self.theme.color && std::io::stderr().is_terminal();
        let mut text = String::new();
        for line in lines {
            line.write(color, &mut text);
        }
        configuration::print_stderr(&text);
    }
}

/// A failed build says as much of its failure here as in plain output.
const FAILURE: failure::FailureLimits =
    failure::FailureLimits { logs: 20, excerpt: usize::MAX, columns: usize::MAX };

/// `--color`, then `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` (no-color.org, bixense.com/clicolors), then the terminal.
fn colored<'a>(color: ColorChoice, tty: bool, var: &impl Fn(&str) -> Option<&'a str>) -> bool {
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if var("NO_COLOR").is_some() => false,
        ColorChoice::Auto if var("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorChoice::Auto if var("CLICOLOR") == Some("0") || var("TERM") == Some("dumb") => false,
        ColorChoice::Auto => tty,
    }
}

/// Whether the locale says that only ASCII can be shown. No locale at all says nothing: most terminals know UTF-8.
fn plain_locale<'a>(var: &impl Fn(&str) -> Option<&'a str>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(var);
    locale.is_some_and(|locale| !locale.to_ascii_lowercase().contains("utf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_by_option_environment_and_terminal() {
        let with =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then_some(value);
        let none = |_: &str| None;
        assert!(colored(ColorChoice::Auto, true, &none));
        assert!(!colored(ColorChoice::Auto, false, &none));
        assert!(!colored(ColorChoice::Auto, true, &with("NO_COLOR", "1")));
        assert!(colored(ColorChoice::Always, false, &with("NO_COLOR", "1")));
        assert!(colored(ColorChoice::Auto, false, &with("CLICOLOR_FORCE", "1")));
        assert!(!colored(ColorChoice::Auto, true, &with("CLICOLOR", "0")));
        assert!(!colored(ColorChoice::Auto, true, &with("TERM", "dumb")));
        assert!(!colored(ColorChoice::Never, true, &none));
    }

    #[test]
    fn only_a_locale_that_says_so_is_plain() {
        let with = |value: &'static str| move |asked: &str| (asked == "LANG").then_some(value);
        assert!(plain_locale(&with("C")));
        assert!(!plain_locale(&with("de_DE.UTF-8")));
        assert!(!plain_locale(&|_: &str| None));
    }
}
