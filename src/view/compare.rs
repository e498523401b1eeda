//! The build beside an earlier one: what became of each step in both, what costs most first.
//!
//! ```text
//! ─ Compare ─────────────────────────────────────────── earlier build 1 of 9 ─
//! A ● built in 3.0 s, 20 of 22 hit  20261121T173012Z-montage-ai
//! B ● built in 9.5 s, 10 of 22 hit  this build
//! B took 6.5 s longer · run 0.2 s → 14.1 s · pulled 0 B → 0 B
//! B: pip because requirements.txt changed
//!
//! what costs most              A                    B                        B - A
//! pip: RUN pip install … arm64 ● hit                ○ ran 5.5 s            + 5.5 s
//! ```

use super::Screen;
use super::sheet::SheetContent;
use crate::report::compare::{self, ComparedBuild};
use crate::report::words::Role;
use crate::ui::sheet::{CompareView, Loaded};

const TITLE: &str = "Compare";

pub(super) fn content(screen: &Screen<'_>, view: &CompareView, columns: usize) -> SheetContent {
    let ascii = screen.ui.theme.ascii;
    let before = match &view.sheet.content {
        Loaded::Asked => {
            return SheetContent::message(TITLE, "looking for the build before …", Role::Dim, columns);
        }
        Loaded::Failed(why) => return SheetContent::message(TITLE, why.as_str(), Role::Plain, columns),
        Loaded::Told(before) => before,
    };
    let this;
    let b = if let Some(b) = &before.b {
        b
    } else {
        this = ComparedBuild::of_model("this build".into(), screen.model, screen.now);
        &this
    };
    let found = compare::compare(&before.a, b);
    let lines = compare::lines(&found, columns, ascii);
    let note = format!("earlier build {} of {}", before.back + 1, before.of);
    SheetContent { title: TITLE, note, lines, top: view.sheet.top }
}
