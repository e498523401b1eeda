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
