//! The Dockerfile reader against an engine's own streams, another parser, and any text at all.
//!
//! `dockerfiles/engine/*` holds Dockerfiles with what `docker buildx build --progress=rawjson` (buildx 0.29, `BuildKit`
//! of Docker 28.5) wrote when it built them, and in `build.json` the target, build arguments and platforms that it was
//! asked for. `dockerfiles/corpus/*` holds Dockerfiles that were never built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use layertop::dockerfile::{Dockerfile, DockerfileInstruction, Keyword, parse};
use layertop::event::LayerRule;
use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles").join(folder)
}

fn read(file: &str) -> Dockerfile {
    parse(&fs::read_to_string(data("corpus").join(format!("{file}.Dockerfile"))).unwrap())
}

/// All instructions in the file's order.
fn instructions(file: &Dockerfile) -> Vec<&DockerfileInstruction> {
    let stages = file.stages.iter().flat_map(|stage| std::iter::once(&stage.from).chain(&stage.instructions));
    file.globals.iter().chain(stages).collect()
}

/// The instructions as `first-last text`.
fn listed(file: &Dockerfile) -> Vec<String> {
    let lines = |i: &DockerfileInstruction| format!("{}-{} {}", i.first_line, i.last_line, i.text);
    instructions(file).into_iter().map(lines).collect()
}

fn complaints(file: &Dockerfile) -> Vec<String> {
    file.diagnostics.iter().map(|d| format!("{}: {}", d.line, d.message)).collect()
}

// Against the engine.

#[derive(Deserialize, Default)]
#[serde(default)]
struct Build {
    target: Option<String>,
    args: BTreeMap<String, String>,
    platforms: Vec<String>,
}

/// `[linux/amd64->arm64 stage-1 3/12] RUN make`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    platform: Option<String>,
    stage: Option<String>,
    index: u32,
    of: u32,
    text: String,
}

fn step(name: &str) -> Option<Step> {
    let (inside, text) = name.strip_prefix('[')?.split_once("] ")?;
    let mut words: Vec<&str> = inside.split_whitespace().collect();
    let (index, of) = words.pop()?.split_once('/')?;
    let (index, of) = (index.parse().ok()?, of.parse().ok()?);
    let platform =
        words.first().is_some_and(|word| word.starts_with("linux/")).then(|| words.remove(0).to_owned());
    let stage = words.pop().map(str::to_owned);
    Some(Step { platform, stage, index, of, text: text.to_owned() })
}

/// Names of the stream's vertices.
fn streamed(folder: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join("stream.jsonl")).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let vertices = messages.flat_map(|message| message["vertexes"].as_array().cloned().unwrap_or_default());
    vertices.filter_map(|vertex| vertex["name"].as_str().map(str::to_owned)).collect()
}

/// The steps that we expect on a platform; none where the build was for one, whose name is not printed then.
fn expected(file: &Dockerfile, build: &Build, platform: Option<&str>) -> Vec<Step> {
    let mut args = build.args.clone();
    if let Some(platform) = platform {
        let (_, architecture) = platform.split_once('/').unwrap();
        args.insert("BUILDPLATFORM".to_owned(), "linux/amd64".to_owned());
        args.insert("TARGETPLATFORM".to_owned(), platform.to_owned());
        args.insert("TARGETARCH".to_owned(), architecture.to_owned());
    }
    let steps = file.resolve(build.target.as_deref(), &args).into_iter().flat_map(|stage| {
        let platform = platform.map(|target| {
            // A stage that is pinned to the builder's platform is printed with it, and with an arrow once it has
            // read a target argument; the test data have such a stage with that argument at its top.
            let native = file.stages[stage.stage].platform.as_deref() == Some("$BUILDPLATFORM");
            if native && target != "linux/amd64" {
                "linux/amd64->arm64".to_owned()
            } else {
                target.to_owned()
            }
        });
        let (of, name) = (stage.of, stage.name);
        stage.steps.into_iter().enumerate().map(move |(at, step)| Step {
            platform: platform.clone(),
            stage: name.clone(),
            index: u32::try_from(at).unwrap() + 1,
            of,
            text: step.text,
        })
    });
    steps.collect()
}

