//! Message templates that users write, in the syntax of Jinja2
//! (<https://docs.rs/minijinja/latest/minijinja/syntax/index.html>). Rendering is pure, and bounded
//! in time and size.

use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// Fuel for one rendering: each instruction and each 64 bytes of text costs one unit. A message
/// with ten alerts takes a few hundred; an endless loop is stopped within milliseconds.
const FUEL: u64 = 50_000;

/// The longest template, in bytes.
pub const MAX_SOURCE: usize = 8 * 1024;

/// Rendered text beyond this many bytes is cut off; receivers accept less.
const MAX_RENDERED: usize = 16 * 1024;

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

    /// The template as the user wrote it.
    pub fn source(&self) -> &str {
        &self.0
    }
}

/// Nothing is escaped, because each receiver escapes in its own way. A misspelt name is an error, not
/// an empty text.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
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
