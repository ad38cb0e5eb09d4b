//! Message templates that users write, in the syntax of Jinja2
//! (<https://docs.rs/minijinja/latest/minijinja/syntax/index.html>). Rendering is pure, and bounded
//! in time and size.

use std::sync::Arc;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

/// Fuel for one rendering: each instruction and each 64 bytes of text costs one unit. A message
/// with ten alerts takes a few hundred; an endless loop is stopped within milliseconds.
const FUEL: u64 = 50_000;

/// The longest template, in bytes.
pub const MAX_SOURCE: usize = 8 * 1024;

/// Rendered text beyond this many bytes is cut off; receivers accept less.
const MAX_RENDERED: usize = 16 * 1024;

/// The largest text that may be rendered as a whole, in bytes: a request's body, of which half is
/// worth nothing. Chat services take some 4 to 32 KB.
pub const MAX_WHOLE: usize = 256 * 1024;

/// A template whose syntax was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Arc<str>);

impl Template {
    /// Checks the syntax of `source`.
    ///
    /// # Errors
    /// What is wrong with it and in which line, as the end of a sentence about the template.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.trim().is_empty() || source.len() > MAX_SOURCE {
            return Err(format!("is empty or longer than {MAX_SOURCE} bytes"));
        }
        match environment().template_from_named_str("template", source) {
            Ok(_) => Ok(Self(source.into())),
            Err(error) => Err(format!("is no template: {error}")),
        }
    }

    /// Renders the template with `values`. The result is trimmed and never empty.
    ///
    /// # Errors
    /// The template uses a value that does not exist or in a way that its type does not have, costs
    /// too much, or renders to nothing.
    pub fn render(&self, values: &impl Serialize) -> Result<String, String> {
        let rendered = environment().render_named_str("template", &self.0, Serde(values));
        let mut text = rendered.map_err(|error| error.to_string())?;
        text.truncate(text.floor_char_boundary(MAX_RENDERED));
        let text = text.trim();
        if text.is_empty() {
            Err("it gives no text".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }

    /// Renders the template with `values`, untrimmed; the result may be empty.
    ///
    /// # Errors
    /// As [`Self::render`]; and the text has more than `max` bytes, of which [`MAX_WHOLE`] is the
    /// most.
    pub fn render_whole(&self, values: &impl Serialize, max: usize) -> Result<String, String> {
        let rendered = environment().render_named_str("template", &self.0, Serde(values));
        let text = rendered.map_err(|error| error.to_string())?;
        let max = max.min(MAX_WHOLE);
        if text.len() > max {
            return Err(format!("it gives more than {max} bytes"));
        }
        Ok(text)
    }

    /// The template as the user wrote it.
    pub fn source(&self) -> &str {
        &self.0
    }
}

/// Nothing is escaped, because each receiver escapes in its own way. A misspelt name is an error,
/// not an empty text.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("json", json_filter);
    environment.add_filter("cut", cut_filter);
    environment.add_filter("cut_bytes", cut_bytes_filter);
    environment.add_filter("percent_encode", percent_encode_filter);
    environment
}

/// `{{ title | json }}`: the value as JSON, a text with its quotation marks.
fn json_filter(value: &Value) -> Result<String, Error> {
    refuse_undefined(value)?;
    serde_json::to_string(value).map_err(|error| {
        let detail = format!("it cannot be written as JSON: {error}");
        Error::new(ErrorKind::InvalidOperation, detail)
    })
}

/// `{{ title | cut(130) }}`: at most so many characters, the last of which is `…` where something
/// was cut off. Counted in units of UTF-16, of which there are never fewer than characters.
fn cut_filter(value: &Value, max: usize) -> Result<String, Error> {
    cut_by(value, max, char::len_utf16)
}

/// `{{ title | cut_bytes(4096) }}`: at most so many bytes of UTF-8, as [`cut_filter`].
fn cut_bytes_filter(value: &Value, max: usize) -> Result<String, Error> {
    cut_by(value, max, char::len_utf8)
}

fn cut_by(value: &Value, max: usize, size: fn(char) -> usize) -> Result<String, Error> {
    const MARK: char = '…';
    refuse_undefined(value)?;
    let text = value.to_string();
    if text.chars().map(size).sum::<usize>() <= max {
        return Ok(text);
    }
    let Some(mut left) = max.checked_sub(size(MARK)) else {
        return Ok(String::new());
    };
    let mut cut = String::new();
    for c in text.chars() {
        let Some(rest) = left.checked_sub(size(c)) else {
            break;
        };
        left = rest;
        cut.push(c);
    }
    cut.push(MARK);
    Ok(cut)
}

