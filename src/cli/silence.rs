//! `silence`: creates, lists and expires silences of a running exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{
    Global, OutputFormat, SilenceAddArgs, SilenceArgs, SilenceExpireArgs, SilenceListArgs,
};
use super::block_on;
use super::columns::{pad, widths};
use super::exit::Exit;
use super::exporter::Exporter;
use super::output::{complain, say};
use crate::config::parse_duration;
use crate::http_client::{GetError, HttpResponse, HttpTimeouts};
use crate::report::{
    SilenceMade, SilenceReport, SilenceRequest, SilencesReport, utc_text, visible_line,
    visible_text,
};

/// A running exporter answers at once.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(10),
};

pub(super) fn silence(global: &Global, args: &SilenceArgs) -> Exit {
    match args {
        SilenceArgs::Add(args) => add(global, args),
        SilenceArgs::List(args) => list(global, args),
        SilenceArgs::Expire(args) => expire(global, args),
    }
}

fn add(global: &Global, args: &SilenceAddArgs) -> Exit {
    let request = match request(args) {
        Ok(request) => request,
        Err(sentence) => return usage(&sentence),
    };
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    let ask = async {
        let body = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
        let url = format!("{}/api/v1/silences", exporter.url);
        let answer = exporter
            .client
            .post_json(&url, &[], body)
            .await
            .map_err(|error| error.to_string())?;
        made(&answer)
    };
    finish(&exporter.url, block_on(ask), |id| {
        format!("{id}\nTo end it: redis-cross-dc-exporter silence expire {id}")
    })
}

fn expire(global: &Global, args: &SilenceExpireArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    if !args.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return usage("A silence is named by 16 hexadecimal digits; silence list shows them.");
    }
    let ask = async {
        let url = format!("{}/api/v1/silences/{}", exporter.url, args.id);
        let answer = exporter
            .client
            .delete_json(&url)
            .await
            .map_err(|error| error.to_string())?;
        made(&answer)
    };
    finish(&exporter.url, block_on(ask), |id| format!("{id} is over"))
}

fn list(global: &Global, args: &SilenceListArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    let ask = async {
        let answer = exporter
            .client
            .get_json(&format!("{}/api/v1/silences", exporter.url))
            .await;
        let mut report: SilencesReport = answer.map_err(|error| match error {
            GetError::Status(401) => LOGIN.to_owned(),
            error => error.to_string(),
        })?;
        report
            .silences
            .retain(|silence| args.expired || silence.state != "expired");
        Ok(match args.output {
            OutputFormat::Table => table(&report),
            OutputFormat::Json => {
                serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?
            }
        })
    };
    finish(&exporter.url, block_on(ask), str::to_owned)
}

const LOGIN: &str =
    "it asks for a user and a password: give --exporter.username and --exporter.password-file";

fn usage(sentence: &str) -> Exit {
    complain(sentence);
    Exit::Usage
}

