//! What is checked out where a build is made from, as Git says it.
//!
//! It is asked beside the build and for a short time only. Where there is no Git, no repository, or no commit in it,
//! nothing is said.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use super::group::ProcessGroup;
use crate::event::{Commit, Text};

/// How long Git may take for one answer. In a large working tree that nobody has looked at for long it takes seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest name of a commit, in hexadecimal digits: those of SHA-256.
const LONGEST_ID: usize = 64;

/// The commit that is checked out in a folder or above it, and whether there is anything beside it. What is not known when the build
/// is over stays unknown.
pub async fn commit(folder: &Path, mut is_over: watch::Receiver<bool>) -> Option<Commit> {
    let mut text = String::new();
    let head = async {
        let mut child = git(folder, &["rev-parse", "--verify", "HEAD"]).spawn().ok()?;
        let _group = ProcessGroup::led_by(&child);
        // A line longer than that is no commit.
        child.stdout.take()?.take(LONGEST_ID as u64 + 1).read_to_string(&mut text).await.ok()?;
        child.wait().await.ok()?.success().then_some(())
    };
    tokio::select! {
        biased;
        known = timeout(PATIENCE, head) => known.ok()??,
        _ = is_over.wait_for(|over| *over) => return None,
    }
    let id = text.trim();
    if id.is_empty() || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let dirty = tokio::select! {
        biased;
        known = timeout(PATIENCE, is_dirty(folder)) => known.ok().flatten(),
        _ = is_over.wait_for(|over| *over) => None,
    };
    Some(Commit { id: Text::clean(id), dirty })
}

/// Whether `git status` has anything to say: one byte of it is enough.
async fn is_dirty(folder: &Path) -> Option<bool> {
    let mut child = git(folder, &["status", "--porcelain"]).spawn().ok()?;
    // Git may have started something of the user's, which does not outlive the question either.
    let _group = ProcessGroup::led_by(&child);
    let mut first = [0];
    let read = child.stdout.take()?.read(&mut first).await.ok()?;
    if read > 0 {
        return Some(true);
    }
    child.wait().await.ok()?.success().then_some(false)
}

fn git(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("git");
    // Without locks: the user may be committing at this very moment.
    command.arg("--no-optional-locks").arg("-C").arg(folder).args(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, words: &[&str]) {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(folder).args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
        ]);
        assert!(command.args(words).stdout(Stdio::null()).status().unwrap().success(), "git {words:?}");
    }

    #[tokio::test]
    async fn a_working_tree_is_clean_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let (_still, goes_on) = watch::channel(false);
        let ask = || commit(dir.path(), goes_on.clone());
        assert_eq!(ask().await, None, "no repository");
        run(dir.path(), &["init", "-q"]);
        assert_eq!(ask().await, None, "no commit");
        run(dir.path(), &["commit", "-q", "--allow-empty", "-m", "a"]);
        let clean = ask().await.unwrap();
        assert_eq!((clean.id.as_str().len(), clean.dirty), (40, Some(false)));
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/a"), "a").unwrap();
        assert_eq!(ask().await.unwrap(), Commit { dirty: Some(true), ..clean.clone() });
        let below = commit(&dir.path().join("src"), goes_on.clone()).await.unwrap();
        assert_eq!(below.id, clean.id);
    }
}
