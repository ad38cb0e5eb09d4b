//! Where replies begin and end in the bytes that a server sends: the guard in front of the protocol's parser.
//!
//! Only the RESP2 replies that this program's requests can have are let through: simple strings, errors, integers and
//! bulk strings (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). An array would let a hostile or
//! broken server make the parser allocate many times what was sent.

use crate::model::PollError;

/// The longest simple string, error or length line that is let through. Redis's own errors stay below 1 KiB.
const MAX_LINE: usize = 64 * 1024;

/// Follows the frames of a byte stream; how it is cut into pieces changes nothing. Keeps no byte of it.
#[derive(Debug)]
pub struct ReplyFrames {
    limit: usize,
    /// Never above the limit.
    taken: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The next byte is the first of a reply.
    Start,
    /// Inside a line that ends with CRLF.
    Line { length: usize, after_cr: bool },
    /// Inside a bulk string's length.
    Length { value: Option<usize>, nil: bool, after_cr: bool },
    /// Inside a bulk string, its CRLF included.
    Body { left: usize },
}

impl ReplyFrames {
    /// Frames of at most `limit` bytes between two calls of [`Self::restart`].
    pub const fn new(limit: usize) -> Self {
        Self { limit, taken: 0, state: State::Start }
    }

    /// A new request is being sent: the bytes of its replies are counted from zero.
    pub const fn restart(&mut self) {
        self.taken = 0;
    }

    /// Whether the bytes so far end with a whole reply.
    pub fn is_between_replies(&self) -> bool {
        self.state == State::Start
    }

    /// Follows `bytes` and returns how many replies they complete. After an error the stream is of no use any more.
    ///
    /// # Errors
    /// [`PollError::TooLarge`] as soon as a reply is, or announces to be, longer than the limit;
    /// [`PollError::Protocol`] for bytes that begin no reply of the kinds above, [`PollError::Tls`] for a TLS alert.
    /// The first byte that is wrong tells which, however the stream is cut.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<u32, PollError> {
        let (within, beyond) = bytes.split_at(bytes.len().min(self.limit - self.taken));
        self.taken += within.len();
        let replies = self.completed_by(within)?;
        if beyond.is_empty() { Ok(replies) } else { Err(PollError::TooLarge) }
    }

    fn completed_by(&mut self, bytes: &[u8]) -> Result<u32, PollError> {
        let mut rest = bytes;
        let mut replies = 0;
        while let Some((&byte, tail)) = rest.split_first() {
            if let State::Body { left } = self.state {
                let skipped = left.min(rest.len());
                rest = &rest[skipped..];
                self.state = if skipped == left { State::Start } else { State::Body { left: left - skipped } };
            } else {
                rest = tail;
                self.state = self.after(byte)?;
            }
            replies += u32::from(self.is_between_replies());
        }
        Ok(replies)
    }

    fn after(&self, byte: u8) -> Result<State, PollError> {
        match self.state {
            State::Start => begin(byte),
            State::Line { after_cr: true, .. } if byte == b'\n' => Ok(State::Start),
            State::Line { length: MAX_LINE, .. } => Err(PollError::TooLarge),
            State::Line { length, .. } => Ok(State::Line { length: length + 1, after_cr: byte == b'\r' }),
            State::Length { value, nil, after_cr } => self.after_length_byte(byte, value, nil, after_cr),
            State::Body { left } => Ok(State::Body { left }),
        }
    }

    /// A length is digits, or `-1` for nil, and CRLF.
    fn after_length_byte(&self, byte: u8, value: Option<usize>, nil: bool, after_cr: bool) -> Result<State, PollError> {
        match (byte, value) {
            (b'\n', Some(1)) if after_cr && nil => Ok(State::Start),
            (b'\n', Some(length)) if after_cr && !nil => Ok(State::Body { left: length.saturating_add(2) }),
            _ if after_cr => Err(PollError::Protocol),
            (b'\r', Some(_)) => Ok(State::Length { value, nil, after_cr: true }),
            (b'-', None) if !nil => Ok(State::Length { value, nil: true, after_cr: false }),
            (b'0'..=b'9', _) => {
                let length = value.unwrap_or(0).saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                if length > self.limit {
                    return Err(PollError::TooLarge);
                }
                Ok(State::Length { value: Some(length), nil, after_cr: false })
            }
            _ => Err(PollError::Protocol),
        }
    }
}

