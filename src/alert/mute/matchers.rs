//! What a silence looks for: labels and the globs that they have to fit.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

/// Labels and globs (`*`, `?`), ready to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Matchers(Vec<(String, WildMatch)>);

impl Matchers {
    /// These labels with their globs.
    pub fn new(matchers: &BTreeMap<String, String>) -> Self {
        let globs = matchers
            .iter()
            .map(|(label, glob)| (label.clone(), WildMatch::new(glob)));
        Self(globs.collect())
    }

    /// Whether what has these labels fits all of them. A label that is absent is empty.
    pub fn fit<'a>(&self, label: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|(name, glob)| glob.matches(label(name)))
    }
}
