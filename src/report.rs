//! The peers of the screen: plain lines for CI logs, JSON for programs, and what stays in the scrollback.
//!
//! All of it is pure: a model and a moment in, text out. Nothing here does I/O or reads a clock, and every text that
//! others wrote comes out of the model sanitised.

pub mod cache;
pub mod columns;
pub mod compare;
pub mod end;
pub mod estimate;
pub mod failure;
pub mod gates;
pub mod heading;
pub mod health;
pub mod history;
pub mod html;
pub mod json;
pub mod label;
pub mod markdown;
pub mod metrics;
pub mod origin;
pub mod otlp;
pub mod plain;
pub mod plan;
pub mod spans;
pub mod stats;
pub mod status;
pub mod styled;
pub mod table;
pub mod tally;
pub mod trace;
pub mod trends;
pub mod why;
pub mod words;
