//! The API's description against the API: every route is described, every answer fits, and so does
//! whatever comes of requests that nobody would make.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::model::Timestamp;
use crate::report::testing::{Scene, fleet, fleet_named};
use crate::report::{JournalEntryReport, LiveReport, PairsReport};
use crate::web::Server;
use crate::web::page::OPEN_API;
use crate::web::testing::{Reply, Running, small_limits};

/// Requests of each operation.
const REQUESTS: usize = 120;

struct Description(Value);

impl Description {
    fn read() -> Self {
        Self(serde_json::from_str(OPEN_API).expect("the description is JSON"))
    }

    /// Every operation: path, method, what is said of it.
    fn operations(&self) -> Vec<(&str, String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let all = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods
                .map(move |(method, operation)| (path.as_str(), method.to_uppercase(), operation))
        });
        all.collect()
    }

    fn schema(&self, name: &str) -> &Value {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "there is no schema {name}");
        schema
    }

    /// Everything in which `value` does not fit the schema.
    fn misfits(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name
                .strip_prefix("#/components/schemas/")
                .expect("a reference to a schema");
            return self.misfits(self.schema(name), value, place, found);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let misfits = any.iter().map(|one| {
                let mut misfits = Vec::new();
                self.misfits(one, value, place, &mut misfits);
                misfits
            });
            let misfits: Vec<_> = misfits.collect();
            if misfits.iter().all(|misfits| !misfits.is_empty()) {
                found.extend(misfits.into_iter().flatten());
            }
            return;
        }
        check_keywords(schema);
        if !types(schema).any(|kind| is(kind, value)) {
            found.push(format!("{place} is {value}, not {}", schema["type"]));
            return;
        }
        self.misfits_within(schema, value, place, found);
    }

    fn misfits_within(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{place}: {what}: {value}"));
            }
        };
        let same = |a: &Value| a == value || a.as_f64().is_some_and(|a| Some(a) == value.as_f64());
        must(
            schema["enum"]
                .as_array()
                .is_none_or(|words| words.iter().any(same)),
            "is none of the enum",
        );
        must(
            schema["minimum"]
                .as_f64()
                .is_none_or(|low| value.as_f64().is_none_or(|v| v >= low)),
            "is below the minimum",
        );
        let items = value.as_array().map_or(0, Vec::len) as u64;
        must(
            schema["maxItems"].as_u64().is_none_or(|most| items <= most),
            "has too many items",
        );
        let hexadecimal =
            |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        must(
            schema.get("pattern").is_none() || value.as_str().is_some_and(hexadecimal),
            "does not match",
        );
        if let Some(object) = value.as_object() {
            let properties = schema["properties"].as_object();
            for name in schema["required"].as_array().into_iter().flatten() {
                must(
                    object.contains_key(name.as_str().unwrap()),
                    &format!("lacks {name}"),
                );
            }
            for (name, value) in object {
                let known = properties.and_then(|properties| properties.get(name));
                match known.or(schema["additionalProperties"]
                    .as_object()
                    .map(|_| &schema["additionalProperties"]))
                {
                    Some(schema) => self.misfits(schema, value, &format!("{place}.{name}"), found),
                    None if schema["additionalProperties"] == false => {
                        found.push(format!("{place} has {name}"));
                    }
                    None => {}
                }
            }
        }
        for (n, item) in value.as_array().into_iter().flatten().enumerate() {
            self.misfits(&schema["items"], item, &format!("{place}[{n}]"), found);
        }
    }

    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let mut found = Vec::new();
        self.misfits(schema, value, "$", &mut found);
        assert_eq!(found, Vec::<String>::new(), "{what}");
    }

    /// Checks that an answer is one of those that are described for the operation.
    fn check_answer(&self, operation: &Value, reply: &Reply, what: &str) {
        let described = &operation["responses"][reply.status.to_string()];
        assert!(
            described.is_object(),
            "{what}: {} is not described",
            reply.status
        );
        let content = &described["content"][reply.header("content-type")];
        assert!(
            content.is_object(),
            "{what}: {} is not described",
            reply.header("content-type")
        );
        if reply.header("content-type") == "application/json" {
            self.check(&content["schema"], &reply.json(), what);
        }
    }
}

