//! How long a full frame takes at 200×60 with 200 steps, and what an unchanged one costs; and one with large panes.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]
#![expect(dead_code, reason = "what is shared with the other measurements is not all needed here")]

mod measure;
#[path = "../tests/scenes/mod.rs"]
mod scenes;

use std::hint::black_box;
use std::time::Duration;

use layertop::event::{
    Digest, Event, Line, LogChunk, Platform, Stamped, Started, StatusUpdate, Stream, Text, Time, VertexUpdate,
};
use layertop::model::Model;
use layertop::report::health::AroundPart;
use layertop::ui::theme::Theme;
use layertop::ui::{Focus, UiState};
use layertop::view::Screen;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

const AREA: Rect = Rect::new(0, 0, 200, 60);
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const STEPS: u16 = 100;
const LINES: usize = 5_000;
const FRAMES: usize = 1_000;

fn main() {
    if !measure::asked() {
        return;
    }
    let model = model();
    let mut ui = UiState::new(Theme::default());
    ui.sync(&model);
    let now = model.newest().plus(Duration::from_secs(1));
    let screen = Screen::new(&model, &ui, now);

    let empty = Buffer::empty(AREA);
    let mut frame = Buffer::empty(AREA);
    let rendered = times(|| {
        frame.reset();
        (&screen).render(AREA, &mut frame);
    });
    let changed = times(|| {
        black_box(empty.diff(black_box(&frame)));
    });
    let mut bytes = Vec::new();
    let encoded = times(|| {
        bytes.clear();
        let cells = empty.diff(&frame);
        CrosstermBackend::new(&mut bytes).draw(cells.into_iter()).expect("memory takes all bytes");
    });
    let mut again = Buffer::empty(AREA);
    (&screen).render(AREA, &mut again);

    println!("a full frame at 200×60, {} steps, {LINES} log lines", 2 * STEPS);
    println!("  render                        {:>8.3} ms", millis(rendered));
    println!("  render + diff                 {:>8.3} ms   (target ≤ 2 ms)", millis(rendered + changed));
    println!(
        "  render + diff + bytes         {:>8.3} ms   {} bytes",
        millis(rendered + encoded),
        bytes.len()
    );
    println!("  cells of an unchanged frame   {:>8}      (target 0)", frame.diff(&again).len());
    panes(model, now);
}

/// What is around the build, as large as it may be: in all panes, then each in full.
fn panes(mut model: Model, now: Time) {
    model.apply_all(&scenes::health::history(now, scenes::health::scene("huge")));
    println!("the same with 500 nodes, 5000 pods, 2000 tags and 20000 records   (target ≤ 5 ms)");
    let mut frame = Buffer::empty(AREA);
    for (name, focus, open) in [
        ("side by side", Focus::Stack, false),
        ("the registry in full", Focus::Part(AroundPart::Registry), true),
        ("the nodes in full", Focus::Part(AroundPart::Nodes), true),
        ("the builder in full", Focus::Part(AroundPart::Builder), true),
    ] {
        let mut ui = UiState::new(Theme::default());
        ui.sync(&model);
        (ui.focus, ui.parts.open) = (focus, open);
        let screen = Screen::new(&model, &ui, now);
        let rendered = times(|| {
            frame.reset();
            (&screen).render(AREA, &mut frame);
        });
        println!("  {name:<28}  {:>8.3} ms", millis(rendered));
    }
}

/// Mean time of one of many.
fn times(mut work: impl FnMut()) -> Duration {
    let before = measure::busy();
    (0..FRAMES).for_each(|_| work());
    measure::busy().saturating_sub(before) / FRAMES as u32
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A build in full swing: hits, misses with pulls, two running steps that talk, and many that wait.
fn model() -> Model {
    let mut events = vec![Event::Started(Started {
        image: Some("127.0.0.1:5000/montage-ai:latest".into()),
        builder: Some("multiarch-builder".into()),
        platforms: PLATFORMS.iter().filter_map(|platform| Platform::parse(platform)).collect(),
        ..Started::default()
    })];
    for (number, platform) in PLATFORMS.iter().enumerate() {
        for step in 1..=STEPS {
            events.extend(vertex(number, platform, step));
        }
    }
    let lines = |from: usize| {
        (from..from + 50).map(|n| {
            Line::plain(&format!("Get:{n} http://deb.debian.org bookworm/main package-{n} [{n} kB]"))
        })
    };
    for (number, from) in (0..LINES).step_by(50).enumerate() {
        events.push(Event::Log(LogChunk {
            vertex: digest(number % 2, STEPS / 2),
            stream: Stream::Stdout,
            timestamp: second(200),
            lines: lines(from).collect(),
            partial: None,
            left_out: 0,
        }));
    }
    let mut model = Model::default();
    let stamped = |event| Stamped { at: second(200), event };
    model.apply_all(&events.into_iter().map(stamped).collect::<Vec<_>>());
    model
}

fn vertex(number: usize, platform: &str, step: u16) -> Vec<Event> {
    let begun = step <= STEPS / 2;
    let done = step < STEPS / 2;
    let start = second(i64::from(step));
    let update = VertexUpdate {
        digest: digest(number, step),
        name: Text::clean(&format!(
            "[{platform} stage-1 {step:>3}/{STEPS}] RUN apt-get install -y package-{step} && make -j"
        )),
        inputs: if step > 1 { vec![digest(number, step - 1)] } else { Vec::new() },
        started: begun.then_some(start),
        completed: done.then_some(second(i64::from(step) + 1)),
        cached: done && !step.is_multiple_of(3),
        error: None,
        group: None,
    };
    let mut events = vec![Event::Vertex(update)];
    if done && step.is_multiple_of(3) {
        events.push(Event::Status(StatusUpdate {
            vertex: digest(number, step),
            id: Text::clean(&digest(number, step).to_string()),
            current: 1_000_000 * u64::from(step),
            total: 1_000_000 * u64::from(step),
            timestamp: start,
            started: Some(start),
            completed: Some(start),
        }));
    }
    events
}

fn digest(number: usize, step: u16) -> Digest {
    Digest::parse(&format!("sha256:{:064x}", (number + 1) * 1_000 + usize::from(step)))
}

fn second(n: i64) -> Time {
    Time::from_micros(1_790_000_000_000_000 + n * 1_000_000)
}
