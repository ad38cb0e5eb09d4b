//! Mail: a message as text and HTML, through a mail server. All mails about a group answer the
//! first one, so that a resolve stands below its alert.

use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;

use super::email_html::html;
use super::protocol::{Delivery, Exchange, GroupProtocol, Outgoing, ReceiverSecrets};
use super::secrets::{read_authorities, read_secret};
use crate::alert::AlertStatus;
use crate::config::{EmailSettings, SecretSource, Severity};
use crate::model::WallTime;
use crate::notify::attempt::Attempt;
use crate::notify::incident::{IncidentRef, MailThread};
use crate::notify::message::{Message, plain};
use crate::notify::retry::{AnswerRules, AttemptResult, HttpAnswers};
use crate::notify::text::cut;
use crate::smtp::{Mail, MailServer};

/// A subject in UTF-16 units. No standard limits it; programs show some 60 to 100 characters.
const MAX_SUBJECT: usize = 250;

/// The text part in UTF-16 units: twenty alerts fit many times.
const MAX_TEXT: usize = 50_000;

/// A mail before it is written with its headers and parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// The subject, one line.
    pub subject: String,
    /// Its Message-ID, without angle brackets: the same in each attempt.
    pub message_id: String,
    /// The Message-ID of the mail that it answers; `None` of the first about a group.
    pub answers: Option<String>,
    /// When it is sent.
    pub date: WallTime,
    /// Whether a critical alert fires.
    pub is_urgent: bool,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl ReceiverSecrets for EmailSettings {
    fn secrets(&self) -> Vec<&SecretSource> {
        match &self.login {
            Some((_, password)) => vec![password],
            None => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), String> {
        match &self.tls.ca_file {
            Some(path) => read_authorities(path).map(drop),
            None => Ok(()),
        }
    }
}

impl GroupProtocol for EmailSettings {
    fn answer_rules(&self) -> &'static dyn AnswerRules {
        // Only the pace is asked for: a mail server has none. `retry` knows its replies.
        &HttpAnswers
    }

    fn prepare(&self, delivery: &Delivery<'_>) -> Result<Box<dyn Exchange>, String> {
        let message = delivery.message();
        let thread = thread(self, delivery.attempt);
        let letter = letter(self, delivery, &message, &thread);
        let mail = Mail {
            from: letter.from.clone(),
            to: recipients(self, delivery.attempt),
            content: write(letter)?,
        };
        if mail.to.is_empty() {
            // Those who did not have it are no longer configured.
            let outgoing = None;
            return Ok(Box::new(MailExchange { outgoing, thread }));
        }
        let login = match &self.login {
            Some((user, password)) => Some((user.clone(), read_secret(password)?)),
            None => None,
        };
        let server = MailServer {
            address: self.smarthost.clone(),
            security: self.security,
            tls: self.tls.clone(),
            login,
            hello: hello(&delivery.context.exporter),
        };
        Ok(Box::new(MailExchange {
            outgoing: Some(Outgoing::Mail(Box::new(server), mail)),
            thread,
        }))
    }
}

/// The single mail of an attempt.
struct MailExchange {
    outgoing: Option<Outgoing>,
    thread: MailThread,
}

impl Exchange for MailExchange {
    fn next_request(&mut self, _: Option<&AttemptResult>) -> Option<Outgoing> {
        self.outgoing.take()
    }

    fn incident(&self) -> IncidentRef {
        IncidentRef::Mail(self.thread.clone())
    }
}

/// The recipients of `attempt`: all of them, or those who do not have it yet.
fn recipients(settings: &EmailSettings, attempt: &Attempt) -> Vec<String> {
    let mut recipients = settings.to.clone();
    if let Some(left) = &attempt.left {
        recipients.retain(|address| left.contains(address));
    }
    recipients
}

/// The first mail about the group of `attempt`: the one that is known, or else this one.
fn thread(settings: &EmailSettings, attempt: &Attempt) -> MailThread {
    let incidents = attempt.incident.iter().chain(&attempt.open_incidents);
    for incident in incidents {
        if let IncidentRef::Mail(thread) = incident {
            return thread.clone();
        }
    }
    MailThread {
        message_id: message_id(settings, attempt),
    }
}

