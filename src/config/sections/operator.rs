//! `operator` and `observers`: who carries out operations, and who else sees the servers.

use super::servers::ConnectionKeys;
use crate::config::Credentials;
use crate::config::cursor::{Cursor, Section};

/// The most observers: each is asked before a failover.
const MAX_OBSERVERS: usize = 16;

/// The login of operations; `None` where none is configured.
pub(super) fn read(root: &Section<'_>) -> Option<Credentials> {
    let section = root.given_section("operator")?;
    let keys = ConnectionKeys::login_of(&section);
    let credentials = keys.for_discovered(&section).credentials;
    credentials.password.is_some().then_some(credentials)
}

/// The URLs of exporters elsewhere, without a slash at the end.
pub(super) fn observers(root: &Section<'_>) -> Vec<String> {
    let items = root.items("observers");
    if items.len() > MAX_OBSERVERS {
        let count = items.len();
        let sentence = format!("has {count} exporters; allowed: at most {MAX_OBSERVERS}");
        root.refuse_at("observers", sentence);
    }
    items.iter().filter_map(observer).collect()
}

fn observer(cursor: &Cursor<'_>) -> Option<String> {
    let url = cursor.url()?;
    Some(url.trim_end_matches('/').to_owned())
}