/// A keyword that this validator does not know would check nothing.
fn check_keywords(schema: &Value) {
    let known = [
        "type",
        "enum",
        "minimum",
        "maxItems",
        "pattern",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "description",
        "minLength",
    ];
    for keyword in schema.as_object().expect("a schema").keys() {
        assert!(
            known.contains(&keyword.as_str()),
            "the keyword {keyword} is not checked"
        );
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let one = schema["type"].as_str().into_iter();
    one.chain(
        schema["type"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    )
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("the type {other} is not known"),
    }
}

#[test]
fn every_route_of_the_api_is_described_and_nothing_else() {
    let routes = include_str!("../routes.rs")
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1));
    let routes: BTreeSet<&str> = routes.filter(|path| path.starts_with("/api/")).collect();
    let description = Description::read();
    let described: BTreeSet<&str> = description
        .operations()
        .into_iter()
        .map(|(path, ..)| path)
        .collect();
    assert_eq!(routes, described);
}

#[test]
fn every_schema_is_used() {
    let description = Description::read();
    // The events' data are JSON within text, which a description cannot refer to; their names stand
    // in its words.
    for name in description.0["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let used = [format!("schemas/{name}\""), format!("({name})")];
        assert!(
            used.iter().any(|text| OPEN_API.contains(text)),
            "{name} is not used"
        );
    }
}

#[tokio::test]
async fn every_answer_fits_its_description() {
    let (server, description) = (Running::start(small_limits()).await, Description::read());
    for scene in Scene::ALL {
        server.show(scene);
        for (path, method, operation) in description.operations() {
            if path != "/api/v1/events" && method == "GET" && !path.contains("{id}") {
                let reply = server.get(&path.replace("{pair}", "orders")).await;
                assert_eq!(reply.status, 200, "{path}");
                description.check_answer(operation, &reply, &format!("{scene:?}: {path}"));
            }
        }
    }
}

#[test]
fn events_fit_their_description() {
    let description = Description::read();
    for scene in Scene::ALL {
        let (fleet, now) = fleet(scene);
        let live = LiveReport::new(&fleet, &PairsReport::new(&fleet, now));
        description.check(
            description.schema("LiveSnapshot"),
            &serde_json::to_value(live).unwrap(),
            "snapshot",
        );
        for happening in fleet.journal.after(0) {
            let report = JournalEntryReport::new(&fleet, happening);
            let schema = match report.event() {
                "state" => "LiveState",
                "alert" => "LiveAlert",
                _ => "LiveOperation",
            };
            description.check(
                description.schema(schema),
                &serde_json::to_value(report).unwrap(),
                schema,
            );
        }
    }
}

#[test]
fn the_validator_sees_what_does_not_fit() {
    let description = Description::read();
    let (fleet, now) = fleet(Scene::MasterLost);
    let whole = serde_json::to_value(PairsReport::new(&fleet, now)).unwrap();
    let check = |change: fn(&mut Value), expected: usize| {
        let (mut value, mut found) = (whole.clone(), Vec::new());
        change(&mut value);
        description.misfits(description.schema("Pairs"), &value, "$", &mut found);
        assert_eq!(found.len(), expected, "{found:?}");
    };
    check(|_| {}, 0);
    check(|value| value["pairs"][0]["state"] = "odd".into(), 1);
    check(|value| value["pairs"][0]["lag_seconds"] = "1".into(), 1);
    check(|value| value["pairs"][0]["lag_seconds"] = (-1.0).into(), 1);
    check(|value| value["pairs"][0]["lag_bytes"] = 1.5.into(), 1);
    check(|value| value["pairs"][0]["new"] = 1.into(), 1);
    check(
        |value| drop(value["exporter"].as_object_mut().unwrap().remove("ready")),
        1,
    );
    check(|value| value["servers"] = Value::Null, 1);
}

/// A text as somebody hostile would choose it, percent-encoded here and there.
fn text() -> impl Strategy<Value = String> {
    use proptest::prelude::*;
    prop_oneof![
        Just("orders".to_owned()),
        Just("r.example.com%3A6379".to_owned()),
        "[0-9]{1,12}[smhd]?",
        "[-+.0-9eE]{1,8}",
        // What may stand in a request line at all (RFC 3986): hyper refuses everything else before
        // it is a request.
        "[-A-Za-z0-9._~!$&'()*+,;=:@%]{0,20}",
        "(%[0-9A-F]{2}){1,8}",
        "[a-z%]{1,5}(&[a-z]=[a-z%]{0,3}){0,3}",
    ]
}

