//! Why one poll failed: the reason, who has to act on it, and the sentence that every surface
//! shows.

use std::sync::Arc;

use super::PollError;

/// The most characters of a detail: a path and a sentence of the operating system have room.
const MAX_DETAIL: usize = 300;

/// Who has to act on a failed poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// This exporter: a secret, a TLS file or setting, or its resolver. No request reached the
    /// server.
    Exporter,
    /// The server answers, and the two do not agree on access: it refuses the login or INFO, or the
    /// two cannot agree on TLS.
    Access,
    /// The server or the network in between: which of them cannot be seen from here.
    Server,
}

/// Why a poll failed. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollFailure {
    /// The reason of the closed set.
    pub reason: PollError,
    /// Who has to act.
    pub blame: Blame,
    /// What is known beyond the reason, at most [`MAX_DETAIL`] characters.
    detail: Option<Arc<str>>,
}

impl PollFailure {
    /// A failure of this exporter itself; `detail` describes what is wrong here.
    pub fn own(reason: PollError, detail: &str) -> Self {
        Self::with_detail(reason, Blame::Exporter, detail)
    }

    /// A failure to agree on access with a server that answers. `detail` continues the server's
    /// name (`refused the login ...`), except for TLS, where it is a sentence.
    pub fn access(reason: PollError, detail: &str) -> Self {
        Self::with_detail(reason, Blame::Access, detail)
    }

    /// A failure of the server or the network; `detail` is a sentence.
    pub fn server(reason: PollError, detail: &str) -> Self {
        Self::with_detail(reason, Blame::Server, detail)
    }

    fn with_detail(reason: PollError, blame: Blame, detail: &str) -> Self {
        let bounded: String = detail.chars().take(MAX_DETAIL).collect();
        Self {
            reason,
            blame,
            detail: Some(bounded.into()),
        }
    }

    /// Whether the reason is not the server's silence: this exporter sent no request, or was
    /// refused.
    pub const fn is_fault(&self) -> bool {
        matches!(self.blame, Blame::Exporter | Blame::Access)
    }

    /// Whether the failure proves that the server answers.
    pub const fn proves_life(&self) -> bool {
        matches!(self.blame, Blame::Access)
    }

    /// What happened and what to do about it, as one sentence without a full stop. `whom` is the
    /// server in the reader's words: `the master`, `the server`, `the Sentinel`.
    pub fn sentence(&self, whom: &str) -> String {
        let Some(detail) = &self.detail else {
            return format!("{whom} {}", self.reason.sentence());
        };
        match (self.blame, self.reason) {
            (Blame::Exporter | Blame::Access, PollError::Tls) => {
                format!("this exporter cannot make a secure connection to {whom}: {detail}")
            }
            (Blame::Exporter, PollError::Dns) => {
                format!("this exporter cannot find {whom}: {detail}")
            }
            (Blame::Exporter, _) => format!("this exporter cannot log in to {whom}: {detail}"),
            (Blame::Access, _) => format!("{whom} {detail}"),
            (Blame::Server, _) => format!("{whom} gave no answer: {detail}"),
        }
    }
}

impl From<PollError> for PollFailure {
    /// The failure where nothing is known beyond the reason.
    fn from(reason: PollError) -> Self {
        let blame = match reason {
            PollError::Dns => Blame::Exporter,
            PollError::Auth | PollError::Denied | PollError::Tls => Blame::Access,
            _ => Blame::Server,
        };
        Self {
            reason,
            blame,
            detail: None,
        }
    }
}

impl From<PollFailure> for PollError {
    fn from(failure: PollFailure) -> Self {
        failure.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_who_has_to_act() {
        let cases = [
            (
                PollFailure::own(
                    PollError::Auth,
                    "the password file /run/x cannot be read: No such file or directory",
                ),
                "this exporter cannot log in to the master: the password file /run/x cannot be read: \
                 No such file or directory",
            ),
            (
                PollFailure::access(
                    PollError::Auth,
                    "refused the login of user monitor (WRONGPASS)",
                ),
                "the master refused the login of user monitor (WRONGPASS)",
            ),
            (
                PollFailure::access(
                    PollError::Tls,
                    "the server's certificate, or its authority's, has expired: renew it",
                ),
                "this exporter cannot make a secure connection to the master: the server's \
                 certificate, or its authority's, has expired: renew it",
            ),
            (
                PollFailure::own(
                    PollError::Dns,
                    "the host name a.invalid cannot be resolved: Name or service not known",
                ),
                "this exporter cannot find the master: the host name a.invalid cannot be resolved: \
                 Name or service not known",
            ),
            (
                PollError::Refused.into(),
                "the master refused the connection: nothing listens there, or a firewall rejects it",
            ),
        ];
        for (failure, sentence) in cases {
            assert_eq!(failure.sentence("the master"), sentence);
        }
    }

    #[test]
    fn only_the_server_and_the_network_are_silent() {
        let faults: Vec<_> = PollError::ALL
            .into_iter()
            .filter(|reason| PollFailure::from(*reason).is_fault())
            .collect();
        let expected = [
            PollError::Dns,
            PollError::Tls,
            PollError::Auth,
            PollError::Denied,
        ];
        assert_eq!(faults, expected);
    }

    #[test]
    fn a_detail_is_bounded() {
        let failure = PollFailure::own(PollError::Auth, &"é".repeat(10_000));
        assert!(failure.sentence("the server").chars().count() < MAX_DETAIL + 100);
    }
}
