//! Schemas of objects out of their fields.

use serde_json::{Map, Value, json};

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    name: &'static str,
    required: bool,
    schema: Value,
}

/// A field that must be there.
pub fn required(name: &'static str, schema: Value, description: &str) -> Field {
    field(name, true, schema, description)
}

/// A field that may be left out.
pub fn optional(name: &'static str, schema: Value, description: &str) -> Field {
    field(name, false, schema, description)
}

fn field(name: &'static str, required: bool, mut schema: Value, description: &str) -> Field {
    schema["description"] = description.into();
    Field {
        name,
        required,
        schema,
    }
}

/// An object that is received: fields that it does not list are refused, and `null` is the same as leaving an optional
/// field out.
pub fn received(description: &str, fields: impl IntoIterator<Item = Field>) -> Value {
    let fields = fields.into_iter().map(|mut field| {
        if !field.required {
            allow_null(&mut field.schema);
        }
        field
    });
    let mut schema = object(description, fields);
    schema["additionalProperties"] = false.into();
    schema
}

/// An object that is sent. It may get further fields one day, so that readers must ignore what they do not know.
pub fn sent(description: &str, fields: impl IntoIterator<Item = Field>) -> Value {
    object(description, fields)
}

fn object(description: &str, fields: impl IntoIterator<Item = Field>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        if field.required {
            required.push(field.name);
        }
        properties.insert(field.name.to_owned(), field.schema);
    }
    json!({"type": "object", "description": description, "properties": properties, "required": required})
}

fn allow_null(schema: &mut Value) {
    if let Some(name) = schema.get("type").filter(|name| name.is_string()).cloned() {
        schema["type"] = json!([name, "null"]);
    }
    if let Some(Value::Array(options)) = schema.get_mut("enum") {
        options.push(Value::Null);
    }
}

/// A reference to a named schema.
pub fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Any text.
pub fn string() -> Value {
    json!({"type": "string"})
}

/// `true` or `false`.
pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// One of a closed vocabulary.
pub fn one_of(options: impl IntoIterator<Item = &'static str>) -> Value {
    let options: Vec<&str> = options.into_iter().collect();
    json!({"type": "string", "enum": options})
}

/// A whole number in a range.
pub fn integer(least: i64, most: i64) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": least, "maximum": most})
}

/// A number of things, or an id: a whole number of 64 bits that is not negative.
pub fn count() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0})
}

/// A number in a range.
pub fn number(least: f64, most: f64) -> Value {
    json!({"type": "number", "format": "double", "minimum": least, "maximum": most})
}

/// A point in time as RFC 3339 defines it.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// Entries of one schema.
pub fn array(items: Value) -> Value {
    Value::Object(Map::from_iter([
        ("type".to_owned(), "array".into()),
        ("items".to_owned(), items),
    ]))
}

/// An object of anybody's making.
pub fn any_object() -> Value {
    json!({"type": "object", "additionalProperties": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_stands_for_an_optional_field_of_what_is_received_only() {
        let fields = || [required("a", string(), "A."), optional("b", one_of(["x"]), "B.")];
        assert_eq!(
            received("Both.", fields()),
            json!({
                "type": "object", "description": "Both.", "required": ["a"], "additionalProperties": false,
                "properties": {
                    "a": {"type": "string", "description": "A."},
                    "b": {"type": ["string", "null"], "enum": ["x", null], "description": "B."},
                },
            })
        );
        assert_eq!(
            sent("Both.", fields())["properties"]["b"],
            json!({"type": "string", "enum": ["x"], "description": "B."})
        );
    }
}
