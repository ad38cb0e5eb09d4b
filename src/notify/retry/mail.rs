//! What a mail server's answers mean for the notification.

use crate::delivery::DeliveryFailure;
use crate::smtp::{Accepted, SmtpError, SmtpStep};

/// Whether a mail that was not taken is sent again, and why it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MailFailure {
    /// It would not be taken later, either.
    Final(DeliveryFailure),
    /// It may be.
    MayPass(DeliveryFailure),
}

/// The meaning of `error`: 4xx passes, 5xx does not (RFC 5321, section 4.2.1). Replies about a
/// login are those of RFC 4954, section 6.
pub(super) const fn failure(error: &SmtpError) -> MailFailure {
    match error {
        SmtpError::Refused {
            code: 530 | 534 | 535 | 538,
            ..
        } => MailFailure::Final(DeliveryFailure::Auth),
        SmtpError::Refused { code: 500.., .. } => MailFailure::Final(DeliveryFailure::Client),
        SmtpError::Refused { .. } | SmtpError::NotSmtp => {
            MailFailure::MayPass(DeliveryFailure::Server)
        }
        SmtpError::Timeout { .. } => MailFailure::MayPass(DeliveryFailure::Timeout),
        // A server without its usual offers may be half started, or somebody between may hide them.
        SmtpError::Connect(_)
        | SmtpError::Tls(_)
        | SmtpError::NoStartTls
        | SmtpError::NoLogin
        | SmtpError::Broken { .. } => MailFailure::MayPass(DeliveryFailure::Connect),
    }
}

/// Whether `error` is a final refusal of every recipient that was named.
pub(super) const fn refuses_recipients(error: &SmtpError) -> bool {
    matches!(
        error,
        SmtpError::Refused {
            step: SmtpStep::Recipients,
            code: 500..,
        }
    )
}

/// The server's consent, for people.
pub(super) fn describe(accepted: &Accepted) -> String {
    let refused = accepted.refused_recipients;
    let deferred = accepted.deferred.len();
    match (refused, deferred) {
        (0, 0) => "the mail server took it".to_owned(),
        (_, 0) => format!(
            "the mail server took it, but refused {}",
            recipients(refused)
        ),
        (0, _) => format!(
            "the mail server took it, but deferred {}",
            recipients(deferred)
        ),
        _ => format!(
            "the mail server took it, but refused {} and deferred {}",
            recipients(refused),
            recipients(deferred)
        ),
    }
}

fn recipients(count: usize) -> String {
    match count {
        1 => "one recipient".to_owned(),
        count => format!("{count} recipients"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_many_recipients_did_not_get_the_mail() {
        for (refused_recipients, deferred, expected) in [
            (0, 0, "the mail server took it"),
            (1, 0, "the mail server took it, but refused one recipient"),
            (0, 2, "the mail server took it, but deferred 2 recipients"),
            (
                2,
                1,
                "the mail server took it, but refused 2 recipients and deferred one recipient",
            ),
        ] {
            let accepted = Accepted {
                refused_recipients,
                deferred: vec!["a@b".to_owned(); deferred],
            };
            assert_eq!(describe(&accepted), expected);
        }
    }

    #[test]
    fn replies_of_4xx_pass_and_those_of_5xx_do_not() {
        use DeliveryFailure as F;
        use MailFailure::{Final, MayPass};
        let refused = |step, code| failure(&SmtpError::Refused { step, code });
        for (step, code, expected) in [
            (SmtpStep::Greeting, 421, MayPass(F::Server)),
            (SmtpStep::Recipients, 450, MayPass(F::Server)),
            (SmtpStep::Login, 454, MayPass(F::Server)),
            (SmtpStep::Login, 535, Final(F::Auth)),
            (SmtpStep::Sender, 530, Final(F::Auth)),
            (SmtpStep::Recipients, 550, Final(F::Client)),
            (SmtpStep::Content, 554, Final(F::Client)),
        ] {
            assert_eq!(refused(step, code), expected, "{step} {code}");
        }
        for (error, expected) in [
            (
                SmtpError::Timeout { maybe_sent: false },
                MayPass(F::Timeout),
            ),
            (SmtpError::NoStartTls, MayPass(F::Connect)),
            (SmtpError::NotSmtp, MayPass(F::Server)),
        ] {
            assert_eq!(failure(&error), expected, "{error}");
        }
    }
}
