//! What took a result away: a rule of the builder's garbage collection, or somebody who emptied it.

use super::past::Past;
use crate::event::Text;
use crate::event::builder::{EngineFacts, GcRule};
use crate::event::reason::{Eviction, Fact, GcLimit};
use crate::model::Model;

/// What took the result of an earlier build away, where that can be told, with the evidence.
pub(super) fn how(model: &Model, past: &Past) -> Option<(Fact, Eviction)> {
    let before = model.records_before();
    if !before.is_empty() && before.iter().all(|listing| listing.is_bare()) {
        return Some((Fact::Emptied, Eviction::Emptied));
    }
    for node in &model.builder().snapshot()?.nodes {
        let listed = before.iter().filter(|listing| listing.node == node.name);
        let now: u64 = listed.flat_map(|listing| &listing.records).map(|record| record.bytes).sum();
        for (rule, gc) in (0..).zip(&node.gc).filter(|(_, gc)| takes(gc, model, past)) {
            let limit = exceeded(gc, now, past).or_else(|| crowded(gc, past, node.engine.as_ref()));
            let Some(limit) = limit else { continue };
            let fact = Fact::GarbageCollection { node: node.name.clone(), rule, limit };
            return Some((fact, Eviction::GarbageCollection { rule }));
        }
    }
    None
}

/// Whether a rule takes results of steps that are as old as that build. Rules for contexts and the like do not.
fn takes(rule: &GcRule, model: &Model, past: &Past) -> bool {
    let age = model.begun().unwrap_or_default().since(past.begun);
    rule.filters.iter().all(Text::is_empty) && u128::from(rule.keep_ms) <= age.as_millis()
}

/// What a rule keeps and what there was, where that is more. Of what is reserved nothing is taken, whatever else the rule says
/// (moby/buildkit `cache/manager.go`, `calculateKeepBytes`).
fn exceeded(rule: &GcRule, now: u64, past: &Past) -> Option<GcLimit> {
    let keep = rule.max_used.max(rule.reserved);
    if keep == 0 {
        return None;
    }
    if past.record_bytes > keep {
        return Some(GcLimit::Used { keep, bytes: past.record_bytes, build: Some(past.name.clone()) });
    }
    // Whoever collects stops where the limit is.
    (now >= keep / 10 * 9).then_some(GcLimit::Used { keep, bytes: now, build: None })
}

/// What a rule wants to be free on the disk, where there is hardly as much and more than what is reserved was there to be taken.
fn crowded(rule: &GcRule, past: &Past, engine: Option<&EngineFacts>) -> Option<GcLimit> {
    let free = engine?.disk_free?;
    let wanted = rule.min_free;
    (wanted > 0 && free <= wanted / 10 * 11 && past.record_bytes > rule.reserved)
        .then_some(GcLimit::Free { wanted, free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::builder::{BuilderNode, BuilderSnapshot};
    use crate::event::evidence::{CacheRecord, Records};
    use crate::event::{Event, Stamped, Started, Time};
    use crate::wording::{Tense, text};

    const HOUR: i64 = 3_600_000_000;

    /// What is said of a build an hour after one behind which there were 1,000 B, where there are `now` bytes left.
    fn told(rule: GcRule, now: u64, free: Option<u64>) -> Option<String> {
        let record = CacheRecord { kind: "regular".into(), bytes: now, ..CacheRecord::default() };
        let records = Records { node: "n".into(), total: 1, records: vec![record], ..Records::default() };
        let engine = EngineFacts { disk_free: free, ..EngineFacts::default() };
        let other = GcRule { filters: vec!["type==source.local".into()], max_used: 1, ..GcRule::default() };
        let node = BuilderNode {
            name: "n".into(),
            gc: vec![other, rule],
            engine: Some(engine),
            ..BuilderNode::default()
        };
        let state = BuilderSnapshot { nodes: vec![node], ..BuilderSnapshot::default() };
        let mut model = Model::default();
        for event in [
            Event::Started(Started::default()),
            Event::Records(std::sync::Arc::new(records)),
            Event::Builder(Box::new(state)),
        ] {
            model.apply(&Stamped { at: Time::from_micros(HOUR), event });
        }
        let past = Past { name: "p".into(), record_bytes: 1000, ..Past::default() };
        how(&model, &past).map(|(fact, _)| text(&fact, Tense::Past))
    }

    #[test]
    fn rules_are_named_where_they_can_have_done_it() {
        let rule = GcRule { filters: vec![Text::default()], ..GcRule::default() };
        let most = |max_used| GcRule { max_used, ..rule.clone() };
        let exceeded =
            "rule 1 of the garbage collection of n keeps 800 B, and there were 1.0 kB after the build p";
        for (rule, now, free, expected) in [
            (most(800), 100, None, Some(exceeded)),
            (GcRule { reserved: 800, max_used: 10, ..rule.clone() }, 100, None, Some(exceeded)),
            (GcRule { keep_ms: 3_599_000, ..most(800) }, 100, None, Some(exceeded)),
            (GcRule { keep_ms: 3_601_000, ..most(800) }, 100, None, None),
            (GcRule { filters: vec!["type==exec.cachemount".into()], ..most(800) }, 100, None, None),
            (most(2000), 100, None, None),
            (
                most(2000),
                1900,
                None,
                Some(
                    "rule 1 of the garbage collection of n keeps 2.0 kB, and there were 1.9 kB before this build",
                ),
            ),
            (GcRule { min_free: 500, ..most(2000) }, 100, Some(5000), None),
            (GcRule { min_free: 500, reserved: 1500, ..most(2000) }, 100, Some(510), None),
            (
                GcRule { min_free: 500, ..most(2000) },
                100,
                Some(510),
                Some(
                    "rule 1 of the garbage collection of n wants 500 B to be free on the disk, and there are 510 B",
                ),
            ),
        ] {
            assert_eq!(told(rule.clone(), now, free).as_deref(), expected, "{rule:?}");
        }
    }
}
