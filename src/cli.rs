//! The command line: what was typed, and no more. `config` says what it means.

mod values;

use std::io::Write;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::clock::Speed;
use crate::event::gate::Gate;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Cyan.on_default().bold())
    .usage(AnsiColor::Cyan.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Yellow.on_default());

const EXAMPLES: &str = "\
Without a command: the dashboard of the project around you, with what a build would do and how registry, nodes and \
builder are. It starts nothing; where there is no terminal it prints what layertop status prints.

Examples:
  layertop                               the dashboard
  layertop demo                          see it without Docker: bundled recordings, no network
  layertop build                         build what layertop.toml says, layer by layer on the screen
  TAG=my-feature layertop build          the same under another tag
  layertop build --dry-run               print the docker command and run nothing
  layertop plan                          what a build would rebuild now, without building
  layertop status                        how registry, nodes and builder are
  layertop history                       the builds that there were
  layertop stats                         what the cache is worth, by what is rebuilt
  layertop build --progress plain        lines for a CI log; the default where there is no terminal
  layertop build -- --no-cache .         what follows -- goes to docker buildx build
  layertop replay build.jsonl.zst        watch a build again

Exit codes:
  0        success
  1        the build failed, or something could not be read or written
  2        the command line or the configuration is wrong
  3        layertop status, or no command without a terminal: something is wrong;
           layertop plan: a layer of --fail-on-rebuild would be rebuilt;
           layertop build: a gate of --fail-on failed
  4        no engine, builder, build, step, recording or terminal is to be found
  128 + n  ended by signal n: 129 hang-up (SIGHUP), 143 SIGTERM; a build that had ended by
           itself keeps its own code
  others   those of docker buildx: 1 the build failed, 130 it was cancelled, …";

/// Reads the command line; where it can't be read, says so and ends the process with 2, as clap does.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|mut error| {
        let builds = std::env::args_os().any(|word| word == "build");
        without_dashes(&mut error);
        let _ = error.print();
        if error.kind() == ErrorKind::UnknownArgument && builds {
            let hint =
                "options and the context of docker buildx go behind --: layertop build -- --no-cache .";
            // Where nobody reads it there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "\n{hint}");
        }
        std::process::exit(error.exit_code());
    })
}

/// Leaves clap's tip out that an unknown option may stand behind `--` as a value: there it is a word for buildx, or a file's name.
fn without_dashes(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<_> = tips.into_iter().filter(|tip| !tip.to_string().starts_with("to pass '")).collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}

/// The whole command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "layertop",
    version,
    about = "htop for cached image builds: every layer of a BuildKit build, live, hit or rebuilt",
    long_about = None,
    styles = STYLES,
    after_help = EXAMPLES,
    propagate_version = false,
    max_term_width = 100
)]
pub struct Cli {
    /// What is asked of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do; none: the dashboard
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Read this configuration instead of the layertop.toml found upward from here
    #[arg(long, global = true, value_name = "FILE", env = "LAYERTOP_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// When to use colours [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        help = "Colours: auto looks at the terminal, NO_COLOR, CLICOLOR and CLICOLOR_FORCE [default: auto]"
    )]
    pub color: Option<ColorChoice>,
    /// How the build is shown: auto is tui on a terminal and plain elsewhere [default: auto]
    #[arg(long, global = true, value_name = "MODE")]
    pub progress: Option<ProgressMode>,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub ascii: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that has them and where no environment variable says otherwise
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How a build is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// tui on a terminal, plain elsewhere
    #[default]
    Auto,
    /// The full screen
    Tui,
    /// Lines that are only ever appended, for CI logs
    Plain,
    /// One JSON object a line, the summary last
    Json,
    /// Nothing but errors
    Quiet,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Build the image and show every layer: hit, running, rebuilt
    #[command(long_about = BUILD_HELP)]
    Build(BuildArgs),
    /// Watch a recording, or a file of buildx's rawjson progress, again
    Replay(ReplayArgs),
    /// Watch a bundled build: needs neither Docker nor a network
    Demo(DemoArgs),
    /// Say how registry, nodes and builder are: 3 where something is wrong
    #[command(long_about = STATUS_HELP)]
    Status(StatusArgs),
    /// Say why a build's steps were not cached, and what would have avoided it
    Why(WhyArgs),
    /// What a build would rebuild now, and why; builds nothing
    Plan(PlanArgs),
    /// Two builds side by side: what each step did, how long it took and why
    Compare(CompareArgs),
    /// Give a build to other programs: JSON, Markdown, HTML, a trace, metrics
    Export(ExportArgs),
    /// The builds that there were: what each rebuilt, how long it took, what the cache saved
    #[command(long_about = HISTORY_HELP)]
    History(HistoryArgs),
    /// What the cache is worth: how long builds take, by what they rebuild
    #[command(long_about = STATS_HELP)]
    Stats(StatsArgs),
    /// Show, check or describe the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const BUILD_HELP: &str = "\
