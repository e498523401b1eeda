//! Draws named screens at several sizes: as SVG, and as PNG where `rsvg-convert` is installed. Those that are handed out go
//! to `assets/screens`, the others, and what is only to be looked at, to `target/screens`.
//!
//! ```text
//! cargo run --example screenshots             all of them
//! cargo run --example screenshots -- failure  those with that in their name
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool of the project itself: what fails ends it, and what it did is printed"
)]

#[path = "../tests/scenes/mod.rs"]
mod scenes;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use layertop::event::{Stamped, Text, Time};
use layertop::model::Model;
use layertop::report::compare::ComparedBuild;
use layertop::report::trends::Trends;
use layertop::ui::sheet::Baseline;
use layertop::ui::theme::Theme;
use layertop::ui::{Effect, PaneHeights, UiState};
use layertop::view::Screen;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use ratatui::widgets::Widget;
use scenes::health;
use unicode_width::UnicodeWidthStr;

const SIZES: [(u16, u16); 4] = [(80, 24), (100, 30), (120, 40), (200, 60)];

/// The screens whose PNG is kept in the project: the README shows them.
const SHOWN: [&str; 6] = [
    "mid-build-120x40",
    "requirements-120x40",
    "failure-120x40",
    "first-build-end-80x24",
    "around-120x40",
    "timeline-120x40",
];

/// The screens whose SVG is.
const KEPT: [&str; 10] = [
    "mid-build",
    "first-build-end",
    "requirements",
    "failure",
    "multistage",
    "help",
    "around",
    "builder",
    "timeline",
    "compare",
];

/// A build at a moment.
struct Scene {
    name: &'static str,
    events: Vec<Stamped>,
    /// How much of the build's time has passed, from 0 to 1.
    share: f64,
    keys: &'static str,
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let mut png = true;
    for folder in ["assets/screens", "target/screens"] {
        fs::create_dir_all(scenes::project(folder)).unwrap();
    }
    for scene in scenes() {
        let (model, now) = scenes::until(&scene.events, scene.share);
        for (width, height) in SIZES {
            let name = format!("{}-{width}x{height}", scene.name);
            if !name.contains(&wanted) {
                continue;
            }
            // A size that is only to be looked at.
            let kept = KEPT.contains(&scene.name) && width != 100;
            let folder = if kept { "assets/screens" } else { "target/screens" };
            let buffer = draw(&model, now, scene.keys, Rect::new(0, 0, width, height));
            let file = scenes::project(&format!("{folder}/{name}.svg"));
            fs::write(&file, svg(&buffer)).unwrap();
            png = png && convert(&file, &name);
            println!("{name}");
        }
    }
    if !png {
        println!("no PNG: install rsvg-convert (Debian: librsvg2-bin)");
    }
}

