//! Whether a build goes slower or faster than others did: a machine that is busy is so for all of its steps.

use std::time::Duration;

use crate::event::Time;
use crate::model::expected::{BuildSize, transfer_kind};
use crate::model::{Model, Phase};

/// What is known of this build counts against what is known of others as if so much of it had gone at their pace: at least this,
/// and this share of what is left. A first step of a second says little of ten minutes.
const DOUBT: Duration = Duration::from_secs(2);
const DOUBT_SHARE: f64 = 0.25;

/// No build is taken to be slower or faster than this.
const SLOWEST: f64 = 3.0;
const FASTEST: f64 = 0.5;

impl Model {
    /// How many times as long as in other builds things take in this one, going by what it has done so far; `left` is what is
    /// left at their pace.
    ///
    /// What runs counts with the time that it has run, so that its end changes nothing unless it comes early.
    pub(super) fn pace(&self, left: Duration, size: BuildSize, now: Time) -> f64 {
        let doubt = DOUBT.as_secs_f64().max(left.as_secs_f64() * DOUBT_SHARE);
        let (mut took, mut usual) = (doubt, doubt);
        for (at, vertex) in self.vertices.iter().enumerate() {
            let ends = match vertex.phase() {
                Phase::Done => true,
                Phase::Running(_) => false,
                _ => continue,
            };
            let (this, other) = if let Some(kind) = transfer_kind(&vertex.kind, &vertex.name) {
                let told = self.expected.transfer(kind, size).map(|told| told.took);
                (vertex.at_work(now), told)
            } else {
                (vertex.run_time(now), self.share_of(at))
            };
            if let Some(other) = other {
                took += this.as_secs_f64();
                usual += if ends { other } else { other.min(this) }.as_secs_f64();
            }
        }
        (took / usual).clamp(FASTEST, SLOWEST)
    }
}
