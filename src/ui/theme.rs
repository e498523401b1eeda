//! How things look: semantic fields, the terminal's own 16 colours, and none where colour is not wanted.

use ratatui::style::{Color, Modifier, Style};

use crate::report::words::Role;

#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Whether colours may be used; shapes and words say the same without.
    pub color: bool,
    /// Whether only ASCII may be used.
    pub ascii: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { color: true, ascii: false }
    }
}

impl Theme {
    /// The look of a meaning.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let (colored, bare) = match role {
            Role::Plain => (plain, plain),
            Role::Strong => (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::BOLD)),
            Role::Dim => (plain.fg(Color::DarkGray), plain.add_modifier(Modifier::DIM)),
            Role::Good => (plain.fg(Color::Green), plain),
            Role::Ran => (plain.fg(Color::Yellow), plain),
            Role::Busy => (plain.fg(Color::Cyan), plain.add_modifier(Modifier::BOLD)),
            Role::Warn => (plain.fg(Color::Yellow), plain.add_modifier(Modifier::BOLD)),
            Role::Bad => {
                (plain.fg(Color::Red).add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::BOLD))
            }
        };
        if self.color { colored } else { bare }
    }

    /// Where the user is.
    pub fn cursor(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Where what is looked for stands.
    pub fn found(self) -> Style {
        if self.color { Style::new().fg(Color::Black).bg(Color::Yellow) } else { self.cursor() }
    }

    /// One of two texts: the second where only ASCII may be used.
    pub fn pick(self, text: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { text }
    }
}
