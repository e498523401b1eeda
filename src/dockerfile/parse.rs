//! Lines to instructions, after `BuildKit`'s `frontend/dockerfile/parser/parser.go`, where an error of its becomes a
//! diagnostic here.

use std::iter::Peekable;
use std::str::SplitInclusive;

use super::words;
use super::{Diagnostic, Dockerfile, DockerfileInstruction, DockerfileStage, Heredoc, Keyword, lex};

/// Reads a Dockerfile, whatever it holds.
pub fn parse(text: &str) -> Dockerfile {
    let mut file = Dockerfile {
        escape: '\\',
        syntax: None,
        globals: Vec::new(),
        stages: Vec::new(),
        diagnostics: Vec::new(),
    };
    let mut lines = SourceLines::new(text);
    directives(&mut lines, &mut file);
    while let Some(instruction) = next(&mut lines, &mut file) {
        add(&mut file, instruction);
    }
    if file.stages.is_empty() {
        file.diagnostics.push(Diagnostic { line: 1, message: "there is no `FROM`".to_owned() });
    }
    file
}

/// The lines of a file, with their ends, counted.
struct SourceLines<'a> {
    rest: Peekable<SplitInclusive<'a, char>>,
    /// Number of the line that was read last, from 1; 0 before the first.
    number: u32,
}

impl<'a> SourceLines<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest: text.split_inclusive('\n').peekable(), number: 0 }
    }

    fn next(&mut self) -> Option<&'a str> {
        let line = self.rest.next()?;
        self.number = self.number.saturating_add(1);
        Some(line)
    }
}

fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Directives stand in the first lines, before any other comment, blank line or instruction, each once at most.
fn directives(lines: &mut SourceLines<'_>, file: &mut Dockerfile) {
    let mut seen = Vec::new();
    while let Some((name, value)) = lines.rest.peek().and_then(|line| directive(line)) {
        lines.next();
        let line = lines.number;
        if seen.contains(&name) {
            file.diagnostics.push(Diagnostic { line, message: format!("directive `{name}` is repeated") });
            continue;
        }
        match (name.as_str(), value) {
            ("escape", "\\") => file.escape = '\\',
            ("escape", "`") => file.escape = '`',
            ("escape", _) => {
                let message = format!("escape character `{value}` is neither \\ nor a backtick");
                file.diagnostics.push(Diagnostic { line, message });
            }
            ("syntax", _) => file.syntax = value.split(' ').next().map(str::to_owned),
            _ => {}
        }
        seen.push(name);
    }
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim();
    (["syntax", "escape", "check"].contains(&name.as_str()) && !value.is_empty()).then_some((name, value))
}

/// The next instruction; comments and blank lines before it are skipped.
fn next(lines: &mut SourceLines<'_>, file: &mut Dockerfile) -> Option<DockerfileInstruction> {
    loop {
        let raw = lines.next()?;
        if is_comment(raw) {
            continue;
        }
        let first_line = lines.number;
        let (line, goes_on) = uncontinued(trim_end(raw).trim_start(), file.escape);
        let mut text = line.to_owned();
        if goes_on {
            continued(&mut text, lines, file);
        }
        if text.trim().is_empty() {
            continue;
        }
        let mut instruction = instruction(text.trim(), file.escape);
        instruction.first_line = first_line;
        heredocs(&mut instruction, lines, file);
        instruction.last_line = lines.number;
        summarise(&mut instruction);
        return Some(instruction);
    }
}

/// A line without the escape character that continues it, and whether it has one. Two of them at the end continue
/// nothing, nor do three.
fn uncontinued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

/// Joins what continues a line: blank lines and comments in between are left out, white space stays.
fn continued(text: &mut String, lines: &mut SourceLines<'_>, file: &mut Dockerfile) {
    let mut blank = None;
    while let Some(raw) = lines.next() {
        if is_comment(raw) {
            continue;
        }
        if raw.trim().is_empty() {
            blank = Some(lines.number);
            continue;
        }
        let (line, goes_on) = uncontinued(trim_end(raw), file.escape);
        text.push_str(line);
        if !goes_on {
            if let Some(line) = blank {
                let message = "a blank line stands inside a continued instruction".to_owned();
                file.diagnostics.push(Diagnostic { line, message });
            }
            return;
        }
    }
    let message = "the file ends inside a continued instruction".to_owned();
    file.diagnostics.push(Diagnostic { line: lines.number, message });
}

/// Splits a joined line. Its line numbers and heredocs are not known here.
fn instruction(line: &str, escape: char) -> DockerfileInstruction {
    let (word, rest) = words::keyword(line);
    let keyword = Keyword::parse(word);
    let (flags, arguments) = words::flags(rest, escape);
    DockerfileInstruction {
        text: upper_case(line),
        arguments: arguments.to_owned(),
        keyword,
        flags,
        heredocs: Vec::new(),
        first_line: 0,
        last_line: 0,
    }
}

