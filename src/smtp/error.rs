//! Why a mail was not taken: a closed set without any word of the server, which may repeat an
//! address or a login.

use std::io;

use crate::model::closed_set;

closed_set! {
    /// What the server was asked when it refused.
    pub enum SmtpStep {
        /// The connection itself: its greeting, or EHLO.
        Greeting => "the greeting",
        /// STARTTLS.
        StartTls => "STARTTLS",
        /// The login.
        Login => "the login",
        /// The sender's address.
        Sender => "the sender's address",
        /// The recipients' addresses, all of them.
        Recipients => "every recipient's address",
        /// The mail's content.
        Content => "the content",
    }
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpError {
    /// There is no connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(&'static str),
    /// The TLS handshake failed: nothing was sent.
    #[error("no TLS connection: {0}")]
    Tls(String),
    /// The server offers no STARTTLS: nothing was sent.
    #[error(
        "the mail server offers no STARTTLS: set security to tls if this is its port for TLS (often 465)"
    )]
    NoStartTls,
    /// The server offers neither PLAIN nor LOGIN.
    #[error(
        "the mail server offers no login by PLAIN or LOGIN: it may want security first, or none"
    )]
    NoLogin,
    /// The server refused with a reply of RFC 5321.
    #[error("the mail server answered {step} with {code}")]
    Refused {
        /// What was refused.
        step: SmtpStep,
        /// The reply's code, 400 to 599.
        code: u16,
    },
    /// What came is no reply of a mail server, or is too long.
    #[error("what answers is no mail server: its reply is malformed or too long")]
    NotSmtp,
    /// The time was up.
    #[error("no answer within the timeout")]
    Timeout {
        /// Whether the server may have taken the mail.
        maybe_sent: bool,
    },
    /// The connection broke.
    #[error("the connection broke before the answer")]
    Broken {
        /// Whether the server may have taken the mail.
        maybe_sent: bool,
    },
}

impl SmtpError {
    /// The connection broke; [`super::send`] knows whether the mail had been sent.
    pub(super) const BROKEN: Self = Self::Broken { maybe_sent: false };

    /// The reason why there is no connection.
    pub(super) fn from_connect(error: &io::Error) -> Self {
        Self::Connect(match error.kind() {
            io::ErrorKind::ConnectionRefused => "the server refused it",
            io::ErrorKind::ConnectionReset => "the server closed it",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                "there is no route to the server"
            }
            io::ErrorKind::TimedOut => "not established in time",
            _ => "it could not be established; does the server's name exist?",
        })
    }

    /// Whether the server may have taken the mail all the same.
    pub const fn maybe_sent(&self) -> bool {
        matches!(
            self,
            Self::Timeout { maybe_sent: true } | Self::Broken { maybe_sent: true }
        )
    }
}