fn scenes() -> Vec<Scene> {
    let scene = |name, events, share, keys| Scene { name, events, share, keys };
    let first = demo("first").unwrap_or_else(|| scenes::montage("first"));
    let requirements = demo("requirements").unwrap_or_else(|| scenes::after("req", &["code", "first"]));
    let code = demo("code").unwrap_or_else(|| scenes::montage("code"));
    vec![
        scene("mid-build", first.clone(), 0.6, ""),
        scene("first-build-end", first.clone(), 1.0, ""),
        scene("requirements", requirements.clone(), 0.5, ""),
        scene("code-end", code, 1.0, ""),
        scene("failure", scenes::recording("fail-one-platform"), 1.0, ""),
        scene("multistage", scenes::recording("multistage"), 0.6, ""),
        scene("multistage-end", scenes::recording("multistage"), 1.0, ""),
        scene("registry-down", scenes::montage("registry-down"), 1.0, ""),
        scene("warnings", scenes::recording("warnings"), 1.0, ""),
        scene("cancelled", scenes::montage("cancelled"), 1.0, ""),
        scene("start", first.clone(), 0.001, ""),
        scene("timeline", requirements.clone(), 1.0, "t"),
        scene("compare", requirements.clone(), 1.0, "c"),
        scene("trends", requirements.clone(), 1.0, "T"),
        scene("selected", requirements, 1.0, "jkkkk"),
        scene("help", first.clone(), 0.6, "?"),
        scene("around", around(&first, 0.6, "well"), 0.6, ""),
        scene("around-registry-down", around(&first, 0.6, "registry_down"), 0.6, ""),
        scene("around-oom", around(&first, 0.6, "builder_oom"), 0.6, "4"),
        scene("around-cluster", around(&first, 0.6, "cluster"), 0.6, "3"),
        scene("around-cluster-ill", around(&first, 0.6, "cluster_ill"), 0.6, "3"),
        scene("around-dead-node", around(&first, 0.6, "one_node_dead"), 0.6, "4"),
        scene("around-slow", around(&first, 0.6, "registry_slow"), 0.6, ""),
        scene("around-cache-too-large", around(&first, 0.6, "cache_too_large"), 0.6, "2"),
        scene("around-first", around(&first, 0.6, "no_cache_yet"), 0.6, ""),
        scene("around-no-builder", around(&first, 0.6, "builder_gone"), 0.6, "4"),
        scene("registry", around(&first, 0.6, "well"), 0.6, "2\n"),
        scene("registry-ill", around(&first, 0.6, "cluster_ill"), 0.6, "2\n"),
        scene("nodes", around(&first, 0.6, "cluster_ill"), 0.6, "3\n"),
        scene("nodes-many", around(&first, 0.6, "huge"), 0.6, "3\n"),
        scene("builder", around(&first, 0.6, "well"), 0.6, "4\n"),
    ]
}

/// The build at a moment, with what was around it.
fn around(events: &[Stamped], share: f64, last: &str) -> Vec<Stamped> {
    let (_, now) = scenes::until(events, share);
    let known: Vec<Stamped> = events.iter().take_while(|event| event.at <= now).cloned().collect();
    let rest = events.iter().skip(known.len()).cloned();
    // What was before the build comes first: moments are told by the first event.
    let all =
        known.into_iter().chain(health::history(now, health::scene(last))).chain(rest).collect::<Vec<_>>();
    let first = events.first().map(|event| event.at).unwrap_or_default();
    all.into_iter().map(|event| Stamped { at: event.at.max(first), ..event }).collect()
}

/// A recording of the demo, where it was made already.
fn demo(name: &str) -> Option<Vec<Stamped>> {
    let path = scenes::project(&format!("assets/demo/{name}.jsonl.zst"));
    let made = fs::metadata(&path).is_ok_and(|file| file.len() > 0);
    made.then(|| scenes::read(&path))
}

fn draw(model: &Model, now: Time, keys: &str, area: Rect) -> Buffer {
    let mut ui = UiState::new(Theme::default());
    ui.sync(model);
    for key in keys.chars() {
        let pages: PaneHeights = Screen::new(model, &ui, now).pages(area);
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        match ui.handle(&Input::Key(key), model, pages) {
            Some(Effect::Compare(wanted)) => ui.compared(&wanted, Ok(before())),
            Some(Effect::Trends { image, .. }) => ui.trends_received(Ok(trends(image))),
            _ => {}
        }
    }
    let mut buffer = Buffer::empty(area);
    (&Screen::new(model, &ui, now)).render(area, &mut buffer);
    buffer
}

/// The build that others are put beside: the demo's change of the code.
fn before() -> Baseline {
    let (model, now) = scenes::until(&demo("code").unwrap_or_else(|| scenes::montage("code")), 1.0);
    Baseline {
        a: ComparedBuild::of_model("a file in src/ changed".into(), &model, now),
        b: None,
        back: 0,
        of: 2,
    }
}

