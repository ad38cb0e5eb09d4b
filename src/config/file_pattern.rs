//! Paths of files that may have a `*` in their last part.

use std::path::PathBuf;

use wildmatch::WildMatch;

/// A file, or all files of a folder whose names match a glob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePattern {
    /// The folder.
    pub folder: PathBuf,
    /// The file's name; may have `*` for any characters.
    pub name: String,
}

impl FilePattern {
    /// Whether it stands for any number of files, and none is as good as one.
    pub fn is_glob(&self) -> bool {
        self.name.contains('*')
    }

    /// Whether a file of this name in the folder is meant.
    pub fn matches(&self, name: &str) -> bool {
        // Files whose names begin with a dot are hidden: editors and ConfigMaps keep copies there.
        let is_hidden = name.starts_with('.') && !self.name.starts_with('.');
        !is_hidden && WildMatch::new(&self.name).matches(name)
    }

    /// As it is written in messages.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }
}