Build the image and show every layer: hit, running, rebuilt.

Runs docker buildx build with what layertop.toml says. REGISTRY, TAG and PLATFORMS in the environment override the file, \
options override both. The exit code is that of buildx. Ctrl-C cancels; a second one presses, a third one kills.";

const BUILD_EXAMPLES: &str = "\
Examples:
  layertop build
  layertop build -t my-feature --platform linux/amd64
  REGISTRY=10.43.17.166:5000 TAG=my-feature PLATFORMS=linux/amd64 layertop build
  layertop build --dry-run
  layertop build -- --no-cache
  layertop build -- --output type=local,dest=out -f docker/Dockerfile .

What follows -- is handed to docker buildx build as it is. An option that stands there replaces layertop's own of the same \
name (-f, -t, --platform, --builder, --target, --cache-from, --cache-to; --push, --load and --output replace each other), a \
--build-arg just the one of its name, and a path or URL replaces the context with its Dockerfile.

Build arguments whose names look secret (TOKEN, PASSWORD, …) are handed over by environment and never stand in a command \
line; their values are masked in everything that is shown and recorded.";

/// `layertop build`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct BuildArgs {
    /// Print the exact docker command, quoted for a shell, and run nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Don't write a recording of this build
    #[arg(long)]
    pub no_record: bool,
    /// Keep the screen when the build has ended, until q
    #[arg(long)]
    pub stay: bool,
    /// End with 3 where the build succeeds and one of these happened: miss:LAYER, 'hit-rate<80%', import-error, clipped-log,
    /// slower-than:p95
    #[arg(long, value_name = "GATE,…", value_delimiter = ',')]
    pub fail_on: Vec<Gate>,
    /// Write metrics in OpenMetrics text to this file when the build has ended, for Prometheus' node exporter
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metrics_file: Option<PathBuf>,
    /// What overrides the file and the environment.
    #[command(flatten)]
    pub overrides: BuildOverrides,
    /// Options and context for docker buildx build
    #[arg(last = true, value_name = "BUILDX ARGS")]
    pub buildx: Vec<String>,
}

/// What a build's options say of it, over `layertop.toml` and the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct BuildOverrides {
    /// Tag of the image: what stands after its colon
    #[arg(long, short, value_name = "TAG")]
    pub tag: Option<String>,
    /// Platforms to build for, separated by commas
    #[arg(long, value_name = "OS/ARCH,…")]
    pub platform: Option<String>,
    /// Registry of the image and of its cache
    #[arg(long, value_name = "HOST[:PORT]")]
    pub registry: Option<String>,
    /// Stage to build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// buildx builder [default: buildx's current one]
    #[arg(long, value_name = "NAME")]
    pub builder: Option<String>,
    /// Dockerfile [default: the one in the context]
    #[arg(long, short, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub file: Option<String>,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  layertop replay build.jsonl.zst
  layertop replay build.jsonl.zst --speed 8x
  layertop replay build.jsonl.zst --speed max --progress json
  docker buildx build --progress=rawjson . 2> build.json; layertop replay build.json";

/// `layertop replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// The recording, or what docker buildx build --progress=rawjson wrote
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// How fast: 8x, 0.5x, or max for no waiting at all
    #[arg(long, value_name = "SPEED", default_value = "1x", allow_hyphen_values = true)]
    pub speed: Speed,
    /// End with the exit code of the recorded build
    #[arg(long)]
    pub exit_code: bool,
}

const STATUS_HELP: &str = "\
Say how registry, nodes and builder are.

Each part is asked at once, and what has not answered within 12 s has its silence told. Exit code 0: all is well; 3: something \
is not. A part that is not configured is not wrong; the line says what to add to layertop.toml.";

const STATUS_EXAMPLES: &str = "\
Examples:
  layertop status
  layertop status --watch
  layertop status --progress json | jq .registry.cache
  REGISTRY=127.0.0.1:5000 layertop status --progress quiet || echo something is wrong";

/// `layertop status`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    /// Go on, and say it again whenever something changes
    #[arg(long, short)]
    pub watch: bool,
    /// Registry of the image
    #[arg(long, value_name = "HOST[:PORT]")]
    pub registry: Option<String>,
    /// buildx builder [default: buildx's current one]
    #[arg(long, value_name = "NAME")]
    pub builder: Option<String>,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  layertop demo
  layertop demo requirements --speed 4x
  layertop demo first --progress plain --speed max";

