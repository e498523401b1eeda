//! Names for the layers of the stack: by the configured rules, else by what the instructions say.
//!
//! A name is a guess from a line of text, made for the eye. Nothing is decided by it.

mod command;
mod files;

use std::sync::{Mutex, PoisonError};

pub(crate) use files::fits;
use regex::{Regex, RegexBuilder};

use super::name::keyword;
use super::triggers;
use crate::event::{LayerRule, Text};
use command::Tool;
use files::Files;

/// The rules that were compiled last.
static LAST_COMPILED: Mutex<Option<CompiledRules>> = Mutex::new(None);

/// Rules, and what came of compiling them.
struct CompiledRules {
    rules: Vec<LayerRule>,
    namer: LayerNamer,
    refused: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct LayerNamer {
    rules: Vec<(Text, Regex)>,
}

/// What a `COPY` or `ADD` of the build's own files takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopiedFiles {
    /// Nothing but lists of packages: `requirements.txt`, `package.json`, …
    Packages,
    Sources,
}

/// What an instruction takes from the build's context; none where it takes nothing, or something else.
pub fn taken(instruction: &str) -> Option<CopiedFiles> {
    let keyword = keyword(instruction);
    match guess(instruction) {
        _ if !keyword.eq_ignore_ascii_case("COPY") && !keyword.eq_ignore_ascii_case("ADD") => None,
        LayerGuess::Manifest(Tool::System | Tool::Build) => None,
        LayerGuess::Manifest(_) => Some(CopiedFiles::Packages),
        LayerGuess::Installs(Tool::Source) => Some(CopiedFiles::Sources),
        _ => None,
    }
}

/// What a step is, before its neighbours are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LayerGuess {
    /// Named by itself.
    Named(String),
    /// Installs with a tool; the last word on it.
    Installs(Tool),
    /// Copies files that a tool reads: they belong to the step that runs it.
    Manifest(Tool),
    /// Belongs to the layer before it.
    Joins,
    /// Nothing can be said.
    Unknown,
}

impl LayerNamer {
    /// Compiles the rules. Those that can't be read are left out; the second value says which, and why.
    ///
    /// The last rules are kept compiled: a build's outline, its model and the recordings beside it have the same ones, and compiling
    /// them takes some milliseconds.
    pub fn new(rules: &[LayerRule]) -> (Self, Vec<String>) {
        let mut last = LAST_COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = last.as_ref().filter(|compiled| compiled.rules == rules) {
            return (compiled.namer.clone(), compiled.refused.clone());
        }
        let (namer, refused) = Self::compile(rules);
        *last = Some(CompiledRules { rules: rules.to_vec(), namer: namer.clone(), refused: refused.clone() });
        (namer, refused)
    }

    fn compile(rules: &[LayerRule]) -> (Self, Vec<String>) {
        let mut namer = Self::default();
        let mut refused = Vec::new();
        for rule in rules {
            match RegexBuilder::new(&rule.pattern).case_insensitive(true).build() {
                Ok(regex) => namer.rules.push((rule.name.clone(), regex)),
                Err(error) => {
                    // The last line says what is wrong; those before it draw an arrow under the pattern.
                    let error = error.to_string();
                    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    refused.push(format!(
                        "layer `{}` is left out: its pattern `{}` is no regular expression: {reason}",
                        rule.name, rule.pattern
                    ));
                }
            }
        }
        (namer, refused)
    }

    /// Names the steps of one stage, in order, by their instructions (`RUN apt-get update`, as `BuildKit` prints
    /// them; the lines of a heredoc may follow). A step that no rule knows is named by what it does; none where
    /// that can't be said.
    pub fn names(&self, instructions: &[&str]) -> Vec<Option<Text>> {
        let ruled: Vec<Option<&Text>> = instructions.iter().map(|text| self.ruled(text)).collect();
        let guesses: Vec<LayerGuess> = instructions.iter().map(|text| guess(text)).collect();
        let mut names: Vec<Option<Text>> = Vec::with_capacity(instructions.len());
        for (at, guess) in guesses.iter().enumerate() {
            let name = match (ruled[at], guess) {
                (Some(name), _) => Some(name.clone()),
                (None, LayerGuess::Named(name)) => Some(Text::clean(name)),
                (None, LayerGuess::Installs(tool)) => Some(tool.layer().into()),
                (None, LayerGuess::Manifest(tool)) => Some(consumer(*tool, &ruled, &guesses, at)),
                (None, LayerGuess::Joins) => names.last().cloned().flatten(),
                (None, LayerGuess::Unknown) => None,
            };
            names.push(name);
        }
        names
    }

    /// The first rule that finds its pattern.
    fn ruled(&self, instruction: &str) -> Option<&Text> {
        self.rules.iter().find(|(_, regex)| regex.is_match(instruction)).map(|(name, _)| name)
    }
}

/// How many steps after a manifest its reader is looked for.
const NEAR: usize = 50;

/// The layer that the manifest copied at `at` belongs to: that of the next step which is no manifest itself, where a
/// rule names it; else that of the next step which runs the tool, or a tool that reads the same files.
fn consumer(tool: Tool, ruled: &[Option<&Text>], guesses: &[LayerGuess], at: usize) -> Text {
    let after = || guesses.iter().enumerate().skip(at + 1).take(NEAR);
    let beside = |&(next, guess): &(usize, &LayerGuess)| {
        ruled[next].is_none() && matches!(guess, LayerGuess::Manifest(_) | LayerGuess::Joins)
    };
    if let Some(name) = after().find(|step| !beside(step)).and_then(|(next, _)| ruled[next]) {
        return name.clone();
    }
    let reads = |(next, guess): (usize, &LayerGuess)| match guess {
        LayerGuess::Installs(by) if tool.feeds(*by) => {
            Some(ruled[next].cloned().unwrap_or_else(|| by.layer().into()))
        }
        _ => None,
    };
    after().find_map(reads).unwrap_or_else(|| tool.layer().into())
}

fn guess(instruction: &str) -> LayerGuess {
    let instruction = instruction.trim_start();
    let instruction = triggers::left(instruction).unwrap_or(instruction);
    let (keyword, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    match keyword.to_ascii_uppercase().as_str() {
        "FROM" => LayerGuess::Named("base image".to_owned()),
        "WORKDIR" => LayerGuess::Joins,
        "RUN" => command::installs(rest).map_or(LayerGuess::Unknown, LayerGuess::Installs),
        "COPY" | "ADD" => match files::copied(rest) {
            Files::From(stage) => LayerGuess::Named(format!("from {stage}")),
            Files::Manifest(tool) => LayerGuess::Manifest(tool),
            Files::Installs(tool) => LayerGuess::Installs(tool),
        },
        _ => LayerGuess::Unknown,
    }
}

#[cfg(test)]
mod tests;
