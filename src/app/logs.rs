//! What the screen asks for, in tasks of their own: whoever is asked may never answer, and files take their time.

use tokio::task::JoinSet;

use super::around::Targets;
use super::compare::Earlier;
use crate::event::{Line, Text};
use crate::report::trends::Trends;
use crate::source::{builder, kubernetes};
use crate::ui::parts::{LOG_LINES, LogsOf};
use crate::ui::sheet::{Before, Wanted};

/// Whom the last words can be had of; nobody in a replay.
#[derive(Debug, Clone, Default)]
struct Sources {
    builder: Option<builder::BuilderSettings>,
    cluster: Option<kubernetes::ClusterSettings>,
}

/// What came back.
pub(super) enum Answer {
    /// The last words of a part.
    Logs(LogsOf, Result<Vec<Line>, Text>),
    /// A build to compare with.
    Before(Wanted, Result<Box<Before>, Text>),
    /// How long layers ran.
    Trends(Result<Trends, Text>),
}

/// Asks, and hands back what is answered.
#[derive(Debug, Default)]
pub(super) struct Asking {
    sources: Sources,
    earlier: Earlier,
    tasks: JoinSet<Answer>,
}

impl Asking {
    /// Asks those that are watched.
    pub(super) fn of(targets: &Targets) -> Self {
        let sources = Sources { builder: Some(targets.builder.clone()), cluster: targets.cluster.clone() };
        Self { sources, ..Self::default() }
    }

    /// Looks among the bundled builds for those before this one; there is nobody else to ask.
    pub(super) fn of_bundled(at: usize) -> Self {
        Self { earlier: Earlier::Bundled(at), ..Self::default() }
    }

    /// Asks; what was asked before is wanted no more.
    pub(super) fn ask(&mut self, of: LogsOf) {
        self.tasks.abort_all();
        let sources = self.sources.clone();
        self.tasks.spawn(async move {
            let answer = last_words(&of, &sources).await;
            let mask = sources.builder.map(|settings| settings.mask).unwrap_or_default();
            let answer = answer.map(|lines| lines.into_iter().map(|line| mask.line(line)).collect());
            Answer::Logs(of, answer)
        });
    }

    /// Looks up an earlier build; what was asked before is wanted no more.
    pub(super) fn before(&mut self, wanted: Wanted) {
        self.tasks.abort_all();
        let earlier = self.earlier;
        self.tasks.spawn_blocking(move || {
            let answer = earlier.before(&wanted).map(Box::new);
            Answer::Before(wanted, answer)
        });
    }

    /// Looks up how long layers ran; what was asked before is wanted no more.
    pub(super) fn trends(&mut self, image: Option<Text>, builder: Option<Text>) {
        self.tasks.abort_all();
        let earlier = self.earlier;
        self.tasks.spawn_blocking(move || Answer::Trends(earlier.trends(image.as_ref(), builder.as_ref())));
    }

    /// The next answer; never where nobody was asked.
    pub(super) async fn next(&mut self) -> Answer {
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

async fn last_words(of: &LogsOf, sources: &Sources) -> Result<Vec<Line>, Text> {
    match (of, &sources.builder, &sources.cluster) {
        (LogsOf::Builder(node), Some(settings), _) => builder::logs(settings, node.as_str(), LOG_LINES).await,
        (LogsOf::Pod(pod), _, Some(settings)) => kubernetes::logs(settings, pod.as_str(), LOG_LINES).await,
        _ => Err("a recording holds none of them, and nobody is asked while it plays".into()),
    }
}
