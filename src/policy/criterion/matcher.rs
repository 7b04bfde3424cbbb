//! How a value must be, or must not be.
//!
//! Texts are compared byte for byte. Several keys in one matcher must all hold. What a person does not have is nothing
//! that a positive test accepts; a negative one (`not`, `not_in`, `exclude`) cannot be told then, so that `not: [x]`
//! grants nothing to, and denies in a deny rule, whoever has no value at all.

use serde_json::Value;

use crate::policy::{
    problem::{Misspelling, Report, suggest},
    trace::Outcome,
};

/// Which part of a value a text is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Part {
    /// All of it.
    Whole,
    /// How it begins.
    Start,
    /// How it ends.
    End,
    /// Anything in it.
    Middle,
}

/// Brings a text of the configuration into the form that values have, or says why none has it.
pub(in crate::policy) type Spell = fn(&str, Part) -> Result<String, Misspelling>;

/// For values that are taken as they come. A line break at the end is a slip that YAML makes easy and no eye sees.
pub(in crate::policy) fn spell_as_is(text: &str, _: Part) -> Result<String, Misspelling> {
    if text.contains(char::is_control) {
        return Err(Misspelling::new(
            "the text has a line break or another control character in it",
            "write it on one line, in quotes",
        ));
    }
    Ok(text.to_owned())
}

/// Tests for one value.
#[derive(Debug)]
pub(in crate::policy) struct StringMatcher(Box<[StringTest]>);

#[derive(Debug)]
enum StringTest {
    Is(Box<str>),
    Not(Box<str>),
    Contains(Box<str>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    In(Words),
    NotIn(Words),
}

const STRING_TESTS: [&str; 7] = [
    "is",
    "not",
    "contains",
    "starts_with",
    "ends_with",
    "in",
    "not_in",
];

impl StringMatcher {
    /// One of these texts.
    pub(in crate::policy) fn one_of(words: Vec<String>) -> Self {
        Self(Box::new([StringTest::In(Words::new(words))]))
    }

    /// Reads a text (`is`) or an object of tests.
    pub(in crate::policy) fn read(data: &Value, spell: Spell, report: &mut Report) -> Option<Self> {
        let Value::Object(members) = data else {
            let text = word(data, Part::Whole, spell, report)?;
            return Some(Self(Box::new([StringTest::Is(text.into())])));
        };
        if members.is_empty() {
            report.problem("the matcher is empty", among(&STRING_TESTS));
        }
        let tests: Vec<_> = members
            .iter()
            .map(|(name, data)| {
                report.within(name.as_str(), |report| {
                    StringTest::read(name, data, spell, report)
                })
            })
            .collect();
        let tests: Option<Box<[_]>> = tests.into_iter().collect();
        tests.filter(|tests| !tests.is_empty()).map(Self)
    }

    /// Whether a value passes every test.
    pub(super) fn evaluate(&self, value: Option<&str>) -> Outcome {
        match value {
            Some(value) => self.0.iter().all(|test| test.accepts(value)).into(),
            None => missing(self.0.iter().all(StringTest::is_negative)),
        }
    }
}

impl StringTest {
    fn read(name: &str, data: &Value, spell: Spell, report: &mut Report) -> Option<Self> {
        let mut text = |part| word(data, part, spell, report).map(Into::into);
        match name {
            "is" => text(Part::Whole).map(Self::Is),
            "not" => text(Part::Whole).map(Self::Not),
            "contains" => text(Part::Middle).map(Self::Contains),
            "starts_with" => text(Part::Start).map(Self::StartsWith),
            "ends_with" => text(Part::End).map(Self::EndsWith),
            "in" => words(data, spell, report).map(Self::In),
            "not_in" => words(data, spell, report).map(Self::NotIn),
            _ => {
                report.problem(
                    format!("a text has no matcher `{name}`"),
                    suggest(name, &STRING_TESTS),
                );
                None
            }
        }
    }

    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Is(text) => **text == *value,
            Self::Not(text) => **text != *value,
            Self::Contains(text) => value.contains(&**text),
            Self::StartsWith(text) => value.starts_with(&**text),
            Self::EndsWith(text) => value.ends_with(&**text),
            Self::In(words) => words.contain(value),
            Self::NotIn(words) => !words.contain(value),
        }
    }

    const fn is_negative(&self) -> bool {
        matches!(self, Self::Not(_) | Self::NotIn(_))
    }
}

/// Tests for a list of values.
#[derive(Debug)]
pub(in crate::policy) struct ListMatcher(Box<[ListTest]>);

#[derive(Debug)]
enum ListTest {
    Has(Box<str>),
    HasOneOf(Words),
    Is(Box<str>),
    Exclude(Box<str>),
}

const LIST_TESTS: [&str; 3] = ["has", "is", "exclude"];

impl ListMatcher {
    /// One of these texts is in the list.
    pub(in crate::policy) fn one_of(words: Vec<String>) -> Self {
        Self(Box::new([ListTest::HasOneOf(Words::new(words))]))
    }