/// Prints the answer or the error.
fn finish(
    url: &str,
    result: Result<Result<String, String>, Exit>,
    text: impl Fn(&str) -> String,
) -> Exit {
    match result {
        Ok(Ok(answer)) => {
            say(&text(&answer));
            Exit::Ok
        }
        Ok(Err(why)) => {
            complain(&format!(
                "The request to the exporter at {url} failed: {why}"
            ));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

/// The silence's name in the exporter's answer, or its sentence.
fn made(answer: &HttpResponse) -> Result<String, String> {
    if answer.status == 401 {
        return Err(LOGIN.to_owned());
    }
    if answer.status == 200 {
        let made: SilenceMade =
            serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        if let Some(warning) = made.warning {
            complain(&format!("Warning: {}", visible_line(&warning)));
        }
        return Ok(visible_text(&made.id));
    }
    let error: Option<BTreeMap<String, String>> = serde_json::from_str(&answer.body).ok();
    let sentence = error
        .and_then(|mut error| error.remove("error"))
        .unwrap_or_else(|| answer.body.trim().to_owned());
    Err(format!(
        "{} (status {})",
        visible_text(&sentence),
        answer.status
    ))
}

/// The silence that the command line asks for.
fn request(args: &SilenceAddArgs) -> Result<SilenceRequest, String> {
    let seconds = |text: &str| {
        let span = parse_duration(text).map_err(|error| format!("{text:?} {error}."))?;
        Ok::<_, String>(span.as_secs_f64())
    };
    let mut matchers = BTreeMap::new();
    for matcher in &args.matchers {
        let (label, glob) = matcher
            .split_once('=')
            .ok_or_else(|| format!("{matcher:?} is no matcher: write label=glob."))?;
        if matchers.insert(label.to_owned(), glob.to_owned()).is_some() {
            return Err(format!("The label {label:?} is given twice."));
        }
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = args.author.clone().filter(|author| !author.is_empty());
    let author = given
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(on_call);
    let starts_in = args.starts_in.as_deref().map(seconds).transpose()?;
    let now = crate::clock::wall_now().as_secs_f64();
    Ok(SilenceRequest {
        matchers,
        starts_timestamp: starts_in.map(|wait| now + wait),
        ends_timestamp: None,
        duration_seconds: Some(seconds(&args.lasts)?),
        author,
        comment: args.comment.clone(),
    })
}

/// The author where neither the command line nor the environment names one, as in a container.
fn on_call() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() {
        return "oncall".to_owned();
    }
    format!("oncall@{host}")
}

/// The columns of the table, before the comment.
const HEAD: [&str; 6] = ["ID", "STATE", "ENDS", "ALERTS", "AUTHOR", "MATCHERS"];

fn table(report: &SilencesReport) -> String {
    let rows: Vec<_> = report.silences.iter().map(cells).collect();
    let widths = widths(&HEAD, &rows);
    let line = |cells: &[String]| {
        cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| pad(cell, width))
            .collect::<Vec<_>>()
            .join("  ")
    };
    let mut text = format!("{}  COMMENT\n", line(&HEAD.map(str::to_owned)));
    for (silence, row) in report.silences.iter().zip(&rows) {
        let comment = visible_text(&silence.comment);
        text += &format!("{}  {comment}\n", line(row));
    }
    for window in &report.maintenance {
        text += &format!("maintenance: {}\n", visible_text(window));
    }
    text.trim_end().to_owned()
}

/// The cells of a row. Names come from whatever answered at the exporter's address, so control
/// characters in them are escaped.
fn cells(silence: &SilenceReport) -> [String; HEAD.len()] {
    let matchers = silence
        .matchers
        .iter()
        .map(|(label, glob)| format!("{label}={glob}"))
        .collect::<Vec<_>>()
        .join(" ");
    [
        visible_text(&silence.id),
        visible_text(&silence.state),
        utc_text(silence.ends_timestamp),
        silence.alerts.to_string(),
        visible_text(&silence.author),
        visible_text(&matchers),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(line: &[&str]) -> Result<SilenceRequest, String> {
        let line = [&["x", "silence", "add"], line].concat();
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Some(Command::Silence(SilenceArgs::Add(args))) = cli.command else {
            panic!("another command")
        };
        request(&args)
    }

    #[test]
    fn what_is_typed_becomes_a_silence() {
        let made = asked(&[
            "pair=orders-*",
            "team=a=b",
            "--for",
            "1h30m",
            "--comment",
            "c",
            "--author",
            "me",
        ])
        .unwrap();
        let matchers: Vec<_> = made
            .matchers
            .iter()
            .map(|(label, glob)| (label.as_str(), glob.as_str()))
            .collect();
        assert_eq!(matchers, [("pair", "orders-*"), ("team", "a=b")]);
        assert_eq!(
            (
                made.duration_seconds,
                made.starts_timestamp,
                made.author.as_str()
            ),
            (Some(5400.0), None, "me")
        );
        let later = asked(&[
            "a=b",
            "--for",
            "1h",
            "--in",
            "1d",
            "--comment",
            "c",
            "--author",
            "me",
        ])
        .unwrap();
        assert!(
            later.starts_timestamp.unwrap() > crate::clock::wall_now().as_secs_f64() + 86_000.0
        );
    }

    #[test]
    fn somebody_is_always_the_author() {
        let made = asked(&["a=b", "--for", "1h", "--comment", "c", "--author", ""]).unwrap();
        assert!(!made.author.is_empty());
        assert!(on_call().starts_with("oncall"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let rest = ["--comment", "c", "--author", "me"];
        let with = |first: &[&'static str]| asked(&[first, &rest].concat()).unwrap_err();
        assert!(
            with(&["pair", "--for", "1h"]).contains("\"pair\" is no matcher: write label=glob.")
        );
        assert!(with(&["a=b", "a=c", "--for", "1h"]).contains("given twice"));
        assert!(with(&["a=b", "--for", "60"]).contains("\"60\" has no unit"));
        assert!(with(&["a=b"]).contains("--for"));
        assert!(with(&["--for", "1h"]).contains("required"));
    }

    #[test]
    fn a_hostile_exporter_cannot_command_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}".to_owned();
        let silence = SilenceReport {
            id: hostile.clone(),
            state: hostile.clone(),
            matchers: BTreeMap::from([(hostile.clone(), hostile.clone())]),
            starts_timestamp: 0.0,
            ends_timestamp: f64::MAX,
            author: hostile.clone(),
            comment: hostile.clone(),
            alerts: 0,
        };
        assert!(!cells(&silence).concat().contains('\u{1b}'));
        let answer = HttpResponse {
            status: 500,
            body: hostile,
            ..HttpResponse::default()
        };
        assert!(!made(&answer).unwrap_err().contains('\u{1b}'));
    }
}
