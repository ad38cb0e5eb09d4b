//! The matchers of a silence: labels and the globs that their values have to match.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

/// Labels with compiled globs (`*`, `?`).
#[derive(Clone, Debug, PartialEq)]
pub struct Matchers(Vec<(String, WildMatch)>);

impl Matchers {
    /// Compiles the globs of these labels.
    pub fn new(matchers: &BTreeMap<String, String>) -> Self {
        let globs = matchers
            .iter()
            .map(|(label, glob)| (label.clone(), WildMatch::new(glob)));
        Self(globs.collect())
    }

    /// Whether every matcher fits the labels. An absent label is empty.
    pub fn fit<'a>(&self, label: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|(name, glob)| glob.matches(label(name)))
    }
}
