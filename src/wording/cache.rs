//! What is wrong with a cache in a registry, in words.

use crate::event::Text;
use crate::event::evidence::{CacheFault, CacheManifest};

/// Words what is wrong with a cache.
pub fn fill(manifest: &mut CacheManifest) {
    if let Some(fault) = &manifest.fault {
        manifest.error = Some(Text::clean(&text(fault)));
    }
}

/// Why a cache could not be read, as a clause.
pub fn text(fault: &CacheFault) -> String {
    match fault {
        CacheFault::BadReference => "this is no reference of a cache".to_owned(),
        CacheFault::NotFound => "the registry has no such tag".to_owned(),
        CacheFault::NotCache => "this tag is no cache of BuildKit".to_owned(),
        CacheFault::Timeout { seconds } => format!("the registry did not answer in {seconds} s"),
        CacheFault::Registry { detail, .. } | CacheFault::Other { detail } => detail.to_string(),
    }
}
