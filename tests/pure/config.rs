//! Configuration from real files: merging, origins, and what is said where something is wrong.

use std::fs;
use std::path::Path;

use clap::Parser;
use layertop::cli::{Cli, ColorChoice, Command, ProgressMode};
use layertop::config::{self, Config, Surroundings, ValueOrigin};
use layertop::error::Error;
use tempfile::TempDir;

const MONTAGE: &str = r#"profile = "montage-ai"

[image]
registry = "10.43.17.166:5000"
name = "montage-ai"
platforms = ["linux/amd64", "linux/arm64"]

[build]
builder = "multiarch-builder"
dockerfile = "Dockerfile"
args = { BUILDKIT_INLINE_CACHE = "1", NPM_TOKEN = "hunter2", JOBS = 4 }
cache = "buildcache"
push = true
extra = ["--provenance=false"]

[[layer]]
name = "fonts"
match = "fonts-"

[recordings]
keep = 7
keep_for = "12h"
keep_bytes = "2GB"

[ui]
color = "never"

[registry]
ca = "certs/registry.pem"
every = "5s"

[kubernetes]
kubeconfig = "kube/config"
namespace = "montage-ai"
registry = { service = "montage-ai-registry", selector = "app=montage-ai-registry", port = 5000 }
"#;

/// A folder with a `layertop.toml`, and a `sub` below it.
struct Project(TempDir);

impl Project {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("layertop.toml"), text).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn around(&self, env: &[(&str, &str)]) -> Surroundings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Surroundings { cwd: self.path().to_owned(), user_file: None, env }
    }
}

fn load(line: &str, around: &Surroundings) -> Result<Config, Error> {
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    let overrides = match &cli.command {
        Some(Command::Build(build)) => Some(&build.overrides),
        _ => None,
    };
    Config::load(&cli.global, overrides, around)
}

/// The message of a file that won't do, in a folder of its own.
fn complaint(text: &str) -> String {
    let project = Project::new(text);
    let error = load("layertop build", &project.around(&[])).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn defaults_where_there_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let around = Surroundings { cwd: dir.path().to_owned(), ..Surroundings::default() };
    let config = load("layertop build", &around).unwrap();
    assert!(config.files.is_empty());
    assert_eq!((config.image(), config.cache(), *config.build.push), (None, None, false));
    assert_eq!((config.build.context.as_str(), config.build.dockerfile.as_deref()), (".", None));
    assert_eq!(config.build.builder.value, None);
    assert_eq!((*config.recordings.keep, config.recordings.keep_for.as_secs()), (50, 30 * 86_400));
    assert_eq!(config.build.context.origin, ValueOrigin::Default);
}

#[test]
fn the_file_is_found_upward_and_its_paths_are_relative_to_it() {
    let project = Project::new(MONTAGE);
    let mut around = project.around(&[]);
    around.cwd = project.path().join("sub");
    let config = load("layertop build", &around).unwrap();
    assert_eq!(config.folder, project.path());
    assert_eq!(config.image().as_deref(), Some("10.43.17.166:5000/montage-ai:latest"));
    assert_eq!(config.cache().as_deref(), Some("10.43.17.166:5000/montage-ai:buildcache"));
    assert_eq!(Path::new(&*config.build.context), project.path());
    assert_eq!(config.build.dockerfile.as_deref().map(Path::new), Some(&*project.path().join("Dockerfile")));
    assert_eq!(config.build.args["JOBS"].as_str(), "4");
    assert_eq!((*config.recordings.keep, config.recordings.keep_for.as_secs()), (7, 12 * 3600));
    assert_eq!(*config.recordings.keep_bytes, 2_000_000_000);
    assert_eq!(*config.ui.color, ColorChoice::Never);
    assert_eq!(
        config.registry.ca.as_deref().map(Path::new),
        Some(&*project.path().join("certs/registry.pem"))
    );
    assert_eq!((config.registry.every.as_secs(), config.registry.look_every.as_secs()), (5, 10));
    let kubernetes = config.kubernetes.unwrap();
    assert_eq!(kubernetes.kubeconfig.as_deref().map(Path::new), Some(&*project.path().join("kube/config")));
    assert_eq!(kubernetes.registry.and_then(|registry| registry.port), Some(5000));
    let names: Vec<&str> = config.layers.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names[..2], ["fonts", "miniconda"], "rules of the file come before those of the profile");
}

