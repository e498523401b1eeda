//! Sources: what hears the outside and turns it into events. One a file; their foreign types end here.

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
mod trust;

/// A connection of any kind. What speaks HTTP over it is compiled once for each kind of stream, a quarter of a megabyte each time, so that
/// the kinds are put behind this one.
trait Connection: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Connection for S {}
