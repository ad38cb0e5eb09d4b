//! `healthcheck`: queries `/-/ready` of a running exporter, for containers without a shell.

use std::time::Duration;

use super::args::{ExporterArgs, Global};
use super::block_on;
use super::exit::Exit;
use super::exporter::Exporter;
use super::output::{complain, say};
use crate::http_client::HttpTimeouts;
use crate::report::visible_text;

const READY: &str = "/-/ready";

/// A healthy exporter answers at once; container runtimes give a health check a few seconds.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// What a port that speaks HTTPS answers to plain HTTP.
const BAD_REQUEST: u16 = 400;

pub(super) fn healthcheck(global: &Global, args: &ExporterArgs) -> Exit {
    match block_on(check(global, args)) {
        Ok(Ok((_, Answer::Status(200, text)))) => {
            say(&text);
            Exit::Ok
        }
        Ok(Ok((url, Answer::Status(_, why) | Answer::None(why)))) => {
            complain(&format!("The exporter at {url}{READY} is not ready: {why}"));
            Exit::Failed
        }
        Ok(Err(sentence)) => {
            complain(&sentence);
            Exit::Usage
        }
        Err(exit) => exit,
    }
}

/// The exporter's URL and its answer. Where none is given, it is asked by HTTPS if the port says
/// that it speaks that.
///
/// # Errors
/// A sentence for the user.
async fn check(global: &Global, args: &ExporterArgs) -> Result<(String, Answer), String> {
    let exporter = Exporter::new(global, args, TIMEOUTS)?;
    let answer = ask(&exporter).await;
    let speaks_https = matches!(answer, Answer::Status(BAD_REQUEST, _));
    if args.url.is_some() || !speaks_https {
        return Ok((exporter.url, answer));
    }
    let secured = Exporter::over_https(global, args, TIMEOUTS)?;
    let answer = ask(&secured).await;
    Ok((secured.url, answer))
}

/// What came back.
enum Answer {
    /// This status, with this text.
    Status(u16, String),
    /// Nothing, and why.
    None(String),
}

async fn ask(exporter: &Exporter) -> Answer {
    let url = format!("{}{READY}", exporter.url);
    match exporter.client.get(&url).await {
        // Anything may answer there, so control characters are escaped.
        Ok(answer) => Answer::Status(answer.status, visible_text(answer.body.trim())),
        Err(error) => Answer::None(error.to_string()),
    }
}