#[test]
fn options_over_environment_over_file_over_user_file() {
    let project = Project::new(MONTAGE);
    let user = project.path().join("user.toml");
    fs::write(&user, "[ui]\nprogress = \"plain\"\ncolor = \"always\"\n[image]\ntag = \"mine\"\n[build.args]\nJOBS = 1\nX = \"y\"\n")
        .unwrap();
    let mut around =
        project.around(&[("REGISTRY", "127.0.0.1:5055"), ("TAG", "from-env"), ("PLATFORMS", "linux/arm64")]);
    around.user_file = Some(user);
    let config = load("layertop build --tag typed", &around).unwrap();
    assert_eq!(config.image().as_deref(), Some("127.0.0.1:5055/montage-ai:typed"));
    assert_eq!(config.image.tag.origin, ValueOrigin::Option("--tag"));
    assert_eq!(config.image.registry.origin, ValueOrigin::Environment("REGISTRY"));
    assert_eq!(config.image.platforms.len(), 1);
    assert_eq!(config.image.name.origin, ValueOrigin::File(Path::new("layertop.toml").into(), 5));
    assert_eq!((*config.ui.progress, *config.ui.color), (ProgressMode::Plain, ColorChoice::Never));
    assert_eq!((config.build.args["JOBS"].as_str(), config.build.args["X"].as_str()), ("4", "y"));

    around.env.insert("TAG".into(), String::new());
    let config = load("layertop build", &around).unwrap();
    assert_eq!(
        config.image.tag.as_str(),
        "mine",
        "an empty variable is none, and the file says nothing of a tag"
    );
}

#[test]
fn a_file_of_ones_own_choice() {
    let project = Project::new("[image]\nname = \"a\"\n");
    fs::write(project.path().join("sub/other.toml"), "[image]\nname = \"b\"\n").unwrap();
    let config = load("layertop --config sub/other.toml build", &project.around(&[])).unwrap();
    assert_eq!(config.image().as_deref(), Some("b:latest"));
    assert_eq!(Path::new(&*config.build.context), project.path().join("sub"));
    let error = load("layertop --config none.toml build", &project.around(&[])).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().starts_with("there is no configuration file none.toml\n"), "{error}");
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    assert_eq!(
        complaint("[image]\nname = \"x\"\nplaforms = [\"linux/amd64\"]\n"),
        "layertop.toml:3:1: unknown key `plaforms`\n  |\n3 | plaforms = [\"linux/amd64\"]\n  | ^^^^^^^^\n  did you mean \
         `platforms`?"
    );
    assert_eq!(
        complaint("[image]\nplatforms = [\"linux/amd64\", \"arm64\"]\n"),
        "layertop.toml:2:29: `arm64` is not a platform\n  |\n2 | platforms = [\"linux/amd64\", \"arm64\"]\n  |                 \
         \x20           ^^^^^^^\n  write it with its system: linux/arm64"
    );
    let cases = [
        ("[image\n", "layertop.toml:1:7: unclosed table, expected `]`"),
        ("[build]\npush = \"yes\"\n", "layertop.toml:2:8: invalid type: string \"yes\", expected a boolean"),
        ("[image]\ntag = 5\n", "layertop.toml:2:7: invalid type: integer `5`, expected a string"),
        ("[recordings]\nkeep_for = \"30 moons\"\n", "layertop.toml:2:12: `30 moons` is not a duration: "),
        ("[recordings]\nkeep_bytes = -1\n", "layertop.toml:2:14: invalid value: integer `-1`"),
        ("[recordings]\nkeep_bytes = \"much\"\n", "layertop.toml:2:14: invalid value: string \"much\""),
        ("[registry]\nevery = \"1ms\"\n", "layertop.toml:2:9: `1ms` is too short"),
        ("[registry]\nca = \"\"\n", "layertop.toml:2:6: `` can't stand in a command"),
        ("[health]\nwatch = 1\n", "layertop.toml:2:9: invalid type: integer `1`, expected a boolean"),
        ("[kubernetes]\nconfig = \"x\"\n", "layertop.toml:2:1: unknown key `config`"),
        ("profile = \"montage\"\n", "layertop.toml:1:11: there is no profile `montage`"),
        ("[ui]\nprogress = \"tty\"\n", "layertop.toml:2:12: `tty` is none of the choices"),
        ("[build]\nbuilder = \"--push\"\n", "layertop.toml:2:11: `--push` looks like an option"),
        ("[[layer]]\nname = \"x\"\n", "layertop.toml:1:1: missing field `match`"),
        ("[image]\nname = \"a\"\nname = \"b\"\n", "layertop.toml:3:1: duplicate key"),
    ];
    for (text, start) in cases {
        let shown = complaint(text);
        assert!(shown.starts_with(start), "{text}\n{shown}");
        assert!(shown.contains('^'), "{shown}");
        assert!(shown.lines().last().unwrap().starts_with("  "), "a next step: {shown}");
    }
}

#[test]
fn all_wrong_values_are_said_at_once() {
    let shown = complaint("[image]\nregistry = \"http://x\"\nname = \"Big\"\n");
    assert!(shown.contains("layertop.toml:2:12") && shown.contains("layertop.toml:3:8"), "{shown}");
}

#[test]
fn a_file_that_is_no_text() {
    let project = Project::new("");
    fs::write(project.path().join("layertop.toml"), b"[image]\nname = \"\xff\"\n").unwrap();
    let error = load("layertop build", &project.around(&[])).unwrap_err().to_string();
    assert!(error.starts_with("layertop.toml:2:9: this is not UTF-8"), "{error}");
}

