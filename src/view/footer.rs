//! The footer: the keys that matter here, or the line that is typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::Screen;
use crate::report::words::Role;
use crate::ui::keys::{self, Action, SheetKind};
use crate::ui::{Focus, Overlay};

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    if let Some((prompt, input)) = match &screen.ui.overlay {
        Overlay::Search(input) => Some(("find: ", input)),
        Overlay::Filter(input) => Some(("only layers with: ", input)),
        _ => None,
    } {
        let room = usize::from(area.width).saturating_sub(prompt.len() + 2);
        let scroll = input.visual_scroll(room);
        let text: String = input.value().chars().skip(scroll).collect();
        Line::from(vec![
            Span::styled(format!(" {prompt}"), theme.style(Role::Strong)),
            Span::raw(text),
            Span::styled(" ", theme.cursor()),
        ])
        .render(area, buf);
        return;
    }
    let mut x = area.x + 1;
    for binding in keys::active(screen.ui.place()) {
        let Some(hint) = binding.hint else { continue };
        if !is_of_use(screen, binding.action) {
            continue;
        }
        let key = if theme.ascii {
            binding.label.replace('↑', "Up").replace(" k", "")
        } else {
            short(binding.label)
        };
        let line = Line::from(vec![
            Span::styled(key, theme.style(Role::Strong)),
            Span::styled(format!(" {hint}  "), theme.style(Role::Dim)),
        ]);
        let width = line.width() as u16;
        if x + width > area.right() {
            break;
        }
        line.render(Rect { x, width, height: 1, ..area }, buf);
        x += width;
    }
}

/// A hint is of use only where its key does something.
fn is_of_use(screen: &Screen<'_>, action: Action) -> bool {
    let in_part = matches!(screen.ui.focus, Focus::Part(_));
    if screen.ui.place().sheet.is_some() {
        return !matches!(
            action,
            Action::NextPane | Action::Search | Action::Filter | Action::Copy | Action::Open | Action::Logs
        ) && (screen.ui.place().sheet == Some(SheetKind::Timeline) || action != Action::Follow);
    }
    match action {
        Action::Warnings => !screen.model.warnings().is_empty(),
        Action::Open => in_part && !screen.ui.parts.open,
        Action::Logs => in_part,
        Action::Back => in_part && screen.ui.parts.open,
        Action::Up | Action::Search | Action::Filter | Action::Follow | Action::Copy => !in_part,
        _ => true,
    }
}

/// The first way to write a key is enough here.
fn short(label: &str) -> String {
    match label.split_once(' ') {
        Some(("↑", _)) => "↑↓".to_owned(),
        Some((first, _)) => first.to_owned(),
        None => label.to_owned(),
    }
}
