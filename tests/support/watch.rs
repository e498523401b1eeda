//! A watcher of a part of a build's surroundings, and the model of what it says.

use std::time::Duration;

use layertop::event::Stamped;
use layertop::model::Model;
use tokio::sync::mpsc;

/// Nothing here takes as long, unless it is broken.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// What an actor sends, and the model of it. `S` is its snapshot.
pub(crate) struct Watch<S> {
    pub(crate) news: mpsc::Receiver<Vec<Stamped>>,
    pub(crate) model: Model,
    newest: fn(&Model) -> Option<&S>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl<S: Clone + std::fmt::Debug> Watch<S> {
    /// Starts an actor on a channel; `newest` is where its snapshot stands in the model.
    pub(crate) fn start<F>(
        actor: impl FnOnce(mpsc::Sender<Vec<Stamped>>) -> F,
        newest: fn(&Model) -> Option<&S>,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tx, news) = mpsc::channel(4);
        Self { news, model: Model::default(), newest, task: tokio::spawn(actor(tx)) }
    }

    /// Waits for a snapshot that is as asked for.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&S) -> bool) -> S {
        let found = tokio::time::timeout(LONG, async {
            loop {
                self.model.apply_all(&self.news.recv().await.expect("the actor has ended"));
                let newest = (self.newest)(&self.model).expect("a snapshot");
                if wanted(newest) {
                    return newest.clone();
                }
            }
        });
        let found = found.await.ok();
        assert!(found.is_some(), "not {what}: {:#?}", (self.newest)(&self.model));
        found.unwrap()
    }
}

impl<S> Drop for Watch<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
