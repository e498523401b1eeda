//! How long the layers of the image ran from build to build, on this builder: those that changed for good first.

use super::Screen;
use super::sheet::Content;
use crate::report::trends;
use crate::report::words::Role;
use crate::ui::sheet::{Said, TrendsView};

const TITLE: &str = "Trends";

pub(super) fn content(screen: &Screen<'_>, sheet: &TrendsView, columns: usize) -> Content {
    let ascii = screen.ui.theme.ascii;
    let told = match &sheet.said {
        Said::Asked => return Content::saying(TITLE, "looking into the history …", Role::Dim, columns),
        Said::Failed(why) => return Content::saying(TITLE, why.as_str(), Role::Plain, columns),
        Said::Told(told) => told,
    };
    let lines = trends::lines(told, Some(columns), ascii);
    let lines = lines.into_iter().map(|line| line.cut(columns, ascii)).collect();
    Content { title: TITLE, note: String::new(), lines, top: sheet.top }
}