    /// Reads a text (`has`) or an object of tests.
    pub(in crate::policy) fn read(data: &Value, spell: Spell, report: &mut Report) -> Option<Self> {
        let Value::Object(members) = data else {
            let text = word(data, Part::Whole, spell, report)?;
            return Some(Self(Box::new([ListTest::Has(text.into())])));
        };
        if members.is_empty() {
            report.problem("the matcher is empty", among(&LIST_TESTS));
        }
        let tests: Vec<_> = members
            .iter()
            .map(|(name, data)| {
                report.within(name.as_str(), |report| {
                    ListTest::read(name, data, spell, report)
                })
            })
            .collect();
        let tests: Option<Box<[_]>> = tests.into_iter().collect();
        tests.filter(|tests| !tests.is_empty()).map(Self)
    }

    /// Whether a list passes every test. An empty one is a missing one: identities do not tell them apart.
    pub(super) fn evaluate<T: AsRef<str>>(&self, values: &[T]) -> Outcome {
        if values.is_empty() {
            return missing(self.0.iter().all(ListTest::is_negative));
        }
        self.0.iter().all(|test| test.accepts(values)).into()
    }
}

impl ListTest {
    fn read(name: &str, data: &Value, spell: Spell, report: &mut Report) -> Option<Self> {
        let test: fn(Box<str>) -> Self = match name {
            "has" => Self::Has,
            "is" => Self::Is,
            "exclude" => Self::Exclude,
            _ => {
                report.problem(
                    format!("a list has no matcher `{name}`"),
                    suggest(name, &LIST_TESTS),
                );
                return None;
            }
        };
        word(data, Part::Whole, spell, report).map(|text| test(text.into()))
    }

    fn accepts<T: AsRef<str>>(&self, values: &[T]) -> bool {
        let has = |text: &str| values.iter().any(|value| value.as_ref() == text);
        match self {
            Self::Has(text) => has(text),
            Self::HasOneOf(words) => values.iter().any(|value| words.contain(value.as_ref())),
            Self::Is(text) => values.len() == 1 && has(text),
            Self::Exclude(text) => !has(text),
        }
    }

    const fn is_negative(&self) -> bool {
        matches!(self, Self::Exclude(_))
    }
}

const fn missing(all_negative: bool) -> Outcome {
    if all_negative {
        Outcome::MissingValue
    } else {
        Outcome::No
    }
}

/// A set of texts, sorted.
#[derive(Debug)]
struct Words(Box<[Box<str>]>);

impl Words {
    fn new(words: Vec<String>) -> Self {
        let mut words: Vec<Box<str>> = words.into_iter().map(Into::into).collect();
        words.sort_unstable();
        words.dedup();
        Self(words.into())
    }

    fn contain(&self, word: &str) -> bool {
        self.0.binary_search_by(|other| (**other).cmp(word)).is_ok()
    }
}

fn words(data: &Value, spell: Spell, report: &mut Report) -> Option<Words> {
    let Value::Array(items) = data else {
        report.problem("not a list", "write a list of texts, as in `[a, b]`");
        return None;
    };
    if items.is_empty() {
        report.problem("the list is empty", "name at least one value");
        return None;
    }
    let words: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(index, item)| report.within(index, |report| word(item, Part::Whole, spell, report)))
        .collect();
    let words: Option<Vec<_>> = words.into_iter().collect();
    words.map(Words::new)
}

/// A text of the configuration, spelled as values are.
fn word(data: &Value, part: Part, spell: Spell, report: &mut Report) -> Option<String> {
    match data {
        Value::String(text) => checked(text, part, spell, report),
        // A claim that is a truth value is held as this text, and it has no other spelling.
        Value::Bool(truth) => checked(&truth.to_string(), part, spell, report),
        Value::Number(number) => {
            // `007` and `1e3` are other texts than the numbers that YAML makes of them.
            report.problem(
                "a number, where values are texts",
                format!("write `\"{number}\"`"),
            );
            None
        }
        Value::Array(_) => {
            report.problem(
                "a list, where one text is compared",
                "write one criterion for each value below `or` (for texts, `in` takes a list)",
            );
            None
        }
        Value::Null | Value::Object(_) => {
            report.problem("not a text", "write a text");
            None
        }
    }
}

/// Spells one text, and notes when it cannot mean anything.
pub(in crate::policy) fn checked(
    text: &str,
    part: Part,
    spell: Spell,
    report: &mut Report,
) -> Option<String> {
    if text.is_empty() {
        report.problem(
            "an empty text matches everything or nothing",
            "write what the value must be",
        );
        return None;
    }
    spell(text, part)
        .map_err(|fault| report.problem(fault.message, fault.mend))
        .ok()
}

fn among(names: &[&str]) -> String {
    format!("have at least one of {}", names.join(", "))
}
