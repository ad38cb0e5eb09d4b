//! Mail: to a mail server that encrypts, wants a login, refuses and breaks off.

use std::time::Duration;

use redis_cross_dc_exporter::config::{MailSecurity, TlsSettings};
use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::{Secret, ServerAddr};
use redis_cross_dc_exporter::smtp::{self, Accepted, Mail, SmtpError, SmtpStep};

use crate::certificates::Authority;
use crate::command::{configuration, folder_with, nobody, run};
use crate::exporter::Exporter;
use crate::mail_server::{Encryption, MailServer};
use crate::planted;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

const HOST: [&str; 1] = ["127.0.0.1"];

/// The settings of a receiver that sends to `server`.
fn email(server: &MailServer, security: &str, authority: &Authority) -> String {
    format!(
        "{{name: mail, email: {{smarthost: '127.0.0.1:{}', security: {security}, ca_file: '{}', username: exporter, \
         password: {}, from: exporter@example.com, to: [oncall@example.com, team@example.com]}}}}",
        server.port,
        authority.ca_file().display(),
        planted::MAIL,
    )
}

#[tokio::test]
async fn the_mails_of_an_alert_are_one_thread_through_refusals_and_a_kill() {
    let mut stage = Stage::set().await;
    let authority = Authority::new();
    let files = authority.server(&HOST);
    let server = MailServer::start(Encryption::AfterStartTls(files)).await;
    server.refuse("RCPT", "450 busy");
    server.refuse("RCPT", "451 busy");
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: 1s, critical: 6s}}}}\npairs: [{}]\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{}]}}\n",
        stage.entry("orders"),
        email(&server, "starttls", &authority)
    );
    let mut exporter = Exporter::start(&yaml).await;
    stage.replica.kill();
    let address = stage.replica.addr().to_string();

    let first = server.mails(1).await.remove(0);
    assert_eq!(
        server.refusals_left(),
        0,
        "both recipients were refused once"
    );
    assert_eq!(first.login, Some(format!("exporter:{}", planted::MAIL)));
    assert_eq!(
        (first.from.as_str(), first.to.join(" ").as_str()),
        (
            "exporter@example.com",
            "oncall@example.com team@example.com"
        )
    );
    let id = first.header("Message-ID").unwrap();
    assert!(
        id.starts_with("<msg_") && id.ends_with("@example.com>"),
        "{id}"
    );
    assert_eq!(
        (first.header("In-Reply-To"), first.header("References")),
        (None, None)
    );
    assert_eq!(
        first.header("Auto-Submitted").as_deref(),
        Some("auto-generated")
    );
    let kind = first.header("Content-Type").unwrap();
    assert!(kind.starts_with("multipart/alternative"), "{kind}");
    for kind in ["Content-Type: text/plain", "Content-Type: text/html"] {
        assert!(first.content.contains(kind), "{}", first.content);
    }
    let subject = first.header("Subject").unwrap();
    assert!(subject.contains(&address), "{subject}");

    let critical = server.mails(2).await.remove(1);
    assert_eq!(critical.header("In-Reply-To"), Some(id.clone()));
    assert_eq!(critical.header("Importance").as_deref(), Some("high"));
    let delivered = || async {
        let failed = [("receiver", "mail"), ("reason", "server_error")];
        let scrape = Scrape::of(&exporter).await;
        let attempts = scrape.value(
            "redis_cross_dc_notifications_total",
            &[("receiver", "mail")],
        );
        let failed = scrape.value("redis_cross_dc_notifications_failed_total", &failed);
        (attempts >= Some(3.0) && failed >= Some(1.0)).then_some(())
    };
    eventually("both to be counted", LIMIT, delivered)
        .await
        .unwrap();
    exporter.kill();
    exporter.ended(LIMIT).await;
    exporter.relaunch();
    exporter.until_ready().await;
    stage.replica.restart().await.unwrap();
    let over = server.mails(3).await.remove(2);
    for name in ["In-Reply-To", "References"] {
        assert_eq!(
            over.header(name),
            Some(id.clone()),
            "{name}: {}",
            exporter.log()
        );
    }
    assert_ne!(over.header("Message-ID"), Some(id));
    assert!(over.header("Subject").unwrap().contains("RESOLVED"));
}

#[tokio::test]
async fn a_recipient_who_is_deferred_gets_the_mail_later_and_the_others_get_it_once() {
    let mut stage = Stage::set().await;
    let authority = Authority::new();
    let server = MailServer::start(Encryption::AfterStartTls(authority.server(&HOST))).await;
    // The first recipient is deferred twice: while the other one takes the mail, and alone.
    let first_recipient = "RCPT TO:<oncall@example.com>";
    server.refuse(first_recipient, "450 greylisted");
    server.refuse(first_recipient, "451 greylisted");
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: 1s, critical: 10m}}}}\npairs: [{}]\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{}]}}\n",
        stage.entry("orders"),
        email(&server, "starttls", &authority)
    );
    let mut exporter = Exporter::start(&yaml).await;
    stage.replica.kill();

    let mails = server.mails(2).await;
    assert_eq!(mails[0].to, ["team@example.com"]);
    assert_eq!(mails[1].to, ["oncall@example.com"]);
    assert_eq!(server.refusals_left(), 0, "{}", exporter.log());
    for name in ["Message-ID", "To", "Subject"] {
        assert_eq!(mails[0].header(name), mails[1].header(name), "{name}");
    }

    // The resolve is deferred for one of them, and the exporter ends before it is repeated.
    server.refuse_every(first_recipient, "450 greylisted");
    stage.replica.restart().await.unwrap();
    let over = server.mails(3).await.remove(2);
    assert_eq!(over.to, ["team@example.com"], "{}", exporter.log());
    let deferred = || async {
        let log = exporter.log();
        (log.matches("deferred one recipient").count() >= 2).then_some(())
    };
    eventually("the result to be known", LIMIT, deferred)
        .await
        .unwrap();
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    server.refuse_no_more();
    exporter.relaunch();
    let late = server.mails(4).await.remove(3);
    assert_eq!(late.to, ["oncall@example.com"], "{}", exporter.log());
    assert_eq!(late.header("Message-ID"), over.header("Message-ID"));
    assert_eq!(server.taken().len(), 4, "{}", exporter.log());
}

