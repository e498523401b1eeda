//! What fills the screen and is asked for outside: two builds side by side, and how long layers ran from build to build.

use super::keys::Action;
use super::{Effect, Overlay, PaneHeights, UiState};
use crate::event::{Platform, Text, Time};
use crate::model::Model;
use crate::report::compare::ComparedBuild;
use crate::report::trends::Trends;

/// Lines over lines, of which there may be more than fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet<T> {
    /// What came of asking.
    pub content: Loaded<T>,
    /// Its first line that is shown.
    pub top: usize,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded<T> {
    /// Nothing yet.
    Asked,
    /// It can't be told, and why.
    Failed(Text),
    Told(Box<T>),
}

/// Which build the shown one is to be compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaselineQuery {
    /// The image; its tag does not matter.
    pub image: Option<Text>,
    /// The builder. Builds on it and for the same platforms are compared, where there are any.
    pub builder: Option<Text>,
    pub platforms: Vec<Platform>,
    /// When the shown build began; none where a plan is shown: then the newest build is compared.
    pub begun: Option<Time>,
    /// How many builds lie between: 0 is the one before.
    pub back: usize,
}

/// What a build is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The earlier build.
    pub a: ComparedBuild,
    /// The build that it is held against; none: the one that is shown.
    pub b: Option<ComparedBuild>,
    /// How many builds lie between: 0 is the one before.
    pub back: usize,
    /// How many there are that are earlier.
    pub of: usize,
}

/// Two builds side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareView {
    /// What was asked for last.
    pub wanted: BaselineQuery,
    /// What came of it; what came before it stays until then.
    pub sheet: Sheet<Baseline>,
}

/// How long layers ran.
pub type TrendsView = Sheet<Trends>;

impl<T> Default for Sheet<T> {
    fn default() -> Self {
        Self { content: Loaded::Asked, top: 0 }
    }
}

impl<T> Sheet<T> {
    pub(super) fn received(&mut self, answer: Result<T, Text>) {
        self.content = answer.map_or_else(Loaded::Failed, |told| Loaded::Told(Box::new(told)));
    }

    /// Takes a key; `pages` has the first line that is shown, how many there are and how many are shown. Tells whether
    /// the key was its own.
    pub(super) fn act(&mut self, action: Action, pages: (usize, usize, usize)) -> bool {
        let (first, lines, page) = pages;
        let end = lines.saturating_sub(page);
        let leap = page.saturating_sub(1).max(1);
        self.top = match action {
            Action::Up => first.saturating_sub(1),
            Action::Down => first + 1,
            Action::PageUp => first.saturating_sub(leap),
            Action::PageDown => first + leap,
            Action::First => 0,
            Action::Last => end,
            _ => return false,
        }
        .min(end);
        true
    }
}

impl CompareView {
    /// Asks for the build before.
    pub(super) fn pending(wanted: BaselineQuery) -> Self {
        Self { wanted, sheet: Sheet::default() }
    }

    /// How many earlier builds there are, as far as that is known.
    fn of(&self) -> Option<usize> {
        match &self.sheet.content {
            Loaded::Told(before) => Some(before.of),
            Loaded::Asked | Loaded::Failed(_) => None,
        }
    }

    /// An older build instead, or a newer one; none where there is none.
    pub(super) fn turn(&mut self, older: bool) -> Option<BaselineQuery> {
        let of = self.of()?;
        let back = if older { self.wanted.back.checked_add(1) } else { self.wanted.back.checked_sub(1) };
        self.wanted.back = back.filter(|back| *back < of)?;
        Some(self.wanted.clone())
    }
}

impl UiState {
    /// An earlier build was looked up. What is not asked for any more is not shown.
    pub fn compared(&mut self, wanted: &BaselineQuery, answer: Result<Baseline, Text>) {
        if let Overlay::Compare(view) = &mut self.overlay
            && view.wanted == *wanted
        {
            view.sheet.received(answer);
        }
    }

    /// It was looked up how long layers ran.
    pub fn trends_received(&mut self, answer: Result<Trends, Text>) {
        if let Overlay::Trends(sheet) = &mut self.overlay {
            sheet.received(answer);
        }
    }

    /// A key while a sheet fills the screen.
    pub(super) fn sheet_key(&mut self, action: Action, model: &Model, pages: PaneHeights) -> Option<Effect> {
        let pages_of = (pages.lanes_first, pages.lanes_all, pages.lanes);
        let own = match &mut self.overlay {
            Overlay::Compare(view) => view.sheet.act(action, pages_of),
            Overlay::Trends(sheet) => sheet.act(action, pages_of),
            _ => false,
        };
        match (action, &self.overlay) {
            _ if own => None,
            (Action::Compare, Overlay::Compare(_))
            | (Action::Trends, Overlay::Trends(_))
            | (Action::Back, _) => {
                self.overlay = Overlay::None;
                None
            }
            (Action::Older, _) => self.turn(true),
            (Action::Newer, _) => self.turn(false),
            _ => self.act(action, model, pages),
        }
    }

    /// Another earlier build beside this one.
    fn turn(&mut self, older: bool) -> Option<Effect> {
        let Overlay::Compare(view) = &mut self.overlay else { return None };
        let wanted = view.turn(older);
        if wanted.is_none() && matches!(view.sheet.content, Loaded::Told(_)) {
            let which = if older { "older" } else { "newer" };
            self.message = Some(format!("there is no {which} build to compare with"));
        }
        wanted.map(Effect::Compare)
    }

    /// The build, or the newest of a plan, beside the one before it.
    pub(super) fn compare(&mut self, model: &Model) -> Option<Effect> {
        let begun = if model.is_plan() { None } else { model.begun() };
        if begun.is_none() && !self.dashboard {
            self.message = Some("nothing has begun yet that could be compared".to_owned());
            return None;
        }
        let started = model.started();
        let wanted = BaselineQuery {
            image: started.image.clone(),
            builder: started.builder.clone(),
            platforms: model.platforms().into_iter().flatten().collect(),
            begun,
            back: 0,
        };
        self.overlay = Overlay::Compare(Box::new(CompareView::pending(wanted.clone())));
        Some(Effect::Compare(wanted))
    }

    pub(super) fn trends(&mut self, model: &Model) -> Effect {
        self.overlay = Overlay::Trends(TrendsView::default());
        let started = model.started();
        Effect::Trends { image: started.image.clone(), builder: started.builder.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_scrolls_to_its_end_and_no_further() {
        let mut sheet = Sheet::<()>::default();
        assert!(sheet.act(Action::PageDown, (0, 30, 10)));
        assert_eq!(sheet.top, 9);
        sheet.act(Action::Last, (9, 30, 10));
        sheet.act(Action::PageDown, (20, 30, 10));
        assert_eq!(sheet.top, 20);
        sheet.act(Action::Up, (20, 30, 10));
        assert_eq!(sheet.top, 19);
        // All of it is seen.
        sheet.act(Action::Down, (0, 5, 10));
        assert_eq!(sheet.top, 0);
        assert!(!sheet.act(Action::Why, (0, 5, 10)));
    }
}