#[rstest]
fn resolves_to_the_steps_that_the_engine_printed(
    #[files("tests/dockerfiles/engine/*/Dockerfile")] file: PathBuf,
) {
    let folder = file.parent().unwrap();
    let build: Build = serde_json::from_str(&fs::read_to_string(folder.join("build.json")).unwrap()).unwrap();
    let file = parse(&fs::read_to_string(&file).unwrap());
    assert_eq!(complaints(&file).into_iter().filter(|c| !c.contains("blank line")).count(), 0);
    let names = streamed(folder);
    let platforms = build.platforms.iter().map(|platform| Some(platform.as_str()));
    let platforms: Vec<_> = if build.platforms.is_empty() { vec![None] } else { platforms.collect() };
    let ours: Vec<Step> = platforms.iter().flat_map(|platform| expected(&file, &build, *platform)).collect();

    // The engine keeps one vertex for all stages that are built on one image, under any of their names; it is looked
    // for by its image.
    let (bases, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(|step| step.text.starts_with("FROM "));
    for base in bases {
        let pinned = format!("{}@sha256:", base.text);
        assert!(names.iter().any(|name| name.contains(&pinned)), "{base:?} is not in {names:#?}");
    }
    let theirs = names.iter().filter_map(|name| step(name)).filter(|step| {
        // `COPY --link` has a second vertex for its merge.
        !step.text.starts_with("FROM ") && !step.text.starts_with("LINK ")
    });
    assert_eq!(ours.into_iter().collect::<BTreeSet<_>>(), theirs.collect::<BTreeSet<_>>());
}

#[rstest]
fn outlines_the_steps_that_it_resolves(#[files("tests/dockerfiles/engine/*/Dockerfile")] file: PathBuf) {
    let folder = file.parent().unwrap();
    let build: Build = serde_json::from_str(&fs::read_to_string(folder.join("build.json")).unwrap()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let file = parse(&text);
    let resolved = file.resolve(build.target.as_deref(), &build.args);
    let rules = [LayerRule { name: "greeting".into(), pattern: "^RUN .*echo".into() }];
    let outline = file.outline(build.target.as_deref(), &build.args, &rules);
    assert_eq!(outline.rules, rules);
    assert_eq!(outline.stages.len(), resolved.len());
    assert_eq!(Some(resolved[outline.target].stage), file.target(build.target.as_deref()));
    for (stage, resolved) in outline.stages.iter().zip(&resolved) {
        assert_eq!(stage.name.as_ref().map(ToString::to_string), resolved.name);
        assert_eq!(stage.steps.len(), resolved.steps.len());
        for (step, resolved) in stage.steps.iter().zip(&resolved.steps) {
            assert_eq!(step.instruction, resolved.source.as_str().into());
            let line = text.lines().nth(step.line as usize - 1).unwrap().to_uppercase();
            // A trigger stands where the stage that runs it begins.
            let trigger = resolved.source.starts_with("ONBUILD ");
            assert!(line.contains(if trigger { "FROM" } else { resolved.keyword.as_str() }), "{line}");
            if resolved.text.starts_with("RUN echo") {
                assert_eq!(step.layer, Some("greeting".into()));
            }
        }
    }
}

#[test]
fn values_of_arguments_stay_out_of_the_outline() {
    let file = parse("FROM alpine AS a\nARG TOKEN\nRUN login $TOKEN\nFROM a\nRUN x\n");
    let args = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
    assert_eq!(file.resolve(None, &args)[0].steps[1].text, "RUN login hunter2");
    let outline = format!("{:?}", file.outline(None, &args, &[]));
    assert!(outline.contains("RUN login $TOKEN") && !outline.contains("hunter2"), "{outline}");
}

#[test]
fn a_step_that_is_counted_and_not_shown_leaves_a_gap() {
    let file = parse("FROM scratch\nWORKDIR /\nWORKDIR a\nWORKDIR ..\nCOPY x y\n");
    let stage = &file.resolve(None, &BTreeMap::new())[0];
    let texts: Vec<&str> = stage.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!((stage.of, texts), (4, vec!["WORKDIR a", "COPY x y"]));
}

// Against itself: what is hard to read.

#[test]
fn reads_heredocs_wherever_they_stand() {
    let file = read("heredocs-anywhere");
    assert_eq!(
        listed(&file),
        [
            "1-1 FROM alpine",
            "2-4 RUN cat <<EOF > /x",
            "5-9 RUN cat <<A - <<B",
            "10-12 RUN python3 <<EOF && echo done",
            "13-16 COPY --chmod=755 <<\"EOS\" /usr/bin/x",
            "17-17 RUN echo last",
        ]
    );
    let heredocs = &instructions(&file)[2].heredocs;
    assert_eq!(heredocs.iter().map(|h| h.body.as_str()).collect::<Vec<_>>(), ["a\n", "b\n"]);
    assert!(heredocs[0].expand && !instructions(&file)[4].heredocs[0].expand);
    assert_eq!(complaints(&file), Vec::<String>::new());
}

#[test]
fn summarises_a_run_that_is_a_heredoc() {
    let file = read("heredocs");
    assert_eq!(file.syntax.as_deref(), Some("docker/dockerfile:1.4"));
    assert_eq!(
        listed(&file)[1..4],
        ["3-6 RUN <<EOF (apk add curl...)", "7-9 RUN <<-EOF (echo tabs)", "10-12 COPY <<EOF /etc/motd"]
    );
}

#[test]
fn what_only_looks_like_a_heredoc_is_none() {
    let file = read("heredoc-lookalikes");
    assert!(instructions(&file).iter().all(|instruction| instruction.heredocs.is_empty()));
    assert_eq!(instructions(&file).len(), 9);
}

#[rstest]
#[case("unterminated-heredoc", "3: heredoc `EOF` is not ended", 3, 5)]
#[case("unterminated-continuation", "3: the file ends inside a continued instruction", 2, 3)]
fn an_open_end_is_told_and_read(
    #[case] name: &str,
    #[case] complaint: &str,
    #[case] first: u32,
    #[case] last: u32,
) {
    let file = read(name);
    assert_eq!(complaints(&file), [complaint]);
    let end = instructions(&file).last().map(|i| (i.first_line, i.last_line));
    assert_eq!(end, Some((first, last)));
}

#[test]
fn joins_lines_with_their_white_space() {
    let file = read("comments");
    assert_eq!(
        listed(&file),
        ["4-4 FROM alpine", "5-5 RUN echo a # part of the command", "7-10 RUN echo b     && echo c"]
    );
    assert_eq!(file.escape, '\\');
    let file = read("blank-continuation");
    assert_eq!(listed(&file)[1..], ["2-7 RUN echo a   && echo b   && echo c", "8-8 RUN echo d"]);
    assert_eq!(complaints(&file), ["6: a blank line stands inside a continued instruction"]);
    let file = read("escape-backtick");
    assert_eq!(
        listed(&file)[2..5],
        ["4-4 WORKDIR C:\\app\\", "5-5 COPY a.txt C:\\app\\", "6-7 RUN echo one   && echo two"]
    );
    let file = read("bom-crlf");
    assert_eq!(listed(&file), ["2-2 FROM alpine", "4-5 RUN echo a   && echo b", "6-6 COPY . ."]);
    assert_eq!(file.syntax.as_deref(), Some("docker/dockerfile:1"));
}

#[test]
fn unknown_instructions_are_kept_and_the_file_goes_on() {
    let file = read("unknown");
    assert_eq!(
        listed(&file)[1..],
        ["2-2 INCLUDE other.Dockerfile", "3-3 RUN echo a", "4-4 FOO", "5-5 RUN echo b"]
    );
    assert_eq!(complaints(&file), ["2: unknown instruction `INCLUDE`", "4: unknown instruction `FOO`"]);
    assert_eq!(instructions(&file)[1].keyword, Keyword::Unknown("INCLUDE".to_owned()));
    assert_eq!(file.resolve(None, &BTreeMap::new())[0].of, 3);
}

#[rstest]
#[case("before-from", "2: `RUN` stands before the first `FROM`")]
#[case("empty", "1: there is no `FROM`")]
#[case("only-comments", "1: there is no `FROM`")]
fn misplaced_things_are_told(#[case] name: &str, #[case] complaint: &str) {
    assert_eq!(complaints(&read(name)), [complaint]);
}

#[rstest]
#[case("FROM a AS 0\n", "1: stage name `0` does not start with a letter, or holds symbols")]
#[case("FROM\n", "1: `FROM` names no base")]
#[case("FROM a b\n", "1: `FROM` takes a base, or a base, `AS` and a name")]
#[case("# escape=x\nFROM a\n", "1: escape character `x` is neither \\ nor a backtick")]
#[case("# syntax=a\n# syntax=b\nFROM a\n", "2: directive `syntax` is repeated")]
fn what_the_builder_would_refuse_is_told(#[case] text: &str, #[case] complaint: &str) {
    assert_eq!(complaints(&parse(text)), [complaint]);
}

#[test]
fn an_empty_file_has_an_empty_outline() {
    assert!(read("empty").outline(Some("x"), &BTreeMap::new(), &[]).stages.is_empty());
}

#[test]
fn takes_flags_apart() {
    let file = read("mounts");
    let run = instructions(&file)[1];
    let names: Vec<&str> = run.flags.iter().map(|flag| flag.name.as_str()).collect();
    assert_eq!(names, ["mount", "mount", "mount"]);
    assert_eq!(run.flags[2].value.as_deref(), Some("type=cache,target=/c,id=a b"));
    assert_eq!(run.arguments, "cat /run/tok");
    let file = read("everything");
    let copy = instructions(&file).into_iter().find(|i| i.keyword == Keyword::Copy).unwrap();
    assert_eq!(
        (copy.flag("exclude"), copy.flag("link"), copy.arguments.as_str()),
        (Some("*.md"), None, "a b c/")
    );
    let shell = instructions(&file).into_iter().find(|i| i.keyword == Keyword::Shell).unwrap();
    assert_eq!(shell.exec_form(), Some(vec!["/bin/ash".to_owned(), "-c".to_owned()]));
}

#[test]
fn needs_the_stages_that_the_target_is_made_from() {
    let needed = |file: &str, target: Option<&str>| read(file).needed_stages(target, &BTreeMap::new());
    assert_eq!(needed("node-next", None), [0, 1, 2, 3]);
    assert_eq!(needed("node-next", Some("deps")), [0, 1]);
    assert_eq!(needed("rust-chef", Some("PLANNER")), [0, 1]);
    assert_eq!(needed("empty-stages", None), [3]);
    assert_eq!(needed("empty-stages", Some("b")), [0, 1]);
    // A target that is not there fails the build; until then the last stage is shown.
    assert_eq!(needed("go-multistage", Some("nowhere")), [0, 1]);
    // The platform decides on the base: without it, all that could be meant are needed.
    assert_eq!(needed("platforms", None), [0, 1, 2, 3]);
    let args = BTreeMap::from([("TARGETARCH".to_owned(), "arm64".to_owned())]);
    assert_eq!(read("platforms").needed_stages(None, &args), [0, 2, 3]);
}

#[test]
fn a_stage_without_a_base_image_has_no_step_for_it() {
    let resolved = read("empty-stages").resolve(Some("b"), &BTreeMap::new());
    let steps: Vec<(Option<&str>, u32)> =
        resolved.iter().map(|stage| (stage.name.as_deref(), stage.of)).collect();
    assert_eq!(steps, [(Some("a"), 1), (Some("b"), 0)]);
}

#[test]
fn names_the_layers_of_a_real_dockerfile() {
    let outline = read("montage-ai").outline(None, &BTreeMap::new(), &[]);
    assert_eq!(outline.stages[0].name, None);
    let mut layers: Vec<String> =
        outline.stages[0].steps.iter().map(|step| step.layer.as_ref().unwrap().to_string()).collect();
    layers.dedup();
    let expected = [
        "base image",
        "system packages",
        "node",
        "conda",
        "pip",
        "downloaded binary",
        "editable install",
        "source",
    ];
    assert_eq!(layers, expected);
}

#[test]
fn a_heredoc_is_named_by_what_it_holds() {
    let file = parse("FROM a\nRUN <<EOF\nset -eux\napt-get update\napt-get install -y jq\nEOF\n");
    let outline = file.outline(None, &BTreeMap::new(), &[]);
    assert_eq!(outline.stages[0].steps[1].layer, Some("system packages".into()));
    assert_eq!(outline.stages[0].steps[1].instruction.as_str(), "RUN <<EOF (set -eux...)");
}

// Against another parser.

/// Files that the other parser reads otherwise than `BuildKit`: two escape characters at the end of a line continue it
/// there.
const BEYOND_THE_ORACLE: [&str; 2] = ["engine/double-backslash/Dockerfile", "engine/quotes/Dockerfile"];

/// The keyword and the line of an instruction of theirs. Their spans are private, but printed: `Run(RunInstruction {
/// run: Keyword { span: 12..15 }, …`, the keyword's first.
fn kind_and_line(text: &str, instruction: &parse_dockerfile::Instruction<'_>) -> (String, u32) {
    let debug = format!("{instruction:?}");
    let keyword = debug.split('(').next().unwrap().to_uppercase();
    let start = debug.split("span: ").nth(1).and_then(|rest| rest.split("..").next()).unwrap();
    let before = &text[..start.parse().unwrap()];
    (keyword, u32::try_from(before.matches('\n').count()).unwrap() + 1)
}

#[test]
fn agrees_with_parse_dockerfile_where_that_can_read() {
    let corpus = fs::read_dir(data("corpus")).unwrap().map(|entry| entry.unwrap().path());
    let engine = fs::read_dir(data("engine")).unwrap().map(|entry| entry.unwrap().path().join("Dockerfile"));
    let mut agreed = 0;
    for path in corpus.chain(engine) {
        let text = fs::read_to_string(&path).unwrap();
        // Their offsets begin after it.
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let shown = path.strip_prefix(data("")).unwrap().display().to_string();
        let Ok(theirs) = parse_dockerfile::parse(&text) else { continue };
        if BEYOND_THE_ORACLE.contains(&shown.as_str()) {
            continue;
        }
        let ours = parse(&text);
        let theirs_listed: Vec<(String, u32)> =
            theirs.instructions.iter().map(|instruction| kind_and_line(&text, instruction)).collect();
        let ours_listed: Vec<(String, u32)> =
            instructions(&ours).iter().map(|i| (i.keyword.as_str().to_owned(), i.first_line)).collect();
        assert_eq!(ours_listed, theirs_listed, "{shown}");
        let stages: Vec<(String, Option<String>)> = theirs
            .stages()
            .map(|stage| {
                let name = stage.from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
                (stage.from.image.value.to_string(), name)
            })
            .collect();
        let our_stages: Vec<(String, Option<String>)> =
            ours.stages.iter().map(|stage| (stage.base.clone(), stage.name.clone())).collect();
        assert_eq!(our_stages, stages, "{shown}");
        agreed += 1;
    }
    assert!(agreed >= 40, "the oracle read {agreed} files only");
}

// Against any text.

/// Text that is nearly a Dockerfile.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("FROM a AS b\n".to_owned()),
        Just("FROM ${X:-b}\n".to_owned()),
        Just("RUN <<EOF <<-'B' cat\n".to_owned()),
        Just("EOF\n".to_owned()),
        Just("\tB\r\n".to_owned()),
        Just("ONBUILD RUN <<EOF\n".to_owned()),
        Just("COPY --from=b --x=\"".to_owned()),
        Just("ENV A=$A$A${A%%*} B ".to_owned()),
        Just("ARG A=1 X\n".to_owned()),
        Just("WORKDIR ../$A\n".to_owned()),
        Just("\\\n".to_owned()),
        Just("# escape=`\n".to_owned()),
        Just(" # comment\n".to_owned()),
        Just("RUN --mount=from=0,type=x ".to_owned()),
        "[\\PC\r\n\t\\x00]{0,12}",
        "[\\\\`'\"$<{}:#%/ \n]{0,12}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read(text in prop_oneof![nearly(), any::<String>()]) {
        let file = parse(&text);
        prop_assert_eq!(&file, &parse(&text));
        let lines = u32::try_from(text.split_inclusive('\n').count()).unwrap();
        let mut before = 0;
        for instruction in instructions(&file) {
            prop_assert!(before < instruction.first_line);
            prop_assert!(instruction.first_line <= instruction.last_line && instruction.last_line <= lines);
            before = instruction.last_line;
        }
        prop_assert!(file.diagnostics.iter().all(|d| 0 < d.line && d.line <= lines.max(1)));
        let args = BTreeMap::from([("A".to_owned(), "a\0b".to_owned())]);
        let outline = file.outline(Some("b"), &args, &[]);
        prop_assert_eq!(outline.stages.is_empty(), file.stages.is_empty());
        prop_assert!(outline.stages.is_empty() || outline.target < outline.stages.len());
    }

    #[test]
    fn comments_and_blank_lines_between_instructions_change_nothing(
        lines in proptest::collection::vec("(FROM|RUN|COPY|ENV) [a-z=<> ]{1,10}", 1..10),
        comment in "[a-z ]{0,10}",
    ) {
        let bare = parse(&(lines.join("\n") + "\n"));
        let between = format!("\n\n  # {comment}\n");
        let spread = parse(&(lines.join(&between) + "\n"));
        let texts = |file: &Dockerfile| -> Vec<String> {
            instructions(file).iter().map(|instruction| instruction.text.clone()).collect()
        };
        // A heredoc swallows what follows it.
        prop_assume!(lines.iter().all(|line| !line.contains("<<")));
        prop_assert_eq!(texts(&bare), texts(&spread));
    }
}
