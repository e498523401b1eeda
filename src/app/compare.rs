//! `compare`: two builds side by side.

use super::builds;
use super::configuration::print;
use super::look::Look;
use crate::cli::{self, Cli, Progress};
use crate::config::Surroundings;
use crate::error::Error;
use crate::event::Text;
use crate::history;
use crate::report::compare;
use crate::report::json::{self, Summary};

/// Compares the two builds that are meant.
pub(super) fn run(cli: &Cli, args: &cli::Compare, around: &Surroundings) -> Result<(), Error> {
    let look = Look::without_build(&cli.global, around);
    let (a, b) = (summed(&args.a)?, summed(&args.b)?);
    let found = compare::compare((a.0, &a.1), (b.0, &b.1));
    if look.progress == Progress::Json {
        return print(&compare::json(&found));
    }
    let mut text = String::new();
    for line in compare::lines(&found, Look::columns(), look.theme.ascii) {
        line.write(look.theme.color, &mut text);
    }
    print(&text)
}

fn summed(build: &str) -> Result<(Text, Summary), Error> {
    let path = builds::find(Some(build))?;
    let model = builds::read(&path)?;
    Ok((history::name(&path), json::summary(&model, model.newest())))
}
