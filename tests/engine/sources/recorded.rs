//! Builds that were recorded on the test engine, each kind once: `tests/recordings/sources`.

use std::path::Path;
use std::sync::Arc;

use layertop::event::evidence::ListingTime;
use layertop::event::{Event, Stamped};
use layertop::model::{Model, OriginGrade, Source};

const AMD: &str = "linux/amd64";
const ARM: &str = "linux/arm64";

/// A recording; for each platform the source of its five steps, in order: l local, r registry, ? unknown, - no hit.
const EXPECTED: &[(&str, &str, &str)] = &[
    // Nothing was here and nothing in the registry.
    ("first", "-----", "-----"),
    // All of it was here, and the registry had it too.
    ("again", "lllll", "lllll"),
    // No cache is imported.
    ("alone", "lllll", "lllll"),
    // Nothing was here: the blobs are fetched for the push alone.
    ("pruned", "rrrrr", "rrrrr"),
    // Nothing was here, and nothing is fetched either.
    ("lazy", "rrrrr", "rrrrr"),
    // What was imported and never fetched is here all the same.
    ("lazy-again", "lllll", "lllll"),
    // One platform was built here before, the other one was not; both are pushed.
    ("one-platform", "lllll", "rrrrr"),
    // As before, without a push: no blob is fetched and no image names a layer, so nobody can say which platform's record it is.
    ("one-platform-lazy", "?????", "?????"),
    // The steps before the COPY are hits, and are fetched for it.
    ("changed", "rrr--", "rrr--"),
    // The builder has another version of the COPY; the registry has this one. Its base image is here.
    ("other-version", "lrrrr", "lrrrr"),
    // The registry is not there: the import fails.
    ("registry-down", "lllll", "lllll"),
];

fn events(name: &str) -> Vec<Stamped> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/sources");
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    // The first line says what the file is.
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn model(events: &[Stamped]) -> Model {
    let mut model = Model::default();
    model.apply_all(events);
    model
}

/// The sources of the steps of a platform, as in the table.
fn sources(model: &Model, platform: &str) -> String {
    let mut steps: Vec<_> = model
        .stack()
        .steps()
        .filter(|(_, step)| step.name.platform.as_ref().is_some_and(|own| own.as_str() == platform))
        .collect();
    steps.sort_by_key(|(_, step)| step.name.index);
    let letter = |source: Option<Source>| match source {
        Some(Source::Local) => 'l',
        Some(Source::Registry) => 'r',
        Some(Source::Unknown) => '?',
        None => '-',
    };
    steps.iter().map(|(id, _)| letter(model.source_of(*id).map(|origin| origin.source))).collect()
}

#[test]
fn each_kind_is_judged_as_it_was() {
    for (name, amd, arm) in EXPECTED {
        let model = model(&events(name));
        assert_eq!((sources(&model, AMD).as_str(), sources(&model, ARM).as_str()), (*amd, *arm), "{name}");
        for (id, _) in model.stack().steps() {
            let Some(origin) = model.source_of(id) else { continue };
            assert_eq!(
                origin.grade == OriginGrade::NotKnown,
                origin.source == Source::Unknown,
                "{name}: {origin:?}"
            );
            assert!(origin.source == Source::Registry || origin.reference.is_none(), "{name}: {origin:?}");
        }
    }
}

/// Without what was listed after the build nothing is guessed: what is said then is what is said with it, or nothing.
#[test]
fn less_evidence_says_less_and_never_another_thing() {
    let listing =
        |event: &Event, when: ListingTime| matches!(event, Event::Records(records) if records.when == when);
    for (name, ..) in EXPECTED {
        let whole = events(name);
        let full = model(&whole);
        let without: [(&str, Vec<Stamped>); 4] = [
            ("after", whole.iter().filter(|one| !listing(&one.event, ListingTime::After)).cloned().collect()),
            (
                "before",
                whole.iter().filter(|one| !listing(&one.event, ListingTime::Before)).cloned().collect(),
            ),
            (
                "records",
                whole.iter().filter(|one| !matches!(one.event, Event::Records(_))).cloned().collect(),
            ),
            (
                "manifest",
                whole.iter().filter(|one| !matches!(one.event, Event::CacheManifest(_))).cloned().collect(),
            ),
        ];
        for (what, events) in without {
            let less = model(&events);
            for platform in [AMD, ARM] {
                let (all, some) = (sources(&full, platform), sources(&less, platform));
                let holds =
                    all.chars().zip(some.chars()).all(|(all, some)| some == '?' || all == '?' || some == all);
                assert!(holds && all.len() == some.len(), "{name} without {what}: {all} becomes {some}");
            }
        }
    }
}

