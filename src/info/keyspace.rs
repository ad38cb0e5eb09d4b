//! The number of keys on a server.

use std::collections::BTreeMap;

use super::table::{InfoTable, RawValue, parts};
use super::{Field, value};

/// The section's header; all that an empty server sends of the section.
const HEADER: &str = "# Keyspace";

/// The keys of all databases together, from lines like `db0:keys=1000,expires=0,avg_ttl=0`.
pub(super) fn keys(table: &InfoTable<'_>, text: &str) -> Field<u64> {
    let counts = match databases(table, text) {
        Field::Value(counts) => counts,
        Field::Missing | Field::None => return Field::Missing,
        Field::Malformed => return Field::Malformed,
    };
    let mut total = 0_u64;
    for keys in counts.values() {
        total = total.saturating_add(*keys);
    }
    Field::Value(total)
}

/// The keys of each database that the reply names, by its number.
pub(super) fn databases(table: &InfoTable<'_>, text: &str) -> Field<BTreeMap<u64, u64>> {
    let mut counts = BTreeMap::new();
    for (key, raw) in table.others() {
        let Some(number) = database(key) else {
            continue;
        };
        let (Ok(number), Field::Value(keys)) = (number.parse(), keys_of_database(raw)) else {
            return Field::Malformed;
        };
        counts.insert(number, keys);
    }
    if counts.is_empty() && !text.contains(HEADER) {
        return Field::Missing;
    }
    Field::Value(counts)
}

/// The number in a key that names a database: `db0`.
fn database(key: &str) -> Option<&str> {
    let number = key.strip_prefix("db")?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { Some(number) } else { None }
}

/// Whether `key` names a database.
pub(super) fn is_database(key: &str) -> bool {
    database(key).is_some()
}

/// The number of keys in one database, from the value of its line.
fn keys_of_database(raw: RawValue<'_>) -> Field<u64> {
    let RawValue::Text(text) = raw else {
        return Field::Malformed;
    };
    let keys = parts(text).find(|part| part.key == "keys");
    match keys.and_then(|part| part.value) {
        Some(keys) => value::count(RawValue::Text(keys)),
        None => Field::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::lines;
    use super::*;

    fn read(text: &str) -> Field<u64> {
        keys(&InfoTable::collect(lines(text)), text)
    }

    #[test]
    fn the_keys_of_all_databases_are_added_up() {
        let line = |number, keys| format!("db{number}:keys={keys},expires=3,avg_ttl=0\r\n");
        assert_eq!(
            read(&format!("# Keyspace\r\n{}{}", line(0, 1000), line(15, 2))),
            Field::Value(1002)
        );
        assert_eq!(read("# Keyspace\r\n"), Field::Value(0), "an empty server");
        assert_eq!(read("# Stats\r\ndbs:1\r\n"), Field::Missing);
        for broken in [
            "db0:keys=-1\r\n",
            "db0:expires=1\r\n",
            "db0:keys=1\r\ndb0:keys=2\r\n",
        ] {
            assert_eq!(read(broken), Field::Malformed, "{broken:?}");
        }
    }
}
