//! Hashes of several parts, and hashes of what may be a secret.

use crate::event::fingerprint::Hash;
use crate::event::{Mask, Text};

/// A hash under way. Parts have names and lengths, so that no two lists of parts are alike.
#[derive(Default)]
pub(super) struct FieldHasher(blake3::Hasher);

impl FieldHasher {
    pub(super) fn field(&mut self, name: &str, value: &[u8]) -> &mut Self {
        for part in [name.as_bytes(), value] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Takes a hash as a part.
    pub(super) fn hash(&mut self, name: &str, value: Hash) -> &mut Self {
        self.field(name, &value.0)
    }

    /// The hash of all parts.
    pub(super) fn finish(&self) -> Hash {
        Self::short(&self.0.finalize())
    }

    /// The half of a hash that is kept.
    pub(super) fn short(whole: &blake3::Hash) -> Hash {
        let mut half = [0; 16];
        half.copy_from_slice(&whole.as_bytes()[..16]);
        Hash(half)
    }
}

/// What is secret, and how it is hashed: with a key that stays on this machine, since a short secret could be guessed by its
/// hash otherwise.
pub(super) struct SecretHasher {
    pub(super) mask: Mask,
    pub(super) key: [u8; 32],
}

impl SecretHasher {
    /// The text as it may be shown, its hash, and whether a secret is in that.
    pub(super) fn text(&self, raw: &str) -> (Text, Hash, bool) {
        let shown = self.mask.text(raw);
        let keyed = shown != Text::clean(raw);
        let hash = if keyed { self.keyed(raw) } else { FieldHasher::short(&blake3::hash(raw.as_bytes())) };
        (shown, hash, keyed)
    }

    /// The hash of a secret.
    pub(super) fn keyed(&self, raw: &str) -> Hash {
        FieldHasher::short(&blake3::keyed_hash(&self.key, raw.as_bytes()))
    }

    /// A name of the key that reveals nothing of it.
    pub(super) fn name(&self) -> Text {
        let name = blake3::derive_key("layertop fingerprint key name", &self.key);
        let mut half = Hash::default();
        half.0.copy_from_slice(&name[..16]);
        Text::clean(&half.to_string()[..12])
    }
}
