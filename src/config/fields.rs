//! Settings whose fields are keys of the table: read, defaulted and printed by one list of fields,
//! so that a key can be forgotten in neither direction.

use std::path::PathBuf;

use yaml_rust2::Yaml;

use super::cursor::Section;
use super::schema::{Key, Kind};
use super::yaml::{self, Mapping};
use super::{ListenAddress, SecretSource, ShownStates, ShownThresholds};
use crate::model::Span;
use crate::template::Template;

/// Settings with a field for each of (most of) the keys of one mapping. The table implements it.
pub(super) trait Fields {
    /// Shows every field to `visitor`, with the key that it is the value of.
    fn visit(&mut self, visitor: &mut impl Visitor);
}

/// Something to do with every field.
pub(super) trait Visitor {
    fn field<T: FieldValue>(&mut self, key: &'static Key, field: &mut T);
}

/// The type of a field.
pub(super) trait FieldValue: Sized {
    /// Reads the value of `key`: `None` where the file has none, or one that is refused.
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self>;

    /// The table's default; `None` where a field is left as it is.
    fn default_value(key: &'static Key) -> Option<Self>;

    /// Puts the value, where there is one, under `key`.
    fn print(&self, key: &'static Key, map: &mut Mapping);
}

/// Reads the fields of `settings` that `section` has keys for; the others get the table's defaults.
pub(super) fn read<T: Fields>(section: &Section<'_>, mut settings: T) -> T {
    settings.visit(&mut Reader {
        section,
        inherits: false,
    });
    settings
}

/// Reads the fields of `settings` that `section` has keys for; the others stay as they are.
pub(super) fn read_over<T: Fields>(section: &Section<'_>, mut outer: T) -> T {
    outer.visit(&mut Reader {
        section,
        inherits: true,
    });
    outer
}

/// The fields as a mapping. `Fields` lends them mutably, so a copy is printed.
pub(super) fn print<T: Fields + Clone>(settings: &T) -> Mapping {
    let mut printer = Printer::default();
    settings.clone().visit(&mut printer);
    printer.0
}

struct Reader<'a> {
    section: &'a Section<'a>,
    /// Whether a field without a key keeps its value instead of taking the default.
    inherits: bool,
}

impl Visitor for Reader<'_> {
    fn field<T: FieldValue>(&mut self, key: &'static Key, field: &mut T) {
        if let Some(value) = T::read(self.section, key) {
            *field = value;
            return;
        }
        if self.inherits {
            return;
        }
        if let Some(default) = T::default_value(key) {
            *field = default;
        }
    }
}

#[derive(Default)]
struct Printer(Mapping);

impl Visitor for Printer {
    fn field<T: FieldValue>(&mut self, key: &'static Key, field: &mut T) {
        field.print(key, &mut self.0);
    }
}

impl FieldValue for Span {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        section.get(key.name)?.span_of(key)
    }

    fn default_value(key: &'static Key) -> Option<Self> {
        key.default_duration()
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::span(*self));
    }
}

impl FieldValue for u32 {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        let Kind::Number { range, .. } = &key.kind else {
            return None;
        };
        section.get(key.name)?.whole_number(range)
    }

    fn default_value(key: &'static Key) -> Option<Self> {
        match key.kind {
            Kind::Number { default, .. } => default,
            _ => None,
        }
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::count(u64::from(*self)));
    }
}

impl FieldValue for bool {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        section.get(key.name)?.flag()
    }

    fn default_value(key: &'static Key) -> Option<Self> {
        match key.kind {
            Kind::Flag { default } => default,
            _ => None,
        }
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, Yaml::Boolean(*self));
    }
}

impl FieldValue for String {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        let cursor = section.get(key.name)?;
        let text = match key.kind {
            Kind::OptionalName if cursor.text()?.is_empty() => "",
            Kind::Name | Kind::OptionalName => cursor.name()?,
            Kind::Url => cursor.url()?,
            Kind::HostName => cursor.host_name()?,
            _ => cursor.text()?,
        };
        Some(text.to_owned())
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::string(self));
    }
}

impl FieldValue for PathBuf {
    /// A path that is refused counts as given, so that a certificate without a key is one problem
    /// only.
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        let cursor = section.get(key.name)?;
        let path = match key.kind {
            Kind::PemFile => cursor.pem_file(),
            _ => cursor.file_path(),
        };
        Some(path.unwrap_or_default())
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::path(self));
    }
}

impl FieldValue for SecretSource {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        section.secret(key.name)
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put_secret(key.name, self);
    }
}

impl FieldValue for Template {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        let cursor = section.get(key.name)?;
        match Template::new(cursor.text()?) {
            Ok(template) => Some(template),
            Err(error) => {
                cursor.add_problem(format!("the text {error}"));
                None
            }
        }
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::string(self.source()));
    }
}

impl FieldValue for ListenAddress {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        let cursor = section.get(key.name)?;
        cursor.checked(cursor.text()?.parse())
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        map.put(key.name, yaml::string(&self.to_string()));
    }
}

/// A closed set in the configuration is the label of one of its variants.
macro_rules! word_field {
    ($($set:ty),+) => {$(
        impl FieldValue for $set {
            fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
                let cursor = section.get(key.name)?;
                let word = Self::parse(cursor.text()?);
                if word.is_none() {
                    let allowed = Self::ALL.map(Self::label).join(", ");
                    cursor.refuse(format_args!("is not allowed; allowed: {allowed}"));
                }
                word
            }

            fn default_value(_: &'static Key) -> Option<Self> {
                None
            }

            fn print(&self, key: &'static Key, map: &mut Mapping) {
                map.put(key.name, yaml::string(self.label()));
            }
        }
    )+};
}

word_field!(ShownStates, ShownThresholds);

impl<T: FieldValue> FieldValue for Option<T> {
    fn read(section: &Section<'_>, key: &'static Key) -> Option<Self> {
        T::read(section, key).map(Some)
    }

    fn default_value(_: &'static Key) -> Option<Self> {
        None
    }

    fn print(&self, key: &'static Key, map: &mut Mapping) {
        if let Some(value) = self {
            value.print(key, map);
        }
    }
}
