//! The JSON schema of every line.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::{EstimateLine, PlanSummary, StatusSummary, Summary};
use crate::event::{Digest, Line, Stamped, StyleSpan, Text, Time};
use crate::report::compare::Comparison;
use crate::report::history::HistoryList;
use crate::report::stats::StatsSummary;
use crate::report::trends::TrendsLine;

/// A line of `--progress json`, or of a recording.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is made; the lines are written by those who have them")]
enum AnyLine {
    Header(HeaderLine),
    Event(Box<Stamped>),
    Summary(Box<Summary>),
    Status(Box<StatusSummary>),
    Plan(Box<PlanSummary>),
    Estimate(Box<EstimateLine>),
    History(HistoryList),
    Stats(StatsSummary),
    Comparison(Box<Comparison>),
    Trends(TrendsLine),
}

/// The first line.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is made; recording::header_line writes it")]
struct HeaderLine {
    /// `header`.
    r#type: HeaderType,
    /// `layertop`.
    format: FormatName,
    /// Version of the lines. A type of line or a field that is only added is no new version.
    version: u64,
    /// When the first line was written.
    created: Time,
    /// Version of the program that wrote it.
    program: String,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is made")]
enum HeaderType {
    Header,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is made")]
enum FormatName {
    Layertop,
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "One line of sanitised, masked text." })
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Identity of a vertex, nearly always sha256: and 64 hexadecimal digits."
        })
    }
}

impl JsonSchema for Line {
    fn schema_name() -> Cow<'static, str> {
        "Line".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let spans = generator.subschema_for::<Vec<StyleSpan>>();
        json_schema!({
            "description": "One line of sanitised, masked text: a string, or where it has styles, its text and the spans that \
                            are styled.",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "text": { "type": "string" }, "spans": spans },
                    "required": ["text", "spans"]
                }
            ]
        })
    }
}

/// The schema of a line: JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<AnyLine>();
    schema.insert("title".into(), "A line of layertop's JSON".into());
    schema.to_value()
}
