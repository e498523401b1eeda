//! What a fingerprint says of stages, steps, files and secrets, where no engine is needed for it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use layertop::clock::Clock;
use layertop::event::fingerprint::{
    Completeness, ContextKind, FileKind, Gap, Input, MOST_FILES, MountKind, Origin, StepKind,
};
use layertop::event::{Event, Platform, Text};
use layertop::recording::format::{RecordingLine, event_line, parse_line};
use layertop::source::context::{fingerprint, start};
use tokio::sync::mpsc;

use crate::support::tree::{Project, paths, set, step};

#[test]
fn a_fingerprint_says_what_each_step_is_made_from() {
    let text = "# syntax=docker/dockerfile:1.7\nARG BASE=alpine:3\nFROM $BASE AS tools\nARG VERSION=3.1\nENV PATH_=/x/$VERSION\n\
                USER app\nRUN --mount=type=secret,id=npm --mount=from=cert,target=/c make $VERSION\nFROM scratch\n\
                COPY --from=tools --chown=1:1 /out /out\nCOPY src/ *.md /app/\nADD https://user:pw@example.com/a.tgz /a\n";
    let mut project =
        Project::new(text, &[("src/main.py", "print()"), ("README.md", "#"), (".dockerignore", "x\n")]);
    project.request.contexts.insert("cert".to_owned(), "docker-image://example.com/cert".to_owned());
    project.request.args.insert("VERSION".to_owned(), "3.2".to_owned());
    let made = project.print();
    assert_eq!((made.state, made.reason.as_str()), (Completeness::Complete, ""));
    assert_eq!(made.syntax.as_ref().map(Text::as_str), Some("docker/dockerfile:1.7"));
    let names: Vec<_> = made.stages.iter().map(|stage| stage.name.as_ref().map(Text::as_str)).collect();
    assert_eq!(names, [Some("tools"), Some("stage-1")]);
    assert_eq!(made.stages.iter().map(|stage| stage.is_target).collect::<Vec<_>>(), [false, true]);
    assert_eq!(made.stages[0].base, Input::Image("alpine:3".into()));
    assert_eq!(made.stages[1].base, Input::Scratch);
    assert_eq!(made.contexts[1].kind, ContextKind::Image);
    assert_eq!(made.contexts[0].ignore.as_ref().unwrap().patterns, ["x".into()]);

    let run = step(&made, "RUN");
    let variables: Vec<_> = run.env.iter().map(|at| &made.variables[*at as usize]).collect();
    let shown = |at: usize| {
        (
            variables[at].name.as_str(),
            variables[at].value.as_ref().unwrap().as_str(),
            variables[at].origin,
            variables[at].line,
        )
    };
    assert_eq!(shown(0), ("VERSION", "3.2", Origin::BuildArg, 4));
    assert_eq!(shown(1), ("PATH_", "/x/3.2", Origin::Env, 5));
    assert_eq!(
        run.settings.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect::<Vec<_>>(),
        [("USER", "app")]
    );
    assert_eq!(
        run.mounts.iter().map(|mount| mount.kind).collect::<Vec<_>>(),
        [MountKind::Secret, MountKind::Bind]
    );
    assert_eq!(run.mounts[0].id.as_ref().map(Text::as_str), Some("npm"));
    assert_eq!(run.mounts[1].from, Some(Input::Context(1)));
    // What an image holds is known by the builder only.
    assert_eq!((run.gaps.as_slice(), run.complete), (&[Gap::Remote][..], false));

    let from = step(&made, "COPY --from");
    assert_eq!((from.sources[0].from.clone(), from.sources[0].set), (Some(Input::Stage(0)), None));
    let copy = step(&made, "COPY src");
    assert_eq!((copy.kind, copy.complete, copy.line), (StepKind::Copy, true, 10));
    assert_eq!(copy.sources.iter().map(|source| source.path.as_str()).collect::<Vec<_>>(), ["src/", "*.md"]);
    assert_eq!(paths(&made, "COPY src"), ["src/main.py"]);
    let (_, file) = made.files(set(&made, "COPY src")).next().unwrap();
    assert_eq!((file.kind, file.size, file.depth), (FileKind::File, Some(7), 1));
    let whole = blake3::hash(b"print()").to_hex();
    assert_eq!(file.hash.unwrap().to_string(), whole[..32]);

    let add = step(&made, "ADD");
    assert_eq!(add.gaps, [Gap::Remote]);
    assert_eq!(add.sources[0].from, Some(Input::Remote("https://***@example.com/a.tgz".into())));
}

