//! The dialogue with a mail server, over whatever carries its bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::{SmtpError, SmtpStep};
use super::reply::{Extensions, Parsed, Reply, parse};
use super::{Accepted, Mail, Progress};
use crate::model::Secret;

/// One reply of a server. RFC 5321 allows 512 bytes a line; EHLO is answered with some ten.
const MAX_REPLY: usize = 16 * 1024;

/// A connection on which the server knows who is there.
pub(super) struct Session<S> {
    stream: S,
    /// What came and was not read yet.
    received: Vec<u8>,
    extensions: Extensions,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session on a new connection: waits for the greeting and answers it.
    pub(super) async fn greeted(stream: S, hello: &str) -> Result<Self, SmtpError> {
        let mut session = Self::new(stream);
        let greeting = session.read().await?;
        expect(&greeting, 220, SmtpStep::Greeting)?;
        session.introduce(hello).await?;
        Ok(session)
    }

    /// A session on a connection that was greeted before it was encrypted.
    pub(super) async fn introduced(stream: S, hello: &str) -> Result<Self, SmtpError> {
        let mut session = Self::new(stream);
        session.introduce(hello).await?;
        Ok(session)
    }

    fn new(stream: S) -> Self {
        Self {
            stream,
            received: Vec::new(),
            extensions: Extensions::default(),
        }
    }

    async fn introduce(&mut self, hello: &str) -> Result<(), SmtpError> {
        let reply = self.ask(&format!("EHLO {hello}")).await?;
        expect(&reply, 250, SmtpStep::Greeting)?;
        self.extensions = Extensions::from_reply(&reply);
        Ok(())
    }

    /// Ends the plain part of the connection, and returns what the handshake is made on.
    ///
    /// What came behind the reply would be taken for a part of the encrypted connection, so it ends
    /// the session (CVE-2011-0411).
    pub(super) async fn start_tls(mut self) -> Result<S, SmtpError> {
        if !self.extensions.start_tls {
            return Err(SmtpError::NoStartTls);
        }
        let reply = self.ask("STARTTLS").await?;
        expect(&reply, 220, SmtpStep::StartTls)?;
        if !self.received.is_empty() {
            return Err(SmtpError::NotSmtp);
        }
        Ok(self.stream)
    }

    /// Logs in, where there is a login, and hands over `mail`.
    pub(super) async fn deliver(
        &mut self,
        login: Option<&(String, Secret)>,
        mail: &Mail,
        progress: &mut Progress,
    ) -> Result<Accepted, SmtpError> {
        if let Some((user, password)) = login {
            self.log_in(user, password).await?;
        }
        let sender = self.ask(&format!("MAIL FROM:<{}>", mail.from)).await?;
        expect(&sender, 250, SmtpStep::Sender)?;
        let accepted = self.name_recipients(&mail.to).await?;
        let ready = self.ask("DATA").await?;
        expect(&ready, 354, SmtpStep::Content)?;
        self.write(&stuffed(&mail.content)).await?;
        progress.is_sent = true;
        let taken = self.read().await?;
        expect(&taken, 250, SmtpStep::Content)?;
        // The mail is the server's now: whether it hears the farewell does not matter.
        let _ = self.write(b"QUIT\r\n").await;
        Ok(accepted)
    }

    /// Names the recipients. Refused ones are noted, unless all of them are refused: one address
    /// that does not exist any more must not keep the others from the mail.
    async fn name_recipients(&mut self, to: &[String]) -> Result<Accepted, SmtpError> {
        let mut accepted = Accepted::default();
        let mut refusals = Vec::new();
        for address in to {
            let reply = self.ask(&format!("RCPT TO:<{address}>")).await?;
            match reply.code {
                // 251: it is forwarded.
                250 | 251 => continue,
                400..500 => accepted.deferred.push(address.clone()),
                _ => accepted.refused_recipients += 1,
            }
            refusals.push(reply.code);
        }
        if refusals.len() < to.len() {
            return Ok(accepted);
        }
        // The lowest code: 4xx is below 5xx, so that the mail is tried again if that may help.
        match refusals.into_iter().min() {
            Some(code) => Err(SmtpError::Refused {
                step: SmtpStep::Recipients,
                code,
            }),
            None => Ok(accepted),
        }
    }

    async fn log_in(&mut self, user: &str, password: &Secret) -> Result<(), SmtpError> {
        let password = password.reveal();
        if self.extensions.plain {
            let token = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
            let reply = self.ask(&format!("AUTH PLAIN {token}")).await?;
            return expect(&reply, 235, SmtpStep::Login);
        }
        if !self.extensions.login {
            return Err(SmtpError::NoLogin);
        }
        let mut reply = self.ask("AUTH LOGIN").await?;
        for word in [user, password] {
            expect(&reply, 334, SmtpStep::Login)?;
            reply = self.ask(&BASE64_STANDARD.encode(word)).await?;
        }
        expect(&reply, 235, SmtpStep::Login)
    }

