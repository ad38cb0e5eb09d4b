//! One exchange of requests and replies over a connection, scripts included.
//!
//! Scripts are called by their hash. A server that has restarted, or whose scripts were flushed,
//! does not know the hash and answers NOSCRIPT, in the middle of a pipeline as well. Only the calls
//! that were answered so are repeated, the first one of each script with its text, which makes the
//! server know the script for the others. So EVAL and EVALSHA are all the rights that scripts need.

use super::error::SiteError;
use super::script::ScriptForm;
use super::site::{Reply, Request};

/// How often calls are sent: the first time, and again while the server forgets its scripts in
/// between.
const MAX_ROUNDS: usize = 4;

/// A reply as it comes from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireReply {
    /// A value.
    Value(Reply),
    /// An error.
    Error {
        /// Its first word.
        code: String,
        /// The rest.
        detail: String,
    },
}

impl WireReply {
    fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Error { code, .. } if code == "NOSCRIPT")
    }

    fn into_result(self) -> Result<Reply, SiteError> {
        match self {
            Self::Value(reply) => Ok(reply),
            Self::Error { code, detail } => Err(SiteError::from_reply(&code, &detail)),
        }
    }
}

/// An exchange: send what [`Self::commands`] returns, hand the replies to [`Self::take`], and again
/// until it returns nothing.
#[derive(Debug)]
pub struct Exchange {
    requests: Vec<Request>,
    replies: Vec<Option<WireReply>>,
    rounds: usize,
}

impl Exchange {
    /// Begins an exchange.
    pub fn new(requests: Vec<Request>) -> Self {
        let replies = vec![None; requests.len()];
        Self {
            requests,
            replies,
            rounds: 0,
        }
    }

    /// The commands to send now, each as its words; none when the exchange is over.
    pub fn commands(&mut self) -> Vec<Vec<Vec<u8>>> {
        if self.rounds == MAX_ROUNDS {
            return Vec::new();
        }
        self.rounds += 1;
        let mut sent_with_text = Vec::new();
        let open = self.requests.iter().zip(&self.replies);
        let open = open.filter(|(_, reply)| is_open(reply.as_ref()));
        let words = open.map(|(request, reply)| match request {
            Request::Command(words) => words.clone(),
            Request::Script(call) => {
                let is_unknown = reply.is_some() && !sent_with_text.contains(&call.script);
                if is_unknown {
                    sent_with_text.push(call.script);
                    call.words(ScriptForm::Text)
                } else {
                    call.words(ScriptForm::Hash)
                }
            }
        });
        words.collect()
    }

    /// Takes the replies to what [`Self::commands`] returned, in order.
    ///
    /// # Errors
    /// For another number of replies.
    pub fn take(&mut self, replies: Vec<WireReply>) -> Result<(), SiteError> {
        let mut replies = replies.into_iter();
        for place in &mut self.replies {
            if is_open(place.as_ref()) {
                let reply = replies.next();
                *place = Some(reply.ok_or_else(|| SiteError::unexpected("a reply is missing"))?);
            }
        }
        match replies.next() {
            None => Ok(()),
            Some(_) => Err(SiteError::unexpected("a reply too many")),
        }
    }

    /// The replies, in the order of the requests.
    pub fn finish(self) -> Vec<Result<Reply, SiteError>> {
        let replies = self.replies.into_iter();
        let results = replies.map(|reply| match reply {
            Some(reply) => reply.into_result(),
            None => Err(SiteError::Disconnected),
        });
        results.collect()
    }
}

fn is_open(reply: Option<&WireReply>) -> bool {
    reply.is_none_or(WireReply::is_unknown_script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active_active::Amount;

    fn requests() -> Vec<Request> {
        let count = || Request::increment(b"c", "run", "p:a", Amount::new(1).unwrap());
        vec![count(), Request::time(), count()]
    }

    fn names(commands: &[Vec<Vec<u8>>]) -> Vec<String> {
        let names = commands
            .iter()
            .map(|words| String::from_utf8_lossy(&words[0]).into_owned());
        names.collect()
    }

    fn unknown() -> WireReply {
        WireReply::Error {
            code: "NOSCRIPT".to_owned(),
            detail: "No matching script.".to_owned(),
        }
    }

    fn number(number: i64) -> WireReply {
        WireReply::Value(Reply::Number(number))
    }

    #[test]
    fn calls_of_unknown_scripts_are_repeated_with_the_text_once() {
        let mut exchange = Exchange::new(requests());
        assert_eq!(names(&exchange.commands()), ["EVALSHA", "TIME", "EVALSHA"]);
        exchange
            .take(vec![unknown(), number(2), unknown()])
            .unwrap();
        assert_eq!(names(&exchange.commands()), ["EVAL", "EVALSHA"]);
        exchange.take(vec![number(1), number(3)]).unwrap();
        assert!(exchange.commands().is_empty());
        let numbers: Vec<i64> = exchange
            .finish()
            .into_iter()
            .map(|reply| match reply.unwrap() {
                Reply::Number(number) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_server_that_forgets_every_time_does_not_keep_us() {
        let mut exchange = Exchange::new(requests());
        let mut rounds = 0;
        loop {
            let commands = exchange.commands();
            if commands.is_empty() {
                break;
            }
            rounds += 1;
            let replies = commands.iter().map(|_| unknown());
            exchange.take(replies.collect()).unwrap();
        }
        assert_eq!(rounds, MAX_ROUNDS);
        assert!(exchange.finish().iter().all(Result::is_err));
    }

    #[test]
    fn another_number_of_replies_is_an_error() {
        let mut exchange = Exchange::new(requests());
        exchange.commands();
        assert!(exchange.take(vec![number(1)]).is_err());
        let mut exchange = Exchange::new(requests());
        exchange.commands();
        assert!(exchange.take(vec![number(1); 4]).is_err());
    }
}
