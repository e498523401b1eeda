//! The records of a daemon's cache, one by one.

use std::sync::Arc;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{DiskUsageRequest, ListWorkersRequest, UsageRecord};
use foldhash::HashMap;
use tonic::transport::Channel;

use crate::event::builder::Usage;
use crate::event::evidence::CacheRecord;
use crate::event::{Digest, Mask, Text};

use super::{DialTarget, LARGEST, PATIENCE, Transport, USAGE_PATIENCE, connect, usage, within};

/// A description can be a whole script; as many characters of it are kept.
const LONGEST: usize = 400;

/// A connection for listings. When its last clone is dropped, what carries it ends.
#[derive(Clone)]
pub(in crate::source) struct RecordLister {
    _carrier: Arc<Transport>,
    client: ControlClient<Channel>,
}

impl RecordLister {
    /// Goes the way to a daemon.
    pub(in crate::source) async fn dial(dial: &DialTarget) -> Result<Self, String> {
        let (carrier, channel) = connect(dial).await?;
        let client = ControlClient::new(channel).max_decoding_message_size(LARGEST);
        Ok(Self { _carrier: Arc::new(carrier), client })
    }

    /// All records, and what they sum up to. What secrets stand in their descriptions is masked. This may take a minute.
    pub(in crate::source) async fn records(
        &mut self,
        mask: &Mask,
    ) -> Result<(Vec<CacheRecord>, Usage), String> {
        let listing = within(USAGE_PATIENCE, self.client.disk_usage(DiskUsageRequest::default())).await?;
        let mut kinds = HashMap::default();
        let records = listing.record.iter().map(|record| cache_record(record, mask, &mut kinds)).collect();
        Ok((records, usage::sum_up(&listing.record, mask)))
    }

    /// The identity of the worker that builds; it stays as long as the state of the daemon does.
    pub(in crate::source) async fn worker(&mut self) -> Result<Text, String> {
        let workers = within(PATIENCE, self.client.list_workers(ListWorkersRequest::default())).await?;
        // The first worker is the one that builds.
        Ok(workers.record.first().map(|worker| Text::clean(&worker.id)).unwrap_or_default())
    }
}

/// `kinds` are the words for kinds that were met before: there are a few for thousands of records.
fn cache_record<'r>(record: &'r UsageRecord, mask: &Mask, kinds: &mut HashMap<&'r str, Text>) -> CacheRecord {
    let imported = record.description.strip_prefix("imported ").filter(|blob| blob.starts_with("sha256:"));
    let positive = |number: i64| u64::try_from(number).unwrap_or_default();
    CacheRecord {
        id: Text::clean(&record.id),
        parents: record.parents.iter().map(|id| Text::clean(id)).collect(),
        kind: kinds.entry(&record.record_type).or_insert_with_key(|kind| Text::clean(kind)).clone(),
        description: cut(mask, &record.description),
        imported: imported.map(Digest::parse),
        bytes: positive(record.size),
        created: record.created_at.as_ref().map(usage::time).unwrap_or_default(),
        last_used: record.last_used_at.as_ref().map(usage::time),
        uses: positive(record.usage_count),
        listed: false,
        in_use: record.in_use,
        shared: record.shared,
        mutable: record.mutable,
    }
}

/// Masks before it cuts: half a secret is not known to be one.
pub(in crate::source) fn cut(mask: &Mask, text: &str) -> Text {
    let masked = mask.text(text);
    if masked.as_str().len() <= LONGEST {
        return masked;
    }
    match masked.as_str().char_indices().nth(LONGEST) {
        Some((end, _)) => Text::clean(masked.as_str().get(..end).unwrap_or_default()),
        None => masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imported_records_name_their_blob_and_long_ones_are_cut_behind_the_mask() {
        let mask = Mask::new(["hunter2-secret".to_owned()]);
        let blob = format!("sha256:{}", "a".repeat(64));
        let of = |description: String| {
            let record = UsageRecord { description, size: -1, ..UsageRecord::default() };
            cache_record(&record, &mask, &mut HashMap::default())
        };
        assert_eq!(of(format!("imported {blob}")).imported, Some(Digest::parse(&blob)));
        assert_eq!(of("imported by hand".to_owned()).imported, None);
        let long = of(format!("{}hunter2-secret", "x".repeat(LONGEST - 1)));
        assert!(!long.description.as_str().contains("hunter2"), "{}", long.description);
        assert_eq!((long.description.as_str().chars().count(), long.bytes), (LONGEST, 0));
    }
}
