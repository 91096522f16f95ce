//! JSON lists that may be nested as the tensor's shape is, or flat: either way the values in their order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Reads the `count` values of a list.
pub(super) fn values<T: Scalar>(json: &str, count: usize) -> Result<Vec<T>, serde_json::Error> {
    // A value has at least its digit and a comma.
    let mut values = Vec::with_capacity(count.min(json.len() / 2 + 1));
    let mut reader = serde_json::Deserializer::from_str(json);
    Level { values: &mut values, count }.deserialize(&mut reader)?;
    reader.end()?;
    if values.len() != count {
        return Err(Error::custom(format!("{} values, the shape says {count}", values.len())));
    }
    Ok(values)
}

/// What a list can hold.
pub(super) trait Scalar: Sized {
    const NAME: &'static str;

    fn of_number(_: f64) -> Option<Self> {
        None
    }

    fn of_text(_: &str) -> Option<Self> {
        None
    }
}

impl Scalar for f32 {
    const NAME: &'static str = "numbers";

    fn of_number(value: f64) -> Option<Self> {
        Some(value as Self)
    }
}

impl Scalar for String {
    const NAME: &'static str = "strings";

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// A value, or a list of levels.
struct Level<'v, T> {
    values: &'v mut Vec<T>,
    count: usize,
}

impl<T: Scalar> Level<'_, T> {
    fn push<E: Error>(self, value: Option<T>) -> Result<(), E> {
        let value = value.ok_or_else(|| E::custom(format!("expected {}", T::NAME)))?;
        if self.values.len() == self.count {
            return Err(E::custom(format!("more values than the {} of the shape", self.count)));
        }
        self.values.push(value);
        Ok(())
    }
}

impl<'de, T: Scalar> DeserializeSeed<'de> for Level<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Either(self, PhantomData))
    }
}

struct Either<'v, T>(Level<'v, T>, PhantomData<T>);

impl<'de, T: Scalar> Visitor<'de> for Either<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, or lists of them", T::NAME)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Level { values, count } = self.0;
        while list.next_element_seed(Level { values, count })?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push(T::of_number(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push(T::of_number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push(T::of_number(value as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push(T::of_text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_flat_are_the_same() {
        let expected = [1.0_f32, 0.25, -3.0, 4.0];
        for json in ["[1, 0.25, -3, 4]", "[[1, 0.25], [-3, 4e0]]", "[[[1], [0.25]], [[-3], [4]]]"] {
            assert_eq!(values::<f32>(json, 4).unwrap(), expected, "{json}");
        }
        assert_eq!(values::<String>("[[\"a\"], [\"b\\n\"]]", 2).unwrap(), ["a", "b\n"]);
    }

    #[test]
    fn other_values_and_counts_are_errors() {
        for json in ["[1]", "[1, 2, 3]", "[1, \"2\"]", "[1, null]", "[1, 2] 3", "[1, {}]", "[1, true]"] {
            assert!(values::<f32>(json, 2).is_err(), "{json}");
        }
        assert!(values::<String>("[\"a\", 1]", 2).is_err());
        let deep = "[".repeat(100_000);
        assert!(values::<f32>(&deep, 1).is_err());
    }
}
