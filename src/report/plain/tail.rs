//! How far the output of a vertex has been told.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::event::Time;
use crate::model::{Log, LogLine};

/// Lines that are remembered. The model lets a late line in at most this far before the newest one.
const REMEMBERED: usize = 64;

/// What is told next.
#[derive(Debug, PartialEq)]
pub(super) enum TailPiece<'a> {
    /// So many lines were gone before they could be told.
    Missing(u64),
    Line(&'a LogLine),
}

/// A place in a log that grows at its end, loses lines at its beginning, and may take a late line in between.
#[derive(Debug, Default)]
pub(super) struct LogTail {
    /// How many lines have been dealt with, of all that there ever were.
    told: u64,
    /// The last told ones: where a late line moved them, it is known by what has come between them.
    recent: VecDeque<u64>,
}

impl LogTail {
    /// What is new in the log and not younger than `border`.
    pub(super) fn advance<'a>(&mut self, log: &'a Log, border: Time) -> Vec<TailPiece<'a>> {
        let kept = log.ended();
        let dropped = log.dropped();
        let mut pieces = Vec::new();
        if dropped + kept.len() as u64 <= self.told {
            return pieces;
        }
        if dropped > self.told {
            if kept.clone().next().is_some_and(|first| first.at > border) {
                return pieces;
            }
            pieces.push(TailPiece::Missing(dropped - self.told));
            self.told = dropped;
            self.recent.clear();
        }
        let known = (self.told - dropped) as usize;
        while self.recent.len() > known {
            self.recent.pop_front();
        }
        let start = known - self.recent.len();
        let mut told = self.recent.iter().copied().peekable();
        let mut walked = Vec::new();
        let mut fresh = Vec::new();
        for line in kept.clone().skip(start) {
            let print = fingerprint(line);
            let late = match told.peek() {
                Some(next) if *next == print => {
                    told.next();
                    walked.push(print);
                    continue;
                }
                next => next.is_some(),
            };
            if !late && line.at > border {
                break;
            }
            walked.push(print);
            fresh.push(line);
        }
        if told.peek().is_some() {
            // Lines were lost and came late at once; what is behind the told ones is new in any case.
            fresh = kept.skip(known).take_while(|line| line.at <= border).collect();
            walked = fresh.iter().map(|line| fingerprint(line)).collect();
        }
        self.told += fresh.len() as u64;
        self.recent = walked.split_off(walked.len().saturating_sub(REMEMBERED)).into();
        pieces.extend(fresh.into_iter().map(TailPiece::Line));
        pieces
    }
}

fn fingerprint(line: &LogLine) -> u64 {
    let mut hasher = DefaultHasher::new();
    (line.at, line.stream, line.line.text()).hash(&mut hasher);
    hasher.finish()
}
