//! What would have avoided a miss: projects that are fingerprinted, changed and planned, and what the plan advises, by file and line.

use std::collections::BTreeMap;

use layertop::event::{Digest, Ended, Event, Stamped, Started, Time};
use layertop::explain::{self, Past};
use layertop::model::Model;
use layertop::wording;
use rstest::rstest;

use crate::support::tree::Project;

/// What the base image's tag points at.
fn base(digit: char) -> BTreeMap<layertop::event::Text, Digest> {
    let digest = format!("sha256:{}", digit.to_string().repeat(64));
    BTreeMap::from([("base".into(), Digest::parse(&digest))])
}

fn at(event: Event) -> Stamped {
    Stamped { at: Time::from_micros(1), event }
}

/// What comes before a build of the project as it stands.
fn known(project: &Project) -> Vec<Stamped> {
    let started = Started { image: Some("r/app:1".into()), builder: Some("b".into()), ..Started::default() };
    vec![at(Event::Started(started)), at(Event::Fingerprint(Box::new(project.print())))]
}

/// A build of the project as it stands, in which every step ran.
fn built(project: &Project) -> Past {
    let known = known(project);
    let mut model = Model::default();
    model.apply_all(&known);
    for event in explain::plan(&known, &[], &base('1')) {
        let Event::Vertex(mut update) = event.event else { continue };
        (update.started, update.completed) = (Some(event.at), Some(event.at));
        model.apply(&at(Event::Vertex(update)));
    }
    model.apply(&at(Event::Ended(Ended::with(Some(0)))));
    Past::of("one".into(), &model)
}

/// The advice on each step that would be rebuilt: `Dockerfile:3: …`.
fn advice(project: &Project, past: Past, digit: char) -> Vec<String> {
    let known = known(project);
    let mut planned = explain::plan(&known, &[past], &base(digit));
    wording::fill_plan(&mut planned);
    let steps = planned.into_iter().find_map(|event| match event.event {
        Event::Planned(planned) => Some(planned.steps),
        _ => None,
    });
    let reasons = steps.unwrap().into_iter().filter_map(|step| step.reason);
    let told = reasons.flat_map(|reason| reason.advice).map(|advice| {
        let file = advice.file.map(|file| file.to_string()).unwrap_or_default();
        let line = advice.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{file}{line}: {}", advice.text)
    });
    told.collect()
}

const FILES: [(&str, &str); 8] = [
    ("requirements.txt", "numpy\n"),
    ("environment.yml", "- numba\n"),
    ("src/main.py", "1\n"),
    ("main.py", "1\n"),
    ("debug.log", "1\n"),
    ("README.md", "1\n"),
    ("tests/a.py", "1\n"),
    (".git/index", "1\n"),
];

const PIP: &str =
    "keep what `pip install` downloads from build to build: RUN --mount=type=cache,target=/root/.cache/pip …";

#[rstest]
#[case::all_before_pip(
    "COPY . .\nRUN pip install -r requirements.txt",
    "src/main.py",
    &["Dockerfile:2: split the COPY: copy requirements.txt before line 3, and the rest after it", "Dockerfile:3: PIP"],
)]
#[case::several_installations(
    "COPY . .\nRUN conda env create\nRUN pip install -r requirements.txt\nRUN --mount=type=cache,target=/c npm i x",
    "src/main.py",
    &[
        "Dockerfile:2: split the COPY: copy environment.yml and requirements.txt before line 3, and the rest after line 5",
        "Dockerfile:3: keep what `conda env` downloads from build to build: RUN --mount=type=cache,target=/opt/conda/pkgs …",
        "Dockerfile:4: PIP",
    ],
)]
#[case::sources_before_pip(
    "COPY src/ src/\nRUN pip install numpy",
    "src/main.py",
    &["Dockerfile:2: move this COPY after line 3: that step then does not run again", "Dockerfile:3: PIP"],
)]
#[case::what_pip_needs("COPY . .\nRUN pip install -r requirements.txt", "requirements.txt", &["Dockerfile:3: PIP"])]
#[case::what_is_installed_itself("COPY . .\nRUN pip install -e .", "src/main.py", &["Dockerfile:3: PIP"])]
#[case::in_good_order("RUN pip install numpy\nCOPY src/ src/", "src/main.py", &[])]
#[case::a_log("COPY . .", "debug.log", &[".dockerignore: keep debug.log out of the context: add the line `**/*.log`"])]
#[case::a_log_that_is_named("COPY debug.log .", "debug.log", &[])]
#[case::git("COPY . .", ".git/index", &[".dockerignore: keep .git/index out of the context: add the line `**/.git`"])]
#[case::a_readme(
    "COPY . .",
    "README.md",
    &[".dockerignore: if no step needs README.md, keep it out of the context: add the line `README.md`"],
)]
#[case::tests(
    "COPY . .",
    "tests/a.py",
    &[".dockerignore: if no step needs tests/a.py, keep it out of the context: add the line `tests`"],
)]
#[case::tests_that_are_named("COPY tests/ /t", "tests/a.py", &[])]
#[case::what_an_image_is_made_of("COPY src/main.py .", "src/main.py", &[])]
fn files_that_changed(#[case] steps: &str, #[case] changed: &str, #[case] expected: &[&str]) {
    let project = Project::new(&format!("FROM base\n{steps}\n"), &FILES);
    let past = built(&project);
    project.write(changed, "another\n");
    let expected: Vec<String> = expected.iter().map(|line| line.replace("PIP", PIP)).collect();
    assert_eq!(advice(&project, past, '1'), expected);
}

#[test]
fn a_mode_an_argument_and_an_instruction() {
    let dockerfile = "FROM base\nARG FLAVOUR=plain\nRUN pip install a\nCOPY src/ src/\n";
    let project = Project::new(dockerfile, &FILES);
    let past = built(&project);
    project.mode("src/main.py", 0o755);
    let told = advice(&project, past.clone(), '1');
    let mode = "Dockerfile:4: set the mode of src/main.py in the Dockerfile, so that its mode in the context does not count: COPY --chmod=…";
    assert_eq!(told, [mode]);
    project.mode("src/main.py", 0o644);

    project.write("Dockerfile", &dockerfile.replace("plain", "sweet"));
    let behind = "Dockerfile:3: declare the ARG after the steps that do not use it: each RUN after an ARG has it in its environment";
    assert_eq!(advice(&project, past.clone(), '1'), [behind.to_owned(), format!("Dockerfile:3: {PIP}")]);

    project.write("Dockerfile", &dockerfile.replace("install a", "install b"));
    assert_eq!(advice(&project, past.clone(), '1'), [format!("Dockerfile:3: {PIP}")]);

    // What is ignored by a file of the Dockerfile's own goes there.
    project.write("Dockerfile", "FROM base\nCOPY . .\n");
    project.write("Dockerfile.dockerignore", ".git\n");
    let past = built(&project);
    project.write("debug.log", "another\n");
    let told = advice(&project, past, '1');
    assert_eq!(told, ["Dockerfile.dockerignore: keep debug.log out of the context: add the line `**/*.log`"]);
    assert!(project.path("debug.log").is_file());
}

#[test]
fn a_base_image_that_moved_can_be_pinned() {
    let project = Project::new("# syntax\n\nFROM base\nRUN make\n", &[]);
    let past = built(&project);
    let told = advice(&project, past, '2');
    let pinned = format!("base@sha256:{}", "2".repeat(64));
    assert_eq!(told, [format!("Dockerfile:3: pin the base image by its digest: FROM {pinned}")]);
}
