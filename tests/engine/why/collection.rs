//! What the daemon's own garbage collection takes, named by its rule.

use serde_json::{Value, json};

use crate::support::bench::{AMD, ARM, Bench};
use crate::support::second::{self, Second};
use crate::support::testbed::{Engine, For};
use crate::why::steps;

/// One step makes more than the rule allows.
const LARGE: &str = "FROM BASE
WORKDIR /app/MARKER
RUN head -c 30000000 /dev/urandom > /large
COPY requirements.txt .
RUN echo small > /small
";

/// The records of a build that have more than 20 MB.
fn large(events: &[Value]) -> Vec<String> {
    let after = events.iter().find(|event| event["type"] == "records" && event["when"] == "after").unwrap();
    let records = after["records"].as_array().unwrap().iter();
    let large = records.filter(|record| record["bytes"].as_u64().unwrap() > 20_000_000);
    large.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rule_of_the_daemon_is_named() {
    let Some(engine) = Engine::get(For::Builds) else { return };
    let rule = json!({"gc": {"enabled": true, "policy": [{"all": true, "maxUsedSpace": "20MB"}]}});
    let Some(second) = Second::start(&engine, &rule, &[]) else { return };
    let bench = Bench::new(&engine, LARGE);
    bench.on(second.host());
    bench.configure(second::BUILDER, false);
    let large = large(&bench.build(&second::WORDS).events);
    assert_eq!(large.len(), 2, "{large:?}");
    // What an image holds is not collected.
    bench.forget_images();
    // It collects a minute after a build has ended.
    let is_there = || bench.docker(&["buildx", "du", "--builder", second::BUILDER]);
    let mut asked = 0;
    while large.iter().any(|id| is_there().contains(id.as_str())) {
        asked += 1;
        assert!(asked < 5000, "nothing was collected");
    }
    let found = bench.build(&second::WORDS);
    for platform in [AMD, ARM] {
        // It may take more than it must, in whatever order it finds it.
        let gone: Vec<Value> =
            steps(&found, platform).into_iter().filter(|step| step["state"] == "miss").collect();
        assert!(gone.len() >= 3, "{gone:#?}");
        for (at, step) in gone.iter().enumerate() {
            let reason = &step["reason"];
            assert_eq!(
                (&reason["kind"], &reason["grade"]),
                (&"evicted".into(), &"proven".into()),
                "{step:#}"
            );
            assert_eq!(reason["root"], at == 0, "{step:#}");
            assert!(at == 0 || reason["follows"]["index"] == gone[0]["index"], "{step:#}");
            assert_eq!(reason["because"], "the builder's garbage collection took it (rule 0)", "{step:#}");
            let told = reason["evidence"].to_string();
            assert!(
                told.contains("rule 0 of the garbage collection of default keeps 21 MB, and there were "),
                "{told}"
            );
        }
    }
    let why = bench.why(&[]);
    assert!(why.contains("rebuilt because the builder's garbage collection took it (rule 0)"), "{why}");
    bench.share("a rule of the daemon");
}
