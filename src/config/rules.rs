//! The rules that name layers: whether they can be read, and whether they find anything.

use regex::{Regex, RegexBuilder};

use crate::error::Problem;
use crate::event::LayerRule;

use super::value::{ConfigValue, ValueOrigin};
use super::{ConfigFile, profile};

/// A rule as every part of layertop reads it: searched anywhere in the instruction's text, in any case; `.` matches all.
///
/// # Errors
///
/// The pattern is no regular expression, or too large a one.
pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).dot_matches_new_line(true).build()
}

/// The rules of all files in their order, the profile's last, and what is wrong with those that are left out.
pub(super) fn collect(
    docs: &[ConfigFile],
    profile: Option<&str>,
) -> (Vec<ConfigValue<LayerRule>>, Vec<Problem>) {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    for doc in docs {
        for layer in &doc.file.layer {
            let span = layer.pattern.span();
            if layer.name.get_ref().trim().is_empty() {
                let hint = "give it a name, or remove the rule".to_owned();
                problems.push(doc.problem(layer.name.span(), "this layer has no name".to_owned(), hint));
            } else if let Err(error) = compile(layer.pattern.get_ref()) {
                let hint = "the rule is left out; for its text as it is, escape it with \\".to_owned();
                let message =
                    format!("`{}` is not a regular expression: {}", layer.pattern.get_ref(), cause(&error));
                problems.push(doc.problem(span, message, hint));
            } else {
                rules.push(ConfigValue {
                    value: LayerRule {
                        name: layer.name.get_ref().as_str().into(),
                        pattern: layer.pattern.get_ref().clone(),
                    },
                    origin: doc.origin(&span),
                });
            }
        }
    }
    if let Some((name, bundled)) = profile.and_then(profile::find) {
        rules.extend(
            bundled.into_iter().map(|value| ConfigValue { value, origin: ValueOrigin::Profile(name) }),
        );
    }
    (rules, problems)
}

/// The last line of a regex error says what is wrong; those before it draw the pattern.
fn cause(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// The rules that never name anything in a Dockerfile with these instructions, because they match nothing, or because
/// an earlier rule always comes first.
pub(super) fn idle<'a>(
    rules: &'a [ConfigValue<LayerRule>],
    instructions: &[&str],
) -> Vec<(&'a ConfigValue<LayerRule>, bool)> {
    let compiled: Vec<_> =
        rules.iter().filter_map(|rule| Some((rule, compile(&rule.pattern).ok()?))).collect();
    let mut used = vec![false; compiled.len()];
    for text in instructions {
        if let Some(at) = compiled.iter().position(|(_, regex)| regex.is_match(text))
            && let Some(slot) = used.get_mut(at)
        {
            *slot = true;
        }
    }
    let idle = compiled.iter().zip(used).filter(|(_, used)| !used);
    idle.map(|((rule, regex), _)| (*rule, instructions.iter().any(|text| regex.is_match(text)))).collect()
}
