//! `hooks`: what is done beside the servers when a command changes a master.

use std::path::Path;

use crate::config::cursor::{Cursor, Section};
use crate::config::table::HOOK;
use crate::config::{HookAction, HookSetting, HookSettings};

/// The most hooks of a stage: clients wait for each of them.
const MAX_HOOKS: usize = 16;

/// The most words of a command.
const MAX_WORDS: usize = 64;

/// The longest word of a command, in bytes.
const MAX_WORD: usize = 4096;

pub(super) fn read(root: &Section<'_>) -> HookSettings {
    let section = root.section("hooks");
    HookSettings {
        before: hooks(&section, "before"),
        after: hooks(&section, "after"),
    }
}

fn hooks(section: &Section<'_>, key: &str) -> Vec<HookSetting> {
    let items = section.items(key);
    if items.len() > MAX_HOOKS {
        let count = items.len();
        let sentence = format!("has {count} hooks; allowed: at most {MAX_HOOKS}");
        section.refuse_at(&format!("hooks.{key}"), sentence);
    }
    let mut hooks = Vec::with_capacity(items.len());
    for item in &items {
        hooks.extend(item.section(&HOOK).and_then(|section| hook(&section)));
    }
    hooks
}

fn hook(section: &Section<'_>) -> Option<HookSetting> {
    let name = section.read_required("name", "what it is called", Cursor::name);
    let has_url = section.has("url") || section.has("url_file");
    let action = match (section.has("command"), has_url) {
        (true, false) => command(section).map(HookAction::Command),
        (false, true) => section.secret("url").map(HookAction::Webhook),
        (true, true) => {
            section.refuse("has both a command and a url: give one of them, or make two hooks");
            None
        }
        (false, false) => {
            section.refuse("does nothing: give it a command or a url");
            None
        }
    };
    Some(HookSetting {
        name: name?.to_owned(),
        action: action?,
        timeout: section.span_or_default("timeout"),
    })
}

/// The words of a command. Its program is named by its path: what is found in a search path may be
/// another one for the person at the keyboard than it was for the one who wrote this.
fn command(section: &Section<'_>) -> Option<Vec<String>> {
    let items = section.items("command");
    let path = format!("{}.command", section.path());
    if items.len() > MAX_WORDS {
        let count = items.len();
        section.refuse_at(
            &path,
            format!("has {count} words; allowed: at most {MAX_WORDS}"),
        );
        return None;
    }
    let mut words = Vec::with_capacity(items.len());
    for item in &items {
        words.push(word(item)?);
    }
    let is_path = words
        .first()
        .is_some_and(|program| Path::new(program).is_absolute());
    if !is_path {
        section.refuse_at(&path, "does not begin with the absolute path of a program");
        return None;
    }
    Some(words)
}

fn word(cursor: &Cursor<'_>) -> Option<String> {
    let word = cursor.text()?;
    if word.len() > MAX_WORD || word.contains('\0') {
        cursor.refuse(format_args!(
            "is not an argument; allowed: up to {MAX_WORD} bytes, no NUL"
        ));
        return None;
    }
    Some(word.to_owned())
}
