//! What it costs to judge a build and to plan one, by a builder with 20,000 records and earlier builds that have seen as many.
//!
//! 80 steps over two platforms have all missed. A judgement is made in the thread that draws, so that it has to be short: 50 ms is the
//! bound, of which whoever looks at the screen sees nothing.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement prints its figures or breaks")]

#[expect(dead_code, reason = "other measurements use the rest of it")]
mod measure;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use layertop::event::evidence::{CacheRecord, Records};
use layertop::event::{Digest, Event, Platform, Stamped, Started, Text, Time, VertexUpdate};
use layertop::explain::{self, Past};
use layertop::model::Model;

const STEPS: usize = 40;
const RECORDS: usize = 20_000;
const PASTS: usize = 8;
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn main() {
    if !measure::asked() {
        return;
    }
    let mut model = Model::default();
    let begun = measure::busy();
    model.apply_all(&build());
    println!("taking {RECORDS} records up: {:.1?}", since(begun));
    let begun = measure::busy();
    let pasts: Vec<Past> = (0..PASTS).map(|n| Past::of(Text::clean(&format!("past {n}")), &model)).collect();
    println!("making {PASTS} earlier builds: {:.1?}", since(begun));
    let begun = measure::busy();
    let reasons = explain::judge(&model, &pasts);
    println!("judging {} misses: {:.1?}", reasons.len(), since(begun));
    let begun = measure::busy();
    let planned = explain::plan(&build(), &pasts, &BTreeMap::new());
    println!("planning without a fingerprint ({} events): {:.1?}", planned.len(), since(begun));
}

fn since(begun: Duration) -> Duration {
    measure::busy().saturating_sub(begun)
}

fn instruction(step: usize) -> String {
    match step % 3 {
        0 => format!("COPY src{step}/ src{step}/"),
        _ => format!(
            "RUN make --directory=src{step} && echo {step} of many steps, each a little longer than the last"
        ),
    }
}

/// A build that has run all of its steps, behind the builder's records.
fn build() -> Vec<Stamped> {
    let at = Time::from_micros(1_000_000);
    let platforms = PLATFORMS.map(|name| Platform::parse_list(name)[0].clone());
    let started = Started { platforms: platforms.to_vec(), ..Started::default() };
    let record = |n: usize| {
        let description = match n % 3 {
            0 => format!("[linux/amd64 {}/40] {}", n % 40, instruction(n / 7)),
            _ => format!("mount / from exec /bin/sh -c {}", &instruction(n / 7 * 3 + 1)[4..]),
        };
        CacheRecord {
            id: Text::clean(&format!("record{n}")),
            kind: "regular".into(),
            description: Text::clean(&description),
            bytes: 1000,
            ..CacheRecord::default()
        }
    };
    let records =
        Records { total: RECORDS as u64, records: (0..RECORDS).map(record).collect(), ..Records::default() };
    let mut events = vec![Event::Started(started), Event::Records(Arc::new(records))];
    for platform in PLATFORMS {
        let mut below: Option<Digest> = None;
        for step in 1..=STEPS {
            let digest = Digest::parse(&format!("{platform}:{step}"));
            let text = if step == 1 { "FROM img:1@sha256:00".to_owned() } else { instruction(step) };
            events.push(Event::Vertex(VertexUpdate {
                digest: digest.clone(),
                name: Text::clean(&format!("[{platform} {step}/{STEPS}] {text}")),
                inputs: below.replace(digest).into_iter().collect(),
                started: Some(at),
                completed: Some(at),
                cached: false,
                error: None,
                group: None,
            }));
        }
    }
    events.into_iter().map(|event| Stamped { at, event }).collect()
}
