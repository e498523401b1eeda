//! What happens outside, one actor a file. Their libraries' types end here.

pub mod buildx;
pub mod docker;
