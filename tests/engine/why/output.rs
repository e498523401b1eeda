//! Builds of which no image is made: the result of their last step stays open, and has another identity once one is.

use crate::support::bench::{Bench, DOCKERFILE};
use crate::support::testbed::{self, BUILDER, Engine, For};
use crate::why::Why::Root;
use crate::why::{FIRST, HITS, OWN, evidence, expect};

/// No image is made of it.
const NOTHING: [&str; 3] = ["--", "--output", "type=cacheonly"];

#[test]
fn what_no_image_was_made_of_is_known_by_its_record() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    // An instruction of its own: where others' builds have left records that are described alike, and the listing came too late to
    // tell whose they are, it is only likely which one is gone.
    let bench = Bench::new(&engine, &DOCKERFILE.replace("echo compile", "echo compile, no image"));
    bench.configure(&testbed::builder(), false);
    expect("first", &bench.build(&NOTHING), &FIRST);
    let hits = bench.build(&NOTHING);
    expect("nothing", &hits, &HITS);

    // The records of the last step, on each platform.
    let after = hits.events.iter().find(|event| event["type"] == "records" && event["when"] == "after");
    let records = after.expect("a listing")["records"].as_array().unwrap();
    // A listing that is compared with none has those of others, too.
    let begun = hits.summary["started"].as_i64().unwrap();
    let open = records.iter().filter(|record| {
        let used = record["last_used"].as_i64() >= Some(begun);
        record["mutable"] == true && record["kind"] == "regular" && used
    });
    let open: Vec<&str> = open.map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(open.len(), 2, "{records:#?}");
    for id in open {
        bench.docker(&["buildx", "prune", "--builder", BUILDER, "-af", "--filter", &format!("id={id}")]);
    }
    let lost = bench.build(&NOTHING);
    expect("its last result is gone", &lost, &[OWN, OWN, OWN, OWN, OWN, Root("evicted", "proven")]);
    assert!(evidence(&lost, "evicted").contains("the builder had its result"), "{:#}", lost.summary);

    expect("an image of it", &bench.build(&[]), &HITS);
    expect("and none again", &bench.build(&NOTHING), &HITS);
    bench.share("no image");
}
