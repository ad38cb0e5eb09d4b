//! Lines as they are written, in both formats.

use std::collections::BTreeMap;

use super::*;

/// What was logged.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged while `speak` runs, at the level info and with `finish` at the end.
fn logged(format: LogFormat, speak: impl FnOnce()) -> String {
    let sink = Sink::default();
    let log = Log::new(format, Box::new(sink.clone()));
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(layer(&log, LogLevel::Info)),
        speak,
    );
    log.finish();
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// One line about `pair`, which also stands in its text and its reason.
fn about(format: LogFormat, pair: &str) -> String {
    logged(
        format,
        || tracing::warn!(pair, reason = %pair, debug = ?pair, "{pair}"),
    )
}

/// The fields of a line of logfmt, as its readers take it: a value in quotes is a text of JSON.
fn parsed(line: &str) -> BTreeMap<String, String> {
    let (mut fields, mut rest) = (
        BTreeMap::new(),
        line.strip_suffix('\n').expect("a line's end"),
    );
    while !rest.is_empty() {
        let (name, value) = rest
            .split_once('=')
            .unwrap_or_else(|| panic!("no field: {rest:?}"));
        assert!(
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name:?} in {line:?}"
        );
        let value = if value.starts_with('"') {
            let mut texts = serde_json::Deserializer::from_str(value).into_iter::<String>();
            let text = texts.next().unwrap().unwrap();
            rest = &value[texts.byte_offset()..];
            text
        } else {
            let end = value.find(' ').unwrap_or(value.len());
            rest = &value[end..];
            assert!(!value[..end].contains(['"', '=', '\\']), "{line:?}");
            value[..end].to_owned()
        };
        rest = rest.strip_prefix(' ').unwrap_or(rest);
        assert!(
            fields.insert(name.to_owned(), value).is_none(),
            "{name} stands twice: {line:?}"
        );
    }
    fields
}

/// The same of a line of JSON.
fn parsed_json(line: &str) -> BTreeMap<String, String> {
    let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
    let names = value.len();
    let text = |value: &serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    let fields: BTreeMap<_, _> = value
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    // The reader keeps the last of two equal names: the line has no more names than it found.
    assert_eq!(line.matches("\":").count(), names, "{line}");
    fields
}

const HOSTILE: [&str; 14] = [
    "orders",
    "",
    " ",
    "a\nlevel=error msg=forged",
    "a\r\nb\tc",
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "x\" level=\"error",
    "x\\\" y=\\",
    "it's {} %s ${HOME} <b>&amp;</b>",
    // Without a space or a quote, nothing but these asks for quotes.
    "\u{9b}31m",
    "a\u{7f}",
    "\u{202e}redro\u{2066}",
    "\u{feff}\u{200b}\u{e0001}",
    "é😀注文\0",
];

#[test]
fn no_name_adds_a_line_a_field_or_a_command_to_the_log() {
    for name in HOSTILE {
        let texts = [about(LogFormat::Logfmt, name), about(LogFormat::Json, name)];
        for line in &texts {
            assert!(
                line.ends_with('\n') && line.matches('\n').count() == 1,
                "{line:?}"
            );
            let obeyed = |c: char| {
                c.is_control() || matches!(c, '\u{202e}' | '\u{2066}' | '\u{200b}' | '\u{feff}')
            };
            assert!(!line.trim_end_matches('\n').contains(obeyed), "{line:?}");
        }
        let (logfmt, json) = (
            parsed(&texts[0]),
            serde_json::from_str::<serde_json::Value>(&texts[1]).unwrap(),
        );
        for fields in [
            logfmt,
            json.as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap().into()))
                .collect(),
        ] {
            let names: Vec<_> = fields.keys().map(String::as_str).collect();
            assert_eq!(names, ["debug", "level", "msg", "pair", "reason", "ts"]);
            assert_eq!(
                [&fields["pair"], &fields["msg"], &fields["reason"]],
                [name; 3]
            );
            assert_eq!(
                (fields["debug"].as_str(), fields["level"].as_str()),
                (format!("{name:?}").as_str(), "warn")
            );
        }
    }
}

