//! The header: what is built and where, how far it is, what is happening now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::{Screen, parts, planned};
use crate::event::ImageReference;
use crate::model::{Counts, Outcome, State, Vertex, VertexKind};
use crate::report::estimate::{self, CacheSavings};
use crate::report::words::{self, Role, Sign};

/// Columns that the image keeps, with the gap behind it, where something can be said in fewer words.
const LEAST_IMAGE: usize = 12;

/// Columns of what stands behind the image, with what divides them, where it is worth them.
const LEAST_REST: usize = 8;

/// Columns of the name of a step that runs.
const MOST_NAME: usize = 24;
const LEAST_NAME: usize = 8;

/// Columns of what stands behind it: ` arm64/v8 1:02:03 …`.
const RUNNING_ROOM: usize = 20;

pub(super) fn render(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let line = |n: u16| Rect { x: area.x + 1, y: area.y + n, width: area.width.saturating_sub(2), height: 1 };
    what(screen, line(0), buf);
    if screen.model.is_plan() {
        return planned::header(screen, line(1), (area.height > 2).then(|| line(2)), buf);
    }
    let counts = screen.model.counts();
    progress(screen, &counts, line(1), buf);
    if area.height > 2 {
        now(screen, line(2), buf);
    }
}

/// What is left where there is no room for panes.
pub(super) fn small(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let first = Rect { height: 1, ..area };
    let counts = screen.model.counts();
    let look = Sign::of_outcome(screen.model.outcome());
    let theme = screen.ui.theme;
    let (shape, word) = (look.shape(theme.ascii), look.word);
    let wall = words::duration(screen.model.wall(screen.now));
    let texts = [
        format!("{shape} {word} {}/{} {wall}", counts.done(), counts.total),
        format!("{shape} {word} {wall}"),
        format!("{shape} {wall}"),
        shape.to_owned(),
    ];
    let text = fitting(&texts, usize::from(area.width)).unwrap_or_default();
    Line::from(Span::styled(text, theme.style(look.role))).render(first, buf);
    if area.height > 1 {
        now(screen, Rect { y: area.y + 1, ..first }, buf);
    }
    if area.height > 2 {
        parts::brief(screen, Rect { y: area.y + 2, ..first }, buf);
    }
}

fn what(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let theme = screen.ui.theme;
    let started = screen.model.started();
    let width = usize::from(area.width);
    let ends = right_ends(screen);
    let right = fitting(&ends, width.saturating_sub(LEAST_IMAGE))
        .or_else(|| fitting(&ends, width))
        .unwrap_or_default();
    let room = usize::from(area.width).saturating_sub(words::width(right) + 2);
    let image = started.image.as_ref().or(started.title.as_ref());
    let image = image.map_or("build", crate::event::Text::as_str);
    // Of two parts the name says more than the registry that it lies in.
    let image = if words::width(image) <= room { image } else { without_host(image) };
    let mut rest = String::new();
    for part in [started.title.as_ref().filter(|_| started.image.is_some()), started.builder.as_ref()]
        .into_iter()
        .flatten()
    {
        rest.push_str(" · ");
        rest.push_str(part.as_str());
    }
    let image = words::truncate(image, room);
    let left = room.saturating_sub(words::width(&image));
    // A mark alone would look as if the image was cut.
    let rest = if left < LEAST_REST { String::new() } else { words::truncate(&rest, left) };
    Line::from(vec![
        Span::styled(image.clone(), theme.style(Role::Strong)),
        Span::styled(rest, theme.style(Role::Dim)),
    ])
    .render(area, buf);
    let x = area.right().saturating_sub(words::width(right) as u16);
    buf.set_string(x.max(area.x), area.y, right, theme.style(Role::Plain));
}

/// A reference without its registry.
fn without_host(image: &str) -> &str {
    let host = ImageReference::parse(image).host;
    host.and_then(|host| image.strip_prefix(host)?.strip_prefix('/')).unwrap_or(image)
}

/// The first of these that fits, from the one that says most to the one that says least: half a time is another time.
fn fitting(texts: &[String], columns: usize) -> Option<&str> {
    texts.iter().map(String::as_str).find(|text| words::width(text) <= columns)
}

