//! The fields of a span as JSON, cheaply: a span is made for every request, and seldom is there a line within it.

use std::{fmt, mem};

use serde::Serialize;
use tracing::{
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, FormattedFields, format::Writer},
};

/// Writes the fields of a span as one JSON object, field by field. What tracing-subscriber has for this collects values
/// in a tree first, and to add a field it parses and writes all of them again. The values are the same.
pub(super) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        Object::begin(writer, "{").fill(fields)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let before = mem::take(&mut current.fields);
        // The object that stands there is opened again.
        let open = before.strip_suffix('}').unwrap_or("{");
        Object::begin(current.as_writer(), open).fill(fields)
    }
}

struct Object<'w> {
    writer: Writer<'w>,
    written: fmt::Result,
    empty: bool,
}

impl<'w> Object<'w> {
    fn begin(mut writer: Writer<'w>, open: &str) -> Self {
        Self {
            written: writer.write_str(open),
            empty: open == "{",
            writer,
        }
    }

    fn fill(mut self, fields: impl RecordFields) -> fmt::Result {
        fields.record(&mut self);
        self.written?;
        self.writer.write_char('}')
    }

    fn put(&mut self, field: &Field, value: impl Serialize) {
        if self.written.is_ok() {
            self.written = self.try_put(field, value);
        }
    }

    fn try_put(&mut self, field: &Field, value: impl Serialize) -> fmt::Result {
        let name = field.name();
        // A keyword of Rust is written as a raw identifier.
        let name = name.strip_prefix("r#").unwrap_or(name);
        let separator = if mem::take(&mut self.empty) { "" } else { "," };
        let value = serde_json::to_string(&value).map_err(|_| fmt::Error)?;
        // Names are identifiers with dots: nothing in them needs to be escaped.
        write!(self.writer, "{separator}\"{name}\":{value}")
    }
}

impl Visit for Object<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing_subscriber::{Registry, fmt, layer::SubscriberExt};

    use super::super::tests::Captured;
    use super::*;

    /// The span as a line within it tells it.
    fn told(span: impl FnOnce() -> tracing::Span) -> Value {
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = fmt::layer()
            .json()
            .with_current_span(true)
            .fmt_fields(SpanFields)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            span().in_scope(|| tracing::info!("within"));
        });
        let line: Value = serde_json::from_slice(&captured.0.lock().unwrap()).unwrap();
        line["span"].clone()
    }

    #[test]
    fn every_kind_of_value_is_told_as_json_has_it_and_texts_are_escaped() {
        let told = told(|| {
            tracing::info_span!(
                "work",
                text = "a \"b\"\n\\c",
                signed = -7,
                unsigned = 7_u64,
                real = 0.5,
                truth = true,
                debugged = ?Some("x"),
                r#type = "raw",
                absent = tracing::field::Empty,
            )
        });
        assert_eq!(
            told,
            json!({
                "name": "work", "text": "a \"b\"\n\\c", "signed": -7, "unsigned": 7, "real": 0.5, "truth": true,
                "debugged": "Some(\"x\")", "type": "raw",
            })
        );
    }

    #[test]
    fn what_is_told_later_joins_what_is_there_and_replaces_what_had_its_name() {
        let told = told(|| {
            let span = tracing::info_span!("work", one = 1, two = tracing::field::Empty);
            span.record("two", "}");
            span.record("one", 3);
            span
        });
        assert_eq!(told, json!({"name": "work", "one": 3, "two": "}"}));
        let told = self::told(|| {
            let span = tracing::info_span!("work", late = tracing::field::Empty);
            span.record("late", "x");
            span
        });
        assert_eq!(told, json!({"name": "work", "late": "x"}));
    }
}
