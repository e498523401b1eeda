//! Each cause and each fact has words, and what was recorded in words keeps them.

use std::collections::BTreeSet;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Tense, because, fill, text};
use crate::event::reason::{Cause, Evidence, Fact, Reason, ReasonKind, Reasons, StepReason};
use crate::event::{Digest, Event, Stamped};

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// The names of the variants of an enum, by its schema.
fn variants<T: JsonSchema>() -> BTreeSet<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let known = schema["oneOf"].as_array().unwrap().iter();
    known.map(|variant| variant["properties"]["type"]["const"].as_str().unwrap().to_owned()).collect()
}

fn name(value: &impl Serialize) -> String {
    serde_json::to_value(value).unwrap()["type"].as_str().unwrap().to_owned()
}

fn cause(value: Value) -> Cause {
    serde_json::from_value(value).unwrap()
}

fn fact(value: Value) -> Fact {
    serde_json::from_value(value).unwrap()
}

#[test]
fn each_cause_has_words() {
    let variable = json!({"name": "V", "change": "value", "old": "1", "new": "2"});
    let secret = json!({"name": "TOKEN", "secret": true});
    let changed =
        json!({"path": "list.txt", "change": "content", "lines": [{"added": true, "text": "a==2"}]});
    let mode = json!({"path": "run.sh", "change": "mode", "old_mode": 0o644, "mode": 0o755});
    let known = [
        (json!({"type": "first_build"}), "nothing like it was built here before"),
        (json!({"type": "instruction_added"}), "its instruction is new"),
        (json!({"type": "instruction_removed"}), "an instruction before it was removed"),
        (json!({"type": "instruction_changed"}), "its instruction changed: white space"),
        (json!({"type": "instruction_changed", "added": "all"}), "its instruction changed: `all` is new"),
        (json!({"type": "instruction_changed", "removed": "x".repeat(80)}), "its instruction changed"),
        (
            json!({"type": "heredoc_changed", "line": {"added": false, "text": "a"}}),
            "its heredoc changed: -a",
        ),
        (json!({"type": "setting_changed", "name": "USER", "new": "app"}), "USER changed: not set → app"),
        (json!({"type": "masked_changed"}), "a secret in its instruction changed (not shown)"),
        (json!({"type": "fingerprint_changed"}), "what its instruction does changed"),
        (json!({"type": "env_changed", "variable": variable}), "ENV V changed: 1 → 2"),
        (
            json!({"type": "arg_changed", "variable": secret}),
            "build argument TOKEN changed (a secret, not shown)",
        ),
        (json!({"type": "args_substituted", "names": ["A", "B"]}), "build argument A or B changed"),
        (json!({"type": "variable_order_changed"}), "the order of its variables changed"),
        (
            json!({"type": "files_changed", "file": changed, "more": 2}),
            "list.txt changed: +a==2, and 2 more files changed",
        ),
        (json!({"type": "files_changed", "file": mode}), "the mode of run.sh changed from 0644 to 0755"),
        (json!({"type": "files_changed"}), "its files changed"),
        (json!({"type": "attributes_changed"}), "modes of folders or extended attributes changed"),
        (json!({"type": "unseen_files_changed"}), "the files that it takes changed"),
        (json!({"type": "address_changed", "address": "https://a"}), "what https://a gives changed"),
        (
            json!({"type": "address_unseen", "address": "https://a"}),
            "what https://a gives is seen by the builder only",
        ),
        (json!({"type": "base_replaced", "old": "a", "new": "b"}), "the base image is b, it was a"),
        (
            json!({"type": "base_moved", "image": "a:1", "old": DIGEST, "new": DIGEST}),
            "the base image a:1 moved",
        ),
        (json!({"type": "base_lost", "image": "a"}), "the builder no longer had the layers of a"),
        (json!({"type": "base_first_pulled"}), "the builder had never needed the layers of its image"),
        (json!({"type": "cache_missing", "reference": "r"}), "there is no cache at r"),
        (
            json!({"type": "cache_too_large", "reference": "r", "bytes": 2, "limit": 1}),
            "the cache r is too large to be imported",
        ),
        (
            json!({"type": "import_failed", "reference": "r", "error": "refused"}),
            "the cache r could not be imported",
        ),
        (json!({"type": "platform_only", "platform": "linux/amd64"}), "only linux/amd64 was built before"),
        (json!({"type": "evicted"}), "the builder no longer has the result: pruned, or collected as garbage"),
        (json!({"type": "evicted", "by": {"type": "emptied"}}), "the builder's cache was emptied"),
        (
            json!({"type": "evicted", "by": {"type": "garbage_collection", "rule": 1}}),
            "the builder's garbage collection took it (rule 1)",
        ),
        (json!({"type": "no_cache", "option": "--no-cache"}), "--no-cache was given"),
        (
            json!({"type": "other_builder", "old": "a", "new": "b"}),
            "the last build ran on a, and this one on b",
        ),
        (
            json!({"type": "other_node", "old": "a", "new": "b"}),
            "the last build ran on the node a, and this one on b",
        ),
        (json!({"type": "follows", "step": {"index": 2}}), "step 2 was rebuilt"),
        (json!({"type": "unknown"}), "the reason is not known"),
        (json!({"type": "unpredictable"}), "it can't be told"),
        (
            json!({"type": "unpredictable", "basis": {"type": "evidence", "fact": {"type": "no_record"}}}),
            "the builder has no record of this instruction",
        ),
    ];
    let mut names = BTreeSet::new();
    for (value, expected) in known {
        let cause = cause(value);
        assert_eq!(because(&cause, Tense::Past), expected, "{cause:?}");
        names.insert(name(&cause));
    }
    assert_eq!(names, variants::<Cause>(), "each variant stands above");
}

