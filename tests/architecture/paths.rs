//! The paths that code names: those of its imports, expanded, and those within it.

use crate::tokens::{Kind, Token};

/// A path that code names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Where, from 1.
    pub(crate) line: usize,
    /// `["crate", "model", "Span"]`; a glob import ends with `*`.
    pub(crate) path: Vec<String>,
    /// Whether it is an import that others can use, too.
    pub(crate) is_reexport: bool,
}

impl Reference {
    /// Whether the path begins with `beginning`, which is written with `::`.
    pub(crate) fn begins_with(&self, beginning: &str) -> bool {
        let mut own = self.path.iter();
        beginning
            .split("::")
            .all(|part| own.next().is_some_and(|name| name == part))
    }
}

/// Every path of two and more names.
pub(crate) fn references(tokens: &[Token]) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut is_public = false;
    while let Some(token) = tokens.get(at) {
        match &token.kind {
            Kind::Name(name) if name == "pub" => {
                is_public = true;
                at = end_of_visibility(tokens, at + 1);
                continue;
            }
            Kind::Name(name) if name == "use" && !is_sign(tokens, at + 1, '<') => {
                let mut tree = UseTree {
                    tokens,
                    at: at + 1,
                    is_reexport: is_public,
                    found: &mut found,
                };
                tree.read(&[]);
                at = tree.at;
                is_public = false;
                continue;
            }
            Kind::Name(_) => {
                let (path, end) = path_at(tokens, at);
                if path.len() > 1 {
                    found.push(Reference {
                        line: token.line,
                        path,
                        is_reexport: false,
                    });
                }
                at = end;
                is_public = false;
                continue;
            }
            Kind::Sign(_) | Kind::PathSeparator => is_public = false,
        }
        at += 1;
    }
    found
}

/// Behind the `(super)` of `pub(super)`.
fn end_of_visibility(tokens: &[Token], mut at: usize) -> usize {
    if is_sign(tokens, at, '(') {
        while at < tokens.len() && !is_sign(tokens, at, ')') {
            at += 1;
        }
        at += 1;
    }
    at
}

fn is_sign(tokens: &[Token], at: usize, sign: char) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.kind == Kind::Sign(sign))
}

/// The path that begins at `at`, and where it ends.
fn path_at(tokens: &[Token], at: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut end = at;
    while let Some(Kind::Name(name)) = tokens.get(end).map(|token| &token.kind) {
        path.push(name.clone());
        end += 1;
        let continues = tokens
            .get(end)
            .is_some_and(|token| token.kind == Kind::PathSeparator);
        if !continues {
            break;
        }
        end += 1;
    }
    (path, end)
}

/// Reads one `use` declaration.
struct UseTree<'a> {
    tokens: &'a [Token],
    at: usize,
    is_reexport: bool,
    found: &'a mut Vec<Reference>,
}

impl UseTree<'_> {
    /// Reads a tree that stands below `prefix`.
    fn read(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Name(name) if name == "as" => self.at += 1,
                Kind::Name(name) if name == "self" && !path.is_empty() => {}
                Kind::Name(name) => path.push(name.clone()),
                Kind::PathSeparator => {}
                Kind::Sign('{') => {
                    self.at += 1;
                    self.read_group(&path);
                    return;
                }
                Kind::Sign('*') => path.push("*".to_owned()),
                Kind::Sign(_) => break,
            }
            self.at += 1;
        }
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        self.found.push(Reference {
            line,
            path,
            is_reexport: self.is_reexport,
        });
    }

    fn read_group(&mut self, prefix: &[String]) {
        while let Some(token) = self.tokens.get(self.at) {
            match token.kind {
                Kind::Sign('}') => {
                    self.at += 1;
                    return;
                }
                Kind::Sign(',') => self.at += 1,
                _ => self.read(prefix),
            }
        }
    }
}

#[test]
fn imports_are_expanded_and_code_is_read() {
    let code = "pub(crate) use a::{b::{C, self}, d as e, f::*}; use crate::{clock, g}; fn h() { super::i::j(); }";
    let found = references(&crate::tokens::tokens(code));
    let paths: Vec<String> = found.iter().map(|r| r.path.join("::")).collect();
    let expected = [
        "a::b::C",
        "a::b",
        "a::d",
        "a::f::*",
        "crate::clock",
        "crate::g",
        "super::i::j",
    ];
    assert_eq!(paths, expected);
    assert!(found[..4].iter().all(|r| r.is_reexport));
    assert!(found[4..].iter().all(|r| !r.is_reexport));
}
