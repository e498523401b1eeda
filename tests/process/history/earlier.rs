//! Earlier builds out of the store are those that their recordings tell.

use std::path::Path;

use layertop::event::Text;
use layertop::explain::{Past, judge};
use layertop::history::{PastQuery, StoredBuild, earlier, name, read};
use layertop::model::Model;

use super::open;

/// The recorded builds around which the builder's records were listed, and those of the demo.
fn recorded() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for dir in ["tests/recordings/sources", "assets/demo"] {
        let files = std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path());
        found.extend(files.filter(|path| path.to_string_lossy().contains(".jsonl")));
    }
    found.sort();
    found
}

fn whole(path: &Path) -> Model {
    read(path, &|_| true).unwrap().unwrap()
}

fn text(past: &Past) -> String {
    format!("{past:#?}")
}

#[test]
fn the_store_tells_what_the_recording_tells() {
    let dir = tempfile::tempdir().unwrap();
    let mut prints = 0;
    for path in recorded() {
        let model = whole(&path);
        let mut store = open(&dir.path().join(format!("{}.db", name(&path)))).store;
        store.keep(&StoredBuild::of(&model, name(&path), Some(path.clone()))).unwrap().unwrap();
        let started = model.started().clone();
        let wanted = PastQuery {
            image: started.image,
            builder: started.builder,
            platforms: started.platforms,
            many: true,
        };
        let found = earlier(Some(&store), None, &wanted, None, &|| false);
        let [stored] = found.as_slice() else { panic!("{}: {found:?}", path.display()) };
        let mut told = Past::of(name(&path), &model);
        if let Some(print) = &mut told.fingerprint {
            print.work = layertop::event::fingerprint::FingerprintWork::default();
            prints += 1;
        }
        // The store has them in the Dockerfile's order.
        let mut stored = stored.clone();
        let place = |past: &mut Past| {
            past.steps.sort_by_key(|step| (step.stage.clone(), step.index, step.platform.clone()));
        };
        place(&mut told);
        place(&mut stored);
        assert_eq!(text(&stored), text(&told), "{}", path.display());
        assert_eq!(judge(&model, &[stored]), judge(&model, &[told]), "{}", path.display());
    }
    assert!(prints > 0, "some of them have fingerprints");
}

#[test]
fn a_build_that_the_store_knows_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let recordings = dir.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    let source = recorded().into_iter().find(|path| {
        let model = whole(path);
        model.started().image.is_some() && model.ended().is_some()
    });
    let source = source.unwrap();
    let model = whole(&source);
    let image = model.started().image.clone().unwrap();
    let slug = layertop::recording::name_of(model.begun().unwrap(), image.as_str());
    let slug = slug.rsplit_once('-').unwrap().0.split_once('-').unwrap().1;
    let at = |second: u32| recordings.join(format!("20261122T0945{second:02}Z-{slug}-1.jsonl.zst"));
    std::fs::copy(&source, at(1)).unwrap();
    std::fs::copy(&source, at(2)).unwrap();
    let started = model.started().clone();
    let wanted =
        PastQuery { image: started.image, builder: started.builder, platforms: Vec::new(), many: true };
    let names = |found: Vec<Past>| found.into_iter().map(|past| past.name).collect::<Vec<Text>>();
    let all = names(earlier(None, Some(&recordings), &wanted, None, &|| false));
    assert_eq!(all, [name(&at(2)), name(&at(1))]);
    // It says something else of one of them, so that it can be seen who has told.
    let mut store = open(&dir.path().join("history.db")).store;
    let mut kept = StoredBuild::of(&model, name(&at(2)), Some(at(2)));
    kept.past.record_bytes = 4711;
    kept.started = layertop::recording::begun(at(2).file_name().unwrap().to_str().unwrap()).unwrap();
    store.keep(&kept).unwrap().unwrap();
    let found = earlier(Some(&store), Some(&recordings), &wanted, None, &|| false);
    assert_eq!(found[0].record_bytes, 4711);
    assert_ne!(found[1].record_bytes, 4711);
    assert_eq!(names(found), all);
}
