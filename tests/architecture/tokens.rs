//! Rust source as names and signs: without comments, texts and numbers' details.

/// A token, and the line that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// From 1.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Name(String),
    /// `::`
    PathSeparator,
    /// Any other sign.
    Sign(char),
}

/// The tokens of `code`. Comments and the contents of texts and characters are left out.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    Scanner {
        rest: code,
        line: 1,
        found: Vec::new(),
    }
    .scan()
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Scanner<'_> {
    fn scan(mut self) -> Vec<Token> {
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip(self.rest.find("*/").map_or(self.rest.len(), |end| end + 2));
            } else if let Some(length) = text_length(self.rest) {
                self.skip(length);
            } else if next.is_alphanumeric() || next == '_' {
                self.name();
            } else if self.rest.starts_with("::") {
                self.push(Kind::PathSeparator);
                self.skip(2);
            } else {
                if !next.is_whitespace() {
                    self.push(Kind::Sign(next));
                }
                self.skip(next.len_utf8());
            }
        }
        self.found
    }

    fn name(&mut self) {
        let length = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        self.push(Kind::Name(self.rest[..length].to_owned()));
        self.skip(length);
    }

    fn push(&mut self, kind: Kind) {
        self.found.push(Token {
            line: self.line,
            kind,
        });
    }

    fn skip(&mut self, length: usize) {
        let (skipped, rest) = self.rest.split_at(length);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

/// How long the text or character is that `code` begins with; none if it begins with neither.
fn text_length(code: &str) -> Option<usize> {
    let unprefixed = code.trim_start_matches(['b', 'c']);
    let prefix = code.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if !raw[hashes..].starts_with('"') {
            return None;
        }
        let end = format!("\"{}", "#".repeat(hashes));
        let body = &raw[hashes + 1..];
        let length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + length);
    }
    if let Some(body) = unprefixed.strip_prefix('"') {
        return Some(prefix + 1 + quoted_length(body, '"'));
    }
    let body = unprefixed.strip_prefix('\'')?;
    let mut characters = body.chars();
    let first = characters.next()?;
    // `'a'` is a character, `'a` a lifetime.
    let is_character = first == '\\' || characters.next() == Some('\'');
    is_character.then(|| prefix + 1 + quoted_length(body, '\''))
}

/// How far it is behind the closing quote.
fn quoted_length(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    body.len()
}

#[test]
fn comments_texts_and_characters_are_no_code() {
    let code = r##"a /* b */ "c \" d" 'e' '\'' r#"f " g"# &'h i // j
        br"k" ::l"##;
    let mut names = Vec::new();
    for token in tokens(code) {
        if let Kind::Name(name) = token.kind {
            names.push((token.line, name));
        }
    }
    let expected = [(1, "a"), (1, "h"), (1, "i"), (2, "l")];
    assert_eq!(names, expected.map(|(line, name)| (line, name.to_owned())));
}