/// The first byte of a TLS alert (RFC 8446, 5.1). A port that speaks TLS answers so to plain text.
const TLS_ALERT: u8 = 21;

fn begin(byte: u8) -> Result<State, PollError> {
    match byte {
        TLS_ALERT => Err(PollError::Tls),
        b'+' | b'-' | b':' => Ok(State::Line { length: 0, after_cr: false }),
        b'$' => Ok(State::Length { value: None, nil: false, after_cr: false }),
        _ => Err(PollError::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024;

    fn check(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(ReplyFrames::new(LIMIT).follow(bytes.as_bytes()), expected, "{bytes:?}");
    }

    #[test]
    fn whole_replies_are_counted() {
        check("+OK\r\n", Ok(1));
        check("-ERR no\r\n", Ok(1));
        check("$5\r\na\r\nbc\r\n", Ok(1));
        check("$0\r\n\r\n", Ok(1));
        check("$-1\r\n", Ok(1));
        check("+a\rb\r\n:7\r\n$1\r\nx\r\n", Ok(3));
    }

    #[test]
    fn a_reply_that_goes_on_is_not_counted() {
        check("+OK\r", Ok(0));
        check("$5\r\nabcde\r", Ok(0));
        check("$5", Ok(0));
    }

    #[test]
    fn what_no_request_asks_for_is_refused_at_its_first_byte() {
        for bytes in
            ["*1000000000\r\n", "%1\r\n", "HTTP/1.1 200 OK\r\n", "\r\n", "$\r\n", "$1x", "$--1", "$-2\r\n", "$1\ra"]
        {
            check(bytes, Err(PollError::Protocol));
        }
    }

    #[test]
    fn a_reply_is_too_large_as_soon_as_it_says_so() {
        check("$1025\r\n", Err(PollError::TooLarge));
        check("$99999999999999999999999", Err(PollError::TooLarge));
        check(&format!("+{}", "a".repeat(LIMIT)), Err(PollError::TooLarge));
        // Even where there is hardly a limit, no announced length overflows.
        let announced =
            |digits: usize| ReplyFrames::new(usize::MAX).follow(format!("${}\r\n", "9".repeat(digits)).as_bytes());
        assert_eq!((announced(19), announced(40)), (Ok(0), Ok(0)));
        let endless = ReplyFrames::new(usize::MAX).follow("+".repeat(MAX_LINE + 2).as_bytes());
        assert_eq!(endless, Err(PollError::TooLarge));
    }

    #[test]
    fn a_new_request_has_the_whole_limit_again() {
        let mut frames = ReplyFrames::new(8);
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
        assert_eq!(frames.follow(b"+OK\r\n"), Err(PollError::TooLarge));
        let mut frames = ReplyFrames::new(8);
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
        frames.restart();
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
    }

    #[test]
    fn the_first_wrong_byte_tells_the_reason_however_the_stream_is_cut() {
        let end = |stream: &[u8], cut: usize| {
            let mut frames = ReplyFrames::new(8);
            stream.chunks(cut).try_for_each(|piece| frames.follow(piece).map(|_| ()))
        };
        for cut in 1..12 {
            assert_eq!(end(b"+OK\r\n*12345", cut), Err(PollError::Protocol), "{cut}");
            assert_eq!(end(b"+OKOKOK*****", cut), Err(PollError::TooLarge), "{cut}");
            assert_eq!(end(b"+OKOK\r\n:*", cut), Err(PollError::TooLarge), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_changes_nothing(
            replies in proptest::collection::vec("[a-z\r]{0,20}", 1..6),
            cuts in proptest::collection::vec(1_usize..7, 1..40),
        ) {
            let stream = replies.iter().map(|body| crate::client::tests_support::bulk(body)).collect::<Vec<_>>().concat();
            let mut frames = ReplyFrames::new(LIMIT);
            let mut rest = stream.as_bytes();
            let mut seen = 0;
            for cut in cuts.iter().cycle() {
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                seen += frames.follow(piece).unwrap();
                rest = tail;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(seen as usize, replies.len());
            prop_assert!(frames.is_between_replies());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplyFrames::new(LIMIT).follow(&bytes);
        }
    }
}
