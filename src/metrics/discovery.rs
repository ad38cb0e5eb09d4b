//! The metrics of pair files and DNS names.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use crate::topology::{FilesGroup, NamesGroup};

/// All metrics of the pair files.
pub(super) fn add_files(families: &mut Families, group: &FilesGroup) {
    for file in &group.files {
        let path = file.path.to_string_lossy();
        let labels = SeriesLabels::new([label("file", &path)]);
        families.add(&c::DISCOVERY_FILE_OK, &labels, file.failure.is_none());
        families.add(&c::DISCOVERY_FILE_PAIRS, &labels, file.pairs);
        families.add(&c::DISCOVERY_FILE_FAILURES, &labels, file.failures);
        if let Some(failure) = &file.failure {
            let labels = labels.with("reason", failure.fault.label());
            families.add(&c::DISCOVERY_FILE_FAULT, &labels, true);
        }
    }
}

/// All metrics of the DNS names of one entry. What is not known is absent.
pub(super) fn add_names(families: &mut Families, group: &NamesGroup) {
    for name in &group.names {
        let pair = label("pair", group.pair.as_str());
        let labels = SeriesLabels::new([pair, label("name", &name.name)]);
        families.add(&c::DISCOVERY_NAME_OK, &labels, name.is_ok);
        if name.is_ok.is_some() {
            families.add(&c::DISCOVERY_NAME_ADDRESSES, &labels, name.addresses);
            families.add(&c::DISCOVERY_NAME_FAILURES, &labels, name.failures);
        }
    }
}
