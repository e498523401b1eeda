//! Records of disk usage, summed up as `docker buildx du` does.

use std::collections::BTreeMap;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::UsageRecord as Record;

use crate::event::builder::{Amount, KindAmount, Usage, UsageKind, UsageRecord};
use crate::event::{Mask, Text, Time};

use super::cut;

/// Records that are told one by one.
const LARGEST: usize = 20;

pub(super) fn sum_up(records: &[Record], mask: &Mask) -> Usage {
    let mut usage = Usage::default();
    let mut kinds: BTreeMap<UsageKind, Amount> = BTreeMap::new();
    for record in records {
        let bytes = bytes(record);
        add(&mut usage.total, bytes);
        add(kinds.entry(kind(record)).or_default(), bytes);
        add(if record.in_use { &mut usage.in_use } else { &mut usage.reclaimable }, bytes);
        if record.shared {
            add(&mut usage.shared, bytes);
        }
    }
    usage.by_kind = kinds.into_iter().map(|(kind, amount)| KindAmount { kind, amount }).collect();
    let mut largest: Vec<&Record> = records.iter().collect();
    let order = |record: &&Record| (std::cmp::Reverse(bytes(record)), record.id.clone());
    if largest.len() > LARGEST {
        largest.select_nth_unstable_by_key(LARGEST, order);
        largest.truncate(LARGEST);
    }
    largest.sort_by_key(order);
    usage.largest = largest.into_iter().map(|record| usage_record(record, mask)).collect();
    usage
}

/// Sizes are signed on the wire; one that is not known is negative.
fn bytes(record: &Record) -> u64 {
    u64::try_from(record.size).unwrap_or_default()
}

fn add(amount: &mut Amount, bytes: u64) {
    amount.records += 1;
    amount.bytes = amount.bytes.saturating_add(bytes);
}

/// `BuildKit` calls all results of steps regular; only the description tells where one came from.
fn kind(record: &Record) -> UsageKind {
    match record.record_type.as_str() {
        "exec.cachemount" => UsageKind::CacheMounts,
        "source.local" | "source.git.checkout" => UsageKind::Sources,
        "internal" | "frontend" => UsageKind::Internal,
        _ if record.description.starts_with("imported sha256:") => UsageKind::Imported,
        _ if record.description.starts_with("pulled from ") => UsageKind::Sources,
        _ => UsageKind::Steps,
    }
}

fn usage_record(record: &Record, mask: &Mask) -> UsageRecord {
    UsageRecord {
        id: Text::clean(&record.id),
        kind: kind(record),
        bytes: bytes(record),
        description: cut(mask, &record.description),
        in_use: record.in_use,
        last_used: record.last_used_at.as_ref().map(time),
    }
}

/// A moment of a message.
pub(super) fn time(stamp: &Timestamp) -> Time {
    let micros = stamp.seconds.saturating_mul(1_000_000);
    Time::from_micros(micros.saturating_add(i64::from(stamp.nanos / 1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up_and_the_largest_come_first() {
        let record = |i: i64| Record {
            id: format!("r{i:05}"),
            size: i,
            in_use: i % 2 == 0,
            record_type: if i % 3 == 0 { "exec.cachemount" } else { "regular" }.to_owned(),
            description: if i % 3 == 1 { "imported sha256:ab" } else { "[2/3] RUN make" }.to_owned(),
            ..Record::default()
        };
        let records: Vec<Record> = (0..20_000).map(record).collect();
        let usage = sum_up(&records, &Mask::default());
        assert_eq!(usage.total, Amount { records: 20_000, bytes: 199_990_000 });
        assert_eq!(usage.in_use.bytes + usage.reclaimable.bytes, usage.total.bytes);
        assert_eq!(usage.by_kind.iter().map(|kind| kind.amount.bytes).sum::<u64>(), usage.total.bytes);
        let kinds: Vec<UsageKind> = usage.by_kind.iter().map(|kind| kind.kind).collect();
        assert_eq!(kinds, [UsageKind::Steps, UsageKind::Imported, UsageKind::CacheMounts]);
        let largest: Vec<u64> = usage.largest.iter().map(|record| record.bytes).collect();
        assert_eq!(largest, (19_980..20_000).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn a_size_that_is_not_known_counts_as_nothing() {
        let usage = sum_up(&[Record { size: -1, ..Record::default() }], &Mask::default());
        assert_eq!(usage.total, Amount { records: 1, bytes: 0 });
    }
}