/// `layertop demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// The build to show
    #[arg(value_enum)]
    pub scenario: Option<DemoScenario>,
    /// How fast: 8x, 0.5x, or max for no waiting at all
    #[arg(long, value_name = "SPEED", default_value = "1x", allow_hyphen_values = true)]
    pub speed: Speed,
}

const PLAN_HELP: &str = "\
Say what a build would do now, and build nothing.

It is predicted from the files and instructions as they are, the recorded builds, the builder's cache, and the cache and the base \
images in their registries. Exit code 3: a layer of --fail-on-rebuild would be rebuilt, or that can't be told.";

const PLAN_EXAMPLES: &str = "\
Examples:
  layertop plan
  layertop plan --fail-on-rebuild pip,conda
  layertop plan --progress json | jq '.steps[] | select(.predicted == \"miss\")'
  layertop plan -- --build-arg VERSION=2";

/// `layertop plan`.
#[derive(Debug, Clone, Default, Args)]
#[command(long_about = PLAN_HELP, after_help = PLAN_EXAMPLES)]
pub struct PlanArgs {
    /// End with 3 where one of these layers would be rebuilt, or where that can't be told
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    pub fail_on_rebuild: Vec<String>,
    /// What overrides the file and the environment.
    #[command(flatten)]
    pub overrides: BuildOverrides,
    /// Options and context that docker buildx build would be given
    #[arg(last = true, value_name = "BUILDX ARGS")]
    pub buildx: Vec<String>,
}

const WHY_EXAMPLES: &str = "\
Examples:
  layertop why                     why the newest build of this project was not cached
  layertop why pip                 of one of its layers: by layer, by number or by a part of the instruction
  layertop why build.jsonl.zst     of another recording
  layertop why 20261122T0945 pip
  layertop why --progress json     for programs

One word alone is a build where a file or a build is called so or the name of just one build begins so, and else a step of the newest \
build.";

/// `layertop why`.
#[derive(Debug, Clone, Args)]
#[command(after_help = WHY_EXAMPLES)]
pub struct WhyArgs {
    /// The build: a recording's path or name, or how it begins [default: the newest of the project, else of this machine]
    pub build: Option<String>,
    /// The step: its layer's name, its number, or a part of its instruction
    pub step: Option<String>,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  layertop compare 20261121T1730 20261122T0945
  layertop compare before.jsonl.zst after.jsonl.zst --progress json | jq '.steps[] | {layer, diff_ms}'";

/// `layertop compare`.
#[derive(Debug, Clone, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// The first build: a recording's path or name, or how it begins
    pub a: String,
    /// The second
    pub b: String,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  layertop export --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  layertop export --format html --output build.html
  layertop export --format chrome-trace --output build.json     open it in ui.perfetto.dev
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 layertop export --format otlp
  layertop export --metrics-file /var/lib/node_exporter/layertop.prom
  layertop export 20261122T0945 --format json | jq .layers

otlp sends one trace a build to the collector that OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, names, by \
http/protobuf; OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are \
respected. With --output it is written to a file, and nothing is sent.";

/// `layertop export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub struct ExportArgs {
    /// The build: a recording's path or name, or how it begins [default: the newest of the project, else of this machine]
    pub build: Option<String>,
    /// What to make of it
    #[arg(long, short, value_enum, value_name = "FORMAT", required_unless_present = "metrics_file")]
    pub format: Option<ExportFormat>,
    /// Write it to this file, whole or not at all [default: standard output; otlp: the collector]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "format")]
    pub output: Option<PathBuf>,
    /// Write metrics in OpenMetrics text to this file, for Prometheus' node exporter
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub metrics_file: Option<PathBuf>,
}

/// What a build is exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The summary with all steps, as the last line of --progress json
    Json,
    /// For the job summaries of GitHub, and for merge requests
    Markdown,
    /// One file with a picture of the build, which needs no script and no network
    Html,
    /// Trace events, for Perfetto
    ChromeTrace,
    /// A trace for an OpenTelemetry collector
    Otlp,
}

const HISTORY_HELP: &str = "\
List the builds that there were, newest first: when, of what image, what kind of build by what it rebuilt, how it ended, how long \
it took, the share of steps that were cached, and what the cache saved.

Every build is kept, also one that failed or was cancelled. [history] in layertop.toml says how many, how long and in how much space.";

const HISTORY_EXAMPLES: &str = "\
Examples:
  layertop history
  layertop history --limit 100 --image montage-ai
  layertop history --progress json | jq '.builds[] | select(.result == \"failed\")'
  layertop history prune --older-than 90d --dry-run
  layertop history import";

/// `layertop history`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = HISTORY_EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct HistoryArgs {
    /// So many builds at most; 0: all of them
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = values::count::<usize>, allow_hyphen_values = true)]
    pub limit: usize,
    /// Builds of this image only, whatever their tag is: its whole reference, or its name's last part
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// What else to do with them.
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
}