#[tokio::test]
async fn test_notify_names_what_a_mail_server_refuses_and_no_password() {
    let authority = Authority::new();
    let files = authority.server(&HOST);
    let server = MailServer::start(Encryption::FromTheFirstByte(files)).await;
    let pair = entry("orders", ("dc1", &nobody()), ("dc2", &nobody()));
    let receivers = email(&server, "tls", &authority);
    let yaml = format!(
        "{}notify: {{receivers: [{receivers}]}}\n",
        configuration(&[pair])
    );
    let folder = folder_with(&yaml);
    let test = |code: i32| {
        let folder = folder.path();
        async move {
            let arguments = ["test-notify", "--config.file", "config.yml", "mail"];
            run(folder, &arguments).await.ended_with(code).stdout
        }
    };
    let taken = test(0).await;
    let expected = "mail\n  firing: taken: the mail server took it\n  resolved: taken: the mail server took it\n";
    assert!(taken.starts_with(expected), "{taken}");
    let mails = server.taken();
    assert_eq!(
        mails[1].header("In-Reply-To"),
        mails[0].header("Message-ID")
    );
    assert!(mails[0].header("Subject").unwrap().contains("[TEST]"));

    server.refuse("RCPT", "550 nobody of this name");
    let partly = test(0).await;
    assert!(
        partly.contains("the mail server took it, but refused one recipient"),
        "{partly}"
    );
    server.refuse("RCPT", "450 busy");
    let later = test(0).await;
    let sentence = "firing: taken: the mail server took it, but deferred one recipient \
                    (a real one would be tried again for these)";
    assert!(later.contains(sentence), "{later}");
    server.refuse("AUTH", &format!("535 not with {}", planted::MAIL));
    let refused = test(1).await;
    let sentence = "firing: NOT TAKEN: the mail server answered the login with 535 (auth_error; a real one would be given up)";
    assert!(refused.contains(sentence), "{refused}");
    server.refuse("MAIL", "451 later");
    let later = test(1).await;
    let sentence = "the mail server answered the sender's address with 451 (server_error; a real one would be tried again)";
    assert!(later.contains(sentence), "{later}");
}

/// What sending a small mail comes to.
async fn sent(
    port: u16,
    security: MailSecurity,
    tls: &TlsSettings,
    limit: Duration,
) -> Result<Accepted, SmtpError> {
    let server = smtp::MailServer {
        address: ServerAddr::new("127.0.0.1", port),
        security,
        tls: tls.clone(),
        login: Some(("exporter".to_owned(), Secret::new(planted::MAIL))),
        hello: "localhost".to_owned(),
    };
    let mail = Mail {
        from: "a@example.com".to_owned(),
        to: vec!["b@example.com".to_owned()],
        content: b"Subject: x\r\n\r\n.\r\n.x\r\n".to_vec(),
    };
    smtp::send(&server, &mail, limit).await
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_encrypted_or_not_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let trusting = |authority: &Authority| TlsSettings {
        ca_file: Some(authority.ca_file()),
        ..TlsSettings::default()
    };
    let known = trusting(&authority);
    let files = authority.server(&HOST);
    let starttls = MailServer::start(Encryption::AfterStartTls(files.clone())).await;
    let tls = MailServer::start(Encryption::FromTheFirstByte(files)).await;
    let plain = MailServer::start(Encryption::Never).await;
    let accepted = Ok(Accepted::default());
    let quick = Duration::from_secs(20);
    for (server, security) in [
        (&starttls, MailSecurity::StartTls),
        (&tls, MailSecurity::Tls),
        (&plain, MailSecurity::None),
    ] {
        assert_eq!(sent(server.port, security, &known, quick).await, accepted);
        let mail = server.taken().remove(0);
        assert_eq!(
            mail.content, "Subject: x\r\n\r\n.\r\n.x\r\n",
            "dots come through"
        );
    }
    assert_eq!(
        sent(plain.port, MailSecurity::StartTls, &known, quick).await,
        Err(SmtpError::NoStartTls)
    );
    for (server, security) in [
        (&starttls, MailSecurity::StartTls),
        (&tls, MailSecurity::Tls),
    ] {
        for untrusting in [trusting(&stranger), TlsSettings::default()] {
            let error = sent(server.port, security, &untrusting, quick)
                .await
                .unwrap_err();
            assert!(matches!(error, SmtpError::Tls(_)), "{error}");
        }
        assert_eq!(server.taken().len(), 1, "nothing was handed over");
    }
    let step = SmtpStep::Login;
    assert_eq!(
        sent(starttls.port, MailSecurity::None, &known, quick).await,
        Err(SmtpError::NoLogin),
        "{step}"
    );
    // A plain server waits for a line, and a handshake for an answer.
    let short = Duration::from_millis(300);
    let waited = sent(plain.port, MailSecurity::Tls, &known, short)
        .await
        .unwrap_err();
    assert!(!waited.maybe_sent(), "{waited}");
    drop(plain);
}
