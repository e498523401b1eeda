//! Sources: what hears the outside and turns it into events. One a file; their foreign types end here.

use std::sync::LazyLock;

pub mod builder;
pub mod buildkit;
pub mod buildx;
pub mod collector;
pub mod context;
pub mod docker;
pub mod evidence;
pub mod git;
mod group;
mod helper;
pub mod kubernetes;
pub mod rawjson;
pub mod registry;
pub mod replay;
mod retry;

/// The authorities that the system trusts. To read them costs more than a whole build's questions, so that it is done once, by who needs
/// them first.
static AUTHORITIES: LazyLock<rustls::RootCertStore> = LazyLock::new(|| {
    let mut authorities = rustls::RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
});
