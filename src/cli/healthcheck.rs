//! `healthcheck`: asks a running exporter whether it is ready, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::args::{ExporterArgs, Global};
use super::exit::Exit;
use super::{block_on, complain, say};
use crate::http_client::{HttpClient, HttpTimeouts};
use crate::report::visible_text;

/// A healthy exporter answers at once; container runtimes give a health check a few seconds.
const TIMEOUTS: HttpTimeouts = HttpTimeouts { connect: Duration::from_secs(1), total: Duration::from_secs(3) };

pub(super) fn healthcheck(global: &Global, args: &ExporterArgs) -> Exit {
    let url = format!("{}/-/ready", exporter_url(global, args));
    match block_on(ask(&url)) {
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

async fn ask(url: &str) -> Result<String, String> {
    let client = HttpClient::for_exporter(TIMEOUTS).map_err(|error| error.to_string())?;
    let answer = client.get(url).await.map_err(|error| error.to_string())?;
    // Whatever answers there: its words are shown, never obeyed.
    let text = visible_text(answer.body.trim());
    if answer.status == 200 { Ok(text) } else { Err(text) }
}

/// Where the exporter that is meant answers, without a slash at the end.
pub(super) fn exporter_url(global: &Global, args: &ExporterArgs) -> String {
    match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", reachable(global.listen_address)),
    }
}

/// An address that listens on all interfaces is reached by the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_asked_on_loopback() {
        let cases = [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")];
        for (listen, asked) in cases {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