#[test]
fn each_fact_has_words() {
    let build = |name: &str| json!({"type": name, "build": "one"});
    let reference = |name: &str| json!({"type": name, "reference": "r"});
    let plain = |name: &str| json!({"type": name});
    let used = json!({"type": "used", "keep": 10, "bytes": 20, "build": "one"});
    let values = [
        json!({"type": "file", "path": "a", "change": "content", "old_bytes": 1, "bytes": 2}),
        json!({"type": "file_line", "added": true, "text": "a"}),
        json!({"type": "more_files", "count": 2}),
        json!({"type": "file_set", "pattern": "a", "old_count": 1, "count": 2, "old_bytes": 3, "bytes": 4}),
        json!({"type": "files_unread", "pattern": "a"}),
        plain("first_sight_only"),
        json!({"type": "files_unseen", "trigger": false}),
        json!({"type": "line", "new": "RUN a"}),
        json!({"type": "line_now", "text": "RUN a"}),
        json!({"type": "heredoc_line", "added": false, "text": "a"}),
        json!({"type": "variable", "name": "V", "change": "removed"}),
        json!({"type": "variables_were", "names": ["A", "B"]}),
        json!({"type": "variables_are", "names": ["B", "A"]}),
        plain("order_counts"),
        plain("only_masked"),
        plain("fingerprint_differs"),
        json!({"type": "not_compared", "what": {"type": "gaps", "gaps": ["remote", "files"]}}),
        json!({"type": "secret_ignored", "id": "token"}),
        json!({"type": "started_with", "option": "--no-cache"}),
        json!({"type": "base", "image": "a:1", "old": "b", "new": "c"}),
        json!({"type": "asked_each_time", "address": "https://a"}),
        plain("address_unseen"),
        reference("cache_missing"),
        reference("no_cache_yet"),
        json!({"type": "config_too_large", "bytes": 2, "limit": 1}),
        json!({"type": "import_failed", "error": "refused"}),
        reference("not_in_cache"),
        json!({"type": "not_used", "reference": "r", "blob": "b"}),
        reference("nothing_in_cache"),
        plain("records_unknown"),
        plain("no_results"),
        json!({"type": "records_gone", "records": ["a", "b"]}),
        json!({"type": "records_partly_gone", "gone": ["a"], "left": ["b"]}),
        json!({"type": "records_there", "records": ["a"]}),
        plain("record_unclear"),
        plain("no_record"),
        plain("had_no_record"),
        plain("foreign_record"),
        plain("result_there"),
        plain("emptied"),
        json!({"type": "garbage_collection", "node": "n", "rule": 1, "limit": used}),
        build("compared_with"),
        build("nothing_differs"),
        json!({"type": "made_of", "last": "two", "build": "one"}),
        plain("no_earlier_build"),
        build("had_result"),
        build("pulled_before"),
        plain("never_pulled"),
        json!({"type": "built_for", "build": "one", "platform": "linux/amd64"}),
        json!({"type": "made_on_builder", "build": "one", "old": "a"}),
        json!({"type": "made_on_node", "build": "one", "node": "a"}),
        json!({"type": "follows", "step": {"index": 2}, "instruction": "RUN a"}),
        json!({"type": "cached_itself", "index": 2}),
        plain("others_cached"),
        json!({"type": "platform_cached", "platform": "linux/amd64"}),
    ];
    let facts = values.map(fact);
    let names: BTreeSet<String> = facts.iter().map(name).collect();
    assert_eq!(names, variants::<Fact>(), "each variant stands above");
    let lines: Vec<String> = facts.iter().map(|fact| text(fact, Tense::Past)).collect();
    assert_eq!(lines.join("\n"), LINES.trim());
}

