//! `silence`: creates, lists and expires silences of a running exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::{
    Global, OutputFormat, SilenceAddArgs, SilenceArgs, SilenceExpireArgs, SilenceListArgs,
};
use super::block_on;
use super::columns::{pad, widths};
use super::exit::Exit;
use super::exporter::{Exporter, LOGIN_REQUIRED};
use super::output::{complain, say};
use crate::app;
use crate::clock;
use crate::config::parse_duration;
use crate::http_client::{HttpResponse, HttpTimeouts};
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
    let result = block_on(post(&exporter, &request));
    finish(&exporter.url, result, |id| {
        format!("{id}\nTo end it: redis-cross-dc-exporter silence expire {id}")
    })
}

/// Creates the silence; its ID.
async fn post(exporter: &Exporter, request: &SilenceRequest) -> Result<String, String> {
    let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    let url = format!("{}/api/v1/silences", exporter.url);
    let answer = exporter.client.post_json(&url, &[], body).await;
    silence_id(&answer.map_err(|error| error.to_string())?)
}

fn expire(global: &Global, args: &SilenceExpireArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    if !args.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return usage("A silence is named by 16 hexadecimal digits; silence list shows them.");
    }
    let result = block_on(delete(&exporter, &args.id));
    finish(&exporter.url, result, |id| format!("{id} is over"))
}

/// Ends the silence; its ID.
async fn delete(exporter: &Exporter, id: &str) -> Result<String, String> {
    let url = format!("{}/api/v1/silences/{id}", exporter.url);
    let answer = exporter.client.delete_json(&url).await;
    silence_id(&answer.map_err(|error| error.to_string())?)
}

fn list(global: &Global, args: &SilenceListArgs) -> Exit {
    let exporter = match Exporter::new(global, &args.exporter, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => return usage(&sentence),
    };
    let result = block_on(fetch(&exporter, args));
    finish(&exporter.url, result, str::to_owned)
}

/// The list as it is printed.
async fn fetch(exporter: &Exporter, args: &SilenceListArgs) -> Result<String, String> {
    let mut report: SilencesReport = exporter.report("/api/v1/silences").await?;
    if !args.expired {
        report.silences.retain(|silence| silence.state != "expired");
    }
    match args.output {
        OutputFormat::Table => Ok(table(&report)),
        OutputFormat::Json => {
            serde_json::to_string_pretty(&report).map_err(|error| error.to_string())
        }
    }
}

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

/// The silence's ID in the exporter's answer, or the error that it reports.
fn silence_id(answer: &HttpResponse) -> Result<String, String> {
    match answer.status {
        200 => {}
        401 => return Err(LOGIN_REQUIRED.to_owned()),
        status => {
            let sentence = visible_text(&error_of(answer));
            return Err(format!("{sentence} (status {status})"));
        }
    }
    let made: Result<SilenceMade, _> = serde_json::from_str(&answer.body);
    let made = made.map_err(|error| error.to_string())?;
    if let Some(warning) = made.warning {
        complain(&format!("Warning: {}", visible_line(&warning)));
    }
    Ok(visible_text(&made.id))
}

/// The error in an answer of the API; the whole body of any other answer.
fn error_of(answer: &HttpResponse) -> String {
    let fields: Result<BTreeMap<String, String>, _> = serde_json::from_str(&answer.body);
    if let Ok(mut fields) = fields
        && let Some(error) = fields.remove("error")
    {
        return error;
    }
    answer.body.trim().to_owned()
}

/// The silence that the command line describes.
fn request(args: &SilenceAddArgs) -> Result<SilenceRequest, String> {
    let matchers = matchers(&args.matchers)?;
    let starts_timestamp = match &args.starts_in {
        Some(wait) => Some(clock::wall_now().as_secs_f64() + seconds(wait)?),
        None => None,
    };
    Ok(SilenceRequest {
        matchers,
        starts_timestamp,
        ends_timestamp: None,
        duration_seconds: Some(seconds(&args.lasts)?),
        author: author(args.author.as_deref()),
        comment: args.comment.clone(),
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    match parse_duration(text) {
        Ok(span) => Ok(span.as_secs_f64()),
        Err(error) => Err(format!("{text:?} {error}.")),
    }
}

fn matchers(given: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut matchers = BTreeMap::new();
    for matcher in given {
        let Some((label, glob)) = matcher.split_once('=') else {
            return Err(format!("{matcher:?} is no matcher: write label=glob."));
        };
        if matchers.insert(label.to_owned(), glob.to_owned()).is_some() {
            return Err(format!("The label {label:?} is given twice."));
        }
    }
    Ok(matchers)
}

/// The first of these that is set: the flag, $USER, $LOGNAME; else the host's name.
pub(super) fn author(flag: Option<&str>) -> String {
    if let Some(author) = flag
        && !author.is_empty()
    {
        return author.to_owned();
    }
    for variable in ["USER", "LOGNAME"] {
        if let Ok(user) = std::env::var(variable)
            && !user.is_empty()
        {
            return user;
        }
    }
    on_call()
}

/// The author where neither the command line nor the environment names one, as in a container.
fn on_call() -> String {
    let host = app::host_name();
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
    let head = line(&HEAD.map(str::to_owned), &widths);
    let mut text = format!("{head}  COMMENT\n");
    for (silence, row) in report.silences.iter().zip(&rows) {
        let comment = visible_text(&silence.comment);
        text += &format!("{}  {comment}\n", line(row, &widths));
    }
    for window in &report.maintenance {
        text += &format!("maintenance: {}\n", visible_text(window));
    }
    text.trim_end().to_owned()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut padded = Vec::new();
    for (cell, width) in cells.iter().zip(widths) {
        padded.push(pad(cell, *width));
    }
    padded.join("  ")
}

/// The cells of a row. Names come from whatever answered at the exporter's address, so control
/// characters in them are escaped.
fn cells(silence: &SilenceReport) -> [String; HEAD.len()] {
    let mut matchers = Vec::new();
    for (label, glob) in &silence.matchers {
        matchers.push(format!("{label}={glob}"));
    }
    [
        visible_text(&silence.id),
        visible_text(&silence.state),
        utc_text(silence.ends_timestamp),
        silence.alerts.to_string(),
        visible_text(&silence.author),
        visible_text(&matchers.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn parsed(line: &[&str]) -> Result<SilenceRequest, String> {
        let line = [&["x", "silence", "add"], line].concat();
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let Some(Command::Silence(SilenceArgs::Add(args))) = cli.command else {
            panic!("another command")
        };
        request(&args)
    }

    #[test]
    fn the_arguments_become_a_silence() {
        let made = parsed(&[
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
        let later = parsed(&[
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
    fn without_a_name_the_host_is_the_author() {
        let made = parsed(&["a=b", "--for", "1h", "--comment", "c", "--author", ""]).unwrap();
        assert!(!made.author.is_empty());
        assert!(on_call().starts_with("oncall"));
    }

    #[test]
    fn wrong_arguments_are_refused_with_a_sentence() {
        let rest = ["--comment", "c", "--author", "me"];
        let with = |first: &[&'static str]| parsed(&[first, &rest].concat()).unwrap_err();
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
        assert!(!silence_id(&answer).unwrap_err().contains('\u{1b}'));
    }
}
