//! `addresses`: the reporters of a discovery source.

use std::collections::HashSet;

use super::pairs::non_empty;
use super::servers::address;
use super::tls::AddressScheme;
use crate::config::cursor::{Cursor, Section};
use crate::model::ServerAddr;

/// A list of addresses that are all distinct.
pub(super) struct AddressList {
    /// What is missing where there is none.
    pub(super) meaning: &'static str,
    /// What listens there.
    pub(super) what: &'static str,
    /// The longest list.
    pub(super) most: usize,
}

impl AddressList {
    /// The `addresses` of `section`, each with the scheme that it begins with. Empty where they are
    /// refused.
    pub(super) fn read(&self, section: &Section<'_>) -> Vec<(AddressScheme, ServerAddr)> {
        let Self {
            meaning,
            what,
            most,
        } = self;
        let items = non_empty(section, "addresses", meaning);
        if items.len() > *most {
            let count = items.len();
            section.refuse(format!(
                "it has {count} addresses; at most {most} {what} can be asked"
            ));
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let mut addresses = Vec::new();
        for item in &items {
            addresses.extend(self.distinct(item, &mut seen));
        }
        addresses
    }

    fn distinct(
        &self,
        item: &Cursor<'_>,
        seen: &mut HashSet<ServerAddr>,
    ) -> Option<(AddressScheme, ServerAddr)> {
        let (scheme, addr) = address(item)?;
        if !seen.insert(addr.clone()) {
            item.refuse(format_args!(
                "is given twice among the {} of the entry",
                self.what
            ));
            return None;
        }
        Some((scheme, addr))
    }
}
