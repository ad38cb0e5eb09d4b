//! Environment variables in a configuration: `${VAR}` inside values, and
//! `REDIS_CROSS_DC__SECTION__KEY` in place of values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::error::Problems;
use super::node::{Node, Origin, Table, Text, index_path, key_path};
use super::schema::suggestion;
use super::table::ROOT;

/// The prefix of variables that override keys.
const OVERRIDE_PREFIX: &str = "REDIS_CROSS_DC__";

/// The maximum length of a value after expansion. No key needs nearly as much; it bounds what a
/// variable that is repeated many times can expand to.
const MAX_EXPANDED_BYTES: usize = 64 * 1024;

/// The environment variables that a configuration may use. `Debug` prints only their number,
/// because they contain secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of `vars` (`std::env::vars_os()`) whose name and value are UTF-8. For the
    /// configuration the others are not set.
    pub fn from_os(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in vars {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.insert(name, value);
            }
        }
        Self(variables)
    }

    /// Expands `${VAR}` and `$$` in every text of `table`.
    pub(super) fn expand(&self, table: &mut Table, problems: &Problems) {
        for (key, node) in table {
            self.expand_node(node, &key_path("", key), problems);
        }
    }

    /// The same in every text of `items`, a list that is the whole file.
    pub(super) fn expand_items(&self, items: &mut [Node], problems: &Problems) {
        for (index, item) in items.iter_mut().enumerate() {
            self.expand_node(item, &index_path("", index), problems);
        }
    }

    fn expand_node(&self, node: &mut Node, path: &str, problems: &Problems) {
        match node {
            Node::Table(table) => {
                for (key, child) in table {
                    self.expand_node(child, &key_path(path, key), problems);
                }
            }
            Node::List(items) => {
                for (index, child) in items.iter_mut().enumerate() {
                    self.expand_node(child, &index_path(path, index), problems);
                }
            }
            Node::Text(text) if text.value.contains('$') => {
                if let Err(reason) = self.expand_text(text) {
                    problems.add(path, reason);
                    *node = Node::Refused;
                }
            }
            _ => {}
        }
    }

    fn expand_text(&self, text: &mut Text) -> Result<(), String> {
        let value = self.expanded(&text.value)?;
        let written = std::mem::replace(&mut text.value, value);
        text.origin = Origin::Expanded { written };
        Ok(())
    }

    /// `text` with its variables expanded. An error is a sentence that shows only names of
    /// variables.
    fn expanded(&self, text: &str) -> Result<String, String> {
        let mut parts = text.split('$');
        let mut result = parts.next().unwrap_or_default().to_owned();
        while let Some(part) = parts.next() {
            if part.is_empty() {
                // The part between the two characters of `$$`; what follows them is plain text.
                let rest = parts.next().ok_or_else(lone_dollar)?;
                result.push('$');
                result.push_str(rest);
            } else {
                let (name, rest) = variable(part)?;
                let Some(value) = self.0.get(name) else {
                    return Err(format!("the environment variable {name} is not set"));
                };
                result.push_str(value);
                result.push_str(rest);
            }
            if result.len() > MAX_EXPANDED_BYTES {
                return Err(format!(
                    "is longer than {} KiB with its variables expanded",
                    MAX_EXPANDED_BYTES / 1024
                ));
            }
        }
        Ok(result)
    }

    /// Replaces values of the file by those of `REDIS_CROSS_DC__*` variables.
    ///
    /// Only the single values outside lists can be overridden, so the name of a variable never
    /// becomes a key that the user chooses.
    pub(super) fn override_scalars(&self, root: &mut Table, problems: &Problems) {
        let allowed = ROOT.overridable();
        let mut overrides = Vec::new();
        for (variable, value) in &self.0 {
            let Some(name) = variable.strip_prefix(OVERRIDE_PREFIX) else {
                continue;
            };
            let path = name.to_ascii_lowercase().replace("__", ".");
            if allowed.contains(&path) {
                overrides.push((path, value));
            } else {
                let hint = hint(&path, &allowed);
                problems.add(
                    variable,
                    format!("overrides no key of the configuration{hint}"),
                );
            }
        }
        for (path, _) in &overrides {
            remove_twin(root, path);
        }
        for (path, value) in overrides {
            set(root, &path, value);
        }
    }
}

