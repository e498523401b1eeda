//! Causes in words: clauses that follow `because`.

use super::fact::{line, setting, variable};
use super::{Tense, modes, rebuilt, step};
use crate::event::Text;
use crate::event::reason::{Cause, ChangedFile, Eviction, FileChange};

/// The longest difference that a clause shows, in characters.
const LONGEST_DIFFERENCE: usize = 60;

/// The most lines of a file that a clause shows.
const MOST_LINES: usize = 3;

/// A cause as a clause: `requirements.txt changed`.
pub fn because(cause: &Cause, tense: Tense) -> String {
    // A test shows that each cause has its words.
    let own = || match cause {
        Cause::FirstBuild => "nothing like it was built here before".to_owned(),
        Cause::NoCache { option } => format!("{option} was given"),
        Cause::Follows { step: root } => format!("{} {}", step(root), rebuilt(tense)),
        Cause::Unknown => "the reason is not known".to_owned(),
        Cause::Unpredictable { basis } => {
            basis.as_ref().map_or_else(|| "it can't be told".to_owned(), super::predicted)
        }
        _ => String::new(),
    };
    instruction(cause).or_else(|| input(cause)).or_else(|| cache(cause)).unwrap_or_else(own)
}

/// Causes in the instruction and its surroundings.
fn instruction(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::InstructionAdded => "its instruction is new".to_owned(),
        Cause::InstructionRemoved => "an instruction before it was removed".to_owned(),
        Cause::InstructionChanged { removed, added } => {
            let what = "its instruction changed";
            let words = difference(removed.as_ref(), added.as_ref());
            if is_short(&words) { format!("{what}: {words}") } else { what.to_owned() }
        }
        Cause::HeredocChanged { line: changed } => {
            let what = "its heredoc changed";
            match changed.as_ref().map(line).filter(|line| is_short(line)) {
                Some(line) => format!("{what}: {line}"),
                None => what.to_owned(),
            }
        }
        Cause::SettingChanged { name, old, new } => setting(name, old.as_ref(), new.as_ref()),
        Cause::MaskedChanged => "a secret in its instruction changed (not shown)".to_owned(),
        Cause::EnvChanged { variable: changed } => format!("ENV {}", variable(changed)),
        Cause::ArgChanged { variable: changed } => format!("build argument {}", variable(changed)),
        Cause::ArgsSubstituted { names } => {
            let names: Vec<&str> = names.iter().map(Text::as_str).collect();
            format!("build argument {} changed", names.join(" or "))
        }
        Cause::VariableOrderChanged => "the order of its variables changed".to_owned(),
        Cause::FingerprintChanged => "what its instruction does changed".to_owned(),
        _ => return None,
    })
}

/// Causes in what the step takes and what it is built on.
fn input(cause: &Cause) -> Option<String> {
    let named = |image: &Option<Text>| image.as_ref().map_or("its image".to_owned(), Text::to_string);
    Some(match cause {
        Cause::FilesChanged { file: Some(first), more } => match more {
            0 => file(first),
            1 => format!("{}, and 1 more file changed", file(first)),
            more => format!("{}, and {more} more files changed", file(first)),
        },
        Cause::FilesChanged { file: None, .. } => "its files changed".to_owned(),
        Cause::AttributesChanged => "modes of folders or extended attributes changed".to_owned(),
        Cause::AddressChanged { address } => format!("what {address} gives changed"),
        Cause::AddressUnseen { address } => format!("what {address} gives is seen by the builder only"),
        Cause::BaseReplaced { old, new } => format!("the base image is {new}, it was {old}"),
        Cause::BaseMoved { image, .. } => format!("the base image {image} moved"),
        Cause::BaseLost { image } => format!("the builder no longer had the layers of {}", named(image)),
        Cause::BaseFirstPulled { image } => {
            format!("the builder had never needed the layers of {}", named(image))
        }
        Cause::UnseenFilesChanged => "the files that it takes changed".to_owned(),
        _ => return None,
    })
}

/// Causes in what became of the result.
fn cache(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::CacheMissing { reference } => format!("there is no cache at {reference}"),
        Cause::CacheTooLarge { reference, .. } => {
            format!("the cache {reference} is too large to be imported")
        }
        Cause::ImportFailed { reference, .. } => format!("the cache {reference} could not be imported"),
        Cause::PlatformOnly { platform } => format!("only {platform} was built before"),
        Cause::Evicted { by: Some(Eviction::Emptied) } => "the builder's cache was emptied".to_owned(),
        Cause::Evicted { by: Some(Eviction::GarbageCollection { rule }) } => {
            format!("the builder's garbage collection took it (rule {rule})")
        }
        Cause::OtherNode { old, new } => {
            format!("the last build ran on the node {old}, and this one on {new}")
        }
        // Where none is named it is buildx's current one, and which that was nobody has written down.
        Cause::OtherBuilder { old, new } => match (old, new) {
            (Some(old), Some(new)) => format!("the last build ran on {old}, and this one on {new}"),
            (Some(old), None) => format!("the last build ran on {old}, and this one names no builder"),
            (None, Some(new)) => format!("the last build named no builder, and this one ran on {new}"),
            (None, None) => "the last build ran on another builder".to_owned(),
        },
        Cause::Evicted { by: None } => {
            "the builder no longer has the result: pruned, or collected as garbage".to_owned()
        }
        _ => return None,
    })
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= LONGEST_DIFFERENCE
}

/// `` `make` → `make all` ``
fn difference(removed: Option<&Text>, added: Option<&Text>) -> String {
    match (removed, added) {
        (None, None) => "white space".to_owned(),
        (None, Some(added)) => format!("`{added}` is new"),
        (Some(removed), None) => format!("`{removed}` is gone"),
        (Some(removed), Some(added)) => format!("`{removed}` → `{added}`"),
    }
}

/// `requirements.txt changed: +requests==2.32.0`
fn file(file: &ChangedFile) -> String {
    let path = &file.path;
    match file.change {
        FileChange::Added => format!("{path} is new"),
        FileChange::Removed => format!("{path} is gone"),
        FileChange::Renamed => super::fact::renamed(path, file.from.as_ref()),
        FileChange::Content if !file.lines.is_empty() => {
            let shown: Vec<String> = file.lines.iter().take(MOST_LINES).map(line).collect();
            let more = if file.lines.len() > MOST_LINES { ", …" } else { "" };
            format!("{path} changed: {}{more}", shown.join(", "))
        }
        FileChange::Content => format!("{path} changed"),
        FileChange::Mode => format!("the mode of {path} changed{}", modes(file.old_mode, file.mode)),
        FileChange::Xattrs => format!("the extended attributes of {path} changed"),
        FileChange::Kind => format!("{path} is another kind of file"),
    }
}
