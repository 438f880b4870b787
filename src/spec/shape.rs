//! What is known of a value before it exists: enough to tell a misspelt name from a right one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schema::declares_elsewhere;

/// The shape of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Nothing is known; every access is allowed.
    Any,
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A list of values of one shape.
    List(Box<Shape>),
    /// An object.
    Object(Fields),
}

/// The fields of an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields {
    /// The declared ones.
    pub known: BTreeMap<String, Field>,
    /// Whether others may be there as well.
    pub open: bool,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its shape.
    pub shape: Shape,
    /// Whether it may be missing.
    pub optional: bool,
}

impl Shape {
    /// An object of exactly these fields, all always present.
    pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Shape)>) -> Self {
        Shape::Object(Fields {
            known: fields
                .into_iter()
                .map(|(name, shape)| {
                    (
                        name.to_owned(),
                        Field {
                            shape,
                            optional: false,
                        },
                    )
                })
                .collect(),
            open: false,
        })
    }

    /// A list of this shape.
    pub fn list(self) -> Self {
        Shape::List(Box::new(self))
    }

    /// What a JSON Schema says of its values.
    ///
    /// Declared `properties` count as all there are, unless the schema says otherwise: a name that is not declared
    /// is far more often a typing error than meant.
    pub fn from_schema(schema: &Value) -> Self {
        let Some(object) = schema.as_object() else {
            return Shape::Any;
        };
        match object.get("type").and_then(Value::as_str) {
            Some("string") => Shape::Text,
            Some("integer" | "number") => Shape::Number,
            Some("boolean") => Shape::Bool,
            Some("array") => object
                .get("items")
                .map_or(Shape::Any, Shape::from_schema)
                .list(),
            Some("object") => Self::from_object_schema(object),
            None if object.contains_key("properties") => Self::from_object_schema(object),
            _ => Shape::Any,
        }
    }

    fn from_object_schema(schema: &serde_json::Map<String, Value>) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let open = match schema.get("additionalProperties") {
            Some(Value::Bool(allowed)) => *allowed,
            Some(_) => true,
            None => properties.is_none(),
        } || schema.contains_key("patternProperties")
            || declares_elsewhere(schema);
        let known = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| {
                let field = Field {
                    shape: Shape::from_schema(schema),
                    // Defaults are filled in before any step runs.
                    optional: !required.contains(&name.as_str()) && schema.get("default").is_none(),
                };
                (name.clone(), field)
            })
            .collect();
        Shape::Object(Fields { known, open })
    }

    /// The same, where the whole may be missing: so may every part.
    #[must_use]
    pub fn perhaps(self) -> Self {
        match self {
            Shape::Object(mut fields) => {
                fields.known.values_mut().for_each(|f| f.optional = true);
                Shape::Object(fields)
            }
            other => other,
        }
    }

    /// The element of a list.
    pub fn element(&self) -> Shape {
        match self {
            Shape::List(inner) => (**inner).clone(),
            _ => Shape::Any,
        }
    }

    /// Looks a field up.
    pub fn field(&self, name: &str) -> Lookup<'_> {
        match self {
            Shape::Any | Shape::List(_) => Lookup::Unknowable,
            Shape::Object(fields) => match fields.known.get(name) {
                Some(field) => Lookup::Found(field),
                None if fields.open => Lookup::Unknowable,
                None => Lookup::Missing(fields.known.keys().map(String::as_str).collect()),
            },
            Shape::Text | Shape::Number | Shape::Bool => Lookup::Missing(Vec::new()),
        }
    }
}

/// The answer to "has this value such a field?".
pub enum Lookup<'a> {
    /// Yes.
    Found(&'a Field),
    /// Nothing says so, nothing forbids it.
    Unknowable,
    /// No; these there are.
    Missing(Vec<&'a str>),
}

/// The names an expression may use, innermost last.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    names: Vec<(String, Shape)>,
    /// Optional paths that an enclosing condition mentions: using them inside is what the condition is for.
    guards: Vec<String>,
}

impl Scope {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The scope with one more name.
    #[must_use]
    pub fn with(mut self, name: &str, shape: Shape) -> Self {
        self.bind(name, shape);
        self
    }

    /// Adds a name; it hides an older one.
    pub fn bind(&mut self, name: &str, shape: Shape) {
        self.names.push((name.to_owned(), shape));
    }

    /// The shape of a name.
    pub fn get(&self, name: &str) -> Option<&Shape> {
        self.names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, shape)| shape)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// How many names there are; with [`Scope::truncate`] this opens and closes a block.
    pub fn mark(&self) -> usize {
        self.names.len()
    }

    /// Forgets the names bound since the mark.
    pub fn truncate(&mut self, mark: usize) {
        self.names.truncate(mark);
    }

    /// Takes these paths as present from here on; answers with the mark for [`Scope::unguard`].
    pub fn guard(&mut self, paths: Vec<String>) -> usize {
        let mark = self.guards.len();
        self.guards.extend(paths);
        mark
    }

    /// Ends the guards since a mark.
    pub fn unguard(&mut self, mark: usize) {
        self.guards.truncate(mark);
    }

    /// Whether a condition has asked for this path, or for the value that it leads into.
    pub fn is_guarded(&self, path: &str) -> bool {
        self.guards.iter().any(|guard| {
            path.strip_prefix(guard.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
