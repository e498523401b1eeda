//! What is left of a header where there is little room: whole fields, for half a time is another time; and the columns of a bake.

use super::*;
use layertop::report::estimate::CacheSavings;
use layertop::report::words;

/// The header of a screen of ten lines.
fn header(shown: &mut Shown, width: u16) -> Vec<String> {
    shown.area = Rect::new(0, 0, width, 10);
    text(&shown.draw()).lines().take(2).map(str::to_owned).collect()
}

#[test]
fn the_header_has_whole_times_however_narrow_it_is() {
    let scene = Some(Scene { number: 2, of: 4, title: "code change" });
    let replay = ReplayStatus { paused: false, speed: "8x".to_owned(), scene };
    for name in ["code", "first", "nochange", "fail", "cancelled"] {
        for (share, replay) in
            [0.4, 0.8, 1.0].into_iter().flat_map(|share| [(share, None), (share, Some(replay.clone()))])
        {
            let mut shown = Shown::new(&scenes::after(name, &["first", "code"]), share);
            shown.ui.replay = replay;
            let wall = words::duration(shown.model.wall(shown.now));
            let saved = CacheSavings::of(&shown.model).and_then(CacheSavings::if_significant);
            for width in 20..120 {
                let lines = header(&mut shown, width);
                let told = |word: &str| lines[0].split_once(word).map(|(_, rest)| rest.to_owned());
                assert!(lines[0].contains(&wall), "{name} {share} {width}: {wall}: {lines:#?}");
                if let Some(rest) = told("saved ") {
                    let saved = saved.unwrap();
                    let whole = [saved.amount(false), saved.time_text(false)];
                    assert!(whole.contains(&rest), "{name} {share} {width}: {lines:#?}");
                }
                if let Some(rest) = told("≈ ") {
                    assert!(rest.ends_with(" left"), "{name} {share} {width}: {lines:#?}");
                }
            }
        }
    }
}

#[test]
fn a_bake_has_a_column_for_what_names_no_platform() {
    let mut shown = Shown::new(&scenes::recording("made/bake-platforms"), 1.0);
    in_all_sizes("bake_platforms", &mut shown, "");
    let drawn = text(&shown.draw());
    assert!(drawn.contains("no platform") && !drawn.contains("app app"), "{drawn}");
}
