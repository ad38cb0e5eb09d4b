//! The queries of the dashboards.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::metrics::catalogue;
use serde_json::Value;

use super::servers::dashboards;

/// A query, and where it stands.
pub(super) struct Query {
    /// The dashboard and the panel.
    pub(super) place: String,
    /// The expression, with every variable replaced by what stands for "all".
    pub(super) expr: String,
}

/// Every query of every panel and annotation.
pub(super) fn queries() -> Vec<Query> {
    let files = std::fs::read_dir(dashboards())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .flat_map(|path| {
            of_dashboard(&serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect()
}

fn of_dashboard(dashboard: &Value) -> Vec<Query> {
    let title = dashboard["title"].as_str().unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| {
        let queries = panel["targets"].as_array().cloned().unwrap_or_default();
        queries
            .into_iter()
            .map(|query| (panel["title"].as_str().unwrap().to_owned(), query))
    });
    let notes = dashboard["annotations"]["list"].as_array().unwrap().iter();
    let notes = notes.map(|note| (note["name"].as_str().unwrap().to_owned(), note.clone()));
    let with_expr = targets
        .chain(notes)
        .filter_map(|(name, query)| Some((name, query["expr"].as_str()?.to_owned())));
    with_expr
        .map(|(name, expr)| Query {
            place: format!("{title}: {name}"),
            expr: filled_in(&expr),
        })
        .collect()
}

fn filled_in(expr: &str) -> String {
    let variables = ["$source_dc", "$target_dc", "$pair", "$replica"];
    let expr = variables.iter().fold(expr.to_owned(), |expr, variable| {
        expr.replace(variable, ".*")
    });
    expr.replace("$__rate_interval", "1m")
}

#[test]
fn the_queries_name_only_metrics_that_are_exported() {
    let known: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let all = queries();
    assert!(all.len() > 60, "{}", all.len());
    for query in all {
        assert!(
            !query.expr.contains('$'),
            "{}: a variable is not known: {}",
            query.place,
            query.expr
        );
        for word in query
            .expr
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(
                !word.starts_with("redis_cross_dc_") || known.contains(name),
                "{}: {word}",
                query.place
            );
        }
    }
}

/// Every pair's metric that a person may look for stands in some panel.
#[test]
fn no_metric_of_a_pair_is_missing() {
    let used: String = queries()
        .into_iter()
        .map(|query| query.expr + " ")
        .collect();
    let of_pairs = catalogue::ALL
        .iter()
        .filter(|metric| metric.labels.starts_with(catalogue::PAIR));
    let missing: Vec<&str> = of_pairs
        .map(|metric| metric.name)
        .filter(|name| !used.contains(name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
