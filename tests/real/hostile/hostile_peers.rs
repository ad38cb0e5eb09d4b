//! Servers that never give a usable answer, each with the reason that its polls must be counted
//! under.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{eventually, ports};

use super::server::{ErrorReply, HostileServer, Misbehaviour};
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
pub(super) struct HostilePeer {
    pub(super) name: String,
    pub(super) addr: ServerAddr,
    pub(super) reason: Option<&'static str>,
    tls: bool,
    _server: Option<HostileServer>,
}

impl HostilePeer {
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

    /// It as a server of a pair, in a datacenter for its kind.
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
pub(super) async fn one_of_each() -> Vec<HostilePeer> {
    let mut peers = Vec::new();
    for (misbehaviour, speak, reason) in misbehaviours() {
        let server = HostileServer::start(misbehaviour).await.unwrap();
        let tls = speak == Speak::Tls;
        let name = format!("{}{misbehaviour:?}", if tls { "TLS, " } else { "" });
        peers.push(HostilePeer {
            name,
            addr: server.addr().clone(),
            reason,
            tls,
            _server: Some(server),
        });
    }
    peers.push(HostilePeer::known(
        "refused port",
        &ServerAddr::new("127.0.0.1", ports::free().unwrap()),
        "refused",
    ));
    // RFC 6761, section 6.4: this top-level domain never resolves.
    peers.push(HostilePeer::known(
        "no such name",
        &ServerAddr::new("nobody.invalid", ports::free().unwrap()),
        "dns",
    ));
    peers
}

/// How many polls of `addr` failed for `reason`.
fn failed(scrape: &Scrape, addr: &ServerAddr, reason: &str) -> f64 {
    let labels = [("server", &*addr.to_string()), ("reason", reason)];
    scrape
        .value("redis_cross_dc_poll_errors_total", &labels)
        .unwrap_or(0.0)
}

/// The reasons for which polls of `peer` failed; without timeouts that are less than one in ten: on
/// a busy machine a server may get no processor in time.
fn reasons(scrape: &Scrape, peer: &HostilePeer) -> Vec<String> {
    let labels = [("server", &*peer.addr.to_string())];
    let mut reasons = scrape.label_values("redis_cross_dc_poll_errors_total", &labels, "reason");
    if failed(scrape, &peer.addr, "timeout") < polls(scrape, &peer.addr) / 10.0 {
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

/// Waits until polls of each peer have failed, or succeeded where they do, and checks that it was
/// for no other reason.
pub(super) async fn each_is_named(exporter: &Exporter, peers: &[&HostilePeer]) {
    let is_told = |scrape: &Scrape, peer: &HostilePeer| match peer.reason {
        Some(reason) => reasons(scrape, peer).iter().any(|named| named == reason),
        None => polls(scrape, &peer.addr) > 0.0,
    };
    let all_are_told = || async {
        let scrape = Scrape::of(exporter).await;
        let silent = peers.iter().find(|peer| !is_told(&scrape, peer));
        silent.map_or(Ok(()), |peer| {
            Err(format!("nothing is told of {:?}", peer.name))
        })
    };
    eventually("a poll of each peer", LIMIT, all_are_told)
        .await
        .unwrap();
    let scrape = Scrape::of(exporter).await;
    for peer in peers {
        assert_eq!(
            reasons(&scrape, peer),
            Vec::from_iter(peer.reason),
            "{}",
            peer.name
        );
    }
}

/// Prints a line for each peer: how many polls there were and why they failed.
pub(super) async fn print(exporter: &Exporter, role: &str, peers: &[HostilePeer]) {
    let scrape = Scrape::of(exporter).await;
    for peer in peers {
        let server = peer.addr.to_string();
        let failed = scrape
            .value("redis_cross_dc_poll_errors_total", &[("server", &server)])
            .unwrap_or(0.0);
        let reason = peer.reason.unwrap_or("answered");
        let polls = polls(&scrape, &peer.addr);
        eprintln!(
            "  {role:<8} {:<26} {polls:3} polls, {failed:3} failed: {reason}",
            peer.name
        );
    }
}
