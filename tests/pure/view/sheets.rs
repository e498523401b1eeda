//! What fills the screen and is asked for: two builds side by side, how long layers ran.

use std::time::Duration;

use super::*;
use layertop::event::Text;
use layertop::history::rows::LayerRuns;
use layertop::report::compare::ComparedBuild;
use layertop::report::trends::Trends;
use layertop::ui::Overlay;
use layertop::ui::sheet::{Baseline, BaselineQuery};

fn side(name: &str, recording: &str) -> ComparedBuild {
    let (model, now) = scenes::until(&scenes::after(recording, &EARLIER), 1.0);
    ComparedBuild::of_model(name.into(), &model, now)
}

/// Presses keys; whatever is asked for is answered: the build before is one of the code, any older one the first.
fn press(shown: &mut Shown, keys: &str) {
    for key in keys.chars() {
        for effect in shown.press(&key.to_string()) {
            let Effect::Compare(wanted) = effect else {
                answer(shown, Some(effect));
                continue;
            };
            let a = if wanted.back == 0 {
                side("20261121T173012Z-montage-ai", "code")
            } else {
                side("20261121T094500Z-montage-ai", "first")
            };
            shown.ui.compared(&wanted, Ok(Baseline { a, b: None, back: wanted.back, of: 2 }));
        }
    }
}

/// Gives the screen what it asked for.
pub(crate) fn answer(shown: &mut Shown, effect: Option<Effect>) {
    static BEFORE: LazyLock<Baseline> =
        LazyLock::new(|| Baseline { a: side("an earlier one", "first"), b: None, back: 0, of: 3 });
    match effect {
        Some(Effect::Compare(wanted)) => shown.ui.compared(&wanted, Ok(BEFORE.clone())),
        Some(Effect::Trends { image, .. }) => shown.ui.trends_received(Ok(trends(image))),
        _ => {}
    }
}

/// One layer became slower, one quicker, the others are as they were.
fn trends(image: Option<Text>) -> Trends {
    let image = image.map(|image| image.as_str().trim_end_matches(":latest").into());
    let day = Duration::from_secs(24 * 3600);
    let begun = Time::from_micros(1_795_000_000_000_000);
    let layer = |name: &str, platform: &str, seconds: &[f64]| LayerRuns {
        layer: name.into(),
        platform: layertop::event::Platform::parse(platform),
        builder: Some("multiarch-builder".into()),
        runs: (0u32..)
            .zip(seconds)
            .map(|(at, took)| (begun.plus(day * at), Duration::from_secs_f64(*took)))
            .collect(),
    };
    let slower = [130.0, 131.0, 128.0, 133.0, 130.0, 129.0, 220.0, 222.0, 219.0];
    let quicker = [60.0, 61.0, 62.0, 60.0, 30.0, 31.0, 30.0];
    let layers = vec![
        layer("conda", "linux/amd64", &[300.0, 290.0, 310.0, 305.0]),
        layer("pip", "linux/amd64", &slower),
        layer("pip", "linux/arm64", &slower.map(|took| took * 3.0)),
        layer("node", "linux/amd64", &quicker),
        layer("RUN --mount=type=cache,target=/root/.cache make -j 8 all install", "linux/amd64", &[4.0]),
    ];
    Trends { image, layers, asked: begun.plus(day * 10) }
}

#[rstest]
#[case::ended("ended", "req", 1.0, "c")]
#[case::running("running", "req", 0.5, "c")]
#[case::older("older", "req", 1.0, "ch")]
fn a_build_beside_an_earlier_one(
    #[case] name: &str,
    #[case] recording: &str,
    #[case] share: f64,
    #[case] keys: &str,
) {
    let mut shown = Shown::new(&scenes::after(recording, &EARLIER), share);
    press(&mut shown, keys);
    in_all_sizes(&format!("compare_{name}"), &mut shown, "");
}

#[test]
fn layers_from_build_to_build() {
    let mut shown = Shown::new(&scenes::after("req", &EARLIER), 1.0);
    press(&mut shown, "T");
    in_all_sizes("trends", &mut shown, "");
    shown.area = Rect::new(0, 0, 80, 24);
    check("trends_look", &styled(&shown.draw()));
    shown.ui.theme = Theme { color: false, ascii: true };
    let drawn = text(&shown.draw());
    assert!(drawn.is_ascii(), "{drawn}");
    check("trends_ascii", &drawn);
}

#[test]
fn looks_of_a_comparison() {
    let mut shown = Shown::new(&scenes::after("req", &EARLIER), 1.0);
    press(&mut shown, "c");
    check("compare_look", &styled(&shown.draw()));
    shown.ui.theme = Theme { color: false, ascii: true };
    let drawn = text(&shown.draw());
    assert!(drawn.is_ascii(), "{drawn}");
    check("compare_ascii", &drawn);
}

/// What was asked for is shown when it comes, unless something else is asked for by then.
#[test]
fn only_what_is_wanted_is_shown() {
    let mut shown = Shown::new(&scenes::after("req", &EARLIER), 1.0);
    let asked = shown.press("c");
    let [Effect::Compare(first)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((first.back, first.begun), (0, shown.model.begun()));
    assert!(text(&shown.draw()).contains("looking for the build before"));
    let told = |name: &str, back: usize| Ok(Baseline { a: side(name, "code"), b: None, back, of: 2 });
    shown.ui.compared(first, told("the one before", 0));
    assert!(text(&shown.draw()).contains("the one before"));
    // The older one is asked for; what is there stays until it comes, and is called what it is.
    let asked = shown.press("h");
    let [Effect::Compare(second)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(second.back, 1);
    shown.ui.compared(first, told("too late", 0));
    let drawn = text(&shown.draw());
    assert!(drawn.contains("the one before") && !drawn.contains("too late"), "{drawn}");
    assert!(drawn.contains("earlier build 1 of 2"), "{drawn}");
    shown.ui.compared(second, told("an older one", 1));
    assert!(text(&shown.draw()).contains("an older one"));
    // There is none that is older still, and it is said.
    assert_eq!(shown.press("h"), []);
    assert!(text(&shown.draw()).contains("there is no older build"), "{}", text(&shown.draw()));
    assert!(matches!(shown.press("l").as_slice(), [Effect::Compare(BaselineQuery { back: 0, .. })]));
    shown.press("c");
    assert!(matches!(shown.ui.overlay, Overlay::None));
}

#[test]
fn why_there_is_nothing_to_compare_is_said() {
    let mut shown = Shown::new(&scenes::montage("first"), 1.0);
    let asked = shown.press("c");
    let [Effect::Compare(wanted)] = asked.as_slice() else { panic!("{asked:?}") };
    let why = "no earlier build of 10.43.17.166:5000/montage-ai:latest is known here to compare with";
    shown.ui.compared(wanted, Err(why.into()));
    in_all_sizes("compare_nothing", &mut shown, "");
    let mut unborn = Shown::new(&[], 0.0);
    assert_eq!(unborn.press("c"), [], "nothing has begun");
}

/// Past the end of a window one is at its end, and one line up is one line up.
#[test]
fn windows_scroll_to_their_end_and_no_further() {
    let mut shown = Shown::new(&scenes::montage("first"), 0.5);
    shown.press("?<end>");
    let end = text(&shown.draw());
    shown.press("<pgdn><pgdn><pgdn><down>");
    assert_eq!(text(&shown.draw()), end);
    shown.press("<up>");
    assert_ne!(text(&shown.draw()), end);
}
