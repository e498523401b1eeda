//! Going back to what was built before, where its results are gone, on both platforms or on one of them.

use serde_json::Value;

use crate::support::bench::{AMD, ARM, Bench, DOCKERFILE, planned};
use crate::support::second::{self, Second};
use crate::support::testbed::{Engine, For};
use crate::why::Why::{Follows, From, Hit, Root};
use crate::why::{evidence, expect, expect_on, results};

/// Takes records away from the builder as far as nothing else is built on them.
fn collect(bench: &Bench<'_>, records: &[String]) {
    bench.forget_images();
    let take = |record: &String| {
        let filter = format!("id={record}");
        let said =
            bench.docker(&["buildx", "prune", "--builder", second::BUILDER, "-af", "--filter", &filter]);
        said.contains(record.as_str())
    };
    // What others of them are built on goes only when these are gone.
    while records.iter().filter(|record| take(record)).count() > 0 {}
}

/// Those of a build's records that are a platform's: described so, or built on one that is.
fn of(platform: &str, events: &[Value]) -> Vec<String> {
    let ids = results(events);
    let after = events.iter().find(|event| event["type"] == "records" && event["when"] == "after").unwrap();
    let records: Vec<&Value> = after["records"].as_array().unwrap().iter().collect();
    let mut found: Vec<String> = Vec::new();
    for _ in 0..records.len() {
        for record in &records {
            let id = record["id"].as_str().unwrap();
            let named = record["description"].as_str().unwrap().contains(platform);
            let parents = record["parents"].as_array().map_or(&[][..], Vec::as_slice);
            let built_on = parents.iter().any(|parent| found.iter().any(|known| parent == known));
            if (named || built_on) && !found.iter().any(|known| known == id) {
                found.push(id.to_owned());
            }
        }
    }
    found.retain(|id| ids.contains(id));
    found
}

#[test]
fn going_back_to_what_was_collected_is_said() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    // One that nobody has pruned: what is left there can be used.
    let Some(second) = Second::start(&engine, &serde_json::json!({}), &[]) else { return };
    let bench = Bench::new(&engine, DOCKERFILE);
    bench.on(second.host());
    bench.configure(second::BUILDER, false);
    let first = "numpy==1\n";
    let records = results(&bench.build(&second::WORDS).events);
    bench.append("requirements.txt", "requests==2.32.0");
    let from = Follows("parent_missed", 3);
    let changed = [Hit, Root("files_changed", "proven"), from, from, from, from];
    expect("a file", &bench.build(&second::WORDS), &changed);

    // What the second build is built on stays.
    collect(&bench, &records);
    bench.project.write("requirements.txt", first);
    let back = bench.build(&second::WORDS);
    let follow = Follows("evicted", 3);
    let lost = [From("local"), Root("evicted", "proven"), follow, follow, follow, follow];
    expect("back to what is gone", &back, &lost);
    assert!(evidence(&back, "evicted").contains("was made of something else"), "{:#}", back.summary);
    for platform in [AMD, ARM] {
        let told = planned(&back.plan, platform, "predicted");
        assert_eq!(told, ["hit", "miss", "miss", "miss", "miss", "miss"], "{:#}", back.plan);
    }

    bench.append("requirements.txt", "requests==2.32.0");
    expect("back to what is there", &bench.build(&second::WORDS), &[From("local"); 6]);
    collect(&bench, &of(ARM, &back.events));
    bench.project.write("requirements.txt", first);
    // Records of a command are described alike on both platforms.
    let half = bench.build(&second::WORDS);
    expect_on("there", &half, AMD, &[From("local"); 6]);
    expect_on("gone", &half, ARM, &lost);
    bench.share("going back");
}