/// The Message-ID of a delivery: its id, which is unique, at the sender's domain.
fn message_id(settings: &EmailSettings, attempt: &Attempt) -> String {
    let domain = match settings.from.rsplit_once('@') {
        Some((_, domain)) => domain,
        None => "localhost",
    };
    format!("{}@{domain}", attempt.id)
}

fn letter(
    settings: &EmailSettings,
    delivery: &Delivery<'_>,
    message: &Message,
    thread: &MailThread,
) -> Letter {
    let message_id = message_id(settings, delivery.attempt);
    let is_first = thread.message_id == message_id;
    let text = plain::lines(message).join("\n");
    Letter {
        from: settings.from.clone(),
        to: settings.to.clone(),
        subject: cut(&message.title, MAX_SUBJECT),
        answers: if is_first {
            None
        } else {
            Some(thread.message_id.clone())
        },
        message_id,
        date: delivery.now,
        is_urgent: message.status == AlertStatus::Firing && message.severity == Severity::Critical,
        text: cut(&text, MAX_TEXT),
        html: html(message),
    }
}

/// The name for EHLO: the exporter's, where it can be a host's.
fn hello(exporter: &str) -> String {
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_host = (1..=253).contains(&exporter.len()) && exporter.bytes().all(is_host_byte);
    if is_host {
        exporter.to_owned()
    } else {
        "localhost".to_owned()
    }
}