#[test]
fn a_long_value_is_cut_and_so_is_a_long_line() {
    for hostile in ["x", "é", "\u{1b}", "\"", "\u{e0001}"] {
        let name = hostile.repeat(10_240 / hostile.len());
        for format in [LogFormat::Logfmt, LogFormat::Json] {
            let line = logged(format, || tracing::warn!(pair = name, reason = "r", "m"));
            let fields = if format == LogFormat::Json {
                parsed_json(&line)
            } else {
                parsed(&line)
            };
            let cut = fields["pair"].strip_suffix('…').expect("a sign of the cut");
            assert!(
                name.starts_with(cut) && cut.len() > 100 && line.len() < 4096 + 200,
                "{} bytes",
                line.len()
            );
            assert_eq!(
                (fields["reason"].as_str(), fields["msg"].as_str()),
                ("r", "m"),
                "the others are whole"
            );

            let line = logged(format, || {
                tracing::warn!(a = name, b = name, c = name, d = name, e = "e", "m");
            });
            let fields = if format == LogFormat::Json {
                parsed_json(&line)
            } else {
                parsed(&line)
            };
            assert!(
                line.len() < 13 * 1024 && fields["cut"] == "true" && fields["a"].ends_with('…'),
                "{line}"
            );
        }
    }
}

#[test]
fn numbers_stay_numbers_and_what_is_not_known_is_left_out() {
    let speak = || {
        let unknown: Option<f64> = None;
        tracing::info!(
            count = 3,
            ratio = 0.5,
            up = true,
            nan = f64::NAN,
            unknown,
            "text"
        );
    };
    let json: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, speak)).unwrap();
    assert_eq!(
        (&json["count"], &json["ratio"], &json["up"]),
        (&3.into(), &0.5.into(), &true.into())
    );
    assert_eq!((&json["nan"], json.get("unknown")), (&"NaN".into(), None));
    let logfmt = logged(LogFormat::Logfmt, speak);
    assert!(
        logfmt.contains(" level=info msg=text count=3 ratio=0.5 up=true nan=NaN\n"),
        "{logfmt}"
    );
    assert!(
        parsed(&logfmt)["ts"].ends_with('Z') && parsed(&logfmt)["ts"].len() == 24,
        "{logfmt}"
    );
}

#[test]
fn no_field_occurs_twice_and_a_librarys_line_has_its_target() {
    for format in [LogFormat::Logfmt, LogFormat::Json] {
        let line = logged(format, || {
            tracing::error!(target: "hyper::proto", level = 1, msg = 2, ts = 3, target = 4, "m");
        });
        let fields = if format == LogFormat::Json {
            parsed_json(&line)
        } else {
            parsed(&line)
        };
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "level", "level_", "msg", "msg_", "target", "target_", "ts", "ts_"
            ]
        );
        assert_eq!(fields["target"], "hyper::proto");
    }
}

#[test]
fn libraries_log_only_warnings_and_errors() {
    let text = logged(LogFormat::Logfmt, || {
        tracing::info!(target: "hyper", "chatter");
        tracing::warn!(target: "hyper", "trouble");
        tracing::debug!("detail");
    });
    assert!(
        text.contains("trouble") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn flapping_lines_are_suppressed_by_subject_and_summarised() {
    let text = logged(LogFormat::Logfmt, || {
        for round in 0..43 {
            let to = if round % 2 == 0 {
                "link_down"
            } else {
                "streaming"
            };
            tracing::warn!(
                pair = "orders",
                replica = "a:1",
                to,
                round,
                "the state changed"
            );
            if round < 3 {
                tracing::info!(
                    pair = "orders",
                    replica = "b:1",
                    to,
                    round,
                    "the state changed"
                );
            }
        }
    });
    let lines: Vec<_> = text
        .lines()
        .map(|line| parsed(&format!("{line}\n")))
        .collect();
    let of = |replica: &str| {
        lines
            .iter()
            .filter(|line| line["replica"] == replica)
            .collect::<Vec<_>>()
    };
    assert_eq!((of("a:1").len(), of("b:1").len()), (7, 3), "{text}");
    let sum = lines.last().unwrap();
    assert_eq!(
        (
            sum["round"].as_str(),
            sum["to"].as_str(),
            sum["held_back"].as_str()
        ),
        ("42", "link_down", "37")
    );
    assert_eq!(
        sum["msg"],
        "the state changed (the last of 37 more like this in the last 0 s)"
    );
    assert!(sum["said_at"] <= sum["ts"], "{text}");
}

#[test]
fn lines_without_a_subject_are_suppressed_by_their_text_and_debug_lines_never() {
    let sink = Sink::default();
    let log = Log::new(LogFormat::Logfmt, Box::new(sink.clone()));
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(layer(&log, LogLevel::Debug)),
        || {
            for open in 0..20 {
                tracing::warn!(open, "too many are open");
                tracing::warn!("warning {open}");
                tracing::debug!(server = "a:1", "a poll failed");
            }
        },
    );
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let count = |what: &str| text.matches(what).count();
    assert_eq!(
        (
            count("too many are open"),
            count("msg=\"warning"),
            count("a poll failed")
        ),
        (6, 20, 20),
        "{text}"
    );
}