/// `BuildKit` puts all up to the first space in upper case, even where a tab ends the keyword.
pub(super) fn upper_case(line: &str) -> String {
    match line.split_once(' ') {
        Some((word, rest)) => format!("{} {rest}", word.to_uppercase()),
        None => line.to_uppercase(),
    }
}

impl DockerfileInstruction {
    /// The instruction that an `ONBUILD` holds for the stages that are built on this one.
    pub fn trigger(&self, escape: char) -> Option<Self> {
        if self.keyword != Keyword::Onbuild {
            return None;
        }
        let mut trigger = instruction(words::keyword(&self.text).1, escape);
        trigger.heredocs.clone_from(&self.heredocs);
        (trigger.first_line, trigger.last_line) = (self.first_line, self.last_line);
        summarise(&mut trigger);
        Some(trigger)
    }

    fn takes_heredocs(&self) -> bool {
        let may = matches!(self.keyword, Keyword::Add | Keyword::Copy | Keyword::Run);
        may && self.arguments.contains("<<") && self.exec_form().is_none()
    }
}

/// Reads the bodies of the heredocs that the line announces.
fn heredocs(instruction: &mut DockerfileInstruction, lines: &mut SourceLines<'_>, file: &mut Dockerfile) {
    let takes = match instruction.keyword {
        Keyword::Onbuild => instruction.trigger(file.escape).is_some_and(|trigger| trigger.takes_heredocs()),
        _ => instruction.takes_heredocs(),
    };
    if !takes {
        return;
    }
    let words = lex::raw_words(&instruction.text);
    for mut heredoc in words.iter().filter_map(|word| announced(word)) {
        let mut ended = false;
        while let Some(raw) = lines.next() {
            let end = trim_end(raw);
            let end = if heredoc.chomp { end.trim_start_matches('\t') } else { end };
            if end == heredoc.name {
                ended = true;
                break;
            }
            heredoc.body.push_str(raw);
        }
        if !ended {
            let message = format!("heredoc `{}` is not ended", heredoc.name);
            file.diagnostics.push(Diagnostic { line: instruction.first_line, message });
        }
        instruction.heredocs.push(heredoc);
    }
}

/// A word such as `<<EOF`, `3<<-"EOF"`.
fn announced(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, chomp) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let [name] = lex::name_words(rest, false)?.try_into().ok()?;
    let [raw]: [String; 1] = lex::name_words(rest, true)?.try_into().ok()?;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let expand = quotes(&name) == quotes(&raw);
    Some(Heredoc { name, body: String::new(), chomp, expand })
}

/// A `RUN` that is one heredoc and nothing else is printed with the first line of it.
fn summarise(instruction: &mut DockerfileInstruction) {
    if instruction.keyword != Keyword::Run || announced(&instruction.arguments).is_none() {
        return;
    }
    if let [heredoc, ..] = instruction.heredocs.as_slice() {
        let mut lines = heredoc.body.trim().lines();
        let first = lines.next().unwrap_or_default();
        let more = if lines.next().is_some() { "..." } else { "" };
        instruction.text = format!("{} ({first}{more})", instruction.text);
    }
}

/// Puts an instruction where it belongs.
fn add(file: &mut Dockerfile, instruction: DockerfileInstruction) {
    let line = instruction.first_line;
    if let Keyword::Unknown(word) = &instruction.keyword {
        file.diagnostics.push(Diagnostic { line, message: format!("unknown instruction `{word}`") });
    }
    if instruction.keyword == Keyword::From {
        let stage = stage(instruction, &mut file.diagnostics);
        file.stages.push(stage);
        return;
    }
    if let Some(stage) = file.stages.last_mut() {
        stage.instructions.push(instruction);
        return;
    }
    if instruction.keyword != Keyword::Arg {
        let message = format!("`{}` stands before the first `FROM`", instruction.keyword.as_str());
        file.diagnostics.push(Diagnostic { line, message });
    }
    file.globals.push(instruction);
}

fn stage(from: DockerfileInstruction, diagnostics: &mut Vec<Diagnostic>) -> DockerfileStage {
    let mut refuse = |message: String| diagnostics.push(Diagnostic { line: from.first_line, message });
    let mut words = words::spaced(&from.arguments);
    let base = words.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = words.collect();
    let name = match rest.as_slice() {
        [as_, name, ..] if as_.eq_ignore_ascii_case("as") => Some(name.to_lowercase()),
        _ => None,
    };
    if base.is_empty() {
        refuse("`FROM` names no base".to_owned());
    }
    if !rest.is_empty() && (rest.len() != 2 || name.is_none()) {
        refuse("`FROM` takes a base, or a base, `AS` and a name".to_owned());
    }
    if let Some(name) = name.as_ref().filter(|name| !is_stage_name(name)) {
        refuse(format!("stage name `{name}` does not start with a letter, or holds symbols"));
    }
    let platform = from.flag("platform").map(str::to_owned);
    DockerfileStage { name, base, platform, from, instructions: Vec::new() }
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}