/// No secret comes out of a fingerprint in any form, and yet another value of one is another hash.
#[test]
fn nothing_secret_is_in_it() {
    let text = "FROM alpine\nARG API_TOKEN\nARG DB_PASSWORD=default-hunter2\nENV URL=https://me:url-password@host/x PLAIN=known-by-value\n\
                RUN curl -H $API_TOKEN $PLAIN <<EOF\n$API_TOKEN\nbody known-by-value\nEOF\nCOPY $PLAIN$API_TOKEN /d/$DB_PASSWORD\nCOPY <<X /x\n$API_TOKEN\nX\n\
                RUN --mount=type=secret,id=npm,env=known-by-value true\nWORKDIR /w/$API_TOKEN\nADD https://host/?k=$API_TOKEN /y\n";
    let folder = tempfile::tempdir().unwrap();
    let make = |token: &str| {
        let mut project = Project::new(text, &[]);
        project.request.args.insert("API_TOKEN".to_owned(), token.to_owned());
        project.request.secrets = vec!["known-by-value".to_owned()];
        project.request.cache = Some(folder.path().to_owned());
        project.request.run_options = vec![("add-host".to_owned(), "known-by-value:1.2.3.4".to_owned())];
        project.print()
    };
    let (made, other) = (make("token-4711-abc"), make("token-4711-abd"));
    let line = serde_json::to_string(&made).unwrap();
    for secret in ["token-4711", "hunter2", "url-password", "known-by-value"] {
        assert!(!line.contains(secret), "{secret} in {line}");
        // Nor does a hash that anybody could compare with.
        for value in [secret, "token-4711-abc", "default-hunter2"] {
            let whole = blake3::hash(value.as_bytes()).to_hex();
            assert!(!line.contains(&whole[..32]), "{value}");
        }
    }
    for begins in ["RUN curl", "COPY ***", "COPY <<X", "WORKDIR", "ADD"] {
        let (one, two) = (step(&made, begins), step(&other, begins));
        assert_eq!((one.keyed, two.keyed), (true, true), "{begins}");
        assert_eq!(one.instruction, two.instruction);
        assert_ne!(one.hash, two.hash, "{begins}");
    }
    assert!(!made.key.is_empty());
    assert_eq!(make("token-4711-abc").stages, made.stages, "the key is kept");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut project = Project::new(text, &[]);
    project.request.cache = Some(elsewhere.path().to_owned());
    assert_ne!(project.print().key, made.key);
    // Only whose it is may read the key.
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folder.path().join("hashes/key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn platforms_have_stages_of_their_own() {
    let text = "FROM --platform=$BUILDPLATFORM go AS tools\nRUN true\nARG TARGETARCH TARGETVARIANT\nRUN echo $TARGETARCH\n\
                FROM base-$TARGETARCH\nCOPY --from=tools /x /x\nFROM alpine AS base-amd64\nFROM debian AS base-arm\n";
    let text = text.replace("FROM base-$TARGETARCH\nCOPY --from=tools /x /x\nFROM alpine AS base-amd64\nFROM debian AS base-arm\n",
        "FROM alpine AS base-amd64\nFROM debian AS base-arm\nARG TARGETARCH\nFROM base-$TARGETARCH\nCOPY --from=tools /x /x\n");
    let mut project = Project::new(&text, &[]);
    project.request.platforms = Platform::parse_list("linux/amd64,linux/arm/v7");
    let made = project.print();
    let shown: Vec<_> = made
        .stages
        .iter()
        .flat_map(|stage| {
            let text = |p: Option<&Platform>| p.map_or("-", Platform::as_str).to_owned();
            stage.steps.iter().map(move |step| {
                let runs_on = step.runs_on.as_ref().map(|on| format!("{on}->")).unwrap_or_default();
                format!("{}{} {}", runs_on, text(step.platform.as_ref()), step.instruction)
            })
        })
        .collect();
    assert_eq!(
        shown,
        [
            "linux/amd64 FROM go",
            "linux/amd64 RUN true",
            "linux/amd64 RUN echo amd64",
            "linux/amd64 FROM alpine",
            "linux/amd64 COPY --from=tools /x /x",
            "linux/amd64 FROM go",
            "linux/amd64 RUN true",
            "linux/amd64->linux/arm/v7 RUN echo arm",
            "linux/arm/v7 FROM debian",
            "linux/arm/v7 COPY --from=tools /x /x",
        ]
    );
    let hashes: Vec<_> =
        made.stages.iter().filter(|s| s.name == Some("tools".into())).map(|s| s.steps[1].hash).collect();
    assert_eq!(hashes[0], hashes[1], "what is the same for both platforms has the same hash");
    project.request.build_platform = None;
    assert!(step(&project.print(), "RUN true").gaps.contains(&Gap::BuildPlatform));
}

#[test]
fn no_cache_is_said_of_the_stages_that_it_is_for() {
    let mut project = Project::new("FROM a AS one\nRUN a\nFROM one AS two\nRUN b\n", &[]);
    let not_cached =
        |project: &Project| project.print().stages.iter().map(|stage| stage.no_cache).collect::<Vec<_>>();
    assert_eq!(not_cached(&project), [false, false]);
    project.request.no_cache.stages = vec!["ONE".to_owned()];
    assert_eq!(not_cached(&project), [true, false]);
    project.request.no_cache.all = true;
    assert_eq!(not_cached(&project), [true, true]);
}

#[test]
fn a_context_may_stand_for_a_stage_or_an_image() {
    let text = "FROM alpine AS base\nRUN a\nFROM debian:12 AS mid\nRUN b\nFROM mid\nCOPY --from=base / /\nCOPY --from=more f /\n";
    let mut project = Project::new(text, &[("more/f", "1"), ("more/.dockerignore", "g\n"), ("more/g", "")]);
    project.request.contexts =
        [("base", "docker-image://busybox"), ("debian:12", "docker-image://ubuntu"), ("more", "more")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let made = project.print();
    assert_eq!(made.stages[0].base, Input::Context(1));
    assert!(made.stages[0].steps.is_empty());
    // The image's vertex is none of a step, so that the others are counted from 1.
    assert_eq!(made.stages[1].base, Input::Context(2));
    assert_eq!(
        made.stages[1].steps.iter().map(|step| step.instruction.as_str()).collect::<Vec<_>>(),
        ["RUN b"]
    );
    assert_eq!(paths(&made, "COPY --from=more"), ["f"]);
}

#[rstest::rstest]
#[case("--parents a/b/*.txt x/y /d/", &["a", "a/b", "a/b/1.txt", "a/b/2.txt", "x", "x/y"])]
#[case("--parents a/./b/1.txt /d/", &["a/b", "a/b/1.txt"])]
#[case("--parents **/1.txt /d/", &["a", "a/b", "a/b/1.txt"])]
#[case("--parents --exclude=**/1* a /d/", &["a", "a/b", "a/b/2.txt", "a/b/3", "a/link"])]
#[case("a/b/[12].txt /d/", &["a/b/1.txt", "a/b/2.txt"])]
#[case("a/* /d/", &["a/b", "a/b/1.txt", "a/b/2.txt", "a/b/3"])]
#[case("a/link/1.txt /d/", &["a/b/1.txt"])]
#[case("a/link /d/", &["a/b/1.txt", "a/b/2.txt", "a/b/3"])]
#[case(r#"["a b", "/d/"]"#, &["a b"])]
#[case(r"\*star /d/", &["*star"])]
#[case("../../x /d/", &["x/y"])]
#[case(". /d/", &["*star", "Dockerfile", "a", "a/b", "a/b/1.txt", "a/b/2.txt", "a/b/3", "a/link", "a b", "x", "x/y"])]
fn sources_take_what_they_say(#[case] arguments: &str, #[case] taken: &[&str]) {
    let files = ["a/b/1.txt", "a/b/2.txt", "a/b/3", "x/y", "a b", "*star"];
    let project = Project::new(&format!("FROM scratch\nCOPY {arguments}\n"), &files.map(|file| (file, file)));
    std::os::unix::fs::symlink("/a/b", project.path("a/link")).unwrap();
    let made = project.print();
    let sources = &step(&made, "COPY").sources;
    let mut found: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            made.files(&made.sets[source.set.unwrap() as usize]).map(|(path, _)| path).collect::<Vec<_>>()
        })
        .collect();
    found.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    assert_eq!(found, taken, "{:#?}", made.sets);
    assert_eq!(made.state, Completeness::Complete);
}