/// The replay's state and the clock, in more words and in fewer.
fn right_ends(screen: &Screen<'_>) -> Vec<String> {
    let theme = screen.ui.theme;
    let wall = words::duration(screen.model.wall(screen.now));
    let times = time_left(screen);
    let timed = |text: &str| -> Vec<String> {
        let none = times.is_empty().then(|| text.to_owned());
        times.iter().map(|time| format!("{text}  {time}")).chain(none).collect()
    };
    match &screen.ui.replay {
        Some(replay) => {
            let state = match (replay.paused, screen.model.outcome()) {
                (true, _) => theme.pick("‖ paused", "|| paused").to_owned(),
                (false, Outcome::Running) => format!("{} {}", theme.pick("▶", ">"), replay.speed),
                (false, _) => theme.pick("■ end", "# end").to_owned(),
            };
            let whole = format!("{state} · {wall}");
            let scene = replay.scene.map(|s| format!("{}/{} {} · {whole}", s.number, s.of, s.title));
            let mut ends = scene.as_deref().map(timed).unwrap_or_default();
            ends.extend(timed(&whole));
            ends.extend([whole, wall]);
            ends
        }
        None if screen.ui.dashboard => vec![last_build(screen)],
        None => {
            let whole = format!("{wall} elapsed");
            let mut ends = timed(&whole);
            ends.extend(timed(&wall));
            ends.extend([whole, wall]);
            ends
        }
    }
}

/// How long it still takes; at the end, what the cache saved. In more words and in fewer.
fn time_left(screen: &Screen<'_>) -> Vec<String> {
    let ascii = screen.ui.theme.ascii;
    if screen.model.outcome() == Outcome::Running {
        let left = screen.estimate().left;
        return left.map(|left| format!("{} left", estimate::left(left, ascii))).into_iter().collect();
    }
    let Some(saved) = CacheSavings::of(screen.model).and_then(CacheSavings::if_significant) else {
        return Vec::new();
    };
    let time = format!("saved {}", saved.time_text(ascii));
    saved.text(ascii).into_iter().chain([time]).collect()
}

/// What the dashboard shows: the last build, or what would be built.
fn last_build(screen: &Screen<'_>) -> String {
    let model = screen.model;
    let last = match model.last_build() {
        Some(last) => Some((last.ended, last.exit_code)),
        None => model.ended().map(|ended| (ended, model.exit_code())),
    };
    let Some((ended, code)) = last else {
        // Until it is planned it is not known either.
        let known = !model.is_plan() || model.is_planned();
        return if known { "not built yet".to_owned() } else { String::new() };
    };
    let failed = if code.is_some_and(|code| code != 0) { " failed" } else { "" };
    match words::age(screen.now.since(ended)).as_str() {
        "now" => format!("last build{failed}, just now"),
        age => format!("last build{failed}, {age} ago"),
    }
}

fn progress(screen: &Screen<'_>, counts: &Counts, area: Rect, buf: &mut Buffer) {
    if counts.total == 0 {
        return;
    }
    bar(screen, counts, Rect { width: gauge(area), ..area }, buf);
    beside(parts(screen, counts), area, buf);
}

/// The bar's width: of one width whatever the counts are, so that nothing jumps.
pub(super) fn gauge(area: Rect) -> u16 {
    if area.width >= 100 { area.width / 3 } else { area.width / 8 }
}

/// What is said beside the bar, as far as there is room.
pub(super) fn beside(parts: Vec<Span<'_>>, area: Rect, buf: &mut Buffer) {
    let gauge = gauge(area);
    let mut rest = Rect { x: area.x + gauge + 2, width: area.width.saturating_sub(gauge + 2), ..area };
    for part in parts {
        let width = part.width() as u16;
        if width > rest.width {
            break;
        }
        part.render(Rect { width, ..rest }, buf);
        rest.x += width + 2;
        rest.width = rest.width.saturating_sub(width + 2);
    }
}

