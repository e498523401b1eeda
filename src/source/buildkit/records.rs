//! The records of a daemon's cache, one by one.

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{DiskUsageRequest, UsageRecord};
use tonic::transport::Channel;

use crate::event::evidence::CacheRecord;
use crate::event::{Digest, Mask, Text};

use super::{Carrier, Dial, LARGEST, PATIENCE, connect, usage, within};

/// A description can be a whole script; as many characters of it are kept.
const LONGEST: usize = 400;

/// A connection for listings. Dropped, it ends what carries it.
pub(in crate::source) struct Lister {
    _carrier: Carrier,
    client: ControlClient<Channel>,
}

impl Lister {
    /// Goes the way to a daemon.
    pub(in crate::source) async fn dial(dial: &Dial) -> Result<Self, String> {
        let (carrier, channel) = connect(dial).await?;
        let client = ControlClient::new(channel).max_decoding_message_size(LARGEST);
        Ok(Self { _carrier: carrier, client })
    }

    /// All records. What secrets stand in their descriptions is masked.
    pub(in crate::source) async fn records(&mut self, mask: &Mask) -> Result<Vec<CacheRecord>, String> {
        let listing = within(PATIENCE, self.client.disk_usage(DiskUsageRequest::default())).await?;
        Ok(listing.record.iter().map(|record| told(record, mask)).collect())
    }
}

fn told(record: &UsageRecord, mask: &Mask) -> CacheRecord {
    let imported = record.description.strip_prefix("imported ").filter(|blob| blob.starts_with("sha256:"));
    let positive = |number: i64| u64::try_from(number).unwrap_or_default();
    CacheRecord {
        id: Text::clean(&record.id),
        parents: record.parents.iter().map(|id| Text::clean(id)).collect(),
        kind: Text::clean(&record.record_type),
        description: cut(mask, &record.description),
        imported: imported.map(Digest::parse),
        bytes: positive(record.size),
        created: record.created_at.as_ref().map(usage::time).unwrap_or_default(),
        last_used: record.last_used_at.as_ref().map(usage::time),
        uses: positive(record.usage_count),
        in_use: record.in_use,
        shared: record.shared,
        mutable: record.mutable,
    }
}

/// Masks before it cuts: half a secret is not known to be one.
pub(in crate::source) fn cut(mask: &Mask, text: &str) -> Text {
    let masked = mask.text(text);
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
            told(&UsageRecord { description, size: -1, ..UsageRecord::default() }, &mask)
        };
        assert_eq!(of(format!("imported {blob}")).imported, Some(Digest::parse(&blob)));
        assert_eq!(of("imported by hand".to_owned()).imported, None);
        let long = of(format!("{}hunter2-secret", "x".repeat(LONGEST - 1)));
        assert!(!long.description.as_str().contains("hunter2"), "{}", long.description);
        assert_eq!((long.description.as_str().chars().count(), long.bytes), (LONGEST, 0));
    }
}