#[test]
fn wrong_variables_and_options_name_themselves() {
    let project = Project::new(MONTAGE);
    let env = load("layertop build", &project.around(&[("PLATFORMS", "linux/amd64,riscv")])).unwrap_err();
    assert!(env.to_string().starts_with("environment PLATFORMS: `riscv` is not a platform"), "{env}");
    let typed = load("layertop build -t a/b:c", &project.around(&[])).unwrap_err();
    assert!(typed.to_string().starts_with("--tag: `a/b:c` is a whole reference"), "{typed}");
    assert_eq!((env.exit_code(), typed.exit_code()), (2, 2));
}

#[test]
fn a_platform_that_does_not_exist_is_a_warning_wherever_it_stands() {
    let project = Project::new("[image]\nplatforms = [\"linux/amd64\", \"linux/amd46\"]\n");
    let said = |line: &str, env: &[(&str, &str)]| {
        let config = load(line, &project.around(env)).unwrap();
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let file = said("layertop build", &[]);
    assert!(file[0].starts_with("layertop.toml:2:29: unknown platform `linux/amd46`: "), "{file:?}");
    assert!(file[0].contains("did you mean `linux/amd64`? BuildKit takes unknown ones too"), "{file:?}");
    let environment = said("layertop build", &[("PLATFORMS", "linux/foo,linux/arm64")]);
    assert!(
        environment[0].starts_with("environment PLATFORMS: unknown platform `linux/foo`"),
        "{environment:?}"
    );
    let option = said("layertop build --platform linux/arm/v77", &[]);
    assert!(
        option[0].starts_with("--platform: unknown platform `linux/arm/v77`: arm has no variant"),
        "{option:?}"
    );
    assert_eq!(
        [file.len(), environment.len(), option.len()],
        [1, 1, 1],
        "what is overridden is not asked for"
    );
    assert!(said("layertop build --platform linux/arm/v7", &[]).is_empty());
}

#[test]
fn an_unreadable_rule_is_a_warning_with_its_place() {
    let project = Project::new(
        "[[layer]]\nname = \"x\"\nmatch = \"ffmpeg(\"\n\n[[layer]]\nname = \"y\"\nmatch = \"y\"\n",
    );
    let config = load("layertop build", &project.around(&[])).unwrap();
    assert_eq!(config.layers.len(), 1);
    let shown = config.warnings[0].to_string();
    assert!(
        shown.starts_with("layertop.toml:3:9: `ffmpeg(` is not a regular expression: unclosed group"),
        "{shown}"
    );
}

#[test]
fn a_cache_without_an_image_is_a_warning() {
    let project = Project::new("[build]\ncache = \"buildcache\"\n");
    let config = load("layertop build", &project.around(&[])).unwrap();
    let shown = config.warnings[0].to_string();
    assert!(shown.starts_with("layertop.toml:2:9: the image has no name, so there is no cache"), "{shown}");
}

#[test]
fn idle_rules_are_found() {
    let text = "profile = \"montage-ai\"\n[[layer]]\nname = \"a\"\nmatch = \"copy\"\n[[layer]]\nname = \"b\"\nmatch = \"copy src\"\n\
                [[layer]]\nname = \"c\"\nmatch = \"cargo\"\n";
    let project = Project::new(text);
    let config = load("layertop build", &project.around(&[])).unwrap();
    let idle = config.idle_rules(&["FROM x", "COPY src/ ."]);
    assert_eq!(
        idle,
        [
            "layertop.toml:7: layer `b` names nothing: an earlier rule comes first everywhere (`copy src`)",
            "layertop.toml:10: layer `c` names nothing: no instruction matches (`cargo`)",
        ]
    );
}

#[test]
fn what_is_printed_says_the_origins_and_can_be_read_again() {
    let project = Project::new(MONTAGE);
    let config = load("layertop build --platform linux/amd64", &project.around(&[("TAG", "t")])).unwrap();
    let printed = config.print();
    insta::assert_snapshot!(printed);
    assert!(!printed.contains("hunter2"));

    let again = Project::new(&printed);
    let read = load("layertop build", &again.around(&[])).unwrap();
    assert_eq!((read.image(), read.cache()), (config.image(), config.cache()));
    assert_eq!(read.recordings.keep_for.value, config.recordings.keep_for.value);
    assert_eq!(
        (read.registry.every.value, read.registry.slow.value),
        (config.registry.every.value, config.registry.slow.value)
    );
    assert_eq!(
        read.kubernetes.map(|k| (k.namespace, k.registry)),
        config.kubernetes.map(|k| (k.namespace, k.registry))
    );
}

#[test]
fn the_schema_takes_what_the_program_takes() {
    let schema = config::schema();
    let check = |text: &str| {
        let value: toml::Table = toml::from_str(text).unwrap();
        jsonschema::is_valid(&schema, &serde_json::to_value(value).unwrap())
    };
    assert!(check(MONTAGE));
    assert!(check(""));
    for wrong in ["[image]\nplaforms = []\n", "[build]\npush = 1\n", "[[layer]]\nname = \"x\"\n"] {
        assert!(!check(wrong), "{wrong}");
    }
}