/// Splits `{NAME}rest` into the name and the rest.
fn variable(part: &str) -> Result<(&str, &str), String> {
    let braced = part.strip_prefix('{').ok_or_else(lone_dollar)?;
    let (name, rest) = braced.split_once('}').ok_or_else(lone_dollar)?;
    if !is_variable_name(name) {
        return Err(
            "has ${...} with something else than a variable's name in it; $$ is a dollar"
                .to_owned(),
        );
    }
    Ok((name, rest))
}

fn is_variable_name(name: &str) -> bool {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let fits = (1..=128).contains(&name.len());
    legal && fits && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn lone_dollar() -> String {
    "has a $ that begins no ${VARIABLE}; write $$ for a dollar".to_owned()
}

fn hint(path: &str, allowed: &[String]) -> String {
    let Some(near) = suggestion(path, allowed.iter().map(String::as_str)) else {
        return "; only single values outside lists can be overridden, such as \
                REDIS_CROSS_DC__POLL__INTERVAL"
            .to_owned();
    };
    let variable = near.to_uppercase().replace('.', "__");
    format!("; did you mean {OVERRIDE_PREFIX}{variable}?")
}

/// Removes `x_file` if `x` is overridden, and `x` if `x_file` is: an override replaces the secret
/// in either form.
fn remove_twin(root: &mut Table, path: &str) {
    let twin = match path.strip_suffix("_file") {
        Some(inline) => inline.to_owned(),
        None => format!("{path}_file"),
    };
    if let Some((table, key)) = parent(root, &twin) {
        table.remove(key);
    }
}

fn set(root: &mut Table, path: &str, value: &str) {
    if let Some((table, key)) = parent(root, path) {
        let text = Text {
            value: value.to_owned(),
            origin: Origin::Override,
        };
        table.insert(key.to_owned(), Node::Text(text));
    }
}

/// The table of the last key of `path`, created if it is missing. `None` if something other than a
/// mapping is in its place, which the reader reports.
fn parent<'t, 'p>(root: &'t mut Table, path: &'p str) -> Option<(&'t mut Table, &'p str)> {
    let Some((sections, key)) = path.rsplit_once('.') else {
        return Some((root, path));
    };
    let mut table = root;
    for section in sections.split('.') {
        let node = table.entry(section.to_owned()).or_insert(Node::Null);
        if matches!(node, Node::Null) {
            *node = Node::Table(Table::new());
        }
        let Node::Table(next) = node else { return None };
        table = next;
    }
    Some((table, key))
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(vars: I) -> Self {
        Self(vars.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let vars = [
            ("USER", "monitor"),
            ("EMPTY", ""),
            ("DOLLAR", "${USER}"),
            ("BIG", &"x".repeat(40_000)),
        ];
        let env: Environment = vars
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        env.expanded(text)
    }

    #[test]
    fn variables_expand_once() {
        let cases = [
            ("plain", "plain"),
            ("${USER}", "monitor"),
            ("a-${USER}-${USER}-b", "a-monitor-monitor-b"),
            ("${EMPTY}", ""),
            ("$$", "$"),
            ("$$$$", "$$"),
            ("a$$b", "a$b"),
            ("$${USER}", "${USER}"),
            ("$$${USER}", "$monitor"),
            ("${DOLLAR}", "${USER}"),
        ];
        for (text, expanded) in cases {
            assert_eq!(expand(text).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn a_bad_expansion_is_refused_without_showing_the_text() {
        let cases = [
            ("hunter2${NOPE}", "the environment variable NOPE is not set"),
            ("hunter2$", "write $$ for a dollar"),
            ("hunter2$$$", "write $$ for a dollar"),
            ("hunter2$x", "write $$ for a dollar"),
            ("hunter2${USER", "write $$ for a dollar"),
            ("hunter2${}", "variable's name"),
            ("hunter2${A B}", "variable's name"),
            ("hunter2${USER:-x}", "variable's name"),
            ("${BIG}${BIG}", "is longer than 64 KiB"),
        ];
        for (text, part) in cases {
            let error = expand(text).unwrap_err();
            assert!(
                error.contains(part) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn debug_shows_no_variable() {
        let env: Environment = [("TOKEN".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(format!("{env:?}"), "Environment(1 variables)");
    }
}
