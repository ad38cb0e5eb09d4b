//! Closed sets: enums without fields whose variants have one fixed word each, which metrics, JSON,
//! logs and the state file share.
//!
//! The word is written once, beside its variant. Everything that has to agree with it is generated,
//! so that a new variant cannot be missing from a list, and two variants cannot share a word.

/// Declares an enum with a word (its label) for each variant:
///
/// ```ignore
/// closed_set! {
///     /// Why a poll failed.
///     pub enum PollError {
///         /// No answer within the timeout.
///         Timeout => "timeout",
///         /// The connection was refused.
///         Refused => "refused",
///     }
/// }
/// ```
///
/// The enum is `Copy`, ordered by declaration and hashable. It has `ALL` (every variant, in order),
/// `label()`, `parse()` and `Display` (the label). That no two labels are equal is checked at
/// compile time.
///
/// It implements none of serde's traits: a set that is written to JSON as its label uses
/// `serde_as_label!`, and one that is stored under other names derives serde's traits itself.
macro_rules! closed_set {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $(
                $(#[$variant_attribute:meta])*
                $variant:ident => $label:literal
            ),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility enum $name {
            $(
                $(#[$variant_attribute])*
                $variant
            ),+
        }

        #[allow(dead_code)] // a set need not use everything that a set has
        impl $name {
            /// Every variant, in the order of declaration.
            $visibility const ALL: [Self; [$($label),+].len()] = [$(Self::$variant),+];

            /// The variant's word in metrics, JSON and logs.
            $visibility const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label),+
                }
            }

            /// The variant whose label is `text`.
            $visibility fn parse(text: &str) -> Option<Self> {
                match text {
                    $($label => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.label())
            }
        }

        const _: () = assert!(
            $crate::model::are_distinct(&[$($label),+]),
            "two variants share a label"
        );
    };
}

/// Implements `Serialize` for a closed set as its label, and `Deserialize` from it.
///
/// `serde_as_label!(Set)` refuses a word that is not in the set. `serde_as_label!(Set, else
/// Variant)` reads such a word, which a later version may have written, as that variant.
/// `serde_as_label!(Set, write only)` leaves `Deserialize` out.
macro_rules! serde_as_label {
    ($name:ident, write only) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.label())
            }
        }
    };
    ($name:ident, else $fallback:ident) => {
        $crate::model::serde_as_label!($name, write only);

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(
                    deserializer,
                )?;
                Ok(Self::parse(&text).unwrap_or(Self::$fallback))
            }
        }
    };
    ($name:ident) => {
        $crate::model::serde_as_label!($name, write only);

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::serde::Deserialize>::deserialize(
                    deserializer,
                )?;
                Self::parse(&text).ok_or_else(|| {
                    let labels = Self::ALL.map(Self::label).join(", ");
                    ::serde::de::Error::custom(::std::format!(
                        "`{text}` is none of {labels}"
                    ))
                })
            }
        }
    };
}

pub(crate) use {closed_set, serde_as_label};

/// Whether no two of `labels` are equal; for `closed_set!`.
#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
pub(crate) const fn are_distinct(labels: &[&str]) -> bool {
    let mut first = 0;
    while first < labels.len() {
        let mut second = first + 1;
        while second < labels.len() {
            if is_equal(labels[first].as_bytes(), labels[second].as_bytes()) {
                return false;
            }
            second += 1;
        }
        first += 1;
    }
    true
}

/// `==` of slices is not `const`.
#[expect(clippy::indexing_slicing, reason = "runs at compile time only")]
const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    closed_set! {
        /// How to travel.
        enum Vehicle {
            /// Two wheels.
            Bicycle => "bicycle",
            /// Many.
            Train => "train",
        }
    }
    serde_as_label!(Vehicle);

    closed_set! {
        /// How to come back.
        enum Return {
            Bicycle => "bicycle",
            Unknown => "unknown",
        }
    }
    serde_as_label!(Return, else Unknown);

    #[test]
    fn a_label_parses_to_its_variant() {
        assert_eq!(Vehicle::ALL, [Vehicle::Bicycle, Vehicle::Train]);
        for vehicle in Vehicle::ALL {
            assert_eq!(Vehicle::parse(vehicle.label()), Some(vehicle));
            assert_eq!(vehicle.to_string(), vehicle.label());
            let json = serde_json::to_string(&vehicle).unwrap();
            assert_eq!(json, format!("\"{}\"", vehicle.label()));
            assert_eq!(serde_json::from_str::<Vehicle>(&json).unwrap(), vehicle);
        }
        assert_eq!(Vehicle::parse("Train"), None);
        assert_eq!(format!("{:>8}|", Vehicle::Train), "   train|");
    }

    #[test]
    fn an_unknown_label_is_refused_or_has_its_variant() {
        let error = serde_json::from_str::<Vehicle>("\"rocket\"").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`rocket` is none of bicycle, train")
        );
        let back: Return = serde_json::from_str("\"rocket\"").unwrap();
        assert_eq!(back, Return::Unknown);
    }

    #[test]
    fn labels_are_compared_in_full() {
        assert!(are_distinct(&["up", "down", "upper"]));
        assert!(!are_distinct(&["up", "down", "up"]));
    }
}
