//! What a subscribed connection hears, in RESP2: <https://redis.io/docs/latest/develop/pubsub/>.
//!
//! Only the two arrays that one SUBSCRIBE leads to are understood, and an error in their place. All
//! of them are short, so whatever is long, or anything else, ends the connection: nothing is
//! allocated on a hostile server's word.

use crate::model::PollError;

/// The longest push: a channel's name and a number take a fraction of it, and so do Redis's own
/// errors.
pub(super) const MAX_PUSH: usize = 1024;

/// One push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push<'a> {
    /// `subscribe`: from now on the messages of this channel come.
    Subscribed { channel: &'a [u8] },
    /// `message`
    Message {
        channel: &'a [u8],
        payload: &'a [u8],
    },
    /// An error reply, without its `-`.
    Error(&'a [u8]),
}

/// Why no push can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Its end has not come yet.
    Incomplete,
    /// What came is no push.
    Wrong,
}

/// The first push in `bytes` and its length; `None` while its end has not come yet.
///
/// # Errors
/// [`PollError::Protocol`] for what is no push; [`PollError::TooLarge`] for one longer than
/// [`MAX_PUSH`].
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Push<'_>, usize)>, PollError> {
    let mut rest = Rest(bytes);
    match push(&mut rest) {
        Ok(push) => Ok(Some((push, bytes.len() - rest.0.len()))),
        Err(Stop::Incomplete) if bytes.len() < MAX_PUSH => Ok(None),
        Err(Stop::Incomplete) => Err(PollError::TooLarge),
        Err(Stop::Wrong) => Err(PollError::Protocol),
    }
}

fn push<'a>(rest: &mut Rest<'a>) -> Result<Push<'a>, Stop> {
    match rest.line()? {
        [b'-', error @ ..] => return Ok(Push::Error(error)),
        b"*3" => {}
        _ => return Err(Stop::Wrong),
    }
    let (kind, channel) = (rest.bulk()?, rest.bulk()?);
    match kind {
        b"message" => Ok(Push::Message {
            channel,
            payload: rest.bulk()?,
        }),
        b"subscribe" if rest.line()?.starts_with(b":") => Ok(Push::Subscribed { channel }),
        _ => Err(Stop::Wrong),
    }
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// The next line, without its CRLF.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let end = self
            .0
            .windows(2)
            .position(|two| two == b"\r\n")
            .ok_or(Stop::Incomplete)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        Ok(line)
    }

    /// The next bulk string.
    fn bulk(&mut self) -> Result<&'a [u8], Stop> {
        let [b'$', digits @ ..] = self.line()? else {
            return Err(Stop::Wrong);
        };
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        let length: usize = length
            .filter(|length| *length <= MAX_PUSH)
            .ok_or(Stop::Wrong)?;
        let (body, tail) = self.0.split_at_checked(length).ok_or(Stop::Incomplete)?;
        self.0 = match tail {
            [b'\r', b'\n', tail @ ..] => tail,
            [] | [b'\r'] => return Err(Stop::Incomplete),
            _ => return Err(Stop::Wrong),
        };
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$3\r\n1\r\n\r\n";

    fn check(bytes: &[u8], expected: &Result<Option<Push<'_>>, PollError>) {
        assert_eq!(
            &parse(bytes).map(|found| found.map(|(push, _)| push)),
            expected,
            "{}",
            bytes.escape_ascii()
        );
    }

    #[test]
    fn every_push_is_read_and_everything_else_refused() {
        check(
            MESSAGE,
            &Ok(Some(Push::Message {
                channel: b"ch",
                payload: b"1\r\n",
            })),
        );
        check(
            b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n",
            &Ok(Some(Push::Subscribed { channel: b"ch" })),
        );
        check(b"-NOPERM no\r\nrest", &Ok(Some(Push::Error(b"NOPERM no"))));
        check(b"", &Ok(None));
        for wrong in [
            &b"+OK\r\n"[..],
            b"*2\r\n",
            b"*-1\r\n",
            b"*3\r\n:7\r\n",
            b"*3\r\n$-1\r\n",
            b"*3\r\n$9999999999999999999999\r\n",
            b"*3\r\n$2000\r\n",
            b"*3\r\n$7\r\nmessageXX",
            b"*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n",
            b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n$1\r\n1\r\n",
        ] {
            check(wrong, &Err(PollError::Protocol));
        }
        check(&vec![b'*'; MAX_PUSH], &Err(PollError::TooLarge));
        check(
            &[b"*3\r\n$1000\r\n", &[b'x'; 1020][..]].concat(),
            &Err(PollError::Protocol),
        );
    }

    #[test]
    fn what_comes_behind_a_push_is_left_for_the_next() {
        let two = [MESSAGE, MESSAGE].concat();
        assert_eq!(
            parse(&two).unwrap().map(|(_, length)| length),
            Some(MESSAGE.len())
        );
        for end in 0..MESSAGE.len() {
            assert_eq!(parse(&MESSAGE[..end]), Ok(None), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_push_is_never_longer_than_what_came(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'$'), Just(b'3'), Just(b'*')], 0..80),
        ) {
            for bytes in [bytes.clone(), [&MESSAGE[..20], &bytes].concat()] {
                if let Ok(Some((_, length))) = parse(&bytes) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
