//! A mail server on loopback: takes mails, wants a login, encrypts, and refuses what its script
//! says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use redis_cross_dc_exporter::lab::{ServerTls, eventually};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::planted;
use crate::stage::LIMIT;

/// How the server encrypts.
#[derive(Clone)]
pub(crate) enum Encryption {
    /// After STARTTLS, which it insists on.
    AfterStartTls(ServerTls),
    /// From the first byte.
    FromTheFirstByte(ServerTls),
    /// Never.
    Never,
}

/// A mail that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// `user:password` of the session.
    pub(crate) login: Option<String>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Everything after DATA, dots unstuffed.
    pub(crate) content: String,
}

impl Taken {
    /// A header's value, unfolded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.content.split_once("\r\n\r\n")?;
        let unfolded = head.replace("\r\n\t", " ").replace("\r\n ", " ");
        let mut lines = unfolded.lines();
        lines.find_map(|line| {
            let (given, value) = line.split_once(':')?;
            (given.eq_ignore_ascii_case(name)).then(|| value.trim().to_owned())
        })
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    /// The next refusals: what a command begins with, and the reply.
    refusals: VecDeque<(String, String)>,
    /// The same, for every command that fits.
    refused_always: Option<(String, String)>,
}

impl State {
    /// The reply to a command that is refused.
    fn refusal(&mut self, command: &str) -> Option<String> {
        let fits = |next: &&(String, String)| command.starts_with(&next.0);
        if self.refusals.front().as_ref().is_some_and(fits) {
            return self.refusals.pop_front().map(|(_, reply)| reply);
        }
        let always = self.refused_always.as_ref().filter(fits);
        always.map(|(_, reply)| reply.clone())
    }
}

/// A running server. It ends when it is dropped.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MailServer {
    pub(crate) async fn start(encryption: Encryption) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let encryption = encryption.clone();
                tokio::spawn(async move {
                    let _ = match encryption {
                        Encryption::Never => serve(stream, &state, false).await.map(drop),
                        Encryption::FromTheFirstByte(files) => {
                            let Ok(stream) = acceptor(&files).accept(stream).await else {
                                return;
                            };
                            serve(stream, &state, false).await.map(drop)
                        }
                        Encryption::AfterStartTls(files) => {
                            let Ok(Some(stream)) = serve(stream, &state, true).await else {
                                return;
                            };
                            let Ok(stream) = acceptor(&files).accept(stream).await else {
                                return;
                            };
                            go_on(BufReader::new(stream), &state, false).await.map(drop)
                        }
                    };
                });
            }
        });
        Self { port, state, task }
    }

    /// Lets the next command that begins with `verb` be answered with `reply`.
    pub(crate) fn refuse(&self, verb: &str, reply: &str) {
        let mut state = self.state.lock().unwrap();
        state
            .refusals
            .push_back((verb.to_owned(), reply.to_owned()));
    }

    /// Lets every command that begins with `verb` be answered with `reply`, until
    /// [`Self::refuse_no_more`].
    pub(crate) fn refuse_every(&self, verb: &str, reply: &str) {
        let mut state = self.state.lock().unwrap();
        state.refused_always = Some((verb.to_owned(), reply.to_owned()));
    }

    pub(crate) fn refuse_no_more(&self) {
        self.state.lock().unwrap().refused_always = None;
    }

    /// How many refusals are left.
    pub(crate) fn refusals_left(&self) -> usize {
        self.state.lock().unwrap().refusals.len()
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// Waits until the server has taken this many mails.
    pub(crate) async fn mails(&self, count: usize) -> Vec<Taken> {
        let enough = || async { Some(self.taken()).filter(|all| all.len() >= count) };
        eventually("enough mails", LIMIT, enough).await.unwrap()
    }
}

fn acceptor(files: &ServerTls) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&files.cert_file).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&files.key_file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Greets, and goes on. Returns the stream when the client wants to encrypt it.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    state: &Mutex<State>,
    insists_on_tls: bool,
) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mx.example.com ready\r\n").await?;
    go_on(stream, state, insists_on_tls).await
}

async fn go_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    state: &Mutex<State>,
    insists_on_tls: bool,
) -> std::io::Result<Option<S>> {
    let mut login = None;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let command = line.trim_end().to_owned();
        let refusal = state.lock().unwrap().refusal(&command);
        let reply = match (refusal, command.split(' ').next().unwrap_or_default()) {
            (Some(reply), _) => reply,
            (None, "EHLO") if insists_on_tls => "250-mx.example.com\r\n250 STARTTLS".to_owned(),
            (None, "EHLO") => {
                "250-mx.example.com\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN".to_owned()
            }
            (None, "STARTTLS") => {
                stream.write_all(b"220 go\r\n").await?;
                return Ok(Some(stream.into_inner()));
            }
            (None, _) if insists_on_tls => "530 Must issue a STARTTLS command first".to_owned(),
            (None, "AUTH") => {
                let token = command.rsplit(' ').next().unwrap_or_default();
                let decoded = BASE64_STANDARD.decode(token).unwrap_or_default();
                let decoded = String::from_utf8_lossy(&decoded).into_owned();
                login = Some(decoded.trim_start_matches('\0').replace('\0', ":"));
                "235 welcome".to_owned()
            }
            (None, "MAIL") => {
                from = in_brackets(&command);
                "250 ok".to_owned()
            }
            (None, "RCPT") => {
                to.push(in_brackets(&command));
                "250 ok".to_owned()
            }
            (None, "DATA") => {
                stream.write_all(b"354 go\r\n").await?;
                let content = content(&mut stream).await?;
                planted::assert_absent("a mail", &content);
                state.lock().unwrap().taken.push(Taken {
                    login: login.clone(),
                    from: from.clone(),
                    to: std::mem::take(&mut to),
                    content,
                });
                "250 taken".to_owned()
            }
            (None, "QUIT") => "221 bye".to_owned(),
            (None, _) => "502 not known here".to_owned(),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

async fn content<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut content = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(content);
        }
        assert!(line.ends_with("\r\n") && line.len() <= 1_000, "{line:?}");
        content.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

fn in_brackets(command: &str) -> String {
    let (_, rest) = command.split_once('<').unwrap();
    rest.split_once('>').unwrap().0.to_owned()
}
