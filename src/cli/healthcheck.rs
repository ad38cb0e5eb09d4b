//! `healthcheck`: queries `/-/ready` of a running exporter, for containers without a shell.

use std::time::Duration;

use super::args::{ExporterArgs, Global};
use super::block_on;
use super::exit::Exit;
use super::exporter::Exporter;
use super::output::{complain, say};
use crate::http_client::{HttpClient, HttpTimeouts};
use crate::report::visible_text;

/// A healthy exporter answers at once; container runtimes give a health check a few seconds.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

pub(super) fn healthcheck(global: &Global, args: &ExporterArgs) -> Exit {
    let exporter = match Exporter::new(global, args, TIMEOUTS) {
        Ok(exporter) => exporter,
        Err(sentence) => {
            complain(&sentence);
            return Exit::Usage;
        }
    };
    let url = format!("{}/-/ready", exporter.url);
    match block_on(ask(&exporter.client, &url)) {
        Ok(Ok(text)) => {
            say(&text);
            Exit::Ok
        }
        Ok(Err(why)) => {
            complain(&format!("The exporter at {url} is not ready: {why}"));
            Exit::Failed
        }
        Err(exit) => exit,
    }
}

async fn ask(client: &HttpClient, url: &str) -> Result<String, String> {
    let answer = client.get(url).await.map_err(|error| error.to_string())?;
    // Anything may answer there, so control characters are escaped.
    let text = visible_text(answer.body.trim());
    if answer.status == 200 {
        Ok(text)
    } else {
        Err(text)
    }
}