#[test]
fn two_sets_share_the_table() {
    let project = Project::new(
        "FROM a\nCOPY src/ /a\nCOPY src/sub /b\nCOPY . /c\nRUN --mount=source=src,target=/s x\nRUN --mount=target=/s x\n",
        &[("src/sub/1", "1"), ("src/2", "2")],
    );
    let made = project.print();
    assert_eq!(made.contexts[0].files.len(), 5);
    assert_eq!(paths(&made, "COPY src/ "), ["src/2", "src/sub", "src/sub/1"]);
    assert_eq!(paths(&made, "COPY src/sub"), ["src/sub/1"]);
    assert_eq!(paths(&made, "COPY ."), ["Dockerfile", "src", "src/2", "src/sub", "src/sub/1"]);
    let mounted = step(&made, "RUN --mount=source").mounts[0].set.unwrap();
    assert_eq!(made.files(&made.sets[mounted as usize]).count(), 3);
    assert_eq!(made.sets.iter().map(|set| set.count).collect::<Vec<_>>(), [3, 1, 5, 3, 5]);
}

#[test]
fn attributes_have_a_hash_of_their_own() {
    let project = Project::new("FROM a\nCOPY src /s\n", &[("src/sub/a", "1")]);
    let hashes = |project: &Project| {
        let made = project.print();
        (made.sets[0].hash, made.sets[0].attributes)
    };
    let first = hashes(&project);
    project.mode("src/sub", 0o700);
    let second = hashes(&project);
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    // What is copied is what is in it; nothing of the folder itself.
    project.mode("src", 0o700);
    assert_eq!(hashes(&project), second);
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(project.path("src/sub/a"), "user.layertop", b"1", flags).is_err() {
        println!("skipped in part: {} has no extended attributes", project.path("").display());
        return;
    }
    let third = hashes(&project);
    assert_eq!(second.0, third.0);
    assert_ne!(second.1, third.1);
    assert!(project.print().contexts[0].files.iter().any(|file| file.xattrs.is_some()));
}

