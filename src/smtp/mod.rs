//! Sends a mail to a mail server (SMTP, RFC 5321), with STARTTLS (RFC 3207) or TLS from the first
//! byte, and a login (RFC 4954).
//!
//! **Invariant:** what the server says is bounded in size and time, and no word of it leaves this
//! room but its codes: a refusal may repeat an address or a login.

mod error;
mod reply;
mod session;

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::client::secure;
use crate::config::{MailSecurity, TlsSettings};
use crate::model::{Secret, ServerAddr};

pub use error::{SmtpError, SmtpStep};

use session::Session;

/// A mail server and how to log in to it.
#[derive(Clone, Debug, PartialEq)]
pub struct MailServer {
    /// Where it listens.
    pub address: ServerAddr,
    /// How the connection is encrypted.
    pub security: MailSecurity,
    /// Whom its certificate has to be signed by.
    pub tls: TlsSettings,
    /// The user and the password; absent means that there is no login.
    pub login: Option<(String, Secret)>,
    /// The name that this program introduces itself with.
    pub hello: String,
}

/// A mail that is ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The address that failures of its delivery are sent to.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// The whole message with its headers, its lines ended by CR and LF.
    pub content: Vec<u8>,
}

/// What the server took: the mail for at least one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Recipients that it refused for good (5xx).
    pub refused_recipients: usize,
    /// Recipients that it may accept later (4xx): they do not have the mail yet.
    pub deferred: Vec<String>,
}

/// How far a sending has come: whether the server may have the mail.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The whole content was sent; only its confirmation is missing.
    is_sent: bool,
}

/// Sends `mail`; everything together takes at most `limit`.
///
/// # Errors
/// Nothing was delivered, unless the error says that it may have been.
pub async fn send(
    server: &MailServer,
    mail: &Mail,
    limit: Duration,
) -> Result<Accepted, SmtpError> {
    let deadline = Instant::now() + limit;
    let mut progress = Progress::default();
    let dialogue = converse(server, mail, &mut progress);
    let Ok(result) = timeout_at(deadline, dialogue).await else {
        let maybe_sent = progress.is_sent;
        return Err(SmtpError::Timeout { maybe_sent });
    };
    match result {
        Err(SmtpError::Broken { .. }) => Err(SmtpError::Broken {
            maybe_sent: progress.is_sent,
        }),
        other => other,
    }
}

async fn converse(
    server: &MailServer,
    mail: &Mail,
    progress: &mut Progress,
) -> Result<Accepted, SmtpError> {
    let place = server.address.tcp().unwrap_or_default();
    let stream = TcpStream::connect(place).await;
    let stream = stream.map_err(|error| SmtpError::from_connect(&error))?;
    match server.security {
        MailSecurity::None => {
            let mut session = Session::greeted(stream, &server.hello).await?;
            session.deliver(server.login.as_ref(), mail, progress).await
        }
        MailSecurity::Tls => {
            let stream = secure(stream, &server.address, &server.tls).await;
            let stream = stream.map_err(SmtpError::Tls)?;
            let mut session = Session::greeted(stream, &server.hello).await?;
            session.deliver(server.login.as_ref(), mail, progress).await
        }
        MailSecurity::StartTls => {
            let session = Session::greeted(stream, &server.hello).await?;
            let stream = session.start_tls().await?;
            let stream = secure(stream, &server.address, &server.tls).await;
            let stream = stream.map_err(SmtpError::Tls)?;
            let mut session = Session::introduced(stream, &server.hello).await?;
            session.deliver(server.login.as_ref(), mail, progress).await
        }
    }
}
