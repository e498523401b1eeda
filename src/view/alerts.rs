//! What must not be missed: a cache that could not be read or written, notices, warnings.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Screen;
use crate::event::{Level, Text};
use crate::model::{Outcome, Phase, Transfer};
use crate::report::estimate;
use crate::report::why as report;
use crate::report::words::{self, Role};

/// The lines, what matters most first.
pub(super) fn lines(screen: &Screen<'_>) -> Vec<(Role, String)> {
    let model = screen.model;
    let mut lines = Vec::new();
    let cache = model.cache();
    let failed = |t: &&Transfer| t.phase == Phase::Failed;
    for import in cache.imports.iter().filter(failed) {
        let from = import.reference.as_ref().map_or("", Text::as_str);
        if import.is_not_there() {
            lines.push((Role::Warn, format!("no cache yet at {from}: nothing can hit from there")));
            continue;
        }
        lines
            .push((Role::Bad, format!("cache import failed: {} · nothing can hit from {from}", why(import))));
    }
    for export in cache.exports.iter().filter(failed) {
        lines
            .push((Role::Bad, format!("cache export failed: {} · the next build goes without", why(export))));
    }
    lines.extend(slow(screen));
    if let Some(line) = report::headline(model, screen.ui.theme.ascii) {
        let words: String = line.pieces().map(|(text, _)| text).collect();
        let dot = if screen.ui.theme.ascii { " - " } else { " · " };
        lines.push((Role::Warn, format!("{words}{dot}w says more")));
    }
    for notice in model.notices().rev().filter(|notice| notice.level != Level::Info) {
        let role = if notice.level == Level::Error { Role::Bad } else { Role::Warn };
        lines.push((role, notice.text.to_string()));
    }
    if let Some(first) = model.warnings().first() {
        let place = first.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        // The checks put the line into some of their sentences themselves.
        let place = if first.short.as_str().contains("(line ") { String::new() } else { place };
        let more = match model.warnings().len() {
            1 => String::new(),
            n => format!(" · {} more, W shows all", n - 1),
        };
        lines.push((Role::Warn, format!("{}{place}{more}", first.short)));
    }
    if model.outcome() == Outcome::Running || lines.len() < 3 {
        lines.truncate(3);
    }
    lines
}

/// The step that is slowest against what it usually takes: it may be stuck.
fn slow(screen: &Screen<'_>) -> Option<(Role, String)> {
    let (model, ascii) = (screen.model, screen.ui.theme.ascii);
    let slow = estimate::slow(model, screen.estimate());
    let (id, factor) = *slow.first()?;
    let step = model.stack().step(id)?;
    let layer = model.stack().row_of(id).and_then(|row| row.layer.as_ref());
    let name = words::truncate(layer.unwrap_or(&step.name.instruction).as_str(), 32);
    let on = step.platform.as_ref().map(|platform| format!(" on {platform}")).unwrap_or_default();
    let (took, usual) = (words::duration(model.run_time(id, screen.now)), model.expected(id)?.median);
    let more = if slow.len() > 1 { format!(" · {} more", slow.len() - 1) } else { String::new() };
    let slower = estimate::slower(factor, ascii);
    let text =
        format!("{name}{on} is {slower}: {took}, mostly {}; is it stuck?{more}", estimate::rough(usual));
    Some((Role::Warn, text))
}

/// The error without what stands beside it anyway: who complains, and about which reference.
fn why(transfer: &Transfer) -> &str {
    let error = transfer.error.as_ref().map_or("", Text::as_str);
    let error = error.strip_prefix("failed to configure registry cache importer: ").unwrap_or(error);
    let about = transfer.reference.as_ref().map_or("", Text::as_str);
    // A reference that is not there is named twice.
    let mut rest = error;
    while let Some(shorter) = rest.strip_prefix(about).and_then(|rest| rest.strip_prefix(": ")) {
        rest = shorter;
        if about.is_empty() {
            break;
        }
    }
    rest
}

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let lines = screen.alerts();
    let hidden = lines.len().saturating_sub(usize::from(area.height));
    for (i, (role, line)) in lines.iter().take(usize::from(area.height)).enumerate() {
        let shape = if *role == Role::Bad { theme.pick("✗", "x") } else { theme.pick("▲", "!") };
        let more = if hidden > 0 && i + 1 == usize::from(area.height) {
            format!(" (+{hidden})")
        } else {
            String::new()
        };
        let room = usize::from(area.width).saturating_sub(4 + more.len());
        let text = format!("{shape} {}{more}", words::truncate(line, room));
        buf.set_string(area.x + 1, area.y + i as u16, text, theme.style(*role));
    }
}