/// `{{ key | percent_encode }}`: the text as one part of a URL's path or query (RFC 3986, section
/// 2.1): everything but unreserved characters is encoded.
fn percent_encode_filter(value: &Value) -> Result<String, Error> {
    refuse_undefined(value)?;
    let mut encoded = String::new();
    for byte in value.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
}

/// Filters get a value that does not exist as undefined, also where it is an error to show one.
fn refuse_undefined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        Err(Error::from(ErrorKind::UndefinedError))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(source: &str) -> Result<String, String> {
        let alerts: Vec<_> = (0..10)
            .map(|n| json!({"subject": format!("s{n}")}))
            .collect();
        Template::new(source)?.render(&json!({"title": "<T>", "dc": "a", "alerts": alerts}))
    }

    #[test]
    fn values_are_inserted_unchanged() {
        assert_eq!(
            rendered("{{ title }} in {{ dc | upper }}: {{ alerts | length }}").as_deref(),
            Ok("<T> in A: 10")
        );
        assert_eq!(
            rendered("{% for a in alerts[:2] %}{{ a.subject }} {% endfor %}").as_deref(),
            Ok("s0 s1")
        );
    }

    #[test]
    fn a_template_that_cannot_be_rendered_is_an_error_with_its_reason() {
        for (source, why) in [
            ("{{ titel }}", "undefined value"),
            ("{% if x", "is no template: syntax error"),
            ("{{ title | nope }}", "unknown filter"),
            ("{% if dc == 'b' %}x{% endif %}", "it gives no text"),
            (" ", "is empty"),
        ] {
            let error = rendered(source).unwrap_err();
            assert!(error.contains(why), "{source}: {error}");
        }
        assert!(Template::new(&"x".repeat(MAX_SOURCE + 1)).is_err());
    }

    #[test]
    fn filters_make_parts_of_json_and_of_urls_and_keep_limits() {
        let whole = |source: &str| {
            let template = Template::new(source)?;
            let values = json!({"text": "a\"\\\n😀é", "list": ["x"], "none": null});
            template.render_whole(&values, 100)
        };
        for (source, expected) in [
            ("{{ text | json }}", r#""a\"\\\n😀é""#),
            ("{{ list | json }}{{ none | json }}", r#"["x"]null"#),
            ("{{ text | cut(7) | json }}", r#""a\"\\\n😀é""#),
            ("{{ text | cut(6) | json }}", r#""a\"\\\n…""#),
            ("{{ 'abc' | cut(2) }}{{ 'abc' | cut(0) }}", "a…"),
            ("{{ text | cut_bytes(10) | json }}", r#""a\"\\\n😀é""#),
            ("{{ text | cut_bytes(9) | json }}", r#""a\"\\\n…""#),
            ("{{ 'abcd' | cut_bytes(2) }}", ""),
            ("{{ 'a/b é~' | percent_encode }}", "a%2Fb%20%C3%A9~"),
            ("{% if none %}x{% endif %}", ""),
        ] {
            assert_eq!(whole(source).as_deref(), Ok(expected), "{source}");
        }
        for filter in ["json", "cut(3)", "cut_bytes(3)", "percent_encode"] {
            let error = whole(&format!("{{{{ nope | {filter} }}}}")).unwrap_err();
            assert!(error.contains("undefined"), "{filter}: {error}");
        }
        let long = whole("{{ 'x' * 101 }}");
        assert_eq!(long, Err("it gives more than 100 bytes".to_owned()));
        let most = Template::new("{{ 'x' * 262145 }}").unwrap();
        assert!(most.render_whole(&json!({}), usize::MAX).is_err());
        assert_eq!(MAX_WHOLE, 262_144);
    }

    #[test]
    fn rendering_that_never_ends_or_fills_the_memory_is_stopped() {
        let deep =
            "{% for a in range(10000) %}".repeat(5) + "{{ title }}" + &"{% endfor %}".repeat(5);
        for source in [
            deep.as_str(),
            "{{ 'x' * 1000000000 }}",
            "{{ range(10000) | join('xxxxxxxxxxxxxxxxxxxxxxxx') * 1000 }}",
        ] {
            assert!(
                rendered(source).is_err_and(|error| error.contains("fuel")),
                "{source}"
            );
        }
        assert!(rendered("{{ 'x' * 100000 }}").unwrap().len() <= MAX_RENDERED);
    }
}