/// A recording of a large one is bounded; what goes beyond is known by its hash.
#[test]
fn a_large_fingerprint_is_bounded() {
    let project = Project::new(
        "FROM a\nCOPY few /few\nCOPY many /many\nCOPY last /last\n",
        &[("few/1", "1"), ("last/1", "1")],
    );
    fs::create_dir(project.path("many")).unwrap();
    for number in 0..=MOST_FILES {
        fs::File::create(project.path(format!("many/{number}"))).unwrap();
    }
    let made = project.print();
    assert_eq!(made.sets.iter().map(|set| set.listed).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((made.sets[1].count, made.sets[1].complete), (MOST_FILES as u64 + 1, true));
    assert_eq!(made.contexts[0].files.len(), 4);
    let before = made.sets[1].hash;
    project.write("many/7", "seven");
    assert_ne!(project.print().sets[1].hash, before);
}

#[test]
fn it_comes_back_from_a_recording() {
    let project =
        Project::new("FROM a\nARG V=1\nCOPY . /\nRUN <<EOF\nx\nEOF\n", &[("src/a", "1"), ("src/b/c", "2")]);
    std::os::unix::fs::symlink("src", project.path("link")).unwrap();
    let made = layertop::event::Stamped {
        at: layertop::event::Time::from_micros(7),
        event: Event::Fingerprint(Box::new(project.print())),
    };
    let mut line = Vec::new();
    event_line(&made, &mut line);
    assert_eq!(parse_line(&line), RecordingLine::Event(Box::new(made)));
}

#[test]
fn hashes_are_kept_until_a_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut project = Project::new("FROM a\nCOPY src /s\n", &[("src/a", "1"), ("src/b", "2")]);
    project.request.cache = Some(folder.path().to_owned());
    // A file that has changed a moment ago may do so again unseen; its hash is kept from the second moment on.
    let made = loop {
        let made = project.print();
        if made.work.known_files == 2 {
            break made;
        }
    };
    assert_eq!((made.work.read_files, made.work.read_bytes), (0, 0));
    let before = made.sets[0].hash;

    fs::write(project.path("src/a"), "3").unwrap();
    let made = project.print();
    assert_eq!((made.work.known_files, made.work.read_files), (1, 1));
    assert_ne!(made.sets[0].hash, before);
    let changed = made.sets[0].hash;

    // What is damaged in any place is as if it were not there, and is made anew.
    let store = fs::read_dir(folder.path().join("hashes")).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.extension().is_some_and(|e| e == "hashes")).unwrap();
    let whole = fs::read(&store).unwrap();
    for damage in [0, 20, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[damage] ^= 1;
        fs::write(&store, &bytes).unwrap();
        let made = project.print();
        assert_eq!((made.work.known_files, made.work.read_files, made.sets[0].hash), (0, 2, changed));
    }
    for length in [0, 7, 16, 47, whole.len() - 1] {
        fs::write(&store, &whole[..length]).unwrap();
        assert_eq!(project.print().sets[0].hash, changed);
    }
    // Where nothing can be written nothing is kept, and nothing else is different.
    project.request.cache = Some("/proc/none".into());
    assert_eq!(project.print().sets[0].hash, changed);
}

