//! Fields of JSON objects.

use serde_json::Value;

/// Sets `field` of `object`, which is a JSON object: anything else stays as it is.
pub(super) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(field.to_owned(), value.into());
    }
}