    async fn ask(&mut self, command: &str) -> Result<Reply, SmtpError> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.read().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpError> {
        let written = self.stream.write_all(bytes).await;
        written.map_err(|_| SmtpError::BROKEN)?;
        self.stream.flush().await.map_err(|_| SmtpError::BROKEN)
    }

    async fn read(&mut self) -> Result<Reply, SmtpError> {
        loop {
            match parse(&self.received) {
                Parsed::Whole(reply, length) => {
                    self.received.drain(..length.min(self.received.len()));
                    return Ok(reply);
                }
                Parsed::Malformed => return Err(SmtpError::NotSmtp),
                Parsed::Partial if self.received.len() >= MAX_REPLY => {
                    return Err(SmtpError::NotSmtp);
                }
                Parsed::Partial => {}
            }
            let mut chunk = [0_u8; 1024];
            let count = self.stream.read(&mut chunk).await;
            let count = count.map_err(|_| SmtpError::BROKEN)?;
            if count == 0 {
                return Err(SmtpError::BROKEN);
            }
            self.received.extend(chunk.iter().take(count));
        }
    }
}

/// Whether `reply` has the code that lets the dialogue go on. Another code below 400 is no reply to
/// what was asked.
fn expect(reply: &Reply, code: u16, step: SmtpStep) -> Result<(), SmtpError> {
    match reply.code {
        given if given == code => Ok(()),
        code @ 400..600 => Err(SmtpError::Refused { step, code }),
        _ => Err(SmtpError::NotSmtp),
    }
}

