//! `email`: mail through a mail server.

use crate::config::cursor::{Cursor, Section};
use crate::config::value::is_mail_address;
use crate::config::{EmailSettings, MailSecurity, ReceiverKind, SecretSource, TlsSettings};
use crate::model::ServerAddr;

/// Recipients of one receiver; a list on the mail server has room for more.
const MAX_RECIPIENTS: usize = 50;

/// Characters of a user's name; most are mail addresses.
const MAX_USERNAME: usize = 320;

pub(super) fn email(section: &Section<'_>) -> Option<ReceiverKind> {
    let smarthost = section.read_required("smarthost", "the mail server's host:port", smarthost);
    let security = section.read("security", security).unwrap_or_default();
    let ca_file = section.read("ca_file", Cursor::pem_file);
    let login = login(section, security);
    let from = section.read_required("from", "the sender's address", address);
    let to = section.required("to", "a list of the recipients' addresses");
    Some(ReceiverKind::from(EmailSettings {
        smarthost: smarthost?,
        security,
        tls: TlsSettings {
            ca_file,
            ..TlsSettings::default()
        },
        login,
        from: from?,
        to: recipients(&to?),
    }))
}

fn smarthost(cursor: &Cursor<'_>) -> Option<ServerAddr> {
    let text = cursor.text()?;
    let address = ServerAddr::parse(text).ok();
    let is_plain = !text.contains("://");
    match address {
        Some(address) if is_plain => Some(address),
        _ => {
            cursor.refuse("is not host:port of a mail server; write it like smtp.example.com:587");
            None
        }
    }
}

fn security(cursor: &Cursor<'_>) -> Option<MailSecurity> {
    let security = MailSecurity::parse(cursor.text()?);
    if security.is_none() {
        let allowed = MailSecurity::ALL.map(MailSecurity::label).join(", ");
        cursor.refuse(format_args!("is not allowed; allowed: {allowed}"));
    }
    security
}

/// The user and the password: both or neither, and never in plain text.
fn login(section: &Section<'_>, security: MailSecurity) -> Option<(String, SecretSource)> {
    let password = section.secret("password");
    let username = section.read("username", username);
    let has_password = section.has("password") || section.has("password_file");
    match (section.has("username"), has_password) {
        (true, false) => section.refuse_missing("password", "it or password_file, or remove username"),
        (false, true) => section.refuse_missing("username", "the user of the password"),
        (true, true) if security == MailSecurity::None => section.refuse(
            "a password would cross the network in plain text: set security to starttls or tls, or remove \
             username and password",
        ),
        _ => {}
    }
    Some((username?, password?))
}

fn username(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let length = text.chars().count();
    if !(1..=MAX_USERNAME).contains(&length) || text.contains(char::is_control) {
        cursor.refuse(format_args!(
            "is not a user's name; allowed: 1 to {MAX_USERNAME} characters, no control characters"
        ));
        return None;
    }
    Some(text.to_owned())
}

fn address(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    if !is_mail_address(text) {
        cursor.refuse("is not a mail address; write it like oncall@example.com, without a name");
        return None;
    }
    Some(text.to_owned())
}

fn recipients(cursor: &Cursor<'_>) -> Vec<String> {
    let items = cursor.items();
    if !(1..=MAX_RECIPIENTS).contains(&items.len()) && cursor.is_list() {
        cursor.add_problem(format!(
            "has {} addresses; allowed: 1 to {MAX_RECIPIENTS}",
            items.len()
        ));
    }
    let mut addresses: Vec<String> = Vec::new();
    for item in &items {
        let Some(address) = address(item) else {
            continue;
        };
        if addresses.contains(&address) {
            item.add_problem("the address is given twice");
        }
        addresses.push(address);
    }
    addresses
}
