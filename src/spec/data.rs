//! Data that can be written down as a Rust constant.
//!
//! The build script writes the built-in packs as `static` items, so everything a lowered spec is made of must be
//! constructible in a constant. Borrowed there, owned when a pack is loaded at run time: `Cow` covers both.
//!
//! Types with a form of their own in YAML ([`Json`], [`Map`], [`super::tree::Tree`]) serialise plainly for
//! people (JSON, YAML) and by their Rust constructors for the code generator, which says that it is not
//! human-readable.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A string.
pub type Text = Cow<'static, str>;
/// A list.
pub type List<T> = Cow<'static, [T]>;

/// A mapping that keeps the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<T: Clone + 'static>(pub List<(Text, T)>);

impl<T: Clone + 'static> Map<T> {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Keys and values in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> + Clone {
        self.0.iter().map(|(k, v)| (k.as_ref(), v))
    }

    /// The keys in file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|(k, _)| k.as_ref())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, key: impl Into<Text>, value: T) {
        self.0.to_mut().push((key.into(), value));
    }
}

impl<T: Clone + 'static> Default for Map<T> {
    fn default() -> Self {
        Map(Cow::Borrowed(&[]))
    }
}

impl<T: Clone + Serialize + 'static> Serialize for Map<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_newtype_struct("Map", &self.0);
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, T: Clone + Deserialize<'de> + 'static> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Clone + Deserialize<'de> + 'static> Visitor<'de> for Entries<T> {
            type Value = Map<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Map<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = access.next_entry::<String, T>()? {
                    entries.push((Cow::Owned(key), value));
                }
                Ok(Map(Cow::Owned(entries)))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

impl<T: Clone + JsonSchema + 'static> JsonSchema for Map<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({"type": "object", "additionalProperties": value})
    }
}

/// A JSON value that can be a constant. Numbers keep whether they are whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(Text),
    /// An array.
    List(List<Json>),
    /// An object, in the order of the file.
    Map(Map<Json>),
}

impl Json {
    /// The same as a `serde_json` value.
    pub fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Int(n) => Value::from(*n),
            Json::Uint(n) => Value::from(*n),
            Json::Float(n) => Value::from(*n),
            Json::Str(s) => Value::String(s.to_string()),
            Json::List(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Json::Map(map) => Value::Object(
                map.iter()
                    .map(|(k, v)| (k.to_owned(), v.to_value()))
                    .collect(),
            ),
        }
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(b),
            Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(i), _) => Json::Int(i),
                (None, Some(u)) => Json::Uint(u),
                // `arbitrary_precision` is off: a number that is not whole is an f64.
                (None, None) => Json::Float(n.as_f64().unwrap_or_default()),
            },
            Value::String(s) => Json::Str(s.into()),
            Value::Array(items) => Json::List(items.into_iter().map(Json::from).collect()),
            Value::Object(map) => Json::Map(Map(map
                .into_iter()
                .map(|(k, v)| (Cow::Owned(k), Json::from(v)))
                .collect())),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return match self {
                Json::Null => s.serialize_unit(),
                Json::Bool(b) => s.serialize_bool(*b),
                Json::Int(n) => s.serialize_i64(*n),
                Json::Uint(n) => s.serialize_u64(*n),
                Json::Float(n) => s.serialize_f64(*n),
                Json::Str(t) => s.serialize_str(t),
                Json::List(items) => {
                    let mut seq = s.serialize_seq(Some(items.len()))?;
                    for item in items.iter() {
                        seq.serialize_element(item)?;
                    }
                    seq.end()
                }
                Json::Map(map) => map.serialize(s),
            };
        }
        match self {
            Json::Null => s.serialize_unit_variant("Json", 0, "null"),
            Json::Bool(b) => s.serialize_newtype_variant("Json", 1, "bool", b),
            Json::Int(n) => s.serialize_newtype_variant("Json", 2, "int", n),
            Json::Uint(n) => s.serialize_newtype_variant("Json", 3, "uint", n),
            Json::Float(n) => s.serialize_newtype_variant("Json", 4, "float", n),
            Json::Str(t) => s.serialize_newtype_variant("Json", 5, "str", t),
            Json::List(items) => s.serialize_newtype_variant("Json", 6, "list", items),
            Json::Map(map) => s.serialize_newtype_variant("Json", 7, "map", map),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Json, E> {
                Ok(Json::Bool(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Json, E> {
                Ok(Json::Int(v))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Json, E> {
                Ok(i64::try_from(v).map_or(Json::Uint(v), Json::Int))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Json, E> {
                Ok(Json::Float(v))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Json, E> {
                Ok(Json::Str(Cow::Owned(v.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(Cow::Owned(items)))
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Json, A::Error> {
                Map::deserialize(de::value::MapAccessDeserializer::new(access)).map(Json::Map)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "AnyJson".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!(true)
    }
}