/// `content` as it is sent after DATA: a line that begins with a dot gets another one, and a dot
/// alone is the end (RFC 5321, section 4.5.2).
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(content.len() + 8);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    if !content.is_empty() && !content.ends_with(b"\n") {
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

    /// A server that answers each line with the next of `replies`, after the greeting; after 354
    /// the content is one answer. Returns what it was sent, line by line.
    fn server(
        greeting: &str,
        replies: &[&str],
    ) -> (DuplexStream, tokio::task::JoinHandle<Vec<String>>) {
        let (ours, theirs) = duplex(64 * 1024);
        let greeting = greeting.to_owned();
        let replies: Vec<String> = replies.iter().map(|reply| format!("{reply}\r\n")).collect();
        let task = tokio::spawn(async move {
            let mut stream = BufReader::new(theirs);
            let mut lines = Vec::new();
            let mut in_content = false;
            let _ = stream.write_all(greeting.as_bytes()).await;
            let mut replies = replies.into_iter();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return lines;
                }
                let line = line.trim_end().to_owned();
                let is_end = line == ".";
                lines.push(line);
                if in_content && !is_end {
                    continue;
                }
                let Some(reply) = replies.next() else {
                    continue;
                };
                in_content = reply.starts_with("354");
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        (ours, task)
    }

    fn mail(to: &[&str]) -> Mail {
        Mail {
            from: "exporter@example.com".to_owned(),
            to: to.iter().map(|address| (*address).to_owned()).collect(),
            content: b"Subject: x\r\n\r\n.dot\r\n".to_vec(),
        }
    }

    async fn delivered(
        replies: &[&str],
        to: &[&str],
    ) -> (Result<Accepted, SmtpError>, Vec<String>, bool) {
        let (stream, task) = server("220 mx ready\r\n", replies);
        let mut progress = Progress::default();
        let login = ("user".to_owned(), Secret::new("hunter2"));
        let result = match Session::greeted(stream, "here").await {
            Ok(mut session) => {
                session
                    .deliver(Some(&login), &mail(to), &mut progress)
                    .await
            }
            Err(error) => Err(error),
        };
        (result, task.await.unwrap(), progress.is_sent)
    }

    const PLAIN: &str = "250-mx\r\n250 AUTH LOGIN PLAIN";
    const LOGIN: &str = "250-mx\r\n250 AUTH LOGIN";

    #[tokio::test]
    async fn a_mail_is_handed_over_after_a_login() {
        let replies = [PLAIN, "235 in", "250 ok", "250 ok", "354 go", "250 taken"];
        let (result, lines, _) = delivered(&replies, &["a@b"]).await;
        assert_eq!(result, Ok(Accepted::default()));
        let expected = [
            "EHLO here",
            "AUTH PLAIN AHVzZXIAaHVudGVyMg==",
            "MAIL FROM:<exporter@example.com>",
            "RCPT TO:<a@b>",
            "DATA",
            "Subject: x",
            "",
            "..dot",
            ".",
            "QUIT",
        ];
        assert_eq!(lines, expected);
        let replies = [
            LOGIN,
            "334 VXNlcm5hbWU6",
            "334 UGFzc3dvcmQ6",
            "235 in",
            "250",
            "251",
            "354",
            "250",
        ];
        let (result, lines, _) = delivered(&replies, &["a@b"]).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(lines[1..4], ["AUTH LOGIN", "dXNlcg==", "aHVudGVyMg=="]);
    }

    #[tokio::test]
    async fn one_refused_recipient_does_not_keep_the_mail_from_the_others() {
        let replies = [PLAIN, "235", "250", "550 nobody", "250", "354", "250"];
        let (result, _, _) = delivered(&replies, &["a@b", "c@d"]).await;
        let without_the_first = Accepted {
            refused_recipients: 1,
            deferred: Vec::new(),
        };
        assert_eq!(result, Ok(without_the_first));
        let replies = [PLAIN, "235", "250", "450 later", "250", "354", "250"];
        let (result, _, _) = delivered(&replies, &["a@b", "c@d"]).await;
        let without_the_first_yet = Accepted {
            refused_recipients: 0,
            deferred: vec!["a@b".to_owned()],
        };
        assert_eq!(result, Ok(without_the_first_yet));
        for (first, second, code) in [
            ("550", "451", 451),
            ("450", "554", 450),
            ("551", "553", 551),
        ] {
            let replies = [PLAIN, "235", "250", first, second];
            let (result, _, _) = delivered(&replies, &["a@b", "c@d"]).await;
            let step = SmtpStep::Recipients;
            assert_eq!(
                result,
                Err(SmtpError::Refused { step, code }),
                "{first} {second}"
            );
        }
    }

    #[tokio::test]
    async fn a_refusal_names_its_step_and_its_code() {
        let refused = |step, code| Err(SmtpError::Refused { step, code });
        let cases: [(&[&str], Result<Accepted, SmtpError>); 7] = [
            (&["502 no"], refused(SmtpStep::Greeting, 502)),
            (&[PLAIN, "535 no"], refused(SmtpStep::Login, 535)),
            (
                &[LOGIN, "334", "334", "454 later"],
                refused(SmtpStep::Login, 454),
            ),
            (&["250 mx"], Err(SmtpError::NoLogin)),
            (&[PLAIN, "235", "451 later"], refused(SmtpStep::Sender, 451)),
            (
                &[PLAIN, "235", "250", "250", "452 full"],
                refused(SmtpStep::Content, 452),
            ),
            (
                &[PLAIN, "235", "250", "250", "354", "552 big"],
                refused(SmtpStep::Content, 552),
            ),
        ];
        for (replies, expected) in cases {
            let (result, lines, _) = delivered(replies, &["a@b"]).await;
            assert_eq!(result, expected, "{replies:?}");
            assert!(
                !result.unwrap_err().to_string().contains("hunter2"),
                "{lines:?}"
            );
        }
    }

    #[tokio::test]
    async fn only_a_connection_that_breaks_after_the_content_may_have_delivered_it() {
        let all = [PLAIN, "235", "250", "250", "354", "250"];
        for count in 0..all.len() {
            let (stream, task) = server("220 mx\r\n", &all[..count]);
            let mut progress = Progress::default();
            let login = ("user".to_owned(), Secret::new("hunter2"));
            let dialogue = async {
                let mut session = Session::greeted(stream, "here").await?;
                session
                    .deliver(Some(&login), &mail(&["a@b"]), &mut progress)
                    .await
            };
            let limit = std::time::Duration::from_millis(100);
            assert!(
                tokio::time::timeout(limit, dialogue).await.is_err(),
                "{count}"
            );
            assert_eq!(progress.is_sent, count == all.len() - 1, "{count}");
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_no_mail_server_ends_the_session() {
        let endless = "220-x\r\n".repeat(MAX_REPLY / 7 + 1);
        for greeting in ["HTTP/1.1 400 Bad Request\r\n", "354 x\r\n", &endless] {
            let (stream, _) = server(greeting, &[]);
            let result = Session::greeted(stream, "here").await;
            assert_eq!(result.err(), Some(SmtpError::NotSmtp), "{}", greeting.len());
        }
    }

    #[tokio::test]
    async fn nothing_that_came_before_the_encryption_counts_after_it() {
        let hello = "250-mx\r\n250 STARTTLS";
        let (stream, _) = server("220 mx\r\n", &[hello, "220 go"]);
        let session = Session::greeted(stream, "here").await.unwrap();
        assert!(session.start_tls().await.is_ok());
        let (stream, _) = server("220 mx\r\n", &[hello, "220 go\r\n250 injected"]);
        let session = Session::greeted(stream, "here").await.unwrap();
        assert_eq!(session.start_tls().await.err(), Some(SmtpError::NotSmtp));
        let (stream, _) = server("220 mx\r\n", &["250 mx"]);
        let session = Session::greeted(stream, "here").await.unwrap();
        assert_eq!(session.start_tls().await.err(), Some(SmtpError::NoStartTls));
    }

    #[test]
    fn a_dot_at_the_begin_of_a_line_does_not_end_the_mail() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b".a", b"..a\r\n.\r\n"),
            (b"a.b\r\n", b"a.b\r\n.\r\n"),
            (b"", b".\r\n"),
        ];
        for (content, sent) in cases {
            assert_eq!(stuffed(content), sent);
        }
    }
}
