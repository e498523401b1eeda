//! `config`: what is resolved, what is wrong with it, what can be said at all.

use std::io::Write;
use std::path::Path;

use crate::cli::{ConfigCommand, GlobalArgs};
use crate::config::{self, Config, Surroundings};
use crate::dockerfile;
use crate::error::Error;
use crate::event::{Mask, shell};
use crate::source::buildx::Program;

pub(super) fn run(what: ConfigCommand, global: &GlobalArgs, around: &Surroundings) -> Result<(), Error> {
    if what == ConfigCommand::Schema {
        let schema = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
        return print(&format!("{schema}\n"));
    }
    let config = Config::load(global, None, around)?;
    if what == ConfigCommand::Print {
        return print(&printed(&config, around));
    }
    if !config.warnings.is_empty() {
        return Err(Error::Config(config.warnings));
    }
    print(&checked(&config))
}

/// The configuration without the secrets in it: user information in addresses, and whatever a build of it would mask.
fn printed(config: &Config, around: &Surroundings) -> String {
    // A command that can't be put together names no secrets; addresses are looked at all the same.
    let command = super::build::command(config, &[], Program::default(), around);
    let mask = Mask::new(command.map(|command| command.secrets).unwrap_or_default());
    let lines: Vec<String> = config.print().lines().map(|line| mask.text(line).to_string()).collect();
    lines.join("\n") + "\n"
}

/// What a sound configuration is made of, and which of its rules name nothing.
fn checked(config: &Config) -> String {
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    let mut text = match files.as_slice() {
        [] => format!("no {} found upward from here: the defaults hold\n", config::FILE_NAME),
        files => format!("ok: {}\n", files.join(", ")),
    };
    let path = match config.build.dockerfile.as_deref() {
        Some(path) => config.folder.join(path),
        None => config.folder.join(config.build.context.as_str()).join("Dockerfile"),
    };
    if let Ok(bytes) = std::fs::read(&path) {
        let file = dockerfile::parse(&String::from_utf8_lossy(&bytes));
        let outline = file.outline(config.build.target.as_deref(), &std::collections::BTreeMap::new(), &[]);
        let steps = outline.stages.iter().flat_map(|stage| &stage.steps);
        let texts: Vec<&str> = steps.map(|step| step.instruction.as_str()).collect();
        let warnings = config.idle_rules(&texts).into_iter().map(|idle| format!("warning: {idle}\n"));
        text.extend(warnings);
    }
    text
}

/// The user's folders that a relative path is given for. The XDG Base Directory Specification has such a path ignored; who has set one
/// would look for the builds where they are not.
pub(super) fn ignored_folders(around: &Surroundings) -> Vec<String> {
    let names = ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];
    let ignored = names.into_iter().filter_map(|name| {
        let value =
            around.env.get(name).filter(|value| !value.is_empty() && !Path::new(value).is_absolute())?;
        let whole = shell::quote(&around.cwd.join(value).to_string_lossy());
        Some(format!(
            "{name}={} is a relative path, which is ignored: export {name}={whole}",
            shell::quote(value)
        ))
    });
    ignored.collect()
}

/// Writes to standard error. Where nobody reads that, there is nobody to tell.
pub(super) fn print_stderr(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard output; a reader that has gone is no error.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A pipe that is closed and a terminal that has gone have nobody who reads them.
        Err(error) if !super::progress::is_gone(&error) => {
            Err(Error::not_written("write to", "standard output", error))
        }
        _ => Ok(()),
    }
}
