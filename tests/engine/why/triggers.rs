//! What a base image, or a stage of the same file, leaves to whoever builds on it.

use std::fs;

use crate::support::bench::{AMD, ARM, Bench, planned};
use crate::support::testbed::{BUILDER, Engine, For, docker};
use crate::why::Why::{Follows, Hit, Root};
use crate::why::{OWN, evidence, expect};

#[test]
fn what_a_base_image_leaves_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let text = "FROM BASE\nWORKDIR /app/MARKER\nCOPY src/ src/\nRUN echo MARKER > /out\n";
    let bench = Bench::new(&engine, text);
    let base = format!("{}/{}:base", engine.registry, bench.name());
    let folder = bench.project.beside("base");
    fs::create_dir_all(&folder).unwrap();
    let marker = &bench.project.marker;
    let left = format!(
        "FROM {}\nONBUILD COPY requirements.txt /left/{marker}/\nONBUILD RUN echo left\n",
        engine.base()
    );
    fs::write(folder.join("Dockerfile"), left).unwrap();
    let words =
        ["buildx", "build", "--builder", BUILDER, "--platform", "linux/amd64,linux/arm64", "--push", "-t"];
    docker(&[&words[..], &[&base, folder.to_str().unwrap()]].concat());
    bench.replace(&engine.base(), &base);
    // Nobody knows of them before the builder has told: the steps behind the base image's have other numbers.
    let first = bench.layertop(&["build", "--progress", "json"], &[]);
    assert_eq!(first.code(), Some(0), "{}", first.stderr);
    let summary = first.summary();
    let steps = summary["steps"].as_array().unwrap();
    let numbers: Vec<_> = steps
        .iter()
        .filter(|step| step["platform"] == AMD)
        .map(|step| {
            (step["index"].as_u64().unwrap(), step["of"].as_u64().unwrap(), step["state"].as_str().unwrap())
        })
        .collect();
    assert_eq!(numbers[0].1, 6, "{summary:#}");
    assert_eq!(&numbers[1..], [2, 3, 4, 5, 6].map(|index| (index, 6, "miss")), "{summary:#}");

    let same = bench.build(&[]);
    expect("nothing", &same, &[Hit; 5]);
    for platform in [AMD, ARM] {
        assert_eq!(planned(&same.plan, platform, "predicted"), ["unknown"; 5], "{:#}", same.plan);
    }

    bench.append("requirements.txt", "requests");
    let from = Follows("parent_missed", 2);
    let changed = bench.build(&[]);
    expect("what it copies", &changed, &[Root("files_changed", "likely"), from, from, from, from]);
    assert!(evidence(&changed, "files_changed").contains("an instruction of the base image (ONBUILD)"));

    bench.project.write("src/main.py", "print(2)\n");
    let changed = bench.build(&[]);
    let from = Follows("parent_missed", 5);
    expect("behind it", &changed, &[OWN, OWN, OWN, Root("files_changed", "proven"), from]);
    let why = bench.why(&[]);
    assert!(why.contains("rebuilt because src/main.py changed"), "{why}");
    bench.share("a base image's triggers");
}

#[test]
fn what_a_stage_leaves_is_said() {
    let Some(engine) = Engine::get(For::Prune) else { return };
    let text = "FROM BASE AS parent
ONBUILD ARG FLAVOUR=plain
ONBUILD COPY requirements.txt /left/MARKER/
ONBUILD RUN echo MARKER $FLAVOUR > /left/flavour
FROM parent
COPY src/ src/
";
    let bench = Bench::new(&engine, text);
    bench.build(&[]);
    expect("nothing", &bench.build(&[]), &[OWN; 3]);
    bench.append("requirements.txt", "requests");
    let changed = bench.build(&[]);
    let named = |built: &crate::support::bench::Built, text: &str| {
        let steps = built.summary["steps"].as_array().unwrap().iter();
        let step = steps
            .filter(|step| step["platform"] == ARM)
            .find(|step| step["instruction"].as_str().unwrap().contains(text));
        step.unwrap()["index"].as_u64().unwrap()
    };
    let from = Follows("parent_missed", named(&changed, "COPY requirements.txt"));
    expect("what it copies", &changed, &[Root("files_changed", "proven"), from, from]);
    let changed = bench.build(&["--", "--build-arg", "FLAVOUR=sweet"]);
    let from = Follows("parent_missed", named(&changed, "RUN echo"));
    expect("its argument", &changed, &[OWN, Root("arg_changed", "proven"), from]);
    bench.share("a stage's triggers");
}
