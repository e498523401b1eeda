//! How long the layers of the image ran from build to build, on this builder: those that changed for good first.

use super::Screen;
use super::sheet::SheetContent;
use crate::report::trends;
use crate::report::words::Role;
use crate::ui::sheet::{Loaded, TrendsView};

const TITLE: &str = "Trends";

pub(super) fn content(screen: &Screen<'_>, sheet: &TrendsView, columns: usize) -> SheetContent {
    let ascii = screen.ui.theme.ascii;
    let told = match &sheet.content {
        Loaded::Asked => {
            return SheetContent::message(TITLE, "looking into the history …", Role::Dim, columns);
        }
        Loaded::Failed(why) => return SheetContent::message(TITLE, why.as_str(), Role::Plain, columns),
        Loaded::Told(told) => told,
    };
    let lines = trends::lines(told, Some(columns), ascii);
    let lines = lines.into_iter().map(|line| line.cut(columns, ascii)).collect();
    SheetContent { title: TITLE, note: String::new(), lines, top: sheet.top }
}
