//! What the screen asks for, in tasks of their own: whoever is asked may never answer, and files take their time.

use tokio::task::JoinSet;

use super::compare::EarlierBuilds;
use super::watchers::WatchTargets;
use crate::event::{Line, Text};
use crate::report::trends::Trends;
use crate::source::{builder, kubernetes};
use crate::ui::parts::{LOG_LINES, LogSource};
use crate::ui::sheet::{Baseline, BaselineQuery};

/// Whom the last words can be had of; nobody in a replay.
#[derive(Debug, Clone, Default)]
struct LogSources {
    builder: Option<builder::BuilderSettings>,
    cluster: Option<kubernetes::ClusterSettings>,
}

pub(super) enum LookupAnswer {
    /// The last words of a part.
    Logs(LogSource, Result<Vec<Line>, Text>),
    /// A build to compare with.
    Before(BaselineQuery, Result<Box<Baseline>, Text>),
    /// How long layers ran.
    Trends(Result<Trends, Text>),
}

/// Asks, and hands back what is answered.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    sources: LogSources,
    earlier: EarlierBuilds,
    tasks: JoinSet<LookupAnswer>,
}

impl Lookups {
    /// Asks those that are watched.
    pub(super) fn of(targets: &WatchTargets) -> Self {
        let sources = LogSources { builder: Some(targets.builder.clone()), cluster: targets.cluster.clone() };
        Self { sources, ..Self::default() }
    }

    /// Looks among the bundled builds for those before this one; there is nobody else to ask.
    pub(super) fn of_bundled(at: usize) -> Self {
        Self { earlier: EarlierBuilds::Bundled(at), ..Self::default() }
    }

    /// Asks; what was asked before is wanted no more.
    pub(super) fn ask(&mut self, of: LogSource) {
        self.tasks.abort_all();
        let sources = self.sources.clone();
        self.tasks.spawn(async move {
            let answer = read_logs(&of, &sources).await;
            let mask = sources.builder.map(|settings| settings.mask).unwrap_or_default();
            let answer = answer.map(|lines| lines.into_iter().map(|line| mask.line(line)).collect());
            LookupAnswer::Logs(of, answer)
        });
    }

    /// Looks up an earlier build; what was asked before is wanted no more.
    pub(super) fn before(&mut self, wanted: BaselineQuery) {
        self.tasks.abort_all();
        let earlier = self.earlier;
        self.tasks.spawn_blocking(move || {
            let answer = earlier.before(&wanted).map(Box::new);
            LookupAnswer::Before(wanted, answer)
        });
    }

    /// Looks up how long layers ran; what was asked before is wanted no more.
    pub(super) fn trends(&mut self, image: Option<Text>, builder: Option<Text>) {
        self.tasks.abort_all();
        let earlier = self.earlier;
        self.tasks
            .spawn_blocking(move || LookupAnswer::Trends(earlier.trends(image.as_ref(), builder.as_ref())));
    }

    /// The next answer; never where nobody was asked.
    pub(super) async fn next(&mut self) -> LookupAnswer {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(answer)) => return answer,
                // It was given up.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

async fn read_logs(of: &LogSource, sources: &LogSources) -> Result<Vec<Line>, Text> {
    match (of, &sources.builder, &sources.cluster) {
        (LogSource::Builder(node), Some(settings), _) => {
            builder::logs(settings, node.as_str(), LOG_LINES).await
        }
        (LogSource::Pod(pod), _, Some(settings)) => kubernetes::logs(settings, pod.as_str(), LOG_LINES).await,
        _ => Err("a recording holds none of them, and nobody is asked while it plays".into()),
    }
}