#[test]
fn who_does_not_wait_is_not_waited_for() {
    let project = Project::new("FROM a\nCOPY . /\n", &[("a", "1")]);
    let cancel = AtomicBool::new(true);
    let made = fingerprint(&project.request, &cancel, Clock::live());
    assert_eq!(made.state, Completeness::Cancelled);
    assert!(!step(&made, "COPY").complete && !made.sets[0].complete);
    assert_eq!(made.work.read_files, 0);
    cancel.store(false, Ordering::Relaxed);
    assert_eq!(fingerprint(&project.request, &cancel, Clock::live()).state, Completeness::Complete);
}

#[tokio::test]
async fn it_is_sent_as_one_event() {
    let project = Arc::new(Project::new("FROM a\nCOPY a /\n", &[("a", "1")]));
    let (tx, mut rx) = mpsc::channel(1);
    start(project.request.clone(), Clock::live(), tx).await;
    let batch = rx.recv().await.unwrap();
    let [event] = batch.as_slice() else { panic!("{batch:?}") };
    let Event::Fingerprint(made) = &event.event else { panic!("{event:?}") };
    assert_eq!(made.stages, project.print().stages);
    assert!(rx.recv().await.is_none());
    // Nobody receives: it ends without having sent.
    let (tx, rx) = mpsc::channel(1);
    drop(rx);
    start(project.request.clone(), Clock::live(), tx).await;
}
