//! Which build is spoken of, on the line above what is said of it.

use super::styled::StyledLine;
use super::words::Role;
use crate::event::Text;
use crate::model::Model;

/// `127.0.0.1:5000/montage-ai:latest · 11-22 09:45 · 20261122T094512Z-montage-ai-4711 · newest of this project`. `begun` is when, as
/// the user's clock shows it; `note` how it was chosen.
pub fn line(model: &Model, name: &Text, begun: Option<&str>, note: Option<&str>, ascii: bool) -> StyledLine {
    let image = model.started().image.as_ref().map_or("no image name", Text::as_str);
    let mut line = StyledLine::new().with(image, Role::Strong);
    for part in begun.into_iter().chain([name.as_str()]).chain(note) {
        line.push(if ascii { " - " } else { " · " }, Role::Dim).push(part, Role::Dim);
    }
    line
}