/// The build with a first listing that was answered behind all hits: with what the builder held before it, or with what it held in
/// the end, of which nothing changed any more.
fn late(whole: &[Stamped], in_the_end: bool) -> Vec<Stamped> {
    let mut events = whole.to_vec();
    let end = events.last().unwrap().at;
    let mut changed = Vec::new();
    for event in &mut events {
        let Event::Records(listing) = &mut event.event else { continue };
        let listing = Arc::make_mut(listing);
        if listing.when == ListingTime::After && in_the_end {
            changed.append(&mut listing.records);
        }
        listing.answered = end;
    }
    for event in &mut events {
        let Event::Records(listing) = &mut event.event else { continue };
        let listing = Arc::make_mut(listing);
        if listing.when == ListingTime::Before {
            listing.records.retain(|record| changed.iter().all(|other| other.id != record.id));
            listing.records.append(&mut changed);
            listing.total = listing.records.len() as u64;
        }
    }
    events
}

/// What was made here tells by its date that it was here. What was imported has the date of where it comes from.
#[test]
fn a_listing_that_comes_late_says_what_it_can() {
    for (name, amd, arm) in EXPECTED {
        let whole = events(name);
        for in_the_end in [false, true] {
            let found = model(&late(&whole, in_the_end));
            for (platform, all) in [(AMD, amd), (ARM, arm)] {
                let some = sources(&found, platform);
                let holds =
                    all.chars().zip(some.chars()).all(|(all, some)| some == '?' || all == '?' || some == all);
                assert!(holds && all.len() == some.len(), "{name}, {in_the_end}: {all} becomes {some}");
                let own = ["again", "alone", "registry-down"].contains(name);
                assert!(!own || some == *all, "{name}, {in_the_end}: {all} becomes {some}");
                println!("{name} {in_the_end} {platform} {all} {some}");
            }
        }
    }
}

/// Batches may be cut anywhere.
#[test]
fn one_by_one_is_the_same_as_all_at_once() {
    for (name, ..) in EXPECTED {
        let events = events(name);
        let mut slowly = Model::default();
        for event in &events {
            slowly.apply(event);
        }
        let at_once = model(&events);
        for (id, _) in at_once.stack().steps() {
            assert_eq!(slowly.source_of(id), at_once.source_of(id), "{name}");
        }
    }
}

/// Nothing of the build's own image and cache is left without a name.
#[test]
fn the_cache_is_named_step_by_step() {
    let model = model(&events("pruned"));
    let layers = model.cached_layers();
    assert_eq!(layers.len(), 10, "{layers:#?}");
    for (id, step) in model.stack().steps() {
        let layer = model.in_registry(id);
        // A base image's layers have the names that its own Dockerfile gave them.
        assert_eq!(layer.is_none(), step.name.is_from(), "{}", step.name.instruction);
        let Some(layer) = layer else { continue };
        assert_eq!(layer.platform, step.name.platform);
        assert!(layer.bytes > 0 && layer.created.is_some(), "{layer:?}");
    }
    let of = |platform: &str| {
        let mut steps = model.stack().steps().filter(|(_, step)| {
            step.name.index == 5 && step.name.platform.as_ref().is_some_and(|own| own.as_str() == platform)
        });
        model.in_registry(steps.next().unwrap().0).unwrap().blob
    };
    assert_ne!(of(AMD), of(ARM), "what they write is random");
}

/// Stages, `COPY --link`, a heredoc, a cross-compiling stage and a list for a command; the builder is full of another project's
/// records, and all of this one's are in the registry.
#[test]
fn stages_among_the_records_of_others() {
    let model = model(&events("stages"));
    let mut hits = 0;
    for (id, step) in model.stack().steps() {
        let origin = model.source_of(id).unwrap();
        let expected = if step.name.is_from() { Source::Local } else { Source::Registry };
        assert_eq!(origin.source, expected, "{:?}: {origin:?}", step.name);
        // What is only copied from is never loaded, so nothing proves it.
        let is_last = step.name.stage.as_ref().is_some_and(|stage| stage.as_str() == "stage-3");
        assert_eq!(is_last && !step.name.is_from(), model.in_registry(id).is_some(), "{:?}", step.name);
        if is_last {
            assert_eq!(origin.grade, OriginGrade::Proven, "{:?}: {origin:?}", step.name);
        }
        hits += 1;
    }
    assert_eq!(hits, 20, "steps of four stages on two platforms; the base images are shared");
}
