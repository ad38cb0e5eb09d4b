//! docs/metrics.md, made from the catalogue and its switches.

use super::catalogue::{ALL, Metric};
use super::switches;

/// The row of a metric in docs/metrics.md.
fn row(metric: &Metric) -> String {
    let Metric {
        name,
        kind,
        labels,
        help,
        place: _,
    } = metric;
    let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
    let labels = labels.join(", ");
    let kind = kind.label();
    let switch = match switches::switch_of(metric) {
        Some(switch) => format!("**Only with `{switch}`.** "),
        None => String::new(),
    };
    format!("| `{name}` | {kind} | {labels} | {switch}{help} |\n")
}

/// The text of docs/metrics.md.
pub fn documentation() -> String {
    let mut text = String::from(concat!(
        "# Metrics\n\n",
        "Made from `src/metrics/catalogue.rs` by `UPDATE_DOCS=1 cargo test --lib metrics`; a test fails when the two ",
        "differ.\n\n",
        "An unknown value is an **absent series**, never 0, -1 or NaN. Gauges are for the instant of the scrape: what ",
        "the last polls showed is carried on to now, as [lag.md](lag.md) explains. `replica` and `server` are ",
        "`host:port`. `process_*` metrics of the exporter itself stand beside these.\n\n",
    ));
    text += &switches::documentation();
    text += "\n## All metrics\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for metric in ALL {
        text += &row(metric);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, documentation()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            written,
            documentation(),
            "run: UPDATE_DOCS=1 cargo test --lib metrics"
        );
    }
}
