//! A DNS server on the loopback network, whose records a test changes while it runs. Also part of
//! the tests on real servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// What the server knows of one name.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// Services: host and port.
    Services(Vec<(String, u16)>),
    /// The server fails (SERVFAIL).
    Fails,
    /// The server does not answer.
    Silent,
}

/// The server. Dropping it ends it.
pub(crate) struct DnsServer {
    pub(crate) addr: SocketAddr,
    zones: Zones,
    _task: JoinSet<()>,
}

/// What is known of each name, with its final dot.
type Zones = Arc<Mutex<BTreeMap<String, Zone>>>;

impl DnsServer {
    /// Starts a server that knows no name. Must be called within a tokio runtime.
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let addr = socket.local_addr().expect("a bound socket");
        let zones = Zones::default();
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&zones)));
        Self {
            addr,
            zones,
            _task: task,
        }
    }

    /// Replaces what is known of `name`.
    pub(crate) fn set(&self, name: &str, zone: Zone) {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.insert(format!("{name}."), zone);
    }

    /// Forgets `name`: it does not exist from now on.
    pub(crate) fn forget(&self, name: &str) {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.remove(&format!("{name}."));
    }
}

async fn serve(socket: UdpSocket, zones: Zones) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let request = buffer.get(..length).unwrap_or_default();
        let Some(answer) = answer(request, &zones) else {
            continue;
        };
        // A client that is gone needs no answer.
        let _ = socket.send_to(&answer, client).await;
    }
}

fn answer(request: &[u8], zones: &Zones) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).ok()?;
    let query = request.queries.first()?.clone();
    let zone = {
        let zones = zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.get(&query.name().to_lowercase().to_ascii()).cloned()
    };
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.add_query(query.clone());
    let records = match zone {
        None => {
            response.metadata.response_code = ResponseCode::NXDomain;
            Vec::new()
        }
        Some(Zone::Silent) => return None,
        Some(Zone::Fails) => {
            response.metadata.response_code = ResponseCode::ServFail;
            Vec::new()
        }
        Some(Zone::Addresses(addresses)) => address_records(&addresses, query.query_type()),
        Some(Zone::Services(services)) if query.query_type() == RecordType::SRV => services
            .iter()
            .map(|(host, port)| {
                let host = Name::from_ascii(format!("{host}.")).expect("a test's host");
                RData::SRV(SRV::new(0, 0, *port, host))
            })
            .collect(),
        Some(Zone::Services(_)) => Vec::new(),
    };
    for data in records {
        response.add_answer(Record::from_rdata(query.name().clone(), 1, data));
    }
    response.to_vec().ok()
}

fn address_records(addresses: &[IpAddr], wanted: RecordType) -> Vec<RData> {
    let mut records = Vec::new();
    for address in addresses {
        match (address, wanted) {
            (IpAddr::V4(v4), RecordType::A) => records.push(RData::A((*v4).into())),
            (IpAddr::V6(v6), RecordType::AAAA) => records.push(RData::AAAA((*v6).into())),
            _ => {}
        }
    }
    records
}
