//! How the timeline is looked at: how much of it, from where.

use std::time::Duration;

use super::keys::Action;

/// What is seen at least, however often one zooms in.
const LEAST: Duration = Duration::from_millis(100);

/// Zooming in once more shows half as much.
const MOST_ZOOM: u32 = 16;

/// How the timeline is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimelineView {
    /// How often it was zoomed in: each time half as much is seen.
    zoom: u32,
    /// Where it begins, from the build's beginning; none: what is newest is seen.
    from: Option<Duration>,
    /// Its first line that is shown; none: the lines that matter now are.
    top: Option<usize>,
}

impl TimelineView {
    /// What is seen of so much time: from where, and how much.
    pub fn window(&self, all: Duration) -> (Duration, Duration) {
        let span = (all / 2u32.saturating_pow(self.zoom)).max(LEAST.min(all));
        let last = all.saturating_sub(span);
        (self.from.unwrap_or(last).min(last), span)
    }

    /// Whether all of it is seen.
    pub fn is_whole(&self) -> bool {
        self.zoom == 0
    }

    /// Whether it goes on with the build.
    pub fn follows(&self) -> bool {
        self.from.is_none()
    }

    /// The first of `height` lines to show of `all`, where `wanted` is the one that matters now.
    pub fn first(&self, all: usize, height: usize, wanted: usize) -> usize {
        // What comes behind it is worth a third.
        let middle = (wanted + 1 + height / 3).saturating_sub(height);
        self.top.unwrap_or(middle).min(all.saturating_sub(height))
    }

    /// Takes a key; `all` is the time that can be seen, `ended` whether no more comes, `pages` the first line
    /// that is shown, how many there are and how many are shown. Tells whether the key was its own.
    pub(super) fn act(
        &mut self,
        action: Action,
        all: Duration,
        ended: bool,
        pages: (usize, usize, usize),
    ) -> bool {
        let (from, span) = self.window(all);
        let (first, lines, page) = pages;
        let end = lines.saturating_sub(page);
        match action {
            Action::ZoomIn if self.zoom < MOST_ZOOM && span > LEAST => {
                self.zoom += 1;
                // What is in the middle stays there; who follows goes on following.
                let middle = from + span / 2;
                if ended || self.from.is_some() {
                    self.from = Some(middle.saturating_sub(self.window(all).1 / 2));
                }
            }
            Action::ZoomOut => {
                self.zoom = self.zoom.saturating_sub(1);
                let middle = from + span / 2;
                self.from = self.from.map(|_| middle.saturating_sub(self.window(all).1 / 2));
            }
            Action::ZoomAll => *self = Self { top: self.top, ..Self::default() },
            Action::Left => self.from = Some(from.saturating_sub(span / 4)),
            Action::Right => {
                let to = from + span / 4;
                self.from = Some(to).filter(|to| *to + span < all);
            }
            Action::First => (self.from, self.top) = (Some(Duration::ZERO), Some(0)),
            Action::Last | Action::Follow => (self.from, self.top) = (None, None),
            Action::Up => self.top = Some(first.saturating_sub(1)),
            Action::Down => self.top = Some((first + 1).min(end)),
            Action::PageUp => self.top = Some(first.saturating_sub(page.max(1))),
            Action::PageDown => self.top = Some((first + page.max(1)).min(end)),
            Action::ZoomIn => {}
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Duration = Duration::from_secs(100);

    fn seconds(view: TimelineView) -> (u64, u64) {
        let (from, span) = view.window(ALL);
        (from.as_secs(), span.as_secs())
    }

    #[test]
    fn the_middle_stays_where_it_is() {
        let mut view = TimelineView::default();
        assert_eq!(seconds(view), (0, 100));
        view.act(Action::ZoomIn, ALL, true, (0, 0, 0));
        assert_eq!(seconds(view), (25, 50));
        view.act(Action::Left, ALL, true, (0, 0, 0));
        view.act(Action::ZoomIn, ALL, true, (0, 0, 0));
        assert_eq!(seconds(view), (25, 25));
        view.act(Action::ZoomOut, ALL, true, (0, 0, 0));
        assert_eq!(seconds(view), (12, 50));
        view.act(Action::ZoomAll, ALL, true, (0, 0, 0));
        assert_eq!(seconds(view), (0, 100));
    }

    #[test]
    fn a_running_build_is_followed_until_one_looks_back() {
        let mut view = TimelineView::default();
        view.act(Action::ZoomIn, ALL, false, (0, 0, 0));
        assert!(view.follows());
        assert_eq!(seconds(view), (50, 50));
        view.act(Action::Left, ALL, false, (0, 0, 0));
        assert_eq!((seconds(view), view.follows()), ((37, 50), false));
        view.act(Action::Right, ALL, false, (0, 0, 0));
        view.act(Action::Right, ALL, false, (0, 0, 0));
        assert!(view.follows());
    }

    #[test]
    fn there_is_an_end_to_zooming() {
        let mut view = TimelineView::default();
        for _ in 0..99 {
            view.act(Action::ZoomIn, ALL, true, (0, 0, 0));
        }
        assert_eq!(view.window(ALL).1, LEAST);
        assert_eq!(TimelineView::default().window(Duration::ZERO), (Duration::ZERO, Duration::ZERO));
        assert!(!view.act(Action::Quit, ALL, true, (0, 0, 0)));
    }
}