/// The mail with its headers and parts, as it is sent.
fn write(letter: Letter) -> Result<Vec<u8>, String> {
    let mut builder = MessageBuilder::new()
        .from(letter.from)
        .to(letter.to)
        .subject(letter.subject)
        .message_id(letter.message_id)
        .date(letter.date.as_nanos().div_euclid(1_000_000_000))
        // So that nobody's absence note answers it (RFC 3834).
        .header("Auto-Submitted", Raw::new("auto-generated"));
    if let Some(answered) = letter.answers {
        builder = builder.in_reply_to(answered.clone()).references(answered);
    }
    if letter.is_urgent {
        builder = builder.header("Importance", Raw::new("high"));
    }
    let written = builder
        .text_body(letter.text)
        .html_body(letter.html)
        .write_to_vec();
    written.map_err(|error| format!("the mail cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::alert::{Notification, NotifyReason};
    use crate::config::testing::receivers_of;
    use crate::config::{GroupReceiver, ReceiverKind};
    use crate::notify::attempt::DeliveryId;
    use crate::notify::testing::{
        anchor, context, hostile_names, notification, pair_alert, resolved,
    };

    fn settings() -> EmailSettings {
        let yaml = "notify: {receivers: [{name: m, email: {smarthost: 'mx:25', security: none, \
                    from: exporter@example.com, to: [a@example.com, b@example.com]}}]}";
        match receivers_of(yaml).remove(0).kind {
            ReceiverKind::Group(GroupReceiver::Email(email)) => email,
            other => panic!("{other:?}"),
        }
    }

    fn attempt(id: &str, notification: Notification, open: &[IncidentRef]) -> Attempt {
        Attempt {
            id: DeliveryId::parse(id).unwrap(),
            notification: Arc::new(notification),
            anchor: anchor(),
            number: 1,
            plain: false,
            left: None,
            incident: open.last().cloned(),
            open_incidents: open.to_vec(),
        }
    }

    fn letter_of(attempt: &Attempt) -> Letter {
        let context = context();
        let delivery = Delivery {
            attempt,
            receiver: "m",
            identity: "",
            context: &context,
            now: anchor().wall,
        };
        let settings = settings();
        letter(
            &settings,
            &delivery,
            &delivery.message(),
            &thread(&settings, attempt),
        )
    }

    fn firing(pair: &str, count: usize) -> Notification {
        let alerts = (0..count).map(|n| pair_alert(pair, n)).collect();
        notification(NotifyReason::First, alerts)
    }

    #[test]
    fn every_mail_about_a_group_answers_the_first_one() {
        let first = attempt("msg_1", firing("orders", 1), &[IncidentRef::Unnamed]);
        let thread = thread(&settings(), &first);
        assert_eq!(thread.message_id, "msg_1@example.com");
        let letter = letter_of(&first);
        assert_eq!(
            (letter.message_id.as_str(), letter.answers),
            ("msg_1@example.com", None)
        );
        assert!(letter.is_urgent && letter.subject.starts_with("[CRITICAL] orders dc1"));
        let open = [IncidentRef::Mail(thread)];
        let again = letter_of(&attempt("msg_1", firing("orders", 1), &open));
        assert_eq!(
            again.answers, None,
            "a retry of the first is still the first"
        );
        let over = notification(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        );
        let over = letter_of(&attempt("msg_2", over, &open));
        assert_eq!(over.message_id, "msg_2@example.com");
        assert_eq!(over.answers.as_deref(), Some("msg_1@example.com"));
        assert!(!over.is_urgent && over.subject.starts_with("[RESOLVED] orders dc1"));
    }

    #[test]
    fn a_repetition_goes_only_to_those_who_do_not_have_it_and_are_configured() {
        let settings = settings();
        let first = attempt("msg_1", firing("orders", 1), &[]);
        assert_eq!(recipients(&settings, &first), settings.to);
        let left = ["b@example.com".to_owned(), "gone@example.com".to_owned()];
        let again = Attempt {
            left: Some(left.into()),
            ..first
        };
        assert_eq!(recipients(&settings, &again), ["b@example.com"]);
        assert_eq!(letter_of(&again).to, settings.to, "the header names all");
    }

    #[test]
    fn a_mail_has_text_and_html_and_its_headers() {
        let open = [IncidentRef::Mail(MailThread {
            message_id: "msg_1@example.com".to_owned(),
        })];
        let letter = letter_of(&attempt("msg_2", firing("orders", 2), &open));
        let mail = String::from_utf8(write(letter).unwrap()).unwrap();
        for header in [
            "From: <exporter@example.com>\r\n",
            "To: <a@example.com>,",
            "Message-ID: <msg_2@example.com>\r\n",
            "In-Reply-To: <msg_1@example.com>\r\n",
            "References: <msg_1@example.com>\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Importance: high\r\n",
            "Content-Type: multipart/alternative",
            "Content-Type: text/plain",
            "Content-Type: text/html",
        ] {
            assert!(mail.contains(header), "{header}\n{mail}");
        }
    }

    #[test]
    fn no_name_breaks_a_mail() {
        for name in hostile_names() {
            for count in [1, 2, 500] {
                let letter = letter_of(&attempt("msg_1", firing(&name, count), &[]));
                assert!(letter.subject.encode_utf16().count() <= MAX_SUBJECT);
                assert!(letter.text.encode_utf16().count() <= MAX_TEXT);
                assert!(letter.html.len() <= 600_000, "{}", letter.html.len());
                for mark in ["<script", "<!channel", "& "] {
                    assert!(!letter.html.contains(mark), "{mark}: {}", letter.html);
                }
                let mail = write(letter).unwrap();
                let mail = String::from_utf8(mail).unwrap();
                let (head, _) = mail.split_once("\r\n\r\n").unwrap();
                for line in head.split("\r\n") {
                    let is_folded = line.starts_with([' ', '\t']);
                    let is_header = line.split_once(": ").is_some_and(|(name, _)| {
                        name.bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    });
                    assert!((is_folded || is_header) && line.is_ascii(), "{line:?}");
                }
                let longest = mail.split("\r\n").map(str::len).max();
                assert!(longest <= Some(998), "{longest:?}");
            }
        }
    }

    #[test]
    fn the_server_is_greeted_with_a_name_that_a_host_can_have() {
        assert_eq!(hello("monitor-1.example.com"), "monitor-1.example.com");
        for exporter in ["", "the blue one", "a\r\nMAIL", "ü"] {
            assert_eq!(hello(exporter), "localhost");
        }
    }
}