/// How many steps are in which state; what matters less stands later.
fn parts(screen: &Screen<'_>, counts: &Counts) -> Vec<Span<'static>> {
    let theme = screen.ui.theme;
    let mut parts =
        vec![Span::styled(format!("{} of {}", counts.done(), counts.total), theme.style(Role::Strong))];
    for (sign, n) in Sign::counted(counts) {
        let text = format!("{} {n} {}", sign.shape(theme.ascii), sign.word);
        parts.push(Span::styled(text, theme.style(sign.role)));
    }
    parts
}

/// A bar of what the steps became: hits, then misses, then what runs.
fn bar(screen: &Screen<'_>, counts: &Counts, area: Rect, buf: &mut Buffer) {
    if area.width == 0 || counts.total == 0 {
        return;
    }
    let theme = screen.ui.theme;
    let parts = [
        (counts.of(State::Hit), Role::Good, theme.pick("━", "=")),
        (counts.of(State::Miss), Role::Ran, theme.pick("━", "#")),
        (counts.of(State::Failed) + counts.of(State::Cancelled), Role::Bad, theme.pick("━", "x")),
        (counts.of(State::NotNeeded) + counts.of(State::NotReached), Role::Dim, theme.pick("━", "-")),
    ];
    shares(screen, parts, counts.total, area, buf);
}

/// A bar of shares of a whole, each with its own look; what is left is dim.
pub(super) fn shares<const N: usize>(
    screen: &Screen<'_>,
    parts: [(usize, Role, &str); N],
    total: usize,
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = screen.ui.theme;
    let width = usize::from(area.width);
    let (mut steps, mut x) = (0, 0);
    let mut fill = |until: usize, symbol: &str, style: Style| {
        let end = until * width / total.max(1);
        buf.set_string(area.x + x as u16, area.y, symbol.repeat(end.saturating_sub(x)), style);
        x = end.max(x);
    };
    for (n, role, symbol) in parts {
        steps += n;
        fill(steps, symbol, theme.style(role));
    }
    fill(total, theme.pick("─", "."), theme.style(Role::Dim));
}

/// What is happening now; at the end, how it ended.
fn now(screen: &Screen<'_>, area: Rect, buf: &mut Buffer) {
    let (model, theme) = (screen.model, screen.ui.theme);
    let width = usize::from(area.width);
    if let Some(message) = &screen.ui.message {
        buf.set_string(area.x, area.y, words::truncate(message, width), theme.style(Role::Busy));
        return;
    }
    let outcome = model.outcome();
    if screen.ui.dashboard && outcome == Outcome::Running {
        let text = "nothing is built here yet; layertop build builds it";
        buf.set_string(area.x, area.y, words::truncate(text, width), theme.style(Role::Dim));
        return;
    }
    if outcome != Outcome::Running {
        let look = Sign::of_outcome(outcome);
        let text = format!("{} {}", look.shape(theme.ascii), ending(screen));
        buf.set_string(area.x, area.y, words::cut_fields(&text, width, theme.ascii), theme.style(look.role));
        return;
    }
    let mut parts = Vec::new();
    if model.cancelling() > 0 {
        let how = ["cancelling", "pressing buildx to stop", "killing buildx"];
        parts.push(how[(model.cancelling() as usize - 1).min(2)].to_owned());
    }
    // The shape stands before it.
    parts.extend(running(screen, width.saturating_sub(2)));
    parts.extend(moving(screen));
    if parts.is_empty() {
        parts.push(idle(screen));
    }
    let shape = theme.pick("◐", "~");
    let text = format!("{shape} {}", parts.join(" · "));
    let role = if model.cancelling() > 0 { Role::Warn } else { Role::Busy };
    buf.set_string(area.x, area.y, words::cut_fields(&text, width, theme.ascii), theme.style(role));
}

fn ending(screen: &Screen<'_>) -> String {
    let model = screen.model;
    let wall = words::duration(model.wall(screen.now));
    let word = Sign::of_outcome(model.outcome()).word;
    match model.exit_code() {
        Some(0) => format!("{word} in {wall}"),
        Some(code) => format!("{word} after {wall} (exit code {code})"),
        None => format!("{word} after {wall}"),
    }
}

/// The steps that run: layer, platform, since when. Of so many columns a name leaves room for a time and a mark behind it.
fn running(screen: &Screen<'_>, columns: usize) -> Vec<String> {
    let (model, now) = (screen.model, screen.now);
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for (id, step) in model.stack().steps().filter(|(id, _)| model.state(*id) == State::Running) {
        let layer = model.stack().row_of(id).and_then(|row| row.layer.clone());
        let what = layer.unwrap_or_else(|| step.name.instruction.clone()).to_string();
        let room = columns.saturating_sub(RUNNING_ROOM).clamp(LEAST_NAME, MOST_NAME);
        let what = words::truncate(&what, room);
        let on = step.platform.as_ref().map_or("", |p| p.short());
        let since = words::duration(model.took(id, now));
        let where_when = format!("{on} {since}").trim().to_owned();
        match parts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, places)) => places.push(where_when),
            None => parts.push((what, vec![where_when])),
        }
    }
    parts.into_iter().map(|(what, places)| format!("{what} {}", places.join(", "))).collect()
}

/// What moves bytes.
fn moving(screen: &Screen<'_>) -> Vec<String> {
    let activities = screen.model.activities();
    let text = |a: &crate::model::Activity| {
        let count = if a.count > 1 { format!(" {}", a.count) } else { String::new() };
        match a.total {
            0 if a.current == 0 => format!("{}{count}", a.verb),
            0 => format!("{}{count} {}", a.verb, words::bytes(a.current)),
            total => format!("{}{count} {} of {}", a.verb, words::bytes(a.current), words::bytes(total)),
        }
    };
    activities.iter().map(text).collect()
}

/// What goes on where no step runs and nothing moves.
fn idle(screen: &Screen<'_>) -> String {
    let open = |v: &&Vertex| {
        matches!(v.phase(), crate::model::Phase::Running(_)) && !matches!(v.kind, VertexKind::Step(_))
    };
    let vertices: Vec<&Vertex> = screen.model.vertices().map(|(_, v)| v).filter(open).collect();
    match vertices.last() {
        Some(vertex) => vertex.name.to_string(),
        None if screen.model.vertices().next().is_none() => "waiting for the builder".to_owned(),
        None => "waiting".to_owned(),
    }
}
