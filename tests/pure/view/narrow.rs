//! The columns of a bake.

use super::*;

#[test]
fn a_bake_has_a_column_for_what_names_no_platform() {
    let mut shown = Shown::new(&scenes::recording("made/bake-platforms"), 1.0);
    in_all_sizes("bake_platforms", &mut shown, "");
    let drawn = text(&shown.draw());
    assert!(drawn.contains("no platform") && !drawn.contains("app app"), "{drawn}");
}