/// A request of an operation, with all its parameters or some.
fn request(path: &str, operation: &Value, runner: &mut TestRunner) -> (String, String) {
    let mut draw = || text().new_tree(runner).unwrap().current();
    let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), String::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, value) = (parameter["name"].as_str().unwrap(), draw());
        match parameter["in"].as_str().unwrap() {
            // An empty part of a path would be another path.
            "path" => {
                path = path.replace(
                    &format!("{{{name}}}"),
                    if value.is_empty() { "x" } else { &value },
                );
            }
            "header" => headers.extend([name, ": ", &value, "\r\n"]),
            "query" if value.len() % 4 != 0 => query.push(format!("{name}={value}")),
            "query" => {}
            other => panic!("parameters in {other} are not drawn"),
        }
    }
    query.push(draw());
    (
        format!("{path}?{}", query.join("&").replace('#', "")),
        headers,
    )
}

/// A body as somebody hostile would send it, or somebody in a hurry.
fn body() -> impl Strategy<Value = String> {
    use proptest::prelude::*;
    let silence = |(label, glob, lasts): (String, String, f64)| {
        serde_json::json!({"matchers": {label: glob}, "duration_seconds": lasts, "author": "a", "comment": "c"})
            .to_string()
    };
    let operation = |(id, pair): (String, String)| {
        serde_json::json!({"id": id, "pair": pair, "kind": "disaster", "old": "a:1", "target": "b:1",
            "state": "running", "sentence": ""})
        .to_string()
    };
    prop_oneof![
        ("[a-z]{1,5}", "[a-z*?]{1,5}", 1.0..1e6).prop_map(silence),
        ("[a-z./]{0,5}", "[a-z]{1,5}|orders").prop_map(operation),
        (any::<String>(), any::<String>(), any::<f64>()).prop_map(silence),
        any::<String>(),
        Just("{\"matchers\": {}, \"author\": \"\", \"comment\": \"\"}".to_owned()),
        Just("[[[[".repeat(100)),
    ]
}

/// A whole request of somebody who may change something.
fn change(method: &str, (target, headers): &(String, String), body: &str) -> String {
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}");
    format!(
        "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn every_request_gets_an_answer_that_is_described() {
    let description = Description::read();
    let server = Server::new(small_limits()).with_admin_api(true);
    let server =
        Running::serving(server, Arc::new(|_, _| Ok(Vec::new())), Timestamp::default).await;
    server
        .snapshots
        .send_replace(Arc::new(fleet_named("orders", Scene::MasterLost).0));
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for (path, method, operation) in description.operations() {
        // The stream does not end; a HEAD of it does.
        let method = if path == "/api/v1/events" {
            "HEAD"
        } else {
            method.as_str()
        };
        for _ in 0..REQUESTS {
            let request = request(path, operation, &mut runner);
            let (target, headers) = &request;
            let reply = if matches!(method, "GET" | "HEAD") {
                server.ask(method, target, headers).await
            } else {
                server
                    .send(&change(
                        method,
                        &request,
                        &body().new_tree(&mut runner).unwrap().current(),
                    ))
                    .await
            };
            seen.insert((path, reply.status));
            if method == "HEAD" {
                assert!(
                    operation["responses"][reply.status.to_string()].is_object(),
                    "{target}: {}",
                    reply.status
                );
            } else {
                description.check_answer(operation, &reply, &format!("{method} {target}"));
            }
        }
    }
    for status in [200, 400, 404] {
        assert!(
            seen.contains(&("/api/v1/pairs/{pair}/history", status)),
            "never seen: {status} in {seen:?}"
        );
    }
    for expected in [
        ("/api/v1/silences", 200),
        ("/api/v1/silences", 400),
        ("/api/v1/silences/{id}", 404),
        ("/api/v1/operations", 200),
        ("/api/v1/operations", 400),
        ("/api/v1/operations", 404),
    ] {
        assert!(
            seen.contains(&expected),
            "never seen: {expected:?} in {seen:?}"
        );
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
}