/// What can be done with the history.
#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Delete old builds from the history: those beyond the given limits, else beyond those of layertop.toml
    Prune(HistoryPruneArgs),
    /// Take up recordings that the history does not know: those made before there was one, or on other machines
    Import {
        /// Recordings [default: all of this machine's]
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
}

/// `layertop history prune`.
#[derive(Debug, Clone, Default, Args)]
pub struct HistoryPruneArgs {
    /// Keep so many builds, the newest
    #[arg(long, value_name = "N", value_parser = values::count::<u64>, allow_hyphen_values = true)]
    pub keep: Option<u64>,
    /// Let those go that were begun longer ago: 30d, 12h, …
    #[arg(long, value_name = "AGE", value_parser = values::age, allow_hyphen_values = true)]
    pub older_than: Option<std::time::Duration>,
    /// Keep no more than this: 1GB, 512MiB, …
    #[arg(long, value_name = "SIZE", value_parser = values::size, allow_hyphen_values = true)]
    pub max_size: Option<u64>,
    /// Say what would be deleted, and delete nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Don't ask; without a terminal nobody is asked
    #[arg(long, short)]
    pub yes: bool,
}

const STATS_HELP: &str = "\
Say what the cache is worth: the successful builds of an image by what they rebuilt, how long they took, and how long they would \
have taken without any cache.

Scenarios are those of Montage AI's build-caching strategy: first build, code change only, requirements change, no changes; any other \
is named by the first layer that was rebuilt. With a profile its promised speedups stand beside the measured ones.";

const STATS_EXAMPLES: &str = "\
Examples:
  layertop stats
  layertop stats --image registry:5000/montage-ai
  layertop stats --trends
  layertop stats --all
  layertop stats --progress json | jq '.scenarios[] | {name, median_ms, speedup}'";

/// `layertop stats`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = STATS_EXAMPLES)]
pub struct StatsArgs {
    /// The image: its whole reference, or its name's last part [default: the project's, else that of the newest build]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How long each layer ran from build to build, and since when it takes another time
    #[arg(long)]
    pub trends: bool,
    /// Builds on all builders, for all platforms and of all stages, a table each [default: those like the newest build]
    #[arg(long)]
    pub all: bool,
}

/// The bundled builds: the four rows of Montage AI's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoScenario {
    /// No cache anywhere: every layer runs
    First,
    /// A file under src/ changed: the last layer runs
    Code,
    /// requirements.txt changed: pip and what follows it run
    Requirements,
    /// Nothing changed: every layer is a hit
    Unchanged,
}

/// `layertop config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration, and where each value comes from
    Print,
    /// Check the configuration: exit code 2 and the place where something is wrong
    Check,
    /// Print the JSON schema of layertop.toml, for editors
    Schema,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_is_left_alone() {
        let cli = parse("layertop build -t x --progress plain -- -t a/b:c --progress=plain -- .").unwrap();
        assert_eq!(cli.global.progress, Some(ProgressMode::Plain));
        let Some(Command::Build(build)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(build.overrides.tag.as_deref(), Some("x"));
        assert_eq!(build.buildx, ["-t", "a/b:c", "--progress=plain", "--", "."]);
    }

    #[test]
    fn speeds() {
        for (text, speed) in [("8x", 8.0), ("0.5x", 0.5), ("2", 2.0)] {
            assert_eq!(text.parse(), Ok(Speed::times(speed).unwrap()));
        }
        assert_eq!("max".parse(), Ok(Speed::MAX));
        for text in ["", "x", "0x", "-1x", "NaN", "inf", "1e9x"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_with_a_dash_is_no_option() {
        for line in [
            "replay x --speed -1",
            "demo --speed -1x",
            "history -n -1",
            "history prune --keep -1",
            "history prune --older-than -1d",
        ] {
            let error = parse(&format!("layertop {line}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{line}: {error}");
        }
        let mut error = parse("layertop replay x --fast").unwrap_err();
        assert!(error.to_string().contains("to pass '--fast'"), "{error}");
        without_dashes(&mut error);
        assert!(!error.to_string().contains("tip"), "{error}");
    }

    #[test]
    fn usage_errors_end_with_2() {
        for line in [
            "layertop bild",
            "layertop status x",
            "layertop build --speed",
            "layertop replay",
            "layertop demo x",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert!(parse("layertop").unwrap().command.is_none(), "the dashboard");
        assert_eq!(parse("layertop --help").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in ["layertop --ascii --color never demo", "layertop demo --ascii --color never"] {
            let cli = parse(line).unwrap();
            assert!(cli.global.ascii);
            assert_eq!(cli.global.color, Some(ColorChoice::Never));
        }
    }
}
