//! What a mail server's answers mean for the notification.

use crate::delivery::DeliveryFailure;
use crate::smtp::{Accepted, SmtpError};

/// Whether a mail that was not taken is sent again, and why it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MailFailure {
    /// It would not be taken later, either.
    Final(DeliveryFailure),
    /// It may be.
    MayPass(DeliveryFailure),
}

/// The meaning of `error`: 4xx passes, 5xx does not (RFC 5321, section 4.2.1). Replies about a login
/// are those of RFC 4954, section 6.
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

/// The server's consent, for people.
pub(super) fn describe(accepted: Accepted) -> String {
    match accepted.refused_recipients {
        0 => "the mail server took it".to_owned(),
        1 => "the mail server took it, but refused one recipient".to_owned(),
        refused => format!("the mail server took it, but refused {refused} recipients"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::SmtpStep;

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