const LINES: &str = "
a: content, 1 B before, 2 B now
  +a
and 2 more
a is another set of files: 1 entries and 3 B before, 2 entries and 4 B now; they are too many to be listed
not all of a could be read
BuildKit notices this of files that it sees for the first time only
which files these are is not known: the context was not looked at
+ RUN a
is:  RUN a
-a
V is no longer set
was: A, B
is:  B, A
the order of variables counts for BuildKit
it reads as it did, but for what is masked in it
its fingerprint is another; which part of it is not known
not compared: what is behind an address, files that could not be read
the value of its secret token is no reason: BuildKit does not look at it
the build was started with --no-cache
a:1 pointed at b and points at c
the builder asks https://a at each build, and takes what it finds there
what is there can't be seen from here; all else is as it was
the registry has no r: never exported, deleted, or another name
there is no cache at r yet
its config has 2 B, and BuildKit imports 1 B at most
the import failed: refused
the cache at r was imported and does not hold it
the cache at r holds b, and it was not used
the cache at r was imported, and had nothing for it
what the builder held before the build is not known: they were not listed
the builder had no result of any step before this build
the builder had its result, the record a, b, and has it no longer
of its records a are gone and b are there
the builder still has the record a of this instruction
the builder has a record of this instruction; whether it is its result is not known
the builder has no record of this instruction
the builder had no record of this instruction
the builder has a record of this instruction, from a build that was not recorded
the builder still has its earlier result, and all else is as it was: so what it takes is another
nothing at all is left: the builder was pruned, or made anew
rule 1 of the garbage collection of n keeps 10 B, and there were 20 B after the build one
compared with the build one
nothing that is known of it is another than in the build one
the build two was made of something else, and this one of what the build one was
no earlier build of it is known here
the build one had it
they were fetched for the build one too
no earlier build here has fetched them: what was built on them was cached
the build one was built for linux/amd64, and none for this platform
the build one was made on a; no build of it on the builder that was not named is known
the build one was made on a
step 2 was rebuilt: RUN a
step 2 itself was cached: it had been built like this before
other steps of this build were cached, so something like it was built before
linux/amd64 was cached in this build
";

#[test]
fn what_is_planned_has_not_happened() {
    let follows = cause(json!({"type": "follows", "step": {"index": 2, "stage": "tools"}}));
    assert_eq!(because(&follows, Tense::Past), "step 2 of stage tools was rebuilt");
    assert_eq!(because(&follows, Tense::Conditional), "step 2 of stage tools would be rebuilt");
    // The words of others stay as they are.
    let instruction = "RUN echo it was rebuilt";
    let next = fact(json!({"type": "follows", "step": {"index": 2}, "instruction": instruction}));
    assert_eq!(text(&next, Tense::Conditional), format!("step 2 would be rebuilt: {instruction}"));
    let between =
        json!({"type": "follows", "step": {"index": 3}, "root": {"index": 2}, "instruction": instruction});
    let expected = format!("it is built on step 3, which follows from step 2 too: {instruction}");
    assert_eq!(text(&fact(between), Tense::Conditional), expected);
}

