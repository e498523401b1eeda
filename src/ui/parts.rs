//! The panes of what is around a build: which are there, which one fills the screen, and whose last words are read.

use super::Focus;
use super::keys::Action;
use crate::event::{Line, Text, WatchState};
use crate::model::Model;
use crate::report::health::{self, AroundPart};

/// How many lines are asked for.
pub const LOG_LINES: u32 = 200;

/// Lines that are kept at most, whatever the answer holds.
const MOST_LINES: usize = 1_000;

/// How the panes of the parts stand.
#[derive(Debug)]
pub struct PartsView {
    /// The pane that is shown where there is room for one only: the one that had the focus last.
    pub tab: AroundPart,
    /// Whether the focused pane fills the screen.
    pub open: bool,
    /// Its first line that is shown.
    pub top: usize,
}

impl Default for PartsView {
    fn default() -> Self {
        Self { tab: AroundPart::Registry, open: false, top: 0 }
    }
}

impl PartsView {
    /// The first of `height` lines to show of `all`: no more is scrolled than there is.
    pub fn first(&self, all: usize, height: usize) -> usize {
        self.top.min(all.saturating_sub(height))
    }

    pub(super) fn travel(&mut self, action: Action, all: usize, page: usize) {
        let at = self.first(all, page);
        let end = all.saturating_sub(page);
        let to = match action {
            Action::Up => at.saturating_sub(1),
            Action::Down => at + 1,
            Action::PageUp => at.saturating_sub(page.max(1)),
            Action::PageDown => at + page.max(1),
            Action::First => 0,
            _ => end,
        };
        self.top = to.min(end);
    }
}

/// Whether a part has a place on the screen: something is known of it, or said about why not. Of a recording that holds
/// nothing of it there is nothing to be said, and a pane would only take room.
pub fn is_shown(model: &Model, part: AroundPart) -> bool {
    let watching = model.watching();
    match part {
        AroundPart::Registry => watching.registry != WatchState::Off || model.registry().newest().is_some(),
        AroundPart::Nodes => {
            watching.builder != WatchState::Off
                || watching.cluster == WatchState::On
                || model.builder().snapshot().is_some()
                || model.cluster().snapshot().is_some()
        }
        AroundPart::Builder => watching.builder != WatchState::Off || model.builder().snapshot().is_some(),
    }
}

/// The parts that have a place on the screen.
pub fn shown(model: &Model) -> Vec<AroundPart> {
    AroundPart::ALL.into_iter().filter(|part| is_shown(model, *part)).collect()
}

/// The pane behind, or before, the one that has the focus.
pub(super) fn next(model: &Model, focus: Focus, back: bool) -> Focus {
    let mut order = vec![Focus::Stack, Focus::Log];
    order.extend(shown(model).into_iter().map(Focus::Part));
    let at = order.iter().position(|known| *known == focus).unwrap_or(0);
    let step = if back { order.len() - 1 } else { 1 };
    order.get((at + step) % order.len()).copied().unwrap_or_default()
}

/// Who has said something that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// A pod of the registry, by its name.
    Pod(Text),
    /// The container of a builder's node, by the node's name.
    Builder(Text),
}

impl LogSource {
    pub fn name(&self) -> &Text {
        match self {
            Self::Pod(name) | Self::Builder(name) => name,
        }
    }
}

/// The last words of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLogs {
    /// Whose.
    pub of: LogSource,
    pub answer: LogsAnswer,
    /// How many lines are below those that are shown: the last ones matter most.
    pub below: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogsAnswer {
    /// Nothing yet.
    Asked,
    /// These lines, oldest first.
    Lines(Vec<Line>),
    /// Why there are none.
    Failed(Text),
}

impl PartLogs {
    pub(super) fn pending(of: LogSource) -> Self {
        Self { of, answer: LogsAnswer::Asked, below: 0 }
    }

    pub(super) fn received(&mut self, answer: Result<Vec<Line>, Text>) {
        self.answer = match answer {
            Ok(mut lines) => {
                lines.drain(..lines.len().saturating_sub(MOST_LINES));
                LogsAnswer::Lines(lines)
            }
            Err(reason) => LogsAnswer::Failed(reason),
        };
    }

    pub(super) fn travel(&mut self, action: Action, page: usize) {
        let LogsAnswer::Lines(lines) = &self.answer else { return };
        let most = lines.len().saturating_sub(1);
        let below = match action {
            Action::Up => self.below + 1,
            Action::Down => self.below.saturating_sub(1),
            Action::PageUp => self.below + page.max(1),
            Action::PageDown => self.below.saturating_sub(page.max(1)),
            Action::First => most,
            _ => 0,
        };
        self.below = below.min(most);
    }
}

/// Whose last words the focused pane can show; those that are ill first.
pub fn log_sources(model: &Model, focus: Focus) -> Vec<LogSource> {
    let mut pods = Vec::new();
    if matches!(focus, Focus::Part(AroundPart::Registry | AroundPart::Nodes))
        && let Some(registry) = model.cluster().snapshot().and_then(|cluster| cluster.registry.as_ref())
    {
        let mut all: Vec<_> = registry.pods.iter().collect();
        all.sort_by_key(|pod| std::cmp::Reverse(pod.state));
        pods.extend(all.into_iter().map(|pod| LogSource::Pod(pod.name.clone())));
    }
    let mut nodes = Vec::new();
    if focus != Focus::Part(AroundPart::Registry)
        && let Some(builder) = model.builder().snapshot()
    {
        let mut all: Vec<_> = builder.nodes.iter().collect();
        all.sort_by_key(|node| std::cmp::Reverse(health::of_builder(node.state).0));
        // A node of the kubernetes driver is a pod.
        let pods = builder.driver.as_str() == "kubernetes";
        nodes.extend(all.into_iter().map(|node| match &node.container {
            Some(container) if pods => LogSource::Pod(container.name.clone()),
            _ => LogSource::Builder(node.name.clone()),
        }));
    }
    nodes.extend(pods);
    nodes
}
