//! The resolved configuration as TOML that could be a `layertop.toml`, each value with its origin behind it.

use std::fmt::Write as _;

use super::value::{ConfigValue, ValueOrigin};
use super::{Config, KeepOptions};
use crate::event::Mask;
use crate::event::sanitize::deceives;

/// Text of one key and its value, and of its origin.
type PrintedRow = (String, String);

/// The whole configuration. Values of build arguments that look secret are not in it.
pub(super) fn print(config: &Config) -> String {
    let mut out = String::new();
    let files: Vec<String> = config.files.iter().map(|file| file.display().to_string()).collect();
    if files.is_empty() {
        out.push_str("# No layertop.toml here or above: these are the defaults.\n");
    }
    for file in files {
        let _ = writeln!(out, "# Read: {file}");
    }
    let top = [optional("profile", &config.profile)];
    section(&mut out, "", top);
    section(&mut out, "[image]", image(config));
    section(&mut out, "[build]", build(config));
    let args = config.build.args.iter().map(|(name, value)| {
        let shown = if Mask::secret_name(name) { quoted("***") } else { quoted(value) };
        row(&key(name), &shown, &value.origin)
    });
    section(&mut out, "[build.args]", args);
    for rule in &config.layers {
        let name = row("name", &quoted(rule.name.as_str()), &rule.origin);
        section(&mut out, "[[layer]]", [name, (format!("match = {}", quoted(&rule.pattern)), String::new())]);
    }
    section(&mut out, "[recordings]", bounds(&config.recordings));
    section(&mut out, "[history]", bounds(&config.history));
    section(&mut out, "[ui]", ui(config));
    let health = &config.health.watch;
    section(&mut out, "[health]", [row("watch", &health.to_string(), &health.origin)]);
    section(&mut out, "[registry]", registry(config));
    out.push_str(&kubernetes(config));
    out
}

fn bounds(bounds: &KeepOptions) -> [PrintedRow; 3] {
    let keep_for = humantime::format_duration(*bounds.keep_for).to_string();
    [
        row("keep", &bounds.keep.to_string(), &bounds.keep.origin),
        row("keep_for", &quoted(&keep_for), &bounds.keep_for.origin),
        row("keep_bytes", &bounds.keep_bytes.to_string(), &bounds.keep_bytes.origin),
    ]
}

fn image(config: &Config) -> [PrintedRow; 4] {
    let image = &config.image;
    let platforms: Vec<String> = image.platforms.iter().map(|platform| quoted(platform.as_str())).collect();
    [
        optional("registry", &image.registry),
        optional("name", &image.name),
        row("tag", &quoted(&image.tag), &image.tag.origin),
        row("platforms", &format!("[{}]", platforms.join(", ")), &image.platforms.origin),
    ]
}

fn build(config: &Config) -> [PrintedRow; 7] {
    let build = &config.build;
    let extra: Vec<String> = build.extra.iter().map(|word| quoted(word)).collect();
    [
        optional("builder", &build.builder),
        row("context", &quoted(&build.context), &build.context.origin),
        optional("dockerfile", &build.dockerfile),
        optional("target", &build.target),
        optional("cache", &build.cache),
        row("push", &build.push.to_string(), &build.push.origin),
        row("extra", &format!("[{}]", extra.join(", ")), &build.extra.origin),
    ]
}

fn ui(config: &Config) -> [PrintedRow; 3] {
    let ui = &config.ui;
    [
        row("progress", &quoted(&word(&*ui.progress)), &ui.progress.origin),
        row("color", &quoted(&word(&*ui.color)), &ui.color.origin),
        row("ascii", &ui.ascii.to_string(), &ui.ascii.origin),
    ]
}

fn registry(config: &Config) -> [PrintedRow; 5] {
    let registry = &config.registry;
    let duration = |name: &str, value: &ConfigValue<std::time::Duration>| {
        row(name, &quoted(&humantime::format_duration(**value).to_string()), &value.origin)
    };
    [
        row("insecure", &registry.insecure.to_string(), &registry.insecure.origin),
        optional("ca", &registry.ca),
        duration("every", &registry.every),
        duration("look_every", &registry.look_every),
        duration("slow", &registry.slow),
    ]
}

fn kubernetes(config: &Config) -> String {
    let mut out = String::new();
    let Some(kubernetes) = &config.kubernetes else { return out };
    let plain = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| (format!("{name} = {}", quoted(value)), String::new()))
    };
    let rows = [
        kubernetes.enabled.map(|enabled| (format!("enabled = {enabled}"), String::new())),
        plain("kubeconfig", &kubernetes.kubeconfig),
        plain("context", &kubernetes.context),
        plain("namespace", &kubernetes.namespace),
    ];
    section(&mut out, "[kubernetes]", rows.into_iter().flatten());
    if let Some(registry) = &kubernetes.registry {
        let port = registry.port.map(|port| (format!("port = {port}"), String::new()));
        let rows = [plain("service", &registry.service), plain("selector", &registry.selector), port];
        section(&mut out, "[kubernetes.registry]", rows.into_iter().flatten());
    }
    out
}

/// The word that the command line has for a choice.
fn word<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn row(name: &str, value: &str, origin: &ValueOrigin) -> PrintedRow {
    (format!("{name} = {value}"), origin.to_string())
}

/// A key without a value stands as a comment, so that what is printed stays valid TOML.
fn optional(name: &str, value: &ConfigValue<Option<String>>) -> PrintedRow {
    match &value.value {
        Some(text) => row(name, &quoted(text), &value.origin),
        None => (format!("# {name}"), "not set".to_owned()),
    }
}

fn quoted(text: &str) -> String {
    if !text.chars().any(|c| deceives(c) && c != '\n') {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if deceives(c) => format!("\\U{:08X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// A name as a key: bare where TOML lets it be.
fn key(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare && !name.is_empty() { name.to_owned() } else { quoted(name) }
}

/// A table with its rows, the origins below each other.
fn section(out: &mut String, header: &str, rows: impl IntoIterator<Item = PrintedRow>) {
    let rows: Vec<PrintedRow> = rows.into_iter().collect();
    if rows.is_empty() {
        return;
    }
    if !header.is_empty() {
        let _ = write!(out, "\n{header}\n");
    }
    let width = rows.iter().map(|(text, _)| text.chars().count()).max().unwrap_or_default().min(60);
    for (text, origin) in rows {
        if origin.is_empty() || text.contains('\n') {
            let _ = writeln!(out, "{text}");
        } else {
            let _ = writeln!(out, "{text:width$}  # {origin}");
        }
    }
}
