//! layertop: htop for cached image builds.
//!
//! ```text
//!  outside                                pure: no I/O, no clock, cannot fail         outside
//!  source/* ──► event ──► model ──────────────► view/*  (ratatui widgets) ──► terminal
//!                 │         ▲    └────────────► report/* (plain, json)     ──► files
//!                 ▼         │ ui (focus, scroll, overlay) ◄── keys
//!             recording     └── app wires all of it
//! ```
//!
//! A recording is the event stream written down and a replay is one more source, so that what is shown live, what is
//! replayed and what a test asserts go through the same code. `ARCHITECTURE.md` has the rooms and their walls.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dockerfile;
pub mod error;
pub mod event;
pub mod explain;
pub mod history;
pub mod model;
pub mod recording;
pub mod report;
pub mod source;
pub mod terminal;
pub mod ui;
pub mod view;
pub mod wording;
