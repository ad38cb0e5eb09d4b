//! A fleet of simulated servers, for tests and benches of many pairs: each has its own address on
//! the loopback network and answers INFO as a captured Redis 7.4 does, with offsets that move on.
//!
//! All of them are one listener and one thread, so that thousands of servers cost little beside the
//! program that is measured.

pub(crate) mod replies;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use replies::Templates;

/// Pairs whose addresses share their first three bytes.
const PAIRS_A_NETWORK: usize = 250;

/// Connections that wait to be accepted: as many as the largest fleet has servers.
const BACKLOG: i32 = 32_768;

/// One simulated server: which pair, and which of its two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    pub(crate) pair: usize,
    pub(crate) side: Side,
}

/// The side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Master,
    Replica,
}

/// What a server does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It accepts connections and requests, and never answers.
    Hangs,
    /// It closes connections as soon as it has accepted them.
    Closes,
}

/// A running fleet. When it is dropped, its thread ends.
pub(crate) struct Fleet {
    port: u16,
    pairs: usize,
    faults: Arc<Faults>,
    served: Arc<Served>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Faults = Mutex<HashMap<Member, Fault>>;

/// How much all servers together have answered.
#[derive(Default)]
struct Served {
    polls: AtomicU64,
    bytes: AtomicU64,
}

/// The answers to INFO so far.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "benches count polls")]
pub(crate) struct Answers {
    pub(crate) polls: u64,
    pub(crate) bytes: u64,
}

/// What every connection shares.
struct Shared {
    port: u16,
    began: Instant,
    bytes_a_second: u64,
    templates: Templates,
    faults: Arc<Faults>,
    served: Arc<Served>,
}

impl Member {
    /// 127.1.x.y for masters and 127.2.x.y for replicas.
    fn ip(self) -> Ipv4Addr {
        let network = u8::try_from(self.pair / PAIRS_A_NETWORK).expect("at most 64,000 pairs");
        let host = u8::try_from(1 + self.pair % PAIRS_A_NETWORK).expect("at most 250");
        match self.side {
            Side::Master => Ipv4Addr::new(127, 1, network, host),
            Side::Replica => Ipv4Addr::new(127, 2, network, host),
        }
    }

    fn at(ip: Ipv4Addr) -> Self {
        let [_, side, network, host] = ip.octets();
        Self {
            pair: usize::from(network) * PAIRS_A_NETWORK + usize::from(host.saturating_sub(1)),
            side: if side == 1 {
                Side::Master
            } else {
                Side::Replica
            },
        }
    }
}

impl Fleet {
    /// Starts `pairs` masters with one replica each, whose offsets grow by `bytes_a_second`.
    pub(crate) fn start(pairs: usize, bytes_a_second: u64) -> io::Result<Self> {
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        let faults = Arc::new(Faults::default());
        let served = Arc::new(Served::default());
        let shared = Arc::new(Shared {
            port,
            began: Instant::now(),
            bytes_a_second,
            templates: Templates::read()?,
            faults: Arc::clone(&faults),
            served: Arc::clone(&served),
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            port,
            pairs,
            faults,
            served,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What it has answered so far: how often it was polled, counted where no client is late.
    #[allow(dead_code, reason = "benches count polls")]
    pub(crate) fn answers(&self) -> Answers {
        Answers {
            polls: self.served.polls.load(Ordering::Relaxed),
            bytes: self.served.bytes.load(Ordering::Relaxed),
        }
    }

    /// Where `member` listens.
    pub(crate) fn address(&self, member: Member) -> SocketAddr {
        SocketAddr::from((member.ip(), self.port))
    }

    /// The entries of `pairs` in a configuration, one a line: `p0`, `p1`, ..., from dc1 to dc2.
    pub(crate) fn entries(&self) -> String {
        let mut yaml = String::from("pairs:\n");
        for pair in 0..self.pairs {
            let master = self.address(Member {
                pair,
                side: Side::Master,
            });
            let replica = self.address(Member {
                pair,
                side: Side::Replica,
            });
            yaml += &format!(
                "- {{name: p{pair}, master: {{address: '{master}', dc: dc1}}, \
                 replicas: [{{address: '{replica}', dc: dc2}}]}}\n"
            );
        }
        yaml
    }

    /// From now on `member` has `fault`; `None` heals it.
    #[allow(dead_code, reason = "not every test that shares this file has faults")]
    pub(crate) fn set_fault(&self, member: Member, fault: Option<Fault>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => faults.insert(member, fault),
            None => faults.remove(&member),
        };
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by itself.
            let _ = thread.join();
        }
    }
}

/// One listener for all addresses of the loopback network, and for no other.
fn listen() -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the runtime has IO");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A client that goes away ends its connection: nothing to report.
                    let _ = serve(stream, &shared).await;
                });
            }
            // No descriptor is left: one may be free again soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let SocketAddr::V4(own) = stream.local_addr()? else {
        return Ok(());
    };
    let member = Member::at(*own.ip());
    let mut request = [0; 2048];
    let mut reply = Vec::with_capacity(4096);
    loop {
        if shared.fault(member) == Some(Fault::Closes) {
            return Ok(());
        }
        // Requests are short and written at once, so each read has whole ones.
        let length = stream.read(&mut request).await?;
        if length == 0 {
            return Ok(());
        }
        if shared.fault(member) == Some(Fault::Hangs) {
            continue;
        }
        reply.clear();
        for command in replies::commands(&request[..length]) {
            shared.answer(member, &command, &mut reply);
        }
        stream.write_all(&reply).await?;
    }
}

impl Shared {
    fn fault(&self, member: Member) -> Option<Fault> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get(&member).copied()
    }

    fn answer(&self, member: Member, command: &[&str], reply: &mut Vec<u8>) {
        let [name, sections @ ..] = command else {
            return;
        };
        if !name.eq_ignore_ascii_case("INFO") {
            reply.extend_from_slice(b"+OK\r\n");
            return;
        }
        let elapsed = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let offset = 1000 + elapsed * self.bytes_a_second / 1_000_000;
        let partner = Member {
            pair: member.pair,
            side: match member.side {
                Side::Master => Side::Replica,
                Side::Replica => Side::Master,
            },
        };
        let values = replies::Values {
            pair: member.pair,
            side: member.side,
            offset,
            partner: (partner.ip(), self.port),
        };
        let before = reply.len();
        self.templates.write(&values, sections, reply);
        let length = u64::try_from(reply.len() - before).unwrap_or(0);
        self.served.polls.fetch_add(1, Ordering::Relaxed);
        self.served.bytes.fetch_add(length, Ordering::Relaxed);
    }
}
