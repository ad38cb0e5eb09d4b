//! A proxy that breaks a connection of the program at a chosen request: before it arrives, when it
//! was carried out and its answer is on the way, or right after the answer. Other connections, such
//! as those of replicas, pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use redis_cross_dc_exporter::model::ServerAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// More than any request of the program; and answers pass in pieces.
const PIECE: usize = 64 * 1024;

/// Where a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The request does not arrive.
    Before,
    /// The request is carried out, and its answer is lost.
    Inside,
    /// The answer arrives, and nothing more.
    After,
}

/// Which request is cut, of all that pass the proxies that share this.
#[derive(Debug, Default)]
pub(crate) struct CutPlan {
    /// Requests until the cut; below 0 there is none.
    left: AtomicI64,
    kind: AtomicU64,
    requests: AtomicU64,
    /// Whether connections that are not the program's are refused.
    is_closed_to_others: AtomicBool,
}

impl CutPlan {
    pub(crate) fn none() -> Arc<Self> {
        let plan = Self::default();
        plan.left.store(-1, Ordering::SeqCst);
        Arc::new(plan)
    }

    /// Cuts the request with this number, from 0.
    pub(crate) fn cut(&self, request: u64, cut: Cut) {
        self.requests.store(0, Ordering::SeqCst);
        self.kind.store(cut as u64, Ordering::SeqCst);
        let request = i64::try_from(request).unwrap();
        self.left.store(request, Ordering::SeqCst);
    }

    /// Cuts nothing more.
    pub(crate) fn mend(&self) {
        self.left.store(-1, Ordering::SeqCst);
    }

    /// Requests since the cut was chosen.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Refuses every connection that is not the program's.
    pub(crate) fn close_to_others(&self) {
        self.is_closed_to_others.store(true, Ordering::SeqCst);
    }

    fn next(&self) -> Option<Cut> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return None;
        }
        let kinds = [Cut::Before, Cut::Inside, Cut::After];
        let kind = usize::try_from(self.kind.load(Ordering::SeqCst)).unwrap();
        Some(kinds[kind])
    }
}

/// A proxy in front of a server.
pub(crate) struct CuttingProxy {
    pub(crate) addr: ServerAddr,
    listening: JoinHandle<()>,
}

impl CuttingProxy {
    pub(crate) async fn start(server: &ServerAddr, plan: &Arc<CutPlan>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = ServerAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
        let (host, port) = server.tcp().unwrap();
        let server = format!("{host}:{port}");
        let plan = Arc::clone(plan);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.clone();
                let plan = Arc::clone(&plan);
                tokio::spawn(async move {
                    // A connection that breaks is what this is for.
                    let _ = pass(client, &server, &plan).await;
                });
            }
        });
        Self { addr, listening }
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass(mut client: TcpStream, server: &str, plan: &CutPlan) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut first = vec![0; PIECE];
    let count = client.read(&mut first).await?;
    let first = &first[..count];
    let text = String::from_utf8_lossy(first).into_owned();
    let is_program = text.contains("SETNAME") || text.contains("AUTH");
    if !is_program && plan.is_closed_to_others.load(Ordering::SeqCst) {
        return Ok(());
    }
    let mut upstream = TcpStream::connect(server).await?;
    upstream.set_nodelay(true)?;
    if !is_program {
        upstream.write_all(first).await?;
        copy_bidirectional(&mut client, &mut upstream).await?;
        return Ok(());
    }
    upstream.write_all(first).await?;
    lockstep(client, upstream, plan).await
}

/// Requests and answers of the program, which sends each request with one write.
async fn lockstep(
    mut client: TcpStream,
    mut upstream: TcpStream,
    plan: &CutPlan,
) -> std::io::Result<()> {
    let mut request = vec![0; PIECE];
    let mut answer = vec![0; PIECE];
    let mut pending = None;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                pending = plan.next();
                if pending == Some(Cut::Before) {
                    return Ok(());
                }
                upstream.write_all(&request[..count]).await?;
            }
            read = upstream.read(&mut answer) => {
                let count = read?;
                if count == 0 || pending == Some(Cut::Inside) {
                    return Ok(());
                }
                client.write_all(&answer[..count]).await?;
                if pending == Some(Cut::After) {
                    return Ok(());
                }
            }
        }
    }
}
