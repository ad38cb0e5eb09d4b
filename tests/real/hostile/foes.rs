//! Servers that never give a usable answer, each with the reason that its polls must be counted
//! under.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{ErrorReply, HostileServer, Misbehaviour, eventually, ports};
use redis_cross_dc_exporter::model::ServerAddr;

use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

/// What a port is asked in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speak {
    Plain,
    Tls,
}

/// Every misbehaviour with the reason that it must be counted under; `None` where polls succeed.
fn misbehaviours() -> Vec<(Misbehaviour, Speak, Option<&'static str>)> {
    use Misbehaviour as M;
    use Speak::{Plain, Tls};
    vec![
        (M::Hang, Plain, Some("timeout")),
        (M::Drip(Duration::from_secs(1)), Plain, Some("timeout")),
        (M::HugeBulk, Plain, Some("too_large")),
        (M::EndlessLine, Plain, Some("too_large")),
        (M::EndlessReplies, Plain, Some("protocol")),
        (M::ManyLines, Plain, Some("parse")),
        (M::ManyReplicas, Plain, None),
        (M::Garbage, Plain, Some("protocol")),
        (M::Http, Plain, Some("protocol")),
        (M::Hang, Tls, Some("timeout")),
        (M::Http, Tls, Some("tls")),
        (M::EndlessLine, Tls, Some("tls")),
        (M::Garbage, Tls, Some("reset")),
        (M::ResetOnCommand, Tls, Some("reset")),
        (M::CloseOnCommand, Tls, Some("reset")),
        (M::Reset, Plain, Some("reset")),
        (M::ResetOnCommand, Plain, Some("reset")),
        (M::ResetMidReply, Plain, Some("reset")),
        (M::CloseOnAccept, Plain, Some("reset")),
        (M::CloseOnCommand, Plain, Some("reset")),
        (M::Error(ErrorReply::Moved), Plain, Some("protocol")),
        (M::Error(ErrorReply::Ask), Plain, Some("protocol")),
        (M::Error(ErrorReply::Loading), Plain, Some("loading")),
        (M::Error(ErrorReply::Busy), Plain, Some("busy")),
        (M::Error(ErrorReply::NoAuth), Plain, Some("auth")),
        (M::Error(ErrorReply::NoPerm), Plain, Some("denied")),
        (M::Error(ErrorReply::MaxClients), Plain, Some("max_clients")),
    ]
}

/// One server.
pub(super) struct Foe {
    pub(super) name: String,
    pub(super) addr: ServerAddr,
    pub(super) reason: Option<&'static str>,
    tls: bool,
    _server: Option<HostileServer>,
}

impl Foe {
    /// A server that somebody else has started.
    pub(super) fn known(name: &str, addr: &ServerAddr, reason: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            addr: addr.clone(),
            reason: Some(reason),
            tls: false,
            _server: None,
        }
    }

    /// It as a server of a pair, in a datacenter of its own kind.
    pub(super) fn entry(&self) -> String {
        let tls = if self.tls {
            ", tls: {insecure_skip_verify: true}"
        } else {
            ""
        };
        format!("{{address: '{}', dc: hostile{tls}}}", self.addr)
    }
}

/// A server of every kind that there is.
pub(super) async fn one_of_each() -> Vec<Foe> {
    let mut foes = Vec::new();
    for (misbehaviour, speak, reason) in misbehaviours() {
        let server = HostileServer::start(misbehaviour).await.unwrap();
        let tls = speak == Speak::Tls;
        let name = format!("{}{misbehaviour:?}", if tls { "TLS, " } else { "" });
        foes.push(Foe {
            name,
            addr: server.addr().clone(),
            reason,
            tls,
            _server: Some(server),
        });
    }
    foes.push(Foe::known(
        "refused port",
        &ServerAddr::new("127.0.0.1", ports::free().unwrap()),
        "refused",
    ));
    // RFC 6761, section 6.4: this top-level domain never resolves.
    foes.push(Foe::known(
        "no such name",
        &ServerAddr::new("nobody.invalid", ports::free().unwrap()),
        "dns",
    ));
    foes
}

/// How many polls of `addr` failed for `reason`.
fn failed(scrape: &Scrape, addr: &ServerAddr, reason: &str) -> f64 {
    let labels = [("server", &*addr.to_string()), ("reason", reason)];
    scrape
        .value("redis_cross_dc_poll_errors_total", &labels)
        .unwrap_or(0.0)
}

/// The reasons for which polls of `foe` failed; without timeouts that are less than one in ten: on
/// a busy machine a server may get no processor in time.
fn reasons(scrape: &Scrape, foe: &Foe) -> Vec<String> {
    let labels = [("server", &*foe.addr.to_string())];
    let mut reasons = scrape.label_values("redis_cross_dc_poll_errors_total", &labels, "reason");
    if failed(scrape, &foe.addr, "timeout") < polls(scrape, &foe.addr) / 10.0 {
        reasons.remove("timeout");
    }
    reasons.into_iter().collect()
}

fn polls(scrape: &Scrape, addr: &ServerAddr) -> f64 {
    scrape
        .value(
            "redis_cross_dc_polls_total",
            &[("server", &addr.to_string())],
        )
        .unwrap_or(0.0)
}

/// Waits until polls of each foe have failed, or succeeded where they do, and checks that it was
/// for no other reason.
pub(super) async fn each_is_named(exporter: &Exporter, foes: &[&Foe]) {
    let is_told = |scrape: &Scrape, foe: &Foe| match foe.reason {
        Some(reason) => reasons(scrape, foe).iter().any(|named| named == reason),
        None => polls(scrape, &foe.addr) > 0.0,
    };
    let all_are_told = || async {
        let scrape = Scrape::of(exporter).await;
        let silent = foes.iter().find(|foe| !is_told(&scrape, foe));
        silent.map_or(Ok(()), |foe| {
            Err(format!("nothing is told of {:?}", foe.name))
        })
    };
    eventually("a poll of each foe", LIMIT, all_are_told)
        .await
        .unwrap();
    let scrape = Scrape::of(exporter).await;
    for foe in foes {
        assert_eq!(
            reasons(&scrape, foe),
            Vec::from_iter(foe.reason),
            "{}",
            foe.name
        );
    }
}

/// Prints a line for each foe: how many polls there were and why they failed.
pub(super) async fn print(exporter: &Exporter, role: &str, foes: &[Foe]) {
    let scrape = Scrape::of(exporter).await;
    for foe in foes {
        let server = foe.addr.to_string();
        let failed = scrape
            .value("redis_cross_dc_poll_errors_total", &[("server", &server)])
            .unwrap_or(0.0);
        let reason = foe.reason.unwrap_or("answered");
        let polls = polls(&scrape, &foe.addr);
        eprintln!(
            "  {role:<8} {:<26} {polls:3} polls, {failed:3} failed: {reason}",
            foe.name
        );
    }
}
