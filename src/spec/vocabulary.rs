//! The words of the expression language: what names are checked against, and what the reference prints.

/// Filters: name and meaning.
pub const FILTERS: &[(&str, &str)] = &[
    ("abs", "the absolute value"),
    (
        "age",
        "the seconds since a time (RFC 3339), with a fraction; absent where it is not a time",
    ),
    (
        "base64",
        "the UTF-8 bytes of a text in base64, with padding: as the `data` of a picture",
    ),
    (
        "base64url",
        "the UTF-8 bytes of a text in base64url without padding: one token of a subject or key, whatever the text (but the empty one)",
    ),
    ("bool", "the truth of a value"),
    ("capitalize", "first letter upper case, the rest lower case"),
    (
        "cell",
        "as the text of one cell of a Markdown table: no line breaks, `|` as `\\|`",
    ),
    (
        "clock",
        "a time (RFC 3339, or milliseconds since 1970) as hours, minutes and seconds in UTC: `08:15:00`; absent where it is not a time",
    ),
    (
        "default",
        "another value when there is none: `default(5)`; `default(omit)` leaves the key out; a second argument `true` also replaces empty values and null",
    ),
    ("dictsort", "the pairs of an object, sorted by key"),
    ("first", "the first element"),
    ("fixed", "a number with so many decimals: `fixed(2)`"),
    ("float", "as a number"),
    (
        "from_base64url",
        "the text that `base64url` was made of, with U+FFFD for what is not UTF-8; absent where it is no base64url",
    ),
    (
        "from_json",
        "the value of a JSON text; absent where it is none",
    ),
    (
        "from_ms",
        "the time (RFC 3339, UTC, with milliseconds) so many milliseconds after 1970; absent where it is no number, or beyond the years 0 to 9999",
    ),
    ("groupby", "groups a list of objects by an attribute"),
    ("indent", "indents all lines but the first"),
    ("int", "as a whole number"),
    ("items", "the pairs of an object"),
    ("join", "the elements as one text, with a separator"),
    (
        "json",
        "as compact JSON text, written as `JSON.stringify` of JavaScript writes it: keys in their order, nothing escaped for HTML",
    ),
    ("last", "the last element"),
    ("length", "how many elements or characters"),
    ("lines", "the lines of a text as a list"),
    ("list", "as a list"),
    ("lower", "in lower case"),
    (
        "map",
        "an attribute of each element, or a filter on each: `map(attribute='name')`",
    ),
    ("max", "the largest element"),
    ("min", "the smallest element"),
    (
        "reachable",
        "of an object of lists, which names lead to which (`{a: [b, c]}`): those that the given names lead to, near or far, sorted: `leads | reachable(['a'])`",
    ),
    ("reject", "the elements that fail a test"),
    ("rejectattr", "the objects whose attribute fails a test"),
    ("replace", "replaces one text by another"),
    ("reverse", "back to front"),
    ("round", "rounded to a number of places"),
    ("select", "the elements that pass a test"),
    ("selectattr", "the objects whose attribute passes a test"),
    (
        "sha256",
        "the SHA-256 hash of a text, in 64 hexadecimal digits",
    ),
    (
        "slug",
        "as a name of lower-case letters, digits and hyphens: blanks and `_` become `-`, all else is left out",
    ),
    ("sort", "sorted, optionally by an attribute"),
    ("split", "splits a text at a separator"),
    (
        "stream_token",
        "as the last part of a stream name: upper case, every character outside A-Z and 0-9 as `_`",
    ),
    ("string", "as a text"),
    (
        "subject_tokens",
        "in a subject or key: lets a value be several tokens, separated by dots",
    ),
    ("sum", "the sum of the elements"),
    (
        "thousands",
        "a whole number with thousands separators: `12,345`",
    ),
    (
        "time",
        "a time (RFC 3339) in UTC with milliseconds; absent where it is not a time",
    ),
    ("title", "every word with a capital letter"),
    ("tojson", "as JSON text"),
    (
        "token",
        "any text as one token of a subject or key: `a-z`, digits, `_` and `-` stay, other bytes are `=XX`",
    ),
    ("trim", "without blanks at both ends"),
    ("unique", "every element once"),
    ("untoken", "the text that `token` has made a token of"),
    (
        "unwind",
        "one element for each element of a field that is a list, with that in its place: `unwind('tags')`",
    ),
    ("upper", "in upper case"),
    ("urlencode", "percent-encoded"),
    (
        "utf16_length",
        "how many UTF-16 code units a text has, which is its `length` in JavaScript",
    ),
    (
        "uuid_from",
        "a UUID made of the first 32 hexadecimal digits of a text, such as a `sha256`",
    ),
    (
        "with_field",
        "an object with one field set to another value: `with_field('attempts', 0)`",
    ),
];

/// Tests (`x is defined`): name and meaning.
pub const TESTS: &[(&str, &str)] = &[
    ("boolean", "is true or false"),
    ("containing", "contains the argument"),
    ("defined", "has a value"),
    ("divisibleby", "is divisible by the argument"),
    ("endingwith", "ends with the argument"),
    ("eq", "equals the argument"),
    ("even", "is an even number"),
    ("false", "is false"),
    ("float", "is a number with a fraction"),
    ("ge", "is greater than or equal to the argument"),
    ("gt", "is greater than the argument"),
    ("in", "is an element of the argument"),
    ("integer", "is a whole number"),
    ("iterable", "can be looped over"),
    ("le", "is less than or equal to the argument"),
    (
        "like",
        "is a text that fits a pattern, or one of a list of patterns, in which `*` stands for any text: `like('shop-*')`",
    ),
    ("lower", "is in lower case"),
    ("lt", "is less than the argument"),
    ("mapping", "is an object"),
    (
        "match",
        "is a text in which a regular expression finds a match: `match('^[a-z]+$')`; the expression is written out, not computed",
    ),
    ("ne", "differs from the argument"),
    ("none", "is null"),
    ("number", "is a number"),
    ("odd", "is an odd number"),
    ("sequence", "is a list"),
    ("startingwith", "starts with the argument"),
    ("string", "is a text"),
    ("true", "is true"),
    ("undefined", "has no value"),
    ("upper", "is in upper case"),
];

/// Functions: name and meaning.
pub const FUNCTIONS: &[(&str, &str)] = &[
    (
        "now",
        "the time, UTC, RFC 3339 with milliseconds: `2026-01-31T08:15:00.000Z`; `now(-180)` is three minutes ago",
    ),
    (
        "now_ms",
        "the time in whole milliseconds since 1970; `now_ms(-30)` is half a minute ago",
    ),
    (
        "range",
        "whole numbers from, to (exclusive), by: at most 100,000",
    ),
    (
        "serial",
        "0, 1, 2 and so on: one number more for each use in this process",
    ),
    ("uuid", "a new random UUID (version 4)"),
];

/// The function that reads files, in the expressions of [`generate`](super::model::Generator) that are worked out when tools are
/// made.
pub const DOCUMENT: &str = "document";

/// Names that stand for a value everywhere.
pub const CONSTANTS: &[(&str, &str)] = &[(
    "omit",
    "leaves the key out of its object, or the element out of its list",
)];
