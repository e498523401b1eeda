//! How things look: semantic fields, the terminal's own 16 colours, and none where colour is not wanted.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
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

/// What something means, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// As it should be.
    Good,
    /// What costs time: a miss, something at work.
    Busy,
    /// Something to look at.
    Warn,
    /// What is broken.
    Bad,
    /// What is not in question now.
    Dim,
    /// The text that everything else is about.
    Plain,
    /// Headings.
    Title,
    /// Where the user is.
    Cursor,
    /// Where what is looked for stands.
    Match,
}

impl Theme {
    /// The look of a meaning.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let (colored, bare) = match role {
            Role::Good => (plain.fg(Color::Green), plain),
            Role::Busy => (plain.fg(Color::Cyan), plain.add_modifier(Modifier::BOLD)),
            Role::Warn => (plain.fg(Color::Yellow), plain.add_modifier(Modifier::BOLD)),
            Role::Bad => (plain.fg(Color::Red).add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::BOLD)),
            Role::Dim => (plain.fg(Color::DarkGray), plain.add_modifier(Modifier::DIM)),
            Role::Plain => (plain, plain),
            Role::Title => (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::BOLD)),
            Role::Cursor => (plain.add_modifier(Modifier::REVERSED), plain.add_modifier(Modifier::REVERSED)),
            Role::Match => (plain.fg(Color::Black).bg(Color::Yellow), plain.add_modifier(Modifier::REVERSED)),
        };
        if self.color { colored } else { bare }
    }

    /// One of two texts: the second where only ASCII may be used.
    pub fn pick(self, text: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { text }
    }
}
