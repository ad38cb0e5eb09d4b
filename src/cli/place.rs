//! Servers and datacenters as they are written on the command line.

use std::str::FromStr;

/// A server, and its datacenter where one is given: `HOST:PORT` or `DC=HOST:PORT`. The
/// configuration that is made of it checks both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: String,
    pub(super) dc: Option<String>,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (dc, address) = match text.split_once('=') {
            // A path of a Unix socket may have an equals sign, too.
            Some((dc, address)) if !dc.contains(['/', ':']) => (Some(dc), address),
            _ => (None, text),
        };
        if address.is_empty() || dc == Some("") {
            return Err("write HOST:PORT, or DC=HOST:PORT to name its datacenter");
        }
        Ok(Self {
            address: address.to_owned(),
            dc: dc.map(str::to_owned),
        })
    }
}

/// A datacenter and the patterns of the hosts in it: `NAME=PATTERN[,PATTERN]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatacenterArg {
    pub(super) name: String,
    pub(super) patterns: Vec<String>,
}

impl FromStr for DatacenterArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "write NAME=PATTERN[,PATTERN], such as dc1=10.1.0.0/16";
        let (name, patterns) = text.split_once('=').ok_or(allowed)?;
        let patterns: Vec<_> = patterns.split(',').map(str::to_owned).collect();
        if name.is_empty() || patterns.iter().any(String::is_empty) {
            return Err(allowed);
        }
        Ok(Self {
            name: name.to_owned(),
            patterns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_name_its_datacenter() {
        let cases = [
            ("a:1", None, "a:1"),
            ("dc1=a:1", Some("dc1"), "a:1"),
            ("dc1=rediss://a:1", Some("dc1"), "rediss://a:1"),
            ("unix:///run/a=b", None, "unix:///run/a=b"),
        ];
        for (text, dc, address) in cases {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.dc.as_deref(), dc, "{text}");
            assert_eq!(place.address, address);
        }
        for text in ["", "=a:1", "dc1="] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_datacenter_has_a_name_and_patterns() {
        let dc: DatacenterArg = "dc1=10.1.0.0/16,*.dc1.example.com".parse().unwrap();
        assert_eq!(dc.name, "dc1");
        assert_eq!(dc.patterns, ["10.1.0.0/16", "*.dc1.example.com"]);
        for text in ["dc1", "dc1=", "=a", "dc1=a,,b"] {
            assert!(text.parse::<DatacenterArg>().is_err(), "{text}");
        }
    }
}