/// As they were recorded before reasons were values.
const OLD: &str = r#"{"at": 5, "type": "reasons", "reasons": [{"vertex": "a", "reason": {"kind": "files_changed", "grade": "proven",
    "root": true, "follows": null, "because": "list.txt changed, as it was said then", "evidence": [{"text": "list.txt: content",
    "fact": {"type": "file", "path": "list.txt", "change": "content", "old_bytes": 9, "bytes": 26}}, {"text": "V changed: 1 → 2",
    "fact": {"type": "variable", "name": "V", "old": "1", "new": "2"}}, {"text": "compared with the build one"}], "advice": []}}]}"#;

#[test]
fn what_was_recorded_in_words_keeps_them() {
    let read = |line: &str| -> Vec<StepReason> {
        let stamped: Stamped = serde_json::from_str(line).unwrap();
        let Event::Reasons(reasons) = stamped.event else { panic!("{stamped:?}") };
        reasons.reasons
    };
    let [one] = <[StepReason; 1]>::try_from(read(OLD)).unwrap();
    assert_eq!((one.reason.kind, one.reason.cause.clone()), (ReasonKind::FilesChanged, None));
    assert_eq!(one.reason.because.as_str(), "list.txt changed, as it was said then");
    let texts: Vec<&str> = one.reason.evidence.iter().map(|evidence| evidence.text.as_str()).collect();
    assert_eq!(texts, ["list.txt: content", "V changed: 1 → 2", "compared with the build one"]);
    assert!(matches!(one.reason.evidence[1].fact, Some(Fact::Variable(_))));
    assert!(one.reason.evidence[2].fact.is_none());
    // Two of them are the same where their words are.
    assert!(one.reason.is_same(&read(&OLD.replace("\"list.txt\"", "\"other.txt\""))[0].reason));
    assert!(!one.reason.is_same(&read(&OLD.replace("said then", "said"))[0].reason));
    // It goes on without the fields that it came without.
    let again = serde_json::to_value(&one.reason).unwrap();
    assert!(again.get("cause").is_none() && again["evidence"][2].get("fact").is_none(), "{again}");
}

#[test]
fn what_a_later_version_says_is_left_out_and_its_words_stay() {
    let reason = json!({"kind": "evicted", "because": "it is so", "cause": {"type": "new", "more": [1]},
        "evidence": [{"text": "a line", "fact": {"type": "newer"}}]});
    let read: Reason = serde_json::from_value(reason).unwrap();
    assert_eq!((read.because.as_str(), read.cause), ("it is so", None));
    assert_eq!(read.evidence, [Evidence { text: "a line".into(), fact: None }]);
}

#[test]
fn what_is_filled_in_is_read_again() {
    let moved = |old: &str| Cause::BaseMoved {
        image: "a:1".into(),
        old: Digest::parse(old),
        new: Digest::parse(DIGEST),
    };
    let fact = Fact::ComparedWith { build: "one".into() };
    let reason = Reason::root(crate::event::reason::ReasonGrade::Proven, moved("b"), [fact]);
    assert_eq!(reason.kind, ReasonKind::BaseMoved);
    let mut reasons = vec![StepReason { vertex: Digest::parse("a"), reason }];
    fill(&mut reasons);
    assert_eq!(reasons[0].reason.because.as_str(), "the base image a:1 moved");
    assert_eq!(reasons[0].reason.evidence[0].text.as_str(), "compared with the build one");
    let written = serde_json::to_string(&Reasons { reasons: reasons.clone() }).unwrap();
    assert_eq!(serde_json::from_str::<Reasons>(&written).unwrap().reasons, reasons);
    // Steps that were compared with different builds have it in common.
    assert!(moved("b").is_same(&moved("c")));
    assert!(!Cause::InstructionAdded.is_same(&Cause::InstructionRemoved));
}
