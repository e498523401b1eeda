//! layertop: htop for cached image builds.
fn main() {}