/// How long the layers ran in the demo's builds.
fn trends(image: Option<Text>) -> Trends {
    let builds = ["first", "code", "requirements", "unchanged"].map(|name| demo(name).unwrap_or_default());
    let models = builds.map(|events| scenes::until(&events, 1.0).0);
    let asked = models.iter().map(Model::newest).max().unwrap_or_default();
    Trends { image, layers: layertop::history::layer_runs(&models), asked }
}

/// Makes a PNG of it; whether that could be done.
fn convert(svg: &Path, name: &str) -> bool {
    // What nobody shows is looked at and thrown away.
    let folder = scenes::project(if SHOWN.contains(&name) { "assets/screens" } else { "target/screens" });
    fs::create_dir_all(&folder).unwrap();
    let png = folder.join(format!("{name}.png"));
    let made = Command::new("rsvg-convert").arg("-o").arg(&png).arg(svg).status();
    if !made.is_ok_and(|status| status.success()) {
        return false;
    }
    // A screen has few colours: where pngquant is installed, the file becomes a third.
    let smaller = ["--force", "--skip-if-larger", "--strip", "--ext", ".png", "64"];
    drop(Command::new("pngquant").args(smaller).arg(&png).status());
    true
}

/// Size of a cell, and room around the screen, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);
const EDGE: f64 = 12.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d6d9e0";

/// The sixteen colours of a calm dark palette.
const PALETTE: [&str; 16] = [
    "#23262e", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#6b7280",
    "#ff7b86", "#b5e08f", "#ffd68a", "#82c4ff", "#dd9cf2", "#78d4de", "#ffffff",
];

/// The buffer as a picture: a rectangle a run of background, a text a run of style, and each run at its place, so that
/// no font can shift what follows.
fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * CELL.0 + 2.0 * EDGE, f64::from(area.height) * CELL.1 + 2.0 * EDGE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"13.94px\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let look = Look::of(&buffer[(x, y)]);
            let start = x;
            let mut text = String::new();
            while x < area.width && Look::of(&buffer[(x, y)]) == look {
                let symbol = buffer[(x, y)].symbol();
                let wide = symbol.width().max(1) as u16;
                text.push_str(symbol);
                x += wide;
                if wide > 1 {
                    break;
                }
            }
            run(&mut out, &look, &text, (start, x - start, y));
        }
    }
    out.push_str("</svg>\n");
    out
}

/// How a cell looks.
#[derive(PartialEq, Eq)]
struct Look {
    fg: String,
    bg: String,
    modifier: Modifier,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (mut fg, mut bg) = (color(cell.fg, FOREGROUND), color(cell.bg, BACKGROUND));
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut fg, &mut bg);
        }
        Self { fg, bg, modifier: cell.modifier.difference(Modifier::REVERSED) }
    }
}

fn run(out: &mut String, look: &Look, text: &str, (x, width, y): (u16, u16, u16)) {
    let (left, top) = (EDGE + f64::from(x) * CELL.0, EDGE + f64::from(y) * CELL.1);
    let wide = f64::from(width) * CELL.0;
    if look.bg != BACKGROUND {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{}\"/>",
            CELL.1, look.bg
        );
    }
    let shown = text.trim_end();
    if shown.trim().is_empty() {
        return;
    }
    let mut style = String::new();
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::DIM, " opacity=\"0.6\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        if look.modifier.contains(modifier) {
            style.push_str(attribute);
        }
    }
    let length = shown.width() as f64 * CELL.0;
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{}\" textLength=\"{length:.1}\" xml:space=\"preserve\"{style}>{}</text>",
        top + 13.5,
        look.fg,
        escaped(shown)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn color(color: Color, default: &str) -> String {
    let named = match color {
        Color::Reset => return default.to_owned(),
        Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(n) => return indexed(n),
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    PALETTE[named].to_owned()
}

/// xterm's 256 colours: the palette, a cube of six levels, and a ramp of greys.
fn indexed(n: u8) -> String {
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match n {
        0..16 => PALETTE[usize::from(n)].to_owned(),
        16..232 => {
            let n = n - 16;
            format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        _ => {
            let grey = 8 + 10 * (n - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}
