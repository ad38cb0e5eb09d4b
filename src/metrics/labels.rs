//! The labels of a series as text. A pair's or a server's are written once a scrape, and shared by
//! all of its series.

/// The labels of a series, as they stand between its braces.
#[derive(Clone, Debug, Default)]
pub(super) struct SeriesLabels(String);

/// One label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    name: &'a str,
    value: &'a str,
}

impl SeriesLabels {
    /// These labels, in this order.
    pub(super) fn new<const N: usize>(all: [Label<'_>; N]) -> Self {
        let mut labels = Self::default();
        for Label { name, value } in all {
            labels.push(name, value);
        }
        labels
    }

    /// These labels and one more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut all = String::with_capacity(self.0.len() + name.len() + value.len() + 8);
        all.push_str(&self.0);
        let mut all = Self(all);
        all.push(name, value);
        all
    }

    /// These labels, then `more`.
    pub(super) fn followed_by(mut self, more: &Self) -> Self {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&more.0);
        self
    }

    /// Adds one label.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        push_escaped(&mut self.0, value);
        self.0.push('"');
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One label.
pub(super) const fn label<'a>(name: &'a str, value: &'a str) -> Label<'a> {
    Label { name, value }
}

/// `labels` and one more.
pub(super) fn with(labels: &SeriesLabels, name: &str, value: &str) -> SeriesLabels {
    labels.with(name, value)
}

/// In a label's value a backslash, a quotation mark and the end of a line are special.
fn push_escaped(text: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        text.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_joined_and_escaped() {
        let mut labels = SeriesLabels::default();
        assert_eq!(labels.as_str(), "");
        labels.push("a", "plain, {value}");
        let more = labels.with("b", "back\\slash \"quoted\"\nnext é");
        assert_eq!(labels.as_str(), r#"a="plain, {value}""#);
        let both = r#"a="plain, {value}",b="back\\slash \"quoted\"\nnext é""#;
        assert_eq!(more.as_str(), both);
        let first = SeriesLabels::new([label("rule", "x"), label("severity", "y")]);
        let all = first.followed_by(&labels);
        assert_eq!(all.as_str(), r#"rule="x",severity="y",a="plain, {value}""#);
        let only = SeriesLabels::default().followed_by(&labels);
        assert_eq!(only.as_str(), labels.as_str());
    }
}
